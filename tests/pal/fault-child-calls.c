/* SPDX-License-Identifier: MIT */
#include "fault-calls.h"

#include <errno.h>
#include <poll.h>
#include <stddef.h>
#include <sys/epoll.h>
#include <unistd.h>

/* The calls of waiting, detaching and communicating, as fault-calls.c has those of a spawn. */

void *__real_realloc(void *pointer, size_t size);
void *__wrap_realloc(void *pointer, size_t size);
void *__wrap_realloc(void *pointer, size_t size)
{
	return fault_fails("realloc", ENOMEM) ? NULL : __real_realloc(pointer, size);
}

ssize_t __real_read(int fd, void *data, size_t size);
ssize_t __wrap_read(int fd, void *data, size_t size);
ssize_t __wrap_read(int fd, void *data, size_t size)
{
	return fault_fails("read", EIO) ? -1 : __real_read(fd, data, size);
}

int __real_poll(struct pollfd *events, nfds_t count, int timeout);
int __wrap_poll(struct pollfd *events, nfds_t count, int timeout);
int __wrap_poll(struct pollfd *events, nfds_t count, int timeout)
{
	return fault_fails("poll", ENOMEM) ? -1 : __real_poll(events, count, timeout);
}

int __real_epoll_create1(int flags);
int __wrap_epoll_create1(int flags);
int __wrap_epoll_create1(int flags)
{
	return fault_fails("epoll_create1", EMFILE) ? -1 : __real_epoll_create1(flags);
}

int __real_epoll_ctl(int epoll, int operation, int fd, struct epoll_event *event);
int __wrap_epoll_ctl(int epoll, int operation, int fd, struct epoll_event *event);
int __wrap_epoll_ctl(int epoll, int operation, int fd, struct epoll_event *event)
{
	return operation == EPOLL_CTL_ADD && fault_fails("epoll_ctl", ENOSPC)
		       ? -1
		       : __real_epoll_ctl(epoll, operation, fd, event);
}
