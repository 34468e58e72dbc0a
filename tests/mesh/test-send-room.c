/* SPDX-License-Identifier: MIT */
/* What may be sent before it is read. */
#include "send-room.h"

#include <errno.h>
#include <event2/event.h>
#include <string.h>

#include "nodes.h"
#include "support.h"

/* ---- the bounds ---- */

START_TEST(beyond_the_bound_sending_says_so_and_what_was_accepted_arrives) /* S153 */
{
	unsigned sent, fds = bounds[_i].max_queued_fds ? 1 : 0;
	struct mesh_message *message;

	make_mesh(&bounds[_i]);
	sent = fill(at_leader, KIB, fds);
	ck_assert_uint_gt(sent, 50); /* and what the socket has taken */
	ck_assert_uint_lt(sent, 1500);
	for (int i = 0; i < 3; i++) {
		message = numbered(0, KIB);
		add_fds(message, fds);
		ck_assert_int_eq(mesh_port_send(at_leader, message), -EAGAIN);
		message = numbered(0, KIB);
		add_fds(message, fds);
		ck_assert_int_eq(mesh_port_send_last(at_leader, message), -EAGAIN);
	}
	expect_numbers(at_host, sent);
	nodes_send_text(at_leader, "more"); /* and there is room again */
	nodes_expect_text(at_host, "more");
	free_mesh();
}
END_TEST

START_TEST(one_message_may_be_larger_than_the_bound)
{
	struct mesh_message *message;

	make_mesh(&bounds[0]);
	for (int i = 0; i < 3; i++) {
		ck_assert_int_eq(mesh_port_try_send(at_leader, numbered(0, 3 * LIMIT)), 0);
		message = nodes_recv(at_host);
		ck_assert_uint_eq(mesh_message_size(message), 3 * LIMIT);
		mesh_message_free(message);
	}
	free_mesh();
}
END_TEST

START_TEST(the_last_message_of_a_port_that_is_given_up_is_not_refused)
{
	struct mesh_port *here, *there;

	make_mesh(&bounds[0]);
	ck_assert_int_eq(mesh_port_pair(&here, &there), 0);
	nodes_send_port(at_leader, "passenger", there);
	there = nodes_expect_port(at_host, "passenger");
	fill(at_leader, KIB, 0);
	ck_assert_int_eq(mesh_port_send_and_free(here, numbered(0, KIB)), 0);
	expect_numbers(there, 1);
	nodes_expect_end(there, -EPIPE);
	mesh_port_free(there);
	free_mesh();
}
END_TEST

/* Its other end has been given away, but has not arrived. */
START_TEST(what_waits_for_a_port_on_the_move_has_the_same_bound)
{
	struct mesh_port *here, *there;
	unsigned sent;

	make_mesh(&bounds[1]);
	ck_assert_int_eq(mesh_port_pair(&here, &there), 0);
	nodes_send_port(at_leader, "passenger", there);
	sent = fill(here, KIB, 0);
	ck_assert_uint_le(sent, 50);
	ck_assert_uint_ge(sent, 40);
	there = nodes_expect_port(at_host, "passenger");
	nodes_send_text(at_host, "it has come");
	nodes_expect_text(at_leader, "it has come");
	expect_numbers(there, sent);
	mesh_port_free(here);
	mesh_port_free(there);
	free_mesh();
}
END_TEST

/* More was unread on a port than may wait for a node. That was there before; so it costs nobody the link. */
START_TEST(a_port_moves_with_more_than_may_be_queued)
{
	const struct mesh_node_options options = {
		MESH_NODE_OPTIONS_INIT, .max_queued = LIMIT / 4, .max_queued_messages = 100, .max_queued_fds = 10};
	struct mesh_port *here, *there;

	make_mesh(&options);
	ck_assert_int_eq(mesh_port_pair(&here, &there), 0);
	for (unsigned i = 0; i < 2000; i++) {
		struct mesh_message *message = numbered(i, KIB);

		add_fds(message, i % 20 == 0);
		ck_assert_int_eq(mesh_port_send(here, message), 0);
	}
	nodes_send_port(at_leader, "passenger", there);
	there = nodes_expect_port(at_host, "passenger");
	expect_numbers(there, 2000);
	mesh_port_free(here);
	mesh_port_free(there);
	free_mesh();
}
END_TEST

