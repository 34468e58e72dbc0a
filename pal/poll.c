/* SPDX-License-Identifier: MIT */
#include <pal/poll-priv.h>

#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/select.h>

#include <pal/util-priv.h>

/* ---- by select(2), which asks for no limit ---- */

#define WORD_BITS ((int)sizeof(unsigned long) * CHAR_BIT)

/* Sets of any size, which the macros of <sys/select.h> are not for. */
struct sets {
	unsigned long *in, *out;
	int count; /* of bits */
};

static void add(unsigned long *set, int fd)
{
	set[fd / WORD_BITS] |= 1ul << fd % WORD_BITS;
}

static bool has(const unsigned long *set, int fd)
{
	return set[fd / WORD_BITS] >> fd % WORD_BITS & 1;
}

static void fill_sets(struct sets *sets, const struct pollfd *events, nfds_t count)
{
	for (nfds_t i = 0; i < count; i++) {
		if (events[i].fd >= 0 && events[i].events & POLLIN)
			add(sets->in, events[i].fd);
		if (events[i].fd >= 0 && events[i].events & POLLOUT)
			add(sets->out, events[i].fd);
	}
}

static int take_sets(const struct sets *sets, struct pollfd *events, nfds_t count)
{
	int ready = 0;

	for (nfds_t i = 0; i < count; i++) {
		bool open = events[i].fd >= 0;

		events[i].revents = (short)((open && has(sets->in, events[i].fd) ? POLLIN : 0) |
					    (open && has(sets->out, events[i].fd) ? POLLOUT : 0));
		ready += events[i].revents != 0;
	}
	return ready;
}

static int poll_by_select(struct pollfd *events, nfds_t count, int timeout_ms)
{
	struct timeval timeout = {timeout_ms / 1000, timeout_ms % 1000 * 1000};
	PAL_CLEANUP_FREE unsigned long *words = NULL;
	struct sets sets = {0};
	size_t size;
	int r;

	for (nfds_t i = 0; i < count; i++)
		sets.count = PAL_MAX(sets.count, events[i].fd + 1);
	size = (size_t)sets.count / (size_t)WORD_BITS + 1;
	words = calloc(2 * size, sizeof *words);
	if (!words)
		return -ENOMEM;
	sets.in = words;
	sets.out = words + size;
	fill_sets(&sets, events, count);
	r = select(sets.count, (fd_set *)(void *)sets.in, (fd_set *)(void *)sets.out, NULL,
		timeout_ms < 0 ? NULL : &timeout);
	return r < 0 ? -errno : take_sets(&sets, events, count);
}

int pal__poll(struct pollfd *events, nfds_t count, int timeout_ms)
{
	int cancel_state, r;

	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &cancel_state);
	r = poll(events, count, timeout_ms);
	r = r < 0 ? -errno : r;
	if (r == -EINVAL)
		r = poll_by_select(events, count, timeout_ms);
	pthread_setcancelstate(cancel_state, NULL);
	return r;
}
