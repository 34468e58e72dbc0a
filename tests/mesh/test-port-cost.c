/* SPDX-License-Identifier: MIT */
/*
 * What the events of one node cost another one, counted in steps: not more than
 * what they are about, whatever else there is and however they were chosen.
 */
#include <mesh/machine-priv.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "memory-link.h"
#include "support.h"

static struct memory_net net;
#define A (&net.nodes[0])
#define B (&net.nodes[1])
#define C (&net.nodes[2])

static void start(void)
{
	memory_net_init(&net, 3);
	net.quiet = true;
}

/* ---- nodes that are lost ---- */

enum { MANY = 1000 };

START_TEST(the_loss_of_a_node_costs_what_has_to_do_with_it)
{
	struct mesh_port *here[MANY], *there[MANY], *c, *at_c;

	start();
	for (int i = 0; i < MANY; i++) {
		char ours[16], theirs[16];

		snprintf(ours, sizeof ours, "a%d", i);
		snprintf(theirs, sizeof theirs, "b%d", i);
		memory_pair(A, ours, &here[i], B, theirs, &there[i]);
	}
	memory_pair(A, "c", &c, C, "at c", &at_c);
	memory_kill(C);
	ck_assert_int_eq(memory_end(c), -ECONNRESET);
	ck_assert_uint_le(A->space.checked_for_loss, 4);
	memory_kill(B);
	ck_assert_uint_ge(A->space.checked_for_loss, MANY);
	ck_assert_uint_le(A->space.checked_for_loss, 2 * MANY + 4);
	for (int i = 0; i < MANY; i++) {
		ck_assert_int_eq(memory_end(here[i]), -ECONNRESET);
		memory_free(here[i]);
		memory_free(there[i]);
	}
	memory_free(c);
	memory_free(at_c);
	memory_net_clear(&net);
}
END_TEST

/* Ports that have their peers on as many nodes, of which there is none. */
START_TEST(a_message_may_name_many_nodes_that_do_not_exist)
{
	struct mesh_id to = memory_id("a");
	struct mesh_port *a, *b;
	struct mesh_message *message;
	uint8_t *event = calloc(1, mesh__event_size(MANY, 0));

	start();
	memory_pair(A, "a", &a, B, "b", &b);
	mesh__event_header_write(event, &to, MESH__EVENT_MESSAGE, MESH__FLAG_MESSAGE, 1, MANY, 0);
	for (unsigned i = 0; i < MANY; i++) {
		struct mesh__record record = {.id = {{1}}, .old_node = B->space.node, .old_port = {{2}},
			.peer_node = {{3}}, .peer_port = {{4}}, .next_local_seq = 1};

		memcpy(record.id.bytes + 8, &i, sizeof i);
		memcpy(record.peer_node.bytes + 8, &i, sizeof i);
		mesh__record_write(event + mesh__event_size(i, 0), &record);
	}
	memory_inject(A, B, event, mesh__event_size(MANY, 0), NULL, 0);
	free(event);
	memory_run(&net, NULL); /* in which each of those nodes is lost */
	ck_assert_uint_ge(A->space.checked_for_loss, MANY);
	ck_assert_uint_le(A->space.checked_for_loss, 2 * MANY);
	message = memory_take(a);
	for (unsigned i = 0; i < MANY; i++)
		ck_assert_int_eq(memory_end(message->resources[i].port), -ECONNRESET);
	mesh_message_free(message);
	memory_free(a);
	memory_free(b);
	memory_run(&net, NULL);
	memory_net_clear(&net);
}
END_TEST

/* ---- tables ---- */

START_TEST(the_hash_is_the_published_one)
{
	static const struct {
		size_t size;
		uint64_t hash;
	} vectors[] = {{0, 0x726fdb47dd0e0e31u}, {8, 0x93f5f5799a932462u}, {15, 0xa129ca6149be45e5u},
		{16, 0x3f2acc7f57c29bdbu}};
	uint8_t data[16];
	uint64_t key[2] = {0x0706050403020100u, 0x0f0e0d0c0b0a0908u};

	for (uint8_t i = 0; i < sizeof data; i++)
		data[i] = i;
	for (size_t i = 0; i < sizeof vectors / sizeof *vectors; i++)
		ck_assert(mesh__siphash(key, data, vectors[i].size) == vectors[i].hash);
}
END_TEST

static unsigned fnv(uint64_t value)
{
	unsigned hash = 2166136261u;

	for (unsigned i = 0; i < sizeof value; i++)
		hash = (hash ^ (uint8_t)(value >> 8 * i)) * 16777619u;
	return hash;
}

