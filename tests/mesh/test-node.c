/* SPDX-License-Identifier: MIT */
#include "nodes.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <pal/socket.h>

#include "support.h"

START_TEST(a_pair_needs_no_node)
{
	struct mesh_port *a, *b;

	ck_assert_int_eq(mesh_port_pair(&a, &b), 0);
	nodes_send_text(a, "one");
	nodes_send_text(a, "two");
	nodes_expect_text(b, "one");
	mesh_port_free(a);
	nodes_expect_text(b, "two");
	nodes_expect_end(b, -EPIPE);
	mesh_port_free(b);
}
END_TEST

START_TEST(a_host_joins_and_messages_travel_both_ways)
{
	struct node_pair pair;

	nodes_make(&pair);
	nodes_send_text(pair.at_leader, "down");
	nodes_expect_text(pair.at_host, "down");
	nodes_send_text(pair.at_host, "up");
	nodes_expect_text(pair.at_leader, "up");
	nodes_send_text(pair.at_host, ""); /* a message of 0 bytes is one */
	nodes_expect_text(pair.at_leader, "");
	nodes_free(&pair);
}
END_TEST

START_TEST(what_is_sent_before_the_host_joins_waits_for_it)
{
	struct mesh_invitation invitation;
	struct mesh_port *mine, *passenger, *theirs;
	struct mesh_node *leader, *host;
	struct pal_error error = {0};

	ck_assert_ok(mesh_node_new(NULL, &leader, &error), &error);
	ck_assert_int_eq(mesh_port_pair(&mine, &passenger), 0);
	nodes_send_text(mine, "first");
	ck_assert_ok(mesh_node_invite(leader, passenger, &invitation, &error), &error);
	nodes_send_text(mine, "second");
	ck_assert_ok(mesh_node_join(&invitation, NULL, NODES_PATIENCE, &host, &theirs, &error), &error);
	nodes_send_text(mine, "third");
	nodes_expect_text(theirs, "first");
	nodes_expect_text(theirs, "second");
	nodes_expect_text(theirs, "third");
	mesh_port_free(mine);
	nodes_expect_end(theirs, -EPIPE);
	mesh_port_free(theirs);
	mesh_node_free(host);
	mesh_node_free(leader);
}
END_TEST

START_TEST(messages_of_every_kind_of_size_arrive_whole)
{
	const size_t sizes[] = {1, 16376 - 40, 16376 - 39, 16384, 65536, 1 << 20, 16 << 20};
	struct node_pair pair;

	nodes_make(&pair);
	for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
		struct mesh_message *message = mesh_message_new_sized(sizes[i]);
		uint8_t *data = mesh_message_data(message);

		for (size_t at = 0; at < sizes[i]; at += 509)
			data[at] = (uint8_t)(at * 31 + i);
		ck_assert_int_eq(mesh_port_send(pair.at_leader, message), 0);
		message = nodes_recv(pair.at_host);
		ck_assert_uint_eq(mesh_message_size(message), sizes[i]);
		data = mesh_message_data(message);
		for (size_t at = 0; at < sizes[i]; at += 509)
			ck_assert(data[at] == (uint8_t)(at * 31 + i));
		mesh_message_free(message);
	}
	nodes_free(&pair);
}
END_TEST

START_TEST(descriptors_travel_and_nobody_keeps_a_copy)
{
	struct node_pair pair;
	struct mesh_message *message;
	int ends[2], fd;
	char byte;

	nodes_make(&pair);
	ck_assert_int_eq(pipe2(ends, O_CLOEXEC), 0);
	message = mesh_message_new("fd", 2);
	ck_assert_int_eq(mesh_message_put_fd(message, ends[1]), 0);
	ck_assert_int_eq(mesh_port_send(pair.at_leader, message), 0);
	message = nodes_recv(pair.at_host);
	fd = mesh_message_take_fd(message, 0);
	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(fcntl(fd, F_GETFD), FD_CLOEXEC);
	mesh_message_free(message);
	ck_assert_int_eq(write(fd, "x", 1), 1);
	close(fd);
	ck_assert_int_eq(read(ends[0], &byte, 1), 1);
	ck_assert_int_eq(read(ends[0], &byte, 1), 0);
	close(ends[0]);
	nodes_free(&pair);
}
END_TEST

START_TEST(a_port_moves_with_its_unread_messages_and_comes_back)
{
	struct node_pair pair;
	struct mesh_port *p, *q;

	nodes_make(&pair);
	ck_assert_int_eq(mesh_port_pair(&p, &q), 0);
	nodes_send_text(q, "a");
	nodes_send_port(pair.at_leader, "go", p);
	nodes_send_text(q, "b");
	p = nodes_expect_port(pair.at_host, "go");
	nodes_expect_text(p, "a");
	nodes_send_port(pair.at_host, "back", p);
	nodes_send_text(q, "c");
	p = nodes_expect_port(pair.at_leader, "back");
	nodes_expect_text(p, "b");
	nodes_expect_text(p, "c");
	nodes_send_text(p, "d");
	nodes_expect_text(q, "d");
	mesh_port_free(p);
	nodes_expect_end(q, -EPIPE);
	mesh_port_free(q);
	nodes_free(&pair);
}
END_TEST

