/* SPDX-License-Identifier: MIT */
#include <pal/process.h>

#include <errno.h>
#include <limits.h>
#include <linux/capability.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <pal/builder-priv.h>
#include <pal/sandbox.h>
#include <pal/steps.h>

#include "process-support.h"
#include "spawn-support.h"
#include "support.h"

/* User, group, supplementary groups. All of it needs root, and what a child that is not may not do. */

#define ALL_NOBODY "65534 65534 65534 65534"
#define ALL_ROOT "0 0 0 0"

static const char *uid_line(const char *text)
{
	return process_line(text, "Uid");
}

/* S74 */
START_TEST(user_and_group_are_real_effective_and_saved_ones)
{
	struct pal_builder *builder = process_builder(_i);
	const char *text;

	pal_builder_uid(builder, NOBODY);
	pal_builder_gid(builder, NOBODY - 1);
	text = process_text(builder, _i);
	ck_assert_str_eq(uid_line(text), ALL_NOBODY);
	ck_assert_str_eq(process_line(text, "Gid"), "65533 65533 65533 65533");
	ck_assert_str_eq(process_line(text, "CapPrm"), "0000000000000000");
}
END_TEST

/* S72: CVE-2021-41617 */
START_TEST(another_user_has_no_supplementary_groups)
{
	struct pal_builder *builder = process_builder(_i);

	pal_builder_uid(builder, NOBODY);
	ck_assert_str_eq(process_line(process_text(builder, _i), "Groups"), "");
}
END_TEST

START_TEST(another_user_has_exactly_the_groups_that_were_given)
{
	struct pal_builder *builder = process_builder(_i);
	gid_t groups[] = {100, 20000};

	pal_builder_uid(builder, NOBODY);
	pal_builder_groups(builder, groups, 2);
	groups[0] = 5; /* it is a copy */
	ck_assert_str_eq(process_line(process_text(builder, _i), "Groups"), "100 20000");
}
END_TEST

START_TEST(groups_can_be_kept)
{
	struct pal_builder *builder = process_builder(_i);

	pal_builder_uid(builder, NOBODY);
	pal_builder_groups(builder, NULL, 0);
	pal_builder_keep_groups(builder);
	ck_assert_str_eq(process_line(process_text(builder, _i), "Groups"), "7 8 9");
}
END_TEST

START_TEST(groups_can_be_dropped_without_another_user)
{
	struct pal_builder *builder = process_builder(_i);

	pal_builder_groups(builder, NULL, 0);
	ck_assert_str_eq(process_line(process_text(builder, _i), "Groups"), "");
}
END_TEST

/* S74 */
START_TEST(the_same_user_or_another_group_alone_keep_the_groups)
{
	struct pal_builder *builder = process_builder(_i);
	const char *text;

	pal_builder_uid(builder, getuid());
	ck_assert_str_eq(process_line(process_text(builder, _i), "Groups"), "7 8 9");
	builder = process_builder(_i);
	pal_builder_gid(builder, NOBODY);
	text = process_text(builder, _i);
	ck_assert_str_eq(process_line(text, "Groups"), "7 8 9");
	ck_assert_str_eq(uid_line(text), ALL_ROOT);
	ck_assert_str_eq(process_line(text, "Gid"), ALL_NOBODY);
}
END_TEST

START_TEST(the_most_groups_that_there_can_be)
{
	gid_t *groups = calloc(NGROUPS_MAX + 1, sizeof *groups);
	struct pal_builder *builder = process_builder(_i);

	for (int i = 0; i <= NGROUPS_MAX; i++)
		groups[i] = (gid_t)i;
	pal_builder_groups(builder, groups, NGROUPS_MAX + 1);
	assert_refused(builder, _i, -EINVAL, PAL_STAGE_ARGUMENT, 0);
	builder = pal_builder_new("/bin/true");
	pal_builder_vfork(builder, _i == KIND_VFORK);
	pal_builder_groups(builder, groups, NGROUPS_MAX);
	ck_assert_int_eq(wait_take(spawn_take(builder)).code, 0);
	free(groups);
}
END_TEST

/* ---- what is not permitted ---- */

/* S73: the program does not run with the old ids. */
static void ask_for_too_much(int kind)
{
	struct pal_builder *builder = process_builder(kind);

	pal_builder_uid(builder, 0);
	assert_refused(builder, kind, -EPERM, PAL_STAGE_GROUPS, 0);
	builder = process_builder(kind);
	pal_builder_uid(builder, 0);
	pal_builder_keep_groups(builder);
	assert_refused(builder, kind, -EPERM, PAL_STAGE_UID, 0);
	builder = process_builder(kind);
	pal_builder_gid(builder, 0);
	assert_refused(builder, kind, -EPERM, PAL_STAGE_GID, 0);
	builder = process_builder(kind);
	pal_builder_groups(builder, &(gid_t){7}, 1);
	assert_refused(builder, kind, -EPERM, PAL_STAGE_GROUPS, 0);
	/* what it is already needs no right */
	builder = process_builder(kind);
	pal_builder_uid(builder, NOBODY);
	pal_builder_gid(builder, NOBODY);
	ck_assert_str_eq(uid_line(process_text(builder, kind)), ALL_NOBODY);
}

