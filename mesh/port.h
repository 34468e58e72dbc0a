/* SPDX-License-Identifier: MIT */
#ifndef PROCMESH_MESH_PORT_H
#define PROCMESH_MESH_PORT_H

#include <pal/deadline.h>
#include <pal/error.h>
#include <pal/export.h>

PAL_BEGIN_DECLS

struct event_base;
struct mesh_message;

/*
 * One end of a pair. In a child of fork(2) it is dead: -EPERM from everything here (node.h says more). May be used
 * from any thread; of two threads that receive
 * on one port at once each message goes to one of them. mesh_port_free ends the
 * handle for all threads: one that waits in mesh_port_recv returns, and none may begin to use it any more.
 *
 * How a pair ends, seen from one end, after everything that was sent before has
 * been received:
 *   -EPIPE       the other end was closed in order
 *   -ECONNRESET  it failed: its process or the link to it is gone, or a peer
 *                broke the protocol on this port
 */
struct mesh_port;

/*
 * A pair in this process, without a node. Either end may later be sent anywhere; with the first one that is sent on a port of
 * a node, or that mesh_node_invite is given, the pair becomes that node's. 0, -ENOMEM.
 */
PAL_EXPORT int mesh_port_pair(struct mesh_port **ret_a, struct mesh_port **ret_b) PAL_MUST_CHECK;

/*
 * Sends and never waits: what a link cannot take yet is queued. The message is
 * consumed, also on failure. Sending to an end that is closed or failed drops
 * the message and succeeds: there is nobody to tell, and receiving says why. So it is with a message of more than 16 KiB for
 * another process where this one may not make the memfd for it (doc/mesh.md): the port fails then.
 *   -EINVAL  NULL      -EMSGSIZE  more descriptors than a message may carry, or more bytes than the node allows; or
 *            on the ports in it more is unread than may wait for another node, even if nothing else did
 *   -ELOOP   the message carries this port itself, which stays the caller's (message.h), or its peer, or a port with
 *            that one somewhere in its unread messages - or with ports so deep in theirs (more than 16) that it may be there
 *   -EXDEV   it carries a port of another node of this process
 *   -ENOMEM  nothing was sent, the port is as before
 *   -EAGAIN  the same: too much waits already for a node that does not read (max_queued in node.h) - for a message
 *            with ports also what is unread on those, and the ports sent to that node which it does not take note of -
 *            or on the other end, where that is in this process (max_port_unread). See mesh_port_try_send and mesh_port_send_wait.
 */
PAL_EXPORT int mesh_port_send(struct mesh_port *port, struct mesh_message *message) PAL_MUST_CHECK;

/*
 * Sends a last message and closes this end, in one event, as a one-shot does. The handle stays: receiving
 * on it drops what still comes and says -EPIPE once the other end has taken note, which it
 * does on its own as soon as the message has reached the node that holds it.
 */
PAL_EXPORT int mesh_port_send_last(struct mesh_port *port, struct mesh_message *message) PAL_MUST_CHECK;

/*
 * The same, and gives up the handle, also on failure. Never -EAGAIN: it could not be said later. What should be said to a node
 * that lets too much wait fails: the link, where it does not read; the port alone, where it does not take note of the ports
 * that are sent to it.
 */
PAL_EXPORT int mesh_port_send_and_free(struct mesh_port *port, struct mesh_message *message) PAL_MUST_CHECK;

/* Like mesh_port_send, but with -EAGAIN, and only then, the message stays the caller's, for another try. */
PAL_EXPORT int mesh_port_try_send(struct mesh_port *port, struct mesh_message *message) PAL_MUST_CHECK;

/*
 * Like mesh_port_send, but waits where that would say -EAGAIN, and reads and writes the node's links meanwhile, if no other
 * thread is at it. Also -ETIMEDOUT and -ECANCELED, as mesh_port_recv; the message is consumed then, too.
 * It does not wait for a program in another process that lets messages lie: that port fails (doc/mesh.md, "How fast a sender may be").
 */
PAL_EXPORT int mesh_port_send_wait(struct mesh_port *port, struct mesh_message *message, pal_deadline deadline,
	struct pal_error *error) PAL_MUST_CHECK;

/*
 * Has `fn` called once as soon as there is room again, in the way of mesh_port_set_callback, which says where and when this
 * may be used: enough for the message that was refused last on this port, and no more waiting than a half of what may wait.
 * That may be at once. It is called, too, when the port has ended, when sending drops the message. The base has to outlive the
 * call, not the port. Calls of `fn` do not overlap those of the port's other callback where both are called in the same
 * thread. A later call replaces an earlier one; NULL removes it. 0, -ENOMEM, -EMFILE (an eventfd is needed), -EINVAL.
 */
typedef void (*mesh_port_writable_fn)(struct mesh_port *port, void *userdata);
PAL_EXPORT int mesh_port_on_writable(struct mesh_port *port, struct event_base *base, mesh_port_writable_fn fn,
	void *userdata) PAL_MUST_CHECK;

