/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "inside.h"

/* User namespaces: id maps, groups, what is privileged in one and for how long. */

static struct pal_builder *in_namespaces(int way, unsigned flags)
{
	struct pal_builder *builder = inside_builder(way);

	pal_builder_namespaces(builder, flags);
	return builder;
}

START_TEST(a_user_keeps_its_number_unless_told_otherwise)
{
	char map[32];

	inside_become(_i);
	snprintf(map, sizeof map, "%u %u 1", geteuid(), geteuid());
	ck_assert_int_eq(inside(in_namespaces(_i, PAL_NS_USER), _i, "uid-map", map), 0);
	snprintf(map, sizeof map, "%u %u 1", getegid(), getegid());
	ck_assert_int_eq(inside(in_namespaces(_i, PAL_NS_USER), _i, "gid-map", map), 0);
}
END_TEST

static struct pal_builder *as_root_inside(int way)
{
	struct pal_builder *builder = in_namespaces(way, PAL_NS_USER);

	pal_builder_map_uid(builder, 0, geteuid(), 1);
	pal_builder_map_gid(builder, 0, getegid(), 1);
	return builder;
}

START_TEST(a_user_is_root_inside_where_the_map_says_so)
{
	inside_become(_i);
	ck_assert_int_eq(inside(as_root_inside(_i), _i, "uid", ""), 0);
	ck_assert_int_eq(inside(as_root_inside(_i), _i, "gid", ""), 0);
}
END_TEST

static struct pal_builder *with_ranges(int way)
{
	struct pal_builder *builder = in_namespaces(way, PAL_NS_USER);

	pal_builder_map_uid(builder, 0, 100000, 65536);
	pal_builder_map_gid(builder, 0, 200000, 65536);
	pal_builder_map_uid(builder, 70000, 1, 1);
	return builder;
}

START_TEST(ranges_are_for_who_has_the_ids)
{
	const gid_t group = 50;

	inside_become(_i);
	if (inside_user(_i) != USER_ROOT) {
		ck_assert_int_eq(inside_refused(with_ranges(_i), _i, PAL_STAGE_ID_MAP, 0), -EPERM);
		return;
	}
	ck_assert_int_eq(setgroups(1, &group), 0);
	ck_assert_int_eq(inside(with_ranges(_i), _i, "uid-map", "0 100000 65536"), 0);
	ck_assert_int_eq(inside(with_ranges(_i), _i, "gid-map", "0 200000 65536"), 0);
	ck_assert_int_eq(inside(with_ranges(_i), _i, "uid", ""), 0);
	ck_assert_int_eq(inside(with_ranges(_i), _i, "gid", ""), 0);
	/* as with any other change of user */
	ck_assert_int_eq(inside(inside_builder(_i), _i, "groups", ""), 1);
	ck_assert_int_eq(inside(with_ranges(_i), _i, "groups", ""), 0);
}
END_TEST

START_TEST(the_user_asked_for_is_one_of_the_inside)
{
	struct pal_builder *builder;

	inside_become(_i);
	if (inside_user(_i) != USER_ROOT)
		return;
	builder = with_ranges(_i);
	pal_builder_uid(builder, 33);
	pal_builder_gid(builder, 34);
	ck_assert_int_eq(inside(builder, _i, "uid", ""), 33);
	builder = with_ranges(_i);
	pal_builder_uid(builder, 66000); /* in no range */
	ck_assert_int_eq(inside_refused(builder, _i, PAL_STAGE_UID, 0), -EINVAL);
}
END_TEST

START_TEST(maps_that_the_kernel_refuses_start_nothing)
{
	struct pal_builder *builder;

	inside_become(_i);
	builder = in_namespaces(_i, PAL_NS_USER);
	pal_builder_map_uid(builder, 0, 100000, 10);
	pal_builder_map_uid(builder, 5, 200000, 10); /* overlaps */
	ck_assert_int_eq(inside_refused(builder, _i, PAL_STAGE_ID_MAP, 0), -EINVAL);
	builder = in_namespaces(_i, PAL_NS_USER);
	pal_builder_map_uid(builder, 0, 100000, 0);
	ck_assert_int_eq(inside_refused(builder, _i, PAL_STAGE_ARGUMENT, 0), -EINVAL);
	builder = in_namespaces(_i, PAL_NS_USER);
	pal_builder_map_gid(builder, 4294967290u, 0, 10);
	ck_assert_int_eq(inside_refused(builder, _i, PAL_STAGE_ARGUMENT, 0), -EINVAL);
	builder = in_namespaces(_i, PAL_NS_USER);
	for (unsigned line = 0; line <= 340; line++)
		pal_builder_map_uid(builder, line, line, 1);
	ck_assert_int_eq(inside_refused(builder, _i, PAL_STAGE_ARGUMENT, 0), -EINVAL);
}
END_TEST

