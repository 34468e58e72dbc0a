/* SPDX-License-Identifier: MIT */
#include <pal/profile.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <pal/util-priv.h>

#include "sandboxed.h"

/* What the profile that may do most lets a child do to files: all in its folders, nothing to others. */

static struct pal_profile *worker_in(const char *folder)
{
	const char *const folders[] = {folder, NULL};
	struct pal_error error = {0};
	struct pal_profile *profile = NULL;

	ck_assert_ok(pal_profile_build_worker_new(folders, &profile, &error), &error);
	return profile;
}

/* ---- files outside, which Landlock lets it change but for their contents ---- */

/* A folder that is the worker's, with a file, and one that is not. */
struct folders {
	char own[64], foreign[64];
	char own_file[96], foreign_file[96];
};

static void make_file(char path[static 96], const char *folder)
{
	int fd;

	snprintf(path, 96, "%s/file", folder);
	fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
	ck_assert_int_ge(fd, 0);
	close(fd);
}

static void make_folders(struct folders *folders)
{
	make_folder(folders->own);
	make_folder(folders->foreign);
	make_file(folders->own_file, folders->own);
	make_file(folders->foreign_file, folders->foreign);
}

static void remove_folders(const struct folders *folders)
{
	remove_folder(folders->own);
	remove_folder(folders->foreign);
}

static int change_mode(void *path)
{
	return result_of(chmod(path, 04777));
}

static int change_owner(void *path)
{
	return result_of(lchown(path, getuid(), getgid()));
}

static int change_times(void *path)
{
	return result_of(utimensat(AT_FDCWD, path, NULL, 0));
}

static int change_attribute(void *path)
{
	return result_of(setxattr(path, "user.procmesh", "x", 1, 0));
}

/* By a descriptor that may only read. */
static int change_mode_of_open(void *path)
{
	PAL_CLEANUP_CLOSE int fd = open(path, O_RDONLY | O_CLOEXEC);

	return fd < 0 ? errno : result_of(fchmod(fd, 0777));
}

/* As the processes outside see it. */
static int change_mode_by_parent(void *path)
{
	char there[128];

	snprintf(there, sizeof there, "/proc/%d/root%s", (int)getppid(), (const char *)path);
	return result_of(chmod(there, 0777));
}

static int cut(void *path)
{
	return result_of(truncate(path, 0));
}

static int take_away(void *path)
{
	return result_of(unlink(path));
}

static const struct {
	int (*attempt)(void *arg);
	int foreign, own;
} changes[] = {{change_mode, EROFS, 0}, {change_owner, EROFS, 0}, {change_times, EROFS, 0},
	{change_attribute, EROFS, 0}, {cut, EROFS, 0}, {take_away, EROFS, 0},
	{attempt_create, EROFS, 0}, {change_mode_of_open, EACCES, 0},
	{change_mode_by_parent, EACCES, EACCES}};

START_TEST(it_changes_nothing_outside_of_its_folders)
{
	int (*attempt)(void *arg) = changes[_i / USERS].attempt;
	struct pal_profile *profile;
	struct folders folders;

	needs_landlock();
	needs_user_namespace_of_fork();
	become(_i % USERS);
	make_folders(&folders);
	profile = worker_in(folders.own);
	ck_assert_int_eq(
		outcome_under(profile, attempt, folders.foreign_file), changes[_i / USERS].foreign);
	ck_assert_int_eq(outcome_under(profile, attempt, folders.own_file), changes[_i / USERS].own);
	ck_assert_int_eq(outcome_under(NULL, attempt, folders.foreign_file), 0);
	pal_profile_free(profile);
	remove_folders(&folders);
}
END_TEST

static int move_out(void *arg)
{
	const struct folders *folders = arg;
	char to[96];

	snprintf(to, sizeof to, "%s/moved", folders->foreign);
	need(rename(folders->own_file, to) < 0 && (errno == EROFS || errno == EXDEV));
	need(link(folders->own_file, to) < 0 && (errno == EROFS || errno == EXDEV));
	snprintf(to, sizeof to, "%s/linked", folders->own);
	/* its mode could be changed by that name */
	return result_of(link(folders->foreign_file, to));
}

START_TEST(it_moves_and_links_nothing_in_or_out)
{
	struct pal_profile *profile;
	struct folders folders;

	needs_landlock();
	needs_user_namespace_of_fork();
	become(_i);
	make_folders(&folders);
	profile = worker_in(folders.own);
	ck_assert_int_eq(outcome_under(profile, move_out, &folders), EXDEV);
	pal_profile_free(profile);
	remove_folders(&folders);
}
END_TEST

/* ---- in its folders ---- */

START_TEST(it_begins_in_its_folder_if_this_process_stands_there)
{
	struct pal_profile *profile;
	struct folders folders;

	needs_landlock();
	needs_user_namespace_of_fork();
	become(_i);
	make_folders(&folders);
	profile = worker_in(folders.own);
	ck_assert_int_eq(chdir(folders.own), 0);
	ck_assert_int_eq(outcome_under(profile, attempt_create, "relative"), 0);
	ck_assert_int_eq(access("relative", F_OK), 0);
	ck_assert_int_eq(chdir(folders.foreign), 0);
	ck_assert_int_eq(outcome_under(profile, attempt_create, "relative"), EROFS);
	ck_assert_int_eq(chdir("/"), 0);
	pal_profile_free(profile);
	remove_folders(&folders);
}
END_TEST

