/* SPDX-License-Identifier: MIT */
/*
 * A libevent base runs in one thread, and what is on it goes in another one: the base was made after
 * evthread_use_pthreads(3). AddressSanitizer and ThreadSanitizer say whether anything was used after it was freed.
 */
#include "nodes.h"

#include <errno.h>
#include <event2/event.h>
#include <event2/thread.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdlib.h>

#include "support.h"

enum { ROUNDS = 40, MESSAGES = 100 };

static struct event_base *base;
static pthread_t runner;

static void *run(void *unused)
{
	(void)unused;
	event_base_loop(base, EVLOOP_NO_EXIT_ON_EMPTY);
	return NULL;
}

static void start_base(void)
{
	ck_assert_int_eq(evthread_use_pthreads(), 0);
	base = event_base_new();
	ck_assert_int_eq(pthread_create(&runner, NULL, run, NULL), 0);
}

static void stop_base(void)
{
	event_base_loopbreak(base);
	ck_assert_int_eq(pthread_join(runner, NULL), 0);
	event_base_free(base);
	libevent_global_shutdown();
}

struct heard {
	int messages; /* written by the callback */
};

static void hear(struct mesh_port *port, int status, struct mesh_message *message, void *userdata)
{
	struct heard *heard = userdata;

	(void)port;
	(void)status;
	mesh_message_free(message);
	support_tell_one_more(&heard->messages);
}

/* Returns when so many more have come than before: the rest are on their way. */
static void send_some(struct mesh_port *port, struct heard *heard, int more)
{
	int least = __atomic_load_n(&heard->messages, __ATOMIC_RELAXED) + more;

	for (int i = 0; i < MESSAGES; i++)
		nodes_send_text(port, "some");
	support_await(&heard->messages, least);
}

static void make_pair_on_base(struct node_pair *pair)
{
	struct mesh_node_options options = {MESH_NODE_OPTIONS_INIT, .base = base};
	struct pal_error error = {0};

	ck_assert_ok(mesh_node_new(&options, &pair->leader, &error), &error);
	nodes_invite(pair->leader, &pair->host, &pair->at_leader, &pair->at_host);
}

START_TEST(a_node_may_be_freed_while_its_base_runs_elsewhere)
{
	start_base();
	for (int round = 0; round < ROUNDS; round++) {
		struct heard *heard = calloc(1, sizeof *heard);
		struct node_pair pair;

		make_pair_on_base(&pair);
		ck_assert_int_eq(mesh_port_set_callback(pair.at_leader, NULL, hear, heard), 0);
		send_some(pair.at_host, heard, round % 3);
		mesh_node_free(pair.leader);
		pair.leader = NULL;
		free(heard); /* all callbacks at home have run */
		nodes_free(&pair);
	}
	stop_base();
}
END_TEST

START_TEST(ports_may_be_freed_while_the_base_of_their_node_runs_elsewhere)
{
	struct heard heard = {0};
	struct node_pair pair;

	start_base();
	make_pair_on_base(&pair);
	for (int round = 0; round < ROUNDS; round++) {
		struct mesh_port *here, *there;

		ck_assert_int_eq(mesh_port_pair(&here, &there), 0);
		nodes_send_port(pair.at_leader, "port", there);
		there = nodes_expect_port(pair.at_host, "port");
		ck_assert_int_eq(mesh_port_set_callback(here, NULL, hear, &heard), 0);
		send_some(there, &heard, round % 3);
		mesh_port_free(here);
		mesh_port_free(there);
	}
	nodes_free(&pair);
	stop_base();
}
END_TEST

struct meeting {
	sem_t called, freed;
};

static void meet(struct mesh_port *port, int status, struct mesh_message *message, void *userdata)
{
	struct meeting *meeting = userdata;

	(void)port;
	(void)status;
	mesh_message_free(message);
	sem_post(&meeting->called);
	while (sem_wait(&meeting->freed))
		;
}

START_TEST(a_port_may_be_freed_by_another_thread_in_the_middle_of_its_callback)
{
	struct meeting meeting;
	struct node_pair pair;

	start_base();
	make_pair_on_base(&pair);
	sem_init(&meeting.called, 0, 0);
	sem_init(&meeting.freed, 0, 0);
	ck_assert_int_eq(mesh_port_set_callback(pair.at_leader, NULL, meet, &meeting), 0);
	nodes_send_text(pair.at_host, "one");
	nodes_send_text(pair.at_host, "and another one, which it will not see");
	while (sem_wait(&meeting.called))
		;
	mesh_port_free(pair.at_leader);
	sem_post(&meeting.freed);
	nodes_expect_end(pair.at_host, -EPIPE);
	pair.at_leader = NULL;
	nodes_free(&pair);
	stop_base();
	ck_assert_int_lt(sem_trywait(&meeting.called), 0);
	sem_destroy(&meeting.called);
	sem_destroy(&meeting.freed);
}
END_TEST

START_TEST(a_port_may_be_freed_while_the_base_of_its_callback_runs_elsewhere)
{
	struct heard heard = {0};
	struct node_pair pair;

	start_base();
	nodes_make(&pair);
	for (int round = 0; round < ROUNDS; round++) {
		struct mesh_port *here, *there;

		ck_assert_int_eq(mesh_port_pair(&here, &there), 0);
		if (_i) { /* between nodes; else within the process */
			nodes_send_port(pair.at_leader, "port", there);
			there = nodes_expect_port(pair.at_host, "port");
		}
		ck_assert_int_eq(mesh_port_set_callback(here, base, hear, &heard), 0);
		send_some(there, &heard, round % 3);
		mesh_port_free(here); /* a call in progress goes on, and counts */
		mesh_port_free(there);
	}
	nodes_free(&pair);
	stop_base();
}
END_TEST

static Suite *make_suite(void)
{
	Suite *suite = suite_create("mesh/base-threads");
	TCase *freeing = support_tcase(suite, "freeing");

	tcase_set_timeout(freeing, 60);
	tcase_add_test(freeing, a_node_may_be_freed_while_its_base_runs_elsewhere);
	tcase_add_test(freeing, ports_may_be_freed_while_the_base_of_their_node_runs_elsewhere);
	tcase_add_test(freeing, a_port_may_be_freed_by_another_thread_in_the_middle_of_its_callback);
	tcase_add_loop_test(freeing, a_port_may_be_freed_while_the_base_of_its_callback_runs_elsewhere, 0, 2);
	return suite;
}
SUPPORT_MAIN(make_suite)
