/* SPDX-License-Identifier: MIT */
#include <pal/child.h>

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

#include <pal/builder.h>

#include "spawn-support.h"
#include "support.h"

#define ANY (PAL_CHILD_ENDED | PAL_CHILD_STOPPED | PAL_CHILD_CONTINUED)

/* Each way to wait: the change is there already, or may come meanwhile. */
enum {
	NOW,
	FAR,
	NONE,
	DEADLINES
};

static pal_deadline deadline(int which)
{
	return which == NOW   ? PAL_DEADLINE_NOW
	       : which == FAR ? PAL_DEADLINE_MS(600000)
			      : PAL_DEADLINE_NONE;
}

static struct pal_child *start(const char *how)
{
	struct pal_builder *builder = builder_for("end-with", MODE_VFORK);

	pal_builder_arg(builder, how);
	pal_builder_stdin(builder, PAL_STDIO_PIPE);
	return spawn_take(builder);
}

/* Until the kernel has the change, without taking it. */
static void await_change(struct pal_child *child, int which)
{
	siginfo_t info;

	ck_assert_int_eq(waitid(P_PID, (id_t)pal_child_pid(child), &info, which | WNOWAIT), 0);
}

static void send_and_await(struct pal_child *child, int number, int which)
{
	ck_assert_int_eq(pal_child_signal(child, number), 0);
	await_change(child, which);
}

static int wait_change(struct pal_child *child, unsigned changes, pal_deadline until, int *signal)
{
	struct pal_error error = {0};
	int r = pal_child_wait_change(child, changes, until, signal, &error);

	ck_assert_int_eq(error.code, r < 0 ? r : 0);
	return r;
}

START_TEST(each_change_is_told_once)
{
	struct pal_child *child = start("nothing");
	struct pal_status status;
	int number = 0;

	ck_assert_int_eq(wait_change(child, ANY, PAL_DEADLINE_NOW, NULL), -ETIMEDOUT);
	send_and_await(child, SIGTSTP, WSTOPPED);
	ck_assert_int_eq(wait_change(child, ANY, deadline(_i), &number), PAL_CHILD_STOPPED);
	ck_assert_int_eq(number, SIGTSTP);
	ck_assert_int_eq(wait_change(child, ANY, PAL_DEADLINE_NOW, NULL), -ETIMEDOUT);
	send_and_await(child, SIGCONT, WCONTINUED);
	number = 77;
	ck_assert_int_eq(wait_change(child, ANY, deadline(_i), &number), PAL_CHILD_CONTINUED);
	ck_assert_int_eq(number, 77);
	ck_assert_int_eq(wait_change(child, ANY, PAL_DEADLINE_MS(1), NULL), -ETIMEDOUT);
	send_and_await(child, SIGUSR1, WEXITED);
	ck_assert_int_eq(wait_change(child, ANY, deadline(_i), NULL), PAL_CHILD_ENDED);
	ck_assert_int_eq(wait_change(child, ANY, deadline(_i), NULL), PAL_CHILD_ENDED);
	ck_assert_int_eq(wait_change(child, PAL_CHILD_STOPPED, deadline(_i), NULL), -ECHILD);
	ck_assert_int_eq(pal_child_wait(child, PAL_DEADLINE_NOW, &status, NULL), 0);
	ck_assert_int_eq(status.code, SIGUSR1);
	ck_assert_int_gt(status.wall_us, 0);
	pal_child_free(child);
}
END_TEST

START_TEST(only_what_was_asked_for_is_told)
{
	struct pal_child *child = start("stdin");

	send_and_await(child, SIGSTOP, WSTOPPED);
	ck_assert_int_eq(
		wait_change(child, PAL_CHILD_ENDED | PAL_CHILD_CONTINUED, PAL_DEADLINE_MS(1), NULL),
		-ETIMEDOUT);
	send_and_await(child, SIGCONT, WCONTINUED);
	ck_assert_int_eq(
		wait_change(child, PAL_CHILD_STOPPED, PAL_DEADLINE_MS(1), NULL), -ETIMEDOUT);
	close(pal_child_steal_stdin(child));
	await_change(child, WEXITED);
	/* not asked for, and nothing else can come any more */
	ck_assert_int_eq(wait_change(child, PAL_CHILD_STOPPED, deadline(_i), NULL), -ECHILD);
	ck_assert_int_eq(wait_change(child, PAL_CHILD_ENDED, deadline(_i), NULL), PAL_CHILD_ENDED);
	pal_child_free(child);
}
END_TEST

