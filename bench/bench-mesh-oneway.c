/* SPDX-License-Identifier: MIT */

/*
 * One way: one process sends as fast as it can, another one receives. An operation is one message; a word in the other
 * direction ends each round.
 */
#include "bench-mesh.h"

#include <mesh/mesh.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "harness.h"

#define LARGEST 1024
#define LAST 'l' /* the first byte of the last message of a round */

/* ---- the floor: a packet per message ---- */

static int floor_socket;

static void floor_send(int socket, char *message, size_t size)
{
	struct iovec bytes = {message, size};
	struct msghdr header = {.msg_iov = &bytes, .msg_iovlen = 1};

	if (sendmsg(socket, &header, MSG_NOSIGNAL) != (ssize_t)size)
		_exit(0);
}

static void floor_receive(int socket, char *message)
{
	struct iovec bytes = {message, LARGEST};
	struct msghdr header = {.msg_iov = &bytes, .msg_iovlen = 1};

	if (recvmsg(socket, &header, MSG_CMSG_CLOEXEC) <= 0)
		_exit(0);
}

static void floor_sink(int socket)
{
	char message[LARGEST];

	for (;;) {
		floor_receive(socket, message);
		if (message[0] == LAST)
			floor_send(socket, message, 1);
	}
}

void oneway_floor_fork(void)
{
	floor_socket = bench_fork_peer(SOCK_SEQPACKET, floor_sink);
}

static void floor_run(unsigned count, size_t size)
{
	char message[LARGEST] = "";

	while (--count)
		floor_send(floor_socket, message, size);
	message[0] = LAST;
	floor_send(floor_socket, message, size);
	floor_receive(floor_socket, message);
}

void oneway_floor_64(unsigned count)
{
	floor_run(count, 64);
}

void oneway_floor_1k(unsigned count)
{
	floor_run(count, 1024);
}

/* ---- a port: the receiver waits in mesh_port_recv, the sender waits where too much is queued ---- */

static int procmesh_socket;
static struct mesh_port *port;

static void procmesh_sink(int socket)
{
	struct mesh_port *from = bench_mesh_join(socket, NULL);
	struct mesh_message *message;

	while (mesh_port_recv(from, PAL_DEADLINE_NONE, &message, NULL) == 0) {
		if (*(char *)mesh_message_data(message) == LAST)
			bench_check(mesh_port_send(from, message), "mesh_port_send");
		else
			mesh_message_free(message);
	}
}

void oneway_procmesh_fork(void)
{
	procmesh_socket = bench_fork_peer(SOCK_SEQPACKET, procmesh_sink);
}

void oneway_procmesh_start(void)
{
	struct mesh_node *node;

	if (port)
		return;
	bench_check(mesh_node_new(NULL, &node, NULL), "mesh_node_new");
	port = bench_mesh_invite(node, procmesh_socket);
}

static void send_one(char first, size_t size)
{
	static char bytes[LARGEST];

	bytes[0] = first;
	bench_check(mesh_port_send_wait(port, mesh_message_new(bytes, size), PAL_DEADLINE_NONE, NULL), "mesh_port_send_wait");
}

static void procmesh_run(unsigned count, size_t size)
{
	struct mesh_message *answer;

	while (--count)
		send_one(0, size);
	send_one(LAST, size);
	bench_check(mesh_port_recv(port, PAL_DEADLINE_NONE, &answer, NULL), "mesh_port_recv");
	mesh_message_free(answer);
}

void oneway_procmesh_64(unsigned count)
{
	procmesh_run(count, 64);
}

void oneway_procmesh_1k(unsigned count)
{
	procmesh_run(count, 1024);
}
