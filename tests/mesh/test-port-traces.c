/* SPDX-License-Identifier: MIT */
#include <mesh/space-priv.h>

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "support.h"
#include "trace-play.h"

/*
 * Each section is played in the order of the file (order 0) and in many others, in half of them with the
 * original's order of backlog and CHANGE_PEER: so many in each of a test's turns. MESH_TRACE_ORDERS in the
 * environment is another number of turns.
 */
#define PER_TURN 25
#define TURNS 10
#define IN_MANY_ORDERS(name)                                                                       \
	static void name##_once(int order);                                                        \
	START_TEST(name)                                                                           \
	{                                                                                          \
		for (int i = 0; i < PER_TURN; i++)                                                 \
			name##_once(_i * PER_TURN + i);                                            \
	}                                                                                          \
	END_TEST                                                                                   \
	static void name##_once(int order)

/* ---- orderly ---- */

IN_MANY_ORDERS(trace_0_messages_and_close)
{
	struct mesh_port *a, *b;

	play("0", order);
	memory_pair(A, "a0", &a, B, "b0", &b);
	memory_send(a, "\x08\x05");
	memory_send(a, "");
	memory_send(b, "\x08\x06");
	trace_settle(&trace, "before close");
	memory_free(a);
	trace_settle(&trace, "after close");
	memory_expect(b, "\x08\x05");
	memory_expect(b, "");
	ck_assert_int_eq(memory_end(b), -EPIPE);
	memory_free(b);
	stop();
}

IN_MANY_ORDERS(trace_a_the_peer_stays_at_home)
{
	struct mesh_port *a, *b, *p, *q, *x;

	play("a", order);
	memory_pair(A, "a0", &a, B, "b0", &b);
	memory_local_pair(&net, order % 3 ? NULL : A, "p", &p, "q", &q);
	memory_send(q, "m1");
	memory_send(p, "w1");
	ck_assert_int_eq(memory_send_ports(a, "port", p, NULL), 0);
	trace_until(&trace, "after send");
	trace_step(&trace, 1);
	memory_send(q, "m2");
	trace_until(&trace, "B received");
	trace_settle(&trace, "settled");
	x = memory_take_port(b);
	memory_expect(x, "m1");
	memory_expect(x, "m2");
	memory_expect(q, "w1");
	memory_send(x, "r");
	memory_send(q, "m3");
	trace_settle(&trace, "after traffic");
	memory_free(x);
	trace_settle(&trace, "p' closed");
	FREE(a, b, q);
	stop();
}

IN_MANY_ORDERS(trace_b_the_peer_is_on_a_third_node)
{
	struct mesh_port *a, *b, *p, *q, *x;

	play("b", order);
	memory_pair(A, "a0", &a, B, "b0", &b);
	memory_pair(A, "p", &p, C, "q", &q);
	memory_send(q, "m1");
	trace_step(&trace, 1);
	memory_send(q, "m2");
	memory_send_ports(a, "port", p, NULL);
	trace_until(&trace, "sent");
	trace_settle(&trace, "pumped");
	trace_settle(&trace, "settled");
	x = memory_take_port(b);
	memory_expect(x, "m1");
	memory_expect(x, "m2");
	memory_free(x);
	trace_settle(&trace, "end");
	FREE(a, b, q);
	stop();
}

IN_MANY_ORDERS(trace_c1_both_ends_move_in_one_message)
{
	struct mesh_port *a, *b, *p, *q, *x, *y;
	struct mesh_message *message;

	play("c1", order);
	memory_pair(A, "a0", &a, B, "b0", &b);
	memory_local_pair(&net, NULL, "p", &p, "q", &q);
	memory_send(q, "m1");
	memory_send_ports(a, "port", p, q, NULL);
	trace_until(&trace, "sent");
	trace_settle(&trace, "settled");
	message = memory_take(b);
	x = mesh_message_take_port(message, 0);
	y = mesh_message_take_port(message, 1);
	mesh_message_free(message);
	memory_expect(x, "m1");
	FREE(x, y);
	trace_settle(&trace, "end");
	FREE(a, b);
	stop();
}

static void both_ends_move(const char *section, int order)
{
	struct mesh_port *ac, *ca, *bd, *db, *p, *q, *x, *y;

	play(section, order);
	memory_pair(A, "ac", &ac, C, "ca", &ca);
	memory_pair(B, "bd", &bd, D, "db", &db);
	memory_pair(A, "p", &p, B, "q", &q);
	memory_send(p, "p1");
	memory_send(q, "q1");
	memory_send_ports(ac, "x", p, NULL);
	memory_send_ports(bd, "y", q, NULL);
	if (section[1] == '2')
		trace_until(&trace, "sent");
	trace_settle(&trace, "settled");
	x = memory_take_port(ca);
	y = memory_take_port(db);
	memory_expect(x, "q1");
	memory_expect(y, "p1");
	if (section[1] == '2') {
		memory_send(x, "1");
		memory_send(y, "2");
		trace_step(&trace, 2);
		memory_expect(x, "2");
		memory_expect(y, "1");
		memory_free(x);
		trace_settle(&trace, "end");
		ck_assert_int_eq(memory_end(y), -EPIPE);
		memory_free(y);
	} else {
		FREE(x, y);
	}
	FREE(ac, ca, bd, db);
	stop();
}

