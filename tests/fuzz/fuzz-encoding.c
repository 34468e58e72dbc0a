/* SPDX-License-Identifier: MIT */

/*
 * A message: the reader, the way through nanopb and back, and the control
 * messages. Input: schema, number of resources, their kinds (a bit each), bytes.
 */

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include <mesh/control-priv.h>
#include <mesh/encoding.h>
#include <mesh/message-priv.h>
#include <mesh/nanopb-priv.h>
#include <mesh/space-priv.h>
#include <mesh/wire.pb.h>
#include <pal/util-priv.h>
#include <tests/mesh/strict.pb.h>
#include <tests/mesh/users.pb.h>
#include <tests/mesh/vectors.pb.h>

#include "fuzz.h"

#define MAX_RESOURCES 7u
#define HEADER_SIZE 3u

static const pb_msgdesc_t *const schemas[] = {
        &mesh_wire_InitialEnvelope_msg,
        &mesh_wire_LeaderRequestEnvelope_msg,
        &mesh_wire_FollowerRequestEnvelope_msg,
        &mesh_wire_InvitationEnvelope_msg,
        &users_Task_msg,
        &users_Tree_msg,
        &strict_Needs_msg,
        &vectors_HostRequest_msg,
        &vectors_InternalNode_msg,
        &vectors_Struct_msg,
        &vectors_Followers_msg,
        &vectors_CancelContext_msg,
};

/* Room for any of them, aligned for any of them. */
union value {
	mesh_wire_InitialEnvelope initial;
	mesh_wire_LeaderRequestEnvelope request;
	mesh_wire_FollowerRequestEnvelope order;
	mesh_wire_InvitationEnvelope invitation;
	users_Task task;
	users_Tree tree;
	strict_Needs needs;
	vectors_HostRequest host;
	vectors_InternalNode node;
	vectors_Struct fields;
	vectors_Followers followers;
	vectors_CancelContext cancel;
};

static void put_resource(struct mesh_message *message, bool port)
{
	struct mesh_port *one, *other;

	if (port) {
		must(mesh__port_pair(NULL, &one, &other) == 0);
		mesh__port_release(other, false);
		must(mesh_message_put_port(message, one) == 0);
	} else {
		must(mesh_message_put_fd(message, open("/dev/null", O_RDONLY | O_CLOEXEC)) == 0);
	}
}

static struct mesh_message *message_of(
        const void *data, size_t size, unsigned count, unsigned ports)
{
	struct mesh_message *message = mesh_message_new(data, size);

	must(message);
	for (unsigned i = 0; i < count; i++)
		put_resource(message, ports >> i & 1);
	return message;
}

/* Everything that can be read as a message stays inside. Recursion is by the fuzzer's input, which is small. */
static void walk(struct mesh_reader reader, size_t depth)
{
	const struct mesh_reader whole = reader;
	struct mesh_field field;
	int r;

	while ((r = mesh_reader_next(&reader, &field)) > 0) {
		must(reader.at <= whole.end && reader.resource <= whole.resource_end);
		if (field.wire_type == 7)
			must(field.resource >= whole.resource &&
			        field.resource < whole.resource_end);
		if (field.wire_type != 2 && field.wire_type != 6)
			continue;
		must(field.inner.at <= field.inner.end && field.inner.end <= whole.end);
		must(field.inner.resource >= whole.resource &&
		        field.inner.resource <= field.inner.resource_end &&
		        field.inner.resource_end <= whole.resource_end);
		if (depth < 1000)
			walk(field.inner, depth + 1);
	}
	must(r == 0 || r == -EBADMSG);
}

/* Encodes with as many descriptors as are needed: `most` or less. NULL if it cannot be encoded. */
static struct mesh_message *encode(
        const pb_msgdesc_t *schema, const union value *value, unsigned most)
{
	struct mesh_message *message;

	for (unsigned count = 0; count <= most; count++) {
		int r = mesh_nanopb_encode(
		        schema, value, message_of(NULL, 0, count, 0), 0, &message);

		if (r == 0)
			return message;
		must(r == -EINVAL);
	}
	return NULL;
}

