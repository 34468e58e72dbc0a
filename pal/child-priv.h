/* SPDX-License-Identifier: MIT */
#ifndef PROCMESH_PAL_CHILD_PRIV_H
#define PROCMESH_PAL_CHILD_PRIV_H

#include <pal/child.h>
#include <pal/death-thread-priv.h>
#include <pal/lifeline-priv.h>
#include <pal/private.h>
#include <pal/report-priv.h>
#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>

/* How long to wait before looking again at a child whose end its tracer has not let go of yet. */
#define PAL__TRACED_NAP_MS 5

struct pal_child {
	struct pal_private private;
	uint64_t owner; /* pal_process_mark of whose child it is; its forks have copies of the handle */
	pid_t pid;
	int pidfd;          /* -1: it was lost, see pal__child_waitid */
	int stdio[3];       /* our ends of pipes, -1: none */
	int own_stdio[3];   /* the same, and only there, until the caller has seen them */
	int notify_fd;      /* the listener of its filter, -1: none */
	bool leads_group;   /* was started as the leader of a process group */
	int64_t started_ns; /* as pal__now_ns */
	struct pal__death_thread *death_thread; /* until the child has ended; NULL: none */
	struct pal__lifeline lifeline; /* the same */
	struct pal__report *report; /* of process 1 of a pid namespace, in a page of its own; NULL: none */
	bool ended;         /* `result` and `status` are valid; atomic for pal_child_signal */
	int result;         /* of every further wait: 0 or -ECHILD */
	struct pal_status status;
	struct pal_child *next, **link; /* among those that were detached, detach.c */
};

/*
 * An empty handle of a child that starts now, NULL without memory. The maker
 * sets pid, pidfd and leads_group before anyone else sees it. What it holds for itself other forked
 * children are not to have; its listener is the caller's once it was taken, and so is a stream that has been seen.
 */
struct pal_child *pal__child_new(void);

/* A stream as the caller's: from now on its number can be any file's. And takes it. */
int pal__child_show_stdio(const struct pal_child *child, int stream);
int pal__child_take_stdio(struct pal_child *child, int stream);

/* Whether it is a child of this process, and the handle no copy in a fork. */
bool pal__child_is_own(const struct pal_child *child);

/* The pidfd, above 2, of a process that is our child: 0, or -ESRCH, -ECHILD, -EMFILE ... */
int pal__child_open(pid_t pid, int *ret);

/* Closes and frees what the handle has, whatever the child does. The death thread is not ended. */
void pal__child_release(struct pal_child *child);

/* Reaps it if it has ended: 0, and `ended` is set; -EAGAIN while it runs or its tracer has it; negative errno. */
int pal__child_reap(struct pal_child *child);

/* The same, waiting for the end until the deadline: then -ETIMEDOUT. No cancellation point, like all here. */
int pal__child_await(struct pal_child *child, pal_deadline deadline);

/*
 * Waits for the end, but leaves the zombie, which keeps its number. 1: has
 * ended; 0: time is over; negative errno.
 */
int pal__child_poll(const struct pal_child *child, pal_deadline deadline);

/*
 * SIGKILL, and reap: for a child that nobody wants any more. One that may not
 * be killed, because it has another user now, goes on, and `ended` is not set.
 */
void pal__child_kill(struct pal_child *child);

/* Fills `error` for a wait that has failed with `code`, and returns that. */
int pal__child_wait_error(const struct pal_child *child, int code, struct pal_error *error);

/*
 * What `pidfd` says, which is the handle's, or was: a number, which anything in this process can
 * close, or give to another file. 0: that of a child of ours that has not been waited for, this one as far as it can
 * say. -EBADF: something else has the number. -ECHILD: the child has been waited for. Any thread.
 */
int pal__child_look(const struct pal_child *child, int pidfd);

/*
 * Waits for the child, by its pid, which is its own until it has been waited for. Where its pidfd
 * is lost it has a new one afterwards, if there can be one. -ECHILD also where there is no such
 * child any more.
 */
int pal__child_waitid(
	struct pal_child *child, int options, siginfo_t *ret, struct rusage *ret_usage);

/*
 * waitid(2) on a pidfd, with the fifth argument that only the kernel's has. 0
 * (with si_pid 0: WNOHANG and it runs) or a negative errno. Retries EINTR.
 */
int pal__waitid(int pidfd, int options, siginfo_t *ret, struct rusage *ret_usage);

/* Waits for the end of a child that ends by itself or was killed, and forgets it. Returns its signal, else 0. */
int pal__reap(int pidfd);

static inline int pal__pidfd_open(pid_t pid)
{
	return (int)syscall(SYS_pidfd_open, pid, 0);
}

static inline int pal__pidfd_signal(int pidfd, int signal)
{
	return (int)syscall(SYS_pidfd_send_signal, pidfd, signal, NULL, 0);
}

#endif
