/* SPDX-License-Identifier: MIT */
#ifndef PROCMESH_MESH_NODE_PRIV_H
#define PROCMESH_MESH_NODE_PRIV_H

/*
 * A node ties the port machine (its space) to links and to a poller, and speaks
 * the leader protocol. One lock, the space's, guards all of it.
 */

#include <mesh/link-priv.h>
#include <mesh/node.h>
#include <mesh/poller-priv.h>
#include <mesh/space-priv.h>
#include <pal/util-priv.h>

/* An event for a node that there is no link to yet; its ports stay objects until then. */
struct mesh__parked_event {
	STAILQ_ENTRY(mesh__parked_event) next;
	struct mesh_id port;
	struct mesh__event *event;
};

/*
 * Leader: what the guests of one node count against, those that they invite in turn, too:
 * a node could be all of them by itself. Shared by the node, its guests and requests for more.
 */
struct mesh__guest_list {
	unsigned refs, guests;
	struct mesh__held held;     /* what all of them make this node hold */
	struct mesh__awaited awaited; /* what waits for a word of one of them */
	struct mesh__queued queued; /* what waits to be sent to them */
};

/* Another node: waiting for a link, connected, or lost. */
struct mesh__peer {
	struct mesh__remote remote; /* first */
	UT_hash_handle hh;          /* in the node's table, by remote.id */
	bool connected;
	struct mesh__link link;
	bool writing;               /* EPOLLOUT is asked for */
	bool asked;                 /* follower: the leader may still have an answer to give */
	STAILQ_HEAD(, mesh__parked_event) parked;
	struct mesh__queued parked_cost;
	struct mesh__guest_list *guest_list; /* leader: a reference, as long as anything is on its account */
	bool is_guest;                       /* leader: asked for by a follower; counted as long as there is the link */
	enum mesh__peer_task { MESH__TASK_NONE, MESH__TASK_CONNECT, MESH__TASK_LOSE } task;
	TAILQ_ENTRY(mesh__peer) due; /* while task is not NONE: in the node's list */
	bool retried;                /* in the node's list of those whose link is, or was, stuck */
	TAILQ_ENTRY(mesh__peer) in_stuck;
};

/* A port on which the leader protocol runs; served by mesh__node_serve, never by callbacks. */
struct mesh__control {
	struct mesh_port *port;
	enum mesh__control_role {
		MESH__CONTROL_ORDERS,   /* of the leader, to this node */
		MESH__CONTROL_REQUESTS, /* leader: of `follower` */
		MESH__CONTROL_CLAIMS,   /* leader: of whoever has an offer of the leadership */
		MESH__CONTROL_FOLLOWERS /* what the old leader hands over to this node */
	} role;
	struct mesh__follower *follower; /* REQUESTS: whose; NULL when the leader has stopped */
	bool due;
	TAILQ_ENTRY(mesh__control) in_due, in_all;
};
TAILQ_HEAD(mesh__control_list, mesh__control);

TAILQ_HEAD(mesh__ready_list, mesh__port_waiters); /* defined in port-waiters-priv.h */

/* Leader: one invited node. */
struct mesh__follower {
	struct mesh_id node;
	UT_hash_handle hh;
	struct mesh_port *orders;
	unsigned request_ports;
	bool handed_over; /* by another leader: whom that has introduced it to is not known */
	struct mesh__guest_list *guest_list;
	struct mesh__introduction *introductions; /* that it has asked for */
};

/* Leader: how often a follower was introduced to another one, as long as there are both. */
struct mesh__introduction {
	struct mesh_id other;
	unsigned times;
	UT_hash_handle hh;
};

/* Leader: a follower's request for an invitation. */
struct mesh__invite_request {
	STAILQ_ENTRY(mesh__invite_request) next;
	struct mesh_port *user_port, *reply;
	struct mesh__guest_list *guest_list; /* the guest has been counted */
};

/* Leader: another node takes the leadership. */
struct mesh__claim_request {
	STAILQ_ENTRY(mesh__claim_request) next;
	struct mesh_id node;
	struct mesh_port *reply;
};

