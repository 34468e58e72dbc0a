/* SPDX-License-Identifier: MIT */
#ifndef PROCMESH_PAL_CLONE_PRIV_H
#define PROCMESH_PAL_CLONE_PRIV_H

#include <sched.h>

/*
 * libc's clone(2), for a child that shares our memory. ThreadSanitizer's does in the
 * child what is right after fork(2) - to that memory. __clone is libc's own name for it.
 */
#if defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define PAL__CLONE_FOR_TSAN
#endif
#endif
#if defined(__SANITIZE_THREAD__)
#define PAL__CLONE_FOR_TSAN
#endif
#ifdef PAL__CLONE_FOR_TSAN
#define PAL__CLONE __clone
extern __typeof__(clone) __clone;
#else
#define PAL__CLONE clone
#endif

#endif
