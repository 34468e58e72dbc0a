/* SPDX-License-Identifier: MIT */

/* A program that knows only what is installed: one call that returns, one that crashes, one of a pool. */
#include <isolate/isolate.h>
#include <isolate/pool.h>

#include <stdlib.h>
#include <string.h>

static int answer(struct isolate_writer *out, void *arg)
{
	return isolate_write(out, arg, 5);
}

static int crash(struct isolate_writer *out, void *arg)
{
	(void)out;
	(void)arg;
	abort();
}

static int repeat(struct isolate_writer *out, const void *in, size_t in_size)
{
	return isolate_write(out, in, in_size);
}

static int use_pool(void)
{
	struct isolate_result result;
	struct isolate_pool *pool;
	int good;

	if (isolate_pool_new(NULL, &pool, NULL) < 0)
		return 0;
	good = isolate_pool_call(pool, repeat, "hello", 5, NULL, &result) == ISOLATE_RETURNED && result.size == 5 &&
	       !memcmp(result.data, "hello", 5);
	isolate_result_clear(&result);
	isolate_pool_free(pool);
	return good;
}

int main(void)
{
	struct isolate_options options = {ISOLATE_OPTIONS_INIT, .deadline_ms = 10000};
	struct isolate_result result;
	int good;

	good = isolate_call(answer, "hello", &options, &result) == ISOLATE_RETURNED && result.size == 5 &&
	       !memcmp(result.data, "hello", 5);
	isolate_result_clear(&result);
	good = good && isolate_call(crash, NULL, NULL, &result) == ISOLATE_UNKNOWN && result.status.signaled;
	isolate_result_clear(&result);
	return good && use_pool() ? 0 : 1;
}
