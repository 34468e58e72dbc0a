/* SPDX-License-Identifier: MIT */
#ifndef PROCMESH_MESH_SPACE_PRIV_H
#define PROCMESH_MESH_SPACE_PRIV_H

/*
 * The port machine: states and events of ports, without sockets, threads or
 * clocks. A *space* holds the ports of one node (or, the process-wide local
 * space, pairs that belong to no node yet). Events for ports of other nodes
 * leave through mesh__remote_ops; events from them come in as bytes through
 * mesh__space_receive. Tests drive it by delivering events in any order.
 *
 * Everything here is called with the space's lock held (mesh__space_lock) unless
 * said otherwise, and the ops and hooks are called with it held too: they must
 * not block and must not call back into the machine, except where said.
 *
 * When memory runs out
 *   - what the application asked for fails with -ENOMEM and has changed nothing;
 *   - the machine's own events need no memory: a port carries those of its own
 *     end (close, failure) in itself, every other answer is made of the event that
 *     it answers, and a queued message keeps the event that brought it;
 *   - an event from outside for which there is no memory is dropped like one that
 *     is malformed: its port fails, and the former owners of the ports that it
 *     carried are told; when even that cannot be said, the link is given up.
 *
 * Messages may hold ports, whose locks are not to be taken inside another: under
 * the lock a message is given to mesh__event_message_free, never to
 * mesh_message_free. mesh__space_unlock frees what was collected.
 */

#include <mesh/counters.h>
#include <mesh/event-priv.h>
#include <mesh/fork-priv.h>
#include <mesh/hash-priv.h>
#include <mesh/message-priv.h>
#include <pthread.h>
#include <stdbool.h>
#include <sys/queue.h>

struct mesh_port;
struct mesh__space;
struct mesh__remote;

/*
 * What another node has made this process hold. An event is on the account of the node that it came
 * from as long as it is stored anywhere: early, in a queue, for a port on the move, for a node that there is
 * no link to. The account is relieved when the message is taken, sent on or dropped. A port is on the
 * account of the node that sent it until it has ended: one that was freed here waits for its peer's word.
 */
struct mesh__charge {
	struct mesh__remote *remote; /* a reference; NULL: nothing is charged */
	size_t bytes;
	unsigned events, fds;
	bool parked; /* at a port on the move: whoever gets that decides how long */
};
struct mesh__held {
	size_t bytes, events, fds;
};

/*
 * What of this node waits for the word of another one, and is held by no program any more: ports that have gone to it,
 * until it has acknowledged them; ports that have gone on, until it talks to their new places; ports that were closed here,
 * until it closes them. And what is stored at those on the move to it, which will follow.
 */
struct mesh__awaited {
	size_t ports;
	struct mesh__held stored;
};

/* What sending a message takes. Of the ports in it: how many they are, and what is unread on them. */
struct mesh__sending {
	struct mesh__held message, backlog;
	size_t ports;
};

enum mesh__room {
	MESH__ROOM_EVER,    /* if nothing else waited; of a message as such nothing is asked here */
	MESH__ROOM_UNASKED, /* for what cannot be refused: beyond it its port fails */
	MESH__ROOM_NOW,     /* for what a program sends */
	MESH__ROOM_AGAIN    /* the same, and by far: who waits for it is told */
};

/* How far ahead of the next due number an event may be, and how many may wait. Beyond: the port fails. */
#define MESH__SEQ_WINDOW ((uint64_t)1 << 24)
#define MESH__MAX_PENDING ((size_t)1 << 20)

enum mesh__port_state { MESH__PEERED, MESH__SENDING, MESH__PROXYING, MESH__DONE, MESH__FAILED };

/* A port of this space, or one of another node. Holds a reference on what it names. */
struct mesh__ref {
	enum mesh__ref_kind { MESH__REF_NONE, MESH__REF_LOCAL, MESH__REF_REMOTE } kind;
	union {
		struct mesh_port *port;      /* LOCAL */
		struct mesh__remote *remote; /* REMOTE */
	};
	struct mesh_id id;                   /* REMOTE: the port's id there */
};

