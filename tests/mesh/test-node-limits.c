/* SPDX-License-Identifier: MIT */
/*
 * What one node can make another one hold, and the end of that. The nodes are
 * real; what no sound program sends is made with the library's private headers.
 */
#include "nodes.h"

#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <mesh/control-priv.h>
#include <mesh/node-priv.h>
#include <pal/socket.h>

#include "support.h"

enum { LIMIT = 8 };

/* ---- two hosts of one leader, of which the first one is bad ---- */

static struct mesh_node *leader, *bad, *good;
static struct mesh_port *from_bad, *at_bad, *from_good, *at_good;

static void make_mesh(const struct mesh_node_options *options)
{
	struct pal_error error = {0};

	ck_assert_ok(mesh_node_new(options, &leader, &error), &error);
	nodes_invite(leader, &bad, &from_bad, &at_bad);
	nodes_invite(leader, &good, &from_good, &at_good);
}

static void free_mesh(void)
{
	mesh_port_free(from_bad);
	mesh_port_free(from_good);
	mesh_port_free(at_bad);
	mesh_port_free(at_good);
	mesh_node_free(bad);
	mesh_node_free(good);
	mesh_node_free(leader);
}

static void round_trip(struct mesh_port *here, struct mesh_port *there)
{
	nodes_send_text(here, "there");
	nodes_expect_text(there, "there");
	nodes_send_text(there, "and back");
	nodes_expect_text(here, "and back");
}

static unsigned links_over_limit(void)
{
	unsigned count;

	mesh__space_lock(&leader->space);
	count = leader->links_over_limit;
	mesh__space_unlock(&leader->space);
	return count;
}

/* What the leader holds for a node that it has a link to. */
static struct mesh__held held_for(const struct mesh_node *node)
{
	struct mesh__held held;
	struct mesh__peer *peer;

	mesh__space_lock(&leader->space);
	peer = mesh__peer_find(leader, &node->space.node);
	ck_assert_ptr_nonnull(peer);
	held = peer->remote.held;
	mesh__space_unlock(&leader->space);
	return held;
}

static void send_sized(struct mesh_port *port, size_t size, unsigned fds)
{
	struct mesh_message *message = mesh_message_new_sized(size);

	for (unsigned i = 0; i < fds; i++)
		ck_assert_int_eq(mesh_message_dup_fd(message, STDIN_FILENO), 0);
	ck_assert_int_eq(mesh_port_send(port, message), 0);
}

/* The messages that had come, at most `most` of them, and then the failure. */
static void expect_reset_after_at_most(struct mesh_port *port, unsigned most)
{
	struct mesh_message *message;
	unsigned count = 0;
	int result;

	while ((result = mesh_port_recv(port, NODES_PATIENCE, &message, NULL)) == 0) {
		mesh_message_free(message);
		count++;
	}
	ck_assert_int_eq(result, -ECONNRESET);
	ck_assert_uint_le(count, most);
}

/* ---- what waits unread ---- */

static const struct flood {
	struct mesh_node_options options;
	size_t size;
	unsigned fds, within; /* so many messages are within the limit */
} floods[] = {
	{{MESH_NODE_OPTIONS_INIT, .max_unread_messages = LIMIT}, 0, 0, LIMIT},
	{{MESH_NODE_OPTIONS_INIT, .max_unread_fds = 2 * LIMIT}, 0, 2, LIMIT},
	{{MESH_NODE_OPTIONS_INIT, .max_unread = LIMIT * 10000}, 9000, 0, LIMIT},
	{{MESH_NODE_OPTIONS_INIT, .max_unread = LIMIT * 1000000}, 990000, 0, LIMIT},
};
enum { FLOODS = sizeof floods / sizeof *floods };

START_TEST(a_node_that_sends_more_than_is_read_loses_its_link)
{
	const struct flood *flood = &floods[_i];

	make_mesh(&flood->options);
	round_trip(from_bad, at_bad);
	for (unsigned i = 0; i < flood->within + 1; i++)
		send_sized(at_bad, flood->size, flood->fds);
	nodes_expect_end(at_bad, -ECONNRESET); /* which the leader has decided, as nobody reads */
	ck_assert_uint_eq(links_over_limit(), 1);
	round_trip(from_good, at_good);
	expect_reset_after_at_most(from_bad, flood->within + 1);
	free_mesh();
}
END_TEST

