/* SPDX-License-Identifier: MIT */
#ifndef PROCMESH_MESH_MESSAGE_PRIV_H
#define PROCMESH_MESH_MESSAGE_PRIV_H

#include <mesh/message.h>
#include <stdint.h>
#include <sys/queue.h>

/* A descriptor or a port inside a message; exactly one owner at any time. */
struct mesh__resource {
	enum mesh__resource_kind { MESH__RESOURCE_NONE, MESH__RESOURCE_FD, MESH__RESOURCE_PORT } kind;
	int fd;
	struct mesh_port *port;
};

struct mesh_message {
	uint8_t *data;
	size_t size;
	struct mesh__resource *resources;
	size_t resource_count, resource_room;
	STAILQ_ENTRY(mesh_message) next; /* in a port's queue */
};
STAILQ_HEAD(mesh__message_queue, mesh_message);

/* How many of its resources are descriptors. */
size_t mesh__message_fd_count(const struct mesh_message *message);

#endif
