/* SPDX-License-Identifier: MIT */
#include <pal/socket.h>

#include <errno.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include <pal/util-priv.h>

#ifndef SCM_PIDFD
#define SCM_PIDFD 4 /* Linux 6.5 */
#endif

/* Room for one SCM_RIGHTS message, aligned for its header. */
union control {
	struct cmsghdr header;
	char bytes[CMSG_SPACE(PAL_SOCKET_MAX_FDS * sizeof(int))];
};

int pal_socket_pair(int type, int ret_fds[2])
{
	int fds[2];

	if (socketpair(AF_UNIX, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds) < 0)
		return -errno;
	ret_fds[0] = fds[0];
	ret_fds[1] = fds[1];
	return 0;
}

static void attach_fds(struct msghdr *message, union control *control, const int *fds, size_t count)
{
	/* The bytes of padding go out with the rest: not those of our stack. */
	memset(control, 0, sizeof *control);
	message->msg_control = control;
	message->msg_controllen = CMSG_SPACE(count * sizeof *fds);
	control->header.cmsg_level = SOL_SOCKET;
	control->header.cmsg_type = SCM_RIGHTS;
	control->header.cmsg_len = CMSG_LEN(count * sizeof *fds);
	memcpy(CMSG_DATA(&control->header), fds, count * sizeof *fds);
}

ssize_t pal_socket_send(int socket, const void *data, size_t size, const int *fds, size_t fd_count)
{
	struct iovec part = {.iov_base = (void *)(uintptr_t)data, .iov_len = size};
	struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};
	union control control;
	ssize_t sent;

	if (fd_count > PAL_SOCKET_MAX_FDS || (fd_count && !size))
		return -EINVAL;
	if (fd_count)
		attach_fds(&message, &control, fds, fd_count);
	do
		sent = sendmsg(socket, &message, MSG_NOSIGNAL);
	while (sent < 0 && errno == EINTR);
	return sent < 0 ? -errno : sent;
}

static size_t close_fds(const int *fds, size_t count)
{
	while (count)
		pal_close(fds[--count]);
	return 0;
}

/*
 * Collects what was sent, wherever it is in the control data; more than there is room for is
 * closed, and so is the pidfd of the sender, which the kernel adds where the socket asks for it.
 */
static size_t take_fds(struct msghdr *message, int *ret_fds)
{
	size_t count = 0;

	for (struct cmsghdr *part = CMSG_FIRSTHDR(message); part;
		part = CMSG_NXTHDR(message, part)) {
		size_t size = part->cmsg_len - CMSG_LEN(0);

		if (part->cmsg_level != SOL_SOCKET ||
			(part->cmsg_type != SCM_RIGHTS && part->cmsg_type != SCM_PIDFD))
			continue;
		for (size_t i = 0; i + sizeof(int) <= size; i += sizeof(int)) {
			int fd;

			memcpy(&fd, CMSG_DATA(part) + i, sizeof fd);
			if (part->cmsg_type == SCM_RIGHTS && count < PAL_SOCKET_MAX_FDS)
				ret_fds[count++] = fd;
			else
				pal_close(fd);
		}
	}
	return count;
}

ssize_t pal_socket_receive_partial(
	int socket, void *data, size_t size, int *ret_fds, size_t *ret_fd_count, bool *ret_fds_lost)
{
	struct iovec part = {.iov_base = data, .iov_len = size};
	union control control;
	struct msghdr message = {.msg_iov = &part,
		.msg_iovlen = 1,
		.msg_control = &control,
		.msg_controllen = sizeof control};
	ssize_t received;
	size_t count;

	*ret_fd_count = 0;
	*ret_fds_lost = false;
	do
		received = recvmsg(socket, &message, MSG_CMSG_CLOEXEC);
	while (received < 0 && errno == EINTR);
	if (received < 0)
		return -errno;
	count = take_fds(&message, ret_fds);
	*ret_fds_lost = message.msg_flags & MSG_CTRUNC;
	if (message.msg_flags & MSG_TRUNC)
		received = -EMSGSIZE;
	if (received <= 0 || *ret_fds_lost)
		count = close_fds(ret_fds, count);
	*ret_fd_count = count;
	return received;
}

ssize_t pal_socket_receive(int socket, void *data, size_t size, int *ret_fds, size_t *ret_fd_count)
{
	bool fds_lost;
	ssize_t received =
		pal_socket_receive_partial(socket, data, size, ret_fds, ret_fd_count, &fds_lost);

	return fds_lost ? -ENOBUFS : received;
}
