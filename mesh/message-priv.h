/* SPDX-License-Identifier: MIT */
#ifndef PROCMESH_MESH_MESSAGE_PRIV_H
#define PROCMESH_MESH_MESSAGE_PRIV_H

#include <mesh/message.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

/* A descriptor or a port inside a message; exactly one owner at any time. */
struct mesh__resource {
	enum mesh__resource_kind { MESH__RESOURCE_NONE, MESH__RESOURCE_FD, MESH__RESOURCE_PORT } kind;
	int fd;
	struct mesh_port *port;
};

struct mesh_message {
	uint8_t *data; /* right behind this struct, in one allocation with it */
	size_t size;
	size_t room;   /* that many bytes there are for them; not less than size */
	struct mesh__resource *resources;
	size_t resource_count, resource_room;
	bool fail_ports; /* freeing it fails its ports in place of closing them */
	struct mesh__event *spare; /* the event that brought it, for the next time it is sent; cleared, from malloc */
	STAILQ_ENTRY(mesh_message) next; /* in a port's queue, or among those to be freed */
};
STAILQ_HEAD(mesh__message_queue, mesh_message);

/* A message of undefined bytes. NULL when memory runs out. */
struct mesh_message *mesh__message_new_undefined(size_t size);
/* How many of its resources are descriptors. */
size_t mesh__message_fd_count(const struct mesh_message *message);
/* Room for `count` more resources, so that as many puts cannot fail. 0, -ENOMEM. */
int mesh__message_reserve(struct mesh_message *message, size_t count);
/*
 * The same message with `size` bytes, new ones undefined. It may have moved, so it must not be
 * in a queue. NULL when memory runs out: the old one is as it was.
 */
struct mesh_message *mesh__message_resize(struct mesh_message *message, size_t size);
/* Frees every message of the list. Takes the locks of the ports inside: none may be held. */
void mesh__message_free_all(struct mesh__message_queue *messages);

#endif
