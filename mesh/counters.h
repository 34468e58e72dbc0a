/* SPDX-License-Identifier: MIT */
#ifndef PROCMESH_MESH_COUNTERS_H
#define PROCMESH_MESH_COUNTERS_H

#include <mesh/id.h>
#include <pal/export.h>
#include <stddef.h>
#include <stdint.h>

PAL_BEGIN_DECLS

struct mesh_node;

/* An amount of messages. Bytes are those that were put in, without headers. */
struct mesh_traffic {
	uint64_t messages, bytes, fds, ports;
};

/*
 * What the ports of a node are and have done, since the node was made. A pair that was made without a node counts from when a
 * node takes it in, which is when one of its ends is sent on a port of that node.
 */
struct mesh_port_counters {
	/* now */
	uint64_t ports;              /* held by the program or a message, or kept because of another node */
	uint64_t named;              /* of them those that other nodes know */
	uint64_t moving;             /* of those the ones that left, and still forward or wait for an acknowledgement */
	struct mesh_traffic waiting; /* in the ports' queues, or come too early */
	/* ever */
	struct mesh_traffic sent, received;     /* by and for the program, within the process too */
	uint64_t ports_left, ports_came;        /* moves to and from other nodes */
	uint64_t bridges;
	uint64_t forwarded;          /* events for ports that had left */
	uint64_t failed;             /* ports that did not end in order */
	uint64_t dropped;            /* events from other nodes that could not be delivered as they were */
	uint64_t unknown;            /* events from other nodes for ports that are not there, or not any more */
};

/*
 * All of it at one moment; does not walk anything. `size` is sizeof *ret: what an older library does not know is 0, what an older
 * program does not know is left out. -EINVAL: NULL.
 */
PAL_EXPORT int mesh_node_count_ports(struct mesh_node *node, struct mesh_port_counters *ret, size_t size);

/* Another node that this one has a link to, or wants one. */
struct mesh_link_counters {
	struct mesh_id node;   /* the other one */
	uint64_t linked;       /* 1; 0: there is no link yet, and what is queued waits for one */
	/*
	 * What waits because the other node does not read it, or is not linked: messages, and what nodes say by themselves;
	 * and what it costs in memory. max_queued, max_queued_messages and max_queued_fds of mesh/node.h bound these.
	 */
	uint64_t queued_packets, queued_bytes, queued_fds;
	uint64_t packets_sent, packets_received; /* over this link, ever */
};

/*
 * One for each such node, in no order, at one moment. `ret` is an array of `room` elements of `size` bytes, sizeof *ret,
 * which is handled as above; it may be NULL if `room` is 0. *ret_count is how many there are, which may be more than there
 * is room for: then the first ones have been written. 0, -EINVAL.
 */
PAL_EXPORT int mesh_node_count_links(struct mesh_node *node, struct mesh_link_counters *ret, size_t size, size_t room,
	size_t *ret_count);

PAL_END_DECLS

#endif
