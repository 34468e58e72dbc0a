/* SPDX-License-Identifier: MIT */
#include <mesh/node-priv.h>

#include <errno.h>
#include <poll.h>
#include <stdlib.h>

#include <mesh/control-priv.h>
#include <mesh/port.h>
#include <pal/util-priv.h>

static struct mesh_node *node_of(struct mesh__poller *poller)
{
	return PAL_CONTAINER_OF(poller, struct mesh_node, poller);
}

/* Only a copy: this is a child of the process that has it. */
static bool is_inherited(const struct mesh_node *node)
{
	return mesh__is_inherited(node->space.forks);
}

void mesh__node_wake_idle(struct mesh_node *node)
{
	struct mesh__waiter *waiter;

	TAILQ_FOREACH(waiter, &node->idle_waiters, of_port)
		mesh__waiter_wake(waiter);
}

static void unlock(struct mesh__poller *poller)
{
	mesh__space_unlock(&node_of(poller)->space);
}

/* Messages that were given up hold ports: closing those must not wait until somebody happens to release the lock. */
static bool settle(struct mesh__poller *poller)
{
	struct mesh_node *node = node_of(poller);

	if (STAILQ_EMPTY(&node->space.discarded))
		return false;
	mesh__space_unlock(&node->space);
	mesh__space_lock(&node->space);
	return true;
}

/* ---- the driving thread's turn ---- */

static void on_ready(struct mesh__poller *poller, void *data, uint32_t events)
{
	mesh__peer_ready(node_of(poller), data, events);
}

static void after_turn(struct mesh__poller *poller)
{
	struct mesh_node *node = node_of(poller);

	mesh__node_serve(node);
	mesh__peer_retry_stuck(node);
	mesh__node_wake_idle(node);
	mesh__port_tell_senders(node);
}

static bool at_home(struct mesh__poller *poller)
{
	struct mesh_node *node = node_of(poller);

	if (is_inherited(node))
		return false;
	mesh__node_serve(node); /* another thread may have left something that only a turn does */
	mesh__leader_answer_invites(node);
	mesh__leadership_hand_over(node);
	return mesh__port_run_ready(node);
}

static bool home_is_behind(struct mesh__poller *poller)
{
	return mesh__port_home_is_behind(node_of(poller));
}

static const struct mesh__poller_ops poller_ops = {.unlock = unlock,
	.settle = settle,
	.ready = on_ready,
	.after = after_turn,
	.home = at_home,
	.home_is_behind = home_is_behind};

static void serve_peers(struct mesh_node *node)
{
	struct mesh__peer *peer;

	while ((peer = TAILQ_FIRST(&node->due_peers))) {
		enum mesh__peer_task task = peer->task;

		if (task == MESH__TASK_CONNECT && node->joining)
			return; /* the leader's first message brings the means to ask */
		TAILQ_REMOVE(&node->due_peers, peer, due);
		peer->task = MESH__TASK_NONE;
		if (task == MESH__TASK_CONNECT)
			mesh__follower_ask(node, peer);
		else if (peer->connected)
			mesh__link_give_up(&peer->link); /* it lost an event before it had a link; whoever drives will see the end */
		else
			mesh__peer_lose(node, peer);
	}
}

static void serve_control(struct mesh_node *node, struct mesh__control *control, struct mesh_message *message)
{
	switch (control->role) {
	case MESH__CONTROL_ORDERS:
		mesh__follower_serve(node, control, message);
		break;
	case MESH__CONTROL_REQUESTS:
		mesh__leader_serve(node, control, message);
		break;
	case MESH__CONTROL_CLAIMS:
		mesh__leadership_serve_claim(node, control, message);
		break;
	case MESH__CONTROL_FOLLOWERS:
		mesh__leadership_serve_followers(node, control, message);
		break;
	}
}

/* Nothing more comes on its port. */
static void end_control(struct mesh_node *node, struct mesh__control *control)
{
	struct mesh__follower *follower = control->follower;
	enum mesh__control_role role = control->role;

	mesh__port_disown(mesh__control_release(node, control));
	if (role == MESH__CONTROL_FOLLOWERS)
		node->claiming = false;
	if (follower)
		mesh__leader_request_port_ended(node, follower);
}

void mesh__node_serve_controls(struct mesh_node *node)
{
	struct mesh__control *control;
	struct mesh_message *message;

	while ((control = TAILQ_FIRST(&node->due_controls))) {
		message = mesh__port_take(control->port);
		if (message) {
			serve_control(node, control, message);
			continue;
		}
		TAILQ_REMOVE(&node->due_controls, control, in_due);
		control->due = false;
		if (mesh__port_end(control->port))
			end_control(node, control);
	}
}

