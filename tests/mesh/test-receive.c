/* SPDX-License-Identifier: MIT */
/* Callbacks: in which thread, how often, and what they may do. */
#include "nodes.h"

#include <errno.h>
#include <event2/event.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

#include "support.h"

/* More than are read in one turn. */
enum { MANY = 1000 };

/* ---- callbacks ---- */

struct tally {
	atomic_uint messages;
	atomic_int end;
	unsigned stop_after; /* then the callback does `then` */
	void (*then)(struct mesh_port *port, struct tally *tally);
	struct event_base *base;
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t changed;
};
#define TALLY_INIT {.lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER}

static void count(struct mesh_port *port, int status, struct mesh_message *message, void *userdata)
{
	struct tally *tally = userdata;

	mesh_message_free(message);
	pthread_mutex_lock(&tally->lock);
	tally->thread = pthread_self();
	if (message)
		tally->messages++;
	else
		tally->end = status;
	pthread_cond_broadcast(&tally->changed);
	pthread_mutex_unlock(&tally->lock);
	if (tally->then && tally->messages == tally->stop_after)
		tally->then(port, tally);
	if (status && tally->base)
		event_base_loopbreak(tally->base);
}

static void wait_for_end(struct tally *tally)
{
	pthread_mutex_lock(&tally->lock);
	while (!tally->end)
		pthread_cond_wait(&tally->changed, &tally->lock);
	pthread_mutex_unlock(&tally->lock);
}

static void wait_for_messages(struct tally *tally, unsigned number)
{
	pthread_mutex_lock(&tally->lock);
	while (tally->messages < number)
		pthread_cond_wait(&tally->changed, &tally->lock);
	pthread_mutex_unlock(&tally->lock);
}

START_TEST(a_callback_runs_in_the_nodes_thread_and_ends_once)
{
	struct tally tally = TALLY_INIT;
	struct node_pair pair;

	nodes_make(&pair);
	nodes_send_many(pair.at_leader, 10);
	ck_assert_int_eq(mesh_port_set_callback(pair.at_host, NULL, count, &tally), 0);
	nodes_send_many(pair.at_leader, 1000);
	mesh_port_free(pair.at_leader);
	pair.at_leader = NULL;
	wait_for_end(&tally);
	ck_assert_uint_eq(tally.messages, 1010);
	ck_assert_int_eq(tally.end, -EPIPE);
	ck_assert(!pthread_equal(tally.thread, pthread_self()));
	nodes_free(&pair);
}
END_TEST

static void free_it(struct mesh_port *port, struct tally *tally)
{
	(void)tally;
	mesh_port_free(port);
}

START_TEST(a_port_may_be_freed_in_its_own_callback)
{
	struct tally tally = TALLY_INIT;
	struct node_pair pair;

	nodes_make(&pair);
	tally.stop_after = 3;
	tally.then = free_it;
	ck_assert_int_eq(mesh_port_set_callback(pair.at_host, NULL, count, &tally), 0);
	nodes_send_many(pair.at_leader, 10);
	nodes_expect_end(pair.at_leader, -EPIPE);
	ck_assert_uint_eq(tally.messages, 3);
	pair.at_host = NULL;
	nodes_free(&pair);
}
END_TEST

static void remove_it(struct mesh_port *port, struct tally *tally)
{
	(void)tally;
	ck_assert_int_eq(mesh_port_set_callback(port, NULL, NULL, NULL), 0);
}

START_TEST(a_callback_may_be_removed_and_the_rest_received_by_hand)
{
	struct tally tally = TALLY_INIT;
	struct node_pair pair;
	struct mesh_message *message;

	nodes_make(&pair);
	tally.stop_after = 4;
	tally.then = remove_it;
	ck_assert_int_eq(mesh_port_set_callback(pair.at_host, NULL, count, &tally), 0);
	ck_assert_int_eq(mesh_port_recv(pair.at_host, PAL_DEADLINE_NOW, &message, NULL), -EBUSY);
	nodes_send_many(pair.at_leader, 6);
	wait_for_messages(&tally, 4);
	SUPPORT_LOOK_UNTIL(mesh_port_recv(pair.at_host, NODES_PATIENCE, &message, NULL) != -EBUSY);
	ck_assert_uint_eq(*(unsigned *)mesh_message_data(message), 4);
	mesh_message_free(message);
	message = nodes_recv(pair.at_host);
	ck_assert_uint_eq(*(unsigned *)mesh_message_data(message), 5);
	mesh_message_free(message);
	nodes_free(&pair);
}
END_TEST