/* p and q end in two hosts that have never met; what they say does not pass the leader, and survives it. */
START_TEST(two_hosts_get_a_direct_link)
{
	struct node_pair pair;
	struct mesh_node *second;
	struct mesh_port *at_leader, *at_second, *p, *q;

	nodes_make(&pair);
	nodes_invite(pair.leader, &second, &at_leader, &at_second);
	ck_assert_int_eq(mesh_port_pair(&p, &q), 0);
	nodes_send_port(pair.at_leader, "p", p);
	nodes_send_port(at_leader, "q", q);
	p = nodes_expect_port(pair.at_host, "p");
	q = nodes_expect_port(at_second, "q");
	nodes_send_text(p, "hello");
	nodes_expect_text(q, "hello");
	nodes_send_text(q, "yourself");
	nodes_expect_text(p, "yourself");
	ck_assert_int_eq(mesh_node_shutdown(pair.leader, NODES_PATIENCE, NULL), 0);
	nodes_expect_end(pair.at_host, -ECONNRESET);
	nodes_send_text(p, "still there?");
	nodes_expect_text(q, "still there?");
	mesh_port_free(q);
	nodes_expect_end(p, -EPIPE);
	mesh_port_free(p);
	mesh_port_free(at_leader);
	mesh_port_free(at_second);
	mesh_node_free(second);
	nodes_free(&pair);
}
END_TEST

/* The port sent from child 1 through the parent to child 2 ends as a direct connection between the children. */
START_TEST(a_port_passed_on_through_the_leader_ends_up_direct)
{
	struct node_pair pair;
	struct mesh_node *second;
	struct mesh_port *at_leader, *at_second, *mine, *passed;

	nodes_make(&pair);
	nodes_invite(pair.leader, &second, &at_leader, &at_second);
	ck_assert_int_eq(mesh_port_pair(&mine, &passed), 0);
	nodes_send_port(pair.at_host, "to the leader", passed);
	nodes_send_text(mine, "early");
	passed = nodes_expect_port(pair.at_leader, "to the leader");
	nodes_send_port(at_leader, "on", passed);
	passed = nodes_expect_port(at_second, "on");
	nodes_expect_text(passed, "early");
	nodes_send_text(passed, "late");
	nodes_expect_text(mine, "late");
	ck_assert_int_eq(mesh_node_shutdown(pair.leader, NODES_PATIENCE, NULL), 0);
	nodes_send_text(mine, "direct");
	nodes_expect_text(passed, "direct");
	mesh_port_free(mine);
	mesh_port_free(passed);
	mesh_port_free(at_leader);
	mesh_port_free(at_second);
	mesh_node_free(second);
	nodes_free(&pair);
}
END_TEST

START_TEST(both_ends_leave_at_once_for_two_hosts) /* S145 without the kill */
{
	struct node_pair pair;
	struct mesh_node *second;
	struct mesh_port *at_leader, *at_second;

	nodes_make(&pair);
	nodes_invite(pair.leader, &second, &at_leader, &at_second);
	for (int round = 0; round < 50; round++) {
		struct mesh_port *p, *q;

		ck_assert_int_eq(mesh_port_pair(&p, &q), 0);
		nodes_send_text(p, "1");
		nodes_send_port(pair.at_leader, "p", p);
		nodes_send_port(at_leader, "q", q);
		p = nodes_expect_port(pair.at_host, "p");
		q = nodes_expect_port(at_second, "q");
		nodes_send_text(p, "2");
		nodes_send_text(q, "3");
		nodes_expect_text(q, "1");
		nodes_expect_text(q, "2");
		nodes_expect_text(p, "3");
		mesh_port_free(round & 1 ? p : q);
		nodes_expect_end(round & 1 ? q : p, -EPIPE);
		mesh_port_free(round & 1 ? q : p);
	}
	mesh_port_free(at_leader);
	mesh_port_free(at_second);
	mesh_node_free(second);
	nodes_free(&pair);
}
END_TEST

START_TEST(nothing_that_was_sent_before_a_shutdown_is_lost) /* S152 */
{
	struct node_pair pair;
	char text[16];

	nodes_make(&pair);
	for (int i = 0; i < 1000; i++) {
		snprintf(text, sizeof text, "%d", i);
		nodes_send_text(pair.at_host, text);
	}
	ck_assert_int_eq(mesh_node_shutdown(pair.host, NODES_PATIENCE, NULL), 0);
	for (int i = 0; i < 1000; i++) {
		snprintf(text, sizeof text, "%d", i);
		nodes_expect_text(pair.at_leader, text);
	}
	nodes_expect_end(pair.at_leader, -ECONNRESET);
	nodes_free(&pair);
}
END_TEST

