/* SPDX-License-Identifier: MIT */
#include "nodes.h"

#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <mesh/node-priv.h>
#include <stdlib.h>
#include <string.h>

#include "support.h"

/*
 * A node that is evicted in these tests lives on: its links would go on for ever, as
 * those of a dead process do of which somebody has a copy.
 */

/* A leader that does nothing unless the test waits at it, and one more node. */
struct frozen {
	struct event_base *base;
	struct node_pair pair;
	struct mesh_id id; /* of the host */
};

static void frozen_make(struct frozen *frozen)
{
	struct mesh_node_options options = {MESH_NODE_OPTIONS_INIT};
	struct pal_error error = {0};

	options.base = frozen->base = event_base_new();
	ck_assert_ok(mesh_node_new(&options, &frozen->pair.leader, &error), &error);
	nodes_invite(frozen->pair.leader, &frozen->pair.host, &frozen->pair.at_leader, &frozen->pair.at_host);
	frozen->id = frozen->pair.host->space.node;
	nodes_send_text(frozen->pair.at_host, "hello");
	nodes_expect_text(frozen->pair.at_leader, "hello");
}

static void frozen_free(struct frozen *frozen)
{
	nodes_free(&frozen->pair);
	event_base_free(frozen->base);
}

#define MANY (MESH__PACKETS_PER_TURN + 10)

START_TEST(what_has_arrived_comes_before_the_end)
{
	struct frozen frozen;
	struct mesh_message *message;
	void *large = calloc(1, 1000000);

	frozen_make(&frozen);
	for (int i = 0; i < MANY; i++)
		nodes_send_text(frozen.pair.at_host, "x");
	ck_assert_int_eq(mesh_port_send(frozen.pair.at_host, mesh_message_new(large, 1000000)), 0);
	nodes_send_text(frozen.pair.at_host, "last");
	ck_assert_int_eq(mesh_node_evict(frozen.pair.leader, &frozen.id), 0);
	nodes_send_text(frozen.pair.at_host, "too late");
	for (int i = 0; i < MANY; i++)
		nodes_expect_text(frozen.pair.at_leader, "x");
	message = nodes_recv(frozen.pair.at_leader);
	ck_assert_uint_eq(mesh_message_size(message), 1000000);
	mesh_message_free(message);
	nodes_expect_text(frozen.pair.at_leader, "last");
	nodes_expect_end(frozen.pair.at_leader, -ECONNRESET);
	nodes_expect_end(frozen.pair.at_host, -ECONNRESET);
	ck_assert_int_eq(mesh_node_evict(frozen.pair.leader, &frozen.id), -ENOENT);
	free(large);
	frozen_free(&frozen);
}
END_TEST

START_TEST(an_evicted_invitation_is_worth_nothing)
{
	struct mesh_node *leader, *host = NULL;
	struct mesh_port *here, *there, *port = NULL;
	struct mesh_invitation invitation;
	struct pal_error error = {0};
	struct mesh_id id;

	ck_assert_ok(mesh_node_new(NULL, &leader, &error), &error);
	ck_assert_int_eq(mesh_port_pair(&here, &there), 0);
	ck_assert_ok(mesh_node_invite(leader, there, &invitation, &error), &error);
	id = invitation.local_node;
	ck_assert_int_eq(mesh_node_evict(leader, &id), 0);
	nodes_expect_end(here, -ECONNRESET);
	ck_assert_int_eq(
		mesh_node_join(&invitation, NULL, NODES_PATIENCE, &host, &port, &error), -ECONNRESET);
	ck_assert_int_eq(error.stage, MESH_STAGE_JOIN);
	ck_assert_ptr_null(host);
	ck_assert_ptr_null(port);
	mesh_port_free(here);
	ck_assert_ok(mesh_node_shutdown(leader, NODES_PATIENCE, &error), &error);
	mesh_node_free(leader);
}
END_TEST

/* Its copy of the link stays open: the shutdown of the leader does not wait for it. */
START_TEST(an_evicted_node_is_not_waited_for)
{
	struct mesh_node *leader;
	struct mesh_port *here, *there;
	struct mesh_invitation invitation;
	struct pal_error error = {0};

	ck_assert_ok(mesh_node_new(NULL, &leader, &error), &error);
	ck_assert_int_eq(mesh_port_pair(&here, &there), 0);
	ck_assert_ok(mesh_node_invite(leader, there, &invitation, &error), &error);
	ck_assert_int_eq(mesh_node_evict(leader, &invitation.local_node), 0);
	mesh_port_free(here);
	ck_assert_ok(mesh_node_shutdown(leader, NODES_PATIENCE, &error), &error);
	mesh_node_free(leader);
	mesh_invitation_clear(&invitation);
}
END_TEST

/*
 * Both ask the leader for the link: who asks gets an answer, and perhaps an order for the question of
 * the other. Who has asked must not take the news for the answer; `_i` is which one is evicted.
 */
