/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <pal/util-priv.h>

#include "inside.h"

/* S87: pid namespaces, and process 1 of one. */

static struct pal_builder *in_pids(int way, bool init)
{
	struct pal_builder *builder = inside_builder(way);

	pal_builder_namespaces(builder, PAL_NS_USER | PAL_NS_PID);
	pal_builder_map_uid(builder, 0, geteuid(), 1);
	pal_builder_map_gid(builder, 0, getegid(), 1);
	pal_builder_pid_init(builder, init);
	return builder;
}

static const char *number(long value)
{
	static char text[24];

	snprintf(text, sizeof text, "%ld", value);
	return text;
}

START_TEST(the_processes_outside_cannot_be_reached)
{
	inside_become(_i);
	ck_assert_int_eq(inside(inside_builder(_i), _i, "signal", number(getpid())), 0);
	ck_assert_int_eq(inside(in_pids(_i, false), _i, "signal", number(getpid())), ESRCH);
	ck_assert_int_eq(inside(in_pids(_i, true), _i, "signal", number(getpid())), ESRCH);
}
END_TEST

START_TEST(a_program_is_process_1_or_the_child_of_one)
{
	inside_become(_i);
	ck_assert_int_eq(
		inside(in_pids(_i, false), _i, "pid", ""), inside_kind(_i) == INSIDE_FORK ? 2 : 1);
	ck_assert_int_eq(inside(in_pids(_i, true), _i, "pid", ""), 2);
}
END_TEST

START_TEST(the_status_is_the_programs)
{
	static const int signals[] = {SIGKILL, SIGTERM, SIGSEGV, SIGABRT, SIGUSR1};

	inside_become(_i);
	ck_assert_int_eq(inside(in_pids(_i, true), _i, "exit", "0"), 0);
	ck_assert_int_eq(inside(in_pids(_i, true), _i, "exit", "77"), 77);
	ck_assert_int_eq(inside(in_pids(_i, true), _i, "exit", "255"), 255);
	for (size_t i = 0; i < PAL_ARRAY_LENGTH(signals); i++)
		ck_assert_int_eq(inside(in_pids(_i, true), _i, "kill", number(signals[i])),
			DIED + signals[i]);
}
END_TEST

START_TEST(orphans_are_reaped)
{
	sigset_t children;
	struct pal_builder *builder;

	inside_become(_i);
	ck_assert_int_eq(inside(in_pids(_i, true), _i, "orphan", ""), 0);
	/* also where the program wants to know nothing of its children */
	sigemptyset(&children);
	sigaddset(&children, SIGCHLD);
	builder = in_pids(_i, true);
	pal_builder_ignore_signals(builder, &children);
	ck_assert_int_eq(inside(builder, _i, "exit", "5"), 5);
}
END_TEST

/* ---- signals and ends ---- */

static int run_catch(void *unused)
{
	(void)unused;
	return attempt("catch", "");
}

/* A child that has said that it is ready to catch SIGTERM. */
static struct pal_child *catcher(int way, struct pal_builder *builder)
{
	struct pal_error error = {0};
	struct pal_child *child;
	char text[8];

	pal_builder_arg(builder, "catch");
	pal_builder_arg(builder, "");
	pal_builder_stdout(builder, PAL_STDIO_PIPE);
	if (inside_kind(way) == INSIDE_FORK)
		ck_assert_ok(pal_fork(builder, run_catch, NULL, &child, &error), &error);
	else
		ck_assert_ok(pal_builder_spawn(builder, &child, &error), &error);
	pal_builder_free(builder);
	ck_assert_int_eq(read(pal_child_stdout(child), text, sizeof text), 6);
	return child;
}

static void await_end_of_output(struct pal_child *child)
{
	char byte;

	ck_assert_int_eq(read(pal_child_stdout(child), &byte, 1), 0);
}

