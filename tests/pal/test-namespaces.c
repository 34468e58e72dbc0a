/* SPDX-License-Identifier: MIT */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/shm.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <pal/util-priv.h>

#include "inside.h"

/* Each namespace: what it forbids succeeds without it and fails with it. */

static const struct {
	unsigned flag;
	const char *name;
} kinds[] = {
	{PAL_NS_USER, "user"},
	{PAL_NS_MOUNT, "mnt"},
	{PAL_NS_PID, "pid"},
	{PAL_NS_IPC, "ipc"},
	{PAL_NS_UTS, "uts"},
	{PAL_NS_NET, "net"},
	{PAL_NS_CGROUP, "cgroup"},
	{PAL_NS_TIME, "time"},
};
#define KINDS ((int)(sizeof kinds / sizeof kinds[0]))
#define EVERY_KIND 0xffu

static struct pal_builder *in_namespaces(int way, unsigned flags)
{
	struct pal_builder *builder = inside_builder(way);

	pal_builder_namespaces(builder, flags);
	return builder;
}

/* For a user who needs a user namespace for the others. */
static unsigned with_user(int way, unsigned flags)
{
	return flags | (inside_user(way) == USER_ROOT ? 0 : PAL_NS_USER);
}

static const char *number(long value)
{
	static char text[24];

	snprintf(text, sizeof text, "%ld", value);
	return text;
}

static const char *own_link(const char *name)
{
	static char text[64];
	char path[64];
	ssize_t size;

	snprintf(path, sizeof path, "/proc/self/ns/%s", name);
	size = readlink(path, text, sizeof text - 1);
	ck_assert_int_gt(size, 0);
	text[size] = 0;
	return text;
}

/* ---- all kinds ---- */

START_TEST(a_namespace_is_another_one)
{
	inside_become(_i);
	for (int kind = 0; kind < KINDS; kind++) {
		const char *own = own_link(kinds[kind].name);
		unsigned flags = with_user(_i, kinds[kind].flag);

		ck_assert_int_eq(inside(inside_builder(_i), _i, "same", own), 0);
		ck_assert_int_eq(inside(in_namespaces(_i, flags), _i, "same", own), 1);
	}
}
END_TEST

START_TEST(all_of_them_go_together)
{
	inside_become(_i);
	for (int kind = 0; kind < KINDS; kind++)
		ck_assert_int_eq(inside(in_namespaces(_i, EVERY_KIND), _i, "same",
					 own_link(kinds[kind].name)),
			1);
}
END_TEST

START_TEST(without_rights_and_a_user_namespace_there_is_none)
{
	inside_become(_i);
	if (inside_user(_i) == USER_ROOT)
		return;
	for (int kind = 1; kind < KINDS; kind++)
		ck_assert_int_eq(inside_refused(in_namespaces(_i, kinds[kind].flag), _i,
					 PAL_STAGE_NAMESPACE, 0),
			-EPERM);
}
END_TEST

START_TEST(requests_that_do_not_fit_are_refused)
{
	struct pal_builder *builder;

	inside_become(_i);
	builder = in_namespaces(_i, 0x100);
	ck_assert_int_eq(inside_refused(builder, _i, PAL_STAGE_ARGUMENT, 0), -EINVAL);
	builder = inside_builder(_i);
	pal_builder_map_uid(builder, 0, 0, 1);
	ck_assert_int_eq(inside_refused(builder, _i, PAL_STAGE_ARGUMENT, 0), -EINVAL);
	builder = inside_builder(_i);
	pal_builder_forbid_user_namespaces(builder, true);
	ck_assert_int_eq(inside_refused(builder, _i, PAL_STAGE_ARGUMENT, 0), -EINVAL);
	builder = inside_builder(_i);
	pal_builder_pid_init(builder, true);
	ck_assert_int_eq(inside_refused(builder, _i, PAL_STAGE_ARGUMENT, 0), -EINVAL);
	builder = inside_builder(_i);
	pal_builder_hostname(
		builder, "0123456789012345678901234567890123456789012345678901234567890123456789");
	ck_assert_int_eq(inside_refused(builder, _i, PAL_STAGE_ARGUMENT, 0), -EINVAL);
}
END_TEST

