/* SPDX-License-Identifier: MIT */
#include <mesh/node-priv.h>

#include <errno.h>
#include <stdlib.h>

#include <mesh/control-priv.h>
#include <mesh/encoding.h>
#include <mesh/port.h>
#include <pal/log.h>

/*
 * The leadership goes from one node to another. Its offer is a port, on which whoever takes it says so. The old leader
 * connects the new one with all others, and then sends it the ports on which they ask and are ordered: as ports keep
 * what is on its way on them, no request is lost. From then on it is a follower like the others, and so is the new one,
 * of itself.
 */

/* Of a channel: "receive from this port, too". */
#define MORE_PORTS_FIELD 2u

/* ---- the old leader ---- */

static int offer(struct mesh_node *node, struct mesh_port *claims)
{
	if (!node->leader || node->leaving) {
		mesh__port_disown(claims);
		return node->leader ? -ESHUTDOWN : -EOPNOTSUPP;
	}
	return mesh__control_add(node, claims, MESH__CONTROL_CLAIMS, NULL);
}

int mesh_node_offer_leadership(struct mesh_node *node, struct mesh_port **ret, struct pal_error *error)
{
	struct mesh_port *offered, *claims;
	int r;

	if (!node || !ret)
		return pal_error_set(error, MESH_STAGE_NODE, -EINVAL, "mesh_node_offer_leadership");
	if (mesh__is_inherited(node->space.forks))
		return pal_error_set(error, MESH_STAGE_NODE, -EPERM, "offering the leadership of another process's node");
	r = mesh__port_pair(&node->space, &offered, &claims);
	if (r < 0)
		return pal_error_set(error, MESH_STAGE_NODE, r, "an offer of the leadership");
	mesh__space_lock(&node->space);
	r = offer(node, claims);
	mesh__space_unlock(&node->space);
	if (r < 0) {
		mesh_port_free(offered);
		return pal_error_set(error, MESH_STAGE_NODE, r, "offering the leadership");
	}
	*ret = offered;
	return 0;
}

static void claim_later(struct mesh_node *node, const struct mesh_id *id, struct mesh_port *reply)
{
	struct mesh__claim_request *request = malloc(sizeof *request);

	if (!request) {
		mesh__port_disown(reply); /* closed without an answer, it says so */
		return;
	}
	*request = (struct mesh__claim_request){.node = *id, .reply = reply};
	STAILQ_INSERT_TAIL(&node->claim_requests, request, next);
	mesh__poller_kick_home(&node->poller);
}

void mesh__leadership_serve_claim(struct mesh_node *node, struct mesh__control *control, struct mesh_message *message)
{
	struct mesh__claim claim;
	struct pal_error error;

	if (mesh__control_read_claim(message, &claim, &error) < 0)
		mesh__port_fail(control->port, pal_error_text(&error));
	else if (claim.kind == MESH__CLAIM_MORE_PORTS)
		mesh__control_add(node, mesh_message_take_port(message, claim.port), MESH__CONTROL_CLAIMS, NULL);
	else
		claim_later(node, &claim.node, mesh_message_take_port(message, claim.reply));
	mesh__event_message_free(&node->space, message);
}

/* Of one follower: those on which it asks. More than one is rare. */
struct request_ports {
	struct mesh_port **ports;
	size_t count;
};

/* What is handed over, and what the old leader needs as a follower. */
struct handover {
	struct mesh__handed_over *list;
	struct request_ports *requests; /* of each of them, but for the old leader */
	size_t reserved, count;
	struct mesh_port *request_out, *request_in, *order_out, *order_in;
};

static int prepare(struct mesh_node *node, struct handover *handover)
{
	int r = mesh__port_pair(&node->space, &handover->request_out, &handover->request_in);

	return r < 0 ? r : mesh__port_pair(&node->space, &handover->order_out, &handover->order_in);
}

/* With the lock, before anything has been changed. */
static int reserve(struct mesh_node *node, struct handover *handover)
{
	size_t count = HASH_COUNT(node->followers);
	struct mesh__follower *follower, *next;

	handover->list = calloc(count + 1, sizeof *handover->list);
	handover->requests = calloc(count, sizeof *handover->requests);
	if (!handover->list || !handover->requests)
		return -ENOMEM;
	HASH_ITER(hh, node->followers, follower, next) {
		struct request_ports *requests = &handover->requests[handover->reserved++];

		requests->ports = calloc(follower->request_ports, sizeof(struct mesh_port *));
		if (!requests->ports)
			return -ENOMEM;
	}
	return mesh__control_add(node, PAL_TAKE_POINTER(handover->order_in), MESH__CONTROL_ORDERS, NULL);
}

