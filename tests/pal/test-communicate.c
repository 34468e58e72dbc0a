/* SPDX-License-Identifier: MIT */
#include <pal/communicate.h>

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <unistd.h>

#include <pal/builder.h>

#include "spawn-support.h"
#include "support.h"

static int talk(struct pal_builder *builder, const struct pal_communicate_options *options,
	struct pal_output *ret, struct pal_error *error)
{
	int r = pal_communicate(builder, options, ret, error);

	pal_builder_free(builder);
	return r;
}

/* ---- output ---- */

static const size_t sizes[] = {0, 1, 4095, 4096, 65535, 65536, 65537, 131072, (1 << 20) - 1,
	1 << 20, (1 << 20) + 1, (64 << 10) + (1 << 20), (64 << 10) + (1 << 20) + 1, 5000000};
#define SIZES (int)(sizeof sizes / sizeof sizes[0])

START_TEST(output_of_every_size_arrives)
{
	struct pal_error error = {0};
	struct pal_output output;

	ck_assert_ok(talk(builder_saying("out", sizes[_i]), NULL, &output, &error), &error);
	ck_assert_int_eq(output.status.code, 0);
	ck_assert_uint_eq(output.out_size, sizes[_i]);
	check_said(output.out, output.out_size);
	ck_assert_uint_eq(output.err_size, 0);
	ck_assert_str_eq(output.err, "");
	ck_assert(!output.truncated && !output.cut_off && !output.status_lost);
	pal_output_clear(&output);
	ck_assert_ptr_null(output.out);
	pal_output_clear(&output);
	pal_output_clear(NULL);
}
END_TEST

START_TEST(both_streams_are_read_at_once)
{
	struct pal_error error = {0};
	struct pal_output output;

	ck_assert_ok(talk(builder_saying("both", 3000000), NULL, &output, &error), &error);
	ck_assert_uint_eq(output.out_size, 3000000);
	ck_assert_uint_eq(output.err_size, 3000000);
	check_said(output.out, output.out_size);
	check_said(output.err, output.err_size);
	pal_output_clear(&output);
}
END_TEST

START_TEST(what_is_no_pipe_is_NULL)
{
	struct pal_builder *builder = builder_saying("err", 10);
	struct pal_error error = {0};
	struct pal_output output;

	pal_builder_stdin(builder, PAL_STDIO_NULL);
	pal_builder_stdout(builder, PAL_STDIO_NULL);
	ck_assert_ok(talk(builder, NULL, &output, &error), &error);
	ck_assert_ptr_null(output.out);
	ck_assert_uint_eq(output.out_size, 0);
	ck_assert_str_eq(output.err, "abcdefghij");
	pal_output_clear(&output);
}
END_TEST

/* ---- input ---- */

static char *alphabet(size_t size)
{
	char *text = malloc(size + 1);

	for (size_t i = 0; i < size; i++)
		text[i] = (char)('a' + i % 26);
	return text;
}

/* "echo" answers while it reads, "late" reads all before: neither order blocks. */
START_TEST(input_of_every_size_is_fed)
{
	struct pal_communicate_options options = {PAL_COMMUNICATE_OPTIONS_INIT};
	size_t size = sizes[_i / 2];
	char *input = alphabet(size);
	struct pal_error error = {0};
	struct pal_output output;

	options.input = input;
	options.input_size = size;
	ck_assert_ok(talk(builder_saying(_i % 2 ? "late" : "echo", 0), &options, &output, &error), &error);
	ck_assert_int_eq(output.status.code, 0);
	ck_assert_uint_eq(output.out_size, size);
	check_said(output.out, size);
	pal_output_clear(&output);
	free(input);
}
END_TEST

static int caught;

static void on_signal(int number)
{
	caught = number;
}

static bool sigpipe_pending(void)
{
	sigset_t pending;

	sigpending(&pending);
	return sigismember(&pending, SIGPIPE);
}

static bool sigpipe_blocked(void)
{
	sigset_t blocked;

	pthread_sigmask(SIG_SETMASK, NULL, &blocked);
	return sigismember(&blocked, SIGPIPE);
}

