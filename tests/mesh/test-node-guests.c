/* SPDX-License-Identifier: MIT */
/*
 * What a node may ask of its leader, and how often: guests, and meetings with
 * other nodes. The requests are made with the library's private headers.
 */
#include "limits.h"

#include <errno.h>
#include <event2/event.h>

#include <mesh/control-priv.h>

#include "support.h"

enum { LIMIT = 8 };

/* ---- guests ---- */

/* Asks as a node of another implementation does; the end of the port where the answer comes. */
static struct mesh_port *ask_for_guest(struct mesh_node *node)
{
	struct mesh_port *user, *user_peer, *reply, *reply_peer;
	struct mesh_message *message;

	ck_assert_int_eq(mesh_port_pair(&user, &user_peer), 0);
	ck_assert_int_eq(mesh_port_pair(&reply, &reply_peer), 0);
	ck_assert_int_eq(mesh__control_write_invite_request(user_peer, reply_peer, &message), 0);
	ck_assert_int_eq(mesh_port_send(node->requests, message), 0);
	mesh_port_free(user);
	return reply;
}

/* Whether the leader has invited. */
static bool get_guest(struct mesh_node *node, struct mesh_invitation *ret)
{
	struct mesh_port *reply = ask_for_guest(node);
	struct mesh_message *message;
	struct pal_error error;
	int result = mesh_port_recv(reply, NODES_PATIENCE, &message, NULL);

	if (result) {
		ck_assert_int_eq(result, -EPIPE); /* refused */
	} else {
		ck_assert_ok(mesh__control_read_invitation(message, ret, &error), &error);
		mesh_message_free(message);
	}
	mesh_port_free(reply);
	return !result;
}

/* A link's end is noticed some time. */
static struct mesh_invitation get_guest_at_last(struct mesh_node *node)
{
	struct mesh_invitation invitation;

	SUPPORT_LOOK_UNTIL(get_guest(node, &invitation));
	return invitation;
}

static unsigned follower_count(void)
{
	unsigned count;

	mesh__space_lock(&leader->space);
	count = HASH_COUNT(leader->followers);
	mesh__space_unlock(&leader->space);
	return count;
}

START_TEST(a_node_may_have_so_many_guests_at_a_time)
{
	const struct mesh_node_options options = {MESH_NODE_OPTIONS_INIT, .max_guests = 3};
	struct mesh_invitation guests[3], others[3], refused;
	struct mesh_node *guest;
	struct mesh_port *at_guest;
	struct pal_error error;

	make_mesh(&options);
	for (int i = 0; i < 3; i++)
		ck_assert(get_guest(bad, &guests[i]));
	ck_assert(!get_guest(bad, &refused));
	ck_assert(!get_guest(bad, &refused));
	for (int i = 0; i < 3; i++)
		ck_assert(get_guest(good, &others[i])); /* that is its own affair */
	/* One that has joined still counts, and those that it asks for do so too. */
	ck_assert_ok(mesh_node_join(&guests[0], NULL, NODES_PATIENCE, &guest, &at_guest, &error), &error);
	ck_assert(!get_guest(bad, &refused));
	ck_assert(!get_guest(guest, &refused));
	mesh_invitation_clear(&guests[1]);
	guests[1] = get_guest_at_last(guest);
	ck_assert(!get_guest(bad, &refused));
	mesh_port_free(at_guest);
	mesh_node_free(guest);
	guests[0] = get_guest_at_last(bad);
	ck_assert(!get_guest(bad, &refused));
	for (int i = 0; i < 3; i++) {
		mesh_invitation_clear(&guests[i]);
		mesh_invitation_clear(&others[i]);
	}
	free_mesh();
}
END_TEST

