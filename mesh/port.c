/* SPDX-License-Identifier: MIT */
#include <mesh/port.h>

#include <errno.h>
#include <event2/event.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <mesh/machine-priv.h>
#include <mesh/port-waiters-priv.h>
#include <pal/util-priv.h>

/*
 * Calls of one port before others get their turn. At home no fewer than a turn can have read for it, or what is
 * unread would grow although the program takes everything; on a base of its own others wait beside it.
 */
#define CALLS_PER_TURN_AT_HOME (MESH__EVENTS_PER_TURN * MESH__PACKETS_PER_TURN)
#define CALLS_PER_TURN_ON_BASE 32

/* ---- what waits on a port ---- */

static bool has_something(const struct mesh_port *port)
{
	return port->queue_count || mesh__port_end(port);
}

void mesh__port_wake_blocked(struct mesh__port_waiters *waiters)
{
	struct mesh__waiter *waiter;

	TAILQ_FOREACH(waiter, &waiters->blocked, of_port)
		mesh__waiter_wake(waiter);
}

void mesh__port_call_at_home(struct mesh__port_waiters *waiters)
{
	struct mesh_node *node = mesh__node_of(waiters->port->space);

	if (waiters->ready || !node)
		return;
	waiters->ready = true;
	TAILQ_INSERT_TAIL(&node->ready, waiters, in_ready);
	mesh__poller_kick_home(&node->poller);
}

/* Under the lock, from the machine: a message came, or the port ended, or a node adopted it. */
static void on_notify(struct mesh_port *port)
{
	struct mesh__port_waiters *waiters = port->waiters;
	uint64_t one = 1;

	mesh__port_wake_blocked(waiters);
	if (waiters->event_fd >= 0 && has_something(port))
		(void)!write(waiters->event_fd, &one, sizeof one);
	if (waiters->at_home)
		mesh__port_call_at_home(waiters);
	mesh__port_tell_sender(waiters);
}

struct mesh__port_waiters *mesh__port_waiters_of(struct mesh_port *port)
{
	struct mesh__port_waiters *waiters = port->waiters;

	if (waiters)
		return waiters;
	waiters = calloc(1, sizeof *waiters);
	if (!waiters)
		return NULL;
	waiters->port = port;
	waiters->event_fd = waiters->writable_fd = -1;
	TAILQ_INIT(&waiters->blocked);
	port->waiters = waiters;
	port->notify = on_notify;
	return waiters;
}

/* Whether a callback is being called, or threads have not yet seen that the port went. */
static bool in_use(const struct mesh__port_waiters *waiters)
{
	return waiters->calling || waiters->telling || !TAILQ_EMPTY(&waiters->blocked);
}

/* Takes the waiters off the port. With the lock; the caller frees them without it. */
static struct mesh__port_waiters *unhook(struct mesh_port *port)
{
	struct mesh__port_waiters *waiters = port->waiters;
	struct mesh_node *node = mesh__node_of(port->space);

	if (!waiters)
		return NULL;
	port->waiters = NULL;
	port->notify = NULL;
	if (waiters->ready && node)
		TAILQ_REMOVE(&node->ready, waiters, in_ready);
	waiters->ready = false;
	waiters->fn = NULL;
	mesh__port_drop_sender(waiters);
	mesh__port_wake_blocked(waiters);
	waiters->orphan = in_use(waiters);
	return waiters->orphan ? NULL : waiters; /* the last one who is at it frees them */
}

struct mesh__watch *mesh__watch_new(struct mesh__port_waiters *waiters, struct event_base *base, int fd, event_callback_fn fn)
{
	struct mesh__watch *watch = malloc(sizeof *watch);

	if (!watch)
		return NULL;
	watch->waiters = waiters;
	watch->event = event_new(base, fd, EV_READ | EV_PERSIST, fn, watch);
	if (!watch->event || event_add(watch->event, NULL) < 0) {
		mesh__watch_free(watch);
		return NULL;
	}
	return watch;
}

