/* SPDX-License-Identifier: MIT */
#include "nodes.h"

#include <errno.h>
#include <event2/event.h>
#include <mesh/control-priv.h>
#include <mesh/node-priv.h>
#include <stdlib.h>
#include <string.h>

#include "support.h"

/*
 * A node that is evicted in these tests lives on: its links would go on for ever, as
 * those of a dead process do of which somebody has a copy.
 */

/* ---- one node ---- */

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

/* ---- the nodes that it has met ---- */

/* Three hosts; the first two have met and have a pair, and so have the first and the third. */
struct party {
	struct mesh_node *leader, *hosts[3];
	struct mesh_port *at_leader[3], *at_host[3];
	struct mesh_port *pair[2], *other[2];
};

static void introduce(struct party *party, int first, int second, struct mesh_port *ports[2])
{
	ck_assert_int_eq(mesh_port_pair(&ports[0], &ports[1]), 0);
	nodes_send_port(party->at_leader[first], "meet", ports[0]);
	nodes_send_port(party->at_leader[second], "meet", ports[1]);
	ports[0] = nodes_expect_port(party->at_host[first], "meet");
	ports[1] = nodes_expect_port(party->at_host[second], "meet");
}

static void hello(struct mesh_port *from, struct mesh_port *to)
{
	nodes_send_text(from, "hello");
	nodes_expect_text(to, "hello");
	nodes_send_text(to, "hello yourself");
	nodes_expect_text(from, "hello yourself");
}

static void party_make(struct party *party)
{
	struct pal_error error = {0};

	ck_assert_ok(mesh_node_new(NULL, &party->leader, &error), &error);
	for (int i = 0; i < 3; i++)
		nodes_invite(party->leader, &party->hosts[i], &party->at_leader[i], &party->at_host[i]);
	introduce(party, 0, 1, party->pair);
	introduce(party, 0, 2, party->other);
	/* All requests and orders have arrived after that. */
	for (int trip = 0; trip < 3; trip++) {
		hello(party->pair[0], party->pair[1]);
		hello(party->other[0], party->other[1]);
		for (int i = 0; i < 3; i++)
			hello(party->at_leader[i], party->at_host[i]);
	}
}

static void party_free(struct party *party)
{
	for (int i = 0; i < 2; i++) {
		mesh_port_free(party->pair[i]);
		mesh_port_free(party->other[i]);
	}
	for (int i = 0; i < 3; i++) {
		mesh_port_free(party->at_host[i]);
		mesh_port_free(party->at_leader[i]);
		mesh_node_free(party->hosts[i]);
	}
	mesh_node_free(party->leader);
}

/* `_i` is which one of the two is evicted: one of them has asked for the other, or both. */
START_TEST(nodes_that_have_met_an_evicted_one_are_told)
{
	struct party party;
	int gone = _i, left = !_i;

	party_make(&party);
	nodes_send_text(party.pair[gone], "last");
	ck_assert_int_eq(mesh_node_evict(party.leader, &party.hosts[gone]->space.node), 0);
	nodes_expect_text(party.pair[left], "last");
	nodes_expect_end(party.pair[left], -ECONNRESET);
	hello(party.at_leader[left], party.at_host[left]);
	hello(party.at_leader[2], party.at_host[2]);
	if (left == 0)
		hello(party.other[0], party.other[1]);
	else
		nodes_expect_end(party.other[1], -ECONNRESET);
	party_free(&party);
}
END_TEST

static bool has_asked(struct mesh_node *node, const struct mesh_id *id)
{
	struct mesh__peer *peer;
	bool asked;

	mesh__space_lock(&node->space);
	peer = mesh__peer_find(node, id);
	ck_assert(peer && peer->connected);
	asked = peer->asked;
	mesh__space_unlock(&node->space);
	return asked;
}

static void say_no_such_node(struct mesh_node *leader, const struct mesh_id *to, const struct mesh_id *id)
{
	struct mesh__follower *follower;
	struct mesh_message *message;

	ck_assert_int_eq(mesh__control_write_connect_order(id, -1, &message), 0);
	mesh__space_lock(&leader->space);
	HASH_FIND(hh, leader->followers, to, sizeof *to, follower);
	ck_assert_ptr_nonnull(follower);
	ck_assert_int_eq(mesh__port_send(follower->orders, message, false), 0);
	mesh__space_unlock(&leader->space);
}

/* The other has asked too, and its link was there first; when this node's question was answered it was leaving. */
START_TEST(the_answer_that_there_is_no_such_node_ends_no_link)
{
	struct party party;
	int askers = 0;

	party_make(&party);
	for (int i = 0; i < 2; i++) {
		const struct mesh_id *self = &party.hosts[i]->space.node, *other = &party.hosts[!i]->space.node;

		if (!has_asked(party.hosts[i], other))
			continue;
		askers++;
		say_no_such_node(party.leader, self, other);
		hello(party.at_leader[i], party.at_host[i]); /* it has heard that */
		ck_assert(!has_asked(party.hosts[i], other));
	}
	ck_assert_int_gt(askers, 0);
	hello(party.pair[0], party.pair[1]);
	party_free(&party);
}
END_TEST

/* ---- how it is called ---- */

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
	tcase_add_test(evict, the_answer_that_there_is_no_such_node_ends_no_link);
	tcase_add_test(evict, a_callback_may_evict_who_has_called);
	tcase_add_test(evict, wrong_evictions_are_refused);
	return suite;
}
SUPPORT_MAIN(make_suite)
