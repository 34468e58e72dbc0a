/* SPDX-License-Identifier: MIT */
#include <mesh/space-priv.h>

#include <errno.h>
#include <pthread.h>

#include "memory-link.h"
#include "support.h"

/* The lock of a port's space while the port changes its space. For ThreadSanitizer too. */

static struct memory_net net;
#define A (&net.nodes[0])
#define B (&net.nodes[1])

#define MESSAGES 2000
#define SENDERS 4

struct sender {
	pthread_t thread;
	struct mesh_port *port;
	uint32_t number;
};

static void *send_numbers(void *argument)
{
	struct sender *sender = argument;

	for (uint32_t i = 0; i < MESSAGES; i++) {
		uint32_t text[] = {sender->number, i};

		if (memory_send_message(sender->port, mesh_message_new(text, sizeof text), false))
			return sender;
	}
	return NULL;
}

/* The numbers of each sender come in its order. */
static void receive_numbers(struct mesh_port *port, uint32_t next[SENDERS])
{
	struct mesh_message *message;

	while ((message = memory_take(port))) {
		const uint32_t *text = mesh_message_data(message);

		ck_assert_uint_eq(text[1], next[text[0]]);
		next[text[0]]++;
		mesh_message_free(message);
	}
}

/* S157: a pair of no node is adopted by one, and its end moves, while four threads send on the other end. */
START_TEST(senders_keep_their_order_while_the_receiver_moves)
{
	struct sender senders[SENDERS];
	uint32_t next[SENDERS] = {0};
	struct mesh_port *a, *b, *p, *q, *x;
	void *failed;

	memory_net_init(&net, 2);
	net.quiet = true;
	memory_pair(A, "a", &a, B, "b", &b);
	ck_assert_int_eq(mesh__port_pair(NULL, &p, &q), 0);
	for (uint32_t i = 0; i < SENDERS; i++) {
		senders[i] = (struct sender){.port = q, .number = i};
		ck_assert_int_eq(
		        pthread_create(&senders[i].thread, NULL, send_numbers, &senders[i]), 0);
	}
	while (!next[0])
		receive_numbers(p, next);
	memory_send_ports(a, "p", p, NULL);
	for (uint32_t i = 0; i < SENDERS; i++) {
		ck_assert_int_eq(pthread_join(senders[i].thread, &failed), 0);
		ck_assert_ptr_null(failed);
	}
	memory_run(&net, NULL);
	x = memory_take_port(b);
	receive_numbers(x, next);
	for (uint32_t i = 0; i < SENDERS; i++)
		ck_assert_uint_eq(next[i], MESSAGES);
	memory_free(x);
	memory_free(q);
	memory_free(a);
	memory_free(b);
	memory_run(&net, NULL);
	memory_net_clear(&net);
}
END_TEST

static void *use_until_it_fails(void *argument)
{
	struct mesh_port *port = argument;

	while (!memory_end(port))
		memory_send(port, "x");
	memory_free(port);
	return NULL;
}

START_TEST(a_node_goes_while_others_use_its_ports)
{
	for (unsigned round = 0; round < 50; round++) {
		pthread_t threads[2];
		struct mesh_port *a, *b, *c, *d;

		memory_net_init(&net, 2);
		net.quiet = true;
		memory_pair(A, "a", &a, B, "b", &b);
		memory_pair(A, "c", &c, B, "d", &d);
		B->dead = true; /* what is sent there is dropped, not collected */
		pthread_create(&threads[0], NULL, use_until_it_fails, a);
		pthread_create(&threads[1], NULL, use_until_it_fails, c);
		memory_net_clear(&net);
		pthread_join(threads[0], NULL);
		pthread_join(threads[1], NULL);
		memory_free(b);
		memory_free(d);
	}
}
END_TEST

static Suite *make_suite(void)
{
	Suite *suite = suite_create("mesh/port-threads");
	TCase *threads = support_tcase(suite, "threads");

	tcase_add_test(threads, senders_keep_their_order_while_the_receiver_moves);
	tcase_add_test(threads, a_node_goes_while_others_use_its_ports);
	return suite;
}
SUPPORT_MAIN(make_suite)