START_TEST(a_port_with_a_callback_may_travel)
{
	struct tally tally = TALLY_INIT;
	struct node_pair pair;
	struct mesh_port *p, *q;

	nodes_make(&pair);
	ck_assert_int_eq(mesh_port_pair(&p, &q), 0);
	nodes_send_port(pair.at_leader, "p", p);
	p = nodes_expect_port(pair.at_host, "p");
	ck_assert_int_eq(mesh_port_set_callback(p, NULL, count, &tally), 0);
	nodes_send_many(q, 1);
	wait_for_messages(&tally, 1);
	nodes_send_port(pair.at_host, "back", p);
	nodes_send_many(q, 1);
	p = nodes_expect_port(pair.at_leader, "back");
	mesh_message_free(nodes_recv(p));
	ck_assert_uint_eq(tally.messages, 1);
	mesh_port_free(p);
	mesh_port_free(q);
	nodes_free(&pair);
}
END_TEST

START_TEST(a_pair_without_a_node_calls_back_on_a_base)
{
	struct event_base *base = event_base_new();
	struct tally tally = TALLY_INIT;
	struct mesh_port *a, *b;

	ck_assert_int_eq(mesh_port_pair(&a, &b), 0);
	ck_assert_int_eq(mesh_port_set_callback(b, NULL, count, &tally), -EINVAL);
	tally.base = base;
	nodes_send_many(a, 100);
	ck_assert_int_eq(mesh_port_set_callback(b, base, count, &tally), 0);
	mesh_port_free(a);
	event_base_dispatch(base);
	ck_assert_uint_eq(tally.messages, 100);
	ck_assert_int_eq(tally.end, -EPIPE);
	ck_assert(pthread_equal(tally.thread, pthread_self()));
	mesh_port_free(b);
	event_base_free(base);
}
END_TEST

/* The leader lives on this thread's base; the host, with a thread of its own, answers. */
START_TEST(a_node_runs_on_the_callers_base)
{
	struct event_base *base = event_base_new();
	struct mesh_node_options options = {MESH_NODE_OPTIONS_INIT, .base = base};
	struct tally tally = TALLY_INIT;
	struct mesh_invitation invitation;
	struct mesh_node *leader, *host;
	struct mesh_port *mine, *passenger, *theirs;
	struct pal_error error = {0};

	ck_assert_ok(mesh_node_new(&options, &leader, &error), &error);
	ck_assert_int_eq(mesh_port_pair(&mine, &passenger), 0);
	ck_assert_ok(mesh_node_invite(leader, passenger, &invitation, &error), &error);
	ck_assert_ok(mesh_node_join(&invitation, NULL, NODES_PATIENCE, &host, &theirs, &error), &error);
	ck_assert_int_eq(mesh_port_set_callback(theirs, NULL, nodes_echo, NULL), 0);
	nodes_send_many(mine, 1);
	mesh_message_free(nodes_recv(mine)); /* blocking, in the base's thread: reads by itself */
	tally.base = base;
	tally.stop_after = 500;
	tally.then = free_it;
	ck_assert_int_eq(mesh_port_set_callback(mine, base, count, &tally), 0);
	nodes_send_many(mine, 500);
	while (tally.messages < 500)
		event_base_loop(base, EVLOOP_ONCE);
	ck_assert(pthread_equal(tally.thread, pthread_self()));
	mesh_port_free(theirs);
	mesh_node_free(host);
	mesh_node_free(leader);
	event_base_free(base);
}
END_TEST

START_TEST(freeing_a_node_sends_everybody_home_who_waits_in_it)
{
	struct node_pair pair;
	struct mesh_port *p, *q;
	struct tally tally = TALLY_INIT;
	pthread_t threads[2];

	nodes_make(&pair);
	nodes_make_home_pair(&pair, &p, &q);
	ck_assert_int_eq(mesh_port_set_callback(pair.at_leader, NULL, count, &tally), 0);
	ck_assert_int_eq(pthread_create(&threads[0], NULL, nodes_receive_all, p), 0);
	ck_assert_int_eq(pthread_create(&threads[1], NULL, nodes_receive_all, q), 0);
	mesh_node_free(pair.leader);
	pair.leader = NULL;
	ck_assert_int_eq(tally.end, -ECONNRESET); /* told before the node is gone */
	ck_assert_int_eq(pthread_join(threads[0], NULL), 0);
	ck_assert_int_eq(pthread_join(threads[1], NULL), 0);
	mesh_port_free(p);
	mesh_port_free(q);
	nodes_free(&pair);
}
END_TEST

