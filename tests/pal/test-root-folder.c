/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <pal/util-priv.h>

#include "inside.h"

/* S22, CVE-2024-21626: the working directory that a child has from its parent is no way past its mounts. */

/* Of the host, for this test: a folder in a folder, and a file in that. */
static char folder[64], sub[80];

static void stand_in_sub(void)
{
	int fd;

	make_folder(folder);
	snprintf(sub, sizeof sub, "%s/sub", folder);
	ck_assert_int_eq(mkdir(sub, 0777), 0);
	ck_assert_int_eq(chmod(sub, 0777), 0);
	ck_assert_int_eq(chdir(sub), 0);
	fd = open("file", O_WRONLY | O_CREAT | O_CLOEXEC, 0666);
	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(fchmod(fd, 0666), 0);
	close(fd);
}

static void leave(void)
{
	ck_assert_int_eq(chdir("/"), 0);
	remove_folder(folder);
}

static struct pal_builder *in_mounts(int way)
{
	struct pal_builder *builder = inside_builder(way);

	pal_builder_namespaces(
		builder, PAL_NS_MOUNT | (inside_user(way) == USER_ROOT ? 0 : PAL_NS_USER));
	return builder;
}

#define tries(setter, name, argument)                                                              \
	__extension__({                                                                            \
		struct pal_builder *builder = in_mounts(_i);                                       \
		setter;                                                                            \
		inside(builder, _i, name, argument);                                               \
	})
#define refused(setter)                                                                            \
	__extension__({                                                                            \
		struct pal_builder *builder = in_mounts(_i);                                       \
		setter;                                                                            \
		inside_refused(builder, _i, PAL_STAGE_CHDIR, 0);                                   \
	})

/* Whoever may do everything in the namespace may look into a folder without rights: it is empty. */
static int of_hidden(int way)
{
	return inside_user(way) == USER_ROOT || inside_kind(way) == INSIDE_FORK ? ENOENT : EACCES;
}

START_TEST(a_mount_covers_its_folder_also_for_who_stands_in_it)
{
	inside_become(_i);
	stand_in_sub();
	ck_assert_int_eq(tries((void)builder, "read", "file"), 0);
	ck_assert_int_eq(tries(pal_builder_hide(builder, sub), "read", "file"), of_hidden(_i));
	ck_assert_int_eq(
		tries(pal_builder_tmpfs(builder, sub, 0, 0777, 0), "read", "file"), ENOENT);
	ck_assert_int_eq(tries(pal_builder_bind(builder, "/usr", sub, 0), "read", "file"), ENOENT);
	ck_assert_int_eq(tries(pal_builder_bind(builder, "/usr", sub, 0), "read", "bin/env"), 0);
	leave();
}
END_TEST

START_TEST(what_is_read_only_is_so_also_for_who_stands_in_it)
{
	inside_become(_i);
	stand_in_sub();
	ck_assert_int_eq(tries((void)builder, "write", "file"), 0);
	for (int recursive = 0; recursive < 2; recursive++) {
		ck_assert_int_eq(tries(pal_builder_remount_read_only(builder, sub, recursive),
					 "write", "file"),
			EROFS);
		ck_assert_int_eq(tries(pal_builder_remount_read_only(builder, folder, recursive),
					 "write", "file"),
			EROFS);
	}
	ck_assert_int_eq(tries(pal_builder_bind(builder, folder, folder, PAL_MOUNT_READ_ONLY),
				 "write", "file"),
		EROFS);
	leave();
}
END_TEST

START_TEST(systems_are_new_also_for_who_stands_where_they_are_mounted)
{
	char status[64];

	inside_become(_i);
	ck_assert_int_eq(chdir("/proc"), 0);
	snprintf(status, sizeof status, "%d/status", (int)getpid());
	ck_assert_int_eq(tries((void)builder, "read", status), 0);
	ck_assert_int_eq(tries((pal_builder_namespaces(builder, PAL_NS_PID),
				       pal_builder_mount_proc(builder, "/proc")),
				 "read", status),
		ENOENT);
	stand_in_sub();
	ck_assert_int_eq(tries(pal_builder_mount_dev(builder, sub), "count", "."), 6 + 5 + 2);
	leave();
}
END_TEST

