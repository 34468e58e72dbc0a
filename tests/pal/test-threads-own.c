/* SPDX-License-Identifier: MIT */
#include <pal/sandbox.h>

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#include <pal/builder.h>
#include <pal/child.h>

#include "sandboxed.h"

/* pal_self_restrict with threads that the library has started: pal-spawn, pal-reap. */

static int start_sleeper(struct pal_child **ret)
{
	struct pal_builder *builder = pal_builder_new("/bin/sleep");
	struct pal_error error = {0};

	pal_builder_arg(builder, "600");
	pal_builder_parent_death(builder, SIGKILL);
	need(pal_builder_spawn(builder, ret, &error) == 0);
	pal_builder_free(builder);
	return 0;
}

static int restrict_with_children(void *unused)
{
	struct pal_self_restrictions restrictions = {
		.size = sizeof restrictions, .no_new_privs = true};
	struct pal_error error = {0};
	struct pal_child *child, *detached;

	(void)unused;
	need(start_sleeper(&child) == 0 && start_sleeper(&detached) == 0);
	need(pal_child_detach(detached, &error) == 0);
	need(support_count_threads_with("NoNewPrivs:\t0") == 4);
	need(pal_self_restrict(&restrictions, &error) == 0);
	need(support_count_threads_with("NoNewPrivs:\t1") == 4 && support_count_threads_with("NoNewPrivs:\t0") == 0);
	need(pal_self_restrict(&restrictions, &error) == 0); /* they are back where they wait */
	need(pal_child_try_wait(child, NULL, &error) == 0);
	pal_child_free(child);
	need(support_count_threads_with("NoNewPrivs:\t1") == 3);
	return 0;
}

/* They block every signal, the one for this, too. */
START_TEST(the_librarys_own_threads_are_reached)
{
	needs_self_restrict();
	ck_assert_int_eq(outcome(NULL, restrict_with_children, NULL), 0);
}
END_TEST

static atomic_bool enough;

static void *spawn_and_detach(void *arg)
{
	(void)arg;
	while (!atomic_load(&enough)) {
		struct pal_builder *builder = pal_builder_new("/bin/true");
		struct pal_child *child;

		pal_builder_parent_death(builder, SIGKILL);
		if (pal_builder_spawn(builder, &child, NULL) < 0 ||
			pal_child_detach(child, NULL) < 0)
			abort();
		pal_builder_free(builder);
	}
	return NULL;
}

static int restrict_while_they_come_and_go(void *unused)
{
	struct pal_self_restrictions restrictions = {
		.size = sizeof restrictions, .no_new_privs = true};
	struct pal_error error = {0};
	pthread_t threads[2];

	(void)unused;
	for (int i = 0; i < 2; i++)
		need(pthread_create(&threads[i], NULL, spawn_and_detach, NULL) == 0);
	for (int i = 0; i < 20; i++) {
		int r = pal_self_restrict(&restrictions, &error);

		if (r < 0)
			fprintf(stderr, "%s\n", pal_error_text(&error));
		need(r == 0);
	}
	atomic_store(&enough, true);
	for (int i = 0; i < 2; i++)
		need(pthread_join(threads[i], NULL) == 0);
	return 0;
}

START_TEST(they_may_start_and_end_meanwhile)
{
	needs_self_restrict();
	ck_assert_int_eq(outcome(NULL, restrict_while_they_come_and_go, NULL), 0);
}
END_TEST

static Suite *make_suite(void)
{
	Suite *suite = suite_create("pal/threads-own");
	TCase *reached = support_tcase(suite, "reached");

	tcase_add_test(reached, the_librarys_own_threads_are_reached);
	tcase_add_test(reached, they_may_start_and_end_meanwhile);
	return suite;
}
SUPPORT_MAIN(make_suite)
