/* SPDX-License-Identifier: MIT */
#include <pal/capabilities.h>

#include <errno.h>
#include <grp.h>
#include <linux/capability.h>
#include <sys/capability.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <pal/builder.h>
#include <pal/util-priv.h>

#include "sandboxed.h"

#define BIT(number) (UINT64_C(1) << (number))

static struct pal_builder *new_builder(const char *program)
{
	struct pal_builder *builder = pal_builder_new(program);

	ck_assert_ptr_nonnull(builder);
	return builder;
}

/* A process with capabilities that is not root, as file capabilities make one. */
static void become_nobody_with(uint64_t capabilities)
{
	struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct data[2] = {
		{(uint32_t)capabilities, (uint32_t)capabilities, 0}};

	ck_assert_int_eq(prctl(PR_SET_KEEPCAPS, 1), 0);
	ck_assert_int_eq(setgroups(0, NULL), 0);
	ck_assert_int_eq(setresgid(NOBODY, NOBODY, NOBODY), 0);
	ck_assert_int_eq(setresuid(NOBODY, NOBODY, NOBODY), 0);
	ck_assert_int_eq(syscall(SYS_capset, &header, data), 0);
	ck_assert_int_eq(prctl(PR_SET_DUMPABLE, 1), 0);
}

/* ---- the sets ---- */

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

START_TEST(a_privileged_port_is_refused_without_capabilities)
{
	struct pal_builder *builder = new_builder(NULL);

	become(USER_ROOT);
	ck_assert_int_eq(outcome(builder, attempt_bind_privileged_port, NULL), 0);
	pal_builder_capabilities(builder, &PAL_CAPABILITIES_NONE);
	ck_assert_int_eq(outcome(builder, attempt_bind_privileged_port, NULL), EACCES);
	ck_assert_int_eq(outcome(NULL, attempt_bind_privileged_port, NULL), 0);
	pal_builder_free(builder);
}
END_TEST

START_TEST(no_capabilities_means_that_all_five_sets_are_empty) /* S76 */
{
	struct pal_builder *builder = new_builder(NULL);
	struct pal_capabilities expected = PAL_CAPABILITIES_NONE;

	become(_i);
	pal_builder_capabilities(builder, &PAL_CAPABILITIES_NONE);
	pal_builder_no_new_privs(builder, true);
	if (_i == USER_NOBODY) /* moot, see the test of the set-user-ID program */
		expected.bounding = status_number("CapBnd");
	ck_assert_int_eq(outcome(builder, has_sets, &expected), 0);
	pal_builder_free(builder);
}
END_TEST

START_TEST(a_bounding_set_that_cannot_be_dropped_fails_the_spawn_without_no_new_privs)
{
	struct pal_builder *builder = new_builder("/bin/true");

	become(USER_NOBODY);
	pal_builder_capabilities(builder, &PAL_CAPABILITIES_NONE);
	ck_assert_int_eq(refusal(builder, PAL_STAGE_CAPABILITIES), -EPERM);
	pal_builder_no_new_privs(builder, true);
	ck_assert_int_eq(outcome_of_program(builder), 0);
	pal_builder_free(builder);
}
END_TEST

START_TEST(a_capability_that_this_process_does_not_have_cannot_be_given)
{
	struct pal_builder *builder = new_builder("/bin/true");
	struct pal_capabilities sets = {.permitted = BIT(CAP_CHOWN)};

	become(USER_NOBODY);
	pal_builder_no_new_privs(builder, true);
	pal_builder_capabilities(builder, &sets);
	ck_assert_int_eq(refusal(builder, PAL_STAGE_CAPABILITIES), -EPERM);
	sets = (struct pal_capabilities){.inheritable = BIT(CAP_CHOWN)};
	pal_builder_capabilities(builder, &sets);
	ck_assert_int_eq(refusal(builder, PAL_STAGE_CAPABILITIES), -EPERM);
	sets = (struct pal_capabilities){.ambient = BIT(CAP_CHOWN)};
	pal_builder_capabilities(builder, &sets);
	ck_assert_int_eq(refusal(builder, PAL_STAGE_CAPABILITIES), -EPERM);
	pal_builder_free(builder);
}
END_TEST

START_TEST(ambient_and_inheritable_ones_may_be_outside_of_the_bounding_set) /* S75 */
{
	const uint64_t one = BIT(CAP_NET_BIND_SERVICE);
	struct pal_capabilities sets = {0, one, one, one, one};
	struct pal_builder *builder = new_builder(NULL);

	become(USER_ROOT);
	pal_builder_capabilities(builder, &sets);
	ck_assert_int_eq(outcome(builder, has_sets, &sets), 0);
	ck_assert_int_eq(outcome(builder, attempt_bind_privileged_port, NULL), 0);
	pal_builder_free(builder);
}
END_TEST