static void check_deaf(size_t size)
{
	struct pal_communicate_options options = {PAL_COMMUNICATE_OPTIONS_INIT};
	char *input = alphabet(size);
	struct pal_error error = {0};
	struct pal_output output;

	options.input = input;
	options.input_size = size;
	ck_assert_ok(talk(builder_saying("deaf", 5), &options, &output, &error), &error);
	ck_assert_int_eq(output.status.code, 5);
	ck_assert_str_eq(output.out, "abcde");
	pal_output_clear(&output);
	free(input);
}

START_TEST(a_child_that_does_not_read_is_no_error_and_no_SIGPIPE)
{
	signal(SIGPIPE, on_signal);
	check_deaf(1);
	check_deaf(3 << 20);
	ck_assert_int_eq(caught, 0);
	ck_assert(!sigpipe_pending());
	ck_assert(!sigpipe_blocked());
}
END_TEST

START_TEST(a_SIGPIPE_that_was_pending_before_is_left)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGPIPE);
	pthread_sigmask(SIG_BLOCK, &set, NULL);
	check_deaf(3 << 20);
	ck_assert(!sigpipe_pending());
	raise(SIGPIPE);
	check_deaf(3 << 20);
	ck_assert(sigpipe_pending());
	ck_assert(sigpipe_blocked());
	ck_assert_int_eq(sigtimedwait(&set, NULL, &(struct timespec){0}), SIGPIPE);
	ck_assert(!sigpipe_pending());
}
END_TEST

/* ---- limits ---- */

START_TEST(more_than_the_limit_is_an_error)
{
	struct pal_communicate_options options = {PAL_COMMUNICATE_OPTIONS_INIT};
	struct pal_output output = {.out_size = 77};
	struct pal_error error = {0};
	struct pal_child *child;

	options.max_output = sizes[_i] ? sizes[_i] : 1;
	ck_assert_ok(talk(builder_saying("out", options.max_output), &options, &output, &error), &error);
	ck_assert_uint_eq(output.out_size, options.max_output);
	ck_assert(!output.truncated);
	pal_output_clear(&output);

	output.out_size = 77;
	child = spawn_take(builder_saying("out", options.max_output + 1));
	ck_assert_int_eq(pal_child_communicate(child, &options, &output, &error), -EOVERFLOW);
	ck_assert_int_eq(error.stage, PAL_STAGE_STDIO);
	ck_assert_uint_eq(output.out_size, 77);
	ck_assert_int_eq(kill(pal_child_pid(child), 0), -1);
	ck_assert_int_eq(pal_child_stdout(child), -1);
	pal_child_free(child);
}
END_TEST

START_TEST(or_it_is_thrown_away)
{
	struct pal_communicate_options options = {PAL_COMMUNICATE_OPTIONS_INIT};
	struct pal_error error = {0};
	struct pal_output output;

	options.truncate = true;
	options.max_output = sizes[_i] ? sizes[_i] : 1;
	ck_assert_ok(talk(builder_saying("both", options.max_output), &options, &output, &error), &error);
	ck_assert(!output.truncated);
	pal_output_clear(&output);
	ck_assert_ok(
		talk(builder_saying("both", options.max_output + 300001), &options, &output, &error), &error);
	ck_assert_int_eq(output.status.code, 0);
	ck_assert(!output.status.signaled);
	ck_assert(output.truncated);
	ck_assert_uint_eq(output.out_size, options.max_output);
	ck_assert_uint_eq(output.err_size, options.max_output);
	check_said(output.out, output.out_size);
	check_said(output.err, output.err_size);
	pal_output_clear(&output);
}
END_TEST

START_TEST(options_of_another_size_are_refused)
{
	struct pal_communicate_options options = {.size = sizeof options - 1};
	struct pal_child *child = spawn_take(builder_saying("echo", 0));
	struct pal_error error = {0};
	struct pal_output output;

	ck_assert_int_eq(pal_child_communicate(child, &options, &output, &error), -EINVAL);
	ck_assert_int_eq(error.stage, PAL_STAGE_ARGUMENT);
	ck_assert_int_ge(pal_child_stdin(child), 3);
	ck_assert_int_eq(pal_child_try_wait(child, NULL, NULL), 0);
	pal_child_free(child);
}
END_TEST

