/* SPDX-License-Identifier: MIT */
#ifndef PROCMESH_BENCH_MESH_H
#define PROCMESH_BENCH_MESH_H

/*
 * Round trips of 64 bytes to a process that echoes them, both on one CPU, where
 * the cost is that of the software alone.
 */

#include <stddef.h>

struct mesh_node;
struct mesh_node_options;
struct mesh_port;

#define MESSAGE_SIZE 64

/*
 * Forks a process that runs `echo` on its end of a socket pair; returns our end.
 * All of them are forked before anything starts a thread, and killed at the end.
 */
int bench_fork_peer(int socket_type, void (*echo)(int socket));

/* Each: fork first, start before the first round, run `count` round trips. */
void event_fork(void);
void event_start(void);
void event_run(unsigned count);

void uv_fork(void);
void uv_start(void);
void uv_run_(unsigned count);

void bus_fork(void);
void bus_start(void);
void bus_run(unsigned count);

void zmq_fork(void);
void zmq_start(void);
void zmq_run(unsigned count);

void nng_fork(void);
void nng_start(void);
void nng_run(unsigned count);

void procmesh_blocking_fork(void);
void procmesh_blocking_start(void);
void procmesh_blocking_run(unsigned count);

void procmesh_callback_fork(void);
void procmesh_callback_start(void);
void procmesh_callback_run(unsigned count);

/* A node for a forked process, over the socket that both have from the fork; each gets an end of a pair. */
struct mesh_port *bench_mesh_invite(struct mesh_node *node, int socket);
struct mesh_port *bench_mesh_join(int socket, const struct mesh_node_options *options);

void oneway_floor_fork(void);
void oneway_floor_64(unsigned count);
void oneway_floor_1k(unsigned count);

void oneway_procmesh_fork(void);
void oneway_procmesh_start(void);
void oneway_procmesh_64(unsigned count);
void oneway_procmesh_1k(unsigned count);

#endif
