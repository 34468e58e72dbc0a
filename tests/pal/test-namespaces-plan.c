/* SPDX-License-Identifier: MIT */
#include <pal/pal.h>

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <unistd.h>

#include <pal/builder-priv.h>
#include <pal/clone-priv.h>

#include "process-support.h"
#include "support.h"

#define USER PAL_NS_USER
#define PID PAL_NS_PID

#ifdef PAL__CLONE_FOR_TSAN
#define MAPPERS false /* what writes maps from outside is a child of the child */
#else
#define MAPPERS true
#endif

/* What a builder asks for, and how its child gets there. */
struct way {
	unsigned flags;
	bool init, deny_setgroups, map, cgroup;
	bool divides, shares_memory, outside; /* of root; who writes the maps */
};

/* clang-format off */
static const struct way ways[] = {
	{.flags = 0, .shares_memory = true},
	{.flags = PAL_NS_MOUNT | PAL_NS_NET, .shares_memory = true},
	{.flags = USER, .outside = true}, /* groups may be changed in there */
	{.flags = USER, .deny_setgroups = true},
	{.flags = PID, .shares_memory = true},
	{.flags = PID | PAL_NS_MOUNT, .shares_memory = true},
	{.flags = PID | PAL_NS_TIME},
	{.flags = PID, .init = true},
	{.flags = PID, .cgroup = true, .divides = true},
	{.flags = USER | PID, .deny_setgroups = true},
	{.flags = USER | PID, .deny_setgroups = true, .init = true},
	{.flags = USER | PID, .deny_setgroups = true, .map = true, .outside = true, .divides = !MAPPERS},
	{.flags = USER | PID, .outside = true, .divides = !MAPPERS},
	{.flags = USER | PID, .cgroup = true, .outside = true, .divides = true},
};
/* clang-format on */

static struct pal_builder *builder_of(const struct way *way)
{
	struct pal_builder *builder = pal_builder_new("/bin/true");

	pal_builder_namespaces(builder, way->flags);
	pal_builder_pid_init(builder, way->init);
	if (way->deny_setgroups)
		pal_builder_deny_setgroups(builder, true);
	if (way->map)
		pal_builder_map_uid(builder, 0, 100000, 10);
	if (way->cgroup)
		pal_builder_cgroup_procs(builder, 0);
	return builder;
}

static void check_as_root(int index)
{
	const struct way *way = &ways[index];
	struct pal_builder *builder = builder_of(way);
	struct pal__ns_plan plan;

	ck_assert_int_eq(pal__namespaces_divide(builder, true), way->divides);
	ck_assert_int_eq(pal__builder_shares_memory(builder), way->shares_memory);
	pal__ns_plan_make(&plan, builder, true, (const int[]){way->divides ? 0 : -1, -1});
	ck_assert_int_eq(plan.mapper, way->outside && MAPPERS && !way->cgroup);
	ck_assert_int_eq(plan.helper, way->outside && !plan.mapper);
	/* fork(2) knows no namespaces */
	ck_assert_int_eq(pal__namespaces_divide(builder, false), (way->flags & PID) != 0);
	pal__ns_plan_make(&plan, builder, false, (const int[]){way->flags & PID ? 0 : -1, -1});
	ck_assert_int_eq(plan.born, 0);
	ck_assert_int_eq(plan.helper, way->outside);
	pal_builder_free(builder);
}

START_TEST(a_child_divides_only_where_something_comes_before_its_namespaces)
{
	if (geteuid() != 0)
		support_skip("needs root");
	run_as(0, check_as_root, _i);
}
END_TEST

static void check_as_nobody(int arg)
{
	const struct way both = {.flags = USER | PID};
	struct pal_builder *builder = builder_of(&both);

	(void)arg;
	ck_assert(!pal__namespaces_divide(builder, true));
	ck_assert(!pal__builder_shares_memory(builder));
	pal_builder_free(builder);
}

