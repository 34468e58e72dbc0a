/* SPDX-License-Identifier: MIT */
#include <mesh/machine-priv.h>

/*
 * How ports end: by order, by a failure, with a node that is lost; who is told, and which port that still
 * seems well has nothing to wait for any more.
 */

#define NOBODY ((struct mesh__ref){0})

/*
 * An event for a port that has ended. The old place of a peer that moved knows
 * this port as its peer, and perhaps is not known to it: what it moved to, when
 * told, tells it.
 */
void mesh__port_drop_late(struct mesh_port *port, struct mesh__event *event)
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
		mesh__port_drop_late(port, event);
	}
	port->far->pending_count = 0;
}

void mesh__port_notify(struct mesh_port *port)
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
	mesh__port_notify(port);
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
void mesh__port_answered_late(
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

void mesh__port_refuse(struct mesh_port *port, struct mesh__event *event, const char *why)
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
