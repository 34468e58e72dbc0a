/* SPDX-License-Identifier: MIT */
#ifndef PROCMESH_MESH_NODE_H
#define PROCMESH_MESH_NODE_H

#include <mesh/invitation.h>
#include <pal/deadline.h>
#include <pal/error.h>
#include <pal/export.h>
#include <stdbool.h>
#include <stddef.h>

PAL_BEGIN_DECLS

struct event_base;
struct mesh_port;

/* Stages of struct pal_error from this library. */
enum mesh_stage {
	MESH_STAGE_INVITATION = PAL_STAGE_MESH_BASE, /* making or decoding one */
	MESH_STAGE_NODE,      /* making the node: epoll, eventfd, thread */
	MESH_STAGE_JOIN,      /* the leader's first message */
	MESH_STAGE_PORT,      /* a port closed or failed */
	MESH_STAGE_SHUTDOWN
};

/*
 * A process's membership in a mesh. Any thread may call any function of it. It and its ports, and pairs without a node,
 * are of the process that made them. A child of fork(2) has copies, which are dead: functions that return an error
 * return -EPERM, at once and whatever other threads were doing, and have consumed what they consume; nothing is sent,
 * and no callback is called. Freeing a copy of a node closes the child's copies of its sockets, which hide the end of
 * the parent otherwise; freeing one of a port does nothing. (Memory is given back by neither: it may be half of a
 * change that a thread of the parent was making.) Messages are the child's own, but for the ports in them. The
 * child may make nodes and pairs of its own. A base that it goes on with needs event_reinit(3), as always.
 * pal_fork and isolate_call make such children too. Not _Fork(3) and clone(2): their children must not call any of this.
 */
struct mesh_node;

struct mesh_node_options {
	size_t size;             /* sizeof(struct mesh_node_options); a smaller, older one is accepted */
	/*
	 * Run in this libevent base's thread; NULL: a thread of its own, which blocks every signal. A thread that
	 * is started in one of its callbacks inherits that (see pal_threads_signal).
	 */
	struct event_base *base;
	size_t max_message;      /* largest message sent or taken, bytes; 0: MESH_DEFAULT_MAX_MESSAGE */
	/*
	 * Most bytes, with what they cost in memory, that are queued for one node that does not read - at the leader: for it and
	 * the guests that were invited for it, together. A program's own messages may use a half of it; then
	 * sending says -EAGAIN (port.h). The rest is for what the node has to say by itself; beyond that the connection is
	 * given up, and its ports fail. One message is taken however large it is. The same half is the bound for ports that were
	 * sent to it, or closed, as long as it has not taken note of that. 0: MESH_DEFAULT_MAX_QUEUED
	 */
	size_t max_queued;
	/*
	 * The most that one node - at the leader: one node and the guests that were invited for it, together - can
	 * make this one hold: what it has sent and nobody here has received yet, with what that costs in memory; the
	 * ports that it has sent and that are still open are among the bytes. A node that exceeds one of them loses its
	 * connection, and the ports that go through it fail: there is no other way to stop it, since what comes behind may be what somebody waits for. A program
	 * that lets more than this wait unread sets more; one with several peers that it
	 * does not trust shares out what it can spare. 0: the default.
	 */
	size_t max_unread;          /* bytes; at most one message more. MESH_DEFAULT_MAX_UNREAD */
	size_t max_unread_messages; /* MESH_DEFAULT_MAX_UNREAD_MESSAGES */
	size_t max_unread_fds;      /* half of the soft RLIMIT_NOFILE when the node is made, 64 at least */
	/* At the leader: */
	unsigned max_guests;        /* nodes alive that came by the requests of one other node and its guests;
	                             * requests for more are refused. MESH_DEFAULT_MAX_GUESTS */
	unsigned max_introductions; /* how often one node is given a link to the same other one; with its guests: so often,
	                             * and once for each guest. MESH_DEFAULT_MAX_INTRODUCTIONS */
	/* Everywhere: */
	size_t max_queued_fds;      /* the same as max_queued, for descriptors; 0: a quarter of the soft RLIMIT_NOFILE when
	                             * the node is made, 64 at least */
	size_t max_queued_messages; /* and for messages; 0: MESH_DEFAULT_MAX_QUEUED_MESSAGES */
	/*
	 * The most that may wait unread on one port; one message may always. What another node sends beyond it fails the port
	 * (-ECONNRESET, at both ends); what comes from a port of this node is refused where it is sent, with -EAGAIN.
	 * 0: a half of the above.
	 */
	size_t max_port_unread, max_port_unread_messages, max_port_unread_fds;
};
#define MESH_NODE_OPTIONS_INIT .size = sizeof(struct mesh_node_options)
#define MESH_DEFAULT_MAX_MESSAGE ((size_t)1 << 30)
#define MESH_DEFAULT_MAX_QUEUED ((size_t)4 << 30)
#define MESH_DEFAULT_MAX_QUEUED_MESSAGES ((size_t)1 << 20)
#define MESH_DEFAULT_MAX_UNREAD ((size_t)2 << 30)
#define MESH_DEFAULT_MAX_UNREAD_MESSAGES ((size_t)1 << 20)
/* Of a pair that belongs to no node; no limit for descriptors. */
#define MESH_DEFAULT_MAX_PORT_UNREAD (MESH_DEFAULT_MAX_UNREAD / 2)
#define MESH_DEFAULT_MAX_PORT_UNREAD_MESSAGES (MESH_DEFAULT_MAX_UNREAD_MESSAGES / 2)
#define MESH_DEFAULT_MAX_GUESTS 64u
#define MESH_DEFAULT_MAX_INTRODUCTIONS 64u

