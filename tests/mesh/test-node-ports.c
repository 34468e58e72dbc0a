/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "nodes.h"
#include "support.h"

/* What is asked of a node about its ports, and ports of several nodes joined, on real sockets. */

static struct mesh_port_counters counters_of(struct mesh_node *node)
{
	struct mesh_port_counters counters;

	ck_assert_int_eq(mesh_node_count_ports(node, &counters, sizeof counters), 0);
	return counters;
}

/* ---- bridges ---- */

START_TEST(two_hosts_are_joined_by_the_leader_and_talk_without_it)
{
	struct node_pair pair;
	struct mesh_node *second;
	struct mesh_port *at_leader, *at_second;

	nodes_make(&pair);
	nodes_invite(pair.leader, &second, &at_leader, &at_second);
	nodes_send_text(pair.at_host, "before");
	ck_assert_int_eq(mesh_port_bridge(pair.at_leader, at_leader), 0);
	nodes_send_text(pair.at_host, "after");
	nodes_send_text(at_second, "back");
	nodes_expect_text(at_second, "before");
	nodes_expect_text(at_second, "after");
	nodes_expect_text(pair.at_host, "back");
	/* Both have answered: nothing of theirs is in the leader any more. */
	ck_assert_int_eq(mesh_node_shutdown(pair.leader, NODES_PATIENCE, NULL), 0);
	nodes_send_text(pair.at_host, "without a leader");
	nodes_expect_text(at_second, "without a leader");
	pair.at_leader = NULL;
	mesh_port_free(at_second);
	nodes_expect_end(pair.at_host, -EPIPE);
	mesh_node_free(second);
	nodes_free(&pair);
}
END_TEST

START_TEST(a_port_of_a_callback_is_joined)
{
	struct node_pair pair;
	struct mesh_port *a, *b;

	nodes_make(&pair);
	ck_assert_int_eq(mesh_port_pair(&a, &b), 0);
	ck_assert_int_eq(mesh_port_set_callback(pair.at_host, NULL, nodes_echo, NULL), 0);
	nodes_send_text(pair.at_leader, "1");
	nodes_expect_text(pair.at_leader, "1");
	ck_assert_int_eq(mesh_port_bridge(pair.at_host, b), 0);
	nodes_send_text(pair.at_leader, "2");
	nodes_expect_text(a, "2");
	mesh_port_free(pair.at_leader);
	pair.at_leader = pair.at_host = NULL;
	nodes_expect_end(a, -EPIPE);
	mesh_port_free(a);
	nodes_free(&pair);
}
END_TEST

/* ---- counters ---- */

START_TEST(a_node_counts_what_its_ports_do)
{
	struct mesh_port_counters before, after;
	struct mesh_port *kept, *left;
	struct mesh_message *message;
	struct node_pair pair;

	nodes_make(&pair);
	nodes_send_text(pair.at_host, "ready");
	nodes_expect_text(pair.at_leader, "ready");
	before = counters_of(pair.leader);
	ck_assert_int_eq(mesh_port_pair(&kept, &left), 0);
	message = mesh_message_new("12345", 5);
	ck_assert_int_eq(mesh_message_put_port(message, left), 0);
	ck_assert_int_eq(mesh_message_put_fd(message, open("/dev/null", O_RDONLY | O_CLOEXEC)), 0);
	ck_assert_int_eq(mesh_port_send(pair.at_leader, message), 0);
	message = nodes_recv(pair.at_host);
	left = mesh_message_take_port(message, 0);
	mesh_message_free(message);
	nodes_send_text(left, "678");
	nodes_expect_text(kept, "678");

	after = counters_of(pair.leader);
	ck_assert_uint_eq(after.sent.messages - before.sent.messages, 1);
	ck_assert_uint_eq(after.sent.bytes - before.sent.bytes, 5);
	ck_assert_uint_eq(after.sent.fds - before.sent.fds, 1);
	ck_assert_uint_eq(after.sent.ports - before.sent.ports, 1);
	ck_assert_uint_eq(after.received.messages - before.received.messages, 1);
	ck_assert_uint_eq(after.received.bytes - before.received.bytes, 3);
	ck_assert_uint_eq(after.ports_left - before.ports_left, 1);
	ck_assert_uint_eq(after.waiting.messages, 0);
	ck_assert_uint_eq(after.ports - before.ports, 1); /* the moved one is gone: its peer's message came directly */
	ck_assert_uint_eq(after.failed, 0);
	ck_assert_uint_ge(counters_of(pair.host).ports_came, 1);
	mesh_port_free(kept);
	mesh_port_free(left);
	nodes_free(&pair);
}
END_TEST

START_TEST(what_waits_is_counted)
{
	struct mesh_port_counters counters;
	struct node_pair pair;

	nodes_make(&pair);
	nodes_send_text(pair.at_leader, "one");
	nodes_send_text(pair.at_leader, "more");
	nodes_expect_text(pair.at_host, "one");
	do
		counters = counters_of(pair.host);
	while (counters.waiting.messages < 1);
	ck_assert_uint_eq(counters.waiting.messages, 1);
	ck_assert_uint_eq(counters.waiting.bytes, 4);
	nodes_expect_text(pair.at_host, "more");
	ck_assert_uint_eq(counters_of(pair.host).waiting.bytes, 0);
	nodes_free(&pair);
}
END_TEST

START_TEST(an_older_program_gets_the_counters_that_it_knows)
{
	struct mesh_port_counters counters;
	struct mesh_node *node;
	struct pal_error error = {0};

	ck_assert_ok(mesh_node_new(NULL, &node, &error), &error);
	memset(&counters, 0x55, sizeof counters);
	ck_assert_int_eq(mesh_node_count_ports(node, &counters, sizeof counters.ports), 0);
	ck_assert_uint_ne(counters.ports, 0x5555555555555555u);
	ck_assert_uint_eq(counters.named, 0x5555555555555555u);
	ck_assert_int_eq(mesh_node_count_ports(NULL, &counters, sizeof counters), -EINVAL);
	ck_assert_int_eq(mesh_node_count_ports(node, NULL, 0), -EINVAL);
	mesh_node_free(node);
}
END_TEST

static Suite *make_suite(void)
{
	Suite *suite = suite_create("mesh/node-ports");
	TCase *bridges = support_tcase(suite, "bridges"), *counters = support_tcase(suite, "counters");

	tcase_add_test(bridges, two_hosts_are_joined_by_the_leader_and_talk_without_it);
	tcase_add_test(bridges, a_port_of_a_callback_is_joined);
	tcase_add_test(counters, a_node_counts_what_its_ports_do);
	tcase_add_test(counters, what_waits_is_counted);
	tcase_add_test(counters, an_older_program_gets_the_counters_that_it_knows);
	return suite;
}
SUPPORT_MAIN(make_suite)
