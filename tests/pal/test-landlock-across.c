/* SPDX-License-Identifier: MIT */
#include <pal/sandbox.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <pal/namespaces.h>
#include <pal/root.h>
#include <pal/util-priv.h>

#include "sandboxed.h"

/* From one folder with rights of its own into another, and what changes where folders are: mounts. */

static void restrict_with(struct pal_builder *builder, struct pal_landlock *ruleset)
{
	pal_builder_no_new_privs(builder, true);
	pal_builder_landlock(builder, ruleset);
	pal_landlock_free(ruleset);
}

/* ---- S101: renames and links ---- */

static const char *const folders[] = {"from", "to"};

/* In the folder: from/file, from/folder/, to/other, which are what the attempts are about. */
static void make_things(const char *folder)
{
	char path[100];

	for (size_t i = 0; i < PAL_ARRAY_LENGTH(folders); i++) {
		snprintf(path, sizeof path, "%s/%s", folder, folders[i]);
		ck_assert_int_eq(mkdir(path, 0777), 0);
	}
	snprintf(path, sizeof path, "%s/from/folder", folder);
	ck_assert_int_eq(mkdir(path, 0777), 0);
	snprintf(path, sizeof path, "%s/from/file", folder);
	ck_assert_int_eq(attempt_create(path), 0);
	snprintf(path, sizeof path, "%s/to/other", folder);
	ck_assert_int_eq(attempt_create(path), 0);
}

static int move_file(void *unused)
{
	(void)unused;
	return result_of(rename("from/file", "to/new"));
}

static int move_over(void *unused)
{
	(void)unused;
	return result_of(rename("from/file", "to/other"));
}

static int move_folder(void *unused)
{
	(void)unused;
	return result_of(rename("from/folder", "to/new"));
}

static int move_within(void *unused)
{
	(void)unused;
	return result_of(rename("from/file", "from/new"));
}

static int make_link(void *unused)
{
	(void)unused;
	return result_of(link("from/file", "to/new"));
}

static int exchange(void *unused)
{
	(void)unused;
	return result_of(renameat2(AT_FDCWD, "from/file", AT_FDCWD, "to/other", RENAME_EXCHANGE));
}

#define FILES (PAL_LANDLOCK_MAKE_REG | PAL_LANDLOCK_REMOVE_FILE | PAL_LANDLOCK_REFER)
#define TREES (PAL_LANDLOCK_MAKE_DIR | PAL_LANDLOCK_REMOVE_DIR | PAL_LANDLOCK_REFER)
#define WRITE PAL_LANDLOCK_WRITE_FILE

static const struct {
	int (*attempt)(void *unused);
	unsigned from, to; /* rights */
	int expected;
} moves[] = {
	{move_file, FILES, FILES, 0}, {move_file, FILES & ~PAL_LANDLOCK_REFER, FILES, EXDEV},
	{move_file, FILES, FILES & ~PAL_LANDLOCK_REFER, EXDEV},
	{move_file, FILES & ~PAL_LANDLOCK_REMOVE_FILE, FILES, EACCES},
	{move_file, FILES, FILES & ~PAL_LANDLOCK_MAKE_REG, EACCES},
	{move_file, FILES | WRITE, FILES, 0},
	{move_file, FILES, FILES | WRITE, EXDEV}, /* it would get rights by moving */
	{move_over, FILES, FILES, 0}, {move_over, FILES, FILES & ~PAL_LANDLOCK_REMOVE_FILE, EACCES},
	{move_folder, TREES, TREES, 0}, {move_folder, TREES & ~PAL_LANDLOCK_REFER, TREES, EXDEV},
	{move_folder, TREES & ~PAL_LANDLOCK_REMOVE_DIR, TREES, EACCES},
	{move_folder, TREES, TREES & ~PAL_LANDLOCK_MAKE_DIR, EACCES},
	{move_folder, TREES, TREES | FILES, EXDEV},
	{move_within, FILES & ~PAL_LANDLOCK_REFER, 0, 0},
	{move_within, FILES & ~PAL_LANDLOCK_REMOVE_FILE, 0, EACCES},
	{move_within, FILES & ~PAL_LANDLOCK_MAKE_REG, 0, EACCES}, {make_link, FILES, FILES, 0},
	{make_link, FILES & ~PAL_LANDLOCK_REMOVE_FILE, FILES, 0}, /* nothing is removed */
	{make_link, FILES & ~PAL_LANDLOCK_REFER, FILES, EXDEV},
	{make_link, FILES, FILES & ~PAL_LANDLOCK_REFER, EXDEV},
	{make_link, FILES, FILES & ~PAL_LANDLOCK_MAKE_REG, EACCES},
	{make_link, FILES, FILES | WRITE, EXDEV}, {exchange, FILES, FILES, 0},
	{exchange, FILES & ~PAL_LANDLOCK_REFER, FILES, EXDEV},
	{exchange, FILES, FILES & ~PAL_LANDLOCK_REFER, EXDEV},
	{exchange, FILES, FILES & ~PAL_LANDLOCK_REMOVE_FILE, EACCES},
	{exchange, FILES, FILES | WRITE, EXDEV},
	{exchange, FILES | WRITE, FILES, EXDEV}, /* the other one would */
};

