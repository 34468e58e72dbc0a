/* SPDX-License-Identifier: MIT */
#include <pal/error.h>

#include <errno.h>
#include <string.h>

#include "support.h"

START_TEST(an_error_says_what_failed_and_why)
{
	struct pal_error error = {0};

	ck_assert_int_eq(pal_error_set(&error, PAL_STAGE_EXEC, -ENOENT, "exec %s", "pngtopnm"), -ENOENT);
	ck_assert_str_eq(pal_error_text(&error), "exec pngtopnm: No such file or directory");
	ck_assert_int_eq(error.stage, PAL_STAGE_EXEC);
	ck_assert_int_eq(error.code, -ENOENT);
}
END_TEST

START_TEST(a_text_that_is_too_long_is_cut)
{
	struct pal_error error;
	char name[1000];

	memset(name, 'x', sizeof name - 1);
	name[sizeof name - 1] = 0;
	pal_error_set(&error, PAL_STAGE_EXEC, -ENOENT, "exec %s", name);
	ck_assert_uint_eq(strlen(error.text), sizeof error.text - 1);
}
END_TEST

START_TEST(every_stage_has_a_name)
{
	for (int stage = PAL_STAGE_NONE; stage <= PAL_STAGE_SOCKET; stage++)
		ck_assert_str_ne(pal_stage_name(stage), "unknown stage");
	ck_assert_str_eq(pal_stage_name(-1), "unknown stage");
	ck_assert_str_eq(pal_stage_name(PAL_STAGE_MESH_BASE), "unknown stage");
}
END_TEST

static Suite *make_suite(void)
{
	Suite *suite = suite_create("pal/error");
	TCase *text = support_tcase(suite, "text");

	tcase_add_test(text, an_error_says_what_failed_and_why);
	tcase_add_test(text, a_text_that_is_too_long_is_cut);
	tcase_add_test(text, every_stage_has_a_name);
	return suite;
}
SUPPORT_MAIN(make_suite)
