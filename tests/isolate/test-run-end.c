/* SPDX-License-Identifier: MIT */

/* Runs that are brought to an end: cancelled, freed, out of time, and kept from it by a tracer. */
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "gate.h"
#include "isolate-support.h"

/* ---- cancelled ---- */

static void check_cancelled(struct isolate_run *run)
{
	struct isolate_result result;

	isolate_finish(run, &result);
	ck_assert_failure(&result, ISOLATE_UNKNOWN, ISOLATE_STAGE_CANCEL, -ECANCELED);
	ck_assert(result.status_known && result.status.signaled);
	ck_assert_int_eq(result.status.code, SIGKILL);
	isolate_result_clear(&result);
}

START_TEST(a_function_that_was_cancelled_is_unknown)
{
	struct isolate_run *run;
	struct gate gate;

	gate_open(&gate, 0);
	run = start(pass, &gate, NULL);
	await_entry(&gate);
	if (_i)
		ck_assert(!is_readable(isolate_run_fd(run), 0));
	isolate_cancel(run);
	isolate_cancel(run);
	if (_i)
		progress_to_the_end(run);
	check_cancelled(run);
	check_that_all_are_gone(&gate);
	let_go(&gate);
}
END_TEST

static int leave(struct isolate_writer *out, void *arg)
{
	isolate_write(out, "done", 4);
	if (arg)
		_exit(3);
	return 0;
}

START_TEST(what_has_ended_is_not_cancelled)
{
	struct isolate_run *run = start(leave, NULL, NULL);
	struct isolate_result result;

	ck_assert(is_readable(isolate_run_fd(run), A_HANG_MS));
	isolate_cancel(run);
	isolate_finish(run, &result);
	ck_assert_answer(&result, ISOLATE_RETURNED);
	ck_assert_uint_eq(result.size, 4);
	isolate_result_clear(&result);

	run = start(leave, &result, NULL);
	ck_assert(is_readable(isolate_run_fd(run), A_HANG_MS));
	isolate_cancel(run);
	isolate_finish(run, &result);
	ck_assert_failure(&result, ISOLATE_UNKNOWN, ISOLATE_STAGE_RUN, -ECHILD);
	ck_assert_int_eq(result.status.code, 3);
}
END_TEST

START_TEST(a_run_that_is_freed_is_killed)
{
	struct isolate_run *run;
	struct gate gate;

	gate_open(&gate, 100000);
	run = start(pass, &gate, NULL);
	await_entry(&gate);
	errno = 1234;
	isolate_run_free(run);
	isolate_run_free(NULL);
	ck_assert_int_eq(errno, 1234);
	check_that_all_are_gone(&gate);
	let_go(&gate);
}
END_TEST

/* ---- the deadline ---- */

enum way {
	BY_CALL,
	BY_FINISH,
	BY_PROGRESS,
	WAYS
};

/* Until the function has been entered before its deadline. */
static void run_out_of_time(
	enum way way, isolate_fn fn, struct isolate_options *options, struct isolate_result *result)
{
	for (;; options->deadline_ms *= 2) {
		struct isolate_run *run;
		struct pal_error error;

		if (way == BY_CALL) {
			isolate_call(fn, NULL, options, result);
		} else if (isolate_start(fn, NULL, options, &run, &error) == 0) {
			if (way == BY_PROGRESS)
				ck_assert_int_lt(progress_to_the_end(run), 10);
			isolate_finish(run, result);
		} else {
			ck_assert_int_eq(error.code, -ETIMEDOUT);
			ck_assert_int_eq(error.stage, ISOLATE_STAGE_DEADLINE);
			continue;
		}
		if (result->answer != ISOLATE_NOT_EXECUTED)
			return;
		ck_assert_int_eq(result->error.code, -ETIMEDOUT);
	}
}

static volatile bool never;

static int ignore_sigterm(struct isolate_writer *out, void *arg)
{
	(void)out;
	(void)arg;
	signal(SIGTERM, SIG_IGN);
	while (!never)
		pause();
	return 0;
}

static int stay(struct isolate_writer *out, void *arg)
{
	(void)out;
	(void)arg;
	while (!never)
		pause();
	return 0;
}

static int stop_itself(struct isolate_writer *out, void *arg)
{
	(void)out;
	(void)arg;
	while (!never)
		raise(SIGSTOP);
	return 0;
}

static volatile sig_atomic_t told;

static void be_told(int signal)
{
	(void)signal;
	told = 1;
}

static int finish_when_told(struct isolate_writer *out, void *arg)
{
	sigset_t term, before;

	(void)arg;
	sigemptyset(&term);
	sigaddset(&term, SIGTERM);
	sigprocmask(SIG_BLOCK, &term, &before);
	signal(SIGTERM, be_told);
	while (!told)
		sigsuspend(&before);
	return isolate_write(out, "in time", 7);
}

/* S122 */
START_TEST(what_the_function_completes_in_its_grace_counts)
{
	struct isolate_options options = {
		ISOLATE_OPTIONS_INIT, .deadline_ms = 300, .grace_ms = A_HANG_MS};
	struct isolate_result result;

	run_out_of_time(_i, finish_when_told, &options, &result);
	ck_assert_answer(&result, ISOLATE_RETURNED);
	ck_assert_uint_eq(result.size, 7);
	isolate_result_clear(&result);
}
END_TEST