/*
 * Of a reference that a port holds: it is in a list of what it names, so that who goes finds those that have to do
 * with it, and only those. Not in a list: the reference is of kind NONE, or what it names has gone.
 */
struct mesh__tie {
	LIST_ENTRY(mesh__tie) next;
	struct mesh_port *holder; /* NULL: not in a list */
};
LIST_HEAD(mesh__tie_list, mesh__tie);

/* One event between ports. Owns its message and its reference. */
struct mesh__event {
	enum mesh__event_type type;
	uint8_t flags;
	uint64_t seq;
	struct mesh_message *message; /* MESSAGE with MESH__FLAG_MESSAGE */
	struct mesh__ref new_peer;    /* CHANGE_PEER */
	uint64_t delta;
	struct mesh_id blamed;        /* FAIL_PORT */
	/* the machine's own: */
	struct mesh__ref to;          /* where it is going */
	struct mesh_port *owner;      /* the port in which this event is embedded, while in use */
	bool from_origin;             /* came from the node that the port itself came from */
	struct mesh__charge charge;
	UT_hash_handle hh;            /* in a port's pending table, by seq */
	STAILQ_ENTRY(mesh__event) next;
};
STAILQ_HEAD(mesh__event_queue, mesh__event);

/* ---- other nodes, as the machine sees them ---- */

struct mesh__remote_ops {
	/*
	 * An event for port `port_id` of that node, in the order in which they must be
	 * sent. The implementation owns the event now: it encodes it with
	 * mesh__space_encode when there is a link and frees it, or keeps it until then.
	 */
	void (*post)(struct mesh__remote *remote, const struct mesh_id *port_id, struct mesh__event *event);
	void (*free)(struct mesh__remote *remote); /* the last reference is gone */
	/*
	 * Out of memory for an event that the node waits for: the link must end, so that it
	 * learns of it that way. May be NULL: then that node is left waiting. Must not call back.
	 */
	void (*give_up)(struct mesh__remote *remote);
	/* Whether that much more may be sent to it: what waits has a bound. May be NULL: always. Must not call back. */
	bool (*has_room)(struct mesh__remote *remote, const struct mesh__sending *more, enum mesh__room how);
};

/* Embedded in the implementation's object. */
struct mesh__remote {
	const struct mesh__remote_ops *ops;
	struct mesh__space *space;
	struct mesh_id id;
	unsigned refs;
	bool failed; /* set by mesh__space_lost; events to it are dropped by the machine */
	struct mesh__held held, parked; /* parked: a part of held */
	struct mesh__held *shared; /* the account of several, on which all of it is too, and which is what is limited; or NULL */
	struct mesh__awaited awaited, *shared_awaited; /* the same */
	struct mesh__tie_list named_by;
};
struct mesh__remote *mesh__remote_ref(struct mesh__remote *remote);
void mesh__remote_unref(struct mesh__remote *remote);
/* Of nodes that have one account together, theirs. */
static inline const struct mesh__awaited *mesh__remote_awaited(const struct mesh__remote *remote)
{
	return remote->shared_awaited ? remote->shared_awaited : &remote->awaited;
}

/* ---- ports ---- */

/* Each is sent at most once: its close, and its failure to whom its references name. */
enum mesh__own {
	MESH__OWN_CLOSE,
	MESH__OWN_FAIL_PEER,
	MESH__OWN_FAIL_TARGET,
	MESH__OWN_FAIL_ORIGIN,
	MESH__OWN_COUNT
};

/*
 * What a port has to have as soon as other nodes may have to do with it, or it leaves: before that many a pair
 * lives and ends within its process, and is small. Without it a port is Peered with one on the same node, or has ended.
 */
struct mesh__port_far {
	struct mesh_port *port;
	/* Set by mesh__port_refer only. */
	struct mesh__ref target; /* SENDING, PROXYING, and FAILED until its record was answered */
	struct mesh__ref origin; /* what it was on the node that it came from */
	struct mesh__tie target_tie, origin_tie;
	LIST_ENTRY(mesh_port) in_forlorn;
	struct mesh__ref landmark;      /* PROXYING: one of the peers that came by, and */
	unsigned changes, landmark_due; /* how many did; at that number the landmark is replaced */
	struct mesh__charge charge;
	struct mesh__remote *awaited;   /* on whose account the port is, by mesh__port_account only; one of those that it names */
	struct mesh__held awaited_stored; /* and with how much */
	struct mesh__event *pending;    /* uthash by seq */
	size_t pending_count;
	const char *why;                /* FAILED: for a debugger; static */
	struct mesh__event own[MESH__OWN_COUNT]; /* what it says at its end needs no memory */
	UT_hash_handle hh;              /* in the space's table, by the port's id */
};

