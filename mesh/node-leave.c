/* SPDX-License-Identifier: MIT */
#include <mesh/node-priv.h>

#include <errno.h>
#include <linux/sockios.h>
#include <stdio.h>
#include <sys/ioctl.h>

#include <mesh/control-priv.h>
#include <mesh/port.h>
#include <pal/util-priv.h>

/* A node leaves the mesh, in order or not, and is freed. */

bool mesh__node_wait_until(
	struct mesh_node *node, bool (*done)(struct mesh_node *), pal_deadline deadline, const bool *enough)
{
	struct mesh__waiter waiter;
	bool in_time = true;

	if (mesh__waiter_init(&waiter) < 0)
		return done(node);
	TAILQ_INSERT_TAIL(&node->idle_waiters, &waiter, of_port);
	while (!done(node) && in_time && !(enough && *enough))
		in_time = mesh__poller_wait(&node->poller, &waiter, deadline);
	TAILQ_REMOVE(&node->idle_waiters, &waiter, of_port);
	mesh__waiter_deinit(&waiter);
	return done(node);
}

/*
 * Nothing of this node's is on its way, nothing waits for a link to a node that it
 * has not met yet, and what was closed here is known to be closed: until the
 * other end says so, an old home of this port may still have to find this node.
 */
static bool nothing_moves(struct mesh_node *node)
{
	struct mesh__peer *peer, *next;
	struct mesh__port_far *far, *other;

	HASH_ITER(hh, node->space.ports, far, other) {
		const struct mesh_port *port = far->port;

		if (port->local_closed && port->state == MESH__PEERED)
			return false;
	}
	HASH_ITER(hh, node->peers, peer, next) {
		if (!peer->connected && peer->parked_cost.packets)
			return false;
	}
	return mesh__space_moving(&node->space) == 0;
}

/* Each link is finished: its last word is in the socket. */
static bool nothing_queued(struct mesh_node *node)
{
	struct mesh__peer *peer, *next;

	HASH_ITER(hh, node->peers, peer, next) {
		if (peer->connected && !peer->link.shut)
			return false;
	}
	return true;
}

static bool no_links(struct mesh_node *node)
{
	return node->connected_count == 0;
}

/* Something of what was sent is in the kernel, not read yet. */
static bool is_unread(struct mesh_node *node)
{
	struct mesh__peer *peer, *next;
	int bytes;

	HASH_ITER(hh, node->peers, peer, next) {
		if (peer->connected && !ioctl(peer->link.fd, SIOCOUTQ, &bytes) && bytes)
			return true;
	}
	return false;
}

/* The kernel does not say when the other end has read: how often to look while it has the time of a farewell. */
#define LOOKS_PER_FAREWELL 20u

static pal_deadline earlier(pal_deadline a, pal_deadline b)
{
	return a < b ? a : b;
}

/*
 * Until the other ends have said their last word, too. One that has read all and stays open must not hold this
 * node: that one has the time of a farewell.
 */
static bool wait_for_others(struct mesh_node *node, pal_deadline deadline)
{
	pal_deadline farewell = PAL_DEADLINE_NONE;
	bool unread = false, was_unread = true;

	do {
		pal_deadline look = pal_deadline_after_ms(node->farewell_ms / LOOKS_PER_FAREWELL + 1);

		unread = is_unread(node);
		if (unread || was_unread)
			farewell = pal_deadline_after_ms(node->farewell_ms);
		was_unread = unread;
		if (mesh__node_wait_until(node, no_links, earlier(earlier(look, farewell), deadline), &node->hurried))
			return true;
	} while (!node->hurried && pal_deadline_left_ms(deadline) != 0 &&
		 (unread || pal_deadline_left_ms(farewell) != 0));
	return false;
}