START_TEST(three_hundred_and_forty_lines_are_a_map)
{
	struct pal_builder *builder;

	inside_become(_i);
	if (inside_user(_i) != USER_ROOT)
		return;
	builder = in_namespaces(_i, PAL_NS_USER);
	for (unsigned line = 0; line < 2 * 340; line++) /* which are there already, the second time */
		pal_builder_map_uid(builder, line % 340, line % 340, 1);
	ck_assert_int_eq(inside(builder, _i, "uid-map", "0 0 1"), 0);
}
END_TEST

/* S85: setgroups allowed and denied, with and without the right to it. */
START_TEST(setgroups_is_denied_where_it_has_to_be)
{
	bool root = inside_user(_i) == USER_ROOT;
	struct pal_builder *builder;

	inside_become(_i);
	ck_assert_int_eq(
		inside(in_namespaces(_i, PAL_NS_USER), _i, "set-groups", ""), root ? 0 : EPERM);
	builder = in_namespaces(_i, PAL_NS_USER);
	pal_builder_deny_setgroups(builder, true);
	ck_assert_int_eq(inside(builder, _i, "set-groups", ""), EPERM);
	builder = in_namespaces(_i, PAL_NS_USER);
	pal_builder_deny_setgroups(builder, false);
	if (root)
		ck_assert_int_eq(inside(builder, _i, "set-groups", ""), 0);
	else
		ck_assert_int_eq(inside_refused(builder, _i, PAL_STAGE_ID_MAP, 0), -EPERM);
}
END_TEST

/* S88: also for who is root inside, and could raise the limit again. */
START_TEST(nested_user_namespaces_can_be_forbidden)
{
	struct pal_builder *builder;

	inside_become(_i);
	ck_assert_int_eq(inside(as_root_inside(_i), _i, "user-namespace", ""), 0);
	ck_assert_int_eq(inside(as_root_inside(_i), _i, "raise-limit", ""), 0);
	builder = as_root_inside(_i);
	pal_builder_forbid_user_namespaces(builder, true);
	ck_assert_int_eq(inside(builder, _i, "user-namespace", ""), ENOSPC);
	builder = as_root_inside(_i);
	pal_builder_forbid_user_namespaces(builder, true);
	ck_assert_int_eq(inside(builder, _i, "raise-limit", ""), EACCES);
}
END_TEST

/* A child that stands in its steps: it has opened one fifo, and waits for a reader of the other. */
struct standing {
	char folder[64], passed[80], stands[80];
	pid_t spawner, child;
};

static void spawn_standing(struct standing *at, struct pal_builder *builder)
{
	struct pal_error error = {0};
	struct pal_child *child;

	pal_builder_step_open(builder, 70, at->passed, O_WRONLY, 0);
	pal_builder_step_open(builder, 71, at->stands, O_WRONLY, 0);
	pal_builder_arg(builder, "exit");
	pal_builder_arg(builder, "0");
	_exit(pal_builder_spawn(builder, &child, &error) < 0);
}

static pid_t only_child_of(pid_t pid)
{
	char path[64];
	FILE *file;
	int child = 0;

	snprintf(path, sizeof path, "/proc/%d/task/%d/children", (int)pid, (int)pid);
	file = fopen(path, "re");
	ck_assert_ptr_nonnull(file);
	ck_assert_int_eq(fscanf(file, "%d", &child), 1);
	fclose(file);
	return (pid_t)child;
}