/* ---- ports with something unread ---- */

static const struct mesh_node_options narrow = {
	MESH_NODE_OPTIONS_INIT, .max_queued_messages = 200, .max_port_unread_messages = 100};

/* A message with a port on which so much is unread. */
static struct mesh_message *with_backlog(unsigned unread, struct mesh_port **ret_other)
{
	struct mesh_message *message = mesh_message_new_sized(0);
	struct mesh_port *port;

	ck_assert_int_eq(mesh_port_pair(ret_other, &port), 0);
	for (unsigned i = 0; i < unread; i++)
		ck_assert_int_eq(mesh_port_send(*ret_other, numbered(i, KIB)), 0);
	ck_assert_int_eq(mesh_message_put_port(message, port), 0);
	return message;
}

static void expect_backlog(unsigned unread)
{
	struct mesh_message *message = nodes_recv(at_host);
	struct mesh_port *port = mesh_message_take_port(message, 0);

	expect_numbers(port, unread);
	mesh_port_free(port);
	mesh_message_free(message);
}

/* All of them together would have cost the link when the host had read and acknowledged them. */
START_TEST(what_is_unread_on_a_port_waits_for_room_with_it)
{
	struct mesh_port *others[10];
	struct mesh_message *message;
	unsigned sent;

	make_mesh(&narrow);
	for (sent = 0;; sent++) {
		int result;

		ck_assert_uint_lt(sent, 5);
		message = with_backlog(90, &others[sent]);
		result = mesh_port_try_send(at_leader, message);
		if (result == -EAGAIN)
			break;
		ck_assert_int_eq(result, 0);
	}
	ck_assert_uint_ge(sent, 1);
	for (unsigned i = 0; i < sent; i++)
		expect_backlog(90);
	ck_assert_int_eq(mesh_port_send_wait(at_leader, message, NODES_PATIENCE, NULL), 0);
	expect_backlog(90);
	for (unsigned i = 0; i <= sent; i++)
		mesh_port_free(others[i]);
	free_mesh();
}
END_TEST

START_TEST(a_port_with_more_unread_than_may_ever_wait_is_refused)
{
	struct mesh_port *other;

	make_mesh(&narrow);
	ck_assert_int_eq(mesh_port_send(at_leader, with_backlog(1000, &other)), -EMSGSIZE);
	mesh_port_free(other);
	ck_assert_int_eq(mesh_port_send_wait(at_leader, with_backlog(1000, &other), NODES_PATIENCE, NULL), -EMSGSIZE);
	mesh_port_free(other);
	nodes_send_text(at_leader, "the port is as before");
	nodes_expect_text(at_host, "the port is as before");
	free_mesh();
}
END_TEST

/* In a message that was unread on another port nobody sees it before that one has left. */
START_TEST(a_hidden_port_with_too_much_unread_fails_alone)
{
	struct mesh_message *message;
	struct mesh_port *other, *here, *there, *hidden;

	make_mesh(&narrow);
	ck_assert_int_eq(mesh_port_pair(&here, &there), 0);
	ck_assert_int_eq(mesh_port_send(here, with_backlog(1000, &other)), 0);
	nodes_send_port(at_leader, "there", there);
	there = nodes_expect_port(at_host, "there");
	message = nodes_recv(there);
	hidden = mesh_message_take_port(message, 0);
	mesh_message_free(message);
	nodes_expect_end(hidden, -ECONNRESET);
	nodes_expect_end(other, -ECONNRESET);
	nodes_send_text(here, "the others go on");
	nodes_expect_text(there, "the others go on");
	nodes_send_text(at_leader, "and the link");
	nodes_expect_text(at_host, "and the link");
	mesh_port_free(hidden);
	mesh_port_free(other);
	mesh_port_free(here);
	mesh_port_free(there);
	free_mesh();
}
END_TEST

