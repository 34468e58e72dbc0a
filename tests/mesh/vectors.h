/* SPDX-License-Identifier: MIT */
#ifndef PROCMESH_TESTS_MESH_VECTORS_H
#define PROCMESH_TESTS_MESH_VECTORS_H

/*
 * mesh-vectors.txt: what another implementation of the format really wrote.
 *
 *	NAME: len=N res=["port", "fd"]
 *	    HEX BYTES                          maybe none
 *	    b64 BASE64                         for some
 *	NAME: ok  or  NAME: decoding failed    how it judged bytes that are not in the file
 *	### a heading
 */

#include <mesh/message.h>
#include <mesh/port.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define VECTOR_MAX_RESOURCES 8

struct vector {
	char name[80];
	bool judged, accepted;  /* a judgement, without bytes */
	uint8_t bytes[256];
	size_t size;
	char resources[VECTOR_MAX_RESOURCES + 1]; /* a letter for each: p port, f descriptor */
	char base64[256];
};

size_t vector_count(void);
const struct vector *vector_at(size_t index);
/* By name; the test fails if there is none. */
const struct vector *vector_find(const char *name);

/* A message of these bytes with resources as "pf" says. */
struct mesh_message *message_of(const void *bytes, size_t size, const char *resources);
struct mesh_message *vector_message(const struct vector *vector);
/* That the message is the vector's, bytes and resources. */
void check_is_vector(struct mesh_message *message, const struct vector *vector);

int some_fd(void);
struct mesh_port *some_port(void); /* its other end is closed */

#endif
