/* SPDX-License-Identifier: MIT */
/* What ends pal_communicate: the deadline, the end of the drain. */
#include <pal/communicate.h>

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

#include <pal/builder.h>

#include "spawn-support.h"
#include "support.h"

/* With its output open, and with all of it closed. S66 */
START_TEST(the_deadline_ends_the_child)
{
	struct pal_communicate_options options = {PAL_COMMUNICATE_OPTIONS_INIT, .deadline_ms = 30};
	struct pal_builder *builder = _i ? builder_saying("quiet", 0) : builder_for("end-with", MODE_VFORK);
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
	struct pal_builder *builder = builder_saying(what, count);
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
	check_said(output.out, output.out_size);
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

static Suite *make_suite(void)
{
	Suite *suite = suite_create("pal/communicate-time");
	TCase *time = support_tcase(suite, "time");

	tcase_add_loop_test(time, the_deadline_ends_the_child, 0, 2);
	tcase_add_loop_test(time, a_pipe_that_somebody_else_holds_is_given_up, 0, 3);
	tcase_add_test(time, a_deadline_that_ends_the_drain_is_no_error);
	tcase_add_loop_test(time, a_stream_that_never_ends_is_given_up, 0, 2);
	tcase_add_test(time, what_arrives_while_draining_is_read);
	return suite;
}
SUPPORT_MAIN(make_suite)