/*
 * Waits for the next message. The waiting thread does the node's reading itself
 * where no other thread is at it. 0 and *ret, or -ETIMEDOUT, -EPIPE or
 * -ECONNRESET (see above), -EBUSY when the port has a callback, -ECANCELED when another thread has freed the
 * port or put it into a message.
 */
PAL_EXPORT int mesh_port_recv(struct mesh_port *port, pal_deadline deadline, struct mesh_message **ret,
	struct pal_error *error) PAL_MUST_CHECK;

/* The same without waiting: -EAGAIN when there is nothing. */
PAL_EXPORT int mesh_port_try_recv(struct mesh_port *port, struct mesh_message **ret) PAL_MUST_CHECK;

/*
 * Called with each message (`status` 0, `message` now the callback's), then
 * once with NULL and -EPIPE or -ECONNRESET; no more after that. Calls for one
 * port never overlap and no lock is held: anything may be called, including
 * mesh_port_free on this port and mesh_port_set_callback.
 */
typedef void (*mesh_port_fn)(struct mesh_port *port, int status, struct mesh_message *message, void *userdata);

/*
 * Receive by callback. With a base: called by the thread that runs that libevent
 * base; the call must be made in that thread or before it runs, and the base must
 * outlive the callback; where a port is freed, sent or given another callback in a thread that is not the
 * base's, the base must have been made after evthread_use_pthreads(3). With NULL: called by the thread of the port's node (its
 * own, or the one of the base that the node was made with); -EINVAL for a port
 * that belongs to no node yet. `fn` NULL removes the callback: it is not called
 * again after this returns, if this was called from the callback's own thread.
 * 0, -ENOMEM, -EMFILE (an eventfd is needed), -EINVAL.
 */
PAL_EXPORT int mesh_port_set_callback(struct mesh_port *port, struct event_base *base, mesh_port_fn fn,
	void *userdata) PAL_MUST_CHECK;

/*
 * A descriptor for poll(2) and the like: readable when mesh_port_try_recv would
 * not say -EAGAIN. The port's: close-on-exec, do not read or close it. -EMFILE, -ENFILE, -ENOMEM, -EINVAL.
 */
PAL_EXPORT int mesh_port_peek_fd(struct mesh_port *port) PAL_MUST_CHECK;

/*
 * Joins the other ends of two ports: from now on what one of them sends the other one receives, behind what these
 * two have not received yet; the links between nodes become direct ones. Both handles are given up, also on failure;
 * then the other ends fail. An end that is closed or failed passes that on: bridging it succeeds.
 *   -EINVAL  NULL, or twice the same port
 *   -ELOOP   the two are the ends of one pair. Circles that several processes make together show later, and
 *            fail the ports in them
 *   -EXDEV   they are ports of two nodes of this process      -ENOMEM
 */
PAL_EXPORT int mesh_port_bridge(struct mesh_port *a, struct mesh_port *b) PAL_MUST_CHECK;

/*
 * A request is a message whose last resource is a port for its answer.
 *
 * mesh_port_request adds such a port to `request` (which it consumes, also on
 * failure), sends it, and gives out the other end, to receive the answer on in
 * whichever way. A second request may be sent before the first is answered.
 * mesh_port_call is the same and waits for the answer.
 *
 * Instead of an answer there is -EPIPE when the receiver freed the request
 * unanswered or had closed `port`, -ECONNRESET when it is gone, -ETIMEDOUT when it takes
 * too long; an answer that comes later still is dropped, and `port` stays as
 * good as it was. Else an error of mesh_port_send; mesh_port_call does not say -EAGAIN but waits, until its deadline.
 */
PAL_EXPORT int mesh_port_request(struct mesh_port *port, struct mesh_message *request,
	struct mesh_port **ret_answers) PAL_MUST_CHECK;
PAL_EXPORT int mesh_port_call(struct mesh_port *port, struct mesh_message *request, pal_deadline deadline,
	struct mesh_message **ret, struct pal_error *error) PAL_MUST_CHECK;

/*
 * Answers a request: sends `answer` (consumed, also on failure) on the port that is the request's last
 * resource, and closes that. The request stays the caller's. -EINVAL when it has
 * no such port, or was answered already; else an error of mesh_port_send.
 */
PAL_EXPORT int mesh_message_reply(struct mesh_message *request, struct mesh_message *answer) PAL_MUST_CHECK;

/*
 * Closes this end: the other end receives what was sent before, then -EPIPE.
 * Unread messages and all they carry are dropped. A call of its callback that another thread is in
 * is not waited for; it is the last one. Takes NULL; keeps errno.
 */
PAL_EXPORT void mesh_port_free(struct mesh_port *port);

/*
 * The same, but the other end fails (-ECONNRESET): for a peer that broke the rules of what is spoken above
 * ports, so that it does not take this for an orderly end. Takes NULL; keeps errno.
 */
PAL_EXPORT void mesh_port_fail(struct mesh_port *port);

PAL_END_DECLS

#endif
