/* SPDX-License-Identifier: MIT */
#include <mesh/machine-priv.h>

#include <errno.h>

#include <pal/util-priv.h>

/* One event on its way from bytes to an object. Descriptors that were used are -1. */
struct arrival {
	struct mesh__space *space;
	struct mesh__remote *from;
	struct mesh__raw_event raw;
	struct mesh_message *body; /* of a large event, until the message is made of it */
	int *fds;
	size_t fd_count, fds_used;
	struct mesh__event_queue answers; /* to the former owners of its ports */
};

static void read_record(const struct arrival *arrival, size_t index, struct mesh__record *ret)
{
	mesh__record_parse(arrival->raw.records + index * MESH__RECORD_SIZE, ret);
}

/* ---- records ---- */

/* A port comes from the node that sends it, which is not this one, and has ids; or it has failed and has a node to blame. */
static bool record_is_sound(const struct arrival *arrival, const struct mesh__record *record)
{
	if (mesh__id_is_zero(&record->peer_port))
		return true;
	return mesh__id_equal(&record->old_node, &arrival->from->id) &&
	       !mesh__id_equal(&record->old_node, &arrival->space->node) &&
	       !mesh__id_is_zero(&record->old_port) && !mesh__id_is_zero(&record->peer_node) &&
	       !mesh__space_find(arrival->space, &record->id);
}

static bool records_are_sound(const struct arrival *arrival)
{
	size_t fds = 0;

	for (size_t i = 0; i < arrival->raw.record_count; i++) {
		struct mesh__record record;

		read_record(arrival, i, &record);
		if (mesh__id_is_zero(&record.id))
			fds++;
		else if (!record_is_sound(arrival, &record))
			return false;
	}
	return fds <= arrival->fd_count;
}

static void give_up(struct mesh__remote *remote)
{
	if (remote->ops->give_up)
		remote->ops->give_up(remote);
}

/* The former owners of ports that were not received wait for an answer. */
static void refuse_ports(struct arrival *arrival)
{
	struct mesh__space *space = arrival->space;

	for (size_t i = 0; i < arrival->raw.record_count; i++) {
		struct mesh__remote *from = arrival->from;
		struct mesh__record record;
		struct mesh__event *event;

		read_record(arrival, i, &record);
		if (mesh__id_is_zero(&record.id) || mesh__id_is_zero(&record.peer_port) ||
		        !mesh__id_equal(&record.old_node, &from->id))
			continue;
		event = mesh__event_new(MESH__EVENT_FAIL_PORT);
		if (!event) {
			give_up(from);
			return;
		}
		event->blamed = space->node;
		mesh__space_post(
		        space, mesh__ref_remote(mesh__remote_ref(from), &record.old_port), event);
	}
}

/* ---- messages ---- */

static int take_resource(struct arrival *arrival, size_t index, struct mesh__resource *ret)
{
	struct mesh__record record;

	read_record(arrival, index, &record);
	if (mesh__id_is_zero(&record.id)) {
		*ret = (struct mesh__resource){.kind = MESH__RESOURCE_FD,
		        .fd = pal_take_fd(&arrival->fds[arrival->fds_used++])};
		return 0;
	}
	*ret = (struct mesh__resource){.kind = MESH__RESOURCE_PORT,
	        .fd = -1,
	        .port = mesh__move_receive(arrival->from, &record, &arrival->answers)};
	return ret->port ? 0 : -1;
}

/* Ports that arrived in a message that did not: gone again, and nobody is told that they came. */
static void undo_message(struct arrival *arrival, struct mesh_message *message)
{
	struct mesh__event *answer;

	for (size_t i = 0; i < message->resource_count; i++) {
		if (message->resources[i].kind == MESH__RESOURCE_PORT)
			mesh__port_leave(message->resources[i].port, MESH__FAILED);
	}
	while ((answer = STAILQ_FIRST(&arrival->answers))) {
		STAILQ_REMOVE_HEAD(&arrival->answers, next);
		mesh__event_drop(arrival->space, answer);
	}
	mesh__event_message_free(arrival->space, message);
}

