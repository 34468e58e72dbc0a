/* SPDX-License-Identifier: MIT */
#ifndef PROCMESH_MESH_PORT_WAITERS_PRIV_H
#define PROCMESH_MESH_PORT_WAITERS_PRIV_H

#include <mesh/node-priv.h>
#include <mesh/port.h>

/* Who waits on a port: blocked threads, a callback, an eventfd. Made at the first use. */
struct mesh__port_waiters {
	struct mesh_port *port;
	struct mesh__waiter_list blocked;
	int event_fd;                  /* -1 until asked for */
	mesh_port_fn fn;
	void *userdata;
	bool at_home;                  /* fn is called by the node's home */
	struct event *event;           /* fn is called on this base event, for event_fd */
	bool ready;                    /* in the node's list of callbacks that are due */
	TAILQ_ENTRY(mesh__port_waiters) in_ready;
	bool calling, told_end;
	bool orphan;                   /* the port went: freed by the last who is still at it, a call or a blocked thread */
};

#endif
