/* SPDX-License-Identifier: MIT */
#include <pal/child.h>

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include <pal/builder.h>

#include "spawn-support.h"
#include "support.h"

static struct pal_child *start(int mode, const char *how, const char *number)
{
	struct pal_builder *builder = builder_for("end-with", mode);

	pal_builder_arg(builder, how);
	if (number)
		pal_builder_arg(builder, number);
	pal_builder_stdin(builder, PAL_STDIO_PIPE);
	pal_builder_stdout(builder, PAL_STDIO_PIPE);
	return spawn_take(builder);
}

static void await_end(struct pal_child *child)
{
	struct pollfd pidfd = {.fd = pal_child_peek_pidfd(child), .events = POLLIN};

	ck_assert_int_eq(poll(&pidfd, 1, -1), 1);
}

/* S43 */
START_TEST(exit_codes_are_told_modulo_256)
{
	static const int beyond[][2] = {{256, 0}, {300, 44}, {-1, 255}};
	char number[16];

	for (int code = 0; code < 256 + 3; code++) {
		int given = code < 256 ? code : beyond[code - 256][0];
		struct pal_status status;

		snprintf(number, sizeof number, "%d", given);
		status = wait_take(start(_i, "exit", number));
		ck_assert(!status.signaled);
		ck_assert(!status.core);
		ck_assert_int_eq(status.code, code < 256 ? code : beyond[code - 256][1]);
	}
}
END_TEST

/* Those whose default is to stop, to continue or to be ignored. */
static bool ends_nothing(int number)
{
	static const int harmless[] = {
		SIGCHLD, SIGCONT, SIGSTOP, SIGTSTP, SIGTTIN, SIGTTOU, SIGURG, SIGWINCH};

	for (size_t i = 0; i < sizeof harmless / sizeof harmless[0]; i++)
		if (harmless[i] == number)
			return true;
	return false;
}

/* S43 */
START_TEST(a_signal_is_never_shown_as_an_exit)
{
	for (int number = 1; number <= 64; number++) {
		struct pal_builder *builder;
		struct pal_status status;
		struct pal_child *child;

		if (ends_nothing(number))
			continue;
		builder = builder_for("end-with", _i);
		pal_builder_arg(builder, "nothing");
		pal_builder_cwd(builder, "/proc"); /* where no core can be written */
		child = spawn_take(builder);
		ck_assert_int_eq(pal_child_signal(child, number), 0);
		status = wait_take(child);
		ck_assert(status.signaled);
		ck_assert_int_eq(status.code, number);
	}
}
END_TEST

START_TEST(a_status_has_a_text)
{
	static const struct {
		struct pal_status status;
		const char *text;
	} cases[] = {
		{{.code = 3}, "exit 3"},
		{{.signaled = true, .code = SIGKILL}, "SIGKILL"},
		{{.signaled = true, .code = SIGSEGV, .core = true}, "SIGSEGV (core dumped)"},
		{{.signaled = true, .code = 35}, "signal 34+1"},
		{{.signaled = true, .code = 33}, "signal 33"},
	};
	char text[64];

	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
		ck_assert_str_eq(
			pal_status_text(&cases[i].status, text, sizeof text), cases[i].text);
	ck_assert_str_eq(pal_status_text(&cases[2].status, text, 5), "SIGS");
}
END_TEST

/* S59 */
START_TEST(the_status_is_kept)
{
	struct pal_child *child = start(_i, "exit", "5");
	struct pal_status status = {0};
	struct pal_error error = {0};

	ck_assert_ok(pal_child_wait(child, PAL_DEADLINE_NONE, NULL, &error), &error);
	ck_assert_int_eq(pal_child_try_wait(child, &status, &error), 1);
	ck_assert_int_eq(status.code, 5);
	ck_assert_int_ge(status.usage.ru_maxrss, 1);
	status.code = 0;
	ck_assert_ok(pal_child_wait(child, PAL_DEADLINE_NOW, &status, &error), &error);
	ck_assert_int_eq(status.code, 5);
	ck_assert_ok(pal_child_stop(child, 0, &status, &error), &error);
	ck_assert_int_eq(pal_child_signal(child, SIGTERM), -ESRCH);
	pal_child_free(child);
}
END_TEST

