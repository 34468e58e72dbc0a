/* SPDX-License-Identifier: MIT */
#include "nodes.h"

#include <errno.h>
#include <event2/event.h>
#include <pthread.h>
#include <string.h>

#include "support.h"

static struct mesh_message *text(const char *text)
{
	return mesh_message_new(text, strlen(text));
}

/* Answers requests, each with its own text and "!", until the port ends. */
static void *serve(void *userdata)
{
	struct mesh_message *request;
	char answer[64];

	while (mesh_port_recv(userdata, NODES_PATIENCE, &request, NULL) == 0) {
		size_t size = mesh_message_size(request);

		memcpy(answer, mesh_message_data(request), size);
		answer[size] = '!';
		ck_assert_int_eq(mesh_message_reply(request, mesh_message_new(answer, size + 1)), 0);
		mesh_message_free(request);
	}
	return NULL;
}

START_TEST(a_call_brings_the_answer_of_another_node)
{
	struct node_pair pair;
	struct mesh_message *answer;
	struct pal_error error;
	pthread_t server;

	nodes_make(&pair);
	ck_assert_int_eq(pthread_create(&server, NULL, serve, pair.at_host), 0);
	for (int i = 0; i < 100; i++) {
		ck_assert_ok(mesh_port_call(pair.at_leader, text("hello"), NODES_PATIENCE, &answer, &error),
			&error);
		ck_assert_uint_eq(mesh_message_size(answer), 6);
		ck_assert_mem_eq(mesh_message_data(answer), "hello!", 6);
		mesh_message_free(answer);
	}
	mesh_port_free(pair.at_leader);
	pair.at_leader = NULL;
	ck_assert_int_eq(pthread_join(server, NULL), 0);
	nodes_free(&pair);
}
END_TEST

START_TEST(requests_may_be_answered_in_any_order)
{
	struct mesh_port *a, *b, *answers[3];
	struct mesh_message *requests[3];

	ck_assert_int_eq(mesh_port_pair(&a, &b), 0);
	for (int i = 0; i < 3; i++) {
		ck_assert_int_eq(mesh_port_request(a, text("question"), &answers[i]), 0);
		requests[i] = nodes_recv(b);
	}
	for (int i = 2; i >= 0; i--) {
		const char *number[] = {"first", "second", "third"};

		ck_assert_int_eq(mesh_message_reply(requests[i], text(number[i])), 0);
		nodes_expect_text(answers[i], number[i]);
		nodes_expect_end(answers[i], -EPIPE);
		mesh_port_free(answers[i]);
		mesh_message_free(requests[i]);
	}
	mesh_port_free(a);
	mesh_port_free(b);
}
END_TEST

START_TEST(the_port_for_the_answer_comes_after_what_the_request_carries)
{
	struct mesh_port *a, *b, *answers, *mine, *passenger;
	struct mesh_message *request = text("with a port of its own");

	ck_assert_int_eq(mesh_port_pair(&a, &b), 0);
	ck_assert_int_eq(mesh_port_pair(&mine, &passenger), 0);
	ck_assert_int_eq(mesh_message_put_port(request, passenger), 0);
	ck_assert_int_eq(mesh_port_request(a, request, &answers), 0);
	request = nodes_recv(b);
	ck_assert_uint_eq(mesh_message_resource_count(request), 2);
	ck_assert_int_eq(mesh_message_reply(request, text("yes")), 0);
	nodes_expect_text(answers, "yes");
	/* once only, and never on a port that is not meant for it */
	ck_assert_int_eq(mesh_message_reply(request, text("again")), -EINVAL);
	passenger = mesh_message_take_port(request, 0);
	nodes_send_text(passenger, "intact");
	nodes_expect_text(mine, "intact");
	mesh_port_free(passenger);
	mesh_message_free(request);
	mesh_port_free(mine);
	mesh_port_free(answers);
	mesh_port_free(a);
	mesh_port_free(b);
}
END_TEST

START_TEST(a_request_that_nobody_answers_ends)
{
	struct mesh_port *a, *b, *answers;
	struct mesh_message *request, *answer;
	struct pal_error error;

	ck_assert_int_eq(mesh_port_pair(&a, &b), 0);
	ck_assert_int_eq(mesh_port_request(a, text("question"), &answers), 0);
	mesh_message_free(nodes_recv(b));
	nodes_expect_end(answers, -EPIPE);
	mesh_port_free(answers);

	/* too late: the answer is dropped, and the port goes on */
	ck_assert_int_eq(mesh_port_call(a, text("question"), PAL_DEADLINE_NOW, &answer, &error), -ETIMEDOUT);
	request = nodes_recv(b);
	ck_assert_int_eq(mesh_message_reply(request, text("late")), 0);
	mesh_message_free(request);
	nodes_send_text(a, "and now");
	nodes_expect_text(b, "and now");

	mesh_port_free(b);
	ck_assert_int_eq(mesh_port_call(a, text("question"), NODES_PATIENCE, &answer, &error), -EPIPE);
	mesh_port_free(a);
}
END_TEST

