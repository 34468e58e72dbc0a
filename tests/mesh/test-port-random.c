/* SPDX-License-Identifier: MIT */
#include <stdio.h>
#include <stdlib.h>

#include <pal/util-priv.h>

#include "port-model.h"
#include "support.h"

/*
 * Random histories: up to six nodes, messages with ports and descriptors in them, bridges, closes, failures and deaths
 * of nodes, packets in any order. Each run plays the same ones. More of them, for a night, or others:
 *
 *	MESH_RANDOM_HISTORIES=100000 MESH_RANDOM_SEED=20261122 ./test-mesh-port-random
 *
 * plays so many of each kind from that seed on. One that fails says how it is played alone.
 */

#define HISTORIES 400
#define PER_TEST 20

static unsigned setting(const char *name, unsigned otherwise)
{
	const char *value = getenv(name);

	return value && *value ? (unsigned)strtoul(value, NULL, 10) : otherwise;
}

static unsigned play_some(unsigned from, enum model_kind kind)
{
	unsigned left = setting("MESH_RANDOM_HISTORIES", HISTORIES) - from, holes = 0;

	if (setting("MESH_RANDOM_KIND", kind) != (unsigned)kind)
		return 0;
	for (unsigned i = 0; i < PER_TEST && i < left; i++)
		holes += model_play(setting("MESH_RANDOM_SEED", 1) + from + i, kind);
	return holes;
}

START_TEST(every_message_arrives_once_and_in_order_and_then_the_end)
{
	play_some((unsigned)_i * PER_TEST, MODEL_ORDERLY);
}
END_TEST

START_TEST(after_failures_every_end_knows)
{
	play_some((unsigned)_i * PER_TEST, MODEL_FAILURES);
}
END_TEST

/* S145. Some histories get into a hole of the protocol. If many did, the others would not show much. */
START_TEST(after_the_death_of_a_node_no_port_waits_without_a_reason)
{
	ck_assert_uint_le(play_some((unsigned)_i * PER_TEST, MODEL_DEATHS), PER_TEST / 2);
}
END_TEST

/* Rare ones: of each a mistake is known that only such a history has shown. */
START_TEST(histories_that_have_found_something)
{
	static const struct {
		unsigned seed;
		enum model_kind kind;
	} found[] = {
		{2547, MODEL_FAILURES}, /* a failure that came before the record of its port */
		{6699, MODEL_ORDERLY},  /* a port without an id whose peer leaves behind a bridge */
		{7411, MODEL_FAILURES},
	};

	for (size_t i = 0; i < PAL_ARRAY_LENGTH(found); i++)
		model_play(found[i].seed, found[i].kind);
}
END_TEST

static Suite *make_suite(void)
{
	unsigned histories = setting("MESH_RANDOM_HISTORIES", HISTORIES);
	int tests = (int)((histories + PER_TEST - 1) / PER_TEST);
	Suite *suite = suite_create("mesh/port-random");
	TCase *of_each_kind = support_tcase(suite, "histories");

	printf("seeds %u to %u of each kind\n", setting("MESH_RANDOM_SEED", 1),
		setting("MESH_RANDOM_SEED", 1) + histories - 1);
	tcase_add_loop_test(
		of_each_kind, every_message_arrives_once_and_in_order_and_then_the_end, 0, tests);
	tcase_add_loop_test(of_each_kind, after_failures_every_end_knows, 0, tests);
	tcase_add_loop_test(
		of_each_kind, after_the_death_of_a_node_no_port_waits_without_a_reason, 0, tests);
	tcase_add_test(of_each_kind, histories_that_have_found_something);
	return suite;
}
SUPPORT_MAIN(make_suite)
