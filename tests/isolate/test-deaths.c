/* SPDX-License-Identifier: MIT */

/*
 * Killed after every byte of its answer, and at every instruction between entering and completing
 * it: traced, so that nothing depends on time. S111
 */
#include <signal.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

#include "isolate-support.h"

/* What the child really did, and the answer that the host was given. */
struct stage {
	bool is_traced;
	bool entered;
	bool returned; /* is about to be */
	enum isolate_answer answer;
	struct pal_error error;
	bool is_right; /* value and bytes are what they are to be */
};
static struct stage *stage;

/* ---- after every byte ---- */

#define SMALL 200

static int write_some_and_die(struct isolate_writer *out, void *arg)
{
	for (size_t i = 0; i < *(size_t *)arg; i++) {
		unsigned char byte = pattern(i);

		if (isolate_write(out, &byte, 1) < 0)
			return -1;
	}
	kill(getpid(), SIGKILL);
	return 0;
}

START_TEST(a_function_killed_after_any_byte_has_no_short_result)
{
	for (size_t size = 0; size <= SMALL; size++) {
		struct isolate_result result;

		isolate_call(write_some_and_die, &size, NULL, &result);
		ck_assert_failure(&result, ISOLATE_UNKNOWN, ISOLATE_STAGE_RUN, -ECHILD);
		isolate_result_clear(&result);
	}
}
END_TEST

/* ---- at every instruction ---- */

/* One in the shared page, one that the function writes to the memfd, one whose end is written behind it. */
static const size_t sizes[][2] = {{100, 0}, {70000, 0}, {70000, 100}};
#define LONGEST 70100
#define VALUE 7
static unsigned char bytes[LONGEST];

extern int __real_isolate__guard_arm(struct isolate_writer *writer);
extern int __wrap_isolate__guard_arm(struct isolate_writer *writer);

/* The child is about to enter the function: the tracer takes over. */
int __wrap_isolate__guard_arm(struct isolate_writer *writer)
{
	int r = __real_isolate__guard_arm(writer);

	if (stage && stage->is_traced)
		raise(SIGTRAP);
	return r;
}

static int write_both(struct isolate_writer *out, void *arg)
{
	const size_t *both = arg;

	stage->entered = true;
	if (isolate_write(out, bytes, both[0]) < 0 ||
		isolate_write(out, bytes + both[0], both[1]) < 0)
		return -1;
	stage->returned = true;
	return VALUE;
}

static int call_and_note(const size_t *both)
{
	struct isolate_result result;

	isolate_call(write_both, (void *)both, NULL, &result);
	stage->answer = result.answer;
	stage->error = result.error;
	stage->is_right = result.value == VALUE && result.size == both[0] + both[1] &&
			  result.data && memcmp(result.data, bytes, result.size) == 0;
	isolate_result_clear(&result);
	return 0;
}

static int wait_for(pid_t pid)
{
	int status;

	ck_assert_int_eq(waitpid(pid, &status, __WALL), pid);
	return status;
}

static void go_on(pid_t pid, int signal)
{
	ck_assert_int_eq(ptrace(PTRACE_CONT, pid, NULL, (void *)(long)signal), 0);
}

static pid_t start_host(const size_t *both)
{
	pid_t host = fork();

	if (host == 0) {
		if (ptrace(PTRACE_TRACEME, 0, NULL, NULL) < 0)
			_exit(1);
		raise(SIGSTOP);
		_exit(call_and_note(both));
	}
	ck_assert(WIFSTOPPED(wait_for(host)));
	ck_assert_int_eq(ptrace(PTRACE_SETOPTIONS, host, NULL,
				 (void *)(PTRACE_O_TRACEFORK | PTRACE_O_EXITKILL)),
		0);
	go_on(host, 0);
	return host;
}

