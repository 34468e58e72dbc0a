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
 */

/* What is known about the function. It is knowledge, kept in memory shared with the child, not a guess. */
enum isolate_answer {
	ISOLATE_RETURNED,     /* it ran, and its whole result is here */
	ISOLATE_NOT_EXECUTED, /* it was never entered: a retry is safe */
	ISOLATE_EXECUTED,     /* it returned, but its result is lost: retry only what may run twice */
	ISOLATE_UNKNOWN       /* it was entered and did not return: it may have done anything */
};

enum isolate_stage {
	ISOLATE_STAGE_PREPARE = PAL_STAGE_ISOLATE_BASE, /* pipe, shared memory, memory */
	ISOLATE_STAGE_START,   /* the fork, or a step in the child before the function; text says which */
	ISOLATE_STAGE_RUN,     /* while it ran: killed, exited, unwound */
	ISOLATE_STAGE_RESULT,  /* writing, reading or bounding the result */
	ISOLATE_STAGE_WAIT,    /* learning how the child ended */
	ISOLATE_STAGE_DEADLINE
};

/* Where the function writes its result to; valid in the function only. */
struct isolate_writer;

/*
 * Appends to the result. 0, or the negative errno that already makes the result
 * lost (-EFBIG beyond max_result, -ENOMEM, -EPIPE when the parent stopped reading). For the function, in
 * the child.
 */
PAL_EXPORT int isolate_write(struct isolate_writer *writer, const void *data, size_t size);

/* Its return value reaches the caller in result.value; a negative one is not an error of the library. */
typedef int (*isolate_fn)(struct isolate_writer *out, void *arg);

struct isolate_options {
	size_t size;        /* sizeof(struct isolate_options); an older, smaller one is accepted */
	int64_t deadline_ms; /* from the call on; then SIGKILL. 0: none */
	size_t max_result;  /* bytes; 0: ISOLATE_DEFAULT_MAX_RESULT */
};
#define ISOLATE_OPTIONS_INIT .size = sizeof(struct isolate_options)
#define ISOLATE_DEFAULT_MAX_RESULT ((size_t)1 << 30)

struct isolate_result {
	enum isolate_answer answer;
	void *data;               /* `size` bytes, to be released by isolate_result_clear; NULL when empty */
	size_t size;
	int value;                /* what the function returned; only where it returned */
	int status_known;         /* whether `status` is */
	struct pal_status status; /* how the child ended */
	struct pal_error error;   /* stage, errno and text where the answer is not ISOLATE_RETURNED */
};

/*
 * Calls fn(writer, arg) in a forked copy and waits for it. Returns the answer,
 * which is also in result->answer; every field of *result is set. The child is
 * gone and reaped when this returns, whatever happened.
 *
 * Not executed: preparation failed (-EMFILE, -ENFILE, -ENOMEM), fork failed (-EAGAIN, -ENOMEM), the child
 * died before the function. Executed: it returned, but a write failed, the
 * result is beyond max_result (-EFBIG), memory ran out here. Unknown: killed (-ECHILD), out of
 * time (-ETIMEDOUT), or it left by exit(3), _exit(2), exec, longjmp or an
 * exception: none of these runs the caller's frames, atexit handlers or stdio
 * buffers twice in the child.
 *
 * Any thread. In a process with several threads only the calling one exists in
 * the child: fn may use malloc and stdio (fork(3) takes care of their locks)
 * but must not wait for a lock that another thread may have held.
 * With SIGCHLD ignored the result still arrives; only `status` is unknown.
 */
PAL_EXPORT enum isolate_answer isolate_call(isolate_fn fn, void *arg, const struct isolate_options *options,
	struct isolate_result *result);

/* Frees what a result holds; the struct may be used again. Takes NULL. */
PAL_EXPORT void isolate_result_clear(struct isolate_result *result);

PAL_END_DECLS

#endif
