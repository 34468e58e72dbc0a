/* SPDX-License-Identifier: MIT */
#include <mesh/link-priv.h>

#include <errno.h>
#include <poll.h>
#include <stdlib.h>

#include <pal/util-priv.h>

/* The reading half of a link. */

static void close_all(const int *fds, size_t count)
{
	for (size_t i = 0; i < count; i++)
		pal_close(fds[i]);
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
		link->batch = 1;
		if (lost)
			return -EMFILE;
		return receive_large(link, fds, fd_count, size, reader, userdata);
	case MESH__PACKET_RELEASE_FDS: /* for systems where a sender must keep its descriptors; nothing to do */
	default:
		close_all(fds, fd_count);
		return 0;
	}
}

/* One that was received. *bytes grows by the event; negative: the link is over. */
static int take_packet(struct mesh__link *link, struct pal_socket_incoming *packet,
	const struct mesh__link_reader *reader, void *userdata, size_t *bytes)
{
	size_t event_size = (size_t)packet->size;
	int result;

	if (packet->size == -EMSGSIZE)
		return -EBADMSG;
	if (packet->size < 0)
		return (int)packet->size;
	if (packet->size == 0)
		return end_or_empty(link);
	if (packet->fd_count)
		link->batch = 1;
	result = receive_packet(link, packet->data, &event_size, packet->fds, packet->fd_count, packet->fds_lost, reader,
		userdata);
	packet->fd_count = 0; /* they are somebody else's now */
	*bytes += event_size;
	return result;
}

/* Those that are there, at most `most`. How many, or a negative errno: none are, or the link is over. */
static int receive_batch(struct mesh__link *link, unsigned most, const struct mesh__link_reader *reader, void *userdata,
	size_t *bytes)
{
	struct mesh__inbox *inbox = link->inbox;
	int count, result = 0;

	for (unsigned i = 0; i < most; i++) {
		inbox->packets[i].data = inbox->room[i];
		inbox->packets[i].room = MESH__PACKET_MAX;
	}
	count = pal_socket_receive_many(link->fd, inbox->packets, most);
	if (count < 0)
		return count;
	link->batch = (unsigned)count < most ? MESH__BATCH_USUAL : MESH__BATCH_MAX;
	if (link->batch > inbox->most)
		link->batch = inbox->most;
	for (int i = 0; i < count; i++) {
		struct pal_socket_incoming *packet = &inbox->packets[i];

		if (!result)
			result = take_packet(link, packet, reader, userdata, bytes);
		close_all(packet->fds, packet->fd_count); /* behind the packet with which the link has ended */
	}
	return result < 0 ? result : count;
}

int mesh__link_receive(struct mesh__link *link, unsigned limit, const struct mesh__link_reader *reader, void *userdata)
{
	size_t bytes = 0;
	bool reset = false;
	unsigned n = 0;

	/* After a reset everything that is left is read at once: the next call would meet the end first. */
	while ((n < limit && bytes < MESH__BYTES_PER_CALL) || reset) {
		unsigned most = link->batch > limit - n && !reset ? limit - n : link->batch;
		int count = receive_batch(link, most, reader, userdata, &bytes);

		/* Comes once, before what the other end sent before it closed with our packets unread. */
		if (count == -ECONNRESET && !reset) {
			reset = true;
			continue;
		}
		if (reset && (count == -EAGAIN || count == -EPIPE))
			return -ECONNRESET;
		if (count == -EAGAIN)
			return 0;
		if (count < 0)
			return count;
		if ((unsigned)count < most && !reset)
			return 0;
		n += (unsigned)count;
	}
	return 0;
}
