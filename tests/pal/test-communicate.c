/* SPDX-License-Identifier: MIT */
#include <pal/communicate.h>

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include <pal/builder.h>

#include "spawn-support.h"
#include "support.h"

static struct pal_builder *say(const char *what, size_t count)
{
	struct pal_builder *builder = builder_for("say", MODE_VFORK);
	char number[24];

	snprintf(number, sizeof number, "%zu", count);
	pal_builder_arg(builder, what);
	pal_builder_arg(builder, number);
	pal_builder_stdin(builder, PAL_STDIO_PIPE);
	pal_builder_stdout(builder, PAL_STDIO_PIPE);
	pal_builder_stderr(builder, PAL_STDIO_PIPE);
	return builder;
}

static int talk(struct pal_builder *builder, const struct pal_communicate_options *options,
	struct pal_output *ret, struct pal_error *error)
{
	int r = pal_communicate(builder, options, ret, error);

	pal_builder_free(builder);
	return r;
}

/* What helpers/say.c writes. */
static void check_alphabet(const char *text, size_t size)
{
	size_t i = 0;

	while (i < size && text[i] == (char)('a' + i % 26)) /* an assertion each would take long */
		i++;
	ck_assert_msg(i == size, "byte %zu of %zu is %#x", i, size, (unsigned)text[i]);
	ck_assert_int_eq(text[size], 0);
}

/* ---- output ---- */

static const size_t sizes[] = {0, 1, 4095, 4096, 65535, 65536, 65537, 131072, (1 << 20) - 1,
	1 << 20, (1 << 20) + 1, (64 << 10) + (1 << 20), (64 << 10) + (1 << 20) + 1, 5000000};
#define SIZES (int)(sizeof sizes / sizeof sizes[0])

START_TEST(output_of_every_size_arrives)
{
	struct pal_error error = {0};
	struct pal_output output;

	ck_assert_ok(talk(say("out", sizes[_i]), NULL, &output, &error), &error);
	ck_assert_int_eq(output.status.code, 0);
	ck_assert_uint_eq(output.out_size, sizes[_i]);
	check_alphabet(output.out, output.out_size);
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

	ck_assert_ok(talk(say("both", 3000000), NULL, &output, &error), &error);
	ck_assert_uint_eq(output.out_size, 3000000);
	ck_assert_uint_eq(output.err_size, 3000000);
	check_alphabet(output.out, output.out_size);
	check_alphabet(output.err, output.err_size);
	pal_output_clear(&output);
}
END_TEST

START_TEST(what_is_no_pipe_is_NULL)
{
	struct pal_builder *builder = say("err", 10);
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
	ck_assert_ok(talk(say(_i % 2 ? "late" : "echo", 0), &options, &output, &error), &error);
	ck_assert_int_eq(output.status.code, 0);
	ck_assert_uint_eq(output.out_size, size);
	check_alphabet(output.out, size);
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
	ck_assert_ok(talk(say("deaf", 5), &options, &output, &error), &error);
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
	ck_assert_ok(talk(say("out", options.max_output), &options, &output, &error), &error);
	ck_assert_uint_eq(output.out_size, options.max_output);
	ck_assert(!output.truncated);
	pal_output_clear(&output);

	output.out_size = 77;
	child = spawn_take(say("out", options.max_output + 1));
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
	ck_assert_ok(talk(say("both", options.max_output), &options, &output, &error), &error);
	ck_assert(!output.truncated);
	pal_output_clear(&output);
	ck_assert_ok(
		talk(say("both", options.max_output + 300001), &options, &output, &error), &error);
	ck_assert_int_eq(output.status.code, 0);
	ck_assert(!output.status.signaled);
	ck_assert(output.truncated);
	ck_assert_uint_eq(output.out_size, options.max_output);
	ck_assert_uint_eq(output.err_size, options.max_output);
	check_alphabet(output.out, output.out_size);
	check_alphabet(output.err, output.err_size);
	pal_output_clear(&output);
}
END_TEST

START_TEST(options_of_another_size_are_refused)
{
	struct pal_communicate_options options = {.size = sizeof options - 1};
	struct pal_child *child = spawn_take(say("echo", 0));
	struct pal_error error = {0};
	struct pal_output output;

	ck_assert_int_eq(pal_child_communicate(child, &options, &output, &error), -EINVAL);
	ck_assert_int_eq(error.stage, PAL_STAGE_ARGUMENT);
	ck_assert_int_ge(pal_child_stdin(child), 3);
	ck_assert_int_eq(pal_child_try_wait(child, NULL, NULL), 0);
	pal_child_free(child);
}
END_TEST

/* ---- time ---- */

/* With its output open, and with all of it closed. S66 */
START_TEST(the_deadline_ends_the_child)
{
	struct pal_communicate_options options = {PAL_COMMUNICATE_OPTIONS_INIT, .deadline_ms = 30};
	struct pal_builder *builder = _i ? say("quiet", 0) : builder_for("end-with", MODE_VFORK);
	struct pal_error error = {0};
	struct pal_status status;
	struct pal_output output;
	struct pal_child *child;

	if (!_i) {
		pal_builder_arg(builder, "nothing");
		pal_builder_stdout(builder, PAL_STDIO_PIPE);
	} else
		pal_builder_stderr(builder, PAL_STDIO_NULL);
	child = spawn_take(builder);
	ck_assert_int_eq(pal_child_communicate(child, &options, &output, &error), -ETIMEDOUT);
	ck_assert_int_eq(error.stage, PAL_STAGE_WAIT);
	ck_assert_ok(pal_child_wait(child, PAL_DEADLINE_NOW, &status, &error), &error);
	ck_assert(status.signaled);
	ck_assert_int_eq(status.code, SIGKILL);
	pal_child_free(child);
}
END_TEST

