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