static void take_requests(struct mesh_node *node, const struct mesh__follower *follower, struct request_ports *ret)
{
	struct mesh__control *control = TAILQ_FIRST(&node->controls);

	while (control) {
		struct mesh__control *next = TAILQ_NEXT(control, in_all);

		if (control->follower == follower)
			ret->ports[ret->count++] = mesh__control_release(node, control);
		control = next;
	}
}

static void withdraw_offers(struct mesh_node *node)
{
	struct mesh__control *control = TAILQ_FIRST(&node->controls);

	while (control) {
		struct mesh__control *next = TAILQ_NEXT(control, in_all);

		if (control->role == MESH__CONTROL_CLAIMS)
			mesh__port_disown(mesh__control_release(node, control));
		control = next;
	}
}

/* With the lock: from here on this node follows. */
static int resign(struct mesh_node *node, const struct mesh_id *successor, struct handover *handover)
{
	struct mesh__follower *new, *follower, *next;
	int r;

	HASH_FIND(hh, node->followers, successor, sizeof *successor, new);
	if (!node->leader || node->leaving || !new)
		return -ENOENT;
	r = reserve(node, handover);
	if (r < 0)
		return r;
	HASH_ITER(hh, node->followers, follower, next) {
		if (follower != new && !mesh__leader_connect(new, follower))
			pal_log(PAL_LOG_WARNING, "mesh: a node has not been connected with its new leader: no socket");
	}
	HASH_ITER(hh, node->followers, follower, next) {
		struct mesh__handed_over *entry = &handover->list[handover->count];

		take_requests(node, follower, &handover->requests[handover->count++]);
		*entry = (struct mesh__handed_over){
			.node = follower->node, .orders = PAL_TAKE_POINTER(follower->orders)};
		mesh__leader_forget(node, follower);
	}
	handover->list[handover->count] = (struct mesh__handed_over){.node = node->space.node,
		.requests = PAL_TAKE_POINTER(handover->request_in),
		.orders = PAL_TAKE_POINTER(handover->order_out)};
	node->requests = PAL_TAKE_POINTER(handover->request_out);
	node->leader = false;
	withdraw_offers(node);
	return 0;
}

static int send_port_to_read(struct mesh_port *to, struct mesh_port *port)
{
	struct mesh_writer *writer = mesh_writer_new();
	struct mesh_message *message;
	int r;

	mesh_writer_put_port(writer, MORE_PORTS_FIELD, port);
	r = mesh_writer_finish(writer, &message);
	return r < 0 ? r : mesh_port_send(to, message);
}

/* Takes all of them, also on failure. */
static int join_requests(struct mesh_node *node, struct request_ports *requests, struct mesh_port **ret)
{
	struct mesh_port *all;
	int r = requests->count > 1 ? mesh__port_pair(&node->space, &all, ret) : 0;

	if (requests->count == 1) {
		*ret = requests->ports[0];
		return 0;
	}
	for (size_t i = 0; i < requests->count; i++) {
		if (r == 0)
			r = send_port_to_read(all, requests->ports[i]);
		else
			mesh_port_free(requests->ports[i]);
	}
	if (*ret)
		mesh_port_free(all);
	return r;
}

/* Without the lock. All that was taken is gone afterwards, one way or the other. */
static int deliver(struct mesh_node *node, struct handover *handover, struct mesh_port *reply)
{
	struct mesh_message *message;
	int r = 0;

	for (size_t i = 0; i < handover->count; i++) {
		int joined = join_requests(node, &handover->requests[i], &handover->list[i].requests);

		if (r == 0)
			r = joined;
	}
	if (r == 0) {
		r = mesh__control_write_followers(handover->list, handover->count + 1, &message);
		return r < 0 ? r : mesh_port_send(reply, message);
	}
	for (size_t i = 0; i <= handover->count; i++) {
		mesh_port_free(handover->list[i].requests);
		mesh_port_free(handover->list[i].orders);
	}
	return r;
}

static void clear(struct handover *handover)
{
	for (size_t i = 0; i < handover->reserved; i++)
		free(handover->requests[i].ports);
	free(handover->requests);
	free(handover->list);
	mesh_port_free(handover->request_out);
	mesh_port_free(handover->request_in);
	mesh_port_free(handover->order_out);
	mesh_port_free(handover->order_in);
}

