/* SPDX-License-Identifier: MIT */
#include <mesh/control-priv.h>

#include <errno.h>
#include <string.h>

#include <mesh/encoding.h>
#include <mesh/event-priv.h>
#include <mesh/invitation-priv.h>
#include <mesh/message-priv.h>
#include <mesh/nanopb-priv.h>
#include <mesh/node.h>
#include <mesh/protobuf-priv.h>
#include <mesh/wire.pb.h>
#include <pal/util-priv.h>

/* ---- helpers ---- */

static void write_id(const struct mesh_id *id, mesh_wire_NodeId *ret)
{
	memcpy(ret->uuid.value, id->bytes, sizeof ret->uuid.value);
}

static void read_id(const mesh_wire_NodeId *id, struct mesh_id *ret)
{
	memcpy(ret->bytes, id->uuid.value, sizeof ret->bytes);
}

/* A message that carries these ports as resources 1 to `count`. Consumes them all, also on failure. */
static int carry_ports(struct mesh_port *const *ports, size_t count, struct mesh_message **ret)
{
	struct mesh_message *carrier = mesh_message_new(NULL, 0);
	int r = carrier ? 0 : -ENOMEM;

	for (size_t i = 0; i < count; i++) {
		int put = mesh_message_put_port(carrier, ports[i]);

		if (r == 0)
			r = put;
	}
	if (r < 0)
		mesh_message_free(carrier);
	else
		*ret = carrier;
	return r;
}

static int carry_fd(int fd, struct mesh_message **ret)
{
	struct mesh_message *carrier = mesh_message_new(NULL, 0);
	int r = mesh_message_put_fd(carrier, fd); /* closes it if there is no carrier */

	if (!carrier)
		return -ENOMEM;
	if (r < 0)
		mesh_message_free(carrier);
	else
		*ret = carrier;
	return r;
}

/* What is being read, and where errors go. */
struct reading {
	struct mesh_message *message;
	const char *name;
	int stage;
	struct pal_error *error;
};

static int decode(const struct reading *reading, const pb_msgdesc_t *fields, void *dest)
{
	const char *why;
	int r = mesh__nanopb_decode(fields, dest, mesh_reader_of(reading->message), &why);

	if (r < 0)
		return pal_error_set(
		        reading->error, reading->stage, r, "%s: %s", reading->name, why);
	return 0;
}

static int refuse(const struct reading *reading, const char *why)
{
	return pal_error_set(
	        reading->error, reading->stage, -EBADMSG, "%s: %s", reading->name, why);
}

static int read_node(const struct reading *reading, const mesh_wire_NodeId *id, struct mesh_id *ret)
{
	read_id(id, ret);
	return mesh__id_is_zero(ret) ? refuse(reading, "the node's id is zero") : 0;
}

/* The decoder gave `field` a resource of the message; it must also be of the right kind. */
static int read_resource(const struct reading *reading, const mesh_Resource *field,
        enum mesh__resource_kind kind, const char *why, size_t *ret)
{
	size_t index = field->index - 1;

	if (index >= reading->message->resource_count ||
	        reading->message->resources[index].kind != kind)
		return refuse(reading, why);
	*ret = index;
	return 0;
}

static int read_port(const struct reading *reading, const mesh_Resource *field, size_t *ret)
{
	return read_resource(reading, field, MESH__RESOURCE_PORT, "a resource is not a port", ret);
}

static int read_fd(const struct reading *reading, const mesh_Resource *field, size_t *ret)
{
	return read_resource(
	        reading, field, MESH__RESOURCE_FD, "a resource is not a descriptor", ret);
}

/* ---- the first message ---- */

int mesh__control_write_initial(struct mesh_port *requests, struct mesh_port *orders,
        struct mesh_port *user, struct mesh_message **ret)
{
	mesh_wire_InitialEnvelope envelope = {
	        .value = {.requests = {1}, .orders = {2}, .user = {3}}};
	struct mesh_message *carrier;
	int r = carry_ports((struct mesh_port *[]){requests, orders, user}, 3, &carrier);

