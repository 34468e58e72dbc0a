/* SPDX-License-Identifier: MIT */
#include <mesh/node-priv.h>

#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>

#include <pal/log.h>
#include <pal/util-priv.h>

static struct mesh__peer *peer_of(struct mesh__remote *remote)
{
	return PAL_CONTAINER_OF(remote, struct mesh__peer, remote);
}

static void set_retried(struct mesh_node *node, struct mesh__peer *peer, bool retried)
{
	if (retried == peer->retried)
		return;
	peer->retried = retried;
	if (retried)
		TAILQ_INSERT_TAIL(&node->stuck_peers, peer, in_stuck);
	else
		TAILQ_REMOVE(&node->stuck_peers, peer, in_stuck);
}

static void update_writing(struct mesh_node *node, struct mesh__peer *peer)
{
	bool wanted = mesh__link_wants_write(&peer->link);

	if (wanted != peer->writing) {
		peer->writing = wanted;
		mesh__poller_change(&node->poller, peer->link.fd, EPOLLIN | EPOLLRDHUP | (wanted ? EPOLLOUT : 0u), peer);
	}
	if (peer->link.stuck)
		mesh__poller_timer(&node->poller, MESH__STUCK_RETRY_MS);
	set_retried(node, peer, peer->link.stuck);
}

static void send_event(struct mesh_node *node, struct mesh__peer *peer, const struct mesh_id *port,
	struct mesh__event *event)
{
	int fds[MESH_MESSAGE_MAX_FDS], result;
	size_t size, fd_count;
	uint8_t *room;

	if (mesh__space_check_encoding(&peer->remote, port, event, &size) < 0)
		return;
	room = mesh__link_room(&peer->link, size);
	result = room ? mesh__link_prepare(&peer->link, room) : 0;
	if (result < 0) {
		mesh__link_drop_room(&peer->link, room);
		pal_log(PAL_LOG_WARNING, "mesh: failing a port: a memfd for its message of %zu bytes: %s", size,
			strerrordesc_np(-result));
		mesh__space_fail_encoding(&peer->remote, port, event);
		return;
	}
	result = mesh__space_encode_at(&peer->remote, port, event, room, fds, &fd_count);
	if (result < 0) {
		/* The event is lost, and with it the order of a port: only the loss of the link is an honest answer. */
		if (room)
			mesh__link_drop_room(&peer->link, room);
		mesh__link_give_up(&peer->link);
		return;
	}
	mesh__link_send(&peer->link, room, fds, fd_count);
	update_writing(node, peer);
}

static void park(struct mesh_node *node, struct mesh__peer *peer, const struct mesh_id *port, struct mesh__event *event)
{
	struct mesh__parked_event *parked = malloc(sizeof *parked);
	struct mesh__queued more;
	struct mesh__held cost;

	if (!parked) {
		mesh__event_free(event);
		mesh__peer_set_task(node, peer, MESH__TASK_LOSE);
		return;
	}
	*parked = (struct mesh__parked_event){.port = *port, .event = event};
	STAILQ_INSERT_TAIL(&peer->parked, parked, next);
	cost = mesh__message_cost(event->message);
	more = mesh__peer_queued_cost(&cost);
	mesh__queued_add(&peer->parked_cost, &more);
}

static void post(struct mesh__remote *remote, const struct mesh_id *port, struct mesh__event *event)
{
	struct mesh_node *node = mesh__node_of(remote->space);
	struct mesh__peer *peer = peer_of(remote);

	if (peer->connected)
		send_event(node, peer, port, event);
	else
		park(node, peer, port, event);
}

static void free_peer(struct mesh__remote *remote)
{
	mesh__leader_peer_freed(peer_of(remote));
	free(peer_of(remote));
}

static void give_up(struct mesh__remote *remote)
{
	struct mesh__peer *peer = peer_of(remote);

	if (peer->connected)
		mesh__link_give_up(&peer->link);
	else
		mesh__peer_set_task(mesh__node_of(remote->space), peer, MESH__TASK_LOSE);
}