#define MANY 512

/* A program's child is on a small stack; a function's on that of this process. */
static int touch(const struct pal_profile *profile, const char *path)
{
	struct pal_builder *builder = pal_builder_new("/bin/touch");
	int code;

	pal_builder_arg(builder, path);
	pal_builder_sandbox(builder, profile);
	code = outcome_of_program(builder);
	pal_builder_free(builder);
	return code;
}

/* As many as there may be: none of them costs the child any stack. */
START_TEST(it_may_have_many_folders)
{
	char own[64], names[MANY][80];
	const char *folders[MANY + 1] = {NULL};
	struct pal_error error = {0};
	struct pal_profile *profile;

	needs_landlock();
	needs_user_namespace_of_fork();
	become(_i);
	make_folder(own);
	for (int i = 0; i < MANY; i++) {
		snprintf(names[i], sizeof names[i], "%s/%d", own, i);
		ck_assert_int_eq(mkdir(names[i], 0755), 0);
		folders[i] = names[i];
	}
	ck_assert_ok(pal_profile_build_worker_new(folders, &profile, &error), &error);
	ck_assert_int_eq(touch(profile, strcat(names[0], "/file")), 0);
	ck_assert_int_eq(touch(profile, strcat(names[MANY - 1], "/file")), 0);
	ck_assert_int_eq(outcome_under(profile, attempt_create, strcat(own, "/file")), EROFS);
	own[strlen(own) - strlen("/file")] = '\0';
	pal_profile_free(profile);
	remove_folder(own);
}
END_TEST

static const char *hidden;

static int hide_one(
	const struct pal_profile *profile, struct pal_builder *builder, struct pal_error *error)
{
	(void)profile;
	(void)error;
	pal_builder_hide(builder, hidden);
	return 0;
}

/* What is kept is what the earlier profile has left. */
START_TEST(what_another_profile_hides_in_its_folder_stays_hidden)
{
	const struct pal_profile hiding = {
		.size = sizeof hiding, .name = "hiding", .apply = hide_one};
	struct pal_profile *worker, *both;
	struct pal_error error = {0};
	struct folders folders;
	bool first = _i / USERS;

	needs_landlock();
	needs_user_namespace_of_fork();
	become(_i % USERS);
	make_folders(&folders);
	hidden = folders.own_file;
	worker = worker_in(folders.own);
	ck_assert_ok(pal_profile_compose(
			     first ? &hiding : worker, first ? worker : &hiding, &both, &error),
		&error);
	ck_assert_int_eq(outcome_under(worker, attempt_read, folders.own_file), 0);
	ck_assert_int_eq(outcome_under(both, attempt_read, folders.own_file), EACCES);
	ck_assert_int_eq(outcome_under(both, attempt_read, folders.foreign_file), EACCES);
	pal_profile_free(both);
	pal_profile_free(worker);
	remove_folders(&folders);
}
END_TEST

static const char recipe[] =
	"cd '%s' && printf 'int main(void) { return 42; }\\n' >a.c && "
	"printf 'all: a b.a\\na: a.o\\n\\tcc -o $@ a.o\\na.o: a.c\\n\\tcc -c a.c\\n"
	"b.a: a.o\\n\\tar rc $@ a.o\\n' >Makefile && "
	"make -s && install -m 755 a c && mktemp >/dev/null && ./c";

START_TEST(it_builds_software)
{
	struct pal_builder *builder = pal_builder_new("/bin/sh");
	char folder[64], command[512];
	struct pal_profile *profile;

	needs_landlock();
	if (system("command -v cc make ar >/dev/null") != 0)
		support_skip("no compiler");
	become(_i);
	make_folder(folder);
	profile = worker_in(folder);
	snprintf(command, sizeof command, recipe, folder);
	pal_builder_arg(builder, "-c");
	pal_builder_arg(builder, command);
	pal_builder_sandbox(builder, profile);
	ck_assert_int_eq(outcome_of_program(builder), 42);
	pal_builder_free(builder);
	pal_profile_free(profile);
	remove_folder(folder);
}
END_TEST

static Suite *make_suite(void)
{
	Suite *suite = suite_create("pal/build-worker-files");
	TCase *files = support_tcase(suite, "files");

	tcase_add_loop_test(files, it_changes_nothing_outside_of_its_folders, 0,
		(int)PAL_ARRAY_LENGTH(changes) * USERS);
	tcase_add_loop_test(files, it_moves_and_links_nothing_in_or_out, 0, USERS);
	tcase_add_loop_test(files, it_begins_in_its_folder_if_this_process_stands_there, 0, USERS);
	tcase_add_loop_test(files, it_may_have_many_folders, 0, USERS);
	tcase_add_loop_test(
		files, what_another_profile_hides_in_its_folder_stays_hidden, 0, 2 * USERS);
	tcase_add_loop_test(files, it_builds_software, 0, USERS);
	return suite;
}
SUPPORT_MAIN(make_suite)
