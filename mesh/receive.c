/* SPDX-License-Identifier: MIT */
#include <mesh/port.h>

#include <errno.h>

#include <mesh/machine-priv.h>
#include <mesh/port-waiters-priv.h>

/* Receiving by waiting, and without. By callback: port.c. */

/* A pair whose node goes, but not the pair. Counted as one who enters, so that the lock stays as long as this needs it. */
static bool sleep_until_moved_out(struct mesh__space *space, struct mesh__waiter *waiter, pal_deadline deadline)
{
	bool in_time;

	__atomic_add_fetch(&space->entering, 1, __ATOMIC_RELAXED);
	in_time = mesh__waiter_sleep(waiter, &space->lock, deadline);
	if (!__atomic_sub_fetch(&space->entering, 1, __ATOMIC_ACQ_REL) && space->closing)
		pthread_cond_signal(&space->entered);
	return in_time;
}

bool mesh__port_wait_once(struct mesh__port_waiters *waiters, struct mesh__space **space, struct mesh__waiter *waiter,
	pal_deadline deadline)
{
	struct mesh_node *node = mesh__node_of(*space);
	bool in_time;

	TAILQ_INSERT_TAIL(&waiters->blocked, waiter, of_port);
	if (!node)
		in_time = mesh__waiter_sleep(waiter, &(*space)->lock, deadline);
	else if (node->poller.stop)
		in_time = sleep_until_moved_out(*space, waiter, deadline);
	else
		in_time = mesh__poller_wait(&node->poller, waiter, deadline);
	mesh__space_unlock(*space);
	*space = mesh__port_lock(waiters->port);
	TAILQ_REMOVE(&waiters->blocked, waiter, of_port);
	return in_time;
}

/*
 * The caller holds a reference: another thread may give up the port meanwhile. *ret_left are its waiters then, if
 * they have to be freed, which is done without the lock: a base may be about to call, and is waited for.
 */
static int take_or_wait(struct mesh_port *port, struct mesh__space **space, pal_deadline deadline,
	struct mesh_message **ret, struct mesh__port_waiters **ret_left)
{
	struct mesh__port_waiters *waiters;
	struct mesh__waiter waiter;
	bool in_time = true;
	int result;

	/* Most often there is something, and nobody has to wait. */
	if (port->queue_count && !(port->waiters && port->waiters->fn)) {
		*ret = mesh__port_take(port);
		mesh__port_room_made(port);
		return 0;
	}
	waiters = mesh__port_waiters_of(port);
	if (!waiters || mesh__waiter_init(&waiter) < 0)
		return -ENOMEM;
	for (;;) {
		if (waiters->orphan) {
			result = -ECANCELED;
			break;
		}
		if (waiters->fn) {
			result = -EBUSY;
			break;
		}
		*ret = mesh__port_take(port);
		mesh__port_room_made(port);
		result = *ret ? 0 : mesh__port_end(port);
		if (*ret || result)
			break;
		if (!in_time) {
			result = -ETIMEDOUT;
			break;
		}
		in_time = mesh__port_wait_once(waiters, space, &waiter, deadline);
	}
	mesh__waiter_deinit(&waiter);
	*ret_left = mesh__port_inherit_waiters(waiters);
	return result;
}

int mesh_port_recv(struct mesh_port *port, pal_deadline deadline, struct mesh_message **ret, struct pal_error *error)
{
	struct mesh__port_waiters *left = NULL;
	struct mesh_message *message = NULL;
	struct mesh__space *space;
	int result;

	if (!port || !ret)
		return pal_error_set(error, MESH_STAGE_PORT, -EINVAL, "mesh_port_recv");
	if (mesh__port_is_inherited(port))
		return pal_error_set(error, MESH_STAGE_PORT, -EPERM, "receiving on another process's port");
	space = mesh__port_lock(port);
	mesh__port_ref(port);
	result = take_or_wait(port, &space, deadline, &message, &left);
	mesh__port_settle_event_fd(port);
	if (left) {
		mesh__space_unlock(space);
		mesh__port_free_waiters(left);
		space = mesh__port_lock(port);
	}
	mesh__port_unref(port);
	mesh__space_unlock(space);
	if (!result)
		*ret = message;
	else if (result == -EPIPE)
		pal_error_set(error, MESH_STAGE_PORT, result, "the other end of a port was closed");
	else if (result == -ECONNRESET)
		pal_error_set(error, MESH_STAGE_PORT, result, "a port failed");
	else
		pal_error_set(error, MESH_STAGE_PORT, result, "receiving on a port");
	return result;
}

int mesh_port_try_recv(struct mesh_port *port, struct mesh_message **ret)
{
	struct mesh_message *message;
	struct mesh__space *space;
	int result = 0;

	if (!port || !ret)
		return -EINVAL;
	if (mesh__port_is_inherited(port))
		return -EPERM;
	space = mesh__port_lock(port);
	message = mesh__port_take(port);
	mesh__port_room_made(port);
	if (!message) {
		result = mesh__port_end(port);
		if (!result)
			result = -EAGAIN;
	}
	mesh__port_settle_event_fd(port);
	mesh__space_unlock(space);
	if (message)
		*ret = message;
	return result;
}