static void free_node_too(struct mesh_port *port, int status, struct mesh_message *message, void *userdata)
{
	struct node_pair *pair = userdata;

	mesh_message_free(message);
	if (!status)
		return;
	mesh_port_free(port);
	pair->at_host = NULL;
	mesh_node_free(pair->host);
	pair->host = NULL;
}

START_TEST(a_callback_on_a_base_may_free_the_node_of_its_port)
{
	struct event_base *base = event_base_new();
	struct node_pair pair;

	nodes_make(&pair);
	ck_assert_int_eq(mesh_port_set_callback(pair.at_host, base, free_node_too, &pair), 0);
	mesh_port_free(pair.at_leader);
	pair.at_leader = NULL;
	while (pair.host)
		event_base_loop(base, EVLOOP_ONCE);
	nodes_free(&pair);
	event_base_free(base);
}
END_TEST

/* The node lives on a base in this thread while another thread waits on another of its ports, and reads. */
START_TEST(a_base_is_told_of_callbacks_that_another_thread_has_read)
{
	struct event_base *base = event_base_new();
	struct mesh_node_options options = {MESH_NODE_OPTIONS_INIT, .base = base};
	struct tally tally = TALLY_INIT;
	struct node_pair pair;
	struct mesh_port *p, *q;
	pthread_t thread;

	ck_assert_int_eq(mesh_node_new(&options, &pair.leader, NULL), 0);
	nodes_invite(pair.leader, &pair.host, &pair.at_leader, &pair.at_host);
	ck_assert_int_eq(mesh_port_pair(&p, &q), 0);
	ck_assert_int_eq(pthread_create(&thread, NULL, nodes_receive_all, q), 0);
	nodes_send_text(pair.at_host, "hello");
	nodes_expect_text(pair.at_leader, "hello"); /* waiting here makes the leader read */
	nodes_send_port(pair.at_leader, "p", p);
	p = nodes_expect_port(pair.at_host, "p");
	ck_assert_int_eq(mesh_port_set_callback(pair.at_leader, NULL, count, &tally), 0);
	for (unsigned i = 1; i <= 50; i++) {
		nodes_send_many(pair.at_host, 1);
		while (tally.messages < i)
			event_base_loop(base, EVLOOP_ONCE);
	}
	mesh_port_free(p);
	ck_assert_int_eq(pthread_join(thread, NULL), 0);
	mesh_port_free(q);
	nodes_free(&pair);
	event_base_free(base);
}
END_TEST

static uint64_t unread_at(struct mesh_node *node)
{
	struct mesh_port_counters counters;

	ck_assert_int_eq(mesh_node_count_ports(node, &counters, sizeof counters), 0);
	return counters.waiting.messages;
}

/* Who does not want to wait reads once, and not as long as there is something to read. */
START_TEST(what_comes_for_others_does_not_stretch_a_deadline)
{
	struct event_base *base = event_base_new();
	struct mesh_node_options options = {MESH_NODE_OPTIONS_INIT, .base = base};
	struct mesh_message *message;
	struct mesh_port *quiet, *q;
	struct node_pair pair;

	ck_assert_int_eq(mesh_node_new(&options, &pair.leader, NULL), 0);
	nodes_invite(pair.leader, &pair.host, &pair.at_leader, &pair.at_host);
	ck_assert_int_eq(mesh_port_pair(&quiet, &q), 0);
	nodes_send_port(pair.at_leader, "q", q);
	nodes_send_many(pair.at_host, MANY);
	ck_assert_int_eq(mesh_port_recv(quiet, PAL_DEADLINE_NOW, &message, NULL), -ETIMEDOUT);
	ck_assert_uint_gt(unread_at(pair.leader), 0);
	ck_assert_uint_lt(unread_at(pair.leader), MANY);
	for (unsigned i = 0; i < MANY; i++) {
		message = nodes_recv(pair.at_leader);
		ck_assert_uint_eq(*(unsigned *)mesh_message_data(message), i);
		mesh_message_free(message);
	}
	mesh_port_free(quiet);
	nodes_free(&pair);
	event_base_free(base);
}
END_TEST

