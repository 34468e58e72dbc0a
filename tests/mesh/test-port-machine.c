/* SPDX-License-Identifier: MIT */
#include <mesh/space-priv.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "memory-link.h"
#include "support.h"

static struct memory_net net;
#define A (&net.nodes[0])
#define B (&net.nodes[1])
#define C (&net.nodes[2])

static void start(void)
{
	memory_net_init(&net, 3);
}

static void stop(void)
{
	memory_net_clear(&net);
}

static int some_fd(void)
{
	int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);

	ck_assert_int_ge(fd, 0);
	return fd;
}

/* ---- a pair without a node ---- */

START_TEST(messages_arrive_in_order_and_then_the_close)
{
	struct mesh_port *a, *b;

	ck_assert_int_eq(mesh__port_pair(NULL, &a, &b), 0);
	ck_assert_int_eq(memory_send(a, "one"), 0);
	ck_assert_int_eq(memory_send(a, ""), 0);
	memory_free(a);
	ck_assert_int_eq(memory_end(b), 0);
	memory_expect(b, "one");
	memory_expect(b, "");
	ck_assert_int_eq(memory_end(b), -EPIPE);
	ck_assert_int_eq(memory_send(b, "to nobody"), 0);
	memory_free(b);
}
END_TEST

START_TEST(a_last_message_closes)
{
	struct mesh_port *a, *b;

	ck_assert_int_eq(mesh__port_pair(NULL, &a, &b), 0);
	ck_assert_int_eq(memory_send_message(a, mesh_message_new("bye", 3), true), 0);
	memory_free(a);
	memory_expect(b, "bye");
	ck_assert_int_eq(memory_end(b), -EPIPE);
	memory_free(b);
}
END_TEST

START_TEST(a_failed_end_is_no_orderly_end)
{
	struct mesh_port *a, *b;

	ck_assert_int_eq(mesh__port_pair(NULL, &a, &b), 0);
	ck_assert_int_eq(memory_send(a, "before"), 0);
	memory_fail(a);
	ck_assert_int_eq(memory_end(a), -ECONNRESET);
	memory_expect(b, "before");
	ck_assert_int_eq(memory_end(b), -ECONNRESET);
	memory_free(a);
	memory_free(b);
}
END_TEST

START_TEST(a_port_cannot_travel_over_itself_or_its_peer)
{
	struct mesh_port *a, *b;

	ck_assert_int_eq(mesh__port_pair(NULL, &a, &b), 0);
	ck_assert_int_eq(memory_send_ports(a, "me", a, NULL), -ELOOP);
	ck_assert_int_eq(memory_send(a, "still mine"), 0);
	memory_expect(b, "still mine");
	ck_assert_int_eq(memory_send_ports(a, "you", b, NULL), -ELOOP);
	ck_assert_int_eq(memory_end(a), -EPIPE);
	memory_free(a);
}
END_TEST

START_TEST(ports_cannot_be_in_one_anothers_queues)
{
	struct mesh_port *a, *b, *c, *d, *e, *f;

	ck_assert_int_eq(mesh__port_pair(NULL, &a, &b), 0);
	ck_assert_int_eq(mesh__port_pair(NULL, &c, &d), 0);
	ck_assert_int_eq(mesh__port_pair(NULL, &e, &f), 0);
	ck_assert_int_eq(memory_send_ports(a, "d into b", d, NULL), 0);
	ck_assert_int_eq(memory_send_ports(c, "f into d", f, NULL), 0);
	ck_assert_int_eq(memory_send_ports(e, "b into f", b, NULL), -ELOOP);
	ck_assert_int_eq(memory_end(a), -EPIPE);
	ck_assert_int_eq(memory_end(c), -EPIPE);
	ck_assert_int_eq(memory_end(e), -EPIPE);
	memory_free(a);
	memory_free(c);
	memory_free(e);
}
END_TEST

