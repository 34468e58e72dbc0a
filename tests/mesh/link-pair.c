/* SPDX-License-Identifier: MIT */
#include "link-pair.h"

#include <stdlib.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "support.h"

struct mesh__link near, far;

static int see(void *userdata, struct mesh__incoming *event, int *fds, size_t fd_count)
{
	struct seen *seen = userdata;
	const uint8_t *body = mesh_message_data(event->body);
	size_t body_size = mesh_message_size(event->body), size = event->size;

	seen->events++;
	seen->size = size;
	seen->first = size ? event->data[0] : 0;
	if (!event->detached)
		seen->last = size ? event->data[size - 1] : 0;
	else
		seen->last = body_size ? body[body_size - 1] : 0;
	seen->fds = fd_count;
	for (size_t i = 0; i < fd_count; i++) {
		if (seen->hold)
			seen->held[i] = fds[i];
		else
			close(fds[i]);
	}
	mesh_message_free(event->body);
	return seen->answer;
}

const struct mesh__link_reader reader = {.deliver = see};

static struct mesh__inbox inbox = {.most = MESH__BATCH_MAX};
#define PLENTY {.bytes = (size_t)1 << 30, .packets = 1 << 20, .fds = 1 << 20}
static const struct mesh__queue_bounds plenty = {.program = PLENTY, .all = PLENTY};

void make_links(void)
{
	int ends[2];

	ck_assert_int_eq(pal_socket_pair(SOCK_SEQPACKET, ends), 0);
	mesh__link_init(&near, ends[0], &inbox, &plenty, (size_t)1 << 30);
	mesh__link_init(&far, ends[1], &inbox, &plenty, (size_t)1 << 30);
}

void drop_links(void)
{
	mesh__link_deinit(&near);
	mesh__link_deinit(&far);
}

void send_bytes(struct mesh__link *link, size_t size, uint8_t value, int *fds, size_t fd_count)
{
	uint8_t *event = mesh__link_room(link, size);

	ck_assert_ptr_nonnull(event);
	memset(event, value, size);
	if (size >= MESH__EVENT_HEADER_SIZE) {
		struct mesh_id port;

		memset(&port, value, sizeof port);
		mesh__event_header_write(event, &port, MESH__EVENT_MESSAGE, MESH__FLAG_MESSAGE,
			1, 0, (uint32_t)(size - MESH__EVENT_HEADER_SIZE));
	}
	mesh__link_send(link, event, fds, fd_count);
}

int read_all(struct mesh__link *link, struct seen *seen)
{
	return mesh__link_receive(link, 1000, &reader, seen);
}

void send_raw(const void *data, size_t size, const int *fds, size_t fd_count)
{
	ck_assert_int_eq(pal_socket_send(near.fd, data, size, fds, fd_count), (ssize_t)size);
}

int new_memfd(size_t size, int seals)
{
	static const uint8_t page[4096];
	int fd = memfd_create("test", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(ftruncate(fd, (off_t)size), 0);
	if (size >= sizeof page)
		ck_assert_int_eq(pwrite(fd, page, sizeof page, 0), sizeof page);
	if (seals)
		ck_assert_int_eq(fcntl(fd, F_ADD_SEALS, seals), 0);
	return fd;
}

const uint8_t large_header[MESH__PACKET_HEADER_SIZE] = {MESH__PACKET_LARGE_EVENT};

void send_memfd(int fd)
{
	send_raw(large_header, sizeof large_header, &fd, 1);
	close(fd);
}