/* ---- on a port of this process ---- */

static const struct mesh_node_options port_bounds[] = {
	{MESH_NODE_OPTIONS_INIT, .max_port_unread = LIMIT},
	{MESH_NODE_OPTIONS_INIT, .max_port_unread_messages = 100},
	{MESH_NODE_OPTIONS_INIT, .max_port_unread_fds = 100},
};

/* What nobody here reads is not the sender's to know: the port fails at both ends, and nothing else does. */
START_TEST(a_port_that_is_not_read_fails_and_its_link_does_not) /* S153 */
{
	unsigned fds = port_bounds[_i].max_port_unread_fds ? 1 : 0, count = 0;
	struct mesh_port *here, *there;
	struct mesh_message *message;
	struct node_pair pair;
	int result;

	ck_assert_int_eq(mesh_node_new(&port_bounds[_i], &pair.leader, NULL), 0);
	nodes_invite(pair.leader, &pair.host, &pair.at_leader, &pair.at_host);
	ck_assert_int_eq(mesh_port_pair(&here, &there), 0);
	nodes_send_port(pair.at_leader, "passenger", there);
	there = nodes_expect_port(pair.at_host, "passenger");
	for (unsigned i = 0; i < 1500; i++) {
		message = numbered(i, KIB);
		add_fds(message, fds);
		ck_assert_int_eq(mesh_port_send(there, message), 0);
	}
	nodes_expect_end(there, -ECONNRESET);
	while ((result = mesh_port_recv(here, NODES_PATIENCE, &message, NULL)) == 0) {
		unsigned number;

		memcpy(&number, mesh_message_data(message), sizeof number);
		ck_assert_uint_eq(number, count++);
		mesh_message_free(message);
	}
	ck_assert_int_eq(result, -ECONNRESET);
	ck_assert_uint_ge(count, _i ? 100 : 700);
	ck_assert_uint_le(count, 1024);
	nodes_send_text(pair.at_host, "the link is there");
	nodes_expect_text(pair.at_leader, "the link is there");
	mesh_port_free(here);
	mesh_port_free(there);
	nodes_free(&pair);
}
END_TEST

START_TEST(a_pair_in_one_process_has_a_bound_too)
{
	struct mesh_port *p, *q;
	struct node_pair pair;
	unsigned sent;

	ck_assert_int_eq(mesh_node_new(&port_bounds[1], &pair.leader, NULL), 0);
	nodes_invite(pair.leader, &pair.host, &pair.at_leader, &pair.at_host);
	ck_assert_int_eq(mesh_port_pair(&p, &q), 0);
	/* there and back: both ends are in the leader's node then */
	nodes_send_port(pair.at_leader, "p", p);
	p = nodes_expect_port(pair.at_host, "p");
	nodes_send_port(pair.at_host, "p", p);
	p = nodes_expect_port(pair.at_leader, "p");
	nodes_send_text(p, "hello");
	nodes_expect_text(q, "hello");
	sent = fill(p, KIB, 0);
	ck_assert_uint_eq(sent, 100);
	expect_numbers(q, 100);
	ck_assert_uint_eq(fill(q, KIB, 0), 100);
	mesh_port_free(p);
	mesh_port_free(q);
	nodes_free(&pair);
}
END_TEST