/* A callback that gives the port another one, on `base` or at home. */
struct switched {
	struct event_base *base;
	struct tally tally;
	void (*linger)(struct switched *switched);
	struct mesh_port *other;
	struct tally of_other;
};

static void switch_over(struct mesh_port *port, int status, struct mesh_message *message, void *userdata)
{
	struct switched *switched = userdata;

	ck_assert_int_eq(status, 0);
	mesh_message_free(message);
	ck_assert_int_eq(mesh_port_set_callback(port, switched->base, count, &switched->tally), 0);
	if (switched->linger)
		switched->linger(switched);
}

START_TEST(a_callback_that_is_set_in_a_call_is_called_by_its_own_base_only)
{
	struct switched switched = {.base = event_base_new(), .tally = TALLY_INIT};
	struct event_base *first = event_base_new();
	struct mesh_port *a, *b;

	ck_assert_int_eq(mesh_port_pair(&a, &b), 0);
	nodes_send_many(a, 20);
	ck_assert_int_eq(mesh_port_set_callback(b, first, switch_over, &switched), 0);
	event_base_dispatch(first); /* until nothing is on it any more */
	ck_assert_uint_eq(switched.tally.messages, 0);
	while (switched.tally.messages < 19)
		event_base_loop(switched.base, EVLOOP_ONCE);
	mesh_port_free(a);
	mesh_port_free(b);
	event_base_free(first);
	event_base_free(switched.base);
}
END_TEST

/* Until the node's home has called another callback for which it was told later. */
static void until_home_has_been_there(struct switched *switched)
{
	nodes_send_many(switched->other, 1);
	wait_for_messages(&switched->of_other, 1);
}

START_TEST(a_callback_that_is_due_before_the_one_that_set_it_has_returned_is_called_then)
{
	struct switched switched = {
		.tally = TALLY_INIT, .linger = until_home_has_been_there, .of_other = TALLY_INIT};
	struct event_base *base = event_base_new();
	struct mesh_port *p, *q, *at_home;
	struct node_pair pair;

	nodes_make(&pair);
	nodes_make_home_pair(&pair, &p, &q);
	nodes_make_home_pair(&pair, &switched.other, &at_home);
	ck_assert_int_eq(mesh_port_set_callback(at_home, NULL, count, &switched.of_other), 0);
	nodes_send_many(p, 5);
	ck_assert_int_eq(mesh_port_set_callback(q, base, switch_over, &switched), 0);
	event_base_dispatch(base);
	wait_for_messages(&switched.tally, 4);
	mesh_port_free(p);
	mesh_port_free(q);
	mesh_port_free(switched.other);
	mesh_port_free(at_home);
	nodes_free(&pair);
	event_base_free(base);
}
END_TEST

static Suite *make_suite(void)
{
	Suite *suite = suite_create("mesh/receive");
	TCase *callbacks = support_tcase(suite, "callbacks");

	tcase_add_test(callbacks, a_callback_runs_in_the_nodes_thread_and_ends_once);
	tcase_add_test(callbacks, a_port_may_be_freed_in_its_own_callback);
	tcase_add_test(callbacks, a_callback_may_be_removed_and_the_rest_received_by_hand);
	tcase_add_test(callbacks, a_port_with_a_callback_may_travel);
	tcase_add_test(callbacks, a_pair_without_a_node_calls_back_on_a_base);
	tcase_add_test(callbacks, a_node_runs_on_the_callers_base);
	tcase_add_test(callbacks, freeing_a_node_sends_everybody_home_who_waits_in_it);
	tcase_add_test(callbacks, a_callback_on_a_base_may_free_the_node_of_its_port);
	tcase_add_test(callbacks, a_base_is_told_of_callbacks_that_another_thread_has_read);
	tcase_add_test(callbacks, a_callback_that_is_set_in_a_call_is_called_by_its_own_base_only);
	tcase_add_test(callbacks, a_callback_that_is_due_before_the_one_that_set_it_has_returned_is_called_then);
	tcase_add_test(callbacks, what_comes_for_others_does_not_stretch_a_deadline);
	return suite;
}
SUPPORT_MAIN(make_suite)
