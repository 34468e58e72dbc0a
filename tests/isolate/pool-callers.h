/* SPDX-License-Identifier: MIT */
#ifndef PROCMESH_TESTS_POOL_CALLERS_H
#define PROCMESH_TESTS_POOL_CALLERS_H

/* Calls that others make, and that last until they are let go. */
#include <isolate/pool-priv.h>
#include <pthread.h>
#include <signal.h>

#include "pool-support.h"

/* What the functions tell past the library. */
static struct board {
	volatile pid_t pid;
	volatile int go;
	volatile int entered;
} *board __attribute__((unused));

static inline void set_board(void)
{
	board = shared_memory(sizeof *board);
}

static inline void drop_board(void)
{
	munmap(board, sizeof *board);
}

/* Until the test lets it go. */
static inline int stay(struct isolate_writer *out, const void *in, size_t in_size)
{
	(void)in;
	(void)in_size;
	board->pid = getpid();
	__atomic_add_fetch(&board->entered, 1, __ATOMIC_SEQ_CST);
	while (!board->go)
		usleep(500);
	return isolate_write(out, "stayed", 6);
}

static inline void await_entered(int count)
{
	while (board->entered < count)
		usleep(500);
}

struct caller {
	pthread_t thread;
	struct isolate_pool *pool;
	isolate_pool_fn fn;
	const struct isolate_options *options;
	struct isolate_result result;
};

static inline void *call(void *arg)
{
	struct caller *caller = arg;

	isolate_pool_call(caller->pool, caller->fn, NULL, 0, caller->options, &caller->result);
	return NULL;
}

static inline void start_caller(struct caller *caller)
{
	ck_assert_int_eq(pthread_create(&caller->thread, NULL, call, caller), 0);
}

static inline void join(struct caller *caller)
{
	ck_assert_int_eq(pthread_join(caller->thread, NULL), 0);
}

static inline void await_busy(struct isolate_pool *pool)
{
	for (unsigned busy = 0; !busy; usleep(100)) {
		pthread_mutex_lock(&pool->lock);
		busy = pool->current->busy;
		pthread_mutex_unlock(&pool->lock);
	}
}

static inline void kill_snapshot(struct isolate_pool *pool)
{
	int pidfd = open_pidfd(isolate_pool_pid(pool));

	kill(isolate_pool_pid(pool), SIGKILL);
	await_end(pidfd);
}

#endif