static bool leave(struct mesh_node *node, pal_deadline deadline)
{
	bool orderly;

	orderly = mesh__node_wait_until(node, nothing_moves, deadline, &node->hurried);
	node->parting = true;
	mesh__leader_stop(node);
	mesh__control_remove_all(node);
	if (node->requests)
		mesh__port_disown(PAL_TAKE_POINTER(node->requests));
	mesh__space_run(&node->space);
	mesh__peer_finish_all(node);
	if (!mesh__node_wait_until(node, nothing_queued, deadline, &node->hurried) || !wait_for_others(node, deadline)) {
		orderly = false;
		mesh__peer_give_up_all(node);
		mesh__node_wait_until(node, no_links, pal_deadline_after_ms(MESH__FAREWELL_MS), NULL);
	}
	/* Pairs that have both ends here end too: threads that wait on them must not hold up mesh_node_free. */
	mesh__space_close(&node->space);
	return orderly;
}

static bool has_left(struct mesh_node *node)
{
	return node->left;
}

/* Whoever is not the first waits for that one, and learns what he does. */
static bool leave_once(struct mesh_node *node, pal_deadline deadline)
{
	if (node->leaving)
		return mesh__node_wait_until(node, has_left, deadline, NULL) && node->orderly;
	node->leaving = true;
	node->orderly = leave(node, deadline);
	node->left = true;
	mesh__node_wake_idle(node);
	return node->orderly;
}

int mesh_node_shutdown(struct mesh_node *node, pal_deadline deadline, struct pal_error *error)
{
	bool orderly;

	if (!node)
		return pal_error_set(error, MESH_STAGE_SHUTDOWN, -EINVAL, "mesh_node_shutdown");
	if (mesh__is_inherited(node->space.forks))
		return pal_error_set(error, MESH_STAGE_SHUTDOWN, -EPERM, "shutting down another process's node");
	mesh__space_lock(&node->space);
	orderly = leave_once(node, deadline);
	mesh__space_unlock(&node->space);
	if (!orderly)
		return pal_error_set(error, MESH_STAGE_SHUTDOWN, -ETIMEDOUT, "leaving the mesh");
	return 0;
}

/* The kernel knows what the node waits for, and has not been interrupted in the middle of it (proc_pid_fdinfo(5)). */
static void close_what_is_polled(int epoll_fd)
{
	char path[64], line[256];
	FILE *info;
	int fd;

	snprintf(path, sizeof path, "/proc/self/fdinfo/%d", epoll_fd);
	info = fopen(path, "re");
	while (info && fgets(line, sizeof line, info)) {
		if (sscanf(line, "tfd: %d", &fd) == 1)
			pal_close(fd);
	}
	if (info)
		fclose(info);
}

/*
 * In a child: its copies of the sockets go, so that they do not hide the end of the other process. Whether there is
 * something whole to be found is told by the lock. What may be half of a change is left alone.
 */
static void close_copies(struct mesh_node *node)
{
	struct mesh__peer *peer, *next;

	if (pthread_mutex_trylock(&node->space.lock)) {
		close_what_is_polled(node->poller.epoll_fd);
		return;
	}
	HASH_ITER(hh, node->peers, peer, next) {
		if (peer->connected)
			peer->link.fd = pal_close(peer->link.fd);
	}
	pthread_mutex_unlock(&node->space.lock);
}

/* A thread that is at it already does it without waiting any more, and has done with the node when this returns. */
static void leave_now(struct mesh_node *node)
{
	mesh__space_lock(&node->space);
	node->hurried = node->leaving;
	mesh__node_wake_idle(node);
	(void)leave_once(node, node->leaving ? PAL_DEADLINE_NONE : PAL_DEADLINE_NOW);
	mesh__space_unlock(&node->space);
}

static void end_and_free(struct mesh_node *node)
{
	leave_now(node);
	mesh__poller_deinit(&node->poller); /* with a last turn at home, which refuses the invitations still asked for */
	if (mesh__is_inherited(node->space.forks))
		return; /* by a callback of that turn */
	mesh__port_forget_senders(node);
	mesh__space_deinit(&node->space);
	mesh__node_free_memory(node);
}

void mesh_node_free(struct mesh_node *node)
{
	int saved = errno;

	if (!node)
		return;
	if (mesh__is_inherited(node->space.forks))
		close_copies(node);
	else
		end_and_free(node);
	errno = saved;
}
