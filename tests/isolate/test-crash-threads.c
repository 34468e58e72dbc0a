/* SPDX-License-Identifier: MIT */

/* Crashes where there are threads. The functions are exported so that dladdr(3) knows them. */
#include <pthread.h>
#include <sched.h>

#include "crash-support.h"

/* ---- threads of the function ---- */

NAMED_OF_THREAD(crashes_in_a_thread)
{
	*(volatile int *)arg = 1;
	return NULL;
}

static int start_a_thread_that_crashes(struct isolate_writer *out, void *arg)
{
	pthread_t thread;

	(void)out;
	if (pthread_create(&thread, NULL, crashes_in_a_thread, arg) == 0)
		pthread_join(thread, NULL);
	return 0;
}

START_TEST(a_crash_of_another_thread_is_reported_as_such)
{
	struct isolate_result result;
	const struct isolate_crash *crash;

	crash_in(start_a_thread_that_crashes, (void *)24, NULL, &result);
	crash = check_signal(&result, SIGSEGV);
	ck_assert_uint_eq(crash->address, 24);
	ck_assert(!crash->own_thread);
	ck_assert_frame(crash, 0, "crashes_in_a_thread");
	ck_assert_ptr_nonnull(strstr(report_text(crash), "in thread"));
	isolate_result_clear(&result);
}
END_TEST

static _Atomic int arrived;
#define TOGETHER 2

/* Deep, so that looking for the frames of the first one takes its time. */
UNCHECKED static void *go_down(unsigned depth, void *arg)
{
	arg = depth ? go_down(depth - 1, arg) : crashes_in_a_thread(arg);
	NOT_A_TAIL_CALL();
	return arg;
}

NAMED_OF_THREAD(crash_together)
{
	/* A barrier of libc's would wake one after the other. */
	for (arrived++; arrived < TOGETHER;)
		sched_yield();
	arg = go_down(40, arg);
	NOT_A_TAIL_CALL();
	return arg;
}

static int start_threads_that_crash(struct isolate_writer *out, void *arg)
{
	pthread_t threads[TOGETHER];

	(void)out;
	(void)arg;
	for (size_t i = 0; i < TOGETHER; i++)
		pthread_create(&threads[i], NULL, crash_together, (void *)(32 + 8 * i));
	for (size_t i = 0; i < TOGETHER; i++)
		pthread_join(threads[i], NULL);
	return 0;
}

START_TEST(of_several_crashes_at_once_one_is_reported)
{
	for (int i = 0; i < 100 / SLOWNESS; i++) {
		struct isolate_result result;
		const struct isolate_crash *crash;

		crash_in(start_threads_that_crash, NULL, NULL, &result);
		crash = check_signal(&result, SIGSEGV);
		ck_assert_uint_ge(crash->address, 32);
		ck_assert_uint_le(crash->address, 40);
		ck_assert_frame(crash, 0, "crashes_in_a_thread");
		ck_assert_uint_lt(frame_of(crash, "crash_together"), crash->frame_count);
		ck_assert_int_eq(crash->frames_end, ISOLATE_FRAMES_END);
		isolate_result_clear(&result);
	}
}
END_TEST

/* ---- threads of the caller ---- */

NAMED(reads_null)
{
	(void)out;
	return *(volatile int *)arg;
}

static void *crash_many_times(void *arg)
{
	uintptr_t address = 1000 * (uintptr_t)arg;

	for (int i = 0; i < 100 / SLOWNESS; i++) {
		struct isolate_result result;

		crash_in(reads_null, (void *)(address + 4 * (uintptr_t)i), NULL, &result);
		ck_assert_uint_eq(
			check_signal(&result, SIGSEGV)->address, address + 4 * (uintptr_t)i);
		isolate_result_clear(&result);
	}
	return NULL;
}

START_TEST(threads_get_the_reports_of_their_own_calls)
{
	pthread_t threads[4];

	for (uintptr_t i = 0; i < 4; i++)
		ck_assert_int_eq(pthread_create(&threads[i], NULL, crash_many_times, (void *)i), 0);
	for (int i = 0; i < 4; i++)
		pthread_join(threads[i], NULL);
}
END_TEST

static Suite *make_suite(void)
{
	Suite *suite = suite_create("isolate/crash-threads");
	TCase *threads = isolate_tcase(suite, "threads");

	tcase_add_test(threads, a_crash_of_another_thread_is_reported_as_such);
	tcase_add_test(threads, of_several_crashes_at_once_one_is_reported);
	tcase_add_test(threads, threads_get_the_reports_of_their_own_calls);
	return suite;
}
SUPPORT_MAIN(make_suite)
