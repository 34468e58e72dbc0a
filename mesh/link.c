/* SPDX-License-Identifier: MIT */
#include <mesh/link-priv.h>

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include <pal/log.h>
#include <pal/socket.h>
#include <pal/util-priv.h>

/* One event that has not been sent: its bytes behind room for a packet header. */
struct mesh__packet {
	STAILQ_ENTRY(mesh__packet) next;
	uint8_t *data;
	size_t size;  /* of the event; what it costs here is counted against max_queued */
	int memfd;    /* -1 until a large event has one */
	size_t fd_count;
	int fds[];
};

static void close_all(const int *fds, size_t count)
{
	for (size_t i = 0; i < count; i++)
		pal_close(fds[i]);
}

/* Small events cost more than their bytes. */
static size_t cost(size_t size, size_t fd_count)
{
	return sizeof(struct mesh__packet) + MESH__PACKET_HEADER_SIZE + size + fd_count * sizeof(int);
}

static const struct mesh__queued *limited(const struct mesh__link *link)
{
	return link->shared ? link->shared : &link->queued;
}

void mesh__queued_add(struct mesh__queued *queued, size_t size, size_t fd_count)
{
	queued->bytes += cost(size, fd_count);
	queued->packets++;
	queued->fds += fd_count;
}

static void count_off(struct mesh__queued *queued, size_t size, size_t fd_count)
{
	queued->bytes -= cost(size, fd_count);
	queued->packets--;
	queued->fds -= fd_count;
}

/* Whether one more is within a part of the bound. Where nothing waits any one event is: a bound is not a size. */
static bool fits(const struct mesh__queued *queued, const struct mesh__queued *max, unsigned part, size_t size,
	size_t fd_count)
{
	return !queued->packets ||
		(queued->bytes <= max->bytes / part && cost(size, fd_count) <= max->bytes / part - queued->bytes &&
			queued->packets < max->packets / part && queued->fds <= max->fds / part &&
			fd_count <= max->fds / part - queued->fds);
}

#define PART_OF_PROGRAM 2  /* a half of the bound */
#define PART_WHEN_EMPTIER 4

bool mesh__queued_has_room(const struct mesh__queued *queued, const struct mesh__queued *max_queued, size_t size,
	size_t fd_count, bool emptier)
{
	return fits(queued, max_queued, emptier ? PART_WHEN_EMPTIER : PART_OF_PROGRAM, size, fd_count);
}

bool mesh__link_has_room(const struct mesh__link *link, size_t size, size_t fd_count, bool emptier)
{
	return link->shut || link->finishing || STAILQ_EMPTY(&link->queue) ||
		mesh__queued_has_room(limited(link), &link->max_queued, size, fd_count, emptier);
}

void mesh__link_init(struct mesh__link *link, int fd, const struct mesh__queued *max_queued, size_t max_message)
{
	*link = (struct mesh__link){.fd = fd, .max_queued = *max_queued, .max_message = max_message};
	STAILQ_INIT(&link->queue);
}

