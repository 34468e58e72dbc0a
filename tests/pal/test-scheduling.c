/* SPDX-License-Identifier: MIT */
#include <pal/process.h>

#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <sys/resource.h>
#include <unistd.h>

#include "process-support.h"
#include "spawn-support.h"
#include "support.h"

/* Nice value, scheduler and CPUs of a child; those of the parent stay. */

static int nice_before, policy_before;
static cpu_set_t cpus_before;

static void take_state(void)
{
	nice_before = getpriority(PRIO_PROCESS, 0);
	policy_before = sched_getscheduler(0);
	ck_assert_int_eq(sched_getaffinity(0, sizeof cpus_before, &cpus_before), 0);
}

static void check_state(void)
{
	cpu_set_t cpus;

	ck_assert_int_eq(getpriority(PRIO_PROCESS, 0), nice_before);
	ck_assert_int_eq(sched_getscheduler(0), policy_before);
	ck_assert_int_eq(sched_getaffinity(0, sizeof cpus, &cpus), 0);
	ck_assert(CPU_EQUAL(&cpus, &cpus_before));
}

START_TEST(a_nice_value_is_set_not_added)
{
	struct pal_builder *builder;

	ck_assert_int_eq(setpriority(PRIO_PROCESS, 0, 3), 0);
	take_state();
	for (int value = 5; value <= 19; value += 14) {
		builder = process_builder(_i);
		pal_builder_nice(builder, value);
		ck_assert_int_eq(process_stat(process_text(builder, _i), STAT_NICE), value);
	}
}
END_TEST

START_TEST(a_nice_value_must_be_one)
{
	static const int wrong[] = {-21, 20};

	for (int i = 0; i < 2; i++) {
		struct pal_builder *builder = process_builder(_i);

		pal_builder_nice(builder, wrong[i]);
		assert_refused(builder, _i, -EINVAL, PAL_STAGE_ARGUMENT, 0);
	}
}
END_TEST

static void ask_for_precedence(int kind)
{
	struct pal_builder *builder = process_builder(kind);

	ck_assert_int_eq(setpriority(PRIO_PROCESS, 0, 0), 0); /* of whatever precedence this was started */
	pal_builder_nice(builder, -1);
	assert_refused(builder, kind, -EACCES, PAL_STAGE_NICE, 0);
	builder = process_builder(kind);
	pal_builder_scheduler(builder, SCHED_RR, 1);
	assert_refused(builder, kind, -EPERM, PAL_STAGE_SCHEDULER, 0);
}

START_TEST(precedence_needs_a_right)
{
	if (geteuid() != 0)
		support_skip("needs root");
	run_as(NOBODY, ask_for_precedence, _i);
}
END_TEST

START_TEST(a_policy_for_work_in_the_background)
{
	struct pal_builder *builder = process_builder(_i);

	pal_builder_scheduler(builder, SCHED_FIFO, 90); /* the later call counts */
	pal_builder_scheduler(builder, SCHED_BATCH, 0);
	ck_assert_int_eq(process_stat(process_text(builder, _i), STAT_POLICY), SCHED_BATCH);
	builder = process_builder(_i);
	pal_builder_scheduler(builder, SCHED_IDLE, 0);
	ck_assert_int_eq(process_stat(process_text(builder, _i), STAT_POLICY), SCHED_IDLE);
}
END_TEST

/* Whether this process may have real-time threads: some containers refuse, and their quota of time may be 0. */
static void need_real_time(void)
{
	const struct sched_param param = {.sched_priority = 5};

	if (sched_setscheduler(0, SCHED_RR, &param) < 0)
		support_skip("no real-time scheduling here");
}

START_TEST(a_policy_with_a_priority)
{
	const struct sched_param other = {0};
	struct pal_builder *builder = process_builder(_i);
	const char *text;

	need_real_time();
	ck_assert_int_eq(sched_setscheduler(0, SCHED_OTHER, &other), 0);
	take_state();
	pal_builder_scheduler(builder, SCHED_FIFO | SCHED_RESET_ON_FORK, 10);
	text = process_text(builder, _i);
	ck_assert_int_eq(process_stat(text, STAT_POLICY), SCHED_FIFO);
	ck_assert_int_eq(process_stat(text, STAT_PRIORITY), 10);
}
END_TEST

