/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <pal/util-priv.h>

#include "inside.h"

/* Which files a child sees: what is forbidden works without a mount and fails with it. */

/* Of the host, for this test: a file in it, a folder in that. */
static char folder[64], file[80], sub[80];

static void make_files(void)
{
	int fd;

	make_folder(folder);
	snprintf(file, sizeof file, "%s/file", folder);
	snprintf(sub, sizeof sub, "%s/sub", folder);
	fd = open(file, O_WRONLY | O_CREAT | O_CLOEXEC, 0755);
	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(write(fd, "#!/bin/true\n", 12), 12);
	close(fd);
	ck_assert_int_eq(chmod(file, 0755), 0);
	ck_assert_int_eq(mkdir(sub, 0777), 0);
	ck_assert_int_eq(chmod(sub, 0777), 0);
}

/* In a mount namespace that the user may have, with the host's files. */
static struct pal_builder *in_mounts(int way)
{
	struct pal_builder *builder = inside_builder(way);

	pal_builder_namespaces(
		builder, PAL_NS_MOUNT | (inside_user(way) == USER_ROOT ? 0 : PAL_NS_USER));
	return builder;
}

/* In a root with nothing but what the attempts need. */
static struct pal_builder *in_root(int way)
{
	struct pal_builder *builder = in_mounts(way);

	pal_builder_private_root(builder, true);
	inside_furnish(builder);
	return builder;
}

/* Runs the attempt as the builder, which is from in_root or in_mounts, has been told. */
#define tries(make, setter, name, argument)                                                        \
	__extension__({                                                                            \
		struct pal_builder *builder = make(_i);                                            \
		setter;                                                                            \
		inside(builder, _i, name, argument);                                               \
	})

/* The same, with a minimal /dev. */
static int in_dev(int way, const char *name, const char *argument)
{
	struct pal_builder *builder = in_root(way);

	pal_builder_bind(builder, "/proc", "/proc", 0);
	pal_builder_mount_dev(builder, "/dev");
	return inside(builder, way, name, argument);
}

/* ---- a private root ---- */

START_TEST(only_what_is_mounted_is_in_a_private_root)
{
	inside_become(_i);
	ck_assert_int_eq(inside(inside_builder(_i), _i, "read", "/etc/passwd"), 0);
	ck_assert_int_eq(inside(in_root(_i), _i, "read", "/etc/passwd"), ENOENT);
	ck_assert_int_eq(inside(in_root(_i), _i, "read", "/../../etc/passwd"), ENOENT);
	ck_assert_int_eq(inside(in_root(_i), _i, "read", "etc/passwd"), ENOENT);
	ck_assert_int_eq(tries(in_root, pal_builder_bind(builder, "/etc", "/e/t/c", 0), "read",
				 "/e/t/c/passwd"),
		0);
	ck_assert_int_eq(
		tries(in_root, pal_builder_bind(builder, "/etc/passwd", "/a/b", 0), "read", "/a/b"),
		0);
}
END_TEST

START_TEST(the_hosts_root_can_be_the_root)
{
	inside_become(_i);
	make_files();
	ck_assert_int_eq(tries(in_mounts,
				 (pal_builder_private_root(builder, true),
					 pal_builder_bind(builder, "/", "/", 0)),
				 "write", file),
		0);
	ck_assert_int_eq(tries(in_mounts,
				 (pal_builder_private_root(builder, true),
					 pal_builder_bind(builder, "/", "/", PAL_MOUNT_READ_ONLY),
					 pal_builder_tmpfs(builder, folder, 0, 0777, 0)),
				 "read", file),
		ENOENT);
	ck_assert_int_eq(tries(in_mounts,
				 (pal_builder_private_root(builder, true),
					 pal_builder_bind(builder, "/", "/", PAL_MOUNT_READ_ONLY)),
				 "write", file),
		EROFS);
	remove_folder(folder);
}
END_TEST

START_TEST(the_root_itself_is_read_only)
{
	inside_become(_i);
	ck_assert_int_eq(inside(in_root(_i), _i, "create", "/file"), EROFS);
	ck_assert_int_eq(tries(in_root, pal_builder_tmpfs(builder, "/own", 0, 01777, 0), "create",
				 "/own/file"),
		0);
	ck_assert_int_eq(
		tries(in_root, pal_builder_tmpfs(builder, "/own", 0, 01777, PAL_MOUNT_READ_ONLY),
			"create", "/own/file"),
		EROFS);
}
END_TEST

