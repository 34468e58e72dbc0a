/* SPDX-License-Identifier: MIT */
#include "wild.h"

#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>

#include <pal/socket.h>

#include "support.h"

struct wild wild_guest(void)
{
	struct wild wild;
	struct mesh_port *passenger;
	struct pal_error error = {0};
	uint8_t packet[MESH__PACKET_MAX];
	struct mesh__raw_event event;
	ssize_t size;

	ck_assert_int_eq(mesh_port_pair(&wild.port, &passenger), 0);
	ck_assert_ok(mesh_node_invite(leader, passenger, &wild.invitation, &error), &error);
	ck_assert_int_eq(fcntl(wild.invitation.fd, F_SETFL, 0), 0);
	size = recv(wild.invitation.fd, packet, sizeof packet, 0);
	ck_assert_int_gt(size, 0);
	ck_assert_int_eq(mesh__raw_event_parse(packet + MESH__PACKET_HEADER_SIZE,
				 (size_t)size - MESH__PACKET_HEADER_SIZE, &event),
		0);
	ck_assert_uint_eq(event.record_count, 3);
	for (size_t i = 0; i < 3; i++)
		mesh__record_parse(event.records + i * MESH__RECORD_SIZE, &wild.first[i]);
	wild.target = wild.first[2].peer_port;
	return wild;
}

void wild_send(const struct wild *wild, enum mesh__event_type type, uint64_t seq, const struct mesh__record *records,
	size_t count, const void *body, size_t size)
{
	uint8_t packet[MESH__PACKET_MAX], *event = packet + MESH__PACKET_HEADER_SIZE;

	mesh__packet_header_write(packet, MESH__PACKET_EVENT);
	mesh__event_header_write(event, &wild->target, (uint8_t)type, type == MESH__EVENT_MESSAGE ? MESH__FLAG_MESSAGE : 0,
		seq, (uint32_t)count, (uint32_t)size);
	for (size_t i = 0; i < count; i++)
		mesh__record_write(event + MESH__EVENT_HEADER_SIZE + i * MESH__RECORD_SIZE, &records[i]);
	if (size)
		memcpy(event + mesh__event_size(count, 0), body, size);
	/* It waits where there is no room; once the leader has closed the link it fails, which is seen later. */
	(void)!pal_socket_send(
		wild->invitation.fd, packet, MESH__PACKET_HEADER_SIZE + mesh__event_size(count, size), NULL, 0);
}

void wild_free(struct wild *wild)
{
	mesh_invitation_clear(&wild->invitation);
	mesh_port_free(wild->port);
}

void wild_answer(const struct wild *wild, const struct mesh_id *port, enum mesh__event_type type)
{
	struct wild other = *wild;

	other.target = *port;
	wild_send(&other, type, 0, NULL, 0, &wild->invitation.local_node, type == MESH__EVENT_FAIL_PORT ? sizeof(struct mesh_id) : 0);
}

static void read_event(const struct wild *wild, uint8_t packet[MESH__PACKET_MAX], struct mesh__raw_event *ret)
{
	ssize_t size = recv(wild->invitation.fd, packet, MESH__PACKET_MAX, 0);

	ck_assert_int_gt(size, 0);
	ck_assert_int_eq(
		mesh__raw_event_parse(packet + MESH__PACKET_HEADER_SIZE, (size_t)size - MESH__PACKET_HEADER_SIZE, ret), 0);
}

struct mesh__record wild_expect_port(const struct wild *wild)
{
	uint8_t packet[MESH__PACKET_MAX];
	struct mesh__raw_event event;
	struct mesh__record record;

	do
		read_event(wild, packet, &event);
	while (event.record_count != 1);
	mesh__record_parse(event.records, &record);
	return record;
}

void wild_expect(const struct wild *wild, enum mesh__event_type type)
{
	uint8_t packet[MESH__PACKET_MAX];
	struct mesh__raw_event event;

	do
		read_event(wild, packet, &event);
	while (event.type != type);
}
