/* SPDX-License-Identifier: MIT */
#ifndef PROCMESH_ISOLATE_ISOLATE_H
#define PROCMESH_ISOLATE_ISOLATE_H

#include <pal/child.h>
#include <pal/error.h>
#include <pal/export.h>
#include <stddef.h>
#include <stdint.h>

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
	ISOLATE_STAGE_DEADLINE
};

/* Where the function writes its result to; valid in the function only. */
struct isolate_writer;

/*
 * Appends to the result; it is the whole of it once the function returns. 0, or
 * the negative errno of the first failure, after which the result is lost
 * whatever follows: -EFBIG beyond max_result or RLIMIT_FSIZE, -ENOMEM, -EBADF
 * where the function closed descriptors that are not its own (up to 64 KiB do
 * not need one), -EINVAL for data NULL. -EPERM, with no effect, in a process
 * that the function forked. For the function, in the child, one thread at a time.
 */
PAL_EXPORT int isolate_write(struct isolate_writer *writer, const void *data, size_t size);

/* Its return value becomes result.value; a negative one is not an error of the library. */
typedef int (*isolate_fn)(struct isolate_writer *out, void *arg);

struct isolate_options {
	size_t size;         /* sizeof(struct isolate_options); an older, smaller one is accepted */
	int64_t deadline_ms; /* from the call on; then SIGKILL. 0: none */
	size_t max_result;   /* bytes; 0: ISOLATE_DEFAULT_MAX_RESULT */
};
#define ISOLATE_OPTIONS_INIT .size = sizeof(struct isolate_options)
#define ISOLATE_DEFAULT_MAX_RESULT ((size_t)1 << 30)

struct isolate_result {
	enum isolate_answer answer;
	void *data;               /* `size` bytes, until isolate_result_clear; NULL when empty */
	size_t size;
	int value;                /* what the function returned; only where it returned */
	int status_known;         /* whether `status` is */
	struct pal_status status; /* how the child ended */
	struct pal_error error;   /* where the answer is not ISOLATE_RETURNED */
};

/*
 * Calls fn(writer, arg) in a forked copy and waits for its end. Returns the
 * answer, which is also in result->answer; every field of *result is set. The
 * child is gone and reaped when this returns, whatever happened; processes that
 * fn started may live on, and are not waited for.
 *
 * Not executed: options are invalid (-EINVAL; -E2BIG: a newer caller's field is
 * set), preparation failed (-EMFILE, -ENFILE, -ENOMEM), fork failed (-EAGAIN,
 * -ENOMEM), the child died before the function (-ECHILD, -ETIMEDOUT).
 * Executed: it returned, but a write failed (isolate_write's code), memory ran
 * out here (-ENOMEM), the child died before the rest was written (-ECHILD,
 * -ETIMEDOUT), what arrived is not what was announced (-EBADMSG).
 * Unknown: killed (-ECHILD), out of time (-ETIMEDOUT), it wrote over the
 * library's memory (-EBADMSG), or it left (-ECHILD) by _exit(2), exec, exit(3),
 * longjmp(3), pthread_exit(3) or a C++ exception. These run none of the caller's
 * frames and atexit handlers in the child, and write none of its stdio buffers a
 * second time: exit(3) acts as _exit(2), apart from destructors of thread-local
 * C++ objects of the calling thread. (Nothing of this holds for setcontext(3),
 * quick_exit(3) and, in a program with several threads, exit(3) by a thread that
 * fn started.)
 * A program that fn executes is waited for like fn. Once the result is whole
 * nothing takes it back: where the child is killed after that, `status` says so.
 *
 * fn starts with all signals at their default disposition and none blocked, and
 * is killed when the calling thread dies. What it leaves in stdio buffers is
 * not written: it should fflush what it prints, and only that.
 *
 * Any thread. In a process with several threads only the calling one exists in
 * the child: fn may use malloc and stdio (fork(3) takes care of their locks)
 * but must not wait for a lock that another thread may have held. A cancellation
 * request (pthread_cancel) is not acted on in here.
 * With SIGCHLD ignored the result still arrives; only `status` is unknown, before Linux 6.15.
 */
PAL_EXPORT enum isolate_answer isolate_call(isolate_fn fn, void *arg,
	const struct isolate_options *options, struct isolate_result *result);

/* Frees what a result holds: data and size as isolate_call set them. For reuse. Takes NULL. */
PAL_EXPORT void isolate_result_clear(struct isolate_result *result);

PAL_END_DECLS

#endif
