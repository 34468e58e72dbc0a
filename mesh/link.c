/* SPDX-License-Identifier: MIT */
#include <mesh/link-priv.h>

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include <pal/log.h>
#include <pal/socket.h>
#include <pal/util-priv.h>

struct mesh__packet {
	STAILQ_ENTRY(mesh__packet) next;
	uint8_t *data;
	size_t size;
	size_t charge; /* what it counts against max_queued: a large event is charged in full */
	size_t fd_count;
	int fds[];
};

static void close_all(const int *fds, size_t count)
{
	for (size_t i = 0; i < count; i++)
		pal_close(fds[i]);
}

void mesh__link_init(struct mesh__link *link, int fd, size_t max_queued, size_t max_message)
{
	*link = (struct mesh__link){.fd = fd, .max_queued = max_queued, .max_message = max_message};
	STAILQ_INIT(&link->queue);
}

static void drop_first(struct mesh__link *link)
{
	struct mesh__packet *packet = STAILQ_FIRST(&link->queue);

	STAILQ_REMOVE_HEAD(&link->queue, next);
	link->queued_bytes -= packet->charge;
	close_all(packet->fds, packet->fd_count);
	free(packet->data);
	free(packet);
}

static void drop_queue(struct mesh__link *link)
{
	while (!STAILQ_EMPTY(&link->queue))
		drop_first(link);
	link->stuck = false;
}

void mesh__link_deinit(struct mesh__link *link)
{
	drop_queue(link);
	link->fd = pal_close(link->fd);
}

static void shut(struct mesh__link *link, int how)
{
	drop_queue(link);
	link->shut = true;
	shutdown(link->fd, how);
}

void mesh__link_give_up(struct mesh__link *link)
{
	shut(link, SHUT_RDWR);
}

/* 0 sent, 1 not now, or the error after which nothing can be sent. */
static int try_send(struct mesh__link *link, const void *data, size_t size, const int *fds, size_t fd_count)
{
	ssize_t sent = pal_socket_send(link->fd, data, size, fds, fd_count);

	if (sent >= 0) {
		link->packets_sent++;
		return 0;
	}
	link->stuck = sent == -ETOOMANYREFS;
	if (sent == -EAGAIN || sent == -ETOOMANYREFS || sent == -ENOBUFS || sent == -ENOMEM) {
		link->stuck = sent != -EAGAIN;
		return 1;
	}
	return (int)sent;
}

static int append(struct mesh__link *link, uint8_t *data, size_t size, size_t charge, const int *fds, size_t fd_count)
{
	struct mesh__packet *packet;

	if (charge > link->max_queued - link->queued_bytes)
		return -ENOBUFS;
	packet = malloc(sizeof *packet + fd_count * sizeof *fds);
	if (!packet)
		return -ENOMEM;
	*packet = (struct mesh__packet){.data = data, .size = size, .charge = charge, .fd_count = fd_count};
	for (size_t i = 0; i < fd_count; i++)
		packet->fds[i] = fds[i];
	STAILQ_INSERT_TAIL(&link->queue, packet, next);
	link->queued_bytes += charge;
	return 0;
}

static void send_packet(struct mesh__link *link, uint8_t *data, size_t size, size_t charge, const int *fds,
	size_t fd_count)
{
	int result = 1;

	if (STAILQ_EMPTY(&link->queue))
		result = try_send(link, data, size, fds, fd_count);
	if (result == 1) {
		result = append(link, data, size, charge, fds, fd_count);
		if (!result)
			return;
		pal_log(PAL_LOG_WARNING, "mesh: giving up a link: %s",
			result == -ENOMEM ? "out of memory" : "too much is queued for a node that does not read");
		mesh__link_give_up(link);
	} else if (result < 0) {
		/* The other end is gone or going: what it sent before is still to be read. */
		shut(link, SHUT_WR);
	}
	close_all(fds, fd_count);
	free(data);
}

