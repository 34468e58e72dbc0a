/* SPDX-License-Identifier: MIT */
#include <mesh/machine-priv.h>

#include <errno.h>

#include <mesh/node.h>

/* ---- life ---- */

#define LOCAL_SPACE_INIT \
	{ \
		.lock = PTHREAD_MUTEX_INITIALIZER, .entered = PTHREAD_COND_INITIALIZER, .max_message = UINT32_MAX, \
		.max_held = {SIZE_MAX, SIZE_MAX, SIZE_MAX}, \
		.max_stored = {.bytes = MESH_DEFAULT_MAX_PORT_UNREAD, \
			.events = MESH_DEFAULT_MAX_PORT_UNREAD_MESSAGES, \
			.fds = SIZE_MAX}, \
		.all = LIST_HEAD_INITIALIZER(local_space.all), .local = STAILQ_HEAD_INITIALIZER(local_space.local), \
		.out = STAILQ_HEAD_INITIALIZER(local_space.out), \
		.discarded = STAILQ_HEAD_INITIALIZER(local_space.discarded) \
	}
static struct mesh__space local_space = LOCAL_SPACE_INIT;

struct mesh__space *mesh__local_space(void)
{
	return &local_space;
}

void mesh__space_init(
        struct mesh__space *space, const struct mesh__space_ops *ops, const struct mesh_id *node)
{
	*space = (struct mesh__space){.ops = ops,
	        .node = *node,
	        .forks = mesh__forks,
	        .max_message = UINT32_MAX,
	        .max_held = {SIZE_MAX, SIZE_MAX, SIZE_MAX},
	        .max_stored = {SIZE_MAX, SIZE_MAX, SIZE_MAX}};
	pthread_mutex_init(&space->lock, NULL);
	pthread_cond_init(&space->entered, NULL);
	LIST_INIT(&space->all);
	STAILQ_INIT(&space->local);
	STAILQ_INIT(&space->out);
	STAILQ_INIT(&space->discarded);
}

/* Accounts end with the node that kept them. */
static void clear_charges(struct mesh_port *port)
{
	struct mesh_message *message;

	if (mesh__port_has_far(port))
		mesh__charge_clear(&port->far->charge);
	STAILQ_FOREACH(message, &port->queue, next)
		if (message->spare)
			mesh__charge_clear(&message->spare->charge);
}

/* What the owners still hold goes on in the local space: ended, or a pair that never left this process. */
static void move_out(struct mesh__space *space)
{
	struct mesh_port *port;

	pthread_mutex_lock(&local_space.lock);
	while ((port = LIST_FIRST(&space->all))) {
		clear_charges(port);
		mesh__space_rehome(port, &local_space);
		if (port->notify)
			port->notify(port); /* who waits on it waits there from now on */
	}
	pthread_mutex_unlock(&local_space.lock);
}

void mesh__space_close(struct mesh__space *space)
{
	struct mesh__port_far *far, *next;

	space->closing = true;
	HASH_ITER(hh, space->ports, far, next) {
		struct mesh_port *port = mesh__port_ref(far->port);

		mesh__port_break(port, &space->node, NULL, "its node has left");
		if (port->registered)
			mesh__port_leave(port, MESH__FAILED);
		mesh__port_unref(port);
	}
	mesh__space_run(space);
}

void mesh__space_deinit(struct mesh__space *space)
{
	struct mesh__message_queue discarded = STAILQ_HEAD_INITIALIZER(discarded);

	pthread_mutex_lock(&space->lock);
	mesh__space_close(space);
	move_out(space);
	/* A thread may have read that a port is in this space, and be about to lock it. */
	while (__atomic_load_n(&space->entering, __ATOMIC_ACQUIRE))
		pthread_cond_wait(&space->entered, &space->lock);
	STAILQ_CONCAT(&discarded, &space->discarded);
	pthread_mutex_unlock(&space->lock);
	pthread_cond_destroy(&space->entered);
	pthread_mutex_destroy(&space->lock);
	mesh__message_free_all(&discarded);
}

/* ---- lock ---- */

/*
 * A callback has called fork, and returns in the child to whoever called it, who is used to have the lock
 * then. It was free when the callback was called; who may have taken it since is not there any more.
 */
static void lock_inherited(struct mesh__space *space)
{
	if (space != &local_space)
		space->lock = (pthread_mutex_t)PTHREAD_MUTEX_INITIALIZER;
	pthread_mutex_lock(&space->lock);
}

void mesh__space_lock(struct mesh__space *space)
{
	if (mesh__is_inherited(space->forks)) {
		lock_inherited(space);
		return;
	}
	pthread_mutex_lock(&space->lock);
}

