/* SPDX-License-Identifier: MIT */
/* Threads that wait for messages, and the descriptor that tells of them. */
#include "nodes.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <string.h>

#include "support.h"

START_TEST(the_descriptor_is_readable_exactly_when_there_is_something)
{
	struct node_pair pair;
	struct mesh_message *message;
	struct pollfd poller = {.events = POLLIN};

	nodes_make(&pair);
	poller.fd = mesh_port_peek_fd(pair.at_host);
	ck_assert_int_ge(poller.fd, 0);
	ck_assert_int_eq(mesh_port_peek_fd(pair.at_host), poller.fd);
	ck_assert_int_eq(poll(&poller, 1, 0), 0);
	nodes_send_many(pair.at_leader, 2);
	ck_assert_int_eq(poll(&poller, 1, -1), 1);
	mesh_message_free(nodes_recv(pair.at_host));
	ck_assert_int_eq(poll(&poller, 1, -1), 1);
	mesh_message_free(nodes_recv(pair.at_host));
	ck_assert_int_eq(poll(&poller, 1, 0), 0);
	mesh_port_free(pair.at_leader);
	pair.at_leader = NULL;
	ck_assert_int_eq(poll(&poller, 1, -1), 1);
	ck_assert_int_eq(mesh_port_try_recv(pair.at_host, &message), -EPIPE);
	ck_assert_int_eq(poll(&poller, 1, 0), 1);
	nodes_free(&pair);
}
END_TEST

START_TEST(threads_that_wait_for_different_ports_take_turns_at_reading)
{
	enum { THREADS = 6, MESSAGES = 500 };
	struct node_pair pair;
	struct mesh_port *mine[THREADS], *theirs;
	pthread_t threads[THREADS];

	nodes_make(&pair);
	for (int i = 0; i < THREADS; i++) {
		ck_assert_int_eq(mesh_port_pair(&mine[i], &theirs), 0);
		nodes_send_port(pair.at_leader, "p", theirs);
		theirs = nodes_expect_port(pair.at_host, "p");
		ck_assert_int_eq(pthread_create(&threads[i], NULL, nodes_receive_all, theirs), 0);
		ck_assert_ptr_nonnull(theirs);
		nodes_send_many(mine[i], MESSAGES);
		mesh_port_free(mine[i]);
		mine[i] = theirs;
	}
	for (int i = 0; i < THREADS; i++) {
		void *received;

		ck_assert_int_eq(pthread_join(threads[i], &received), 0);
		ck_assert_uint_eq((uintptr_t)received, MESSAGES);
		mesh_port_free(mine[i]);
	}
	nodes_free(&pair);
}
END_TEST

START_TEST(several_threads_share_the_messages_of_one_port)
{
	enum { THREADS = 4, MESSAGES = 1000 };
	struct node_pair pair;
	pthread_t threads[THREADS];
	uintptr_t total = 0;

	nodes_make(&pair);
	for (int i = 0; i < THREADS; i++)
		ck_assert_int_eq(pthread_create(&threads[i], NULL, nodes_receive_all, pair.at_host), 0);
	nodes_send_many(pair.at_leader, MESSAGES);
	mesh_port_free(pair.at_leader);
	pair.at_leader = NULL;
	for (int i = 0; i < THREADS; i++) {
		void *received;

		ck_assert_int_eq(pthread_join(threads[i], &received), 0);
		total += (uintptr_t)received;
	}
	ck_assert_uint_eq(total, MESSAGES);
	nodes_free(&pair);
}
END_TEST

START_TEST(round_trips_against_a_callback_go_on_while_others_wait)
{
	struct node_pair pair;
	pthread_t bystander;
	struct mesh_port *p, *q;

	nodes_make(&pair);
	ck_assert_int_eq(mesh_port_set_callback(pair.at_host, NULL, nodes_echo, NULL), 0);
	ck_assert_int_eq(mesh_port_pair(&p, &q), 0);
	ck_assert_int_eq(pthread_create(&bystander, NULL, nodes_receive_all, q), 0);
	for (unsigned i = 0; i < 2000; i++) {
		struct mesh_message *message;

		nodes_send_many(pair.at_leader, 1);
		message = nodes_recv(pair.at_leader);
		mesh_message_free(message);
	}
	mesh_port_free(p);
	ck_assert_int_eq(pthread_join(bystander, NULL), 0);
	mesh_port_free(q);
	nodes_free(&pair);
}
END_TEST

