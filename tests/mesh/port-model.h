/* SPDX-License-Identifier: MIT */
#ifndef PROCMESH_TESTS_MESH_PORT_MODEL_H
#define PROCMESH_TESTS_MESH_PORT_MODEL_H

/*
 * Random histories of ports on the memory link, beside a model that is as simple as what ports promise: each end has
 * a list of the messages that it has still to receive, in order. Sending appends to the list of the other end, joining
 * two ends appends what they have not received to the lists of their other ends, and whatever is received must
 * stand first. A message names the ends that it carries, so that those are known when they come out somewhere else.
 */

#include "memory-link.h"

#define MODEL_ENDS 400
#define MODEL_MESSAGES 8000
#define MODEL_PORTS_PER_MESSAGE 2

enum model_kind {
	MODEL_ORDERLY,  /* nothing fails, so nothing may be missing */
	MODEL_FAILURES, /* ends fail */
	MODEL_DEATHS,   /* nodes too */
	MODEL_KINDS
};

struct model_end {
	enum model_where {
		MODEL_HELD,    /* by the program on a node */
		MODEL_CARRIED, /* in a message */
		MODEL_CLOSED,
		MODEL_LOST,
		MODEL_JOINED /* with another one, and gone */
	} where;
	struct memory_node *node; /* of which the program is that holds it */
	struct mesh_port *port;
	int other;       /* the end that it talks to */
	int first, last; /* messages to receive; -1: none */
	bool pinned;     /* stays where it is, as a way between two nodes */
	bool excused;    /* see port-model-death.c */
};

struct model_message {
	int carried[MODEL_PORTS_PER_MESSAGE]; /* ends; -1 */
	int next;
};

struct model {
	struct memory_net net;
	unsigned seed, state; /* of the random numbers: the first, and the next */
	enum model_kind kind;
	struct model_end ends[MODEL_ENDS];
	int end_count;
	struct model_message messages[MODEL_MESSAGES];
	int message_count;
	bool hole; /* a node has died in the middle of something of which nobody can know */
};

/* Plays a history of this seed and checks it. Whether a hole of the protocol was hit, in which ports may wait. */
bool model_play(unsigned seed, enum model_kind kind);

/* ---- for port-model-death.c ---- */

unsigned model_pick(struct model *model, unsigned below);
/* What the program on that node held is gone, and what it was to receive. */
void model_lose_end(struct model *model, int end);
/* Kills a node, after a look at what it leaves behind. */
void model_kill(struct model *model, struct memory_node *victim);

#endif
