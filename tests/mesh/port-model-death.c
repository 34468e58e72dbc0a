/* SPDX-License-Identifier: MIT */
#include "port-model.h"

#include <check.h>

/*
 * The protocol has a hole, traces (s) and (t) of the original: a node that dies in the middle of a hand-over. What it
 * had still to forward, or to say to one of the two ends, is lost, while the ends talk to places on other nodes,
 * which live: nothing tells them. Here the dying node is looked into, and only pairs of which it owed something to
 * somebody are excused from what is asked of all others.
 */

static struct memory_node *node_of(struct model *model, const struct mesh__ref *ref)
{
	for (size_t i = 0; ref->kind == MESH__REF_REMOTE && i < model->net.node_count; i++) {
		if (mesh__id_equal(&model->net.nodes[i].space.node, &ref->remote->id))
			return &model->net.nodes[i];
	}
	return NULL;
}

/* The port that a reference of a port on that node names, where there is one. */
static struct mesh_port *follow(struct model *model, const struct mesh__ref *ref)
{
	struct memory_node *node = node_of(model, ref);

	if (ref->kind == MESH__REF_LOCAL)
		return ref->port;
	return node && !node->dead ? mesh__space_find(&node->space, &ref->id) : NULL;
}

/* ---- which end a port is ---- */

static int carried_in(
	const struct model *model, const struct mesh_message *message, const struct mesh_port *port)
{
	for (size_t i = 0; i < message->resource_count; i++) {
		if (message->resources[i].port == port)
			return model->messages[*(const int *)(const void *)message->data]
				.carried[i];
	}
	return -1;
}

/* In the queue of another one, on its way to the program. */
static int queued_end(const struct model *model, const struct mesh_port *port)
{
	const struct mesh_port *holder;

	LIST_FOREACH(holder, &port->space->all, in_space) {
		const struct mesh_message *message;

		STAILQ_FOREACH(message, &holder->queue, next) {
			int end = carried_in(model, message, port);

			if (end >= 0)
				return end;
		}
	}
	return -1;
}

/* A message that came early, or waits for an acknowledgement. */
static int pending_end(const struct model *model, const struct mesh_port *port)
{
	const struct mesh_port *holder;

	LIST_FOREACH(holder, &port->space->all, in_space) {
		struct mesh__event *event, *next;

		HASH_ITER(hh, holder->far->pending, event, next) {
			int end = event->message ? carried_in(model, event->message, port) : -1;

			if (end >= 0)
				return end;
		}
	}
	return -1;
}

/* In a packet, as the record of a port that is not there yet. */
static int travelling_end(const struct model *model, const struct mesh_id *id)
{
	const struct memory_packet *packet;

	TAILQ_FOREACH(packet, &model->net.packets, next) {
		struct mesh__raw_event raw;
		struct mesh__record record;
		int message;

		ck_assert_int_eq(mesh__raw_event_parse(packet->data, packet->size, &raw), 0);
		for (size_t i = 0; i < raw.record_count; i++) {
			mesh__record_parse(raw.records + i * MESH__RECORD_SIZE, &record);
			if (!mesh__id_equal(&record.id, id))
				continue;
			memcpy(&message, raw.body, sizeof message);
			return model->messages[message].carried[i];
		}
	}
	return -1;
}

static int end_of(struct model *model, struct mesh_port *port)
{
	int end;

	while (port->state == MESH__SENDING || port->state == MESH__PROXYING) {
		struct mesh_port *next = follow(model, &port->far->target);

		if (!next)
			return travelling_end(model, &port->far->target.id);
		port = next;
	}
	for (end = 0; end < model->end_count; end++) {
		if (model->ends[end].port == port)
			return end;
	}
	end = queued_end(model, port);
	return end >= 0 ? end : pending_end(model, port);
}

static void excuse(struct model *model, struct mesh_port *port)
{
	int end = end_of(model, port);

	model->hole = true;
	if (end < 0)
		return;
	model->ends[end].excused = true;
	model->ends[model->ends[end].other].excused = true;
}

/* ---- what a dying node owes ---- */

static bool is_on(struct model *model, const struct mesh__ref *ref, const struct memory_node *node)
{
	return node_of(model, ref) == node;
}

/* A port that learns of the loss by itself, as who it talks to, or where it has gone to, is lost. */
static bool will_be_told(
	struct model *model, const struct mesh_port *port, const struct memory_node *victim)
{
	return is_on(model, &port->peer, victim) || is_on(model, &port->far->target, victim);
}

static bool is_addressed(struct model *model, const struct mesh_port *port)
{
	const struct memory_packet *packet;
	struct mesh__raw_event raw;

	TAILQ_FOREACH(packet, &model->net.packets, next) {
		ck_assert_int_eq(mesh__raw_event_parse(packet->data, packet->size, &raw), 0);
		if (mesh__id_equal(&raw.port, &port->id))
			return true;
	}
	return false;
}

/* A proxy of the victim: its new place is through when all has been forwarded and its peer talks to that directly. */
static void check_hand_over(
	struct model *model, struct mesh_port *port, const struct memory_node *victim)
{
	struct mesh_port *target = follow(model, &port->far->target), *peer = follow(model, &port->peer);

	if (!target || will_be_told(model, target, victim))
		return;
	if (!peer || port->far->pending || is_addressed(model, port) ||
		follow(model, &peer->peer) != target)
		excuse(model, target);
}

static void check_packet(
	struct model *model, const struct memory_packet *packet, const struct memory_node *victim)
{
	struct mesh__raw_event raw;
	struct mesh_port *port;

	ck_assert_int_eq(mesh__raw_event_parse(packet->data, packet->size, &raw), 0);
	port = packet->from == victim ? mesh__space_find(&packet->to->space, &raw.port) : NULL;
	if (port && !will_be_told(model, port, victim))
		excuse(model, port);
}

void model_kill(struct model *model, struct memory_node *victim)
{
	const struct memory_packet *packet;
	struct mesh_port *port;

	LIST_FOREACH(port, &victim->space.all, in_space) {
		if (port->state == MESH__SENDING || port->state == MESH__PROXYING)
			check_hand_over(model, port, victim);
	}
	TAILQ_FOREACH(packet, &model->net.packets, next)
		check_packet(model, packet, victim);
	memory_kill(victim);
}