/* A message on another port that came behind them is the proof that they have come. */
START_TEST(a_node_that_stays_within_the_limits_keeps_its_link)
{
	const struct flood *flood = &floods[_i];
	struct mesh_port *here, *there;

	make_mesh(&flood->options);
	ck_assert_int_eq(mesh_port_pair(&here, &there), 0);
	nodes_send_port(from_bad, "another", there);
	there = nodes_expect_port(at_bad, "another");
	round_trip(here, there);
	for (int round = 0; round < 3; round++) {
		for (unsigned i = 0; i < flood->within - 1; i++)
			send_sized(at_bad, flood->size, flood->fds);
		round_trip(here, there);
		ck_assert_uint_eq(held_for(bad).events, flood->within - 1);
		ck_assert_uint_eq(held_for(bad).fds, (flood->within - 1) * flood->fds);
		for (unsigned i = 0; i < flood->within - 1; i++)
			mesh_message_free(nodes_recv(from_bad));
		ck_assert_uint_eq(held_for(bad).events + held_for(bad).fds + held_for(bad).bytes, 0);
	}
	/* What is not stored does not count: closes, and messages for a port that is closed here. */
	for (unsigned i = 0; i < flood->within - 1; i++)
		send_sized(at_bad, flood->size, flood->fds);
	mesh_port_free(PAL_TAKE_POINTER(at_bad));
	round_trip(here, there);
	for (unsigned i = 0; i < flood->within - 1; i++)
		mesh_message_free(nodes_recv(from_bad));
	nodes_expect_end(from_bad, -EPIPE);
	mesh_port_free(here);
	for (unsigned i = 0; i < 3 * flood->within; i++)
		send_sized(there, flood->size, flood->fds);
	nodes_expect_end(there, -EPIPE);
	ck_assert_uint_eq(links_over_limit(), 0);
	mesh_port_free(there);
	free_mesh();
}
END_TEST

START_TEST(closing_a_port_gives_back_what_was_unread_on_it)
{
	const struct mesh_node_options options = {MESH_NODE_OPTIONS_INIT, .max_unread_messages = LIMIT};

	make_mesh(&options);
	for (int i = 0; i < 5; i++) {
		struct mesh_port *here, *there;

		ck_assert_int_eq(mesh_port_pair(&here, &there), 0);
		nodes_send_port(from_bad, "another", there);
		there = nodes_expect_port(at_bad, "another");
		for (int n = 0; n < LIMIT - 1; n++)
			send_sized(there, 100, 1);
		mesh_port_free(there);
		round_trip(from_bad, at_bad);
		ck_assert_uint_eq(held_for(bad).events, LIMIT - 1);
		mesh_port_free(here);
		ck_assert_uint_eq(held_for(bad).events, 0);
	}
	ck_assert_uint_eq(links_over_limit(), 0);
	free_mesh();
}
END_TEST

/* ---- by callback ---- */

struct counter {
	pthread_mutex_t lock;
	unsigned seen;
};

static void count(struct mesh_port *port, int status, struct mesh_message *message, void *userdata)
{
	struct counter *counter = userdata;

	(void)port;
	(void)status;
	mesh_message_free(message);
	pthread_mutex_lock(&counter->lock);
	counter->seen++;
	pthread_mutex_unlock(&counter->lock);
}

/* More is sent at a stretch than the limit: reading must not be faster than the callback. */
START_TEST(a_program_that_takes_everything_by_callback_is_within_the_limits)
{
	const struct mesh_node_options options = {
		MESH_NODE_OPTIONS_INIT, .max_unread_messages = 2 * MESH__PACKETS_PER_TURN};
	struct counter counter = {.lock = PTHREAD_MUTEX_INITIALIZER};
	enum { MESSAGES = 20000 };

	make_mesh(&options);
	ck_assert_int_eq(mesh_port_set_callback(from_bad, NULL, count, &counter), 0);
	for (unsigned i = 0; i < MESSAGES; i++)
		send_sized(at_bad, 10, 0);
	mesh_port_free(PAL_TAKE_POINTER(at_bad));
	for (unsigned seen = 0; seen < MESSAGES + 1;) { /* and the end */
		pthread_mutex_lock(&counter.lock);
		seen = counter.seen;
		pthread_mutex_unlock(&counter.lock);
		ck_assert_uint_eq(links_over_limit(), 0);
		sched_yield();
	}
	free_mesh();
}
END_TEST

/* ---- a guest without a node: events that no library sends ---- */

struct wild {
	struct mesh_invitation invitation;
	struct mesh_port *port; /* the leader's */
	struct mesh_id target;  /* what the events are for */
};

/* The leader's port for its guest, as the wild one would read it from the first message. */
static struct wild wild_guest(void)
{
	struct wild wild;
	struct mesh_port *passenger;
	struct pal_error error = {0};
	uint8_t packet[MESH__PACKET_MAX];
	struct mesh__raw_event event;
	struct mesh__record record;
	ssize_t size;

	ck_assert_int_eq(mesh_port_pair(&wild.port, &passenger), 0);
	ck_assert_ok(mesh_node_invite(leader, passenger, &wild.invitation, &error), &error);
	ck_assert_int_eq(fcntl(wild.invitation.fd, F_SETFL, 0), 0);
	size = recv(wild.invitation.fd, packet, sizeof packet, 0);
	ck_assert_int_gt(size, 0);
	ck_assert_int_eq(mesh__raw_event_parse(packet + MESH__PACKET_HEADER_SIZE,
				 (size_t)size - MESH__PACKET_HEADER_SIZE, &event),
		0);
	ck_assert_uint_eq(event.record_count, 3);
	mesh__record_parse(event.records + 2 * MESH__RECORD_SIZE, &record);
	wild.target = record.peer_port;
	return wild;
}

