/* SPDX-License-Identifier: MIT */
#include "port-model.h"

#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>

#include <pal/util-priv.h>

static struct model *playing;

#define MUST(condition, ...)                                                                       \
	do {                                                                                       \
		if (!(condition))                                                                  \
			broken(#condition, __VA_ARGS__);                                           \
	} while (0)

static void broken(const char *condition, const char *what, int end)
{
	const struct model_end *at = &playing->ends[end];

	ck_abort_msg(
		"MESH_RANDOM_SEED=%u MESH_RANDOM_KIND=%d MESH_RANDOM_HISTORIES=1: %s (end %d on %c, talks to %d): %s",
		playing->seed, (int)playing->kind, what, end, at->node ? at->node->name : '-',
		at->other, condition);
}

unsigned model_pick(struct model *model, unsigned below)
{
	return (unsigned)rand_r(&model->state) % below;
}

/* ---- the model ---- */

static struct model_end *end_at(struct model *model, int end)
{
	return &model->ends[end];
}

static bool is_gone(const struct model_end *end)
{
	return end->where == MODEL_CLOSED || end->where == MODEL_LOST;
}

static void end_end(struct model *model, int index, enum model_where how);

static void drop_messages(struct model *model, int first, enum model_where how)
{
	for (int m = first; m >= 0; m = model->messages[m].next) {
		for (size_t i = 0; i < MODEL_PORTS_PER_MESSAGE; i++) {
			if (model->messages[m].carried[i] >= 0)
				end_end(model, model->messages[m].carried[i], how);
		}
	}
}

static void end_end(struct model *model, int index, enum model_where how)
{
	struct model_end *end = end_at(model, index);
	int first = end->first;

	end->where = how;
	end->port = NULL;
	end->first = end->last = -1;
	drop_messages(model, first, how);
}

void model_lose_end(struct model *model, int end)
{
	end_end(model, end, MODEL_LOST);
}

/* Messages are now to be received by that end, or dropped. */
static void expect_list(struct model *model, int index, int first, int last)
{
	struct model_end *end = end_at(model, index);

	if (first < 0)
		return;
	if (is_gone(end)) {
		drop_messages(model, first, end->where);
		return;
	}
	if (end->last >= 0)
		model->messages[end->last].next = first;
	else
		end->first = first;
	end->last = last;
}

/* Whether `wanted` is among what `index` will receive, or what that will receive. */
static bool will_hold(struct model *model, int index, int wanted)
{
	for (int m = end_at(model, index)->first; m >= 0; m = model->messages[m].next) {
		for (size_t i = 0; i < MODEL_PORTS_PER_MESSAGE; i++) {
			int carried = model->messages[m].carried[i];

			if (carried >= 0 &&
				(carried == wanted || will_hold(model, carried, wanted)))
				return true;
		}
	}
	return false;
}

/* ---- ends ---- */

static int add_end(struct model *model, struct memory_node *node, bool pinned)
{
	int index = model->end_count++;

	ck_assert_int_lt(index, MODEL_ENDS);
	*end_at(model, index) = (struct model_end){
		.node = node, .first = -1, .last = -1, .pinned = pinned, .other = index ^ 1};
	return index;
}

static int new_pair(struct model *model, struct memory_node *node)
{
	int a, b;

	if (model->end_count + 2 > MODEL_ENDS)
		return -1;
	a = add_end(model, node, false);
	b = add_end(model, node, false);
	ck_assert_int_eq(mesh__port_pair(model_pick(model, 3) ? NULL : &node->space,
				 &end_at(model, a)->port, &end_at(model, b)->port),
		0);
	return a;
}

/* A held end on that node that is not pinned; -1. */
static int pick_end_on(struct model *model, const struct memory_node *node)
{
	for (int tries = 0; tries < 20; tries++) {
		int index = (int)model_pick(model, (unsigned)model->end_count);
		const struct model_end *end = end_at(model, index);

		if (end->where == MODEL_HELD && !end->pinned && (!node || end->node == node) &&
			!end->node->dead)
			return index;
	}
	return -1;
}

/* ---- what can happen ---- */

static int pick_to_carry(struct model *model, int over)
{
	struct model_end *way = end_at(model, over);
	int carried;

	if (!model_pick(model, 3))
		return new_pair(model, way->node);
	carried = pick_end_on(model, way->node);
	if (carried < 0 || carried == over || carried == way->other ||
		will_hold(model, carried, way->other))
		return -1;
	return carried;
}

static void carry(struct model *model, struct mesh_message *message, int index, int over)
{
	for (size_t i = 0; i < MODEL_PORTS_PER_MESSAGE; i++) {
		int carried = model_pick(model, 2) ? pick_to_carry(model, over) : -1;
		struct model_end *end;

		if (carried < 0)
			return;
		end = end_at(model, carried);
		ck_assert_int_eq(mesh_message_put_port(message, PAL_TAKE_POINTER(end->port)), 0);
		end->where = MODEL_CARRIED;
		end->node = NULL;
		model->messages[index].carried[i] = carried;
	}
}

static void send_over(struct model *model, int over, bool carries)
{
	struct model_end *end = end_at(model, over);
	int index = model->message_count;
	struct mesh_message *message;

	if (index == MODEL_MESSAGES)
		return;
	model->message_count++;
	model->messages[index] = (struct model_message){.carried = {-1, -1}, .next = -1};
	message = mesh_message_new(&index, sizeof index);
	if (carries)
		carry(model, message, index, over);
	if (!model_pick(model, 16))
		ck_assert_int_eq(
			mesh_message_put_fd(message, open("/dev/null", O_RDONLY | O_CLOEXEC)), 0);
	MUST(memory_send_message(end->port, message, false) == 0, "sending", over);
	expect_list(model, end->other, index, index);
}

static void arrive(struct model *model, struct mesh_message *message,
	const struct model_message *sent, struct memory_node *node)
{
	for (size_t i = 0; i < MODEL_PORTS_PER_MESSAGE; i++) {
		struct model_end *end;

		if (sent->carried[i] < 0)
			return;
		end = end_at(model, sent->carried[i]);
		end->port = mesh_message_take_port(message, i);
		MUST(end->port, "a port that it carried", sent->carried[i]);
		end->where = MODEL_HELD;
		end->node = node;
	}
}

/* Whether there was something. */
static bool receive_on(struct model *model, int index)
{
	struct model_end *end = end_at(model, index);
	struct mesh_message *message = memory_take(end->port);
	int first = end->first;

	if (!message)
		return false;
	MUST(first >= 0, "a message too many", index);
	MUST(*(int *)mesh_message_data(message) == first, "another message is next", index);
	end->first = model->messages[first].next;
	if (end->first < 0)
		end->last = -1;
	arrive(model, message, &model->messages[first], end->node);
	mesh_message_free(message);
	return true;
}

static void close_end(struct model *model, int index, bool fail)
{
	struct mesh_port *port = end_at(model, index)->port;

	end_end(model, index, fail ? MODEL_LOST : MODEL_CLOSED);
	if (fail)
		memory_fail(port);
	memory_free(port);
}

/* The ends of one pair take what both were to receive with them; others are replaced by their other ends. */
static void join(struct model *model, int x, int y)
{
	struct model_end *a = end_at(model, x), *b = end_at(model, y);
	int far_a = a->other, far_b = b->other;

	if (far_a == y) {
		model_lose_end(model, x);
		model_lose_end(model, y);
		return;
	}
	end_at(model, far_a)->other = far_b;
	end_at(model, far_b)->other = far_a;
	end_at(model, far_a)->excused |= a->excused || b->excused;
	end_at(model, far_b)->excused |= a->excused || b->excused;
	expect_list(model, far_b, a->first, a->last);
	expect_list(model, far_a, b->first, b->last);
	a->first = b->first = a->last = b->last = -1;
	a->where = b->where = MODEL_JOINED;
	a->port = b->port = NULL;
}

/* Whether one of the two far ends would receive itself, or both one another. */
static bool would_hold_themselves(struct model *model, int x, int y)
{
	int far_x = end_at(model, x)->other, far_y = end_at(model, y)->other;

	return will_hold(model, x, far_y) || will_hold(model, y, far_x) ||
	       will_hold(model, x, far_x) || will_hold(model, y, far_y);
}

static void bridge(struct model *model, int x)
{
	int y = pick_end_on(model, end_at(model, x)->node), r;

	if (y < 0 || y == x || would_hold_themselves(model, x, y))
		return;
	if (end_at(model, x)->other == y && model_pick(model, 4))
		return;
	r = memory_bridge(end_at(model, x)->port, end_at(model, y)->port);
	MUST(r == 0 || (r == -ELOOP && end_at(model, x)->other == y), "a bridge", x);
	join(model, x, y);
}

static void deliver_some(struct model *model, unsigned count)
{
	while (count-- && model->net.packet_count)
		memory_deliver(&model->net, memory_pick(&model->net, &model->state));
}

static void step(struct model *model)
{
	unsigned what = model_pick(model, 100);
	int end = (int)model_pick(model, (unsigned)model->end_count);
	const struct model_end *at = end_at(model, end);

	if (what < 35)
		deliver_some(model, model_pick(model, 6));
	else if (at->where != MODEL_HELD || at->node->dead)
		return;
	else if (what < 55)
		send_over(model, end, false);
	else if (what < 70)
		send_over(model, end, true);
	else if (what < 92)
		receive_on(model, end);
	else if (at->pinned)
		return;
	else if (what < 96)
		bridge(model, end);
	else if (what < 99)
		close_end(model, end, false);
	else if (model->kind != MODEL_ORDERLY)
		close_end(model, end, true);
}

/* ---- the beginning and the end ---- */

static void add_way(struct model *model, struct memory_node *a, struct memory_node *b)
{
	char name_a[] = {a->name, '-', b->name, 0}, name_b[] = {b->name, '-', a->name, 0};
	int end_a = add_end(model, a, true), end_b = add_end(model, b, true);

	memory_pair(a, name_a, &end_at(model, end_a)->port, b, name_b, &end_at(model, end_b)->port);
}

static void start(struct model *model, unsigned seed, enum model_kind kind)
{
	size_t nodes;

	model->seed = seed;
	model->state = seed * 2654435761u + (unsigned)kind;
	model->kind = kind;
	model->end_count = model->message_count = 0;
	model->hole = false;
	nodes = 2 + model_pick(model, MEMORY_NODES - 1);
	memory_net_init(&model->net, nodes);
	model->net.quiet = true;
	/* As on sockets: what a node has said last of a port comes last, also if it dies. */
	model->net.links_in_order = kind == MODEL_DEATHS;
	for (size_t a = 0; a < nodes; a++) {
		/* Which nodes are like the original in the order of backlog and CHANGE_PEER. */
		model->net.nodes[a].space.backlog_first = kind == MODEL_ORDERLY && seed % 4 == 1;
		for (size_t b = 0; b < a; b++)
			add_way(model, &model->net.nodes[a], &model->net.nodes[b]);
	}
	for (unsigned i = 0; i < 6; i++)
		new_pair(model, &model->net.nodes[model_pick(model, (unsigned)nodes)]);
}

/* Delivers and receives until nothing comes any more. */
static void settle(struct model *model)
{
	bool again;

	do {
		again = false;
		memory_run(&model->net, &model->state);
		for (int i = 0; i < model->end_count; i++) {
			while (end_at(model, i)->where == MODEL_HELD &&
				!end_at(model, i)->node->dead && receive_on(model, i))
				again = true;
		}
	} while (again || model->net.packet_count);
}

static void check_orderly(struct model *model, int index)
{
	const struct model_end *end = end_at(model, index), *other = end_at(model, end->other);
	int status = memory_end(end->port);

	MUST(end->first < 0, "not everything came", index);
	if (other->where == MODEL_HELD)
		MUST(status == 0, "the other end is there", index);
	else if (other->where == MODEL_CLOSED)
		MUST(status == -EPIPE, "the other end was closed", index);
	else
		MUST(status != 0 && other->where == MODEL_LOST, "the other end was lost", index);
}

static void check_end(struct model *model, int index)
{
	const struct model_end *end = end_at(model, index), *other = end_at(model, end->other);
	int status = memory_end(end->port);

	if (end->excused)
		return;
	if (other->where != MODEL_HELD)
		MUST(status != 0, "the other end is gone, and nobody says so", index);
	else if (status == 0)
		MUST(end->first < 0, "not everything came", index);
	if (other->where == MODEL_HELD)
		MUST((status == 0) == (memory_end(other->port) == 0), "one end alone has ended",
			index);
}

static void check_ends(struct model *model)
{
	for (int i = 0; i < model->end_count; i++) {
		if (end_at(model, i)->where != MODEL_HELD)
			continue;
		if (model->kind == MODEL_ORDERLY)
			check_orderly(model, i);
		else
			check_end(model, i);
	}
}

static void check_nothing_moves(const struct model *model)
{
	for (size_t i = 0; i < model->net.node_count; i++) {
		const struct memory_node *node = &model->net.nodes[i];

		if (!node->dead && !model->hole)
			MUST(mesh__space_moving(&node->space) == 0, "ports stay on the move", 0);
	}
}

/* Ends that seem to talk do. */
static void probe(struct model *model)
{
	for (int i = 0; i < model->end_count; i++) {
		if (end_at(model, i)->where == MODEL_HELD)
			send_over(model, i, false);
	}
	settle(model);
	check_ends(model);
}

static void close_all(struct model *model)
{
	for (int i = 0; i < model->end_count; i++) {
		if (end_at(model, i)->where == MODEL_HELD && model_pick(model, 2))
			close_end(model, i, false);
	}
	settle(model);
	check_ends(model);
	for (int i = 0; i < model->end_count; i++) {
		if (end_at(model, i)->where == MODEL_HELD)
			close_end(model, i, false);
	}
	memory_run(&model->net, &model->state);
	for (size_t i = 0; i < model->net.node_count; i++) {
		if (!model->net.nodes[i].dead && !model->hole)
			MUST(memory_port_count(&model->net.nodes[i]) == 0, "ports are left", 0);
	}
	memory_net_clear(&model->net);
}

static void free_on_dead_nodes(struct model *model)
{
	for (int i = 0; i < model->end_count; i++) {
		struct model_end *end = end_at(model, i);

		if (end->where == MODEL_HELD && end->node->dead) {
			struct mesh_port *port = end->port;

			model_lose_end(model, i);
			memory_free(port);
		}
	}
}

static void maybe_kill(struct model *model, unsigned at)
{
	struct memory_node *victim =
		&model->net.nodes[model_pick(model, (unsigned)model->net.node_count)];

	if (model->kind != MODEL_DEATHS || (at != 200 && (at != 300 || model->seed % 4)) ||
		victim->dead)
		return;
	model_kill(model, victim);
	free_on_dead_nodes(model);
}

bool model_play(unsigned seed, enum model_kind kind)
{
	static struct model model;

	playing = &model;
	start(&model, seed, kind);
	for (unsigned i = 0; i < 400; i++) {
		step(&model);
		maybe_kill(&model, i);
	}
	settle(&model);
	check_nothing_moves(&model);
	check_ends(&model);
	probe(&model);
	close_all(&model);
	return model.hole;
}
