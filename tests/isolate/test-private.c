/* SPDX-License-Identifier: MIT */

/*
 * A function has what the program itself had open, and nothing that the library holds for
 * other calls: with a copy it could shut down what ties other functions to the process, read
 * away that a deadline is over, keep a captured stream open.
 */
#include <pthread.h>
#include <sys/stat.h>
#include <unistd.h>

#include "gate.h"
#include "open-numbers.h"

/* How many there are that the program has not opened. */
static int count_others(struct isolate_writer *out, void *arg)
{
	int others = count_new(arg);

	return isolate_write_value(out, &others);
}

/* Few enough bytes for a call that has no memfd. */
#define SHORT ISOLATE_OPTIONS_INIT, .max_result = 100

static int others_in_a_call(struct open_numbers *before)
{
	struct isolate_options options = {SHORT};
	struct isolate_result result;
	int others = -1;

	isolate_call(count_others, before, &options, &result);
	ck_assert_int_eq(isolate_result_value(&result, &others), 0);
	isolate_result_clear(&result);
	return others;
}

/* What each kind of run has: all have sockets and a pidfd. */
static const struct isolate_options kinds[] = {
	{SHORT}, {ISOLATE_OPTIONS_INIT},    /* a memfd */
	{SHORT, .std_out = PAL_STDIO_PIPE}, /* a pipe */
	{ISOLATE_OPTIONS_INIT, .std_out = PAL_STDIO_PIPE, .std_err = PAL_STDIO_PIPE,
		.deadline_ms = A_HANG_MS}, /* with isolate_run_fd a set and a timer */
};
#define KINDS ((int)(sizeof kinds / sizeof *kinds))

START_TEST(a_function_does_not_have_what_other_runs_need)
{
	struct isolate_options options = {SHORT};
	struct isolate_run *run, *other;
	struct isolate_result result;
	struct open_numbers before;
	struct gate gate;
	int others = -1;

	gate_open(&gate, 10);
	before = open_now();
	run = start(pass, &gate, &kinds[_i % KINDS]);
	if (_i >= KINDS)
		ck_assert_int_ge(isolate_run_fd(run), 3);
	await_entry(&gate);
	ck_assert_int_eq(others_in_a_call(&before), 0);
	other = start(count_others, &before, &options);
	isolate_finish(other, &result);
	ck_assert_int_eq(isolate_result_value(&result, &others), 0);
	ck_assert_int_eq(others, 0);
	isolate_result_clear(&result);
	let_go(&gate);
	isolate_finish(run, &result);
	check_pattern(&result, 10);
	isolate_result_clear(&result);
	check_that_all_are_gone(&gate);
}
END_TEST

static int close_the_copy(struct isolate_writer *out, void *arg)
{
	struct isolate_run *run = arg;
	int fds[16], lost = 0;

	for (int i = 0; i < 16; i++)
		fds[i] = dup(0);
	isolate_finish(run, NULL); /* what it had is not what these numbers are now */
	for (int i = 0; i < 16; i++)
		lost += fcntl(fds[i], F_GETFD) < 0;
	return isolate_write_value(out, &lost);
}

START_TEST(a_copy_of_a_run_closes_nothing_of_the_function)
{
	struct isolate_result result;
	struct isolate_run *run;
	struct gate gate;
	int lost = -1;

	gate_open(&gate, 10);
	run = start(pass, &gate, &kinds[KINDS - 1]);
	ck_assert_int_ge(isolate_run_fd(run), 3);
	await_entry(&gate);
	isolate_call(close_the_copy, run, NULL, &result);
	ck_assert_int_eq(isolate_result_value(&result, &lost), 0);
	ck_assert_int_eq(lost, 0);
	isolate_result_clear(&result);
	let_go(&gate);
	isolate_finish(run, &result);
	check_pattern(&result, 10);
	isolate_result_clear(&result);
	check_that_all_are_gone(&gate);
}
END_TEST

/* ---- the files of long results ---- */

#define A_LONG_ONE ((size_t)1 << 20)

/* They are kept from the second one on, in `result` or for the next. */
static void make_long(struct isolate_result *result)
{
	struct order order = {A_LONG_ONE, 1000};

	isolate_call(write_pattern, &order, NULL, result);
	check_pattern(result, A_LONG_ONE);
}

