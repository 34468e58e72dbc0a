/* SPDX-License-Identifier: MIT */

/* Whose end ends a call: of several copies in one place, that of the one which took its job. */
#include <isolate/pool-priv.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/socket.h>

#include "pool-support.h"

#define CALLS 1500
#define THREADS 3

/* Of all processes: how often each call's function was entered. */
static atomic_int *entered;

static int count_long(struct isolate_writer *out, const void *in, size_t in_size)
{
	static const char bytes[ISOLATE__BUFFER_SIZE + 5000];

	(void)in_size;
	atomic_fetch_add(&entered[*(const int *)in], 1);
	return isolate_write(out, bytes, sizeof bytes);
}

struct caller {
	pthread_t thread;
	struct isolate_pool *pool;
	int from;
	int wrong; /* answers */
};

static void *call_often(void *arg)
{
	struct caller *caller = arg;
	struct isolate_result result;

	for (int i = caller->from; i < caller->from + CALLS; i++) {
		isolate_pool_call(caller->pool, count_long, &i, sizeof i, NULL, &result);
		caller->wrong += result.answer != ISOLATE_RETURNED || entered[i] != 1;
		isolate_result_clear(&result);
	}
	return NULL;
}

/* The bytes arrive before the copy has ended, or has said that it lives on. */
START_TEST(a_long_result_ends_no_call_before_its_copy_says_so)
{
	struct isolate_pool_options options = {
		ISOLATE_POOL_OPTIONS_INIT, .at_once = 2, .reuse = (unsigned)_i};
	struct isolate_pool *pool;
	struct caller callers[THREADS];

	entered = shared_memory(THREADS * CALLS * sizeof *entered);
	pool = new_pool(&options);
	for (int i = 0; i < THREADS; i++) {
		callers[i] = (struct caller){.pool = pool, .from = i * CALLS};
		ck_assert_int_eq(
			pthread_create(&callers[i].thread, NULL, call_often, &callers[i]), 0);
	}
	for (int i = 0; i < THREADS; i++) {
		ck_assert_int_eq(pthread_join(callers[i].thread, NULL), 0);
		ck_assert_int_eq(callers[i].wrong, 0);
	}
	munmap(entered, THREADS * CALLS * sizeof *entered);
	isolate_pool_free(pool);
}
END_TEST

START_TEST(no_two_copies_of_a_place_are_numbered_alike)
{
	uint32_t first = isolate__next_ordered(0), last = first, next = first;

	ck_assert_uint_ne(first, 0);
	while ((next = isolate__next_unasked(next))) {
		ck_assert_uint_eq(next, last + 1);
		ck_assert_uint_lt(next, isolate__next_ordered(last));
		ck_assert_uint_eq(isolate__next_ordered(next), isolate__next_ordered(first));
		last = next;
	}
	ck_assert_uint_eq(isolate__next_ordered(last), last + 1);
	ck_assert_uint_eq(isolate__next_ordered(~ISOLATE__JOB_KIND), isolate__next_ordered(0));
}
END_TEST

/* Reads whatever can be read, until the test ends it. */
static int leave_a_reader(struct isolate_writer *out, const void *in, size_t in_size)
{
	char byte;
	pid_t pid = fork();

	(void)in;
	(void)in_size;
	while (pid == 0)
		for (int fd = 3; fd < 64; fd++)
			(void)!recv(fd, &byte, 1, MSG_DONTWAIT);
	return isolate_write_value(out, &pid);
}

START_TEST(who_reads_what_is_for_a_copy_keeps_no_call_waiting)
{
	struct isolate_pool_options options = {
		ISOLATE_POOL_OPTIONS_INIT, .at_once = 1, .reuse = 100};
	struct isolate_pool *pool = new_pool(&options);
	struct isolate_result result;
	pid_t reader;

	isolate_pool_call(pool, leave_a_reader, NULL, 0, NULL, &result);
	ck_assert_answer(&result, ISOLATE_RETURNED);
	ck_assert_int_eq(isolate_result_value(&result, &reader), 0);
	isolate_result_clear(&result);
	for (int i = 0; i < 5; i++)
		check_that_it_works(pool);
	kill(reader, SIGKILL);
	isolate_pool_free(pool);
}
END_TEST

