/* SPDX-License-Identifier: MIT */
/* Events with ports in them, of which the records lie. */
#include "hostile-port.h"

#include <errno.h>

#include "support.h"

/* A port of A as a record: `peer` is on A too. */
static struct mesh_port *sent, *sent_peer;

static struct mesh__record record_of_a_port(void)
{
	struct mesh__record record = {.id = memory_id("new"), .next_local_seq = 2};

	ck_assert_int_eq(mesh__port_pair(NULL, &sent, &sent_peer), 0);
	memory_send_ports(a, "to have it on the move", sent, NULL);
	memory_lose(&net, TAILQ_FIRST(&net.packets));
	record.old_node = record.peer_node = A->space.node;
	record.old_port = sent->id;
	record.peer_port = sent_peer->id;
	ck_assert_uint_eq(A->space.moving, 1);
	return record;
}

static void expect_returned(void)
{
	memory_run(&net, NULL);
	ck_assert_uint_eq(A->space.moving, 0);
	ck_assert_int_eq(memory_end(sent_peer), -ECONNRESET);
	memory_free(sent_peer);
}

static void lose_the_link(void)
{
	memory_tell_lost(A, B);
	memory_tell_lost(B, A);
	memory_free(calm_a);
	memory_free(calm_b);
	memory_pair(A, "calm a2", &calm_a, B, "calm b2", &calm_b);
}

START_TEST(a_record_that_lies_fails_the_port_and_nothing_is_left_behind)
{
	struct mesh__record records[2] = {record_of_a_port(), {{{0}}}};
	size_t count = 1;
	bool answered = true;
	struct mesh_port *found;

	switch (_i) {
	case 0: /* the original aborts */
		records[0].old_node = B->space.node;
		answered = false;
		break;
	case 1: /* somebody else's port */
		records[0].old_node = C->space.node;
		answered = false;
		break;
	case 2: /* in use: the original loses the port that has it */
		records[0].id = memory_id("calm b");
		break;
	case 3: /* twice the same */
		records[1] = records[0];
		count = 2;
		break;
	case 4:
		records[0].old_port = (struct mesh_id){{0}};
		answered = false;
		break;
	case 5:
		records[0].peer_node = (struct mesh_id){{0}};
		break;
	case 6: /* the second is a descriptor that is not there */
		count = 2;
		break;
	}
	inject((struct raw){MESSAGE, .seq = 1, .records = records, .record_count = count});
	expect_failed();
	found = mesh__space_find(&B->space, &records[0].id);
	ck_assert(!found || found == calm_b);
	if (!answered)
		lose_the_link(); /* who lies about itself waits until then */
	expect_returned();
}
END_TEST

START_TEST(a_port_for_an_unknown_port_is_answered)
{
	struct mesh__record record = record_of_a_port();

	inject((struct raw){MESSAGE, .port = "nobody", .seq = 1, .records = &record,
	        .record_count = 1, .fds = 1});
	ck_assert_uint_eq(B->space.unknown_port_events, 1);
	expect_returned();
	inject((struct raw){MESSAGE, .seq = 1});
	mesh_message_free(memory_take(b));
	expect_alive();
}
END_TEST

START_TEST(a_port_in_an_event_without_a_message_is_answered)
{
	struct mesh__record record = record_of_a_port();

	inject((struct raw){.type = MESH__EVENT_MESSAGE,
	        .seq = 1,
	        .records = &record,
	        .record_count = 1,
	        .fds = 1});
	expect_returned();
	expect_alive();
}
END_TEST

START_TEST(a_port_whose_peer_is_on_no_node_fails)
{
	struct mesh__record record = record_of_a_port();
	struct mesh_port *port;

	record.peer_node = memory_id("nowhere");
	inject((struct raw){MESSAGE, .seq = 1, .records = &record, .record_count = 1});
	expect_alive(); /* and the leader has said that there is no such node */
	port = memory_take_port(b);
	ck_assert_int_eq(memory_end(port), -ECONNRESET);
	memory_free(port);
	ck_assert_uint_eq(A->space.moving, 0);
	memory_free(
	        sent_peer); /* of whom the record did not tell: its node has hurt its own port */
	lose_the_link();
	memory_free(a);
	memory_free(b);
	memory_pair(A, "a2", &a, B, "b2", &b);
}
END_TEST

START_TEST(a_failed_port_need_not_blame_anybody)
{
	struct mesh__record record = {.id = memory_id("new")};
	struct mesh_port *port;

	inject((struct raw){MESSAGE, .seq = 1, .records = &record, .record_count = 1});
	port = memory_take_port(b);
	ck_assert_int_eq(memory_end(port), -ECONNRESET);
	memory_free(port);
	expect_alive();
}
END_TEST

static Suite *make_suite(void)
{
	Suite *suite = suite_create("mesh/port-hostile-records");
	TCase *ports = support_tcase(suite, "ports");

	tcase_add_checked_fixture(ports, start, stop);
	tcase_add_loop_test(
	        ports, a_record_that_lies_fails_the_port_and_nothing_is_left_behind, 0, 7);
	tcase_add_test(ports, a_port_for_an_unknown_port_is_answered);
	tcase_add_test(ports, a_port_in_an_event_without_a_message_is_answered);
	tcase_add_test(ports, a_port_whose_peer_is_on_no_node_fails);
	tcase_add_test(ports, a_failed_port_need_not_blame_anybody);
	return suite;
}
SUPPORT_MAIN(make_suite)