START_TEST(without_the_right_the_child_fails)
{
	run_as(NOBODY, ask_for_too_much, _i);
}
END_TEST

START_TEST(a_user_with_too_many_processes_fails_at_exec)
{
	struct pal_builder *builder = process_builder(_i), *first = pal_builder_new("/bin/cat");
	struct pal_child *child;

	pal_builder_stdin(first, PAL_STDIO_PIPE);
	pal_builder_uid(first, NOBODY);
	child = spawn_take(first);
	pal_builder_uid(builder, NOBODY);
	pal_builder_rlimit(builder, RLIMIT_NPROC, 0, 0);
	assert_refused(builder, _i, -EAGAIN, PAL_STAGE_EXEC, 0);
	pal_child_free(child);
}
END_TEST

/* S42 */
START_TEST(the_folder_is_entered_as_the_new_user)
{
	char folder[] = "/tmp/procmesh-ids-XXXXXX";
	struct pal_builder *builder = process_builder(_i);

	ck_assert_ptr_nonnull(mkdtemp(folder));
	pal_builder_uid(builder, NOBODY);
	pal_builder_cwd(builder, folder);
	assert_refused(builder, _i, -EACCES, PAL_STAGE_CHDIR, 0);
	builder = process_builder(_i);
	pal_builder_cwd(builder, folder);
	ck_assert_str_eq(uid_line(process_text(builder, _i)), ALL_ROOT);
	ck_assert_int_eq(rmdir(folder), 0);
}
END_TEST

/* By number: libc's calls would look for threads, of which a sanitizer may have one. */
static int regain(void *arg)
{
	(void)arg;
	if (syscall(SYS_setresuid, -1, 0, -1) == 0 || errno != EPERM)
		return 1;
	if (syscall(SYS_setresgid, -1, 0, -1) == 0 || errno != EPERM)
		return 2;
	return 0;
}

static int outcome_of(struct pal_builder *builder, int (*fn)(void *arg))
{
	struct pal_error error = {0};
	struct pal_child *child;

	ck_assert_ok(pal_fork(builder, fn, NULL, &child, &error), &error);
	pal_builder_free(builder);
	return wait_take(child).code;
}

/* S74 */
START_TEST(there_is_no_way_back)
{
	struct pal_builder *builder = pal_builder_new(NULL);

	pal_builder_uid(builder, NOBODY);
	pal_builder_gid(builder, NOBODY);
	ck_assert_int_eq(outcome_of(builder, regain), 0);
}
END_TEST

/* ---- with capabilities, which another user would lose ---- */

/* S77 */
START_TEST(another_user_can_have_capabilities)
{
	const uint64_t one = UINT64_C(1) << CAP_NET_BIND_SERVICE;
	const struct pal_capabilities sets = {one, one, one, one, one};
	struct pal_builder *builder = process_builder(_i);
	const char *text;

	pal_builder_uid(builder, NOBODY);
	pal_builder_capabilities(builder, &sets);
	text = process_text(builder, _i);
	ck_assert_str_eq(uid_line(text), ALL_NOBODY);
	ck_assert_str_eq(process_line(text, "CapPrm"), "0000000000000400");
	ck_assert_str_eq(process_line(text, "CapEff"), "0000000000000400");
	ck_assert_str_eq(process_line(text, "CapAmb"), "0000000000000400");
	ck_assert_str_eq(process_line(text, "CapBnd"), "0000000000000400");
}
END_TEST

START_TEST(another_user_can_be_without_any_for_good)
{
	struct pal_builder *builder = process_builder(_i);
	const char *text;

	pal_builder_uid(builder, NOBODY);
	pal_builder_capabilities(builder, &PAL_CAPABILITIES_NONE);
	text = process_text(builder, _i);
	ck_assert_str_eq(process_line(text, "CapPrm"), "0000000000000000");
	ck_assert_str_eq(process_line(text, "CapBnd"), "0000000000000000");
}
END_TEST

/* What is kept for the sandbox is of no use on the way there, and not kept any longer. */
static int keeps_capabilities(void *arg)
{
	(void)arg;
	return prctl(PR_GET_KEEPCAPS);
}

