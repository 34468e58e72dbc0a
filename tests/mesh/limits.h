/* SPDX-License-Identifier: MIT */
#ifndef PROCMESH_TESTS_MESH_LIMITS_H
#define PROCMESH_TESTS_MESH_LIMITS_H

/* Two hosts of one leader, of which the first one is bad. For tests of what one node can make another one hold. */

#include <mesh/node-priv.h>

#include "nodes.h"

/* Options of a node whose ports may hold as much each as all that comes from one node together. */
#define WHOLE_ACCOUNT_PER_PORT \
	MESH_NODE_OPTIONS_INIT, .max_port_unread = SIZE_MAX, .max_port_unread_messages = SIZE_MAX, \
				.max_port_unread_fds = SIZE_MAX

extern struct mesh_node *leader, *bad, *good;
extern struct mesh_port *from_bad, *at_bad, *from_good, *at_good; /* from: the leader's end */

/* `options` are the leader's. */
void make_mesh(const struct mesh_node_options *options);
/* What is NULL is gone already. */
void free_mesh(void);

void round_trip(struct mesh_port *here, struct mesh_port *there);
unsigned links_over_limit(void);
/* What the leader holds for a node that it has a link to. */
struct mesh__held held_for(const struct mesh_node *node);
void send_sized(struct mesh_port *port, size_t size, unsigned fds);

#endif
