/* SPDX-License-Identifier: MIT */
#ifndef PROCMESH_TESTS_POOL_SUPPORT_H
#define PROCMESH_TESTS_POOL_SUPPORT_H

#include <isolate/pool.h>
#include <poll.h>
#include <stdbool.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "isolate-support.h"

static inline struct isolate_pool *new_pool(const struct isolate_pool_options *options)
{
	struct pal_error error = {0};
	struct isolate_pool *pool;

	ck_assert_ok(isolate_pool_new(options, &pool, &error), &error);
	return pool;
}

/* With a copy for each call, or one for all. */
static inline struct isolate_pool *pool_of(int reused)
{
	struct isolate_pool_options options = {
		ISOLATE_POOL_OPTIONS_INIT, .reuse = reused ? 1000000 : 0};

	return new_pool(&options);
}

static inline void refresh(struct isolate_pool *pool)
{
	struct pal_error error = {0};

	ck_assert_ok(isolate_pool_refresh(pool, &error), &error);
}

/* The input is the result, in pieces. */
static inline int echo(struct isolate_writer *out, const void *in, size_t in_size)
{
	int r = 0;

	for (size_t at = 0; at < in_size && r == 0; at += 5000)
		r = isolate_write(
			out, (const char *)in + at, in_size - at < 5000 ? in_size - at : 5000);
	return r;
}

static inline int give_pid(struct isolate_writer *out, const void *in, size_t in_size)
{
	pid_t self = getpid();

	(void)in;
	(void)in_size;
	return isolate_write_value(out, &self);
}

/* A call that returns; the pid that it had. */
static inline pid_t call_for_pid_by(struct isolate_pool *pool, isolate_pool_fn fn)
{
	struct isolate_result result;
	pid_t pid = 0;

	isolate_pool_call(pool, fn, NULL, 0, NULL, &result);
	ck_assert_answer(&result, ISOLATE_RETURNED);
	ck_assert_int_eq(isolate_result_value(&result, &pid), 0);
	isolate_result_clear(&result);
	return pid;
}

static inline pid_t call_for_pid(struct isolate_pool *pool)
{
	return call_for_pid_by(pool, give_pid);
}

static inline void check_that_it_works(struct isolate_pool *pool)
{
	struct isolate_result result;

	isolate_pool_call(pool, echo, "works", 5, NULL, &result);
	ck_assert_answer(&result, ISOLATE_RETURNED);
	ck_assert_uint_eq(result.size, 5);
	ck_assert_mem_eq(result.data, "works", 5);
	isolate_result_clear(&result);
}

/* Of a process that ends, whoever's child it is. */
static inline int open_pidfd(pid_t pid)
{
	int pidfd = (int)syscall(SYS_pidfd_open, pid, 0);

	ck_assert_msg(pidfd >= 0, "pidfd of %d: %s", (int)pid, strerror(errno));
	return pidfd;
}

static inline void await_end(int pidfd)
{
	struct pollfd end = {.fd = pidfd, .events = POLLIN};

	ck_assert_int_eq(poll(&end, 1, A_HANG_MS), 1);
	close(pidfd);
}

#endif
