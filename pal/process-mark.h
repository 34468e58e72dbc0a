/* SPDX-License-Identifier: MIT */
#ifndef PROCMESH_PAL_PROCESS_MARK_H
#define PROCMESH_PAL_PROCESS_MARK_H

#include <pal/export.h>
#include <stdint.h>

PAL_BEGIN_DECLS

/*
 * A number of this process, never 0, that differs from the numbers of all processes that it was
 * forked from, also by a fork that libc does not know of: who owns a handle, a lock or a thread of
 * which forks have copies. A pid does not tell that: it comes again, and in a pid namespace a fork
 * can have its parent's. Two forks of one process may have the same number: it is to be
 * compared with what a process itself, or one that it was forked from, has noted.
 *
 * Not for a child that shares memory (vfork(2), CLONE_VM): it has its parent's number.
 *
 * Any thread; no lock is taken. The first call of a program allocates a page, which is never given
 * back; the first one in a fork costs a page fault; all others read a word. So it is
 * async-signal-safe but for the first one of a program. Where that page cannot be had, pids
 * have to do.
 */
PAL_EXPORT uint64_t pal_process_mark(void);

PAL_END_DECLS

#endif
