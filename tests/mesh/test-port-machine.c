/* SPDX-License-Identifier: MIT */
#include <mesh/space-priv.h>

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "memory-link.h"
#include "support.h"

static struct memory_net net;
#define A (&net.nodes[0])
#define B (&net.nodes[1])
#define C (&net.nodes[2])

static void start(void)
{
	memory_net_init(&net, 3);
}

static void stop(void)
{
	memory_net_clear(&net);
}

static int some_fd(void)
{
	int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);

	ck_assert_int_ge(fd, 0);
	return fd;
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

START_TEST(a_port_moves_with_all_that_was_sent_to_it)
{
	struct mesh_port *a, *b, *p, *q, *x;

	memory_pair(A, "a", &a, B, "b", &b);
	ck_assert_int_eq(mesh__port_pair(NULL, &p, &q), 0);
	memory_send(q, "m1");
	memory_send(p, "w1");
	ck_assert_int_eq(memory_send_ports(a, "take this", p, NULL), 0);
	ck_assert_ptr_eq(mesh__port_space(q), &A->space);
	memory_send(q, "m2");
	memory_run(&net, NULL);
	ck_assert_uint_eq(A->space.moving, 0);
	x = memory_take_port(b);
	memory_expect(x, "m1");
	memory_expect(x, "m2");
	memory_expect(q, "w1");
	memory_send(x, "r");
	memory_send(q, "m3");
	memory_run(&net, NULL);
	memory_expect(x, "m3");
	memory_expect(q, "r");
	memory_free(x);
	memory_run(&net, NULL);
	ck_assert_int_eq(memory_end(q), -EPIPE);
	memory_free(q);
	memory_free(a);
	memory_free(b);
	memory_run(&net, NULL);
	ck_assert_uint_eq(memory_port_count(A), 0);
	ck_assert_uint_eq(memory_port_count(B), 0);
}
END_TEST

START_TEST(descriptors_travel)
{
	struct mesh_port *a, *b;
	struct mesh_message *message = mesh_message_new("fds", 3);
	int fd;

	memory_pair(A, "a", &a, B, "b", &b);
	ck_assert_int_eq(mesh_message_put_fd(message, some_fd()), 0);
	ck_assert_int_eq(memory_send_message(a, message, false), 0);
	memory_run(&net, NULL);
	message = memory_take(b);
	fd = mesh_message_take_fd(message, 0);
	ck_assert_int_ge(fd, 0);
	close(fd);
	mesh_message_free(message);
	memory_free(a);
	memory_free(b);
}
END_TEST

static Suite *make_suite(void)
{
	Suite *suite = suite_create("mesh/port-machine");
	TCase *local = support_tcase(suite, "local");

	tcase_add_checked_fixture(local, start, stop);
	tcase_add_test(local, messages_arrive_in_order_and_then_the_close);
	tcase_add_test(local, a_last_message_closes);
	tcase_add_test(local, a_failed_end_is_no_orderly_end);
	tcase_add_test(local, a_port_moves_with_all_that_was_sent_to_it);
	tcase_add_test(local, descriptors_travel);
	return suite;
}
SUPPORT_MAIN(make_suite)