/* It can do without: it is the link that it is counted for, and that has what it costs the leader. */
START_TEST(a_guest_that_closes_its_requests_is_still_counted)
{
	const struct mesh_node_options options = {MESH_NODE_OPTIONS_INIT, .max_guests = 1};
	struct mesh_invitation invitation, refused;
	struct mesh_node *guest;
	struct mesh_port *at_guest;
	struct pal_error error;

	make_mesh(&options);
	ck_assert(get_guest(bad, &invitation));
	ck_assert_ok(mesh_node_join(&invitation, NULL, NODES_PATIENCE, &guest, &at_guest, &error), &error);
	mesh_port_free(PAL_TAKE_POINTER(guest->requests));
	SUPPORT_LOOK_UNTIL(follower_count() <= 2);
	ck_assert(!get_guest(bad, &refused));
	mesh_port_free(at_guest);
	mesh_node_free(guest);
	invitation = get_guest_at_last(bad);
	mesh_invitation_clear(&invitation);
	free_mesh();
}
END_TEST

/* A node could be all its guests by itself. */
START_TEST(a_node_and_its_guests_have_one_account)
{
	const struct mesh_node_options options = {WHOLE_ACCOUNT_PER_PORT, .max_unread_messages = 2 * LIMIT};
	struct mesh_port *user, *user_peer, *reply, *reply_peer, *at_guest;
	struct mesh_invitation invitation;
	struct mesh_message *message;
	struct mesh_node *guest;
	struct pal_error error;

	make_mesh(&options);
	/* What the guest sends goes to a port of the program, by way of the bad node. */
	ck_assert_int_eq(mesh_port_pair(&user, &user_peer), 0);
	ck_assert_int_eq(mesh_port_pair(&reply, &reply_peer), 0);
	nodes_send_port(from_bad, "for your guest", user_peer);
	user_peer = nodes_expect_port(at_bad, "for your guest");
	ck_assert_int_eq(mesh__control_write_invite_request(user_peer, reply_peer, &message), 0);
	ck_assert_int_eq(mesh_port_send(bad->requests, message), 0);
	message = nodes_recv(reply);
	ck_assert_ok(mesh__control_read_invitation(message, &invitation, &error), &error);
	mesh_message_free(message);
	mesh_port_free(reply);
	ck_assert_ok(mesh_node_join(&invitation, NULL, NODES_PATIENCE, &guest, &at_guest, &error), &error);
	round_trip(user, at_guest);

	for (unsigned i = 0; i < LIMIT; i++)
		send_sized(at_bad, 1, 0);
	SUPPORT_LOOK_UNTIL(held_for(bad).events >= LIMIT);
	for (unsigned i = 0; i < LIMIT + 1; i++)
		send_sized(at_guest, 1, 0);
	nodes_expect_end(at_guest, -ECONNRESET);
	ck_assert_uint_eq(links_over_limit(), 1);
	round_trip(from_good, at_good);
	mesh_port_free(user);
	mesh_port_free(at_guest);
	mesh_node_free(guest);
	free_mesh();
}
END_TEST

START_TEST(what_this_program_invites_itself_is_not_counted)
{
	const struct mesh_node_options options = {MESH_NODE_OPTIONS_INIT, .max_guests = 1};
	struct mesh_invitation guest;

	make_mesh(&options);
	ck_assert(get_guest(bad, &guest));
	mesh_invitation_clear(&guest);
	free_mesh();
}
END_TEST

/* The leader's home is a base that never runs, so that whoever waits at the leader takes requests in and answers none. */
START_TEST(requests_that_nobody_answers_any_more_are_freed_with_the_leader)
{
	struct mesh_node_options options = {MESH_NODE_OPTIONS_INIT, .base = event_base_new()};
	struct mesh_port *replies[5];

	make_mesh(&options);
	for (int i = 0; i < 5; i++)
		replies[i] = ask_for_guest(bad);
	nodes_send_text(at_bad, "they are there");
	nodes_expect_text(from_bad, "they are there");
	mesh__space_lock(&leader->space);
	ck_assert(!STAILQ_EMPTY(&leader->invite_requests));
	mesh__space_unlock(&leader->space);
	mesh_node_free(PAL_TAKE_POINTER(leader));
	for (int i = 0; i < 5; i++) {
		struct mesh_message *message;
		int result = mesh_port_recv(replies[i], NODES_PATIENCE, &message, NULL);

		ck_assert(result == -EPIPE || result == -ECONNRESET);
		mesh_port_free(replies[i]);
	}
	free_mesh();
	event_base_free(options.base);
}
END_TEST

