/* SPDX-License-Identifier: MIT */
#ifndef PROCMESH_PAL_PROCESS_MARK_PRIV_H
#define PROCMESH_PAL_PROCESS_MARK_PRIV_H

#include <stdint.h>

/*
 * A number of this process, never 0, that differs from the numbers of all
 * processes that it was forked from: who owns a handle, a lock or a thread of
 * which forks have copies. A pid does not tell that: it comes again, and in a pid
 * namespace a fork can have its parent's. Not for a child that shares memory
 * (vfork), which has its parent's number. Any thread; no lock is taken.
 */
uint64_t pal__process_mark(void);

#endif
