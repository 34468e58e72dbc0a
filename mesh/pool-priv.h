/* SPDX-License-Identifier: MIT */
#ifndef PROCMESH_MESH_POOL_PRIV_H
#define PROCMESH_MESH_POOL_PRIV_H

/*
 * Memory for what comes and goes with every message: events, small messages, packets that wait. What was given back is handed
 * out again, up to a bound; else it is malloc(3) and free(3). A message that one thread makes and another
 * one frees stays out of the allocator's way. Any thread, any lock may be held.
 *
 * Under a sanitizer it is malloc and free alone, so that those see each use.
 */

#include <stdbool.h>
#include <stddef.h>

/* NULL when memory runs out. Aligned as malloc(3) does it; undefined bytes. */
void *mesh__pool_get(size_t size);
/* `size`: as it was asked for. Takes NULL; keeps errno. */
void mesh__pool_put(void *block, size_t size);
/* Whether blocks of that size are kept; others are malloc's own. */
bool mesh__pool_has(size_t size);

#endif