/* ---- meetings ---- */

static void ask_for_link(struct mesh_node *node, const struct mesh_node *to)
{
	struct mesh_message *message;

	ck_assert_int_eq(mesh__control_write_connect_request(&to->space.node, &message), 0);
	ck_assert_int_eq(mesh_port_send(node->requests, message), 0);
}

static unsigned times_introduced(const struct mesh_node *node, const struct mesh_node *to)
{
	struct mesh__introduction *introduction = NULL;
	struct mesh__follower *follower;
	unsigned times;

	mesh__space_lock(&leader->space);
	HASH_FIND(hh, leader->followers, &node->space.node, sizeof node->space.node, follower);
	ck_assert_ptr_nonnull(follower);
	HASH_FIND(hh, follower->introductions, &to->space.node, sizeof to->space.node, introduction);
	times = introduction ? introduction->times : 0;
	mesh__space_unlock(&leader->space);
	return times;
}

START_TEST(two_nodes_are_introduced_so_many_times)
{
	const struct mesh_node_options options = {MESH_NODE_OPTIONS_INIT, .max_introductions = 3};
	struct mesh_invitation invitation;

	make_mesh(&options);
	for (int i = 0; i < 10; i++)
		ask_for_link(bad, good);
	ck_assert(get_guest(bad, &invitation)); /* requests are served in their order */
	ck_assert_uint_eq(times_introduced(bad, good), 3);
	ck_assert_uint_eq(times_introduced(good, bad), 0);
	mesh_invitation_clear(&invitation);
	round_trip(from_bad, at_bad);
	round_trip(from_good, at_good);
	mesh_port_free(PAL_TAKE_POINTER(at_good));
	mesh_node_free(PAL_TAKE_POINTER(good));
	free_mesh();
}
END_TEST

/* Once each, and as often again as one alone. */
START_TEST(a_node_and_its_guests_together_meet_another_one_so_many_times)
{
	const struct mesh_node_options options = {MESH_NODE_OPTIONS_INIT, .max_introductions = 3};
	struct mesh_invitation invitation, other;
	struct mesh_port *at_guest;
	struct mesh_node *guest;
	struct pal_error error;

	make_mesh(&options);
	ck_assert(get_guest(bad, &invitation));
	ck_assert_ok(mesh_node_join(&invitation, NULL, NODES_PATIENCE, &guest, &at_guest, &error), &error);
	for (int i = 0; i < 10; i++)
		ask_for_link(bad, good);
	ck_assert(get_guest(bad, &other));
	mesh_invitation_clear(&other);
	for (int i = 0; i < 10; i++)
		ask_for_link(guest, good);
	ck_assert(get_guest(guest, &other));
	ck_assert_uint_eq(times_introduced(bad, good), 3);
	/* The other guest may be gone or not when they are asked for. */
	ck_assert_uint_ge(times_introduced(guest, good), 1);
	ck_assert_uint_le(times_introduced(guest, good), 2);
	mesh_invitation_clear(&other);
	round_trip(from_good, at_good);
	mesh_port_free(at_guest);
	mesh_node_free(guest);
	free_mesh();
}
END_TEST

static Suite *make_suite(void)
{
	Suite *suite = suite_create("mesh/node-guests");
	TCase *guests = support_tcase(suite, "guests"), *meetings = support_tcase(suite, "meetings");

	tcase_add_test(guests, a_node_may_have_so_many_guests_at_a_time);
	tcase_add_test(guests, a_guest_that_closes_its_requests_is_still_counted);
	tcase_add_test(guests, a_node_and_its_guests_have_one_account);
	tcase_add_test(guests, what_this_program_invites_itself_is_not_counted);
	tcase_add_test(guests, requests_that_nobody_answers_any_more_are_freed_with_the_leader);
	tcase_add_test(meetings, two_nodes_are_introduced_so_many_times);
	tcase_add_test(meetings, a_node_and_its_guests_together_meet_another_one_so_many_times);
	return suite;
}
SUPPORT_MAIN(make_suite)