/* ---- disturbance ---- */

/* S61 */
START_TEST(interruptions_change_nothing)
{
	struct sigaction handler = {.sa_handler = on_signal}; /* without SA_RESTART */
	struct itimerval fast = {{0, 1000}, {0, 1000}}, off = {{0, 0}, {0, 0}};
	struct pal_communicate_options options = {PAL_COMMUNICATE_OPTIONS_INIT};
	size_t size = 2 << 20;
	char *input = alphabet(size);
	struct pal_error error = {0};
	struct pal_output output;

	options.input = input;
	options.input_size = size;
	sigaction(SIGALRM, &handler, NULL);
	setitimer(ITIMER_REAL, &fast, NULL);
	for (int i = 0; i < 3; i++) {
		struct pal_child *child = spawn_take(builder_saying("echo", 0));

		ck_assert_ok(pal_child_communicate(child, &options, &output, &error), &error);
		ck_assert_uint_eq(output.out_size, size);
		check_said(output.out, size);
		pal_output_clear(&output);
		pal_child_free(child);
	}
	setitimer(ITIMER_REAL, &off, NULL);
	ck_assert_int_eq(caught, SIGALRM);
	free(input);
}
END_TEST

/* S58 */
START_TEST(the_output_is_there_where_the_status_is_lost)
{
	struct pal_error error = {0};
	struct pal_output output;
	char text[32];

	support_without_pidfd_info();
	signal(SIGCHLD, SIG_IGN);
	ck_assert_ok(talk(builder_saying("out", 10), NULL, &output, &error), &error);
	ck_assert_str_eq(output.out, "abcdefghij");
	ck_assert(output.status_lost);
	ck_assert_int_eq(output.status.code, -1);
	ck_assert_str_eq(pal_status_text(&output.status, text, sizeof text), "status lost");
	pal_output_clear(&output);
}
END_TEST

START_TEST(a_second_time_there_is_only_the_status)
{
	struct pal_child *child = spawn_take(builder_saying("deaf", 3));
	struct pal_error error = {0};
	struct pal_output output;

	ck_assert_ok(pal_child_communicate(child, NULL, &output, &error), &error);
	pal_output_clear(&output);
	ck_assert_ok(pal_child_communicate(child, NULL, &output, &error), &error);
	ck_assert_ptr_null(output.out);
	ck_assert_int_eq(output.status.code, 5);
	pal_child_free(child);
}
END_TEST

START_TEST(a_spawn_that_fails_says_why)
{
	struct pal_error error = {0};
	struct pal_output output;

	ck_assert_int_eq(
		talk(builder_for("no-such-helper", MODE_VFORK), NULL, &output, &error), -ENOENT);
	ck_assert_int_eq(error.stage, PAL_STAGE_EXEC);
}
END_TEST

static Suite *make_suite(void)
{
	Suite *suite = suite_create("pal/communicate");
	TCase *streams = support_tcase(suite, "streams");
	TCase *limits = support_tcase(suite, "limits");
	TCase *disturbance = support_tcase(suite, "disturbance");

	tcase_add_loop_test(streams, output_of_every_size_arrives, 0, SIZES);
	tcase_add_test(streams, both_streams_are_read_at_once);
	tcase_add_test(streams, what_is_no_pipe_is_NULL);
	tcase_add_loop_test(streams, input_of_every_size_is_fed, 0, 2 * SIZES);
	tcase_add_test(streams, a_child_that_does_not_read_is_no_error_and_no_SIGPIPE);
	tcase_add_test(streams, a_SIGPIPE_that_was_pending_before_is_left);
	tcase_add_loop_test(limits, more_than_the_limit_is_an_error, 0, SIZES);
	tcase_add_loop_test(limits, or_it_is_thrown_away, 0, SIZES);
	tcase_add_test(limits, options_of_another_size_are_refused);
	tcase_add_test(disturbance, interruptions_change_nothing);
	tcase_add_test(disturbance, the_output_is_there_where_the_status_is_lost);
	tcase_add_test(disturbance, a_second_time_there_is_only_the_status);
	tcase_add_test(disturbance, a_spawn_that_fails_says_why);
	return suite;
}
SUPPORT_MAIN(make_suite)