void mesh__node_serve(struct mesh_node *node)
{
	while ((TAILQ_FIRST(&node->due_peers) && !node->joining) || TAILQ_FIRST(&node->due_controls)) {
		/*
		 * Orders first: one may be the link to a peer that the other task would give up because the leader is
		 * gone, and the other end of that link would never learn that its port's partner has failed.
		 */
		mesh__node_serve_controls(node);
		serve_peers(node);
	}
}

/* ---- making ---- */

static struct mesh_node *alloc_node(void)
{
	struct mesh_node *node = calloc(1, sizeof *node);

	if (node)
		node->inbox = malloc(sizeof *node->inbox);
	if (node && !node->inbox) {
		free(node);
		return NULL;
	}
	if (node)
		node->inbox->most = mesh__node_max_batch();
	return node;
}

void mesh__node_free_memory(struct mesh_node *node)
{
	free(node->inbox);
	free(node);
}

static int new_node(const struct mesh_id *id, const struct mesh_node_options *options, bool leader,
	struct mesh_node **ret, struct pal_error *error)
{
	struct mesh_node_options wanted;
	struct mesh_node *node;
	int result;

	result = mesh__node_read_options(options, &wanted);
	if (result < 0)
		return pal_error_set(error, MESH_STAGE_NODE, result, "options of a mesh node");
	node = alloc_node();
	if (!node)
		return pal_error_set(error, MESH_STAGE_NODE, -ENOMEM, "a mesh node");
	mesh__space_init(&node->space, &mesh__node_space_ops, id);
	node->space.max_message = node->max_message = wanted.max_message;
	node->space.max_held = (struct mesh__held){
		.bytes = wanted.max_unread, .events = wanted.max_unread_messages, .fds = wanted.max_unread_fds};
	node->space.max_stored = (struct mesh__held){.bytes = wanted.max_port_unread,
		.events = wanted.max_port_unread_messages,
		.fds = wanted.max_port_unread_fds};
	node->max_queued = mesh__node_queue_bounds(&wanted);
	node->max_guests = wanted.max_guests;
	node->max_introductions = wanted.max_introductions;
	node->base = wanted.base;
	node->leader = leader;
	node->farewell_ms = MESH__FAREWELL_MS;
	node->joining = !leader;
	TAILQ_INIT(&node->due_peers);
	TAILQ_INIT(&node->stuck_peers);
	TAILQ_INIT(&node->controls);
	TAILQ_INIT(&node->due_controls);
	STAILQ_INIT(&node->invite_requests);
	STAILQ_INIT(&node->claim_requests);
	TAILQ_INIT(&node->ready);
	TAILQ_INIT(&node->senders);
	TAILQ_INIT(&node->idle_waiters);
	result = mesh__poller_init(&node->poller, &poller_ops, &node->space.lock, wanted.base);
	if (result < 0) {
		mesh__space_deinit(&node->space);
		mesh__node_free_memory(node);
		return pal_error_set(error, MESH_STAGE_NODE, result, "epoll, eventfd or thread of a mesh node");
	}
	*ret = node;
	return 0;
}

int mesh_node_new(const struct mesh_node_options *options, struct mesh_node **ret, struct pal_error *error)
{
	struct mesh_id id;
	int result;

	if (!ret)
		return pal_error_set(error, MESH_STAGE_NODE, -EINVAL, "mesh_node_new");
	result = mesh__id_random(&id);
	if (result < 0)
		return pal_error_set(error, MESH_STAGE_NODE, result, "getrandom");
	return new_node(&id, options, true, ret, error);
}

/* ---- joining ---- */

/*
 * Nobody is at the other end, or the inviter has shut it down both ways. Its first message may lie in the socket
 * all the same, but leads nowhere. (One that leaves in order shuts down its sending alone, and waits for this node.)
 */
static bool is_hung_up(int fd)
{
	struct pollfd poller = {.fd = fd};

	return poll(&poller, 1, 0) == 1 && poller.revents & POLLHUP;
}

static int connect_to_inviter(struct mesh_node *node, struct mesh_invitation *invitation, struct mesh_port **ret)
{
	struct mesh__peer *peer;
	int result;

	if (is_hung_up(invitation->fd))
		return -ECONNRESET;
	peer = mesh__peer_get(node, &invitation->remote_node);
	if (!peer)
		return -ENOMEM;
	result = mesh__port_new_remote(
		&node->space, &invitation->local_port, &peer->remote, &invitation->remote_port, ret);
	if (result < 0)
		return result;
	return mesh__peer_connect(node, peer, pal_take_fd(&invitation->fd));
}

