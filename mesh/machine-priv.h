/* SPDX-License-Identifier: MIT */
#ifndef PROCMESH_MESH_MACHINE_PRIV_H
#define PROCMESH_MESH_MACHINE_PRIV_H

/*
 * What the files of the port machine share with each other only:
 *   ref.c             references, and the life of events
 *   space.c           a space: lock, table, queues, run loop, end
 *   space-receive.c   bytes from another node into an event
 *   space-encode.c    an event into bytes for another node
 *   port-core.c       the owner's side: make, send, close, take, give up
 *   port-room.c       whether there is room to send, and what waits for another node's word
 *   port-state.c      the events by state
 *   port-end.c        how a port ends, and who is told
 *   port-move.c       a port leaves for another node, arrives from one, changes its space
 *   port-bridge.c     two ports leave for one another's peers
 */

#include <mesh/space-priv.h>

/* ---- references (ref.c) ---- */

struct mesh__ref mesh__ref_local(struct mesh_port *port);
/* Consumes the caller's reference on the remote. */
struct mesh__ref mesh__ref_remote(struct mesh__remote *remote, const struct mesh_id *id);
struct mesh__ref mesh__ref_copy(const struct mesh__ref *ref);
struct mesh__ref mesh__ref_take(struct mesh__ref *ref);
void mesh__ref_clear(struct mesh__ref *ref);
bool mesh__ref_equal(const struct mesh__ref *a, const struct mesh__ref *b);
/* Makes the port's `which` (its peer, target or origin) name `to`, whose reference is consumed. */
void mesh__port_refer(struct mesh_port *port, struct mesh__ref *which, struct mesh__ref to);
/* The reference out of the port, which then names nothing there. */
struct mesh__ref mesh__port_unrefer(struct mesh_port *port, struct mesh__ref *which);
static inline bool mesh__ref_is_on(const struct mesh__ref *ref, const struct mesh__remote *remote)
{
	return ref->kind == MESH__REF_REMOTE && ref->remote == remote;
}

/* ---- what only some ports have (port-core.c) ---- */

static inline bool mesh__port_has_far(const struct mesh_port *port)
{
	return port->far != mesh__nowhere;
}
/* 0, -ENOMEM. */
int mesh__port_need_far(struct mesh_port *port);

/* ---- accounts (ref.c) ---- */

/* `charge` is a clear one. */
void mesh__charge_put(struct mesh__charge *charge, struct mesh__remote *remote, size_t bytes, unsigned events,
        unsigned fds);
void mesh__charge_clear(struct mesh__charge *charge);
/*
 * What it is for waits at a port on the move. Whether its sender still has no more than half of its account there, so that
 * the receiver of the port, who may never acknowledge, cannot make it lose its link.
 */
bool mesh__charge_park(struct mesh__charge *charge);

/* `sign` 1: so much more, -1: less. Takes NULL: an event without a message. */
void mesh__count_resources(struct mesh_traffic *traffic, const struct mesh_message *message, int sign);
static inline void mesh__count(struct mesh_traffic *traffic, const struct mesh_message *message, int sign)
{
	uint64_t one = (uint64_t)sign; /* unsigned arithmetic: less is as much more as makes it so */

	traffic->messages += one;
	traffic->bytes += message ? one * message->size : 0;
	if (message && message->resource_count)
		mesh__count_resources(traffic, message, sign);
}

/* ---- what waits for the word of another node (port-room.c) ---- */

/* After any change of the port's state, peer or target, or of what it stores: puts it on the account where it belongs. */
void mesh__port_account(struct mesh_port *port);
bool mesh__remote_has_room(struct mesh__remote *remote, const struct mesh__sending *more, enum mesh__room how);
/* Whether what the message carries would be accepted if nothing else waited. */
bool mesh__port_can_ever_send(const struct mesh_port *port, const struct mesh__sending *more);

/* ---- events (ref.c) ---- */

struct mesh__event *mesh__event_new(enum mesh__event_type type);
/* One of those embedded in the port. */
struct mesh__event *mesh__event_own(
        struct mesh_port *port, enum mesh__own which, enum mesh__event_type type);