	if (r < 0)
		return r;
	return mesh_nanopb_encode(mesh_wire_InitialEnvelope_fields, &envelope, carrier, 0, ret);
}

int mesh__control_read_initial(
        struct mesh_message *message, struct mesh__initial *ret, struct pal_error *error)
{
	const struct reading reading = {message, "initial message", MESH_STAGE_JOIN, error};
	mesh_wire_InitialEnvelope envelope = mesh_wire_InitialEnvelope_init_zero;
	struct mesh__initial initial;
	int r = decode(&reading, mesh_wire_InitialEnvelope_fields, &envelope);

	if (r == 0)
		r = read_port(&reading, &envelope.value.requests, &initial.requests);
	if (r == 0)
		r = read_port(&reading, &envelope.value.orders, &initial.orders);
	if (r == 0)
		r = read_port(&reading, &envelope.value.user, &initial.user);
	if (r == 0)
		*ret = initial;
	return r;
}

/* ---- requests ---- */

int mesh__control_write_connect_request(const struct mesh_id *node, struct mesh_message **ret)
{
	mesh_wire_LeaderRequestEnvelope envelope = {
	        .which_payload = mesh_wire_LeaderRequestEnvelope_value_tag,
	        .value = {.which_request = mesh_wire_LeaderRequest_connect_tag}};

	write_id(node, &envelope.value.connect.node);
	return mesh_nanopb_encode(mesh_wire_LeaderRequestEnvelope_fields, &envelope, NULL, 0, ret);
}

int mesh__control_write_invite_request(
        struct mesh_port *user, struct mesh_port *reply, struct mesh_message **ret)
{
	mesh_wire_LeaderRequestEnvelope envelope = {
	        .which_payload = mesh_wire_LeaderRequestEnvelope_value_tag,
	        .value = {.which_request = mesh_wire_LeaderRequest_invite_tag,
	                .invite = {.user = {1}, .reply = {2}}}};
	struct mesh_message *carrier;
	int r = carry_ports((struct mesh_port *[]){user, reply}, 2, &carrier);

	if (r < 0)
		return r;
	return mesh_nanopb_encode(
	        mesh_wire_LeaderRequestEnvelope_fields, &envelope, carrier, 0, ret);
}

static int read_request_value(const struct reading *reading, const mesh_wire_LeaderRequest *value,
        struct mesh__request *ret)
{
	int r;

	switch (value->which_request) {
	case mesh_wire_LeaderRequest_connect_tag:
		ret->kind = MESH__REQUEST_CONNECT;
		return read_node(reading, &value->connect.node, &ret->node);
	case mesh_wire_LeaderRequest_invite_tag:
		ret->kind = MESH__REQUEST_INVITE;
		r = read_port(reading, &value->invite.user, &ret->user);
		return r < 0 ? r : read_port(reading, &value->invite.reply, &ret->reply);
	default:
		return refuse(reading, "neither Connect nor Invite");
	}
}

int mesh__control_read_request(
        struct mesh_message *message, struct mesh__request *ret, struct pal_error *error)
{
	const struct reading reading = {message, "request to the leader", MESH_STAGE_NODE, error};
	mesh_wire_LeaderRequestEnvelope envelope = mesh_wire_LeaderRequestEnvelope_init_zero;
	struct mesh__request request = {.kind = MESH__REQUEST_MORE_PORTS};
	int r = decode(&reading, mesh_wire_LeaderRequestEnvelope_fields, &envelope);

	if (r < 0)
		return r;
	if (envelope.which_payload == mesh_wire_LeaderRequestEnvelope_value_tag)
		r = read_request_value(&reading, &envelope.value, &request);
	else if (envelope.which_payload == mesh_wire_LeaderRequestEnvelope_port_tag)
		r = read_port(&reading, &envelope.port, &request.port);
	else
		r = refuse(&reading, "neither a value nor a port");
	if (r == 0)
		*ret = request;
	return r;
}

