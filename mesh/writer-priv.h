/* SPDX-License-Identifier: MIT */
#ifndef PROCMESH_MESH_WRITER_PRIV_H
#define PROCMESH_MESH_WRITER_PRIV_H

/* What the nanopb transcoder needs of the writer beyond encoding.h. */

#include <mesh/encoding.h>
#include <mesh/message-priv.h>

/* Appends bytes that are whole fields already. */
void mesh__writer_raw(struct mesh_writer *writer, const void *data, size_t size);
/* Moves a resource out of another message; leaves *resource empty. If it was empty: -EINVAL in the end. */
void mesh__writer_move(struct mesh_writer *writer, uint32_t field, struct mesh__resource *resource);
/* What has gone wrong so far: 0 or -errno. */
int mesh__writer_error(const struct mesh_writer *writer);
/* The bytes so far; the writer's, until the next call that writes. */
const uint8_t *mesh__writer_data(const struct mesh_writer *writer, size_t *ret_size);

#endif
