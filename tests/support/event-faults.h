/* SPDX-License-Identifier: MIT */
#ifndef PROCMESH_TESTS_EVENT_FAULTS_H
#define PROCMESH_TESTS_EVENT_FAULTS_H

/*
 * What a user of libevent calls that can fail, for one test program that is linked with
 * --wrap=calloc,--wrap=event_new,--wrap=event_add. It says which of the calls does:
 */
#include <errno.h>
#include <event2/event.h>
#include <stdbool.h>
#include <stddef.h>

static bool fails(void);

void *__real_calloc(size_t count, size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_calloc(size_t count, size_t size)
{
	return fails() ? NULL : __real_calloc(count, size);
}

struct event *__real_event_new(
	struct event_base *base, evutil_socket_t fd, short what, event_callback_fn fn, void *arg);
struct event *__wrap_event_new(
	struct event_base *base, evutil_socket_t fd, short what, event_callback_fn fn, void *arg);
struct event *__wrap_event_new(
	struct event_base *base, evutil_socket_t fd, short what, event_callback_fn fn, void *arg)
{
	return fails() ? NULL : __real_event_new(base, fd, what, fn, arg);
}

int __real_event_add(struct event *event, const struct timeval *timeout);
int __wrap_event_add(struct event *event, const struct timeval *timeout);
int __wrap_event_add(struct event *event, const struct timeval *timeout)
{
	if (!fails())
		return __real_event_add(event, timeout);
	errno = ENOSPC;
	return -1;
}

#endif
