/* SPDX-License-Identifier: MIT */
#include <mesh/encoding.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <mesh/protobuf-priv.h>
#include <mesh/writer-priv.h>
#include <pal/util-priv.h>

/* A sub-message that is being written. Its header is put in front of it when its size is known. */
struct frame {
	uint32_t field;
	size_t start;     /* of its bytes */
	size_t resources; /* that the message had before it */
};

struct mesh_writer {
	uint8_t *data;
	size_t size, room;
	struct frame *frames;
	size_t depth, frame_room;
	struct mesh_message *resources; /* a message without bytes */
	int error;                      /* the first; nothing is written after it */
};

struct mesh_writer *mesh_writer_new(void)
{
	struct mesh_writer *writer = calloc(1, sizeof *writer);

	if (!writer)
		return NULL;
	writer->resources = mesh_message_new(NULL, 0);
	if (!writer->resources) {
		free(writer);
		return NULL;
	}
	return writer;
}

void mesh_writer_free(struct mesh_writer *writer)
{
	int saved = errno;

	if (!writer)
		return;
	mesh_message_free(writer->resources);
	free(writer->frames);
	free(writer->data);
	free(writer);
	errno = saved;
}

int mesh__writer_error(const struct mesh_writer *writer)
{
	return writer ? writer->error : -ENOMEM;
}

static void fail(struct mesh_writer *writer, int error)
{
	if (writer && !writer->error)
		writer->error = error;
}

/* Whether writing may go on. */
static bool usable(struct mesh_writer *writer, uint32_t field)
{
	if (!mesh__field_valid(field))
		fail(writer, -EINVAL);
	return mesh__writer_error(writer) == 0;
}

/* The array with room for `needed` elements, grown by doubling; NULL when memory runs out. */
static void *grown(
        struct mesh_writer *writer, void *array, size_t *room, size_t needed, size_t element)
{
	size_t new_room = *room ? *room : 64 / element + 1;

	if (needed <= *room)
		return array;
	while (new_room < needed && new_room <= PTRDIFF_MAX / element)
		new_room *= 2;
	array = new_room <= PTRDIFF_MAX / element ? realloc(array, new_room * element) : NULL;
	if (array)
		*room = new_room;
	else
		fail(writer, -ENOMEM);
	return array;
}

/* Makes room for `size` more bytes. */
static bool reserve(struct mesh_writer *writer, size_t size)
{
	uint8_t *data;

	if (size > PTRDIFF_MAX - writer->size) {
		fail(writer, -ENOMEM);
		return false;
	}
	data = grown(writer, writer->data, &writer->room, writer->size + size, 1);
	if (!data)
		return false;
	writer->data = data;
	return true;
}

void mesh__writer_raw(struct mesh_writer *writer, const void *data, size_t size)
{
	if (mesh__writer_error(writer) < 0 || !size || !reserve(writer, size))
		return;
	memcpy(writer->data + writer->size, data, size);
	writer->size += size;
}

const uint8_t *mesh__writer_data(const struct mesh_writer *writer, size_t *ret_size)
{
	*ret_size = writer->size;
	return writer->data;
}

/* A key and up to two numbers behind it. */
#define HEADER_MAX (3 * MESH__VARINT_MAX)

void mesh_writer_varint(struct mesh_writer *writer, uint32_t field, uint64_t value)
{
	uint8_t bytes[HEADER_MAX];
	size_t size;

	if (!usable(writer, field))
		return;
	size = mesh__varint_write(bytes, mesh__key(field, MESH__WIRE_VARINT));
	size += mesh__varint_write(bytes + size, value);
	mesh__writer_raw(writer, bytes, size);
}

void mesh_writer_sint(struct mesh_writer *writer, uint32_t field, int64_t value)
{
	mesh_writer_varint(writer, field, mesh__zigzag(value));
}

void mesh_writer_bytes(struct mesh_writer *writer, uint32_t field, const void *data, size_t size)
{
	uint8_t header[HEADER_MAX];
	size_t header_size;

	if (!usable(writer, field))
		return;
	if (!data && size) {
		fail(writer, -EINVAL);
		return;
	}
	header_size = mesh__varint_write(header, mesh__key(field, MESH__WIRE_BYTES));
	header_size += mesh__varint_write(header + header_size, size);
	mesh__writer_raw(writer, header, header_size);
	mesh__writer_raw(writer, data, size);
}