/* ---- invitations ---- */

int mesh__control_write_invitation(struct mesh_invitation *invitation, struct mesh_message **ret)
{
	mesh_wire_InvitationEnvelope envelope = {
	        .which_payload = mesh_wire_InvitationEnvelope_value_tag, .value = {.fd = {1}}};
	struct mesh_message *carrier;
	int r = carry_fd(pal_take_fd(&invitation->fd), &carrier);

	if (r < 0)
		return r;
	mesh__invitation_write_address(invitation, &envelope.value.address);
	return mesh_nanopb_encode(mesh_wire_InvitationEnvelope_fields, &envelope, carrier, 0, ret);
}

/* The descriptor stays the message's while it is looked at. */
static int check_socket(const struct reading *reading, size_t index)
{
	int r = mesh__invitation_adopt_socket(reading->message->resources[index].fd);

	if (r < 0)
		return pal_error_set(
		        reading->error, reading->stage, r, "%s: its descriptor", reading->name);
	return 0;
}

static int take_invitation(
        const struct reading *reading, const mesh_wire_Invitation *wire, struct mesh_invitation *ret)
{
	struct mesh_invitation invitation = MESH_INVITATION_INIT;
	size_t fd = 0;
	int r;

	if (mesh__invitation_read_address(&wire->address, &invitation) < 0)
		return refuse(reading, "an id is zero");
	r = read_fd(reading, &wire->fd, &fd);
	if (r == 0)
		r = check_socket(reading, fd);
	if (r < 0)
		return r;
	invitation.fd = mesh_message_take_fd(reading->message, fd);
	*ret = invitation;
	return 0;
}

int mesh__control_read_invitation(
        struct mesh_message *message, struct mesh_invitation *ret, struct pal_error *error)
{
	const struct reading reading = {message, "invitation", MESH_STAGE_INVITATION, error};
	mesh_wire_InvitationEnvelope envelope = mesh_wire_InvitationEnvelope_init_zero;
	int r = decode(&reading, mesh_wire_InvitationEnvelope_fields, &envelope);

	if (r < 0)
		return r;
	if (envelope.which_payload != mesh_wire_InvitationEnvelope_value_tag)
		return refuse(&reading, "the leader sent something else");
	return take_invitation(&reading, &envelope.value, ret);
}

int mesh__control_write_handoff(struct mesh_invitation *invitation, struct mesh_message **ret)
{
	mesh_wire_Invitation wire = {.fd = {1}};
	struct mesh_message *carrier;
	int r;

	if (!mesh__invitation_has_ids(invitation) || invitation->fd < 0)
		return -EINVAL;
	r = carry_fd(pal_take_fd(&invitation->fd), &carrier);
	if (r < 0)
		return r;
	mesh__invitation_write_address(invitation, &wire.address);
	return mesh_nanopb_encode(mesh_wire_Invitation_fields, &wire, carrier, 0, ret);
}

int mesh__control_read_handoff(
        struct mesh_message *message, struct mesh_invitation *ret, struct pal_error *error)
{
	const struct reading reading = {message, "invitation", MESH_STAGE_INVITATION, error};
	mesh_wire_Invitation wire = mesh_wire_Invitation_init_zero;
	int r = decode(&reading, mesh_wire_Invitation_fields, &wire);

	return r < 0 ? r : take_invitation(&reading, &wire, ret);
}

/* ---- orders ---- */