START_TEST(nodes_that_have_met_an_evicted_one_are_told)
{
	struct mesh_node *leader, *hosts[3];
	struct mesh_port *at_leader[3], *at_host[3], *ports[2], *ends[2], *others[2];
	struct pal_error error = {0};
	int gone = _i, left = !_i;

	ck_assert_ok(mesh_node_new(NULL, &leader, &error), &error);
	for (int i = 0; i < 3; i++)
		nodes_invite(leader, &hosts[i], &at_leader[i], &at_host[i]);
	/* Two pairs: between the first two nodes, and between the one that stays and the third. */
	ck_assert_int_eq(mesh_port_pair(&ends[0], &ends[1]), 0);
	for (int i = 0; i < 2; i++) {
		nodes_send_port(at_leader[i], "meet", ends[i]);
		ports[i] = nodes_expect_port(at_host[i], "meet");
	}
	ck_assert_int_eq(mesh_port_pair(&others[0], &others[1]), 0);
	nodes_send_port(at_leader[left], "other", others[0]);
	nodes_send_port(at_leader[2], "other", others[1]);
	others[0] = nodes_expect_port(at_host[left], "other");
	others[1] = nodes_expect_port(at_host[2], "other");
	for (int trip = 0; trip < 3; trip++)
		for (int i = 0; i < 2; i++) {
			nodes_send_text(ports[i], "hello");
			nodes_expect_text(ports[!i], "hello");
			nodes_send_text(others[i], "hello");
			nodes_expect_text(others[!i], "hello");
			nodes_send_text(at_leader[i], "hello");
			nodes_expect_text(at_host[i], "hello");
			nodes_send_text(at_host[i], "hello");
			nodes_expect_text(at_leader[i], "hello");
		}
	nodes_send_text(ports[gone], "last");
	ck_assert_int_eq(mesh_node_evict(leader, &hosts[gone]->space.node), 0);
	nodes_expect_text(ports[left], "last");
	nodes_expect_end(ports[left], -ECONNRESET);
	nodes_send_text(others[0], "still here");
	nodes_expect_text(others[1], "still here");
	nodes_send_text(at_host[left], "still here");
	nodes_expect_text(at_leader[left], "still here");
	for (int i = 0; i < 2; i++) {
		mesh_port_free(ports[i]);
		mesh_port_free(others[i]);
	}
	for (int i = 0; i < 3; i++) {
		mesh_port_free(at_host[i]);
		mesh_port_free(at_leader[i]);
		mesh_node_free(hosts[i]);
	}
	mesh_node_free(leader);
}
END_TEST

struct reaction {
	struct mesh_node *node;
	struct mesh_id id;
	int evicted, end;
};

static void evict_on_message(struct mesh_port *port, int status, struct mesh_message *message, void *userdata)
{
	struct reaction *reaction = userdata;

	(void)port;
	if (status)
		reaction->end = status;
	else
		reaction->evicted = mesh_node_evict(reaction->node, &reaction->id);
	mesh_message_free(message);
}

START_TEST(a_callback_may_evict_who_has_called)
{
	struct frozen frozen;
	struct reaction reaction;

	frozen_make(&frozen);
	reaction = (struct reaction){.node = frozen.pair.leader, .id = frozen.id, .evicted = 1};
	ck_assert_int_eq(mesh_port_set_callback(frozen.pair.at_leader, NULL, evict_on_message, &reaction), 0);
	nodes_send_text(frozen.pair.at_host, "evict me");
	while (!reaction.end)
		ck_assert_int_ge(event_base_loop(frozen.base, EVLOOP_ONCE), 0);
	ck_assert_int_eq(reaction.evicted, 0);
	ck_assert_int_eq(reaction.end, -ECONNRESET);
	frozen_free(&frozen);
}
END_TEST

START_TEST(wrong_evictions_are_refused)
{
	struct node_pair pair;
	struct mesh_id id = {{1}};

	nodes_make(&pair);
	ck_assert_int_eq(mesh_node_evict(NULL, &id), -EINVAL);
	ck_assert_int_eq(mesh_node_evict(pair.leader, NULL), -EINVAL);
	ck_assert_int_eq(mesh_node_evict(pair.leader, &id), -ENOENT);
	ck_assert_int_eq(mesh_node_evict(pair.leader, &(struct mesh_id){{0}}), -ENOENT);
	ck_assert_int_eq(mesh_node_evict(pair.leader, &pair.leader->space.node), -ENOENT);
	ck_assert_int_eq(mesh_node_evict(pair.host, &pair.leader->space.node), -EOPNOTSUPP);
	nodes_send_text(pair.at_host, "fine");
	nodes_expect_text(pair.at_leader, "fine");
	nodes_free(&pair);
}
END_TEST

static Suite *make_suite(void)
{
	Suite *suite = suite_create("mesh/node-evict");
	TCase *evict = support_tcase(suite, "evict");

	tcase_add_test(evict, what_has_arrived_comes_before_the_end);
	tcase_add_test(evict, an_evicted_invitation_is_worth_nothing);
	tcase_add_test(evict, an_evicted_node_is_not_waited_for);
	tcase_add_loop_test(evict, nodes_that_have_met_an_evicted_one_are_told, 0, 2);
	tcase_add_test(evict, a_callback_may_evict_who_has_called);
	tcase_add_test(evict, wrong_evictions_are_refused);
	return suite;
}
SUPPORT_MAIN(make_suite)