/* S66 */
START_TEST(a_deadline_ends_the_wait_but_not_the_child)
{
	struct pal_child *child = start(_i, "stdin", NULL);
	struct pal_error error = {0};

	ck_assert_int_eq(pal_child_wait(child, PAL_DEADLINE_MS(1), NULL, &error), -ETIMEDOUT);
	ck_assert_int_eq(error.stage, PAL_STAGE_WAIT);
	ck_assert_int_eq(pal_child_try_wait(child, NULL, NULL), 0);
	close(pal_child_steal_stdin(child));
	await_end(child);
	ck_assert_int_eq(pal_child_try_wait(child, NULL, NULL), 1);
	pal_child_free(child);
}
END_TEST

/* S58: 0 is SIG_IGN, 1 is SA_NOCLDWAIT. */
START_TEST(where_the_host_ignores_SIGCHLD_the_status_is_lost_and_said_to_be)
{
	struct sigaction ignore = {
		.sa_handler = _i % 2 ? SIG_DFL : SIG_IGN, .sa_flags = _i % 2 ? SA_NOCLDWAIT : 0};
	struct pal_status status = {.code = 77};
	struct pal_error error = {0};
	struct pal_child *child;

	support_without_pidfd_info();
	sigaction(SIGCHLD, &ignore, NULL);
	child = start(_i / 2, "stdin", NULL);
	ck_assert_int_eq(pal_child_try_wait(child, &status, &error), 0);
	close(pal_child_steal_stdin(child));
	ck_assert_int_eq(pal_child_wait(child, PAL_DEADLINE_NONE, &status, &error), -ECHILD);
	ck_assert_int_eq(error.stage, PAL_STAGE_WAIT);
	ck_assert_int_eq(pal_child_try_wait(child, &status, &error), -ECHILD);
	ck_assert_int_eq(status.code, 77);
	ck_assert_int_eq(pal_child_signal(child, SIGKILL), -ESRCH);
	pal_child_free(child);
	/* a spawn that fails is still told as what it is */
	ck_assert_spawn_fails(builder_for("no-such-helper", _i / 2), -ENOENT, PAL_STAGE_EXEC, 0);
	pal_child_free(start(_i / 2, "nothing", NULL));
}
END_TEST

/* S58: there is nothing to say before the end. */
static void *end_its_input(void *arg)
{
	siginfo_t info;
	int *input = arg;

	/* no child is left to wait for once this one has ended: not yet */
	if (waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) < 0)
		return (void *)-1;
	close(*input);
	return NULL;
}

START_TEST(where_SIGCHLD_is_ignored_a_wait_lasts_until_the_end)
{
	struct pal_child *child;
	pthread_t thread;
	void *too_early;
	int input;

	support_without_pidfd_info();
	signal(SIGCHLD, SIG_IGN);
	child = start(MODE_VFORK, "stdin", NULL);
	input = pal_child_steal_stdin(child);
	ck_assert_int_eq(pthread_create(&thread, NULL, end_its_input, &input), 0);
	ck_assert_int_eq(
		pal_child_wait(child, _i ? PAL_DEADLINE_NONE : PAL_DEADLINE_MS(600000), NULL, NULL),
		-ECHILD);
	while (kill(pal_child_pid(child), 0) == 0) /* the kernel is about to remove it */
		sched_yield();
	ck_assert_int_eq(pthread_join(thread, &too_early), 0);
	ck_assert_ptr_null(too_early);
	pal_child_free(child);
}
END_TEST

/* S65: another thread's waitpid(-1), while we wait, too. Whoever loses is told at once. */
static void *steal(void *arg)
{
	int *input = arg;

	close(*input);
	return (void *)(intptr_t)waitpid(-1, NULL, 0);
}