void mesh__space_unlock(struct mesh__space *space)
{
	struct mesh__message_queue discarded = STAILQ_HEAD_INITIALIZER(discarded);

	if (mesh__is_inherited(space->forks)) {
		pthread_mutex_unlock(&space->lock); /* of lock_inherited */
		return;
	}
	if (!STAILQ_EMPTY(&space->local) || !STAILQ_EMPTY(&space->out))
		mesh__space_run(space);
	if (STAILQ_EMPTY(&space->discarded)) {
		pthread_mutex_unlock(&space->lock);
		return;
	}
	STAILQ_CONCAT(&discarded, &space->discarded);
	pthread_mutex_unlock(&space->lock);
	mesh__message_free_all(&discarded);
}

void mesh__event_message_free(struct mesh__space *space, struct mesh_message *message)
{
	if (!message)
		return;
	if (message->spare)
		mesh__charge_clear(&message->spare->charge);
	STAILQ_INSERT_TAIL(&space->discarded, message, next);
}

/*
 * A port's `space` is written with its guard and both spaces' locks held; guards are taken last. Many ports
 * share one.
 */
#define GUARDS 64
static pthread_mutex_t guards[GUARDS] = {[0 ... GUARDS - 1] = PTHREAD_MUTEX_INITIALIZER};

static pthread_mutex_t *guard_of(const struct mesh_port *port)
{
	return &guards[(uintptr_t)port / sizeof *port % GUARDS];
}

struct mesh__space *mesh__port_space(struct mesh_port *port)
{
	struct mesh__space *space;

	pthread_mutex_lock(guard_of(port));
	space = port->space;
	pthread_mutex_unlock(guard_of(port));
	return space;
}

/* The local space is always there, so who finds a port in it by a look may lock it and look again. */
static bool lock_local(struct mesh_port *port)
{
	if (__atomic_load_n(&port->space, __ATOMIC_ACQUIRE) != &local_space)
		return false;
	pthread_mutex_lock(&local_space.lock);
	if (__atomic_load_n(&port->space, __ATOMIC_ACQUIRE) == &local_space)
		return true;
	pthread_mutex_unlock(&local_space.lock);
	return false;
}

void mesh__space_start_again(void)
{
	local_space = (struct mesh__space)LOCAL_SPACE_INIT;
	local_space.forks = mesh__forks;
	for (size_t i = 0; i < GUARDS; i++)
		guards[i] = (pthread_mutex_t)PTHREAD_MUTEX_INITIALIZER;
}

struct mesh__space *mesh__port_lock(struct mesh_port *port)
{
	if (mesh__port_is_inherited(port)) {
		lock_inherited(port->space);
		return port->space;
	}
	for (;;) {
		struct mesh__space *space;
		bool there;

		if (lock_local(port))
			return &local_space;

		/* `entering`, raised before the guard is released, keeps the space from going while we wait for it. */
		pthread_mutex_lock(guard_of(port));
		space = port->space;
		__atomic_add_fetch(&space->entering, 1, __ATOMIC_RELAXED);
		pthread_mutex_unlock(guard_of(port));

		pthread_mutex_lock(&space->lock);
		there = __atomic_load_n(&port->space, __ATOMIC_ACQUIRE) == space;
		if (!__atomic_sub_fetch(&space->entering, 1, __ATOMIC_ACQ_REL) && space->closing)
			pthread_cond_signal(&space->entered);
		if (there)
			return space;
		pthread_mutex_unlock(&space->lock);
	}
}

static void rehome_counts(const struct mesh_port *port, struct mesh__space *space)
{
	struct mesh_message *message;

	port->space->counters.ports--;
	space->counters.ports++;
	STAILQ_FOREACH(message, &port->queue, next) {
		mesh__count(&port->space->counters.waiting, message, -1);
		mesh__count(&space->counters.waiting, message, 1);
	}
}

void mesh__space_rehome(struct mesh_port *port, struct mesh__space *space)
{
	rehome_counts(port, space);
	LIST_REMOVE(port, in_space);
	LIST_INSERT_HEAD(&space->all, port, in_space);
	if (port->forlorn) {
		LIST_REMOVE(port, far->in_forlorn);
		LIST_INSERT_HEAD(&space->forlorn, port, far->in_forlorn);
	}
	pthread_mutex_lock(guard_of(port));
	__atomic_store_n(&port->space, space, __ATOMIC_RELEASE);
	pthread_mutex_unlock(guard_of(port));
}

/* ---- the table of ids ---- */

struct mesh_port *mesh__space_find(struct mesh__space *space, const struct mesh_id *id)
{
	struct mesh__port_far *far;

