/* SPDX-License-Identifier: MIT */
#ifndef PROCMESH_ISOLATE_ISOLATE_H
#define PROCMESH_ISOLATE_ISOLATE_H

#include <isolate/crash.h>
#include <pal/builder.h>
#include <pal/child.h>
#include <pal/error.h>
#include <pal/export.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/resource.h>

PAL_BEGIN_DECLS

/*
 * Runs a function in a forked copy of this process and brings back the bytes it
 * writes. Everything else that it does to memory stays in the copy; a crash, a
 * leak or an endless loop ends with it. What is shared with any fork(2) is
 * shared here: file offsets, shared mappings, file locks.
 *
 * This protects from accidents. It is not a boundary against hostile code,
 * which could write what it likes to the memory that carries the answer.
 */

/* What is known about the function. No guess: the child notes it in memory shared with it. */
enum isolate_answer {
	ISOLATE_RETURNED,     /* it ran, and its whole result is here */
	ISOLATE_NOT_EXECUTED, /* it was never entered: a retry is safe */
	ISOLATE_EXECUTED,     /* it returned, its result is lost: retry only what may run twice */
	ISOLATE_UNKNOWN       /* it was entered and did not return: it may have done anything */
};

enum isolate_stage {
	ISOLATE_STAGE_PREPARE = PAL_STAGE_ISOLATE_BASE, /* options, shared memory */
	ISOLATE_STAGE_START,   /* the fork, or a step in the child before fn; text says which */
	ISOLATE_STAGE_RUN,     /* while it ran: killed, exited, unwound */
	ISOLATE_STAGE_RESULT,  /* writing or reading the result; the child's end meanwhile */
	ISOLATE_STAGE_WAIT,    /* learning how the child ended */
	ISOLATE_STAGE_DEADLINE,
	ISOLATE_STAGE_CANCEL,
	ISOLATE_STAGE_QUEUE,   /* of a pool (pool.h): waiting for its turn */
	ISOLATE_STAGE_SNAPSHOT /* of a pool: making or reaching its snapshot process */
};

/*
 * For what is called in the child: bound when the program is loaded, because every
 * child would look up anew what its program had not called before.
 */
#ifdef __has_attribute
#if __has_attribute(noplt)
#define ISOLATE_BOUND_EARLY __attribute__((noplt))
#endif
#endif
#ifndef ISOLATE_BOUND_EARLY
#define ISOLATE_BOUND_EARLY
#endif

/* Where the function writes its result to; valid in the function only. */
struct isolate_writer;

/*
 * Appends to the result; it is the whole of it once the function returns. 0, or
 * the negative errno of the first failure, after which the result is lost
 * whatever follows: -EFBIG beyond max_result or RLIMIT_FSIZE, -ENOMEM, -EBADF where the
 * function closed descriptors that are not its own, or cut what is behind one (up to 64 KiB
 * do not need one), -EMFILE in a pool, where the function has left no number for one, -EINVAL for
 * data NULL, -EFAULT for other data that cannot be read, if it is not for up to 64 KiB, where
 * that is SIGSEGV. -EPERM, with no effect, in a process that the function forked (which is told
 * by getpid(2); where that is refused, only what fork(3) has made is). For the function, in
 * the child, one thread at a time.
 */
PAL_EXPORT ISOLATE_BOUND_EARLY int isolate_write(struct isolate_writer *writer, const void *data, size_t size);

/*
 * The same for *pointer, a value without pointers in it; alone it is the result for
 * isolate_result_value.
 */
#define isolate_write_value(writer, pointer) isolate_write((writer), (pointer), sizeof *(pointer))

/* Its return value becomes result.value; a negative one is not an error of the library. */
typedef int (*isolate_fn)(struct isolate_writer *out, void *arg);

/* A limit for the child: setrlimit(2). */
struct isolate_rlimit {
	int resource; /* RLIMIT_... */
	struct rlimit limit;
};

/*
 * Core files of the child, by RLIMIT_CORE. OFF is the value 1, which also keeps
 * the kernel from running a program that takes cores (core(5)); not where the
 * hard limit is 0, which writes no file either. Anything else about cores is the
 * caller's: whether it is dumpable (prctl(2)), and the pattern.
 */
enum isolate_core {
	ISOLATE_CORE_AS_CALLER, /* the default */
	ISOLATE_CORE_OFF,
	ISOLATE_CORE_ON         /* as large as the caller's hard limit allows */
};

/*
 * All zero but `size`: the defaults. Everything that is pointed to is read during the call
 * that is given it.
 */
struct isolate_options {
	size_t size;         /* sizeof(struct isolate_options); an older, smaller one is accepted */
	int64_t deadline_ms; /* from the call on; 0: none */
	size_t max_result;   /* bytes; 0: ISOLATE_DEFAULT_MAX_RESULT */

