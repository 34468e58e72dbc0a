/* SPDX-License-Identifier: MIT */
#include <mesh/machine-priv.h>

#include <errno.h>

#include <pal/util-priv.h>

/*
 * A port on the move. Its node sends a record of it and keeps the object, which
 * collects what arrives (Sending), until the new node has acknowledged; then it
 * forwards (Proxying) until the peer has acknowledged to talk to the new place.
 */

/* ---- leaving ---- */

LIST_HEAD(port_list, mesh_port);

static void gather(struct mesh_port *port, struct port_list *list)
{
	LIST_REMOVE(port, in_space);
	LIST_INSERT_HEAD(list, port, in_space);
}

static void gather_pair(struct mesh_port *port, struct port_list *list)
{
	gather(port, list);
	if (port->peer.kind == MESH__REF_LOCAL)
		gather(port->peer.port, list);
}

/* Of a port of the local space, the pairs in its queue that are in that, too. */
static void gather_carried(const struct mesh_port *port, struct port_list *list)
{
	struct mesh_message *message;

	STAILQ_FOREACH(message, &port->queue, next) {
		for (size_t i = 0; i < message->resource_count; i++) {
			const struct mesh__resource *carried = &message->resources[i];

			if (carried->kind == MESH__RESOURCE_PORT &&
			        mesh__port_space(carried->port) == port->space)
				gather_pair(carried->port, list);
		}
	}
}

/* With both locks. Who waits on one of them has to wait in the node from now on. */
static void adopt_all(struct mesh__space *space, struct port_list *list)
{
	struct mesh_port *port;

	while ((port = LIST_FIRST(list))) {
		gather_carried(port, list);
		mesh__space_rehome(port, space);
		if (port->notify)
			port->notify(port);
	}
}

bool mesh__move_adopt(struct mesh__space *space, struct mesh_port *port)
{
	struct mesh__space *local = mesh__local_space();
	struct port_list list = LIST_HEAD_INITIALIZER(list);
	bool adopted;

	if (mesh__port_space(port) == space)
		return true;
	pthread_mutex_lock(&local->lock);
	adopted = mesh__port_space(port) == local; /* no other node can have been faster now */
	if (adopted) {
		gather_pair(port, &list);
		adopt_all(space, &list);
	}
	pthread_mutex_unlock(&local->lock);
	return adopted;
}

void mesh__move_adopt_carried(struct mesh__space *space, const struct mesh_message *message)
{
	if (space == mesh__local_space())
		return;
	for (size_t i = 0; i < message->resource_count; i++)
		if (message->resources[i].kind == MESH__RESOURCE_PORT)
			(void)mesh__move_adopt(space, message->resources[i].port);
}

int mesh__move_address(struct mesh__space *space, const struct mesh__ref *ref,
        struct mesh_id *ret_node, struct mesh_id *ret_port)
{
	if (ref->kind == MESH__REF_REMOTE) {
		*ret_node = ref->remote->id;
		*ret_port = ref->id;
		return 0;
	}
	/* One that has ended keeps the id by which it was named, but is not to be found any more. */
	if (!mesh__port_ended(ref->port) || mesh__id_is_zero(&ref->port->id)) {
		int r = mesh__port_ended(ref->port) ? mesh__id_random(&ref->port->id)
		                                    : mesh__space_register(ref->port, NULL);

		if (r < 0)
			return r;
	}
	*ret_node = space->node;
	*ret_port = ref->port->id;
	return 0;
}

struct mesh_port *mesh__move_reopen(struct mesh_port *port)
{
	struct mesh_port *peer = mesh__port_new(port->space);

	if (!peer)
		return NULL;
	mesh__port_peer_up(port, peer);
	peer->next_local_seq = port->next_peer_seq;
	peer->next_peer_seq = port->next_local_seq;
	port->local_closed = false;
	mesh__port_set_state(port, MESH__PEERED);
	return peer;
}

struct mesh_port *mesh__move_stand_in(struct mesh_port *port)
{
	struct mesh_port *done;

	if (port->state != MESH__PEERED || !port->local_closed)
		return port;
	done = mesh__port_new(port->space);
	if (!done) {
		mesh__port_break(port, &port->space->node, NULL, "no memory to move it");
		return port;
	}
	mesh__port_set_state(done, MESH__DONE);
	done->owned = true;
	mesh__port_disown(port);
	return done;
}