IN_MANY_ORDERS(trace_c2_both_ends_move_to_different_nodes)
{
	both_ends_move("c2", order);
}

IN_MANY_ORDERS(trace_c3_the_same_last_in_first_out)
{
	both_ends_move("c3", order);
}

IN_MANY_ORDERS(trace_e_a_port_that_is_done_moves)
{
	struct mesh_port *a, *b, *p, *q, *x;

	play("e", order);
	trace_alias(&trace, "bd1afc1d99005797b33902316c1f0dba", "peer of p");
	memory_pair(A, "a0", &a, B, "b0", &b);
	memory_local_pair(&net, NULL, "p", &p, "q", &q);
	memory_send(q, "m1");
	memory_free(q);
	memory_send_ports(a, "p", p, NULL);
	trace_until(&trace, "sent");
	trace_settle(&trace, "settled");
	x = memory_take_port(b);
	memory_expect(x, "m1");
	ck_assert_int_eq(memory_end(x), -EPIPE);
	ck_assert_uint_eq(x->next_local_seq, 2);
	ck_assert_uint_eq(x->next_peer_seq, 3);
	FREE(a, b, x);
	stop();
}

IN_MANY_ORDERS(trace_l_a_port_goes_home)
{
	struct mesh_port *a, *b, *p, *q, *x;

	play("l", order);
	memory_pair(A, "a0", &a, B, "b0", &b);
	memory_pair(A, "p", &p, B, "q", &q);
	memory_send(q, "1");
	trace_step(&trace, 1);
	memory_expect(p, "1");
	memory_send(p, "2");
	trace_step(&trace, 1);
	memory_send_ports(a, "p", p, NULL);
	memory_send(q, "3");
	trace_settle(&trace, "settled");
	x = memory_take_port(b);
	memory_expect(x, "3");
	memory_expect(q, "2");
	FREE(x);
	trace_settle(&trace, "end");
	FREE(a, b, q);
	stop();
}

/* B has got a port from A and makes a pair, of which it sends one end back over that port and the other one to C. */
IN_MANY_ORDERS(trace_n_a_port_is_handed_on_both_ways)
{
	static const char *const aliases[][2] = {
	        {"x131", "s"}, {"x132", "s_peer"}, {"x136", "c"}, {"x137", "c_peer"}};
	struct mesh_port *ab, *ba, *bc, *cb, *s, *s_peer, *c, *c_peer;

	play("n", order);
	for (size_t i = 0; i < 4; i++)
		trace_alias(&trace, aliases[i][0], aliases[i][1]);
	memory_pair(A, "ab", &ab, B, "ba", &ba);
	memory_pair(B, "bc", &bc, C, "cb", &cb);
	memory_local_pair(&net, NULL, "s", &s, "s_peer", &s_peer);
	ck_assert_int_eq(memory_send_ports(ab, "1", s, NULL), 0);
	trace_step(&trace, 2);
	s = memory_take_port(ba);
	memory_send(s, "\x08\x07");
	trace_step(&trace, 1);
	memory_expect(s_peer, "\x08\x07");
	memory_local_pair(&net, NULL, "c", &c, "c_peer", &c_peer);
	ck_assert_int_eq(memory_send_ports(s, "2", c, NULL), 0);
	ck_assert_int_eq(memory_send_ports(bc, "1", c_peer, NULL), 0);
	trace_settle(&trace, "settled");
	c = memory_take_port(s_peer);
	c_peer = memory_take_port(cb);
	memory_send(c_peer, "12");
	trace_step(&trace, 1);
	memory_expect(c, "12");
	memory_free(s);
	trace_step(&trace, 2);
	ck_assert_int_eq(memory_end(s_peer), -EPIPE);
	memory_free(c_peer);
	trace_step(&trace, 2);
	ck_assert_int_eq(memory_end(c), -EPIPE);
	FREE(s_peer, c, ab, ba, bc, cb);
	stop();
}

/* ---- joining ---- */

struct join {
	struct mesh_port *leader, *follower;
	struct mesh_port *requests[2], *orders[2], *user[2]; /* of A, and what B got */
};

static void send_initial(struct join *join, bool greet)
{
	struct mesh_message *message = mesh_message_new("join:3", 6);
	struct mesh_port *ports[3];

	memory_pair(A, "init_leader", &join->leader, B, "init_follower", &join->follower);
	memory_local_pair(&net, NULL, "r", &ports[0], "r_peer", &join->requests[0]);
	memory_local_pair(&net, NULL, "o", &ports[1], "o_peer", &join->orders[0]);
	memory_local_pair(&net, NULL, "user_port", &ports[2], "user_peer", &join->user[0]);
	if (greet)
		memory_send(join->user[0], "\x08\x2a");
	for (size_t i = 0; i < 3; i++)
		ck_assert_int_eq(mesh_message_put_port(message, ports[i]), 0);
	memory_send_message(join->leader, message, true);
	memory_free(join->leader);
}

