/* SPDX-License-Identifier: MIT */
#include <mesh/machine-priv.h>

#include <errno.h>
#include <stdlib.h>

#include <pal/util-priv.h>

/* ---- life ---- */

static const struct mesh__port_far nowhere;
struct mesh__port_far *const mesh__nowhere = (struct mesh__port_far *)&nowhere;

int mesh__port_need_far(struct mesh_port *port)
{
	struct mesh__port_far *far;

	if (mesh__port_has_far(port))
		return 0;
	far = calloc(1, sizeof *far);
	if (!far)
		return -ENOMEM;
	far->port = port;
	port->far = far;
	return 0;
}

struct mesh_port *mesh__port_new(struct mesh__space *space)
{
	struct mesh_port *port = calloc(1, sizeof *port);

	if (!port)
		return NULL;
	port->space = space;
	port->refs = 1;
	port->forks = mesh__forks;
	port->far = mesh__nowhere;
	port->state = MESH__PEERED;
	port->next_local_seq = port->next_peer_seq = 1;
	STAILQ_INIT(&port->queue);
	LIST_INSERT_HEAD(&space->all, port, in_space);
	space->counters.ports++;
	return port;
}

struct mesh_port *mesh__port_ref(struct mesh_port *port)
{
	port->refs++;
	return port;
}

void mesh__port_unref(struct mesh_port *port)
{
	if (--port->refs)
		return;
	/* Nothing is pending: a port that is not ended is known to the table or to its peer. */
	mesh__port_drop_queue(port);
	mesh__port_refer(port, &port->peer, (struct mesh__ref){0});
	LIST_REMOVE(port, in_space);
	port->space->counters.ports--;
	if (mesh__port_has_far(port)) {
		mesh__charge_clear(&port->far->charge);
		free(port->far);
	}
	free(port);
}

void mesh__port_peer_up(struct mesh_port *a, struct mesh_port *b)
{
	mesh__port_refer(a, &a->peer, mesh__ref_local(b));
	mesh__port_refer(b, &b->peer, mesh__ref_local(a));
}

int mesh__port_pair(struct mesh__space *space, struct mesh_port **ret_a, struct mesh_port **ret_b)
{
	struct mesh_port *a, *b;
	int r = -ENOMEM;

	if (!space)
		space = mesh__local_space();
	mesh__space_lock(space);
	a = mesh__port_new(space);
	b = mesh__port_new(space);
	if (a && b) {
		mesh__port_peer_up(a, b);
		a->owned = b->owned = true;
		*ret_a = PAL_TAKE_POINTER(a);
		*ret_b = PAL_TAKE_POINTER(b);
		r = 0;
	}
	if (a)
		mesh__port_unref(a);
	if (b)
		mesh__port_unref(b);
	mesh__space_unlock(space);
	return r;
}

int mesh__port_new_remote(struct mesh__space *space, const struct mesh_id *id,
        struct mesh__remote *remote, const struct mesh_id *peer, struct mesh_port **ret)
{
	struct mesh_port *port;
	int r;

	if (mesh__id_is_zero(id) || mesh__id_is_zero(peer))
		return -EINVAL;
	port = mesh__port_new(space);
	if (!port)
		return -ENOMEM;
	r = mesh__space_register(port, id);
	if (r < 0) {
		mesh__port_unref(port);
		return r;
	}
	mesh__port_refer(port, &port->peer, mesh__ref_remote(mesh__remote_ref(remote), peer));
	port->owned = true;
	if (remote->failed)
		mesh__port_break(port, &remote->id, NULL, "its peer's node is lost");
	*ret = port;
	return 0;
}

/* ---- sending ---- */

/* Whether a message can become an event for any other node, whoever its receiver is at the moment. */
static int check_size(const struct mesh__space *space, const struct mesh_message *message)
{
	size_t fds = message->resource_count ? mesh__message_fd_count(message) : 0, records = 0, most, size;

	if (message->size > space->max_message ||
	        message->resource_count > MESH__MAX_RECORDS)
		return -EMSGSIZE;
	for (size_t i = 0; i < message->resource_count; i++)
		records += message->resources[i].kind != MESH__RESOURCE_NONE;
	size = mesh__event_size(records, message->size);
	most = size > MESH__INLINE_EVENT_MAX ? MESH_MESSAGE_MAX_FDS - 1 : MESH_MESSAGE_MAX_FDS;
	return fds > most || size > UINT32_MAX ? -EMSGSIZE : 0;
}

/*
 * How deep ports in queues of ports in queues are looked through. What is deeper counts as the one that is looked for:
 * ports in a ring of queues would hold one another for ever, and whoever closes a ring carries all of it.
 */
#define HOLDS_DEPTH 16

static bool holds(struct mesh_port *port, const struct mesh_port *other, unsigned depth)
{
	struct mesh_message *message;

	if (port == other)
		return true;
	if (mesh__port_space(port) != other->space)
		return false; /* another space's queues are behind another lock */
	if (!depth)
		return true;
	STAILQ_FOREACH(message, &port->queue, next) {
		for (size_t i = 0; i < message->resource_count; i++) {
			const struct mesh__resource *resource = &message->resources[i];

			if (resource->kind == MESH__RESOURCE_PORT &&
			        holds(resource->port, other, depth - 1))
				return true;
		}
	}
	return false;
}

bool mesh__port_holds(struct mesh_port *port, const struct mesh_port *other)
{
	return holds(port, other, HOLDS_DEPTH);
}

