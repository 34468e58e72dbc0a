/* SPDX-License-Identifier: MIT */

/* What belongs to one place: the area that it shares with its worker, and telling the snapshot. */
#include <isolate/pool-priv.h>

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <pal/socket.h>
#include <pal/util-priv.h>

/* Input of more than this does not stay in memory until the next one comes. */
#define INPUT_KEPT ((size_t)1 << 20)

/* Between pal_private_begin and _end, like open_area. */
static int open_line(struct isolate__slot *slot)
{
	int ends[2], r = pal_socket_pair(SOCK_SEQPACKET, ends);

	if (r < 0)
		return r;
	slot->line = isolate__lift(ends[0]);
	r = slot->line < 0 ? -errno : 0;
	slot->worker_line = isolate__lift(ends[1]);
	if (slot->worker_line < 0)
		return -errno;
	(void)fcntl(slot->worker_line, F_SETFL, 0); /* to be waited at; cannot fail */
	return r;
}

/* Beyond RLIMIT_FSIZE it would not only fail: SIGXFSZ would end this process. */
static int set_size(int fd, size_t size)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_FSIZE, &limit) < 0)
		return -errno;
	if (limit.rlim_cur != RLIM_INFINITY && size > limit.rlim_cur)
		return -EFBIG;
	return ftruncate(fd, (off_t)size) < 0 ? -errno : 0;
}

int isolate__slot_renew_line(struct isolate__slot *slot)
{
	bool held;
	int r;

	if (slot->worker_line >= 0)
		return 0;
	isolate__slot_close_line(slot);
	held = pal_private_begin();
	r = open_line(slot);
	pal_private_end(held);
	return r;
}

static int open_area(struct isolate__slot *slot)
{
	void *area;
	int r;

	slot->area_fd = isolate__memfd("isolate-pool");
	if (slot->area_fd < 0)
		return -errno;
	r = set_size(slot->area_fd, ISOLATE__AREA_SIZE);
	if (r < 0)
		return r;
	/* Who writes to a number that is not his own spoils nothing: no file grows to there. */
	(void)lseek(slot->area_fd, (off_t)LLONG_MAX, SEEK_SET);
	area = mmap(NULL, ISOLATE__AREA_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, slot->area_fd, 0);
	if (area == MAP_FAILED)
		return -errno;
	slot->area = area;
	/* No fork of this process is to have it: a call's answer could be another's then. */
	if (madvise(area, ISOLATE__AREA_SIZE, MADV_DONTFORK) < 0)
		return -errno;
	slot->area->job.state = ISOLATE__JOB_NONE;
	return 0;
}

int isolate__slot_prepare(struct isolate__slot *slot, size_t in_size)
{
	bool held;
	int r = 0;

	if (!slot->area) {
		held = pal_private_begin();
		r = open_area(slot);
		if (r == 0)
			r = open_line(slot);
		pal_private_end(held);
		if (r < 0)
			isolate__slot_drop(slot);
	}
	if (r == 0 && in_size > ISOLATE__INPUT_ROOM)
		r = set_size(slot->area_fd, ISOLATE__INPUT_AT + in_size);
	return r;
}

int isolate__slot_fill(struct isolate__slot *slot, const void *in, size_t in_size)
{
	const unsigned char *from = in;

	if (in_size && in_size <= ISOLATE__INPUT_ROOM) {
		memcpy((unsigned char *)slot->area + ISOLATE__INPUT_AT, in, in_size);
		return 0;
	}
	for (size_t done = 0; done < in_size;) {
		ssize_t n = pwrite(slot->area_fd, from + done, in_size - done,
			(off_t)(ISOLATE__INPUT_AT + done));

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n < 0 ? -errno : -EIO;
		done += (size_t)n;
	}
	return 0;
}

void isolate__slot_shrink(struct isolate__slot *slot, size_t in_size)
{
	if (in_size > INPUT_KEPT && slot->area && ftruncate(slot->area_fd, ISOLATE__AREA_SIZE) < 0)
		isolate__slot_drop(slot);
}

void isolate__slot_drop(struct isolate__slot *slot)
{
	if (slot->area)
		munmap(slot->area, ISOLATE__AREA_SIZE);
	slot->area = NULL;
	pal_private_close(&slot->area_fd);
	isolate__slot_close_line(slot);
	pal_private_close(&slot->worker_line);
	slot->stocked = false;
}

int isolate__slot_order(struct isolate__slot *slot, const struct isolate__order *order)
{
	const int fds[] = {slot->area_fd, slot->worker_line};
	bool fresh = slot->worker_line >= 0;
	ssize_t sent;

	sent = pal_socket_send(slot->socket, order, sizeof *order, fds, fresh ? 2 : 0);
	if (sent < 0)
		return (int)sent;
	pal_private_close(&slot->worker_line);
	return 0;
}

bool isolate__area_is_clean(const struct isolate__area *area)
{
	const struct isolate__marks *marks = &area->shared.marks;

	return marks->progress == ISOLATE__COMPLETE && marks->secluded == ISOLATE__SECLUDED &&
	       !marks->write_error;
}
