/* SPDX-License-Identifier: MIT */
#include <mesh/space-priv.h>

#include <errno.h>

#include "support.h"
#include "trace-play.h"

/* The sections of mesh-traces.txt in which something fails or dies. */

START_TEST(trace_d1_the_new_node_dies_before_it_has_the_port)
{
	struct mesh_port *a, *b, *a1, *b1, *p, *q;

	play("d1", 0);
	memory_pair(A, "a0", &a, B, "b0", &b);
	memory_pair(A, "a1", &a1, B, "b1", &b1);
	memory_pair(A, "p", &p, C, "q", &q);
	memory_free(b);
	trace_step(&trace, 2);
	memory_send_ports(a1, "p", p, NULL);
	trace_until(&trace, "sent");
	memory_kill(B);
	trace_settle(&trace, "A failed B");
	trace_settle(&trace, "end");
	ck_assert_int_eq(memory_end(a), -EPIPE);
	ck_assert_int_eq(memory_end(q), -ECONNRESET);
	ck_assert(mesh__id_equal(&q->blamed, &B->space.node));
	FREE(a, a1, b1, q);
	stop();
}
END_TEST

START_TEST(trace_d2_the_new_node_dies_after_it_has_the_port)
{
	struct mesh_port *a, *b, *p, *q;

	play("d2", 0);
	memory_pair(A, "a0", &a, B, "b0", &b);
	memory_pair(A, "p", &p, C, "q", &q);
	memory_send_ports(a, "p", p, NULL);
	trace_until(&trace, "B received");
	trace_until(&trace, "A got ACK_PORT");
	B->dead = true; /* C does not know it yet */
	memory_tell_lost(A, B);
	trace_except(&trace, "->port x44 seq 0 FAIL_PORT"); /* the dead one cannot be told */
	trace_until(&trace, "A lost B");
	trace_settle(&trace, "pumped");
	ck_assert_int_eq(memory_end(q), -ECONNRESET);
	ck_assert(mesh__id_equal(&q->blamed, &B->space.node));
	FREE(a, b, q);
	stop();
}
END_TEST

START_TEST(trace_h_a_failed_port_moves)
{
	struct mesh_port *a, *b, *p, *q, *x;

	play("h", _i);
	memory_pair(A, "a0", &a, B, "b0", &b);
	memory_pair(A, "p", &p, C, "q", &q);
	memory_tell_lost(A, C);
	ck_assert_int_eq(memory_end(p), -ECONNRESET);
	memory_send_ports(a, "p", p, NULL);
	trace_except(&trace, "A: P-p Failed"); /* the original never forgets it */
	trace_settle(&trace, "after");
	x = memory_take_port(b);
	ck_assert_int_eq(memory_end(x), -ECONNRESET);
	ck_assert(mesh__id_equal(&x->blamed, &C->space.node));
	FREE(a, b, q, x);
	stop();
}
END_TEST

/* A port of A whose peer, it believes, is on B. */
static struct mesh_port *port_to_nowhere(const char *name)
{
	struct mesh_id id = memory_id(name), ghost = memory_id("ghost");
	struct mesh_port *port;

	memory_name(&net, &id, name);
	memory_name(&net, &ghost, "ghost");
	mesh__space_lock(&A->space);
	ck_assert_int_eq(mesh__port_new_remote(
	                         &A->space, &id, memory_remote(A, &B->space.node), &ghost, &port),
	        0);
	mesh__space_unlock(&A->space);
	return port;
}

/* In the original the port hangs for ever, and with it its node: here it is told. */
START_TEST(trace_j_a_port_in_a_message_to_nobody_fails)
{
	struct mesh_port *a, *b, *p, *q, *g;

	play("j", _i);
	memory_pair(A, "a0", &a, B, "b0", &b);
	memory_local_pair(&net, NULL, "p", &p, "q", &q);
	g = port_to_nowhere("g");
	memory_send_ports(g, "p", p, NULL);
	trace_extra(&trace, "A -> B (56B): ->port p' seq 0 FAIL_PORT node=B");
	trace_extra(&trace, "B -> A (56B): ->port p seq 0 FAIL_PORT node=B");
	trace_except(&trace, "A: P-p Sending");
	trace_except(&trace, "A: P-q Peered");
	trace_settle(&trace, "after");
	ck_assert_int_eq(memory_end(q), -ECONNRESET);
	ck_assert_uint_eq(B->space.unknown_port_events, 2);
	ck_assert_uint_eq(A->space.moving, 0);
	FREE(a, b, q, g);
	stop();
}
END_TEST