/* S151. */
START_TEST(closing_a_port_closes_the_ports_in_its_unread_messages)
{
	struct mesh_port *a, *b, *c, *d, *e, *f;

	ck_assert_int_eq(mesh__port_pair(NULL, &a, &b), 0);
	ck_assert_int_eq(mesh__port_pair(NULL, &c, &d), 0);
	ck_assert_int_eq(mesh__port_pair(NULL, &e, &f), 0);
	ck_assert_int_eq(memory_send_ports(c, "inner", e, NULL), 0);
	ck_assert_int_eq(memory_send_ports(a, "outer", d, NULL), 0);
	memory_free(b);
	ck_assert_int_eq(memory_end(a), -EPIPE);
	ck_assert_int_eq(memory_end(c), -EPIPE);
	ck_assert_int_eq(memory_end(f), -EPIPE);
	memory_free(a);
	memory_free(c);
	memory_free(f);
}
END_TEST

/* S151. */
START_TEST(a_port_sent_to_a_closed_port_is_closed)
{
	struct mesh_port *a, *b, *c, *d;

	ck_assert_int_eq(mesh__port_pair(NULL, &a, &b), 0);
	ck_assert_int_eq(mesh__port_pair(NULL, &c, &d), 0);
	memory_free(b);
	ck_assert_int_eq(memory_send_ports(a, "late", c, NULL), 0);
	ck_assert_int_eq(memory_end(d), -EPIPE);
	memory_free(a);
	memory_free(d);
}
END_TEST

START_TEST(messages_nested_deeper_than_any_stack_are_freed)
{
	struct mesh_port *a, *b, *c, *d;

	ck_assert_int_eq(mesh__port_pair(NULL, &a, &b), 0);
	for (size_t i = 0; i < 100000; i++) {
		ck_assert_int_eq(mesh__port_pair(NULL, &c, &d), 0);
		ck_assert_int_eq(memory_send_message(a, mesh_message_new("x", 1), false), 0);
		ck_assert_int_eq(memory_send_ports(c, "nested", b, NULL), 0);
		memory_free(a);
		a = c;
		b = d;
	}
	memory_free(b);
	memory_free(a);
}
END_TEST

/* ---- what may be sent ---- */

static struct mesh_message *with_fds(size_t size, size_t fds)
{
	struct mesh_message *message = mesh_message_new_sized(size);

	while (fds--)
		ck_assert_int_eq(mesh_message_put_fd(message, some_fd()), 0);
	return message;
}

static void send_fds(size_t size, size_t fds, int expected)
{
	struct mesh_port *a, *b;

	memory_pair(A, "a", &a, B, "b", &b);
	ck_assert_int_eq(memory_send_message(a, with_fds(size, fds), false), expected);
	memory_run(&net, NULL);
	if (!expected) {
		struct mesh_message *message = memory_take(b);

		ck_assert_uint_eq(mesh__message_fd_count(message), fds);
		ck_assert_uint_eq(mesh_message_size(message), size);
		mesh_message_free(message);
	}
	ck_assert_int_eq(memory_end(b), 0);
	memory_free(a);
	memory_free(b);
	memory_run(&net, NULL);
}

START_TEST(descriptors_are_limited_by_what_the_event_is_sent_as)
{
	/* 64 records and 10192 bytes are exactly a packet. */
	const size_t most = MESH__INLINE_EVENT_MAX - mesh__event_size(64, 0);

	send_fds(0, 64, 0);
	send_fds(0, 65, -EMSGSIZE);
	send_fds(most, 64, 0);
	send_fds(most + 1, 64, -EMSGSIZE);
	send_fds(most + 1, 63, 0);
	send_fds(100000, 63, 0);
}
END_TEST

START_TEST(a_message_over_the_limit_is_refused)
{
	A->space.max_message = 1000;
	send_fds(1000, 1, 0);
	send_fds(1001, 0, -EMSGSIZE);
}
END_TEST

