/* SPDX-License-Identifier: MIT */
#ifndef PROCMESH_MESH_CONTROL_PRIV_H
#define PROCMESH_MESH_CONTROL_PRIV_H

/*
 * What the leader and the nodes say to one another, as messages (wire.proto).
 *
 * write: *ret is a message to be sent. Ports and descriptors are consumed, also
 * on failure. 0, -ENOMEM, -EINVAL (a missing port), or an error of mesh_message_put_fd.
 *
 * read: peer data. 0, -ENOMEM, -EBADMSG; the error says what is wrong. What is
 * read of resources are their indices in the message, of the right kind and all
 * different: mesh_message_take_port and _fd succeed, once. Whatever is not
 * taken goes with the message. No id is zero.
 */

#include <mesh/id.h>
#include <mesh/invitation.h>
#include <mesh/message.h>
#include <pal/error.h>
#include <stdbool.h>
#include <stddef.h>

/* ---- leader to a new node: the one message on the port of the invitation; close that port with it ---- */

struct mesh__initial {
	size_t requests; /* port: this node's requests to the leader */
	size_t orders;   /* port: the leader's orders to this node */
	size_t user;     /* port: the application's */
};
int mesh__control_write_initial(struct mesh_port *requests, struct mesh_port *orders, struct mesh_port *user,
	struct mesh_message **ret) PAL_MUST_CHECK;
int mesh__control_read_initial(struct mesh_message *message, struct mesh__initial *ret, struct pal_error *error)
	PAL_MUST_CHECK;

/* ---- node to leader ---- */

struct mesh__request {
	enum mesh__request_kind {
		MESH__REQUEST_CONNECT,   /* introduce me to `node` */
		MESH__REQUEST_INVITE,    /* invite a node for me: it gets `user`, I get the invitation on `reply` */
		MESH__REQUEST_MORE_PORTS /* requests will come on `port` too */
	} kind;
	struct mesh_id node; /* CONNECT */
	size_t user, reply;  /* INVITE: ports */
	size_t port;         /* MORE_PORTS */
};
int mesh__control_write_connect_request(const struct mesh_id *node, struct mesh_message **ret) PAL_MUST_CHECK;
int mesh__control_write_invite_request(struct mesh_port *user, struct mesh_port *reply, struct mesh_message **ret)
	PAL_MUST_CHECK;
int mesh__control_read_request(struct mesh_message *message, struct mesh__request *ret, struct pal_error *error)
	PAL_MUST_CHECK;

/* The leader's answer on `reply`. Consumes the descriptor of the invitation; reading makes *ret its owner. */
int mesh__control_write_invitation(struct mesh_invitation *invitation, struct mesh_message **ret) PAL_MUST_CHECK;
/* Besides the above: -ENOTSOCK, -EPROTOTYPE (another kind of socket). On failure the descriptor stays in the message. */
int mesh__control_read_invitation(struct mesh_message *message, struct mesh_invitation *ret, struct pal_error *error)
	PAL_MUST_CHECK;

/* The same invitation where it is not sent on a port but handed over (handoff.c); in the message it is resource 0. */
int mesh__control_write_handoff(struct mesh_invitation *invitation, struct mesh_message **ret) PAL_MUST_CHECK;
int mesh__control_read_handoff(struct mesh_message *message, struct mesh_invitation *ret, struct pal_error *error)
	PAL_MUST_CHECK;

/* ---- leader to node ---- */

struct mesh__order {
	enum mesh__order_kind {
		MESH__ORDER_CONNECT,   /* `fd` is the link to `node`, or there is no such node */
		MESH__ORDER_MORE_PORTS /* orders will come on `port` too */
	} kind;
	struct mesh_id node; /* CONNECT */
	bool has_fd;         /* CONNECT */
	size_t fd;           /* CONNECT with has_fd: any kind of descriptor, to be checked */
	size_t port;         /* MORE_PORTS */
};
/* `fd` -1: there is no such node. */
int mesh__control_write_connect_order(const struct mesh_id *node, int fd, struct mesh_message **ret) PAL_MUST_CHECK;
int mesh__control_read_order(struct mesh_message *message, struct mesh__order *ret, struct pal_error *error)
	PAL_MUST_CHECK;

/* ---- leadership: on the port of an offer, and the answer ---- */

struct mesh__claim {
	enum mesh__claim_kind {
		MESH__CLAIM_LEADERSHIP, /* `node` takes it, and gets the followers on `reply` */
		MESH__CLAIM_MORE_PORTS  /* claims will come on `port` too */
	} kind;
	struct mesh_id node;
	size_t reply, port;
};
int mesh__control_write_claim(const struct mesh_id *node, struct mesh_port *reply, struct mesh_message **ret)
	PAL_MUST_CHECK;
int mesh__control_read_claim(struct mesh_message *message, struct mesh__claim *ret, struct pal_error *error)
	PAL_MUST_CHECK;

/* All nodes but the new leader, and the ports that the old one had for each. */
struct mesh__handed_over {
	struct mesh_id node;
	struct mesh_port *requests, *orders;
};
int mesh__control_write_followers(const struct mesh__handed_over *list, size_t count, struct mesh_message **ret)
	PAL_MUST_CHECK;
/* Calls `take` for each, with indices in the message. Everything is read and checked before the first call. */
int mesh__control_read_followers(struct mesh_message *message,
	void (*take)(void *arg, const struct mesh_id *node, size_t requests, size_t orders), void *arg,
	struct pal_error *error) PAL_MUST_CHECK;

#endif