/* Frees it, or lets its owner have it back. */
void mesh__event_drop(struct mesh__space *space, struct mesh__event *event);
/* The message out of an event from mesh__event_new; the event stays with it as its spare. */
struct mesh_message *mesh__event_unwrap(struct mesh__event *event);
/* The reverse: an event with that message, made of its spare if there is one. NULL when memory runs out. */
struct mesh__event *mesh__event_wrap(struct mesh_message *message);

/* ---- the space (space.c) ---- */

struct mesh_port *mesh__space_find(struct mesh__space *space, const struct mesh_id *id);
/* Into the table, by `id`, or where that is NULL by the id it has or a new one. 0, -ENOMEM, -EEXIST, an error of getrandom(2). */
int mesh__space_register(struct mesh_port *port, const struct mesh_id *id);
void mesh__space_unregister(struct mesh_port *port);
/* Into the list of those that the next loss of a node concerns, and out of it. */
void mesh__space_add_forlorn(struct mesh_port *port);
void mesh__space_remove_forlorn(struct mesh_port *port);
/* Queues an event; consumes the reference. */
void mesh__space_post(struct mesh__space *space, struct mesh__ref to, struct mesh__event *event);
/* Moves a port between two spaces whose locks are both held. */
void mesh__space_rehome(struct mesh_port *port, struct mesh__space *space);
/* The space of a port that is perhaps not in one whose lock is held: only to compare it. */
struct mesh__space *mesh__port_space(struct mesh_port *port);

/* ---- ports (port-core.c) ---- */

/* One reference, the caller's. Peered with nobody yet. */
struct mesh_port *mesh__port_new(struct mesh__space *space);
struct mesh_port *mesh__port_ref(struct mesh_port *port);
void mesh__port_unref(struct mesh_port *port);
void mesh__port_peer_up(struct mesh_port *a, struct mesh_port *b);
/* Closes; queues the close for the peer. */
void mesh__port_emit_close(struct mesh_port *port);
void mesh__port_drop_queue(struct mesh_port *port);
/* A message, or NULL for an event without one, is stored at the port, or was. */
void mesh__port_stored_more(struct mesh_port *port, const struct mesh_message *message);
void mesh__port_stored_less(struct mesh_port *port, const struct mesh_message *message);
/* The next message to be sent on: like mesh__port_take, but it stays on its sender's account. */
struct mesh_message *mesh__port_next(struct mesh_port *port);
/*
 * Whether `other` is the port itself or in its queue, or in the queue of one that
 * is: then the port must not get into the queue of `other`. Nobody could take
 * either out again, and nobody would ever free them.
 */
bool mesh__port_holds(struct mesh_port *port, const struct mesh_port *other);

/* ---- states (port-state.c) ---- */

static inline bool mesh__port_ended(const struct mesh_port *port)
{
	return port->state == MESH__DONE || port->state == MESH__FAILED;
}
void mesh__port_set_state(struct mesh_port *port, enum mesh__port_state state);
/* `from`: the node that sent it; NULL: a port of this space. Consumes the event. */
void mesh__port_deliver(
        struct mesh_port *port, struct mesh__event *event, const struct mesh__remote *from);
/* Tells the peer of the close, as the event of that number. The caller holds a reference. */
void mesh__port_say_close(struct mesh_port *port, uint64_t seq);
/* Short cut for plain messages between two ports that have only to do with one another. Whether it could be taken. */
bool mesh__port_give_to_pair(struct mesh_port *port, struct mesh_message *message);
/* Processes what is due among the pending events. */
void mesh__port_drain(struct mesh_port *port);
/* Sends an event on to the target. */
void mesh__port_forward(struct mesh_port *port, struct mesh__event *event);

/* ---- ends (port-end.c) ---- */

/*
 * Fails the port. `blamed` of zero: this node. `from`, if not NULL, is the node
 * that said so, and need not be told. The caller holds a reference.
 */
