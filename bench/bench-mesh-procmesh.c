/* SPDX-License-Identifier: MIT */

/* Two nodes of a mesh: both wait in mesh_port_recv, or both run callbacks on a libevent base. */
#include "bench-mesh.h"

#include <event2/event.h>
#include <mesh/mesh.h>
#include <pal/socket.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "harness.h"

/* ---- joining over a socket that both have from the fork ---- */

struct mesh_port *bench_mesh_invite(struct mesh_node *node, int socket)
{
	struct mesh_invitation invitation;
	struct mesh_port *here, *there;

	bench_check(mesh_port_pair(&here, &there), "mesh_port_pair");
	bench_check(mesh_node_invite(node, there, &invitation, NULL), "mesh_node_invite");
	if (pal_socket_send(socket, &invitation, sizeof invitation, &invitation.fd, 1) != sizeof invitation)
		bench_die("sending the invitation");
	mesh_invitation_clear(&invitation);
	return here;
}

struct mesh_port *bench_mesh_join(int socket, const struct mesh_node_options *options)
{
	int fds[PAL_SOCKET_MAX_FDS];
	struct mesh_invitation invitation;
	struct mesh_node *node;
	struct mesh_port *port;
	struct pal_error error;
	size_t fd_count;

	if (pal_socket_receive(socket, &invitation, sizeof invitation, fds, &fd_count) != sizeof invitation ||
		fd_count != 1)
		_exit(0); /* the benchmark has ended */
	invitation.fd = fds[0];
	if (mesh_node_join(&invitation, options, PAL_DEADLINE_MS(10000), &node, &port, &error) < 0)
		bench_die(pal_error_text(&error));
	return port;
}

static struct mesh_message *new_message(void)
{
	char bytes[MESSAGE_SIZE] = "";

	return mesh_message_new(bytes, sizeof bytes);
}

/* ---- blocking ---- */

static int blocking_socket;
static struct mesh_port *blocking_port;

static void blocking_echo(int socket)
{
	struct mesh_port *port = bench_mesh_join(socket, NULL);
	struct mesh_message *message;

	while (mesh_port_recv(port, PAL_DEADLINE_NONE, &message, NULL) == 0)
		bench_check(mesh_port_send(port, message), "mesh_port_send");
}

void procmesh_blocking_fork(void)
{
	blocking_socket = bench_fork_peer(SOCK_SEQPACKET, blocking_echo);
}

void procmesh_blocking_start(void)
{
	struct mesh_node *node;

	bench_check(mesh_node_new(NULL, &node, NULL), "mesh_node_new");
	blocking_port = bench_mesh_invite(node, blocking_socket);
}

void procmesh_blocking_run(unsigned count)
{
	struct mesh_message *message = new_message();

	while (count--) {
		bench_check(mesh_port_send(blocking_port, message), "mesh_port_send");
		bench_check(mesh_port_recv(blocking_port, PAL_DEADLINE_NONE, &message, NULL), "mesh_port_recv");
	}
	mesh_message_free(message);
}

/* ---- callbacks ---- */

static int callback_socket;
static struct mesh_port *callback_port;
static struct event_base *base;
static unsigned callback_left;

static void echo_received(struct mesh_port *port, int status, struct mesh_message *message, void *userdata)
{
	(void)userdata;
	if (status < 0)
		_exit(0);
	bench_check(mesh_port_send(port, message), "mesh_port_send");
}

static void received(struct mesh_port *port, int status, struct mesh_message *message, void *userdata)
{
	(void)userdata;
	bench_check(status, "the peer's end");
	if (--callback_left) {
		bench_check(mesh_port_send(port, message), "mesh_port_send");
		return;
	}
	mesh_message_free(message);
	event_base_loopbreak(base);
}

static void callback_echo(int socket)
{
	struct mesh_node_options options = {MESH_NODE_OPTIONS_INIT, .base = event_base_new()};
	struct mesh_port *port = bench_mesh_join(socket, &options);

	bench_check(mesh_port_set_callback(port, NULL, echo_received, NULL), "mesh_port_set_callback");
	event_base_dispatch(options.base);
}

void procmesh_callback_fork(void)
{
	callback_socket = bench_fork_peer(SOCK_SEQPACKET, callback_echo);
}

void procmesh_callback_start(void)
{
	struct mesh_node_options options = {MESH_NODE_OPTIONS_INIT};
	struct mesh_node *node;

	base = options.base = event_base_new();
	bench_check(mesh_node_new(&options, &node, NULL), "mesh_node_new");
	callback_port = bench_mesh_invite(node, callback_socket);
	bench_check(mesh_port_set_callback(callback_port, NULL, received, NULL), "mesh_port_set_callback");
}

void procmesh_callback_run(unsigned count)
{
	callback_left = count;
	bench_check(mesh_port_send(callback_port, new_message()), "mesh_port_send");
	event_base_dispatch(base);
}