/* What a port has that has none of it: all empty, and never written to. */
extern struct mesh__port_far *const mesh__nowhere;

struct mesh_port {
	struct mesh__space *space;  /* read it under mesh__port_lock: a local pair may be adopted by a node */
	unsigned refs;              /* owner, id table, local references, events: all under the lock */
	uint8_t state;              /* enum mesh__port_state */
	bool registered : 1, owned : 1; /* owned: the application (or a message) holds it */
	bool local_closed : 1;
	bool forlorn : 1;           /* in the space's list */
	bool settled : 1;           /* its peer was heard of from elsewhere since it came */
	struct mesh_id id;          /* zero until registered */
	uint16_t forks;             /* mesh__forks when it was made */
	struct mesh__port_far *far; /* mesh__nowhere, or its own */
	struct mesh__ref peer;      /* set by mesh__port_refer only */
	struct mesh__tie peer_tie;
	struct mesh__tie_list named_by;
	uint64_t next_local_seq, next_peer_seq;
	struct mesh__message_queue queue; /* received and not taken, undecoded */
	size_t queue_count;
	struct mesh__held stored;         /* the queue and the pending ones, as mesh__message_cost counts */
	struct mesh_id blamed;         /* FAILED: the node */
	LIST_ENTRY(mesh_port) in_space;

	/* the application's side (port.c): called when the queue got a message, the state became
	 * DONE or FAILED, or a node adopted the port */
	void (*notify)(struct mesh_port *port);
	struct mesh__port_waiters *waiters; /* port.c's own: blocking receivers, callback, eventfd */
	void *userdata; /* of whoever set notify */
};

/*
 * Locks the space that the port is in at that moment and returns it. A pair of the local
 * space may be adopted by a node meanwhile; this follows it. Lock order: node's space, then local space.
 */
struct mesh__space *mesh__port_lock(struct mesh_port *port);
/* Whether it is only a child's copy: of nothing that this is true of a lock may be taken, with one exception (space.c). */
static inline bool mesh__port_is_inherited(const struct mesh_port *port)
{
	return mesh__is_inherited(port->forks);
}
/* Whether there are such ports in a message, which may be NULL. */
bool mesh__message_is_inherited(const struct mesh_message *message);
void mesh__space_lock(struct mesh__space *space);
/* In a child of fork, alone: the local space is the child's own from now on, and empty. */
void mesh__space_start_again(void);
/* Runs what was left behind, releases, and then frees the messages that were given up under the lock. */
void mesh__space_unlock(struct mesh__space *space);
/* What a stored message costs with its event; its ports are not counted. Of NULL: an event without a message. */
static inline struct mesh__held mesh__message_cost(const struct mesh_message *message)
{
	struct mesh__held cost = {.bytes = sizeof(struct mesh__event), .events = 1};

	if (message) {
		cost.bytes += sizeof *message + message->size + message->resource_count * sizeof *message->resources;
		cost.fds = message->resource_count ? mesh__message_fd_count(message) : 0;
	}
	return cost;
}
static inline struct mesh__held mesh__held_half(const struct mesh__held *held)
{
	return (struct mesh__held){.bytes = held->bytes / 2, .events = held->events / 2, .fds = held->fds / 2};
}
/* Whether so much more is within a bound. */
bool mesh__held_fits(const struct mesh__held *held, const struct mesh__held *cost, const struct mesh__held *most);
/* What it takes to send that on the port. */
struct mesh__sending mesh__port_sending(const struct mesh_port *port, const struct mesh_message *message);
/*
 * Whether the port's program may send so much more: what waits for the other end has a bound. `emptier`: by far, which is
 * when those who wait for it are told. Also true where sending will refuse it for good.
 */
