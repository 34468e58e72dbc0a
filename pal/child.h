/* SPDX-License-Identifier: MIT */
#ifndef PROCMESH_PAL_CHILD_H
#define PROCMESH_PAL_CHILD_H

#include <pal/deadline.h>
#include <pal/error.h>
#include <pal/export.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/resource.h>
#include <sys/types.h>

PAL_BEGIN_DECLS

/*
 * A running or ended child. A handle belongs to one thread at a time, except pal_child_signal: any
 * thread. In a fork of the process whose child it is there is a copy of the handle: waiting,
 * signalling, stopping and communicating return -ECHILD there and do nothing; detach and free
 * close the copy.
 */
struct pal_child;

struct pal_status {
	bool signaled;        /* ended by a signal */
	int code;             /* exit code 0..255, or the signal; -1 only where communicate.h says so */
	bool core;            /* a core was dumped */
	struct rusage usage;  /* of the child and its waited-for children; zero where only the pidfd told the end */
	int64_t wall_us;      /* from its start, or its adoption, until the wait noticed its end */
};

/* "exit 3", "SIGKILL", "SIGSEGV (core dumped)" into `buffer`; returns it. Any thread. */
PAL_EXPORT const char *pal_status_text(const struct pal_status *status, char *buffer, size_t size);

PAL_EXPORT pid_t pal_child_pid(const struct pal_child *child);

/*
 * Readable (poll, epoll) when the child has ended. The handle's; close-on-exec. Where a program
 * closes it all the same (closefrom(3), a double close), or something else gets its number, be it another
 * child's pidfd, waiting, signalling and stopping go by the pid, and get a new one for the handle when they
 * notice: nobody else may wait for the child, so its pid is its own. Not noticed: the pidfd of a child that has been
 * waited for, and, where no further descriptor can be had, that of one that runs. A file that takes its place and does not
 * become ready hides the end from a wait with a deadline until then. -1 where none could be had.
 */
PAL_EXPORT int pal_child_peek_pidfd(const struct pal_child *child);

/*
 * Our ends of PAL_STDIO_PIPE; -1 where there is none. peek: the handle's. steal: now the caller's, and
 * forgotten. Until it has been asked for by either, no child of a pal_fork has a copy (private.h); from then on its
 * number may be in use for what nobody here knows of, and it is like any other of the program. So these are not
 * for several threads at once either, const as the handle is.
 */
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
 * as a made-up exit code. Since Linux 6.15 the pidfd still tells how it ended, only
 * `usage` is lost. Only the end of the child ends the wait: EINTR,
 * SIGSTOP and ptrace stops do not, nor does pthread_cancel(3).
 */
PAL_EXPORT int pal_child_wait(struct pal_child *child, pal_deadline deadline, struct pal_status *ret,
	struct pal_error *error) PAL_MUST_CHECK;

/* What pal_child_wait_change can wait for, or-ed. */
#define PAL_CHILD_ENDED 1u
#define PAL_CHILD_STOPPED 2u   /* by a signal: job control, or a tracer */
#define PAL_CHILD_CONTINUED 4u /* by SIGCONT */

/*
 * Waits for the first of these changes. Returns which, and for STOPPED the
 * signal in *ret_signal (may be NULL); for ENDED the child is reaped, and
 * pal_child_wait returns its status. -EINVAL, -ETIMEDOUT, and -ECHILD when it has
 * ended and that was not asked for, or its status is lost. Each stop and
 * continuation is told once. The kernel has no descriptor for stops: with a
 * deadline other than NOW and NONE this looks every few milliseconds.
 */
PAL_EXPORT int pal_child_wait_change(struct pal_child *child, unsigned changes, pal_deadline deadline,
	int *ret_signal, struct pal_error *error) PAL_MUST_CHECK;

/* 1 and the status when it has ended, 0 while it runs, or an error of pal_child_wait. */
PAL_EXPORT int pal_child_try_wait(struct pal_child *child, struct pal_status *ret, struct pal_error *error)
	PAL_MUST_CHECK;

/*
 * Sends a signal through a pidfd: never to another process with a recycled pid. 0, -ESRCH once it has ended, -EINVAL,
 * -EPERM. Any thread, but not in a signal handler: it takes a lock, which the interrupted thread may hold. A
 * supervisor that forwards its own signals has the handler write to a pipe, or waits in sigwaitinfo(2) or signalfd(2).
 */
