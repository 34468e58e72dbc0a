/* SPDX-License-Identifier: MIT */
#include <pal/pal.h>

#include <errno.h>
#include <grp.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <pal/ids-child-priv.h>
#include <pal/util-priv.h>

#include "sandboxed.h"

/* Ids under an inherited filter that makes a call succeed without making it. */

static void pretend(unsigned number)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, number, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog program = {.len = PAL_ARRAY_LENGTH(code), .filter = code};

	ck_assert_int_eq(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), 0);
	ck_assert_int_eq(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program), 0);
}

static struct pal_builder *as_nobody(bool vfork)
{
	struct pal_builder *builder = pal_builder_new("/bin/true");

	pal_builder_vfork(builder, vfork);
	pal_builder_uid(builder, NOBODY);
	pal_builder_gid(builder, NOBODY);
	return builder;
}

/* The child must not run, in either way to make it. */
static void refused(unsigned number, int stage)
{
	const gid_t two[] = {50, 51}, other[] = {51, 52};
	struct pal_builder *builder;

	become(USER_ROOT);
	ck_assert_int_eq(setgroups(2, two), 0);
	pretend(number);
	for (int kind = 0; kind < 4; kind++) {
		builder = as_nobody(kind & 1);
		if (kind & 2)
			pal_builder_groups(builder, other, 2);
		ck_assert_int_eq(refusal(builder, stage), -EPERM);
		pal_builder_free(builder);
	}
}

START_TEST(a_user_who_was_only_pretended_is_refused)
{
	refused(CALL_SETRESUID, PAL_STAGE_UID);
}
END_TEST

START_TEST(a_group_that_was_only_pretended_is_refused)
{
	refused(CALL_SETRESGID, PAL_STAGE_GID);
}
END_TEST

START_TEST(groups_that_were_only_pretended_are_refused)
{
	refused(CALL_SETGROUPS, PAL_STAGE_GROUPS);
}
END_TEST

static int wait_for(struct pal_child *child)
{
	struct pal_status status;

	need(pal_child_wait(child, PAL_DEADLINE_NONE, &status, NULL) >= 0);
	pal_child_free(child);
	return status.code;
}

/* grep: 0 if there is such a line. */
static int spawn_as_another(void *unused)
{
	struct pal_builder *builder = pal_builder_new("/bin/grep");
	struct pal_error error = {0};
	struct pal_child *child;

	(void)unused;
	need(status_number("CapAmb") != 0);
	pal_builder_args(builder, (const char *const[]){"-Eq", "Cap(Prm|Eff|Amb):.*[1-9a-f]",
					  "/proc/self/status", NULL});
	pal_builder_uid(builder, 1000);
	pal_builder_gid(builder, 1000);
	need(pal_builder_spawn(builder, &child, &error) >= 0);
	pal_builder_free(builder);
	return wait_for(child);
}

static int has_nothing(void *unused)
{
	(void)unused;
	need(status_number("CapPrm") == 0 && status_number("CapEff") == 0);
	return status_number("CapAmb") != 0;
}

static int fork_as_another(void *unused)
{
	struct pal_builder *builder = pal_builder_new(NULL);
	struct pal_error error = {0};
	struct pal_child *child;

	(void)unused;
	pal_builder_uid(builder, 1000);
	pal_builder_gid(builder, 1000);
	need(pal_fork(builder, has_nothing, NULL, &child, &error) >= 0);
	pal_builder_free(builder);
	return wait_for(child);
}

/* S74: the kernel takes them only from who was user 0. */
START_TEST(ambient_capabilities_do_not_stay_with_another_user)
{
	const uint64_t some = UINT64_C(1) << 6 | UINT64_C(1) << 7 | UINT64_C(1) << 10;
	struct pal_builder *builder;

	become(USER_ROOT);
	builder = pal_builder_new(NULL);
	pal_builder_uid(builder, NOBODY);
	pal_builder_gid(builder, NOBODY);
	pal_builder_capabilities(builder, &(struct pal_capabilities){some, some, some, some, some});
	ck_assert_int_eq(outcome(builder, spawn_as_another, NULL), 1);
	ck_assert_int_eq(outcome(builder, fork_as_another, NULL), 0);
	pal_builder_free(builder);
}
END_TEST

static Suite *make_suite(void)
{
	Suite *suite = suite_create("pal/ids-pretended");
	TCase *ids = support_tcase(suite, "ids");

	tcase_add_test(ids, a_user_who_was_only_pretended_is_refused);
	tcase_add_test(ids, a_group_that_was_only_pretended_is_refused);
	tcase_add_test(ids, groups_that_were_only_pretended_are_refused);
	tcase_add_test(ids, ambient_capabilities_do_not_stay_with_another_user);
	return suite;
}
SUPPORT_MAIN(make_suite)