/* The errno of looking into the child's memory meanwhile. Frees the builder. */
static int look_into(struct pal_builder *builder)
{
	struct standing at;
	char path[64];
	int fd, r, status;

	make_folder(at.folder);
	snprintf(at.passed, sizeof at.passed, "%s/passed", at.folder);
	snprintf(at.stands, sizeof at.stands, "%s/stands", at.folder);
	ck_assert_int_eq(mkfifo(at.passed, 0600), 0);
	ck_assert_int_eq(mkfifo(at.stands, 0600), 0);
	at.spawner = fork();
	if (at.spawner == 0)
		spawn_standing(&at, builder);
	pal_builder_free(builder);
	close(open(at.passed, O_RDONLY | O_CLOEXEC));
	snprintf(path, sizeof path, "/proc/%d/mem", (int)only_child_of(at.spawner));
	fd = open(path, O_RDWR | O_CLOEXEC);
	r = fd < 0 ? errno : 0;
	if (fd >= 0)
		close(fd);
	close(open(at.stands, O_RDONLY | O_CLOEXEC));
	ck_assert_int_eq(waitpid(at.spawner, &status, 0), at.spawner);
	ck_assert_int_eq(status, 0);
	remove_folder(at.folder);
	return r;
}

/* S80 */
START_TEST(a_child_cannot_be_traced_on_its_way)
{
	inside_become(_i);
	if (inside_user(_i) == USER_ROOT || inside_kind(_i) == INSIDE_FORK)
		return;
	ck_assert_int_eq(look_into(in_namespaces(_i, 0)), 0);
	ck_assert_int_eq(look_into(in_namespaces(_i, PAL_NS_USER)), EACCES);
	ck_assert_int_eq(
		look_into(in_namespaces(_i, PAL_NS_USER | PAL_NS_MOUNT | PAL_NS_NET)), EACCES);
}
END_TEST

/* ---- joined ---- */

/* A program that has a user namespace, with 65536 ids where the user may, and waits for the end of its input. */
static struct pal_child *holder(int user, int *ret_fd)
{
	struct pal_builder *builder = pal_builder_new(support_helper("end-with"));
	struct pal_error error = {0};
	struct pal_child *child;
	char path[64];

	pal_builder_arg(builder, "stdin");
	pal_builder_stdin(builder, PAL_STDIO_PIPE);
	pal_builder_namespaces(builder, PAL_NS_USER);
	if (user == USER_ROOT) {
		pal_builder_map_uid(builder, 0, 100000, 65536);
		pal_builder_map_gid(builder, 0, 100000, 65536);
	}
	ck_assert_ok(pal_builder_spawn(builder, &child, &error), &error);
	pal_builder_free(builder);
	snprintf(path, sizeof path, "/proc/%d/ns/user", (int)pal_child_pid(child));
	*ret_fd = open(path, O_RDONLY | O_CLOEXEC);
	ck_assert_int_ge(*ret_fd, 0);
	return child;
}

static struct pal_builder *joining(int way, int fd)
{
	struct pal_builder *builder = inside_builder(way);

	pal_builder_join_namespace(builder, PAL_NS_USER, fd);
	return builder;
}

/* CVE-2016-9962: nor by what is in there already, which may trace every process of the namespace. */
START_TEST(who_joins_cannot_be_traced_on_the_way)
{
	struct pal_child *child;
	int fd;

	inside_become(_i);
	child = holder(USER_NOBODY, &fd);
	/* a function is the same memory for good */
	ck_assert_int_eq(
		inside(joining(_i, fd), _i, "dumpable", ""), inside_kind(_i) != INSIDE_FORK);
	if (inside_user(_i) == USER_NOBODY && inside_kind(_i) != INSIDE_FORK)
		ck_assert_int_eq(look_into(joining(_i, fd)), EACCES);
	close(fd);
	pal_child_free(child);
}
END_TEST