/* The leader's first message: how to ask it, how it orders, and the user's port. */
static int take_first_message(struct mesh_node *node, struct mesh_message *message, struct mesh_port **ret_port,
	struct pal_error *error)
{
	struct mesh__initial initial;
	int result;

	if (mesh__control_read_initial(message, &initial, error) < 0)
		return -EPROTO;
	mesh__space_lock(&node->space);
	node->requests = mesh_message_take_port(message, initial.requests);
	result = mesh__control_add(node, mesh_message_take_port(message, initial.orders), MESH__CONTROL_ORDERS, NULL);
	node->joining = false;
	mesh__node_serve(node); /* nodes that were named meanwhile are asked for now */
	mesh__space_unlock(&node->space);
	if (!result)
		*ret_port = mesh_message_take_port(message, initial.user);
	return result;
}

static int join(struct mesh_node *node, struct mesh_invitation *invitation, pal_deadline deadline,
	struct mesh_port **ret_port, struct pal_error *error)
{
	struct mesh_message *message = NULL;
	struct mesh_port *first = NULL;
	int result;

	mesh__space_lock(&node->space);
	result = connect_to_inviter(node, invitation, &first);
	mesh__space_unlock(&node->space);
	if (!result)
		result = mesh_port_recv(first, deadline, &message, NULL);
	if (result == -EPIPE)
		result = -EPROTO;
	if (!result)
		result = take_first_message(node, message, ret_port, error);
	mesh_message_free(message);
	mesh_port_free(first);
	if (result < 0)
		return pal_error_set(error, MESH_STAGE_JOIN, result, "the inviter's first message");
	return 0;
}

int mesh_node_join(struct mesh_invitation *invitation, const struct mesh_node_options *options, pal_deadline deadline,
	struct mesh_node **ret, struct mesh_port **ret_port, struct pal_error *error)
{
	struct mesh_node *node = NULL;
	int result;

	if (!invitation || !ret || !ret_port || invitation->fd < 0) {
		mesh_invitation_clear(invitation);
		return pal_error_set(error, MESH_STAGE_JOIN, -EINVAL, "mesh_node_join");
	}
	result = new_node(&invitation->local_node, options, false, &node, error);
	if (!result)
		result = join(node, invitation, deadline, ret_port, error);
	mesh_invitation_clear(invitation);
	if (result < 0) {
		mesh_node_free(node);
		return result;
	}
	*ret = node;
	return 0;
}

int mesh_node_invite(struct mesh_node *node, struct mesh_port *port, struct mesh_invitation *ret,
	struct pal_error *error)
{
	int result;

	if (!node || !port || !ret) {
		mesh_port_free(port);
		return pal_error_set(error, MESH_STAGE_INVITATION, -EINVAL, "mesh_node_invite");
	}
	if (is_inherited(node) || mesh__port_is_inherited(port)) {
		mesh_port_free(port);
		return pal_error_set(error, MESH_STAGE_INVITATION, -EPERM, "inviting by another process's node, or with its port");
	}
	if (!node->leader) {
		mesh_port_free(port);
		return pal_error_set(error, MESH_STAGE_INVITATION, -EOPNOTSUPP, "only the leader invites");
	}
	result = mesh__leader_invite(node, port, NULL, ret);
	if (result < 0)
		return pal_error_set(error, MESH_STAGE_INVITATION, result, "inviting a node");
	return 0;
}

int mesh_node_evict(struct mesh_node *node, const struct mesh_id *id)
{
	struct mesh__peer *peer;
	int result = -ENOENT;

	if (!node || !id)
		return -EINVAL;
	if (is_inherited(node))
		return -EPERM;
	if (!node->leader)
		return -EOPNOTSUPP;
	mesh__space_lock(&node->space);
	peer = mesh__peer_find(node, id);
	if (peer && peer->connected) {
		mesh__leader_announce_end(node, id);
		/* The socket gives what it holds, then end of file, to whoever drives: only that thread ends a link. */
		mesh__link_give_up(&peer->link);
		result = 0;
	}
	mesh__space_unlock(&node->space);
	return result;
}

bool mesh_node_is_home(struct mesh_node *node)
{
	bool home;

	if (!node || is_inherited(node))
		return false;
	mesh__space_lock(&node->space);
	home = mesh__poller_is_home(&node->poller);
	mesh__space_unlock(&node->space);
	return home;
}
