/* SPDX-License-Identifier: MIT */
/* What a program may send before it is read, and how it learns that there is room again. */
#include "nodes.h"

#include <errno.h>
#include <event2/event.h>
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <mesh/port-waiters-priv.h>
#include <pal/util-priv.h>

#include "support.h"

enum { KIB = 1024, LIMIT = 1 << 20 };

/* ---- a leader and a host that reads when it is told to ---- */

static struct event_base *host_base;
static struct mesh_node *leader, *host;
static struct mesh_port *at_leader, *at_host;

/* A host whose base does not run, once it has joined. */
static void make_mesh(const struct mesh_node_options *options)
{
	struct mesh_node_options idle = {MESH_NODE_OPTIONS_INIT, .base = host_base = event_base_new()};
	struct mesh_invitation invitation;
	struct mesh_port *passenger;
	struct pal_error error = {0};

	ck_assert_ok(mesh_node_new(options, &leader, &error), &error);
	ck_assert_int_eq(mesh_port_pair(&at_leader, &passenger), 0);
	ck_assert_ok(mesh_node_invite(leader, passenger, &invitation, &error), &error);
	ck_assert_ok(mesh_node_join(&invitation, &idle, NODES_PATIENCE, &host, &at_host, &error), &error);
	nodes_send_text(at_host, "here");
	nodes_expect_text(at_leader, "here");
	nodes_send_text(at_leader, "there");
	nodes_expect_text(at_host, "there"); /* the moves of ports are over */
}

static void free_mesh(void)
{
	mesh_port_free(at_leader);
	mesh_port_free(at_host);
	mesh_node_free(host);
	mesh_node_free(leader);
	event_base_free(host_base);
}

static struct mesh_message *numbered(unsigned number, size_t size)
{
	struct mesh_message *message = mesh_message_new_sized(size);

	memcpy(mesh_message_data(message), &number, sizeof number);
	return message;
}

static void send_fds(struct mesh_message *message, unsigned fds)
{
	while (fds--)
		ck_assert_int_eq(mesh_message_dup_fd(message, STDIN_FILENO), 0);
}

/* Until one is refused; how many went. */
static unsigned fill(struct mesh_port *port, size_t size, unsigned fds)
{
	for (unsigned sent = 0;; sent++) {
		struct mesh_message *message = numbered(sent, size);
		int result;

		send_fds(message, fds);
		result = mesh_port_try_send(port, message);
		if (result == -EAGAIN) {
			ck_assert_uint_eq(mesh_message_size(message), size); /* still ours */
			mesh_message_free(message);
			return sent;
		}
		ck_assert_int_eq(result, 0);
		ck_assert_uint_lt(sent, 100000);
	}
}

static void expect_numbers(struct mesh_port *port, unsigned count)
{
	for (unsigned i = 0; i < count; i++) {
		struct mesh_message *message = nodes_recv(port);
		unsigned number;

		memcpy(&number, mesh_message_data(message), sizeof number);
		ck_assert_uint_eq(number, i);
		mesh_message_free(message);
	}
}

/* ---- the bounds ---- */

static const struct mesh_node_options bounds[] = {
	{MESH_NODE_OPTIONS_INIT, .max_queued = LIMIT},
	{MESH_NODE_OPTIONS_INIT, .max_queued_messages = 100},
	{MESH_NODE_OPTIONS_INIT, .max_queued_fds = 100},
};

START_TEST(beyond_the_bound_sending_says_so_and_what_was_accepted_arrives) /* S153 */
{
	unsigned sent, fds = bounds[_i].max_queued_fds ? 1 : 0;
	struct mesh_message *message;

	make_mesh(&bounds[_i]);
	sent = fill(at_leader, KIB, fds);
	ck_assert_uint_gt(sent, 50); /* and what the socket has taken */
	ck_assert_uint_lt(sent, 1500);
	for (int i = 0; i < 3; i++) {
		message = numbered(0, KIB);
		send_fds(message, fds);
		ck_assert_int_eq(mesh_port_send(at_leader, message), -EAGAIN);
		message = numbered(0, KIB);
		send_fds(message, fds);
		ck_assert_int_eq(mesh_port_send_last(at_leader, message), -EAGAIN);
	}
	expect_numbers(at_host, sent);
	nodes_send_text(at_leader, "more"); /* and there is room again */
	nodes_expect_text(at_host, "more");
	free_mesh();
}
END_TEST

