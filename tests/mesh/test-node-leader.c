/* SPDX-License-Identifier: MIT */
/* S146: the leader dies while it introduces two nodes to one another. */
#include "nodes.h"

#include <errno.h>
#include <event2/event.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "support.h"

/*
 * Three hosts; the first one has links to the two others, which have never met.
 * What it sends to each of them is on its way without the leader: to these two
 * the leader is needed for their introduction, and for nothing else.
 */
struct family {
	struct event_base *
	        base; /* the leader's, where it has one: then it does nothing unless a test waits at it */
	struct mesh_node *leader, *hosts[3];
	struct mesh_port *at_leader[3], *at_host[3];
	struct mesh_port *to[3], *from[3]; /* [i]: between the first host and host i */
};

/*
 * After two round trips between the former owner of ports and their new ones all that moved before has arrived:
 * acknowledgements came with the first one and changes of peers went with its answer, and what answers those came
 * with the second.
 */
static void settle(struct mesh_port *const above[3], struct mesh_port *const below[3], int first)
{
	for (int trip = 0; trip < 3; trip++) {
		for (int i = first; i < 3; i++) {
			nodes_send_text(below[i], "up");
			nodes_expect_text(above[i], "up");
		}
		for (int i = first; i < 3; i++) {
			nodes_send_text(above[i], "down");
			nodes_expect_text(below[i], "down");
		}
	}
}

static void family_make(struct family *family, bool frozen)
{
	struct mesh_node_options options = {MESH_NODE_OPTIONS_INIT};
	struct pal_error error = {0};

	*family = (struct family){0};
	if (frozen)
		options.base = family->base = event_base_new();
	ck_assert_ok(mesh_node_new(&options, &family->leader, &error), &error);
	for (int i = 0; i < 3; i++)
		nodes_invite(family->leader, &family->hosts[i], &family->at_leader[i],
		        &family->at_host[i]);
	settle(family->at_leader, family->at_host, 0);
	for (int i = 1; i < 3; i++) {
		struct mesh_port *a, *b;

		ck_assert_int_eq(mesh_port_pair(&a, &b), 0);
		nodes_send_port(family->at_leader[0], "to", a);
		nodes_send_port(family->at_leader[i], "from", b);
		family->to[i] = nodes_expect_port(family->at_host[0], "to");
		family->from[i] = nodes_expect_port(family->at_host[i], "from");
	}
	settle(family->at_leader, family->at_host, 0);
	for (int i = 1; i < 3; i++) {
		nodes_send_text(family->to[i], "acquainted");
		nodes_expect_text(family->from[i], "acquainted");
		nodes_send_text(family->from[i], "with you");
		nodes_expect_text(family->to[i], "with you");
	}
}

static void family_free(struct family *family)
{
	mesh_node_free(family->leader);
	for (int i = 0; i < 3; i++) {
		mesh_port_free(family->at_leader[i]);
		mesh_port_free(family->at_host[i]);
		mesh_port_free(family->to[i]);
		mesh_port_free(family->from[i]);
		mesh_node_free(family->hosts[i]);
	}
	if (family->base)
		event_base_free(family->base);
}

/* Some requests and orders may still be on their way then, others have arrived: another moment every time. */
static void kill_leader_at(struct family *family, int moment, int now)
{
	if (moment != now)
		return;
	if (!family->base)
		nanosleep(&(struct timespec){.tv_nsec = random() % 2000000}, NULL);
	mesh_node_free(family->leader);
	family->leader = NULL;
}

/* Either the text or the end, and never neither. */
static bool text_or_end(struct mesh_port *port, const char *text)
{
	struct mesh_message *message;
	int result = mesh_port_recv(port, NODES_PATIENCE, &message, NULL);

	if (result) {
		ck_assert_msg(result == -ECONNRESET || result == -EPIPE, "%d", result);
		return false;
	}
	ck_assert_uint_eq(mesh_message_size(message), strlen(text));
	ck_assert_int_eq(memcmp(mesh_message_data(message), text, strlen(text)), 0);
	mesh_message_free(message);
	return true;
}

static void expect_reset_or_close(struct mesh_port *port)
{
	ck_assert(!text_or_end(port, ""));
}

/* A pair that was introduced works as any other; else both its ends have failed. */
static bool judge(struct mesh_port *p, struct mesh_port *q)
{
	bool q_has = text_or_end(q, "from p"), p_has = text_or_end(p, "from q");

	if (p_has && q_has) {
		mesh_port_free(p);
		expect_reset_or_close(q);
		mesh_port_free(q);
		return true;
	}
	expect_reset_or_close(p);
	expect_reset_or_close(q);
	mesh_port_free(p);
	mesh_port_free(q);
	return false;
}

/* The first host gives one end to each of the others. The leader dies before step `moment`. */
static bool introduce(struct family *family, int moment, bool settled)
{
	struct mesh_port *p, *q;

	ck_assert_int_eq(mesh_port_pair(&p, &q), 0);
	kill_leader_at(family, moment, 0);
	nodes_send_port(family->to[1], "p", p);
	kill_leader_at(family, moment, 1);
	nodes_send_port(family->to[2], "q", q);
	kill_leader_at(family, moment, 2);
	p = nodes_expect_port(family->from[1], "p");
	kill_leader_at(family, moment, 3);
	q = nodes_expect_port(family->from[2], "q");
	kill_leader_at(family, moment, 4);
	if (settled)
		settle(family->to, family->from, 1);
	kill_leader_at(family, moment, 5);
	nodes_send_text(p, "from p");
	kill_leader_at(family, moment, 6);
	nodes_send_text(q, "from q");
	kill_leader_at(family, moment, 7);
	return judge(p, q);
}
#define MOMENTS 8

START_TEST(a_leader_that_dies_while_it_introduces_hangs_nobody)
{
	srandom(146);
	for (int round = 0; round < 6; round++) {
		struct family family;

		family_make(&family, false);
		introduce(&family, _i, _i > 4);
		/* who was acquainted before does not need the leader */
		nodes_send_text(family.to[1], "still there?");
		nodes_expect_text(family.from[1], "still there?");
		nodes_expect_end(family.at_host[2], -ECONNRESET);
		family_free(&family);
	}
}
END_TEST

/* Here the request is certainly pending: the leader does nothing any more when it is made. */
START_TEST(a_leader_that_dies_before_it_has_answered_fails_the_ports)
{
	struct family family;

	family_make(&family, true);
	ck_assert(!introduce(&family, _i, true));
	nodes_send_text(family.from[2], "still there?");
	nodes_expect_text(family.to[2], "still there?");
	family_free(&family);
}
END_TEST

/* With nobody's death the same steps lead to a working pair: what the tests above look at is the leader's end. */
START_TEST(without_a_death_the_two_are_introduced)
{
	struct family family;

	family_make(&family, false);
	ck_assert(introduce(&family, -1, true));
	family_free(&family);
}
END_TEST

static Suite *make_suite(void)
{
	Suite *suite = suite_create("mesh/node-leader");
	TCase *leader = support_tcase(suite, "leader");

	tcase_set_timeout(leader, 60);
	tcase_add_test(leader, without_a_death_the_two_are_introduced);
	tcase_add_loop_test(leader, a_leader_that_dies_while_it_introduces_hangs_nobody, 0, MOMENTS);
	tcase_add_loop_test(leader, a_leader_that_dies_before_it_has_answered_fails_the_ports, 0, MOMENTS);
	return suite;
}
SUPPORT_MAIN(make_suite)