	/*
	 * At the deadline the child is sent SIGTERM, and SIGKILL this much later: what the
	 * function completes in that time counts. 0: SIGKILL at the deadline.
	 */
	int64_t grace_ms;
	/* Later ones for a resource count, also against core; with a sandbox the lower of both. */
	const struct isolate_rlimit *rlimits;
	size_t rlimit_count;
	/*
	 * NULL: none. Its apply holds from before the function. The function may call
	 * pal_profile_finalize itself. A filter that allows no pwrite64, fstat or prlimit64
	 * (of oneself) leaves results of up to 64 KiB. getpid is used, whose error is borne, and which
	 * should not kill: then the answer is unknown, as with SECCOMP_MODE_STRICT.
	 */
	const struct pal_profile *sandbox;
	int nice; /* added to the calling thread's nice value, within -20 and 19; -EACCES where that needs privilege */
	enum isolate_core core;

	/*
	 * The function's standard streams (builder.h); zeroes are PAL_STDIO_INHERIT.
	 * PAL_STDIO_PIPE, of std_out and std_err: what is written there is captured, into the
	 * result. printf(3) writes to a buffer: the function has to fflush(stdout) before it returns.
	 */
	struct pal_stdio std_in;
	struct pal_stdio std_out;
	struct pal_stdio std_err;
	size_t max_capture; /* bytes of each; what is more is thrown away; 0: ISOLATE_DEFAULT_MAX_CAPTURE */
	/*
	 * How long what is captured is still read after the child's end, but not beyond the
	 * deadline, where a process that it left behind holds the stream. 0: ISOLATE_DRAIN_MS;
	 * negative: not.
	 */
	int64_t drain_ms;

	/*
	 * NULL: the function has every descriptor of the caller, but those that the library has open
	 * for other calls, runs and pools (pal/private.h). Otherwise the standard
	 * streams and these, which a program that it executes has, too; all others are closed, but
	 * for a memfd of the library's (close-on-exec) where max_result is more than 64 KiB.
	 * For no others any address that is not NULL, and a count of 0. -EBADF.
	 */
	const int *keep_fds;
	size_t keep_fd_count;

	/*
	 * -EBUSY if this process has any other thread: then no lock can be held in the child by
	 * one that is not there. The kernel is asked (/proc/self/task; the error of stat(2) where that is
	 * missing), so threads that libc does not know count, too; one that has been joined can be there for a
	 * moment more, and gets a twentieth of a second to go.
	 */
	bool only_thread;

	/*
	 * What the function died of (crash.h), in the result, if that was SIGSEGV, SIGBUS,
	 * SIGILL, SIGFPE, SIGABRT, SIGTRAP or SIGSYS, by itself or sent, or the verdict of a
	 * sanitizer. It then dies as without this: the status is the same, and a core file shows
	 * the crash and not the making of the report.
	 *
	 * The function finds handlers for these signals, which it may replace by its own, and an
	 * alternate signal stack for its thread; what it forks or executes has no part in it. No
	 * report: a signal that the function has blocked, handles or ignores, and a thread that
	 * it started and that overflows its own stack without an alternate one; nor is there one of the
	 * SIGSYS of a filter that kills by itself (SECCOMP_RET_KILL_PROCESS). Costs eleven short
	 * system calls in the child, some 9 us. A sandbox that refuses mprotect, sigaltstack or
	 * rt_sigaction there makes it not executed, at ISOLATE_STAGE_START; those of profile.h
	 * do not. See doc/crash-reports.md.
	 */
	bool crash_report;
};
/*
 * For { ISOLATE_OPTIONS_INIT, .deadline_ms = 5 }: C, and C++20. For earlier C++, and where g++ -Wextra is
 * to say nothing of members that are not named: struct isolate_options o = {}; o.size = sizeof o;
 */
#define ISOLATE_OPTIONS_INIT .size = sizeof(struct isolate_options)
#define ISOLATE_DEFAULT_MAX_RESULT ((size_t)1 << 30)
#define ISOLATE_DEFAULT_MAX_CAPTURE ((size_t)1 << 20)
#define ISOLATE_DRAIN_MS 200

struct isolate_result {
	enum isolate_answer answer;
	/*
	 * `size` bytes, until isolate_result_clear; NULL when empty. As of malloc(3): may be written
	 * to, and forks have a copy. What it lies in serves later results, see isolate_limit_kept:
	 * what the kernel is still to read from it (vmsplice(2), MSG_ZEROCOPY) will be theirs after
	 * the clearing, and what mlock(2) or MADV_DONTDUMP were for, too. Beyond 64 KiB, pages
	 * that are written to take their size twice until then.
	 */
	void *data;
	size_t size;
	int value;                /* what the function returned; only where it returned */
	int status_known;         /* whether `status` is */
	struct pal_status status; /* how the child ended, what it used, how long it ran */
	struct pal_error error;   /* where the answer is not ISOLATE_RETURNED */