/* ---- users ---- */

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
	for (unsigned line = 0; line < 340; line++)
		pal_builder_map_uid(builder, line, line, 1);
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

static void spawn_standing(struct standing *at, int way, unsigned flags)
{
	struct pal_builder *builder = in_namespaces(way, flags);
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

/* The errno of looking into the child's memory meanwhile. */
static int look_into(int way, unsigned flags)
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
		spawn_standing(&at, way, flags);
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
	ck_assert_int_eq(look_into(_i, 0), 0);
	ck_assert_int_eq(look_into(_i, PAL_NS_USER), EACCES);
	ck_assert_int_eq(look_into(_i, PAL_NS_USER | PAL_NS_MOUNT | PAL_NS_NET), EACCES);
}
END_TEST

/* ---- ipc, uts, network ---- */

START_TEST(shared_memory_of_others_is_out_of_reach)
{
	const int key = 0x706d0001;
	int id;

	inside_become(_i);
	id = shmget(key, 1, IPC_CREAT | 0666);
	ck_assert_int_ge(id, 0);
	ck_assert_int_eq(inside(inside_builder(_i), _i, "shm", number(key)), 0);
	ck_assert_int_eq(
		inside(in_namespaces(_i, with_user(_i, PAL_NS_IPC)), _i, "shm", number(key)),
		ENOENT);
	shmctl(id, IPC_RMID, NULL);
}
END_TEST

START_TEST(a_host_has_its_own_name)
{
	char before[256] = "", after[256] = "";
	struct pal_builder *builder;

	inside_become(_i);
	gethostname(before, sizeof before - 1);
	builder = in_namespaces(_i, with_user(_i, 0));
	pal_builder_hostname(builder, "sandbox");
	ck_assert_int_eq(inside(builder, _i, "hostname", "sandbox"), 0);
	ck_assert_int_eq(
		inside(in_namespaces(_i, with_user(_i, PAL_NS_UTS)), _i, "hostname", before), 0);
	ck_assert_int_eq(
		inside(in_namespaces(_i, PAL_NS_USER | PAL_NS_UTS), _i, "set-hostname", ""),
		inside_user(_i) == USER_ROOT || inside_kind(_i) == INSIDE_FORK ? 0 : EPERM);
	gethostname(after, sizeof after - 1);
	ck_assert_str_eq(before, after);
}
END_TEST

static int listen_somewhere(int *ret_port)
{
	struct sockaddr_in address = {.sin_family = AF_INET};
	socklen_t size = sizeof address;
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	ck_assert_int_eq(bind(fd, (struct sockaddr *)&address, sizeof address), 0);
	ck_assert_int_eq(listen(fd, 10), 0);
	ck_assert_int_eq(getsockname(fd, (struct sockaddr *)&address, &size), 0);
	*ret_port = ntohs(address.sin_port);
	return fd;
}

START_TEST(a_network_of_its_own_reaches_nobody)
{
	struct pal_builder *builder;
	int port, fd;

	inside_become(_i);
	fd = listen_somewhere(&port);
	ck_assert_int_eq(inside(inside_builder(_i), _i, "connect", number(port)), 0);
	ck_assert_int_eq(
		inside(in_namespaces(_i, with_user(_i, PAL_NS_NET)), _i, "connect", number(port)),
		ENETUNREACH);
	builder = in_namespaces(_i, with_user(_i, 0));
	pal_builder_loopback(builder, true);
	ck_assert_int_eq(inside(builder, _i, "connect", number(port)), ECONNREFUSED);
	close(fd);
}
END_TEST

/* ---- joins ---- */

static int link_fd(pid_t pid, const char *name)
{
	char path[64];
	int fd;

	snprintf(path, sizeof path, "/proc/%d/ns/%s", (int)pid, name);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	ck_assert_int_ge(fd, 0);
	return fd;
}