static int check_port(struct mesh_port *port, struct mesh__resource *carried)
{
	struct mesh__space *space;

	if (carried->kind != MESH__RESOURCE_PORT)
		return 0;
	if (carried->port == port) {
		carried->kind = MESH__RESOURCE_NONE; /* the caller keeps it */
		return -ELOOP;
	}
	if (port->peer.kind == MESH__REF_LOCAL && mesh__port_holds(carried->port, port->peer.port))
		return -ELOOP;
	space = mesh__port_space(carried->port);
	if (port->peer.kind == MESH__REF_REMOTE && space != port->space &&
	        space != mesh__local_space())
		return -EXDEV;
	return 0;
}

/* What is unread on a port goes with it. */
static int check_backlog(const struct mesh_port *port, const struct mesh_message *message)
{
	struct mesh__sending sending;

	if (!message->resource_count)
		return 0;
	sending = mesh__port_sending(port, message);
	return mesh__port_can_ever_send(port, &sending) ? 0 : -EMSGSIZE;
}

static int check(struct mesh_port *port, struct mesh_message *message)
{
	int r = check_size(port->space, message);

	if (!r)
		r = check_backlog(port, message);
	for (size_t i = 0; i < message->resource_count; i++) {
		int refused = check_port(port, &message->resources[i]);

		if (!r)
			r = refused;
	}
	return r;
}

static void post_numbered(struct mesh_port *port, struct mesh__event *event)
{
	event->seq = port->next_local_seq++;
	mesh__space_post(port->space, mesh__ref_copy(&port->peer), event);
}

static bool can_send(struct mesh_port *port)
{
	return port->state == MESH__PEERED && !port->local_closed && !mesh__port_check_peer(port);
}

/* The port stays until its peer's close, and swallows what arrives. */
static void closed_by_owner(struct mesh_port *port)
{
	port->local_closed = true;
	mesh__port_account(port);
	mesh__port_drop_queue(port);
	mesh__port_check_origin(port);
}

int mesh__port_send(struct mesh_port *port, struct mesh_message *message, bool close)
{
	struct mesh__space *space = port->space;
	struct mesh__event *event;
	int r;

	mesh__move_adopt_carried(space, message);
	r = check(port, message);
	if (r < 0 || !can_send(port)) {
		/* Ports that it carries, one for an answer perhaps, end in the same way as this one. */
		message->fail_ports = !r && port->state == MESH__FAILED;
		mesh__event_message_free(space, message);
		return r;
	}
	if (!close && mesh__port_give_to_pair(port, message)) {
		mesh__count(&space->counters.sent, message, 1);
		return 0;
	}
	event = mesh__event_wrap(message);
	if (!event) {
		mesh__event_message_free(space, message);
		return -ENOMEM;
	}
	mesh__count(&space->counters.sent, message, 1);
	if (close)
		event->flags |= MESH__FLAG_CLOSE;
	post_numbered(port, event);
	if (close)
		closed_by_owner(port);
	mesh__space_run(space);
	return 0;
}

/* ---- receiving ---- */

void mesh__port_stored_more(struct mesh_port *port, const struct mesh_message *message)
{
	struct mesh__held cost = mesh__message_cost(message);

	port->stored.bytes += cost.bytes;
	port->stored.events += cost.events;
	port->stored.fds += cost.fds;
	if (port->far->awaited)
		mesh__port_account(port);
	mesh__count(&port->space->counters.waiting, message, 1);
}

void mesh__port_stored_less(struct mesh_port *port, const struct mesh_message *message)
{
	struct mesh__held cost = mesh__message_cost(message);

	port->stored.bytes -= cost.bytes;
	port->stored.events -= cost.events;
	port->stored.fds -= cost.fds;
	if (port->far->awaited)
		mesh__port_account(port);
	mesh__count(&port->space->counters.waiting, message, -1);
}

struct mesh_message *mesh__port_next(struct mesh_port *port)
{
	struct mesh_message *message = STAILQ_FIRST(&port->queue);

	if (message) {
		STAILQ_REMOVE_HEAD(&port->queue, next);
		port->queue_count--;
		mesh__port_stored_less(port, message);
	}
	return message;
}

struct mesh_message *mesh__port_take(struct mesh_port *port)
{
	struct mesh_message *message = mesh__port_next(port);

	if (!message)
		return NULL;
	if (message->spare)
		mesh__charge_clear(&message->spare->charge);
	mesh__count(&port->space->counters.received, message, 1);
	return message;
}

int mesh__port_end(const struct mesh_port *port)
{
	if (port->queue_count || !mesh__port_ended(port))
		return 0;
	return port->state == MESH__DONE ? -EPIPE : -ECONNRESET;
}

void mesh__port_drop_queue(struct mesh_port *port)
{
	struct mesh_message *message;

	while ((message = mesh__port_next(port)))
		mesh__event_message_free(port->space, message);
}

/* ---- the end ---- */

void mesh__port_emit_close(struct mesh_port *port)
{
	if (!mesh__port_has_far(port))
		mesh__space_run(port->space); /* so that nothing is under way between the two ends any more */
	if (can_send(port)) {
		port->local_closed = true;
		mesh__port_say_close(port, port->next_local_seq++);
	}
	closed_by_owner(port);
}

void mesh__port_disown(struct mesh_port *port)
{
	port->notify = NULL;
	port->owned = false;
	mesh__port_emit_close(port);
	mesh__port_unref(port);
}

void mesh__port_fail(struct mesh_port *port, const char *why)
{
	mesh__port_accuse(port, why);
	mesh__space_run(port->space);
}

void mesh__port_give_up(struct mesh_port *port, bool fail)
{
	if (fail)
		mesh__port_break(port, &port->space->node, NULL, "the message that carried it is lost");
	mesh__port_disown(port);
}

void mesh__port_release(struct mesh_port *port, bool fail)
{
	struct mesh__space *space;

	if (mesh__port_is_inherited(port))
		return;
	space = mesh__port_lock(port);
	mesh__port_give_up(port, fail);
	mesh__space_unlock(space);
}
