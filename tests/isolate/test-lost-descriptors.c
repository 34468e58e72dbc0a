/* SPDX-License-Identifier: MIT */

/* Programs that close what is the library's, during a run: an answer is the truth all the same. */
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "gate.h"
#include "isolate-support.h"

static int the_other_end;

/* The pidfd of the one run. Its number, where a file is there afterwards that is never readable; else -1. */
static int lose_pidfd(bool replace)
{
	int silent[2], found = -1;

	for (int fd = 3; fd < 64 && found < 0; fd++) {
		char link[32], name[PATH_MAX] = "";

		snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
		if (readlink(link, name, sizeof name - 1) > 0 && strstr(name, "pidfd"))
			found = fd;
	}
	ck_assert_int_ge(found, 3);
	if (!replace) {
		close(found);
		return -1;
	}
	ck_assert_int_eq(pipe2(silent, O_CLOEXEC), 0);
	ck_assert_int_eq(dup3(silent[0], found, O_CLOEXEC), found);
	close(silent[0]);
	the_other_end = silent[1];
	return found;
}

/* It is the program's by now, and nothing of the run's: still open. */
static void close_replacement(int fd)
{
	if (fd < 0)
		return;
	ck_assert_int_eq(close(fd), 0);
	close(the_other_end);
}

static int note_and_return(struct isolate_writer *out, void *arg)
{
	(void)out;
	__atomic_store_n((int *)arg, 1, __ATOMIC_SEQ_CST);
	return 0;
}

/* The child is on its way to the function, or in it. */
START_TEST(what_was_executed_is_not_said_not_to_have_been)
{
	int *executed = (int *)shared_memory(sizeof *executed);

	for (int i = 0; i < 300 / SLOWNESS; i++) {
		struct isolate_run *run;
		struct isolate_result result;

		*executed = 0;
		run = start(note_and_return, executed, NULL);
		lose_pidfd(false);
		isolate_finish(run, &result);
		ck_assert_answer(&result, ISOLATE_RETURNED);
		ck_assert_int_eq(*executed, 1);
		isolate_result_clear(&result);
	}
	munmap(executed, sizeof *executed);
}
END_TEST

/* With a captured stream, which the function closes before it goes on, and without. */
static const struct isolate_options captured = {ISOLATE_OPTIONS_INIT, .std_out = PAL_STDIO_PIPE};

static int close_stdout_and_pass(struct isolate_writer *out, void *arg)
{
	close(STDOUT_FILENO);
	return pass(out, arg);
}

static void *let_go_soon(void *arg)
{
	support_await_state(getpid(), 'S'); /* most likely the main thread waits by then */
	let_go((struct gate *)arg);
	return NULL;
}

START_TEST(a_run_ends_with_its_function)
{
	struct isolate_run *run;
	struct isolate_result result;
	struct gate gate;
	pthread_t thread;
	int replacement;

	gate_open(&gate, 100);
	run = start(close_stdout_and_pass, &gate, _i & 2 ? &captured : NULL);
	await_entry(&gate);
	replacement = lose_pidfd(_i & 1);
	ck_assert_int_eq(pthread_create(&thread, NULL, let_go_soon, &gate), 0);
	isolate_finish(run, &result);
	pthread_join(thread, NULL);
	check_pattern(&result, 100);
	ck_assert(result.status_known);
	isolate_result_clear(&result);
	check_that_all_are_gone(&gate);
	close_replacement(replacement);
}
END_TEST

START_TEST(a_run_out_of_time_is_killed)
{
	struct isolate_options options = {ISOLATE_OPTIONS_INIT, .deadline_ms = 500};
	struct isolate_run *run;
	struct isolate_result result;
	struct gate gate;
	int replacement;

	if (_i & 2)
		options.std_out = PAL_STDIO_PIPE;
	gate_open(&gate, 0);
	run = start(pass, &gate, &options);
	await_entry(&gate);
	replacement = lose_pidfd(_i & 1);
	isolate_finish(run, &result);
	ck_assert_int_eq(result.error.code, -ETIMEDOUT);
	ck_assert_int_eq(result.error.stage, ISOLATE_STAGE_DEADLINE);
	ck_assert(result.status_known && result.status.signaled);
	isolate_result_clear(&result);
	let_go(&gate);
	check_that_all_are_gone(&gate);
	close_replacement(replacement);
}
END_TEST

static Suite *make_suite(void)
{
	Suite *suite = suite_create("isolate/lost-descriptors");
	TCase *pidfds = isolate_tcase(suite, "pidfds");

	tcase_add_test(pidfds, what_was_executed_is_not_said_not_to_have_been);
	tcase_add_loop_test(pidfds, a_run_ends_with_its_function, 0, 4);
	tcase_add_loop_test(pidfds, a_run_out_of_time_is_killed, 0, 4);
	return suite;
}
SUPPORT_MAIN(make_suite)
