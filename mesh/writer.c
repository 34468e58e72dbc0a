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
	struct mesh_message *message; /* its size is the room that there is */
	size_t size;                  /* the bytes that are written */
	struct frame *frames;
	size_t depth, frame_room;
	int error; /* the first; nothing is written after it */
};

/* Enough for most control messages and small requests. */
#define FIRST_ROOM 128

struct mesh_writer *mesh_writer_new(void)
{
	struct mesh_writer *writer = calloc(1, sizeof *writer);

	if (!writer)
		return NULL;
	writer->message = mesh_message_new_sized(FIRST_ROOM);
	if (!writer->message) {
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
	mesh_message_free(writer->message);
	free(writer->frames);
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

/* Makes room for `size` more bytes, by doubling. */
static bool reserve(struct mesh_writer *writer, size_t size)
{
	size_t room = mesh_message_size(writer->message);
	struct mesh_message *message;

	if (size <= room - writer->size)
		return true;
	if (size > PTRDIFF_MAX / 2 - writer->size) {
		fail(writer, -ENOMEM);
		return false;
	}
	while (room < writer->size + size)
		room *= 2;
	message = mesh__message_resize(writer->message, room);
	if (!message) {
		fail(writer, -ENOMEM);
		return false;
	}
	writer->message = message;
	return true;
}

void mesh__writer_raw(struct mesh_writer *writer, const void *data, size_t size)
{
	if (mesh__writer_error(writer) < 0 || !size || !reserve(writer, size))
		return;
	memcpy(writer->message->data + writer->size, data, size);
	writer->size += size;
}

const uint8_t *mesh__writer_data(const struct mesh_writer *writer, size_t *ret_size)
{
	*ret_size = writer->size;
	return writer->message->data;
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
	return usable(writer, field) ? writer->message : NULL;
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

static bool reserve_frame(struct mesh_writer *writer)
{
	size_t room = writer->frame_room ? writer->frame_room * 2 : 8;
	struct frame *frames;

	if (writer->depth < writer->frame_room)
		return true;
	frames = reallocarray(writer->frames, room, sizeof *frames);
	if (!frames) {
		fail(writer, -ENOMEM);
		return false;
	}
	writer->frames = frames;
	writer->frame_room = room;
	return true;
}

void mesh_writer_begin(struct mesh_writer *writer, uint32_t field)
{
	if (!usable(writer, field) || !reserve_frame(writer))
		return;
	writer->frames[writer->depth++] = (struct frame){.field = field,
	        .start = writer->size,
	        .resources = mesh_message_resource_count(writer->message)};
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
	resources = mesh_message_resource_count(writer->message) - frame->resources;
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
	memmove(writer->message->data + frame->start + header_size,
	        writer->message->data + frame->start, body_size);
	memcpy(writer->message->data + frame->start, header, header_size);
	writer->size += header_size;
}

int mesh_writer_finish(struct mesh_writer *writer, struct mesh_message **ret)
{
	int r = mesh__writer_error(writer);

	if (r == 0 && writer->depth)
		r = -EINVAL;
	if (r == 0) {
		writer->message->size = writer->size;
		*ret = PAL_TAKE_POINTER(writer->message);
	}
	mesh_writer_free(writer);
	return r;
}
