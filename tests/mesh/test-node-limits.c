/* SPDX-License-Identifier: MIT */
/*
 * What one node can make another one hold, and the end of that. The nodes are
 * real; what no sound program sends is made with the library's private headers.
 */
#include "limits.h"
#include "wild.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <pal/socket.h>

#include "support.h"

enum { LIMIT = 8 };

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
	{{WHOLE_ACCOUNT_PER_PORT, .max_unread_messages = LIMIT}, 0, 0, LIMIT},
	{{WHOLE_ACCOUNT_PER_PORT, .max_unread_fds = 2 * LIMIT}, 0, 2, LIMIT},
	{{WHOLE_ACCOUNT_PER_PORT, .max_unread = LIMIT * 10000}, 9000, 0, LIMIT},
	{{WHOLE_ACCOUNT_PER_PORT, .max_unread = LIMIT * 1000000}, 990000, 0, LIMIT},
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
	const struct mesh_node_options options = {WHOLE_ACCOUNT_PER_PORT, .max_unread_messages = LIMIT};

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
	pthread_cond_t changed;
	unsigned seen;
	bool go_on;
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

static void expect_counted(struct counter *counter, unsigned expected)
{
	for (unsigned seen = 0; seen < expected;) {
		pthread_mutex_lock(&counter->lock);
		seen = counter->seen;
		pthread_mutex_unlock(&counter->lock);
		ck_assert_uint_eq(links_over_limit(), 0);
		support_look_again();
	}
}

enum { MESSAGES = 20000 };

/* More is sent at a stretch than the limit: reading must not be faster than the callback. */
START_TEST(a_program_that_takes_everything_by_callback_is_within_the_limits)
{
	const struct mesh_node_options options = {
		WHOLE_ACCOUNT_PER_PORT, .max_unread_messages = 2 * MESH__PACKETS_PER_TURN};
	struct counter counter = {.lock = PTHREAD_MUTEX_INITIALIZER};

	make_mesh(&options);
	ck_assert_int_eq(mesh_port_set_callback(from_bad, NULL, count, &counter), 0);
	for (unsigned i = 0; i < MESSAGES; i++)
		send_sized(at_bad, 10, 0);
	mesh_port_free(PAL_TAKE_POINTER(at_bad));
	expect_counted(&counter, MESSAGES + 1); /* and the end */
	free_mesh();
}
END_TEST

static bool a_thread_lets_home_go_first(void)
{
	bool yields;

	mesh__space_lock(&leader->space);
	yields = leader->poller.home_patience != 0;
	mesh__space_unlock(&leader->space);
	return yields;
}

/* The callback stands still at first, and a thread that waits for something else could read all of it. */
START_TEST(a_thread_that_waits_does_not_read_faster_than_the_callback_at_home)
{
	const struct mesh_node_options options = {
		WHOLE_ACCOUNT_PER_PORT, .max_unread_messages = 40 * MESH__PACKETS_PER_TURN};
	struct counter counter = {.lock = PTHREAD_MUTEX_INITIALIZER};
	pthread_t reads;
	void *received;

	make_mesh(&options);
	ck_assert_int_eq(pthread_create(&reads, NULL, nodes_receive_all, from_good), 0);
	ck_assert_int_eq(mesh_port_set_callback(from_bad, NULL, count, &counter), 0);
	pthread_mutex_lock(&counter.lock);
	for (unsigned i = 0; i < MESSAGES; i++)
		send_sized(at_bad, 10, 0);
	SUPPORT_LOOK_UNTIL(a_thread_lets_home_go_first() || links_over_limit());
	pthread_mutex_unlock(&counter.lock);
	expect_counted(&counter, MESSAGES);
	mesh_port_free(PAL_TAKE_POINTER(at_good));
	ck_assert_int_eq(pthread_join(reads, &received), 0);
	ck_assert_ptr_null(received);
	free_mesh();
}
END_TEST

/* A callback waits for what another thread is to receive, behind all that has come for the callback. */
static void wait_for_the_other(struct mesh_port *port, int status, struct mesh_message *message, void *userdata)
{
	struct counter *counter = userdata;

	count(port, status, message, userdata);
	pthread_mutex_lock(&counter->lock);
	while (!counter->go_on)
		pthread_cond_wait(&counter->changed, &counter->lock);
	pthread_mutex_unlock(&counter->lock);
}

