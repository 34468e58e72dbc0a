/* SPDX-License-Identifier: MIT */
#include <pal/process.h>

#include <errno.h>
#include <fcntl.h>
#include <mntent.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "process-support.h"
#include "spawn-support.h"
#include "support.h"

/* Children in cgroups of version 2 and 1, where the kernel and the container have such and let us make one. */

/* A cgroup for one test. */
struct group {
	char path[256];
	char name[64]; /* its last component */
	int fd;        /* the directory */
};

static bool make_group(const char *root, struct group *ret)
{
	static int count;

	snprintf(ret->name, sizeof ret->name, "procmesh-test-%d-%d", (int)getpid(), count++);
	snprintf(ret->path, sizeof ret->path, "%s/%s", root, ret->name);
	if (mkdir(ret->path, 0755) < 0)
		return false;
	ret->fd = open(ret->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	ck_assert_int_ge(ret->fd, 0);
	return true;
}

/* An ended child leaves its cgroup a moment after its parent can see that it has ended. */
static void remove_group(struct group *group)
{
	int r;

	close(group->fd);
	SUPPORT_LOOK_UNTIL((r = rmdir(group->path)) == 0 || errno != EBUSY);
	ck_assert_int_eq(r, 0);
}

/* A mount of this type: the first one of the system in which a cgroup can be made. */
static bool find_group(const char *type, struct group *ret)
{
	FILE *mounts = setmntent("/proc/self/mounts", "re");
	struct mntent *entry;
	bool found = false;

	while (!found && (entry = getmntent(mounts)))
		found = !strcmp(entry->mnt_type, type) && make_group(entry->mnt_dir, ret);
	endmntent(mounts);
	return found;
}

static char mount_point[] = "/tmp/procmesh-cgroup-XXXXXX";

/* Version 2 may be mounted nowhere: then here, in a mount namespace of this test's own. */
static bool mount_group(struct group *ret)
{
	if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
		return false;
	strcpy(strrchr(mount_point, '-'), "-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(mount_point));
	if (mount("none", mount_point, "cgroup2", 0, NULL) == 0 && make_group(mount_point, ret))
		return true;
	rmdir(mount_point);
	return false;
}

static void take_group(const char *test, const char *type, struct group *ret)
{
	if (!find_group(type, ret) && (strcmp(type, "cgroup2") != 0 || !mount_group(ret)))
		support_skip_(test, "no %s in which one can be made", type);
}

static int open_procs(const struct group *group, const char *file)
{
	int fd = openat(group->fd, file, O_WRONLY | O_CLOEXEC);

	ck_assert_int_ge(fd, 0);
	return fd;
}

/* cat of its cgroups, in the mode */
static struct pal_builder *show_groups(int mode)
{
	struct pal_builder *builder = pal_builder_new("/bin/cat");

	pal_builder_arg(builder, "/proc/self/cgroup");
	pal_builder_vfork(builder, mode == MODE_VFORK);
	return builder;
}

static int in_group(void *name)
{
	FILE *file = fopen("/proc/self/cgroup", "re");
	char line[512];
	int found = 0;

	while (file && fgets(line, sizeof line, file))
		found |= !!strstr(line, name);
	if (file)
		fclose(file);
	return found;
}

/* ---- version 2 ---- */

START_TEST(a_child_can_be_born_in_a_cgroup)
{
	struct pal_builder *builder = show_groups(_i);
	struct group group;

	take_group(__func__, "cgroup2", &group);
	pal_builder_cgroup(builder, group.fd);
	/* its number is free for something else */
	pal_builder_dup_fd(builder, 1, group.fd);
	ck_assert_ptr_nonnull(strstr(output_of(builder), group.name));
	ck_assert_int_eq(in_group(group.name), 0);
	remove_group(&group);
}
END_TEST

START_TEST(a_forked_child_can_be_in_a_cgroup)
{
	struct pal_builder *builder = pal_builder_new(NULL);
	struct pal_error error = {0};
	struct pal_child *child;
	struct group group;

	take_group(__func__, "cgroup2", &group);
	pal_builder_cgroup(builder, group.fd);
	ck_assert_ok(pal_fork(builder, in_group, group.name, &child, &error), &error);
	ck_assert_int_eq(wait_take(child).code, 1);
	pal_builder_free(builder);
	remove_group(&group);
}
END_TEST

/* ---- by writing to a file ---- */

START_TEST(a_child_can_move_itself_in_several_hierarchies)
{
	static const char *const types[] = {"cgroup2", "cgroup"};
	struct pal_builder *builder = show_groups(_i);
	struct group groups[2];
	const char *text;
	int fds[2];

	for (int i = 0; i < 2; i++) {
		take_group(__func__, types[i], &groups[i]);
		fds[i] = open_procs(&groups[i], "cgroup.procs");
		pal_builder_cgroup_procs(builder, fds[i]);
	}
	pal_builder_close_fd(builder, fds[0]);
	text = output_of(builder);
	for (int i = 0; i < 2; i++) {
		ck_assert_ptr_nonnull(strstr(text, groups[i].name));
		ck_assert_int_eq(in_group(groups[i].name), 0);
		close(fds[i]);
		remove_group(&groups[i]);
	}
}
END_TEST

START_TEST(a_child_can_move_itself_by_a_tasks_file)
{
	struct pal_builder *builder = show_groups(_i);
	struct group group;
	int fd;

	take_group(__func__, "cgroup", &group);
	fd = open_procs(&group, "tasks");
	pal_builder_cgroup_procs(builder, fd);
	ck_assert_ptr_nonnull(strstr(output_of(builder), group.name));
	close(fd);
	remove_group(&group);
}
END_TEST

/* ---- what is no cgroup ---- */

START_TEST(what_is_no_cgroup_fails_the_spawn)
{
	struct pal_builder *builder = process_builder(_i);
	int root = open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC), file = new_file();
	int full = open("/dev/full", O_WRONLY | O_CLOEXEC);
	struct pal_error error = {0};
	struct pal_child *child;

	pal_builder_cgroup(builder, root);
	ck_assert_int_lt(pal_builder_spawn(builder, &child, &error), 0);
	ck_assert_int_eq(error.stage, PAL_STAGE_CGROUP);
	pal_builder_free(builder);
	builder = process_builder(_i);
	pal_builder_cgroup_procs(builder, file); /* takes all */
	pal_builder_cgroup_procs(builder, full);
	assert_refused(builder, _i, -ENOSPC, PAL_STAGE_CGROUP, 1);
	close(root);
	close(file);
	close(full);
}
END_TEST

/* The child needs a copy of that number, too, from then on. */
START_TEST(a_cgroup_can_be_asked_for_between_two_spawns)
{
	struct pal_builder *builder = pal_builder_new("/bin/true");
	struct pal_error error = {0};
	struct pal_child *child;
	int file = new_file_at(300);
	char text[8] = "";

	pal_builder_vfork(builder, _i == MODE_VFORK);
	for (int i = 0; i < 2; i++) {
		ck_assert_ok(pal_builder_spawn(builder, &child, &error), &error);
		ck_assert_int_eq(wait_take(child).code, 0);
		if (i == 0)
			pal_builder_cgroup_procs(builder, file);
	}
	ck_assert_int_eq(pread(file, text, sizeof text, 0), 1);
	ck_assert_str_eq(text, "0");
	pal_builder_free(builder);
	close(file);
}
END_TEST

/* Not written to what the library opens there in a moment. */
START_TEST(a_closed_descriptor_of_a_cgroup_is_EBADF)
{
	int closed = new_file();

	close(closed);
	for (int which = 0; which < 2; which++) {
		struct pal_builder *builder = process_builder(_i);
		struct pal_error error = {0};
		struct pal_child *child;

		pal_builder_stdin(builder, PAL_STDIO_NULL); /* takes what is written */
		if (which)
			pal_builder_cgroup_procs(builder, closed);
		else
			pal_builder_cgroup(builder, closed);
		ck_assert_int_eq(pal_builder_spawn(builder, &child, &error), -EBADF);
		ck_assert_int_eq(error.stage, PAL_STAGE_CGROUP);
		pal_builder_free(builder);
	}
}
END_TEST

START_TEST(there_is_a_number_of_cgroups)
{
	struct pal_builder *builder = process_builder(_i);

	pal_builder_cgroup(builder, -1);
	assert_refused(builder, _i, -EINVAL, PAL_STAGE_ARGUMENT, 0);
	builder = process_builder(_i);
	pal_builder_cgroup_procs(builder, -1);
	assert_refused(builder, _i, -EINVAL, PAL_STAGE_ARGUMENT, 0);
	builder = process_builder(_i);
	for (int i = 0; i <= PAL_CGROUPS_MAX; i++)
		pal_builder_cgroup_procs(builder, 1);
	assert_refused(builder, _i, -EINVAL, PAL_STAGE_ARGUMENT, 0);
}
END_TEST

static Suite *make_suite(void)
{
	Suite *suite = suite_create("pal/cgroup");
	TCase *cgroup = support_tcase(suite, "cgroup");

	tcase_add_loop_test(cgroup, a_child_can_be_born_in_a_cgroup, 0, MODES);
	tcase_add_test(cgroup, a_forked_child_can_be_in_a_cgroup);
	tcase_add_loop_test(cgroup, a_child_can_move_itself_in_several_hierarchies, 0, MODES);
	tcase_add_loop_test(cgroup, a_child_can_move_itself_by_a_tasks_file, 0, MODES);
	tcase_add_loop_test(cgroup, what_is_no_cgroup_fails_the_spawn, 0, KINDS);
	tcase_add_loop_test(cgroup, a_cgroup_can_be_asked_for_between_two_spawns, 0, MODES);
	tcase_add_loop_test(cgroup, a_closed_descriptor_of_a_cgroup_is_EBADF, 0, KINDS);
	tcase_add_loop_test(cgroup, there_is_a_number_of_cgroups, 0, KINDS);
	return suite;
}
SUPPORT_MAIN(make_suite)