/* The record of a port that cannot travel, or that has failed: it arrives failed. */
static void record_failed(
        struct mesh__space *space, const struct mesh_id *blamed, struct mesh__record *record)
{
	record->old_node = space->node;
	if (mesh__id_is_zero(&record->old_port))
		record->old_port = record->id;
	record->peer_node = mesh__id_is_zero(blamed) ? space->node : *blamed;
	record->peer_port = (struct mesh_id){0};
}

static int start_sending(
        struct mesh__remote *to, struct mesh_port *port, struct mesh__record *record)
{
	struct mesh_port *fresh_peer = NULL;
	int r;

	if (port->state == MESH__DONE) {
		fresh_peer = mesh__move_reopen(port);
		if (!fresh_peer)
			return -ENOMEM;
	}
	r = mesh__space_register(port, NULL);
	if (!r)
		r = mesh__move_need_events(port);
	if (!r)
		r = mesh__move_address(
		        port->space, &port->peer, &record->peer_node, &record->peer_port);
	if (!r) {
		record->old_node = port->space->node;
		record->old_port = port->id;
		mesh__port_refer(port, &port->far->target, mesh__ref_remote(mesh__remote_ref(to), &record->id));
		mesh__port_set_state(port, MESH__SENDING);
		port->space->counters.ports_left++;
	}
	if (fresh_peer) {
		mesh__port_emit_close(fresh_peer);
		mesh__port_unref(fresh_peer);
	}
	return r;
}

int mesh__move_prepare(struct mesh__remote *to, struct mesh_port *port, struct mesh__record *ret)
{
	struct mesh__space *space = to->space;
	struct mesh__record record = {0};

	if (mesh__id_random(&record.id) < 0)
		record.id =
		        space->node; /* no id, no port: it only has to be one that is not zero */
	if (!mesh__move_adopt(space, port)) {
		record.next_local_seq = 1;
		record_failed(space, &space->node, &record);
		*ret = record;
		return -EXDEV;
	}
	port = mesh__move_stand_in(port);
	record.next_local_seq = port->next_local_seq + 1;
	/* The owner's reference goes, and the table has its own as long as the port is Sending. */
	port->owned = false;
	if (port->state != MESH__FAILED && start_sending(to, port, &record) < 0)
		mesh__port_break(port, &space->node, NULL, "no memory to move it");
	if (port->state == MESH__FAILED) {
		record.old_port = port->id;
		record_failed(space, &port->blamed, &record);
	}
	mesh__port_unref(port);
	*ret = record;
	return 0;
}

/*
 * The place that a port goes on to numbers what it gets from `first`, so the peer has to go back by what its old
 * place has consumed.
 */
void mesh__move_become_proxy(struct mesh_port *port, struct mesh__event *event, uint64_t first)
{
	event->type = MESH__EVENT_CHANGE_PEER;
	event->seq = port->next_local_seq;
	event->new_peer = mesh__ref_copy(&port->far->target);
	event->delta = port->next_peer_seq - first - port->queue_count;
	port->next_local_seq = first;
	mesh__port_set_state(port, MESH__PROXYING);
}

int mesh__move_need_events(struct mesh_port *port)
{
	struct mesh_message *message;

	STAILQ_FOREACH(message, &port->queue, next) {
		if (message->spare)
			continue;
		message->spare = mesh__event_new(MESH__EVENT_MESSAGE);
		if (!message->spare)
			return -ENOMEM;
	}
	return 0;
}

void mesh__move_forward_backlog(struct mesh_port *port)
{
	const struct mesh__ref *target = &port->far->target;
	const struct mesh__sending backlog = {.message = port->stored};
	struct mesh_message *message;

	/* All of it goes out at once, and too much of that would cost the link. */
	if (target->kind == MESH__REF_REMOTE && port->stored.events &&
	        !mesh__remote_has_room(target->remote, &backlog, MESH__ROOM_UNASKED)) {
		mesh__port_break(port, &target->remote->id, NULL, "more is unread on it than may wait for the node that got it");
		return;
	}
	while ((message = mesh__port_next(port)))
		mesh__port_forward(port,
		        mesh__event_wrap(message)); /* it has its spare: nothing to allocate */
	mesh__port_drain(port);
}

