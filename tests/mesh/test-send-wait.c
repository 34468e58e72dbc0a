/* SPDX-License-Identifier: MIT */
/* Waiting for room to send: in a thread, and for the event that there is some. */
#include "send-room.h"

#include <errno.h>
#include <event2/event.h>
#include <pthread.h>
#include <sched.h>

#include <mesh/port-waiters-priv.h>
#include <pal/util-priv.h>

#include "nodes.h"
#include "support.h"

/* ---- waiting ---- */

struct sender {
	struct mesh_port *port;
	unsigned count;
	size_t size;
	int result;
};

static void *send_all(void *argument)
{
	struct sender *sender = argument;

	for (unsigned i = 0; i < sender->count && !sender->result; i++)
		sender->result = mesh_port_send_wait(sender->port, numbered(i, sender->size), PAL_DEADLINE_NONE, NULL);
	return NULL;
}

static pthread_t start_sender(struct sender *sender)
{
	pthread_t thread;

	ck_assert_int_eq(pthread_create(&thread, NULL, send_all, sender), 0);
	return thread;
}

static void end_sender(pthread_t thread, const struct sender *sender, int expected)
{
	ck_assert_int_eq(pthread_join(thread, NULL), 0);
	ck_assert_int_eq(sender->result, expected);
}

static void until_it_waits(struct mesh_port *port)
{
	bool waits;

	do {
		struct mesh__space *space = mesh__port_lock(port);

		waits = port->waiters && port->waiters->senders;
		mesh__space_unlock(space);
		sched_yield();
	} while (!waits);
}

START_TEST(who_waits_sends_as_fast_as_the_other_end_reads)
{
	struct sender sender = {.count = 20000, .size = KIB};
	pthread_t thread;

	make_mesh(&bounds[0]);
	sender.port = at_leader;
	thread = start_sender(&sender);
	expect_numbers(at_host, sender.count);
	end_sender(thread, &sender, 0);
	free_mesh();
}
END_TEST

START_TEST(who_waits_on_a_local_pair_sends_as_fast_as_the_other_end_reads)
{
	struct sender sender = {.count = MESH_DEFAULT_MAX_PORT_UNREAD_MESSAGES + 1000, .size = sizeof(unsigned)};
	struct mesh_port *q;
	pthread_t thread;

	ck_assert_int_eq(mesh_port_pair(&sender.port, &q), 0);
	thread = start_sender(&sender);
	until_it_waits(sender.port);
	expect_numbers(q, sender.count);
	end_sender(thread, &sender, 0);
	mesh_port_free(sender.port);
	mesh_port_free(q);
}
END_TEST

START_TEST(waiting_for_room_ends_at_the_deadline)
{
	struct pal_error error = {0};

	make_mesh(&bounds[0]);
	fill(at_leader, KIB, 0);
	ck_assert_int_eq(mesh_port_send_wait(at_leader, numbered(0, KIB), PAL_DEADLINE_NOW, &error), -ETIMEDOUT);
	ck_assert_int_eq(error.stage, MESH_STAGE_PORT);
	ck_assert_int_eq(mesh_port_send_wait(at_leader, numbered(0, KIB), pal_deadline_after_ms(20), NULL), -ETIMEDOUT);
	free_mesh();
}
END_TEST

START_TEST(who_waits_for_room_goes_home_when_the_port_goes)
{
	struct sender sender = {.count = 20000, .size = KIB};
	pthread_t thread;

	make_mesh(&bounds[0]);
	sender.port = at_leader;
	fill(at_leader, KIB, 0);
	thread = start_sender(&sender);
	until_it_waits(at_leader);
	if (_i == 0)
		mesh_port_free(PAL_TAKE_POINTER(at_leader));
	else if (_i == 1)
		mesh_port_free(PAL_TAKE_POINTER(at_host));
	else
		mesh_node_free(PAL_TAKE_POINTER(leader));
	/* What is sent on a port that has ended is dropped, and nobody waits. */
	end_sender(thread, &sender, _i == 0 ? -ECANCELED : 0);
	free_mesh();
}
END_TEST

