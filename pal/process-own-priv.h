/* SPDX-License-Identifier: MIT */
#ifndef PROCMESH_PAL_PROCESS_OWN_PRIV_H
#define PROCMESH_PAL_PROCESS_OWN_PRIV_H

#include <stddef.h>
#include <stdint.h>

/*
 * The first member of what each process has one of. It is allocated at its first
 * use and never freed: a thread may always be about to look at it. In a fork the
 * parent's is not looked at: its numbers may be those of other descriptors by
 * now, and another thread may have been at it when the process forked.
 */
struct pal__process_own {
	uint64_t owner;                    /* pal_process_mark */
	struct pal__process_own *inherited; /* in a fork: its parent's */
};

/* NULL: this process has none yet. Any thread; no lock is taken. */
struct pal__process_own *pal__process_own_find(struct pal__process_own *_Atomic *current);
/* Makes it where there is none: `size` bytes of zeroes, then `init`. NULL: no memory. */
struct pal__process_own *pal__process_own_get(struct pal__process_own *_Atomic *current, size_t size,
	void (*init)(struct pal__process_own *fresh));

#endif