START_TEST(one_message_may_be_larger_than_the_bound)
{
	struct mesh_message *message;

	make_mesh(&bounds[0]);
	for (int i = 0; i < 3; i++) {
		ck_assert_int_eq(mesh_port_try_send(at_leader, numbered(0, 3 * LIMIT)), 0);
		message = nodes_recv(at_host);
		ck_assert_uint_eq(mesh_message_size(message), 3 * LIMIT);
		mesh_message_free(message);
	}
	free_mesh();
}
END_TEST

START_TEST(the_last_message_of_a_port_that_is_given_up_is_not_refused)
{
	struct mesh_port *here, *there;

	make_mesh(&bounds[0]);
	ck_assert_int_eq(mesh_port_pair(&here, &there), 0);
	nodes_send_port(at_leader, "passenger", there);
	there = nodes_expect_port(at_host, "passenger");
	fill(at_leader, KIB, 0);
	ck_assert_int_eq(mesh_port_send_and_free(here, numbered(0, KIB)), 0);
	expect_numbers(there, 1);
	nodes_expect_end(there, -EPIPE);
	mesh_port_free(there);
	free_mesh();
}
END_TEST

/* Its other end has been given away, but has not arrived. */
START_TEST(what_waits_for_a_port_on_the_move_has_the_same_bound)
{
	struct mesh_port *here, *there;
	unsigned sent;

	make_mesh(&bounds[1]);
	ck_assert_int_eq(mesh_port_pair(&here, &there), 0);
	nodes_send_port(at_leader, "passenger", there);
	sent = fill(here, KIB, 0);
	ck_assert_uint_le(sent, 50);
	ck_assert_uint_ge(sent, 40);
	there = nodes_expect_port(at_host, "passenger");
	nodes_send_text(at_host, "it has come");
	nodes_expect_text(at_leader, "it has come");
	expect_numbers(there, sent);
	mesh_port_free(here);
	mesh_port_free(there);
	free_mesh();
}
END_TEST

/* More was unread on a port than may wait for a node. That was there before; so it costs nobody the link. */
START_TEST(a_port_moves_with_more_than_may_be_queued)
{
	const struct mesh_node_options options = {
		MESH_NODE_OPTIONS_INIT, .max_queued = LIMIT / 4, .max_queued_messages = 100, .max_queued_fds = 10};
	struct mesh_port *here, *there;

	make_mesh(&options);
	ck_assert_int_eq(mesh_port_pair(&here, &there), 0);
	for (unsigned i = 0; i < 2000; i++) {
		struct mesh_message *message = numbered(i, KIB);

		send_fds(message, i % 20 == 0);
		ck_assert_int_eq(mesh_port_send(here, message), 0);
	}
	nodes_send_port(at_leader, "passenger", there);
	there = nodes_expect_port(at_host, "passenger");
	expect_numbers(there, 2000);
	mesh_port_free(here);
	mesh_port_free(there);
	free_mesh();
}
END_TEST

/* ---- on a port of this process ---- */

static const struct mesh_node_options port_bounds[] = {
	{MESH_NODE_OPTIONS_INIT, .max_port_unread = LIMIT},
	{MESH_NODE_OPTIONS_INIT, .max_port_unread_messages = 100},
	{MESH_NODE_OPTIONS_INIT, .max_port_unread_fds = 100},
};