static void wild_send(const struct wild *wild, enum mesh__event_type type, uint64_t seq, const struct mesh__record *records,
	size_t count, const void *body, size_t size)
{
	uint8_t packet[MESH__PACKET_MAX], *event = packet + MESH__PACKET_HEADER_SIZE;

	mesh__packet_header_write(packet, MESH__PACKET_EVENT);
	mesh__event_header_write(event, &wild->target, (uint8_t)type, type == MESH__EVENT_MESSAGE ? MESH__FLAG_MESSAGE : 0,
		seq, (uint32_t)count, (uint32_t)size);
	for (size_t i = 0; i < count; i++)
		mesh__record_write(event + MESH__EVENT_HEADER_SIZE + i * MESH__RECORD_SIZE, &records[i]);
	if (size)
		memcpy(event + mesh__event_size(count, 0), body, size);
	/* It waits where there is no room; once the leader has closed the link it fails, which is seen later. */
	(void)!pal_socket_send(
		wild->invitation.fd, packet, MESH__PACKET_HEADER_SIZE + mesh__event_size(count, size), NULL, 0);
}

/* Reads until the leader has closed the link. */
static void wild_expect_end(struct wild *wild)
{
	uint8_t packet[MESH__PACKET_MAX];
	ssize_t size;

	do
		size = recv(wild->invitation.fd, packet, sizeof packet, 0);
	while (size > 0);
	mesh_invitation_clear(&wild->invitation);
	ck_assert_uint_eq(links_over_limit(), 1);
	round_trip(from_good, at_good);
	mesh_port_free(wild->port);
}

/* The first one never comes, so nothing is ever delivered. */
START_TEST(events_that_wait_for_a_missing_one_count)
{
	const struct mesh_node_options options = {MESH_NODE_OPTIONS_INIT, .max_unread_messages = 100};
	struct mesh__change_peer change = {.node = {.bytes = {1}}, .port = {.bytes = {2}}};
	uint8_t body[MESH__CHANGE_PEER_SIZE];
	struct wild wild;

	make_mesh(&options);
	wild = wild_guest();
	mesh__change_peer_write(body, &change);
	for (uint64_t i = 0; i <= 100; i++) {
		if (_i)
			wild_send(&wild, MESH__EVENT_CHANGE_PEER, 5 + i, NULL, 0, body, sizeof body);
		else
			wild_send(&wild, MESH__EVENT_MESSAGE, 5 + i, NULL, 0, "early", 5);
	}
	wild_expect_end(&wild);
	free_mesh();
}
END_TEST

/* The program frees each, but their peers never say that they know. */
START_TEST(ports_that_are_never_closed_count)
{
	const struct mesh_node_options options = {MESH_NODE_OPTIONS_INIT, .max_unread = 500 * sizeof(struct mesh_port)};
	struct mesh__record record = {.next_local_seq = 1};
	struct mesh_message *message;
	struct wild wild;

	make_mesh(&options);
	wild = wild_guest();
	record.old_node = record.peer_node = wild.invitation.local_node;
	for (uint64_t i = 0; i < 600; i++) {
		ck_assert_int_eq(mesh__id_random(&record.id), 0);
		ck_assert_int_eq(mesh__id_random(&record.old_port), 0);
		ck_assert_int_eq(mesh__id_random(&record.peer_port), 0);
		wild_send(&wild, MESH__EVENT_MESSAGE, 1 + i, &record, 1, NULL, 0);
		if (mesh_port_recv(wild.port, NODES_PATIENCE, &message, NULL) < 0)
			break;
		ck_assert_uint_lt(i, 501);
		mesh_message_free(message);
	}
	wild_expect_end(&wild);
	free_mesh();
}
END_TEST

/* ---- requests to the leader ---- */

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

	while (!get_guest(node, &invitation))
		sched_yield();
	return invitation;
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

static Suite *make_suite(void)
{
	Suite *suite = suite_create("mesh/node-limits");
	TCase *unread = support_tcase(suite, "unread"), *leading = support_tcase(suite, "leading");

	tcase_set_timeout(unread, 60);
	tcase_add_loop_test(unread, a_node_that_sends_more_than_is_read_loses_its_link, 0, FLOODS);
	tcase_add_loop_test(unread, a_node_that_stays_within_the_limits_keeps_its_link, 0, FLOODS);
	tcase_add_test(unread, closing_a_port_gives_back_what_was_unread_on_it);
	tcase_add_test(unread, a_program_that_takes_everything_by_callback_is_within_the_limits);
	tcase_add_loop_test(unread, events_that_wait_for_a_missing_one_count, 0, 2);
	tcase_add_test(unread, ports_that_are_never_closed_count);
	tcase_add_test(leading, a_node_may_have_so_many_guests_at_a_time);
	tcase_add_test(leading, what_this_program_invites_itself_is_not_counted);
	tcase_add_test(leading, requests_that_nobody_answers_any_more_are_freed_with_the_leader);
	tcase_add_test(leading, two_nodes_are_introduced_so_many_times);
	return suite;
}
SUPPORT_MAIN(make_suite)
