/* SPDX-License-Identifier: MIT */
#include <mesh/machine-priv.h>

#include <stdlib.h>

/* ---- references ---- */

struct mesh__remote *mesh__remote_ref(struct mesh__remote *remote)
{
	remote->refs++;
	return remote;
}

void mesh__remote_unref(struct mesh__remote *remote)
{
	if (remote && !--remote->refs)
		remote->ops->free(remote);
}

struct mesh__ref mesh__ref_local(struct mesh_port *port)
{
	return (struct mesh__ref){.kind = MESH__REF_LOCAL, .port = mesh__port_ref(port)};
}

struct mesh__ref mesh__ref_remote(struct mesh__remote *remote, const struct mesh_id *id)
{
	return (struct mesh__ref){.kind = MESH__REF_REMOTE, .remote = remote, .id = *id};
}

struct mesh__ref mesh__ref_copy(const struct mesh__ref *ref)
{
	if (ref->kind == MESH__REF_LOCAL)
		mesh__port_ref(ref->port);
	else if (ref->kind == MESH__REF_REMOTE)
		mesh__remote_ref(ref->remote);
	return *ref;
}

struct mesh__ref mesh__ref_take(struct mesh__ref *ref)
{
	struct mesh__ref taken = *ref;

	*ref = (struct mesh__ref){0};
	return taken;
}

void mesh__ref_clear(struct mesh__ref *ref)
{
	struct mesh__ref old = mesh__ref_take(ref);

	if (old.kind == MESH__REF_LOCAL)
		mesh__port_unref(old.port);
	else if (old.kind == MESH__REF_REMOTE)
		mesh__remote_unref(old.remote);
}

bool mesh__ref_equal(const struct mesh__ref *a, const struct mesh__ref *b)
{
	if (a->kind != b->kind)
		return false;
	if (a->kind == MESH__REF_LOCAL)
		return a->port == b->port;
	return a->kind == MESH__REF_REMOTE && a->remote == b->remote &&
	       mesh__id_equal(&a->id, &b->id);
}

/* ---- accounts ---- */

void mesh__charge_put(struct mesh__charge *charge, struct mesh__remote *remote, size_t bytes, unsigned events,
        unsigned fds)
{
	*charge = (struct mesh__charge){
	        .remote = mesh__remote_ref(remote), .bytes = bytes, .events = events, .fds = fds};
	remote->held.bytes += bytes;
	remote->held.events += events;
	remote->held.fds += fds;
}

void mesh__charge_clear(struct mesh__charge *charge)
{
	struct mesh__remote *remote = charge->remote;

	if (!remote)
		return;
	remote->held.bytes -= charge->bytes;
	remote->held.events -= charge->events;
	remote->held.fds -= charge->fds;
	*charge = (struct mesh__charge){0};
	mesh__remote_unref(remote);
}

/* ---- events ---- */

struct mesh__event *mesh__event_new(enum mesh__event_type type)
{
	struct mesh__event *event = calloc(1, sizeof *event);

	if (event)
		event->type = type;
	return event;
}

struct mesh__event *mesh__event_own(
        struct mesh_port *port, enum mesh__own which, enum mesh__event_type type)
{
	struct mesh__event *event = &port->own[which];

	*event = (struct mesh__event){.type = type, .owner = mesh__port_ref(port)};
	return event;
}

void mesh__event_drop(struct mesh__space *space, struct mesh__event *event)
{
	struct mesh_port *owner = event->owner;

	/* What was for another node and is not sent is lost; its ports were not closed by anybody. */
	if (event->message && event->to.kind == MESH__REF_REMOTE)
		event->message->fail_ports = true;
	mesh__event_message_free(space, event->message);
	mesh__ref_clear(&event->new_peer);
	mesh__ref_clear(&event->to);
	mesh__charge_clear(&event->charge);
	if (owner) {
		event->owner = NULL;
		mesh__port_unref(owner);
	} else {
		free(event);
	}
}

void mesh__event_free(struct mesh__event *event)
{
	if (!event)
		return;
	mesh__event_drop(event->to.kind == MESH__REF_REMOTE ? event->to.remote->space
	                                                    : event->to.port->space,
	        event);
}

struct mesh_message *mesh__event_unwrap(struct mesh__event *event)
{
	struct mesh_message *message = event->message;

	mesh__ref_clear(&event->to);
	*event = (struct mesh__event){.type = MESH__EVENT_MESSAGE, .charge = event->charge};
	message->spare = event;
	return message;
}

struct mesh__event *mesh__event_wrap(struct mesh_message *message)
{
	struct mesh__event *event = message->spare;

	message->spare = NULL;
	if (!event)
		event = mesh__event_new(MESH__EVENT_MESSAGE);
	if (!event)
		return NULL;
	event->flags = MESH__FLAG_MESSAGE;
	event->message = message;
	return event;
}
