/* SPDX-License-Identifier: MIT */
#include "limits.h"

#include <unistd.h>

#include "support.h"

struct mesh_node *leader, *bad, *good;
struct mesh_port *from_bad, *at_bad, *from_good, *at_good;

void make_mesh(const struct mesh_node_options *options)
{
	struct pal_error error = {0};

	ck_assert_ok(mesh_node_new(options, &leader, &error), &error);
	nodes_invite(leader, &bad, &from_bad, &at_bad);
	nodes_invite(leader, &good, &from_good, &at_good);
}

void free_mesh(void)
{
	mesh_port_free(from_bad);
	mesh_port_free(from_good);
	mesh_port_free(at_bad);
	mesh_port_free(at_good);
	mesh_node_free(bad);
	mesh_node_free(good);
	mesh_node_free(leader);
}

void round_trip(struct mesh_port *here, struct mesh_port *there)
{
	nodes_send_text(here, "there");
	nodes_expect_text(there, "there");
	nodes_send_text(there, "and back");
	nodes_expect_text(here, "and back");
}

unsigned links_over_limit(void)
{
	unsigned count;

	mesh__space_lock(&leader->space);
	count = leader->links_over_limit;
	mesh__space_unlock(&leader->space);
	return count;
}

struct mesh__held held_for(const struct mesh_node *node)
{
	struct mesh__held held;
	struct mesh__peer *peer;

	mesh__space_lock(&leader->space);
	peer = mesh__peer_find(leader, &node->space.node);
	ck_assert_ptr_nonnull(peer);
	held = peer->remote.held;
	mesh__space_unlock(&leader->space);
	return held;
}

void send_sized(struct mesh_port *port, size_t size, unsigned fds)
{
	struct mesh_message *message = mesh_message_new_sized(size);

	for (unsigned i = 0; i < fds; i++)
		ck_assert_int_eq(mesh_message_dup_fd(message, STDIN_FILENO), 0);
	ck_assert_int_eq(mesh_port_send(port, message), 0);
}
