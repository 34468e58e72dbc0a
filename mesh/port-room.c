/* SPDX-License-Identifier: MIT */
#include <mesh/machine-priv.h>

/*
 * Whether a program may send. What waits has a bound: on a port of this node what is unread; for another node what is
 * queued for it, and what has been read by it and still waits for its word. It costs that node nothing to keep
 * silent, and this one an object for each port.
 */

/* ---- what waits for a word of another node ---- */

/*
 * Whom the object waits for although no program holds it: who got the port has to acknowledge it, and the other end of the
 * pair to talk to the new place, or to close after this one has. Not asked about: one whose peer here waits as well.
 */
static struct mesh__remote *awaits(const struct mesh_port *port)
{
	const struct mesh__ref *whom = &port->peer;

	if (port->state == MESH__SENDING || port->state == MESH__FAILED)
		whom = &port->far->target;
	else if (port->state != MESH__PROXYING && !port->local_closed)
		return NULL;
	return whom->kind == MESH__REF_REMOTE ? whom->remote : NULL;
}

static void add(struct mesh__held *sum, const struct mesh__held *more)
{
	sum->bytes += more->bytes;
	sum->events += more->events;
	sum->fds += more->fds;
}

static void take_off(struct mesh__held *sum, const struct mesh__held *less)
{
	sum->bytes -= less->bytes;
	sum->events -= less->events;
	sum->fds -= less->fds;
}

static void leave_account(struct mesh__awaited *account, const struct mesh__held *stored)
{
	account->ports--;
	take_off(&account->stored, stored);
}

static void enter_account(struct mesh__awaited *account, const struct mesh__held *stored)
{
	account->ports++;
	add(&account->stored, stored);
}

void mesh__port_account(struct mesh_port *port)
{
	struct mesh__port_far *far = port->far;
	struct mesh__remote *old = far->awaited, *new = awaits(port);

	if (!old && !new)
		return;
	if (old)
		leave_account(&old->awaited, &far->awaited_stored);
	if (old && old->shared_awaited)
		leave_account(old->shared_awaited, &far->awaited_stored);
	far->awaited = new;
	/* What a port on the move stores will follow it. */
	far->awaited_stored = port->state == MESH__SENDING ? port->stored : (struct mesh__held){0};
	if (new)
		enter_account(&new->awaited, &far->awaited_stored);
	if (new && new->shared_awaited)
		enter_account(new->shared_awaited, &far->awaited_stored);
}

/* ---- what a message takes ---- */

/* The port is in the space, whose lock is held, or belongs to no node; or it is of another node, and will not be sent. */
static void add_backlog(struct mesh__held *backlog, struct mesh_port *port, const struct mesh__space *space)
{
	struct mesh__space *local = mesh__local_space();

	if (mesh__port_space(port) == space) {
		add(backlog, &port->stored);
	} else if (space != local) {
		pthread_mutex_lock(&local->lock);
		if (mesh__port_space(port) == local)
			add(backlog, &port->stored);
		pthread_mutex_unlock(&local->lock);
	}
}

struct mesh__sending mesh__port_sending(const struct mesh_port *port, const struct mesh_message *message)
{
	struct mesh__sending sending = {.message = mesh__message_cost(message)};

	for (size_t i = 0; i < message->resource_count; i++) {
		const struct mesh__resource *resource = &message->resources[i];

		if (resource->kind != MESH__RESOURCE_PORT || resource->port == port)
			continue;
		sending.ports++;
		add_backlog(&sending.backlog, resource->port, port->space);
	}
	return sending;
}

/* ---- whether it may be sent ---- */

bool mesh__remote_has_room(struct mesh__remote *remote, const struct mesh__sending *more, enum mesh__room how)
{
	return remote->failed || !remote->ops->has_room || remote->ops->has_room(remote, more, how);
}

/* The node that gets what the port sends, which may be the one that its peer goes to; NULL: it stays here. */
static struct mesh__remote *receiver(const struct mesh_port *port)
{
	const struct mesh__ref *to = &port->peer;

	if (port->state != MESH__PEERED || port->local_closed)
		return NULL; /* it will be dropped */
	if (to->kind == MESH__REF_LOCAL)
		to = &to->port->far->target;
	return to->kind == MESH__REF_REMOTE ? to->remote : NULL;
}

static bool stores_little(const struct mesh_port *port, const struct mesh__held *cost, bool emptier)
{
	struct mesh__held most = port->space->max_stored;

	if (emptier)
		most = mesh__held_half(&most);
	return !port->stored.events || mesh__held_fits(&port->stored, cost, &most);
}

bool mesh__port_can_ever_send(const struct mesh_port *port, const struct mesh__sending *more)
{
	struct mesh__remote *remote = receiver(port);

	return !remote || mesh__remote_has_room(remote, more, MESH__ROOM_EVER);
}

bool mesh__port_may_send_unasked(const struct mesh_port *port, const struct mesh__sending *more)
{
	const struct mesh__sending ports = {.ports = more->ports};
	struct mesh__remote *remote = receiver(port);

	return !remote || mesh__remote_has_room(remote, &ports, MESH__ROOM_UNASKED);
}

bool mesh__port_has_room(const struct mesh_port *port, const struct mesh__sending *more, bool emptier)
{
	struct mesh__remote *remote = receiver(port);
	struct mesh__sending sum = *more;

	if (port->state != MESH__PEERED || port->local_closed)
		return true;
	if (port->peer.kind == MESH__REF_LOCAL && !stores_little(port->peer.port, &more->message, emptier))
		return false;
	if (!remote || !mesh__remote_has_room(remote, more, MESH__ROOM_EVER))
		return true; /* in the second case sending will say so */
	/* To one that has left: behind all that ports on the move store until they are acknowledged. */
	if (port->peer.kind == MESH__REF_LOCAL)
		add(&sum.message, &mesh__remote_awaited(remote)->stored);
	return mesh__remote_has_room(remote, &sum, emptier ? MESH__ROOM_AGAIN : MESH__ROOM_NOW);
}
