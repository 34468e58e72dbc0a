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

static bool is_sendable(size_t size, size_t fd_count)
{
	return fd_count <= PAL_SOCKET_MAX_FDS && (size || !fd_count);
}

ssize_t pal_socket_send(int socket, const void *data, size_t size, const int *fds, size_t fd_count)
{
	struct iovec part = {.iov_base = (void *)(uintptr_t)data, .iov_len = size};
	struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};
	union control control;
	ssize_t sent;

	if (!is_sendable(size, fd_count))
		return -EINVAL;
	if (fd_count)
		attach_fds(&message, &control, fds, fd_count);
	do
		sent = sendmsg(socket, &message, MSG_NOSIGNAL);
	while (sent < 0 && errno == EINTR);
	return sent < 0 ? -errno : sent;
}

int pal_socket_send_many(int socket, const struct pal_socket_outgoing *packets, size_t count)
{
	struct mmsghdr messages[PAL_SOCKET_MAX_PACKETS];
	struct iovec parts[PAL_SOCKET_MAX_PACKETS];
	union control controls[PAL_SOCKET_MAX_PACKETS];
	unsigned usable = 0;
	int sent;

	for (; usable < count && usable < PAL_SOCKET_MAX_PACKETS; usable++) {
		const struct pal_socket_outgoing *packet = &packets[usable];

		if (!is_sendable(packet->size, packet->fd_count))
			break;
		parts[usable] = (struct iovec){
			.iov_base = (void *)(uintptr_t)packet->data, .iov_len = packet->size};
		messages[usable] =
			(struct mmsghdr){.msg_hdr = {.msg_iov = &parts[usable], .msg_iovlen = 1}};
		if (packet->fd_count)
			attach_fds(&messages[usable].msg_hdr, &controls[usable], packet->fds,
				packet->fd_count);
	}
	if (!usable)
		return -EINVAL;
	do
		sent = sendmmsg(socket, messages, usable, MSG_NOSIGNAL);
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

/* What a packet of that size is to its receiver, and its descriptors, which are closed where it is nothing. */
static ssize_t take_packet(
	struct msghdr *message, ssize_t size, int *ret_fds, size_t *ret_fd_count, bool *ret_fds_lost)
{
	size_t count = take_fds(message, ret_fds);

	*ret_fds_lost = message->msg_flags & MSG_CTRUNC;
	if (message->msg_flags & MSG_TRUNC)
		size = -EMSGSIZE;
	if (size <= 0 || *ret_fds_lost)
		count = close_fds(ret_fds, count);
	*ret_fd_count = count;
	return size;
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

	*ret_fd_count = 0;
	*ret_fds_lost = false;
	do
		received = recvmsg(socket, &message, MSG_CMSG_CLOEXEC);
	while (received < 0 && errno == EINTR);
	if (received < 0)
		return -errno;
	return take_packet(&message, received, ret_fds, ret_fd_count, ret_fds_lost);
}

int pal_socket_receive_many(int socket, struct pal_socket_incoming *packets, size_t count)
{
	struct mmsghdr messages[PAL_SOCKET_MAX_PACKETS];
	struct iovec parts[PAL_SOCKET_MAX_PACKETS];
	union control controls[PAL_SOCKET_MAX_PACKETS];
	unsigned most = count < PAL_SOCKET_MAX_PACKETS ? (unsigned)count : PAL_SOCKET_MAX_PACKETS;
	int received;

	for (unsigned i = 0; i < most; i++) {
		parts[i] = (struct iovec){.iov_base = packets[i].data, .iov_len = packets[i].room};
		messages[i] = (struct mmsghdr){.msg_hdr = {.msg_iov = &parts[i],
						       .msg_iovlen = 1,
						       .msg_control = &controls[i],
						       .msg_controllen = sizeof controls[i]}};
	}
	do
		received = recvmmsg(socket, messages, most, MSG_CMSG_CLOEXEC | MSG_DONTWAIT, NULL);
	while (received < 0 && errno == EINTR);
	if (received < 0)
		return -errno;
	for (int i = 0; i < received; i++)
		packets[i].size = take_packet(&messages[i].msg_hdr, messages[i].msg_len,
			packets[i].fds, &packets[i].fd_count, &packets[i].fds_lost);
	return received;
}

ssize_t pal_socket_receive(int socket, void *data, size_t size, int *ret_fds, size_t *ret_fd_count)
{
	bool fds_lost;
	ssize_t received =
		pal_socket_receive_partial(socket, data, size, ret_fds, ret_fd_count, &fds_lost);

	return fds_lost ? -ENOBUFS : received;
}
