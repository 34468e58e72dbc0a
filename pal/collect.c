/* SPDX-License-Identifier: MIT */
#include <pal/collect-priv.h>

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

/* What a pipe holds: one read takes all of it. Memory that nothing is read to costs nothing. */
#define FIRST_ROOM ((size_t)64 << 10)
#define SKIP_ROOM FIRST_ROOM
#define SECOND_ROOM (FIRST_ROOM + ((size_t)1 << 20))

/* Up to one byte beyond the limit, which then is known to be exceeded. */
static int grow(struct pal__collect *collect)
{
	size_t room = 2 * collect->room;
	char *data;

	if (!collect->room)
		room = FIRST_ROOM;
	else if (room < SECOND_ROOM)
		room = SECOND_ROOM;
	if (room > collect->limit + 1)
		room = collect->limit + 1;
	data = realloc(collect->data, room + 1);
	if (!data)
		return -ENOMEM;
	collect->data = data;
	collect->room = room;
	return 0;
}

static int read_failed(void)
{
	return errno == EINTR || errno == EAGAIN ? 1 : -errno;
}

/*
 * What is beyond the limit has to be read all the same: its writer would wait for ever. It goes
 * behind what is kept; on the stack there may be little room.
 */
static int skip(struct pal__collect *collect, int fd)
{
	ssize_t got;

	if (collect->room < collect->size + SKIP_ROOM) {
		char *data = realloc(collect->data, collect->size + SKIP_ROOM + 1);

		if (!data)
			return -ENOMEM;
		collect->data = data;
		collect->room = collect->size + SKIP_ROOM;
	}
	got = read(fd, collect->data + collect->size, collect->room - collect->size);
	return got < 0 ? read_failed() : got > 0;
}

static int check_limit(struct pal__collect *collect)
{
	if (collect->size <= collect->limit)
		return 0;
	if (!collect->truncate)
		return -EOVERFLOW;
	collect->size = collect->limit;
	collect->truncated = true;
	return 0;
}

int pal__collect_read(struct pal__collect *collect, int fd)
{
	size_t wanted;
	ssize_t got;
	int r = 0;

	if (collect->truncated)
		return skip(collect, fd);
	if (collect->size == collect->room)
		r = grow(collect);
	if (r < 0)
		return r;
	wanted = collect->room - collect->size;
	got = read(fd, collect->data + collect->size, wanted);
	if (got < 0)
		return read_failed();
	/* The pipe was full. In a larger one its writer waits less often; it is no matter if that is refused. */
	if ((size_t)got == wanted && collect->room == FIRST_ROOM)
		fcntl(fd, F_SETPIPE_SZ, PAL__BIG_PIPE);
	collect->size += (size_t)got;
	r = check_limit(collect);
	if (r < 0)
		return r;
	return got > 0;
}

/*
 * What is left over is given back only where it is much of it: free(3) then meets a block of the
 * size that was asked for, by which malloc(3) knows not to map and to fill such blocks anew each
 * time; that can cost more than all the rest.
 */
char *pal__collect_take(struct pal__collect *collect)
{
	char *data = collect->data;

	if (collect->room - collect->size >= collect->room / 8)
		data = realloc(data, collect->size + 1);
	if (!data)
		return NULL;
	data[collect->size] = 0;
	*collect = (struct pal__collect){0};
	return data;
}
