/* SPDX-License-Identifier: MIT */
#include <mesh/space-priv.h>

#include <errno.h>
#include <fcntl.h>

#include "memory-link.h"
#include "support.h"

static struct memory_net net;
#define A (&net.nodes[0])
#define B (&net.nodes[1])

static void start(void)
{
	memory_net_init(&net, 3);
}

static void stop(void)
{
	memory_net_clear(&net);
}

/* ---- a pair without a node ---- */

START_TEST(messages_arrive_in_order_and_then_the_close)
{
	struct mesh_port *a, *b;

	ck_assert_int_eq(mesh__port_pair(NULL, &a, &b), 0);
	ck_assert_int_eq(memory_send(a, "one"), 0);
	ck_assert_int_eq(memory_send(a, ""), 0);
	memory_free(a);
	ck_assert_int_eq(memory_end(b), 0);
	memory_expect(b, "one");
	memory_expect(b, "");
	ck_assert_int_eq(memory_end(b), -EPIPE);
	ck_assert_int_eq(memory_send(b, "to nobody"), 0);
	memory_free(b);
}
END_TEST

START_TEST(a_last_message_closes)
{
	struct mesh_port *a, *b;

	ck_assert_int_eq(mesh__port_pair(NULL, &a, &b), 0);
	ck_assert_int_eq(memory_send_message(a, mesh_message_new("bye", 3), true), 0);
	memory_free(a);
	memory_expect(b, "bye");
	ck_assert_int_eq(memory_end(b), -EPIPE);
	memory_free(b);
}
END_TEST

static int end_of_what_is_sent_on(struct mesh_port *port)
{
	struct mesh_port *kept, *sent;
	int how;

	ck_assert_int_eq(mesh__port_pair(NULL, &kept, &sent), 0);
	ck_assert_int_eq(memory_send_ports(port, "a request", sent, NULL), 0);
	how = memory_end(kept);
	memory_free(kept);
	return how;
}

START_TEST(a_port_sent_to_an_end_that_is_not_there_ends_in_the_same_way)
{
	struct mesh_port *a, *b;

	ck_assert_int_eq(mesh__port_pair(NULL, &a, &b), 0);
	memory_free(b);
	ck_assert_int_eq(end_of_what_is_sent_on(a), -EPIPE);
	memory_free(a);
	ck_assert_int_eq(mesh__port_pair(NULL, &a, &b), 0);
	memory_fail(b);
	ck_assert_int_eq(end_of_what_is_sent_on(a), -ECONNRESET);
	memory_free(a);
}
END_TEST

START_TEST(a_failed_end_is_no_orderly_end)
{
	struct mesh_port *a, *b;

	ck_assert_int_eq(mesh__port_pair(NULL, &a, &b), 0);
	ck_assert_int_eq(memory_send(a, "before"), 0);
	memory_fail(a);
	ck_assert_int_eq(memory_end(a), -ECONNRESET);
	memory_expect(b, "before");
	ck_assert_int_eq(memory_end(b), -ECONNRESET);
	memory_free(a);
	memory_free(b);
}
END_TEST

START_TEST(a_port_cannot_travel_over_itself_or_its_peer)
{
	struct mesh_port *a, *b;

	ck_assert_int_eq(mesh__port_pair(NULL, &a, &b), 0);
	ck_assert_int_eq(memory_send_ports(a, "me", a, NULL), -ELOOP);
	ck_assert_int_eq(memory_send(a, "still mine"), 0);
	memory_expect(b, "still mine");
	ck_assert_int_eq(memory_send_ports(a, "you", b, NULL), -ELOOP);
	ck_assert_int_eq(memory_end(a), -EPIPE);
	memory_free(a);
}
END_TEST

START_TEST(ports_cannot_be_in_one_anothers_queues)
{
	struct mesh_port *a, *b, *c, *d, *e, *f;

	ck_assert_int_eq(mesh__port_pair(NULL, &a, &b), 0);
	ck_assert_int_eq(mesh__port_pair(NULL, &c, &d), 0);
	ck_assert_int_eq(mesh__port_pair(NULL, &e, &f), 0);
	ck_assert_int_eq(memory_send_ports(a, "d into b", d, NULL), 0);
	ck_assert_int_eq(memory_send_ports(c, "f into d", f, NULL), 0);
	ck_assert_int_eq(memory_send_ports(e, "b into f", b, NULL), -ELOOP);
	ck_assert_int_eq(memory_end(a), -EPIPE);
	ck_assert_int_eq(memory_end(c), -EPIPE);
	ck_assert_int_eq(memory_end(e), -EPIPE);
	memory_free(a);
	memory_free(c);
	memory_free(e);
}
END_TEST

