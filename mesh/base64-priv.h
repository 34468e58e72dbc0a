/* SPDX-License-Identifier: MIT */
#ifndef PROCMESH_MESH_BASE64_PRIV_H
#define PROCMESH_MESH_BASE64_PRIV_H

/* Base64 of RFC 4648, section 4, and nothing but its one canonical form. */

#include <stddef.h>
#include <stdint.h>

/* Characters for `size` bytes, without the final 0. */
static inline size_t mesh__base64_size(size_t size)
{
	return (size + 2) / 3 * 4;
}

/* Writes mesh__base64_size(size) characters and a 0. */
void mesh__base64_encode(const uint8_t *data, size_t size, char *out);

/*
 * Writes up to length / 4 * 3 bytes. -EBADMSG: missing or misplaced padding, bits
 * behind the last byte that are not zero, white space, any other character.
 */
int mesh__base64_decode(const char *text, size_t length, uint8_t *out, size_t *ret_size);

#endif
