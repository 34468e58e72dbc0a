/* SPDX-License-Identifier: MIT */
#include "bench-mesh.h"

#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "config.h"
#include "harness.h"

static pid_t peers[16];
static size_t peer_count;

int bench_fork_peer(int socket_type, void (*echo)(int socket))
{
	int ends[2];
	pid_t pid;

	if (socketpair(AF_UNIX, socket_type | SOCK_CLOEXEC, 0, ends) < 0 || (pid = fork()) < 0)
		bench_die("fork");
	if (pid == 0) {
		/* only its own end: the ends of others would never be seen to close */
		if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 || dup2(ends[1], 3) != 3 || close_range(4, ~0U, 0) < 0)
			bench_die("peer");
		echo(3);
		_exit(0);
	}
	close(ends[1]);
	peers[peer_count++] = pid;
	return ends[0];
}

static void end_peers(void)
{
	for (size_t i = 0; i < peer_count; i++) {
		kill(peers[i], SIGKILL);
		waitpid(peers[i], NULL, 0);
	}
}

/* ---- the floor: one packet each way ---- */

static int floor_socket;

static void floor_echo(int socket)
{
	char message[MESSAGE_SIZE];
	struct iovec bytes = {message, sizeof message};
	struct msghdr header = {.msg_iov = &bytes, .msg_iovlen = 1};

	while (recvmsg(socket, &header, MSG_CMSG_CLOEXEC) == MESSAGE_SIZE)
		if (sendmsg(socket, &header, MSG_NOSIGNAL) != MESSAGE_SIZE)
			break;
}

static void floor_run(unsigned count)
{
	char message[MESSAGE_SIZE] = "";
	struct iovec bytes = {message, sizeof message};
	struct msghdr header = {.msg_iov = &bytes, .msg_iovlen = 1};

	while (count--)
		if (sendmsg(floor_socket, &header, MSG_NOSIGNAL) != MESSAGE_SIZE ||
			recvmsg(floor_socket, &header, MSG_CMSG_CLOEXEC) != MESSAGE_SIZE)
			bench_die("round trip");
}

static const struct bench_candidate callback[] = {
	{"floor", NULL, floor_run, NULL},
	{"procmesh", procmesh_callback_start, procmesh_callback_run, NULL},
	{"libevent", event_start, event_run, NULL},
#ifdef HAVE_LIBUV
	{"libuv", uv_start, uv_run_, NULL},
#endif
	{NULL, NULL, NULL, NULL},
};

static const struct bench_candidate blocking[] = {
	{"floor", NULL, floor_run, NULL},
	{"procmesh", procmesh_blocking_start, procmesh_blocking_run, NULL},
#ifdef HAVE_SDBUS
	{"sd-bus", bus_start, bus_run, NULL},
#endif
#ifdef HAVE_ZMQ
	{"zeromq", zmq_start, zmq_run, NULL},
#endif
#ifdef HAVE_NNG
	{"nng", nng_start, nng_run, NULL},
#endif
	{NULL, NULL, NULL, NULL},
};

static const struct bench_candidate oneway_64[] = {
	{"floor", NULL, oneway_floor_64, NULL},
	{"procmesh", oneway_procmesh_start, oneway_procmesh_64, NULL},
	{NULL, NULL, NULL, NULL},
};

static const struct bench_candidate oneway_1k[] = {
	{"floor", NULL, oneway_floor_1k, NULL},
	{"procmesh", oneway_procmesh_start, oneway_procmesh_1k, NULL},
	{NULL, NULL, NULL, NULL},
};

int main(void)
{
	bench_one_cpu();
	floor_socket = bench_fork_peer(SOCK_SEQPACKET, floor_echo);
	oneway_floor_fork();
	oneway_procmesh_fork();
	procmesh_callback_fork();
	procmesh_blocking_fork();
	event_fork();
#ifdef HAVE_LIBUV
	uv_fork();
#endif
#ifdef HAVE_SDBUS
	bus_fork();
#endif
#ifdef HAVE_ZMQ
	zmq_fork();
#endif
#ifdef HAVE_NNG
	nng_fork();
#endif
	bench_run(&(struct bench_measure){"mesh.rtt.64B.onecpu.callback", "us", 200, 51, callback});
	bench_run(&(struct bench_measure){"mesh.rtt.64B.onecpu.blocking", "us", 200, 51, blocking});
	bench_run(&(struct bench_measure){"mesh.oneway.64B", "us", 2000, 51, oneway_64});
	bench_run(&(struct bench_measure){"mesh.oneway.1KiB", "us", 2000, 51, oneway_1k});
	end_peers();
	return 0;
}
