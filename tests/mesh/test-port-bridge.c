/* SPDX-License-Identifier: MIT */
#include <mesh/port.h>
#include <mesh/space-priv.h>

#include <errno.h>
#include <stdlib.h>

#include "support.h"
#include "trace-play.h"

/* Two ports of one owner are joined: their other ends talk to one another. */

#define ORDERS 60

static struct mesh_port *a, *b, *x, *y;

/* Whether what one of two ends sends reaches the other one. */
static void talk(struct mesh_port *from, struct mesh_port *to)
{
	ck_assert_int_eq(memory_send(from, "hello"), 0);
	memory_run(&net, trace.seed);
	memory_expect(to, "hello");
}

static void talk_and_close(void)
{
	talk(a, b);
	talk(b, a);
	memory_free(a);
	memory_run(&net, trace.seed);
	ck_assert_int_eq(memory_end(b), -EPIPE);
	memory_free(b);
	memory_run(&net, trace.seed);
}

static void nothing_is_left(void)
{
	for (size_t i = 0; i < net.node_count; i++) {
		if (net.nodes[i].dead)
			continue;
		ck_assert_uint_eq(memory_port_count(&net.nodes[i]), 0);
		ck_assert_uint_eq(mesh__space_moving(&net.nodes[i].space), 0);
	}
	memory_net_clear(&net);
}

static void start(int order)
{
	seed = (unsigned)order;
	trace = (struct trace){.seed = order ? &seed : NULL};
	memory_net_init(&net, 4);
	for (size_t i = 0; i < net.node_count; i++)
		net.nodes[i].space.backlog_first = order % 2;
}

/* Until all is quiet; what runs in circles never is. */
static void run_at_most(size_t packets)
{
	while (net.packet_count && packets--)
		memory_deliver(&net,
			trace.seed ? memory_pick(&net, trace.seed) : TAILQ_FIRST(&net.packets));
	ck_assert_uint_eq(net.packet_count, 0);
}

/* ---- traces ---- */

START_TEST(trace_f_two_nodes_are_joined)
{
	play("f", _i);
	memory_pair(A, "x", &x, B, "xb", &a);
	memory_pair(A, "y", &y, C, "yc", &b);
	memory_send(a, "1");
	trace_step(&trace, 1);
	ck_assert_int_eq(memory_bridge(x, y), 0);
	trace_until(&trace, "bridged");
	trace_settle(&trace, "settled");
	memory_expect(b, "1");
	memory_free(b);
	trace_settle(&trace, "end");
	ck_assert_int_eq(memory_end(a), -EPIPE);
	memory_free(a);
	stop();
}
END_TEST

START_TEST(trace_g_the_ends_of_one_pair_are_no_bridge)
{
	play("g", _i);
	memory_pair(A, "a0", &a, B, "b0", &b);
	memory_local_pair(&net, _i % 3 ? NULL : A, "x", &x, "y", &y);
	ck_assert_int_eq(memory_bridge(x, y), -ELOOP);
	trace_settle(&trace, "end");
	FREE(a, b);
	stop();
}
END_TEST

/* What the original sends round for ever: here it comes past a proxy that has seen it. */
START_TEST(trace_i_a_ring_of_bridges_fails)
{
	struct mesh_port *xb, *yb;

	play("i", _i);
	net.links_in_order = _i % 4 < 2;
	memory_pair(A, "x", &x, B, "xb", &xb);
	memory_pair(A, "y", &y, B, "yb", &yb);
	ck_assert_int_eq(memory_bridge(x, y), 0);
	ck_assert_int_eq(memory_bridge(xb, yb), 0);
	if (!_i)
		trace_step(&trace, 4);
	run_at_most(100);
	trace_close(&trace);
	nothing_is_left();
}
END_TEST

START_TEST(longer_rings_fail_too)
{
	struct mesh_port *ports[4][2];

	start(_i);
	for (int i = 0; i < 4; i++) {
		char to[] = {'>', (char)('a' + i), 0}, from[] = {'<', (char)('a' + i), 0};

		memory_pair(&net.nodes[i], to, &ports[i][0], &net.nodes[(i + 1) % 4], from,
			&ports[(i + 1) % 4][1]);
	}
	for (int i = 0; i < 4; i++) {
		/* Where all is quiet meanwhile, the last two are the ends of one pair. */
		bool shows = i == 3 && _i % 3 == 0;

		ck_assert_int_eq(memory_bridge(ports[i][0], ports[i][1]), shows ? -ELOOP : 0);
		if (_i % 3 == 0)
			memory_run(&net, trace.seed);
	}
	run_at_most(1000);
	nothing_is_left();
}
END_TEST

/* ---- where the ports are ---- */

/* The pair of `end` and the port to be bridged: 0 within the node, 1 of no node, 2 to another node. */
static void make_pair(int how, struct memory_node *other, const char *inner, const char *outer,
	struct mesh_port **ret, struct mesh_port **ret_end)
{
	if (how == 2)
		memory_pair(A, inner, ret, other, outer, ret_end);
	else
		memory_local_pair(&net, how ? NULL : A, inner, ret, outer, ret_end);
}

