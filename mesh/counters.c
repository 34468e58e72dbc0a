/* SPDX-License-Identifier: MIT */
#include <mesh/counters.h>

#include <errno.h>
#include <string.h>

#include <mesh/node-priv.h>

int mesh_node_count_ports(struct mesh_node *node, struct mesh_port_counters *ret, size_t size)
{
	struct mesh_port_counters counters;
	struct mesh__space *space;

	if (!node || !ret)
		return -EINVAL;
	if (mesh__is_inherited(node->space.forks))
		return -EPERM;
	space = &node->space;
	mesh__space_lock(space);
	counters = space->counters;
	counters.named = HASH_COUNT(space->ports);
	counters.moving = space->moving;
	counters.dropped = space->dropped_events;
	counters.unknown = space->unknown_port_events;
	mesh__space_unlock(space);
	memset(ret, 0, size);
	memcpy(ret, &counters, size < sizeof counters ? size : sizeof counters);
	return 0;
}

static struct mesh_link_counters count_link(const struct mesh__peer *peer)
{
	const struct mesh__queued *queued = peer->connected ? &peer->link.queued : &peer->parked_cost;
	struct mesh_link_counters counters = {.node = peer->remote.id,
		.linked = peer->connected,
		.queued_packets = queued->packets,
		.queued_bytes = queued->bytes,
		.queued_fds = queued->fds};

	if (peer->connected) {
		counters.packets_sent = peer->link.packets_sent;
		counters.packets_received = peer->link.packets_received;
	}
	return counters;
}

int mesh_node_count_links(struct mesh_node *node, struct mesh_link_counters *ret, size_t size, size_t room,
	size_t *ret_count)
{
	struct mesh__peer *peer, *next;
	uint8_t *place = (uint8_t *)ret;
	size_t count = 0;

	if (!node || !ret_count || (!ret && room))
		return -EINVAL;
	if (mesh__is_inherited(node->space.forks))
		return -EPERM;
	mesh__space_lock(&node->space);
	HASH_ITER(hh, node->peers, peer, next) {
		struct mesh_link_counters counters = count_link(peer);

		if (count++ >= room)
			continue;
		memset(place, 0, size);
		memcpy(place, &counters, size < sizeof counters ? size : sizeof counters);
		place += size;
	}
	mesh__space_unlock(&node->space);
	*ret_count = count;
	return 0;
}