/* With the lock, which it releases meanwhile: ports inside a message may be this node's own. */
static void hand_over(struct mesh_node *node, const struct mesh__claim_request *claim)
{
	struct handover handover = {.count = 0};
	int r;

	mesh__space_unlock(&node->space);
	r = prepare(node, &handover);
	mesh__space_lock(&node->space);
	mesh__leader_answer_invites(node); /* nobody who has asked this node is sent away */
	if (r == 0)
		r = resign(node, &claim->node, &handover);
	mesh__space_unlock(&node->space);
	if (r == 0)
		r = deliver(node, &handover, claim->reply);
	if (r < 0)
		pal_log(PAL_LOG_WARNING, "mesh: handing the leadership over: %s", strerrordesc_np(-r));
	mesh_port_free(claim->reply);
	clear(&handover);
	mesh__space_lock(&node->space);
}

void mesh__leadership_hand_over(struct mesh_node *node)
{
	struct mesh__claim_request *claim;

	while ((claim = STAILQ_FIRST(&node->claim_requests))) {
		STAILQ_REMOVE_HEAD(&node->claim_requests, next);
		hand_over(node, claim);
		free(claim);
	}
}

/* ---- the new one ---- */

struct taking {
	struct mesh_node *node;
	struct mesh_message *message;
};

static void take_follower(void *arg, const struct mesh_id *id, size_t requests, size_t orders)
{
	struct taking *taking = arg;
	struct mesh_port *request_in = mesh_message_take_port(taking->message, requests);
	struct mesh_port *order_out = mesh_message_take_port(taking->message, orders);

	if (mesh__leader_take_over(taking->node, id, request_in, order_out) < 0)
		pal_log(PAL_LOG_WARNING, "mesh: a node that was handed over is lost");
}

void mesh__leadership_serve_followers(
	struct mesh_node *node, struct mesh__control *control, struct mesh_message *message)
{
	struct taking taking = {node, message};
	struct pal_error error;

	if (mesh__control_read_followers(message, take_follower, &taking, &error) < 0) {
		mesh__port_fail(control->port, pal_error_text(&error));
	} else {
		node->leader = true;
		node->claiming = false;
		mesh__port_disown(mesh__control_release(node, control));
		mesh__node_wake_idle(node);
	}
	mesh__event_message_free(&node->space, message);
}

static bool is_decided(struct mesh_node *node)
{
	return !node->claiming || node->leaving;
}

static int await_followers(struct mesh_node *node, pal_deadline deadline)
{
	(void)mesh__node_wait_until(node, is_decided, deadline, NULL);
	if (node->leader)
		return 0;
	if (node->leaving)
		return -ESHUTDOWN;
	return node->claiming ? -ETIMEDOUT : -ECONNREFUSED;
}

/* With the lock. Consumes the port. */
static int begin_to_claim(struct mesh_node *node, struct mesh_port *followers)
{
	if (node->leader || node->claiming || node->leaving) {
		mesh__port_disown(followers);
		return node->leaving ? -ESHUTDOWN : -EALREADY;
	}
	node->claiming = mesh__control_add(node, followers, MESH__CONTROL_FOLLOWERS, NULL) == 0;
	return node->claiming ? 0 : -ENOMEM;
}

/* Consumes the offer. */
static int claim(struct mesh_node *node, struct mesh_port *offered, pal_deadline deadline)
{
	struct mesh_port *reply, *followers;
	struct mesh_message *message = NULL;
	int r = mesh__port_pair(&node->space, &reply, &followers);

	if (r == 0) {
		mesh__space_lock(&node->space);
		r = begin_to_claim(node, followers);
		mesh__space_unlock(&node->space);
		if (r < 0)
			mesh_port_free(reply);
	}
	if (r == 0)
		r = mesh__control_write_claim(&node->space.node, reply, &message);
	if (r == 0)
		r = mesh_port_send_and_free(PAL_TAKE_POINTER(offered), message);
	mesh_port_free(offered);
	if (r < 0)
		return r;
	mesh__space_lock(&node->space);
	r = await_followers(node, deadline);
	mesh__space_unlock(&node->space);
	return r;
}

int mesh_node_take_leadership(
	struct mesh_node *node, struct mesh_port *offered, pal_deadline deadline, struct pal_error *error)
{
	int r = -EINVAL;

	if (node && offered && mesh__is_inherited(node->space.forks))
		r = -EPERM;
	else if (node && offered)
		r = claim(node, PAL_TAKE_POINTER(offered), deadline);
	mesh_port_free(offered);
	if (r < 0)
		return pal_error_set(error, MESH_STAGE_NODE, r, "taking the leadership");
	return 0;
}

bool mesh_node_is_leader(struct mesh_node *node)
{
	bool leader;

	if (!node || mesh__is_inherited(node->space.forks))
		return false;
	mesh__space_lock(&node->space);
	leader = node->leader;
	mesh__space_unlock(&node->space);
	return leader;
}