	HASH_FIND(hh, space->ports, id, sizeof *id, far);
	return far ? far->port : NULL;
}

int mesh__space_register(struct mesh_port *port, const struct mesh_id *id)
{
	struct mesh__space *space = port->space;
	struct mesh_id new_id = id ? *id : port->id;
	int r;

	if (port->registered)
		return 0;
	r = mesh__port_need_far(port);
	if (r < 0)
		return r;
	if (mesh__id_is_zero(&new_id)) {
		r = mesh__id_random(&new_id);
		if (r < 0)
			return r;
	}
	if (mesh__space_find(space, &new_id))
		return -EEXIST;
	port->id = new_id;
	HASH_ADD_KEYPTR(hh, space->ports, &port->id, sizeof port->id, port->far);
	if (!port->far->hh.tbl)
		return -ENOMEM;
	port->registered = true;
	mesh__port_ref(port);
	return 0;
}

void mesh__space_unregister(struct mesh_port *port)
{
	if (!port->registered)
		return;
	port->registered = false;
	HASH_DELETE(hh, port->space->ports, port->far);
	mesh__port_unref(port);
}

void mesh__space_add_forlorn(struct mesh_port *port)
{
	if (port->forlorn || mesh__port_ended(port) || !mesh__port_has_far(port))
		return;
	port->forlorn = true;
	LIST_INSERT_HEAD(&port->space->forlorn, port, far->in_forlorn);
}

void mesh__space_remove_forlorn(struct mesh_port *port)
{
	if (port->forlorn)
		LIST_REMOVE(port, far->in_forlorn);
	port->forlorn = false;
}

size_t mesh__space_moving(const struct mesh__space *space)
{
	return space->moving;
}

/* ---- the run loop ---- */

void mesh__space_post(struct mesh__space *space, struct mesh__ref to, struct mesh__event *event)
{
	mesh__ref_clear(&event->to);
	event->to = to;
	if (to.kind == MESH__REF_LOCAL)
		STAILQ_INSERT_TAIL(&space->local, event, next);
	else if (to.kind == MESH__REF_REMOTE && !to.remote->failed && !space->closing)
		STAILQ_INSERT_TAIL(&space->out, event, next);
	else
		mesh__event_drop(space, event);
}

void mesh__space_run(struct mesh__space *space)
{
	struct mesh__event *event;

	if (space->running)
		return;
	space->running = true;
	for (;;) {
		if ((event = STAILQ_FIRST(&space->local))) {
			STAILQ_REMOVE_HEAD(&space->local, next);
			mesh__port_deliver(event->to.port, event, NULL);
		} else if ((event = STAILQ_FIRST(&space->out))) {
			STAILQ_REMOVE_HEAD(&space->out, next);
			if (event->to.remote->failed)
				mesh__event_drop(space, event);
			else
				event->to.remote->ops->post(event->to.remote, &event->to.id, event);
		} else {
			break;
		}
	}
	space->running = false;
}

/* ---- another node is lost ---- */

static void check_tied(struct mesh_port *port, const struct mesh__remote *remote)
{
	port->space->checked_for_loss++;
	mesh__port_ref(port);
	if (mesh__port_ended(port) && mesh__ref_is_on(&port->far->target, remote))
		mesh__port_leave(port, MESH__FAILED);
	else if (mesh__ref_is_on(&port->peer, remote) || mesh__ref_is_on(&port->far->target, remote))
		mesh__port_break(port, &remote->id, NULL, "its peer's node is lost");
	else
		mesh__port_check_origin(port);
	if (mesh__ref_is_on(&port->far->origin, remote))
		mesh__space_add_forlorn(port); /* for the second look */
	mesh__port_unref(port);
}

/* Only what names it: a peer may name as many nodes as it likes, and each of them is lost once. */
static void break_ports_of(struct mesh__remote *remote)
{
	struct mesh__tie *tie;

	while ((tie = LIST_FIRST(&remote->named_by))) {
		struct mesh_port *holder = tie->holder;

		LIST_REMOVE(tie, next);
		tie->holder = NULL;
		check_tied(holder, remote);
	}
}

static void check_ports_left_alone(struct mesh__space *space)
{
	struct mesh_port *port;

	while ((port = LIST_FIRST(&space->forlorn))) {
		space->checked_for_loss++;
		mesh__port_ref(port);
		mesh__space_remove_forlorn(port);
		if (!mesh__port_check_peer(port))
			mesh__port_check_arrivals(port);
		mesh__port_unref(port);
	}
}

void mesh__space_lost(struct mesh__space *space, struct mesh__remote *remote)
{
	remote->failed = true;
	break_ports_of(remote);
	check_ports_left_alone(space);
	mesh__space_run(space);
}
