/* SPDX-License-Identifier: MIT */

/*
 * Every system call that the library makes, in the parent and in the child, fails in turn, and
 * whoever makes it is killed in turn; no name of a call is taken for granted. What was really
 * executed is known, and the answer is held against it. S105, S111, S116, S117, S125
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "scenario.h"
#include "supervise.h"

#define NUMBERS 1024 /* of system calls */
#define LONG_RESULT 65536 /* one that is longer is written by calls */

struct plan {
	struct scene scene;
	int verdict;    /* for the call that it strikes */
	bool in_child;  /* whose calls are counted */
	bool kind_only; /* each call of the same number, from `strike` on */
	int strike;     /* the how-manieth of those that count */
	int seen;       /* of those, until the library was done */
	long number;    /* of the one that was struck; -1: there was none */
};

/* Cannot fail for a reason, or not by a negative errno (brk), or say nothing about the library. */
static bool cannot_fail(long number)
{
	return number == SYS_rt_sigprocmask || number == SYS_rt_sigaction ||
	       number == SYS_set_robust_list || number == SYS_sched_yield || number == SYS_rseq ||
	       number == SYS_clock_nanosleep || number == SYS_pause || number == SYS_brk;
}

/* Only where a signal can come in between. */
static bool can_be_interrupted(long number)
{
	return number == SYS_read || number == SYS_write || number == SYS_pwrite64 ||
	       number == SYS_pread64 || number == SYS_poll || number == SYS_ppoll ||
	       number == SYS_waitid || number == SYS_wait4 || number == SYS_futex ||
	       number == SYS_recvmsg || number == SYS_sendmsg || number == SYS_epoll_wait;
}

static bool counts(const struct plan *plan, const struct supervised_call *call)
{
	if (call->by_host == plan->in_child || !plan->scene.truth->watched)
		return false;
	if (call->number == SYS_futex) /* made or not, as who is faster will have it */
		return plan->verdict == -EINTR;
	if (plan->verdict == -EINTR)
		return can_be_interrupted(call->number);
	return plan->verdict >= 0 || !cannot_fail(call->number);
}

/* What is to be freed, or ended, is then not. */
static bool frees(long number)
{
	return number == SYS_close || number == SYS_munmap || number == SYS_close_range ||
	       number == SYS_waitid || number == SYS_pidfd_send_signal;
}

/* Whoever waits by it, and never can, goes on trying. */
static bool waits(long number)
{
	return number == SYS_poll || number == SYS_ppoll;
}

static bool was_struck[NUMBERS]; /* by this plan, with all like it */

static int judge(const struct supervised_call *call, void *arg)
{
	struct plan *plan = arg;

	if (!counts(plan, call))
		return SUPERVISE_MAKE;
	if (plan->kind_only && plan->number == call->number && !waits(call->number))
		return plan->verdict;
	if (plan->kind_only && was_struck[call->number % NUMBERS])
		return SUPERVISE_MAKE;
	if (plan->seen++ != plan->strike)
		return SUPERVISE_MAKE;
	plan->number = call->number;
	plan->scene.truth->struck = true;
	plan->scene.truth->may_leak = plan->verdict < 0 && frees(call->number);
	return plan->verdict;
}

static int play_host(void *arg)
{
	struct plan *plan = arg;

	return scenario_play(&plan->scene);
}

/*
 * Strikes one call after the other until there is no further one, and looks at what came of
 * it each time. Returns how many there were. A call is not made in every run (a lock may be free,
 * or not): the end is where nothing is left to strike twice. On a busy machine a deadline may end a
 * child before its first call, too: until there was one it is tried again.
 */
#define MISSES_MAX 20

static int strike_all(struct plan plan, void (*look)(const struct plan *plan, int status))
{
	struct truth *truth = shared_memory(sizeof *truth);
	int count = 0, misses = 0;

	plan.scene.truth = truth;
	memset(was_struck, 0, sizeof was_struck);
	for (plan.strike = 0;;) {
		int status;

		*truth = (struct truth){0};
		plan.seen = 0;
		plan.number = -1;
		status = supervise(play_host, judge, &plan);
		if (plan.number < 0) {
			if (++misses > (count ? !plan.kind_only : MISSES_MAX))
				break;
			plan.strike += count && !plan.kind_only;
			continue;
		}
		misses = 0;
		look(&plan, status);
		was_struck[plan.number % NUMBERS] = true;
		count++;
		plan.strike += !plan.kind_only; /* else it is the first of those that are left */
	}
	munmap(truth, sizeof *truth);
	return count;
}