/* How long a node that has said its last word, and knows that it was read, waits for the other ends to say theirs. */
#define MESH__FAREWELL_MS 2000

struct mesh_node {
	struct mesh__space space; /* first */
	struct mesh__poller poller;
	struct mesh__inbox *inbox; /* of whoever drives */
	struct event_base *base;
	size_t max_message;
	struct mesh__queue_bounds max_queued;
	unsigned max_guests, max_introductions;
	struct mesh__peer *peers;
	size_t connected_count;
	TAILQ_HEAD(, mesh__peer) due_peers, stuck_peers;
	struct mesh__control_list controls, due_controls;
	struct mesh__ready_list ready; /* ports with a callback at home and something for it */
	struct mesh__port_waiters *called; /* whose callback is called at home, the innermost */
	struct mesh__ready_list senders; /* ports on which somebody waits until more may be sent */
	bool leader, joining;
	bool claiming; /* a thread in mesh_node_take_leadership waits for the followers */
	bool leaving; /* no new members; what is on its way is finished */
	bool parting; /* no new links either */
	bool hurried; /* mesh_node_free was called, and a thread in mesh_node_shutdown does not wait any more */
	bool left, orderly; /* mesh_node_shutdown is through, and lost nothing */
	unsigned farewell_ms;
	struct mesh_port *requests; /* follower: to the leader; one that took the leadership from another is its own, too */
	struct mesh__follower *followers;
	STAILQ_HEAD(, mesh__invite_request) invite_requests;
	STAILQ_HEAD(, mesh__claim_request) claim_requests;
	struct mesh__waiter_list idle_waiters; /* threads in mesh_node_shutdown and mesh_node_take_leadership */
	unsigned links_made, links_over_limit;
};

static inline struct mesh_node *mesh__node_of(struct mesh__space *space)
{
	return space == mesh__local_space() ? NULL : PAL_CONTAINER_OF(space, struct mesh_node, space);
}

/* With the lock held: does what became due in the machine: connects, losses, the leader protocol. */
void mesh__node_serve(struct mesh_node *node);
/* The leader protocol alone. */
void mesh__node_serve_controls(struct mesh_node *node);
/* Whoever waits for the node as a whole looks again. */
void mesh__node_wake_idle(struct mesh_node *node);
/*
 * Drives or waits until `done`, at most until the deadline, or until *enough, if that is not NULL; whoever sets that wakes
 * the idle. The lock is held.
 */
bool mesh__node_wait_until(
	struct mesh_node *node, bool (*done)(struct mesh_node *), pal_deadline deadline, const bool *enough);
/* Of a node that has nothing else any more. */
void mesh__node_free_memory(struct mesh_node *node);

/* ---- options (node-options.c) ---- */

/* With the defaults for what is not set. `options` may be NULL. 0, -EINVAL, -E2BIG. */
int mesh__node_read_options(const struct mesh_node_options *options, struct mesh_node_options *ret);
struct mesh__queue_bounds mesh__node_queue_bounds(const struct mesh_node_options *options);
/* How many packets a link may read at a time: with a quarter of the process's descriptors at most. */
unsigned mesh__node_max_batch(void);

/* ---- peers (peer.c) ---- */

/* The peer with that id, or a new one without a link; NULL when memory runs out. Borrowed. */
struct mesh__peer *mesh__peer_get(struct mesh_node *node, const struct mesh_id *id);
struct mesh__peer *mesh__peer_find(struct mesh_node *node, const struct mesh_id *id);
/* Gives a peer its link and sends what is parked. Consumes the socket, also on failure. */
int mesh__peer_connect(struct mesh_node *node, struct mesh__peer *peer, int socket);
/* The node is gone: closes the link, fails its ports, forgets it. */
void mesh__peer_lose(struct mesh_node *node, struct mesh__peer *peer);
void mesh__peer_ready(struct mesh_node *node, struct mesh__peer *peer, uint32_t events);
/* After a turn: what could not be sent for want of places in flight, or of memory, is tried again. */
void mesh__peer_retry_stuck(struct mesh_node *node);
void mesh__peer_finish_all(struct mesh_node *node);
void mesh__peer_give_up_all(struct mesh_node *node);
void mesh__peer_set_task(struct mesh_node *node, struct mesh__peer *peer, enum mesh__peer_task task);
extern const struct mesh__space_ops mesh__node_space_ops;