/* A node that its leader does not introduce to another one keeps what it sends there, up to the same bound. */
START_TEST(what_waits_for_an_introduction_has_the_same_bound)
{
	struct mesh_node_options idle = {MESH_NODE_OPTIONS_INIT, .base = event_base_new()};
	struct mesh_node *hosts[2];
	struct mesh_port *to[2], *from[2], *p, *q;
	unsigned sent;

	ck_assert_int_eq(mesh_node_new(&idle, &leader, NULL), 0);
	for (int i = 0; i < 2; i++) {
		struct mesh_invitation invitation;
		struct mesh_port *passenger;

		ck_assert_int_eq(mesh_port_pair(&to[i], &passenger), 0);
		ck_assert_int_eq(mesh_node_invite(leader, passenger, &invitation, NULL), 0);
		ck_assert_int_eq(mesh_node_join(&invitation, &bounds[0], NODES_PATIENCE, &hosts[i], &from[i], NULL), 0);
		nodes_send_text(from[i], "here");
		nodes_expect_text(to[i], "here");
	}
	/* The first is told that the other end is at the second; the leader does not read any more when it asks for that one. */
	ck_assert_int_eq(mesh_port_pair(&p, &q), 0);
	nodes_send_port(to[1], "q", q);
	q = nodes_expect_port(from[1], "q");
	nodes_send_text(from[1], "q is here");
	nodes_expect_text(to[1], "q is here");
	nodes_send_port(to[0], "p", p);
	p = nodes_expect_port(from[0], "p");
	sent = fill(p, KIB, 0);
	ck_assert_uint_gt(sent, LIMIT / 2 / (2 * KIB));
	ck_assert_uint_lt(sent, LIMIT / 2 / KIB);
	mesh_port_free(p);
	mesh_port_free(q);
	for (int i = 0; i < 2; i++) {
		mesh_port_free(to[i]);
		mesh_port_free(from[i]);
		mesh_node_free(hosts[i]);
	}
	mesh_node_free(leader);
	event_base_free(idle.base);
}
END_TEST

START_TEST(wrong_calls_consume_the_message)
{
	struct mesh_port *p, *q;

	ck_assert_int_eq(mesh_port_pair(&p, &q), 0);
	ck_assert_int_eq(mesh_port_try_send(NULL, numbered(0, KIB)), -EINVAL);
	ck_assert_int_eq(mesh_port_try_send(p, NULL), -EINVAL);
	ck_assert_int_eq(mesh_port_send_wait(NULL, numbered(0, KIB), PAL_DEADLINE_NOW, NULL), -EINVAL);
	ck_assert_int_eq(mesh_port_send_wait(p, NULL, PAL_DEADLINE_NOW, NULL), -EINVAL);
	mesh_port_free(p);
	mesh_port_free(q);
}
END_TEST

/* ---- counters ---- */

static struct mesh_link_counters count_link(struct mesh_node *node)
{
	struct mesh_link_counters counters;
	size_t count = 0;

	ck_assert_int_eq(mesh_node_count_links(node, &counters, sizeof counters, 1, &count), 0);
	ck_assert_uint_eq(count, 1);
	return counters;
}

/* S153: what waits for a node that does not read, in each of the three ways in which it is bounded. */
START_TEST(what_is_queued_for_a_node_is_counted)
{
	enum { SIZE = 1000, FDS = 1 };
	struct mesh_link_counters counters;
	unsigned sent;

	make_mesh(&bounds[1]);
	counters = count_link(leader);
	ck_assert_uint_eq(counters.linked, 1);
	ck_assert_uint_eq(counters.queued_packets, 0);
	ck_assert_uint_eq(counters.queued_bytes, 0);
	sent = fill(at_leader, SIZE, FDS);
	counters = count_link(leader);
	ck_assert_uint_eq(counters.queued_packets, 50); /* a half of what is allowed is the program's */
	ck_assert_uint_eq(counters.queued_fds, 50 * FDS);
	ck_assert_uint_ge(counters.queued_bytes, 50 * SIZE);
	ck_assert_uint_lt(counters.queued_bytes, 50 * 2 * SIZE);
	expect_numbers(at_host, sent);
	SUPPORT_LOOK_UNTIL(count_link(leader).queued_packets == 0);
	counters = count_link(leader);
	ck_assert_uint_eq(counters.queued_bytes, 0);
	ck_assert_uint_eq(counters.queued_fds, 0);
	ck_assert_uint_eq(counters.packets_sent, count_link(host).packets_received);
	free_mesh();
}
END_TEST

