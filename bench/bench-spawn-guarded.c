/* SPDX-License-Identifier: MIT */

/*
 * The least code that does for its child what procmesh does by default: no handler runs in it and
 * none of our descriptors is in it, it has a mask and dispositions of its own, and we hold it by a
 * pidfd. What procmesh costs beyond this is its own; what this costs beyond vfork is the kernel's.
 */
#include <sched.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench-spawn.h"
#include "harness.h"

#ifndef CLOSE_RANGE_UNSHARE
#define CLOSE_RANGE_UNSHARE (1u << 1)
#endif
#ifndef P_PIDFD
#define P_PIDFD 3
#endif

/* The kernel's, without libc in between: that keeps two signals for itself. */
#define SIGNALS 64
#define SIGSET_SIZE sizeof(uint64_t)

static const uint64_t all_signals = UINT64_MAX, no_signals;
static const unsigned long default_action[8];

static int child(void *argv)
{
	syscall(SYS_close_range, 3, ~0U, CLOSE_RANGE_UNSHARE);
	for (int signal = 1; signal <= SIGNALS; signal++)
		if (signal != SIGKILL && signal != SIGSTOP)
			syscall(SYS_rt_sigaction, signal, default_action, NULL, SIGSET_SIZE);
	syscall(SYS_rt_sigprocmask, SIG_SETMASK, &no_signals, NULL, SIGSET_SIZE);
	execve(*(char **)argv, argv, environ);
	return 127;
}

int guarded_spawn(char *const argv[])
{
	static char stack[16 << 10] __attribute__((aligned(16)));
	uint64_t mask;
	int pidfd, pid;

	syscall(SYS_rt_sigprocmask, SIG_SETMASK, &all_signals, &mask, SIGSET_SIZE);
	pid = clone(child, stack + sizeof stack,
		CLONE_VM | CLONE_VFORK | CLONE_FILES | CLONE_PIDFD | SIGCHLD, (void *)argv, &pidfd);
	syscall(SYS_rt_sigprocmask, SIG_SETMASK, &mask, NULL, SIGSET_SIZE);
	if (pid < 0)
		bench_die("clone");
	return pidfd;
}

void guarded_reap(int pidfd)
{
	struct rusage usage;
	siginfo_t info;

	if (syscall(SYS_waitid, P_PIDFD, pidfd, &info, WEXITED, &usage) < 0 ||
		info.si_code != CLD_EXITED || info.si_status)
		bench_die("the child");
	close(pidfd);
}