static struct mesh_message *read_message(struct arrival *arrival)
{
	size_t count = arrival->raw.record_count;
	struct mesh_message *message;

	if (arrival->raw.body_size > arrival->space->max_message || !records_are_sound(arrival))
		return NULL;
	message = arrival->body ? PAL_TAKE_POINTER(arrival->body)
	                        : mesh_message_new(arrival->raw.body, arrival->raw.body_size);
	if (!message)
		return NULL;
	if (count && mesh__message_reserve(message, count) < 0) {
		undo_message(arrival, message);
		return NULL;
	}
	for (size_t i = 0; i < count; i++) {
		if (take_resource(arrival, i, &message->resources[i]) < 0) {
			undo_message(arrival, message);
			return NULL;
		}
		message->resource_count++;
	}
	return message;
}

/* ---- events ---- */

/* The new peer that a CHANGE_PEER names. A port of this node that is unknown has ended: it stays as a dead end. */
static bool read_new_peer(struct arrival *arrival, struct mesh__event *event)
{
	struct mesh__space *space = arrival->space;
	struct mesh__change_peer change;
	struct mesh__remote *remote;
	struct mesh_port *port;

	if (mesh__change_peer_read(&arrival->raw, &change) < 0 || mesh__id_is_zero(&change.node) ||
	        mesh__id_is_zero(&change.port))
		return false;
	event->delta = change.seq_delta;
	if (!mesh__id_equal(&change.node, &space->node)) {
		remote = space->ops->remote(space, &change.node);
		if (!remote)
			return false;
		event->new_peer = mesh__ref_remote(remote, &change.port);
		return true;
	}
	port = mesh__space_find(space, &change.port);
	if (port) {
		event->new_peer = mesh__ref_local(port);
		return true;
	}
	port = mesh__port_new(space);
	if (!port)
		return false;
	port->id = change.port;
	mesh__port_set_state(port, MESH__DONE);
	event->new_peer = (struct mesh__ref){.kind = MESH__REF_LOCAL, .port = port};
	return true;
}

static bool read_body(struct arrival *arrival, struct mesh__event *event)
{
	switch (event->type) {
	case MESH__EVENT_MESSAGE:
		if (event->flags & MESH__FLAG_MESSAGE)
			event->message = read_message(arrival);
		return event->message || !(event->flags & MESH__FLAG_MESSAGE);
	case MESH__EVENT_CHANGE_PEER:
		return read_new_peer(arrival, event);
	case MESH__EVENT_FAIL_PORT:
		return !mesh__fail_port_read(&arrival->raw, &event->blamed);
	case MESH__EVENT_ACK_CHANGE_PEER:
	case MESH__EVENT_ACK_PORT:
		return true;
	}
	return false;
}

/* Of a message its ports are not counted here: each is charged for itself. */
static void charge(const struct arrival *arrival, struct mesh__event *event)
{
	struct mesh__held cost = mesh__message_cost(event->message);

	mesh__charge_put(&event->charge, arrival->from, cost.bytes, 1, (unsigned)cost.fds);
}

static struct mesh__event *read_event(struct arrival *arrival)
{
	struct mesh__event *event = mesh__event_new(arrival->raw.type);

	if (!event)
		return NULL;
	event->flags = arrival->raw.flags & (MESH__FLAG_MESSAGE | MESH__FLAG_CLOSE);
	event->seq = arrival->raw.seq;
	if (read_body(arrival, event)) {
		charge(arrival, event);
		return event;
	}
	mesh__event_drop(arrival->space, event);
	return NULL;
}

/* Its peer does not exist any more: the port that moved must not wait to hear from it. */
static void refuse_new_peer(struct arrival *arrival)
{
	struct mesh__event *event = mesh__event_new(MESH__EVENT_FAIL_PORT);

	if (!event) {
		give_up(arrival->from);
		return;
	}
	if (!read_new_peer(arrival, event)) {
		mesh__event_drop(arrival->space, event);
		return;
	}
	event->blamed = arrival->space->node;
	charge(arrival, event); /* that node may never be met */
	mesh__space_post(arrival->space, mesh__ref_take(&event->new_peer), event);
}

