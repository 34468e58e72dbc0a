/* SPDX-License-Identifier: MIT */

/*
 * A function of a pool has what the program had open at the snapshot, and its copy's line;
 * other functions have nothing of a pool.
 */
#include <pthread.h>
#include <stdatomic.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>

#include "gate.h"
#include "open-numbers.h"
#include "pool-support.h"

static struct open_numbers before; /* all that the library opens */

static int count_in_copy(struct isolate_writer *out, const void *in, size_t in_size)
{
	int others = count_new(&before);

	(void)in;
	(void)in_size;
	return isolate_write_value(out, &others);
}

static int others_in_a_copy(struct isolate_pool *pool)
{
	struct isolate_result result;
	int others = -1;

	isolate_pool_call(pool, count_in_copy, NULL, 0, NULL, &result);
	ck_assert_int_eq(isolate_result_value(&result, &others), 0);
	isolate_result_clear(&result);
	return others;
}

static int count_here(struct isolate_writer *out, void *unused)
{
	int others = count_new(&before);

	(void)unused;
	return isolate_write_value(out, &others);
}

static int others_in_a_call(void)
{
	/* Few enough bytes for a call that has no memfd. */
	struct isolate_options options = {ISOLATE_OPTIONS_INIT, .max_result = 100};
	struct isolate_result result;
	int others = -1;

	isolate_call(count_here, NULL, &options, &result);
	ck_assert_int_eq(isolate_result_value(&result, &others), 0);
	isolate_result_clear(&result);
	return others;
}

/* One call at each place, with a long result. */
#define CALLERS 3
#define SIZE ((size_t)200000)

static void *call_with_much(void *pool)
{
	static char much[SIZE];
	struct isolate_result result;
	intptr_t answer = isolate_pool_call(pool, echo, much, SIZE, NULL, &result);

	isolate_result_clear(&result);
	return (void *)answer; /* NOLINT(performance-no-int-to-ptr) */
}

static void use_all_places(struct isolate_pool *pool)
{
	pthread_t threads[CALLERS];
	void *answer;

	for (int i = 0; i < CALLERS; i++)
		ck_assert_int_eq(pthread_create(&threads[i], NULL, call_with_much, pool), 0);
	for (int i = 0; i < CALLERS; i++) {
		ck_assert_int_eq(pthread_join(threads[i], &answer), 0);
		ck_assert_int_eq((intptr_t)answer, ISOLATE_RETURNED);
	}
}

/* Plain, used again, without a copy that waits, and with descriptors that are named. */
#define KINDS 4

static struct isolate_pool *pool_of_kind(int kind)
{
	struct isolate_options worker = {ISOLATE_OPTIONS_INIT, .keep_fds = &(int){2}, .keep_fd_count = 1};
	struct isolate_pool_options options = {ISOLATE_POOL_OPTIONS_INIT,
		.at_once = CALLERS,
		.reuse = kind == 1 ? 1000 : 0,
		.no_spare = kind == 2,
		.worker = kind == 3 ? &worker : NULL};

	return new_pool(&options);
}

START_TEST(a_function_of_a_pool_has_nothing_but_its_line)
{
	struct isolate_pool *pool;

	before = open_now();
	pool = pool_of_kind(_i);
	ck_assert_int_eq(others_in_a_copy(pool), 1);
	use_all_places(pool);
	for (int i = 0; i < 2 * CALLERS; i++)
		ck_assert_int_eq(others_in_a_copy(pool), 1);
	refresh(pool);
	ck_assert_int_eq(others_in_a_copy(pool), 1);
	isolate_pool_free(pool);
}
END_TEST

START_TEST(nor_have_functions_of_others_anything_of_a_pool)
{
	struct isolate_pool *pool, *other;

	before = open_now();
	pool = pool_of_kind(_i);
	use_all_places(pool);
	ck_assert_int_ge(count_new(&before), CALLERS); /* or this test is about nothing */
	ck_assert_int_eq(others_in_a_call(), 0);
	other = pool_of_kind(_i);
	ck_assert_int_eq(others_in_a_copy(other), 1);
	check_that_it_works(pool);
	isolate_pool_free(other);
	check_that_it_works(pool);
	isolate_pool_free(pool);
	ck_assert_int_eq(count_new(&before), 0);
}
END_TEST

