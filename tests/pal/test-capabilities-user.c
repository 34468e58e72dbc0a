/* SPDX-License-Identifier: MIT */
#include <pal/capabilities.h>

#include <errno.h>
#include <linux/capability.h>
#include <linux/securebits.h>
#include <sched.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <pal/process.h>
#include <pal/util-priv.h>

#include "sandboxed.h"

#define BIT(number) (UINT64_C(1) << (number))

static struct pal_builder *new_builder(const char *program)
{
	struct pal_builder *builder = pal_builder_new(program);

	ck_assert_ptr_nonnull(builder);
	return builder;
}

static int has_sets(void *expected)
{
	const struct pal_capabilities *sets = expected;

	need(status_number("CapBnd") == sets->bounding);
	need(status_number("CapPrm") == sets->permitted);
	need(status_number("CapEff") == sets->effective);
	need(status_number("CapInh") == sets->inheritable);
	need(status_number("CapAmb") == sets->ambient);
	return 0;
}

/* ---- together with a change of user ---- */

static int has_sets_as_nobody(void *expected)
{
	need(getuid() == NOBODY && geteuid() == NOBODY);
	need(prctl(PR_GET_KEEPCAPS) == 0);
	return has_sets(expected);
}

START_TEST(the_sets_are_as_asked_whatever_the_user) /* S74, S77 */
{
	const uint64_t one = BIT(CAP_NET_BIND_SERVICE), two = one | BIT(CAP_KILL);
	struct pal_capabilities sets[] = {
		PAL_CAPABILITIES_NONE, {one, two, one, one, one}, {0, two, 0, two, one}};

	become(USER_ROOT);
	for (size_t i = 0; i < PAL_ARRAY_LENGTH(sets); i++) {
		struct pal_builder *builder = new_builder(NULL);

		pal_builder_uid(builder, NOBODY);
		pal_builder_gid(builder, NOBODY);
		pal_builder_capabilities(builder, &sets[i]);
		ck_assert_int_eq(outcome(builder, has_sets_as_nobody, &sets[i]), 0);
		pal_builder_no_new_privs(builder, true);
		ck_assert_int_eq(outcome(builder, has_sets_as_nobody, &sets[i]), 0);
		pal_builder_free(builder);
	}
}
END_TEST

START_TEST(ambient_ones_reach_the_program_of_another_user) /* S75, S77 */
{
	const uint64_t one = BIT(CAP_NET_BIND_SERVICE);
	struct pal_builder *builder = new_builder("/bin/grep");

	become(USER_ROOT);
	pal_builder_vfork(builder, _i);
	pal_builder_uid(builder, NOBODY);
	pal_builder_gid(builder, NOBODY);
	pal_builder_args(builder, (const char *const[]){"-q", "CapEff:.0000000000000400$",
					  "/proc/self/status", NULL});
	ck_assert_int_eq(outcome_of_program(builder), 1);
	pal_builder_capabilities(builder, &(struct pal_capabilities){one, one, one, one, 0});
	ck_assert_int_eq(outcome_of_program(builder), 1);
	pal_builder_capabilities(builder, &(struct pal_capabilities){one, one, one, one, one});
	ck_assert_int_eq(outcome_of_program(builder), 0);
	pal_builder_free(builder);
}
END_TEST

static int has_none_permitted(void *unused)
{
	(void)unused;
	need(status_number("CapPrm") == 0 && status_number("CapEff") == 0);
	return 0;
}

static int has_all_permitted(void *expected)
{
	need(status_number("CapPrm") == *(unsigned long long *)expected);
	need(status_number("CapEff") == *(unsigned long long *)expected);
	need(prctl(PR_GET_KEEPCAPS) == 0);
	return 0;
}

START_TEST(what_is_permitted_stays_if_asked_to)
{
	struct pal_builder *builder = new_builder(NULL);
	unsigned long long permitted;

	become(USER_ROOT);
	permitted = status_number("CapPrm");
	pal_builder_uid(builder, NOBODY);
	ck_assert_int_eq(outcome(builder, has_none_permitted, NULL), 0);
	pal_builder_keep_capabilities(builder, true);
	ck_assert_int_eq(outcome(builder, has_all_permitted, &permitted), 0);
	pal_builder_keep_capabilities(builder, false);
	ck_assert_int_eq(outcome(builder, has_none_permitted, NULL), 0);
	pal_builder_free(builder);
}
END_TEST

START_TEST(ambient_ones_that_cannot_be_are_an_error_and_not_left_out)
{
	const uint64_t one = BIT(CAP_SETPCAP);
	const struct pal_capabilities sets[] = {{.ambient = one},
		{.ambient = one, .permitted = one}, {.ambient = one, .inheritable = one}};

	become(USER_ROOT);
	for (size_t i = 0; i < PAL_ARRAY_LENGTH(sets); i++) {
		struct pal_builder *builder = new_builder("/bin/true");

		pal_builder_securebits(
			builder, SECBIT_NOROOT); /* holds on to this one till the end */
		pal_builder_capabilities(builder, &sets[i]);
		ck_assert_int_eq(refusal(builder, PAL_STAGE_CAPABILITIES), -EPERM);
		pal_builder_free(builder);
	}
}
END_TEST

static int bounding_is_empty(void *unused)
{
	(void)unused;
	return status_number("CapBnd") == 0 ? 0 : 1;
}

