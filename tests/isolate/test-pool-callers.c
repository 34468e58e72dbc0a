/* SPDX-License-Identifier: MIT */

/* Many callers of one pool: its places, its queue, and refreshing meanwhile. */
#include "pool-callers.h"

/* ---- many callers ---- */

#define CALLERS 8

START_TEST(eight_threads_share_three_places)
{
	struct isolate_pool_options options = {
		ISOLATE_POOL_OPTIONS_INIT, .at_once = 3, .queue = 5, .reuse = _i ? 7 : 0};
	struct caller callers[CALLERS];
	struct isolate_pool *pool = new_pool(&options);

	for (int round = 0; round < 100 / SLOWNESS; round++) {
		for (int i = 0; i < CALLERS; i++) {
			callers[i] = (struct caller){.pool = pool, .fn = give_pid};
			start_caller(&callers[i]);
		}
		for (int i = 0; i < CALLERS; i++) {
			join(&callers[i]);
			ck_assert_answer(&callers[i].result, ISOLATE_RETURNED);
			isolate_result_clear(&callers[i].result);
		}
	}
	isolate_pool_free(pool);
}
END_TEST

static void await_waiting(struct isolate_pool *pool, unsigned count)
{
	for (unsigned waiting = 0; waiting < count; usleep(100)) {
		pthread_mutex_lock(&pool->lock);
		waiting = pool->waiting;
		pthread_mutex_unlock(&pool->lock);
	}
}

START_TEST(who_comes_to_a_full_queue_is_sent_away)
{
	struct isolate_pool_options options = {
		ISOLATE_POOL_OPTIONS_INIT, .at_once = 1, .queue = _i ? 2 : -1};
	struct caller callers[3];
	struct isolate_result result;
	struct isolate_pool *pool;
	int count = _i ? 3 : 1;

	set_board();
	pool = new_pool(&options);
	for (int i = 0; i < count; i++) {
		callers[i] = (struct caller){.pool = pool, .fn = i ? echo : stay};
		start_caller(&callers[i]);
		if (i == 0)
			await_entered(1);
	}
	await_waiting(pool, (unsigned)count - 1);
	isolate_pool_call(pool, echo, "", 0, NULL, &result);
	ck_assert_failure(&result, ISOLATE_NOT_EXECUTED, ISOLATE_STAGE_QUEUE, -EAGAIN);
	board->go = 1;
	for (int i = 0; i < count; i++) {
		join(&callers[i]);
		ck_assert_answer(&callers[i].result, ISOLATE_RETURNED);
		isolate_result_clear(&callers[i].result);
	}
	isolate_pool_free(pool);
	drop_board();
}
END_TEST

START_TEST(the_deadline_counts_in_the_queue)
{
	struct isolate_pool_options options = {ISOLATE_POOL_OPTIONS_INIT, .at_once = 1};
	struct isolate_options deadline = {ISOLATE_OPTIONS_INIT, .deadline_ms = 50};
	struct caller caller = {.fn = stay};
	struct isolate_result result;

	set_board();
	caller.pool = new_pool(&options);
	start_caller(&caller);
	await_entered(1);
	for (int i = 0; i < 2; i++) {
		isolate_pool_call(caller.pool, echo, "", 0, &deadline, &result);
		ck_assert_failure(
			&result, ISOLATE_NOT_EXECUTED, ISOLATE_STAGE_DEADLINE, -ETIMEDOUT);
	}
	board->go = 1;
	join(&caller);
	isolate_result_clear(&caller.result);
	check_that_it_works(caller.pool);
	isolate_pool_free(caller.pool);
	drop_board();
}
END_TEST

/* Those that wait are told of a snapshot's end, or are served by a new one. */
START_TEST(who_waits_is_told_what_became_of_the_snapshot)
{
	struct isolate_pool_options options = {ISOLATE_POOL_OPTIONS_INIT, .at_once = 1};
	struct caller callers[2];
	struct isolate_pool *pool;

	set_board();
	pool = new_pool(&options);
	for (int i = 0; i < 2; i++) {
		callers[i] = (struct caller){.pool = pool, .fn = stay};
		start_caller(&callers[i]);
		if (i == 0)
			await_entered(1);
	}
	await_waiting(pool, 1);
	if (_i) {
		refresh(pool); /* the other one has a place there at once */
		await_entered(2);
		board->go = 1;
	} else {
		kill_snapshot(pool);
	}
	for (int i = 0; i < 2; i++) {
		join(&callers[i]);
		if (_i)
			ck_assert_answer(&callers[i].result, ISOLATE_RETURNED);
		else
			ck_assert_failure(&callers[i].result,
				i ? ISOLATE_NOT_EXECUTED : ISOLATE_UNKNOWN, ISOLATE_STAGE_SNAPSHOT,
				-EOWNERDEAD);
		isolate_result_clear(&callers[i].result);
	}
	isolate_pool_free(pool);
	drop_board();
}
END_TEST

static void *refresh_often(void *pool)
{
	for (int i = 0; i < 20 / SLOWNESS; i++)
		refresh(pool);
	return NULL;
}

START_TEST(refreshing_while_others_call_costs_no_call)
{
	struct isolate_pool *pool;
	pthread_t thread;

	if (!ALLOCATOR_SURVIVES_FORK)
		support_skip("AddressSanitizer's allocator does not survive the fork of a process with threads");
	pool = new_pool(NULL);
	ck_assert_int_eq(pthread_create(&thread, NULL, refresh_often, pool), 0);
	for (int i = 0; i < 200 / SLOWNESS; i++)
		check_that_it_works(pool);
	pthread_join(thread, NULL);
	isolate_pool_free(pool);
}
END_TEST

/* Fewer where a sanitizer makes each fork slow. */
START_TEST(ten_thousand_calls_leave_nothing_behind)
{
	struct isolate_pool_options options = {ISOLATE_POOL_OPTIONS_INIT, .reuse = _i ? 100 : 0};
	struct isolate_pool *pool = new_pool(&options);
	static const char bytes[70000];
	size_t before;

	check_that_it_works(pool);
	before = support_open_fds();
	for (int i = 0; i < (ALLOCATOR_SURVIVES_FORK ? 10000 : 1000) / SLOWNESS; i++) {
		struct isolate_result result;

		isolate_pool_call(pool, echo, bytes, i % 10 ? 100 : sizeof bytes, NULL, &result);
		ck_assert_answer(&result, ISOLATE_RETURNED);
		isolate_result_clear(&result);
	}
	ck_assert_uint_eq(support_open_fds(), before);
	isolate_pool_free(pool);
}
END_TEST

static Suite *make_suite(void)
{
	Suite *suite = suite_create("isolate/pool-callers");
	TCase *callers = isolate_tcase(suite, "callers");

	tcase_set_timeout(callers, 120);
	tcase_add_loop_test(callers, eight_threads_share_three_places, 0, 2);
	tcase_add_loop_test(callers, who_comes_to_a_full_queue_is_sent_away, 0, 2);
	tcase_add_test(callers, the_deadline_counts_in_the_queue);
	tcase_add_loop_test(callers, who_waits_is_told_what_became_of_the_snapshot, 0, 2);
	tcase_add_test(callers, refreshing_while_others_call_costs_no_call);
	tcase_add_loop_test(callers, ten_thousand_calls_leave_nothing_behind, 0, 2);
	return suite;
}
SUPPORT_MAIN(make_suite)