START_TEST(a_message_over_the_receivers_limit_fails_the_port)
{
	struct mesh_port *a, *b;

	B->space.max_message = 10;
	memory_pair(A, "a", &a, B, "b", &b);
	memory_send(a, "0123456789");
	memory_send(a, "01234567890");
	memory_run(&net, NULL);
	memory_expect(b, "0123456789");
	ck_assert_int_eq(memory_end(b), -ECONNRESET);
	ck_assert_int_eq(memory_end(a), -ECONNRESET);
	memory_free(a);
	memory_free(b);
}
END_TEST

/* A pair that had no node obeys no node's limit until it moves. */
START_TEST(a_queued_message_over_the_limit_of_the_node_it_meets_fails_the_port)
{
	struct mesh_port *a, *b, *p, *q, *x;
	struct mesh_message *message = mesh_message_new_sized(2000);
	int fd = some_fd();

	A->space.max_message = 1000;
	memory_pair(A, "a", &a, B, "b", &b);
	ck_assert_int_eq(mesh__port_pair(NULL, &p, &q), 0);
	ck_assert_int_eq(mesh_message_put_fd(message, fd), 0);
	ck_assert_int_eq(memory_send_message(q, message, false), 0);
	memory_send_ports(a, "p", p, NULL);
	memory_run(&net, NULL);
	x = memory_take_port(b);
	ck_assert_int_eq(memory_end(x), -ECONNRESET);
	ck_assert_int_eq(memory_end(q), -ECONNRESET);
	ck_assert_uint_eq(A->space.moving, 0);
	ck_assert_int_eq(fcntl(fd, F_GETFD), -1);
	memory_free(a);
	memory_free(b);
	memory_free(x);
	memory_free(q);
}
END_TEST

/* ---- moving ---- */

START_TEST(a_port_moves_with_all_that_was_sent_to_it)
{
	struct mesh_port *a, *b, *p, *q, *x;

	memory_pair(A, "a", &a, B, "b", &b);
	ck_assert_int_eq(mesh__port_pair(NULL, &p, &q), 0);
	memory_send(q, "m1");
	memory_send(p, "w1");
	ck_assert_int_eq(memory_send_ports(a, "take this", p, NULL), 0);
	ck_assert_ptr_eq(mesh__port_space(q), &A->space);
	memory_send(q, "m2");
	memory_run(&net, NULL);
	ck_assert_uint_eq(A->space.moving, 0);
	x = memory_take_port(b);
	memory_expect(x, "m1");
	memory_expect(x, "m2");
	memory_expect(q, "w1");
	memory_send(x, "r");
	memory_send(q, "m3");
	memory_run(&net, NULL);
	memory_expect(x, "m3");
	memory_expect(q, "r");
	memory_free(x);
	memory_run(&net, NULL);
	ck_assert_int_eq(memory_end(q), -EPIPE);
	memory_free(q);
	memory_free(a);
	memory_free(b);
	memory_run(&net, NULL);
	ck_assert_uint_eq(memory_port_count(A), 0);
	ck_assert_uint_eq(memory_port_count(B), 0);
}
END_TEST

START_TEST(descriptors_travel)
{
	struct mesh_port *a, *b;
	struct mesh_message *message = mesh_message_new("fds", 3);
	int fd;

	memory_pair(A, "a", &a, B, "b", &b);
	ck_assert_int_eq(mesh_message_put_fd(message, some_fd()), 0);
	ck_assert_int_eq(memory_send_message(a, message, false), 0);
	memory_run(&net, NULL);
	message = memory_take(b);
	fd = mesh_message_take_fd(message, 0);
	ck_assert_int_ge(fd, 0);
	close(fd);
	mesh_message_free(message);
	memory_free(a);
	memory_free(b);
}
END_TEST

