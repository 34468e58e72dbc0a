/* SPDX-License-Identifier: MIT */
#ifndef PROCMESH_TESTS_MESH_WILD_H
#define PROCMESH_TESTS_MESH_WILD_H

/* A guest of the leader of limits.h that is no node, but a socket: it sends what no library sends, and says what it likes. */

#include "limits.h"

struct wild {
	struct mesh_invitation invitation;
	struct mesh_port *port; /* the leader's */
	struct mesh_id target;  /* what the events are for */
	struct mesh__record first[3]; /* of the first message: the ports that it has got */
};

/* With the leader's port for its guest as target, as the wild one reads it from the first message. */
struct wild wild_guest(void);
void wild_free(struct wild *wild);
void wild_send(const struct wild *wild, enum mesh__event_type type, uint64_t seq, const struct mesh__record *records,
	size_t count, const void *body, size_t size);
/* ACK_PORT or FAIL_PORT for a port of the leader's. */
void wild_answer(const struct wild *wild, const struct mesh_id *port, enum mesh__event_type type);
/* Reads until a port comes, alone in its message. */
struct mesh__record wild_expect_port(const struct wild *wild);
/* Reads until there is such an event. */
void wild_expect(const struct wild *wild, enum mesh__event_type type);

#endif
