/* SPDX-License-Identifier: MIT */
/* Ports that have gone to another node, which takes its time to say so, or to let go of them. */
#include <errno.h>

#include "support.h"
#include "wild.h"

enum { BOUND = 100 };
static const struct mesh_node_options narrow = {
	MESH_NODE_OPTIONS_INIT, .max_queued_messages = 2 * BOUND, .max_port_unread_messages = 10};

/* One that has acknowledged the ports of the first message. */
static struct wild sound_guest(void)
{
	struct wild wild = wild_guest();

	for (size_t i = 0; i < 3; i++)
		wild_answer(&wild, &wild.first[i].old_port, MESH__EVENT_ACK_PORT);
	wild_send(&wild, MESH__EVENT_MESSAGE, wild.first[2].next_local_seq, NULL, 0, "sound", 5);
	nodes_expect_text(wild.port, "sound");
	return wild;
}

/* A request of which the answer is not waited for. */
static int ask(struct mesh_port *port)
{
	struct mesh_port *answers;
	int result = mesh_port_request(port, mesh_message_new("?", 1), &answers);

	if (!result)
		mesh_port_free(answers);
	return result;
}

static struct mesh_message *with_ports(struct mesh_port **ret_others, unsigned count)
{
	struct mesh_message *message = mesh_message_new_sized(0);

	for (unsigned i = 0; i < count; i++) {
		struct mesh_port *port;

		ck_assert_int_eq(mesh_port_pair(&ret_others[i], &port), 0);
		ck_assert_int_eq(mesh_message_put_port(message, port), 0);
	}
	return message;
}

/* It reads everything, so nothing is queued. It acknowledges no port, or each of them, and says never that one is closed. */
START_TEST(ports_that_a_node_does_not_let_go_of_have_a_bound)
{
	struct mesh__record records[BOUND];
	struct mesh_port *port;
	struct wild wild;
	unsigned count;

	make_mesh(&narrow);
	wild = sound_guest();
	for (count = 0; ask(wild.port) == 0; count++) {
		ck_assert_uint_lt(count, BOUND);
		records[count] = wild_expect_port(&wild);
		if (_i)
			wild_answer(&wild, &records[count].old_port, MESH__EVENT_ACK_PORT);
	}
	ck_assert_int_eq(ask(wild.port), -EAGAIN);
	ck_assert_uint_ge(count, BOUND / 2);
	nodes_send_text(wild.port, "what carries no port is not concerned");
	round_trip(from_good, at_good);
	ck_assert_int_eq(ask(from_good), 0);
	for (unsigned i = 0; i < count; i++)
		wild_answer(&wild, _i ? &records[i].peer_port : &records[i].old_port, MESH__EVENT_FAIL_PORT);
	ck_assert_int_eq(mesh_port_send_wait(wild.port, with_ports(&port, 1), NODES_PATIENCE, NULL), 0);
	mesh_port_free(port);
	mesh_message_free(nodes_recv(at_good));
	wild_free(&wild);
	free_mesh();
}
END_TEST

/* It cannot be told to come again later. But it need not cost more than its port. */
START_TEST(a_last_message_with_too_many_ports_fails_its_port)
{
	enum { COUNT = 2 * BOUND + 20 };
	struct mesh_port *others[COUNT], *first;
	struct wild wild;

	make_mesh(&narrow);
	wild = sound_guest();
	ck_assert_int_eq(mesh_port_send(wild.port, with_ports(&first, 1)), 0);
	ck_assert_int_eq(mesh_port_send_and_free(PAL_TAKE_POINTER(wild.port), with_ports(others, COUNT)), 0);
	for (unsigned i = 0; i < COUNT; i++) {
		nodes_expect_end(others[i], -ECONNRESET);
		mesh_port_free(others[i]);
	}
	wild_expect(&wild, MESH__EVENT_FAIL_PORT);
	mesh__space_lock(&leader->space);
	ck_assert(mesh__peer_find(leader, &wild.invitation.local_node)->connected);
	mesh__space_unlock(&leader->space);
	mesh_port_free(first);
	wild_free(&wild);
	free_mesh();
}
END_TEST

/* Nothing is on the account of a node when all is over, and the calm have never met the bound. */
START_TEST(ports_that_come_and_go_leave_nothing_on_the_account)
{
	struct mesh__peer *peer;

	make_mesh(&narrow);
	for (int i = 0; i < 10 * BOUND; i++) {
		struct mesh_port *port;

		ck_assert_int_eq(mesh_port_send_wait(from_good, with_ports(&port, 1), NODES_PATIENCE, NULL), 0);
		mesh_message_free(nodes_recv(at_good));
		mesh_port_free(port);
	}
	round_trip(from_good, at_good);
	mesh__space_lock(&leader->space);
	peer = mesh__peer_find(leader, &good->space.node);
	ck_assert_uint_eq(peer->remote.awaited.ports, 0);
	ck_assert_uint_eq(peer->guest_list->awaited.ports, 0);
	ck_assert_uint_eq(peer->remote.awaited.stored.events + peer->remote.awaited.stored.bytes, 0);
	mesh__space_unlock(&leader->space);
	free_mesh();
}
END_TEST

static Suite *make_suite(void)
{
	Suite *suite = suite_create("mesh/node-awaited");
	TCase *ports = support_tcase(suite, "ports");

	tcase_set_timeout(ports, 60);
	tcase_add_loop_test(ports, ports_that_a_node_does_not_let_go_of_have_a_bound, 0, 2);
	tcase_add_test(ports, a_last_message_with_too_many_ports_fails_its_port);
	tcase_add_test(ports, ports_that_come_and_go_leave_nothing_on_the_account);
	return suite;
}
SUPPORT_MAIN(make_suite)
