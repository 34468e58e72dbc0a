/* SPDX-License-Identifier: MIT */
#ifndef PROCMESH_TESTS_ISOLATE_SUPERVISE_H
#define PROCMESH_TESTS_ISOLATE_SUPERVISE_H

/*
 * Stands between a process, with all that it forks, and the kernel: each of their system calls
 * waits until a function of the test has said what becomes of it (seccomp_unotify(2)). Not seen
 * are those that cannot fail: exit, getpid, getppid, gettid and the return from a handler.
 */
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct supervised_call {
	long number; /* SYS_... */
	pid_t pid;
	bool by_host; /* else by a process that it has forked */
	uint64_t args[6];
};

enum {
	SUPERVISE_MAKE = 0, /* it is made; a negative errno: it is not, and fails so */
	SUPERVISE_KILL,     /* who calls is killed by SIGKILL before it is made */
	SUPERVISE_KILL_HOST,
	SUPERVISE_HOLD /* it stays in the call until somebody kills it */
};
typedef int supervise_judge(const struct supervised_call *call, void *arg);

/*
 * Runs host(arg) in a fork, which ends with what it returns. Returns the wait status of the host,
 * when all processes are gone; this is what notices one that stays.
 */
int supervise(int (*host)(void *arg), supervise_judge *judge, void *arg);

/* Skips a test where that cannot be done. */
#define supervise_or_skip()                                                                        \
	do {                                                                                       \
		const char *why_not_ = supervise_impossible();                                     \
		if (why_not_)                                                                      \
			support_skip("%s", why_not_);                                              \
	} while (0)
const char *supervise_impossible(void);

#endif