START_TEST(a_callback_may_wait_for_what_another_thread_receives)
{
	const struct mesh_node_options options = {
		WHOLE_ACCOUNT_PER_PORT, .max_unread_messages = 6 * MESH__PACKETS_PER_TURN};
	enum { FEW = 5 * MESH__PACKETS_PER_TURN };
	struct counter counter = {.lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER};
	struct mesh_port *here, *there;

	make_mesh(&options);
	ck_assert_int_eq(mesh_port_pair(&here, &there), 0);
	nodes_send_port(from_bad, "there", there);
	there = nodes_expect_port(at_bad, "there");
	ck_assert_int_eq(mesh_port_set_callback(from_bad, NULL, wait_for_the_other, &counter), 0);
	for (unsigned i = 0; i < FEW; i++)
		send_sized(at_bad, 10, 0);
	nodes_send_text(there, "go on");
	nodes_expect_text(here, "go on");
	pthread_mutex_lock(&counter.lock);
	counter.go_on = true;
	pthread_cond_signal(&counter.changed);
	pthread_mutex_unlock(&counter.lock);
	expect_counted(&counter, FEW);
	mesh_port_free(here);
	mesh_port_free(there);
	free_mesh();
}
END_TEST

/* ---- a guest without a node: events that no library sends ---- */

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
	const struct mesh_node_options options = {WHOLE_ACCOUNT_PER_PORT, .max_unread_messages = 100};
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
	const struct mesh_node_options options = {WHOLE_ACCOUNT_PER_PORT, .max_unread = 500 * sizeof(struct mesh_port)};
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

/* For no port, then for one; then that port has had this number, and fails. */
START_TEST(a_large_body_is_read_for_a_port_that_is_there)
{
	const size_t body = 100000;
	struct wild wild;
	uint8_t *event = calloc(1, mesh__event_size(0, body)), packet[MESH__PACKET_HEADER_SIZE];
	struct mesh__peer *peer;
	int memfds[2];

	make_mesh(NULL);
	wild = wild_guest();
	for (int known = 0; known < 2; known++) {
		struct mesh_id nobody = {.bytes = {1}};

		mesh__event_header_write(event, known ? &wild.target : &nobody, MESH__EVENT_MESSAGE, MESH__FLAG_MESSAGE, 1,
			0, (uint32_t)body);
		memfds[known] = mesh__large_event_open(mesh__event_size(0, body));
		ck_assert_int_eq(mesh__large_event_write(memfds[known], event, mesh__event_size(0, body)), 0);
		ck_assert_int_ge(memfds[known], 0);
	}
	free(event);
	mesh__packet_header_write(packet, MESH__PACKET_LARGE_EVENT);
	for (int i = 0; i < 30; i++)
		ck_assert_int_eq(pal_socket_send(wild.invitation.fd, packet, sizeof packet, &memfds[i / 10 == 1], 1),
			sizeof packet);
	wild_send(&wild, MESH__EVENT_MESSAGE, 2, NULL, 0, "late", 4);
	mesh_message_free(nodes_recv(wild.port));
	nodes_expect_end(wild.port, -ECONNRESET);
	round_trip(from_good, at_good);
	mesh__space_lock(&leader->space);
	peer = mesh__peer_find(leader, &wild.invitation.local_node);
	ck_assert_ptr_nonnull(peer);
	ck_assert_uint_ge(peer->link.bodies_read, 1);
	ck_assert_uint_le(peer->link.bodies_read, 2);
	mesh__space_unlock(&leader->space);
	close(memfds[0]);
	close(memfds[1]);
	mesh_port_free(wild.port);
	mesh_invitation_clear(&wild.invitation);
	free_mesh();
}
END_TEST

static Suite *make_suite(void)
{
	Suite *suite = suite_create("mesh/node-limits");
	TCase *unread = support_tcase(suite, "unread");

	tcase_set_timeout(unread, 60);
	tcase_add_loop_test(unread, a_node_that_sends_more_than_is_read_loses_its_link, 0, FLOODS);
	tcase_add_loop_test(unread, a_node_that_stays_within_the_limits_keeps_its_link, 0, FLOODS);
	tcase_add_test(unread, closing_a_port_gives_back_what_was_unread_on_it);
	tcase_add_test(unread, a_program_that_takes_everything_by_callback_is_within_the_limits);
	tcase_add_test(unread, a_thread_that_waits_does_not_read_faster_than_the_callback_at_home);
	tcase_add_test(unread, a_callback_may_wait_for_what_another_thread_receives);
	tcase_add_loop_test(unread, events_that_wait_for_a_missing_one_count, 0, 2);
	tcase_add_test(unread, ports_that_are_never_closed_count);
	tcase_add_test(unread, a_large_body_is_read_for_a_port_that_is_there);
	return suite;
}
SUPPORT_MAIN(make_suite)
