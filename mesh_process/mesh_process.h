/* SPDX-License-Identifier: MIT */
#ifndef PROCMESH_MESH_PROCESS_MESH_PROCESS_H
#define PROCMESH_MESH_PROCESS_MESH_PROCESS_H

#include <mesh/message.h>
#include <mesh/node.h>
#include <mesh/port.h>
#include <pal/child.h>
#include <pal/deadline.h>
#include <pal/error.h>
#include <pal/export.h>
#include <pal/profile.h>
#include <stdbool.h>

PAL_BEGIN_DECLS

/*
 * Hosts: processes that arrive already joined to a mesh.
 *
 *   parent                                      host (often the same program)
 *   mesh_process_new                            main
 *   mesh_process_launch -- invitation, fd 3 -->   mesh_process_try_run_host
 *        <------------- joined ----------------     the host function, with its port
 *   mesh_port_send(port, ...) <---------------->    mesh_port_recv(first, ...)
 *   mesh_process_shutdown -- end ------------->     returns; the node leaves; exit
 */

enum mesh_process_stage {
	MESH_PROCESS_STAGE_PROGRAM = PAL_STAGE_MESH_PROCESS_BASE, /* finding the own executable */
	MESH_PROCESS_STAGE_INVITATION, /* making it; in the host: decoding it */
	MESH_PROCESS_STAGE_SPAWN,      /* index = pal's stage, which the text names too */
	MESH_PROCESS_STAGE_JOIN,       /* the host ended, or the deadline passed, before it joined */
	MESH_PROCESS_STAGE_FIRST_MESSAGE,
	MESH_PROCESS_STAGE_SHUTDOWN,
	MESH_PROCESS_STAGE_WATCH       /* watching for the ends of hosts: epoll, eventfd, thread */
};

/* The environment variable that carries the invitation (standard base64; the link's descriptor is inside). */
#define MESH_PROCESS_INVITATION_VARIABLE "MESH_WORKER_INVITATION"
/* The number of the link in a launched host. Another one in an invitation is honoured too. */
#define MESH_PROCESS_LINK_FD 3

/* ---- in the host ---- */

/*
 * What a host runs, in the main thread. `port` is the peer of what launch
 * returned in the parent; it stays the library's and is closed after the function
 * has returned. The return value is the process's exit status (8 bits).
 * The parent ends a host by closing its request port, not `port`: then every
 * port of this process fails, so that a function which receives returns; one
 * that is busy with something else for longer than a moment is cut off, and
 * neither atexit functions nor stdio's flushing happen.
 */
typedef int (*mesh_process_host_fn)(struct mesh_port *port, void *userdata);

/*
 * First call of main. In an ordinary start (no invitation in the environment)
 * it returns 0 at once. In a launched host it does not return: it takes the
 * invitation out of the environment and out of /proc/self/environ, makes the
 * link close-on-exec, joins, names the process "<base>-<node name>", runs `fn`
 * beside the loop that answers the parent's requests, leaves the mesh in order
 * and exits: with fn's status; with 0 when the parent ends it; with
 * MESH_PROCESS_EXIT_INVITATION when the invitation is bad or joining failed
 * (the reason goes to pal_log and, being a whole program now, to stderr).
 * Must be called before other threads exist: it changes the environment.
 */
PAL_EXPORT int mesh_process_try_run_host(const char *base, mesh_process_host_fn fn, void *userdata);
#define MESH_PROCESS_EXIT_INVITATION 125

/*
 * The same for a host whose first message is more than one port: `init` is what
 * the parent gave to mesh_process_launch_message, or the T of a leader of
 * another implementation. It stays the library's; what is taken out of it does not.
 */
typedef int (*mesh_process_host_message_fn)(struct mesh_message *init, void *userdata);
PAL_EXPORT int mesh_process_try_run_host_message(const char *base, mesh_process_host_message_fn fn, void *userdata);

/* For the host function: the node this host is, borrowed until it returns; NULL outside of one. */
PAL_EXPORT struct mesh_node *mesh_process_host_node(void);

/* ---- in the parent ---- */

struct mesh_process;        /* a set of hosts around one leading node; any thread */
struct mesh_process_host;   /* one launched host; any thread */
struct mesh_process_config; /* how to launch one; changed by one thread at a time, launched from by any number */

/*
 * A new mesh. `options` as mesh_node_new (may be NULL). With a base of the
 * caller's (made after evthread_use_pthreads(3)), launch and shutdown belong into another thread than the one that
 * runs it: they wait for what it does. 0 or an error of mesh_node_new.
 */
PAL_EXPORT int mesh_process_new(const char *name, const struct mesh_node_options *options, struct mesh_process **ret,
	struct pal_error *error) PAL_MUST_CHECK;

/* The leading node, for ports of one's own; borrowed. */
PAL_EXPORT struct mesh_node *mesh_process_node(struct mesh_process *process);

/*
 * Defaults: this executable with its own argv[0], no arguments but the host's
 * name, which is appended; stdin and stdout null; stderr inherited; this
 * environment; no sandbox; join deadline MESH_PROCESS_DEFAULT_JOIN_MS. Setters
 * copy and cannot fail: the first bad value is returned by launch. NULL is
 * accepted everywhere (launch then returns -ENOMEM).
 */
