/* SPDX-License-Identifier: MIT */
#include <pal/profile.h>

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <pal/util-priv.h>

#include "old-landlock.h"
#include "sandboxed.h"

/* The ready-made profiles on kernels whose Landlock can do less than they promise. */

static pid_t outside;

static struct pal_profile *named(const char *name, const char *parameter)
{
	struct pal_error error = {0};
	struct pal_profile *profile = NULL;

	ck_assert_ok(
		pal_profile_by_name(name, &parameter, parameter != NULL, &profile, &error), &error);
	return profile;
}

/* Whether it can be applied: 0, or a code with Landlock's stage. */
static int applying(const struct pal_profile *profile)
{
	struct pal_builder *builder = pal_builder_new("/bin/true");
	struct pal_error error = {0};
	struct pal_child *child;
	struct pal_status status;
	int r;

	pal_builder_sandbox(builder, profile);
	r = pal_builder_spawn(builder, &child, &error);
	pal_builder_free(builder);
	if (r < 0) {
		ck_assert_int_eq(error.stage, PAL_STAGE_LANDLOCK);
		return r;
	}
	ck_assert_ok(pal_child_wait(child, PAL_DEADLINE_MS(30000), &status, &error), &error);
	pal_child_free(child);
	ck_assert(!status.signaled && status.code == 0);
	return 0;
}

START_TEST(ports_are_not_left_open_where_landlock_has_none)
{
	struct pal_profile *one = named("network-client", "80"),
			   *any = named("network-client", NULL);

	needs_landlock();
	become(_i);
	old_landlock_abi = 3;
	ck_assert_int_eq(applying(one), -EOPNOTSUPP);
	ck_assert_int_eq(applying(any), 0); /* nothing about ports was asked */
	old_landlock_abi = OLD_LANDLOCK_NONE;
	ck_assert_int_eq(applying(one), -ENOSYS);
	old_landlock_abi = OLD_LANDLOCK_OFF;
	if (pal_landlock_abi() >= 4)
		ck_assert_int_eq(applying(one), 0);
	pal_profile_free(one);
	pal_profile_free(any);
}
END_TEST

/* ---- what a build worker is kept from by other means ---- */

static int signal_outside(void *unused)
{
	(void)unused;
	return kill(outside, 0) < 0 ? errno : 0;
}

static int cut(void *path)
{
	return truncate(path, 0) < 0 ? errno : 0;
}

START_TEST(a_build_worker_stays_inside_on_every_kernel)
{
	char folder[64], foreign[64], file[96], own_file[96];
	struct pal_profile *profile;

	needs_landlock();
	needs_user_namespace_of_fork();
	become(_i % USERS);
	make_folder(folder);
	make_folder(foreign);
	snprintf(own_file, sizeof own_file, "%s/file", folder);
	snprintf(file, sizeof file, "%s/file", foreign);
	ck_assert_int_eq(attempt_create(own_file), 0);
	ck_assert_int_eq(attempt_create(file), 0);
	profile = named("build-worker", folder);
	outside = getpid();
	old_landlock_abi = 1 + _i / USERS;
	if (pal_landlock_abi() >= 6)
		ck_assert_int_eq(outcome_under(profile, signal_outside, NULL), EPERM);
	else
		ck_assert_int_eq(outcome_under(profile, signal_outside, NULL), ESRCH);
	ck_assert_int_eq(outcome_under(profile, cut, file), EROFS);
	ck_assert_int_eq(outcome_under(profile, cut, own_file), 0);
	ck_assert_int_eq(applying(profile), 0);
	old_landlock_abi = OLD_LANDLOCK_NONE;
	ck_assert_int_eq(applying(profile), -ENOSYS);
	pal_profile_free(profile);
	remove_folder(folder);
	remove_folder(foreign);
}
END_TEST

START_TEST(a_file_reader_changes_no_file_on_any_kernel)
{
	struct pal_profile *reader, *pure = named("pure-computation", NULL);
	char folder[64], file[96];

	needs_landlock();
	become(_i % USERS);
	make_folder(folder);
	snprintf(file, sizeof file, "%s/file", folder);
	ck_assert_int_eq(attempt_create(file), 0);
	reader = named("file-reader", folder);
	old_landlock_abi = 1 + _i / USERS;
	ck_assert_int_eq(outcome_under(reader, cut, file), EACCES);
	ck_assert_int_eq(outcome_under(pure, cut, file), EACCES);
	ck_assert_int_eq(outcome_under(reader, attempt_read, file), 0);
	ck_assert_int_eq(outcome_under(reader, attempt_read, (char[]){"/var"}), EACCES);
	old_landlock_abi = OLD_LANDLOCK_NONE;
	ck_assert_int_eq(applying(reader), -ENOSYS);
	ck_assert_int_eq(applying(pure), 0);
	pal_profile_free(reader);
	pal_profile_free(pure);
	remove_folder(folder);
}
END_TEST

/* ---- two rulesets, one of which is about nothing that the kernel knows ---- */

static int add_nothing(
	const struct pal_profile *profile, struct pal_builder *builder, struct pal_error *error)
{
	struct pal_landlock *ruleset;
	int r = pal_landlock_new_handling(
		PAL_LANDLOCK_REFER, 0, 0, PAL_LANDLOCK_BEST_EFFORT, &ruleset, error);

	(void)profile;
	if (r < 0)
		return r;
	pal_builder_landlock(builder, ruleset);
	pal_landlock_free(ruleset);
	return 0;
}

/* LeakSanitizer sees what is left of the other. */
START_TEST(a_ruleset_about_nothing_leaves_the_other_one)
{
	const struct pal_profile nothing = {
		.size = sizeof nothing, .name = "nothing", .apply = add_nothing};
	struct pal_builder *builder = pal_builder_new(NULL);
	struct pal_landlock *ruleset;
	struct pal_error error = {0};

	needs_landlock();
	become(_i);
	old_landlock_abi = 1;
	ck_assert_ok(pal_landlock_new(&ruleset, &error), &error);
	pal_builder_no_new_privs(builder, true);
	pal_builder_landlock(builder, ruleset);
	pal_landlock_free(ruleset);
	pal_builder_sandbox(builder, &nothing);
	ck_assert_int_eq(outcome(builder, attempt_read, (char[]){"/etc/passwd"}), EACCES);
	pal_builder_free(builder);
}
END_TEST

static Suite *make_suite(void)
{
	Suite *suite = suite_create("pal/profiles-old");
	TCase *old = support_tcase(suite, "old kernels");

	tcase_add_loop_test(old, ports_are_not_left_open_where_landlock_has_none, 0, USERS);
	tcase_add_loop_test(old, a_build_worker_stays_inside_on_every_kernel, 0, 6 * USERS);
	tcase_add_loop_test(old, a_file_reader_changes_no_file_on_any_kernel, 0, 6 * USERS);
	tcase_add_loop_test(old, a_ruleset_about_nothing_leaves_the_other_one, 0, USERS);
	return suite;
}
SUPPORT_MAIN(make_suite)
