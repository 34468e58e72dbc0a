/* SPDX-License-Identifier: MIT */
#ifndef PROCMESH_PAL_THREADS_PRIV_H
#define PROCMESH_PAL_THREADS_PRIV_H

#include <pal/error.h>

/*
 * Calls `fn` once in every thread of this process, the caller included, or
 * fails. The other threads are first all stopped, in the handler of
 * pal_threads_signal() or, helper threads, where they wait: when that does not
 * succeed, `fn` has been called nowhere (PAL_STAGE_THREADS). Then the caller goes
 * first; only where it succeeds the others follow. `fn` runs in a signal handler
 * while others may be stopped in the middle of malloc: raw system calls only. A
 * negative return of it is returned here and leaves *error as it was: `fn` knows
 * more.
 */
int pal__on_every_thread(int (*fn)(void *arg), void *arg, struct pal_error *error) PAL_MUST_CHECK;

/*
 * The other threads' side, for one that blocks the signal and was woken
 * (helper-thread-priv.h): stops, and calls `fn`, if that is asked of it.
 */
void pal__threads_take_part(void);

#endif
