/* SPDX-License-Identifier: MIT */
#include <mesh_process/mesh_process-priv.h>

#include <errno.h>
#include <string.h>

/*
 * What the leader sends to a new host, in one message that closes its port:
 *
 *	oneshot { InitialMessage { <port> requests = 1; T init_message = 2; } = 1 }
 *
 * T is the program's own and is not looked into: its bytes and resources are
 * put behind the port, and on the other side taken out into a message of its own.
 */

enum {
	WIRE_BYTES = 2,
	WIRE_MESSAGE = 6,
	WIRE_RESOURCE = 7
};

/* A key and at most two varints. */
#define HEADER_MAX 21

static uint8_t *put_varint(uint8_t *at, uint64_t value)
{
	for (; value > 0x7f; value >>= 7)
		*at++ = (uint8_t)value | 0x80;
	*at++ = (uint8_t)value;
	return at;
}

/*
 * What stands in front of a sub-message's bytes. Its wire type says whether there are
 * resources in it.
 */
static uint8_t *put_header(uint8_t *at, unsigned field, size_t size, size_t resources)
{
	*at++ = (uint8_t)(field << 3 | (resources ? WIRE_MESSAGE : WIRE_BYTES));
	if (resources)
		at = put_varint(at, resources);
	return put_varint(at, size);
}

/* Appends the resources [first, end) of a message to another one. */
static int move_resources(
	struct mesh_message *from, size_t first, size_t end, struct mesh_message *to)
{
	int result = 0;

	for (size_t i = first; i < end && !result; i++) {
		struct mesh_port *port = mesh_message_take_port(from, i);

		if (port) {
			result = mesh_message_put_port(to, port);
		} else {
			int fd = mesh_message_take_fd(from, i);

			result = fd < 0 ? fd : mesh_message_put_fd(to, fd);
		}
	}
	return result;
}

static struct mesh_message *initial_bytes(struct mesh_message *init)
{
	size_t size = mesh_message_size(init), resources = mesh_message_resource_count(init);
	uint8_t inner[1 + HEADER_MAX], outer[HEADER_MAX];
	uint8_t *inner_end = inner, *outer_end, *to;
	struct mesh_message *message;

	*inner_end++ = 1 << 3 | WIRE_RESOURCE;
	if (size || resources)
		inner_end = put_header(inner_end, 2, size, resources);
	outer_end = put_header(outer, 1, (size_t)(inner_end - inner) + size, 1 + resources);
	message = mesh_message_new_sized(
		(size_t)(outer_end - outer) + (size_t)(inner_end - inner) + size);
	if (!message)
		return NULL;
	to = mesh_message_data(message);
	to = mempcpy(to, outer, (size_t)(outer_end - outer));
	to = mempcpy(to, inner, (size_t)(inner_end - inner));
	if (size)
		memcpy(to, mesh_message_data(init), size);
	return message;
}

int mesh_process__initial_encode(
	struct mesh_port *requests, struct mesh_message *init, struct mesh_message **ret)
{
	struct mesh_message *message = initial_bytes(init);
	int result;

	if (message) {
		result = mesh_message_put_port(message, requests);
		if (!result)
			result =
				move_resources(init, 0, mesh_message_resource_count(init), message);
	} else {
		mesh_port_free(requests);
		result = -ENOMEM;
	}
	mesh_message_free(init);
	if (result) {
		mesh_message_free(message);
		return result;
	}
	*ret = message;
	return 0;
}

/*
 * The last field of that number: 1, 0 when there is none, -EBADMSG when any field of the
 * range is malformed.
 */
static int find(struct mesh_reader range, uint32_t number, struct mesh_field *ret)
{
	struct mesh_field field;
	int result, found = 0;

	while ((result = mesh_reader_next(&range, &field)) > 0) {
		if (field.number == number) {
			*ret = field;
			found = 1;
		}
	}
	return result < 0 ? result : found;
}

int mesh_process__find_message(struct mesh_reader range, uint32_t number, struct mesh_reader *ret)
{
	struct mesh_field field;
	int result = find(range, number, &field);

	if (result <= 0)
		return result;
	if (field.wire_type != WIRE_BYTES && field.wire_type != WIRE_MESSAGE)
		return -EBADMSG;
	*ret = field.inner;
	return 1;
}

int mesh_process__find_port(struct mesh_message *message, struct mesh_reader range, uint32_t number,
	struct mesh_port **ret)
{
	struct mesh_port *port;
	struct mesh_field field;
	int result = find(range, number, &field);

	if (result <= 0)
		return result;
	port = field.wire_type == WIRE_RESOURCE ? mesh_message_take_port(message, field.resource)
						: NULL;
	if (!port)
		return -EBADMSG;
	*ret = port;
	return 1;
}

static int take_init(
	struct mesh_message *message, struct mesh_reader initial, struct mesh_message **ret)
{
	struct mesh_reader range = {0}; /* a T that is empty is left out */
	struct mesh_message *init;
	int result = mesh_process__find_message(initial, 2, &range);

	if (result < 0)
		return result;
	init = mesh_message_new(range.at, (size_t)(range.end - range.at));
	if (!init)
		return -ENOMEM;
	result = move_resources(message, range.resource, range.resource_end, init);
	if (result) {
		mesh_message_free(init);
		return result == -ENOMEM ? result : -EBADMSG;
	}
	*ret = init;
	return 0;
}

int mesh_process__initial_decode(struct mesh_message *message, struct mesh_port **ret_requests,
	struct mesh_message **ret_init)
{
	struct mesh_port *requests;
	struct mesh_reader initial;
	int result;

	if (mesh_process__find_message(mesh_reader_of(message), 1, &initial) <= 0 ||
		mesh_process__find_port(message, initial, 1, &requests) <= 0)
		return -EBADMSG;
	result = take_init(message, initial, ret_init);
	if (result) {
		mesh_port_free(requests);
		return result;
	}
	*ret_requests = requests;
	return 0;
}
