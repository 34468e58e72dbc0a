/* SPDX-License-Identifier: MIT */
#ifndef PROCMESH_TESTS_MESH_HOSTILE_PORT_H
#define PROCMESH_TESTS_MESH_HOSTILE_PORT_H

/* A node that breaks the rules of the port protocol (S139, S141, S142): its own ports pay for it, and nobody else's. */

#include "memory-link.h"

extern struct memory_net net;
#define A (&net.nodes[0])
#define B (&net.nodes[1])
#define C (&net.nodes[2])

/* a on A, the hostile node, and b on B; and two that must not notice anything. */
extern struct mesh_port *a, *b, *calm_a, *calm_b;

void start(void);
/* Checks that the calm ones are well and that of the others (b may be NULL) nothing is left. */
void stop(void);

/* An event of A for b. */
struct raw {
	const char *port; /* NULL: b */
	uint8_t type, flags;
	uint64_t seq;
	const struct mesh__record *records;
	size_t record_count, body_size;
	const void *body;
	uint32_t extra_records, extra_body; /* claimed and not there */
	size_t cut;                         /* bytes left out at the end */
	size_t fds;
	struct memory_node *from; /* NULL: A */
};
void inject(struct raw raw);
#define MESSAGE .type = MESH__EVENT_MESSAGE, .flags = MESH__FLAG_MESSAGE

void expect_failed(void);
void expect_alive(void);

#endif
