/* SPDX-License-Identifier: MIT */
#include <mesh/encoding.h>

#include <errno.h>
#include <pb_common.h>
#include <pb_decode.h>
#include <pb_encode.h>
#include <stdlib.h>

#include <mesh/nanopb-priv.h>
#include <mesh/protobuf-priv.h>
#include <mesh/resource.pb.h>
#include <mesh/writer-priv.h>
#include <pal/util-priv.h>

/*
 * nanopb knows neither wire type 6 nor 7. So it writes and reads plain protobuf,
 * in which a resource is the sub-message mesh.Resource{index}, and this file
 * rewrites the one form into the other along nanopb's own description of the
 * message:
 *
 *	plain   field 2, type 2, 4 bytes {field 1, type 2, 2 bytes {index 1}}
 *	mesh    field 2, type 6, 1 resource, 1 byte {field 1, type 7}
 *
 * Reading goes by the description as well, and not by the wire types alone:
 * else a peer could send a mesh.Resource as an ordinary sub-message, with an
 * index of its choice.
 */

struct transcoder {
	struct mesh_writer *to;
	struct mesh_message *resources; /* encoding: those that are not placed yet */
	const char *why;                /* a text for the error */
};

static int refuse(struct transcoder *coder, int error, const char *why)
{
	coder->why = why;
	return error;
}

/* The field's description in *iter, or false: unknown to this schema. */
static bool find_field(pb_field_iter_t *iter, const struct mesh_field *field)
{
	return field->number <= iter->descriptor->largest_tag &&
	       pb_field_iter_find(iter, field->number);
}

static const pb_msgdesc_t *submessage_of(const pb_field_iter_t *iter)
{
	return PB_LTYPE_IS_SUBMSG(iter->type) ? iter->submsg_desc : NULL;
}

/* ---- encoding: plain to mesh ---- */

/* The index in the bytes of a mesh.Resource. Its default is not on the wire. */
static int read_index(struct mesh_reader from, uint64_t *ret)
{
	struct mesh_field field;
	int r;

	*ret = 0;
	while ((r = mesh_reader_next(&from, &field)) > 0)
		if (field.number == mesh_Resource_index_tag && field.wire_type == MESH__WIRE_VARINT)
			*ret = field.value;
	return r;
}

static int encode_resource(
        struct transcoder *coder, const pb_field_iter_t *iter, const struct mesh_field *field)
{
	uint64_t index;

	if (field->wire_type != MESH__WIRE_BYTES || read_index(field->inner, &index) < 0)
		return -EINVAL;
	if (!index) /* only a field that may be absent can name no resource */
		return PB_HTYPE(iter->type) == PB_HTYPE_OPTIONAL ? 0 : -EINVAL;
	if (index > mesh_message_resource_count(coder->resources))
		return -EINVAL;
	/* Named twice, it is gone the second time, and the writer refuses that. */
	mesh__writer_move(coder->to, field->number, &coder->resources->resources[index - 1]);
	return 0;
}

static int encode_fields(struct transcoder *coder, const pb_msgdesc_t *fields,
        struct mesh_reader from, unsigned depth)
{
	pb_field_iter_t iter;
	struct mesh_field field;
	const uint8_t *start = from.at;
	int r;

	if (depth > MESH__NANOPB_MAX_DEPTH)
		return -EINVAL;
	(void)pb_field_iter_begin(&iter, fields, NULL);
	for (; (r = mesh_reader_next(&from, &field)) > 0; start = from.at) {
		const pb_msgdesc_t *inner = find_field(&iter, &field) ? submessage_of(&iter) : NULL;

		if (inner == &mesh_Resource_msg) {
			r = encode_resource(coder, &iter, &field);
		} else if (inner && field.wire_type == MESH__WIRE_BYTES) {
			mesh_writer_begin(coder->to, field.number);
			r = encode_fields(coder, inner, field.inner, depth + 1);
			mesh_writer_end(coder->to);
		} else {
			mesh__writer_raw(coder->to, start, (size_t)(from.at - start));
		}
		if (r < 0)
			return r;
	}
	return r < 0 ? -EINVAL : 0;
}

static int all_placed(const struct mesh_message *resources)
{
	for (size_t i = 0; i < mesh_message_resource_count(resources); i++)
		if (resources->resources[i].kind != MESH__RESOURCE_NONE)
			return -EINVAL;
	return 0;
}

static int encode(struct transcoder *coder, const pb_msgdesc_t *fields, const void *src,
        uint32_t prefix_field)
{
	PAL_CLEANUP_FREE uint8_t *plain = NULL;
	pb_ostream_t stream;
	size_t size;
	int r;

	if (!pb_get_encoded_size(&size, fields, src))
		return -EINVAL;
	plain = malloc(size ? size : 1);
	if (!plain)
		return -ENOMEM;
	stream = pb_ostream_from_buffer(plain, size);
	if (!pb_encode(&stream, fields, src))
		return -EINVAL;

	if (prefix_field)
		mesh_writer_begin(coder->to, prefix_field);
	r = encode_fields(coder, fields, mesh_reader_over(plain, stream.bytes_written), 0);
	if (prefix_field)
		mesh_writer_end(coder->to);
	return r < 0 ? r : all_placed(coder->resources);
}