/* The host that answers has not met the node that the answer is for when it begins to leave. */
START_TEST(what_waits_for_an_introduction_is_sent_before_a_node_leaves) /* S152 */
{
	struct node_pair pair;
	struct mesh_node *second;
	struct mesh_port *at_leader, *at_second, *p, *q;

	nodes_make(&pair);
	nodes_invite(pair.leader, &second, &at_leader, &at_second);
	for (int round = 0; round < 10; round++) {
		ck_assert_int_eq(mesh_port_pair(&p, &q), 0);
		nodes_send_port(at_leader, "q", q);
		q = nodes_expect_port(at_second, "q");
		nodes_send_port(pair.at_leader, "p", p);
		p = nodes_expect_port(pair.at_host, "p");
		nodes_send_text(p, "result");
		mesh_port_free(p);
		ck_assert_int_eq(mesh_node_shutdown(pair.host, NODES_PATIENCE, NULL), 0);
		nodes_expect_text(q, "result");
		nodes_expect_end(q, -EPIPE);
		mesh_port_free(q);
		mesh_port_free(pair.at_leader);
		mesh_port_free(pair.at_host);
		mesh_node_free(pair.host);
		nodes_invite(pair.leader, &pair.host, &pair.at_leader, &pair.at_host);
	}
	mesh_port_free(at_leader);
	mesh_port_free(at_second);
	mesh_node_free(second);
	nodes_free(&pair);
}
END_TEST

START_TEST(a_message_of_the_largest_size_may_carry_many_ports)
{
	struct mesh_node_options options = {MESH_NODE_OPTIONS_INIT, .max_message = 65536};
	struct node_pair pair;
	struct mesh_message *message;
	struct mesh_port *kept[100], *passenger;

	ck_assert_int_eq(mesh_node_new(&options, &pair.leader, NULL), 0);
	nodes_invite(pair.leader, &pair.host, &pair.at_leader, &pair.at_host);
	message = mesh_message_new_sized(65536);
	memset(mesh_message_data(message), 1, 65536);
	for (int i = 0; i < 100; i++) {
		ck_assert_int_eq(mesh_port_pair(&kept[i], &passenger), 0);
		ck_assert_int_eq(mesh_message_put_port(message, passenger), 0);
	}
	ck_assert_int_eq(mesh_port_send(pair.at_host, message), 0);
	message = nodes_recv(pair.at_leader);
	ck_assert_uint_eq(mesh_message_resource_count(message), 100);
	mesh_message_free(message);
	for (int i = 0; i < 100; i++) {
		nodes_expect_end(kept[i], -EPIPE);
		mesh_port_free(kept[i]);
	}
	message = mesh_message_new_sized(65537);
	ck_assert_int_eq(mesh_port_send(pair.at_leader, message), -EMSGSIZE);
	nodes_free(&pair);
}
END_TEST

START_TEST(an_invitation_that_nobody_uses_fails_its_port)
{
	struct mesh_invitation invitation;
	struct mesh_port *mine, *passenger;
	struct mesh_node *leader;

	ck_assert_int_eq(mesh_node_new(NULL, &leader, NULL), 0);
	ck_assert_int_eq(mesh_port_pair(&mine, &passenger), 0);
	ck_assert_int_eq(mesh_node_invite(leader, passenger, &invitation, NULL), 0);
	mesh_invitation_clear(&invitation);
	nodes_expect_end(mine, -ECONNRESET);
	mesh_port_free(mine);
	mesh_node_free(leader);
}
END_TEST

START_TEST(joining_gives_up_at_its_deadline)
{
	const struct mesh_invitation ids = {
		.local_node = {{1}}, .local_port = {{2}}, .remote_node = {{3}}, .remote_port = {{4}}};
	struct mesh_invitation invitation = ids;
	struct mesh_node *host = NULL;
	struct mesh_port *port = NULL;
	struct pal_error error = {0};
	int ends[2];

	ck_assert_int_eq(pal_socket_pair(SOCK_SEQPACKET, ends), 0);
	invitation.fd = ends[0];
	ck_assert_int_eq(mesh_node_join(&invitation, NULL, PAL_DEADLINE_MS(20), &host, &port, &error), -ETIMEDOUT);
	ck_assert_int_eq(error.stage, MESH_STAGE_JOIN);
	close(ends[1]);
	ck_assert_int_eq(pal_socket_pair(SOCK_SEQPACKET, ends), 0);
	invitation = ids;
	invitation.fd = ends[0];
	close(ends[1]);
	ck_assert_int_eq(mesh_node_join(&invitation, NULL, NODES_PATIENCE, &host, &port, &error), -ECONNRESET);
	ck_assert_ptr_null(host);
	ck_assert_ptr_null(port);
}
END_TEST

