/* SPDX-License-Identifier: MIT */
#ifndef PROCMESH_MESH_POLLER_PRIV_H
#define PROCMESH_MESH_POLLER_PRIV_H

/*
 * Who reads a node's links. One epoll set holds them all; at any time at most one
 * thread *drives*: waits on the set and handles what it brings. That is
 *   - a thread that waits for a message or for the node: it does the reading
 *     itself, so that a round trip does not pay for waking a second thread;
 *   - else the node's home: its own I/O thread, or the thread of the caller's
 *     libevent base, which watches the epoll descriptor.
 * The I/O thread steps back when a waiting thread wants to drive, and takes over
 * again once nobody has waited for MESH__LINGER_MS. Callbacks always run at home.
 *
 * What is read for callbacks waits for the home, and a thread that drives could read faster than the home calls. So
 * where much is due there nobody reads on, as long as the home gets on with it. If it does not, a turn is read
 * every MESH__HOME_FIRST_MS: a callback may itself be waiting for what another thread is to receive.
 *
 * The lock is the node's (its space's). Functions are called with it held unless
 * said otherwise; those that wait release it meanwhile.
 */

#include <mesh/fork-priv.h>
#include <pal/deadline.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

struct event;
struct event_base;
struct mesh__poller;

/* Descriptors that one turn of the driving thread handles, and packets that it reads from each, at most. */
#define MESH__EVENTS_PER_TURN 32
#define MESH__PACKETS_PER_TURN 64
#define MESH__LINGER_MS 1
#define MESH__STUCK_RETRY_MS 10
#define MESH__HOME_FIRST_MS 200

/* A thread that waits, on its own stack. */
struct mesh__waiter {
	pthread_cond_t wake;
	bool yielding;                   /* sleeps to let the home go first, no longer than that may take */
	struct mesh__poller *driving;    /* while it sleeps in epoll: a condition alone would not wake it */
	TAILQ_ENTRY(mesh__waiter) next;
	TAILQ_ENTRY(mesh__waiter) of_port; /* port.c's: in the port's list */
};
TAILQ_HEAD(mesh__waiter_list, mesh__waiter);
int mesh__waiter_init(struct mesh__waiter *waiter);
void mesh__waiter_deinit(struct mesh__waiter *waiter);

struct mesh__poller_ops {
	/* A descriptor that was added is ready; `events` as epoll(7). */
	void (*ready)(struct mesh__poller *poller, void *data, uint32_t events);
	/* Releases the lock; and what to do before a sleep: true if the lock was released for it. */
	void (*unlock)(struct mesh__poller *poller);
	bool (*settle)(struct mesh__poller *poller);
	/* After each turn of the driving thread. */
	void (*after)(struct mesh__poller *poller);
	/* At home, after a turn and when kicked: run callbacks. May release and retake the lock. Returns whether more is due. */
	bool (*home)(struct mesh__poller *poller);
	/* Whether so much is due at home that nobody should read on. */
	bool (*home_is_behind)(struct mesh__poller *poller);
};

struct mesh__poller {
	const struct mesh__poller_ops *ops;
	pthread_mutex_t *lock;
	int epoll_fd, wake_fd, timer_fd;
	int home_fd;       /* wakes the home where it does not drive; not in the set, where a waiting thread would take it */
	bool driven;       /* somebody drives */
	bool home_drives;  /* and it is the home, waiting in epoll */
	bool home_sleeps;  /* the I/O thread waits for those who wait to be gone */
	bool home_rests;   /* the I/O thread waits for home_fd */
	bool at_home;      /* the home thread is between two waits and will look at its list */
	bool kicked;       /* the home has something to do */
	bool stop;
	uint16_t forks;    /* mesh__forks when it was made */
	unsigned inside;   /* threads in mesh__poller_wait */
	pthread_cond_t empty;
	uint64_t turns;    /* of waiting threads, for the linger */
	struct mesh__waiter_list waiters;
	pthread_t thread, home_thread; /* home_thread: the last one that was at home, if there was one */
	bool has_thread, has_home_thread;
	uint64_t home_calls;       /* callbacks that it has called: the sign that it gets on */
	uint64_t home_calls_seen;  /* when it was begun to wait for it, */
	pal_deadline home_patience; /* and how long it is waited for if there are no more; 0: it is not */
	struct event *event, *home_event; /* on the caller's base */
};

/* Without the lock. -ENOMEM, -EMFILE, -ENFILE, -EAGAIN. `base` NULL: starts the thread. */
int mesh__poller_init(struct mesh__poller *poller, const struct mesh__poller_ops *ops, pthread_mutex_t *lock,
	struct event_base *base);
/*
 * Without the lock: lets go of the base, or ends the thread; sends everybody out of mesh__poller_wait and
 * waits for that; runs what is left for the home.
 */
void mesh__poller_deinit(struct mesh__poller *poller);

int mesh__poller_add(struct mesh__poller *poller, int fd, uint32_t events, void *data);
void mesh__poller_change(struct mesh__poller *poller, int fd, uint32_t events, void *data);
void mesh__poller_remove(struct mesh__poller *poller, int fd);
/* A turn of the driving thread no later than `ms` from now. */
void mesh__poller_timer(struct mesh__poller *poller, unsigned ms);

/*
 * One step of waiting: drives for one turn, or sleeps until `waiter` is woken or may
 * drive. Returns false when the deadline has passed, perhaps with a turn that brought what is waited for, or the poller
 * is ending.
 */
bool mesh__poller_wait(struct mesh__poller *poller, struct mesh__waiter *waiter, pal_deadline deadline);
/* Sleeps on the waiter alone with any lock. false: the deadline has passed. */
bool mesh__waiter_sleep(struct mesh__waiter *waiter, pthread_mutex_t *lock, pal_deadline deadline);
void mesh__waiter_wake(struct mesh__waiter *waiter);

/* The home is about to call a callback. */
static inline void mesh__poller_note_call(struct mesh__poller *poller)
{
	poller->home_calls++;
}
/* Makes the home run ops->home soon. */
void mesh__poller_kick_home(struct mesh__poller *poller);
/* Whether the calling thread is the home, in a callback. */
bool mesh__poller_is_home(const struct mesh__poller *poller);

#endif
