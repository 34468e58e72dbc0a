/* SPDX-License-Identifier: MIT */
#ifndef PROCMESH_MESH_LINK_PRIV_H
#define PROCMESH_MESH_LINK_PRIV_H

/*
 * One SOCK_SEQPACKET connection to one other node: packets out of a queue,
 * packets in. Knows neither ports nor who polls it. Everything is called with
 * the node's lock held.
 */

#include <mesh/event-priv.h>
#include <mesh/message.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>

struct mesh__packet;
STAILQ_HEAD(mesh__packet_queue, mesh__packet);

/* What waits to be sent. */
struct mesh__queued {
	size_t bytes, packets, fds;
};

struct mesh__link {
	int fd;
	struct mesh__packet_queue queue; /* not sent yet, in order: nothing overtakes */
	/*
	 * Of the bound a program's own messages may use a half (mesh__link_has_room): the rest is for what the node has to say
	 * without being asked, which cannot be refused: beyond that the link is given up.
	 */
	struct mesh__queued queued, max_queued;
	struct mesh__queued *shared; /* of several links, which is what is limited; NULL: this one alone. Outlasts them */
	size_t max_message;
	bool stuck;     /* short of descriptors or memory, here or in flight: nothing tells when that is over, so retry by time */
	bool finishing; /* flush, then shut down writing, then read to the end */
	bool shut;      /* nothing more can be sent */
	uint64_t packets_sent, packets_received, bodies_read;
};

/* Takes over a connected socket. */
void mesh__link_init(struct mesh__link *link, int fd, const struct mesh__queued *max_queued, size_t max_message);
void mesh__link_deinit(struct mesh__link *link);

/*
 * Sends one event, or queues it behind what is queued. `packet` is allocated,
 * MESH__PACKET_HEADER_SIZE bytes of room and then `size` bytes of event; both it
 * and the descriptors are consumed. An event that does not fit a packet goes
 * into a sealed memfd. On a link that cannot send any more they are dropped.
 * When the queue would exceed its bound (one message never does) or memory runs out, the link is given up:
 * the socket is shut down and the reader learns of it by end of file.
 */
void mesh__link_send(struct mesh__link *link, uint8_t *packet, size_t size, int *fds, size_t fd_count);

/* Sends what is queued as far as the socket takes it. */
void mesh__link_flush(struct mesh__link *link);
static inline bool mesh__link_wants_write(const struct mesh__link *link)
{
	return !STAILQ_EMPTY(&link->queue) && !link->stuck;
}

/*
 * Whether an event of so many bytes may be added that the node need not send. `emptier`: not only just. An event that
 * nothing waits before always may.
 */
bool mesh__link_has_room(const struct mesh__link *link, size_t size, size_t fd_count, bool emptier);
/* The same for what waits for a link, of which there is none yet. */
bool mesh__queued_has_room(const struct mesh__queued *queued, const struct mesh__queued *max_queued, size_t size,
	size_t fd_count, bool emptier);
void mesh__queued_add(struct mesh__queued *queued, size_t size, size_t fd_count);

/* No more sends: flush, SHUT_WR. Reading goes on until the other end has done the same. */
void mesh__link_finish(struct mesh__link *link);
/* At once: drops what is queued and shuts down both ways. */
void mesh__link_give_up(struct mesh__link *link);

struct mesh__link_reader {
	/*
	 * An event for this node. Its body and `fds` are the callee's; the bytes are valid during the call
	 * only. Negative: the link must end, for that reason.
	 */
	int (*deliver)(void *userdata, struct mesh__incoming *event, int *fds, size_t fd_count);
	/*
	 * Whether the body of this large event, which is not there yet, is to be read: a memfd costs its sender only
	 * once, however often it sends it. NULL: always. If not, the event is delivered without.
	 */
	bool (*wants)(void *userdata, const struct mesh__incoming *event);
	/* Around the reading of a large event, which takes time; both may be NULL. The link must outlast it. */
	void (*unlock)(void *userdata);
	void (*lock)(void *userdata);
};

/* What one call reads at most, in bytes of events, but for the last event: who reads also has to get rid of it. */
#define MESH__BYTES_PER_CALL ((size_t)4 << 20)

/*
 * Reads at most `limit` packets and hands out their events. Returns 0 when there
 * may be more to come, else why the link is over: -EPIPE (end of file), -ECONNRESET,
 * -EBADMSG (a packet that breaks the rules), -EMFILE (no descriptor free for a large event), an errno
 * of recvmsg(2), or what `deliver` said.
 */
int mesh__link_receive(struct mesh__link *link, unsigned limit, const struct mesh__link_reader *reader, void *userdata);

/* ---- events in a memfd (large-event.c) ---- */

/* A sealed memfd with these bytes, padded with zeroes to full pages. The descriptor or -errno. */
int mesh__large_event_new(const void *event, size_t size);

/*
 * Reads the head of a received one: *ret->data is allocated; ret->body is NULL. -ENOMEM, -EBADMSG: not a memfd, not
 * sealed against writing, growing and shrinking, empty, larger than any message of `max_message` bytes could make it, or with
 * holes: memory that its sender has not spent, and this process would.
 */
int mesh__large_event_read_head(int memfd, size_t max_message, struct mesh__incoming *ret);
/* The body, which stays NULL if it is more than `max_message` bytes or there is no memory for it. -EBADMSG. */
int mesh__large_event_read_body(int memfd, size_t max_message, struct mesh__incoming *event);

#endif
