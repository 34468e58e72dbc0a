/* SPDX-License-Identifier: MIT */
#include <mesh/machine-priv.h>
#include <mesh/port.h>

#include <errno.h>

#include <pal/util-priv.h>

/*
 * Two ports of one owner go, and their peers talk to one another from then on. To each peer it looks like a move of
 * its other end: both ports become proxies, each of which forwards to the other's peer until its own has answered.
 */

/* One of the two, and what it needs, so that nothing can fail any more once something has changed. */
struct side {
	struct mesh_port *port;
	struct mesh_port *fresh_peer; /* of a port that was Done */
	struct mesh__event *event;
	struct mesh__ref peer;
	uint64_t next_local_seq;
};

static void side_clear(struct mesh__space *space, struct side *side)
{
	if (side->event)
		mesh__event_drop(space, PAL_TAKE_POINTER(side->event));
	mesh__ref_clear(&side->peer);
	if (side->fresh_peer) {
		mesh__port_emit_close(side->fresh_peer);
		mesh__port_unref(side->fresh_peer);
	}
}

static int side_prepare(struct side *side, struct mesh_port *port)
{
	side->port = port;
	side->event = mesh__event_new(MESH__EVENT_CHANGE_PEER);
	if (!side->event)
		return -ENOMEM;
	if (mesh__port_need_far(port) < 0 || mesh__move_need_events(port) < 0)
		return -ENOMEM;
	if (port->state == MESH__DONE) {
		side->fresh_peer = mesh__move_reopen(port);
		if (!side->fresh_peer)
			return -ENOMEM;
	}
	side->peer = mesh__ref_copy(&port->peer);
	side->next_local_seq = port->next_local_seq;
	return 0;
}

/* Where `other` is on another node it will be told of this side's peer, which needs a name for that. */
static int side_name(struct mesh__space *space, const struct side *side, const struct side *other)
{
	struct mesh_id node, id;

	if (other->peer.kind != MESH__REF_REMOTE)
		return 0;
	return mesh__move_address(space, &side->peer, &node, &id);
}

/* `other` has used one number more for its CHANGE_PEER; its peer goes on counting behind that. */
static void side_become_proxy(struct side *side, const struct side *other)
{
	mesh__port_refer(side->port, &side->port->far->target, mesh__ref_copy(&other->peer));
	mesh__move_become_proxy(side->port, side->event, other->next_local_seq + 1);
}

static void side_tell_peer(struct mesh__space *space, struct side *side)
{
	mesh__space_post(space, mesh__ref_take(&side->peer), PAL_TAKE_POINTER(side->event));
}

static int join(struct mesh__space *space, struct mesh_port *x, struct mesh_port *y)
{
	struct side a = {0}, b = {0};
	int r = side_prepare(&a, x);

	if (!r)
		r = side_prepare(&b, y);
	if (!r)
		r = side_name(space, &a, &b);
	if (!r)
		r = side_name(space, &b, &a);
	if (!r) {
		side_become_proxy(&a, &b);
		side_become_proxy(&b, &a);
		if (space->backlog_first) {
			mesh__move_forward_backlog(x);
			mesh__move_forward_backlog(y);
		}
		space->counters.bridges++;
		side_tell_peer(space, &a);
		side_tell_peer(space, &b);
		mesh__move_forward_backlog(x);
		mesh__move_forward_backlog(y);
	}
	side_clear(space, &a);
	side_clear(space, &b);
	return r;
}

static void break_both(
	struct mesh_port *x, struct mesh_port *y, const struct mesh_id *blamed, const char *why)
{
	mesh__port_break(x, blamed, NULL, why);
	mesh__port_break(y, blamed, NULL, why);
}

/* With the lock of the space that both are in. */
static int bridge(struct mesh__space *space, struct mesh_port *x, struct mesh_port *y)
{
	int r;

	if (x->peer.kind == MESH__REF_LOCAL && x->peer.port == y) {
		break_both(x, y, &space->node, "a bridge between the ends of one pair");
		return -ELOOP;
	}
	(void)mesh__port_check_peer(x);
	(void)mesh__port_check_peer(y);
	if (x->state == MESH__FAILED || y->state == MESH__FAILED) {
		const struct mesh_port *failed = x->state == MESH__FAILED ? x : y;
		struct mesh_id blamed = failed->blamed;

		break_both(x, y, &blamed, "what it was bridged to has failed");
		return 0;
	}
	r = join(space, x, y);
	if (r < 0)
		break_both(x, y, &space->node, "no memory to bridge it");
	return r;
}

/*
 * The space that both ports are in then, locked. A pair that belongs to no node yet follows the other port.
 * *ret_error is -EXDEV if they cannot come together; then it is the space of the first.
 */
static struct mesh__space *lock_both(struct mesh_port **x, struct mesh_port **y, int *ret_error)
{
	for (;;) {
		struct mesh__space *space = mesh__port_lock(*x);
		struct mesh_port *first = *x;

		*ret_error = 0;
		if (mesh__port_space(*y) == space)
			return space;
		if (space != mesh__local_space()) {
			*ret_error = mesh__move_adopt(space, *y) ? 0 : -EXDEV;
			return space;
		}
		mesh__space_unlock(space);
		*x = *y;
		*y = first;
	}
}

/* A proxy is closed by its peers only. */
static void give_up(struct mesh_port *port)
{
	if (port->state != MESH__PROXYING) {
		mesh__port_disown(port);
		return;
	}
	port->notify = NULL;
	port->owned = false;
	mesh__port_unref(port);
}

int mesh__port_bridge(struct mesh_port *x, struct mesh_port *y)
{
	struct mesh__space *space;
	int r;

	if (x == y) {
		mesh__port_release(x, true);
		return -EINVAL;
	}
	space = lock_both(&x, &y, &r);
	if (r < 0) {
		mesh__space_unlock(space);
		mesh__port_release(x, true);
		mesh__port_release(y, true);
		return r;
	}
	x = mesh__move_stand_in(x);
	y = mesh__move_stand_in(y);
	r = bridge(space, x, y);
	give_up(x);
	give_up(y);
	mesh__space_unlock(space);
	return r;
}

int mesh_port_bridge(struct mesh_port *a, struct mesh_port *b)
{
	struct mesh_port *ports[] = {a, b};

	if ((a && mesh__port_is_inherited(a)) || (b && mesh__port_is_inherited(b))) {
		mesh_port_fail(a);
		mesh_port_fail(b);
		return -EPERM;
	}
	for (size_t i = 0; i < PAL_ARRAY_LENGTH(ports); i++) {
		if (ports[i])
			mesh__port_detach(ports[i]);
	}
	if (a && b)
		return mesh__port_bridge(a, b);
	mesh_port_fail(a ? a : b);
	return -EINVAL;
}