START_TEST(a_function_that_dies_of_sigterm_is_not_killed)
{
	struct isolate_options options = {
		ISOLATE_OPTIONS_INIT, .deadline_ms = 300, .grace_ms = A_HANG_MS};
	struct isolate_result result;

	run_out_of_time(_i, stay, &options, &result);
	ck_assert_failure(&result, ISOLATE_UNKNOWN, ISOLATE_STAGE_DEADLINE, -ETIMEDOUT);
	ck_assert_int_eq(result.status.code, SIGTERM);
	ck_assert_ptr_nonnull(strstr(result.error.text, "ended after SIGTERM in the function"));
}
END_TEST

static const isolate_fn stubborn[] = {ignore_sigterm, stop_itself};

START_TEST(a_function_that_does_not_mind_sigterm_is_killed)
{
	struct isolate_options options = {ISOLATE_OPTIONS_INIT, .deadline_ms = 300, .grace_ms = 1};
	struct isolate_result result;

	run_out_of_time(_i % WAYS, stubborn[_i / WAYS], &options, &result);
	ck_assert_failure(&result, ISOLATE_UNKNOWN, ISOLATE_STAGE_DEADLINE, -ETIMEDOUT);
	ck_assert_int_eq(result.status.code, SIGKILL);
	ck_assert_ptr_nonnull(strstr(result.error.text, "killed in the function"));
}
END_TEST

START_TEST(without_grace_the_deadline_kills)
{
	struct isolate_options options = {ISOLATE_OPTIONS_INIT, .deadline_ms = 300};
	struct isolate_result result;

	run_out_of_time(_i, stay, &options, &result);
	ck_assert_failure(&result, ISOLATE_UNKNOWN, ISOLATE_STAGE_DEADLINE, -ETIMEDOUT);
	ck_assert_int_eq(result.status.code, SIGKILL);
}
END_TEST

/* ---- a tracer ---- */

struct traced {
	int seized[2];
	int go[2];
	pid_t tracer;
};

static void trace(const struct traced *traced, pid_t pid)
{
	char byte;

	close(traced->go[1]);
	if (ptrace(PTRACE_SEIZE, pid, NULL, NULL) < 0 || write(traced->seized[1], "x", 1) != 1)
		syscall(SYS_exit_group, 77);
	while (read(traced->go[0], &byte, 1) > 0)
		;
	syscall(SYS_exit_group, 0);
}

/* Its end can be seen, and cannot be had. The kernel does not end the tracer's hold before it has waited. */
START_TEST(a_run_that_a_tracer_holds_is_looked_at_again)
{
	struct isolate_run *run;
	struct traced traced;
	struct gate gate;
	pid_t pid;
	char byte;

	gate_open(&gate, 0);
	ck_assert_int_eq(pipe2(traced.seized, O_CLOEXEC), 0);
	ck_assert_int_eq(pipe2(traced.go, O_CLOEXEC), 0);
	run = start(pass, &gate, NULL);
	pid = await_entry(&gate);
	traced.tracer = fork();
	if (traced.tracer == 0)
		trace(&traced, pid);
	ck_assert_int_eq(read(traced.seized[0], &byte, 1), 1);
	kill(pid, SIGKILL);
	ck_assert(is_readable(isolate_run_fd(run), A_HANG_MS));
	for (int i = 0; i < 3; i++) {
		ck_assert_int_eq(isolate_progress(run), 0);
		ck_assert(is_readable(isolate_run_fd(run), A_HANG_MS)); /* looks again */
	}
	ck_assert_int_eq(isolate_progress(run), 0);
	ck_assert(!is_readable(isolate_run_fd(run), 0)); /* and sleeps in between */
	close(traced.go[1]);
	progress_to_the_end(run);
	ck_assert_int_eq(isolate_finish(run, NULL), ISOLATE_UNKNOWN);
	ck_assert_int_eq(waitpid(traced.tracer, NULL, 0), traced.tracer);
	close(traced.seized[0]);
	close(traced.seized[1]);
	close(traced.go[0]);
	let_go(&gate);
	check_that_all_are_gone(&gate);
}
END_TEST

START_TEST(no_run_is_no_harm)
{
	struct isolate_result result;

	ck_assert_int_eq(isolate_progress(NULL), 1);
	ck_assert_int_eq(isolate_run_fd(NULL), -EINVAL);
	isolate_cancel(NULL);
	isolate_run_free(NULL);
	isolate_finish(NULL, &result);
	ck_assert_failure(&result, ISOLATE_NOT_EXECUTED, ISOLATE_STAGE_PREPARE, -EINVAL);
}
END_TEST

static Suite *make_suite(void)
{
	Suite *suite = suite_create("isolate/run-end");
	TCase *cancel = isolate_tcase(suite, "cancel");
	TCase *deadline = isolate_tcase(suite, "deadline");

	tcase_add_test(cancel, no_run_is_no_harm);
	tcase_add_loop_test(cancel, a_function_that_was_cancelled_is_unknown, 0, 2);
	tcase_add_test(cancel, what_has_ended_is_not_cancelled);
	tcase_add_test(cancel, a_run_that_is_freed_is_killed);
	tcase_add_test(cancel, a_run_that_a_tracer_holds_is_looked_at_again);
	tcase_add_loop_test(deadline, what_the_function_completes_in_its_grace_counts, 0, WAYS);
	tcase_add_loop_test(deadline, a_function_that_dies_of_sigterm_is_not_killed, 0, WAYS);
	tcase_add_loop_test(deadline, a_function_that_does_not_mind_sigterm_is_killed, 0, 2 * WAYS);
	tcase_add_loop_test(deadline, without_grace_the_deadline_kills, 0, WAYS);
	return suite;
}
SUPPORT_MAIN(make_suite)
