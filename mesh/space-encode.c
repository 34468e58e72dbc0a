/* SPDX-License-Identifier: MIT */
#include <mesh/machine-priv.h>

#include <errno.h>
#include <stdlib.h>

#include <pal/util-priv.h>

/* Where the parts of an event go. */
struct output {
	uint8_t *records, *body;
	int *fds;
	size_t fd_count;
};

static size_t record_count(const struct mesh_message *message)
{
	size_t count = 0;

	for (size_t i = 0; message && i < message->resource_count; i++)
		count += message->resources[i].kind != MESH__RESOURCE_NONE;
	return count;
}

static size_t body_size(const struct mesh__event *event)
{
	if (event->type == MESH__EVENT_CHANGE_PEER)
		return MESH__CHANGE_PEER_SIZE;
	if (event->type == MESH__EVENT_FAIL_PORT)
		return sizeof event->blamed;
	return event->message ? event->message->size : 0;
}

/* A message from a pair that had no node, or from a port before its node was made, meets this node's limits only here. */
static bool fits(const struct mesh__space *space, const struct mesh__event *event, size_t size)
{
	size_t fds = event->message ? mesh__message_fd_count(event->message) : 0;

	return size <= UINT32_MAX &&
	       (!event->message || (event->message->size <= space->max_message &&
	               event->message->resource_count <= MESH__MAX_RECORDS)) &&
	       fds <= MESH_MESSAGE_MAX_FDS - (size > MESH__INLINE_EVENT_MAX);
}

static void write_resource(
        struct mesh__remote *to, struct mesh__resource *resource, struct output *output)
{
	struct mesh__record record = {0};
	bool keep = false;

	if (resource->kind == MESH__RESOURCE_FD)
		output->fds[output->fd_count++] = pal_take_fd(&resource->fd);
	else if (resource->kind == MESH__RESOURCE_PORT)
		keep = mesh__move_prepare(to, resource->port, &record) == -EXDEV;
	else
		return;
	if (!keep)
		*resource = (struct mesh__resource){.fd = -1};
	mesh__record_write(output->records, &record);
	output->records += MESH__RECORD_SIZE;
}

static int write_body(struct mesh__remote *to, struct mesh__event *event, struct output *output)
{
	struct mesh_message *message = event->message;

	if (event->type == MESH__EVENT_CHANGE_PEER) {
		struct mesh__change_peer change = {.seq_delta = event->delta};
		int r = mesh__move_address(to->space, &event->new_peer, &change.node, &change.port);

		if (r < 0)
			return r;
		mesh__change_peer_write(output->body, &change);
	} else if (event->type == MESH__EVENT_FAIL_PORT) {
		memcpy(output->body, &event->blamed, sizeof event->blamed);
	} else if (message) {
		for (size_t i = 0; i < message->resource_count; i++)
			write_resource(to, &message->resources[i], output);
		if (message->size)
			memcpy(output->body, message->data, message->size);
	}
	return 0;
}

static struct mesh_port *find_sender(const struct mesh__remote *to, const struct mesh__ref *destination)
{
	struct mesh__tie *tie;

	LIST_FOREACH(tie, &to->named_by, next) {
		struct mesh_port *port = tie->holder;

		if (!mesh__port_ended(port) && (mesh__ref_equal(&port->peer, destination) ||
						       mesh__ref_equal(&port->far->target, destination)))
			return port;
	}
	return NULL;
}

/* The event will never arrive, so neither end of its port may wait for it. */
void mesh__space_fail_encoding(
        struct mesh__remote *to, const struct mesh_id *port_id, struct mesh__event *event)
{
	struct mesh__space *space = to->space;
	struct mesh__ref destination = mesh__ref_remote(mesh__remote_ref(to), port_id); /* the id may be a part of the event */
	struct mesh_port *port;

	while ((port = find_sender(to, &destination))) {
		mesh__port_ref(port);
		mesh__port_break(port, &space->node, NULL, "an event from it can never be sent");
		mesh__port_unref(port);
	}
	if (event->message)
		event->message->fail_ports = true;
	mesh__event_message_free(space, PAL_TAKE_POINTER(event->message));
	event->type = MESH__EVENT_FAIL_PORT;
	event->blamed = space->node;
	mesh__space_post(space, destination, event);
}

int mesh__space_check_encoding(
        struct mesh__remote *to, const struct mesh_id *port_id, struct mesh__event *event, size_t *ret_size)
{
	size_t size = mesh__event_size(record_count(event->message), body_size(event));

	if (to->failed) {
		mesh__event_drop(to->space, event);
		return -EPIPE;
	}
	if (!fits(to->space, event, size)) {
		mesh__space_fail_encoding(to, port_id, event);
		return -EMSGSIZE;
	}
	*ret_size = size;
	return 0;
}

int mesh__space_encode_at(struct mesh__remote *to, const struct mesh_id *port_id, struct mesh__event *event,
        uint8_t *at, int fds[MESH_MESSAGE_MAX_FDS], size_t *ret_fds)
{
	size_t records = record_count(event->message), body = body_size(event);
	struct output output = {.fds = fds};
	int r = -ENOMEM;

	if (at) {
		mesh__event_header_write(at, port_id, event->type, event->flags, event->seq, (uint32_t)records,
		        (uint32_t)body);
		output.records = at + MESH__EVENT_HEADER_SIZE;
		output.body = output.records + records * MESH__RECORD_SIZE;
		r = write_body(to, event, &output);
	}
	mesh__event_drop(to->space, event);
	if (r < 0)
		return -ENOMEM;
	*ret_fds = output.fd_count;
	return 0;
}

int mesh__space_encode(struct mesh__remote *to, const struct mesh_id *port_id,
        struct mesh__event *event, size_t headroom, uint8_t **ret_data, size_t *ret_size,
        int fds[MESH_MESSAGE_MAX_FDS], size_t *ret_fds)
{
	PAL_CLEANUP_FREE uint8_t *data = NULL;
	size_t size;
	int r = mesh__space_check_encoding(to, port_id, event, &size);

	if (r < 0)
		return r;
	data = malloc(headroom + size);
	r = mesh__space_encode_at(to, port_id, event, data ? data + headroom : NULL, fds, ret_fds);
	if (r < 0)
		return r;
	*ret_data = PAL_TAKE_POINTER(data);
	*ret_size = size;
	return 0;
}
