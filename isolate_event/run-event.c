/* SPDX-License-Identifier: MIT */
#include <isolate_event/isolate_event.h>

#include <errno.h>
#include <event2/event.h>
#include <stdlib.h>
#include <sys/time.h>

#include <pal/util-priv.h>

/* For a loop that cannot watch the descriptor again: how long until it looks by itself. */
static const struct timeval nap = {.tv_usec = 5000};

/*
 * Neither event persists. So libevent has taken the run's descriptor out of its set
 * before it calls us, and the callback may finish the run, which closes it.
 */
struct isolate_event {
	struct isolate_run *run;
	isolate_event_fn fn;
	void *userdata;
	struct event *ready;
	struct event *timer;
};

/* Of both events. Whatever `fn` frees, nothing is touched after it. */
static void look(evutil_socket_t fd, short what, void *arg)
{
	struct isolate_event *event = arg;

	(void)fd;
	(void)what;
	if (!isolate_progress(event->run) &&
		(event_add(event->ready, NULL) == 0 || event_add(event->timer, &nap) == 0))
		return;
	/* Without memory for either: the caller will wait in isolate_finish. */
	event->fn(event->run, event->userdata);
}

static int start(struct isolate_event *event, struct event_base *base)
{
	int fd = isolate_run_fd(event->run);

	if (fd < 0)
		return fd;
	event->ready = event_new(base, fd, EV_READ, look, event);
	event->timer = event_new(base, -1, 0, look, event);
	if (!event->ready || !event->timer)
		return -ENOMEM;
	errno = 0;
	if (event_add(event->ready, NULL) == 0)
		return 0;
	return errno ? -errno : -ENOMEM;
}

int isolate_event_new(struct event_base *base, struct isolate_run *run, isolate_event_fn fn,
	void *userdata, struct isolate_event **ret, struct pal_error *error)
{
	struct isolate_event *event;
	int r;

	if (!base || !run || !fn)
		return pal_error_set(
			error, PAL_STAGE_ARGUMENT, -EINVAL, "event without base, run or function");
	event = calloc(1, sizeof *event);
	if (!event)
		return pal_error_set(error, PAL_STAGE_MEMORY, -ENOMEM, "event of a run");
	*event = (struct isolate_event){.run = run, .fn = fn, .userdata = userdata};
	r = start(event, base);
	if (r < 0) {
		isolate_event_free(event);
		return pal_error_set(error, ISOLATE_STAGE_WAIT, r, "event of a run");
	}
	*ret = event;
	return 0;
}

void isolate_event_free(struct isolate_event *event)
{
	int saved = errno;

	if (!event)
		return;
	if (event->ready)
		event_free(event->ready);
	if (event->timer)
		event_free(event->timer);
	free(event);
	errno = saved;
}