bool mesh__port_has_room(const struct mesh_port *port, const struct mesh__sending *more, bool emptier);
/* Whether a message that cannot be refused may carry so many ports. Else the port has to fail. */
bool mesh__port_may_send_unasked(const struct mesh_port *port, const struct mesh__sending *more);
/* The memory of an event from mesh__event_new that holds nothing. Takes NULL. */
void mesh__event_release(struct mesh__event *event);
/* Frees a message when the lock is released: its ports may belong to this space or to another. Takes NULL. */
void mesh__event_message_free(struct mesh__space *space, struct mesh_message *message);

/* All with the lock held, except where said, and mesh__port_pair. */
int mesh__port_pair(struct mesh__space *space, struct mesh_port **ret_a, struct mesh_port **ret_b); /* NULL: local space */
/* A registered port whose peer is remote from the start (join, invite). 0, -ENOMEM, -EEXIST, -EINVAL (id of zero). */
int mesh__port_new_remote(struct mesh__space *space, const struct mesh_id *id, struct mesh__remote *remote,
	const struct mesh_id *peer, struct mesh_port **ret);
/*
 * Checks, then sends; consumes the message in every case. close: it is the last
 * one. Then runs the space. 0, -EMSGSIZE (also: more is unread on the ports in it than may ever wait), -ENOMEM, -ELOOP (the message carries the
 * port, which stays the caller's, or one that would get into its own queue), -EXDEV (a port of another
 * node of this process, where the peer is not in this one; a message that is
 * queued on a local pair may still meet that when the pair moves: then that port fails).
 */
int mesh__port_send(struct mesh_port *port, struct mesh_message *message, bool close);
/*
 * Joins the peers of two ports, which are given up, also on failure. Without the lock. 0, -EINVAL (the same port),
 * -ELOOP (they are peers of one another), -EXDEV, -ENOMEM: then both have failed.
 */
int mesh__port_bridge(struct mesh_port *x, struct mesh_port *y);
/* Without the lock: whoever waits on the port is sent away, and its callbacks are removed. Of a port that goes into a message. */
void mesh__port_detach(struct mesh_port *port);
/* Gives up the owner's reference (closing it if it was not): the port may be freed here. Does not run the space. */
void mesh__port_disown(struct mesh_port *port);
/* The same; `fail`: the other end must learn that this is no orderly close. */
void mesh__port_give_up(struct mesh_port *port, bool fail);
/* That for somebody who holds no lock. */
void mesh__port_release(struct mesh_port *port, bool fail);
/* The next received message, or NULL. */
struct mesh_message *mesh__port_take(struct mesh_port *port);
/* Ended and nothing left to take: 0 while not, -EPIPE, -ECONNRESET. */
int mesh__port_end(const struct mesh_port *port);
/* Fails the port: its peer, whose node is blamed, broke the rules of what is above ports (an undecodable message). */
void mesh__port_fail(struct mesh_port *port, const char *why);

/* ---- the space ---- */

struct mesh__space_ops {
	/* The remote for a node id, made and connected on demand. A new reference, or NULL when memory runs out. */
	struct mesh__remote *(*remote)(struct mesh__space *space, const struct mesh_id *node);
};

struct mesh__space {
	pthread_mutex_t lock;
	const struct mesh__space_ops *ops; /* NULL in the local space */
	struct mesh_id node;               /* zero in the local space */
	size_t max_message;                /* UINT32_MAX unless set after init */
	struct mesh__held max_held;        /* for each account of remotes; unlimited unless set after init */
	struct mesh__held max_stored;      /* for each port; unlimited in the same way */
	struct mesh__port_far *ports;      /* uthash by the port's id */
	LIST_HEAD(, mesh_port) all;        /* registered or not */
	/*
	 * Ports whose peer has failed on this node without knowing them as its peer, or came to talk to them on this
	 * node after their former owner was lost: what they wait for may have gone with the next node that is lost.
	 */
	LIST_HEAD(, mesh_port) forlorn;
	size_t moving;                     /* ports that are SENDING or PROXYING */
	struct mesh__event_queue local, out;
	struct mesh__message_queue discarded; /* to be freed without the lock */
	bool running, closing;
	uint16_t forks;                    /* mesh__forks when it was made */
	bool backlog_first;                /* the order of the original when a proxy starts; for comparing traces */
	unsigned entering;                 /* atomic: threads between reading a port's space and having its lock */
	pthread_cond_t entered;
	/*
	 * Ids of ports that were said to have failed and were not known: where packets overtake one another, that can be
	 * one of which the record is still under way.
	 */
	struct mesh_id early_failures[64];
	unsigned early_failure_count; /* the next one overwrites the oldest */
	struct mesh_port_counters counters;           /* what else there is to count; the rest is asked for */
	uint64_t unknown_port_events, dropped_events; /* counters, for tests and logs */
	uint64_t checked_for_loss;                    /* ports that were looked at because a node was lost */
};