static void take_initial(struct join *join)
{
	struct mesh_message *message = memory_take(join->follower);

	ck_assert_uint_eq(mesh_message_resource_count(message), 3);
	join->requests[1] = mesh_message_take_port(message, 0);
	join->orders[1] = mesh_message_take_port(message, 1);
	join->user[1] = mesh_message_take_port(message, 2);
	mesh_message_free(message);
	ck_assert_int_eq(memory_end(join->follower), -EPIPE);
	memory_free(join->follower);
}

IN_MANY_ORDERS(trace_m_joining)
{
	static const char *const aliases[][2] = {{"x108", "r"}, {"x109", "r_peer"}, {"x111", "o"},
	        {"x112", "o_peer"}, {"75739ee9fd179e12a1973f05f64e237e", "r"},
	        {"982cfb5cbf0d5889cf9de23b225ed1ff", "r_peer"},
	        {"abf42edb023f17f9010b1419971f7ffe", "o"},
	        {"ab45ada5d43c0865f2bf207a348d4edd", "o_peer"}};
	struct mesh_message *link = mesh_message_new("an order to connect, with fd.", 29);
	struct join join;

	play("m", order);
	for (size_t i = 0; i < 8; i++)
		trace_alias(&trace, aliases[i][0], aliases[i][1]);
	trace_except(&trace, "B: P-init_follower"); /* when that was written B did not run yet */
	send_initial(&join, true);
	trace_until(&trace, "leader sent init");
	trace_settle(&trace, "B received");
	take_initial(&join);
	memory_expect(join.user[1], "\x08\x2a");
	memory_send(join.requests[1], "a request to be connected.");
	trace_step(&trace, 1);
	memory_expect(join.requests[0], "a request to be connected.");
	ck_assert_int_eq(mesh_message_put_fd(link, open("/dev/null", O_RDONLY | O_CLOEXEC)), 0);
	memory_send_message(join.orders[0], link, false);
	trace_step(&trace, 1);
	FREE(join.requests[1], join.orders[1], join.user[1]);
	trace_settle(&trace, "end");
	FREE(join.requests[0], join.orders[0], join.user[0]);
	stop();
}

/* The original's follower puts the ends of new pairs in the place of the ports that it got. */
static struct mesh_port *replace(struct mesh_port *old, const char *name)
{
	struct mesh_port *inner, *outer;

	memory_local_pair(&net, B, "inner", &inner, name, &outer);
	ck_assert_int_eq(memory_bridge(old, inner), 0);
	return outer;
}

IN_MANY_ORDERS(trace_m2_a_follower_that_bridges)
{
	static const char *const aliases[][2] = {{"x119", "r"}, {"x120", "r_peer"}, {"x122", "o"},
	        {"x123", "o_peer"}, {"x127", "new_r"}};
	struct mesh_port *requests, *user;
	struct join join;

	play("m2", order);
	for (size_t i = 0; i < 5; i++)
		trace_alias(&trace, aliases[i][0], aliases[i][1]);
	send_initial(&join, false);
	trace_step(&trace, 5);
	take_initial(&join);
	requests = replace(join.requests[1], "new_r");
	user = replace(join.user[1], "right");
	trace_settle(&trace, "bridged");
	memory_send(requests, "a request to be connected.");
	trace_step(&trace, 1);
	memory_expect(join.requests[0], "a request to be connected.");
	memory_send(join.orders[0], "an order to be connected..");
	trace_step(&trace, 1);
	memory_expect(join.orders[1], "an order to be connected..");
	FREE(requests, user, join.orders[1]);
	FREE(join.requests[0], join.orders[0], join.user[0]);
	stop();
}

static Suite *make_suite(void)
{
	Suite *suite = suite_create("mesh/port-traces");
	TCase *orderly = support_tcase(suite, "orderly");
	const char *setting = getenv("MESH_TRACE_ORDERS");
	int turns = setting ? atoi(setting) : TURNS;

	tcase_add_loop_test(orderly, trace_0_messages_and_close, 0, turns);
	tcase_add_loop_test(orderly, trace_a_the_peer_stays_at_home, 0, turns);
	tcase_add_loop_test(orderly, trace_b_the_peer_is_on_a_third_node, 0, turns);
	tcase_add_loop_test(orderly, trace_c1_both_ends_move_in_one_message, 0, turns);
	tcase_add_loop_test(orderly, trace_c2_both_ends_move_to_different_nodes, 0, turns);
	tcase_add_loop_test(orderly, trace_c3_the_same_last_in_first_out, 0, turns);
	tcase_add_loop_test(orderly, trace_e_a_port_that_is_done_moves, 0, turns);
	tcase_add_loop_test(orderly, trace_l_a_port_goes_home, 0, turns);
	tcase_add_loop_test(orderly, trace_m_joining, 0, turns);
	tcase_add_loop_test(orderly, trace_n_a_port_is_handed_on_both_ways, 0, turns);
	tcase_add_loop_test(orderly, trace_m2_a_follower_that_bridges, 0, turns);
	return suite;
}
SUPPORT_MAIN(make_suite)
