/* SPDX-License-Identifier: MIT */
#include <mesh/port.h>

#include <errno.h>
#include <event2/event.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <mesh/machine-priv.h>
#include <mesh/port-waiters-priv.h>
#include <pal/util-priv.h>

/*
 * Sending, and waiting for room to send. What waits for another node that does not read, or on a port of this process
 * that is not read, has a bound; a program's message beyond it is refused. Who was refused may wait: a
 * thread, or a callback.
 */

/* ---- who waits for room ---- */

static bool somebody_waits(const struct mesh__port_waiters *waiters)
{
	return waiters->senders || waiters->writable_fn;
}

/* What makes room on a link is seen by whoever drives the node, who looks through the node's list. */
static void update_list(struct mesh__port_waiters *waiters)
{
	struct mesh__space *space = waiters->port->space;
	struct mesh_node *node = mesh__node_of(space);
	bool wanted = node && !space->closing && somebody_waits(waiters);

	if (wanted == waiters->listed)
		return;
	if (wanted)
		TAILQ_INSERT_TAIL(&node->senders, waiters, in_senders);
	else if (node)
		TAILQ_REMOVE(&node->senders, waiters, in_senders);
	waiters->listed = wanted;
}

static bool has_room_again(const struct mesh__port_waiters *waiters)
{
	return mesh__port_has_room(waiters->port, &waiters->refused, true);
}

void mesh__port_tell_sender(struct mesh__port_waiters *waiters)
{
	uint64_t one = 1;

	update_list(waiters);
	if (!somebody_waits(waiters) || !has_room_again(waiters))
		return;
	if (waiters->senders)
		mesh__port_wake_blocked(waiters);
	if (!waiters->writable_fn)
		return;
	if (waiters->writable_at_home)
		mesh__port_call_at_home(waiters);
	else
		(void)!write(waiters->writable_fd, &one, sizeof one); /* fails only when it is readable already */
}

void mesh__port_tell_senders(struct mesh_node *node)
{
	struct mesh__port_waiters *waiters, *next;

	for (waiters = TAILQ_FIRST(&node->senders); waiters; waiters = next) {
		next = TAILQ_NEXT(waiters, in_senders);
		mesh__port_tell_sender(waiters);
	}
}

void mesh__port_forget_senders(struct mesh_node *node)
{
	struct mesh__port_waiters *waiters;

	mesh__space_lock(&node->space);
	node->space.closing = true; /* who comes now is not listed any more */
	while ((waiters = TAILQ_FIRST(&node->senders))) {
		TAILQ_REMOVE(&node->senders, waiters, in_senders);
		waiters->listed = false;
		mesh__port_wake_blocked(waiters);
	}
	mesh__space_unlock(&node->space);
}

void mesh__port_room_made(struct mesh_port *port)
{
	if (port->peer.kind == MESH__REF_LOCAL && port->peer.port->waiters)
		mesh__port_tell_sender(port->peer.port->waiters);
}

void mesh__port_drop_sender(struct mesh__port_waiters *waiters)
{
	waiters->writable_fn = NULL;
	waiters->senders = 0; /* they see that the port went */
	update_list(waiters);
}

/* ---- the callback ---- */

bool mesh__port_call_writable(struct mesh__space **space, struct mesh__port_waiters *waiters,
	struct mesh__port_waiters **ret_left)
{
	struct mesh_port *port = waiters->port;
	mesh_port_writable_fn fn = waiters->writable_fn;
	void *userdata = waiters->writable_userdata;

	if (!fn || !has_room_again(waiters))
		return true; /* others were faster: it is told again */
	waiters->writable_fn = NULL;
	update_list(waiters);
	waiters->telling++;
	mesh__port_ref(port);
	mesh__space_unlock(*space);
	fn(port, userdata);
	*space = mesh__port_lock(port);
	mesh__port_unref(port);
	waiters->telling--;
	if (!waiters->orphan)
		return true;
	*ret_left = mesh__port_inherit_waiters(waiters);
	return false;
}

/*
 * The watch of a callback that was called or is not wanted any more, to free without the lock. It must not stay in
 * the base, which may be freed before the port. Not of waiters that went off their port: it is freed with them.
 */
