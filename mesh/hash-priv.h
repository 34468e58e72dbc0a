/* SPDX-License-Identifier: MIT */
#ifndef PROCMESH_MESH_HASH_PRIV_H
#define PROCMESH_MESH_HASH_PRIV_H

/*
 * The hash of every table of this library. Peers choose what is in them (ids of ports and nodes, numbers of
 * events), so it has a key that they do not know: whatever they choose, it does not collide.
 */

#include <stddef.h>
#include <stdint.h>

uint64_t mesh__siphash(const uint64_t key[2], const void *data, size_t size);
/* With this process's key. */
unsigned mesh__hash(const void *data, size_t size);

#define HASH_NONFATAL_OOM 1 /* an element that did not fit has hh.tbl == NULL */
#define HASH_FUNCTION(key, size, hash) ((hash) = mesh__hash(key, size))
#include <uthash.h>

#endif
