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
	MESH_PROCESS_STAGE_SPAWN,      /* text names pal's stage */
	MESH_PROCESS_STAGE_JOIN,       /* the host ended, or the deadline passed, before it joined */
	MESH_PROCESS_STAGE_FIRST_MESSAGE,
	MESH_PROCESS_STAGE_SHUTDOWN
};

/* The environment variable that carries the invitation (standard base64; the link's descriptor is inside). */
#define MESH_PROCESS_INVITATION_VARIABLE "MESH_WORKER_INVITATION"
/* The number of the link in a launched host. Another one in an invitation is honoured too. */
#define MESH_PROCESS_LINK_FD 3

/* ---- in the host ---- */

/*
 * What a host runs. `port` is the peer of what launch returned in the parent;
 * it stays the caller's and is closed after the function has returned. The
 * return value is the process's exit status (8 bits). Runs in the main thread.
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

/* For the host function: the node this host is, to be borrowed; NULL outside of one. */
PAL_EXPORT struct mesh_node *mesh_process_host_node(void);

/* ---- in the parent ---- */

struct mesh_process;        /* a set of hosts around one leading node; any thread */
struct mesh_process_host;   /* one launched host; any thread */
struct mesh_process_config; /* how to launch one; one thread at a time */

/* A new mesh. `options` as mesh_node_new (may be NULL). 0 or an error of mesh_node_new. */
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
 * -ETIMEDOUT or -ECHILD (it ended; text says how) at MESH_PROCESS_STAGE_JOIN,
 * an error of pal_builder_spawn, -ENOMEM, -EMFILE, -ESHUTDOWN.
 */
PAL_EXPORT int mesh_process_launch(struct mesh_process *process, const struct mesh_process_config *config,
	struct mesh_port **ret_port, struct mesh_process_host **ret_host, struct pal_error *error) PAL_MUST_CHECK;

PAL_EXPORT pid_t mesh_process_host_pid(const struct mesh_process_host *host);
PAL_EXPORT const char *mesh_process_host_name(const struct mesh_process_host *host);

/*
 * How a host ended. As an event: `fn` is called once, in the mesh's own thread
 * (or its base's), with no lock held; at once if it has ended already. NULL
 * removes it. As a value: 0 and *ret, or -EAGAIN while it runs; -ECHILD when the
 * status is lost (see pal_child_wait). wait: the same with a deadline, -ETIMEDOUT.
 */
typedef void (*mesh_process_exit_fn)(struct mesh_process_host *host, const struct pal_status *status, void *userdata);
PAL_EXPORT int mesh_process_host_on_exit(struct mesh_process_host *host, mesh_process_exit_fn fn, void *userdata);
PAL_EXPORT int mesh_process_host_status(struct mesh_process_host *host, struct pal_status *ret);
PAL_EXPORT int mesh_process_host_wait(struct mesh_process_host *host, pal_deadline deadline, struct pal_status *ret);
PAL_EXPORT int mesh_process_host_signal(struct mesh_process_host *host, int signal);

/* Ends the handle; a host that still runs goes on under the mesh's supervision until shutdown. Takes NULL. */
PAL_EXPORT void mesh_process_host_free(struct mesh_process_host *host);

/*
 * Ends everything by the deadline: tells every host to leave (its request port
 * closes), waits, and kills at the deadline those that did not. All are reaped
 * when it returns; then the node leaves. 0, or -ETIMEDOUT when something had to be killed. `process` is consumed;
 * host handles stay valid until freed. Takes NULL.
 */
PAL_EXPORT int mesh_process_shutdown(struct mesh_process *process, pal_deadline deadline);

PAL_END_DECLS

#endif
