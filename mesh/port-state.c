/* SPDX-License-Identifier: MIT */
#include <mesh/machine-priv.h>

/*
 * What a port does with each event, by state. Everything in an event is peer
 * data: what does not fit fails the port, and only that.
 */

#define NOBODY ((struct mesh__ref){0})

void mesh__port_set_state(struct mesh_port *port, enum mesh__port_state state)
{
	bool moved = port->state == MESH__SENDING || port->state == MESH__PROXYING;
	bool moves = state == MESH__SENDING || state == MESH__PROXYING;

	port->space->moving += (size_t)moves - (size_t)moved;
	port->state = state;
}

/* ---- the end ---- */

/*
 * An event for a port that has ended. The old place of a peer that moved knows
 * this port as its peer, and perhaps is not known to it: what it moved to, when
 * told, tells it.
 */
static void drop_late(struct mesh_port *port, struct mesh__event *event)
{
	if (event->type != MESH__EVENT_CHANGE_PEER) {
		mesh__event_drop(port->space, event);
		return;
	}
	event->type = MESH__EVENT_FAIL_PORT;
	event->blamed = port->state == MESH__FAILED ? port->blamed : port->space->node;
	mesh__space_post(port->space, mesh__ref_take(&event->new_peer), event);
}

static void drop_pending(struct mesh_port *port)
{
	struct mesh__event *event, *next;

	if (!port->far->pending)
		return;
	HASH_ITER(hh, port->far->pending, event, next) {
		HASH_DELETE(hh, port->far->pending, event);
		mesh__port_stored_less(port, event->message);
		drop_late(port, event);
	}
	port->far->pending_count = 0;
}

static void notify(struct mesh_port *port)
{
	if (port->notify)
		port->notify(port);
}

/*
 * Those that have this failed port as their peer. The one that it knew as its own is
 * told; another one is told by who stands between them, if that is not lost.
 */
static void leave_forlorn(struct mesh_port *port)
{
	struct mesh__tie *tie;

	LIST_FOREACH(tie, &port->named_by, next)
		mesh__space_add_forlorn(tie->holder);
}

static void end(struct mesh_port *port, enum mesh__port_state state)
{
	mesh__port_set_state(port, state);
	port->space->counters.failed += state == MESH__FAILED;
	drop_pending(port);
	if (state == MESH__FAILED)
		leave_forlorn(port);
	mesh__space_remove_forlorn(port);
	mesh__port_refer(port, &port->peer, NOBODY);
	if (mesh__port_has_far(port)) {
		mesh__port_refer(port, &port->far->origin, NOBODY);
		mesh__ref_clear(&port->far->landmark);
		mesh__charge_clear(&port->far->charge);
	}
	notify(port);
}

static void forget(struct mesh_port *port)
{
	if (mesh__port_has_far(port))
		mesh__port_refer(port, &port->far->target, NOBODY);
	mesh__space_unregister(port);
}

void mesh__port_leave(struct mesh_port *port, enum mesh__port_state state)
{
	end(port, state);
	forget(port);
}

static void tell(struct mesh_port *port, const struct mesh__ref *whom, enum mesh__own which)
{
	struct mesh__event *event = mesh__event_own(port, which, MESH__EVENT_FAIL_PORT);

	event->blamed = port->blamed;
	mesh__space_post(port->space, mesh__ref_copy(whom), event);
}

/* Its peer is on this node and knows it for its own: it fails at once, too. */
static void break_pair(struct mesh_port *port)
{
	struct mesh__ref peer = mesh__port_unrefer(port, &port->peer);
	struct mesh_id blamed = port->blamed;

	mesh__port_leave(port, MESH__FAILED);
	if (peer.kind == MESH__REF_LOCAL)
		mesh__port_break(peer.port, &blamed, NULL, "its peer failed");
	mesh__ref_clear(&peer);
}

void mesh__port_break(struct mesh_port *port, const struct mesh_id *blamed,
        const struct mesh__remote *from, const char *why)
{
	if (mesh__port_ended(port))
		return;
	port->blamed = mesh__id_is_zero(blamed) ? port->space->node : *blamed;
	if (!mesh__port_has_far(port)) {
		break_pair(port);
		return;
	}
	port->far->why = why;
	/*
	 * Also those on the node that said so. The event does not name the port that failed:
	 * it may be an older place of the peer, or a newer one that is not known here yet.
	 */
	tell(port, &port->peer, MESH__OWN_FAIL_PEER);
	tell(port, &port->far->target, MESH__OWN_FAIL_TARGET);
	/* That may still be a proxy, and wait for a peer that has failed too and does not know of it. */
	tell(port, &port->far->origin, MESH__OWN_FAIL_ORIGIN);
	if (port->state == MESH__SENDING && port->far->target.remote != from &&
	        !port->far->target.remote->failed)
		end(port, MESH__FAILED); /* and stays for the answer to its record */
	else
		mesh__port_leave(port, MESH__FAILED);
}

/*
 * ACK_PORT or FAIL_PORT for a port that failed while its record was under way:
 * what it told its target may have come before the record, and found nobody.
 */
static void answered_late(
        struct mesh_port *port, struct mesh__event *event, const struct mesh__remote *from)
{
	bool answers = from && mesh__ref_is_on(&port->far->target, from);

