/* SPDX-License-Identifier: MIT */
#include <mesh/machine-priv.h>

/*
 * What a port does with each event, by state. Everything in an event is peer
 * data: what does not fit fails the port, and only that.
 */

void mesh__port_set_state(struct mesh_port *port, enum mesh__port_state state)
{
	bool moved = port->state == MESH__SENDING || port->state == MESH__PROXYING;
	bool moves = state == MESH__SENDING || state == MESH__PROXYING;

	port->space->moving += (size_t)moves - (size_t)moved;
	port->state = state;
	mesh__port_account(port);
}

/* ---- Peered ---- */

static bool came_from_lost(const struct mesh_port *port)
{
	return port->far->origin.kind == MESH__REF_REMOTE && port->far->origin.remote->failed;
}

/*
 * The peer has moved. The old one, now a proxy, ends with the acknowledgement;
 * it numbers on from what this port has sent it, which the new one has not seen.
 */
static void change_peer(struct mesh_port *port, struct mesh__event *event)
{
	struct mesh__ref *peer = &event->new_peer, old_peer;
	bool has_ended = peer->kind == MESH__REF_LOCAL && mesh__port_ended(peer->port);

	if (peer->kind == MESH__REF_REMOTE && peer->remote->failed) {
		mesh__port_break(port, &peer->remote->id, NULL, "its peer moved to a lost node");
		mesh__event_drop(port->space, event);
		return;
	}
	if (peer->kind == MESH__REF_LOCAL && peer->port == port) {
		mesh__port_refuse(port, event, "CHANGE_PEER to itself");
		return;
	}
	/* Through a bridge a peer on this node may leave that was not this port's when it did. */
	if (peer->kind == MESH__REF_REMOTE && mesh__port_need_far(port) < 0) {
		mesh__port_refuse(port, event, "no memory for a peer on another node");
		return;
	}
	/* A peer that has ended in order has got this port's close before. */
	if (has_ended && !port->local_closed) {
		mesh__port_refuse(port, event, "CHANGE_PEER to a port that is not there");
		return;
	}
	event->type = MESH__EVENT_ACK_CHANGE_PEER;
	event->seq = port->next_local_seq;
	port->next_local_seq -= event->delta;
	old_peer = mesh__port_unrefer(port, &port->peer);
	mesh__port_refer(port, &port->peer, mesh__ref_take(peer));
	mesh__space_post(port->space, old_peer, event);
	if (port->peer.kind == MESH__REF_LOCAL) {
		if (came_from_lost(port))
			mesh__space_add_forlorn(port);
		if (came_from_lost(port->peer.port))
			mesh__space_add_forlorn(port->peer.port);
	}
	if (has_ended)
		mesh__port_leave(port, MESH__DONE);
}

/*
 * The wire has no credit that could stop who sends, so a port that would store more than its bound fails. A program here
 * is stopped where it sends. One message is taken always.
 */
static bool may_store(const struct mesh_port *port, const struct mesh__event *event)
{
	struct mesh__held cost;

	if (!event->charge.remote || !port->stored.events)
		return true;
	cost = mesh__message_cost(event->message);
	return mesh__held_fits(&port->stored, &cost, &port->space->max_stored);
}

static bool would_hold_itself(const struct mesh_port *port, const struct mesh_message *message)
{
	for (size_t i = 0; i < message->resource_count; i++) {
		const struct mesh__resource *resource = &message->resources[i];

		if (resource->kind == MESH__RESOURCE_PORT && mesh__port_holds(resource->port, port))
			return true;
	}
	return false;
}

static void store(struct mesh_port *port, struct mesh_message *message)
{
	STAILQ_INSERT_TAIL(&port->queue, message, next);
	port->queue_count++;
	mesh__port_stored_more(port, message);
	mesh__port_notify(port);
}

bool mesh__port_give_to_pair(struct mesh_port *port, struct mesh_message *message)
{
	struct mesh__space *space = port->space;
	struct mesh_port *peer = port->peer.port;

	if (mesh__port_has_far(port) || port->peer.kind != MESH__REF_LOCAL || message->resource_count || space->running ||
	        !STAILQ_EMPTY(&space->local) || peer->state != MESH__PEERED || peer->local_closed ||
	        peer->next_peer_seq != port->next_local_seq)
		return false;
	port->next_local_seq++;
	peer->next_peer_seq++;
	peer->settled = true;
	store(peer, message);
	return true;
}

