/* SPDX-License-Identifier: MIT */

/* How the descriptor of a long result comes to its caller, who keeps a number for it. */
#include <isolate/pool-call-priv.h>

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <pal/util-priv.h>

/* More than a line holds: who goes on writing to it is not waited for. */
#define LINE_MESSAGES 1024
/* How often a number is looked for, where other threads have taken the one that was kept. */
#define NUMBER_TRIES 1000
#define NUMBER_NAP_MS 1

int isolate__long_result_reserve(struct pool_call *c)
{
	bool held;
	int r;

	if (c->reserved >= 0 || c->call.max_result <= ISOLATE__BUFFER_SIZE)
		return 0;
	held = pal_private_begin();
	c->reserved = isolate__lift(eventfd(0, EFD_CLOEXEC));
	r = c->reserved < 0 ? -errno : 0;
	pal_private_end(held);
	return r;
}

/*
 * The next message's size or a negative errno, and its descriptor, if it has any. The message stays,
 * so that nothing is lost with -EMFILE: there was no number. Between pal_private_begin and _end.
 */
static ssize_t peek(struct pool_call *c)
{
	union {
		struct cmsghdr alignment;
		char room[CMSG_SPACE(sizeof(int))];
	} control;
	char byte;
	struct iovec part = {.iov_base = &byte, .iov_len = 1};
	struct msghdr message = {.msg_iov = &part,
		.msg_iovlen = 1,
		.msg_control = &control,
		.msg_controllen = CMSG_LEN(sizeof(int))}; /* a copy sends no more than one */
	const struct cmsghdr *sent;
	ssize_t size;

	do
		size = recvmsg(c->slot->line, &message, MSG_PEEK | MSG_CMSG_CLOEXEC);
	while (size < 0 && errno == EINTR);
	if (size < 0)
		return -errno;
	sent = CMSG_FIRSTHDR(&message);
	if (sent && sent->cmsg_level == SOL_SOCKET && sent->cmsg_type == SCM_RIGHTS) {
		c->replaced = c->call.memfd;
		memcpy(&c->call.memfd, CMSG_DATA(sent), sizeof c->call.memfd);
	} else if (message.msg_flags & MSG_CTRUNC) {
		return -EMFILE;
	}
	return size;
}

static void drop_message(const struct pool_call *c)
{
	char byte;

	while (recv(c->slot->line, &byte, 1, 0) < 0 && errno == EINTR)
		;
}

/* Another thread was faster than `peek`. Whether to try again; else the message goes. */
static bool await_number(struct pool_call *c)
{
	if (c->without_number++ >= NUMBER_TRIES) {
		c->line_error = -EMFILE;
		drop_message(c);
		return false;
	}
	if (isolate__long_result_reserve(c) < 0)
		(void)poll(NULL, 0, NUMBER_NAP_MS);
	return true;
}

/* What the worker says is only a reason to look; the descriptor is judged with the marks. */
void isolate__long_result_receive(struct pool_call *c)
{
	bool held = pal_private_begin();
	ssize_t size;

	c->reserved = pal_close(c->reserved);
	size = peek(c);
	if (size >= 0)
		drop_message(c);
	pal_private_end(held);
	isolate__slot_close_slowly(c->slot, &c->replaced);
	if (size == -EMFILE && await_number(c))
		return;
	if (c->call.memfd < 0)
		(void)isolate__long_result_reserve(c);
	/* A wake-up was not read before the worker ended: told once, before what it has sent. */
	if (size == -EAGAIN || size == -ECONNRESET || size == -EMFILE)
		return;
	if (size <= 0)
		isolate__slot_close_slowly(c->slot, &c->slot->line); /* has been shut down */
}

/* The descriptor that came last has to be the file that the marks are about. Whether it is. */
static bool find_memfd(struct pool_call *c)
{
	const struct isolate__job *job = &c->slot->area->job;
	struct stat st;

	for (int i = 0; i < LINE_MESSAGES; i++) {
		struct pollfd more = {.fd = c->slot->line, .events = POLLIN};

		if (c->call.memfd >= 0 && fstat(c->call.memfd, &st) == 0 &&
			st.st_dev == job->memfd_device && st.st_ino == job->memfd_inode) {
			c->call.memfd_device = st.st_dev;
			c->call.memfd_inode = st.st_ino;
			return true;
		}
		if (c->slot->line < 0 || poll(&more, 1, 0) <= 0)
			break;
		isolate__long_result_receive(c);
	}
	return false;
}

void isolate__long_result_check(struct pool_call *c)
{
	struct isolate__marks *marks = &c->facts.marks;

	if (marks->progress == ISOLATE__COMPLETE && !marks->write_error &&
		marks->size > ISOLATE__BUFFER_SIZE && !find_memfd(c))
		marks->write_error = c->line_error ? c->line_error : -EPIPE;
}