START_TEST(a_working_directory_is_one_of_the_new_root)
{
	inside_become(_i);
	make_files();
	ck_assert_int_eq(tries(in_root,
				 (pal_builder_bind(builder, folder, "/work", 0),
					 pal_builder_cwd(builder, "/work")),
				 "read", "file"),
		0);
	ck_assert_int_eq(tries(in_root, pal_builder_cwd(builder, "/"), "count", "."),
		inside(in_root(_i), _i, "count", "/"));
	remove_folder(folder);
}
END_TEST

START_TEST(a_link_of_the_root_leads_inside)
{
	inside_become(_i);
	ck_assert_int_eq(tries(in_root,
				 (pal_builder_bind(builder, "/etc", "/settings", 0),
					 pal_builder_symlink(builder, "settings", "/etc")),
				 "read", "/etc/passwd"),
		0);
	ck_assert_int_eq(tries(in_root, pal_builder_symlink(builder, "/etc", "/deep/er/link"),
				 "read-link", "/deep/er/link"),
		0);
	ck_assert_int_eq(tries(in_root, pal_builder_symlink(builder, "/etc", "/deep/er/link"),
				 "read", "/deep/er/link/passwd"),
		ENOENT);
}
END_TEST

/* ---- flags ---- */

START_TEST(a_bound_folder_obeys_its_flags)
{
	inside_become(_i);
	make_files();
	ck_assert_int_eq(
		tries(in_root, pal_builder_bind(builder, folder, "/w", 0), "create", "/w/sub/one"),
		0);
	ck_assert_int_eq(
		tries(in_root, pal_builder_bind(builder, folder, "/w", PAL_MOUNT_READ_ONLY),
			"create", "/w/sub/two"),
		EROFS);
	ck_assert_int_eq(
		tries(in_root, pal_builder_bind(builder, folder, "/w", 0), "exec", "/w/file"), 0);
	ck_assert_int_eq(tries(in_root, pal_builder_bind(builder, folder, "/w", PAL_MOUNT_NO_EXEC),
				 "exec", "/w/file"),
		EACCES);
	remove_folder(folder);
}
END_TEST

/* S79: wherever the host itself lets it count. */
START_TEST(set_user_id_counts_for_nothing_in_a_root)
{
	inside_become(_i);
	ck_assert_int_eq(inside(in_root(_i), _i, "nosuid", "/"), 0);
	ck_assert_int_eq(inside(in_root(_i), _i, "nosuid", "/usr"), 0);
	ck_assert_int_eq(
		tries(in_root, pal_builder_tmpfs(builder, "/w", 0, 0777, 0), "nosuid", "/w"), 0);
	ck_assert_int_eq(in_dev(_i, "nosuid", "/dev"), 0);
	ck_assert_int_eq(in_dev(_i, "nosuid", "/dev/shm"), 0);
	ck_assert_int_eq(in_dev(_i, "nosuid", "/dev/null"), 0);
}
END_TEST

START_TEST(devices_work_where_they_shall)
{
	inside_become(_i);
	ck_assert_int_eq(
		tries(in_root, pal_builder_bind(builder, "/dev/zero", "/z", PAL_MOUNT_DEVICES),
			"device", "/z"),
		0);
	ck_assert_int_eq(
		tries(in_root, pal_builder_bind(builder, "/dev/zero", "/z", 0), "device", "/z"),
		EACCES);
}
END_TEST

START_TEST(a_missing_source_is_an_error_unless_it_is_optional)
{
	struct pal_builder *refused;

	inside_become(_i);
	refused = in_mounts(_i);
	pal_builder_private_root(refused, true);
	pal_builder_bind(refused, "/no/such", "/a", PAL_MOUNT_OPTIONAL);
	pal_builder_bind(refused, "/no/such", "/b", 0);
	ck_assert_int_eq(inside_refused(refused, _i, PAL_STAGE_MOUNT, 1), -ENOENT);
	ck_assert_int_eq(
		tries(in_root, pal_builder_bind(builder, "/no/such", "/a", PAL_MOUNT_OPTIONAL),
			"read", "/a"),
		ENOENT);
}
END_TEST

/* ---- proc and dev ---- */

static struct pal_builder *in_pids(int way)
{
	struct pal_builder *builder = in_root(way);

