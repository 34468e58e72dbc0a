/* SPDX-License-Identifier: MIT */
#include <pal/builder.h>

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "spawn-support.h"
#include "support.h"

START_TEST(a_program_runs_and_its_exit_is_told)
{
	struct pal_builder *builder = builder_for("end-with", _i);
	struct pal_status status;
	char text[32];

	pal_builder_args(builder, (const char *const[]){"exit", "3", NULL});
	status = wait_take(spawn_take(builder));
	ck_assert_str_eq(pal_status_text(&status, text, sizeof text), "exit 3");
}
END_TEST

START_TEST(a_builder_makes_many_children)
{
	struct pal_builder *builder = builder_for("end-with", _i);
	struct pal_error error = {0};

	pal_builder_arg(builder, "stdin");
	pal_builder_stdin(builder, PAL_STDIO_PIPE);
	for (int i = 0; i < 3; i++) {
		struct pal_child *child;

		ck_assert_ok(pal_builder_spawn(builder, &child, &error), &error);
		ck_assert_int_eq(pal_child_try_wait(child, NULL, &error), 0);
		close(pal_child_steal_stdin(child));
		ck_assert_int_eq(wait_take(child).code, 0);
	}
	pal_builder_free(builder);
}
END_TEST

START_TEST(a_program_that_is_not_there_is_ENOENT)
{
	ck_assert_spawn_fails(builder_for("no-such-helper", _i), -ENOENT, PAL_STAGE_EXEC, 0);
}
END_TEST

static Suite *make_suite(void)
{
	Suite *suite = suite_create("pal/spawn");
	TCase *basic = support_tcase(suite, "basic");

	tcase_add_loop_test(basic, a_program_runs_and_its_exit_is_told, 0, MODES);
	tcase_add_loop_test(basic, a_builder_makes_many_children, 0, MODES);
	tcase_add_loop_test(basic, a_program_that_is_not_there_is_ENOENT, 0, MODES);
	return suite;
}
SUPPORT_MAIN(make_suite)