START_TEST(what_is_kept_of_capabilities_cannot_be_used_before)
{
	struct pal_builder *builder = process_builder(_i);
	char folder[] = "/tmp/procmesh-ids-XXXXXX";

	ck_assert_ptr_nonnull(mkdtemp(folder));
	pal_builder_uid(builder, NOBODY);
	pal_builder_capabilities(builder, &PAL_CAPABILITIES_NONE);
	pal_builder_cwd(builder, folder);
	assert_refused(builder, _i, -EACCES, PAL_STAGE_CHDIR, 0);
	ck_assert_int_eq(rmdir(folder), 0);
	builder = pal_builder_new(NULL);
	pal_builder_uid(builder, NOBODY);
	pal_builder_capabilities(builder, &PAL_CAPABILITIES_NONE);
	ck_assert_int_eq(outcome_of(builder, keeps_capabilities), 0);
}
END_TEST

/* ---- set-user-ID parents ---- */

static void reset_as_set_user_id(int kind)
{
	struct pal_builder *builder;
	const char *text;

	ck_assert_int_eq(setresgid(NOBODY, 0, 0), 0);
	ck_assert_int_eq(setresuid(NOBODY, 0, 0), 0);
	text = process_text(process_builder(kind), kind);
	ck_assert_str_eq(uid_line(text), "65534 0 0 0");
	builder = process_builder(kind);
	pal_builder_reset_ids(builder, true);
	text = process_text(builder, kind);
	ck_assert_str_eq(uid_line(text), ALL_NOBODY);
	ck_assert_str_eq(process_line(text, "Gid"), ALL_NOBODY);
	/* what is asked for by number counts more */
	builder = process_builder(kind);
	pal_builder_reset_ids(builder, true);
	pal_builder_uid(builder, NOBODY - 1);
	text = process_text(builder, kind);
	ck_assert_str_eq(uid_line(text), "65533 65533 65533 65533");
	ck_assert_str_eq(process_line(text, "Gid"), ALL_NOBODY);
}

START_TEST(ids_can_be_reset_to_the_real_ones)
{
	run_as(0, reset_as_set_user_id, _i);
}
END_TEST

static void regain_after_reset(int arg)
{
	struct pal_builder *builder = pal_builder_new(NULL);

	(void)arg;
	ck_assert_int_eq(setresgid(NOBODY, 0, 0), 0);
	ck_assert_int_eq(setresuid(NOBODY, 0, 0), 0);
	pal_builder_reset_ids(builder, true);
	ck_assert_int_eq(outcome_of(builder, regain), 0);
}

START_TEST(there_is_no_way_back_from_a_reset)
{
	run_as(0, regain_after_reset, 0);
}
END_TEST

/* A parent-death signal is set after the change of user, which clears it. */
static int show_death_signal(void *arg)
{
	int signal = 0;

	(void)arg;
	return prctl(PR_GET_PDEATHSIG, &signal) < 0 ? 255 : signal;
}

START_TEST(the_parent_death_signal_outlives_the_change_of_user)
{
	struct pal_builder *builder = pal_builder_new(NULL);

	pal_builder_uid(builder, NOBODY);
	pal_builder_parent_death(builder, SIGTERM);
	ck_assert_int_eq(outcome_of(builder, show_death_signal), SIGTERM);
}
END_TEST

static Suite *make_suite(void)
{
	Suite *suite = suite_create("pal/ids");
	TCase *user = support_tcase(suite, "user");

	tcase_add_checked_fixture(user, process_need_root, NULL);
	tcase_add_loop_test(user, user_and_group_are_real_effective_and_saved_ones, 0, KINDS);
	tcase_add_loop_test(user, another_user_has_no_supplementary_groups, 0, KINDS);
	tcase_add_loop_test(user, another_user_has_exactly_the_groups_that_were_given, 0, KINDS);
	tcase_add_loop_test(user, groups_can_be_kept, 0, KINDS);
	tcase_add_loop_test(user, groups_can_be_dropped_without_another_user, 0, KINDS);
	tcase_add_loop_test(user, the_same_user_or_another_group_alone_keep_the_groups, 0, KINDS);
	tcase_add_loop_test(user, the_most_groups_that_there_can_be, 0, MODES);
	tcase_add_loop_test(user, without_the_right_the_child_fails, 0, KINDS);
	tcase_add_loop_test(user, a_user_with_too_many_processes_fails_at_exec, 0, MODES);
	tcase_add_loop_test(user, the_folder_is_entered_as_the_new_user, 0, KINDS);
	tcase_add_test(user, there_is_no_way_back);
	tcase_add_loop_test(user, another_user_can_have_capabilities, 0, KINDS);
	tcase_add_loop_test(user, another_user_can_be_without_any_for_good, 0, KINDS);
	tcase_add_loop_test(user, what_is_kept_of_capabilities_cannot_be_used_before, 0, KINDS);
	tcase_add_loop_test(user, ids_can_be_reset_to_the_real_ones, 0, KINDS);
	tcase_add_test(user, there_is_no_way_back_from_a_reset);
	tcase_add_test(user, the_parent_death_signal_outlives_the_change_of_user);
	return suite;
}
SUPPORT_MAIN(make_suite)