/* ---- what may be sent to a peer (peer-room.c) ---- */

/* What messages cost where they wait for the link. */
struct mesh__queued mesh__peer_queued_cost(const struct mesh__held *cost);
bool mesh__peer_has_room(struct mesh__remote *remote, const struct mesh__sending *more, enum mesh__room how);

/* ---- ports of the leader protocol (control-port.c) ---- */

/* Consumes the port, also on failure: -ENOMEM. `follower`: for REQUESTS. */
int mesh__control_add(struct mesh_node *node, struct mesh_port *port, enum mesh__control_role role,
	struct mesh__follower *follower);
/* No longer served; the port is the caller's. */
struct mesh_port *mesh__control_release(struct mesh_node *node, struct mesh__control *control);
void mesh__control_remove_all(struct mesh_node *node);

/* ---- leader protocol (leader.c, follower.c) ---- */

/*
 * Leader, without the lock: everything of mesh_node_invite; consumes the port. `guest_list`: of the follower that asked
 * for it, which has counted the guest; NULL: this program did. On failure the caller counts it off.
 */
int mesh__leader_invite(struct mesh_node *node, struct mesh_port *user_port, struct mesh__guest_list *guest_list,
	struct mesh_invitation *ret);
void mesh__leader_serve(struct mesh_node *node, struct mesh__control *control, struct mesh_message *message);
/* Tells the nodes that were introduced to that one that it is gone. */
void mesh__leader_announce_end(struct mesh_node *node, const struct mesh_id *id);
void mesh__leader_request_port_ended(struct mesh_node *node, struct mesh__follower *follower);
/* A node that was invited is lost, and later the last reference to it gone. */
void mesh__leader_peer_lost(struct mesh__peer *peer);
void mesh__leader_peer_freed(struct mesh__peer *peer);
/* At home: answers those who asked for an invitation, the last time when the node has left; releases the lock for each. */
void mesh__leader_answer_invites(struct mesh_node *node);
void mesh__leader_stop(struct mesh_node *node);
/* A follower that this node leads from now on: with its own account. Consumes the ports, also on failure: -ENOMEM, -EEXIST. */
int mesh__leader_take_over(struct mesh_node *node, const struct mesh_id *id, struct mesh_port *requests,
	struct mesh_port *orders);
/* Makes a pair of sockets for two followers and orders each to use its end. Whether there were any. */
bool mesh__leader_connect(struct mesh__follower *one, struct mesh__follower *other);
void mesh__leader_forget(struct mesh_node *node, struct mesh__follower *follower);
void mesh__follower_serve(struct mesh_node *node, struct mesh__control *control, struct mesh_message *message);
/* Follower: asks the leader for a link to that peer, once. */
void mesh__follower_ask(struct mesh_node *node, struct mesh__peer *peer);

/* ---- leadership.c ---- */

void mesh__leadership_serve_claim(struct mesh_node *node, struct mesh__control *control, struct mesh_message *message);
void mesh__leadership_serve_followers(
	struct mesh_node *node, struct mesh__control *control, struct mesh_message *message);
/* At home: hands over to the first who has claimed it; releases the lock meanwhile. */
void mesh__leadership_hand_over(struct mesh_node *node);

/* ---- the application's side of ports (port.c) ---- */

/* After a turn: tells those who wait to send on a port that has room again. */
void mesh__port_tell_senders(struct mesh_node *node);
/* The node goes: nobody waits for it any more. */
void mesh__port_forget_senders(struct mesh_node *node);
/* Whether more is due for callbacks at home than a turn or two can have read. */
bool mesh__port_home_is_behind(struct mesh_node *node);
/* At home: runs due callbacks; releases the lock for each. Whether there are more. */
bool mesh__port_run_ready(struct mesh_node *node);
#endif
