/* SPDX-License-Identifier: MIT */

/* A packet: header, event, records, bodies. What is understood is written again and must read the same. */

#include <string.h>

#include <mesh/event-priv.h>

#include "fuzz.h"

static void check_record(const uint8_t *at)
{
	uint8_t bytes[MESH__RECORD_SIZE], again[MESH__RECORD_SIZE];
	struct mesh__record record;

	mesh__record_parse(at, &record);
	mesh__record_write(bytes, &record);
	must(!memcmp(bytes, at, 24) &&
	        !memcmp(bytes + 32, at + 32, 64)); /* all but the reserved ones */
	mesh__record_parse(bytes, &record);
	mesh__record_write(again, &record);
	must(!memcmp(bytes, again, sizeof bytes));
}

static void check_bodies(const struct mesh__raw_event *event)
{
	struct mesh__change_peer change;
	uint8_t bytes[MESH__CHANGE_PEER_SIZE];
	struct mesh_id node;

	must((mesh__change_peer_read(event, &change) == 0) == (event->body_size >= sizeof bytes));
	if (event->body_size >= sizeof bytes) {
		mesh__change_peer_write(bytes, &change);
		must(!memcmp(bytes, event->body, 40));
	}
	must((mesh__fail_port_read(event, &node) == 0) == (event->body_size >= sizeof node));
}

static void check_event(const uint8_t *data, size_t size)
{
	struct mesh__raw_event event;
	uint8_t header[MESH__EVENT_HEADER_SIZE];

	if (mesh__raw_event_parse(data, size, &event) < 0) {
		must(!event.record_count && !event.body_size && !event.records && !event.body);
		must(size < sizeof event.port || !memcmp(&event.port, data, sizeof event.port));
		return;
	}
	must(mesh__event_size(event.record_count, event.body_size) <= size);
	must(event.records == data + sizeof header);
	must(event.body == event.records + (size_t)event.record_count * MESH__RECORD_SIZE);
	mesh__event_header_write(header, &event.port, event.type, event.flags, event.seq,
	        event.record_count, event.body_size);
	must(!memcmp(header, data, 18) && !memcmp(header + 24, data + 24, 16));
	for (uint32_t i = 0; i < event.record_count; i++)
		check_record(event.records + (size_t)i * MESH__RECORD_SIZE);
	check_bodies(&event);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	enum mesh__packet_type type;
	uint8_t header[MESH__PACKET_HEADER_SIZE];

	if (mesh__packet_header_read(data, size, &type) < 0)
		return 0;
	mesh__packet_header_write(header, type);
	must(header[0] == data[0]);
	check_event(data + sizeof header, size - sizeof header);
	return 0;
}