	if (answers && event->type == MESH__EVENT_ACK_PORT) {
		event->type = MESH__EVENT_FAIL_PORT;
		event->blamed = port->blamed;
		mesh__space_post(port->space, mesh__port_unrefer(port, &port->far->target), event);
	} else {
		mesh__event_drop(port->space, event);
	}
	if (answers)
		forget(port);
}

void mesh__port_accuse(struct mesh_port *port, const char *why)
{
	struct mesh_id blamed = port->space->node;

	if (port->peer.kind == MESH__REF_REMOTE)
		blamed = port->peer.remote->id;
	mesh__port_break(port, &blamed, NULL, why);
}

static void refuse(struct mesh_port *port, struct mesh__event *event, const char *why)
{
	mesh__port_accuse(port, why);
	mesh__event_drop(port->space, event);
}

/*
 * A peer that failed has told whom it knew: that may have been this port's old
 * place, which is gone.
 */
int mesh__port_check_peer(struct mesh_port *port)
{
	const struct mesh_port *peer = port->peer.port;

	if (port->peer.kind != MESH__REF_LOCAL || peer->state != MESH__FAILED)
		return 0;
	mesh__port_break(port, &peer->blamed, NULL, "its peer failed");
	return -1;
}

/*
 * Whether a peer on the same node, which talks to this very port, has sent more
 * than came here. Only where no event is under way within the node.
 */
static bool misses_something(const struct mesh_port *port)
{
	const struct mesh_port *peer = port->peer.port;

	return port->peer.kind == MESH__REF_LOCAL && peer->peer.kind == MESH__REF_LOCAL &&
	       peer->peer.port == port &&
	       port->next_peer_seq + port->far->pending_count != peer->next_local_seq;
}

void mesh__port_check_arrivals(struct mesh_port *port)
{
	struct mesh_id blamed;

	if (mesh__port_ended(port) || port->far->origin.kind == MESH__REF_NONE ||
	        !port->far->origin.remote->failed || !misses_something(port))
		return;
	blamed = port->far->origin.remote->id;
	mesh__port_break(port, &blamed, NULL, "its former node is lost with the last messages for it");
}

/*
 * What the former owner still had to forward comes first among a port's
 * numbers. If it is lost while there is a hole before what already came from
 * elsewhere, the hole stays for ever. And if the peer was not told of the move
 * it failed with the former owner and will not answer a close.
 */
void mesh__port_check_origin(struct mesh_port *port)
{
	struct mesh_id blamed;

	if (port->settled || port->far->origin.kind == MESH__REF_NONE || !port->far->origin.remote->failed)
		return;
	blamed = port->far->origin.remote->id;
	if (port->state == MESH__PEERED && port->local_closed &&
	        port->peer.kind == MESH__REF_REMOTE)
		mesh__port_leave(port, MESH__DONE);
	else if (port->state != MESH__SENDING && port->far->pending)
		mesh__port_break(
		        port, &blamed, NULL, "its former node is lost with messages for it");
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
		refuse(port, event, "CHANGE_PEER to itself");
		return;
	}
	/* A peer that has ended in order has got this port's close before. */
	if (has_ended && !port->local_closed) {
		refuse(port, event, "CHANGE_PEER to a port that is not there");
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
	notify(port);
}

bool mesh__port_give_to_pair(struct mesh_port *port, struct mesh_message *message)
{
	struct mesh__space *space = port->space;
	struct mesh_port *peer = port->peer.port;

	if (mesh__port_has_far(port) || message->resource_count || space->running ||
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
		refuse(port, event, "a port that would be in its own queue");
		return;
	}
	if (!may_store(port, event)) {
		refuse(port, event, "more is unread on it than the node's limits");
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
		refuse(port, event, "an unexpected ACK_CHANGE_PEER");
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
		refuse(port, event, "an event after the end of a proxy");
		return;
	}
	if (event->type == MESH__EVENT_ACK_CHANGE_PEER) {
		mesh__event_drop(port->space, event);
		mesh__port_leave(port, MESH__DONE);
		return;
	}
	if (event->type == MESH__EVENT_CHANGE_PEER) {
		if (goes_in_circles(port, &event->new_peer)) {
			refuse(port, event, "a circle of bridges");
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
		refuse(port, event, "more has come early for it than the node's limits");
		return;
	}
	if (mesh__port_need_far(port) < 0) {
		refuse(port, event, "no memory for an event that came early");
		return;
	}
	HASH_ADD(hh, port->far->pending, seq, sizeof event->seq, event);
	if (!event->hh.tbl) {
		refuse(port, event, "no memory for an event that came early");
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
		drop_late(port, event);
	} else if (event->seq < port->next_peer_seq || find_pending(port, event->seq)) {
		refuse(port, event, "a number came twice");
	} else if (event->seq - port->next_peer_seq > MESH__SEQ_WINDOW ||
	           port->far->pending_count >= MESH__MAX_PENDING) {
		refuse(port, event, "too far ahead");
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
			answered_late(port, event, from);
		else
			refuse(port, event, "an unexpected ACK_PORT");
		break;
	case MESH__EVENT_FAIL_PORT:
		if (mesh__port_ended(port)) {
			answered_late(port, event, from);
			break;
		}
		mesh__port_break(port, &event->blamed, from, "the other end failed");
		mesh__event_drop(port->space, event);
		break;
	}
	mesh__port_unref(port);
}
