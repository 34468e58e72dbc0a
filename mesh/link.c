/* SPDX-License-Identifier: MIT */
#include <mesh/link-priv.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include <mesh/pool-priv.h>
#include <pal/log.h>
#include <pal/socket.h>
#include <pal/util-priv.h>

/* One event that has not been sent. */
struct mesh__packet {
	STAILQ_ENTRY(mesh__packet) next;
	size_t size;  /* of the event; what it costs here is counted against max_queued */
	int memfd;    /* -1 until a large event has one */
	bool written; /* which has all of it */
	size_t fd_count;
	int *fds;
	uint8_t data[]; /* a packet header, and the event */
};

static size_t packet_size(size_t event_size)
{
	return sizeof(struct mesh__packet) + MESH__PACKET_HEADER_SIZE + event_size;
}

static struct mesh__packet *new_packet(size_t event_size)
{
	struct mesh__packet *packet = mesh__pool_get(packet_size(event_size));

	if (packet)
		*packet = (struct mesh__packet){.size = event_size, .memfd = -1};
	return packet;
}

static void free_packet(struct mesh__packet *packet)
{
	pal_close(packet->memfd);
	free(packet->fds);
	mesh__pool_put(packet, packet_size(packet->size));
}

static struct mesh__packet *packet_of(uint8_t *event)
{
	return (struct mesh__packet *)(void *)(event - MESH__PACKET_HEADER_SIZE - offsetof(struct mesh__packet, data));
}

_Static_assert(sizeof(struct mesh__packet) + MESH__PACKET_MAX <= sizeof ((struct mesh__inbox *)0)->draft,
	"a packet and what is kept with it");

static struct mesh__packet *draft_of(const struct mesh__link *link)
{
	return (struct mesh__packet *)(void *)link->inbox->draft;
}

/*
 * Most events are sent at once, and written to the same place one after the other. Those that will be queued, and
 * large ones, get a place of their own.
 */
uint8_t *mesh__link_room(struct mesh__link *link, size_t size)
{
	struct mesh__packet *packet = draft_of(link);

	if (size > MESH__INLINE_EVENT_MAX || !STAILQ_EMPTY(&link->queue))
		packet = new_packet(size);
	else
		*packet = (struct mesh__packet){.size = size, .memfd = -1};
	return packet ? packet->data + MESH__PACKET_HEADER_SIZE : NULL;
}

static void close_all(const int *fds, size_t count)
{
	for (size_t i = 0; i < count; i++)
		pal_close(fds[i]);
}

const struct mesh__queued *mesh__link_queued(const struct mesh__link *link)
{
	return link->shared ? link->shared : &link->queued;
}

struct mesh__queued mesh__queued_cost(size_t size, size_t fd_count)
{
	return (struct mesh__queued){.bytes = packet_size(size) + fd_count * sizeof(int), .packets = 1, .fds = fd_count};
}

void mesh__queued_add(struct mesh__queued *queued, const struct mesh__queued *more)
{
	queued->bytes += more->bytes;
	queued->packets += more->packets;
	queued->fds += more->fds;
}

static void take_off(struct mesh__queued *queued, const struct mesh__queued *less)
{
	queued->bytes -= less->bytes;
	queued->packets -= less->packets;
	queued->fds -= less->fds;
}

static bool is_within(size_t have, size_t more, size_t most)
{
	return have <= most && more <= most - have;
}

/* Where nothing waits any one event is: a bound is not a size. */
static bool fits(const struct mesh__queued *queued, const struct mesh__queued *more, const struct mesh__queued *most)
{
	if (!queued->packets && more->packets == 1)
		return true;
	return is_within(queued->bytes, more->bytes, most->bytes) && is_within(queued->packets, more->packets, most->packets) &&
		is_within(queued->fds, more->fds, most->fds);
}

bool mesh__queued_has_room(const struct mesh__queued *queued, const struct mesh__queue_bounds *max_queued,
	const struct mesh__queued *more, bool emptier)
{
	struct mesh__queued most = max_queued->program;

	if (emptier)
		most = (struct mesh__queued){.bytes = most.bytes / 2, .packets = most.packets / 2, .fds = most.fds / 2};
	return fits(queued, more, &most);
}

