/* SPDX-License-Identifier: MIT */
#ifndef PROCMESH_MESH_HANDOFF_PRIV_H
#define PROCMESH_MESH_HANDOFF_PRIV_H

#include <mesh/handoff.h>

/* The most that somebody may say there is (the wire's own limits). */
#define MESH__HANDOFF_MAX_DATA 4096u
#define MESH__HANDOFF_MAX_FDS 4u

/* Reads an invitation from a connected, non-blocking stream socket: what mesh_handoff_take does when it has connected. */
int mesh__handoff_read(int socket, pal_deadline deadline, struct mesh_invitation *ret, struct pal_error *error)
	PAL_MUST_CHECK;

#endif
