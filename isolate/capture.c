/* SPDX-License-Identifier: MIT */

/*
 * What the function writes to a standard stream, out of a pipe that never makes us wait.
 * O_NONBLOCK is not enough for that: it is of the pipe's end, and any process that has a
 * copy of it can take it away.
 */
#include <isolate/isolate-priv.h>

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/uio.h>
#include <unistd.h>

#include <pal/util-priv.h>

#define FIRST_ROOM ((size_t)4 << 10)

/*
 * In one go: more than any pipe holds, so that the rest of an ended child is read
 * whole, and an end to it where something writes for ever.
 */
#define READ_BOUND ((size_t)2 << 20)

void isolate__capture_begin(struct isolate__capture *capture, int fd, size_t limit)
{
	*capture = (struct isolate__capture){.fd = fd,
		.wanted = fd >= 0,
		.limit = limit < PTRDIFF_MAX / 4 ? limit : PTRDIFF_MAX / 4};
	/* A filter of the host may forbid it; then reading could keep us waiting for ever. */
	if (fd >= 0 && fcntl(fd, F_SETFL, O_NONBLOCK) < 0) {
		capture->fd = pal_close(fd);
		capture->truncated = true;
	}
}

/* Whether there is room for another byte. */
static bool grow(struct isolate__capture *capture)
{
	size_t room = capture->room ? 2 * capture->room : FIRST_ROOM;
	char *data;

	if (capture->size < capture->room)
		return true;
	if (room > capture->limit)
		room = capture->limit;
	if (room == capture->room)
		return false;
	data = realloc(capture->data, room + 1);
	if (!data)
		return false;
	capture->data = data;
	capture->room = room;
	return true;
}

/*
 * Where this kernel has no reads of pipes that do not wait: no more than is there. Only
 * somebody who takes that away at this very moment could make us wait.
 */
static ssize_t read_what_is_there(int fd, const struct iovec *into)
{
	struct pollfd pipe = {.fd = fd, .events = POLLIN};
	int there;

	if (poll(&pipe, 1, 0) < 0 || ioctl(fd, FIONREAD, &there) < 0)
		return -1;
	if (there > 0)
		return read(fd, into->iov_base,
			(size_t)there < into->iov_len ? (size_t)there : into->iov_len);
	if (pipe.revents & POLLHUP) /* nobody is left who could write */
		return 0;
	errno = pipe.revents & POLLNVAL ? EBADF : EAGAIN;
	return -1;
}

/* As read(2) does of a pipe that is O_NONBLOCK. */
static ssize_t read_at_once(int fd, const struct iovec *into, int count)
{
	ssize_t got = preadv2(fd, into, count, -1, RWF_NOWAIT);

	if (got >= 0 || errno == EAGAIN || errno == EINTR)
		return got;
	return read_what_is_there(fd, into); /* an older kernel, or a filter of the host */
}

/*
 * What there is no room for has to be read all the same: its writer would wait for ever. Many
 * times to the same place: the caller's stack may be one of PTHREAD_STACK_MIN.
 */
static ssize_t skip(struct isolate__capture *capture)
{
	char nowhere[1 << 10];
	struct iovec into[16];
	ssize_t got;

	for (size_t i = 0; i < PAL_ARRAY_LENGTH(into); i++) {
		into[i].iov_base = nowhere;
		into[i].iov_len = sizeof nowhere;
	}
	got = read_at_once(capture->fd, into, PAL_ARRAY_LENGTH(into));
	capture->truncated = capture->truncated || got > 0;
	return got;
}

static ssize_t read_once(struct isolate__capture *capture)
{
	struct iovec into;
	ssize_t got;

	if (capture->truncated || !grow(capture))
		return skip(capture);
	into = (struct iovec){capture->data + capture->size, capture->room - capture->size};
	got = read_at_once(capture->fd, &into, 1);
	if (got > 0)
		capture->size += (size_t)got;
	return got;
}

bool isolate__capture_read(struct isolate__capture *capture)
{
	for (size_t sum = 0; sum < READ_BOUND;) {
		ssize_t got = read_once(capture);

		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0 && errno == EAGAIN)
			return true;
		if (got <= 0) {
			capture->truncated = capture->truncated || got < 0;
			return false;
		}
		sum += (size_t)got;
	}
	return true;
}

char *isolate__capture_take(struct isolate__capture *capture, size_t *ret_size)
{
	char *data = PAL_TAKE_POINTER(capture->data);

	*ret_size = 0;
	if (!capture->wanted)
		return NULL;
	if (!data) {
		data = calloc(1, 1);
		capture->truncated = capture->truncated || !data;
		return data;
	}
	data[capture->size] = 0;
	*ret_size = capture->size;
	return data;
}