/* A program that has new namespaces and waits for the end of its input. */
static struct pal_child *holder(unsigned flags)
{
	struct pal_builder *builder = pal_builder_new(support_helper("end-with"));
	struct pal_error error = {0};
	struct pal_child *child;

	pal_builder_arg(builder, "stdin");
	pal_builder_stdin(builder, PAL_STDIO_PIPE);
	pal_builder_namespaces(builder, flags);
	ck_assert_ok(pal_builder_spawn(builder, &child, &error), &error);
	pal_builder_free(builder);
	return child;
}

static struct pal_builder *joining(int way, unsigned which, int fd)
{
	struct pal_builder *builder = inside_builder(way);

	pal_builder_join_namespace(builder, which, fd);
	return builder;
}

START_TEST(a_namespace_can_be_joined)
{
	struct pal_child *child;

	inside_become(_i);
	child = holder(EVERY_KIND);
	for (int kind = 0; kind < KINDS; kind++) {
		struct pal_builder *builder;
		int fd = link_fd(pal_child_pid(child), kinds[kind].name);
		int user = link_fd(pal_child_pid(child), "user");
		char theirs[64], path[64];

		snprintf(path, sizeof path, "/proc/%d/ns/%s", (int)pal_child_pid(child),
			kinds[kind].name);
		memset(theirs, 0, sizeof theirs);
		ck_assert_int_gt(readlink(path, theirs, sizeof theirs - 1), 0);
		builder = joining(_i, kinds[kind].flag, fd);
		if (inside_user(_i) != USER_ROOT)
			pal_builder_join_namespace(builder, PAL_NS_USER, user);
		ck_assert_int_eq(inside(builder, _i, "same", theirs), 0);
		close(user);
		close(fd);
	}
	pal_child_free(child);
}
END_TEST

/* S86 */
START_TEST(descriptor_0_is_a_descriptor)
{
	struct pal_child *child;
	struct pal_builder *builder;
	char own[64];
	int fd, saved = fcntl(0, F_DUPFD_CLOEXEC, 100);

	inside_become(_i);
	child = holder(PAL_NS_USER | PAL_NS_UTS);
	snprintf(own, sizeof own, "%s", own_link("user"));
	fd = link_fd(pal_child_pid(child), "user");
	ck_assert_int_eq(dup2(fd, 0), 0);
	builder = joining(_i, PAL_NS_USER, 0);
	pal_builder_stdin(builder, PAL_STDIO_NULL);
	ck_assert_int_eq(inside(builder, _i, "same", own), 1);
	dup2(saved, 0);
	close(saved);
	close(fd);
	pal_child_free(child);
}
END_TEST

START_TEST(what_is_no_such_namespace_is_not_joined)
{
	int fd = open("/dev/null", O_RDONLY | O_CLOEXEC), uts;

	inside_become(_i);
	uts = link_fd(getpid(), "uts");
	ck_assert_int_eq(
		inside_refused(joining(_i, PAL_NS_NET, uts), _i, PAL_STAGE_NAMESPACE, PAL_NS_NET),
		-EINVAL);
	ck_assert_int_eq(
		inside_refused(joining(_i, PAL_NS_UTS, fd), _i, PAL_STAGE_NAMESPACE, PAL_NS_UTS),
		-EINVAL);
	ck_assert_int_eq(
		inside_refused(joining(_i, PAL_NS_UTS, -1), _i, PAL_STAGE_ARGUMENT, 0), -EBADF);
	close(fd);
	ck_assert_int_eq(
		inside_refused(joining(_i, PAL_NS_UTS, fd), _i, PAL_STAGE_NAMESPACE, PAL_NS_UTS),
		-EBADF);
	close(uts);
}
END_TEST