void mesh__watch_free(struct mesh__watch *watch)
{
	if (!watch)
		return;
	if (watch->event)
		event_free(watch->event);
	free(watch);
}

void mesh__port_free_waiters(struct mesh__port_waiters *waiters)
{
	if (!waiters)
		return;
	mesh__watch_free(waiters->watch);
	mesh__watch_free(waiters->writable_watch);
	pal_close(waiters->event_fd);
	pal_close(waiters->writable_fd);
	free(waiters);
}

struct mesh__port_waiters *mesh__port_inherit_waiters(struct mesh__port_waiters *waiters)
{
	if (!waiters->orphan || in_use(waiters))
		return NULL;
	waiters->orphan = false;
	return waiters;
}

void mesh__port_detach(struct mesh_port *port)
{
	struct mesh__space *space = mesh__port_lock(port);
	struct mesh__port_waiters *waiters = unhook(port);

	mesh__space_unlock(space);
	mesh__port_free_waiters(waiters);
}

static int make_event_fd(struct mesh_port *port, struct mesh__port_waiters *waiters)
{
	if (waiters->event_fd >= 0)
		return 0;
	waiters->event_fd = eventfd(has_something(port), EFD_CLOEXEC | EFD_NONBLOCK);
	return waiters->event_fd < 0 ? -errno : 0;
}

void mesh__port_settle_event_fd(struct mesh_port *port)
{
	uint64_t ticks;

	if (port->waiters && port->waiters->event_fd >= 0 && !has_something(port))
		(void)!read(port->waiters->event_fd, &ticks, sizeof ticks);
}

/* ---- receiving by callback ---- */

static struct mesh_message *next_for_callback(struct mesh_port *port, int *ret_status)
{
	struct mesh__port_waiters *waiters = port->waiters;
	struct mesh_message *message = mesh__port_take(port);

	*ret_status = 0;
	if (message) {
		mesh__port_room_made(port);
	} else {
		*ret_status = waiters->told_end ? 0 : mesh__port_end(port);
		waiters->told_end |= *ret_status != 0;
	}
	return message;
}

/*
 * Calls the port's callback while there is something for it, at most a turn's
 * worth. Called and returns with *space locked, which it releases for each call; a
 * local pair may be adopted by a node meanwhile. Returns whether there is more. After
 * a call the port may be gone, and the waiters with it: *ret_left then is what the caller has to free without the lock. Or
 * it has another callback, which may be another thread's to call: whoever that is, is told.
 * The reference keeps the port's memory and lock for the look after the call.
 */
static bool run_callback(struct mesh__space **space, struct mesh__port_waiters *waiters,
	struct mesh__port_waiters **ret_left)
{
	struct mesh_port *port = waiters->port;
	uint16_t forks = port->forks; /* for the looks after a call */
	unsigned turn = waiters->at_home ? CALLS_PER_TURN_AT_HOME : CALLS_PER_TURN_ON_BASE;
	unsigned set = waiters->times_set;

	if (waiters->calling)
		return false; /* the base runs inside the callback: calls for one port never overlap */
	waiters->calling = true;
	while (waiters->fn && waiters->times_set == set && turn-- && !mesh__is_inherited(forks)) {
		int status;
		struct mesh_message *message = next_for_callback(port, &status);
		mesh_port_fn fn = waiters->fn;
		void *userdata = waiters->userdata;

		if (!message && !status)
			break;
		mesh__port_settle_event_fd(port);
		if (waiters->at_home && mesh__node_of(*space))
			mesh__poller_note_call(&mesh__node_of(*space)->poller);
		mesh__port_ref(port);
		mesh__space_unlock(*space);
		fn(port, status, message, userdata);
		/* Not the space of before: a node may have adopted the port, or have been freed by the callback. */
		*space = mesh__port_lock(port);
		mesh__port_unref(port);
	}
	waiters->calling = false;
	if (mesh__is_inherited(forks))
		return false; /* the callback was called in another process, and returned in this one, too */
	if (waiters->orphan) {
		*ret_left = mesh__port_inherit_waiters(waiters);
		return false;
	}
	if (waiters->times_set != set) {
		if (waiters->fn && has_something(port))
			on_notify(port); /* who was told when it was set may have come while this call went on */
		return false;
	}
	if (waiters->told_end && waiters->watch)
		event_del(waiters->watch->event); /* the descriptor stays readable at the end */
	return waiters->fn && (port->queue_count || (mesh__port_end(port) && !waiters->told_end));
}

