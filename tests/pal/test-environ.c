/* SPDX-License-Identifier: MIT */
#include <pal/environ-priv.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "support.h"

static char entries[][16] = {"HOME=/root", "A=1", "JUNK", "", "A=second", "=odd", "AB=2", "EMPTY="};
static char *const parent[] = {entries[0], entries[1], entries[2], entries[3], entries[4],
	entries[5], entries[6], entries[7], NULL};

/* The merged environment in one line; checked and freed. */
static void ck_assert_merged(struct pal__environ *env, char *const *from, const char *expected)
{
	char text[512] = "";
	char **merged;

	ck_assert_int_eq(pal__environ_merge(env, from, &merged), 0);
	for (char **entry = merged; *entry; entry++) {
		strcat(text, *entry);
		strcat(text, "|");
	}
	free(merged);
	pal__environ_free(env);
	ck_assert_str_eq(text, expected);
}

/* S35: entries without '=' neither crash nor shadow; of several of one name the last passes. */
START_TEST(without_changes_the_parent_s_passes_once_and_without_junk)
{
	struct pal__environ env = {0};

	ck_assert_merged(&env, parent, "=odd|A=second|AB=2|EMPTY=|HOME=/root|");
	ck_assert_merged(&env, NULL, "");
}
END_TEST

START_TEST(a_set_replaces_every_entry_of_that_name_and_no_other)
{
	struct pal__environ env = {0};

	ck_assert_int_eq(pal__environ_set(&env, "A", "new"), 0);
	ck_assert_int_eq(pal__environ_set(&env, "JUNK", "set"), 0);
	ck_assert_merged(&env, parent, "=odd|A=new|AB=2|EMPTY=|HOME=/root|JUNK=set|");
}
END_TEST

START_TEST(entries_without_a_name_are_no_variables_and_all_pass)
{
	static char odd[][8] = {"=a", "=b", "=a", "B=1", "BB=1", "B", "B=2"};
	char *const from[] = {odd[0], odd[1], odd[2], odd[3], odd[4], odd[5], odd[6], NULL};
	struct pal__environ env = {0};

	ck_assert_merged(&env, from, "=a|=b|=a|B=2|BB=1|");
}
END_TEST

START_TEST(the_last_change_of_a_name_wins)
{
	struct pal__environ env = {0};

	ck_assert_int_eq(pal__environ_set(&env, "A", "x"), 0);
	ck_assert_int_eq(pal__environ_set(&env, "A", "y=z"), 0);
	ck_assert_int_eq(pal__environ_set(&env, "HOME", "/"), 0);
	ck_assert_int_eq(pal__environ_remove(&env, "HOME"), 0);
	ck_assert_int_eq(pal__environ_remove(&env, "EMPTY"), 0);
	ck_assert_int_eq(pal__environ_set(&env, "EMPTY", ""), 0);
	ck_assert_merged(&env, parent, "=odd|A=y=z|AB=2|EMPTY=|");
}
END_TEST

/* S36 */
START_TEST(clear_forgets_the_parent_and_earlier_changes)
{
	struct pal__environ env = {0};

	ck_assert_int_eq(pal__environ_set(&env, "A", "x"), 0);
	pal__environ_clear(&env);
	ck_assert_int_eq(pal__environ_set(&env, "B", "1"), 0);
	ck_assert_int_eq(pal__environ_remove(&env, "C"), 0);
	ck_assert_merged(&env, parent, "B=1|");
}
END_TEST

/* S34 */
START_TEST(names_must_be_names)
{
	struct pal__environ env = {0};

	ck_assert_int_eq(pal__environ_set(&env, "", "x"), -EINVAL);
	ck_assert_int_eq(pal__environ_set(&env, "A=B", "x"), -EINVAL);
	ck_assert_int_eq(pal__environ_set(&env, NULL, "x"), -EINVAL);
	ck_assert_int_eq(pal__environ_set(&env, "A", NULL), -EINVAL);
	ck_assert_int_eq(pal__environ_remove(&env, "A="), -EINVAL);
	ck_assert_int_eq(pal__environ_remove(&env, ""), -EINVAL);
	ck_assert_merged(&env, NULL, "");
}
END_TEST