static void enqueue(struct mesh_port *port, struct mesh__event *event)
{
	struct mesh_message *message;

	if (port->local_closed) {
		mesh__event_drop(port->space, event);
		return;
	}
	if (would_hold_itself(port, event->message)) {
		mesh__port_refuse(port, event, "a port that would be in its own queue");
		return;
	}
	if (!may_store(port, event)) {
		mesh__port_refuse(port, event, "more is unread on it than the node's limits");
		return;
	}
	message = mesh__event_unwrap(event);
	store(port, message);
}

/* Every pair exchanges exactly one close in each direction. */
static void closed_by_peer(struct mesh_port *port)
{
	if (port->far->pending) {
		mesh__port_accuse(port, "an event after the close");
		return;
	}
	if (!port->local_closed)
		mesh__port_say_close(port, port->next_local_seq);
	mesh__port_leave(port, MESH__DONE);
}

static void say_close_by(struct mesh_port *port, struct mesh__event *event, uint64_t seq)
{
	event->flags = MESH__FLAG_CLOSE;
	event->seq = seq;
	mesh__space_post(port->space, mesh__ref_copy(&port->peer), event);
}

/* To a peer that it has on this node. No event is needed where that could be processed now. */
static void close_pair(struct mesh_port *port, uint64_t seq)
{
	struct mesh_port *peer = port->peer.port;
	struct mesh__event *event;

	if (peer->state == MESH__PEERED && seq == peer->next_peer_seq) {
		mesh__port_ref(peer);
		peer->next_peer_seq++;
		peer->settled = true;
		closed_by_peer(peer);
		mesh__port_unref(peer);
	} else if (!mesh__port_ended(peer)) {
		event = mesh__event_new(MESH__EVENT_MESSAGE);
		if (event)
			say_close_by(port, event, seq);
		else
			mesh__port_break(port, &port->space->node, NULL, "no memory to close it");
	}
}

void mesh__port_say_close(struct mesh_port *port, uint64_t seq)
{
	if (mesh__port_has_far(port))
		say_close_by(port, mesh__event_own(port, MESH__OWN_CLOSE, MESH__EVENT_MESSAGE), seq);
	else if (port->peer.kind == MESH__REF_LOCAL)
		close_pair(port, seq);
}

static void take_message(struct mesh_port *port, struct mesh__event *event)
{
	bool closes = event->flags & MESH__FLAG_CLOSE;

	if (event->message)
		enqueue(port, event);
	else
		mesh__event_drop(port->space, event);
	if (closes && port->state == MESH__PEERED)
		closed_by_peer(port);
}

static void peered(struct mesh_port *port, struct mesh__event *event)
{
	if (event->type == MESH__EVENT_MESSAGE)
		take_message(port, event);
	else if (event->type == MESH__EVENT_CHANGE_PEER)
		change_peer(port, event);
	else
		mesh__port_refuse(port, event, "an unexpected ACK_CHANGE_PEER");
}

/* ---- Proxying ---- */

void mesh__port_forward(struct mesh_port *port, struct mesh__event *event)
{
	event->seq = port->next_local_seq++;
	port->space->counters.forwarded++;
	mesh__space_post(port->space, mesh__ref_copy(&port->far->target), event);
}

/*
 * Whether the peer has changed in a circle. Who a peer changes to is new each time: a port that was left is not come
 * back to. But where bridges make a ring, the events that should shorten the ways run round in it for ever. Any
 * circle comes by a landmark, if that is replaced at longer and longer intervals.
 */
static bool goes_in_circles(struct mesh_port *port, const struct mesh__ref *new_peer)
{
	if (mesh__ref_equal(new_peer, &port->far->target) || mesh__ref_equal(new_peer, &port->far->landmark))
		return true;
	if (port->far->changes++ == port->far->landmark_due) {
		port->far->landmark_due = 2 * port->far->landmark_due + 1;
		mesh__ref_clear(&port->far->landmark);
		port->far->landmark = mesh__ref_copy(new_peer);
	}
	return false;
}

