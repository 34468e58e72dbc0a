/* SPDX-License-Identifier: MIT */
#ifndef PROCMESH_MESH_NANOPB_PRIV_H
#define PROCMESH_MESH_NANOPB_PRIV_H

#include <mesh/encoding.h>

/* How deep messages may be nested in one another; both directions. */
#define MESH__NANOPB_MAX_DEPTH 64u

/* mesh_nanopb_decode that also says what is wrong: a constant text, written only on failure. */
int mesh__nanopb_decode(const struct pb_msgdesc_s *fields, void *dest, struct mesh_reader from, const char **ret_why);

#endif