START_TEST(many_changes_come_sorted_by_name)
{
	struct pal__environ env = {0};
	char expected[512] = "", name[16];

	for (int i = 0; i < 40; i++) {
		snprintf(name, sizeof name, "N%02d", (i * 7) % 40);
		ck_assert_int_eq(pal__environ_set(&env, name, "v"), 0);
		snprintf(name, sizeof name, "N%02d", i);
		strcat(strcat(expected, name), "=v|");
	}
	ck_assert_merged(&env, NULL, expected);
}
END_TEST

START_TEST(verbatim_entries_are_everything)
{
	static const char *const first[] = {"A=0", NULL};
	static const char *const entries_[] = {"A=1", "junk", "", "A=2", NULL};
	struct pal__environ env = {0};

	ck_assert_int_eq(pal__environ_verbatim(&env, first), 0);
	ck_assert_int_eq(pal__environ_set(&env, "B", "1"), 0);
	pal__environ_clear(&env);
	ck_assert_int_eq(pal__environ_verbatim(&env, entries_), 0);
	ck_assert_merged(&env, parent, "A=1|junk||A=2|");
}
END_TEST

START_TEST(verbatim_entries_are_changed_where_they_are)
{
	static const char *const entries_[] = {
		"A", "AB=1", "A=1", "=x", "A=", "B=2", "A=3", "B=4", NULL};
	struct pal__environ env = {0};

	ck_assert_int_eq(pal__environ_verbatim(&env, entries_), 0);
	ck_assert_int_eq(pal__environ_set(&env, "A", "new"), 0);
	ck_assert_int_eq(pal__environ_remove(&env, "B"), 0);
	ck_assert_int_eq(pal__environ_remove(&env, "HOME"), 0);
	ck_assert_int_eq(pal__environ_set(&env, "C", "1"), 0);
	ck_assert_int_eq(pal__environ_set(&env, "C", "2"), 0);
	ck_assert_merged(&env, parent, "A|AB=1|A=new|=x|C=2|");
}
END_TEST

/* What is set here, by the whole name. */
START_TEST(a_value_can_be_looked_at)
{
	struct pal__environ env = {0};

	ck_assert_int_eq(pal__environ_set(&env, "AB", "1"), 0);
	ck_assert_ptr_null(pal__environ_peek(&env, "A"));
	ck_assert_str_eq(pal__environ_peek(&env, "AB"), "1");
	ck_assert_int_eq(pal__environ_remove(&env, "AB"), 0);
	ck_assert_ptr_null(pal__environ_peek(&env, "AB"));
	pal__environ_free(&env);
}
END_TEST

static Suite *make_suite(void)
{
	Suite *suite = suite_create("pal/environ");
	TCase *changes = support_tcase(suite, "changes");

	tcase_add_test(changes, without_changes_the_parent_s_passes_once_and_without_junk);
	tcase_add_test(changes, a_set_replaces_every_entry_of_that_name_and_no_other);
	tcase_add_test(changes, entries_without_a_name_are_no_variables_and_all_pass);
	tcase_add_test(changes, the_last_change_of_a_name_wins);
	tcase_add_test(changes, clear_forgets_the_parent_and_earlier_changes);
	tcase_add_test(changes, names_must_be_names);
	tcase_add_test(changes, many_changes_come_sorted_by_name);
	tcase_add_test(changes, verbatim_entries_are_everything);
	tcase_add_test(changes, verbatim_entries_are_changed_where_they_are);
	tcase_add_test(changes, a_value_can_be_looked_at);
	return suite;
}
SUPPORT_MAIN(make_suite)