START_TEST(a_signal_is_passed_on)
{
	struct pal_error error = {0};
	struct pal_status status;
	struct pal_child *child;

	inside_become(_i);
	child = catcher(_i, in_pids(_i, true));
	ck_assert_int_eq(pal_child_signal(child, SIGTERM), 0);
	ck_assert_ok(pal_child_wait(child, PAL_DEADLINE_NONE, &status, &error), &error);
	ck_assert_int_eq(status.signaled, 0);
	ck_assert_int_eq(status.code, 0);
	pal_child_free(child);
	child = catcher(_i, in_pids(_i, true));
	ck_assert_int_eq(pal_child_signal(child, SIGUSR2), 0);
	ck_assert_ok(pal_child_wait(child, PAL_DEADLINE_NONE, &status, &error), &error);
	ck_assert_int_eq(status.signaled, 1);
	ck_assert_int_eq(status.code, SIGUSR2);
	pal_child_free(child);
}
END_TEST

START_TEST(killing_process_1_kills_all)
{
	struct pal_error error = {0};
	struct pal_status status;
	struct pal_child *child;

	inside_become(_i);
	child = catcher(_i, in_pids(_i, true));
	ck_assert_int_eq(pal_child_signal(child, SIGKILL), 0);
	await_end_of_output(child);
	ck_assert_ok(pal_child_wait(child, PAL_DEADLINE_NONE, &status, &error), &error);
	ck_assert_int_eq(status.signaled, 1);
	ck_assert_int_eq(status.code, SIGKILL);
	pal_child_free(child);
}
END_TEST

/* The end of the output is the end of every process in there, and of process 1's copies of it. */
START_TEST(process_1_holds_no_descriptor)
{
	struct pal_error error = {0};
	struct pal_child *child;
	char path[64], target[64];

	inside_become(_i);
	if (inside_user(_i) != USER_ROOT)
		return; /* only root may look into a process that cannot be traced */
	child = catcher(_i, in_pids(_i, true));
	snprintf(path, sizeof path, "/proc/%d/fd/1", (int)pal_child_pid(child));
	/* of a function, it closes them while that runs already */
	if (inside_kind(_i) == INSIDE_FORK)
		SUPPORT_LOOK_UNTIL(readlink(path, target, sizeof target) < 0);
	ck_assert_int_lt(readlink(path, target, sizeof target), 0);
	ck_assert_int_eq(errno, ENOENT);
	ck_assert_ok(pal_child_stop(child, 1000, NULL, &error), &error);
	pal_child_free(child);
}
END_TEST

/* In a process that ends: a child is left in a pid namespace, with the test's pipe as output. */
static void leave_child_behind(int way, bool init, int output)
{
	struct pal_builder *builder = in_pids(way, init);
	struct pal_error error = {0};
	struct pal_child *child;
	int r;

	pal_builder_arg(builder, "catch");
	pal_builder_arg(builder, "");
	pal_builder_stdout(builder, PAL_STDIO_FD(output));
	pal_builder_parent_death(builder, SIGKILL);
	r = inside_kind(way) == INSIDE_FORK ? pal_fork(builder, run_catch, NULL, &child, &error)
					    : pal_builder_spawn(builder, &child, &error);
	if (r < 0)
		fprintf(stderr, "%s\n", pal_error_text(&error));
	_exit(r < 0);
}

START_TEST(all_end_with_the_parent)
{
	inside_become(_i);
	for (int init = 0; init < 2; init++) {
		int ends[2], status;
		char text[16];
		pid_t pid;
		ssize_t got;

		ck_assert_int_eq(pipe2(ends, O_CLOEXEC), 0);
		pid = fork();
		if (pid == 0)
			leave_child_behind(_i, init, ends[1]);
		close(ends[1]);
		ck_assert_int_eq(waitpid(pid, &status, 0), pid);
		ck_assert_int_eq(status, 0);
		do
			got = read(ends[0], text, sizeof text);
		while (got > 0);
		ck_assert_int_eq(got, 0);
		close(ends[0]);
	}
}
END_TEST

