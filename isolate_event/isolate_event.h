/* SPDX-License-Identifier: MIT */
#ifndef PROCMESH_ISOLATE_EVENT_ISOLATE_EVENT_H
#define PROCMESH_ISOLATE_EVENT_ISOLATE_EVENT_H

#include <isolate/isolate.h>
#include <pal/error.h>
#include <pal/export.h>

PAL_BEGIN_DECLS

/*
 * isolate_event: the outcome of a run as an event of a libevent base. A library
 * of its own, so that isolate needs no libevent.
 */
struct event_base;
struct isolate_event;

/*
 * The outcome is known: isolate_finish will not wait. The run is still the caller's;
 * isolate_event_free and then isolate_finish are legal in here.
 */
typedef void (*isolate_event_fn)(struct isolate_run *run, void *userdata);

/*
 * Calls `fn` once, from the loop of `base` and never from in here, when the outcome of the run
 * is known, also if it is by now; and does what the run needs until then (isolate_progress):
 * its deadline is kept, what it captures is read. Until then the base has an event pending,
 * and event_base_dispatch(3) goes on. Belongs to the thread that runs the base, and the run
 * does too meanwhile; isolate_cancel is legal. The run must be finished or freed after the
 * event only, or in or after the callback. 0, -EINVAL without base, run or function, -ENOMEM,
 * errors of isolate_run_fd, or why libevent did not add it (epoll_ctl(2)).
 */
PAL_EXPORT int isolate_event_new(struct event_base *base, struct isolate_run *run,
	isolate_event_fn fn, void *userdata, struct isolate_event **ret,
	struct pal_error *error) PAL_MUST_CHECK;

/*
 * `fn` will not be called any more. Before event_base_free(3). The run is left as
 * it is. Takes NULL; keeps errno.
 */
PAL_EXPORT void isolate_event_free(struct isolate_event *event);

PAL_END_DECLS

#endif