START_TEST(any_two_ends_are_joined_with_what_was_not_read)
{
	start(_i / 9);
	make_pair(_i % 3, B, "x", "a", &x, &a);
	make_pair(_i / 3 % 3, C, "y", "b", &y, &b);
	memory_send(a, "to b");
	memory_send(b, "to a");
	if (_i / 9 % 3)
		memory_run(&net, trace.seed);
	ck_assert_int_eq(memory_bridge(x, y), 0);
	memory_send(a, "to b, later");
	memory_send(b, "to a, later");
	memory_run(&net, trace.seed);
	memory_expect(b, "to b");
	memory_expect(b, "to b, later");
	memory_expect(a, "to a");
	memory_expect(a, "to a, later");
	talk_and_close();
	nothing_is_left();
}
END_TEST

START_TEST(ports_of_two_nodes_of_one_process_are_not_joined)
{
	start(0);
	memory_pair(A, "x", &x, C, "a", &a);
	memory_pair(B, "y", &y, C, "b", &b);
	ck_assert_int_eq(memory_bridge(x, y), -EXDEV);
	memory_run(&net, NULL);
	ck_assert_int_eq(memory_end(a), -ECONNRESET);
	ck_assert_int_eq(memory_end(b), -ECONNRESET);
	FREE(a, b);
	nothing_is_left();
}
END_TEST

START_TEST(nothing_is_joined_with_nothing)
{
	start(0);
	memory_pair(A, "x", &x, C, "a", &a);
	memory_pair(A, "y", &y, C, "b", &b);
	ck_assert_int_eq(mesh_port_bridge(NULL, NULL), -EINVAL);
	ck_assert_int_eq(mesh_port_bridge(x, NULL), -EINVAL);
	ck_assert_int_eq(mesh_port_bridge(y, y), -EINVAL);
	memory_run(&net, NULL);
	ck_assert_int_eq(memory_end(a), -ECONNRESET);
	ck_assert_int_eq(memory_end(b), -ECONNRESET);
	FREE(a, b);
	nothing_is_left();
}
END_TEST

/* ---- what has ended ---- */

START_TEST(a_closed_end_passes_its_last_messages_and_its_end_on)
{
	start(_i / 9);
	make_pair(_i % 3, B, "x", "a", &x, &a);
	make_pair(_i / 3 % 3, C, "y", "b", &y, &b);
	memory_send(x, "first");
	memory_send(a, "last");
	memory_free(a);
	if (_i / 9 % 3)
		memory_run(&net, trace.seed);
	ck_assert_int_eq(memory_bridge(x, y), 0);
	memory_run(&net, trace.seed);
	memory_expect(b, "last");
	ck_assert_int_eq(memory_end(b), -EPIPE);
	memory_free(b);
	nothing_is_left();
}
END_TEST

START_TEST(two_closed_ends_are_joined)
{
	start(_i / 9);
	make_pair(_i % 3, B, "x", "a", &x, &a);
	make_pair(_i / 3 % 3, C, "y", "b", &y, &b);
	memory_send(a, "lost");
	FREE(a, b);
	memory_run(&net, trace.seed);
	ck_assert_int_eq(memory_bridge(x, y), 0);
	memory_run(&net, trace.seed);
	nothing_is_left();
}
END_TEST

/* A handle that is closed by a last message and goes on to be held is not an end that failed. */
START_TEST(a_port_that_its_owner_has_closed_is_joined_or_sent_as_a_closed_one)
{
	struct mesh_port *trunk[2], *c;

	start(_i / 2);
	memory_pair(A, "x", &x, B, "a", &a);
	memory_pair(A, "y", &y, C, "b", &b);
	memory_pair(A, "t", &trunk[0], D, "u", &trunk[1]);
	ck_assert_int_eq(memory_send_message(x, mesh_message_new("bye", 3), true), 0);
	if (_i % 2) {
		ck_assert_int_eq(memory_send_ports(trunk[0], "p", x, NULL), 0);
		memory_free(y);
	} else {
		ck_assert_int_eq(memory_bridge(y, x), 0);
	}
	memory_run(&net, trace.seed);
	memory_expect(a, "bye");
	ck_assert_int_eq(memory_end(a), -EPIPE);
	ck_assert_int_eq(memory_end(b), -EPIPE);
	if (_i % 2) {
		c = memory_take_port(trunk[1]);
		ck_assert_int_eq(memory_end(c), -EPIPE);
		memory_free(c);
	}
	FREE(a, b, trunk[0], trunk[1]);
	memory_run(&net, trace.seed);
	nothing_is_left();
}
END_TEST

