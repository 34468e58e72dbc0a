/* SPDX-License-Identifier: MIT */
#ifndef PROCMESH_TESTS_MESH_SEND_ROOM_H
#define PROCMESH_TESTS_MESH_SEND_ROOM_H

/* A leader and a host that reads when it is told to: what is sent to it waits. */

#include <mesh/mesh.h>

enum { KIB = 1024, LIMIT = 1 << 20 };

extern struct event_base *host_base; /* it never runs */
extern struct mesh_node *leader, *host;
extern struct mesh_port *at_leader, *at_host;

/* Options of a node with a bound in bytes, in messages, in descriptors. */
extern const struct mesh_node_options bounds[3];

/* `options` are the leader's. */
void make_mesh(const struct mesh_node_options *options);
/* What is NULL is gone already. */
void free_mesh(void);

/* A message that begins with that number. */
struct mesh_message *numbered(unsigned number, size_t size);
void add_fds(struct mesh_message *message, unsigned fds);
/* Sends until a message is refused; how many went. */
unsigned fill(struct mesh_port *port, size_t size, unsigned fds);
/* The numbers from 0 on arrive. */
void expect_numbers(struct mesh_port *port, unsigned count);

#endif