/* Then the job is taken back, and there is no descriptor for other memory to put it into. */
START_TEST(a_copy_that_stands_still_when_descriptors_run_out_executes_nothing)
{
	struct isolate_options worker = {ISOLATE_OPTIONS_INIT, .crash_report = _i};
	struct isolate_pool_options options = {
		ISOLATE_POOL_OPTIONS_INIT, .worker = &worker, .at_once = 1, .reuse = 100};
	struct isolate_options shortly = {ISOLATE_OPTIONS_INIT, .max_result = 1000};
	struct isolate_pool *pool = new_pool(&options);
	struct isolate_result result;
	const struct rlimit few = {100, 100};
	int fds[100], count = 0;

	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &few), 0);
	kill(call_for_pid(pool), SIGSTOP);
	while ((fds[count] = dup(STDIN_FILENO)) >= 0)
		count++;
	isolate_pool_call(pool, echo, "", 1, &shortly, &result);
	while (count > 0)
		close(fds[--count]);
	ck_assert_failure(&result, ISOLATE_NOT_EXECUTED, ISOLATE_STAGE_START, -EMFILE);
	ck_assert_ptr_null(result.crash);
	isolate_result_clear(&result);
	check_that_it_works(pool);
	isolate_pool_free(pool);
}
END_TEST

/* Shuts down and fills what it has from its copy, until the test ends it. */
static int leave_a_vandal(struct isolate_writer *out, const void *in, size_t in_size)
{
	pid_t pid = fork();

	(void)in;
	(void)in_size;
	while (pid == 0)
		for (int fd = 3; fd < 64; fd++)
			shutdown(fd, SHUT_RDWR);
	return isolate_write_value(out, &pid);
}

START_TEST(who_is_left_behind_costs_no_other_copy_its_long_result)
{
	struct isolate_pool_options options = {
		ISOLATE_POOL_OPTIONS_INIT, .at_once = 1, .no_spare = _i};
	struct isolate_pool *pool;
	struct isolate_result result;
	pid_t vandal;

	entered = shared_memory(sizeof *entered);
	pool = new_pool(&options);
	isolate_pool_call(pool, leave_a_vandal, NULL, 0, NULL, &result);
	ck_assert_answer(&result, ISOLATE_RETURNED);
	ck_assert_int_eq(isolate_result_value(&result, &vandal), 0);
	isolate_result_clear(&result);
	for (int i = 0; i < 5; i++) {
		isolate_pool_call(pool, count_long, &(int){0}, sizeof(int), NULL, &result);
		ck_assert_answer(&result, ISOLATE_RETURNED);
		isolate_result_clear(&result);
	}
	kill(vandal, SIGKILL);
	munmap(entered, sizeof *entered);
	isolate_pool_free(pool);
}
END_TEST

static Suite *make_suite(void)
{
	Suite *suite = suite_create("isolate/pool-reuse");
	TCase *whose = isolate_tcase(suite, "whose");

	tcase_set_timeout(whose, 120);
	tcase_add_loop_test(whose, a_long_result_ends_no_call_before_its_copy_says_so, 1, 4);
	tcase_add_test(whose, who_reads_what_is_for_a_copy_keeps_no_call_waiting);
	tcase_add_loop_test(whose,
		a_copy_that_stands_still_when_descriptors_run_out_executes_nothing, 0, 2);
	tcase_add_loop_test(whose, who_is_left_behind_costs_no_other_copy_its_long_result, 0, 2);
	tcase_add_test(whose, no_two_copies_of_a_place_are_numbered_alike);
	return suite;
}
SUPPORT_MAIN(make_suite)