/* The queue of each holds the next one. What would make it a ring is refused, however long that is. */
START_TEST(ports_cannot_make_a_ring_of_queues)
{
	const size_t lengths[] = {2, 16, 17, 18, 19, 200};
	struct mesh_port *ends[200], *ports[200] = {0};
	size_t length = lengths[_i];

	for (size_t i = 0; i < length; i++)
		ck_assert_int_eq(mesh__port_pair(NULL, &ends[i], &ports[i]), 0);
	for (size_t i = 0; i + 1 < length; i++)
		ck_assert_int_eq(memory_send_ports(ends[i], "the next one", ports[i + 1], NULL), 0);
	ck_assert_int_eq(memory_send_ports(ends[length - 1], "and the first", ports[0], NULL), -ELOOP);
	for (size_t i = 0; i < length; i++) {
		ck_assert_int_eq(memory_end(ends[i]), -EPIPE); /* all of them have gone with the message */
		memory_free(ends[i]);
	}
}
END_TEST

/* S151. */
START_TEST(closing_a_port_closes_the_ports_in_its_unread_messages)
{
	struct mesh_port *a, *b, *c, *d, *e, *f;

	ck_assert_int_eq(mesh__port_pair(NULL, &a, &b), 0);
	ck_assert_int_eq(mesh__port_pair(NULL, &c, &d), 0);
	ck_assert_int_eq(mesh__port_pair(NULL, &e, &f), 0);
	ck_assert_int_eq(memory_send_ports(c, "inner", e, NULL), 0);
	ck_assert_int_eq(memory_send_ports(a, "outer", d, NULL), 0);
	memory_free(b);
	ck_assert_int_eq(memory_end(a), -EPIPE);
	ck_assert_int_eq(memory_end(c), -EPIPE);
	ck_assert_int_eq(memory_end(f), -EPIPE);
	memory_free(a);
	memory_free(c);
	memory_free(f);
}
END_TEST

/* S151. */
START_TEST(a_port_sent_to_a_closed_port_is_closed)
{
	struct mesh_port *a, *b, *c, *d;

	ck_assert_int_eq(mesh__port_pair(NULL, &a, &b), 0);
	ck_assert_int_eq(mesh__port_pair(NULL, &c, &d), 0);
	memory_free(b);
	ck_assert_int_eq(memory_send_ports(a, "late", c, NULL), 0);
	ck_assert_int_eq(memory_end(d), -EPIPE);
	memory_free(a);
	memory_free(d);
}
END_TEST

START_TEST(messages_nested_deeper_than_any_stack_are_freed)
{
	struct mesh_port *outer, *a, *c, *d;

	ck_assert_int_eq(mesh__port_pair(NULL, &a, &outer), 0);
	for (size_t i = 0; i < 100000; i++) {
		ck_assert_int_eq(mesh__port_pair(NULL, &c, &d), 0);
		ck_assert_int_eq(memory_send_message(a, mesh_message_new("x", 1), false), 0);
		ck_assert_int_eq(memory_send_ports(a, "nested", d, NULL), 0);
		memory_free(a);
		a = c;
	}
	memory_free(outer);
	ck_assert_int_eq(memory_end(a), -EPIPE); /* up to the innermost one */
	memory_free(a);
}
END_TEST

/* ---- what may be sent ---- */

static void send_fds(size_t size, size_t fds, int expected)
{
	struct mesh_port *a, *b;

	memory_pair(A, "a", &a, B, "b", &b);
	ck_assert_int_eq(memory_send_message(a, memory_new_message(size, fds), false), expected);
	memory_run(&net, NULL);
	if (!expected) {
		struct mesh_message *message = memory_take(b);

		ck_assert_uint_eq(mesh__message_fd_count(message), fds);
		ck_assert_uint_eq(mesh_message_size(message), size);
		mesh_message_free(message);
	}
	ck_assert_int_eq(memory_end(b), 0);
	memory_free(a);
	memory_free(b);
	memory_run(&net, NULL);
}

START_TEST(descriptors_are_limited_by_what_the_event_is_sent_as)
{
	/* 64 records and 10192 bytes are exactly a packet. */
	const size_t most = MESH__INLINE_EVENT_MAX - mesh__event_size(64, 0);

	send_fds(0, 64, 0);
	send_fds(0, 65, -EMSGSIZE);
	send_fds(most, 64, 0);
	send_fds(most + 1, 64, -EMSGSIZE);
	send_fds(most + 1, 63, 0);
	send_fds(100000, 63, 0);
}
END_TEST

START_TEST(a_message_over_the_limit_is_refused)
{
	A->space.max_message = 1000;
	send_fds(1000, 1, 0);
	send_fds(1001, 0, -EMSGSIZE);
}
END_TEST

START_TEST(a_message_over_the_receivers_limit_fails_the_port)
{
	struct mesh_port *a, *b;

	B->space.max_message = 10;
	memory_pair(A, "a", &a, B, "b", &b);
	memory_send(a, "0123456789");
	memory_send(a, "01234567890");
	memory_run(&net, NULL);
	memory_expect(b, "0123456789");
	ck_assert_int_eq(memory_end(b), -ECONNRESET);
	ck_assert_int_eq(memory_end(a), -ECONNRESET);
	memory_free(a);
	memory_free(b);
}
END_TEST