/* The news of the failure comes to the new node before the port does, and finds nobody. */
START_TEST(a_port_that_fails_on_its_way_arrives_failed)
{
	struct mesh_port *a, *b, *p, *q, *x;
	struct memory_packet *record;

	memory_pair(A, "a", &a, B, "b", &b);
	memory_pair(A, "p", &p, C, "q", &q);
	memory_send_ports(a, "p", p, NULL);
	record = TAILQ_FIRST(&net.packets);
	memory_fail(q);
	memory_deliver(&net, TAILQ_NEXT(record, next));
	ck_assert_uint_eq(memory_port_count(A), 2); /* p is kept for the answer to its record */
	ck_assert_uint_eq(A->space.moving, 0);
	memory_deliver(&net, TAILQ_NEXT(record, next)); /* back to q */
	memory_deliver(&net, TAILQ_NEXT(record, next));
	ck_assert_uint_eq(B->space.unknown_port_events, 1);
	memory_run(&net, NULL);
	ck_assert_uint_eq(memory_port_count(A), 1);
	x = memory_take_port(b);
	ck_assert_int_eq(memory_end(x), -ECONNRESET);
	memory_free(a);
	memory_free(b);
	memory_free(q);
	memory_free(x);
}
END_TEST

START_TEST(a_port_that_was_done_and_had_sent_something_moves)
{
	struct mesh_port *a, *b, *p, *q, *x;

	memory_pair(A, "a", &a, B, "b", &b);
	ck_assert_int_eq(mesh__port_pair(NULL, &p, &q), 0);
	memory_send(p, "out");
	memory_send(q, "in");
	memory_free(q);
	memory_send_ports(a, "p", p, NULL);
	memory_run(&net, NULL);
	ck_assert_uint_eq(A->space.moving, 0);
	x = memory_take_port(b);
	memory_expect(x, "in");
	ck_assert_int_eq(memory_end(x), -EPIPE);
	memory_free(a);
	memory_free(b);
	memory_free(x);
	memory_run(&net, NULL);
	ck_assert_uint_eq(memory_port_count(A) + memory_port_count(B), 0);
}
END_TEST

/* The backlog ends with a close, so the new place has ended when it is named to the peer: on any path it must be known. */
START_TEST(a_port_goes_home_with_a_close_behind_its_backlog)
{
	struct mesh_port *a, *b, *p, *q, *x;
	unsigned seed = (unsigned)_i;

	A->space.backlog_first = B->space.backlog_first = _i % 2;
	memory_pair(A, "a", &a, B, "b", &b);
	memory_pair(A, "p", &p, B, "q", &q);
	memory_send(q, "1");
	memory_free(q);
	memory_send_ports(a, "p", p, NULL);
	memory_run(&net, _i ? &seed : NULL);
	ck_assert_uint_eq(A->space.moving, 0);
	x = memory_take_port(b);
	memory_expect(x, "1");
	ck_assert_int_eq(memory_end(x), -EPIPE);
	memory_free(a);
	memory_free(b);
	memory_free(x);
	memory_run(&net, NULL);
	ck_assert_uint_eq(memory_port_count(A) + memory_port_count(B), 0);
}
END_TEST