START_TEST(a_failure_inside_is_told_as_outside)
{
	struct pal_builder *builder;

	inside_become(_i);
	for (int init = 0; init < 2; init++) {
		builder = in_pids(_i, init);
		pal_builder_cwd(builder, "/no/such/folder");
		ck_assert_int_eq(inside_refused(builder, _i, PAL_STAGE_CHDIR, 0), -ENOENT);
		if (inside_kind(_i) == INSIDE_FORK)
			continue;
		builder = pal_builder_new("/no/such/program");
		pal_builder_namespaces(builder, PAL_NS_USER | PAL_NS_PID);
		pal_builder_pid_init(builder, init);
		ck_assert_int_eq(inside_refused(builder, _i, PAL_STAGE_EXEC, 0), -ENOENT);
	}
}
END_TEST

/* Its filter kills it in execve(2): clone has let process 1 go on by then, as if it ran. */
START_TEST(who_is_killed_by_exec_has_not_started)
{
	inside_become(_i);
	if (inside_kind(_i) == INSIDE_FORK)
		return;
	for (int session = 0; session < 2; session++) {
		struct pal_builder *builder = in_pids(_i, true);
		struct pal_error error = {0};
		struct pal_seccomp *filter;
		struct pal_child *child = NULL;
		pid_t pid;

		ck_assert_ok(pal_seccomp_new(PAL_SECCOMP_ALLOW, &filter, &error), &error);
		ck_assert_ok(pal_seccomp_rule(filter, PAL_SECCOMP_KILL, "execve", &error), &error);
		pal_builder_no_new_privs(builder, true);
		pal_builder_seccomp(builder, filter);
		pal_builder_setsid(builder, session);
		ck_assert_int_eq(pal_builder_spawn(builder, &child, &error), -ECHILD);
		ck_assert_int_eq(error.stage, PAL_STAGE_DIED);
		ck_assert_int_eq(error.index, SIGSYS);
		ck_assert_int_eq(pal_builder_spawn_pid(builder, &pid, &error), -ECHILD);
		pal_seccomp_free(filter);
		pal_builder_free(builder);
	}
}
END_TEST

/* As soon as it runs: it is in no other session before. */
START_TEST(a_program_may_make_its_own_session_at_once)
{
	inside_become(_i);
	for (int i = 0; i < 20; i++)
		ck_assert_int_eq(inside(in_pids(_i, true), _i, "setsid", ""), 0);
}
END_TEST

START_TEST(the_scheduling_policy_is_the_programs)
{
	const bool root = inside_user(_i) == USER_ROOT;

	inside_become(_i);
	for (int reset = 0; reset < 2; reset++) {
		const int policy =
			(root ? SCHED_RR : SCHED_BATCH) | (reset ? SCHED_RESET_ON_FORK : 0);
		struct pal_builder *builder = root ? inside_builder(_i) : in_pids(_i, true);

		pal_builder_namespaces(builder, PAL_NS_PID);
		pal_builder_pid_init(builder, true);
		pal_builder_scheduler(builder, policy, root ? 1 : 0);
		ck_assert_int_eq(inside(builder, _i, "scheduler", number(policy)), 0);
	}
}
END_TEST

/* A terminal that goes away tells the leader of its session, which process 1 is. */
START_TEST(a_hangup_reaches_the_program)
{
	struct pal_error error = {0};
	struct pal_status status;

	inside_become(_i);
	for (int init = 0; init < 2; init++) {
		struct pal_builder *builder = in_pids(_i, init);
		int master = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC), slave;
		struct pal_child *child;

		ck_assert_int_ge(master, 0);
		ck_assert_int_eq(unlockpt(master), 0);
		slave = open(ptsname(master), O_RDWR | O_NOCTTY | O_CLOEXEC);
		ck_assert_int_ge(slave, 0);
		pal_builder_stdin(builder, PAL_STDIO_FD(slave));
		pal_builder_controlling_tty(builder, 0);
		child = catcher(_i, builder);
		close(slave);
		close(master);
		ck_assert_ok(
			pal_child_wait(child, PAL_DEADLINE_MS(20000), &status, &error), &error);
		pal_child_free(child);
	}
}
END_TEST

static int status_of(pid_t pid)
{
	int status;

	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert(WIFEXITED(status));
	return WEXITSTATUS(status);
}