static struct mesh__watch *take_watch(struct mesh__port_waiters *waiters)
{
	if (waiters->port->waiters != waiters || waiters->writable_fn)
		return NULL;
	return PAL_TAKE_POINTER(waiters->writable_watch);
}

/* A base found the eventfd readable. */
static void on_base_writable(evutil_socket_t fd, short what, void *argument)
{
	struct mesh__watch *watch = argument;
	struct mesh__port_waiters *waiters = watch->waiters;
	struct mesh__port_waiters *left = NULL;
	struct mesh__watch *done = NULL;
	struct mesh__space *space;
	uint64_t ticks;

	(void)what;
	if (mesh__port_is_inherited(waiters->port)) {
		event_del(watch->event);
		return;
	}
	space = mesh__port_lock(waiters->port);
	if (waiters->writable_watch == watch) {
		(void)!read(fd, &ticks, sizeof ticks);
		if (mesh__port_call_writable(&space, waiters, &left) && !mesh__port_is_inherited(waiters->port))
			done = take_watch(waiters);
	}
	mesh__space_unlock(space);
	mesh__watch_free(done);
	mesh__port_free_waiters(left);
}

static int watch_on_base(struct mesh__port_waiters *waiters, struct event_base *base)
{
	if (waiters->writable_fd < 0)
		waiters->writable_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (waiters->writable_fd < 0)
		return -errno;
	waiters->writable_watch = mesh__watch_new(waiters, base, waiters->writable_fd, on_base_writable);
	return waiters->writable_watch ? 0 : -ENOMEM;
}

/* With the lock. The watch of a callback before this one, if it is another base's, is the caller's to free. */
static int set_writable(struct mesh_port *port, struct event_base *base, mesh_port_writable_fn fn, void *userdata,
	struct mesh__watch **ret_old)
{
	struct mesh_node *node = mesh__node_of(port->space);
	struct mesh__port_waiters *waiters = mesh__port_waiters_of(port);
	bool at_home = !base || (node && node->base == base);
	int result = 0;

	if (!waiters)
		return -ENOMEM;
	if (!base && !node)
		return -EINVAL;
	waiters->writable_fn = NULL;
	if (waiters->writable_watch && (at_home || event_get_base(waiters->writable_watch->event) != base))
		*ret_old = PAL_TAKE_POINTER(waiters->writable_watch);
	if (!at_home && !waiters->writable_watch)
		result = watch_on_base(waiters, base);
	if (!result) {
		waiters->writable_at_home = at_home;
		waiters->writable_fn = fn;
		waiters->writable_userdata = userdata;
	}
	mesh__port_tell_sender(waiters);
	return result;
}

int mesh_port_on_writable(struct mesh_port *port, struct event_base *base, mesh_port_writable_fn fn, void *userdata)
{
	struct mesh__space *space;
	struct mesh__watch *old = NULL;
	int result = 0;

	if (!port)
		return -EINVAL;
	if (mesh__port_is_inherited(port))
		return -EPERM;
	space = mesh__port_lock(port);
	if (fn) {
		result = set_writable(port, base, fn, userdata, &old);
	} else if (port->waiters) {
		port->waiters->writable_fn = NULL;
		update_list(port->waiters);
		old = take_watch(port->waiters);
	}
	mesh__space_unlock(space);
	mesh__watch_free(old);
	return result;
}

/* ---- sending ---- */

/* For the callback that may be asked for next. If there is no memory to note it, it is called for the smallest room. */
static void note_refused(struct mesh_port *port, const struct mesh__sending *sending)
{
	struct mesh__port_waiters *waiters = mesh__port_waiters_of(port);

	if (waiters)
		waiters->refused = *sending;
}

/* What a child of fork may not send: it is another process's port, or carries one. The message is consumed. */
static int refuse_inherited(struct mesh_port *port, struct mesh_message *message)
{
	if (!mesh__port_is_inherited(port) && !mesh__message_is_inherited(message))
		return 0;
	mesh_message_free(message);
	return -EPERM;
}

/* -EAGAIN: there is no room, and the message is as it was. */
static int send_if_room(struct mesh_port *port, struct mesh_message *message, bool close)
{
	struct mesh__space *space = mesh__port_lock(port);
	struct mesh__sending sending = mesh__port_sending(port, message);
	int result = -EAGAIN;

	if (mesh__port_has_room(port, &sending, false))
		result = mesh__port_send(port, message, close);
	else
		note_refused(port, &sending);
	mesh__space_unlock(space);
	return result;
}