/* S147. */
START_TEST(a_thousand_ports_go_two_hops_and_each_answers_its_own_number)
{
	enum {
		PORTS = 1000
	};
	static struct mesh_port *near[PORTS], *far[PORTS];
	struct mesh_port *ab, *ba, *bc, *cb;
	unsigned seed = 147;

	net.quiet = true;
	memory_pair(A, "ab", &ab, B, "ba", &ba);
	memory_pair(B, "bc", &bc, C, "cb", &cb);
	for (size_t i = 0; i < PORTS; i++) {
		char text[16];

		sprintf(text, "%zu", i);
		ck_assert_int_eq(mesh__port_pair(NULL, &near[i], &far[i]), 0);
		memory_send(near[i], text);
		memory_send_ports(ab, text, far[i], NULL);
	}
	memory_run(&net, &seed);
	for (size_t i = 0; i < PORTS; i++)
		memory_send_ports(bc, "on", memory_take_port(ba), NULL);
	memory_run(&net, &seed);
	ck_assert_uint_eq(A->space.moving + B->space.moving, 0);
	for (size_t i = 0; i < PORTS; i++) {
		struct mesh_port *port = memory_take_port(cb);
		char text[16];

		sprintf(text, "%zu", i);
		memory_expect(port, text);
		ck_assert_int_eq(memory_send(port, text), 0);
		far[i] = port;
	}
	memory_run(&net, &seed);
	for (size_t i = 0; i < PORTS; i++) {
		char text[16];

		sprintf(text, "%zu", i);
		memory_expect(near[i], text);
		memory_free(near[i]);
		memory_free(far[i]);
	}
	memory_free(ab);
	memory_free(ba);
	memory_free(bc);
	memory_free(cb);
	memory_run(&net, &seed);
	for (size_t i = 0; i < 3; i++)
		ck_assert_uint_eq(memory_port_count(&net.nodes[i]), 0);
}
END_TEST

START_TEST(ports_and_descriptors_for_a_closed_port_are_swallowed)
{
	struct mesh_port *a, *b, *p, *q;
	struct mesh_message *message;

	memory_pair(A, "a", &a, B, "b", &b);
	ck_assert_int_eq(mesh__port_pair(NULL, &p, &q), 0);
	message = with_fds(3, 2);
	ck_assert_int_eq(mesh_message_put_port(message, p), 0);
	ck_assert_int_eq(memory_send_message(a, message, false), 0);
	memory_free(b);
	memory_run(&net, NULL);
	ck_assert_int_eq(memory_end(q), -EPIPE);
	ck_assert_uint_eq(A->space.moving, 0);
	ck_assert_int_eq(memory_end(a), -EPIPE);
	memory_free(a);
	memory_free(q);
	memory_run(&net, NULL);
	ck_assert_uint_eq(memory_port_count(A) + memory_port_count(B), 0);
}
END_TEST

START_TEST(a_port_of_another_node_of_this_process_is_refused_or_fails)
{
	struct mesh_port *a, *b, *p, *q, *c, *c_peer, *x;

	memory_pair(A, "a", &a, B, "b", &b);
	memory_pair(C, "c", &c, B, "cp", &c_peer);
	ck_assert_int_eq(memory_send_ports(a, "not here", c, NULL), -EXDEV);
	memory_run(&net, NULL);
	ck_assert_int_eq(memory_end(c_peer), -EPIPE);
	memory_free(c_peer);
	/* Hidden in the queue of a pair of no node, it is met only when that pair moves. */
	memory_pair(C, "c2", &c, B, "cp2", &c_peer);
	ck_assert_int_eq(mesh__port_pair(NULL, &p, &q), 0);
	ck_assert_int_eq(memory_send_ports(q, "hidden", c, NULL), 0);
	ck_assert_int_eq(memory_send_ports(a, "p", p, NULL), 0);
	memory_run(&net, NULL);
	x = memory_take_port(b);
	c = memory_take_port(x);
	ck_assert_int_eq(memory_end(c), -ECONNRESET);
	ck_assert_int_eq(memory_end(c_peer), -ECONNRESET);
	ck_assert_uint_eq(A->space.moving + C->space.moving, 0);
	memory_free(a);
	memory_free(b);
	memory_free(c);
	memory_free(c_peer);
	memory_free(q);
	memory_free(x);
}
END_TEST

/* ---- the end of a node ---- */