/* A process of nobody in a user namespace of its own; it ends with the pipe. */
static pid_t attacker(int *ret_leave)
{
	int leave[2], ready[2];
	char byte;
	pid_t pid;

	ck_assert_int_eq(pipe2(leave, O_CLOEXEC), 0);
	ck_assert_int_eq(pipe2(ready, O_CLOEXEC), 0);
	pid = fork();
	if (pid == 0) {
		close(leave[1]);
		become(USER_NOBODY);
		if (unshare(CLONE_NEWUSER | CLONE_NEWNET) < 0 || write(ready[1], "", 1) < 0)
			_exit(1);
		_exit(read(leave[0], &byte, 1) != 0);
	}
	close(leave[0]);
	close(ready[1]);
	ck_assert_int_eq(read(ready[0], &byte, 1), 1);
	close(ready[0]);
	*ret_leave = leave[1];
	return pid;
}

/* S89 */
START_TEST(root_does_not_join_what_somebody_else_has_prepared)
{
	int leave, net, user;
	pid_t pid;

	inside_become(_i);
	if (inside_user(_i) != USER_ROOT)
		return;
	pid = attacker(&leave);
	net = link_fd(pid, "net");
	user = link_fd(pid, "user");
	ck_assert_int_eq(
		inside_refused(joining(_i, PAL_NS_NET, net), _i, PAL_STAGE_NAMESPACE, PAL_NS_NET),
		-EPERM);
	ck_assert_int_eq(inside_refused(joining(_i, PAL_NS_USER, user), _i, PAL_STAGE_NAMESPACE,
				 PAL_NS_USER),
		-EPERM);
	close(net);
	close(user);
	close(leave);
	ck_assert_int_eq(waitpid(pid, NULL, 0), pid);
}
END_TEST

static Suite *make_suite(void)
{
	Suite *suite = suite_create("pal/namespaces");
	TCase *all = support_tcase(suite, "kinds"), *users = support_tcase(suite, "users");
	TCase *others = support_tcase(suite, "others"), *joins = support_tcase(suite, "joins");

	tcase_add_loop_test(all, a_namespace_is_another_one, 0, INSIDE_WAYS);
	tcase_add_loop_test(all, all_of_them_go_together, 0, INSIDE_WAYS);
	tcase_add_loop_test(all, without_rights_and_a_user_namespace_there_is_none, 0, INSIDE_WAYS);
	tcase_add_loop_test(all, requests_that_do_not_fit_are_refused, 0, INSIDE_WAYS);
	tcase_add_loop_test(users, a_user_keeps_its_number_unless_told_otherwise, 0, INSIDE_WAYS);
	tcase_add_loop_test(users, a_user_is_root_inside_where_the_map_says_so, 0, INSIDE_WAYS);
	tcase_add_loop_test(users, ranges_are_for_who_has_the_ids, 0, INSIDE_WAYS);
	tcase_add_loop_test(users, the_user_asked_for_is_one_of_the_inside, 0, INSIDE_WAYS);
	tcase_add_loop_test(users, maps_that_the_kernel_refuses_start_nothing, 0, INSIDE_WAYS);
	tcase_add_loop_test(users, three_hundred_and_forty_lines_are_a_map, 0, INSIDE_WAYS);
	tcase_add_loop_test(users, setgroups_is_denied_where_it_has_to_be, 0, INSIDE_WAYS);
	tcase_add_loop_test(users, nested_user_namespaces_can_be_forbidden, 0, INSIDE_WAYS);
	tcase_add_loop_test(users, a_child_cannot_be_traced_on_its_way, 0, INSIDE_WAYS);
	tcase_add_loop_test(others, shared_memory_of_others_is_out_of_reach, 0, INSIDE_WAYS);
	tcase_add_loop_test(others, a_host_has_its_own_name, 0, INSIDE_WAYS);
	tcase_add_loop_test(others, a_network_of_its_own_reaches_nobody, 0, INSIDE_WAYS);
	tcase_add_loop_test(joins, a_namespace_can_be_joined, 0, INSIDE_WAYS);
	tcase_add_loop_test(joins, descriptor_0_is_a_descriptor, 0, INSIDE_WAYS);
	tcase_add_loop_test(joins, what_is_no_such_namespace_is_not_joined, 0, INSIDE_WAYS);
	tcase_add_loop_test(
		joins, root_does_not_join_what_somebody_else_has_prepared, 0, INSIDE_WAYS);
	return suite;
}
SUPPORT_MAIN(make_suite)
