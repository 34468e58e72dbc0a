/* SPDX-License-Identifier: MIT */
/* mesh_node_shutdown while another end does not read yet, and by several threads. */
#include <mesh/node-priv.h>

#include <errno.h>
#include <event2/event.h>
#include <pthread.h>

#include "nodes.h"
#include "support.h"

/* The host is on a base that does not run: it reads where the test waits for something, and not before. */
static struct event_base *base;
static struct node_pair pair;

static void make_pair(void)
{
	struct mesh_node_options options = {MESH_NODE_OPTIONS_INIT};
	struct mesh_invitation invitation;
	struct mesh_port *passenger;

	base = event_base_new();
	ck_assert_int_eq(mesh_node_new(NULL, &pair.leader, NULL), 0);
	ck_assert_int_eq(mesh_port_pair(&pair.at_leader, &passenger), 0);
	ck_assert_int_eq(mesh_node_invite(pair.leader, passenger, &invitation, NULL), 0);
	options.base = base;
	ck_assert_int_eq(mesh_node_join(&invitation, &options, NODES_PATIENCE, &pair.host, &pair.at_host, NULL), 0);
}

static void free_pair(void)
{
	nodes_free(&pair);
	event_base_free(base);
}

struct leaver {
	pthread_t thread;
	struct mesh_node *node;
	pal_deadline deadline;
	int result;
};

static void *leave(void *argument)
{
	struct leaver *leaver = argument;

	leaver->result = mesh_node_shutdown(leaver->node, leaver->deadline, NULL);
	return NULL;
}

static bool wait_there(struct mesh_node *node, unsigned threads)
{
	struct mesh__waiter *waiter;
	bool left;

	mesh__space_lock(&node->space);
	left = node->left;
	TAILQ_FOREACH(waiter, &node->idle_waiters, of_port)
		threads--;
	mesh__space_unlock(&node->space);
	return left || !threads;
}

/* Returns when it waits there as the nth, or, if that is wrong, the node has left. */
static void start(struct leaver *leaver, unsigned nth)
{
	leaver->node = pair.leader;
	ck_assert_int_eq(pthread_create(&leaver->thread, NULL, leave, leaver), 0);
	SUPPORT_LOOK_UNTIL(wait_there(pair.leader, nth));
}

static int end(struct leaver *leaver)
{
	ck_assert_int_eq(pthread_join(leaver->thread, NULL), 0);
	return leaver->result;
}

/* How long the other ends are waited for once they have read everything. */
static void set_farewell(unsigned ms)
{
	mesh__space_lock(&pair.leader->space);
	pair.leader->farewell_ms = ms;
	mesh__space_unlock(&pair.leader->space);
}

static void expect_numbers(unsigned number)
{
	for (unsigned i = 0; i < number; i++) {
		struct mesh_message *message = nodes_recv(pair.at_host);

		ck_assert_uint_eq(*(unsigned *)mesh_message_data(message), i);
		mesh_message_free(message);
	}
	nodes_expect_end(pair.at_host, -ECONNRESET);
}

/* S152: more than the socket takes, so that most of it is in this process still. */
START_TEST(what_is_queued_is_sent_to_who_begins_to_read_late)
{
	enum { NUMBER = 5000 };
	struct leaver leaver = {.deadline = NODES_PATIENCE};

	make_pair();
	nodes_send_many(pair.at_leader, NUMBER);
	set_farewell(0);
	start(&leaver, 1);
	expect_numbers(NUMBER);
	end(&leaver);
	free_pair();
}
END_TEST

/* What the socket has taken is not lost any more, but whether it was read is what the result says. */
START_TEST(what_is_in_the_socket_is_waited_for)
{
	struct leaver leaver = {.deadline = NODES_PATIENCE};

	make_pair();
	nodes_send_many(pair.at_leader, 3);
	set_farewell(1);
	start(&leaver, 1);
	ck_assert_int_eq(mesh_node_shutdown(pair.leader, pal_deadline_after_ms(50), NULL), -ETIMEDOUT);
	set_farewell(MESH__FAREWELL_MS);
	expect_numbers(3);
	ck_assert_int_eq(end(&leaver), 0);
	free_pair();
}
END_TEST

START_TEST(who_leaves_as_the_second_one_learns_how_the_first_one_does)
{
	struct leaver first = {.deadline = NODES_PATIENCE}, second = {.deadline = NODES_PATIENCE};
	struct mesh_port *here, *there;

	make_pair();
	ck_assert_int_eq(mesh_port_pair(&here, &there), 0);
	nodes_send_port(pair.at_leader, "there", there);
	there = nodes_expect_port(pair.at_host, "there");
	mesh_port_free(PAL_TAKE_POINTER(pair.at_leader)); /* the host has to take note, which it does when it reads */
	start(&first, 1);
	start(&second, 2);
	ck_assert_int_eq(mesh_node_shutdown(pair.leader, PAL_DEADLINE_NOW, NULL), -ETIMEDOUT);
	nodes_expect_end(pair.at_host, -EPIPE);
	nodes_expect_end(there, -ECONNRESET); /* the host reads until the leader has gone */
	ck_assert_int_eq(end(&first), 0);
	ck_assert_int_eq(end(&second), 0);
	ck_assert_int_eq(mesh_node_shutdown(pair.leader, PAL_DEADLINE_NOW, NULL), 0);
	mesh_port_free(here);
	mesh_port_free(there);
	free_pair();
}
END_TEST

START_TEST(who_leaves_again_after_the_time_was_over_is_told_so)
{
	make_pair();
	mesh_port_free(PAL_TAKE_POINTER(pair.at_leader));
	ck_assert_int_eq(mesh_node_shutdown(pair.leader, PAL_DEADLINE_NOW, NULL), -ETIMEDOUT);
	ck_assert_int_eq(mesh_node_shutdown(pair.leader, NODES_PATIENCE, NULL), -ETIMEDOUT);
	free_pair();
}
END_TEST

/* AddressSanitizer and the descriptors say whether anything was forgotten. */
START_TEST(a_node_may_be_freed_while_another_thread_waits_to_leave)
{
	struct leaver leaver = {.deadline = PAL_DEADLINE_NONE};

	make_pair();
	if (_i)
		nodes_send_many(pair.at_leader, 5000);
	else
		mesh_port_free(PAL_TAKE_POINTER(pair.at_leader));
	start(&leaver, 1);
	mesh_node_free(PAL_TAKE_POINTER(pair.leader));
	ck_assert_int_eq(end(&leaver), -ETIMEDOUT);
	free_pair();
}
END_TEST

static Suite *make_suite(void)
{
	Suite *suite = suite_create("mesh/node-leave");
	TCase *late = support_tcase(suite, "late"), *threads = support_tcase(suite, "threads");

	tcase_add_test(late, what_is_queued_is_sent_to_who_begins_to_read_late);
	tcase_add_test(late, what_is_in_the_socket_is_waited_for);
	tcase_add_test(threads, who_leaves_as_the_second_one_learns_how_the_first_one_does);
	tcase_add_test(threads, who_leaves_again_after_the_time_was_over_is_told_so);
	tcase_add_loop_test(threads, a_node_may_be_freed_while_another_thread_waits_to_leave, 0, 2);
	return suite;
}
SUPPORT_MAIN(make_suite)
