/* SPDX-License-Identifier: MIT */

/* The caller's end of a line. What comes there may be a function's that means harm, and so how long it takes to close. */
#include <isolate/pool-priv.h>

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <pal/util-priv.h>

/* What comes before the one descriptor that a copy sends, once SO_PASSCRED is set. */
#define SENDER_SIZE CMSG_SPACE(sizeof(struct ucred))

/* `before`: bytes of other control data. *ret_sent: that there is a message, which may be empty, and not the end. */
static ssize_t peek(int line, size_t before, int *ret_fd, bool *ret_sent)
{
	union {
		struct cmsghdr alignment;
		char room[SENDER_SIZE + CMSG_SPACE(sizeof(int))];
	} control;
	char byte;
	struct iovec part = {.iov_base = &byte, .iov_len = 1};
	struct msghdr message = {.msg_iov = &part,
		.msg_iovlen = 1,
		.msg_control = &control,
		.msg_controllen = before + CMSG_LEN(sizeof(int))};
	struct cmsghdr *sent;
	ssize_t size;

	*ret_fd = -1;
	do
		size = recvmsg(line, &message, MSG_PEEK | MSG_CMSG_CLOEXEC);
	while (size < 0 && errno == EINTR);
	if (size < 0)
		return -errno;
	*ret_sent = size > 0;
	for (sent = CMSG_FIRSTHDR(&message); sent; sent = CMSG_NXTHDR(&message, sent)) {
		*ret_sent = true;
		if (sent->cmsg_level == SOL_SOCKET && sent->cmsg_type == SCM_RIGHTS)
			memcpy(ret_fd, CMSG_DATA(sent), sizeof *ret_fd);
	}
	return *ret_fd < 0 && message.msg_flags & MSG_CTRUNC ? -EMFILE : size;
}

ssize_t isolate__line_peek(int line, int *ret_fd)
{
	bool sent;

	return peek(line, 0, ret_fd, &sent);
}

void isolate__line_drop(int line)
{
	char byte;

	while (recv(line, &byte, 1, 0) < 0 && errno == EINTR)
		;
}

/* A socket that lingers would have its last owner wait for as long as was set: past any deadline. */
void isolate__slot_close_slowly(const struct isolate__slot *slot, int *fd)
{
	const struct linger none = {.l_onoff = 1};

	if (*fd >= 0) {
		(void)setsockopt(*fd, SOL_SOCKET, SO_LINGER, &none, sizeof none); /* -ENOTSOCK */
		(void)dup3(slot->socket, *fd, O_CLOEXEC);                         /* this closes it */
	}
	pal_private_close(fd);
}

struct stray {
	struct pal_private private;
	int fd;
};
static const ptrdiff_t places[] = {PAL_PRIVATE_PLACE(struct stray, private, fd)};
static const struct pal_private_layout layout = {.count = 1, .places = places};

static bool take_stray(int line, struct stray *stray)
{
	bool held = pal_private_begin(), sent = false;

	if (peek(line, SENDER_SIZE, &stray->fd, &sent) >= 0 && sent)
		isolate__line_drop(line);
	pal_private_end(held);
	return sent;
}

void isolate__slot_close_line(struct isolate__slot *slot)
{
	struct pollfd unread = {.fd = slot->line, .events = POLLIN};

	if (slot->line < 0)
		return;
	if (poll(&unread, 1, 0) > 0) {
		struct stray stray = {.fd = -1};

		/* Then an empty message has something that the end of the line has not. */
		(void)setsockopt(slot->line, SOL_SOCKET, SO_PASSCRED, &(int){1}, sizeof(int));
		pal_private_add(&stray.private, &layout);
		for (int i = 0; i < ISOLATE__LINE_MESSAGES && take_stray(slot->line, &stray); i++)
			isolate__slot_close_slowly(slot, &stray.fd);
		pal_private_remove(&stray.private);
	}
	isolate__slot_close_slowly(slot, &slot->line);
}