PAL_EXPORT int pal_child_signal(struct pal_child *child, int signal);

/*
 * The same for the process group that the child leads (pal_builder_process_group
 * 0, or setsid), also after its own end for those of the group that it left
 * behind. Never to a group with a recycled number: by PIDFD_SIGNAL_PROCESS_GROUP
 * (Linux 6.9), and on older kernels only until the child has been reaped,
 * -ESRCH afterwards. -ESRCH when the group is empty: a leader that has ended is in it
 * until it has been reaped. -EINVAL if the child was not started to lead a group, for
 * an adopted one too. Belongs to the handle's thread, unlike pal_child_signal.
 */
PAL_EXPORT int pal_child_signal_group(struct pal_child *child, int signal);

/*
 * Stops it: SIGTERM, up to `grace_ms` for it to leave (0: none), SIGKILL, reap.
 * Returns as pal_child_wait without a deadline; a child that has ended already is
 * no error. -EPERM (PAL_STAGE_SIGNAL) for one that has another user now, and may
 * not be signalled: it runs on. After SIGKILL nothing bounds the wait: a tracer
 * or a device can put the end off. SIGKILL is sent when the time is over, not
 * when waiting fails: that is returned.
 */
PAL_EXPORT int pal_child_stop(struct pal_child *child, int64_t grace_ms, struct pal_status *ret,
	struct pal_error *error);

/*
 * The same for the group that the child leads: SIGTERM to all, up to `grace_ms` for
 * the child to leave, SIGKILL to whoever is left of the group, reap. Errors of
 * pal_child_signal_group before anything is sent.
 */
PAL_EXPORT int pal_child_stop_group(struct pal_child *child, int64_t grace_ms, struct pal_status *ret,
	struct pal_error *error);

/*
 * A handle for a child of this process that something else started (fork(2),
 * posix_spawn(3)) and that nobody else is going to wait for. -ESRCH; -ECHILD if
 * `pid` is no child of this process; -EMFILE, -ENOMEM. From a pid that may be reaped
 * meanwhile no safe handle can be made: adopt before anybody can wait for it.
 */
PAL_EXPORT int pal_child_adopt(pid_t pid, struct pal_child **ret, struct pal_error *error) PAL_MUST_CHECK;

/*
 * Gives the child up and lets it run: no handle, and no zombie either when it
 * ends, because a thread of the library reaps it (one thread for all of them,
 * with every signal blocked, there as long as there are such children). Frees
 * `child`, also on failure to start the thread, which is returned (-EAGAIN,
 * -EMFILE, -ENOMEM, -ENOSPC: too many of this user's descriptors are in epoll
 * sets): then the child runs, and becomes a zombie of this process. A
 * parent_death() keeps its meaning. In a fork of the process that started the
 * child, only the handle's copy is closed. A fork that comes later inherits the
 * thread's descriptors, which are close-on-exec, and never touches them. Takes NULL.
 */
PAL_EXPORT int pal_child_detach(struct pal_child *child, struct pal_error *error);

/*
 * Gives the child up to a caller who waits for it with waitpid(2) and the like.
 * Returns its pid and frees the handle. Nothing is freed with -ECHILD, if it has
 * been waited for already or is another process's child, nor with -EBUSY for a
 * child with parent_death() whose thread or descriptors need the handle.
 */
PAL_EXPORT pid_t pal_child_steal_pid(struct pal_child *child);

/*
 * Closes the handle. A child that still runs is killed (SIGKILL) and reaped, so
 * that neither a process nor a zombie is left behind; one that may not be
 * killed, because it is another user's now, or that has not ended two seconds
 * after it was killed, because of a tracer or a device, is detached. In a fork of the process
 * that started the child, it is not the fork's child: there the handle's copy
 * is closed and nothing else happens. Takes NULL; keeps errno.
 */
PAL_EXPORT void pal_child_free(struct pal_child *child);

/*
 * In a fork of the process that started the child: frees the memory of the handle's copy, and closes
 * nothing: a fork that has closed what it inherited may have files of its own at these
 * numbers. Elsewhere as pal_child_free. Takes NULL; keeps errno.
 */
PAL_EXPORT void pal_child_forget(struct pal_child *child);

PAL_END_DECLS

#endif
