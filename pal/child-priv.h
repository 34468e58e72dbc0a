/* SPDX-License-Identifier: MIT */
#ifndef PROCMESH_PAL_CHILD_PRIV_H
#define PROCMESH_PAL_CHILD_PRIV_H

#include <pal/child.h>
#include <pal/death-thread-priv.h>
#include <pal/report-priv.h>
#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>

struct pal_child {
	pid_t owner; /* the process whose child it is; its forks have copies of the handle */
	pid_t pid;
	int pidfd;
	int stdio[3]; /* our ends of pipes, -1: none */
	int notify_fd; /* the listener of its filter, -1: none */
	struct pal__death_thread *death_thread; /* until the child has ended; NULL: none */
	struct pal__report *report; /* of process 1 of a pid namespace, in a page of its own; NULL: none */
	bool ended;   /* `result` and `status` are valid */
	int result;   /* of every further wait: 0 or -ECHILD */
	struct pal_status status;
};

/* An empty handle, NULL without memory. The maker sets pid and pidfd before anyone else sees it. */
struct pal_child *pal__child_new(void);

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