/* The key of a resource that has just been put. */
static void resource_key(struct mesh_writer *writer, uint32_t field, int put_result)
{
	uint8_t key[MESH__VARINT_MAX];

	if (mesh__writer_error(writer) < 0)
		return;
	if (put_result < 0)
		fail(writer, put_result);
	else
		mesh__writer_raw(writer, key,
		        mesh__varint_write(key, mesh__key(field, MESH__WIRE_RESOURCE)));
}

/* Where a resource goes. After a failure that is no message, and putting closes the resource. */
static struct mesh_message *resources_of(struct mesh_writer *writer, uint32_t field)
{
	return usable(writer, field) ? writer->resources : NULL;
}

void mesh_writer_put_fd(struct mesh_writer *writer, uint32_t field, int fd)
{
	resource_key(writer, field, mesh_message_put_fd(resources_of(writer, field), fd));
}

void mesh_writer_put_port(struct mesh_writer *writer, uint32_t field, struct mesh_port *port)
{
	resource_key(writer, field, mesh_message_put_port(resources_of(writer, field), port));
}

void mesh__writer_move(struct mesh_writer *writer, uint32_t field, struct mesh__resource *resource)
{
	struct mesh__resource moved = *resource;

	*resource = (struct mesh__resource){.kind = MESH__RESOURCE_NONE, .fd = -1};
	if (moved.kind == MESH__RESOURCE_FD)
		mesh_writer_put_fd(writer, field, moved.fd);
	else if (moved.kind == MESH__RESOURCE_PORT)
		mesh_writer_put_port(writer, field, moved.port);
	else
		fail(writer, -EINVAL);
}

void mesh_writer_begin(struct mesh_writer *writer, uint32_t field)
{
	struct frame *frames;

	if (!usable(writer, field))
		return;
	frames = grown(
	        writer, writer->frames, &writer->frame_room, writer->depth + 1, sizeof *frames);
	if (!frames)
		return;
	writer->frames = frames;
	frames[writer->depth++] = (struct frame){.field = field,
	        .start = writer->size,
	        .resources = mesh_message_resource_count(writer->resources)};
}

/*
 * Moves the sub-message up and writes its header into the gap. A byte is moved
 * once for each level that it is nested in.
 */
void mesh_writer_end(struct mesh_writer *writer)
{
	uint8_t header[HEADER_MAX];
	size_t header_size, body_size, resources;
	const struct frame *frame;

	if (mesh__writer_error(writer) < 0)
		return;
	if (!writer->depth) {
		fail(writer, -EINVAL);
		return;
	}
	frame = &writer->frames[--writer->depth];
	body_size = writer->size - frame->start;
	resources = mesh_message_resource_count(writer->resources) - frame->resources;
	if (resources) {
		header_size =
		        mesh__varint_write(header, mesh__key(frame->field, MESH__WIRE_MESSAGE));
		header_size += mesh__varint_write(header + header_size, resources);
	} else {
		header_size = mesh__varint_write(header, mesh__key(frame->field, MESH__WIRE_BYTES));
	}
	header_size += mesh__varint_write(header + header_size, body_size);

	if (!reserve(writer, header_size))
		return;
	memmove(writer->data + frame->start + header_size, writer->data + frame->start, body_size);
	memcpy(writer->data + frame->start, header, header_size);
	writer->size += header_size;
}

/* The bytes become a message's, the resources change hands. */
static int make_message(struct mesh_writer *writer, struct mesh_message **ret)
{
	struct mesh_message *message;

	if (writer->error < 0)
		return writer->error;
	if (writer->depth)
		return -EINVAL;
	message = mesh_message_new(writer->data, writer->size);
	if (!message)
		return -ENOMEM;
	message->resources = PAL_TAKE_POINTER(writer->resources->resources);
	message->resource_count = writer->resources->resource_count;
	message->resource_room = writer->resources->resource_room;
	writer->resources->resource_count = writer->resources->resource_room = 0;
	*ret = message;
	return 0;
}

int mesh_writer_finish(struct mesh_writer *writer, struct mesh_message **ret)
{
	int r = writer ? make_message(writer, ret) : -ENOMEM;

	mesh_writer_free(writer);
	return r;
}
