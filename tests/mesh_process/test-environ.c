/* SPDX-License-Identifier: MIT */
#include <mesh_process/mesh_process-priv.h>

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "support.h"

/* An environment of our own, whose strings can be looked at afterwards. */
static char strings[6][32];
static char *block[7];

static void use_environment(const char *const *entries)
{
	size_t count = 0;

	for (; entries[count]; count++)
		block[count] = strcpy(strings[count], entries[count]);
	block[count] = NULL;
	environ = block;
}
#define USE_ENVIRONMENT(...) use_environment((const char *const[]){__VA_ARGS__, NULL})

START_TEST(a_variable_is_taken_out_and_wiped)
{
	char *value;

	USE_ENVIRONMENT("A=1", "TICKET=secret", "B=2");
	ck_assert_int_eq(mesh_process__environ_take("TICKET", &value), 0);
	ck_assert_str_eq(value, "secret");
	free(value);
	ck_assert_ptr_null(getenv("TICKET"));
	ck_assert_str_eq(environ[0], "A=1");
	ck_assert_str_eq(environ[1], "B=2");
	ck_assert_ptr_null(environ[2]);
	for (size_t i = 0; i < strlen("TICKET=secret"); i++)
		ck_assert_int_eq(strings[1][i], 0);
}
END_TEST

START_TEST(every_copy_of_it_goes_and_the_first_counts)
{
	char *value;

	USE_ENVIRONMENT("TICKET=first", "A=1", "TICKET=second", "TICKET=");
	ck_assert_int_eq(mesh_process__environ_take("TICKET", &value), 0);
	ck_assert_str_eq(value, "first");
	free(value);
	ck_assert_str_eq(environ[0], "A=1");
	ck_assert_ptr_null(environ[1]);
	ck_assert_str_eq(strings[2], "");
	ck_assert_str_eq(strings[3], "");
}
END_TEST

START_TEST(names_that_only_begin_alike_stay)
{
	char *value;

	USE_ENVIRONMENT("TICKET2=x", "TICKE=x", "TICKET");
	ck_assert_int_eq(mesh_process__environ_take("TICKET", &value), 0);
	ck_assert_ptr_null(value);
	ck_assert_str_eq(environ[0], "TICKET2=x");
	ck_assert_str_eq(environ[1], "TICKE=x");
	ck_assert_str_eq(environ[2], "TICKET");
}
END_TEST

START_TEST(an_empty_value_is_a_value)
{
	char *value;

	USE_ENVIRONMENT("TICKET=");
	ck_assert_int_eq(mesh_process__environ_take("TICKET", &value), 0);
	ck_assert_str_eq(value, "");
	free(value);
}
END_TEST

START_TEST(no_environment_at_all_is_an_empty_one)
{
	char *value;

	environ = NULL;
	ck_assert_int_eq(mesh_process__environ_take("TICKET", &value), 0);
	ck_assert_ptr_null(value);
}
END_TEST

static Suite *make_suite(void)
{
	Suite *suite = suite_create("mesh_process/environ");
	TCase *take = support_tcase(suite, "take");

	tcase_add_test(take, a_variable_is_taken_out_and_wiped);
	tcase_add_test(take, every_copy_of_it_goes_and_the_first_counts);
	tcase_add_test(take, names_that_only_begin_alike_stay);
	tcase_add_test(take, an_empty_value_is_a_value);
	tcase_add_test(take, no_environment_at_all_is_an_empty_one);
	return suite;
}
SUPPORT_MAIN(make_suite)