static const struct mesh__remote_ops remote_ops = {.post = post, .free = free_peer, .give_up = give_up, .has_room = mesh__peer_has_room};

struct mesh__peer *mesh__peer_find(struct mesh_node *node, const struct mesh_id *id)
{
	struct mesh__peer *peer;

	HASH_FIND(hh, node->peers, id, sizeof *id, peer);
	return peer;
}

struct mesh__peer *mesh__peer_get(struct mesh_node *node, const struct mesh_id *id)
{
	struct mesh__peer *peer = mesh__peer_find(node, id);

	if (peer)
		return peer;
	peer = calloc(1, sizeof *peer);
	if (!peer)
		return NULL;
	peer->remote = (struct mesh__remote){.ops = &remote_ops, .space = &node->space, .id = *id, .refs = 1};
	STAILQ_INIT(&peer->parked);
	HASH_ADD(hh, node->peers, remote.id, sizeof peer->remote.id, peer);
	if (!peer->hh.tbl) {
		free(peer);
		return NULL;
	}
	return peer;
}

void mesh__peer_set_task(struct mesh_node *node, struct mesh__peer *peer, enum mesh__peer_task task)
{
	if (peer->task == MESH__TASK_NONE)
		TAILQ_INSERT_TAIL(&node->due_peers, peer, due);
	if (peer->task < task)
		peer->task = task;
}

/* The machine met a node id: known, or to be introduced by the leader. */
static struct mesh__remote *remote_by_id(struct mesh__space *space, const struct mesh_id *id)
{
	struct mesh_node *node = mesh__node_of(space);
	struct mesh__peer *peer = mesh__peer_find(node, id);

	if (!peer) {
		peer = mesh__peer_get(node, id);
		if (!peer)
			return NULL;
		/* The first leader knows every node there is, so one that it does not know is gone. */
		mesh__peer_set_task(
			node, peer, node->leader && !node->requests ? MESH__TASK_LOSE : MESH__TASK_CONNECT);
	}
	return mesh__remote_ref(&peer->remote);
}

const struct mesh__space_ops mesh__node_space_ops = {.remote = remote_by_id};

static void drop_parked(struct mesh__peer *peer)
{
	struct mesh__parked_event *parked;

	while ((parked = STAILQ_FIRST(&peer->parked))) {
		STAILQ_REMOVE_HEAD(&peer->parked, next);
		mesh__event_free(parked->event);
		free(parked);
	}
	peer->parked_cost = (struct mesh__queued){0};
}

int mesh__peer_connect(struct mesh_node *node, struct mesh__peer *peer, int socket)
{
	struct mesh__parked_event *parked;
	int result;

	result = mesh__poller_add(&node->poller, socket, EPOLLIN | EPOLLRDHUP, peer);
	if (result < 0) {
		pal_close(socket);
		return result;
	}
	mesh__link_init(&peer->link, socket, node->inbox, &node->max_queued, node->max_message);
	if (peer->guest_list)
		peer->link.shared = &peer->guest_list->queued;
	peer->connected = true;
	peer->writing = false;
	node->connected_count++;
	node->links_made++;
	while ((parked = STAILQ_FIRST(&peer->parked))) {
		STAILQ_REMOVE_HEAD(&peer->parked, next);
		send_event(node, peer, &parked->port, parked->event);
		free(parked);
	}
	peer->parked_cost = (struct mesh__queued){0};
	return 0;
}

/* Without its leader a node cannot be introduced to anybody any more: whoever waits for that is told. */
static void leader_is_lost(struct mesh_node *node)
{
	struct mesh__peer *peer, *next;

	/* What it ordered with its last breath counts: the other side of such a link has it, too. */
	mesh__node_serve_controls(node);
	HASH_ITER(hh, node->peers, peer, next) {
		if (!peer->connected)
			mesh__peer_set_task(node, peer, MESH__TASK_LOSE);
	}
}

