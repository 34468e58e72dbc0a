/* SPDX-License-Identifier: MIT */
#ifndef PROCMESH_PAL_UTIL_PRIV_H
#define PROCMESH_PAL_UTIL_PRIV_H

/* Small helpers for every library of the toolkit. Header only; not installed. */

#include <errno.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

#define PAL_MAX(a, b) ((a) > (b) ? (a) : (b)) /* evaluates one of them twice */
#define PAL_ARRAY_LENGTH(array) (sizeof(array) / sizeof((array)[0]))

/*
 * A struct of the caller, of which this library knows `known` bytes, that begins with its size:
 * 0, -EINVAL for an older one that is too short, or -E2BIG where a newer one asks, with a byte
 * that is not zero, for something that is unknown here.
 */
static inline int pal_check_size(const void *object, size_t size, size_t known)
{
	const unsigned char *bytes = object;

	if (size < known)
		return -EINVAL;
	for (size_t i = known; i < size; i++)
		if (bytes[i])
			return -E2BIG;
	return 0;
}

/* Through void: the alignment that a char pointer loses is there. */
#define PAL_CONTAINER_OF(ptr, type, member) ((type *)(void *)((char *)(ptr) - offsetof(type, member)))

/* Closes an open descriptor; keeps errno. Always -1, for `fd = pal_close(fd)`. */
static inline int pal_close(int fd)
{
	if (fd >= 0) {
		int saved = errno;
		close(fd); /* Linux releases the number even when it reports an error: no retry on EINTR */
		errno = saved;
	}
	return -1;
}

/*
 * An eventfd that nobody has to wait for: makes it readable, which is no cancellation point and
 * what a signal handler may do; and takes that back.
 */
static inline void pal_raise_event(int fd)
{
	const uint64_t one = 1;

	syscall(SYS_write, fd, &one, sizeof one); /* fails only where it is readable already */
}
static inline void pal_lower_event(int fd)
{
	uint64_t times;

	syscall(SYS_read, fd, &times, sizeof times); /* fails only where it is not readable */
}

static inline int pal_take_fd(int *fd)
{
	int taken = *fd;
	*fd = -1;
	return taken;
}

static inline void *pal_take_pointer_(void *pointer_to_pointer)
{
	void **from = pointer_to_pointer, *taken = *from;
	*from = NULL;
	return taken;
}
#define PAL_TAKE_POINTER(p) ((__typeof__(p))pal_take_pointer_(&(p)))

static inline void pal_cleanup_close_(int *fd)
{
	pal_close(*fd);
}
static inline void pal_cleanup_free_(void *pointer_to_pointer)
{
	int saved = errno;
	free(*(void **)pointer_to_pointer);
	errno = saved;
}
#define PAL_CLEANUP_CLOSE __attribute__((cleanup(pal_cleanup_close_)))
#define PAL_CLEANUP_FREE __attribute__((cleanup(pal_cleanup_free_)))

#endif
