/* SPDX-License-Identifier: MIT */
#include <mesh/machine-priv.h>

#include <mesh/pool-priv.h>

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

static struct mesh__tie_list *list_of(const struct mesh__ref *ref)
{
	if (ref->kind == MESH__REF_LOCAL)
		return &ref->port->named_by;
	if (ref->kind == MESH__REF_REMOTE && !ref->remote->failed)
		return &ref->remote->named_by;
	return NULL;
}

static struct mesh__tie *tie_of(struct mesh_port *port, const struct mesh__ref *which)
{
	if (which == &port->peer)
		return &port->peer_tie;
	return which == &port->far->target ? &port->far->target_tie : &port->far->origin_tie;
}

struct mesh__ref mesh__port_unrefer(struct mesh_port *port, struct mesh__ref *which)
{
	struct mesh__tie *tie = tie_of(port, which);
	struct mesh__ref old;

	if (tie->holder)
		LIST_REMOVE(tie, next);
	tie->holder = NULL;
	old = mesh__ref_take(which);
	mesh__port_account(port);
	return old;
}

void mesh__port_refer(struct mesh_port *port, struct mesh__ref *which, struct mesh__ref to)
{
	struct mesh__ref old = mesh__port_unrefer(port, which);
	struct mesh__tie_list *list = list_of(&to);
	struct mesh__tie *tie = tie_of(port, which);

	*which = to;
	if (list) {
		LIST_INSERT_HEAD(list, tie, next);
		tie->holder = port;
	}
	mesh__port_account(port);
	mesh__ref_clear(&old);
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

static void add_to(struct mesh__held *held, const struct mesh__charge *charge)
{
	held->bytes += charge->bytes;
	held->events += charge->events;
	held->fds += charge->fds;
}

static void take_from(struct mesh__held *held, const struct mesh__charge *charge)
{
	held->bytes -= charge->bytes;
	held->events -= charge->events;
	held->fds -= charge->fds;
}

static bool fits(size_t have, size_t more, size_t most)
{
	return have <= most && more <= most - have;
}

bool mesh__held_fits(const struct mesh__held *held, const struct mesh__held *cost, const struct mesh__held *most)
{
	return fits(held->bytes, cost->bytes, most->bytes) && fits(held->events, cost->events, most->events) &&
	       fits(held->fds, cost->fds, most->fds);
}

void mesh__charge_put(struct mesh__charge *charge, struct mesh__remote *remote, size_t bytes, unsigned events,
        unsigned fds)
{
	*charge = (struct mesh__charge){
	        .remote = mesh__remote_ref(remote), .bytes = bytes, .events = events, .fds = fds};
	add_to(&remote->held, charge);
	if (remote->shared)
		add_to(remote->shared, charge);
}

void mesh__charge_clear(struct mesh__charge *charge)
{
	struct mesh__remote *remote = charge->remote;

	if (!remote)
		return;
	take_from(&remote->held, charge);
	if (charge->parked)
		take_from(&remote->parked, charge);
	if (remote->shared)
		take_from(remote->shared, charge);
	*charge = (struct mesh__charge){0};
	mesh__remote_unref(remote);
}

bool mesh__charge_park(struct mesh__charge *charge)
{
	const struct mesh__held *parked, *most;

	if (!charge->remote)
		return true;
	if (!charge->parked)
		add_to(&charge->remote->parked, charge);
	charge->parked = true;
	parked = &charge->remote->parked;
	most = &charge->remote->space->max_held;
	return parked->bytes <= most->bytes / 2 && parked->events <= most->events / 2 && parked->fds <= most->fds / 2;
}

void mesh__count_resources(struct mesh_traffic *traffic, const struct mesh_message *message, int sign)
{
	uint64_t one = (uint64_t)sign;

	traffic->fds += one * mesh__message_fd_count(message);
	for (size_t i = 0; i < message->resource_count; i++)
		traffic->ports += message->resources[i].kind == MESH__RESOURCE_PORT ? one : 0;
}

/* ---- events ---- */

struct mesh__event *mesh__event_new(enum mesh__event_type type)
{
	struct mesh__event *event = mesh__pool_get(sizeof *event);

	if (event)
		*event = (struct mesh__event){.type = type};
	return event;
}

struct mesh__event *mesh__event_own(
        struct mesh_port *port, enum mesh__own which, enum mesh__event_type type)
{
	struct mesh__event *event = &port->far->own[which];

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
		mesh__event_release(event);
	}
}

void mesh__event_release(struct mesh__event *event)
{
	mesh__pool_put(event, sizeof *event);
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