/* What has been decoded and encoded once goes round without a change. */
static void check_round_trip(
        const pb_msgdesc_t *schema, const union value *value, unsigned resources)
{
	struct mesh_message *first = encode(schema, value, resources), *second;
	union value *again = calloc(1, sizeof *again);

	must(again);
	if (first) {
		unsigned count = (unsigned)mesh_message_resource_count(first);

		must(mesh_nanopb_decode(schema, again, mesh_reader_of(first)) == 0);
		second = encode(schema, again, count);
		must(second && second->size == first->size && second->resource_count == count);
		must(!memcmp(second->data, first->data, first->size));
		mesh_message_free(second);
	}
	mesh_message_free(first);
	free(again);
}

static void check_nanopb(const pb_msgdesc_t *schema, struct mesh_message *message)
{
	union value *value = calloc(1, sizeof *value);
	const char *why = NULL;
	int r;

	must(value);
	r = mesh__nanopb_decode(schema, value, mesh_reader_of(message), &why);
	must(r == 0 || (r == -EBADMSG && why));
	if (r == 0)
		check_round_trip(schema, value, (unsigned)message->resource_count);
	free(value);
}

static void check_port(struct mesh_message *message, size_t index)
{
	struct mesh_port *port = mesh_message_take_port(message, index);

	must(port);
	mesh__port_release(port, false);
}

static void check_fd(struct mesh_message *message, size_t index)
{
	int fd = mesh_message_take_fd(message, index);

	must(fd >= 0);
	close(fd);
}

static void take_follower(void *message, const struct mesh_id *node, size_t requests, size_t orders)
{
	must(!mesh__id_is_zero(node));
	check_port(message, requests);
	check_port(message, orders);
}

/* Each in a message of its own, for what it names is taken out. */
static void check_control(struct mesh_message *message, uint8_t kind)
{
	struct pal_error error = {0};
	struct mesh__initial initial;
	struct mesh__request request;
	struct mesh__order order;
	struct mesh__claim claim;
	struct mesh_invitation invitation = MESH_INVITATION_INIT;

	if (kind == 0 && mesh__control_read_initial(message, &initial, &error) == 0) {
		check_port(message, initial.requests);
		check_port(message, initial.orders);
		check_port(message, initial.user);
	} else if (kind == 1 && mesh__control_read_request(message, &request, &error) == 0) {
		if (request.kind == MESH__REQUEST_MORE_PORTS)
			check_port(message, request.port);
		if (request.kind == MESH__REQUEST_INVITE) {
			check_port(message, request.user);
			check_port(message, request.reply);
		}
	} else if (kind == 2 && mesh__control_read_order(message, &order, &error) == 0) {
		if (order.kind == MESH__ORDER_MORE_PORTS)
			check_port(message, order.port);
		else if (order.has_fd)
			check_fd(message, order.fd);
	} else if (kind == 3) {
		must(mesh__control_read_invitation(message, &invitation, &error) <
		        0); /* none is a socket */
	} else if (kind == 4 && mesh__control_read_claim(message, &claim, &error) == 0) {
		check_port(message, claim.kind == MESH__CLAIM_MORE_PORTS ? claim.port : claim.reply);
	} else if (kind == 5) {
		must(mesh__control_read_followers(message, take_follower, message, &error) <= 0);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct mesh_message *message;
	uint8_t schema;

	if (size < HEADER_SIZE)
		return 0;
	schema = data[0] % PAL_ARRAY_LENGTH(schemas);
	message = message_of(
	        data + HEADER_SIZE, size - HEADER_SIZE, data[1] % (MAX_RESOURCES + 1), data[2]);
	walk(mesh_reader_of(message), 0);
	check_nanopb(schemas[schema], message);
	check_control(message, schema);
	mesh_message_free(message);
	return 0;
}