START_TEST(ports_outlive_their_node)
{
	struct mesh_port *a, *b, *p, *q;

	memory_pair(A, "a", &a, B, "b", &b);
	ck_assert_int_eq(mesh__port_pair(&A->space, &p, &q), 0);
	memory_send(b, "before");
	memory_run(&net, NULL);
	mesh__space_deinit(&A->space);
	memory_expect(a, "before");
	ck_assert_int_eq(memory_end(a), -ECONNRESET);
	ck_assert_int_eq(memory_send(a, "to nobody"), 0);
	/* These two never needed a node. */
	ck_assert_int_eq(memory_send(p, "hello"), 0);
	memory_expect(q, "hello");
	memory_free(a);
	memory_free(b);
	memory_free(p);
	memory_free(q);
	mesh__space_init(&A->space, B->space.ops, &(struct mesh_id){{'A'}});
}
END_TEST

static unsigned notified;

static void count(struct mesh_port *port)
{
	(void)port;
	notified++;
}

START_TEST(the_owner_is_notified_of_messages_adoption_and_the_end)
{
	struct mesh_port *a, *b, *p, *q;

	memory_pair(A, "a", &a, B, "b", &b);
	ck_assert_int_eq(mesh__port_pair(NULL, &p, &q), 0);
	q->notify = count;
	memory_send(p, "1");
	ck_assert_uint_eq(notified, 1);
	memory_send_ports(a, "p", p, NULL);
	ck_assert_uint_eq(notified, 2);
	memory_free(b);
	memory_run(&net, NULL);
	ck_assert_uint_eq(notified, 3);
	ck_assert_int_eq(memory_end(q), 0);
	memory_expect(q, "1");
	ck_assert_int_eq(memory_end(q), -EPIPE);
	memory_free(a);
	memory_free(q);
}
END_TEST

static Suite *make_suite(void)
{
	Suite *suite = suite_create("mesh/port-machine");
	TCase *local = support_tcase(suite, "local");
	TCase *limits = support_tcase(suite, "limits");
	TCase *moves = support_tcase(suite, "moves");
	TCase *ends = support_tcase(suite, "ends");

	tcase_add_checked_fixture(local, start, stop);
	tcase_add_checked_fixture(limits, start, stop);
	tcase_add_checked_fixture(moves, start, stop);
	tcase_add_checked_fixture(ends, start, stop);
	tcase_add_test(local, messages_arrive_in_order_and_then_the_close);
	tcase_add_test(local, a_last_message_closes);
	tcase_add_test(local, a_failed_end_is_no_orderly_end);
	tcase_add_test(local, a_port_cannot_travel_over_itself_or_its_peer);
	tcase_add_test(local, ports_cannot_be_in_one_anothers_queues);
	tcase_add_test(local, closing_a_port_closes_the_ports_in_its_unread_messages);
	tcase_add_test(local, a_port_sent_to_a_closed_port_is_closed);
	tcase_add_test(local, messages_nested_deeper_than_any_stack_are_freed);
	tcase_add_test(limits, descriptors_are_limited_by_what_the_event_is_sent_as);
	tcase_add_test(limits, a_message_over_the_limit_is_refused);
	tcase_add_test(limits, a_message_over_the_receivers_limit_fails_the_port);
	tcase_add_test(limits, a_queued_message_over_the_limit_of_the_node_it_meets_fails_the_port);
	tcase_add_test(moves, a_port_moves_with_all_that_was_sent_to_it);
	tcase_add_test(moves, descriptors_travel);
	tcase_add_test(moves, a_port_that_fails_on_its_way_arrives_failed);
	tcase_add_test(moves, a_port_that_was_done_and_had_sent_something_moves);
	tcase_add_loop_test(moves, a_port_goes_home_with_a_close_behind_its_backlog, 0, 20);
	tcase_add_test(moves, a_thousand_ports_go_two_hops_and_each_answers_its_own_number);
	tcase_add_test(moves, ports_and_descriptors_for_a_closed_port_are_swallowed);
	tcase_add_test(moves, a_port_of_another_node_of_this_process_is_refused_or_fails);
	tcase_add_test(ends, ports_outlive_their_node);
	tcase_add_test(ends, the_owner_is_notified_of_messages_adoption_and_the_end);
	return suite;
}
SUPPORT_MAIN(make_suite)