void mesh__peer_lose(struct mesh_node *node, struct mesh__peer *peer)
{
	if (peer->task != MESH__TASK_NONE) {
		TAILQ_REMOVE(&node->due_peers, peer, due);
		peer->task = MESH__TASK_NONE;
	}
	if (peer->connected) {
		mesh__poller_remove(&node->poller, peer->link.fd);
		peer->connected = false;
		node->connected_count--;
		set_retried(node, peer, false);
		mesh__link_deinit(&peer->link);
	}
	HASH_DELETE(hh, node->peers, peer);
	mesh__leader_peer_lost(peer);
	drop_parked(peer);
	mesh__space_lost(&node->space, &peer->remote);
	if (node->requests && mesh__port_end(node->requests))
		leader_is_lost(node);
	mesh__remote_unref(&peer->remote);
}

static int deliver(void *userdata, struct mesh__incoming *event, int *fds, size_t fd_count)
{
	struct mesh__peer *peer = userdata;

	return mesh__space_receive(peer->remote.space, &peer->remote, event, fds, fd_count);
}

static bool wants(void *userdata, const struct mesh__incoming *event)
{
	struct mesh__peer *peer = userdata;

	return mesh__space_wants(peer->remote.space, &peer->remote, event);
}

static void unlock(void *userdata)
{
	mesh__space_unlock(((struct mesh__peer *)userdata)->remote.space);
}

static void lock(void *userdata)
{
	mesh__space_lock(((struct mesh__peer *)userdata)->remote.space);
}

static const struct mesh__link_reader reader = {
	.deliver = deliver, .wants = wants, .unlock = unlock, .lock = lock};

/* Why the reading of a link has ended, for the log. */
static void log_end(struct mesh_node *node, const struct mesh__peer *peer, int result)
{
	const struct mesh__held *held = peer->remote.shared ? peer->remote.shared : &peer->remote.held;
	char id[9];

	mesh__id_short(&peer->remote.id, id);
	if (result == -ENOBUFS) {
		node->links_over_limit++;
		pal_log(PAL_LOG_WARNING, "mesh: giving up the link to node %s: it and its guests have made this one hold %zu bytes, "
			"%zu messages and %zu descriptors that nobody has received, more than the node's limits",
			id, held->bytes, held->events, held->fds);
	} else {
		pal_log(result == -EPIPE ? PAL_LOG_DEBUG : PAL_LOG_WARNING, "mesh: the link to node %s ended: %s", id,
			strerrordesc_np(-result));
	}
}

void mesh__peer_ready(struct mesh_node *node, struct mesh__peer *peer, uint32_t events)
{
	int result = 0;

	if (events & EPOLLOUT)
		mesh__link_flush(&peer->link);
	if (events & ~(uint32_t)EPOLLOUT)
		result = mesh__link_receive(&peer->link, MESH__PACKETS_PER_TURN, &reader, peer);
	if (result < 0) {
		log_end(node, peer, result);
		mesh__peer_lose(node, peer);
		return;
	}
	update_writing(node, peer);
}

void mesh__peer_retry_stuck(struct mesh_node *node)
{
	struct mesh__peer *peer, *next;

	/* A link that was given up meanwhile is stuck no more, and has nothing to flush. */
	for (peer = TAILQ_FIRST(&node->stuck_peers); peer; peer = next) {
		next = TAILQ_NEXT(peer, in_stuck); /* this one may leave the list, and it alone */
		mesh__peer_ready(node, peer, EPOLLOUT);
	}
}

void mesh__peer_finish_all(struct mesh_node *node)
{
	struct mesh__peer *peer, *next;

	HASH_ITER(hh, node->peers, peer, next) {
		if (peer->connected) {
			mesh__link_finish(&peer->link);
			update_writing(node, peer);
		} else {
			mesh__peer_lose(node, peer);
		}
	}
}

void mesh__peer_give_up_all(struct mesh_node *node)
{
	struct mesh__peer *peer, *next;

	HASH_ITER(hh, node->peers, peer, next) {
		/* A thread that drives may hold an event for this peer: it sees the end of the link, and forgets it. */
		if (peer->connected)
			mesh__link_give_up(&peer->link);
		else
			mesh__peer_lose(node, peer);
	}
}