START_TEST(a_failed_end_fails_the_other_one)
{
	start(_i / 3);
	memory_pair(A, "x", &x, B, "a", &a);
	make_pair(_i % 3, C, "y", "b", &y, &b);
	memory_kill(B);
	ck_assert_int_eq(memory_bridge(_i % 2 ? x : y, _i % 2 ? y : x), 0);
	memory_run(&net, trace.seed);
	ck_assert_int_eq(memory_end(b), -ECONNRESET);
	ck_assert(mesh__id_equal(&b->blamed, &B->space.node) || _i % 3 == 2);
	FREE(a, b);
	nothing_is_left();
}
END_TEST

/* One of the far ends is in a message for the other one: nobody could ever take it out. */
START_TEST(an_end_that_would_receive_itself_fails)
{
	start(_i / 3);
	make_pair(_i % 3 % 2, B, "x", "a", &x, &a);
	make_pair(_i % 2, C, "y", "b", &y, &b);
	memory_send_ports(a, "b", b, NULL);
	ck_assert_int_eq(memory_bridge(x, y), 0);
	memory_run(&net, trace.seed);
	ck_assert_int_eq(memory_end(a), -ECONNRESET);
	memory_free(a);
	nothing_is_left();
}
END_TEST

/* ---- together with moves ---- */

START_TEST(the_other_ends_move_meanwhile)
{
	struct mesh_port *bc[2], *cd[2];

	start(_i);
	memory_pair(A, "x", &x, B, "a", &a);
	memory_pair(A, "y", &y, C, "b", &b);
	memory_pair(B, "bc", &bc[0], C, "cb", &bc[1]);
	memory_pair(C, "cd", &cd[0], D, "dc", &cd[1]);
	memory_send(a, "1");
	memory_send_ports(cd[0], "b", b, NULL);
	ck_assert_int_eq(memory_bridge(x, y), 0);
	memory_send(a, "2");
	memory_send_ports(bc[0], "a", a, NULL);
	memory_run(&net, trace.seed);
	a = memory_take_port(bc[1]);
	b = memory_take_port(cd[1]);
	memory_expect(b, "1");
	memory_expect(b, "2");
	talk_and_close();
	FREE(bc[0], bc[1], cd[0], cd[1]);
	memory_run(&net, trace.seed);
	nothing_is_left();
}
END_TEST

/* A chain of bridges on four nodes, made in any order with packets under way. */
START_TEST(a_chain_of_bridges_becomes_one_pair)
{
	struct mesh_port *left[4], *right[4];

	start(_i);
	memory_local_pair(&net, NULL, "a", &a, "l0", &left[0]);
	memory_local_pair(&net, NULL, "r3", &right[3], "b", &b);
	for (int i = 0; i < 3; i++) {
		char to[] = {'r', (char)('0' + i), 0}, from[] = {'l', (char)('1' + i), 0};

		memory_pair(&net.nodes[i], to, &right[i], &net.nodes[i + 1], from, &left[i + 1]);
	}
	for (int i = 0; i < 4; i++) {
		int node = (3 * i + _i) % 4;

		memory_send(a, "a");
		memory_send(b, "b");
		ck_assert_int_eq(memory_bridge(left[node], right[node]), 0);
		if (_i % 5 == 0)
			memory_run(&net, trace.seed);
	}
	memory_run(&net, trace.seed);
	for (int i = 0; i < 4; i++) {
		memory_expect(b, "a");
		memory_expect(a, "b");
	}
	talk_and_close();
	nothing_is_left();
}
END_TEST

static Suite *make_suite(void)
{
	Suite *suite = suite_create("mesh/port-bridge");
	TCase *traces = support_tcase(suite, "traces"), *own = support_tcase(suite, "own");

	tcase_add_loop_test(traces, trace_f_two_nodes_are_joined, 0, ORDERS);
	tcase_add_loop_test(traces, trace_g_the_ends_of_one_pair_are_no_bridge, 0, 4);
	tcase_add_loop_test(traces, trace_i_a_ring_of_bridges_fails, 0, ORDERS);
	tcase_add_loop_test(own, longer_rings_fail_too, 0, ORDERS);
	tcase_add_loop_test(own, any_two_ends_are_joined_with_what_was_not_read, 0, 9 * 6);
	tcase_add_test(own, ports_of_two_nodes_of_one_process_are_not_joined);
	tcase_add_test(own, nothing_is_joined_with_nothing);
	tcase_add_loop_test(own, a_closed_end_passes_its_last_messages_and_its_end_on, 0, 9 * 6);
	tcase_add_loop_test(own, two_closed_ends_are_joined, 0, 9 * 4);
	tcase_add_loop_test(
		own, a_port_that_its_owner_has_closed_is_joined_or_sent_as_a_closed_one, 0, 20);
	tcase_add_loop_test(own, a_failed_end_fails_the_other_one, 0, 9);
	tcase_add_loop_test(own, an_end_that_would_receive_itself_fails, 0, 6);
	tcase_add_loop_test(own, the_other_ends_move_meanwhile, 0, ORDERS);
	tcase_add_loop_test(own, a_chain_of_bridges_becomes_one_pair, 0, ORDERS);
	return suite;
}
SUPPORT_MAIN(make_suite)
