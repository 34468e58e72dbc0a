/* SPDX-License-Identifier: MIT */
#ifndef PROCMESH_PAL_EVENT_PAL_EVENT_H
#define PROCMESH_PAL_EVENT_PAL_EVENT_H

#include <pal/child.h>
#include <pal/error.h>
#include <pal/export.h>

PAL_BEGIN_DECLS

/*
 * pal_event: the end of a child as an event of a libevent base. A library of
 * its own, so that pal needs no libevent.
 */
struct event_base;
struct pal_child_event;

/*
 * The child has ended and has been reaped. `result` is 0, or what pal_child_wait
 * returns: -ECHILD when the status is lost, and then `status` is NULL. The child
 * is still the caller's; pal_child_event_free and then pal_child_free are legal in here.
 */
typedef void (*pal_child_event_fn)(
	struct pal_child *child, const struct pal_status *status, int result, void *userdata);

/*
 * Calls `fn` once, from the loop of `base` and never from in here, when the child
 * has ended, also if it has been waited for by then. Until then the base has an
 * event pending, and event_base_dispatch(3) goes on. Belongs to the thread that
 * runs the base, and the child does too meanwhile. The child must be freed, detached
 * or stolen after the event only, or in or after the callback. 0, -EINVAL without base, child or
 * function, -ENOMEM, or why libevent did not add it (epoll_ctl(2)).
 */
PAL_EXPORT int pal_child_event_new(struct event_base *base, struct pal_child *child,
	pal_child_event_fn fn, void *userdata, struct pal_child_event **ret,
	struct pal_error *error) PAL_MUST_CHECK;

/*
 * `fn` will not be called any more. Before event_base_free(3). The child is left
 * as it is. Takes NULL; keeps errno.
 */
PAL_EXPORT void pal_child_event_free(struct pal_child_event *event);

PAL_END_DECLS

#endif
