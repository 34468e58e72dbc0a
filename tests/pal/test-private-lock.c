/* SPDX-License-Identifier: MIT */

/* The lock of private descriptors keeps nobody for good: no cancelled thread has it, no fork by others waits for it. */
#include <pal/builder.h>
#include <pal/child.h>
#include <pal/private.h>

#include <pthread.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "sanitizers.h"
#include "spawn-support.h"
#include "support.h"

static int end_at_once(void *unused)
{
	(void)unused;
	return 0;
}

static int wait_for_ever(void *unused)
{
	(void)unused;
	for (;;)
		pause();
	return 0;
}

/* With a lifeline, which is closed with its end. */
static struct pal_child *start(int (*fn)(void *arg))
{
	struct pal_builder *builder = pal_builder_new(NULL);
	struct pal_error error = {0};
	struct pal_child *child;

	pal_builder_parent_death(builder, SIGKILL);
	pal_builder_parent_death_of_process(builder, true);
	ck_assert_ok(pal_fork(builder, fn, NULL, &child, &error), &error);
	pal_builder_free(builder);
	return child;
}

/* ---- cancelled ---- */

static void signal_it(struct pal_child *child)
{
	(void)pal_child_signal(child, 0);
}

static void kill_and_wait(struct pal_child *child)
{
	(void)pal_child_signal(child, SIGKILL);
	if (pal_child_wait(child, PAL_DEADLINE_NONE, NULL, NULL) < 0)
		abort();
}

/* No child of this process: what was opened for it is closed. */
static void adopt_none(struct pal_child *child)
{
	struct pal_child *none;

	(void)child;
	if (pal_child_adopt(1, &none, NULL) == 0)
		pal_child_free(none);
}

/* Without assertions: they are cancellation points. */
static void make_another(struct pal_child *child)
{
	struct pal_builder *builder = pal_builder_new(NULL);

	if (pal_fork(builder, end_at_once, NULL, &child, NULL) < 0)
		abort();
	pal_child_free(child);
	pal_builder_free(builder);
}

static void (*const calls[])(
	struct pal_child *child) = {signal_it, kill_and_wait, adopt_none, make_another};
#define CALLS ((int)(sizeof calls / sizeof *calls))

struct cancelled {
	struct pal_child *child;
	int call;
};

static void *call_with_a_cancellation_pending(void *arg)
{
	const struct cancelled *cancelled = arg;

	pthread_cancel(pthread_self());
	calls[cancelled->call](cancelled->child);
	pthread_testcancel();
	return NULL;
}

/* A hang ends the test from outside. */
START_TEST(a_cancelled_thread_does_not_keep_it)
{
	struct cancelled cancelled = {start(wait_for_ever), _i};
	pthread_t thread;
	void *result;

	ck_assert_int_eq(
		pthread_create(&thread, NULL, call_with_a_cancellation_pending, &cancelled), 0);
	ck_assert_int_eq(pthread_join(thread, &result), 0);
	ck_assert_ptr_eq(result, PTHREAD_CANCELED);
	ck_assert_int_eq(wait_take(start(end_at_once)).code, 0);
	pal_child_free(cancelled.child); /* the fixture looks for zombies and descriptors */
}
END_TEST

/* ---- a fork by others ---- */

static struct {
	int held, done;
} steps;

static void *hold_it(void *unused)
{
	bool held = pal_private_begin();

	(void)unused;
	support_tell_one_more(&steps.held);
	support_await(&steps.done, 1);
	pal_private_end(held);
	return NULL;
}

static int is_usable(void)
{
	struct pal_builder *builder = pal_builder_new(NULL);
	struct pal_child *child;
	struct pal_status status;
	int r = pal_fork(builder, end_at_once, NULL, &child, NULL);

	pal_builder_free(builder);
	if (r < 0)
		return 1;
	r = pal_child_wait(child, PAL_DEADLINE_NONE, &status, NULL);
	pal_child_free(child);
	return r < 0 || status.code;
}

/* Who has it may wait for a lock that the program's own handlers of a fork have: pthread_atfork(3). */
START_TEST(a_fork_by_others_comes_while_it_is_held)
{
	pthread_t thread;
	int status;
	pid_t pid;

	if (BUILT_WITH_ASAN || BUILT_WITH_TSAN)
		support_skip("fork(3) does not know the locks of a sanitizer's allocator");
	ck_assert_int_eq(pthread_create(&thread, NULL, hold_it, NULL), 0);
	support_await(&steps.held, 1);
	pid = fork();
	if (pid == 0)
		_exit(is_usable());
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert_int_eq(status, 0);
	support_tell_one_more(&steps.done);
	ck_assert_int_eq(pthread_join(thread, NULL), 0);
}
END_TEST

static Suite *make_suite(void)
{
	Suite *suite = suite_create("pal/private-lock");
	TCase *tcase = support_tcase(suite, "lock");

	tcase_add_loop_test(tcase, a_cancelled_thread_does_not_keep_it, 0, CALLS);
	tcase_add_test(tcase, a_fork_by_others_comes_while_it_is_held);
	return suite;
}
SUPPORT_MAIN(make_suite)
