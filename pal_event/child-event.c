/* SPDX-License-Identifier: MIT */
#include <pal_event/pal_event.h>

#include <errno.h>
#include <event2/event.h>
#include <stdlib.h>
#include <sys/time.h>

#include <pal/util-priv.h>

/*
 * A child that a debugger holds has a pidfd that is readable, and cannot be reaped before that
 * one lets go. How long to wait before looking again.
 */
static const struct timeval traced_nap = {.tv_usec = 5000};

/*
 * Neither event persists. So libevent has taken the pidfd out of its set before
 * it calls us, and the callback may close it: a set still tells of a closed
 * descriptor while some other child, between its clone and its exec, has a copy.
 */
struct pal_child_event {
	struct pal_child *child;
	pal_child_event_fn fn;
	void *userdata;
	struct event *end;
	struct event *nap;
};

/* Of both events. Whatever `fn` frees, nothing is touched after it. */
static void look(evutil_socket_t fd, short what, void *arg)
{
	struct pal_child_event *event = arg;
	struct pal_status status;
	int r = pal_child_try_wait(event->child, &status, NULL);

	(void)fd;
	(void)what;
	if (r == 0 && event_add(event->nap, &traced_nap) == 0)
		return;
	if (r == 0)
		r = -ENOMEM; /* to be told late by a timer that there is none would be worse */
	event->fn(event->child, r > 0 ? &status : NULL, r > 0 ? 0 : r, event->userdata);
}

static int start(struct pal_child_event *event, struct event_base *base)
{
	event->end = event_new(base, pal_child_peek_pidfd(event->child), EV_READ, look, event);
	event->nap = event_new(base, -1, 0, look, event);
	if (!event->end || !event->nap)
		return -ENOMEM;
	errno = 0;
	if (event_add(event->end, NULL) == 0)
		return 0;
	return errno ? -errno : -ENOMEM;
}

int pal_child_event_new(struct event_base *base, struct pal_child *child, pal_child_event_fn fn,
	void *userdata, struct pal_child_event **ret, struct pal_error *error)
{
	struct pal_child_event *event;
	int r;

	if (!base || !child || !fn)
		return pal_error_set(error, PAL_STAGE_ARGUMENT, -EINVAL,
			"event without base, child or function");
	event = calloc(1, sizeof *event);
	if (!event)
		return pal_error_set(error, PAL_STAGE_MEMORY, -ENOMEM, "event of a child");
	*event = (struct pal_child_event){.child = child, .fn = fn, .userdata = userdata};
	r = start(event, base);
	if (r < 0) {
		pal_child_event_free(event);
		return pal_error_set(
			error, PAL_STAGE_WAIT, r, "event of child %d", (int)pal_child_pid(child));
	}
	*ret = event;
	return 0;
}

void pal_child_event_free(struct pal_child_event *event)
{
	int saved = errno;

	if (!event)
		return;
	if (event->end)
		event_free(event->end);
	if (event->nap)
		event_free(event->nap);
	free(event);
	errno = saved;
}