/* S112's case for a program: somebody else keeps the pipe. */
static struct pal_child *spawn_held(const char *what, size_t count, int *ret_hold)
{
	struct pal_builder *builder = say(what, count);
	struct pal_child *child;
	int ends[2];

	ck_assert_int_eq(pipe2(ends, O_CLOEXEC), 0);
	pal_builder_dup_fd(builder, ends[0], 3);
	child = spawn_take(builder);
	close(ends[0]);
	*ret_hold = ends[1];
	return child;
}

static const int64_t drains[] = {1, 50, -1};

START_TEST(a_pipe_that_somebody_else_holds_is_given_up)
{
	struct pal_communicate_options options = {
		PAL_COMMUNICATE_OPTIONS_INIT, .drain_ms = drains[_i]};
	struct pal_error error = {0};
	struct pal_output output;
	struct pal_child *child;
	int hold;

	child = spawn_held("held", 60000, &hold);
	ck_assert_ok(pal_child_communicate(child, &options, &output, &error), &error);
	ck_assert(output.cut_off);
	ck_assert_int_eq(output.status.code, 6);
	ck_assert_uint_eq(output.out_size, 60000); /* all that the child itself had written */
	check_alphabet(output.out, output.out_size);
	pal_output_clear(&output);
	pal_child_free(child);
	close(hold);
}
END_TEST

/* Its deadline is over before the drain is: the answer is there all the same. */
START_TEST(a_deadline_that_ends_the_drain_is_no_error)
{
	struct pal_communicate_options options = {
		PAL_COMMUNICATE_OPTIONS_INIT, .drain_ms = INT64_MAX, .deadline_ms = 300};
	struct pal_error error = {0};
	struct pal_output output;
	struct pal_child *child;
	int hold;

	child = spawn_held("held", 3, &hold);
	ck_assert_int_eq(pal_child_wait(child, PAL_DEADLINE_NONE, NULL, NULL), 0);
	ck_assert_ok(pal_child_communicate(child, &options, &output, &error), &error);
	ck_assert(output.cut_off);
	ck_assert_str_eq(output.out, "abc");
	pal_output_clear(&output);
	pal_child_free(child);
	close(hold);
}
END_TEST

START_TEST(a_stream_that_never_ends_is_given_up)
{
	struct pal_communicate_options options = {PAL_COMMUNICATE_OPTIONS_INIT,
		.drain_ms = _i ? 20 : -1, .max_output = 1000, .truncate = true};
	struct pal_error error = {0};
	struct pal_output output;
	struct pal_child *child;
	int hold;

	child = spawn_held("streaming", 0, &hold);
	ck_assert_ok(pal_child_communicate(child, &options, &output, &error), &error);
	ck_assert(output.cut_off);
	ck_assert_int_eq(output.status.code, 6);
	pal_output_clear(&output);
	pal_child_free(child);
	close(hold);
}
END_TEST

static void *release(void *arg)
{
	int *hold = arg;

	close(*hold);
	return NULL;
}

START_TEST(what_arrives_while_draining_is_read)
{
	struct pal_communicate_options options = {
		PAL_COMMUNICATE_OPTIONS_INIT, .drain_ms = INT64_MAX};
	struct pal_error error = {0};
	struct pal_output output;
	struct pal_child *child;
	pthread_t thread;
	int hold;

	child = spawn_held("held", 3, &hold);
	ck_assert_int_eq(pal_child_wait(child, PAL_DEADLINE_NONE, NULL, NULL), 0);
	ck_assert_int_eq(pthread_create(&thread, NULL, release, &hold), 0);
	ck_assert_ok(pal_child_communicate(child, &options, &output, &error), &error);
	ck_assert_int_eq(pthread_join(thread, NULL), 0);
	ck_assert_str_eq(output.out, "abclate");
	ck_assert(!output.cut_off);
	pal_output_clear(&output);
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
		struct pal_child *child = spawn_take(say("echo", 0));

		ck_assert_ok(pal_child_communicate(child, &options, &output, &error), &error);
		ck_assert_uint_eq(output.out_size, size);
		check_alphabet(output.out, size);
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
	ck_assert_ok(talk(say("out", 10), NULL, &output, &error), &error);
	ck_assert_str_eq(output.out, "abcdefghij");
	ck_assert(output.status_lost);
	ck_assert_int_eq(output.status.code, -1);
	ck_assert_str_eq(pal_status_text(&output.status, text, sizeof text), "status lost");
	pal_output_clear(&output);
}
END_TEST

START_TEST(a_second_time_there_is_only_the_status)
{
	struct pal_child *child = spawn_take(say("deaf", 3));
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
	TCase *time = support_tcase(suite, "time");
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
	tcase_add_loop_test(time, the_deadline_ends_the_child, 0, 2);
	tcase_add_loop_test(time, a_pipe_that_somebody_else_holds_is_given_up, 0, 3);
	tcase_add_test(time, a_deadline_that_ends_the_drain_is_no_error);
	tcase_add_loop_test(time, a_stream_that_never_ends_is_given_up, 0, 2);
	tcase_add_test(time, what_arrives_while_draining_is_read);
	tcase_add_test(disturbance, interruptions_change_nothing);
	tcase_add_test(disturbance, the_output_is_there_where_the_status_is_lost);
	tcase_add_test(disturbance, a_second_time_there_is_only_the_status);
	tcase_add_test(disturbance, a_spawn_that_fails_says_why);
	return suite;
}
SUPPORT_MAIN(make_suite)
