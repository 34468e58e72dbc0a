/* SPDX-License-Identifier: MIT */
/* S146: the leadership goes from node to node, in order, while others meet, and while the old leader dies. */
#include "nodes.h"

#include <errno.h>
#include <event2/event.h>
#include <mesh/control-priv.h>
#include <mesh/encoding.h>
#include <mesh/node-priv.h>
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>

#include "support.h"

enum { HOSTS = 4 };

struct family {
	struct event_base *base; /* the first leader's, where it has one */
	struct mesh_node *leader, *hosts[HOSTS];
	struct mesh_port *at_leader[HOSTS], *at_host[HOSTS];
};

/* After three round trips nothing that moved needs the leader any more, which is awake as long as it is waited for at it. */
static void settle(struct family *family)
{
	for (int trip = 0; trip < 3; trip++) {
		for (int i = 0; i < HOSTS; i++) {
			nodes_send_text(family->at_host[i], "up");
			nodes_expect_text(family->at_leader[i], "up");
			nodes_send_text(family->at_leader[i], "down");
			nodes_expect_text(family->at_host[i], "down");
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
	for (int i = 0; i < HOSTS; i++)
		nodes_invite(family->leader, &family->hosts[i], &family->at_leader[i], &family->at_host[i]);
	if (frozen)
		settle(family);
}

static void family_free(struct family *family)
{
	for (int i = 0; i < HOSTS; i++) {
		mesh_port_free(family->at_leader[i]);
		mesh_port_free(family->at_host[i]);
		mesh_node_free(family->hosts[i]);
	}
	mesh_node_free(family->leader);
	if (family->base)
		event_base_free(family->base);
}

static void check_that_it_carries(struct mesh_port *a, struct mesh_port *b)
{
	nodes_send_text(a, "there");
	nodes_expect_text(b, "there");
	nodes_send_text(b, "and back");
	nodes_expect_text(a, "and back");
}

static void check_all(struct family *family)
{
	for (int i = 0; i < HOSTS; i++)
		check_that_it_carries(family->at_leader[i], family->at_host[i]);
}

/* A port from each to the other one: the two have to be introduced, if they have not met. */
static void acquaint(struct family *family, int one, int other, struct mesh_port **ret_one, struct mesh_port **ret_other)
{
	struct mesh_port *a, *b;

	ck_assert_int_eq(mesh_port_pair(&a, &b), 0);
	nodes_send_port(family->at_leader[one], "for you", a);
	nodes_send_port(family->at_leader[other], "for you", b);
	*ret_one = nodes_expect_port(family->at_host[one], "for you");
	*ret_other = nodes_expect_port(family->at_host[other], "for you");
}

static void check_that_they_meet(struct family *family, int one, int other)
{
	struct mesh_port *a, *b;

	acquaint(family, one, other, &a, &b);
	check_that_it_carries(a, b);
	mesh_port_free(a);
	mesh_port_free(b);
}

static struct mesh_port *offer(struct mesh_node *leader)
{
	struct mesh_port *offered;
	struct pal_error error = {0};

	ck_assert_ok(mesh_node_offer_leadership(leader, &offered, &error), &error);
	return offered;
}

/* The first leader's offer, as the host got it. */
static struct mesh_port *offer_to(struct family *family, int host)
{
	nodes_send_port(family->at_leader[host], "lead", offer(family->leader));
	return nodes_expect_port(family->at_host[host], "lead");
}

static void hand_over(struct family *family, int host)
{
	struct pal_error error = {0};

	ck_assert_ok(mesh_node_take_leadership(
			     family->hosts[host], offer_to(family, host), NODES_PATIENCE, &error),
		&error);
	ck_assert(mesh_node_is_leader(family->hosts[host]));
	ck_assert(!mesh_node_is_leader(family->leader));
}

/* ---- in order ---- */

START_TEST(who_has_not_met_meets_through_the_new_leader)
{
	struct family family;

	family_make(&family, false);
	check_that_they_meet(&family, 1, 2);
	hand_over(&family, 0);
	check_all(&family);
	check_that_they_meet(&family, 1, 2);
	check_that_they_meet(&family, 1, 3);
	check_that_they_meet(&family, 3, 0);
	family_free(&family);
}
END_TEST

START_TEST(the_old_leader_may_leave)
{
	struct family family;
	struct mesh_port *a, *b, *c, *d;
	struct pal_error error = {0};

	family_make(&family, false);
	hand_over(&family, 0);
	acquaint(&family, 0, 1, &a, &b);
	acquaint(&family, 0, 2, &c, &d);
	check_that_it_carries(a, b);
	check_that_it_carries(c, d);
	if (_i == 0)
		ck_assert_ok(mesh_node_shutdown(family.leader, NODES_PATIENCE, &error), &error);
	mesh_node_free(family.leader);
	family.leader = NULL;
	for (int i = 0; i < HOSTS; i++)
		nodes_expect_end(family.at_host[i], -ECONNRESET);
	/* hosts 1 and 2 have never met */
	nodes_send_port(a, "yours", c);
	c = nodes_expect_port(b, "yours");
	check_that_it_carries(c, d);
	mesh_port_free(a);
	mesh_port_free(b);
	mesh_port_free(c);
	mesh_port_free(d);
	family_free(&family);
}
END_TEST

static void check_that_it_invites(struct mesh_node *leader)
{
	struct mesh_node *guest;
	struct mesh_port *here, *there;

	nodes_invite(leader, &guest, &here, &there);
	check_that_it_carries(here, there);
	mesh_port_free(here);
	mesh_port_free(there);
	mesh_node_free(guest);
}

static int try_to_invite(struct mesh_node *node)
{
	struct mesh_port *a, *b;
	struct mesh_invitation invitation = MESH_INVITATION_INIT;
	int r;

	ck_assert_int_eq(mesh_port_pair(&a, &b), 0);
	r = mesh_node_invite(node, a, &invitation, NULL);
	mesh_invitation_clear(&invitation);
	mesh_port_free(b);
	return r;
}

START_TEST(it_is_the_new_leader_who_invites_and_evicts)
{
	struct family family;
	struct mesh_id gone;

	family_make(&family, false);
	gone = family.hosts[3]->space.node;
	check_that_they_meet(&family, 2, 3);
	check_that_they_meet(&family, 2, 1);
	ck_assert_int_eq(try_to_invite(family.hosts[0]), -EOPNOTSUPP);
	hand_over(&family, 0);
	check_that_it_invites(family.hosts[0]);
	ck_assert_int_eq(try_to_invite(family.leader), -EOPNOTSUPP);
	ck_assert_int_eq(mesh_node_evict(family.leader, &gone), -EOPNOTSUPP);
	ck_assert_int_eq(mesh_node_evict(family.hosts[0], &gone), 0);
	nodes_expect_end(family.at_leader[3], -ECONNRESET); /* told by the new leader */
	check_that_they_meet(&family, 2, 1);
	family_free(&family);
}
END_TEST

/* From the first leader to a host, to another one, and back. */
START_TEST(it_goes_on_and_comes_back)
{
	struct family family;
	struct pal_error error = {0};
	struct mesh_port *offered;

	family_make(&family, false);
	hand_over(&family, 0);
	nodes_send_port(family.at_host[0], "lead", offer(family.hosts[0]));
	offered = nodes_expect_port(family.at_leader[0], "lead");
	nodes_send_port(family.at_leader[1], "lead", offered);
	offered = nodes_expect_port(family.at_host[1], "lead");
	ck_assert_ok(mesh_node_take_leadership(family.hosts[1], offered, NODES_PATIENCE, &error), &error);
	check_that_they_meet(&family, 2, 3);
	check_that_it_invites(family.hosts[1]);
	nodes_send_port(family.at_host[1], "lead", offer(family.hosts[1]));
	offered = nodes_expect_port(family.at_leader[1], "lead");
	ck_assert_ok(mesh_node_take_leadership(family.leader, offered, NODES_PATIENCE, &error), &error);
	check_that_they_meet(&family, 0, 3);
	check_that_they_meet(&family, 0, 2);
	check_that_it_invites(family.leader);
	check_all(&family);
	family_free(&family);
}
END_TEST

/* ---- while others are at it ---- */

struct asker {
	struct family *family;
	int from;
};

static void *take_it(void *arg)
{
	struct asker *asker = arg;
	struct mesh_port *offered = nodes_expect_port(asker->family->at_host[0], "lead");

	nodes_send_text(asker->family->at_host[0], "now");
	return mesh_node_take_leadership(asker->family->hosts[0], offered, NODES_PATIENCE, NULL) == 0 ? NULL : arg;
}

#define FRIENDS 40

/* Meetings that begin before, during and after: each of their ports brings what was sent. */
START_TEST(nobody_s_request_is_lost_on_the_way)
{
	struct mesh_port *one[FRIENDS], *other[FRIENDS];
	struct mesh_node *guests[FRIENDS];
	struct mesh_port *at_leader[FRIENDS], *at_guest[FRIENDS];
	struct family family;
	struct asker asker = {.family = &family};
	pthread_t thread;
	void *failed;

	family_make(&family, false);
	for (int i = 0; i < FRIENDS; i++)
		nodes_invite(family.leader, &guests[i], &at_leader[i], &at_guest[i]);
	ck_assert_int_eq(pthread_create(&thread, NULL, take_it, &asker), 0);
	for (int i = 0; i < FRIENDS; i++) {
		struct mesh_port *a, *b;

		if (i == FRIENDS / 4)
			nodes_send_port(family.at_leader[0], "lead", offer(family.leader));
		if (i == FRIENDS / 2)
			nodes_expect_text(family.at_leader[0], "now");
		ck_assert_int_eq(mesh_port_pair(&a, &b), 0);
		nodes_send_port(at_leader[i], "a", a);
		nodes_send_port(at_leader[(i + 1) % FRIENDS], "b", b);
		if (i)
			other[i - 1] = nodes_expect_port(at_guest[i], "b");
		one[i] = nodes_expect_port(at_guest[i], "a");
		nodes_send_text(one[i], "hello");
	}
	ck_assert_int_eq(pthread_join(thread, &failed), 0);
	ck_assert_ptr_null(failed);
	other[FRIENDS - 1] = nodes_expect_port(at_guest[0], "b");
	for (int i = 0; i < FRIENDS; i++) {
		nodes_expect_text(other[i], "hello");
		mesh_port_free(one[i]);
		mesh_port_free(other[i]);
	}
	for (int i = 0; i < FRIENDS; i++) {
		mesh_port_free(at_leader[i]);
		mesh_port_free(at_guest[i]);
		mesh_node_free(guests[i]);
	}
	family_free(&family);
}
END_TEST

/* As another implementation has, whose senders were copied. */
static struct mesh_port *another_request_port(struct mesh_node *node)
{
	struct mesh_writer *writer = mesh_writer_new();
	struct mesh_message *message;
	struct mesh_port *mine, *leaders;

	ck_assert_int_eq(mesh_port_pair(&mine, &leaders), 0);
	mesh_writer_put_port(writer, 2, leaders);
	ck_assert_int_eq(mesh_writer_finish(writer, &message), 0);
	ck_assert_int_eq(mesh_port_send(node->requests, message), 0);
	return mine;
}

static bool has_link(struct mesh_node *node, const struct mesh_id *id)
{
	const struct mesh__peer *peer;
	bool connected;

	mesh__space_lock(&node->space);
	peer = mesh__peer_find(node, id);
	connected = peer && peer->connected;
	mesh__space_unlock(&node->space);
	return connected;
}

static void ask_for(struct mesh_port *requests, const struct mesh_node *wanted)
{
	struct mesh_message *message;

	ck_assert_int_eq(mesh__control_write_connect_request(&wanted->space.node, &message), 0);
	ck_assert_int_eq(mesh_port_send(requests, message), 0);
}

START_TEST(a_follower_may_ask_on_more_ports_than_one)
{
	struct family family;
	struct mesh_port *requests[3];

	family_make(&family, false);
	for (int i = 0; i < 3; i++)
		requests[i] = another_request_port(family.hosts[1]);
	check_that_they_meet(&family, 1, 3); /* the leader has read these by now */
	hand_over(&family, 0);
	ask_for(requests[_i], family.hosts[2]);
	SUPPORT_LOOK_UNTIL(has_link(family.hosts[1], &family.hosts[2]->space.node));
	for (int i = 0; i < 3; i++)
		mesh_port_free(requests[i]);
	family_free(&family);
}
END_TEST

/* ---- refused ---- */

START_TEST(only_one_node_takes_it)
{
	struct family family;
	struct mesh_port *late;

	family_make(&family, false);
	late = offer_to(&family, 1);
	hand_over(&family, 0);
	ck_assert_int_eq(mesh_node_take_leadership(family.hosts[1], late, NODES_PATIENCE, NULL), -ECONNREFUSED);
	ck_assert(!mesh_node_is_leader(family.hosts[1]));
	check_that_they_meet(&family, 1, 2);
	family_free(&family);
}
END_TEST

START_TEST(what_cannot_be_said_why)
{
	struct family family;
	struct mesh_port *a, *b;
	struct pal_error error = {0};

	family_make(&family, false);
	ck_assert_int_eq(mesh_node_offer_leadership(NULL, &a, &error), -EINVAL);
	ck_assert_int_eq(mesh_node_offer_leadership(family.leader, NULL, &error), -EINVAL);
	ck_assert_int_eq(mesh_node_offer_leadership(family.hosts[0], &a, &error), -EOPNOTSUPP);
	ck_assert_int_eq(mesh_node_take_leadership(family.hosts[0], NULL, PAL_DEADLINE_NOW, &error), -EINVAL);
	ck_assert_int_eq(
		mesh_node_take_leadership(family.leader, offer(family.leader), PAL_DEADLINE_NOW, &error), -EALREADY);
	/* A port that is no offer: its other end is closed, or never answers. */
	ck_assert_int_eq(mesh_port_pair(&a, &b), 0);
	mesh_port_free(b);
	ck_assert_int_eq(mesh_node_take_leadership(family.hosts[0], a, NODES_PATIENCE, &error), -ECONNREFUSED);
	ck_assert_int_eq(mesh_port_pair(&a, &b), 0);
	ck_assert_int_eq(mesh_node_take_leadership(family.hosts[0], a, PAL_DEADLINE_NOW, &error), -ETIMEDOUT);
	ck_assert_int_eq(
		mesh_node_take_leadership(family.hosts[0], offer_to(&family, 0), PAL_DEADLINE_NOW, &error), -EALREADY);
	mesh_port_free(b); /* which is an answer */
	SUPPORT_LOOK_UNTIL(mesh_node_take_leadership(family.hosts[0], offer_to(&family, 0), NODES_PATIENCE, NULL) == 0);
	ck_assert(!mesh_node_is_leader(NULL));
	family_free(&family);
}
END_TEST

/* The first leader does nothing unless somebody waits at it. */
START_TEST(it_may_come_after_the_deadline)
{
	struct family family;
	struct mesh_port *offered;

	family_make(&family, true);
	offered = offer_to(&family, 0);
	ck_assert_int_eq(mesh_node_take_leadership(family.hosts[0], offered, PAL_DEADLINE_MS(1), NULL), -ETIMEDOUT);
	ck_assert(!mesh_node_is_leader(family.hosts[0]));
	while (mesh_node_is_leader(family.leader))
		ck_assert_int_ge(event_base_loop(family.base, EVLOOP_ONCE), 0);
	SUPPORT_LOOK_UNTIL(mesh_node_is_leader(family.hosts[0]));
	check_that_it_invites(family.hosts[0]);
	family_free(&family);
}
END_TEST

/* Claims that no node of this implementation makes. */
START_TEST(a_claim_for_a_stranger_or_of_nonsense_is_refused)
{
	struct family family;
	struct mesh_port *offered, *reply, *answer;
	struct mesh_message *message;
	struct mesh_id stranger = {{1}};

	family_make(&family, false);
	offered = offer_to(&family, 0);
	ck_assert_int_eq(mesh_port_pair(&reply, &answer), 0);
	if (_i == 0) {
		ck_assert_int_eq(mesh__control_write_claim(&stranger, reply, &message), 0);
	} else if (_i == 1) {
		ck_assert_int_eq(mesh__control_write_claim(&family.leader->space.node, reply, &message), 0);
	} else {
		message = mesh_message_new("nonsense", 8);
		ck_assert_int_eq(mesh_message_put_port(message, reply), 0);
	}
	ck_assert_int_eq(mesh_port_send(offered, message), 0);
	nodes_expect_end(answer, -EPIPE);
	ck_assert(mesh_node_is_leader(family.leader));
	mesh_port_free(answer);
	mesh_port_free(offered);
	hand_over(&family, 1);
	check_that_they_meet(&family, 2, 3);
	family_free(&family);
}
END_TEST

static int answer_nonsense(struct mesh_port *claims, int how)
{
	struct mesh_message *message = nodes_recv(claims);
	struct mesh_port *reply = mesh_message_take_port(message, 0);
	struct mesh_writer *writer = mesh_writer_new();
	int r;

	mesh_message_free(message);
	mesh_writer_begin(writer, 1);
	if (how) { /* one whole follower, and one without ports */
		struct mesh_port *a, *b;
		const struct mesh_id id = {{2}};

		for (int whole = 1; whole >= 0; whole--) {
			mesh_writer_begin(writer, 1);
			mesh_writer_begin(writer, 1);
			mesh_writer_begin(writer, 1);
			mesh_writer_bytes(writer, 1, id.bytes, sizeof id.bytes);
			mesh_writer_end(writer);
			mesh_writer_end(writer);
			ck_assert_int_eq(mesh_port_pair(&a, &b), 0);
			mesh_writer_put_port(writer, 2, a);
			if (whole)
				mesh_writer_put_port(writer, 3, b);
			else
				mesh_port_free(b);
			mesh_writer_end(writer);
		}
	} else {
		mesh_writer_varint(writer, 1, 7);
	}
	mesh_writer_end(writer);
	ck_assert_int_eq(mesh_writer_finish(writer, &message), 0);
	r = mesh_port_send_and_free(reply, message);
	mesh_port_free(claims);
	return r;
}

static void *take_from_a_liar(void *arg)
{
	struct asker *asker = arg;
	struct mesh_port *offered = nodes_expect_port(asker->family->at_host[0], "lead");

	asker->from = mesh_node_take_leadership(asker->family->hosts[0], offered, NODES_PATIENCE, NULL);
	return NULL;
}

START_TEST(a_list_of_followers_that_is_none_makes_no_leader)
{
	struct family family;
	struct asker asker = {.family = &family};
	struct mesh_port *offered, *claims;
	pthread_t thread;

	family_make(&family, false);
	ck_assert_int_eq(mesh_port_pair(&offered, &claims), 0);
	ck_assert_int_eq(pthread_create(&thread, NULL, take_from_a_liar, &asker), 0);
	nodes_send_port(family.at_leader[0], "lead", offered);
	ck_assert_int_eq(answer_nonsense(claims, _i), 0);
	ck_assert_int_eq(pthread_join(thread, NULL), 0);
	ck_assert_int_eq(asker.from, -ECONNREFUSED);
	ck_assert(!mesh_node_is_leader(family.hosts[0]));
	hand_over(&family, 0);
	family_free(&family);
}
END_TEST

/* ---- the old leader dies ---- */

static void *take_or_not(void *arg)
{
	struct asker *asker = arg;
	int r = mesh_node_take_leadership(
		asker->family->hosts[0], nodes_expect_port(asker->family->at_host[0], "lead"), NODES_PATIENCE, NULL);

	asker->from = r;
	return NULL;
}

/* Some microseconds: another moment in each of the runs. */
#define MOMENT 40

/* At any time: who meets meets, or is told that it cannot, and what was there is there. */
START_TEST(a_leader_that_dies_meanwhile_keeps_nobody_waiting)
{
	struct family family;
	struct asker asker = {.family = &family};
	struct mesh_port *a, *b, *c, *d;
	struct mesh_message *message;
	pthread_t thread;
	int r;

	family_make(&family, false);
	acquaint(&family, 0, 1, &a, &b);
	acquaint(&family, 0, 2, &c, &d);
	check_that_it_carries(a, b);
	check_that_it_carries(c, d);
	ck_assert_int_eq(pthread_create(&thread, NULL, take_or_not, &asker), 0);
	nodes_send_port(family.at_leader[0], "lead", offer(family.leader));
	for (int i = 0; i < _i * MOMENT; i++)
		sched_yield();
	mesh_node_free(family.leader);
	family.leader = NULL;
	ck_assert_int_eq(pthread_join(thread, NULL), 0);
	ck_assert_msg(asker.from == 0 || asker.from == -ECONNREFUSED, "%d", asker.from);
	check_that_it_carries(a, b);
	nodes_send_port(a, "yours", c);
	c = nodes_expect_port(b, "yours");
	nodes_send_text(d, "are you there");
	r = mesh_port_recv(c, NODES_PATIENCE, &message, NULL);
	ck_assert(r == 0 || r == -EPIPE || r == -ECONNRESET);
	ck_assert(r < 0 || asker.from == 0); /* not the reverse: host 2 may not have heard of its new leader */
	if (r == 0)
		mesh_message_free(message);
	mesh_port_free(a);
	mesh_port_free(b);
	mesh_port_free(c);
	mesh_port_free(d);
	family_free(&family);
}
END_TEST

/* ---- invitations by a node that does not lead ---- */

static void check_that_it_gets_an_invitation(struct mesh_node *node)
{
	struct mesh_invitation invitation;
	struct mesh_node *guest;
	struct mesh_port *here, *there, *passenger;
	struct pal_error error = {0};

	ck_assert_int_eq(mesh_port_pair(&here, &passenger), 0);
	ck_assert_ok(mesh_node_invite_by_leader(node, passenger, NODES_PATIENCE, &invitation, &error), &error);
	ck_assert_ok(mesh_node_join(&invitation, NULL, NODES_PATIENCE, &guest, &there, &error), &error);
	check_that_it_carries(here, there);
	mesh_port_free(here);
	mesh_port_free(there);
	mesh_node_free(guest);
}

static int try_by_leader(struct mesh_node *node, pal_deadline deadline)
{
	struct mesh_invitation invitation;
	struct mesh_port *here, *passenger;
	struct pal_error error;
	int r;

	ck_assert_int_eq(mesh_port_pair(&here, &passenger), 0);
	r = mesh_node_invite_by_leader(node, passenger, deadline, &invitation, &error);
	nodes_expect_end(here, -EPIPE);
	mesh_port_free(here);
	return r;
}

START_TEST(any_node_gets_invitations_from_whoever_leads)
{
	struct family family;

	family_make(&family, false);
	check_that_it_gets_an_invitation(family.hosts[1]);
	hand_over(&family, 0);
	check_that_it_gets_an_invitation(family.hosts[1]);
	check_that_it_gets_an_invitation(family.hosts[0]); /* which leads */
	check_that_it_gets_an_invitation(family.leader);   /* which does not any more */
	family_free(&family);
}
END_TEST

START_TEST(an_invitation_that_cannot_be_had_says_why)
{
	struct family family;
	struct mesh_invitation invitation;
	struct mesh_port *a, *b;

	family_make(&family, true);
	ck_assert_int_eq(try_by_leader(family.leader, NODES_PATIENCE), -ECONNRESET);
	ck_assert_int_eq(mesh_port_pair(&a, &b), 0);
	ck_assert_int_eq(mesh_node_invite_by_leader(NULL, a, NODES_PATIENCE, &invitation, NULL), -EINVAL);
	mesh_port_free(b);
	ck_assert_int_eq(mesh_port_pair(&a, &b), 0);
	ck_assert_int_eq(
		mesh_node_invite_by_leader(family.hosts[0], a, PAL_DEADLINE_MS(1), &invitation, NULL), -ETIMEDOUT);
	mesh_port_free(b);
	mesh_node_free(family.leader);
	family.leader = NULL;
	nodes_expect_end(family.at_host[1], -ECONNRESET);
	ck_assert_int_eq(try_by_leader(family.hosts[1], NODES_PATIENCE), -ECONNRESET);
	family_free(&family);
}
END_TEST

static Suite *make_suite(void)
{
	Suite *suite = suite_create("mesh/leadership");
	TCase *order = support_tcase(suite, "in order");
	TCase *refused = support_tcase(suite, "refused");
	TCase *death = support_tcase(suite, "death");
	TCase *invitations = support_tcase(suite, "invitations");

	tcase_add_test(order, who_has_not_met_meets_through_the_new_leader);
	tcase_add_loop_test(order, the_old_leader_may_leave, 0, 2);
	tcase_add_test(order, it_is_the_new_leader_who_invites_and_evicts);
	tcase_add_test(order, it_goes_on_and_comes_back);
	tcase_add_test(order, nobody_s_request_is_lost_on_the_way);
	tcase_add_loop_test(order, a_follower_may_ask_on_more_ports_than_one, 0, 3);
	tcase_add_test(refused, only_one_node_takes_it);
	tcase_add_test(refused, what_cannot_be_said_why);
	tcase_add_test(refused, it_may_come_after_the_deadline);
	tcase_add_loop_test(refused, a_claim_for_a_stranger_or_of_nonsense_is_refused, 0, 3);
	tcase_add_loop_test(refused, a_list_of_followers_that_is_none_makes_no_leader, 0, 2);
	tcase_add_loop_test(death, a_leader_that_dies_meanwhile_keeps_nobody_waiting, 0, 12);
	tcase_add_test(invitations, any_node_gets_invitations_from_whoever_leads);
	tcase_add_test(invitations, an_invitation_that_cannot_be_had_says_why);
	return suite;
}
SUPPORT_MAIN(make_suite)