/* These two without the lock. */
void mesh__space_init(struct mesh__space *space, const struct mesh__space_ops *ops, const struct mesh_id *node);
/* Fails every port that is still registered, then nothing refers to the space any more: ports move to the local one. */
void mesh__space_deinit(struct mesh__space *space);
/* With the lock: the first half of deinit. The ports fail, and nothing leaves for other nodes any more. */
void mesh__space_close(struct mesh__space *space);
struct mesh__space *mesh__local_space(void);

/* Delivers local events until there are none, then posts the remote ones; not recursive. */
void mesh__space_run(struct mesh__space *space);

/*
 * An event read from a link. Consumes the body of a large one and the descriptors: closes those nobody wanted.
 * Runs the space. 0, or -ENOBUFS: this event was taken, but that node has now more stored here than
 * max_held, and its link must end.
 */
int mesh__space_receive(struct mesh__space *space, struct mesh__remote *from, struct mesh__incoming *event, int *fds,
	size_t fd_count);

/*
 * Whether the body of a large event is worth reading: a message for a port that is there. What else there is fits
 * into a packet. Changes nothing.
 */
bool mesh__space_wants(struct mesh__space *space, const struct mesh__remote *from, const struct mesh__incoming *event);

/*
 * The bytes of an event for a connected remote: moves the ports of its message (they become
 * Sending) and hands over its descriptors: fds[0..*ret_fds) are the caller's.
 * `ret_data` is allocated with `headroom` free bytes in front; *ret_size is that of
 * the event alone. Consumes the event. What it leaves to be delivered is run by
 * the run loop that called post, or else by mesh__space_unlock.
 * -EMSGSIZE: both ends have been failed, FAIL_PORT follows as an event of its own.
 * -ENOMEM: the event is lost, so the link must be given up. -EPIPE: the remote is lost.
 */
int mesh__space_encode(struct mesh__remote *to, const struct mesh_id *port_id, struct mesh__event *event,
	size_t headroom, uint8_t **ret_data, size_t *ret_size, int fds[MESH_MESSAGE_MAX_FDS], size_t *ret_fds);
/*
 * The same in two steps, for who has a place for the bytes. First how many they will be: 0, -EMSGSIZE, -EPIPE; then
 * writes them: 0, -ENOMEM. `at` NULL: there was no memory for a place. Nothing else may be done between the two.
 */
int mesh__space_check_encoding(
	struct mesh__remote *to, const struct mesh_id *port_id, struct mesh__event *event, size_t *ret_size);
int mesh__space_encode_at(struct mesh__remote *to, const struct mesh_id *port_id, struct mesh__event *event, uint8_t *at,
	int fds[MESH_MESSAGE_MAX_FDS], size_t *ret_fds);
/* In place of the second step, where the event can never be sent: both ends of its port fail, as for -EMSGSIZE. */
void mesh__space_fail_encoding(struct mesh__remote *to, const struct mesh_id *port_id, struct mesh__event *event);
/* An event that was posted and will not be encoded. Takes NULL. */
void mesh__event_free(struct mesh__event *event);

/* A node is gone: marks the remote failed and fails every port that has to do with it. Runs the space. */
void mesh__space_lost(struct mesh__space *space, struct mesh__remote *remote);

/* Ports that are Sending or Proxying: a node must not leave before there are none. */
size_t mesh__space_moving(const struct mesh__space *space);

#endif