/* A pair that had no node obeys no node's limit until it moves. */
START_TEST(a_queued_message_over_the_limit_of_the_node_it_meets_fails_the_port)
{
	struct mesh_port *a, *b, *p, *q, *x;
	struct mesh_message *message = mesh_message_new_sized(2000);
	int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);

	A->space.max_message = 1000;
	memory_pair(A, "a", &a, B, "b", &b);
	ck_assert_int_eq(mesh__port_pair(NULL, &p, &q), 0);
	ck_assert_int_eq(mesh_message_put_fd(message, fd), 0);
	ck_assert_int_eq(memory_send_message(q, message, false), 0);
	memory_send_ports(a, "p", p, NULL);
	memory_run(&net, NULL);
	x = memory_take_port(b);
	ck_assert_int_eq(memory_end(x), -ECONNRESET);
	ck_assert_int_eq(memory_end(q), -ECONNRESET);
	ck_assert_uint_eq(A->space.moving, 0);
	ck_assert_int_eq(fcntl(fd, F_GETFD), -1);
	memory_free(a);
	memory_free(b);
	memory_free(x);
	memory_free(q);
}
END_TEST

/* ---- the end of a node ---- */

START_TEST(ports_outlive_their_node)
{
	struct mesh_port *a, *b, *p, *q;

	memory_pair(A, "a", &a, B, "b", &b);
	ck_assert_int_eq(mesh__port_pair(&A->space, &p, &q), 0);
	memory_send(b, "before");
	memory_run(&net, NULL);
	mesh__space_deinit(&A->space);
	memory_expect(a, "before");
	ck_assert_int_eq(memory_end(a), -ECONNRESET);
	ck_assert_int_eq(memory_send(a, "to nobody"), 0);
	/* These two never needed a node. */
	ck_assert_int_eq(memory_send(p, "hello"), 0);
	memory_expect(q, "hello");
	memory_free(a);
	memory_free(b);
	memory_free(p);
	memory_free(q);
	mesh__space_init(&A->space, B->space.ops, &(struct mesh_id){{'A'}});
}
END_TEST

static unsigned notified;

static void count(struct mesh_port *port)
{
	(void)port;
	notified++;
}

START_TEST(the_owner_is_notified_of_messages_adoption_and_the_end)
{
	struct mesh_port *a, *b, *p, *q;

	memory_pair(A, "a", &a, B, "b", &b);
	ck_assert_int_eq(mesh__port_pair(NULL, &p, &q), 0);
	q->notify = count;
	memory_send(p, "1");
	ck_assert_uint_eq(notified, 1);
	memory_send_ports(a, "p", p, NULL);
	ck_assert_uint_eq(notified, 2);
	memory_free(b);
	memory_run(&net, NULL);
	ck_assert_uint_eq(notified, 3);
	ck_assert_int_eq(memory_end(q), 0);
	memory_expect(q, "1");
	ck_assert_int_eq(memory_end(q), -EPIPE);
	memory_free(a);
	memory_free(q);
}
END_TEST

static Suite *make_suite(void)
{
	Suite *suite = suite_create("mesh/port-machine");
	TCase *local = support_tcase(suite, "local");
	TCase *limits = support_tcase(suite, "limits");
	TCase *ends = support_tcase(suite, "ends");

	tcase_add_checked_fixture(local, start, stop);
	tcase_add_checked_fixture(limits, start, stop);
	tcase_add_checked_fixture(ends, start, stop);
	tcase_add_test(local, messages_arrive_in_order_and_then_the_close);
	tcase_add_test(local, a_last_message_closes);
	tcase_add_test(local, a_port_sent_to_an_end_that_is_not_there_ends_in_the_same_way);
	tcase_add_test(local, a_failed_end_is_no_orderly_end);
	tcase_add_test(local, a_port_cannot_travel_over_itself_or_its_peer);
	tcase_add_test(local, ports_cannot_be_in_one_anothers_queues);
	tcase_add_test(local, closing_a_port_closes_the_ports_in_its_unread_messages);
	tcase_add_test(local, a_port_sent_to_a_closed_port_is_closed);
	tcase_add_loop_test(local, ports_cannot_make_a_ring_of_queues, 0, 6);
	tcase_add_test(local, messages_nested_deeper_than_any_stack_are_freed);
	tcase_add_test(limits, descriptors_are_limited_by_what_the_event_is_sent_as);
	tcase_add_test(limits, a_message_over_the_limit_is_refused);
	tcase_add_test(limits, a_message_over_the_receivers_limit_fails_the_port);
	tcase_add_test(limits, a_queued_message_over_the_limit_of_the_node_it_meets_fails_the_port);
	tcase_add_test(ends, ports_outlive_their_node);
	tcase_add_test(ends, the_owner_is_notified_of_messages_adoption_and_the_end);
	return suite;
}
SUPPORT_MAIN(make_suite)