	/*
	 * What was captured, whatever the answer is; NUL-terminated behind its size. NULL: was
	 * not captured.
	 */
	char *out;
	size_t out_size;
	char *err;
	size_t err_size;
	bool truncated; /* there was more than max_capture, or than memory */
	bool cut_off;   /* the child has ended, and somebody else still held a captured stream open */

	struct isolate_crash *crash; /* options.crash_report; NULL: none, or no memory for it */

	struct isolate__warm *memory; /* the library's: where `data` lies; or NULL */
};

/*
 * Calls fn(writer, arg) in a forked copy and waits for its end. Returns the
 * answer, which is also in result->answer; every field of *result is set. The
 * child is gone and reaped when this returns, whatever happened (but one that a tracer or a
 * device keeps from dying: two seconds after it was killed it is left to pal_child_detach); processes that
 * fn started may live on, and are not waited for.
 *
 * Not executed: options are invalid (-EINVAL; -E2BIG: a newer caller's field is
 * set), preparation failed (-EMFILE, -ENFILE, -ENOMEM, -EBUSY), fork failed (-EAGAIN,
 * -ENOMEM), a step before the function did (error.text names it), the child died before the function (-ECHILD, -ETIMEDOUT).
 * Executed: it returned, but a write failed (isolate_write's code), memory ran
 * out here (-ENOMEM), the child died before the rest was written (-ECHILD,
 * -ETIMEDOUT), what arrived is not what was announced (-EBADMSG).
 * Unknown: killed (-ECHILD), out of time (-ETIMEDOUT), it wrote over the
 * library's memory (-EBADMSG), or it left (-ECHILD) by _exit(2), exec, exit(3),
 * longjmp(3), pthread_exit(3) or a C++ exception. These run none of the caller's
 * frames, atexit handlers and std::terminate handler in the child, and write none of its stdio buffers a
 * second time: exit(3) acts as _exit(2), apart from destructors of thread-local
 * C++ objects of the calling thread. So it does in a process that fn forks: what that has in stdio
 * buffers is lost, and its own atexit handlers do not run; it should fflush, and _exit. (Nothing of this holds for setcontext(3),
 * quick_exit(3) and, in a program with several threads, exit(3) by a thread that
 * fn started. And the std::terminate handler does run where C++ itself calls it: an exception
 * leaves a thread that fn started, a stack of makecontext(3), a destructor, or a noexcept
 * function, be it fn.)
 * A program that fn executes is waited for like fn. Once the result is whole
 * nothing takes it back: where the child is killed after that, `status` says so.
 *
 * fn starts with all signals at their default disposition (but see crash_report) and none blocked, and
 * is killed when this process ends: here, but not with isolate_start or a pool, only as long as it does
 * not change its user or group, execute a set-user-ID program, or take that back with
 * prctl(PR_SET_PDEATHSIG). What it leaves in stdio buffers is
 * not written, nor captured: it should fflush what it prints, and only that.
 *
 * Any thread. Its first call registers a destructor, for which glibc aborts the program where it has no
 * memory: that is asked for first (-ENOMEM), and all that remains is that another thread takes the last of it in
 * between. In a process with several threads only the calling one exists in
 * the child: fn may use malloc and stdio (fork(3) takes care of their locks)
 * but must not wait for a lock that another thread may have held. A cancellation
 * request (pthread_cancel) is not acted on in here.
 * With SIGCHLD ignored the result still arrives; only `status` is unknown, before Linux 6.15.
 */
PAL_EXPORT enum isolate_answer isolate_call(isolate_fn fn, void *arg,
	const struct isolate_options *options, struct isolate_result *result);

/*
 * The same in two halves, any number of them at once. A run belongs to one
 * thread at a time, which need not be the one that started it. NULL in place of a run is a mistake
 * that does no harm: nothing happens, isolate_run_fd and isolate_finish say -EINVAL (the
 * latter as "not executed"), and isolate_progress 1.
 */
struct isolate_run;

/*
 * Calls fn(writer, arg) in a forked copy. 0: it has been entered or is about to be, and *ret
 * is for isolate_finish. Otherwise a negative errno with its stage: not executed, as above.
 *
 * fn ends with this process, but not with the thread that started it, as isolate_call's would:
 * see pal_builder_parent_death_of_process for how, and for what a forked process that outlives
 * this one means. That takes two descriptors per run, besides a pidfd, for results beyond 64
 * KiB a memfd, and one for each captured stream.
 *
 * The deadline counts from here, and is acted on in isolate_progress and isolate_finish: a run
 * that nobody looks at is not killed.
 */
