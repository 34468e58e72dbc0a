/* SPDX-License-Identifier: MIT */
#ifndef PROCMESH_MESH_INVITATION_H
#define PROCMESH_MESH_INVITATION_H

#include <mesh/id.h>
#include <pal/error.h>
#include <pal/export.h>

PAL_BEGIN_DECLS

/*
 * What a new node needs to join: the ids that it must take, whom it joins, and
 * its end of the link. Whoever holds the descriptor can join, once; an
 * invitation whose descriptor is closed unused fails the inviter's port.
 */
struct mesh_invitation {
	struct mesh_id local_node, local_port;   /* the new node's */
	struct mesh_id remote_node, remote_port; /* the inviter's */
	int fd;                                  /* SOCK_SEQPACKET; owned by the struct */
};
#define MESH_INVITATION_INIT {.fd = -1}

/* Closes the descriptor; the struct may be used again. Takes NULL. */
PAL_EXPORT void mesh_invitation_clear(struct mesh_invitation *invitation);

/*
 * The text that an environment variable carries: base64 of {name, addresses,
 * fd_number}, where `fd_number` is the number that the link will have in the
 * new process; invitation->fd is not looked at. Allocated for the caller: free(3).
 * 0, -ENOMEM, -EINVAL (name longer than MESH_NAME_MAX, negative number, an id of
 * zero). Any thread.
 */
#define MESH_NAME_MAX 255
PAL_EXPORT int mesh_invitation_to_text(const struct mesh_invitation *invitation, const char *name, int fd_number,
	char **ret_text) PAL_MUST_CHECK;

/*
 * Decodes such a text. ret->fd becomes the number that it names: checked to be
 * an open SOCK_SEQPACKET socket of AF_UNIX, made close-on-exec and non-blocking,
 * and owned by *ret from then on. `ret_name` may be NULL; else free(3) it.
 * -EBADMSG (not base64, not the message, an id of zero), -EBADF, -ENOTSOCK,
 * -EPROTOTYPE (another kind of socket), -ENOMEM; the descriptor is as it was then.
 * Any thread.
 */
PAL_EXPORT int mesh_invitation_from_text(const char *text, struct mesh_invitation *ret, char **ret_name,
	struct pal_error *error) PAL_MUST_CHECK;

PAL_END_DECLS

#endif