/* As somebody whom the namespace does not have it would be root of the host there. */
START_TEST(who_joins_has_ids_of_the_namespace)
{
	const bool root = inside_user(_i) == USER_ROOT;
	struct pal_builder *builder;
	struct pal_child *child;
	int fd;

	inside_become(_i);
	child = holder(inside_user(_i), &fd);
	if (!root) /* the only one there is */
		ck_assert_int_eq(inside(joining(_i, fd), _i, "uid", ""), (int)(geteuid() & 0xff));
	if (root) {
		ck_assert_int_eq(inside_refused(joining(_i, fd), _i, PAL_STAGE_UID, 0), -EPERM);
		builder = joining(_i, fd);
		pal_builder_uid(builder, 5);
		ck_assert_int_eq(inside_refused(builder, _i, PAL_STAGE_GID, 0), -EPERM);
		builder = joining(_i, fd);
		pal_builder_uid(builder, 5);
		pal_builder_gid(builder, 6);
		ck_assert_int_eq(inside(builder, _i, "uid", ""), 5);
		builder = joining(_i, fd);
		pal_builder_uid(builder, 0);
		pal_builder_gid(builder, 0);
		ck_assert_int_eq(inside(builder, _i, "gid", ""), 0);
	}
	close(fd);
	pal_child_free(child);
}
END_TEST

/* S72: an id that a namespace does not have shows as this one. */
START_TEST(groups_do_not_stay_with_nobody)
{
	const gid_t group = 50;
	struct pal_builder *builder;
	struct pal_child *child;
	int fd;

	inside_become(_i);
	if (inside_user(_i) != USER_ROOT)
		return;
	child = holder(USER_ROOT, &fd);
	ck_assert_int_eq(setgroups(1, &group), 0);
	builder = joining(_i, fd);
	pal_builder_uid(builder, 65534);
	pal_builder_gid(builder, 65534);
	ck_assert_int_eq(inside(builder, _i, "groups", ""), 0);
	builder = joining(_i, fd);
	pal_builder_uid(builder, 65534);
	pal_builder_gid(builder, 65534);
	pal_builder_keep_groups(builder);
	ck_assert_int_eq(inside(builder, _i, "groups", ""), 1);
	builder = in_namespaces(_i, PAL_NS_USER);
	pal_builder_map_uid(builder, 7, 0, 1);
	pal_builder_map_uid(builder, 65534, 100000, 1);
	pal_builder_map_gid(builder, 0, 0, 1);
	pal_builder_uid(builder, 65534);
	ck_assert_int_eq(inside(builder, _i, "groups", ""), 0);
	/* the same user by another number */
	builder = in_namespaces(_i, PAL_NS_USER);
	pal_builder_map_uid(builder, 7, 0, 1);
	pal_builder_map_gid(builder, 0, 0, 1);
	pal_builder_uid(builder, 7);
	ck_assert_int_eq(inside(builder, _i, "groups", ""), 1);
	close(fd);
	pal_child_free(child);
}
END_TEST

static Suite *make_suite(void)
{
	Suite *suite = suite_create("pal/user-namespaces");
	TCase *users = support_tcase(suite, "users");

	tcase_add_loop_test(users, a_user_keeps_its_number_unless_told_otherwise, 0, INSIDE_WAYS);
	tcase_add_loop_test(users, a_user_is_root_inside_where_the_map_says_so, 0, INSIDE_WAYS);
	tcase_add_loop_test(users, ranges_are_for_who_has_the_ids, 0, INSIDE_WAYS);
	tcase_add_loop_test(users, the_user_asked_for_is_one_of_the_inside, 0, INSIDE_WAYS);
	tcase_add_loop_test(users, maps_that_the_kernel_refuses_start_nothing, 0, INSIDE_WAYS);
	tcase_add_loop_test(users, three_hundred_and_forty_lines_are_a_map, 0, INSIDE_WAYS);
	tcase_add_loop_test(users, setgroups_is_denied_where_it_has_to_be, 0, INSIDE_WAYS);
	tcase_add_loop_test(users, nested_user_namespaces_can_be_forbidden, 0, INSIDE_WAYS);
	tcase_add_loop_test(users, a_child_cannot_be_traced_on_its_way, 0, INSIDE_WAYS);
	tcase_add_loop_test(users, who_joins_cannot_be_traced_on_the_way, 0, INSIDE_WAYS);
	tcase_add_loop_test(users, who_joins_has_ids_of_the_namespace, 0, INSIDE_WAYS);
	tcase_add_loop_test(users, groups_do_not_stay_with_nobody, 0, INSIDE_WAYS);
	return suite;
}
SUPPORT_MAIN(make_suite)