static unsigned longest_chain(const UT_hash_table *table)
{
	unsigned longest = 0;

	for (unsigned i = 0; i < table->num_buckets; i++) {
		if (table->buckets[i].count > longest)
			longest = table->buckets[i].count;
	}
	return longest;
}

/* Far ahead, so that they stay; all in one bucket of a table whose hash has no key. */
START_TEST(a_peer_cannot_choose_numbers_that_collide)
{
	struct mesh_id to = memory_id("a");
	struct mesh_port *a, *b;
	unsigned sent = 0;

	start();
	memory_pair(A, "a", &a, B, "b", &b);
	for (uint64_t seq = 2; sent < 2 * MANY; seq++) {
		uint8_t event[MESH__EVENT_HEADER_SIZE];

		if ((fnv(seq) & 127) != 5)
			continue;
		mesh__event_header_write(event, &to, MESH__EVENT_MESSAGE, 0, seq, 0, 0);
		memory_inject(A, B, event, sizeof event, NULL, 0);
		sent++;
	}
	ck_assert_uint_eq(a->far->pending_count, sent);
	ck_assert_uint_lt(longest_chain(a->far->pending->hh.tbl), 60);
	memory_free(a);
	memory_free(b);
	memory_run(&net, NULL);
	memory_net_clear(&net);
}
END_TEST

/* ---- a port on the move ---- */

static void run_without(const struct memory_node *silent)
{
	struct memory_packet *packet, *next;
	bool delivered;

	do {
		delivered = false;
		for (packet = TAILQ_FIRST(&net.packets); packet && !delivered; packet = next) {
			next = TAILQ_NEXT(packet, next);
			delivered = packet->to != silent;
			if (delivered)
				memory_deliver(&net, packet);
		}
	} while (delivered);
}

/* C sends to a port that A has handed on to B, which never acknowledges. */
START_TEST(who_never_acknowledges_a_port_costs_nobody_else_the_link)
{
	struct mesh_port *to_b, *b, *at_a, *c, *other_a, *other_c;
	struct mesh__remote *remote;

	start();
	memory_pair(A, "to b", &to_b, B, "b", &b);
	memory_pair(A, "at a", &at_a, C, "c", &c);
	memory_pair(A, "other a", &other_a, C, "other c", &other_c);
	A->space.max_held.events = 20;
	remote = memory_remote(A, &C->space.node);
	ck_assert_int_eq(memory_send_ports(to_b, "for you", at_a, NULL), 0);
	for (unsigned i = 1; i <= 10; i++) {
		ck_assert_int_eq(memory_send(c, "waits"), 0);
		run_without(B);
		ck_assert_uint_eq(remote->held.events, i);
	}
	ck_assert_int_eq(memory_send(c, "one too many"), 0);
	run_without(B);
	ck_assert_uint_eq(remote->held.events, 0);
	ck_assert_uint_eq(remote->parked.events, 0);
	ck_assert_int_eq(memory_end(c), -ECONNRESET);
	for (unsigned i = 0; i < 20; i++)
		ck_assert_int_eq(memory_send(other_c, "fine"), 0);
	run_without(B);
	for (unsigned i = 0; i < 20; i++)
		memory_expect(other_a, "fine");
	memory_run(&net, NULL);
	ck_assert_int_eq(memory_end(to_b), 0);
	memory_free(memory_take_port(b)); /* it came, and has failed */
	memory_free(b);
	memory_free(to_b);
	memory_free(c);
	memory_free(other_a);
	memory_free(other_c);
	memory_run(&net, NULL);
	memory_net_clear(&net);
}
END_TEST

static Suite *make_suite(void)
{
	Suite *suite = suite_create("mesh/port-cost");
	TCase *losses = support_tcase(suite, "losses"), *tables = support_tcase(suite, "tables"),
	      *moves = support_tcase(suite, "moves");

	tcase_add_test(losses, the_loss_of_a_node_costs_what_has_to_do_with_it);
	tcase_add_test(losses, a_message_may_name_many_nodes_that_do_not_exist);
	tcase_add_test(tables, the_hash_is_the_published_one);
	tcase_add_test(tables, a_peer_cannot_choose_numbers_that_collide);
	tcase_add_test(moves, who_never_acknowledges_a_port_costs_nobody_else_the_link);
	return suite;
}
SUPPORT_MAIN(make_suite)
