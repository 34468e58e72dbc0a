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
#include <pal/socket.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>

/*
 * How many packets are read by one system call: a few, so that one that comes alone costs no second call to
 * find that there are no more; many while they come faster than they are read; one where they carry descriptors or large events,
 * as all of them are held before the first one has been dealt with.
 */
#define MESH__BATCH_USUAL 4u
#define MESH__BATCH_MAX ((unsigned)PAL_SOCKET_MAX_PACKETS)

/*
 * Of all links of a node: where packets are read to, by whoever drives; and where the next one is written, by whoever
 * has the lock.
 */
struct mesh__inbox {
	unsigned most; /* packets at a time; a peer may put descriptors into every one, which the process has to have room for */
	struct pal_socket_incoming packets[MESH__BATCH_MAX];
	/* A distance that is no power of two, or their heads would all compete for the same places of the processor's cache. */
	_Alignas(16) uint8_t room[MESH__BATCH_MAX][MESH__PACKET_MAX + 192];
	_Alignas(16) uint8_t draft[MESH__PACKET_MAX + 64];
};

struct mesh__packet;
STAILQ_HEAD(mesh__packet_queue, mesh__packet);

/* What waits to be sent. */
struct mesh__queued {
	size_t bytes, packets, fds;
};

/*
 * A program's messages are refused beyond the first one (mesh__link_has_room). What the node has to say without being
 * asked cannot be refused: beyond the second one the link is given up.
 */
struct mesh__queue_bounds {
	struct mesh__queued program, all;
	struct mesh__queued backlog; /* of what is queued, with what is unread on ports that are to leave and is not queued yet */
};

struct mesh__link {
	int fd;
	struct mesh__packet_queue queue; /* not sent yet, in order: nothing overtakes */
	struct mesh__queued queued;
	struct mesh__queue_bounds max_queued;
	struct mesh__queued *shared; /* of several links, which is what is limited; NULL: this one alone. Outlasts them */
	size_t max_message;
	struct mesh__inbox *inbox; /* borrowed */
	unsigned batch;            /* packets that the next system call reads, at most */
	bool stuck;     /* short of descriptors or memory, here or in flight: nothing tells when that is over, so retry by time */
	bool finishing; /* flush, then shut down writing, then read to the end */
	bool shut;      /* nothing more can be sent */
	uint64_t packets_sent, packets_received, bodies_read;
};

/* Takes over a connected socket. */
void mesh__link_init(struct mesh__link *link, int fd, struct mesh__inbox *inbox, const struct mesh__queue_bounds *max_queued,
	size_t max_message);
void mesh__link_deinit(struct mesh__link *link);

/* Room for an event of so many bytes, to be written there and then given to mesh__link_send. NULL when memory runs out. */
uint8_t *mesh__link_room(struct mesh__link *link, size_t size);

/*
 * Of the event for which there was room last, before it is written there: whether the process may make the memfd that a
 * large one needs. 0, also where only memory or descriptors are short, which is waited for; else why it can never be sent.
 */
int mesh__link_prepare(struct mesh__link *link, uint8_t *event);

/*
 * Sends the event for which there was room last, or queues it behind what is queued. Both it
 * and the descriptors are consumed. An event that does not fit a packet goes
 * into a sealed memfd. On a link that cannot send any more they are dropped.
 * When the queue would exceed its bound (one message never does) or memory runs out, the link is given up:
 * the socket is shut down and the reader learns of it by end of file.
 */
void mesh__link_send(struct mesh__link *link, uint8_t *event, int *fds, size_t fd_count);
/* What was to be written is not sent. */
void mesh__link_drop_room(struct mesh__link *link, uint8_t *event);

/* Sends what is queued as far as the socket takes it. */
void mesh__link_flush(struct mesh__link *link);
static inline bool mesh__link_wants_write(const struct mesh__link *link)
{
	return !STAILQ_EMPTY(&link->queue) && !link->stuck;
}

/* What waits for the link, or for all of those that share a bound. */
const struct mesh__queued *mesh__link_queued(const struct mesh__link *link);
/* What an event of that size costs where it waits: small ones cost more than their bytes. */
struct mesh__queued mesh__queued_cost(size_t size, size_t fd_count);
/*
 * Whether that much more may be added, which the node need not send. `emptier`: and not only just. One event that
 * nothing waits before always may.
 */
bool mesh__link_has_room(const struct mesh__link *link, const struct mesh__queued *more, bool emptier);
/* The same for what waits for a link, of which there is none yet. */
bool mesh__queued_has_room(const struct mesh__queued *queued, const struct mesh__queue_bounds *max_queued,
	const struct mesh__queued *more, bool emptier);
void mesh__queued_add(struct mesh__queued *queued, const struct mesh__queued *more);

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

/* What one call reads at most, in bytes of events, but for the last batch: who reads also has to get rid of it. */
#define MESH__BYTES_PER_CALL ((size_t)4 << 20)

/*
 * Reads at most `limit` packets and hands out their events. Returns 0 when there
 * may be more to come, else why the link is over: -EPIPE (end of file), -ECONNRESET,
 * -EBADMSG (a packet that breaks the rules), -EMFILE (no descriptor free for a large event), an errno
 * of recvmsg(2), or what `deliver` said.
 */
int mesh__link_receive(struct mesh__link *link, unsigned limit, const struct mesh__link_reader *reader, void *userdata);

/* ---- events in a memfd (large-event.c) ---- */

/*
 * A memfd for so many bytes, padded with zeroes to full pages; it will neither grow nor shrink. The descriptor or -errno;
 * -EFBIG: larger than the process's files may be.
 */
int mesh__large_event_open(size_t size);
/* The bytes into it, and the seals that are missing. 0 or -errno: it is of no use then. */
int mesh__large_event_write(int memfd, const void *event, size_t size);

/*
 * Reads the head of a received one: *ret->data is allocated; ret->body is NULL. -ENOMEM, -EBADMSG: not a memfd, not
 * sealed against writing, growing and shrinking, empty, larger than any message of `max_message` bytes could make it, or with
 * holes: memory that its sender has not spent, and this process would.
 */
int mesh__large_event_read_head(int memfd, size_t max_message, struct mesh__incoming *ret);
/* The body, which stays NULL if it is more than `max_message` bytes or there is no memory for it. -EBADMSG. */
int mesh__large_event_read_body(int memfd, size_t max_message, struct mesh__incoming *event);

#endif
