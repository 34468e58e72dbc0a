/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mount.h>
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

/* ---- the host's folders ---- */

START_TEST(nothing_is_made_in_a_folder_that_is_the_root)
{
	struct pal_builder *refused;
	char folder[64], path[80];

	inside_become(_i);
	make_folder(folder);
	for (int link = 0; link < 2; link++) {
		refused = inside_builder(_i);
		pal_builder_namespaces(refused, PAL_NS_USER);
		pal_builder_private_root(refused, true);
		pal_builder_bind(refused, folder, "/", 0);
		if (link)
			pal_builder_symlink(refused, "usr", "/new");
		else
			pal_builder_tmpfs(refused, "/new/er", 0, 0777, 0);
		ck_assert_int_eq(
			inside_refused(refused, _i, PAL_STAGE_MOUNT, 1), link ? -EROFS : -ENOENT);
	}
	snprintf(path, sizeof path, "%s/new", folder);
	ck_assert_int_lt(access(path, F_OK), 0);
	remove_folder(folder);
}
END_TEST

START_TEST(in_a_tmpfs_that_is_the_root_targets_are_made)
{
	struct pal_builder *builder;

	inside_become(_i);
	builder = inside_builder(_i);
	pal_builder_namespaces(builder, PAL_NS_USER);
	pal_builder_private_root(builder, true);
	pal_builder_tmpfs(builder, "/", 0, 0777, 0);
	inside_furnish(builder);
	pal_builder_bind(builder, "/etc", "/new/er", 0);
	ck_assert_int_eq(inside(builder, _i, "read", "/new/er/passwd"), 0);
}
END_TEST

/* It would cover what the earlier ones hide or restrict. */
START_TEST(the_root_is_replaced_first_or_not_at_all)
{
	inside_become(_i);
	for (int kind = 0; kind < 4; kind++) {
		struct pal_builder *refused = inside_builder(_i);

		pal_builder_namespaces(refused, PAL_NS_USER);
		pal_builder_private_root(refused, true);
		pal_builder_bind(refused, "/", "/", 0);
		if (kind == 0)
			pal_builder_hide(refused, "/etc");
		if (kind < 2)
			pal_builder_bind(refused, "/", "/", PAL_MOUNT_READ_ONLY);
		else if (kind == 2)
			pal_builder_tmpfs(refused, "/", 0, 0777, 0);
		else
			pal_builder_symlink(refused, "/", "/");
		ck_assert_int_eq(inside_refused(refused, _i, PAL_STAGE_ARGUMENT, 0), -EINVAL);
	}
}
END_TEST

/* Whoever may call chroot(2) can leave a root that has another one around it. */
START_TEST(there_is_nothing_around_the_root)
{
	char folder[64], file[80];

	inside_become(_i);
	make_folder(folder);
	snprintf(file, sizeof file, "%s/file", folder);
	close(open(file, O_WRONLY | O_CREAT | O_CLOEXEC, 0666));
	for (int covered = 0; covered < 2; covered++) {
		struct pal_builder *builder = inside_builder(_i);

		pal_builder_namespaces(
			builder, inside_user(_i) == USER_ROOT ? PAL_NS_MOUNT : PAL_NS_USER);
		pal_builder_private_root(builder, true);
		if (covered)
			pal_builder_tmpfs(builder, "/", 0, 0755, 0);
		inside_furnish(builder);
		ck_assert_int_eq(inside(builder, _i, "escape", file),
			inside_user(_i) == USER_ROOT || inside_kind(_i) == INSIDE_FORK ? ENOENT
										       : EPERM);
	}
	remove_folder(folder);
}
END_TEST

/* In a process of its own: the root becomes a mount, which is not that of its namespace. */
static int spawn_after_chroot(void *folder)
{
	struct pal_builder *builder = pal_builder_new("/bin/true");
	struct pal_error error = {0};
	struct pal_child *child;
	int r;

	need(mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0);
	need(mount("/", folder, NULL, MS_BIND | MS_REC, NULL) == 0);
	need(chroot(folder) == 0 && chdir("/") == 0);
	pal_builder_private_root(builder, true);
	pal_builder_bind(builder, "/", "/", 0);
	r = pal_builder_spawn(builder, &child, &error);
	if (r >= 0)
		pal_child_free(child);
	pal_builder_free(builder);
	return r == -EINVAL && error.stage == PAL_STAGE_MOUNT ? 0 : 1;
}

START_TEST(no_root_is_made_within_another_one)
{
	struct pal_builder *builder;
	char folder[64];

	inside_become(_i);
	if (inside_user(_i) != USER_ROOT || inside_kind(_i) == INSIDE_FORK)
		return;
	make_folder(folder);
	builder = pal_builder_new(NULL);
	pal_builder_namespaces(builder, PAL_NS_MOUNT);
	ck_assert_int_eq(outcome(builder, spawn_after_chroot, folder), 0);
	pal_builder_free(builder);
	remove_folder(folder);
}
END_TEST

static Suite *make_suite(void)
{
	Suite *suite = suite_create("pal/root-safety");
	TCase *kernel = support_tcase(suite, "kernel");
	TCase *folders = support_tcase(suite, "folders");

	tcase_add_loop_test(kernel, nothing_of_the_kernel_is_set_by_proc, 0, INSIDE_WAYS);
	tcase_add_loop_test(folders, nothing_is_made_in_a_folder_that_is_the_root, 0, INSIDE_WAYS);
	tcase_add_loop_test(folders, in_a_tmpfs_that_is_the_root_targets_are_made, 0, INSIDE_WAYS);
	tcase_add_loop_test(folders, the_root_is_replaced_first_or_not_at_all, 0, INSIDE_WAYS);
	tcase_add_loop_test(folders, no_root_is_made_within_another_one, 0, INSIDE_WAYS);
	tcase_add_loop_test(folders, there_is_nothing_around_the_root, 0, INSIDE_WAYS);
	return suite;
}
SUPPORT_MAIN(make_suite)
