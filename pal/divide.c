/* SPDX-License-Identifier: MIT */
#include <pal/spawn-priv.h>

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <pal/util-priv.h>

/*
 * The parent's half of a child that goes on in a second process, because a pid
 * namespace is only for children (namespaces-child.c): descriptors for it, and
 * taking the second one in the place of the first.
 */

/* ---- descriptors of one spawn ---- */

static int take_lifted(int fd, int *ret)
{
	fd = fd < 0 ? -errno : pal__fd_lift(fd);
	if (fd < 0)
		return fd;
	*ret = fd;
	return 0;
}

static int open_sockets(int sockets[2])
{
	int pair[2], r, second;

	if (socketpair(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0, pair) < 0)
		return -errno;
	r = take_lifted(pair[0], &sockets[0]);
	second = take_lifted(pair[1], &sockets[1]);
	return r < 0 ? r : second;
}

int pal__plan_fds_open(struct pal__plan_fds *own, const struct pal_builder *builder, bool program,
	struct pal_error *error)
{
	bool divides = pal__namespaces_divide(builder, program);
	int r = 0;

	if ((!program && !pal__builder_leaves_fork(builder)) || pal__namespaces_init(builder, program))
		r = take_lifted(eventfd(0, EFD_CLOEXEC), &own->ready);
	if (r >= 0 && divides)
		r = open_sockets(own->sockets);
	if (r >= 0 && pal__builder_arms_death(builder, program) && pal__namespaces_hide_parent(builder))
		r = take_lifted(pal__pidfd_open(getpid()), &own->parent);
	if (r < 0)
		return pal_error_set(error, PAL_STAGE_CLONE, r, "descriptors for a child");
	return 0;
}

void pal__plan_fds_close(struct pal__plan_fds *own)
{
	own->ready = pal_close(own->ready);
	own->parent = pal_close(own->parent);
	own->sockets[0] = pal_close(own->sockets[0]);
	own->sockets[1] = pal_close(own->sockets[1]);
}

/* ---- the second child ---- */

/* Its pidfd, or a negative errno: -EAGAIN where none has been sent. */
static int receive_fd(int socket)
{
	union {
		struct cmsghdr header;
		char space[CMSG_SPACE(sizeof(int))];
	} control;
	char byte;
	struct iovec data = {&byte, 1};
	struct msghdr message = {
		.msg_iov = &data,
		.msg_iovlen = 1,
		.msg_control = &control,
		.msg_controllen = sizeof control,
	};
	struct cmsghdr *header;
	int fd;

	if (recvmsg(socket, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC) < 0)
		return -errno;
	header = CMSG_FIRSTHDR(&message);
	if (!header)
		return -EMFILE; /* there was no number for it */
	memcpy(&fd, CMSG_DATA(header), sizeof fd);
	return pal__fd_lift(fd);
}

/*
 * Without a pidfd: it is our child, so its pid is its own until it has been waited
 * for - if not SIGCHLD's disposition or somebody else has done that.
 */
static void kill_by_pid(pid_t pid)
{
	if (waitid(P_PID, (id_t)pid, &(siginfo_t){0}, WEXITED | WNOHANG | WNOWAIT) < 0)
		return;
	kill(pid, SIGKILL);
	while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
		;
}

int pal__divide_take(
	struct pal__launch *launch, const struct pal__report *report, pid_t *pid, int *pidfd)
{
	int second = receive_fd(launch->own.sockets[PAL__SOCKET_PARENT]);

	if (second < 0) {
		if (report->second > 0)
			kill_by_pid(report->second);
		return report->handover < 0 ? report->handover : second;
	}
	pal__reap(*pidfd);
	pal_close(*pidfd);
	*pidfd = second;
	*pid = report->second;
	return 0;
}
