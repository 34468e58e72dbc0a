/* SPDX-License-Identifier: MIT */
#ifndef PROCMESH_ISOLATE_MEMORY_H
#define PROCMESH_ISOLATE_MEMORY_H

#include <pal/export.h>
#include <stddef.h>

PAL_BEGIN_DECLS

/*
 * Memory that isolated functions do not get. This is a property of the memory
 * from then on (madvise(2)), for every fork(2) of this process, whoever calls it;
 * programs that are spawned by vfork(2) have no copy in any case. A part that is
 * unmapped forgets it; memory for free(3) must be kept again first, or what the
 * allocator gives out next is missing in forks. Any thread.
 *
 * 0, or a negative errno. -EINVAL for a range that wraps around, or whose borders are not as said
 * below: nothing is changed. Otherwise no page of the range is left out or wiped any more: -ENOMEM
 * where a part of it is not mapped, or the kernel has no memory to divide a mapping; -EINVAL for
 * memory that cannot be wiped.
 */

/*
 * Not copied: for large memory that functions do not need, and whose page tables
 * would be most of the cost of a fork. In the child nothing is mapped there: a function that
 * touches it dies of SIGSEGV, or gets EFAULT from a system call; one that maps memory may get
 * that address. The range is rounded inwards to whole pages, so that its neighbours
 * stay; -EINVAL if there is no whole page in it. Not for the stack of a thread,
 * which glibc and this library read in the child: it would not come to its first instruction.
 */
PAL_EXPORT int isolate_leave_out(void *address, size_t size) PAL_MUST_CHECK;

/*
 * Zero in the child: for secrets. Both ends must be at page borders, or it is
 * -EINVAL: rounded inwards, the ends of a secret would be copied, and rounded outwards, what
 * lies beside it would be zero. Private anonymous memory only, else -EINVAL: what is shared or of a
 * file cannot be wiped. Memory of mmap(2), or of aligned_alloc(3) for whole
 * pages, and not a thread's stack. It remains so in the child: its own forks get zeros, too.
 */
PAL_EXPORT int isolate_wipe(void *address, size_t size) PAL_MUST_CHECK;

/* Undoes both: copied as it is from now on. Rounded as by isolate_leave_out. */
PAL_EXPORT int isolate_keep(void *address, size_t size) PAL_MUST_CHECK;

PAL_END_DECLS

#endif
