/* SPDX-License-Identifier: MIT */
#ifndef PROCMESH_MESH_PORT_WAITERS_PRIV_H
#define PROCMESH_MESH_PORT_WAITERS_PRIV_H

#include <event2/event.h>
#include <mesh/node-priv.h>
#include <mesh/port.h>

/*
 * An event on a base, for one of the two callbacks. Of its own, so that a call that was about to be made when another
 * thread has set another callback can be told from one for that.
 */
struct mesh__watch {
	struct mesh__port_waiters *waiters;
	struct event *event;
};

/* Who waits on a port: blocked threads, a callback, an eventfd. Made at the first use. */
struct mesh__port_waiters {
	struct mesh_port *port;
	struct mesh__waiter_list blocked;
	int event_fd;                  /* -1 until asked for */
	mesh_port_fn fn;
	void *userdata;
	bool at_home;                  /* fn is called by the node's home */
	struct mesh__watch *watch;     /* fn is called by this one, for event_fd */
	bool ready;                    /* in the node's list of callbacks that are due */
	TAILQ_ENTRY(mesh__port_waiters) in_ready;
	unsigned times_set;            /* changes with each callback, so that a loop of calls sees that it is not its own any more */
	bool calling, told_end;
	/* Who waits to send: a blocked thread, or the callback of mesh_port_on_writable, which is called once. */
	mesh_port_writable_fn writable_fn;
	void *writable_userdata;
	bool writable_at_home;
	int writable_fd;               /* -1 until a base watches it */
	struct mesh__watch *writable_watch;
	struct mesh__sending refused;  /* what there was no room for */
	unsigned senders;              /* threads that wait for room */
	unsigned telling;              /* calls of the callback that are under way */
	bool listed;                   /* in the node's list of those */
	TAILQ_ENTRY(mesh__port_waiters) in_senders;
	bool orphan;                   /* the port went: freed by the last who is still at it, a call or a blocked thread */
};

/* ---- port.c, for send.c and receive.c ---- */

/* The port's waiters, made at the first use; NULL when memory runs out. With the lock. */
struct mesh__port_waiters *mesh__port_waiters_of(struct mesh_port *port);
/* Whoever waits on the port in a thread looks again. With the lock. */
void mesh__port_wake_blocked(struct mesh__port_waiters *waiters);
/* Has the node's home look at the port's callbacks. With the lock. */
void mesh__port_call_at_home(struct mesh__port_waiters *waiters);
/* After a take: an eventfd with nothing behind it must not stay readable. With the lock. */
void mesh__port_settle_event_fd(struct mesh_port *port);
/* Of a port that went, the waiters for the last one who was at them, to free without the lock. With it. */
struct mesh__port_waiters *mesh__port_inherit_waiters(struct mesh__port_waiters *waiters);
void mesh__port_free_waiters(struct mesh__port_waiters *waiters);
/* Of an fd, added. NULL when memory runs out. The argument of `fn` is the watch. */
struct mesh__watch *mesh__watch_new(struct mesh__port_waiters *waiters, struct event_base *base, int fd, event_callback_fn fn);
/* Without the lock: a base in another thread may be about to call, and is waited for. Takes NULL. */
void mesh__watch_free(struct mesh__watch *watch);

/* ---- receive.c, for send.c ---- */

/*
 * One step of waiting on a port, for a thread that looks at something of it. Called and returns with *space locked.
 * false: the deadline has passed.
 */
bool mesh__port_wait_once(struct mesh__port_waiters *waiters, struct mesh__space **space, struct mesh__waiter *waiter,
	pal_deadline deadline);

/* ---- send.c, for port.c ---- */

/*
 * Calls the callback that waits for room, if there is some. Called and returns with *space locked, which it releases for
 * the call. false: the port went meanwhile, and the waiters with it: *ret_left then is what the caller has to free
 * without the lock, since a base in another thread may be about to call.
 */
bool mesh__port_call_writable(struct mesh__space **space, struct mesh__port_waiters *waiters,
	struct mesh__port_waiters **ret_left);
/* Something about the port has changed that may let somebody send. With the lock. */
void mesh__port_tell_sender(struct mesh__port_waiters *waiters);
/* A message was taken from the port: its peer, if that is here, has more room. With the lock. */
void mesh__port_room_made(struct mesh_port *port);
/* Nobody waits to send any more. With the lock; what has to be freed is freed with the waiters. */
void mesh__port_drop_sender(struct mesh__port_waiters *waiters);

#endif
