/* SPDX-License-Identifier: MIT */
#ifndef PROCMESH_PAL_DEATH_THREAD_PRIV_H
#define PROCMESH_PAL_DEATH_THREAD_PRIV_H

/*
 * The kernel sends a parent-death signal when the *thread* ends that cloned the
 * child. So such children are cloned by a thread that ends with the process.
 */

/*
 * Runs `fn(arg)` in that thread and waits for it; starts the thread first where
 * this process has none yet. 0, or -EAGAIN or -ENOMEM when it cannot be started.
 */
int pal__death_thread_run(void (*fn)(void *arg), void *arg);

#endif