/* ---- failing ---- */

static void is_consistent(const struct plan *plan, int status)
{
	ck_assert_msg(WIFEXITED(status) && WEXITSTATUS(status) == 0,
		"%s: %s %d of the %s, number %ld, fails with %d: status %#x: %s",
		plan->scene.scenario->name, plan->kind_only ? "all from" : "call", plan->strike,
		plan->in_child ? "child" : "parent", plan->number, plan->verdict, (unsigned)status,
		plan->scene.truth->text);
}

static void returns(const struct plan *plan, int status)
{
	is_consistent(plan, status);
	if (!plan->scene.scenario->is_ended)
		ck_assert_msg(plan->scene.truth->answer == ISOLATE_RETURNED,
			"%s: interrupted in %ld: %s", plan->scene.scenario->name, plan->number,
			plan->scene.truth->text);
}

static const int codes[] = {-ENOMEM, -EPERM};
#define WAYS 8 /* of parent or child, one call or all like it, codes */

START_TEST(whichever_call_fails_the_answer_is_true)
{
	struct plan plan = {.scene.scenario = &scenarios[_i / WAYS],
		.in_child = _i & 1,
		.kind_only = _i & 2,
		.verdict = codes[_i % WAYS / 4]};

	supervise_or_skip();
	ck_assert_int_gt(strike_all(plan, is_consistent), 0);
}
END_TEST

/* S117 */
START_TEST(whichever_call_is_interrupted_nothing_is_lost)
{
	supervise_or_skip();
	for (int in_child = 0; in_child < 2; in_child++)
		strike_all((struct plan){.scene.scenario = &scenarios[_i],
				   .verdict = -EINTR,
				   .in_child = in_child},
			returns);
}
END_TEST

/* ---- killed ---- */

static int answers[4];

static void is_true(const struct plan *plan, int status)
{
	const struct truth *truth = plan->scene.truth;

	is_consistent(plan, status);
	answers[truth->answer]++;
	if (truth->answer == ISOLATE_UNKNOWN)
		ck_assert_msg(truth->code == -ECHILD || plan->scene.scenario->is_ended, "%s",
			truth->text);
}

/* S111: also between any two bytes that are written by calls of their own */
START_TEST(wherever_the_child_is_killed_the_answer_is_true)
{
	supervise_or_skip();
	memset(answers, 0, sizeof answers);
	ck_assert_int_gt(strike_all((struct plan){.scene.scenario = &scenarios[_i],
					    .verdict = SUPERVISE_KILL,
					    .in_child = true},
				 is_true),
		0);
	ck_assert_int_gt(answers[ISOLATE_NOT_EXECUTED], 0);
	ck_assert_int_gt(answers[ISOLATE_UNKNOWN], 0);
	if (scenarios[_i].size > LONG_RESULT) /* its end is written when the function has returned */
		ck_assert_int_gt(answers[ISOLATE_EXECUTED], 0);
}
END_TEST

static void is_gone(const struct plan *plan, int status)
{
	ck_assert_msg(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL,
		"%s: call %d, number %ld: %#x", plan->scene.scenario->name, plan->strike,
		plan->number, (unsigned)status);
}

/* S125: supervise returns when nobody is left. */
START_TEST(wherever_the_parent_is_killed_the_child_ends)
{
	supervise_or_skip();
	for (int in_child = 0; in_child < 2; in_child++)
		ck_assert_int_gt(strike_all((struct plan){.scene.scenario = &scenarios[_i],
						    .verdict = SUPERVISE_KILL_HOST,
						    .in_child = in_child},
					 is_gone),
			0);
}
END_TEST

static Suite *make_suite(void)
{
	Suite *suite = suite_create("isolate/each-call");
	TCase *fails = isolate_tcase(suite, "fails");
	TCase *killed = isolate_tcase(suite, "killed");

	tcase_add_loop_test(fails, whichever_call_fails_the_answer_is_true, 0, SCENARIOS * WAYS);
	tcase_add_loop_test(fails, whichever_call_is_interrupted_nothing_is_lost, 0, SCENARIOS);
	tcase_add_loop_test(killed, wherever_the_child_is_killed_the_answer_is_true, 0, SCENARIOS);
	tcase_add_loop_test(killed, wherever_the_parent_is_killed_the_child_ends, 0, SCENARIOS);
	return suite;
}
SUPPORT_MAIN(make_suite)