START_TEST(a_wait_and_a_thief_do_not_hold_each_other_up)
{
	support_without_pidfd_info();
	for (int i = 0; i < 100; i++) {
		struct pal_child *child = start(MODE_VFORK, "stdin", NULL);
		int input = pal_child_steal_stdin(child), r;
		pid_t pid = pal_child_pid(child);
		pthread_t thread;
		void *stolen;

		ck_assert_int_eq(pthread_create(&thread, NULL, steal, &input), 0);
		r = pal_child_wait(
			child, _i ? PAL_DEADLINE_NONE : PAL_DEADLINE_MS(600000), NULL, NULL);
		ck_assert_int_eq(pthread_join(thread, &stolen), 0);
		ck_assert((r == 0 && (intptr_t)stolen == -1) ||
			  (r == -ECHILD && (intptr_t)stolen == pid));
		pal_child_free(child);
	}
}
END_TEST

/* S65 */
START_TEST(a_status_that_somebody_else_took_is_ECHILD)
{
	struct pal_child *child = start(_i, "exit", "5");
	struct pal_error error = {0};

	support_without_pidfd_info();
	ck_assert_int_eq(waitpid(-1, NULL, 0), pal_child_pid(child));
	ck_assert_int_eq(pal_child_wait(child, PAL_DEADLINE_NONE, NULL, &error), -ECHILD);
	pal_child_free(child);
}
END_TEST

/* S61 */
static void nothing(int signal)
{
	(void)signal;
}

START_TEST(interruptions_do_not_end_the_wait)
{
	struct sigaction handler = {.sa_handler = nothing}; /* without SA_RESTART */
	struct itimerval fast = {{0, 500}, {0, 500}}, off = {{0, 0}, {0, 0}};
	struct pal_child *child = start(_i, "stdin", NULL);
	struct pal_error error = {0};

	sigaction(SIGALRM, &handler, NULL);
	setitimer(ITIMER_REAL, &fast, NULL);
	ck_assert_int_eq(pal_child_wait(child, PAL_DEADLINE_MS(50), NULL, &error), -ETIMEDOUT);
	close(pal_child_steal_stdin(child));
	ck_assert_ok(pal_child_wait(child, PAL_DEADLINE_NONE, NULL, &error), &error);
	pal_child_free(child);
	setitimer(ITIMER_REAL, &off, NULL);
}
END_TEST

/* S62 */
START_TEST(stops_and_continues_do_not_end_the_wait)
{
	struct pal_child *child = start(_i, "nothing", NULL);
	struct pal_error error = {0};
	struct pal_status status;
	siginfo_t info;

	ck_assert_int_eq(pal_child_signal(child, SIGSTOP), 0);
	ck_assert_int_eq(waitid(P_PID, (id_t)pal_child_pid(child), &info, WSTOPPED | WNOWAIT), 0);
	ck_assert_int_eq(pal_child_wait(child, PAL_DEADLINE_MS(1), NULL, &error), -ETIMEDOUT);
	ck_assert_int_eq(pal_child_signal(child, SIGCONT), 0);
	ck_assert_int_eq(waitid(P_PID, (id_t)pal_child_pid(child), &info, WCONTINUED | WNOWAIT), 0);
	ck_assert_int_eq(pal_child_wait(child, PAL_DEADLINE_MS(1), NULL, &error), -ETIMEDOUT);
	ck_assert_int_eq(pal_child_signal(child, SIGSTOP), 0);
	ck_assert_int_eq(waitid(P_PID, (id_t)pal_child_pid(child), &info, WSTOPPED), 0);
	ck_assert_ok(pal_child_stop(child, 1, &status, &error), &error);
	ck_assert_int_eq(status.code, SIGKILL);
	pal_child_free(child);
}
END_TEST

