/* SPDX-License-Identifier: MIT */
#include <mesh/encoding.h>

#include <endian.h>
#include <errno.h>
#include <string.h>

#include <mesh/protobuf-priv.h>

struct mesh_reader mesh_reader_over(const void *data, size_t size)
{
	const uint8_t *at = size ? data : (const uint8_t *)""; /* no arithmetic on NULL */

	return (struct mesh_reader){.at = at, .end = at + size};
}

struct mesh_reader mesh_reader_of(struct mesh_message *message)
{
	struct mesh_reader reader =
	        mesh_reader_over(mesh_message_data(message), mesh_message_size(message));

	reader.resource_end = mesh_message_resource_count(message);
	return reader;
}

static size_t left(const struct mesh_reader *reader)
{
	return (size_t)(reader->end - reader->at);
}

static int read_fixed(struct mesh_reader *reader, size_t size, uint64_t *ret)
{
	uint64_t value = 0;

	if (left(reader) < size)
		return -EBADMSG;
	memcpy(&value, reader->at, size); /* the low bytes, in wire order */
	reader->at += size;
	*ret = le64toh(value);
	return 0;
}

/* `resources`: how many of the range go with these bytes. */
static int read_inner(struct mesh_reader *reader, uint64_t resources, struct mesh_reader *ret)
{
	uint64_t size;
	int r = mesh__varint_read(&reader->at, reader->end, &size);

	if (r < 0)
		return r;
	if (size > left(reader) || resources > reader->resource_end - reader->resource)
		return -EBADMSG;
	ret->at = reader->at;
	ret->end = reader->at + size;
	ret->resource = reader->resource;
	ret->resource_end = reader->resource + (size_t)resources;
	reader->at = ret->end;
	reader->resource = ret->resource_end;
	return 0;
}

static int read_value(struct mesh_reader *reader, struct mesh_field *field)
{
	uint64_t resources;
	int r;

	switch (field->wire_type) {
	case MESH__WIRE_VARINT:
		return mesh__varint_read(&reader->at, reader->end, &field->value);
	case MESH__WIRE_FIXED64:
		return read_fixed(reader, 8, &field->value);
	case MESH__WIRE_FIXED32:
		return read_fixed(reader, 4, &field->value);
	case MESH__WIRE_BYTES:
		return read_inner(reader, 0, &field->inner);
	case MESH__WIRE_MESSAGE:
		r = mesh__varint_read(&reader->at, reader->end, &resources);
		return r < 0 ? r : read_inner(reader, resources, &field->inner);
	case MESH__WIRE_RESOURCE:
		if (reader->resource == reader->resource_end)
			return -EBADMSG;
		field->resource = reader->resource++;
		return 0;
	default: /* groups, which protobuf gave up */
		return -EBADMSG;
	}
}

int mesh_reader_next(struct mesh_reader *reader, struct mesh_field *ret)
{
	struct mesh_reader next = *reader;
	struct mesh_field field = {0};
	uint64_t key;
	int r;

	if (next.at == next.end)
		return 0;
	r = mesh__varint_read(&next.at, next.end, &key);
	if (r < 0)
		return r;
	if (!mesh__field_valid(key >> 3))
		return -EBADMSG;
	field.number = (uint32_t)(key >> 3);
	field.wire_type = (unsigned)(key & 7);
	r = read_value(&next, &field);
	if (r < 0)
		return r;
	*reader = next;
	*ret = field;
	return 1;
}