START_TEST(links_are_counted_as_far_as_there_is_room_and_known)
{
	struct mesh_link_counters counters[2];
	uint8_t untouched[sizeof counters->node];
	struct mesh_node *other;
	struct mesh_port *port, *at_other;
	size_t count = 0;

	make_mesh(NULL);
	nodes_invite(leader, &other, &port, &at_other);
	memset(untouched, 0x55, sizeof untouched); /* an id of a node begins with any byte */
	memset(counters, 0x55, sizeof counters);
	ck_assert_int_eq(mesh_node_count_links(leader, counters, sizeof *counters, 1, &count), 0);
	ck_assert_uint_eq(count, 2);
	ck_assert_uint_eq(counters[0].linked, 1);
	ck_assert_uint_eq(counters[1].linked, 0x5555555555555555u);
	/* An older program, whose elements are smaller. */
	memset(counters, 0x55, sizeof counters);
	ck_assert_int_eq(mesh_node_count_links(leader, counters, sizeof counters->node, 2, &count), 0);
	ck_assert_uint_eq(count, 2);
	ck_assert_mem_ne((uint8_t *)counters + sizeof counters->node, untouched, sizeof counters->node);
	ck_assert_int_eq(((uint8_t *)counters)[2 * sizeof counters->node], 0x55);
	ck_assert_int_eq(mesh_node_count_links(leader, NULL, 0, 0, &count), 0);
	ck_assert_int_eq(mesh_node_count_links(leader, NULL, sizeof *counters, 1, &count), -EINVAL);
	ck_assert_int_eq(mesh_node_count_links(leader, counters, sizeof *counters, 1, NULL), -EINVAL);
	ck_assert_int_eq(mesh_node_count_links(NULL, counters, sizeof *counters, 1, &count), -EINVAL);
	mesh_port_free(port);
	mesh_port_free(at_other);
	mesh_node_free(other);
	free_mesh();
}
END_TEST

static Suite *make_suite(void)
{
	Suite *suite = suite_create("mesh/send-room");
	TCase *bound = support_tcase(suite, "bound"), *counters = support_tcase(suite, "counters");

	tcase_set_timeout(bound, 60);
	tcase_add_loop_test(bound, beyond_the_bound_sending_says_so_and_what_was_accepted_arrives, 0, 3);
	tcase_add_test(bound, one_message_may_be_larger_than_the_bound);
	tcase_add_test(bound, the_last_message_of_a_port_that_is_given_up_is_not_refused);
	tcase_add_test(bound, what_waits_for_a_port_on_the_move_has_the_same_bound);
	tcase_add_test(bound, a_port_moves_with_more_than_may_be_queued);
	tcase_add_test(bound, what_is_unread_on_a_port_waits_for_room_with_it);
	tcase_add_test(bound, a_port_with_more_unread_than_may_ever_wait_is_refused);
	tcase_add_test(bound, a_hidden_port_with_too_much_unread_fails_alone);
	tcase_add_loop_test(bound, a_port_that_is_not_read_fails_and_its_link_does_not, 0, 3);
	tcase_add_test(bound, a_pair_in_one_process_has_a_bound_too);
	tcase_add_test(bound, what_waits_for_an_introduction_has_the_same_bound);
	tcase_add_test(bound, wrong_calls_consume_the_message);
	tcase_add_test(counters, what_is_queued_for_a_node_is_counted);
	tcase_add_test(counters, links_are_counted_as_far_as_there_is_room_and_known);
	return suite;
}
SUPPORT_MAIN(make_suite)