int mesh__control_write_connect_order(const struct mesh_id *node, int fd, struct mesh_message **ret)
{
	mesh_wire_FollowerRequestEnvelope envelope = {
	        .which_payload = mesh_wire_FollowerRequestEnvelope_value_tag,
	        .value = {.which_request = mesh_wire_FollowerRequest_connect_tag}};
	mesh_wire_FollowerConnect *connect = &envelope.value.connect;
	struct mesh_message *carrier = NULL;
	int r = fd >= 0 ? carry_fd(fd, &carrier) : 0;

	if (r < 0)
		return r;
	write_id(node, &connect->node);
	connect->has_fd = fd >= 0;
	connect->fd.index = 1;
	return mesh_nanopb_encode(
	        mesh_wire_FollowerRequestEnvelope_fields, &envelope, carrier, 0, ret);
}

static int read_order_value(const struct reading *reading, const mesh_wire_FollowerRequest *value,
        struct mesh__order *ret)
{
	const mesh_wire_FollowerConnect *connect = &value->connect;
	int r;

	if (value->which_request != mesh_wire_FollowerRequest_connect_tag)
		return refuse(reading, "not Connect");
	ret->kind = MESH__ORDER_CONNECT;
	ret->has_fd = connect->has_fd;
	r = read_node(reading, &connect->node, &ret->node);
	if (r == 0 && connect->has_fd)
		r = read_fd(reading, &connect->fd, &ret->fd);
	return r;
}

int mesh__control_read_order(
        struct mesh_message *message, struct mesh__order *ret, struct pal_error *error)
{
	const struct reading reading = {message, "order of the leader", MESH_STAGE_NODE, error};
	mesh_wire_FollowerRequestEnvelope envelope = mesh_wire_FollowerRequestEnvelope_init_zero;
	struct mesh__order order = {.kind = MESH__ORDER_MORE_PORTS};
	int r = decode(&reading, mesh_wire_FollowerRequestEnvelope_fields, &envelope);

	if (r < 0)
		return r;
	if (envelope.which_payload == mesh_wire_FollowerRequestEnvelope_value_tag)
		r = read_order_value(&reading, &envelope.value, &order);
	else if (envelope.which_payload == mesh_wire_FollowerRequestEnvelope_port_tag)
		r = read_port(&reading, &envelope.port, &order.port);
	else
		r = refuse(&reading, "neither a value nor a port");
	if (r == 0)
		*ret = order;
	return r;
}

/* ---- leadership ---- */

int mesh__control_write_claim(
        const struct mesh_id *node, struct mesh_port *reply, struct mesh_message **ret)
{
	mesh_wire_LeaderClaimEnvelope envelope = {
	        .which_payload = mesh_wire_LeaderClaimEnvelope_value_tag, .value = {.reply = {1}}};
	struct mesh_message *carrier;
	int r = carry_ports(&reply, 1, &carrier);

	if (r < 0)
		return r;
	write_id(node, &envelope.value.node);
	return mesh_nanopb_encode(mesh_wire_LeaderClaimEnvelope_fields, &envelope, carrier, 0, ret);
}

int mesh__control_read_claim(
        struct mesh_message *message, struct mesh__claim *ret, struct pal_error *error)
{
	const struct reading reading = {message, "claim of the leadership", MESH_STAGE_NODE, error};
	mesh_wire_LeaderClaimEnvelope envelope = mesh_wire_LeaderClaimEnvelope_init_zero;
	struct mesh__claim claim = {.kind = MESH__CLAIM_LEADERSHIP};
	int r = decode(&reading, mesh_wire_LeaderClaimEnvelope_fields, &envelope);

	if (r < 0)
		return r;
	if (envelope.which_payload == mesh_wire_LeaderClaimEnvelope_value_tag) {
		r = read_node(&reading, &envelope.value.node, &claim.node);
		if (r == 0)
			r = read_port(&reading, &envelope.value.reply, &claim.reply);
	} else if (envelope.which_payload == mesh_wire_LeaderClaimEnvelope_port_tag) {
		claim.kind = MESH__CLAIM_MORE_PORTS;
		r = read_port(&reading, &envelope.port, &claim.port);
	} else {
		r = refuse(&reading, "neither a value nor a port");
	}
	if (r == 0)
		*ret = claim;
	return r;
}