static int outcome_of_move(size_t i, bool restricted)
{
	const unsigned rights[] = {moves[i].from, moves[i].to};
	struct pal_builder *builder = pal_builder_new(NULL);
	char folder[64], path[100];
	struct pal_error error = {0};
	int r;

	make_folder(folder);
	make_things(folder);
	pal_builder_cwd(builder, folder);
	if (restricted) {
		struct pal_landlock *ruleset = new_ruleset();

		for (size_t j = 0; j < PAL_ARRAY_LENGTH(folders); j++) {
			snprintf(path, sizeof path, "%s/%s", folder, folders[j]);
			if (rights[j])
				ck_assert_ok(
					pal_landlock_allow_path(ruleset, path, rights[j], &error),
					&error);
		}
		restrict_with(builder, ruleset);
	}
	r = outcome(builder, moves[i].attempt, NULL);
	pal_builder_free(builder);
	remove_folder(folder);
	return r;
}

START_TEST(nothing_moves_to_where_it_would_have_more_rights)
{
	if (pal_landlock_abi() < 2)
		support_skip("needs Landlock ABI 2");
	become(_i);
	for (size_t i = 0; i < PAL_ARRAY_LENGTH(moves); i++) {
		int with = outcome_of_move(i, true);

		ck_assert_int_eq(outcome_of_move(i, false), 0);
		ck_assert_msg(with == moves[i].expected, "%zu: %d", i, with);
	}
}
END_TEST

/* ---- S102: mounts, in a mount namespace where they could be changed ---- */

static int mount_more(void *folder)
{
	return result_of(mount("tmpfs", folder, "tmpfs", 0, NULL));
}

static int bind_elsewhere(void *folder)
{
	return result_of(mount("/usr", folder, NULL, MS_BIND, NULL));
}

static int remount(void *folder)
{
	return result_of(mount(NULL, folder, NULL, MS_REMOUNT | MS_BIND | MS_RDONLY, NULL));
}

static int unmount(void *folder)
{
	return result_of(umount2(folder, MNT_DETACH));
}

static int pivot(void *folder)
{
	return result_of(syscall(SYS_pivot_root, folder, folder));
}

static int move_mounted(void *folder)
{
	char target[100];

	snprintf(target, sizeof target, "%s-target", (char *)folder);
	return result_of(syscall(SYS_move_mount, AT_FDCWD, folder, AT_FDCWD, target, 0));
}

START_TEST(mounts_of_its_own_cannot_be_changed)
{
	int (*const attempts[])(void *folder) = {
		mount_more, bind_elsewhere, remount, unmount, pivot, move_mounted};
	char folder[64], mounted[80], target[100];

	needs_landlock();
	needs_user_namespace_of_fork();
	become(_i);
	make_folder(folder);
	snprintf(mounted, sizeof mounted, "%s/mounted", folder);
	snprintf(target, sizeof target, "%s-target", mounted);
	ck_assert_int_eq(mkdir(mounted, 0777) || mkdir(target, 0777), 0);
	for (size_t i = 0; i < PAL_ARRAY_LENGTH(attempts); i++) {
		struct pal_builder *builder = pal_builder_new(NULL);

		pal_builder_namespaces(builder, PAL_NS_USER | PAL_NS_MOUNT);
		pal_builder_tmpfs(builder, mounted, 0, 0777, 0);
		ck_assert_int_eq(outcome(builder, attempts[i], mounted), 0);
		restrict_with(builder, new_ruleset());
		ck_assert_int_eq(outcome(builder, attempts[i], mounted), EPERM);
		pal_builder_free(builder);
	}
	remove_folder(folder);
}
END_TEST

static Suite *make_suite(void)
{
	Suite *suite = suite_create("pal/landlock-across");
	TCase *files = support_tcase(suite, "files"), *mounts = support_tcase(suite, "mounts");

	tcase_add_loop_test(files, nothing_moves_to_where_it_would_have_more_rights, 0, USERS);
	tcase_add_loop_test(mounts, mounts_of_its_own_cannot_be_changed, 0, USERS);
	return suite;
}
SUPPORT_MAIN(make_suite)