START_TEST(an_ambient_capability_reaches_a_program_of_an_unprivileged_user) /* S75, S77 */
{
	const uint64_t one = BIT(CAP_NET_BIND_SERVICE);
	struct pal_builder *builder = new_builder("/bin/grep");

	become(USER_ROOT);
	become_nobody_with(one | BIT(CAP_SETPCAP));
	pal_builder_args(builder, (const char *const[]){"-q", "CapEff:.0000000000000400$",
					  "/proc/self/status", NULL});
	pal_builder_capabilities(builder, &(struct pal_capabilities){one, one, one, one, 0});
	ck_assert_int_eq(outcome_of_program(builder), 1);
	pal_builder_capabilities(builder, &(struct pal_capabilities){one, one, one, one, one});
	ck_assert_int_eq(outcome_of_program(builder), 0);
	pal_builder_free(builder);
}
END_TEST

START_TEST(capabilities_above_the_last_one_of_the_kernel_are_ignored) /* S78 */
{
	struct pal_builder *builder = new_builder(NULL);
	struct pal_capabilities sets, expected;

	become(USER_ROOT);
	expected = (struct pal_capabilities){
		.bounding = status_number("CapBnd"),
		.permitted = status_number("CapPrm"),
		.effective = status_number("CapEff"),
	};
	ck_assert_int_eq(expected.permitted >> 60, 0);
	sets = expected;
	sets.bounding = UINT64_MAX;
	sets.permitted |= UINT64_C(0xf) << 60;
	sets.effective |= UINT64_C(0xf) << 60;
	sets.inheritable = sets.ambient = UINT64_C(0xf) << 60;
	pal_builder_capabilities(builder, &sets);
	ck_assert_int_eq(outcome(builder, has_sets, &expected), 0);
	pal_builder_free(builder);
}
END_TEST

START_TEST(exec_gives_root_what_the_bounding_set_allows_and_no_more)
{
	struct pal_builder *builder = new_builder("/bin/grep");
	struct pal_capabilities sets = {.bounding = BIT(CAP_CHOWN)};

	become(USER_ROOT);
	pal_builder_args(builder, (const char *const[]){"-q", "CapPrm:.0000000000000000$",
					  "/proc/self/status", NULL});
	pal_builder_capabilities(builder, &sets);
	ck_assert_int_eq(outcome_of_program(builder), 1);
	pal_builder_no_new_privs(builder, true);
	ck_assert_int_eq(outcome_of_program(builder), 0);
	pal_builder_no_new_privs(builder, false);
	pal_builder_capabilities(builder, &PAL_CAPABILITIES_NONE);
	ck_assert_int_eq(outcome_of_program(builder), 0);
	pal_builder_free(builder);
}
END_TEST

START_TEST(the_parent_keeps_its_own)
{
	struct pal_builder *builder = new_builder("/bin/true");
	unsigned long long permitted, bounding;

	become(_i);
	permitted = status_number("CapPrm");
	bounding = status_number("CapBnd");
	pal_builder_capabilities(builder, &PAL_CAPABILITIES_NONE);
	pal_builder_no_new_privs(builder, true);
	ck_assert_int_eq(outcome_of_program(builder), 0);
	pal_builder_vfork(builder, false);
	ck_assert_int_eq(outcome_of_program(builder), 0);
	ck_assert_uint_eq(status_number("CapPrm"), permitted);
	ck_assert_uint_eq(status_number("CapBnd"), bounding);
	ck_assert_uint_eq(status_number("NoNewPrivs"), 0);
	pal_builder_free(builder);
}
END_TEST

START_TEST(names_are_those_of_libcap)
{
	ck_assert_uint_eq(pal_capability_from_name("net_bind_service"), BIT(CAP_NET_BIND_SERVICE));
	ck_assert_uint_eq(pal_capability_from_name("cap_sys_admin"), BIT(CAP_SYS_ADMIN));
	ck_assert_uint_eq(pal_capability_from_name("CAP_CHOWN"), BIT(CAP_CHOWN));
	ck_assert_uint_eq(pal_capability_from_name("checkpoint_restore"), BIT(40));
	ck_assert_uint_eq(pal_capability_from_name("cap_"), 0);
	ck_assert_uint_eq(pal_capability_from_name(""), 0);
	ck_assert_uint_eq(pal_capability_from_name("12"), 0);
	ck_assert_uint_eq(pal_capability_from_name("cap_12"), 0);
	ck_assert_uint_eq(pal_capability_from_name("chown,setuid"), 0);
	ck_assert_uint_eq(pal_capability_from_name("cap_cap_chown"), 0);
	ck_assert_uint_eq(pal_capability_from_name(
				  "a name that is longer than any capability's name will ever be"),
		0);
	ck_assert_uint_eq(pal_capability_from_name(NULL), 0);
}
END_TEST

