/* SPDX-License-Identifier: MIT */
#include "send-room.h"

#include <errno.h>
#include <event2/event.h>
#include <string.h>
#include <unistd.h>

#include "nodes.h"
#include "support.h"

struct event_base *host_base;
struct mesh_node *leader, *host;
struct mesh_port *at_leader, *at_host;

const struct mesh_node_options bounds[3] = {
	{MESH_NODE_OPTIONS_INIT, .max_queued = LIMIT},
	{MESH_NODE_OPTIONS_INIT, .max_queued_messages = 100},
	{MESH_NODE_OPTIONS_INIT, .max_queued_fds = 100},
};

/* A host whose base does not run, once it has joined. */
void make_mesh(const struct mesh_node_options *options)
{
	struct mesh_node_options idle = {MESH_NODE_OPTIONS_INIT, .base = host_base = event_base_new()};
	struct mesh_invitation invitation;
	struct mesh_port *passenger;
	struct pal_error error = {0};

	ck_assert_ok(mesh_node_new(options, &leader, &error), &error);
	ck_assert_int_eq(mesh_port_pair(&at_leader, &passenger), 0);
	ck_assert_ok(mesh_node_invite(leader, passenger, &invitation, &error), &error);
	ck_assert_ok(mesh_node_join(&invitation, &idle, NODES_PATIENCE, &host, &at_host, &error), &error);
	nodes_send_text(at_host, "here");
	nodes_expect_text(at_leader, "here");
	nodes_send_text(at_leader, "there");
	nodes_expect_text(at_host, "there"); /* the moves of ports are over */
}

void free_mesh(void)
{
	mesh_port_free(at_leader);
	mesh_port_free(at_host);
	mesh_node_free(host);
	mesh_node_free(leader);
	event_base_free(host_base);
}

struct mesh_message *numbered(unsigned number, size_t size)
{
	struct mesh_message *message = mesh_message_new_sized(size);

	memcpy(mesh_message_data(message), &number, sizeof number);
	return message;
}

void add_fds(struct mesh_message *message, unsigned fds)
{
	while (fds--)
		ck_assert_int_eq(mesh_message_dup_fd(message, STDIN_FILENO), 0);
}

unsigned fill(struct mesh_port *port, size_t size, unsigned fds)
{
	for (unsigned sent = 0;; sent++) {
		struct mesh_message *message = numbered(sent, size);
		int result;

		add_fds(message, fds);
		result = mesh_port_try_send(port, message);
		if (result == -EAGAIN) {
			ck_assert_uint_eq(mesh_message_size(message), size); /* still ours */
			mesh_message_free(message);
			return sent;
		}
		ck_assert_int_eq(result, 0);
		ck_assert_uint_lt(sent, 100000);
	}
}

void expect_numbers(struct mesh_port *port, unsigned count)
{
	for (unsigned i = 0; i < count; i++) {
		struct mesh_message *message = nodes_recv(port);
		unsigned number;

		memcpy(&number, mesh_message_data(message), sizeof number);
		ck_assert_uint_eq(number, i);
		mesh_message_free(message);
	}
}
