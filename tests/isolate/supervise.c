/* SPDX-License-Identifier: MIT */
#include "supervise.h"

#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <signal.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "isolate-support.h"

#ifndef SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV
#define SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV (1UL << 5)
#endif

/* Where the host passes the listener on; the filter lets sendmsg(2) to it. */
#define CHANNEL 250

const char *supervise_impossible(void)
{
	const unsigned action = SECCOMP_RET_USER_NOTIF;

	if (!ALLOCATOR_SURVIVES_FORK || THREADS_OF_THE_SANITIZER)
		return "a sanitizer ends the program where its own calls fail";
	if (getenv("PROCMESH_UNDER_VALGRIND"))
		return "valgrind makes calls of its own";
	if (syscall(SYS_seccomp, SECCOMP_GET_ACTION_AVAIL, 0, &action) < 0)
		return "this kernel does not let a process answer another one's calls";
	return NULL;
}

#define NUMBER_IS(call)                                                                            \
	BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_##call, 0, 1),                                     \
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)

/* Its listener, or -1. */
static int install_filter(void)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		NUMBER_IS(exit),
		NUMBER_IS(exit_group),
		NUMBER_IS(getpid),
		NUMBER_IS(getppid),
		NUMBER_IS(gettid),
		NUMBER_IS(rt_sigreturn),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_sendmsg, 0, 3),
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args[0])),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, CHANNEL, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_USER_NOTIF),
	};
	struct sock_fprog program = {.len = sizeof code / sizeof code[0], .filter = code};
	unsigned long flags = SECCOMP_FILTER_FLAG_NEW_LISTENER;
	int fd;

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return -1;
	fd = (int)syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER,
		flags | SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV, &program);
	if (fd < 0 && errno == EINVAL) /* before Linux 5.19 */
		fd = (int)syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags, &program);
	return fd;
}

/* ---- passing the listener on ---- */

union fd_message {
	struct cmsghdr header;
	char room[CMSG_SPACE(sizeof(int))];
};

static int send_fd(int socket, int fd)
{
	char data = 0;
	struct iovec byte = {&data, 1};
	union fd_message control = {.header = {.cmsg_len = CMSG_LEN(sizeof fd),
					    .cmsg_level = SOL_SOCKET,
					    .cmsg_type = SCM_RIGHTS}};
	struct msghdr message = {.msg_iov = &byte,
		.msg_iovlen = 1,
		.msg_control = &control,
		.msg_controllen = sizeof control};

	memcpy(CMSG_DATA(&control.header), &fd, sizeof fd);
	return sendmsg(socket, &message, MSG_NOSIGNAL) == 1 ? 0 : -1;
}

static int receive_fd(int socket)
{
	char room;
	struct iovec byte = {&room, 1};
	union fd_message control;
	struct msghdr message = {.msg_iov = &byte,
		.msg_iovlen = 1,
		.msg_control = &control,
		.msg_controllen = sizeof control};
	int fd;

	if (recvmsg(socket, &message, MSG_CMSG_CLOEXEC) != 1 || !CMSG_FIRSTHDR(&message))
		return -1;
	memcpy(&fd, CMSG_DATA(CMSG_FIRSTHDR(&message)), sizeof fd);
	return fd;
}

static void __attribute__((noreturn)) run_host(int channel, int (*host)(void *arg), void *arg)
{
	int listener;

	if (dup2(channel, CHANNEL) < 0)
		_exit(125);
	close(channel);
	listener = install_filter();
	if (listener < 0 || send_fd(CHANNEL, listener) < 0)
		_exit(125);
	close(listener); /* seen, and always made; while anybody has it the others would wait for ever */
	_exit(host(arg));
}

/* ---- the supervisor ---- */

struct supervisor {
	int listener;
	pid_t host;
	bool host_has_begun;
	supervise_judge *judge;
	void *arg;
};

static void answer(
	const struct supervisor *supervisor, const struct seccomp_notif *asked, int verdict)
{
	struct seccomp_notif_resp response = {.id = asked->id};

	if (verdict == SUPERVISE_HOLD)
		return;
	if (verdict == SUPERVISE_KILL || verdict == SUPERVISE_KILL_HOST) {
		kill(verdict == SUPERVISE_KILL ? (pid_t)asked->pid : supervisor->host, SIGKILL);
		if (verdict == SUPERVISE_KILL || (pid_t)asked->pid == supervisor->host)
			return;
	}
	if (verdict < 0)
		response.error = verdict;
	else
		response.flags = SECCOMP_USER_NOTIF_FLAG_CONTINUE;
	ioctl(supervisor->listener, SECCOMP_IOCTL_NOTIF_SEND,
		&response); /* it may be dead by now */
}

static void take_one(struct supervisor *supervisor)
{
	struct seccomp_notif asked = {0};
	struct supervised_call call;
	int verdict = SUPERVISE_MAKE;

	if (ioctl(supervisor->listener, SECCOMP_IOCTL_NOTIF_RECV, &asked) < 0)
		return;
	call = (struct supervised_call){.number = asked.data.nr,
		.pid = (pid_t)asked.pid,
		.by_host = (pid_t)asked.pid == supervisor->host};
	memcpy(call.args, asked.data.args, sizeof call.args);
	if (supervisor->host_has_begun)
		verdict = supervisor->judge(&call, supervisor->arg);
	supervisor->host_has_begun = true; /* the first one closed the listener */
	answer(supervisor, &asked, verdict);
}

/* Until nobody is left to whom the filter applies. */
static void supervise_all(struct supervisor *supervisor)
{
	struct pollfd event = {.fd = supervisor->listener, .events = POLLIN};

	for (;;) {
		if (poll(&event, 1, -1) < 0)
			continue;
		if (event.revents & POLLIN)
			take_one(supervisor);
		else if (event.revents)
			return;
	}
}

int supervise(int (*host)(void *arg), supervise_judge *judge, void *arg)
{
	struct supervisor supervisor = {.judge = judge, .arg = arg};
	int ends[2], status;

	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends), 0);
	supervisor.host = fork();
	if (supervisor.host == 0) {
		close(ends[0]);
		run_host(ends[1], host, arg);
	}
	close(ends[1]);
	supervisor.listener = receive_fd(ends[0]);
	close(ends[0]);
	ck_assert_int_ge(supervisor.listener, 0);
	supervise_all(&supervisor);
	close(supervisor.listener);
	ck_assert_int_eq(waitpid(supervisor.host, &status, 0), supervisor.host);
	return status;
}