/* S62: another process traces the child, and has not waited for its end when we are asked to. */
START_TEST(a_traced_child_is_waited_for_until_its_tracer_lets_go)
{
	struct pal_child *child = start(_i, "nothing", NULL);
	pid_t traced = pal_child_pid(child), tracer;
	struct pal_error error = {0};
	struct pal_status status;
	int ready[2], go[2];
	char byte;

	ck_assert_int_eq(pipe(ready), 0);
	ck_assert_int_eq(pipe(go), 0);
	tracer = fork();
	if (tracer == 0) {
		if (ptrace(PTRACE_SEIZE, traced, NULL, NULL) < 0)
			_exit(77);
		close(go[1]);
		close(ready[0]);
		close(ready[1]);
		while (read(go[0], &byte, 1) > 0)
			;
		_exit(0); /* detaches */
	}
	close(ready[1]);
	close(go[0]);
	ck_assert_int_eq(read(ready[0], &byte, 1), 0);
	close(ready[0]);
	ck_assert_int_eq(pal_child_signal(child, SIGKILL), 0);
	await_end(child);
	ck_assert_int_eq(pal_child_wait(child, PAL_DEADLINE_MS(20), NULL, &error), -ETIMEDOUT);
	close(go[1]);
	ck_assert_ok(pal_child_wait(child, PAL_DEADLINE_NONE, &status, &error), &error);
	ck_assert_int_eq(status.code, SIGKILL);
	pal_child_free(child);
	ck_assert_int_eq(waitpid(tracer, &(int){0}, 0), tracer);
}
END_TEST

/* S64 */
START_TEST(signals_reach_the_child_until_it_has_ended)
{
	struct pal_child *child = start(_i, "nothing", NULL);
	struct pal_error error = {0};
	struct pal_status status;

	ck_assert_int_eq(pal_child_signal(child, 0), 0);
	ck_assert_int_eq(pal_child_signal(child, 1000), -EINVAL);
	ck_assert_int_eq(pal_child_signal(child, SIGUSR2), 0);
	await_end(child);
	ck_assert_int_eq(pal_child_signal(child, SIGUSR2), -ESRCH); /* a zombie, still */
	ck_assert_ok(pal_child_wait(child, PAL_DEADLINE_NONE, &status, &error), &error);
	ck_assert_int_eq(status.code, SIGUSR2);
	pal_child_free(child);
}
END_TEST

/* S68 */
START_TEST(stop_asks_first_and_then_kills)
{
	struct pal_error error = {0};
	struct pal_status status;
	struct pal_child *child = start(_i, "nothing", NULL);
	char ready[8];

	ck_assert_ok(pal_child_stop(child, 60000, &status, &error), &error);
	ck_assert_int_eq(status.code, SIGTERM);
	pal_child_free(child);
	child = start(_i, "kill", NULL);
	ck_assert_int_gt(read(pal_child_stdout(child), ready, sizeof ready), 0);
	ck_assert_ok(pal_child_stop(child, 1, &status, &error), &error);
	ck_assert_int_eq(status.code, SIGKILL);
	pal_child_free(child);
	child = start(_i, "exit", "9");
	await_end(child);
	ck_assert_ok(pal_child_stop(child, 0, &status, &error), &error);
	ck_assert_int_eq(status.code, 9);
	ck_assert(!status.signaled);
	pal_child_free(child);
}
END_TEST

/* S67: the fixture sees zombies and descriptors. */
START_TEST(a_handle_that_is_freed_leaves_neither_process_nor_zombie)
{
	pid_t pid;

	for (int i = 0; i < 100; i++) {
		struct pal_child *child = start(_i, i % 2 ? "nothing" : "exit", "0");

		pid = pal_child_pid(child);
		errno = EXDEV;
		pal_child_free(child);
		ck_assert_int_eq(errno, EXDEV);
		ck_assert_int_eq(kill(pid, 0), -1);
	}
	pal_child_free(NULL);
}
END_TEST

/* With and without a parent-death thread, which a fork does not have. */
START_TEST(a_fork_of_the_host_can_free_its_copy_of_the_handle)
{
	struct pal_builder *builder = builder_for("end-with", _i / 2);
	struct pal_status status;
	struct pal_child *child;
	pid_t pid;

	pal_builder_arg(builder, "stdin");
	pal_builder_stdin(builder, PAL_STDIO_PIPE);
	pal_builder_parent_death(builder, _i % 2 ? SIGKILL : 0);
	child = spawn_take(builder);
	pid = fork();
	if (pid == 0) {
		pal_child_free(child);
		_exit(0);
	}
	ck_assert_int_eq(waitpid(pid, NULL, 0), pid);
	close(pal_child_steal_stdin(child));
	status = wait_take(child);
	ck_assert(!status.signaled);
	ck_assert_int_eq(status.code, 0);
}
END_TEST