/* The list and each of it have this number in what they stand in. */
#define THE_VALUE 1u

/* Not by nanopb: it would need a bound for the list. */
int mesh__control_write_followers(
        const struct mesh__handed_over *list, size_t count, struct mesh_message **ret)
{
	struct mesh_writer *writer = mesh_writer_new();

	mesh_writer_begin(writer, THE_VALUE);
	for (size_t i = 0; i < count; i++) {
		mesh_writer_begin(writer, THE_VALUE);
		mesh_writer_begin(writer, mesh_wire_Follower_node_tag);
		mesh_writer_begin(writer, mesh_wire_NodeId_uuid_tag);
		mesh_writer_bytes(writer, mesh_wire_Uuid_value_tag, list[i].node.bytes,
		        sizeof list[i].node.bytes);
		mesh_writer_end(writer);
		mesh_writer_end(writer);
		mesh_writer_put_port(writer, mesh_wire_Follower_requests_tag, list[i].requests);
		mesh_writer_put_port(writer, mesh_wire_Follower_orders_tag, list[i].orders);
		mesh_writer_end(writer);
	}
	mesh_writer_end(writer);
	return mesh_writer_finish(writer, ret);
}

struct followers_visit {
	void (*take)(void *arg, const struct mesh_id *node, size_t requests, size_t orders);
	void *arg;
};

/* `visit` NULL: only looks whether it is well-formed. */
static int read_follower(const struct reading *reading, struct mesh_reader from,
        const struct followers_visit *visit)
{
	mesh_wire_Follower follower = mesh_wire_Follower_init_zero;
	struct mesh_id node = {{0}};
	size_t requests = 0, orders = 0;
	const char *why;
	int r = mesh__nanopb_decode(mesh_wire_Follower_fields, &follower, from, &why);

	if (r < 0)
		return pal_error_set(reading->error, reading->stage, r, "%s: %s", reading->name, why);
	r = read_node(reading, &follower.node, &node);
	if (r == 0)
		r = read_port(reading, &follower.requests, &requests);
	if (r == 0)
		r = read_port(reading, &follower.orders, &orders);
	if (r == 0 && visit)
		visit->take(visit->arg, &node, requests, orders);
	return r;
}

/* Whether it is a sub-message with that number, of either wire type. */
static bool is_value(const struct mesh_field *field)
{
	return field->number == THE_VALUE &&
	       (field->wire_type == MESH__WIRE_BYTES || field->wire_type == MESH__WIRE_MESSAGE);
}

static int read_list(const struct reading *reading, struct mesh_reader from,
        const struct followers_visit *visit)
{
	struct mesh_field field;
	int r;

	while ((r = mesh_reader_next(&from, &field)) > 0) {
		if (field.number != THE_VALUE)
			continue;
		r = is_value(&field) ? read_follower(reading, field.inner, visit)
		                     : refuse(reading, "a follower is no message");
		if (r < 0)
			return r;
	}
	return r < 0 ? refuse(reading, "not the encoding of a list") : 0;
}

int mesh__control_read_followers(struct mesh_message *message,
        void (*take)(void *arg, const struct mesh_id *node, size_t requests, size_t orders),
        void *arg, struct pal_error *error)
{
	const struct reading reading = {message, "list of followers", MESH_STAGE_NODE, error};
	const struct followers_visit visit = {take, arg};
	struct mesh_reader from = mesh_reader_of(message);
	struct mesh_field field;
	int r;

	if (mesh_reader_next(&from, &field) != 1 || !is_value(&field) || from.at != from.end)
		return refuse(&reading, "the leader sent something else");
	r = read_list(&reading, field.inner, NULL);
	return r < 0 ? r : read_list(&reading, field.inner, &visit);
}
