/* SPDX-License-Identifier: MIT */
/* A node's own thread in a program that has its own mind about signals. */
#include "nodes.h"

#include <pal/sandbox.h>
#include <pthread.h>
#include <sched.h>

#include "support.h"

START_TEST(no_signal_that_the_program_blocks_comes_to_a_nodes_thread)
{
	struct node_pair pair;

	nodes_make(&pair);
	ck_assert_int_eq(mesh_port_set_callback(pair.at_host, NULL, nodes_echo, NULL), 0);
	support_send_every_signal();
	nodes_send_text(pair.at_leader, "both are there");
	nodes_expect_text(pair.at_leader, "both are there");
	nodes_free(&pair);
}
END_TEST

/* Restricts all threads; those of both nodes are two of them. */
static void restrict_all(int threads)
{
	const struct pal_self_restrictions restrictions = {.size = sizeof restrictions, .no_new_privs = true};
	struct pal_error error = {0};

	while (support_count_threads("mesh-io") < 2) /* they give themselves this name */
		sched_yield();
	ck_assert_ok(pal_self_restrict(&restrictions, &error), &error);
	ck_assert_int_eq(support_count_threads_with("NoNewPrivs:\t1"), threads);
	ck_assert_int_eq(support_count_threads_with("NoNewPrivs:\t0"), 0);
}

#define needs_own_threads_only() \
	do { \
		if (BUILT_WITH_TSAN) \
			support_skip("ThreadSanitizer's thread cannot be restricted"); \
	} while (0)

/* The threads have not been needed for anything yet, or wait for what their links bring. */
START_TEST(the_threads_of_idle_nodes_are_restricted)
{
	struct node_pair pair;

	needs_own_threads_only();
	nodes_make(&pair);
	for (int i = 0; i < 20; i++)
		restrict_all(3);
	nodes_send_text(pair.at_leader, "both are there");
	nodes_expect_text(pair.at_host, "both are there");
	nodes_free(&pair);
}
END_TEST

/* Another thread reads for its node, whose own one rests until that has gone. */
START_TEST(a_thread_that_rests_is_restricted)
{
	struct node_pair pair;
	pthread_t reader;
	void *received;

	needs_own_threads_only();
	nodes_make(&pair);
	ck_assert_int_eq(pthread_create(&reader, NULL, nodes_receive_all, pair.at_host), 0);
	for (unsigned i = 0; i < 20; i++) {
		nodes_send_many(pair.at_leader, 1);
		restrict_all(4);
	}
	mesh_port_free(pair.at_leader);
	pair.at_leader = NULL;
	ck_assert_int_eq(pthread_join(reader, &received), 0);
	ck_assert_uint_eq((uintptr_t)received, 20);
	nodes_free(&pair);
}
END_TEST

static void *ask_and_ask(void *argument)
{
	struct mesh_port *port = argument;
	struct mesh_message *message;
	uintptr_t answers = 0;

	while (mesh_port_send(port, mesh_message_new("ask", 3)) == 0 &&
		mesh_port_recv(port, NODES_PATIENCE, &message, NULL) == 0) {
		mesh_message_free(message);
		answers++;
	}
	return (void *)answers;
}

/* Who was stopped with the node's lock lets its thread go on between two attempts. */
START_TEST(threads_that_are_busy_are_restricted)
{
	struct node_pair pair;
	pthread_t asker;
	void *answers;

	needs_own_threads_only();
	nodes_make(&pair);
	ck_assert_int_eq(mesh_port_set_callback(pair.at_host, NULL, nodes_echo, NULL), 0);
	ck_assert_int_eq(pthread_create(&asker, NULL, ask_and_ask, pair.at_leader), 0);
	for (int i = 0; i < 20; i++)
		restrict_all(4);
	mesh_port_free(pair.at_host);
	pair.at_host = NULL;
	ck_assert_int_eq(pthread_join(asker, &answers), 0);
	ck_assert_uint_gt((uintptr_t)answers, 0);
	nodes_free(&pair);
}
END_TEST

static Suite *make_suite(void)
{
	Suite *suite = suite_create("mesh/threads");
	TCase *threads = support_tcase(suite, "threads");

	tcase_add_test(threads, no_signal_that_the_program_blocks_comes_to_a_nodes_thread);
	tcase_add_test(threads, the_threads_of_idle_nodes_are_restricted);
	tcase_add_test(threads, a_thread_that_rests_is_restricted);
	tcase_add_test(threads, threads_that_are_busy_are_restricted);
	return suite;
}
SUPPORT_MAIN(make_suite)
