/* SPDX-License-Identifier: MIT */
#ifndef PROCMESH_MESH_PROTOBUF_PRIV_H
#define PROCMESH_MESH_PROTOBUF_PRIV_H

/* The smallest pieces of the encoding: varints and keys. Everything read is peer data. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MESH__VARINT_MAX 10u                     /* bytes of a varint */
#define MESH__FIELD_MAX (((uint32_t)1 << 29) - 1) /* largest field number */

enum mesh__wire_type {
	MESH__WIRE_VARINT = 0,
	MESH__WIRE_FIXED64 = 1,
	MESH__WIRE_BYTES = 2,    /* varint length, bytes */
	MESH__WIRE_FIXED32 = 5,
	MESH__WIRE_MESSAGE = 6,  /* varint resource count, varint length, bytes */
	MESH__WIRE_RESOURCE = 7  /* no bytes: the next resource of the range */
};

/* Writes 1 to 10 bytes; returns how many. */
size_t mesh__varint_write(uint8_t out[MESH__VARINT_MAX], uint64_t value);

/* Reads one and moves *at behind it. -EBADMSG when it is cut short or longer than 10 bytes; *at stays then. */
int mesh__varint_read(const uint8_t **at, const uint8_t *end, uint64_t *ret);

static inline bool mesh__field_valid(uint64_t field)
{
	return field > 0 && field <= MESH__FIELD_MAX;
}

static inline uint64_t mesh__key(uint32_t field, enum mesh__wire_type type)
{
	return (uint64_t)field << 3 | type;
}

static inline uint64_t mesh__zigzag(int64_t value)
{
	return (uint64_t)value << 1 ^ (value < 0 ? UINT64_MAX : 0);
}

#endif