START_TEST(nor_the_files_of_long_results)
{
	struct open_numbers before = open_now(), after;
	struct isolate_result results[3];

	for (int i = 0; i < 3; i++)
		make_long(&results[i]);
	after = open_now();
	ck_assert_int_ge(count_new(&before), 2); /* or this test is about nothing */
	ck_assert_int_eq(others_in_a_call(&before), 0);
	for (int i = 0; i < 3; i++) {
		check_pattern(&results[i], A_LONG_ONE);
		isolate_result_clear(&results[i]);
	}
	ck_assert_int_eq(count_new(&after), 0);
	ck_assert_int_ge(count_new(&before), 2); /* kept */
	ck_assert_int_eq(others_in_a_call(&before), 0);
	isolate_trim();
	ck_assert_int_eq(count_new(&before), 0);
}
END_TEST

/* A program that closes what it does not own, and has a file of its own at that number now. */
START_TEST(a_file_of_the_program_is_not_taken_for_one_of_these)
{
	struct open_numbers before = open_now();
	struct isolate_result result;
	int count = 0;

	make_long(&result);
	isolate_result_clear(&result);
	make_long(&result);
	isolate_result_clear(&result);
	for (int fd = 3; fd < OPEN_NUMBERS; fd++)
		if (!before.open[fd] && fcntl(fd, F_GETFD) >= 0) {
			ck_assert_int_eq(dup3(0, fd, O_CLOEXEC), fd);
			count++;
		}
	ck_assert_int_ge(count, 1);
	ck_assert_int_eq(others_in_a_call(&before), count);
	isolate_trim();
	ck_assert_int_eq(count_new(&before), count);
	for (int fd = 3; fd < OPEN_NUMBERS; fd++)
		if (!before.open[fd])
			close(fd);
}
END_TEST

/* ---- threads ---- */

#define THREADS 6
#define ROUNDS (40 / SLOWNESS)

static int print_and_count(struct isolate_writer *out, void *arg)
{
	if (write(1, "x", 1) != 1)
		return -1;
	return count_others(out, arg);
}

/* The first error, 0: none. Not an assertion, in a thread. */
static void *call_again_and_again(void *arg)
{
	static const struct isolate_options options = {SHORT, .std_out = PAL_STDIO_PIPE};
	intptr_t wrong = 0;

	for (int i = 0; i < ROUNDS && !wrong; i++) {
		struct isolate_result result;
		int others = -1;

		isolate_call(print_and_count, arg, &options, &result);
		if (isolate_result_value(&result, &others) < 0)
			wrong = 1000;
		else if (result.cut_off || result.out_size != 1)
			wrong = 2000;
		else
			wrong = others;
		isolate_result_clear(&result);
	}
	return (void *)wrong; /* NOLINT(performance-no-int-to-ptr) */
}

START_TEST(nor_does_it_where_threads_make_calls_at_once)
{
	struct open_numbers before = open_now();
	pthread_t threads[THREADS];

	for (int i = 0; i < THREADS; i++)
		ck_assert_int_eq(
			pthread_create(&threads[i], NULL, call_again_and_again, &before), 0);
	for (int i = 0; i < THREADS; i++) {
		void *wrong;

		ck_assert_int_eq(pthread_join(threads[i], &wrong), 0);
		ck_assert_int_eq((intptr_t)wrong, 0);
	}
}
END_TEST

static Suite *make_suite(void)
{
	Suite *suite = suite_create("isolate/private");
	TCase *functions = isolate_tcase(suite, "functions");

	tcase_add_loop_test(functions, a_function_does_not_have_what_other_runs_need, 0, 2 * KINDS);
	tcase_add_test(functions, nor_the_files_of_long_results);
	tcase_add_test(functions, a_file_of_the_program_is_not_taken_for_one_of_these);
	tcase_add_test(functions, a_copy_of_a_run_closes_nothing_of_the_function);
	tcase_add_test(functions, nor_does_it_where_threads_make_calls_at_once);
	return suite;
}
SUPPORT_MAIN(make_suite)