static void *stop_then_kill(void *arg)
{
	siginfo_t info;

	pal_child_signal(arg, SIGSTOP);
	waitid(P_PID, (id_t)pal_child_pid(arg), &info, WSTOPPED | WNOWAIT);
	pal_child_signal(arg, SIGKILL);
	return NULL;
}

/* It comes while we wait for it: a stop as long as the child lives, the end in any case. */
START_TEST(a_change_ends_the_wait)
{
	struct pal_child *child = start("nothing");
	pthread_t thread;

	ck_assert_int_eq(pthread_create(&thread, NULL, stop_then_kill, child), 0);
	ck_assert_int_eq(
		wait_change(child, PAL_CHILD_ENDED, deadline(FAR + _i), NULL), PAL_CHILD_ENDED);
	ck_assert_int_eq(pthread_join(thread, NULL), 0);
	pal_child_free(child);
}
END_TEST

START_TEST(a_lost_status_is_no_change)
{
	struct pal_child *child;

	support_without_pidfd_info();
	signal(SIGCHLD, SIG_IGN);
	child = start("stdin");
	send_and_await(child, SIGSTOP, WSTOPPED);
	ck_assert_int_eq(wait_change(child, ANY, deadline(_i), NULL), PAL_CHILD_STOPPED);
	ck_assert_int_eq(pal_child_signal(child, SIGCONT), 0);
	close(pal_child_steal_stdin(child));
	ck_assert_int_eq(wait_change(child, PAL_CHILD_ENDED, PAL_DEADLINE_NONE, NULL), -ECHILD);
	ck_assert_int_eq(wait_change(child, ANY, deadline(_i), NULL), -ECHILD);
	pal_child_free(child);
}
END_TEST

START_TEST(nonsense_is_refused)
{
	struct pal_child *child = start("nothing");
	struct pal_error error = {0};

	ck_assert_int_eq(pal_child_wait_change(child, 0, PAL_DEADLINE_NOW, NULL, &error), -EINVAL);
	ck_assert_int_eq(
		pal_child_wait_change(child, 8 | ANY, PAL_DEADLINE_NOW, NULL, &error), -EINVAL);
	ck_assert_int_eq(error.stage, PAL_STAGE_ARGUMENT);
	pal_child_free(child);
}
END_TEST

/* S62: the tracer is this process: its stops are changes, too, and never an end. */
START_TEST(a_tracers_stop_is_a_stop)
{
	struct pal_child *child = start("nothing");
	pid_t pid = pal_child_pid(child);
	int number = 0;

	ck_assert_int_eq(ptrace(PTRACE_SEIZE, pid, NULL, NULL), 0);
	ck_assert_int_eq(pal_child_signal(child, SIGUSR1), 0);
	ck_assert_int_eq(wait_change(child, ANY, deadline(FAR), &number), PAL_CHILD_STOPPED);
	ck_assert_int_eq(number, SIGUSR1);
	ck_assert_int_eq(pal_child_try_wait(child, NULL, NULL), 0);
	ck_assert_int_eq(ptrace(PTRACE_DETACH, pid, NULL, (void *)SIGUSR1), 0);
	ck_assert_int_eq(wait_change(child, ANY, deadline(FAR), &number), PAL_CHILD_ENDED);
	pal_child_free(child);
}
END_TEST

static Suite *make_suite(void)
{
	Suite *suite = suite_create("pal/change");
	TCase *changes = support_tcase(suite, "changes");

	tcase_add_loop_test(changes, each_change_is_told_once, 0, DEADLINES);
	tcase_add_loop_test(changes, only_what_was_asked_for_is_told, 0, DEADLINES);
	tcase_add_loop_test(changes, a_change_ends_the_wait, 0, 2);
	tcase_add_loop_test(changes, a_lost_status_is_no_change, 0, DEADLINES);
	tcase_add_test(changes, nonsense_is_refused);
	tcase_add_test(changes, a_tracers_stop_is_a_stop);
	return suite;
}
SUPPORT_MAIN(make_suite)