START_TEST(a_priority_alone_keeps_the_policy)
{
	struct pal_builder *builder = process_builder(_i);
	const char *text;

	need_real_time();
	take_state();
	pal_builder_scheduler_priority(builder, 7);
	text = process_text(builder, _i);
	ck_assert_int_eq(process_stat(text, STAT_POLICY), SCHED_RR);
	ck_assert_int_eq(process_stat(text, STAT_PRIORITY), 7);
}
END_TEST

START_TEST(what_the_scheduler_does_not_know_is_an_error)
{
	struct pal_builder *builder = process_builder(_i);

	pal_builder_scheduler(builder, 77, 0);
	assert_refused(builder, _i, -EINVAL, PAL_STAGE_SCHEDULER, 0);
	builder = process_builder(_i);
	pal_builder_scheduler(builder, SCHED_OTHER, 1);
	assert_refused(builder, _i, -EINVAL, PAL_STAGE_SCHEDULER, 0);
	builder = process_builder(_i);
	pal_builder_scheduler_priority(builder, 7);
	assert_refused(builder, _i, -EINVAL, PAL_STAGE_SCHEDULER, 0);
}
END_TEST

/* ---- CPUs ---- */

static int last_cpu(void)
{
	int last = 0;

	for (int cpu = 0; cpu < CPU_SETSIZE; cpu++)
		if (CPU_ISSET(cpu, &cpus_before))
			last = cpu;
	return last;
}

START_TEST(a_child_can_be_bound_to_a_cpu)
{
	struct pal_builder *builder = process_builder(_i);
	char expected[16];
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(last_cpu(), &set);
	pal_builder_affinity(builder, &set, sizeof set);
	CPU_ZERO(&set); /* it is a copy */
	snprintf(expected, sizeof expected, "%d", last_cpu());
	ck_assert_str_eq(process_line(process_text(builder, _i), "Cpus_allowed_list"), expected);
}
END_TEST

START_TEST(cpus_that_there_are_not_are_an_error)
{
	cpu_set_t *set = CPU_ALLOC(8192);
	struct pal_builder *builder = process_builder(_i);

	CPU_ZERO_S(CPU_ALLOC_SIZE(8192), set);
	pal_builder_affinity(builder, set, CPU_ALLOC_SIZE(8192));
	assert_refused(builder, _i, -EINVAL, PAL_STAGE_AFFINITY, 0);
	CPU_SET_S(8191, CPU_ALLOC_SIZE(8192), set);
	builder = process_builder(_i);
	pal_builder_affinity(builder, set, CPU_ALLOC_SIZE(8192));
	assert_refused(builder, _i, -EINVAL, PAL_STAGE_AFFINITY, 0);
	builder = process_builder(_i);
	pal_builder_affinity(builder, NULL, sizeof(cpu_set_t));
	assert_refused(builder, _i, -EINVAL, PAL_STAGE_ARGUMENT, 0);
	builder = process_builder(_i);
	pal_builder_affinity(builder, set, 0);
	assert_refused(builder, _i, -EINVAL, PAL_STAGE_ARGUMENT, 0);
	CPU_FREE(set);
}
END_TEST

static Suite *make_suite(void)
{
	Suite *suite = suite_create("pal/scheduling");
	TCase *scheduling = support_tcase(suite, "scheduling");

	tcase_add_checked_fixture(scheduling, take_state, check_state);
	tcase_add_loop_test(scheduling, a_nice_value_is_set_not_added, 0, KINDS);
	tcase_add_loop_test(scheduling, a_nice_value_must_be_one, 0, KINDS);
	tcase_add_loop_test(scheduling, precedence_needs_a_right, 0, KINDS);
	tcase_add_loop_test(scheduling, a_policy_for_work_in_the_background, 0, KINDS);
	tcase_add_loop_test(scheduling, a_policy_with_a_priority, 0, KINDS);
	tcase_add_loop_test(scheduling, a_priority_alone_keeps_the_policy, 0, KINDS);
	tcase_add_loop_test(scheduling, what_the_scheduler_does_not_know_is_an_error, 0, KINDS);
	tcase_add_loop_test(scheduling, a_child_can_be_bound_to_a_cpu, 0, KINDS);
	tcase_add_loop_test(scheduling, cpus_that_there_are_not_are_an_error, 0, KINDS);
	return suite;
}
SUPPORT_MAIN(make_suite)