/* Three threads in each direction, 8 KiB at a time, and nobody reads before all has been sent. */
START_TEST(two_nodes_that_send_much_to_one_another_at_once_go_on)
{
	enum { THREADS = 3 };
	struct sender senders[2 * THREADS];
	struct mesh_port *others[2 * THREADS];
	pthread_t threads[2 * THREADS];
	struct node_pair pair;

	ck_assert_int_eq(mesh_node_new(&bounds[0], &pair.leader, NULL), 0);
	nodes_invite(pair.leader, &pair.host, &pair.at_leader, &pair.at_host);
	for (int i = 0; i < 2 * THREADS; i++) {
		bool back = i % 2;

		senders[i] = (struct sender){.count = 256, .size = 8 * KIB};
		ck_assert_int_eq(mesh_port_pair(&senders[i].port, &others[i]), 0);
		nodes_send_port(back ? pair.at_host : pair.at_leader, "another", others[i]);
		others[i] = nodes_expect_port(back ? pair.at_leader : pair.at_host, "another");
	}
	for (int i = 0; i < 2 * THREADS; i++)
		threads[i] = start_sender(&senders[i]);
	for (int i = 0; i < 2 * THREADS; i++)
		end_sender(threads[i], &senders[i], 0);
	for (int i = 0; i < 2 * THREADS; i++) {
		expect_numbers(others[i], 256);
		mesh_port_free(senders[i].port);
		mesh_port_free(others[i]);
	}
	nodes_free(&pair);
}
END_TEST

/* ---- the event that there is room ---- */

struct flow {
	struct mesh_port *port;
	struct event_base *base;
	unsigned sent, count, calls;
	size_t size;
	bool free_it;
	pthread_mutex_t lock;
	pthread_cond_t changed;
};

static void pump(struct flow *flow);

static void on_writable(struct mesh_port *port, void *userdata)
{
	struct flow *flow = userdata;

	ck_assert_ptr_eq(port, flow->port);
	pthread_mutex_lock(&flow->lock);
	flow->calls++;
	if (flow->free_it)
		mesh_port_free(PAL_TAKE_POINTER(flow->port));
	else
		pump(flow);
	pthread_cond_signal(&flow->changed);
	pthread_mutex_unlock(&flow->lock);
}

/* As a program does it that must not wait: send until it is refused, go on when there is room. */
static void pump(struct flow *flow)
{
	while (flow->sent < flow->count) {
		struct mesh_message *message = numbered(flow->sent, flow->size);
		int result = mesh_port_try_send(flow->port, message);

		if (result == -EAGAIN) {
			mesh_message_free(message);
			ck_assert_int_eq(mesh_port_on_writable(flow->port, flow->base, on_writable, flow), 0);
			return;
		}
		ck_assert_int_eq(result, 0);
		flow->sent++;
	}
}

#define FLOW_INIT .lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER

static void start_pump(struct flow *flow)
{
	pthread_mutex_lock(&flow->lock);
	pump(flow);
	pthread_mutex_unlock(&flow->lock);
}

START_TEST(a_callback_at_home_sends_on_when_there_is_room)
{
	/* more than what a program may have queued has to wait until nothing is before it */
	const struct mesh_node_options tight = {MESH_NODE_OPTIONS_INIT, .max_queued = 10000};
	struct flow flow = {FLOW_INIT, .count = _i ? 500 : 20000, .size = _i ? 12000 : KIB};

	make_mesh(_i ? &tight : &bounds[0]);
	flow.port = at_leader;
	start_pump(&flow);
	expect_numbers(at_host, flow.count);
	pthread_mutex_lock(&flow.lock);
	while (flow.sent < flow.count)
		pthread_cond_wait(&flow.changed, &flow.lock);
	ck_assert_uint_gt(flow.calls, 0);
	ck_assert_uint_le(flow.calls, _i ? flow.count : flow.count / 200); /* half of the room each time */
	pthread_mutex_unlock(&flow.lock);
	free_mesh();
}
END_TEST

