/* SPDX-License-Identifier: MIT */
#ifndef PROCMESH_MESH_ID_H
#define PROCMESH_MESH_ID_H

#include <stdint.h>

/* The id of a node or of a port: 128 random bits. Knowing a port's id is what allows to send to it. All zero is no id. */
struct mesh_id {
	uint8_t bytes[16];
};

#endif
