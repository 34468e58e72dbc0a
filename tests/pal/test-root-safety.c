/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <pal/util-priv.h>

#include "inside.h"

/* What a private root could let slip: to the kernel by its /proc, and to the host by what is made or moved. */

/* In a root with nothing but what the attempts need. */
static struct pal_builder *in_root(int way)
{
	struct pal_builder *builder = inside_builder(way);

	pal_builder_namespaces(
		builder, PAL_NS_MOUNT | (inside_user(way) == USER_ROOT ? 0 : PAL_NS_USER));
	pal_builder_private_root(builder, true);
	inside_furnish(builder);
	return builder;
}

/* Of the same user as here, in the host's user namespace where that may be. */
static struct pal_builder *in_proc(int way, bool own)
{
	struct pal_builder *builder = in_root(way);

	pal_builder_namespaces(builder, PAL_NS_PID);
	if (own)
		pal_builder_mount_proc(builder, "/proc");
	else
		pal_builder_bind(builder, "/proc", "/proc", 0);
	return builder;
}

/* User 0 needs no capability for these. */
START_TEST(nothing_of_the_kernel_is_set_by_proc)
{
	static const char *const settings[] = {"/proc/sys/kernel/core_pattern",
		"/proc/sys/kernel/modprobe", "/proc/sysrq-trigger", "/proc/self/oom_score_adj"};

	inside_become(_i);
	for (size_t i = 0; i < PAL_ARRAY_LENGTH(settings); i++) {
		if (access(settings[i], F_OK) < 0)
			continue;
		ck_assert_int_eq(inside(in_proc(_i, false), _i, "write", settings[i]),
			inside_user(_i) == USER_ROOT || strstr(settings[i], "self") ? 0 : EACCES);
		ck_assert_int_eq(inside(in_proc(_i, true), _i, "write", settings[i]),
			inside_user(_i) == USER_ROOT || strstr(settings[i], "self") ? EROFS
										    : EACCES);
	}
	ck_assert_int_eq(inside(in_proc(_i, true), _i, "read", "/proc/self/status"), 0);
	ck_assert_int_eq(inside(in_proc(_i, true), _i, "read", "/proc/meminfo"), 0);
}
END_TEST

static Suite *make_suite(void)
{
	Suite *suite = suite_create("pal/root-safety");
	TCase *kernel = support_tcase(suite, "kernel");

	tcase_add_loop_test(kernel, nothing_of_the_kernel_is_set_by_proc, 0, INSIDE_WAYS);
	return suite;
}
SUPPORT_MAIN(make_suite)