/* Of a port that is in the list of those with something due at home, both callbacks may be there, or one of them. */
static bool run_at_home(struct mesh__space **space, struct mesh__port_waiters *waiters,
	struct mesh__port_waiters **ret_left)
{
	if (waiters->writable_at_home && !mesh__port_call_writable(space, waiters, ret_left))
		return false;
	return waiters->at_home && run_callback(space, waiters, ret_left);
}

static bool is_within(const struct mesh__held *held, const struct mesh__held *most)
{
	return mesh__held_fits(&(struct mesh__held){0}, held, most);
}

/* Another turn is read for sure where it has room: in a half of what one port, or all that comes from one node, may have unread. */
static bool is_much(const struct mesh__space *space, const struct mesh__port_waiters *waiters, struct mesh__held *due)
{
	const struct mesh__held turn = {.bytes = MESH__BYTES_PER_CALL, .events = CALLS_PER_TURN_AT_HOME, .fds = SIZE_MAX};
	const struct mesh__held half_port = mesh__held_half(&space->max_stored), half_node = mesh__held_half(&space->max_held);
	const struct mesh__held *stored = &waiters->port->stored;

	if (!waiters->at_home)
		return false;
	due->bytes += stored->bytes;
	due->events += stored->events;
	due->fds += stored->fds;
	return !is_within(stored, &half_port) || !is_within(due, &half_node) || !is_within(due, &turn);
}

bool mesh__port_home_is_behind(struct mesh_node *node)
{
	const struct mesh__port_waiters *waiters = node->called;
	struct mesh__held due = {0};

	if (waiters && !waiters->ready && is_much(&node->space, waiters, &due))
		return true;
	TAILQ_FOREACH(waiters, &node->ready, in_ready) {
		if (is_much(&node->space, waiters, &due))
			return true;
	}
	return false;
}

bool mesh__port_run_ready(struct mesh_node *node)
{
	struct mesh__space *space = &node->space;
	size_t round = 0;
	struct mesh__port_waiters *waiters;

	TAILQ_FOREACH(waiters, &node->ready, in_ready)
		round++;
	while (round-- && (waiters = TAILQ_FIRST(&node->ready))) {
		struct mesh__port_waiters *left = NULL, *outer;
		bool more;

		TAILQ_REMOVE(&node->ready, waiters, in_ready);
		waiters->ready = false;
		outer = node->called;
		node->called = waiters;
		more = run_at_home(&space, waiters, &left);
		node->called = outer;
		if (mesh__is_inherited(node->space.forks))
			return false;
		if (more && !waiters->ready) {
			waiters->ready = true;
			TAILQ_INSERT_TAIL(&node->ready, waiters, in_ready);
		}
		if (left) {
			mesh__space_unlock(space);
			mesh__port_free_waiters(left);
			mesh__space_lock(space);
		}
	}
	return !TAILQ_EMPTY(&node->ready);
}

/* A base found the port's eventfd readable. */
static void on_base_event(evutil_socket_t fd, short what, void *argument)
{
	struct mesh__watch *watch = argument;
	struct mesh__port_waiters *waiters = watch->waiters;
	struct mesh__port_waiters *left = NULL;
	struct mesh__space *space;

	(void)fd;
	(void)what;
	if (mesh__port_is_inherited(waiters->port)) {
		event_del(watch->event); /* of the child's own set, if it called event_reinit(3), as it has to */
		return;
	}
	space = mesh__port_lock(waiters->port);
	if (waiters->watch == watch)
		run_callback(&space, waiters, &left);
	mesh__space_unlock(space);
	mesh__port_free_waiters(left);
}