static void drop_first(struct mesh__link *link)
{
	struct mesh__packet *packet = STAILQ_FIRST(&link->queue);

	STAILQ_REMOVE_HEAD(&link->queue, next);
	count_off(&link->queued, packet->size, packet->fd_count);
	if (link->shared)
		count_off(link->shared, packet->size, packet->fd_count);
	close_all(packet->fds, packet->fd_count);
	pal_close(packet->memfd);
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

static bool is_shortage(int error)
{
	return error == -ETOOMANYREFS || error == -ENOBUFS || error == -ENOMEM || error == -EMFILE || error == -ENFILE ||
		error == -ENOSPC;
}

/*
 * One packet. A descriptor that cannot be passed (closed meanwhile, or of a kind
 * that the kernel refuses) must not cost the link: the packet goes without
 * those of the message, and the receiver fails the port that misses them.
 */
static int send_packet(struct mesh__link *link, const void *data, size_t size, const int *fds, size_t fd_count,
	size_t own_fds)
{
	ssize_t sent = pal_socket_send(link->fd, data, size, fds, fd_count);

	if ((sent == -EBADF || sent == -EINVAL || sent == -EPERM || sent == -EACCES) && fd_count > own_fds)
		sent = pal_socket_send(link->fd, data, size, fds, own_fds);
	return sent < 0 ? (int)sent : 0;
}

static int send_large(struct mesh__link *link, uint8_t *data, size_t size, int *memfd, const int *fds, size_t fd_count)
{
	int all[1 + MESH_MESSAGE_MAX_FDS];

	if (*memfd < 0)
		*memfd = mesh__large_event_new(data + MESH__PACKET_HEADER_SIZE, size);
	if (*memfd < 0)
		return *memfd;
	all[0] = *memfd;
	for (size_t i = 0; i < fd_count; i++)
		all[1 + i] = fds[i];
	mesh__packet_header_write(data, MESH__PACKET_LARGE_EVENT);
	return send_packet(link, data, MESH__PACKET_HEADER_SIZE, all, 1 + fd_count, 1);
}

/* 0 sent, 1 not now, or the error after which nothing can be sent. */
static int try_send(struct mesh__link *link, uint8_t *data, size_t size, int *memfd, const int *fds, size_t fd_count)
{
	int result;

	if (size > MESH__INLINE_EVENT_MAX) {
		result = send_large(link, data, size, memfd, fds, fd_count);
	} else {
		mesh__packet_header_write(data, MESH__PACKET_EVENT);
		result = send_packet(link, data, MESH__PACKET_HEADER_SIZE + size, fds, fd_count, 0);
	}
	link->stuck = is_shortage(result);
	if (!result)
		link->packets_sent++;
	return link->stuck || result == -EAGAIN ? 1 : result;
}

static int append(struct mesh__link *link, uint8_t *data, size_t size, int memfd, const int *fds, size_t fd_count)
{
	struct mesh__packet *packet;

	if (!fits(limited(link), &link->max_queued, 1, size, fd_count))
		return -ENOBUFS;
	packet = malloc(sizeof *packet + fd_count * sizeof *fds);
	if (!packet)
		return -ENOMEM;
	*packet = (struct mesh__packet){.data = data, .size = size, .memfd = memfd, .fd_count = fd_count};
	for (size_t i = 0; i < fd_count; i++)
		packet->fds[i] = fds[i];
	STAILQ_INSERT_TAIL(&link->queue, packet, next);
	mesh__queued_add(&link->queued, size, fd_count);
	if (link->shared)
		mesh__queued_add(link->shared, size, fd_count);
	return 0;
}

void mesh__link_send(struct mesh__link *link, uint8_t *packet, size_t size, int *fds, size_t fd_count)
{
	int result = link->shut || link->finishing ? 0 : 1, memfd = -1;

	if (result == 1 && STAILQ_EMPTY(&link->queue))
		result = try_send(link, packet, size, &memfd, fds, fd_count);
	if (result == 1) {
		result = append(link, packet, size, memfd < 0 ? -1 : memfd, fds, fd_count);
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
	pal_close(memfd);
	free(packet);
}

void mesh__link_flush(struct mesh__link *link)
{
	while (!STAILQ_EMPTY(&link->queue)) {
		struct mesh__packet *packet = STAILQ_FIRST(&link->queue);
		int result = try_send(
			link, packet->data, packet->size, &packet->memfd, packet->fds, packet->fd_count);

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

/* Called and returns with the lock, which it releases for the reading. */
static int read_large(struct mesh__link *link, int memfd, struct mesh__incoming *event,
	const struct mesh__link_reader *reader, void *userdata)
{
	size_t max_message = link->max_message;
	int result;

	/* Only the thread that drives ends a link, and it is here: the link is still there afterwards. */
	if (reader->unlock)
		reader->unlock(userdata);
	result = mesh__large_event_read_head(memfd, max_message, event);
	if (reader->lock)
		reader->lock(userdata);
	if (result < 0 || (reader->wants && !reader->wants(userdata, event)))
		return result;
	link->bodies_read++;
	if (reader->unlock)
		reader->unlock(userdata);
	result = mesh__large_event_read_body(memfd, max_message, event);
	if (reader->lock)
		reader->lock(userdata);
	if (result < 0)
		free((void *)event->data);
	return result;
}

static int receive_large(struct mesh__link *link, int *fds, size_t fd_count, size_t *ret_size,
	const struct mesh__link_reader *reader, void *userdata)
{
	struct mesh__incoming event;
	int result;

	if (!fd_count)
		return -EBADMSG;
	result = read_large(link, fds[0], &event, reader, userdata);
	pal_close(fds[0]);
	if (result < 0) {
		close_all(fds + 1, fd_count - 1);
		return result;
	}
	*ret_size = event.size;
	result = reader->deliver(userdata, &event, fds + 1, fd_count - 1);
	free((void *)event.data);
	return result;
}

/*
 * `lost`: descriptors of the packet found no place here (RLIMIT_NOFILE). An event
 * is delivered without any, and the port that misses them fails; the memfd of a
 * large event cannot be missed. *size becomes that of a large event.
 */
static int receive_packet(struct mesh__link *link, const uint8_t *packet, size_t *size, int *fds, size_t fd_count,
	bool lost, const struct mesh__link_reader *reader, void *userdata)
{
	struct mesh__incoming event;
	enum mesh__packet_type type;

	link->packets_received++;
	if (mesh__packet_header_read(packet, *size, &type) < 0) {
		close_all(fds, fd_count);
		return -EBADMSG;
	}
	switch (type) {
	case MESH__PACKET_EVENT:
		event = (struct mesh__incoming){
			.data = packet + MESH__PACKET_HEADER_SIZE, .size = *size - MESH__PACKET_HEADER_SIZE};
		return reader->deliver(userdata, &event, fds, fd_count);
	case MESH__PACKET_LARGE_EVENT:
		if (lost)
			return -EMFILE;
		return receive_large(link, fds, fd_count, size, reader, userdata);
	case MESH__PACKET_RELEASE_FDS: /* for systems where a sender must keep its descriptors; nothing to do */
	default:
		close_all(fds, fd_count);
		return 0;
	}
}

int mesh__link_receive(struct mesh__link *link, unsigned limit, const struct mesh__link_reader *reader, void *userdata)
{
	_Alignas(8) uint8_t packet[MESH__PACKET_MAX];
	int fds[PAL_SOCKET_MAX_FDS];
	size_t bytes = 0;
	bool reset = false;

	/* After a reset everything that is left is read at once: the next call would meet the end first. */
	for (unsigned n = 0; (n < limit && bytes < MESH__BYTES_PER_CALL) || reset; n++) {
		size_t fd_count, event_size;
		bool lost;
		ssize_t size = pal_socket_receive_partial(link->fd, packet, sizeof packet, fds, &fd_count, &lost);
		int result;

		/* Comes once, before what the other end sent before it closed with our packets unread. */
		if (size == -ECONNRESET && !reset) {
			reset = true;
			continue;
		}
		if (size == -EAGAIN)
			return reset ? -ECONNRESET : 0;
		if (size == -EMSGSIZE)
			return -EBADMSG;
		if (size < 0)
			return (int)size;
		if (size == 0)
			return reset ? -ECONNRESET : end_or_empty(link);
		event_size = (size_t)size;
		result = receive_packet(link, packet, &event_size, fds, fd_count, lost, reader, userdata);
		if (result < 0)
			return result;
		bytes += event_size;
	}
	return 0;
}
