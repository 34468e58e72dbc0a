/* SPDX-License-Identifier: MIT */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <pal/util-priv.h>

#include "profiled.h"

/* In a program: what a builder says of the environment is for exec. */
static int shell_says(const char *text, const char *expected)
{
	struct pal_profile *profile = profile_of(text);
	struct pal_builder *builder = pal_builder_new("/bin/sh");
	char script[256];
	int result;

	snprintf(script, sizeof script, "[ \"${TEST_A--} ${TEST_B--} ${TEST_C--}\" = \"%s\" ]",
		expected);
	pal_builder_arg(builder, "-c");
	pal_builder_arg(builder, script);
	pal_builder_sandbox(builder, profile);
	result = outcome_of_program(builder);
	pal_builder_free(builder);
	pal_profile_free(profile);
	return result;
}

START_TEST(the_environment_is_what_the_text_says)
{
	become(_i);
	setenv("TEST_A", "1", 1);
	setenv("TEST_B", "2", 1);
	ck_assert_int_eq(shell_says("", "1 2 -"), 0);
	ck_assert_int_eq(shell_says("Environment=\"TEST_C=3 4\" TEST_A=x", "x 2 3 4"), 0);
	ck_assert_int_eq(shell_says("UnsetEnvironment=TEST_A TEST_B=3", "- 2 -"), 0);
	ck_assert_int_eq(shell_says("PassEnvironment=TEST_B TEST_C", "- 2 -"), 0);
	ck_assert_int_eq(shell_says("PassEnvironment=TEST_B\nPassEnvironment=", "1 2 -"), 0);
	ck_assert_int_eq(
		shell_says("PassEnvironment=TEST_B\nEnvironment=TEST_A=y TEST_B=z", "y z -"), 0);
}
END_TEST

/* What the caller has said the child gets is all there is: this process's is not looked at. */
START_TEST(variables_that_the_child_would_not_have_are_not_passed)
{
	static const char *const entries[] = {"TEST_A=1", "other", "TEST_A=2", NULL};

	setenv("TEST_B", "2", 1);
	for (int i = 0; i < 2; i++) {
		struct pal_profile *profile = profile_of("PassEnvironment=TEST_A TEST_B\n");
		struct pal_builder *builder = pal_builder_new("/bin/true");

		pal_builder_env_clear(builder);
		if (i == 0)
			pal_builder_env(builder, "TEST_A", "1");
		else
			pal_builder_env_verbatim(builder, entries);
		pal_builder_sandbox(builder, profile);
		ck_assert_str_eq(pal_builder_peek_env(builder, "TEST_A"), "1");
		ck_assert_ptr_null(pal_builder_peek_env(builder, "TEST_B"));
		ck_assert_int_eq(outcome_of_program(builder), 0);
		pal_builder_free(builder);
		pal_profile_free(profile);
	}
}
END_TEST

static Suite *make_suite(void)
{
	Suite *suite = suite_create("pal_profile/environment");
	TCase *environment = support_tcase(suite, "environment");

	tcase_add_loop_test(environment, the_environment_is_what_the_text_says, 0, USERS);
	tcase_add_test(environment, variables_that_the_child_would_not_have_are_not_passed);
	return suite;
}
SUPPORT_MAIN(make_suite)