START_TEST(where_the_folder_is_gone_another_one_must_be_named)
{
	inside_become(_i);
	stand_in_sub();
	ck_assert_int_eq(refused(pal_builder_hide(builder, folder)), -ENOENT);
	ck_assert_int_eq(refused(pal_builder_tmpfs(builder, folder, 0, 0777, 0)), -ENOENT);
	ck_assert_int_eq(
		refused((pal_builder_hide(builder, folder), pal_builder_cwd(builder, "."))),
		-ENOENT);
	ck_assert_int_eq(
		tries((pal_builder_hide(builder, folder), pal_builder_cwd(builder, "/usr")), "read",
			"bin/env"),
		0);
	leave();
}
END_TEST

/* Of a removed folder ".." still leads up. */
START_TEST(from_a_removed_folder_nothing_is_mounted_around)
{
	inside_become(_i);
	stand_in_sub();
	ck_assert_int_eq(mkdir("removed", 0777), 0);
	ck_assert_int_eq(chdir("removed"), 0);
	ck_assert_int_eq(rmdir("../removed"), 0);
	ck_assert_int_eq(tries((void)builder, "read", "../file"), 0);
	ck_assert_int_eq(refused(pal_builder_hide(builder, folder)), -ENOENT);
	ck_assert_int_eq(
		tries((pal_builder_hide(builder, folder), pal_builder_cwd(builder, "/usr")), "read",
			"../file"),
		ENOENT);
	leave();
}
END_TEST

/* A descriptor is what it was, and what a step or a relative path begins from is not. */
START_TEST(a_folder_by_descriptor_is_entered_from_the_mounts)
{
	int usr;

	inside_become(_i);
	stand_in_sub();
	ck_assert_int_eq(tries((void)builder, "read", "../sub/file"), 0);
	usr = open("/usr", O_PATH | O_CLOEXEC);
	ck_assert_int_eq(tries((pal_builder_tmpfs(builder, folder, 0, 0777, 0),
				       pal_builder_cwd_fd(builder, usr)),
				 "read", "bin/env"),
		0);
	ck_assert_int_eq(tries((pal_builder_tmpfs(builder, sub, 0, 0777, 0),
				       pal_builder_cwd(builder, "../sub")),
				 "read", "file"),
		ENOENT);
	close(usr);
	leave();
}
END_TEST

START_TEST(a_step_begins_in_the_covered_folder)
{
	struct pal_builder *builder;

	inside_become(_i);
	stand_in_sub();
	for (int named = 0; named < 2; named++) {
		builder = in_mounts(_i);
		pal_builder_tmpfs(builder, named ? folder : sub, 0, 0777, 0);
		if (named)
			pal_builder_cwd(builder, "/usr");
		pal_builder_step_open(builder, 9, "file", O_RDONLY, 0);
		ck_assert_int_eq(inside_refused(builder, _i, PAL_STAGE_STEP, 0), -ENOENT);
	}
	leave();
}
END_TEST

static Suite *make_suite(void)
{
	Suite *suite = suite_create("pal/root-folder");
	TCase *cwd = support_tcase(suite, "cwd");

	tcase_add_loop_test(
		cwd, a_mount_covers_its_folder_also_for_who_stands_in_it, 0, INSIDE_WAYS);
	tcase_add_loop_test(cwd, what_is_read_only_is_so_also_for_who_stands_in_it, 0, INSIDE_WAYS);
	tcase_add_loop_test(
		cwd, systems_are_new_also_for_who_stands_where_they_are_mounted, 0, INSIDE_WAYS);
	tcase_add_loop_test(
		cwd, where_the_folder_is_gone_another_one_must_be_named, 0, INSIDE_WAYS);
	tcase_add_loop_test(cwd, from_a_removed_folder_nothing_is_mounted_around, 0, INSIDE_WAYS);
	tcase_add_loop_test(cwd, a_folder_by_descriptor_is_entered_from_the_mounts, 0, INSIDE_WAYS);
	tcase_add_loop_test(cwd, a_step_begins_in_the_covered_folder, 0, INSIDE_WAYS);
	return suite;
}
SUPPORT_MAIN(make_suite)