int mesh_nanopb_encode(const struct pb_msgdesc_s *fields, const void *src,
        struct mesh_message *resources, uint32_t prefix_field, struct mesh_message **ret)
{
	struct transcoder coder = {.to = mesh_writer_new(), .resources = resources};
	int r = coder.to ? encode(&coder, fields, src, prefix_field) : -ENOMEM;

	if (r < 0)
		mesh_writer_free(coder.to);
	else
		r = mesh_writer_finish(coder.to, ret);
	mesh_message_free(resources);
	return r;
}

/* ---- decoding: mesh to plain ---- */

static int decode_fields(struct transcoder *coder, const pb_msgdesc_t *fields,
        struct mesh_reader from, unsigned depth);

static void decode_resource(struct transcoder *coder, const struct mesh_field *field)
{
	mesh_writer_begin(coder->to, field->number);
	mesh_writer_varint(coder->to, mesh_Resource_index_tag, (uint64_t)field->resource + 1);
	mesh_writer_end(coder->to);
}

/* A field of the schema; `bytes` are the whole of it. */
static int decode_known(struct transcoder *coder, const pb_msgdesc_t *inner,
        const struct mesh_field *field, const uint8_t *bytes, size_t size, unsigned depth)
{
	bool is_resource = field->wire_type == MESH__WIRE_RESOURCE;
	bool has_resources = field->wire_type == MESH__WIRE_MESSAGE;
	int r;

	if (inner == &mesh_Resource_msg) {
		if (!is_resource)
			return refuse(coder, -EBADMSG, "a field that must be a resource is none");
		decode_resource(coder, field);
		return 0;
	}
	if (is_resource)
		return refuse(coder, -EBADMSG, "a resource in a field of another type");
	if (inner && (has_resources || field->wire_type == MESH__WIRE_BYTES)) {
		mesh_writer_begin(coder->to, field->number);
		r = decode_fields(coder, inner, field->inner, depth + 1);
		mesh_writer_end(coder->to);
		return r;
	}
	if (has_resources)
		return refuse(coder, -EBADMSG, "resources in a field that is no message");
	mesh__writer_raw(coder->to, bytes, size);
	return 0;
}

static int decode_fields(struct transcoder *coder, const pb_msgdesc_t *fields,
        struct mesh_reader from, unsigned depth)
{
	pb_field_iter_t iter;
	struct mesh_field field;
	const uint8_t *start = from.at;
	int r;

	if (depth > MESH__NANOPB_MAX_DEPTH)
		return refuse(coder, -EBADMSG, "messages nested too deeply");
	(void)pb_field_iter_begin(&iter, fields, NULL);
	for (; (r = mesh_reader_next(&from, &field)) > 0; start = from.at) {
		size_t size = (size_t)(from.at - start);

		/* Of unknown fields those without resources stay: nanopb has extensions. */
		if (find_field(&iter, &field))
			r = decode_known(coder, submessage_of(&iter), &field, start, size, depth);
		else if (field.wire_type < MESH__WIRE_MESSAGE)
			mesh__writer_raw(coder->to, start, size);
		if (r < 0)
			return r;
	}
	if (r < 0)
		return refuse(coder, r,
		        "not the encoding of a message, or more resources than there are");
	return 0;
}

static int decode(
        struct transcoder *coder, const pb_msgdesc_t *fields, void *dest, struct mesh_reader from)
{
	pb_istream_t stream;
	const uint8_t *plain;
	size_t size;
	int r = decode_fields(coder, fields, from, 0);

	if (r == 0 && mesh__writer_error(coder->to) < 0)
		r = refuse(coder, mesh__writer_error(coder->to), "no memory");
	if (r < 0)
		return r;
	plain = mesh__writer_data(coder->to, &size);
	stream = pb_istream_from_buffer(plain, size);
	if (!pb_decode(&stream, fields, dest))
		return refuse(coder, -EBADMSG, PB_GET_ERROR(&stream));
	return 0;
}

int mesh__nanopb_decode(const struct pb_msgdesc_s *fields, void *dest, struct mesh_reader from,
        const char **ret_why)
{
	struct transcoder coder = {.to = mesh_writer_new(), .why = "no memory"};
	int r = coder.to ? decode(&coder, fields, dest, from) : -ENOMEM;

	mesh_writer_free(coder.to);
	if (r < 0)
		*ret_why = coder.why;
	return r;
}

int mesh_nanopb_decode(const struct pb_msgdesc_s *fields, void *dest, struct mesh_reader from)
{
	const char *why;

	return mesh__nanopb_decode(fields, dest, from, &why);
}
