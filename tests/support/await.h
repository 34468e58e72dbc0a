/* SPDX-License-Identifier: MIT */
#ifndef PROCMESH_TESTS_AWAIT_H
#define PROCMESH_TESTS_AWAIT_H

/* Waiting for what others do: for their word, or, where nobody gives it, by looking. Also for small programs. */
#include <linux/futex.h>
#include <stddef.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

/*
 * A word that other threads write, or other processes where it is in shared memory. May be called
 * after a fork and by a handler of signals, and keeps errno where it succeeds.
 */
static inline void support_tell(int *word, int value)
{
	__atomic_store_n(word, value, __ATOMIC_SEQ_CST);
	syscall(SYS_futex, word, FUTEX_WAKE, __INT_MAX__, NULL, NULL, 0);
}

static inline void support_tell_one_more(int *count)
{
	__atomic_add_fetch(count, 1, __ATOMIC_SEQ_CST);
	syscall(SYS_futex, count, FUTEX_WAKE, __INT_MAX__, NULL, NULL, 0);
}

/* Until it is at least that. */
static inline void support_await(int *word, int least)
{
	int now;

	while ((now = __atomic_load_n(word, __ATOMIC_SEQ_CST)) < least)
		syscall(SYS_futex, word, FUTEX_WAIT, now, NULL, NULL, 0);
}

/*
 * Only for what the kernel tells nobody: the state of a process in /proc (its parent's parent has no
 * waitid(2)), the names and number of threads, that somebody else has reaped a zombie or closed a
 * descriptor, a cgroup that has become empty, a field of a library's private structure. The loop ends
 * with the condition alone: one that never comes is the time-out of the test.
 */
#define SUPPORT_LOOK_UNTIL(condition) \
	do { \
		while (!(condition)) \
			support_look_again(); \
	} while (0)

static inline void support_look_again(void)
{
	struct timespec moment = {0, 100000};

	nanosleep(&moment, NULL);
}

#endif