/* What nobody here reads is not the sender's to know: the port fails at both ends, and nothing else does. */
START_TEST(a_port_that_is_not_read_fails_and_its_link_does_not) /* S153 */
{
	unsigned fds = port_bounds[_i].max_port_unread_fds ? 1 : 0, count = 0;
	struct mesh_port *here, *there;
	struct mesh_message *message;
	struct node_pair pair;
	int result;

	ck_assert_int_eq(mesh_node_new(&port_bounds[_i], &pair.leader, NULL), 0);
	nodes_invite(pair.leader, &pair.host, &pair.at_leader, &pair.at_host);
	ck_assert_int_eq(mesh_port_pair(&here, &there), 0);
	nodes_send_port(pair.at_leader, "passenger", there);
	there = nodes_expect_port(pair.at_host, "passenger");
	for (unsigned i = 0; i < 1500; i++) {
		message = numbered(i, KIB);
		send_fds(message, fds);
		ck_assert_int_eq(mesh_port_send(there, message), 0);
	}
	nodes_expect_end(there, -ECONNRESET);
	while ((result = mesh_port_recv(here, NODES_PATIENCE, &message, NULL)) == 0) {
		unsigned number;

		memcpy(&number, mesh_message_data(message), sizeof number);
		ck_assert_uint_eq(number, count++);
		mesh_message_free(message);
	}
	ck_assert_int_eq(result, -ECONNRESET);
	ck_assert_uint_ge(count, _i ? 100 : 700);
	ck_assert_uint_le(count, 1024);
	nodes_send_text(pair.at_host, "the link is there");
	nodes_expect_text(pair.at_leader, "the link is there");
	mesh_port_free(here);
	mesh_port_free(there);
	nodes_free(&pair);
}
END_TEST

START_TEST(a_pair_in_one_process_has_a_bound_too)
{
	struct mesh_port *p, *q;
	struct node_pair pair;
	unsigned sent;

	ck_assert_int_eq(mesh_node_new(&port_bounds[1], &pair.leader, NULL), 0);
	nodes_invite(pair.leader, &pair.host, &pair.at_leader, &pair.at_host);
	ck_assert_int_eq(mesh_port_pair(&p, &q), 0);
	/* there and back: both ends are in the leader's node then */
	nodes_send_port(pair.at_leader, "p", p);
	p = nodes_expect_port(pair.at_host, "p");
	nodes_send_port(pair.at_host, "p", p);
	p = nodes_expect_port(pair.at_leader, "p");
	nodes_send_text(p, "hello");
	nodes_expect_text(q, "hello");
	sent = fill(p, KIB, 0);
	ck_assert_uint_eq(sent, 100);
	expect_numbers(q, 100);
	ck_assert_uint_eq(fill(q, KIB, 0), 100);
	mesh_port_free(p);
	mesh_port_free(q);
	nodes_free(&pair);
}
END_TEST

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

/* A node that its leader does not introduce to another one keeps what it sends there, up to the same bound. */
START_TEST(what_waits_for_an_introduction_has_the_same_bound)
{
	struct mesh_node_options idle = {MESH_NODE_OPTIONS_INIT, .base = event_base_new()};
	struct mesh_node *hosts[2];
	struct mesh_port *to[2], *from[2], *p, *q;
	unsigned sent;

	ck_assert_int_eq(mesh_node_new(&idle, &leader, NULL), 0);
	for (int i = 0; i < 2; i++) {
		struct mesh_invitation invitation;
		struct mesh_port *passenger;

		ck_assert_int_eq(mesh_port_pair(&to[i], &passenger), 0);
		ck_assert_int_eq(mesh_node_invite(leader, passenger, &invitation, NULL), 0);
		ck_assert_int_eq(mesh_node_join(&invitation, &bounds[0], NODES_PATIENCE, &hosts[i], &from[i], NULL), 0);
		nodes_send_text(from[i], "here");
		nodes_expect_text(to[i], "here");
	}
	/* The first is told that the other end is at the second; the leader does not read any more when it asks for that one. */
	ck_assert_int_eq(mesh_port_pair(&p, &q), 0);
	nodes_send_port(to[1], "q", q);
	q = nodes_expect_port(from[1], "q");
	nodes_send_text(from[1], "q is here");
	nodes_expect_text(to[1], "q is here");
	nodes_send_port(to[0], "p", p);
	p = nodes_expect_port(from[0], "p");
	sent = fill(p, KIB, 0);
	ck_assert_uint_gt(sent, LIMIT / 2 / (2 * KIB));
	ck_assert_uint_lt(sent, LIMIT / 2 / KIB);
	mesh_port_free(p);
	mesh_port_free(q);
	for (int i = 0; i < 2; i++) {
		mesh_port_free(to[i]);
		mesh_port_free(from[i]);
		mesh_node_free(hosts[i]);
	}
	mesh_node_free(leader);
	event_base_free(idle.base);
}
END_TEST