/* Only setgroups(2) denied lets a user map its own group, and then it needs nobody. */
START_TEST(a_user_s_child_is_born_inside)
{
	run_as(geteuid() == 0 ? NOBODY : 0, check_as_nobody, 0);
}
END_TEST

START_TEST(a_child_that_joins_divides)
{
	int fd = open("/proc/self/ns/uts", O_RDONLY | O_CLOEXEC);
	struct pal_builder *builder = pal_builder_new("/bin/true");

	ck_assert_int_ge(fd, 0);
	pal_builder_namespaces(builder, PID);
	ck_assert(!pal__namespaces_divide(builder, true));
	pal_builder_join_namespace(builder, PAL_NS_UTS, fd);
	ck_assert(pal__namespaces_divide(builder, true));
	ck_assert(!pal__builder_shares_memory(builder));
	pal_builder_free(builder);
	close(fd);
}
END_TEST

static void spawn_with_maps(int expected)
{
	struct pal_builder *builder = pal_builder_new("/bin/true");
	struct pal_error error = {0};
	struct pal_child *child = NULL;
	struct pal_status status;

	pal_builder_namespaces(builder, USER);
	pal_builder_map_uid(builder, 0, 100000, 10);
	pal_builder_map_gid(builder, 0, 100000, 10);
	ck_assert_ok(pal_builder_spawn(builder, &child, &error), &error);
	ck_assert_ok(pal_child_wait(child, PAL_DEADLINE_NONE, &status, &error), &error);
	ck_assert_int_eq(status.code, expected);
	pal_child_free(child);
	pal_builder_free(builder);
}

/* What writes the maps would be the first of that namespace, and the child would end with it. */
static void spawn_into_unshared_pids(int arg)
{
	(void)arg;
	ck_assert_int_eq(unshare(CLONE_NEWPID), 0);
	spawn_with_maps(0);
}

START_TEST(a_process_that_has_made_a_pid_namespace_for_children_spawns)
{
	if (geteuid() != 0)
		support_skip("needs root");
	run_as(0, spawn_into_unshared_pids, 0);
}
END_TEST

static void spawn_without_streams(int arg)
{
	(void)arg;
	for (int fd = 0; fd < 3; fd++)
		close(fd);
	spawn_with_maps(0);
	for (int fd = 0; fd < 3; fd++)
		ck_assert_int_lt(fcntl(fd, F_GETFD), 0);
}

START_TEST(maps_are_written_also_where_standard_streams_are_closed)
{
	if (geteuid() != 0)
		support_skip("needs root");
	run_as(0, spawn_without_streams, 0);
}
END_TEST

static void spawn_refused(int arg)
{
	struct pal_builder *builder = pal_builder_new("/bin/true");
	struct pal_error error = {0};
	struct pal_child *child = NULL;

	(void)arg;
	pal_builder_namespaces(builder, PID);
	ck_assert_int_eq(pal_builder_spawn(builder, &child, &error), -EPERM);
	ck_assert_int_eq(error.stage, PAL_STAGE_NAMESPACE);
	ck_assert_ptr_null(child);
	pal_builder_free(builder);
}

START_TEST(a_clone_that_is_refused_is_about_the_namespaces)
{
	run_as(geteuid() == 0 ? NOBODY : 0, spawn_refused, 0);
}
END_TEST

static Suite *make_suite(void)
{
	Suite *suite = suite_create("pal/namespaces_plan");
	TCase *all = support_tcase(suite, "all");

	tcase_add_loop_test(all, a_child_divides_only_where_something_comes_before_its_namespaces,
		0, sizeof ways / sizeof ways[0]);
	tcase_add_test(all, a_user_s_child_is_born_inside);
	tcase_add_test(all, a_child_that_joins_divides);
	tcase_add_test(all, a_process_that_has_made_a_pid_namespace_for_children_spawns);
	tcase_add_test(all, maps_are_written_also_where_standard_streams_are_closed);
	tcase_add_test(all, a_clone_that_is_refused_is_about_the_namespaces);
	return suite;
}
SUPPORT_MAIN(make_suite)
