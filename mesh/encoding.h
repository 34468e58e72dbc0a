/* SPDX-License-Identifier: MIT */
#ifndef PROCMESH_MESH_ENCODING_H
#define PROCMESH_MESH_ENCODING_H

#include <mesh/message.h>
#include <pal/export.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

PAL_BEGIN_DECLS

/*
 * Messages that name their resources are written in protobuf with two more wire
 * types: 6, a sub-message that holds n >= 1 resources (varint n, varint length,
 * bytes), and 7, one resource, which has no bytes. The order of the resources in
 * the message is their depth-first order in the bytes. Messages without
 * resources are plain protobuf.
 */

/* ---- writing: front to back into one growing buffer ---- */

struct mesh_writer;

/* NULL when memory runs out; then the others do nothing and finish returns -ENOMEM. */
PAL_EXPORT struct mesh_writer *mesh_writer_new(void);
PAL_EXPORT void mesh_writer_free(struct mesh_writer *writer); /* closes what was put; takes NULL */

/* Fields are written even when they are 0 or empty; leave the call out to omit one. */
PAL_EXPORT void mesh_writer_varint(struct mesh_writer *writer, uint32_t field, uint64_t value);
PAL_EXPORT void mesh_writer_sint(struct mesh_writer *writer, uint32_t field, int64_t value); /* zigzag */
PAL_EXPORT void mesh_writer_bytes(struct mesh_writer *writer, uint32_t field, const void *data, size_t size);
/* Resources; ownership as with mesh_message_put_fd. */
PAL_EXPORT void mesh_writer_put_fd(struct mesh_writer *writer, uint32_t field, int fd);
PAL_EXPORT void mesh_writer_put_port(struct mesh_writer *writer, uint32_t field, struct mesh_port *port);
/* A sub-message: everything between begin and end. Whether it is wire type 2 or 6 follows from what it holds. */
PAL_EXPORT void mesh_writer_begin(struct mesh_writer *writer, uint32_t field);
PAL_EXPORT void mesh_writer_end(struct mesh_writer *writer);

/* Makes the message and frees the writer, also on failure. 0, -ENOMEM, -EINVAL (begin without end, field 0), -EBADF. */
PAL_EXPORT int mesh_writer_finish(struct mesh_writer *writer, struct mesh_message **ret) PAL_MUST_CHECK;

/* ---- reading: a cursor over borrowed bytes ---- */

/*
 * A range of bytes and the range of the message's resource list that belongs to
 * it. Holds pointers into the message; copy it freely. Peer data: every length
 * and count is checked.
 */
struct mesh_reader {
	const uint8_t *at, *end;
	size_t resource, resource_end; /* indices for mesh_message_take_fd and _port */
};

struct mesh_field {
	uint32_t number;
	unsigned wire_type;        /* 0, 1, 2, 5, 6 or 7 */
	uint64_t value;            /* of 0, 1 and 5 */
	struct mesh_reader inner;  /* of 2 and 6: its bytes and resources; inner.end - inner.at is the length */
	size_t resource;           /* of 7: index into the message's list */
};

PAL_EXPORT struct mesh_reader mesh_reader_of(struct mesh_message *message);
/* The same over bytes that carry no resources. */
PAL_EXPORT struct mesh_reader mesh_reader_over(const void *data, size_t size);

/*
 * 1 and the next field, 0 at the end, -EBADMSG: truncated, a varint of more than
 * 10 bytes, field number 0 or over 2^29-1, wire type 3 or 4, a resource that the
 * range does not have.
 */
PAL_EXPORT int mesh_reader_next(struct mesh_reader *reader, struct mesh_field *ret) PAL_MUST_CHECK;

/* A field's value as a signed number (zigzag). */
static inline int64_t mesh_field_sint(const struct mesh_field *field)
{
	return (int64_t)(field->value >> 1) ^ -(int64_t)(field->value & 1);
}

/* ---- nanopb: a message struct into a message and back, resources included ---- */

/*
 * In the .proto a descriptor or port is a field of type mesh.Resource; its
 * `index` counts from 1 in the message's resource list, 0 is none. Import
 * "mesh/resource.proto": it is installed, and so is its generated header, in the
 * folder that nanopb's generator must be told of
 *
 *	nanopb_generator -I. -I<includedir>/procmesh task.proto
 *
 * The descriptors of messages are the generated ones; that of mesh.Resource is
 * in this library. Sub-messages may be nested 64 deep, in both directions.
 */
struct pb_msgdesc_s;

/*
 * Encodes `src` and attaches the resources, of which each must be named
 * by exactly one Resource field. `resources` is a message that only carries
 * them (mesh_message_new(NULL, 0) and put); it is consumed, also on failure, and
 * may be NULL if there are none. `prefix_field`: when not 0 the whole becomes
 * sub-message `prefix_field` of an outer message (the envelope of channels).
 * A Resource with index 0 is left out, which only a field that is optional may be.
 * 0, -ENOMEM, -EINVAL (an index out of range, missing or used twice; nanopb refused).
 */
PAL_EXPORT int mesh_nanopb_encode(const struct pb_msgdesc_s *fields, const void *src, struct mesh_message *resources,
	uint32_t prefix_field, struct mesh_message **ret) PAL_MUST_CHECK;

/*
 * Decodes a reader's range into `dest`, which nanopb's generated _init_zero has
 * initialised. Resource fields get the index + 1 of the resource, which stays in
 * the message until it is taken out; whether it is a descriptor or a port shows
 * then. What does not fit the schema is refused, also an index that the peer
 * made up; unknown fields are skipped with their resources. On failure `dest` is
 * to be given up. 0, -ENOMEM, -EBADMSG.
 */
PAL_EXPORT int mesh_nanopb_decode(const struct pb_msgdesc_s *fields, void *dest, struct mesh_reader from)
	PAL_MUST_CHECK;

PAL_END_DECLS

#endif
