/* SPDX-License-Identifier: MIT */
#include <pal/builder.h>

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <unistd.h>

#include "spawn-support.h"
#include "support.h"

static struct pal_child *fork_take(struct pal_builder *builder, int (*fn)(void *arg), void *arg)
{
	struct pal_error error = {0};
	struct pal_child *child;

	ck_assert_ok(pal_fork(builder, fn, arg, &child, &error), &error);
	pal_builder_free(builder);
	return child;
}

static int return_it(void *arg)
{
	return *(int *)arg;
}

START_TEST(the_function_s_return_is_the_exit_status)
{
	int code = 42;

	ck_assert_int_eq(wait_take(fork_take(pal_builder_new(NULL), return_it, &code)).code, 42);
	code = 256 + 7;
	ck_assert_int_eq(wait_take(fork_take(pal_builder_new(NULL), return_it, &code)).code, 7);
}
END_TEST

START_TEST(a_failing_step_is_reported_and_the_function_does_not_run)
{
	struct pal_builder *builder = pal_builder_new(NULL);
	struct pal_error error = {0};
	struct pal_child *child;

	pal_builder_cwd(builder, "/no/such/folder");
	ck_assert_int_eq(pal_fork(builder, return_it, NULL, &child, &error), -ENOENT);
	ck_assert_int_eq(error.stage, PAL_STAGE_CHDIR);
	pal_builder_free(builder);
}
END_TEST

static int write_pid(void *arg)
{
	(void)arg;
	dprintf(1, "%d", (int)getpid());
	return 0;
}

START_TEST(pipes_connect_to_the_function)
{
	struct pal_builder *builder = pal_builder_new(NULL);
	struct pal_child *child;
	char pid[32];

	pal_builder_close_others(builder, _i);
	pal_builder_stdout(builder, PAL_STDIO_PIPE);
	pal_builder_stdin(builder, PAL_STDIO_PIPE);
	child = fork_take(builder, write_pid, NULL);
	sprintf(pid, "%d", (int)pal_child_pid(child));
	ck_assert_str_eq(read_to_end(pal_child_stdout(child)), pid);
	ck_assert_int_eq(wait_take(child).code, 0);
}
END_TEST

static Suite *make_suite(void)
{
	Suite *suite = suite_create("pal/fork");
	TCase *fork_case = support_tcase(suite, "fork");

	tcase_add_test(fork_case, the_function_s_return_is_the_exit_status);
	tcase_add_test(fork_case, a_failing_step_is_reported_and_the_function_does_not_run);
	tcase_add_loop_test(fork_case, pipes_connect_to_the_function, 0, 2);
	return suite;
}
SUPPORT_MAIN(make_suite)
