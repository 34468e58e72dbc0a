/* SPDX-License-Identifier: MIT */

/*
 * Preloaded into programs under a valgrind that knows no pidfd_open(2) and
 * pidfd_send_signal(2): asks a process outside, run-valgrind.sh's, to make these calls.
 */
#include <dlfcn.h>
#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

static long (*real_syscall)(long number, ...);
static struct sockaddr_un broker = {.sun_family = AF_UNIX};
static socklen_t broker_size;

__attribute__((constructor)) static void find(void)
{
	const char *name = getenv("PROCMESH_PIDFD_BROKER");

	*(void **)&real_syscall = dlsym(RTLD_NEXT, "syscall");
	if (!name)
		abort();
	/* An abstract name: the first byte is zero. */
	snprintf(broker.sun_path + 1, sizeof broker.sun_path - 1, "%s", name);
	broker_size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + strlen(name));
}

union fd_message {
	struct cmsghdr header;
	char room[CMSG_SPACE(sizeof(int))];
};

/* The answer: 0 or an errno, and a descriptor where one was asked for. */
static int ask(int socket, int number, int fd, int *ret_fd)
{
	int code = EIO;
	struct iovec data = {&number, sizeof number};
	union fd_message control = {.header = {CMSG_LEN(sizeof fd), SOL_SOCKET, SCM_RIGHTS}};
	struct msghdr message = {.msg_iov = &data, .msg_iovlen = 1};

	if (fd >= 0) {
		memcpy(CMSG_DATA(&control.header), &fd, sizeof fd);
		message.msg_control = &control;
		message.msg_controllen = sizeof control;
	}
	if (connect(socket, (struct sockaddr *)&broker, broker_size) < 0 ||
		sendmsg(socket, &message, 0) < 0)
		return errno;
	data.iov_base = &code;
	message.msg_control = &control;
	message.msg_controllen = sizeof control;
	if (recvmsg(socket, &message, MSG_CMSG_CLOEXEC) < 0)
		return errno;
	if (ret_fd && code == 0)
		memcpy(ret_fd, CMSG_DATA(&control.header), sizeof *ret_fd);
	return code;
}

static int ask_broker(int number, int fd, int *ret_fd)
{
	int socket_fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0), code;
	sigset_t all, before;

	/* The real calls are not interrupted. */
	sigfillset(&all);
	sigprocmask(SIG_BLOCK, &all, &before);
	code = socket_fd < 0 ? errno : ask(socket_fd, number, fd, ret_fd);
	if (socket_fd >= 0)
		close(socket_fd);
	sigprocmask(SIG_SETMASK, &before, NULL);
	errno = code;
	return code ? -1 : 0;
}

long syscall(long number, ...)
{
	long args[6];
	va_list list;
	int fd;

	va_start(list, number);
	for (int i = 0; i < 6; i++)
		args[i] = va_arg(list, long);
	va_end(list);
	if (number == SYS_pidfd_open)
		return ask_broker((int)args[0], -1, &fd) < 0 ? -1 : fd;
	if (number == SYS_pidfd_send_signal)
		return ask_broker((int)args[1], (int)args[0], NULL);
	return real_syscall(number, args[0], args[1], args[2], args[3], args[4], args[5]);
}
