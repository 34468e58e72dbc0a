/* SPDX-License-Identifier: MIT */

/*
 * Keeps the function from leaving into code that belongs to the caller: its
 * frames, its atexit handlers, its stdio buffers. Each way out has a hook that
 * notes it and ends the child:
 *
 *	exit(3)         before all handlers it runs the destructors of the thread's thread-local
 *	                objects. One of them is ours and puts an on_exit handler before those of
 *	                the caller
 *	longjmp(3)      glibc calls the cleanup handlers (the first kind, still exported for old
 *	                programs) of the frames that it leaves; pthread_exit does so too
 *	an exception    its search for a handler asks the personality routine of each frame; ours says
 *	                that it has one, so that the caller's frames are not asked, nor is std::terminate
 *	                called for want of any
 *
 * swapcontext(3), setcontext(3) and __builtin_longjmp have no hook. This is the
 * only file that relies on more of glibc than its documentation promises.
 */
#include <isolate/isolate-priv.h>

#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/single_threaded.h>
#include <unistd.h>
#include <unwind.h>

extern int __cxa_thread_atexit_impl(void (*destructor)(void *), void *object, void *symbol_of_dso);
extern void _pthread_cleanup_push(
	struct _pthread_cleanup_buffer *buffer, void (*routine)(void *), void *arg);
extern void _pthread_cleanup_pop(struct _pthread_cleanup_buffer *buffer, int execute);

/* Too much for what allocators put aside for a thread: freed, it serves any smaller block. */
#define ROOM_FOR_REGISTERING 4096

static _Thread_local bool registered; /* exit_has_begun, in this thread */

/*
 * NULL but in a child, whose first thread it is of. By thread, and found without a call: that
 * memory the child writes to in any case, and a page less has to be copied.
 */
static _Thread_local struct isolate_writer *writer_of_child
	__attribute__((tls_model("initial-exec")));

/* Only for the child that is waited for: a process that the function forked leaves as it likes. */
static void note(struct isolate_writer *writer, enum isolate__left left, int status)
{
	if (!isolate__writer_is_here(writer))
		return;
	writer->shared->marks.left_status = status;
	__atomic_store_n(&writer->shared->marks.left, left, __ATOMIC_RELEASE);
}

static void left_by_exit(int status, void *writer)
{
	note(writer, ISOLATE__LEFT_BY_EXIT, status);
	_exit(status);
}

/*
 * Called by exit(3), which is about to take the lock of on_exit in any case and
 * will tell the handler the status. In the parent: the thread's end.
 */
static void exit_has_begun(void *unused)
{
	(void)unused;
	registered = false;
	if (writer_of_child && on_exit(left_by_exit, writer_of_child) != 0)
		left_by_exit(EXIT_FAILURE, writer_of_child); /* no memory for the real status */
}

/*
 * Not in the child: registering allocates, and a program may have an allocator
 * that fork(2) knows nothing of. Nor on_exit: its lock may be held for ever
 * where another thread was registering a handler at the fork.
 */
int isolate__guard_register(void)
{
	void *room;

	if (registered)
		return 0;
	/* glibc aborts where it has no memory for a few bytes. These it has, or we hear of it. */
	room = malloc(ROOM_FOR_REGISTERING);
	if (!room)
		return -ENOMEM;
	__asm__ volatile("" : : "r"(room) : "memory"); /* or the compiler would take both away */
	free(room);
	__cxa_thread_atexit_impl(exit_has_begun, NULL, (void *)exit_has_begun);
	registered = true;
	return 0;
}

static void __attribute__((noreturn)) left_by_unwinding(void *writer)
{
	note(writer, ISOLATE__LEFT_BY_UNWINDING, 0);
	_exit(EXIT_FAILURE);
}

int isolate__guard_arm(struct isolate_writer *writer)
{
	writer_of_child = writer;
	/* For exit(3) in a thread that the function starts. Without threads nobody has the lock. */
	if (__libc_single_threaded && on_exit(left_by_exit, writer) != 0)
		return -ENOMEM;
	return 0;
}

/*
 * Named in the unwinding tables of the two that call the function. Of an exception it hears twice: while a handler
 * is looked for, and when the frames of the function have been unwound, with their destructors; of
 * a forced unwinding (pthread_exit) at its end only.
 */
_Unwind_Reason_Code isolate__guard_personality(int version, _Unwind_Action actions,
	_Unwind_Exception_Class class, struct _Unwind_Exception *exception,
	struct _Unwind_Context *context) __attribute__((used, visibility("hidden")));

_Unwind_Reason_Code isolate__guard_personality(int version, _Unwind_Action actions,
	_Unwind_Exception_Class class, struct _Unwind_Exception *exception,
	struct _Unwind_Context *context)
{
	(void)version;
	(void)class;
	(void)exception;
	(void)context;
	if (actions & _UA_SEARCH_PHASE)
		return _URC_HANDLER_FOUND;
	left_by_unwinding(writer_of_child);
}

/* What the compiler cannot be told in C. 0x1b: the distance to it, in four bytes. */
#define CATCH_ALL() __asm__ volatile(".cfi_personality 0x1b, isolate__guard_personality")

/* The parent is free to leave its frames, where a handler of pthread_atfork(3) does. */
static void frame_of_fork_is_left(void *unused)
{
	(void)unused;
	if (writer_of_child)
		left_by_unwinding(writer_of_child);
}

/* glibc compares the address of `cleanup` with the target of longjmp: not on ASan's stack. */
#define ON_THE_STACK __attribute__((noinline, no_sanitize_address))

ON_THE_STACK int isolate__guarded_fork(struct isolate__call *call, struct pal_error *error)
{
	struct _pthread_cleanup_buffer cleanup;
	int r;

	call->fork_is_guarded = true;
	_pthread_cleanup_push(&cleanup, frame_of_fork_is_left, NULL);
	r = pal_fork(call->builder, isolate__child, call, &call->child, error);
	_pthread_cleanup_pop(&cleanup, 0);
	return r;
}

static ON_THE_STACK int guarded_here(isolate_fn fn, void *arg, struct isolate_writer *writer)
{
	struct _pthread_cleanup_buffer cleanup;
	int value;

	CATCH_ALL();
	_pthread_cleanup_push(&cleanup, left_by_unwinding, writer);
	value = fn(writer, arg);
	_pthread_cleanup_pop(&cleanup, 0);
	return value;
}

/* Against longjmp the frame of the fork is guarded. */
static ON_THE_STACK int guarded_by_fork(isolate_fn fn, void *arg, struct isolate_writer *writer)
{
	int value;

	CATCH_ALL();
	value = fn(writer, arg);
	__asm__ volatile("" : "+r"(value)); /* no jump to `fn`: this frame has to be there */
	return value;
}

int isolate__guarded(isolate_fn fn, void *arg, struct isolate_writer *writer)
{
	return writer->call->fork_is_guarded ? guarded_by_fork(fn, arg, writer)
					     : guarded_here(fn, arg, writer);
}

bool isolate__is_guard(uintptr_t function)
{
	return function == (uintptr_t)guarded_by_fork || function == (uintptr_t)guarded_here;
}