/* ---- names ---- */

START_TEST(every_number_has_the_name_that_libcap_has)
{
	for (unsigned number = 0; number < 64; number++) {
		char *theirs = cap_to_name((cap_value_t)number);
		const char *ours = pal_capability_name(number);

		if (ours) {
			ck_assert_str_eq(ours, theirs);
			ck_assert_uint_eq(pal_capability_from_name(ours), BIT(number));
		}
		cap_free(theirs);
	}
	ck_assert_str_eq(pal_capability_name(0), "cap_chown");
	ck_assert_str_eq(pal_capability_name(CAP_CHECKPOINT_RESTORE), "cap_checkpoint_restore");
	ck_assert_ptr_null(pal_capability_name(64));
}
END_TEST

START_TEST(lists_name_masks)
{
	static const struct {
		const char *list;
		uint64_t mask;
	} lists[] = {
		{"", 0},
		{"  ", 0},
		{"cap_chown", BIT(CAP_CHOWN)},
		{"CAP_CHOWN CAP_KILL", BIT(CAP_CHOWN) | BIT(CAP_KILL)},
		{" chown,kill\t, setuid ", BIT(CAP_CHOWN) | BIT(CAP_KILL) | BIT(CAP_SETUID)},
		{"chown chown", BIT(CAP_CHOWN)},
		{"~", UINT64_MAX},
		{"~cap_sys_admin", ~BIT(CAP_SYS_ADMIN)},
		{" ~ cap_sys_admin kill", ~(BIT(CAP_SYS_ADMIN) | BIT(CAP_KILL))},
	};
	static const char *const bad[] = {"cap_none", "chown none", "chown;kill", "chown ~kill",
		"~~chown", "0",
		"a_name_that_is_longer_than_any_name_of_a_capability_will_ever_be_x"};
	uint64_t mask;

	for (size_t i = 0; i < PAL_ARRAY_LENGTH(lists); i++) {
		mask = 7;
		ck_assert_int_eq(pal_capabilities_parse(lists[i].list, &mask), 0);
		ck_assert_uint_eq(mask, lists[i].mask);
	}
	for (size_t i = 0; i < PAL_ARRAY_LENGTH(bad); i++) {
		mask = 7;
		ck_assert_int_eq(pal_capabilities_parse(bad[i], &mask), -EINVAL);
		ck_assert_uint_eq(mask, 7);
	}
	ck_assert_int_eq(pal_capabilities_parse(NULL, &mask), -EINVAL);
	ck_assert_int_eq(pal_capabilities_parse("chown", NULL), -EINVAL);
}
END_TEST

START_TEST(no_builder_is_no_crash)
{
	pal_builder_capabilities(NULL, &PAL_CAPABILITIES_NONE);
	pal_builder_capabilities_of_root(NULL, &PAL_CAPABILITIES_NONE);
	pal_builder_keep_capabilities(NULL, true);
	pal_builder_securebits(NULL, 0);
}
END_TEST

static Suite *make_suite(void)
{
	Suite *suite = suite_create("pal/capabilities");
	TCase *capabilities = support_tcase(suite, "sets");
	TCase *names = support_tcase(suite, "names");

	tcase_add_test(capabilities, a_privileged_port_is_refused_without_capabilities);
	tcase_add_loop_test(
		capabilities, no_capabilities_means_that_all_five_sets_are_empty, 0, USERS);
	tcase_add_test(capabilities,
		a_bounding_set_that_cannot_be_dropped_fails_the_spawn_without_no_new_privs);
	tcase_add_test(capabilities, a_capability_that_this_process_does_not_have_cannot_be_given);
	tcase_add_test(
		capabilities, ambient_and_inheritable_ones_may_be_outside_of_the_bounding_set);
	tcase_add_test(
		capabilities, an_ambient_capability_reaches_a_program_of_an_unprivileged_user);
	tcase_add_test(capabilities, capabilities_above_the_last_one_of_the_kernel_are_ignored);
	tcase_add_test(capabilities, exec_gives_root_what_the_bounding_set_allows_and_no_more);
	tcase_add_loop_test(capabilities, the_parent_keeps_its_own, 0, USERS);
	tcase_add_test(capabilities, names_are_those_of_libcap);
	tcase_add_test(names, every_number_has_the_name_that_libcap_has);
	tcase_add_test(names, lists_name_masks);
	tcase_add_test(names, no_builder_is_no_crash);
	return suite;
}
SUPPORT_MAIN(make_suite)