#define MESH_PROCESS_DEFAULT_JOIN_MS 10000
PAL_EXPORT struct mesh_process_config *mesh_process_config_new(const char *name);
PAL_EXPORT void mesh_process_config_free(struct mesh_process_config *config);
PAL_EXPORT void mesh_process_config_program(struct mesh_process_config *config, const char *program);
PAL_EXPORT void mesh_process_config_arg(struct mesh_process_config *config, const char *arg);
PAL_EXPORT void mesh_process_config_skip_name_arg(struct mesh_process_config *config, bool skip);
/* Setting the invitation's own variable is -EINVAL. */
PAL_EXPORT void mesh_process_config_env(struct mesh_process_config *config, const char *name, const char *value);
PAL_EXPORT void mesh_process_config_env_remove(struct mesh_process_config *config, const char *name);
PAL_EXPORT void mesh_process_config_env_clear(struct mesh_process_config *config);
/* A copy of `fd` (made now; the caller keeps its own) becomes the host's stderr. */
PAL_EXPORT void mesh_process_config_stderr(struct mesh_process_config *config, int fd);
/* The profile's apply runs at launch; it must outlive the config. finalize is the host's to call. */
PAL_EXPORT void mesh_process_config_sandbox(struct mesh_process_config *config, const struct pal_profile *profile);
PAL_EXPORT void mesh_process_config_join_deadline(struct mesh_process_config *config, int64_t ms);

/*
 * Starts a host and waits until it has joined, at most its join deadline; other
 * threads' launches go on meanwhile. *ret_port is the peer of the port that the
 * host function gets; *ret_host the handle, to be freed. On failure nothing is
 * left: the process has been killed and reaped.
 * Not in a callback that runs in the node's own thread: -EDEADLK (an exit function may launch).
 * -ETIMEDOUT, -ECHILD (it ended; text says how) or -ECONNRESET (it gave up its
 * link) at MESH_PROCESS_STAGE_JOIN, an error of pal_builder_spawn at
 * MESH_PROCESS_STAGE_SPAWN, -ENOMEM, -EMFILE, -ESHUTDOWN (shutdown has begun meanwhile).
 */
PAL_EXPORT int mesh_process_launch(struct mesh_process *process, const struct mesh_process_config *config,
	struct mesh_port **ret_port, struct mesh_process_host **ret_host, struct pal_error *error) PAL_MUST_CHECK;

/*
 * The same with a first message of one's own, for hosts that run
 * mesh_process_try_run_host_message or are written against another
 * implementation. `init` is the encoded T with its resources, written in the
 * dialect of mesh/encoding.h; consumed, also on failure.
 */
PAL_EXPORT int mesh_process_launch_message(struct mesh_process *process, const struct mesh_process_config *config,
	struct mesh_message *init, struct mesh_process_host **ret_host, struct pal_error *error) PAL_MUST_CHECK;

PAL_EXPORT pid_t mesh_process_host_pid(const struct mesh_process_host *host);
PAL_EXPORT const char *mesh_process_host_name(const struct mesh_process_host *host);

/*
 * How a host ended. As an event: `fn` is called once, with no lock held, in a
 * thread of the library that does nothing but watch for the ends of hosts; or
 * before on_exit returns, if the host has ended already. `status` is NULL when it
 * is lost (see pal_child_wait). `fn` may free the host or launch another one.
 * NULL removes it: it is not running any more when on_exit or host_free returns,
 * unless they were called from inside of it.
 * As a value: 0 and *ret, or -EAGAIN while it runs; -ECHILD when the status is
 * lost. wait: the same with a deadline, -ETIMEDOUT. `ret` may be NULL.
 */
typedef void (*mesh_process_exit_fn)(struct mesh_process_host *host, const struct pal_status *status, void *userdata);
PAL_EXPORT int mesh_process_host_on_exit(struct mesh_process_host *host, mesh_process_exit_fn fn, void *userdata);
PAL_EXPORT int mesh_process_host_status(struct mesh_process_host *host, struct pal_status *ret);
PAL_EXPORT int mesh_process_host_wait(struct mesh_process_host *host, pal_deadline deadline, struct pal_status *ret);
/* Never to another process with a recycled pid. -ESRCH once it has ended, or an error of pal_child_signal. */
PAL_EXPORT int mesh_process_host_signal(struct mesh_process_host *host, int signal);
/* Tells this host to leave, as shutdown tells all of them; does not wait. -ESRCH once it has ended. */
PAL_EXPORT int mesh_process_host_leave(struct mesh_process_host *host);
/* Asks it to abort(), which dumps core where that is set up. -ESRCH once it has ended or was told to leave, -ENOMEM. */
PAL_EXPORT int mesh_process_host_crash(struct mesh_process_host *host);

/* Ends the handle; a host that still runs goes on under the mesh's supervision until shutdown. Takes NULL. */
PAL_EXPORT void mesh_process_host_free(struct mesh_process_host *host);

/*
 * Ends everything by the deadline: tells every host to leave (its request port
 * closes), waits, and kills at the deadline those that did not. All are reaped
 * when it returns, and the node has left. Launches that are going on fail with
 * -ESHUTDOWN. 0, or -ETIMEDOUT when something had to be killed or the node's
 * leaving was cut short. `process` is consumed; host handles stay valid until
 * freed. Takes NULL. -EDEADLK, and nothing is done, in an exit function
 * or a callback that runs in the node's own thread.
 */
PAL_EXPORT int mesh_process_shutdown(struct mesh_process *process, pal_deadline deadline);

PAL_END_DECLS

#endif
