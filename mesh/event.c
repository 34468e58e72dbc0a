/* SPDX-License-Identifier: MIT */
#include <mesh/event-priv.h>

#include <endian.h>
#include <errno.h>

/*
 * event    0 port[16]  16 type  17 flags  18 zero[6]  24 seq  32 record count  36 body size
 *          40 records, 96 bytes each; then the body
 * record   0 id[16]  16 next_local_seq  24 zero[8]  32 old node[16]  48 old port[16]
 *          64 peer node[16]  80 peer port[16]
 * change   0 node[16]  16 port[16]  32 seq_delta  40 zero[8]
 */

static uint32_t get_u32(const uint8_t *at)
{
	uint32_t value;

	memcpy(&value, at, sizeof value);
	return le32toh(value);
}

static uint64_t get_u64(const uint8_t *at)
{
	uint64_t value;

	memcpy(&value, at, sizeof value);
	return le64toh(value);
}

static void put_u32(uint8_t *at, uint32_t value)
{
	value = htole32(value);
	memcpy(at, &value, sizeof value);
}

static void put_u64(uint8_t *at, uint64_t value)
{
	value = htole64(value);
	memcpy(at, &value, sizeof value);
}

static void get_id(const uint8_t *at, struct mesh_id *ret)
{
	memcpy(ret->bytes, at, sizeof ret->bytes);
}

static void put_id(uint8_t *at, const struct mesh_id *id)
{
	memcpy(at, id->bytes, sizeof id->bytes);
}

int mesh__raw_event_parse(const void *data, size_t size, struct mesh__raw_event *ret)
{
	const uint8_t *at = data;
	uint64_t records_size, body_size;

	*ret = (struct mesh__raw_event){0};
	if (size >= sizeof ret->port.bytes)
		get_id(at, &ret->port);
	if (size < MESH__EVENT_HEADER_SIZE)
		return -EBADMSG;
	ret->type = at[16];
	ret->flags = at[17];
	ret->seq = get_u64(at + 24);

	/* Both numbers are below 2^32, so 64 bits hold the sum on every machine. */
	records_size = (uint64_t)get_u32(at + 32) * MESH__RECORD_SIZE;
	body_size = get_u32(at + 36);
	if (records_size + body_size > size - MESH__EVENT_HEADER_SIZE)
		return -EBADMSG;
	ret->record_count = get_u32(at + 32);
	ret->body_size = (uint32_t)body_size;
	ret->records = at + MESH__EVENT_HEADER_SIZE;
	ret->body = ret->records + records_size;
	return 0;
}

void mesh__event_header_write(uint8_t *out, const struct mesh_id *port, uint8_t type, uint8_t flags,
        uint64_t seq, uint32_t records, uint32_t body_size)
{
	memset(out, 0, MESH__EVENT_HEADER_SIZE);
	put_id(out, port);
	out[16] = type;
	out[17] = flags;
	put_u64(out + 24, seq);
	put_u32(out + 32, records);
	put_u32(out + 36, body_size);
}

void mesh__record_parse(const uint8_t *at, struct mesh__record *ret)
{
	get_id(at, &ret->id);
	ret->next_local_seq = get_u64(at + 16);
	get_id(at + 32, &ret->old_node);
	get_id(at + 48, &ret->old_port);
	get_id(at + 64, &ret->peer_node);
	get_id(at + 80, &ret->peer_port);
}

void mesh__record_write(uint8_t *out, const struct mesh__record *record)
{
	memset(out, 0, MESH__RECORD_SIZE);
	put_id(out, &record->id);
	put_u64(out + 16, record->next_local_seq);
	put_id(out + 32, &record->old_node);
	put_id(out + 48, &record->old_port);
	put_id(out + 64, &record->peer_node);
	put_id(out + 80, &record->peer_port);
}

int mesh__change_peer_read(const struct mesh__raw_event *event, struct mesh__change_peer *ret)
{
	if (event->body_size < MESH__CHANGE_PEER_SIZE)
		return -EBADMSG;
	get_id(event->body, &ret->node);
	get_id(event->body + 16, &ret->port);
	ret->seq_delta = get_u64(event->body + 32);
	return 0;
}

void mesh__change_peer_write(
        uint8_t out[MESH__CHANGE_PEER_SIZE], const struct mesh__change_peer *change)
{
	memset(out, 0, MESH__CHANGE_PEER_SIZE);
	put_id(out, &change->node);
	put_id(out + 16, &change->port);
	put_u64(out + 32, change->seq_delta);
}

int mesh__fail_port_read(const struct mesh__raw_event *event, struct mesh_id *ret_node)
{
	if (event->body_size < sizeof ret_node->bytes)
		return -EBADMSG;
	get_id(event->body, ret_node);
	return 0;
}

void mesh__packet_header_write(uint8_t out[MESH__PACKET_HEADER_SIZE], enum mesh__packet_type type)
{
	memset(out, 0, MESH__PACKET_HEADER_SIZE);
	out[0] = (uint8_t)type;
}

int mesh__packet_header_read(const void *data, size_t size, enum mesh__packet_type *ret)
{
	uint8_t type;

	if (size < MESH__PACKET_HEADER_SIZE)
		return -EBADMSG;
	type = *(const uint8_t *)data;
	if (type < MESH__PACKET_EVENT || type > MESH__PACKET_LARGE_EVENT)
		return -EBADMSG;
	*ret = type;
	return 0;
}