bool mesh__link_has_room(const struct mesh__link *link, const struct mesh__queued *more, bool emptier)
{
	return link->shut || link->finishing || (STAILQ_EMPTY(&link->queue) && more->packets == 1) ||
		mesh__queued_has_room(mesh__link_queued(link), &link->max_queued, more, emptier);
}

void mesh__link_init(struct mesh__link *link, int fd, struct mesh__inbox *inbox, const struct mesh__queue_bounds *max_queued,
	size_t max_message)
{
	*link = (struct mesh__link){.fd = fd,
		.inbox = inbox,
		.batch = 1,
		.max_queued = *max_queued,
		.max_message = max_message};
	STAILQ_INIT(&link->queue);
}

static void drop_first(struct mesh__link *link)
{
	struct mesh__packet *packet = STAILQ_FIRST(&link->queue);
	struct mesh__queued cost = mesh__queued_cost(packet->size, packet->fd_count);

	STAILQ_REMOVE_HEAD(&link->queue, next);
	take_off(&link->queued, &cost);
	if (link->shared)
		take_off(link->shared, &cost);
	close_all(packet->fds, packet->fd_count);
	free_packet(packet);
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

/* A failure leaves nothing of it: there may be enough memory for the next try. */
static int write_large(struct mesh__packet *packet)
{
	int result = 0;

	if (packet->memfd < 0)
		packet->memfd = mesh__large_event_open(packet->size);
	if (packet->memfd < 0)
		result = packet->memfd;
	else
		result = mesh__large_event_write(packet->memfd, packet->data + MESH__PACKET_HEADER_SIZE, packet->size);
	packet->written = !result;
	if (result < 0)
		packet->memfd = pal_close(packet->memfd);
	return result;
}

static int send_large(struct mesh__link *link, struct mesh__packet *packet, const int *fds, size_t fd_count)
{
	int all[1 + MESH_MESSAGE_MAX_FDS], result;

	if (!packet->written) {
		result = write_large(packet);
		/* It might be sent when it was accepted (mesh__link_prepare): the process has lost a right meanwhile. */
		if (result < 0 && !is_shortage(result))
			pal_log(PAL_LOG_WARNING, "mesh: giving up a link: a memfd for %zu bytes: %s", packet->size,
				strerrordesc_np(-result));
		if (result < 0)
			return result;
	}
	all[0] = packet->memfd;
	for (size_t i = 0; i < fd_count; i++)
		all[1 + i] = fds[i];
	mesh__packet_header_write(packet->data, MESH__PACKET_LARGE_EVENT);
	return send_packet(link, packet->data, MESH__PACKET_HEADER_SIZE, all, 1 + fd_count, 1);
}

/* 0 sent, 1 not now, or the error after which nothing can be sent. */
static int try_send(struct mesh__link *link, struct mesh__packet *packet, const int *fds, size_t fd_count)
{
	int result;

	if (packet->size > MESH__INLINE_EVENT_MAX) {
		result = send_large(link, packet, fds, fd_count);
	} else {
		mesh__packet_header_write(packet->data, MESH__PACKET_EVENT);
		result = send_packet(link, packet->data, MESH__PACKET_HEADER_SIZE + packet->size, fds, fd_count, 0);
	}
	link->stuck = is_shortage(result);
	if (!result)
		link->packets_sent++;
	return link->stuck || result == -EAGAIN ? 1 : result;
}

/* Of an event that was to be sent at once: a copy to be kept. */
static struct mesh__packet *copy_draft(const struct mesh__packet *draft)
{
	struct mesh__packet *packet = new_packet(draft->size);

	if (packet)
		memcpy(packet->data, draft->data, MESH__PACKET_HEADER_SIZE + draft->size);
	return packet;
}

/* The packet is the queue's if that succeeds. */
static int append(struct mesh__link *link, struct mesh__packet *packet, const int *fds, size_t fd_count)
{
	struct mesh__queued cost = mesh__queued_cost(packet->size, fd_count);

	if (!fits(mesh__link_queued(link), &cost, &link->max_queued.all))
		return -ENOBUFS;
	if (fd_count) {
		packet->fds = malloc(fd_count * sizeof *fds);
		if (!packet->fds)
			return -ENOMEM;
		memcpy(packet->fds, fds, fd_count * sizeof *fds);
	}
	packet->fd_count = fd_count;
	STAILQ_INSERT_TAIL(&link->queue, packet, next);
	mesh__queued_add(&link->queued, &cost);
	if (link->shared)
		mesh__queued_add(link->shared, &cost);
	return 0;
}

static int append_or_copy(struct mesh__link *link, struct mesh__packet **packet, const int *fds, size_t fd_count)
{
	struct mesh__packet *own = *packet == draft_of(link) ? copy_draft(*packet) : *packet;
	int result = own ? append(link, own, fds, fd_count) : -ENOMEM;

	if (!result)
		*packet = NULL;
	else if (own && own != *packet)
		free_packet(own);
	return result;
}

void mesh__link_drop_room(struct mesh__link *link, uint8_t *event)
{
	if (packet_of(event) != draft_of(link))
		free_packet(packet_of(event));
}

int mesh__link_prepare(struct mesh__link *link, uint8_t *event)
{
	struct mesh__packet *packet = packet_of(event);
	int memfd;

	if (packet->size <= MESH__INLINE_EVENT_MAX || link->shut || link->finishing)
		return 0;
	memfd = mesh__large_event_open(packet->size);
	if (memfd < 0)
		return is_shortage(memfd) ? 0 : memfd;
	/* One that waits does so without a descriptor, or all that wait would use up what the process has. */
	packet->memfd = STAILQ_EMPTY(&link->queue) ? memfd : pal_close(memfd);
	return 0;
}

void mesh__link_send(struct mesh__link *link, uint8_t *event, int *fds, size_t fd_count)
{
	struct mesh__packet *packet = packet_of(event);
	int result = link->shut || link->finishing ? 0 : 1;

	if (result == 1 && STAILQ_EMPTY(&link->queue))
		result = try_send(link, packet, fds, fd_count);
	if (result == 1) {
		result = append_or_copy(link, &packet, fds, fd_count);
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
	if (packet != draft_of(link))
		free_packet(packet);
}

/* Those at the head that are packets of one call, which is all but the large ones. */
static size_t collect(const struct mesh__link *link, struct pal_socket_outgoing *ret)
{
	struct mesh__packet *packet;
	size_t count = 0;

	STAILQ_FOREACH(packet, &link->queue, next) {
		if (count == PAL_SOCKET_MAX_PACKETS || packet->size > MESH__INLINE_EVENT_MAX)
			break;
		mesh__packet_header_write(packet->data, MESH__PACKET_EVENT);
		ret[count++] = (struct pal_socket_outgoing){.data = packet->data,
			.size = MESH__PACKET_HEADER_SIZE + packet->size,
			.fds = packet->fds,
			.fd_count = packet->fd_count};
	}
	return count;
}

/* The next ones of the queue, as try_send. */
static int send_next(struct mesh__link *link)
{
	struct pal_socket_outgoing packets[PAL_SOCKET_MAX_PACKETS];
	struct mesh__packet *first = STAILQ_FIRST(&link->queue);
	size_t count = collect(link, packets);
	int sent = 0, result;

	if (count > 1) {
		sent = pal_socket_send_many(link->fd, packets, count);
		for (int i = 0; i < sent; i++)
			drop_first(link);
		if (sent > 0)
			link->packets_sent += (unsigned)sent;
		if (sent > 0 || sent == -EAGAIN) {
			link->stuck = false;
			return sent > 0 ? 0 : 1;
		}
	}
	result = try_send(link, first, first->fds, first->fd_count);
	if (!result)
		drop_first(link);
	return result;
}

void mesh__link_flush(struct mesh__link *link)
{
	while (!STAILQ_EMPTY(&link->queue)) {
		int result = send_next(link);

		if (result == 1)
			return;
		if (result < 0) {
			shut(link, SHUT_WR);
			return;
		}
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