/* A new mesh with this process as its leader. `options` may be NULL. -ENOMEM, -EMFILE, -ENFILE, -EAGAIN, -EINVAL, -E2BIG. */
PAL_EXPORT int mesh_node_new(const struct mesh_node_options *options, struct mesh_node **ret,
	struct pal_error *error) PAL_MUST_CHECK;

/*
 * Joins by an invitation, whose descriptor is consumed, also on failure. Waits
 * until the leader's first message is there; *ret_port is the end that the
 * inviter gave for this node. -ETIMEDOUT, -ECONNRESET (the inviter is gone, or has evicted this node),
 * -EPROTO (it sent something else), or an error of mesh_node_new.
 */
PAL_EXPORT int mesh_node_join(struct mesh_invitation *invitation, const struct mesh_node_options *options,
	pal_deadline deadline, struct mesh_node **ret, struct mesh_port **ret_port, struct pal_error *error)
	PAL_MUST_CHECK;

/*
 * Invites a new node: it will receive `port` (consumed, also on failure). Works
 * at the leader. *ret must be handed to the new process and then cleared here:
 * as long as this process holds the descriptor too, the end of the new process
 * goes unnoticed. -ENOMEM, -EMFILE, -ENFILE, -EOPNOTSUPP (not the leader), -ESHUTDOWN.
 */
PAL_EXPORT int mesh_node_invite(struct mesh_node *node, struct mesh_port *port, struct mesh_invitation *ret,
	struct pal_error *error) PAL_MUST_CHECK;

/*
 * The same at any other node: the leader makes the invitation, and its descriptor is for this process
 * to hand on. -ETIMEDOUT, -ECONNRESET (the leader is gone), -ECONNREFUSED (the leader does not invite: max_guests), -EINVAL, -ENOMEM,
 * -EMFILE, -EPERM, -ESHUTDOWN, -EBADMSG. After -ETIMEDOUT an invitation that is still made is closed, and `port` with it. At
 * a first leader -ECONNRESET: mesh_node_invite is for that.
 */
PAL_EXPORT int mesh_node_invite_by_leader(struct mesh_node *node, struct mesh_port *port, pal_deadline deadline,
	struct mesh_invitation *ret, struct pal_error *error) PAL_MUST_CHECK;

