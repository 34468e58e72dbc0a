/* SPDX-License-Identifier: MIT */
/* Ports that travel from node to node, with what was sent to them. */
#include <mesh/space-priv.h>

#include <errno.h>
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
	struct mesh_message *message = memory_new_message(3, 1);
	int fd;

	memory_pair(A, "a", &a, B, "b", &b);
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
	message = memory_new_message(3, 2);
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

static Suite *make_suite(void)
{
	Suite *suite = suite_create("mesh/port-move");
	TCase *moves = support_tcase(suite, "moves");

	tcase_add_checked_fixture(moves, start, stop);
	tcase_add_test(moves, a_port_moves_with_all_that_was_sent_to_it);
	tcase_add_test(moves, descriptors_travel);
	tcase_add_test(moves, a_port_that_fails_on_its_way_arrives_failed);
	tcase_add_test(moves, a_port_that_was_done_and_had_sent_something_moves);
	tcase_add_loop_test(moves, a_port_goes_home_with_a_close_behind_its_backlog, 0, 20);
	tcase_add_test(moves, a_thousand_ports_go_two_hops_and_each_answers_its_own_number);
	tcase_add_test(moves, ports_and_descriptors_for_a_closed_port_are_swallowed);
	tcase_add_test(moves, a_port_of_another_node_of_this_process_is_refused_or_fails);
	return suite;
}
SUPPORT_MAIN(make_suite)
