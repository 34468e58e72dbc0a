/* SPDX-License-Identifier: MIT */
#ifndef PROCMESH_TESTS_SANITIZERS_H
#define PROCMESH_TESTS_SANITIZERS_H

/* What this is built with, 0 or 1: gcc says it by a macro, clang by a feature. */

#if defined(__SANITIZE_ADDRESS__)
#define BUILT_WITH_ASAN 1
#elif defined(__has_feature)
#define BUILT_WITH_ASAN __has_feature(address_sanitizer)
#else
#define BUILT_WITH_ASAN 0
#endif

#if defined(__SANITIZE_THREAD__)
#define BUILT_WITH_TSAN 1
#elif defined(__has_feature)
#define BUILT_WITH_TSAN __has_feature(thread_sanitizer)
#else
#define BUILT_WITH_TSAN 0
#endif

#endif
