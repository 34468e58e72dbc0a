/* SPDX-License-Identifier: MIT */
#ifndef PROCMESH_MESH_EVENT_PRIV_H
#define PROCMESH_MESH_EVENT_PRIV_H

/*
 * The bytes of packets and port events, and nothing else: no ports, no sockets.
 * All integers are little endian on the wire. Everything read is peer data.
 */

#include <mesh/id.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct mesh_message;

#define MESH__PACKET_MAX 16384u    /* one SEQPACKET packet, header included */
#define MESH__PACKET_HEADER_SIZE 8u
#define MESH__EVENT_HEADER_SIZE 40u
#define MESH__RECORD_SIZE 96u
#define MESH__CHANGE_PEER_SIZE 48u
/* Most ports and descriptors in one message: bounds a large event together with the node's max_message. */
#define MESH__MAX_RECORDS 65536u
#define MESH__INLINE_EVENT_MAX (MESH__PACKET_MAX - MESH__PACKET_HEADER_SIZE)

enum mesh__packet_type { MESH__PACKET_EVENT = 1, MESH__PACKET_RELEASE_FDS = 2, MESH__PACKET_LARGE_EVENT = 3 };

enum mesh__event_type {
	MESH__EVENT_MESSAGE = 1,
	MESH__EVENT_CHANGE_PEER = 3,
	MESH__EVENT_ACK_CHANGE_PEER = 4,
	MESH__EVENT_ACK_PORT = 5,
	MESH__EVENT_FAIL_PORT = 6
};
#define MESH__FLAG_MESSAGE 1u /* carries a message, maybe of 0 bytes */
#define MESH__FLAG_CLOSE 2u

static inline bool mesh__id_equal(const struct mesh_id *a, const struct mesh_id *b)
{
	return !memcmp(a, b, sizeof *a);
}
static inline bool mesh__id_is_zero(const struct mesh_id *id)
{
	static const struct mesh_id zero;
	return mesh__id_equal(id, &zero);
}
/* 16 bytes of getrandom(2), never zero. 0 or -errno. */
int mesh__id_random(struct mesh_id *ret);
/* First 8 hex digits, for messages; `buffer` of 9 bytes; returns it. */
const char *mesh__id_short(const struct mesh_id *id, char buffer[9]);

/* ResourceData: a port (id != 0) or a descriptor (all zero). */
struct mesh__record {
	struct mesh_id id;
	uint64_t next_local_seq;
	struct mesh_id old_node, old_port;
	struct mesh_id peer_node, peer_port;
};

/* An event as it stands on the wire; pointers go into the caller's bytes. */
struct mesh__raw_event {
	struct mesh_id port;
	uint8_t type, flags;
	uint64_t seq;
	uint32_t record_count, body_size;
	const uint8_t *records, *body;
};

/*
 * -EBADMSG when the event is shorter than its header, records and body announce
 * (computed without overflow). On failure what is there of the header has been
 * read: ret->port if size >= 16; type, flags and seq if it is whole; the rest is
 * zero. Trailing bytes are ignored.
 */
int mesh__raw_event_parse(const void *data, size_t size, struct mesh__raw_event *ret);
void mesh__record_parse(const uint8_t *at, struct mesh__record *ret);

/*
 * An event as a link hands it over. A packet is one piece. Of a large event the body, which may be
 * much, has been read to where it will stay: behind the records there is nothing, although `size` counts it.
 */
struct mesh__incoming {
	const uint8_t *data;
	size_t size;
	bool detached;
	struct mesh_message *body; /* detached: body_size bytes, or NULL: too large, or no memory for it */
};

/* Sizes and writing. `out` has room for exactly that many bytes. */
static inline size_t mesh__event_size(size_t records, size_t body)
{
	return MESH__EVENT_HEADER_SIZE + records * MESH__RECORD_SIZE + body;
}
void mesh__event_header_write(uint8_t *out, const struct mesh_id *port, uint8_t type, uint8_t flags, uint64_t seq,
	uint32_t records, uint32_t body_size);
void mesh__record_write(uint8_t *out, const struct mesh__record *record);

struct mesh__change_peer {
	struct mesh_id node, port;
	uint64_t seq_delta; /* modulo 2^64: may be "negative" */
};
/* Bodies. read: -EBADMSG when too short. */
int mesh__change_peer_read(const struct mesh__raw_event *event, struct mesh__change_peer *ret);
void mesh__change_peer_write(uint8_t out[MESH__CHANGE_PEER_SIZE], const struct mesh__change_peer *change);
int mesh__fail_port_read(const struct mesh__raw_event *event, struct mesh_id *ret_node);

/* Packet header: 8 bytes, type and zeroes. read: -EBADMSG for less than 8 bytes or an unknown type. */
void mesh__packet_header_write(uint8_t out[MESH__PACKET_HEADER_SIZE], enum mesh__packet_type type);
int mesh__packet_header_read(const void *data, size_t size, enum mesh__packet_type *ret);

#endif
