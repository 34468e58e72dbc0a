/* SPDX-License-Identifier: MIT */
#include <pal/helper.h>

#include <errno.h>
#include <sched.h>
#include <semaphore.h>
#include <signal.h>
#include <string.h>

#include <pal/sandbox.h>

#include "sandboxed.h"

struct helper {
	pthread_t thread;
	sem_t called;
	_Atomic bool leaves, busy;
	_Atomic unsigned turns, spins;
	sigset_t mask;
	char name[16];
};

static void *work(void *arg)
{
	struct helper *helper = arg;

	pthread_sigmask(SIG_BLOCK, NULL, &helper->mask);
	pthread_getname_np(pthread_self(), helper->name, sizeof helper->name);
	while (!helper->leaves) {
		while (sem_wait(&helper->called) < 0)
			;
		for (; helper->busy; helper->spins++)
			sched_yield();
		errno = ENOTTY;
		pal_helper_take_part();
		helper->turns += errno == ENOTTY;
	}
	return &helper->mask;
}

static void call(void *arg)
{
	sem_post(&((struct helper *)arg)->called);
}

static void start_helper(struct helper *helper)
{
	*helper = (struct helper){.leaves = false};
	sem_init(&helper->called, 0, 0);
	ck_assert_int_eq(pal_helper_start(&helper->thread, "a name that is too long", work, call, helper), 0);
}

static void end_helper(struct helper *helper)
{
	void *result;

	helper->leaves = true;
	call(helper);
	ck_assert_int_eq(pthread_join(helper->thread, &result), 0);
	ck_assert_ptr_eq(result, &helper->mask);
	sem_destroy(&helper->called);
}

START_TEST(it_has_its_name_and_blocks_every_signal)
{
	struct helper helper;
	sigset_t all;

	start_helper(&helper);
	end_helper(&helper);
	ck_assert_str_eq(helper.name, "a name that is ");
	sigfillset(&all);
	for (int number = 1; number <= SIGRTMAX; number++)
		if (number != SIGKILL && number != SIGSTOP && sigismember(&all, number) > 0)
			ck_assert_msg(sigismember(&helper.mask, number), "signal %d", number);
}
END_TEST

START_TEST(no_signal_that_the_program_blocks_ends_it)
{
	struct helper helper;

	start_helper(&helper);
	support_send_every_signal();
	end_helper(&helper);
}
END_TEST

static const struct pal_self_restrictions no_new_privs = {.size = sizeof no_new_privs, .no_new_privs = true};

START_TEST(it_is_restricted_where_it_waits)
{
	struct pal_error error = {0};
	struct helper helpers[3];

	needs_self_restrict();
	for (int i = 0; i < 3; i++)
		start_helper(&helpers[i]);
	for (unsigned times = 1; times <= 20; times++) {
		ck_assert_ok(pal_self_restrict(&no_new_privs, &error), &error);
		for (int i = 0; i < 3; i++)
			while (helpers[i].turns < times)
				sched_yield();
	}
	ck_assert_int_eq(support_count_threads_with("NoNewPrivs:\t1"), 4);
	ck_assert_int_eq(support_count_threads_with("NoNewPrivs:\t0"), 0);
	for (int i = 0; i < 3; i++)
		end_helper(&helpers[i]);
}
END_TEST

/* Once it has been called, which only pal_self_restrict does here. */
static void *let_it_wait(void *arg)
{
	struct helper *helper = arg;

	while (!helper->spins)
		sched_yield();
	helper->busy = false;
	return NULL;
}

START_TEST(what_it_does_is_waited_for)
{
	struct pal_error error = {0};
	struct helper helper;
	pthread_t thread;

	needs_self_restrict();
	start_helper(&helper);
	helper.busy = true;
	ck_assert_int_eq(pthread_create(&thread, NULL, let_it_wait, &helper), 0);
	ck_assert_ok(pal_self_restrict(&no_new_privs, &error), &error);
	ck_assert(!helper.busy);
	ck_assert_int_eq(pthread_join(thread, NULL), 0);
	ck_assert_int_eq(support_count_threads_with("NoNewPrivs:\t0"), 0);
	end_helper(&helper);
}
END_TEST

/* Five seconds. */
START_TEST(one_that_never_waits_is_named)
{
	struct pal_error error = {0};
	struct helper helper;

	needs_self_restrict();
	start_helper(&helper);
	helper.busy = true;
	call(&helper);
	ck_assert_int_eq(pal_self_restrict(&no_new_privs, &error), -EBUSY);
	ck_assert_int_eq(error.stage, PAL_STAGE_THREADS);
	ck_assert_ptr_nonnull(strstr(pal_error_text(&error), "(a name that is )"));
	ck_assert_int_eq(support_count_threads_with("NoNewPrivs:\t1"), 0);
	helper.busy = false;
	end_helper(&helper);
}
END_TEST

START_TEST(one_needs_a_function_and_a_call)
{
	pthread_t thread;

	ck_assert_int_eq(pal_helper_start(NULL, "x", work, call, NULL), -EINVAL);
	ck_assert_int_eq(pal_helper_start(&thread, NULL, work, call, NULL), -EINVAL);
	ck_assert_int_eq(pal_helper_start(&thread, "x", NULL, call, NULL), -EINVAL);
	ck_assert_int_eq(pal_helper_start(&thread, "x", work, NULL, NULL), -EINVAL);
}
END_TEST

START_TEST(any_other_thread_takes_part_in_nothing)
{
	errno = EDOM;
	pal_helper_take_part();
	ck_assert_int_eq(errno, EDOM);
}
END_TEST

static Suite *make_suite(void)
{
	Suite *suite = suite_create("pal/helper");
	TCase *signals = support_tcase(suite, "signals"), *restricted = support_tcase(suite, "restricted");

	tcase_add_test(signals, it_has_its_name_and_blocks_every_signal);
	tcase_add_test(signals, no_signal_that_the_program_blocks_ends_it);
	tcase_add_test(restricted, it_is_restricted_where_it_waits);
	tcase_add_test(restricted, what_it_does_is_waited_for);
	tcase_add_test(restricted, one_that_never_waits_is_named);
	tcase_add_test(restricted, one_needs_a_function_and_a_call);
	tcase_add_test(restricted, any_other_thread_takes_part_in_nothing);
	return suite;
}
SUPPORT_MAIN(make_suite)