/* The same. */
START_TEST(trace_k_a_port_whose_peer_is_nobody_fails)
{
	struct mesh_port *a, *b, *g, *x;

	play("k", _i);
	memory_pair(A, "a0", &a, B, "b0", &b);
	g = port_to_nowhere("g");
	memory_send_ports(a, "g", g, NULL);
	trace_extra(&trace, "A -> B (56B): ->port g' seq 0 FAIL_PORT node=B");
	trace_extra(&trace, "A -> B (56B): ->port ghost seq 0 FAIL_PORT node=B");
	trace_extra(&trace, "B -> A (56B): ->port g seq 0 FAIL_PORT node=B");
	trace_except(&trace, "A: P-g Sending");
	trace_settle(&trace, "after");
	x = memory_take_port(b);
	ck_assert_int_eq(memory_end(x), -ECONNRESET);
	ck_assert_uint_eq(A->space.moving, 0);
	FREE(a, b, x);
	stop();
}
END_TEST

START_TEST(trace_q_a_message_that_the_owner_refuses)
{
	struct mesh_port *a, *b;

	play("q", _i);
	memory_pair(A, "a0", &a, B, "b0", &b);
	memory_send(a, "?");
	trace_step(&trace, 1);
	memory_fail(b);
	trace_step(&trace, 2);
	ck_assert_uint_eq(net.packet_count, 0);
	ck_assert_int_eq(memory_end(a), -ECONNRESET);
	ck_assert(mesh__id_equal(&a->blamed, &A->space.node));
	FREE(a, b);
	stop();
}
END_TEST

START_TEST(trace_s_the_former_node_dies_before_the_peer_knows)
{
	struct mesh_port *a, *b, *p, *q, *x;

	play("s", 0);
	memory_pair(A, "a0", &a, B, "b0", &b);
	memory_pair(A, "p", &p, C, "q", &q);
	memory_send(q, "m");
	trace_step(&trace, 1);
	memory_send_ports(a, "p", p, NULL);
	trace_until(&trace, "A proxying");
	memory_kill(A);
	trace_settle(&trace, "end");
	ck_assert_int_eq(memory_end(q), -ECONNRESET);
	x = memory_take_port(b);
	memory_send(x, "hello");
	trace_step(&trace, 1);
	ck_assert_uint_eq(C->space.unknown_port_events, 1);
	/* Nothing on the wire tells B. A hole before what came would, but nothing came. */
	ck_assert_int_eq(memory_end(x), 0);
	FREE(a, b, q, x);
	stop();
}
END_TEST

START_TEST(trace_t_the_former_node_dies_with_the_backlog)
{
	struct mesh_port *a, *b, *p, *q, *x;

	play("t", 0);
	memory_pair(A, "a0", &a, B, "b0", &b);
	memory_pair(A, "p", &p, C, "q", &q);
	memory_send(q, "m");
	trace_step(&trace, 1);
	memory_send_ports(a, "p", p, NULL);
	trace_step(&trace, 4); /* the backlog is not among them */
	ck_assert_uint_eq(net.packet_count, 1);
	memory_send(q, "2");
	memory_kill(A);
	trace_step(&trace, 1);
	/* In the original both ends look well, and x waits for ever for what A had. */
	x = memory_take_port(b);
	ck_assert_int_eq(memory_end(x), -ECONNRESET);
	ck_assert(mesh__id_equal(&x->blamed, &A->space.node));
	memory_run(&net, NULL);
	ck_assert_int_eq(memory_end(q), -ECONNRESET);
	FREE(a, b, q, x);
	stop();
}
END_TEST

static Suite *make_suite(void)
{
	Suite *suite = suite_create("mesh/port-traces-failures");
	TCase *failures = support_tcase(suite, "failures");

	tcase_add_test(failures, trace_d1_the_new_node_dies_before_it_has_the_port);
	tcase_add_test(failures, trace_d2_the_new_node_dies_after_it_has_the_port);
	tcase_add_loop_test(failures, trace_h_a_failed_port_moves, 0, 2);
	tcase_add_loop_test(failures, trace_j_a_port_in_a_message_to_nobody_fails, 0, 2);
	tcase_add_loop_test(failures, trace_k_a_port_whose_peer_is_nobody_fails, 0, 2);
	tcase_add_test(failures, trace_q_a_message_that_the_owner_refuses);
	tcase_add_test(failures, trace_s_the_former_node_dies_before_the_peer_knows);
	tcase_add_test(failures, trace_t_the_former_node_dies_with_the_backlog);
	return suite;
}
SUPPORT_MAIN(make_suite)
