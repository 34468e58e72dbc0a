/* SPDX-License-Identifier: MIT */
#include <mesh/node-priv.h>

/* Whether more may be sent to another node: what is queued for it, what it does not let go of, and what will follow, has bounds. */

/* The local space has no peers. */
static const struct mesh__queue_bounds *bounds_of(const struct mesh__remote *remote)
{
	return &PAL_CONTAINER_OF(remote->space, struct mesh_node, space)->max_queued;
}

struct mesh__queued mesh__peer_queued_cost(const struct mesh__held *cost)
{
	struct mesh__queued queued = mesh__queued_cost(cost->bytes, cost->fds);

	queued.packets = cost->events;
	return queued;
}

static struct mesh__queued ports_as_packets(size_t ports)
{
	const size_t both_ends = 2 * (sizeof(struct mesh_port) + sizeof(struct mesh__port_far));

	return (struct mesh__queued){.packets = ports, .bytes = ports * both_ends};
}

/* Ports that it does not let go of have the same bound as what it does not read. */
static bool has_room_for_ports(const struct mesh__remote *remote, size_t ports, enum mesh__room how)
{
	struct mesh__queued have = ports_as_packets(mesh__remote_awaited(remote)->ports), more = ports_as_packets(ports);
	struct mesh__queue_bounds bounds = *bounds_of(remote);

	if (!ports || !have.packets || how == MESH__ROOM_EVER)
		return true;
	if (how == MESH__ROOM_UNASKED)
		bounds.program = bounds.all;
	return mesh__queued_has_room(&have, &bounds, &more, how == MESH__ROOM_AGAIN);
}

static const struct mesh__queued *queued_for(const struct mesh__peer *peer)
{
	return peer->connected ? mesh__link_queued(&peer->link) : &peer->parked_cost;
}

/* What is unread on ports that go is queued when they are acknowledged: they go if there is room for all of it then. */
static bool has_room_for_backlog(const struct mesh__peer *peer, const struct mesh__held *backlog, enum mesh__room how)
{
	const struct mesh__queue_bounds bounds = {.program = bounds_of(&peer->remote)->backlog};
	struct mesh__queued more = mesh__peer_queued_cost(backlog), have = {0};

	if (!backlog->events)
		return true;
	if (how != MESH__ROOM_EVER) {
		have = mesh__peer_queued_cost(&mesh__remote_awaited(&peer->remote)->stored);
		mesh__queued_add(&have, queued_for(peer));
	}
	return mesh__queued_has_room(&have, &bounds, &more, false) &&
		(how != MESH__ROOM_AGAIN || mesh__queued_has_room(&have, &bounds, &(struct mesh__queued){0}, true));
}

static bool has_room_for_message(const struct mesh__peer *peer, const struct mesh__held *message, enum mesh__room how)
{
	struct mesh__queue_bounds bounds = *bounds_of(&peer->remote);
	struct mesh__queued more = mesh__peer_queued_cost(message);

	if (!message->events || how == MESH__ROOM_EVER)
		return true;
	if (how == MESH__ROOM_UNASKED)
		bounds.program = bounds.all;
	else if (peer->connected)
		return mesh__link_has_room(&peer->link, &more, how == MESH__ROOM_AGAIN);
	return mesh__queued_has_room(queued_for(peer), &bounds, &more, how == MESH__ROOM_AGAIN);
}

bool mesh__peer_has_room(struct mesh__remote *remote, const struct mesh__sending *more, enum mesh__room how)
{
	const struct mesh__peer *peer = PAL_CONTAINER_OF(remote, struct mesh__peer, remote);

	return has_room_for_ports(remote, more->ports, how) && has_room_for_backlog(peer, &more->backlog, how) &&
		has_room_for_message(peer, &more->message, how);
}