	pal_builder_namespaces(builder, PAL_NS_PID | PAL_NS_USER);
	return builder;
}

START_TEST(proc_shows_the_processes_of_the_namespace)
{
	char status[64];

	inside_become(_i);
	snprintf(status, sizeof status, "/proc/%d/status", (int)getpid());
	ck_assert_int_eq(inside(inside_builder(_i), _i, "read", status), 0);
	ck_assert_int_eq(
		tries(in_pids, pal_builder_mount_proc(builder, "/proc"), "read", status), ENOENT);
	ck_assert_int_eq(tries(in_pids, pal_builder_mount_proc(builder, "/proc"), "read",
				 "/proc/self/status"),
		0);
}
END_TEST

START_TEST(a_minimal_dev_has_what_programs_need)
{
	static const char *const devices[] = {
		"/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom"};

	inside_become(_i);
	for (size_t i = 0; i < PAL_ARRAY_LENGTH(devices); i++)
		ck_assert_int_eq(in_dev(_i, "device", devices[i]), 0);
	ck_assert_int_eq(in_dev(_i, "count", "/dev"), 6 + 5 + 2);
	ck_assert_int_eq(in_dev(_i, "write", "/dev/ptmx"), 0);
	ck_assert_int_eq(in_dev(_i, "create", "/dev/shm/segment"), 0);
	ck_assert_int_eq(in_dev(_i, "read-link", "/dev/fd/0"), 0);
	ck_assert_int_eq(in_dev(_i, "create", "/dev/file"), EROFS);
	ck_assert_int_eq(in_dev(_i, "read", "/dev/kmsg"), ENOENT);
}
END_TEST

/* ---- the host's files, less of them ---- */

START_TEST(paths_can_be_made_read_only)
{
	char one[96];

	inside_become(_i);
	make_files();
	snprintf(one, sizeof one, "%s/one", sub);
	ck_assert_int_eq(tries(in_mounts, (void)builder, "write", file), 0);
	ck_assert_int_eq(tries(in_mounts, pal_builder_remount_read_only(builder, file, false),
				 "write", file),
		EROFS);
	ck_assert_int_eq(tries(in_mounts, pal_builder_remount_read_only(builder, folder, true),
				 "create", one),
		EROFS);
	ck_assert_int_eq(
		tries(in_mounts, pal_builder_remount_read_only(builder, "/", true), "create", one),
		EROFS);
	/* the order of the calls counts: what is mounted later is as it was told to be */
	ck_assert_int_eq(tries(in_mounts,
				 (pal_builder_remount_read_only(builder, "/", true),
					 pal_builder_tmpfs(builder, sub, 0, 0777, 0)),
				 "create", one),
		0);
	ck_assert_int_eq(tries(in_mounts,
				 (pal_builder_tmpfs(builder, sub, 0, 0777, 0),
					 pal_builder_remount_read_only(builder, folder, false)),
				 "create", one),
		0);
	ck_assert_int_eq(tries(in_mounts,
				 (pal_builder_tmpfs(builder, sub, 0, 0777, 0),
					 pal_builder_remount_read_only(builder, folder, true)),
				 "create", one),
		EROFS);
	remove_folder(folder);
}
END_TEST

START_TEST(paths_can_be_hidden)
{
	struct pal_builder *refused;

	inside_become(_i);
	make_files();
	ck_assert_int_eq(tries(in_mounts, (void)builder, "read", file), 0);
	ck_assert_int_eq(tries(in_mounts, pal_builder_hide(builder, file), "read", file), EACCES);
	ck_assert_int_eq(tries(in_mounts, pal_builder_hide(builder, folder), "read", file),
		inside_user(_i) == USER_ROOT || inside_kind(_i) == INSIDE_FORK ? ENOENT : EACCES);
	ck_assert_int_eq(tries(in_root,
				 (pal_builder_bind(builder, folder, "/w", 0),
					 pal_builder_hide(builder, "/w/file")),
				 "read", "/w/file"),
		EACCES);
	refused = in_mounts(_i);
	pal_builder_hide(refused, "/no/such");
	ck_assert_int_eq(inside_refused(refused, _i, PAL_STAGE_MOUNT, 0), -ENOENT);
	remove_folder(folder);
}
END_TEST

/* ---- S90: links in the way ---- */

