/* SPDX-License-Identifier: MIT */
#ifndef PROCMESH_MESH_PROCESS_PRIV_H
#define PROCMESH_MESH_PROCESS_PRIV_H

#include <mesh/encoding.h>
#include <mesh_process/mesh_process.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/queue.h>

/* ---- waiting (monitor.c) ---- */

/* A lock and what is waited for under it, on the clock of pal_deadline. */
struct mesh_process__monitor {
	pthread_mutex_t lock;
	pthread_cond_t changed;
};
void mesh_process__monitor_init(struct mesh_process__monitor *monitor);
void mesh_process__monitor_deinit(struct mesh_process__monitor *monitor);
void mesh_process__lock(struct mesh_process__monitor *monitor);
void mesh_process__unlock(struct mesh_process__monitor *monitor);
void mesh_process__changed(struct mesh_process__monitor *monitor); /* with the lock held */
/* Releases the lock until something changed, at most until the deadline. 0 or -ETIMEDOUT. */
int mesh_process__await(struct mesh_process__monitor *monitor, pal_deadline deadline);

/* ---- errors (error.c) ---- */

/* Like pal_error_set, for a text that says it all: no errno's description is added. */
int mesh_process__fail(struct pal_error *error, int stage, int code, const char *format, ...)
	PAL_PRINTF(4, 5);
/*
 * Moves a lower library's error to one of our stages: index becomes its stage, and who it
 * was about is put in front.
 */
int mesh_process__wrap(struct pal_error *error, int stage, int code, const char *name);

/* ---- the first message (initial.c) ---- */

/* {1: port of the requests, 2: T}. Consumes both, also on failure. 0, -ENOMEM, -EINVAL. */
int mesh_process__initial_encode(struct mesh_port *requests, struct mesh_message *init,
	struct mesh_message **ret);
/* Takes the two apart again; `message` stays the caller's. 0, -ENOMEM, -EBADMSG. */
int mesh_process__initial_decode(struct mesh_message *message, struct mesh_port **ret_requests,
	struct mesh_message **ret_init);

/*
 * Looking into peer data: the last field of that number in a range. 1, 0 when there is none,
 * -EBADMSG when it is something else or any field there is malformed. find_port takes it
 * out of `message`.
 */
int mesh_process__find_message(struct mesh_reader range, uint32_t number, struct mesh_reader *ret);
int mesh_process__find_port(struct mesh_message *message, struct mesh_reader range, uint32_t number,
	struct mesh_port **ret);

/* ---- requests from parent to host (request.c) ---- */

/*
 * In the host: serves a request channel in the node's thread until all its senders are
 * gone or have broken the protocol, then calls `ended` there, once. `port` is consumed,
 * also on failure; the struct must stay until `ended`.
 */
struct mesh_process__requests {
	unsigned senders;
	void (*ended)(void);
};
int mesh_process__requests_serve(struct mesh_process__requests *requests, struct mesh_port *port);
/* In the parent: a new Crash request, NULL when memory runs out. */
struct mesh_message *mesh_process__crash_request(void);

/* ---- the invitation in the environment (environ.c) ---- */

/*
 * Takes a variable out of the environment and wipes its bytes, which empties it in
 * /proc/self/environ too. *ret is a copy, NULL when it was not set. 0 or -ENOMEM (it is gone
 * all the same).
 */
int mesh_process__environ_take(const char *name, char **ret);

/* ---- how to launch (config.c) ---- */

struct mesh_process__env_change {
	enum { MESH_PROCESS__ENV_SET, MESH_PROCESS__ENV_REMOVE, MESH_PROCESS__ENV_CLEAR } kind;
	char *name, *value;
};

struct mesh_process_config {
	struct pal_error first_error; /* of a setter; code 0: none */
	char *name;
	char *program; /* NULL: this executable */
	char **args;   /* `arg_count`, not terminated */
	size_t arg_count;
	bool skip_name_arg;
	struct mesh_process__env_change *env; /* in the order of the calls */
	size_t env_count;
	int stderr_fd; /* -1: inherited */
	const struct pal_profile *profile;
	int64_t join_ms;
};

/* ---- one launched host, in the parent (handle.c) ---- */

struct mesh_process_host {
	atomic_uint refs; /* the caller's handle; the set of live hosts, while it runs */
	char *name;
	pid_t pid;
	struct mesh_id node; /* zero until it was invited */
	/* During the launch: ends when its first message has arrived, or its link has ended. */
	struct mesh_port *arrival;
	LIST_ENTRY(mesh_process_host) live; /* under the set's lock */

	struct mesh_process__monitor monitor; /* of everything below */
	struct pal_child *child;    /* NULL once it has ended */
	struct mesh_port *requests; /* NULL once it was told to leave */
	bool ended;
	int end_result;             /* 0: `status` is valid; -ECHILD: it is lost */
	struct pal_status status;
	mesh_process_exit_fn on_exit; /* called when set and ended come together */
	void *on_exit_userdata;
	bool in_on_exit;
	pthread_t on_exit_thread;
};

struct mesh_process_host *mesh_process__host_new(const char *name);
void mesh_process__host_ref(struct mesh_process_host *host);
void mesh_process__host_unref(struct mesh_process_host *host);
/*
 * Its end: stores the status, closes what the host had here, tells who wanted to know.
 * Once, in one thread.
 */
void mesh_process__host_ended(struct mesh_process_host *host, int result,
	const struct pal_status *status);

/* ---- the join, seen from the parent (join.c) ---- */

/*
 * Waits until the new host has taken its first message, until it cannot any more, until the
 * deadline, or until shutdown has begun (-ESHUTDOWN).
 */
int mesh_process__await_join(struct mesh_process *process, struct mesh_process_host *host,
	pal_deadline deadline, struct pal_error *error);

/* ---- the set of live hosts (group.c) and their exits (watch.c) ---- */

LIST_HEAD(mesh_process__hosts, mesh_process_host);

struct mesh_process {
	struct mesh_node *node;
	int epoll_fd; /* the pidfds of the live hosts, wake_fd, and call_fd */
	int wake_fd;  /* an eventfd, written at shutdown and never read: wakes launches and the watcher */
	int call_fd;  /* another one, for pal_helper_start's wake: the watcher only */
	pthread_t watcher;
	bool watcher_started;

	struct mesh_process__monitor monitor; /* of everything below */
	struct mesh_process__hosts hosts;
	unsigned launches; /* going on now */
	bool stopping;     /* no launch may begin */
	bool quit;         /* the watcher may end */
};

/* A launch goes on between these two. 0 or -ESHUTDOWN. */
int mesh_process__launch_begin(struct mesh_process *process);
void mesh_process__launch_end(struct mesh_process *process);

int mesh_process__watch_start(struct mesh_process *process, const char *name,
	struct pal_error *error);
/* Makes wake_fd readable, from now on. */
void mesh_process__wake(struct mesh_process *process);
void mesh_process__watch_stop(struct mesh_process *process);
/* Puts a host that has joined under supervision. 0, -ESHUTDOWN, or an error of epoll_ctl(2). */
int mesh_process__watch_add(struct mesh_process *process, struct mesh_process_host *host);

#endif
