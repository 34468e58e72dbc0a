/* SPDX-License-Identifier: MIT */
#include <pal/profile.h>

#include <errno.h>
#include <string.h>

#include <pal/util-priv.h>

#include "old-landlock.h"
#include "sandboxed.h"

/* The ready-made profiles on kernels whose Landlock can do less than they promise. */

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

static Suite *make_suite(void)
{
	Suite *suite = suite_create("pal/profiles-old");
	TCase *old = support_tcase(suite, "old kernels");

	tcase_add_loop_test(old, ports_are_not_left_open_where_landlock_has_none, 0, USERS);
	return suite;
}
SUPPORT_MAIN(make_suite)
