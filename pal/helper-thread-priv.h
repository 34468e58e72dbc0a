/* SPDX-License-Identifier: MIT */
#ifndef PROCMESH_PAL_HELPER_THREAD_PRIV_H
#define PROCMESH_PAL_HELPER_THREAD_PRIV_H

#include <pthread.h>

enum pal__thread_kind {
	PAL__THREAD_JOINED,
	PAL__THREAD_DETACHED /* nobody waits for its end */
};

/*
 * Starts a thread of the library's own, with a small stack and with every signal
 * blocked that a program may want to get elsewhere: all but pal_threads_signal().
 * 0, or what pthread_create(3) says, negated: -EAGAIN, -ENOMEM, -EINVAL.
 */
int pal__helper_thread_start(
	pthread_t *ret, enum pal__thread_kind kind, void *(*fn)(void *arg), void *arg);

#endif