static void proxying(struct mesh_port *port, struct mesh__event *event)
{
	if (event->type == MESH__EVENT_ACK_CHANGE_PEER && port->far->pending) {
		mesh__port_refuse(port, event, "an event after the end of a proxy");
		return;
	}
	if (event->type == MESH__EVENT_ACK_CHANGE_PEER) {
		mesh__event_drop(port->space, event);
		mesh__port_leave(port, MESH__DONE);
		return;
	}
	if (event->type == MESH__EVENT_CHANGE_PEER) {
		if (goes_in_circles(port, &event->new_peer)) {
			mesh__port_refuse(port, event, "a circle of bridges");
			return;
		}
		/* Only to know whom to tell of a failure. */
		mesh__port_refer(port, &port->peer, mesh__ref_copy(&event->new_peer));
	}
	mesh__port_forward(port, event);
}

/* ---- order ---- */

/* The next due event, in a state that processes. */
static void process(struct mesh_port *port, struct mesh__event *event)
{
	port->next_peer_seq = event->seq + 1;
	/* Once its peer is heard of from elsewhere, all that the former owner had to forward is here. */
	port->settled |= !event->from_origin;
	if (port->state == MESH__PEERED)
		peered(port, event);
	else
		proxying(port, event);
}

static struct mesh__event *find_pending(const struct mesh_port *port, uint64_t seq)
{
	struct mesh__event *event;

	HASH_FIND(hh, port->far->pending, &seq, sizeof seq, event);
	return event;
}

void mesh__port_drain(struct mesh_port *port)
{
	struct mesh__event *event;

	while ((port->state == MESH__PEERED || port->state == MESH__PROXYING) &&
	        (event = find_pending(port, port->next_peer_seq))) {
		HASH_DELETE(hh, port->far->pending, event);
		port->far->pending_count--;
		mesh__port_stored_less(port, event->message);
		process(port, event);
	}
	mesh__port_check_origin(port);
}

static void park(struct mesh_port *port, struct mesh__event *event)
{
	if (!may_store(port, event)) {
		mesh__port_refuse(port, event, "more has come early for it than the node's limits");
		return;
	}
	if (mesh__port_need_far(port) < 0) {
		mesh__port_refuse(port, event, "no memory for an event that came early");
		return;
	}
	HASH_ADD(hh, port->far->pending, seq, sizeof event->seq, event);
	if (!event->hh.tbl) {
		mesh__port_refuse(port, event, "no memory for an event that came early");
		return;
	}
	port->far->pending_count++;
	mesh__port_stored_more(port, event->message);
	/* It is the port that fails then, not the link of who has sent: he did not choose where it went. */
	if (port->state == MESH__SENDING && !mesh__charge_park(&event->charge))
		mesh__port_break(port, &port->far->target.remote->id, NULL, "who got it takes too long to acknowledge");
}

static void numbered(struct mesh_port *port, struct mesh__event *event)
{
	if (mesh__port_ended(port)) {
		mesh__port_drop_late(port, event);
	} else if (event->seq < port->next_peer_seq || find_pending(port, event->seq)) {
		mesh__port_refuse(port, event, "a number came twice");
	} else if (event->seq - port->next_peer_seq > MESH__SEQ_WINDOW ||
	           port->far->pending_count >= MESH__MAX_PENDING) {
		mesh__port_refuse(port, event, "too far ahead");
	} else if (event->seq == port->next_peer_seq && port->state != MESH__SENDING) {
		process(port, event);
		mesh__port_drain(port);
	} else {
		park(port, event);
		mesh__port_check_origin(port);
	}
}

void mesh__port_deliver(
        struct mesh_port *port, struct mesh__event *event, const struct mesh__remote *from)
{
	mesh__port_ref(port); /* the event's reference goes with the event */
	event->from_origin = from && mesh__ref_is_on(&port->far->origin, from);
	switch (event->type) {
	case MESH__EVENT_MESSAGE:
	case MESH__EVENT_CHANGE_PEER:
	case MESH__EVENT_ACK_CHANGE_PEER:
		numbered(port, event);
		break;
	case MESH__EVENT_ACK_PORT:
		if (port->state == MESH__SENDING)
			mesh__move_start_proxy(port, event);
		else if (mesh__port_ended(port))
			mesh__port_answered_late(port, event, from);
		else
			mesh__port_refuse(port, event, "an unexpected ACK_PORT");
		break;
	case MESH__EVENT_FAIL_PORT:
		if (mesh__port_ended(port)) {
			mesh__port_answered_late(port, event, from);
			break;
		}
		mesh__port_break(port, &event->blamed, from, "the other end failed");
		mesh__event_drop(port->space, event);
		break;
	}
	mesh__port_unref(port);
}
