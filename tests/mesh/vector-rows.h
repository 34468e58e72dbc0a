/* SPDX-License-Identifier: MIT */
#ifndef PROCMESH_TESTS_MESH_VECTOR_ROWS_H
#define PROCMESH_TESTS_MESH_VECTOR_ROWS_H

/*
 * What each vector of mesh-vectors.txt says, twice: in a small language, one
 * word for each field, and as the value of a schema of vectors.proto or
 * wire.proto. The words:
 *
 *	v1=5 varint    s1=-1 zigzag    b1=text    x1=0102 bytes    i1=10 an id that counts up from 0x10
 *	f1 descriptor  p1 port         {1 ... }  sub-message
 */

#include <pb.h>
#include <stddef.h>
#include <stdint.h>

struct vector_row {
	const char *name, *fields;
	/* its schema, the value, and the field of the envelope or 0 */
	const pb_msgdesc_t *schema;
	const void *value;
	size_t size;
	uint32_t envelope;
};

extern const struct vector_row vector_rows[];
extern const size_t vector_row_count;

#endif
