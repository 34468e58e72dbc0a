/* SPDX-License-Identifier: MIT */
#ifndef PROCMESH_TESTS_MESH_NODES_H
#define PROCMESH_TESTS_MESH_NODES_H

/* Nodes within one test process, each with a thread of its own, on real sockets. */

#include <mesh/mesh.h>
#include <stdint.h>

#define NODES_PATIENCE PAL_DEADLINE_MS(30000)

struct node_pair {
	struct mesh_node *leader, *host;
	struct mesh_port *at_leader, *at_host; /* the pair that the host was invited with */
};

/* A leader, or one more host for the leader that is there already. */
void nodes_make(struct node_pair *pair);
void nodes_invite(struct mesh_node *leader, struct mesh_node **ret_host, struct mesh_port **ret_at_leader,
	struct mesh_port **ret_at_host);
void nodes_free(struct node_pair *pair);

void nodes_send_text(struct mesh_port *port, const char *text);
/* Sends `text` and the port (consumed). */
void nodes_send_port(struct mesh_port *port, const char *text, struct mesh_port *passenger);
/* A pair that left and came home: both ends are in the leader, and no link brings what is sent on it. */
void nodes_make_home_pair(struct node_pair *pair, struct mesh_port **p, struct mesh_port **q);

/* `number` messages: an unsigned that counts up from 0. */
void nodes_send_many(struct mesh_port *port, unsigned number);
struct mesh_message *nodes_recv(struct mesh_port *port);
void nodes_expect_text(struct mesh_port *port, const char *text);
struct mesh_port *nodes_expect_port(struct mesh_port *port, const char *text);
/* For a thread: takes the messages of the port `argument` until it ends; how many, as an uintptr_t. */
void *nodes_receive_all(void *argument);
/* For mesh_port_set_callback(): sends back whatever comes. */
void nodes_echo(struct mesh_port *port, int status, struct mesh_message *message, void *userdata);
/* The next thing on the port is its end, in this way. */
void nodes_expect_end(struct mesh_port *port, int how);

#endif
