/* SPDX-License-Identifier: MIT */

/*
 * Starting a process of this same program that can be talked to: until its
 * answer to a first message is here. Ending it is not counted.
 */
#include <mesh_process/mesh_process.h>

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "harness.h"

/* ---- the floor: the program again, with a socket on descriptor 3 ---- */

#define FLOOR_HOST "floor-host"

static int floor_host(void)
{
	char message[64];
	ssize_t size = recv(3, message, sizeof message, 0);

	return size <= 0 || send(3, message, (size_t)size, 0) != size;
}

static pid_t floor_launch(int socket)
{
	static char *const argv[] = {(char *)"bench-host", (char *)FLOOR_HOST, NULL};
	pid_t pid = vfork();

	if (pid == 0) {
		/* dup2 onto itself would keep close-on-exec */
		if (socket == 3 ? fcntl(3, F_SETFD, 0) == 0 : dup2(socket, 3) == 3)
			execve("/proc/self/exe", argv, environ);
		_exit(127);
	}
	return pid;
}

static void run_floor(unsigned count)
{
	while (count--) {
		char message[64] = "hello";
		int ends[2], status;
		pid_t pid;

		if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) < 0 || (pid = floor_launch(ends[1])) < 0)
			bench_die("launch");
		close(ends[1]);
		if (send(ends[0], message, sizeof message, MSG_NOSIGNAL) != sizeof message ||
			recv(ends[0], message, sizeof message, 0) != sizeof message)
			bench_die("the answer");
		bench_pause();
		close(ends[0]);
		if (waitpid(pid, &status, 0) != pid || status)
			bench_die("the child");
		bench_resume();
	}
}

/* ---- procmesh ---- */

static struct mesh_process *hosts;
static struct mesh_process_config *config;

static int procmesh_host(struct mesh_port *port, void *userdata)
{
	struct mesh_message *message;

	(void)userdata;
	if (mesh_port_recv(port, PAL_DEADLINE_NONE, &message, NULL) < 0)
		return 1;
	return mesh_port_send(port, message) < 0;
}

static void start_procmesh(void)
{
	bench_check(mesh_process_new("bench", NULL, &hosts, NULL), "mesh_process_new");
	config = mesh_process_config_new("host");
}

static void run_procmesh(unsigned count)
{
	while (count--) {
		struct mesh_process_host *host;
		struct mesh_message *message;
		struct pal_status status;
		struct pal_error error;
		struct mesh_port *port;
		char text[64] = "hello";

		if (mesh_process_launch(hosts, config, &port, &host, &error) < 0)
			bench_die(pal_error_text(&error));
		bench_check(mesh_port_send(port, mesh_message_new(text, sizeof text)), "mesh_port_send");
		bench_check(mesh_port_recv(port, PAL_DEADLINE_NONE, &message, NULL), "mesh_port_recv");
		bench_pause();
		mesh_message_free(message);
		mesh_port_free(port);
		bench_check(mesh_process_host_wait(host, PAL_DEADLINE_NONE, &status), "mesh_process_host_wait");
		if (status.signaled || status.code)
			bench_die("the host");
		mesh_process_host_free(host);
		bench_resume();
	}
}

static void stop_procmesh(void)
{
	mesh_process_config_free(config);
	bench_check(mesh_process_shutdown(hosts, PAL_DEADLINE_MS(10000)), "mesh_process_shutdown");
}

static const struct bench_candidate candidates[] = {
	{"floor", NULL, run_floor, NULL},
	{"procmesh", start_procmesh, run_procmesh, stop_procmesh},
	{NULL, NULL, NULL, NULL},
};

int main(int argc, char **argv)
{
	if (argc > 1 && !strcmp(argv[1], FLOOR_HOST))
		return floor_host();
	mesh_process_try_run_host("bench", procmesh_host, NULL);
	bench_run(&(struct bench_measure){"host.launch", "us", 5, 51, candidates});
	return 0;
}