START_TEST(nor_has_a_pool_anything_of_runs_that_were_there_before_it)
{
	struct isolate_result result;
	struct isolate_pool *pool;
	struct isolate_run *run;
	struct gate gate;

	gate_open(&gate, 10);
	before = open_now();
	run = start(pass, &gate, NULL);
	ck_assert_int_ge(isolate_run_fd(run), 3);
	await_entry(&gate);
	pool = pool_of_kind(_i);
	ck_assert_int_eq(others_in_a_copy(pool), 1);
	isolate_pool_free(pool);
	let_go(&gate);
	isolate_finish(run, &result);
	check_pattern(&result, 10);
	isolate_result_clear(&result);
	check_that_all_are_gone(&gate);
}
END_TEST

/* ---- calls that are under way ---- */

#define ROUNDS (60 / SLOWNESS)

/* Who waits to be joined is a leak of threads to ThreadSanitizer in each fork: none ends before. */
static atomic_bool enough;

static void *call_again_and_again(void *pool)
{
	intptr_t wrong = 0;

	while (!atomic_load(&enough) && !wrong)
		wrong = (intptr_t)call_with_much(pool);
	return (void *)wrong; /* NOLINT(performance-no-int-to-ptr) */
}

START_TEST(nor_of_calls_of_a_pool_that_are_under_way)
{
	pthread_t threads[CALLERS];
	struct isolate_pool *pool;
	int others = 0;
	void *wrong;

	before = open_now();
	pool = pool_of_kind(_i);
	for (int i = 0; i < CALLERS; i++)
		ck_assert_int_eq(pthread_create(&threads[i], NULL, call_again_and_again, pool), 0);
	for (int i = 0; i < ROUNDS; i++)
		others += others_in_a_call();
	atomic_store(&enough, true);
	for (int i = 0; i < CALLERS; i++) {
		ck_assert_int_eq(pthread_join(threads[i], &wrong), 0);
		ck_assert_int_eq((intptr_t)wrong, 0);
	}
	ck_assert_int_eq(others, 0);
	isolate_pool_free(pool);
}
END_TEST

static void *make_pools(void *unused)
{
	(void)unused;
	for (int i = 0; !atomic_load(&enough); i++)
		isolate_pool_free(pool_of_kind(i % KINDS));
	return NULL;
}

START_TEST(nor_of_pools_that_are_made)
{
	pthread_t thread;
	int others = 0;

	before = open_now();
	ck_assert_int_eq(pthread_create(&thread, NULL, make_pools, NULL), 0);
	for (int i = 0; i < 2 * ROUNDS; i++)
		others += others_in_a_call();
	atomic_store(&enough, true);
	ck_assert_int_eq(pthread_join(thread, NULL), 0);
	ck_assert_int_eq(others, 0);
}
END_TEST

/* ---- what is done with what is there ---- */

/* Whatever a copy has that can be watched with says that the host has ended, and is always ready. */
static int spoil_sets(struct isolate_writer *out, const void *in, size_t in_size)
{
	struct epoll_event event = {.events = EPOLLIN, .data.u32 = UINT32_MAX};
	int set = 0, ready = eventfd(1, EFD_CLOEXEC);

	(void)in;
	(void)in_size;
	for (int fd = 3; fd < OPEN_NUMBERS; fd++)
		set += epoll_ctl(fd, EPOLL_CTL_ADD, ready, &event) == 0;
	return isolate_write_value(out, &set);
}

START_TEST(a_function_changes_nothing_that_its_snapshot_waits_for)
{
	struct isolate_pool *pool = pool_of_kind(_i);
	struct isolate_result result;
	int set = -1;

	isolate_pool_call(pool, spoil_sets, NULL, 0, NULL, &result);
	ck_assert_int_eq(isolate_result_value(&result, &set), 0);
	isolate_result_clear(&result);
	ck_assert_int_eq(set, 0);
	check_that_it_works(pool);
	isolate_pool_free(pool);
}
END_TEST

static Suite *make_suite(void)
{
	Suite *suite = suite_create("isolate/pool-private");
	TCase *tcase = isolate_tcase(suite, "functions");

	tcase_add_loop_test(tcase, a_function_of_a_pool_has_nothing_but_its_line, 0, KINDS);
	tcase_add_loop_test(tcase, nor_have_functions_of_others_anything_of_a_pool, 0, KINDS);
	tcase_add_loop_test(
		tcase, nor_has_a_pool_anything_of_runs_that_were_there_before_it, 0, KINDS);
	tcase_add_loop_test(tcase, nor_of_calls_of_a_pool_that_are_under_way, 0, KINDS);
	tcase_add_test(tcase, nor_of_pools_that_are_made);
	tcase_add_loop_test(
		tcase, a_function_changes_nothing_that_its_snapshot_waits_for, 0, KINDS);
	return suite;
}
SUPPORT_MAIN(make_suite)
