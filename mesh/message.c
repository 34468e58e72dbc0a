/* SPDX-License-Identifier: MIT */
#include <mesh/message.h>

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include <pal/util-priv.h>

#include <mesh/message-priv.h>
#include <mesh/pool-priv.h>
#include <mesh/space-priv.h>

/* The data stand behind the struct, as aligned as malloc(3) would make them. */
enum {
	DATA_ALIGN = _Alignof(max_align_t),
	DATA_OFFSET = (sizeof(struct mesh_message) + DATA_ALIGN - 1) / DATA_ALIGN * DATA_ALIGN
};

static struct mesh_message *message_alloc(size_t size, void *(*allocate)(size_t size))
{
	struct mesh_message *message;

	if (size > PTRDIFF_MAX - DATA_OFFSET)
		return NULL;
	message = allocate(DATA_OFFSET + size);
	if (!message)
		return NULL;
	*message = (struct mesh_message){.data = (uint8_t *)message + DATA_OFFSET, .size = size, .room = size};
	return message;
}

/* Much of it as the kernel gives it, which is zero already. */
static void *zeroed(size_t size)
{
	void *memory;

	if (!mesh__pool_has(size))
		return calloc(1, size);
	memory = mesh__pool_get(size);
	return memory ? memset(memory, 0, size) : NULL;
}

struct mesh_message *mesh_message_new(const void *data, size_t size)
{
	struct mesh_message *message = message_alloc(size, mesh__pool_get);

	if (message && size)
		memcpy(message->data, data, size);
	return message;
}

/* Zeroed, so that what the caller forgets to fill does not show another process our memory. */
struct mesh_message *mesh_message_new_sized(size_t size)
{
	return message_alloc(size, zeroed);
}

struct mesh_message *mesh__message_new_undefined(size_t size)
{
	return message_alloc(size, mesh__pool_get);
}

static struct mesh_message *reallocate(struct mesh_message *message, size_t size)
{
	struct mesh_message *other;

	if (!mesh__pool_has(DATA_OFFSET + message->room) && !mesh__pool_has(DATA_OFFSET + size))
		return realloc(message, DATA_OFFSET + size);
	other = mesh__pool_get(DATA_OFFSET + size);
	if (!other)
		return NULL;
	memcpy(other, message, DATA_OFFSET + (size < message->size ? size : message->size));
	mesh__pool_put(message, DATA_OFFSET + message->room);
	return other;
}

struct mesh_message *mesh__message_resize(struct mesh_message *message, size_t size)
{
	if (size > PTRDIFF_MAX - DATA_OFFSET)
		return NULL;
	message = reallocate(message, size);
	if (!message)
		return NULL;
	message->data = (uint8_t *)message + DATA_OFFSET;
	message->size = message->room = size;
	return message;
}

static void free_one(struct mesh_message *message)
{
	for (size_t i = 0; i < message->resource_count; i++) {
		struct mesh__resource *resource = &message->resources[i];

		if (resource->kind == MESH__RESOURCE_FD)
			pal_close(resource->fd);
		else if (resource->kind == MESH__RESOURCE_PORT)
			mesh__port_release(resource->port, message->fail_ports);
	}
	mesh__event_release(message->spare);
	free(message->resources);
	mesh__pool_put(message, DATA_OFFSET + message->room);
}

/*
 * Giving up a port frees its unread messages, which hold ports with unread
 * messages, as deep as a peer cares to nest them. So the frees that happen
 * inside a free only add to the list that the outermost one works off.
 */
static _Thread_local struct mesh__message_queue *freeing;

void mesh__message_free_all(struct mesh__message_queue *messages)
{
	int saved = errno;

	if (freeing) {
		STAILQ_CONCAT(freeing, messages);
		return;
	}
	freeing = messages;
	while (!STAILQ_EMPTY(messages)) {
		struct mesh_message *message = STAILQ_FIRST(messages);

		STAILQ_REMOVE_HEAD(messages, next);
		free_one(message);
	}
	freeing = NULL;
	errno = saved;
}