/*
 * Offers the leadership: *ret is a port, to be sent to another node in any message; the first node that takes it with
 * mesh_node_take_leadership leads from then on. This one follows it and stays what it is otherwise: no port and no link is lost, and
 * what others have asked of it is answered by the new leader. Freeing the port withdraws the offer. Whoever
 * has the port can take the leadership: who leads can end any other's membership (mesh_node_evict).
 * mesh_node_invite and _evict work at the new leader only. -EOPNOTSUPP (not the leader), -ENOMEM, -EINVAL, -EPERM, -ESHUTDOWN.
 */
PAL_EXPORT int mesh_node_offer_leadership(struct mesh_node *node, struct mesh_port **ret, struct pal_error *error)
	PAL_MUST_CHECK;

/*
 * Takes the leadership that was offered with that port, which is consumed, also on failure; the old leader must know
 * this node: it was invited there. Waits until the old leader has handed it over. After -ETIMEDOUT it may
 * still come (mesh_node_is_leader), and a second try is -EALREADY. -ECONNREFUSED (another node was faster, the offer was withdrawn,
 * or the old leader is leaving or gone), -EALREADY (this node leads, or tries to), -EXDEV (the port is of another node of this process),
 * -ENOMEM, -EINVAL, -EPERM, -ESHUTDOWN. The old leader should not end without mesh_node_shutdown, which waits until all
 * nodes know of the new one: those that do not when it dies have no leader any more. Their links and ports
 * remain, and what they want of nodes that they have not met fails.
 */
PAL_EXPORT int mesh_node_take_leadership(struct mesh_node *node, struct mesh_port *offer, pal_deadline deadline,
	struct pal_error *error) PAL_MUST_CHECK;

PAL_EXPORT bool mesh_node_is_leader(struct mesh_node *node);

/*
 * Ends the membership of an invited node for it; `id` is the local_node of its
 * invitation. For one that has not joined and shall not any more, or one whose
 * process is dead while something else holds its descriptors (a fork of it),
 * so that no link of it ends by itself. It is as if it had closed its links now: what
 * has arrived is delivered, then its ports fail with -ECONNRESET, here and at the
 * nodes that it was introduced to. Its invitation is worth nothing any more:
 * mesh_node_join fails with -ECONNRESET. Works at the leader, in any thread, in
 * callbacks too; does not wait: the ports fail when the link is read next.
 * -ENOENT (not or no longer linked to this node), -EOPNOTSUPP (not the leader), -EINVAL.
 */
PAL_EXPORT int mesh_node_evict(struct mesh_node *node, const struct mesh_id *id);

/*
 * Leaves in order: waits until no port of this node is on the move any more,
 * flushes every link and waits for the other ends, so that nothing that was
 * sent is lost. Ports that are still open fail then. -ETIMEDOUT when the
 * deadline cut it short, or when another end has read everything and does not end its link within two seconds; the node has
 * left all the same. Once: a second call waits for the first, up to its own deadline, and says the same. The node must
 * still be freed.
 */
PAL_EXPORT int mesh_node_shutdown(struct mesh_node *node, pal_deadline deadline, struct pal_error *error);

/*
 * Whether the calling thread is in a callback that this node runs at home. What waits for the node's reading
 * without doing it (poll on a port's descriptor, say) would wait for itself there.
 */
PAL_EXPORT bool mesh_node_is_home(struct mesh_node *node);

/*
 * Ends the membership at once (mesh_node_shutdown with PAL_DEADLINE_NOW if that
 * has not been called; a thread that is in it returns) and frees. Ports outlive it, failed. Callbacks at home that are
 * due, the ends of ports among them, run before it returns, the last ones in this thread. Takes NULL. Must not be called
 * from a callback at home. A node on a base whose loop runs in another thread may be freed only if that base
 * was made after evthread_use_pthreads(3); else free it in the base's thread.
 */
PAL_EXPORT void mesh_node_free(struct mesh_node *node);

PAL_END_DECLS

#endif