START_TEST(a_link_at_a_target_is_not_followed)
{
	char link[96];
	struct pal_builder *refused;

	inside_become(_i);
	make_files();
	snprintf(link, sizeof link, "%s/link", folder);
	ck_assert_int_eq(symlink("/etc", link), 0);
	refused = in_root(_i);
	pal_builder_bind(refused, folder, "/w", 0);
	pal_builder_tmpfs(refused, "/w/link", 0, 0777, 0);
	ck_assert_int_eq(inside_refused(refused, _i, PAL_STAGE_MOUNT, 6), -ELOOP);
	refused = in_root(_i);
	pal_builder_bind(refused, folder, "/w", 0);
	pal_builder_bind(refused, "/usr", "/w/link/passwd", 0);
	ck_assert_int_eq(inside_refused(refused, _i, PAL_STAGE_MOUNT, 6), -ELOOP);
	remove_folder(folder);
}
END_TEST

/* What hides or restricts follows links, but none that leads out. */
START_TEST(a_link_in_a_bound_folder_ends_in_the_root)
{
	char link[96];

	inside_become(_i);
	make_files();
	snprintf(link, sizeof link, "%s/link", folder);
	ck_assert_int_eq(symlink("/../../w/file", link), 0);
	ck_assert_int_eq(tries(in_root,
				 (pal_builder_bind(builder, folder, "/w", 0),
					 pal_builder_hide(builder, "/w/link")),
				 "read", "/w/file"),
		EACCES);
	remove_folder(folder);
}
END_TEST

START_TEST(nothing_is_made_in_a_folder_of_the_host)
{
	struct pal_builder *refused;
	char path[96];

	inside_become(_i);
	make_files();
	refused = in_root(_i);
	pal_builder_tmpfs(refused, "/w", 0, 0777, 0);
	pal_builder_bind(refused, folder, "/w", 0);
	pal_builder_bind(refused, "/usr", "/w/new/er", 0);
	ck_assert_int_eq(inside_refused(refused, _i, PAL_STAGE_MOUNT, 7), -ENOENT);
	refused = in_root(_i);
	pal_builder_bind(refused, folder, "/w", 0);
	pal_builder_symlink(refused, "x", "/w/new");
	ck_assert_int_eq(inside_refused(refused, _i, PAL_STAGE_MOUNT, 6), -EROFS);
	snprintf(path, sizeof path, "%s/new", folder);
	ck_assert_int_lt(access(path, F_OK), 0);
	/* a tmpfs is no folder of the host */
	ck_assert_int_eq(tries(in_root,
				 (pal_builder_tmpfs(builder, "/w", 0, 0777, 0),
					 pal_builder_bind(builder, "/etc", "/w/new/er", 0)),
				 "read", "/w/new/er/passwd"),
		0);
	remove_folder(folder);
}
END_TEST

/* ---- refusals ---- */

START_TEST(targets_that_are_no_paths_are_refused)
{
	static const char *const targets[] = {"relative", "", "/up/../../there", NULL};

	inside_become(_i);
	for (size_t i = 0; i < PAL_ARRAY_LENGTH(targets); i++) {
		struct pal_builder *builder = in_mounts(_i);

		pal_builder_tmpfs(builder, targets[i], 0, 0777, 0);
		ck_assert_int_eq(inside_refused(builder, _i, PAL_STAGE_ARGUMENT, 0), -EINVAL);
	}
}
END_TEST

START_TEST(requests_that_do_not_fit_are_refused)
{
	struct pal_builder *refused;

	inside_become(_i);
	refused = in_mounts(_i);
	pal_builder_mount_proc(refused, "/proc");
	ck_assert_int_eq(inside_refused(refused, _i, PAL_STAGE_ARGUMENT, 0), -EINVAL);
	refused = in_mounts(_i);
	pal_builder_symlink(refused, "usr/bin", "/bin");
	ck_assert_int_eq(inside_refused(refused, _i, PAL_STAGE_ARGUMENT, 0), -EINVAL);
	refused = in_mounts(_i);
	pal_builder_bind(refused, "/usr", "/usr", 0x100);
	ck_assert_int_eq(inside_refused(refused, _i, PAL_STAGE_ARGUMENT, 0), -EINVAL);
	refused = in_mounts(_i);
	pal_builder_tmpfs(refused, "/usr", 0, 0777, PAL_MOUNT_OPTIONAL);
	ck_assert_int_eq(inside_refused(refused, _i, PAL_STAGE_ARGUMENT, 0), -EINVAL);
	refused = in_mounts(_i);
	pal_builder_bind(refused, "/usr", "/", 0);
	ck_assert_int_eq(inside_refused(refused, _i, PAL_STAGE_ARGUMENT, 0), -EINVAL);
	refused = in_mounts(_i);
	pal_builder_hide(refused, "/");
	ck_assert_int_eq(inside_refused(refused, _i, PAL_STAGE_ARGUMENT, 0), -EINVAL);
	refused = in_mounts(_i);
	pal_builder_bind(refused, NULL, "/usr", 0);
	ck_assert_int_eq(inside_refused(refused, _i, PAL_STAGE_ARGUMENT, 0), -EINVAL);
}
END_TEST