void mesh__link_send(struct mesh__link *link, uint8_t *packet, size_t size, int *fds, size_t fd_count)
{
	int all[1 + MESH_MESSAGE_MAX_FDS];

	if (link->shut || link->finishing) {
		close_all(fds, fd_count);
		free(packet);
		return;
	}
	if (size <= MESH__INLINE_EVENT_MAX) {
		mesh__packet_header_write(packet, MESH__PACKET_EVENT);
		send_packet(link, packet, MESH__PACKET_HEADER_SIZE + size, size, fds, fd_count);
		return;
	}
	all[0] = mesh__large_event_new(packet + MESH__PACKET_HEADER_SIZE, size);
	if (all[0] < 0) {
		/* An event that is left out would be a hole in its port's sequence: that port would hang. */
		pal_log(PAL_LOG_WARNING, "mesh: giving up a link: no memfd for a large message");
		close_all(fds, fd_count);
		free(packet);
		mesh__link_give_up(link);
		return;
	}
	for (size_t i = 0; i < fd_count; i++)
		all[1 + i] = fds[i];
	mesh__packet_header_write(packet, MESH__PACKET_LARGE_EVENT);
	send_packet(link, packet, MESH__PACKET_HEADER_SIZE, size, all, 1 + fd_count);
}

void mesh__link_flush(struct mesh__link *link)
{
	while (!STAILQ_EMPTY(&link->queue)) {
		struct mesh__packet *packet = STAILQ_FIRST(&link->queue);
		int result = try_send(link, packet->data, packet->size, packet->fds, packet->fd_count);

		if (result == 1)
			return;
		if (result < 0) {
			shut(link, SHUT_WR);
			return;
		}
		drop_first(link);
	}
	if (link->finishing && !link->shut)
		shut(link, SHUT_WR);
}

void mesh__link_finish(struct mesh__link *link)
{
	link->finishing = true;
	if (!link->shut)
		mesh__link_flush(link);
}

/*
 * recvmsg returns 0 both for an empty packet and for the end of file; only the
 * end of file comes with a hang-up. (An empty packet in front of the end of file
 * is taken for it, which is what follows anyway.)
 */
static int end_or_empty(const struct mesh__link *link)
{
	struct pollfd poller = {.fd = link->fd, .events = POLLRDHUP};

	if (poll(&poller, 1, 0) == 1 && poller.revents & (POLLRDHUP | POLLHUP))
		return -EPIPE;
	return -EBADMSG;
}

static int receive_large(struct mesh__link *link, int *fds, size_t fd_count, mesh__link_fn deliver, void *userdata)
{
	size_t mapped = 0;
	void *event = NULL;
	int result;

	if (!fd_count)
		return -EBADMSG;
	result = mesh__large_event_map(fds[0], link->max_message, &event, &mapped);
	pal_close(fds[0]);
	if (result < 0) {
		close_all(fds + 1, fd_count - 1);
		return result;
	}
	deliver(userdata, event, mapped, fds + 1, fd_count - 1);
	munmap(event, mapped);
	return 0;
}

static int receive_packet(struct mesh__link *link, const uint8_t *packet, size_t size, int *fds, size_t fd_count,
	mesh__link_fn deliver, void *userdata)
{
	enum mesh__packet_type type;

	link->packets_received++;
	if (mesh__packet_header_read(packet, size, &type) < 0) {
		close_all(fds, fd_count);
		return -EBADMSG;
	}
	switch (type) {
	case MESH__PACKET_EVENT:
		deliver(userdata, packet + MESH__PACKET_HEADER_SIZE, size - MESH__PACKET_HEADER_SIZE, fds, fd_count);
		return 0;
	case MESH__PACKET_LARGE_EVENT:
		return receive_large(link, fds, fd_count, deliver, userdata);
	case MESH__PACKET_RELEASE_FDS: /* for systems where a sender must keep its descriptors; nothing to do */
	default:
		close_all(fds, fd_count);
		return 0;
	}
}

int mesh__link_receive(struct mesh__link *link, unsigned limit, mesh__link_fn deliver, void *userdata)
{
	_Alignas(8) uint8_t packet[MESH__PACKET_MAX];
	int fds[PAL_SOCKET_MAX_FDS];
	bool reset = false;

	/* After a reset everything that is left is read at once: the next call would meet the end first. */
	for (unsigned n = 0; n < limit || reset; n++) {
		size_t fd_count;
		ssize_t size = pal_socket_receive(link->fd, packet, sizeof packet, fds, &fd_count);
		int result;

		/* Comes once, before what the other end sent before it closed with our packets unread. */
		if (size == -ECONNRESET && !reset) {
			reset = true;
			continue;
		}
		if (size == -EAGAIN)
			return reset ? -ECONNRESET : 0;
		if (size == -EMSGSIZE || size == -ENOBUFS)
			return -EBADMSG;
		if (size < 0)
			return (int)size;
		if (size == 0)
			return reset ? -ECONNRESET : end_or_empty(link);
		result = receive_packet(link, packet, (size_t)size, fds, fd_count, deliver, userdata);
		if (result < 0)
			return result;
	}
	return 0;
}