void mesh_message_free(struct mesh_message *message)
{
	struct mesh__message_queue list = STAILQ_HEAD_INITIALIZER(list);

	if (!message)
		return;
	if (!message->resource_count) {
		int saved = errno;

		free_one(message);
		errno = saved;
		return;
	}
	STAILQ_INSERT_TAIL(&list, message, next);
	mesh__message_free_all(&list);
}

void *mesh_message_data(struct mesh_message *message)
{
	return message ? message->data : NULL;
}

size_t mesh_message_size(const struct mesh_message *message)
{
	return message ? message->size : 0;
}

int mesh__message_reserve(struct mesh_message *message, size_t count)
{
	size_t room = message->resource_room ? message->resource_room : 4;
	struct mesh__resource *resources;

	if (count > PTRDIFF_MAX / sizeof *resources / 2 - message->resource_count)
		return -ENOMEM;
	if (message->resource_count + count <= message->resource_room)
		return 0;
	while (room < message->resource_count + count)
		room *= 2;
	resources = reallocarray(message->resources, room, sizeof *resources);
	if (!resources)
		return -ENOMEM;
	message->resources = resources;
	message->resource_room = room;
	return 0;
}

static int put(struct mesh_message *message, struct mesh__resource resource)
{
	int r;

	if (!message)
		return -EINVAL;
	r = mesh__message_reserve(message, 1);
	if (r < 0)
		return r;
	message->resources[message->resource_count++] = resource;
	return 0;
}

static int put_open_fd(struct mesh_message *message, int fd)
{
	int r = put(message, (struct mesh__resource){.kind = MESH__RESOURCE_FD, .fd = fd});

	if (r < 0)
		pal_close(fd);
	return r;
}

int mesh_message_put_fd(struct mesh_message *message, int fd)
{
	/* Told here, where the mistake is; on its way it would cost the port that the message is sent on. */
	if (fcntl(fd, F_GETFD) < 0)
		return -errno;
	return put_open_fd(message, fd);
}

int mesh_message_dup_fd(struct mesh_message *message, int fd)
{
	int copy;

	if (!message)
		return -EINVAL;
	copy = fcntl(fd, F_DUPFD_CLOEXEC, 0);
	if (copy < 0)
		return -errno;
	return put_open_fd(message, copy);
}

int mesh_message_put_port(struct mesh_message *message, struct mesh_port *port)
{
	int r;

	if (!port)
		return -EINVAL;
	if (mesh__port_is_inherited(port))
		return -EPERM;
	mesh__port_detach(port);
	r = put(message,
	        (struct mesh__resource){.kind = MESH__RESOURCE_PORT, .fd = -1, .port = port});
	if (r < 0)
		mesh__port_release(port, false);
	return r;
}

size_t mesh_message_resource_count(const struct mesh_message *message)
{
	return message ? message->resource_count : 0;
}

static struct mesh__resource *find(
        struct mesh_message *message, size_t index, enum mesh__resource_kind kind)
{
	if (!message || index >= message->resource_count || message->resources[index].kind != kind)
		return NULL;
	return &message->resources[index];
}

int mesh_message_take_fd(struct mesh_message *message, size_t index)
{
	struct mesh__resource *resource = find(message, index, MESH__RESOURCE_FD);

	if (!resource)
		return -EINVAL;
	resource->kind = MESH__RESOURCE_NONE;
	return pal_take_fd(&resource->fd);
}

struct mesh_port *mesh_message_take_port(struct mesh_message *message, size_t index)
{
	struct mesh__resource *resource = find(message, index, MESH__RESOURCE_PORT);

	if (!resource)
		return NULL;
	resource->kind = MESH__RESOURCE_NONE;
	return PAL_TAKE_POINTER(resource->port);
}

size_t mesh__message_fd_count(const struct mesh_message *message)
{
	size_t count = 0;

	for (size_t i = 0; i < message->resource_count; i++)
		count += message->resources[i].kind == MESH__RESOURCE_FD;
	return count;
}

bool mesh__message_is_inherited(const struct mesh_message *message)
{
	for (size_t i = 0; message && i < message->resource_count; i++) {
		const struct mesh__resource *resource = &message->resources[i];

		if (resource->kind == MESH__RESOURCE_PORT && mesh__port_is_inherited(resource->port))
			return true;
	}
	return false;
}