static size_t host_mounts(void)
{
	FILE *mounts = fopen("/proc/self/mountinfo", "re");
	size_t lines = 0;
	int byte;

	while ((byte = getc(mounts)) != EOF)
		lines += byte == '\n';
	fclose(mounts);
	return lines;
}

/* Also where the host's mounts are shared with others, as systemd makes them. */
START_TEST(the_host_sees_nothing_of_it)
{
	size_t before;

	inside_become(_i);
	make_files();
	before = host_mounts();
	if (inside_user(_i) == USER_ROOT) /* elsewhere a program has no right to after exec */
		ck_assert_int_eq(inside(in_mounts(_i), _i, "mount-tmpfs", sub), 0);
	ck_assert_int_eq(
		tries(in_root, pal_builder_bind(builder, folder, "/w", 0), "read", "/w"), 0);
	ck_assert_uint_eq(host_mounts(), before);
	remove_folder(folder);
}
END_TEST

static Suite *make_suite(void)
{
	Suite *suite = suite_create("pal/root");
	TCase *roots = support_tcase(suite, "roots"), *flags = support_tcase(suite, "flags");
	TCase *systems = support_tcase(suite, "systems"), *paths = support_tcase(suite, "paths");

	tcase_add_loop_test(roots, only_what_is_mounted_is_in_a_private_root, 0, INSIDE_WAYS);
	tcase_add_loop_test(roots, the_hosts_root_can_be_the_root, 0, INSIDE_WAYS);
	tcase_add_loop_test(roots, the_root_itself_is_read_only, 0, INSIDE_WAYS);
	tcase_add_loop_test(roots, a_working_directory_is_one_of_the_new_root, 0, INSIDE_WAYS);
	tcase_add_loop_test(roots, a_link_of_the_root_leads_inside, 0, INSIDE_WAYS);
	tcase_add_loop_test(roots, the_host_sees_nothing_of_it, 0, INSIDE_WAYS);
	tcase_add_loop_test(flags, a_bound_folder_obeys_its_flags, 0, INSIDE_WAYS);
	tcase_add_loop_test(flags, set_user_id_counts_for_nothing_in_a_root, 0, INSIDE_WAYS);
	tcase_add_loop_test(flags, devices_work_where_they_shall, 0, INSIDE_WAYS);
	tcase_add_loop_test(
		flags, a_missing_source_is_an_error_unless_it_is_optional, 0, INSIDE_WAYS);
	tcase_add_loop_test(systems, proc_shows_the_processes_of_the_namespace, 0, INSIDE_WAYS);
	tcase_add_loop_test(systems, a_minimal_dev_has_what_programs_need, 0, INSIDE_WAYS);
	tcase_add_loop_test(paths, paths_can_be_made_read_only, 0, INSIDE_WAYS);
	tcase_add_loop_test(paths, paths_can_be_hidden, 0, INSIDE_WAYS);
	tcase_add_loop_test(paths, a_link_at_a_target_is_not_followed, 0, INSIDE_WAYS);
	tcase_add_loop_test(paths, a_link_in_a_bound_folder_ends_in_the_root, 0, INSIDE_WAYS);
	tcase_add_loop_test(paths, nothing_is_made_in_a_folder_of_the_host, 0, INSIDE_WAYS);
	tcase_add_loop_test(paths, targets_that_are_no_paths_are_refused, 0, INSIDE_WAYS);
	tcase_add_loop_test(paths, requests_that_do_not_fit_are_refused, 0, INSIDE_WAYS);
	return suite;
}
SUPPORT_MAIN(make_suite)