static int watch_on_base(struct mesh_port *port, struct mesh__port_waiters *waiters, struct event_base *base)
{
	int result = make_event_fd(port, waiters);

	if (result < 0)
		return result;
	waiters->watch = mesh__watch_new(waiters, base, waiters->event_fd, on_base_event);
	return waiters->watch ? 0 : -ENOMEM;
}

/* With the lock. A callback that is already there is replaced where it stands. */
static int set_callback(struct mesh_port *port, struct event_base *base, mesh_port_fn fn, void *userdata)
{
	struct mesh_node *node = mesh__node_of(port->space);
	struct mesh__port_waiters *waiters = mesh__port_waiters_of(port);
	int result = 0;

	if (!waiters)
		return -ENOMEM;
	if (!base && !node)
		return -EINVAL;
	if (base && !(node && node->base == base))
		result = watch_on_base(port, waiters, base);
	else
		waiters->at_home = true;
	if (result < 0)
		return result;
	waiters->fn = fn;
	waiters->userdata = userdata;
	waiters->told_end = false;
	if (has_something(port))
		on_notify(port); /* for what is there already */
	return 0;
}

int mesh_port_set_callback(struct mesh_port *port, struct event_base *base, mesh_port_fn fn, void *userdata)
{
	struct mesh__space *space;
	struct mesh__watch *old = NULL;
	int result = 0;

	if (!port)
		return -EINVAL;
	if (mesh__port_is_inherited(port))
		return -EPERM;
	space = mesh__port_lock(port);
	if (port->waiters) {
		old = PAL_TAKE_POINTER(port->waiters->watch);
		port->waiters->fn = NULL;
		port->waiters->at_home = false;
		port->waiters->times_set++;
	}
	if (fn)
		result = set_callback(port, base, fn, userdata);
	mesh__space_unlock(space);
	mesh__watch_free(old);
	return result;
}

int mesh_port_peek_fd(struct mesh_port *port)
{
	struct mesh__port_waiters *waiters;
	struct mesh__space *space;
	int result = -ENOMEM;

	if (!port)
		return -EINVAL;
	if (mesh__port_is_inherited(port))
		return -EPERM;
	space = mesh__port_lock(port);
	waiters = mesh__port_waiters_of(port);
	if (waiters) {
		result = make_event_fd(port, waiters);
		if (!result)
			result = waiters->event_fd;
	}
	mesh__space_unlock(space);
	return result;
}

/* ---- making, closing ---- */

int mesh_port_pair(struct mesh_port **ret_a, struct mesh_port **ret_b)
{
	if (!ret_a || !ret_b)
		return -EINVAL;
	return mesh__port_pair(NULL, ret_a, ret_b);
}

/*
 * At once, under one lock: a thread that had come to wait on the port between the end of its waiters and that of the
 * port would not be woken by anybody. They may have an event that is about to look at the port in another thread.
 */
static void release(struct mesh_port *port, bool fail)
{
	struct mesh__port_waiters *waiters;
	struct mesh__space *space;
	int saved = errno;

	if (!port || mesh__port_is_inherited(port))
		return;
	space = mesh__port_lock(port);
	waiters = unhook(port);
	if (waiters)
		mesh__port_ref(port);
	mesh__port_give_up(port, fail);
	mesh__space_unlock(space);
	if (waiters) {
		mesh__port_free_waiters(waiters);
		space = mesh__port_lock(port);
		mesh__port_unref(port);
		mesh__space_unlock(space);
	}
	errno = saved;
}

void mesh_port_free(struct mesh_port *port)
{
	release(port, false);
}

void mesh_port_fail(struct mesh_port *port)
{
	release(port, true);
}
