/* SPDX-License-Identifier: MIT */
#include <pal/builder.h>

#include <errno.h>
#include <signal.h>
#include <sys/resource.h>

#include <pal/profile.h>

#include "spawn-support.h"
#include "support.h"

#define SETTER_CASES 16

static int failing_apply(
	const struct pal_profile *profile, struct pal_builder *builder, struct pal_error *error)
{
	(void)builder;
	return profile->data ? pal_error_set(error, PAL_STAGE_SECCOMP, -EPERM, "own words")
			     : -EPERM;
}

static const struct pal_profile silent = {
	.size = sizeof silent, .name = "silent", .apply = failing_apply};
static const struct pal_profile telling = {
	.size = sizeof telling, .apply = failing_apply, .data = (void *)&silent};

/* S12, S33, S34: no child is made. */
START_TEST(the_first_invalid_value_is_returned_by_spawn)
{
	struct pal_builder *builder = pal_builder_new(_i == 0 ? "" : "/bin/true");
	int stage = PAL_STAGE_ARGUMENT, code = -EINVAL;

	switch (_i) {
	case 1:
		pal_builder_arg(builder, NULL);
		break;
	case 2:
		pal_builder_args(builder, NULL);
		break;
	case 3:
		pal_builder_arg0(builder, NULL);
		break;
	case 4:
		pal_builder_env(builder, "A=B", "x");
		break;
	case 5:
		pal_builder_env_remove(builder, "");
		break;
	case 6:
		pal_builder_dup_fd(builder, -1, 5);
		break;
	case 7:
		pal_builder_dup_fd(builder, 5, -2);
		break;
	case 8:
		pal_builder_close_fd(builder, -1);
		break;
	case 9:
		pal_builder_stdin(builder, PAL_STDIO_FD(-1));
		break;
	case 10:
		pal_builder_cwd(builder, "");
		break;
	case 11:
		pal_builder_rlimit(builder, 1000, 1, 1);
		break;
	case 12:
		pal_builder_parent_death(builder, 65);
		break;
	case 13:
		pal_builder_sandbox(builder, NULL);
		break;
	case 14:
		pal_builder_sandbox(builder, &silent);
		stage = PAL_STAGE_PROFILE;
		code = -EPERM;
		break;
	case 15:
		pal_builder_sandbox(builder, &telling);
		stage = PAL_STAGE_SECCOMP;
		code = -EPERM;
		break;
	}
	pal_builder_rlimit(builder, -1, 1, 1); /* too late: the first is told */
	ck_assert_spawn_fails(builder, code, stage, 0);
}
END_TEST

START_TEST(a_builder_that_could_not_be_made_is_accepted_everywhere)
{
	struct pal_error error = {0};
	struct pal_child *child;

	pal_builder_arg0(NULL, "x");
	pal_builder_arg(NULL, "x");
	pal_builder_args(NULL, (const char *const[]){"x", NULL});
	pal_builder_env(NULL, "A", "x");
	pal_builder_env_remove(NULL, "A");
	pal_builder_env_clear(NULL);
	pal_builder_stdin(NULL, PAL_STDIO_NULL);
	pal_builder_stdout(NULL, PAL_STDIO_NULL);
	pal_builder_stderr(NULL, PAL_STDIO_NULL);
	pal_builder_dup_fd(NULL, 1, 2);
	pal_builder_close_fd(NULL, 1);
	pal_builder_close_others(NULL, true);
	pal_builder_cwd(NULL, "/");
	pal_builder_rlimit(NULL, RLIMIT_CPU, 1, 1);
	pal_builder_parent_death(NULL, SIGKILL);
	pal_builder_vfork(NULL, true);
	pal_builder_sandbox(NULL, &silent);
	ck_assert_int_eq(pal_builder_spawn(NULL, &child, &error), -ENOMEM);
	ck_assert_int_eq(error.stage, PAL_STAGE_MEMORY);
	ck_assert_int_eq(pal_builder_spawn(NULL, &child, NULL), -ENOMEM);
	errno = EXDEV;
	pal_builder_free(NULL);
	ck_assert_int_eq(errno, EXDEV);
}
END_TEST

START_TEST(without_a_program_only_fork_works)
{
	ck_assert_spawn_fails(pal_builder_new(NULL), -EINVAL, PAL_STAGE_ARGUMENT, 0);
}
END_TEST

static Suite *make_suite(void)
{
	Suite *suite = suite_create("pal/builder");
	TCase *setters = support_tcase(suite, "setters");

	tcase_add_loop_test(setters, the_first_invalid_value_is_returned_by_spawn, 0, SETTER_CASES);
	tcase_add_test(setters, a_builder_that_could_not_be_made_is_accepted_everywhere);
	tcase_add_test(setters, without_a_program_only_fork_works);
	return suite;
}
SUPPORT_MAIN(make_suite)