START_TEST(an_answer_that_is_failed_is_no_orderly_end)
{
	struct node_pair pair;
	struct mesh_port *answers;
	struct mesh_message *request;

	nodes_make(&pair);
	ck_assert_int_eq(mesh_port_request(pair.at_leader, text("question"), &answers), 0);
	request = nodes_recv(pair.at_host);
	mesh_port_fail(mesh_message_take_port(request, 0));
	mesh_message_free(request);
	nodes_expect_end(answers, -ECONNRESET);
	mesh_port_free(answers);
	nodes_free(&pair);
}
END_TEST

START_TEST(wrong_requests_are_refused_and_consumed)
{
	struct mesh_port *a, *b, *answers;
	struct mesh_message *answer, *no_request = text("");

	ck_assert_int_eq(mesh_port_pair(&a, &b), 0);
	ck_assert_int_eq(mesh_port_request(NULL, text("x"), &answers), -EINVAL);
	ck_assert_int_eq(mesh_port_request(a, NULL, &answers), -EINVAL);
	ck_assert_int_eq(mesh_port_request(a, text("x"), NULL), -EINVAL);
	ck_assert_int_eq(mesh_port_call(NULL, text("x"), NODES_PATIENCE, &answer, NULL), -EINVAL);
	ck_assert_int_eq(mesh_message_reply(NULL, text("x")), -EINVAL);
	ck_assert_int_eq(mesh_message_reply(no_request, text("x")), -EINVAL);
	ck_assert_int_eq(mesh_message_put_port(no_request, b), 0);
	ck_assert_int_eq(mesh_message_reply(no_request, NULL), -EINVAL);
	mesh_message_free(no_request);
	mesh_port_free(a);
}
END_TEST

/* ---- on a base that does not run: only who waits reads ---- */

/* For mesh_port_set_callback() of a port that nobody else holds if `userdata` says so. */
static char own;

static bool is_end(struct mesh_port *port, int status, const void *userdata)
{
	if (status && userdata == &own)
		mesh_port_free(port);
	return status;
}

static void answer(struct mesh_port *port, int status, struct mesh_message *message, void *userdata)
{
	if (is_end(port, status, userdata))
		return;
	ck_assert_int_eq(mesh_message_reply(message, text("yes")), 0);
	mesh_message_free(message);
}

/* On the port come ports that take requests. */
static void serve_ports(struct mesh_port *port, int status, struct mesh_message *message, void *userdata)
{
	if (is_end(port, status, userdata))
		return;
	ck_assert_int_eq(mesh_port_set_callback(mesh_message_take_port(message, 0), NULL, answer, &own), 0);
	mesh_message_free(message);
}

/* On the port come ports that bring such ports. */
static void serve_queues(struct mesh_port *port, int status, struct mesh_message *message, void *userdata)
{
	if (is_end(port, status, userdata))
		return;
	ck_assert_int_eq(mesh_port_set_callback(mesh_message_take_port(message, 0), NULL, serve_ports, &own), 0);
	mesh_message_free(message);
}

static void expect_answer(struct mesh_port *port)
{
	struct mesh_message *answer;
	struct pal_error error;

	ck_assert_ok(mesh_port_call(port, text("?"), NODES_PATIENCE, &answer, &error), &error);
	mesh_message_free(answer);
}

static void make_leader_on_base(struct event_base *base, struct node_pair *pair)
{
	struct mesh_node_options options = {MESH_NODE_OPTIONS_INIT, .base = base};

	ck_assert_int_eq(mesh_node_new(&options, &pair->leader, NULL), 0);
	nodes_invite(pair->leader, &pair->host, &pair->at_leader, &pair->at_host);
}

/* The other end has left, and that it has come there is in the socket still. */
START_TEST(a_call_to_a_node_that_was_just_invited_reads_by_itself)
{
	struct event_base *base = event_base_new();
	struct node_pair pair;

	make_leader_on_base(base, &pair);
	ck_assert_int_eq(mesh_port_set_callback(pair.at_host, NULL, answer, NULL), 0);
	expect_answer(pair.at_leader);
	nodes_free(&pair);
	event_base_free(base);
}
END_TEST