PAL_EXPORT int isolate_start(isolate_fn fn, void *arg, const struct isolate_options *options,
	struct isolate_run **ret, struct pal_error *error) PAL_MUST_CHECK;

/*
 * A descriptor that is readable (poll, epoll, libevent) when isolate_progress has something to
 * do, and stays so once the outcome is known. The run's, close-on-exec, the same at every
 * call; made, with a timer of its own, at the first. -EMFILE, -ENFILE, -ENOMEM, -ENOSPC
 * (epoll_ctl(2)): nothing is changed then.
 */
PAL_EXPORT int isolate_run_fd(struct isolate_run *run) PAL_MUST_CHECK;

/*
 * Never waits: reads what is to be captured, so that the function can go on writing, ends a
 * function that is out of time, and looks for its end. 1: the outcome is known, and
 * isolate_finish will not wait. 0: not yet.
 */
PAL_EXPORT int isolate_progress(struct isolate_run *run);

/*
 * Waits for the outcome as isolate_call does, sets *result, frees the run, and returns the
 * answer. `result` may be NULL. In a fork of the process that started it: unknown, -EPERM, at
 * once, and nothing but the copy's memory is freed; descriptors stay as they are, because the
 * fork may have files of its own at these numbers. They are close-on-exec.
 */
PAL_EXPORT enum isolate_answer isolate_finish(struct isolate_run *run, struct isolate_result *result);

/*
 * Kills the child now. isolate_finish then tells -ECANCELED at ISOLATE_STAGE_CANCEL, with the
 * answer that is known: a function that was faster has returned all the same. Without effect
 * on a child that has ended, a second time, and in a fork. Takes NULL.
 */
PAL_EXPORT void isolate_cancel(struct isolate_run *run);

/* isolate_cancel, and isolate_finish without a result. Takes NULL; keeps errno. */
PAL_EXPORT void isolate_run_free(struct isolate_run *run);

/*
 * Gives back what is kept for the next calls: up to eight mappings of 68 KiB, with
 * a few KiB of the heap for each, as many as there were calls at once; and up to eight
 * buffers of 64 KiB for results of more than 8 KiB, and as many memfds for those beyond 64, see
 * isolate_limit_kept. Any thread. Keeps errno.
 */
PAL_EXPORT void isolate_trim(void);

/*
 * What results beyond 64 KiB lay in is kept, with their bytes, when isolate_result_clear
 * gives it back: another such result needs half the time then. No more than `bytes` in sum,
 * for the process; what is larger by itself is not kept. 0: nothing; a descriptor is
 * kept for each, too. Whatever the limit, memory is given back that 64 calls in a row did not
 * use, or less than half of it. Not kept either: what the caller has written to, what fork(3)
 * may have copied for another process meanwhile, and what a function with a sandbox has
 * written. Any thread. Keeps errno.
 *
 * With 0, results beyond 64 KiB are sealed memfds and can change in no way. Otherwise, once such
 * a result is cleared, the copy of it changes to later ones in processes that are forked past
 * fork(3) (_Fork(3), clone(2)) or left behind by a function while it was held. And who opens
 * the kept memory by /proc/PID/fd of this process can write to the results that it
 * holds, and so can a process that a function left behind, which has opened its own call's memfd
 * anew, for reading, before the call ended; opening for writing may have the kernel send this process
 * SIGURG, ignored by default.
 */
PAL_EXPORT void isolate_limit_kept(size_t bytes);
#define ISOLATE_DEFAULT_KEPT ((size_t)128 << 20)

/*
 * Copies a result of exactly `size` bytes. 0, -EBADMSG where it has another size, or the code
 * of result->error where the function has not returned; nothing is copied then. Any thread. What to
 * say then: isolate_result_text.
 */
PAL_EXPORT int isolate_result_copy(const struct isolate_result *result, void *to, size_t size) PAL_MUST_CHECK;
/* To *pointer, what isolate_write_value wrote. For nanopb messages see nanopb.h. */
#define isolate_result_value(result, pointer) isolate_result_copy((result), (pointer), sizeof *(pointer))

/*
 * What came of a call, as a sentence, into `buffer`; returns it. result->error's text; or, where the
 * function has returned, what: "the function returned -1 and wrote 0 bytes", which is what there is to
 * say when isolate_result_value finds another size. Any thread.
 */
PAL_EXPORT const char *isolate_result_text(
	const struct isolate_result *result, char *buffer, size_t size);

/*
 * Frees what a result holds: data, sizes, what was captured and a crash report, as they were set. For reuse.
 * Takes NULL.
 */
PAL_EXPORT void isolate_result_clear(struct isolate_result *result);

PAL_END_DECLS

#endif
