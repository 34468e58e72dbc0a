/* SPDX-License-Identifier: MIT */
#ifndef PROCMESH_PAL_CHILD_H
#define PROCMESH_PAL_CHILD_H

#include <pal/deadline.h>
#include <pal/error.h>
#include <pal/export.h>
#include <stdbool.h>
#include <sys/resource.h>
#include <sys/types.h>

PAL_BEGIN_DECLS

/* A running or ended child. A handle belongs to one thread at a time, except pal_child_signal: any thread. */
struct pal_child;

struct pal_status {
	bool signaled;        /* ended by a signal */
	int code;             /* exit code 0..255, or the signal */
	bool core;            /* a core was dumped */
	struct rusage usage;  /* of the child and its waited-for children */
};

/* "exit 3", "SIGKILL", "SIGSEGV (core dumped)" into `buffer`; returns it. Any thread. */
PAL_EXPORT const char *pal_status_text(const struct pal_status *status, char *buffer, size_t size);

PAL_EXPORT pid_t pal_child_pid(const struct pal_child *child);

/* Readable (poll, epoll) when the child has ended. The handle's; close-on-exec. */
PAL_EXPORT int pal_child_peek_pidfd(const struct pal_child *child);

/* Our ends of PAL_STDIO_PIPE; -1 where there is none. peek: the handle's. steal: now the caller's, and forgotten. */
PAL_EXPORT int pal_child_stdin(const struct pal_child *child);
PAL_EXPORT int pal_child_stdout(const struct pal_child *child);
PAL_EXPORT int pal_child_stderr(const struct pal_child *child);
PAL_EXPORT int pal_child_steal_stdin(struct pal_child *child);
PAL_EXPORT int pal_child_steal_stdout(struct pal_child *child);
PAL_EXPORT int pal_child_steal_stderr(struct pal_child *child);

/*
 * Waits for the end and reaps. The status is kept: waiting again returns it
 * again. `ret` may be NULL. Returns 0, -ETIMEDOUT, or -ECHILD when the status
 * is lost because the process ignores SIGCHLD (SIG_IGN or SA_NOCLDWAIT) or
 * somebody else reaped it; the child has ended then, and that is never reported
 * as a made-up exit code. Only the end of the child ends the wait: EINTR,
 * SIGSTOP and ptrace stops do not.
 */
PAL_EXPORT int pal_child_wait(struct pal_child *child, pal_deadline deadline, struct pal_status *ret,
	struct pal_error *error) PAL_MUST_CHECK;

/* 1 and the status when it has ended, 0 while it runs, or an error of pal_child_wait. */
PAL_EXPORT int pal_child_try_wait(struct pal_child *child, struct pal_status *ret, struct pal_error *error)
	PAL_MUST_CHECK;

/* Sends a signal through the pidfd: never to another process with a recycled pid. 0, -ESRCH once it has ended, -EINVAL, -EPERM. */
PAL_EXPORT int pal_child_signal(struct pal_child *child, int signal);

/*
 * Stops it: SIGTERM, up to `grace_ms` for it to leave (0: none), SIGKILL, reap.
 * Returns as pal_child_wait; a child that has ended already is no error.
 */
PAL_EXPORT int pal_child_stop(struct pal_child *child, int64_t grace_ms, struct pal_status *ret,
	struct pal_error *error);

/*
 * Closes the handle. A child that still runs is killed (SIGKILL) and reaped, so
 * that neither a process nor a zombie is left behind. In a fork of the process
 * that started the child, it is not the fork's child: there the handle's copy
 * is closed and nothing else happens. Takes NULL; keeps errno.
 */
PAL_EXPORT void pal_child_free(struct pal_child *child);

PAL_END_DECLS

#endif