START_TEST(a_callback_on_a_base_sends_on_when_there_is_room)
{
	struct flow flow = {FLOW_INIT, .count = MESH_DEFAULT_MAX_PORT_UNREAD_MESSAGES + 1000, .size = sizeof(unsigned)};
	struct mesh_port *q;
	unsigned received = 0;

	flow.base = event_base_new();
	ck_assert_int_eq(mesh_port_pair(&flow.port, &q), 0);
	start_pump(&flow);
	ck_assert_uint_eq(flow.sent, MESH_DEFAULT_MAX_PORT_UNREAD_MESSAGES);
	event_base_loop(flow.base, EVLOOP_NONBLOCK);
	ck_assert_uint_eq(flow.calls, 0);
	for (; received < flow.count; received++) {
		mesh_message_free(nodes_recv(q));
		if (received % 100000 == 0 || received == MESH_DEFAULT_MAX_PORT_UNREAD_MESSAGES - 1)
			event_base_loop(flow.base, EVLOOP_NONBLOCK);
	}
	ck_assert_uint_eq(flow.calls, 1);
	ck_assert_uint_eq(flow.sent, flow.count);
	mesh_port_free(flow.port);
	mesh_port_free(q);
	event_base_free(flow.base);
}
END_TEST

/* The other end moves (0), or a bridge joins this one to another (1), with all that fills it. */
START_TEST(who_was_refused_hears_of_room_though_the_other_end_is_another_one_by_then)
{
	const struct mesh_node_options options = {MESH_NODE_OPTIONS_INIT, .max_port_unread_messages = 100};
	struct flow flow = {FLOW_INIT, .count = 1000, .size = sizeof(unsigned)};
	struct mesh_port *q, *x, *y;
	struct node_pair pair;

	ck_assert_int_eq(mesh_node_new(&options, &pair.leader, NULL), 0);
	nodes_invite(pair.leader, &pair.host, &pair.at_leader, &pair.at_host);
	nodes_make_home_pair(&pair, &flow.port, &q);
	start_pump(&flow);
	pthread_mutex_lock(&flow.lock);
	ck_assert_uint_eq(flow.sent, 100);
	pthread_mutex_unlock(&flow.lock);
	if (_i == 0) {
		nodes_send_port(pair.at_leader, "q", q);
		y = nodes_expect_port(pair.at_host, "q");
	} else {
		nodes_make_home_pair(&pair, &x, &y);
		ck_assert_int_eq(mesh_port_bridge(q, x), 0);
	}
	expect_numbers(y, flow.count);
	pthread_mutex_lock(&flow.lock);
	ck_assert_uint_eq(flow.sent, flow.count);
	ck_assert_uint_gt(flow.calls, 0);
	pthread_mutex_unlock(&flow.lock);
	mesh_port_free(flow.port);
	mesh_port_free(y);
	nodes_free(&pair);
}
END_TEST

static void never(struct mesh_port *port, void *userdata)
{
	(void)port;
	(void)userdata;
	ck_abort_msg("called");
}

static void count_call(struct mesh_port *port, void *userdata)
{
	(void)port;
	++*(unsigned *)userdata;
}

START_TEST(the_event_comes_once_and_at_once_where_there_is_room)
{
	struct event_base *base = event_base_new(), *other = event_base_new();
	struct mesh_port *p, *q;
	unsigned calls = 0;

	ck_assert_int_eq(mesh_port_pair(&p, &q), 0);
	ck_assert_int_eq(mesh_port_on_writable(p, NULL, count_call, &calls), -EINVAL); /* no node, no home */
	ck_assert_int_eq(mesh_port_on_writable(NULL, base, count_call, &calls), -EINVAL);
	ck_assert_int_eq(mesh_port_on_writable(p, other, never, NULL), 0);
	ck_assert_int_eq(mesh_port_on_writable(p, base, count_call, &calls), 0);
	event_base_loop(other, EVLOOP_NONBLOCK);
	ck_assert_uint_eq(calls, 0);
	for (int i = 0; i < 3; i++)
		event_base_loop(base, EVLOOP_NONBLOCK);
	ck_assert_uint_eq(calls, 1);
	ck_assert_int_eq(mesh_port_on_writable(p, base, never, NULL), 0);
	ck_assert_int_eq(mesh_port_on_writable(p, base, NULL, NULL), 0);
	event_base_loop(base, EVLOOP_NONBLOCK);
	mesh_port_free(q);
	ck_assert_int_eq(mesh_port_on_writable(p, base, count_call, &calls), 0);
	event_base_loop(base, EVLOOP_NONBLOCK);
	ck_assert_uint_eq(calls, 2); /* at the end of the port, too */
	ck_assert_int_eq(mesh_port_on_writable(p, base, never, NULL), 0);
	mesh_port_free(p);
	event_base_loop(base, EVLOOP_NONBLOCK);
	event_base_free(base);
	event_base_free(other);
}
END_TEST