/* The pair belongs to no node when the thread begins to wait, and to one when the message comes. */
START_TEST(a_receiver_that_waits_on_a_local_pair_follows_it_into_a_node)
{
	struct node_pair pair;
	struct mesh_port *p, *q;
	pthread_t thread;
	void *received;

	nodes_make(&pair);
	ck_assert_int_eq(mesh_port_pair(&p, &q), 0);
	ck_assert_int_eq(pthread_create(&thread, NULL, nodes_receive_all, q), 0);
	nodes_send_port(pair.at_leader, "p", p);
	p = nodes_expect_port(pair.at_host, "p");
	nodes_send_many(p, 7);
	mesh_port_free(p);
	ck_assert_int_eq(pthread_join(thread, &received), 0);
	ck_assert_uint_eq((uintptr_t)received, 7);
	mesh_port_free(q);
	nodes_free(&pair);
}
END_TEST

START_TEST(a_thread_that_reads_is_woken_by_what_another_thread_sends_within_the_node)
{
	struct node_pair pair;
	struct mesh_port *p, *q;
	pthread_t thread;
	void *received;

	nodes_make(&pair);
	nodes_make_home_pair(&pair, &p, &q);
	ck_assert_int_eq(pthread_create(&thread, NULL, nodes_receive_all, q), 0);
	for (unsigned i = 0; i < 200; i++) {
		nodes_send_many(p, 1);
		if (i % 3 == 0)
			sched_yield();
	}
	mesh_port_free(p);
	ck_assert_int_eq(pthread_join(thread, &received), 0);
	ck_assert_uint_eq((uintptr_t)received, 200);
	mesh_port_free(q);
	nodes_free(&pair);
}
END_TEST

/* The pair became the node's when one end came by a port of it, but never left the process. */
START_TEST(a_receiver_waits_on_when_the_node_goes_that_its_pair_was_adopted_by)
{
	struct node_pair pair;
	struct mesh_port *p, *q, *end, *other;
	pthread_t thread;
	void *received;

	nodes_make(&pair);
	nodes_make_home_pair(&pair, &p, &q);
	ck_assert_int_eq(mesh_port_pair(&end, &other), 0);
	nodes_send_port(p, "end", end);
	end = nodes_expect_port(q, "end");
	ck_assert_int_eq(pthread_create(&thread, NULL, nodes_receive_all, other), 0);
	nodes_send_many(end, 1);
	mesh_node_free(pair.leader);
	nodes_send_many(end, 1);
	mesh_port_free(end);
	ck_assert_int_eq(pthread_join(thread, &received), 0);
	ck_assert_uint_eq((uintptr_t)received, 2);
	mesh_port_free(other);
	mesh_port_free(p);
	mesh_port_free(q);
	pair.leader = NULL;
	nodes_free(&pair);
}
END_TEST

static Suite *make_suite(void)
{
	Suite *suite = suite_create("mesh/receive-threads");
	TCase *waiting = support_tcase(suite, "waiting");

	tcase_add_test(waiting, the_descriptor_is_readable_exactly_when_there_is_something);
	tcase_add_test(waiting, threads_that_wait_for_different_ports_take_turns_at_reading);
	tcase_add_test(waiting, several_threads_share_the_messages_of_one_port);
	tcase_add_test(waiting, round_trips_against_a_callback_go_on_while_others_wait);
	tcase_add_test(waiting, a_receiver_that_waits_on_a_local_pair_follows_it_into_a_node);
	tcase_add_test(waiting, a_thread_that_reads_is_woken_by_what_another_thread_sends_within_the_node);
	tcase_add_loop_test(waiting, a_receiver_waits_on_when_the_node_goes_that_its_pair_was_adopted_by, 0, 20);
	return suite;
}
SUPPORT_MAIN(make_suite)
