/* SPDX-License-Identifier: MIT */
#ifndef PROCMESH_TESTS_MESH_TRACE_H
#define PROCMESH_TESTS_MESH_TRACE_H

/*
 * Plays a section of mesh-traces.txt, which the original implementation wrote,
 * on a net: each packet that stands there must be there to be delivered, and the
 * states of the ports must be those that stand under a label.
 *
 * Ids of ports are random. A port that arrives by a move is called after the one
 * that it was ("p'"), in the file as in the net.
 */

#include "memory-link.h"

struct trace_name {
	char raw[40], known_as[40];
};

struct trace_names {
	struct trace_name list[64];
	size_t count;
};

struct trace {
	struct memory_net *net;
	unsigned *seed;     /* NULL: in the order of the file */
	char **lines;       /* of the section */
	size_t count, at;
	struct trace_names file, ours;
	char *except[8];    /* parts of lines that are not compared, with a reason in the test */
	size_t except_count;
	char *extra[8];     /* whole lines that only this implementation has; each once */
	size_t extra_count;
};

void trace_open(struct trace *trace, struct memory_net *net, const char *section, unsigned *seed);
void trace_close(struct trace *trace);
/* What the file calls `raw` is `known_as` here. */
void trace_alias(struct trace *trace, const char *raw, const char *known_as);
/* From here on packets of the file and states of either side that contain `part` are not compared. */
void trace_except(struct trace *trace, const char *part);
/* Before the next stop there is also this packet. */
void trace_extra(struct trace *trace, const char *line);

/* Delivers the next `count` packets of the file: in its order, also with a seed. */
void trace_step(struct trace *trace, size_t count);
/* Delivers what stands before the label; with a seed in any order until all is quiet. Then compares the states under it. */
void trace_settle(struct trace *trace, const char *label);
/* The same in the order of the file with a seed too: the application does something before all is quiet. */
void trace_until(struct trace *trace, const char *label);

#endif
