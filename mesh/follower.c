/* SPDX-License-Identifier: MIT */
#include <mesh/node-priv.h>

#include <errno.h>
#include <fcntl.h>
#include <sys/socket.h>

#include <mesh/control-priv.h>
#include <mesh/port.h>
#include <pal/log.h>
#include <pal/util-priv.h>

/* A follower asks its leader for links to nodes that it hears of, and takes the links that the leader orders. */

void mesh__follower_ask(struct mesh_node *node, struct mesh__peer *peer)
{
	struct mesh_message *message;
	int result;

	if (peer->connected)
		return;
	if (node->requests && !mesh__port_end(node->requests) && !node->parting) {
		result = mesh__control_write_connect_request(&peer->remote.id, &message);
		if (!result)
			result = mesh__port_send(node->requests, message, false);
		peer->asked = !result;
		if (!result)
			return;
	}
	mesh__peer_lose(node, peer); /* nobody is left to ask */
}

/* What the leader hands out must be a socket of this wire: anything else would be read as a broken peer later. */
static bool is_link_socket(int fd)
{
	int value, flags;
	socklen_t size = sizeof value;

	if (getsockopt(fd, SOL_SOCKET, SO_TYPE, &value, &size) < 0 || value != SOCK_SEQPACKET)
		return false;
	if (getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &value, &size) < 0 || value != AF_UNIX)
		return false;
	flags = fcntl(fd, F_GETFL);
	return flags >= 0 && fcntl(fd, F_SETFL, flags | O_NONBLOCK) == 0;
}

static void take_link(struct mesh_node *node, const struct mesh_id *id, int fd)
{
	struct mesh__peer *peer = mesh__peer_find(node, id);

	/* A second link to a node is normal: both may have asked. The first one counts on both sides. */
	if (node->parting || mesh__id_equal(id, &node->space.node) || mesh__id_is_zero(id) ||
		(peer && peer->connected) || !is_link_socket(fd)) {
		pal_close(fd);
		return;
	}
	if (!peer)
		peer = mesh__peer_get(node, id);
	if (!peer) {
		pal_close(fd);
		return;
	}
	if (mesh__peer_connect(node, peer, fd) < 0)
		mesh__peer_lose(node, peer);
}

/*
 * The leader has no such node. To a node that is linked to it that is the answer to a question from before
 * the link, of which the link knows better: the other one may be leaving, with more to say. Or it is not an answer: then
 * that node is gone, and somebody else keeps its end of the link open.
 */
static void take_no_link(struct mesh_node *node, const struct mesh_id *id)
{
	struct mesh__peer *peer = mesh__peer_find(node, id);

	if (!peer)
		return;
	if (!peer->connected)
		mesh__peer_lose(node, peer);
	else if (peer->asked)
		peer->asked = false;
	else
		mesh__link_give_up(&peer->link);
}

void mesh__follower_serve(struct mesh_node *node, struct mesh__control *control, struct mesh_message *message)
{
	struct mesh__order order;
	struct pal_error error;

	if (mesh__control_read_order(message, &order, &error) < 0) {
		mesh__port_fail(control->port, pal_error_text(&error));
	} else if (order.kind == MESH__ORDER_MORE_PORTS) {
		mesh__control_add(node, mesh_message_take_port(message, order.port), MESH__CONTROL_ORDERS, NULL);
	} else if (order.has_fd) {
		take_link(node, &order.node, mesh_message_take_fd(message, order.fd));
	} else {
		take_no_link(node, &order.node);
	}
	mesh__event_message_free(&node->space, message);
}

/* Consumes the port. */
static int ask_for_invitation(struct mesh_node *node, struct mesh_port *port, struct mesh_port *reply)
{
	struct mesh_message *message;
	int result;

	result = mesh__control_write_invite_request(port, reply, &message);
	if (result < 0)
		return result;
	mesh__space_lock(&node->space);
	if (node->requests && !mesh__port_end(node->requests) && !node->leaving)
		result = mesh__port_send(node->requests, message, false);
	else
		result = node->leaving ? -ESHUTDOWN : -ECONNRESET;
	mesh__space_unlock(&node->space);
	if (result == -ECONNRESET || result == -ESHUTDOWN)
		mesh_message_free(message);
	return result;
}

static int take_invitation(struct mesh_port *answer, pal_deadline deadline, struct mesh_invitation *ret,
	struct pal_error *error)
{
	struct mesh_message *message;
	int result;

	result = mesh_port_recv(answer, deadline, &message, NULL);
	if (result < 0)
		return pal_error_set(error, MESH_STAGE_INVITATION, result == -EPIPE ? -ECONNREFUSED : result,
			"the leader's invitation");
	result = mesh__control_read_invitation(message, ret, error);
	mesh_message_free(message);
	return result;
}

int mesh_node_invite_by_leader(struct mesh_node *node, struct mesh_port *port, pal_deadline deadline,
	struct mesh_invitation *ret, struct pal_error *error)
{
	struct mesh_port *reply, *answer;
	int result;

	if (!node || !port || !ret || mesh__is_inherited(node->space.forks) || mesh__port_is_inherited(port)) {
		result = node && port && ret ? -EPERM : -EINVAL;
		mesh_port_free(port);
		return pal_error_set(error, MESH_STAGE_INVITATION, result, "asking for an invitation");
	}
	result = mesh__port_pair(&node->space, &reply, &answer);
	if (result < 0) {
		mesh_port_free(port);
		return pal_error_set(error, MESH_STAGE_INVITATION, result, "asking for an invitation");
	}
	result = ask_for_invitation(node, port, reply);
	if (result < 0)
		result = pal_error_set(error, MESH_STAGE_INVITATION, result, "asking the leader for an invitation");
	else
		result = take_invitation(answer, deadline, ret, error);
	mesh_port_free(answer);
	return result;
}