void mesh__port_break(struct mesh_port *port, const struct mesh_id *blamed,
        const struct mesh__remote *from, const char *why);
/* The same because the peer broke a rule: its node is to blame. */
void mesh__port_accuse(struct mesh_port *port, const char *why);
/* The same for an event that broke it, which is dropped. */
void mesh__port_refuse(struct mesh_port *port, struct mesh__event *event, const char *why);
/* Consumes an event that came for a port that has ended. */
void mesh__port_drop_late(struct mesh_port *port, struct mesh__event *event);
/* The same for ACK_PORT and FAIL_PORT. */
void mesh__port_answered_late(struct mesh_port *port, struct mesh__event *event, const struct mesh__remote *from);
/* Calls the hook of the application's side. */
void mesh__port_notify(struct mesh_port *port);
/* The end of a port, without telling anybody. The caller holds a reference. */
void mesh__port_leave(struct mesh_port *port, enum mesh__port_state state);
/* Fails a port that has a failed peer on its own node. 0, or -1 when it did. */
int mesh__port_check_peer(struct mesh_port *port);
/* Fails a port whose former owner is lost with the last of what a peer on this node has sent. No local event may wait. */
void mesh__port_check_arrivals(struct mesh_port *port);
/* Fails a port whose former owner is lost with a part of what it still had to forward. */
void mesh__port_check_origin(struct mesh_port *port);

/* ---- moving (port-move.c) ---- */

/*
 * Prepares a port that is in a message for `to`: the record to send. It is
 * consumed: Sending or gone. One that cannot travel travels as a failed one.
 * -EXDEV: it is of another node of this process, and still the caller's; the
 * record is that of a failed port.
 */
int mesh__move_prepare(struct mesh__remote *to, struct mesh_port *port, struct mesh__record *ret);
/* ACK_PORT came: the event becomes the CHANGE_PEER. */
void mesh__move_start_proxy(struct mesh_port *port, struct mesh__event *event);
/* Its two halves, for any first number: the event becomes the CHANGE_PEER to send, and what was not taken goes on. */
void mesh__move_become_proxy(struct mesh_port *port, struct mesh__event *event, uint64_t first);
void mesh__move_forward_backlog(struct mesh_port *port);
/* So that forwarding will need no memory: an event for each message that came without one. 0, -ENOMEM. */
int mesh__move_need_events(struct mesh_port *port);
/*
 * Takes a pair of the local space, or an ended port, into a node's space, with the pairs that wait in their queues.
 * Whether the port is now in it.
 */
bool mesh__move_adopt(struct mesh__space *space, struct mesh_port *port);
/*
 * The same for the ports of a message that is sent on a port of the space. Not only when it leaves the process, which may
 * have to wait for another node's word: a program that waits on the other end of one of them has to read that meanwhile.
 * What other nodes' ports there are stay there. Nothing in the local space, which messages of all nodes' ports may come by.
 */
void mesh__move_adopt_carried(struct mesh__space *space, const struct mesh_message *message);
/*
 * A port that is Done has no peer, and only a port with a peer moves: it gets a new one with which it agrees on both
 * numbers. The caller closes that one (mesh__port_emit_close) when the port is on its way, and drops the reference.
 * NULL when memory runs out.
 */
struct mesh_port *mesh__move_reopen(struct mesh_port *port);
/*
 * Of a port that is about to leave, the one that does. A port that its owner has closed is not free to: it waits for
 * its peer's close. One that is Done goes in its place.
 */
struct mesh_port *mesh__move_stand_in(struct mesh_port *port);
/*
 * A port arrives; the caller's. The event for its former owner is added to
 * `answers`. NULL when memory runs out or the id is in use.
 */
struct mesh_port *mesh__move_receive(struct mesh__remote *from, const struct mesh__record *record,
        struct mesh__event_queue *answers);
/* Node and id of what a reference names, registering it if need be. 0, -ENOMEM. */
int mesh__move_address(struct mesh__space *space, const struct mesh__ref *ref,
        struct mesh_id *ret_node, struct mesh_id *ret_port);

#endif
