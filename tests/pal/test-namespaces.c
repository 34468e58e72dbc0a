/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/shm.h>
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

/* ---- ipc, uts, network ---- */

START_TEST(shared_memory_of_others_is_out_of_reach)
{
	const int key = 0x70000000 | getpid(); /* several of this program may run at once */
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

START_TEST(a_network_of_its_own_reaches_nobody)
{
	struct pal_builder *builder;
	uint16_t port;
	int fd;

	inside_become(_i);
	fd = listen_on_loopback(&port);
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
	int fd, saved;

	inside_become(_i);
	saved = fcntl(0, F_DUPFD_CLOEXEC, 100);
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
	int fd, uts;

	inside_become(_i);
	fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
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

	needs_user_namespace_of_fork();
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
	TCase *all = support_tcase(suite, "kinds");
	TCase *others = support_tcase(suite, "others"), *joins = support_tcase(suite, "joins");

	tcase_add_loop_test(all, a_namespace_is_another_one, 0, INSIDE_WAYS);
	tcase_add_loop_test(all, all_of_them_go_together, 0, INSIDE_WAYS);
	tcase_add_loop_test(all, without_rights_and_a_user_namespace_there_is_none, 0, INSIDE_WAYS);
	tcase_add_loop_test(all, requests_that_do_not_fit_are_refused, 0, INSIDE_WAYS);
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
