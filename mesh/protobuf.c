/* SPDX-License-Identifier: MIT */
#include <mesh/protobuf-priv.h>

#include <errno.h>

size_t mesh__varint_write(uint8_t out[MESH__VARINT_MAX], uint64_t value)
{
	size_t size = 0;

	while (value > 0x7f) {
		out[size++] = (uint8_t)(value | 0x80);
		value >>= 7;
	}
	out[size++] = (uint8_t)value;
	return size;
}

int mesh__varint_read(const uint8_t **at, const uint8_t *end, uint64_t *ret)
{
	const uint8_t *next = *at;
	uint64_t value = 0;

	for (unsigned shift = 0; shift < MESH__VARINT_MAX * 7; shift += 7) {
		if (next == end)
			return -EBADMSG;
		value |= (uint64_t)(*next & 0x7f) << shift; /* of the tenth byte one bit remains */
		if (!(*next++ & 0x80)) {
			*ret = value;
			*at = next;
			return 0;
		}
	}
	return -EBADMSG;
}
