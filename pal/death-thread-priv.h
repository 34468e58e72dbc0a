/* SPDX-License-Identifier: MIT */
#ifndef PROCMESH_PAL_DEATH_THREAD_PRIV_H
#define PROCMESH_PAL_DEATH_THREAD_PRIV_H

/*
 * The kernel sends a parent-death signal when the *thread* ends that cloned the
 * child. So each such child is cloned by a small thread of its own, which lasts
 * until the child has been reaped. It is started by the thread that spawns, and
 * so has all that Linux keeps per thread from there, as the child shall:
 * capabilities, no_new_privs, sandbox, affinity, namespaces. A thread that
 * serves more than one spawn would keep privileges that its users have dropped.
 */
struct pal__death_thread;

/*
 * Runs `fn(arg)` in a new thread, and returns when it has run. 0, or what
 * pthread_create(3) says, negated: -EAGAIN, -ENOMEM, -EINVAL.
 */
int pal__death_thread_run(void (*fn)(void *arg), void *arg, struct pal__death_thread **ret);

/*
 * Ends the thread and waits for that; children of it that still run are sent
 * their signal. In a fork of the process there is no such thread, only memory
 * to free. Takes NULL. No cancellation point.
 */
void pal__death_thread_end(struct pal__death_thread *thread);

#endif