static int send_or_drop(struct mesh_port *port, struct mesh_message *message, bool close)
{
	int result;

	if (!port || !message) {
		mesh_message_free(message);
		return -EINVAL;
	}
	result = refuse_inherited(port, message);
	if (result < 0)
		return result;
	result = send_if_room(port, message, close);
	if (result == -EAGAIN)
		mesh_message_free(message);
	return result;
}

int mesh_port_send(struct mesh_port *port, struct mesh_message *message)
{
	return send_or_drop(port, message, false);
}

int mesh_port_send_last(struct mesh_port *port, struct mesh_message *message)
{
	return send_or_drop(port, message, true);
}

int mesh_port_try_send(struct mesh_port *port, struct mesh_message *message)
{
	int result;

	if (!port || !message) {
		mesh_message_free(message);
		return -EINVAL;
	}
	result = refuse_inherited(port, message);
	return result < 0 ? result : send_if_room(port, message, false);
}

/* The last word on a port that nobody holds any more could not be said later. */
int mesh_port_send_and_free(struct mesh_port *port, struct mesh_message *message)
{
	int result = port && message ? refuse_inherited(port, message) : -EINVAL;

	if (!result) {
		struct mesh__space *space = mesh__port_lock(port);
		struct mesh__sending sending = mesh__port_sending(port, message);

		if (!mesh__port_may_send_unasked(port, &sending))
			mesh__port_fail(port, "too many ports have gone there that its node does not let go of");
		result = mesh__port_send(port, message, true);
		mesh__space_unlock(space);
	} else if (result == -EINVAL) {
		mesh_message_free(message);
	}
	mesh_port_free(port);
	return result;
}

/* ---- sending by waiting ---- */

/* Called and returns with *space locked. 0: there is room. *ret_left as in mesh_port_recv. */
static int wait_for_room(struct mesh_port *port, struct mesh__space **space, const struct mesh__sending *sending,
	pal_deadline deadline, struct mesh__port_waiters **ret_left)
{
	struct mesh__port_waiters *waiters = mesh__port_waiters_of(port);
	struct mesh__waiter waiter;
	int result = -EAGAIN;
	bool in_time = true;

	if (!waiters || mesh__waiter_init(&waiter) < 0)
		return -ENOMEM;
	while (result == -EAGAIN) {
		if (waiters->orphan) {
			result = -ECANCELED;
		} else if (mesh__port_has_room(port, sending, in_time)) {
			result = 0;
		} else if (!in_time) {
			result = -ETIMEDOUT;
		} else {
			waiters->refused = *sending;
			waiters->senders++;
			update_list(waiters);
			in_time = mesh__port_wait_once(waiters, space, &waiter, deadline);
			if (!waiters->orphan) {
				waiters->senders--;
				update_list(waiters);
			}
		}
	}
	mesh__waiter_deinit(&waiter);
	*ret_left = mesh__port_inherit_waiters(waiters);
	return result;
}

static int send_or_wait(struct mesh_port *port, struct mesh_message **message, pal_deadline deadline)
{
	struct mesh__port_waiters *left = NULL;
	struct mesh__space *space = mesh__port_lock(port);
	struct mesh__sending sending = mesh__port_sending(port, *message);
	int result = 0;

	mesh__port_ref(port);
	if (!mesh__port_has_room(port, &sending, false))
		result = wait_for_room(port, &space, &sending, deadline, &left);
	if (left) {
		mesh__space_unlock(space);
		mesh__port_free_waiters(left);
		space = mesh__port_lock(port);
	}
	if (!result)
		result = mesh__port_send(port, PAL_TAKE_POINTER(*message), false);
	mesh__port_unref(port);
	mesh__space_unlock(space);
	return result;
}

int mesh_port_send_wait(struct mesh_port *port, struct mesh_message *message, pal_deadline deadline,
	struct pal_error *error)
{
	int result = port && message ? refuse_inherited(port, message) : -EINVAL;

	if (!result)
		result = send_or_wait(port, &message, deadline);
	if (result != -EPERM)
		mesh_message_free(message);
	if (result < 0)
		return pal_error_set(error, MESH_STAGE_PORT, result, "sending on a port");
	return 0;
}
