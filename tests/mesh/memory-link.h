/* SPDX-License-Identifier: MIT */
#ifndef PROCMESH_TESTS_MESH_MEMORY_LINK_H
#define PROCMESH_TESTS_MESH_MEMORY_LINK_H

/*
 * Several nodes in one process, linked by memory: an event is encoded when the
 * machine posts it, and lies there until the test delivers it, in any order.
 * Everything that a node sends is also written down as a line in the manner of
 * mesh-traces.txt.
 */

#include <mesh/machine-priv.h>

#define MEMORY_NODES 6

struct memory_net;

struct memory_node {
	struct mesh__space space; /* first */
	struct memory_net *net;
	char name;
	bool dead;
	LIST_HEAD(, memory_remote) remotes;
	struct memory_node *gives_up; /* whose link must end: an event for it met no memory */
};

struct memory_packet {
	TAILQ_ENTRY(memory_packet) next;
	struct memory_node *from, *to;
	uint8_t *data;
	size_t size, fd_count;
	int fds[MESH_MESSAGE_MAX_FDS];
	char *line; /* "A -> B (40B): ->port p seq 0 ACK_PORT" */
};

struct memory_name {
	LIST_ENTRY(memory_name) next;
	struct mesh_id id;
	char text[16];
};

struct memory_net {
	struct memory_node nodes[MEMORY_NODES]; /* A, B, C ... */
	size_t node_count;
	TAILQ_HEAD(, memory_packet) packets;
	size_t packet_count;
	char **log; /* the lines of the packets that were delivered or lost */
	size_t log_count, log_room;
	LIST_HEAD(, memory_name) names;
	bool quiet; /* no log */
	bool links_in_order; /* as on a socket: the choice is only which link is next */
};

/* Called before and after each call of the machine that may fail for want of memory. For tests of just that. */
extern void (*memory_scarce)(bool scarce);
void memory_call_scarce(bool scarce); /* calls it, if there is one */

void memory_net_init(struct memory_net *net, size_t nodes);
/* Ends every node, and checks that nobody kept anything of them. */
void memory_net_clear(struct memory_net *net);

/* How a port is called in the log; its id where it has none yet is made from the name. */
void memory_name(struct memory_net *net, const struct mesh_id *id, const char *name);
const char *memory_name_of(struct memory_net *net, const struct mesh_id *id, char buffer[40]);
struct mesh_id memory_id(const char *text);

/* A pair between two nodes, named in the log. */
void memory_pair(struct memory_node *a, const char *name_a, struct mesh_port **ret_a,
	struct memory_node *b, const char *name_b, struct mesh_port **ret_b);
/* A pair inside one node (NULL: of none), with ids made from the names. */
void memory_local_pair(struct memory_net *net, struct memory_node *node, const char *name_a,
	struct mesh_port **ret_a, const char *name_b, struct mesh_port **ret_b);

/* Delivers one packet; takes it out of the queue. */
void memory_deliver(struct memory_net *net, struct memory_packet *packet);
/* Takes it out and loses it. */
void memory_lose(struct memory_net *net, struct memory_packet *packet);
/* One of those under way, of which there are some. */
struct memory_packet *memory_pick(struct memory_net *net, unsigned *seed);
/* Delivers all in the order sent, or where `seed` is not NULL in an order chosen by it. */
void memory_run(struct memory_net *net, unsigned *seed);
/* The node is gone with what it sent that is still under way, and every other one is told. */
void memory_kill(struct memory_node *node);
/* One node's link to another is gone, and only that one knows it yet. */
void memory_tell_lost(struct memory_node *node, struct memory_node *gone);
/* An event as it is, as if it came from `from`. `fds` are consumed. */
void memory_inject(struct memory_node *to, struct memory_node *from, const void *event, size_t size,
	int *fds, size_t fd_count);
struct mesh__remote *memory_remote(struct memory_node *node, const struct mesh_id *id);

/* ---- the owner's side, with the locks ---- */

int memory_send(struct mesh_port *port, const char *text);
int memory_send_message(struct mesh_port *port, struct mesh_message *message, bool close);
/* A message of so many bytes, and with so many descriptors of /dev/null. */
struct mesh_message *memory_new_message(size_t size, size_t fds);
/* Sends ports (up to a NULL) with a text. */
int memory_send_ports(struct mesh_port *port, const char *text, ...) __attribute__((sentinel));
struct mesh_message *memory_take(struct mesh_port *port);
/* Takes a message and checks that it is this text, of no resources. */
void memory_expect(struct mesh_port *port, const char *text);
/* Takes a message and the port in it at `index` 0. */
struct mesh_port *memory_take_port(struct mesh_port *port);
int memory_end(struct mesh_port *port);
void memory_free(struct mesh_port *port);
void memory_fail(struct mesh_port *port);
int memory_bridge(struct mesh_port *a, struct mesh_port *b);
/* Ports of a node that are registered. */
size_t memory_port_count(struct memory_node *node);

#endif