START_TEST(wrong_calls_consume_the_message)
{
	struct mesh_port *p, *q;

	ck_assert_int_eq(mesh_port_pair(&p, &q), 0);
	ck_assert_int_eq(mesh_port_try_send(NULL, numbered(0, KIB)), -EINVAL);
	ck_assert_int_eq(mesh_port_try_send(p, NULL), -EINVAL);
	ck_assert_int_eq(mesh_port_send_wait(NULL, numbered(0, KIB), PAL_DEADLINE_NOW, NULL), -EINVAL);
	ck_assert_int_eq(mesh_port_send_wait(p, NULL, PAL_DEADLINE_NOW, NULL), -EINVAL);
	mesh_port_free(p);
	mesh_port_free(q);
}
END_TEST

static Suite *make_suite(void)
{
	Suite *suite = suite_create("mesh/send-room");
	TCase *bound = support_tcase(suite, "bound"), *wait = support_tcase(suite, "wait"),
	      *event = support_tcase(suite, "event");

	tcase_set_timeout(bound, 60);
	tcase_set_timeout(wait, 60);
	tcase_set_timeout(event, 60);
	tcase_add_loop_test(bound, beyond_the_bound_sending_says_so_and_what_was_accepted_arrives, 0, 3);
	tcase_add_test(bound, one_message_may_be_larger_than_the_bound);
	tcase_add_test(bound, the_last_message_of_a_port_that_is_given_up_is_not_refused);
	tcase_add_test(bound, what_waits_for_a_port_on_the_move_has_the_same_bound);
	tcase_add_test(bound, a_port_moves_with_more_than_may_be_queued);
	tcase_add_loop_test(bound, a_port_that_is_not_read_fails_and_its_link_does_not, 0, 3);
	tcase_add_test(bound, a_pair_in_one_process_has_a_bound_too);
	tcase_add_test(bound, what_waits_for_an_introduction_has_the_same_bound);
	tcase_add_test(wait, who_waits_sends_as_fast_as_the_other_end_reads);
	tcase_add_test(wait, who_waits_on_a_local_pair_sends_as_fast_as_the_other_end_reads);
	tcase_add_test(wait, waiting_for_room_ends_at_the_deadline);
	tcase_add_loop_test(wait, who_waits_for_room_goes_home_when_the_port_goes, 0, 3);
	tcase_add_test(wait, two_nodes_that_send_much_to_one_another_at_once_go_on);
	tcase_add_loop_test(event, a_callback_at_home_sends_on_when_there_is_room, 0, 2);
	tcase_add_test(event, a_callback_on_a_base_sends_on_when_there_is_room);
	tcase_add_test(event, the_event_comes_once_and_at_once_where_there_is_room);
	tcase_add_test(event, the_event_comes_when_the_port_ends_and_the_port_may_be_freed_in_it);
	tcase_add_test(event, wrong_calls_consume_the_message);
	return suite;
}
SUPPORT_MAIN(make_suite)
