/* SPDX-License-Identifier: MIT */
#ifndef PROCMESH_TESTS_MESH_TRACE_PLAY_H
#define PROCMESH_TESTS_MESH_TRACE_PLAY_H

/* The stage on which a test program plays sections of mesh-traces.txt: up to four nodes and one trace. */

#include "memory-link.h"
#include "trace.h"

static struct memory_net net;
static struct trace trace;
static unsigned seed;
#define A (&net.nodes[0])
#define B (&net.nodes[1])
#define C (&net.nodes[2])
#define D (&net.nodes[3])

static void stop(void)
{
	trace_close(&trace);
	memory_net_clear(&net);
}

/* `order` 0: that of the file; odd: the original's order of backlog and CHANGE_PEER. */
static void play(const char *section, int order)
{
	seed = (unsigned)order;
	memory_net_init(&net, 4);
	for (size_t i = 0; i < net.node_count; i++)
		net.nodes[i].space.backlog_first = order % 2;
	trace_open(&trace, &net, section, order ? &seed : NULL);
}

static void free_all(struct mesh_port **ports, size_t count)
{
	for (size_t i = 0; i < count; i++)
		memory_free(ports[i]);
}
#define FREE(...)                                                                                  \
	free_all((struct mesh_port *[]){__VA_ARGS__},                                              \
	        sizeof((struct mesh_port *[]){__VA_ARGS__}) / sizeof(void *))

#endif