/*
 * The peer is told before the backlog goes out: if both are for the same node, the new place might otherwise come
 * to its end with the backlog, and nobody would know it when the peer is told of it.
 */
void mesh__move_start_proxy(struct mesh_port *port, struct mesh__event *event)
{
	struct mesh__space *space = port->space;
	struct mesh__ref peer = mesh__ref_copy(&port->peer);

	mesh__move_become_proxy(port, event, 1);
	if (mesh__port_check_peer(port) < 0) {
		mesh__ref_clear(&peer);
		mesh__event_drop(space, event);
		return;
	}
	if (!space->backlog_first)
		mesh__space_post(space, mesh__ref_take(&peer), event);
	mesh__move_forward_backlog(port);
	if (space->backlog_first)
		mesh__space_post(space, mesh__ref_take(&peer), event);
}

/* ---- arriving ---- */

static bool failed_on_its_way(const struct mesh__space *space, const struct mesh_id *id)
{
	for (size_t i = 0; i < PAL_ARRAY_LENGTH(space->early_failures); i++) {
		if (mesh__id_equal(&space->early_failures[i], id))
			return true;
	}
	return false;
}

/* Whom the new port talks to. Why it arrives as a failed one, if it does; -ENOMEM in *ret_error. */
static const char *find_peer(
        struct mesh_port *port, const struct mesh__record *record, int *ret_error)
{
	struct mesh__space *space = port->space;
	struct mesh__remote *remote;

	port->blamed = record->peer_node;
	if (mesh__id_is_zero(&record->peer_port))
		return "it had failed before it was sent";
	if (failed_on_its_way(space, &record->id))
		return "it failed on its way";
	if (mesh__id_equal(&record->peer_node, &space->node)) {
		struct mesh_port *peer = mesh__space_find(space, &record->peer_port);

		if (!peer || mesh__port_ended(peer))
			return "its peer, on this node, is not there any more";
		mesh__port_refer(port, &port->peer, mesh__ref_local(peer));
		return NULL;
	}
	remote = space->ops->remote(space, &record->peer_node);
	if (!remote) {
		*ret_error = -ENOMEM;
		return NULL;
	}
	mesh__port_refer(port, &port->peer, mesh__ref_remote(remote, &record->peer_port));
	return remote->failed ? "its peer's node is lost" : NULL;
}

static int arrive(struct mesh_port *port, struct mesh__remote *from,
        const struct mesh__record *record, struct mesh__event *answer)
{
	int r;

	port->next_local_seq = record->next_local_seq;
	r = mesh__port_need_far(port);
	if (r < 0)
		return r;
	port->far->why = find_peer(port, record, &r);
	if (!r && !port->far->why)
		r = mesh__space_register(port, &record->id);
	if (r < 0)
		return r;
	if (port->far->why) {
		mesh__port_refer(port, &port->peer, (struct mesh__ref){0});
		mesh__port_set_state(port, MESH__FAILED);
		answer->type = MESH__EVENT_FAIL_PORT;
		answer->blamed = port->blamed;
	} else {
		mesh__port_refer(port, &port->far->origin, mesh__ref_remote(mesh__remote_ref(from), &record->old_port));
	}
	return 0;
}

struct mesh_port *mesh__move_receive(struct mesh__remote *from, const struct mesh__record *record,
        struct mesh__event_queue *answers)
{
	struct mesh__space *space = from->space;
	struct mesh_port *port = mesh__port_new(space);
	struct mesh__event *answer = mesh__event_new(MESH__EVENT_ACK_PORT);

	if (!port || !answer || arrive(port, from, record, answer) < 0) {
		if (answer)
			mesh__event_drop(space, answer);
		if (port)
			mesh__port_unref(port);
		return NULL;
	}
	port->owned = true;
	space->counters.ports_came++;
	mesh__charge_put(&port->far->charge, from, sizeof *port + sizeof *port->far, 0, 0);
	/* A port that had failed before it was sent is not waited for. */
	if (mesh__id_is_zero(&record->peer_port)) {
		mesh__event_drop(space, answer);
	} else {
		answer->to = mesh__ref_remote(mesh__remote_ref(from), &record->old_port);
		STAILQ_INSERT_TAIL(answers, answer, next);
	}
	return port;
}