/* A new user namespace gives its processes all of the bounding set back. */
START_TEST(a_bounding_set_that_grew_after_the_setter_is_dropped_all_the_same) /* S78 */
{
	struct pal_builder *builder = new_builder(NULL);

	become(USER_ROOT);
	for (int number = 0; number <= CAP_SETPCAP - 1; number++)
		ck_assert_int_eq(prctl(PR_CAPBSET_DROP, number), 0);
	pal_builder_capabilities(builder, &PAL_CAPABILITIES_NONE);
	if (unshare(CLONE_NEWUSER) < 0)
		support_skip("no user namespaces");
	ck_assert_int_eq(status_number("CapBnd") & 1, 1);
	ck_assert_int_eq(outcome(builder, bounding_is_empty, NULL), 0);
	pal_builder_free(builder);
}
END_TEST

/* ---- programs that would give more ---- */

START_TEST(a_set_user_id_program_gets_no_more_than_the_bounding_set) /* S76 */
{
	struct pal_builder *builder;
	char folder[64], program[80];
	const uint64_t one = BIT(CAP_CHOWN);

	become(USER_ROOT);
	make_folder(folder);
	snprintf(program, sizeof program, "%s/grep", folder);
	copy_file("/bin/grep", program, 04755);
	builder = new_builder(program);
	pal_builder_vfork(builder, _i);
	pal_builder_args(builder, (const char *const[]){"-q", "CapPrm:.0000000000000001$",
					  "/proc/self/status", NULL});
	pal_builder_uid(builder, NOBODY);
	pal_builder_gid(builder, NOBODY);
	ck_assert_int_eq(outcome_of_program(builder), 1);
	pal_builder_capabilities(builder, &(struct pal_capabilities){.bounding = one});
	ck_assert_int_eq(outcome_of_program(builder), 0);
	pal_builder_free(builder);
	remove_folder(folder);
}
END_TEST

/* ---- securebits ---- */

static int has_securebits(void *expected)
{
	need(prctl(PR_GET_SECUREBITS) == *(int *)expected);
	need(status_number("CapPrm") == 0);
	return 0;
}

START_TEST(securebits_need_a_capability_only_until_they_are_set)
{
	struct pal_builder *builder = new_builder(NULL);
	int bits = SECBIT_NOROOT | SECBIT_NOROOT_LOCKED | SECBIT_NO_CAP_AMBIENT_RAISE;

	become(USER_ROOT);
	pal_builder_uid(builder, _i ? NOBODY : 0);
	pal_builder_capabilities(builder, &PAL_CAPABILITIES_NONE);
	pal_builder_securebits(builder, (unsigned)bits);
	ck_assert_int_eq(outcome(builder, has_securebits, &bits), 0);
	pal_builder_free(builder);
}
END_TEST

START_TEST(securebits_keep_root_from_getting_capabilities_by_exec)
{
	struct pal_builder *builder = new_builder("/bin/grep");

	become(USER_ROOT);
	pal_builder_vfork(builder, _i);
	pal_builder_args(builder, (const char *const[]){"-q", "CapEff:.0000000000000000$",
					  "/proc/self/status", NULL});
	ck_assert_int_eq(outcome_of_program(builder), 1);
	pal_builder_securebits(builder, SECBIT_NOROOT);
	ck_assert_int_eq(outcome_of_program(builder), 0);
	pal_builder_free(builder);
}
END_TEST

START_TEST(securebits_may_forbid_the_ambient_set_that_was_asked_for_before)
{
	const uint64_t one = BIT(CAP_NET_BIND_SERVICE);
	struct pal_capabilities sets = {one, one, one, one, one};
	struct pal_builder *builder = new_builder(NULL);

	become(USER_ROOT);
	pal_builder_capabilities(builder, &sets);
	pal_builder_securebits(builder, SECBIT_NO_CAP_AMBIENT_RAISE);
	ck_assert_int_eq(outcome(builder, has_sets, &sets), 0);
	pal_builder_free(builder);
}
END_TEST

START_TEST(securebits_without_the_capability_fail_the_spawn)
{
	struct pal_builder *builder = new_builder("/bin/true");

	become(USER_NOBODY);
	pal_builder_no_new_privs(builder, true);
	pal_builder_securebits(builder, SECBIT_NOROOT);
	ck_assert_int_eq(refusal(builder, PAL_STAGE_CAPABILITIES), -EPERM);
	pal_builder_free(builder);
}
END_TEST

static Suite *make_suite(void)
{
	Suite *suite = suite_create("pal/capabilities-user");
	TCase *users = support_tcase(suite, "users");
	TCase *securebits = support_tcase(suite, "securebits");

	tcase_add_test(users, the_sets_are_as_asked_whatever_the_user);
	tcase_add_loop_test(users, ambient_ones_reach_the_program_of_another_user, 0, 2);
	tcase_add_test(users, what_is_permitted_stays_if_asked_to);
	tcase_add_test(users, ambient_ones_that_cannot_be_are_an_error_and_not_left_out);
	tcase_add_test(users, a_bounding_set_that_grew_after_the_setter_is_dropped_all_the_same);
	tcase_add_loop_test(users, a_set_user_id_program_gets_no_more_than_the_bounding_set, 0, 2);
	tcase_add_loop_test(securebits, securebits_need_a_capability_only_until_they_are_set, 0, 2);
	tcase_add_loop_test(
		securebits, securebits_keep_root_from_getting_capabilities_by_exec, 0, 2);
	tcase_add_test(securebits, securebits_may_forbid_the_ambient_set_that_was_asked_for_before);
	tcase_add_test(securebits, securebits_without_the_capability_fail_the_spawn);
	return suite;
}
SUPPORT_MAIN(make_suite)