/* Until the child has raised its signal. */
static pid_t await_child(pid_t host)
{
	for (;;) {
		int status;
		pid_t pid = waitpid(-1, &status, __WALL);

		ck_assert_msg(pid > 0 && WIFSTOPPED(status), "%d: %#x", (int)pid, (unsigned)status);
		if (pid != host && WSTOPSIG(status) == SIGTRAP)
			return pid;
		/* The host has forked, or the fork begins: that is the tracer's affair. */
		go_on(pid, WSTOPSIG(status) == SIGTRAP || WSTOPSIG(status) == SIGSTOP
				   ? 0
				   : WSTOPSIG(status));
	}
}

/* Kills it then; false: it had come to its end before. */
static bool make_steps(pid_t child, int steps)
{
	int status = 0;

	for (int i = 0; i < steps; i++) {
		ck_assert_int_eq(ptrace(PTRACE_SINGLESTEP, child, NULL, NULL), 0);
		status = wait_for(child);
		if (!WIFSTOPPED(status))
			return false;
		ck_assert_int_eq(WSTOPSIG(status), SIGTRAP);
	}
	kill(child, SIGKILL);
	do
		status = wait_for(child);
	while (WIFSTOPPED(status));
	return true;
}

static void end_host(pid_t host)
{
	int status;

	while (WIFSTOPPED(status = wait_for(host)))
		go_on(host, WSTOPSIG(status));
	ck_assert_msg(WIFEXITED(status) && WEXITSTATUS(status) == 0, "%#x", (unsigned)status);
}

static void check_answer(int steps)
{
	const struct stage *seen = stage;

	if (seen->answer == ISOLATE_RETURNED) {
		ck_assert_msg(seen->returned && seen->is_right, "after %d steps", steps);
		return;
	}
	ck_assert_msg(seen->error.code == -ECHILD, "after %d steps: %s", steps, seen->error.text);
	ck_assert_msg(seen->answer != ISOLATE_NOT_EXECUTED || !seen->entered,
		"not executed after %d steps", steps);
	ck_assert_msg(seen->answer != ISOLATE_EXECUTED || seen->returned, "executed after %d steps",
		steps);
}

/* In this order, and never back. */
static int rank(enum isolate_answer answer)
{
	static const int ranks[] = {[ISOLATE_NOT_EXECUTED] = 0,
		[ISOLATE_UNKNOWN] = 1,
		[ISOLATE_EXECUTED] = 2,
		[ISOLATE_RETURNED] = 3};

	return ranks[answer];
}

#define MANY 5 /* complete for so many steps: it stays so */

START_TEST(a_child_killed_at_any_instruction_has_a_true_answer)
{
	int counts[4] = {0}, before = 0;
	bool has_ended = false;

	if (BUILT_WITH_ASAN || BUILT_WITH_TSAN)
		support_skip("what a sanitizer adds would be most of the instructions");
	skip_under_valgrind("the instructions are valgrind's");
	for (size_t i = 0; i < sizeof bytes; i++)
		bytes[i] = pattern(i);
	stage = shared_memory(sizeof *stage);
	for (int steps = 0; counts[3] < MANY && !has_ended; steps++) {
		pid_t host, child;

		*stage = (struct stage){.is_traced = true};
		host = start_host(sizes[_i]);
		child = await_child(host);
		has_ended = !make_steps(child, steps);
		end_host(host);
		check_answer(steps);
		ck_assert_msg(rank(stage->answer) >= before, "after %d steps", steps);
		before = rank(stage->answer);
		counts[before]++;
	}
	for (int i = 0; i < 4; i++)
		ck_assert_int_gt(counts[i], 0);
	munmap(stage, sizeof *stage);
	stage = NULL;
}
END_TEST

static Suite *make_suite(void)
{
	Suite *suite = suite_create("isolate/deaths");
	TCase *deaths = isolate_tcase(suite, "deaths");

	tcase_set_timeout(deaths, 60);
	tcase_add_test(deaths, a_function_killed_after_any_byte_has_no_short_result);
	tcase_add_loop_test(deaths, a_child_killed_at_any_instruction_has_a_true_answer, 0,
		sizeof sizes / sizeof *sizes);
	return suite;
}
SUPPORT_MAIN(make_suite)