/* Who waits with waitpid(2) has the pid of process 1, and its exit code. */
START_TEST(the_pid_is_process_1s)
{
	struct pal_error error = {0};
	struct pal_child *child;

	inside_become(_i);
	if (inside_kind(_i) == INSIDE_FORK)
		return;
	for (int init = 0; init < 2; init++) {
		struct pal_builder *builder = in_pids(_i, init);
		pid_t pid;

		pal_builder_arg(builder, "exit");
		pal_builder_arg(builder, "9");
		ck_assert_ok(pal_builder_spawn_pid(builder, &pid, &error), &error);
		ck_assert_int_eq(status_of(pid), 9);
		ck_assert_ok(pal_builder_spawn(builder, &child, &error), &error);
		ck_assert_int_eq(status_of(pal_child_steal_pid(child)), 9);
		pal_builder_cwd(builder, "/no/such/folder");
		ck_assert_int_eq(pal_builder_spawn_pid(builder, &pid, &error), -ENOENT);
		ck_assert_int_eq(error.stage, PAL_STAGE_CHDIR);
		pal_builder_free(builder);
	}
	ck_assert_int_eq(waitpid(-1, NULL, WNOHANG), -1);
	ck_assert_int_eq(errno, ECHILD);
}
END_TEST

START_TEST(a_signal_is_an_exit_code_for_who_waits_for_the_pid)
{
	struct pal_builder *builder;
	struct pal_error error = {0};
	pid_t pid;

	inside_become(_i);
	if (inside_kind(_i) == INSIDE_FORK)
		return;
	builder = in_pids(_i, true);
	pal_builder_arg(builder, "kill");
	pal_builder_arg(builder, number(SIGTERM));
	ck_assert_ok(pal_builder_spawn_pid(builder, &pid, &error), &error);
	ck_assert_int_eq(status_of(pid), 128 + SIGTERM);
	pal_builder_free(builder);
}
END_TEST

/* The program has a filter that process 1 does not have: it must not use that one's hands. */
START_TEST(process_1_cannot_be_traced)
{
	inside_become(_i);
	ck_assert_int_eq(inside(in_pids(_i, true), _i, "trace", "1"), EPERM);
}
END_TEST

static Suite *make_suite(void)
{
	Suite *suite = suite_create("pal/init");
	TCase *pids = support_tcase(suite, "pids"), *ends = support_tcase(suite, "ends");

	tcase_add_loop_test(pids, the_processes_outside_cannot_be_reached, 0, INSIDE_WAYS);
	tcase_add_loop_test(pids, a_program_is_process_1_or_the_child_of_one, 0, INSIDE_WAYS);
	tcase_add_loop_test(pids, the_status_is_the_programs, 0, INSIDE_WAYS);
	tcase_add_loop_test(pids, orphans_are_reaped, 0, INSIDE_WAYS);
	tcase_add_loop_test(pids, process_1_cannot_be_traced, 0, INSIDE_WAYS);
	tcase_add_loop_test(ends, the_pid_is_process_1s, 0, INSIDE_WAYS);
	tcase_add_loop_test(
		ends, a_signal_is_an_exit_code_for_who_waits_for_the_pid, 0, INSIDE_WAYS);
	tcase_add_loop_test(ends, a_signal_is_passed_on, 0, INSIDE_WAYS);
	tcase_add_loop_test(ends, killing_process_1_kills_all, 0, INSIDE_WAYS);
	tcase_add_loop_test(ends, process_1_holds_no_descriptor, 0, INSIDE_WAYS);
	tcase_add_loop_test(ends, all_end_with_the_parent, 0, INSIDE_WAYS);
	tcase_add_loop_test(ends, a_failure_inside_is_told_as_outside, 0, INSIDE_WAYS);
	tcase_add_loop_test(pids, the_scheduling_policy_is_the_programs, 0, INSIDE_WAYS);
	tcase_add_loop_test(ends, a_hangup_reaches_the_program, 0, INSIDE_WAYS);
	tcase_add_loop_test(ends, who_is_killed_by_exec_has_not_started, 0, INSIDE_WAYS);
	tcase_add_loop_test(ends, a_program_may_make_its_own_session_at_once, 0, INSIDE_WAYS);
	return suite;
}
SUPPORT_MAIN(make_suite)
