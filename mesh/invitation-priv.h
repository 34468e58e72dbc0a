/* SPDX-License-Identifier: MIT */
#ifndef PROCMESH_MESH_INVITATION_PRIV_H
#define PROCMESH_MESH_INVITATION_PRIV_H

#include <mesh/invitation.h>
#include <mesh/wire.pb.h>
#include <stdbool.h>

/* The four ids. read: -EBADMSG when one is zero. */
void mesh__invitation_write_address(const struct mesh_invitation *invitation, mesh_wire_InvitationAddress *ret);
int mesh__invitation_read_address(const mesh_wire_InvitationAddress *address, struct mesh_invitation *ret);
bool mesh__invitation_has_ids(const struct mesh_invitation *invitation);

/*
 * Makes a descriptor that somebody else has opened fit for a link: close-on-exec
 * and non-blocking. Refuses what is not a SOCK_SEQPACKET socket of AF_UNIX, and
 * has not touched it then. 0, -EBADF, -ENOTSOCK, -EPROTOTYPE.
 */
int mesh__invitation_adopt_socket(int fd);

#endif