static bool is_known(uint8_t type)
{
	return type == MESH__EVENT_MESSAGE ||
	       (type >= MESH__EVENT_CHANGE_PEER && type <= MESH__EVENT_FAIL_PORT);
}

/*
 * An event that cannot be delivered: nobody may be left waiting for it. The port
 * that it was for fails, as the event's number will not come again.
 */
static void reject(struct arrival *arrival, struct mesh_port *port, bool well_formed)
{
	const struct mesh__raw_event *raw = &arrival->raw;

	arrival->space->dropped_events++;
	if (well_formed)
		refuse_ports(arrival);
	if (well_formed && !port && raw->type == MESH__EVENT_CHANGE_PEER)
		refuse_new_peer(arrival);
	/* An event of a type that is not known and that takes no number is no loss. */
	if (port && (is_known(raw->type) || raw->seq)) {
		mesh__port_ref(port);
		mesh__port_break(port, &arrival->space->node, NULL,
		        "an event for it could not be delivered");
		mesh__port_unref(port);
	}
}

static void note_early_failure(struct mesh__space *space, const struct mesh_id *id)
{
	space->early_failures[space->early_failure_count++ % PAL_ARRAY_LENGTH(space->early_failures)] = *id;
}

static void receive(struct arrival *arrival, const struct mesh__incoming *incoming)
{
	struct mesh__raw_event *raw = &arrival->raw;
	bool well_formed = mesh__raw_event_parse(incoming->data, incoming->size, raw) == 0;
	bool has_message = raw->type == MESH__EVENT_MESSAGE && (raw->flags & MESH__FLAG_MESSAGE);
	bool lost = incoming->detached && !incoming->body;
	struct mesh_port *port = NULL;
	struct mesh__event *event;

	if (incoming->detached)
		raw->body = mesh_message_data(incoming->body);
	if (incoming->size >= MESH__EVENT_HEADER_SIZE) {
		port = mesh__space_find(arrival->space, &raw->port);
		arrival->space->unknown_port_events += !port;
	}
	event = well_formed && port && !lost ? read_event(arrival) : NULL;
	if (!event) {
		if (well_formed && !port && raw->type == MESH__EVENT_FAIL_PORT)
			note_early_failure(arrival->space, &raw->port);
		/* Without its body only the records of a message say anything. */
		reject(arrival, port, well_formed && (!lost || has_message));
		return;
	}
	if (!has_message)
		refuse_ports(arrival); /* they are of no event that carries any */
	STAILQ_CONCAT(&arrival->space->out, &arrival->answers);
	mesh__port_deliver(port, event, arrival->from);
}

bool mesh__space_wants(struct mesh__space *space, const struct mesh__remote *from, const struct mesh__incoming *event)
{
	struct mesh__raw_event raw;
	struct mesh_port *port;

	if (from->failed || mesh__raw_event_parse(event->data, event->size, &raw) < 0 ||
	        raw.type != MESH__EVENT_MESSAGE || !(raw.flags & MESH__FLAG_MESSAGE))
		return false;
	port = mesh__space_find(space, &raw.port);
	return port && !mesh__port_ended(port);
}

static bool is_within_limits(const struct mesh__remote *from)
{
	const struct mesh__held *held = from->shared ? from->shared : &from->held, *most = &from->space->max_held;

	return held->bytes <= most->bytes && held->events <= most->events && held->fds <= most->fds;
}

int mesh__space_receive(struct mesh__space *space, struct mesh__remote *from,
        struct mesh__incoming *incoming, int *fds, size_t fd_count)
{
	struct arrival arrival = {.space = space,
	        .from = from,
	        .body = incoming->body,
	        .fds = fds,
	        .fd_count = fd_count};

	STAILQ_INIT(&arrival.answers);
	if (!from->failed)
		receive(&arrival, incoming);
	mesh__event_message_free(space, arrival.body);
	incoming->body = NULL;
	for (size_t i = 0; i < fd_count; i++)
		fds[i] = pal_close(fds[i]);
	mesh__space_run(space);
	return is_within_limits(from) ? 0 : -ENOBUFS;
}