START_TEST(a_waiting_receiver_is_released_when_the_node_goes)
{
	struct node_pair pair;

	nodes_make(&pair);
	mesh_node_free(pair.leader);
	nodes_expect_end(pair.at_host, -ECONNRESET);
	mesh_node_free(pair.host);
	nodes_expect_end(pair.at_leader, -ECONNRESET); /* ports outlive their node */
	mesh_port_free(pair.at_leader);
	mesh_port_free(pair.at_host);
}
END_TEST

START_TEST(options_of_another_size_are_judged) /* S175 */
{
	struct {
		struct mesh_node_options options;
		char more[8];
	} newer = {.options = {.size = sizeof newer}};
	struct mesh_node_options small = {.size = 1};
	struct mesh_node *node;

	ck_assert_int_eq(mesh_node_new(&newer.options, &node, NULL), 0);
	mesh_node_free(node);
	newer.more[3] = 1;
	ck_assert_int_eq(mesh_node_new(&newer.options, &node, NULL), -E2BIG);
	ck_assert_int_eq(mesh_node_new(&small, &node, NULL), -EINVAL);
	ck_assert_int_eq(mesh_node_new(NULL, NULL, NULL), -EINVAL);
}
END_TEST

START_TEST(wrong_calls_get_an_error) /* S176 */
{
	struct mesh_message *message;
	struct mesh_port *a, *b;
	struct mesh_invitation invitation;

	ck_assert_int_eq(mesh_port_pair(&a, &b), 0);
	ck_assert_int_eq(mesh_port_try_recv(b, &message), -EAGAIN);
	ck_assert_int_eq(mesh_port_try_recv(NULL, &message), -EINVAL);
	ck_assert_int_eq(mesh_port_recv(b, PAL_DEADLINE_NOW, &message, NULL), -ETIMEDOUT);
	ck_assert_int_eq(mesh_port_send(a, NULL), -EINVAL);
	ck_assert_int_eq(mesh_port_send(NULL, mesh_message_new("x", 1)), -EINVAL);
	message = mesh_message_new("x", 1);
	ck_assert_int_eq(mesh_message_put_port(message, b), 0);
	ck_assert_int_eq(mesh_port_send(b, message), -ELOOP);
	nodes_send_text(b, "b is still here");
	nodes_expect_text(a, "b is still here");
	mesh_port_free(a);
	mesh_port_free(b);
	ck_assert_int_eq(mesh_port_pair(&a, &b), 0);
	ck_assert_int_eq(mesh_node_invite(NULL, b, &invitation, NULL), -EINVAL);
	nodes_expect_end(a, -EPIPE);
	mesh_port_free(a);
	mesh_port_free(NULL);
	mesh_node_free(NULL);
}
END_TEST

static Suite *make_suite(void)
{
	Suite *suite = suite_create("mesh/node");
	TCase *join = support_tcase(suite, "join"), *move = support_tcase(suite, "move"),
	      *leave = support_tcase(suite, "leave"), *calls = support_tcase(suite, "calls");

	tcase_add_test(join, a_pair_needs_no_node);
	tcase_add_test(join, a_host_joins_and_messages_travel_both_ways);
	tcase_add_test(join, what_is_sent_before_the_host_joins_waits_for_it);
	tcase_add_test(join, messages_of_every_kind_of_size_arrive_whole);
	tcase_add_test(join, descriptors_travel_and_nobody_keeps_a_copy);
	tcase_add_test(join, an_invitation_that_nobody_uses_fails_its_port);
	tcase_add_test(join, joining_gives_up_at_its_deadline);
	tcase_add_test(move, a_port_moves_with_its_unread_messages_and_comes_back);
	tcase_add_test(move, two_hosts_get_a_direct_link);
	tcase_add_test(move, a_port_passed_on_through_the_leader_ends_up_direct);
	tcase_add_test(move, both_ends_leave_at_once_for_two_hosts);
	tcase_add_test(leave, what_waits_for_an_introduction_is_sent_before_a_node_leaves);
	tcase_add_test(join, a_message_of_the_largest_size_may_carry_many_ports);
	tcase_add_test(leave, nothing_that_was_sent_before_a_shutdown_is_lost);
	tcase_add_test(leave, a_waiting_receiver_is_released_when_the_node_goes);
	tcase_add_test(calls, options_of_another_size_are_judged);
	tcase_add_test(calls, wrong_calls_get_an_error);
	return suite;
}
SUPPORT_MAIN(make_suite)