static void ask_again(struct mesh_port *port, void *userdata)
{
	ck_assert_int_eq(mesh_port_on_writable(port, userdata, never, NULL), 0);
}

/* An event that stayed in it would keep event_base_dispatch from returning, and be freed after the base. */
START_TEST(a_base_is_done_with_the_event_when_it_came_or_is_not_wanted_any_more)
{
	struct event_base *base = event_base_new();
	struct mesh_port *p, *q;
	unsigned calls = 0;

	ck_assert_int_eq(mesh_port_pair(&p, &q), 0);
	ck_assert_int_eq(mesh_port_on_writable(p, base, count_call, &calls), 0);
	event_base_loop(base, EVLOOP_NONBLOCK);
	ck_assert_uint_eq(calls, 1);
	ck_assert_int_eq(event_base_get_num_events(base, EVENT_BASE_COUNT_ADDED), 0);
	ck_assert_int_eq(mesh_port_on_writable(p, base, never, NULL), 0);
	ck_assert_int_eq(event_base_get_num_events(base, EVENT_BASE_COUNT_ADDED), 1);
	ck_assert_int_eq(mesh_port_on_writable(p, base, NULL, NULL), 0);
	ck_assert_int_eq(event_base_get_num_events(base, EVENT_BASE_COUNT_ADDED), 0);
	ck_assert_int_eq(mesh_port_on_writable(p, base, ask_again, base), 0);
	event_base_loop(base, EVLOOP_NONBLOCK | EVLOOP_ONCE);
	ck_assert_int_eq(event_base_get_num_events(base, EVENT_BASE_COUNT_ADDED), 1);
	ck_assert_int_eq(mesh_port_on_writable(p, base, NULL, NULL), 0);
	event_base_free(base);
	mesh_port_free(p);
	mesh_port_free(q);
}
END_TEST

START_TEST(the_event_comes_when_the_port_ends_and_the_port_may_be_freed_in_it)
{
	struct flow flow = {FLOW_INIT, .count = 20000, .size = KIB, .free_it = true};

	make_mesh(&bounds[0]);
	flow.port = at_leader;
	start_pump(&flow);
	ck_assert_uint_lt(flow.sent, flow.count);
	at_leader = NULL;
	mesh_node_free(PAL_TAKE_POINTER(host));
	pthread_mutex_lock(&flow.lock);
	while (flow.port)
		pthread_cond_wait(&flow.changed, &flow.lock);
	ck_assert_uint_eq(flow.calls, 1);
	pthread_mutex_unlock(&flow.lock);
	free_mesh();
}
END_TEST

static Suite *make_suite(void)
{
	Suite *suite = suite_create("mesh/send-wait");
	TCase *wait = support_tcase(suite, "wait"), *event = support_tcase(suite, "event");

	tcase_set_timeout(wait, 60);
	tcase_set_timeout(event, 60);
	tcase_add_test(wait, who_waits_sends_as_fast_as_the_other_end_reads);
	tcase_add_test(wait, who_waits_on_a_local_pair_sends_as_fast_as_the_other_end_reads);
	tcase_add_test(wait, waiting_for_room_ends_at_the_deadline);
	tcase_add_loop_test(wait, who_waits_for_room_goes_home_when_the_port_goes, 0, 3);
	tcase_add_test(wait, two_nodes_that_send_much_to_one_another_at_once_go_on);
	tcase_add_loop_test(event, a_callback_at_home_sends_on_when_there_is_room, 0, 2);
	tcase_add_test(event, a_callback_on_a_base_sends_on_when_there_is_room);
	tcase_add_loop_test(
		event, who_was_refused_hears_of_room_though_the_other_end_is_another_one_by_then, 0, 2);
	tcase_add_test(event, the_event_comes_once_and_at_once_where_there_is_room);
	tcase_add_test(event, a_base_is_done_with_the_event_when_it_came_or_is_not_wanted_any_more);
	tcase_add_test(event, the_event_comes_when_the_port_ends_and_the_port_may_be_freed_in_it);
	return suite;
}
SUPPORT_MAIN(make_suite)
