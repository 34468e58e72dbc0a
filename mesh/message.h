/* SPDX-License-Identifier: MIT */
#ifndef PROCMESH_MESH_MESSAGE_H
#define PROCMESH_MESH_MESSAGE_H

#include <pal/export.h>
#include <stddef.h>

PAL_BEGIN_DECLS

struct mesh_port;

/*
 * Bytes and an ordered list of resources: descriptors and ports. A message owns
 * its resources until they are taken out or the message is sent. One thread at
 * a time. A message of 0 bytes without resources is a message.
 */
struct mesh_message;

/* The most descriptors in one message that fits a packet; one less in a large one (the memfd takes a place). */
#define MESH_MESSAGE_MAX_FDS 64

/* Copies `size` bytes (may be 0). NULL when memory runs out. */
PAL_EXPORT struct mesh_message *mesh_message_new(const void *data, size_t size);
/* Room for `size` bytes to be filled through mesh_message_data before it is sent. NULL when memory runs out. */
PAL_EXPORT struct mesh_message *mesh_message_new_sized(size_t size);
/* Frees it; closes the descriptors and ports that nobody took. Takes NULL; keeps errno. */
PAL_EXPORT void mesh_message_free(struct mesh_message *message);

/* The bytes, aligned for any type. */
PAL_EXPORT void *mesh_message_data(struct mesh_message *message);
PAL_EXPORT size_t mesh_message_size(const struct mesh_message *message);

/*
 * Append a resource. put_fd and put_port take ownership, also when they fail
 * (and then close it); dup_fd copies the descriptor and leaves the caller's
 * alone. A port that was put away may no longer be used: it has lost its callbacks and the descriptor of mesh_port_peek_fd,
 * which is closed. A port cannot travel over itself: mesh_port_send refuses that with -ELOOP, and it is its owner's
 * again, but without those.
 * 0, -ENOMEM, -EBADF (a descriptor that is not open: there is nothing to close), -EMFILE, -EINVAL (NULL), -EPERM (a
 * port of the process that this one is a fork of: it stays as it is).
 */
PAL_EXPORT int mesh_message_put_fd(struct mesh_message *message, int fd) PAL_MUST_CHECK;
PAL_EXPORT int mesh_message_dup_fd(struct mesh_message *message, int fd) PAL_MUST_CHECK;
PAL_EXPORT int mesh_message_put_port(struct mesh_message *message, struct mesh_port *port) PAL_MUST_CHECK;

/* How many resources it holds, taken ones included. */
PAL_EXPORT size_t mesh_message_resource_count(const struct mesh_message *message);
/* The resource at `index`, now the caller's. -EINVAL / NULL if it is of the other kind, was taken, or is not there. */
PAL_EXPORT int mesh_message_take_fd(struct mesh_message *message, size_t index) PAL_MUST_CHECK;
PAL_EXPORT struct mesh_port *mesh_message_take_port(struct mesh_message *message, size_t index) PAL_MUST_CHECK;

PAL_END_DECLS

#endif