/*
 * S63: a process with the number of an ended child is not reached through its
 * handle. Somebody else may get the number first and keep it: then with another child.
 */
START_TEST(a_recycled_pid_is_not_signalled)
{
	pid_t newcomer = -1;

	for (int i = 0; i < 20 && newcomer < 0; i++) {
		struct pal_child *child = start(_i, "exit", "0");

		ck_assert_int_eq(pal_child_wait(child, PAL_DEADLINE_NONE, NULL, NULL), 0);
		newcomer = fork_with_number(pal_child_pid(child));
		ck_assert_int_eq(pal_child_signal(child, SIGKILL), -ESRCH);
		pal_child_free(child);
	}
	if (newcomer < 0)
		support_skip("no number of an ended child could be had again");
	ck_assert_int_eq(waitpid(newcomer, NULL, WNOHANG), 0);
	kill_and_reap(newcomer);
}
END_TEST

START_TEST(pipe_ends_can_be_taken_over)
{
	struct pal_child *child = start(_i, "stdin", NULL);
	int in = pal_child_steal_stdin(child), out = pal_child_stdout(child);

	ck_assert_int_ge(in, 3);
	ck_assert_int_ge(out, 3);
	ck_assert_int_eq(pal_child_stdin(child), -1);
	ck_assert_int_eq(pal_child_steal_stdin(child), -1);
	ck_assert_int_eq(pal_child_steal_stdout(child), out);
	ck_assert_int_eq(pal_child_stderr(child), -1);
	ck_assert_int_eq(pal_child_steal_stderr(child), -1);
	pal_child_free(child);
	ck_assert_int_eq(close(in), 0);
	ck_assert_int_eq(close(out), 0);
}
END_TEST

static Suite *make_suite(void)
{
	Suite *suite = suite_create("pal/wait");
	TCase *status = support_tcase(suite, "status");
	TCase *waiting = support_tcase(suite, "waiting");
	TCase *ending = support_tcase(suite, "ending");

	tcase_add_loop_test(status, exit_codes_are_told_modulo_256, 0, MODES);
	tcase_add_loop_test(status, a_signal_is_never_shown_as_an_exit, 0, MODES);
	tcase_add_test(status, a_status_has_a_text);
	tcase_add_loop_test(status, the_status_is_kept, 0, MODES);
	tcase_add_loop_test(waiting, a_deadline_ends_the_wait_but_not_the_child, 0, MODES);
	tcase_add_loop_test(waiting,
		where_the_host_ignores_SIGCHLD_the_status_is_lost_and_said_to_be, 0, 2 * MODES);
	tcase_add_loop_test(waiting, where_SIGCHLD_is_ignored_a_wait_lasts_until_the_end, 0, 2);
	tcase_add_loop_test(waiting, a_status_that_somebody_else_took_is_ECHILD, 0, MODES);
	tcase_add_loop_test(waiting, a_wait_and_a_thief_do_not_hold_each_other_up, 0, 2);
	tcase_add_loop_test(waiting, interruptions_do_not_end_the_wait, 0, MODES);
	tcase_add_loop_test(waiting, stops_and_continues_do_not_end_the_wait, 0, MODES);
	tcase_add_loop_test(
		waiting, a_traced_child_is_waited_for_until_its_tracer_lets_go, 0, MODES);
	tcase_add_loop_test(ending, signals_reach_the_child_until_it_has_ended, 0, MODES);
	tcase_add_loop_test(ending, stop_asks_first_and_then_kills, 0, MODES);
	tcase_add_loop_test(
		ending, a_handle_that_is_freed_leaves_neither_process_nor_zombie, 0, MODES);
	tcase_add_loop_test(
		ending, a_fork_of_the_host_can_free_its_copy_of_the_handle, 0, 2 * MODES);
	tcase_add_loop_test(ending, a_recycled_pid_is_not_signalled, 0, MODES);
	tcase_add_loop_test(ending, pipe_ends_can_be_taken_over, 0, MODES);
	return suite;
}
SUPPORT_MAIN(make_suite)