/* The port that takes the request is itself in a message that waits. */
START_TEST(a_call_to_a_port_that_was_just_sent_reads_by_itself)
{
	struct event_base *base = event_base_new();
	struct mesh_port *p, *q;
	struct node_pair pair;

	make_leader_on_base(base, &pair);
	ck_assert_int_eq(mesh_port_set_callback(pair.at_host, NULL, serve_ports, NULL), 0);
	ck_assert_int_eq(mesh_port_pair(&p, &q), 0);
	nodes_send_port(pair.at_leader, "q", q);
	expect_answer(p);
	mesh_port_free(p);
	nodes_free(&pair);
	event_base_free(base);
}
END_TEST

/* It was sent when nobody could know that its receiver would leave, in the queue of one that does, and so on. */
START_TEST(who_waits_for_the_answer_to_a_request_that_leaves_in_a_queue_reads_by_itself)
{
	struct event_base *base = event_base_new();
	struct mesh_port *p, *q, *r, *s, *answers;
	struct node_pair pair;

	make_leader_on_base(base, &pair);
	ck_assert_int_eq(mesh_port_pair(&p, &q), 0);
	ck_assert_int_eq(mesh_port_pair(&r, &s), 0);
	ck_assert_int_eq(mesh_port_request(p, text("?"), &answers), 0);
	nodes_send_port(r, "q, with the request", q);
	nodes_send_port(pair.at_leader, "s, with q", s);
	ck_assert_int_eq(mesh_port_set_callback(pair.at_host, NULL, serve_queues, NULL), 0);
	nodes_expect_text(answers, "yes");
	mesh_port_free(answers);
	mesh_port_free(p);
	mesh_port_free(r);
	nodes_free(&pair);
	event_base_free(base);
}
END_TEST

/* A host on a base that does not run, with a port whose other end is at a node that it has not met. */
START_TEST(a_call_to_a_node_that_has_not_been_met_reads_by_itself)
{
	struct event_base *base = event_base_new();
	struct mesh_node_options options = {MESH_NODE_OPTIONS_INIT, .base = base};
	struct mesh_port *from_asker, *passenger, *at_asker, *p, *q;
	struct mesh_invitation invitation;
	struct mesh_node *asker;
	struct node_pair pair;

	nodes_make(&pair);
	ck_assert_int_eq(mesh_port_pair(&from_asker, &passenger), 0);
	ck_assert_int_eq(mesh_node_invite(pair.leader, passenger, &invitation, NULL), 0);
	ck_assert_int_eq(mesh_node_join(&invitation, &options, NODES_PATIENCE, &asker, &at_asker, NULL), 0);
	ck_assert_int_eq(mesh_port_pair(&p, &q), 0);
	nodes_send_port(pair.at_leader, "q", q);
	nodes_send_port(from_asker, "p", p);
	ck_assert_int_eq(mesh_port_set_callback(pair.at_host, NULL, serve_ports, NULL), 0);
	p = nodes_expect_port(at_asker, "p");
	expect_answer(p);
	mesh_port_free(p);
	mesh_port_free(from_asker);
	mesh_port_free(at_asker);
	mesh_node_free(asker);
	nodes_free(&pair);
	event_base_free(base);
}
END_TEST

static Suite *make_suite(void)
{
	Suite *suite = suite_create("mesh/call");
	TCase *calls = support_tcase(suite, "calls"), *reading = support_tcase(suite, "reading");

	tcase_add_test(calls, a_call_brings_the_answer_of_another_node);
	tcase_add_test(calls, requests_may_be_answered_in_any_order);
	tcase_add_test(calls, the_port_for_the_answer_comes_after_what_the_request_carries);
	tcase_add_test(calls, a_request_that_nobody_answers_ends);
	tcase_add_test(calls, an_answer_that_is_failed_is_no_orderly_end);
	tcase_add_test(calls, wrong_requests_are_refused_and_consumed);
	tcase_add_test(reading, a_call_to_a_node_that_was_just_invited_reads_by_itself);
	tcase_add_test(reading, a_call_to_a_port_that_was_just_sent_reads_by_itself);
	tcase_add_test(reading, who_waits_for_the_answer_to_a_request_that_leaves_in_a_queue_reads_by_itself);
	tcase_add_test(reading, a_call_to_a_node_that_has_not_been_met_reads_by_itself);
	return suite;
}

SUPPORT_MAIN(make_suite)
