/* SPDX-License-Identifier: MIT */
#include "hostile-decoder.h"

#include <errno.h>
#include <fcntl.h>
#include <mesh/port.h>
#include <mesh/message.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <unistd.h>

/* ---- attempts to reach outside: how they went is the text ---- */

static long try_open(void)
{
	return open("/etc/passwd", O_RDONLY | O_CLOEXEC);
}

static long try_create(void)
{
	return open("/tmp/procmesh-was-here", O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
}

static long try_socket(void)
{
	return socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
}

static long try_exec(void)
{
	return execl("/bin/sh", "sh", "-c", "exit 0", (char *)NULL);
}

static long try_fork(void)
{
	pid_t pid = fork();

	if (pid == 0)
		_exit(0);
	return pid;
}

/* Signal 0: whether it could. (A refused getppid must not become a kill of -1, everybody.) */
static long try_signal(void)
{
	pid_t parent = getppid();

	return parent > 1 ? kill(parent, 0) : -1;
}

static long try_trace(void)
{
	return ptrace(PTRACE_SEIZE, getppid(), NULL, NULL); /* does not stop it */
}

/* More than the host's bound, less than what the system would refuse anybody. */
static long try_memory(void)
{
	void *volatile block = malloc((size_t)3 << 29); /* volatile: or it need not be tried */

	free(block);
	return block ? 0 : -1;
}

static const struct attempt {
	const char *command;
	long (*run)(void);
} attempts[] = {
	{"open", try_open},
	{"create", try_create},
	{"socket", try_socket},
	{"exec", try_exec},
	{"fork", try_fork},
	{"signal", try_signal},
	{"trace", try_trace},
	{"memory", try_memory},
};

/* ---- misbehaviour: what the parent must get over ---- */

static void do_loop(struct mesh_message *request)
{
	(void)request;
	for (volatile unsigned turns = 0;; turns++)
		;
}

static void do_abort(struct mesh_message *request)
{
	(void)request;
	abort();
}

static void do_segv(struct mesh_message *request)
{
	volatile uintptr_t nowhere = 16;

	(void)request;
	*(volatile int *)nowhere = 1;
}

/* "All is well", and no answer. */
static void do_exit(struct mesh_message *request)
{
	(void)request;
	_exit(0);
}

/* An answer that is shorter than it should be. */
static void do_lie(struct mesh_message *request)
{
	if (mesh_message_reply(request, mesh_message_new_sized(500)) == 0)
		do_loop(request);
}

/* A message larger than the parent takes. */
static void do_flood(struct mesh_message *request)
{
	if (mesh_message_reply(request, mesh_message_new_sized((size_t)64 << 20)) == 0)
		do_loop(request);
}

/* Bytes that are no packet, on every descriptor that may be the link, below the library. */
static void do_garbage(struct mesh_message *request)
{
	unsigned char noise[512];

	for (size_t i = 0; i < sizeof noise; i++)
		noise[i] = (unsigned char)(i * 167 + 13);
	for (int fd = 3; fd < 64; fd++)
		(void)!send(fd, noise, sizeof noise, MSG_NOSIGNAL | MSG_DONTWAIT);
	do_loop(request);
}

static const struct misdeed {
	const char *command;
	void (*run)(struct mesh_message *request);
} misdeeds[] = {
	{"loop", do_loop},
	{"abort", do_abort},
	{"segv", do_segv},
	{"exit", do_exit},
	{"lie", do_lie},
	{"flood", do_flood},
	{"garbage", do_garbage},
};

bool hostile_decoder(FILE *file, struct mesh_message *request, char *text, size_t size)
{
	char command[16] = "";
	bool found = fscanf(file, HOSTILE_MAGIC "%15[a-z]", command) == 1;

	rewind(file);
	if (!found)
		return false;
	snprintf(text, size, "no such exploit");
	for (size_t i = 0; i < sizeof attempts / sizeof attempts[0]; i++) {
		if (!strcmp(command, attempts[i].command)) {
			const char *how = attempts[i].run() < 0 ? strerror(errno) : "SUCCEEDED";

			snprintf(text, size, "it tried to %s: %s", command, how);
		}
	}
	for (size_t i = 0; i < sizeof misdeeds / sizeof misdeeds[0]; i++) {
		if (!strcmp(command, misdeeds[i].command)) {
			misdeeds[i].run(request);
			snprintf(text, size, "%s had no effect", command);
		}
	}
	return true;
}
