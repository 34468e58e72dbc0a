/* SPDX-License-Identifier: MIT */
#ifndef PROCMESH_TESTS_MAPPINGS_PRIV_H
#define PROCMESH_TESTS_MAPPINGS_PRIV_H

/* The mappings of this process, for leaks.c. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct mapping {
	uintptr_t start;
	size_t size;
	bool shared;
	char name[128]; /* empty: private anonymous */
};

/* Those of /proc/self/maps that have a name or are shared, without loaded code and locale data. */
size_t mappings_named(struct mapping *ret, size_t room);

/* Forgets what was mapped so far, and from now on remembers what goes through mmap(3). */
void mappings_watch(void);

/* The private anonymous ones that were mapped since and are still there. */
size_t mappings_left(struct mapping *ret, size_t room);

#endif
