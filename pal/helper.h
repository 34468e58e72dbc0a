/* SPDX-License-Identifier: MIT */
#ifndef PROCMESH_PAL_HELPER_H
#define PROCMESH_PAL_HELPER_H

#include <pal/export.h>
#include <pthread.h>

PAL_BEGIN_DECLS

/*
 * A thread of a library's own, in a program that the library knows nothing of. It
 * blocks every signal: none that the program awaits elsewhere comes to it, and
 * none that the program has blocked everywhere ends the process through it. So
 * pal_self_restrict (sandbox.h) cannot interrupt it; it is called instead, and
 * takes part where it waits.
 */

/*
 * Starts one, that runs `run(arg)` and is called `name` (up to 15 bytes of it, as
 * pthread_setname_np(3) takes them). The caller joins it. It ends by returning, not by
 * pthread_exit(3) or pthread_cancel(3).
 *
 * `wake(arg)` must make it call pal_helper_take_part soon, wherever it waits. It is
 * called in any other thread, at any time until `run` has returned, and while other
 * threads may be stopped in the middle of malloc: it does only what a signal handler
 * may do, such as a write(2) to an eventfd or a sem_post(3). What `run` does between
 * two waits is waited for, and so are the locks that it needs, for 5 seconds: then
 * pal_self_restrict fails with -EBUSY and names the thread. What it starts inherits that
 * signals are blocked: threads (see pal_threads_signal), and children that are not pal's.
 *
 * 0, -EINVAL, -ENOMEM, -EAGAIN. Any thread.
 */
PAL_EXPORT int pal_helper_start(pthread_t *ret, const char *name, void *(*run)(void *arg), void (*wake)(void *arg),
	void *arg) PAL_MUST_CHECK;

/*
 * For such a thread, after each wait and without any lock: does what all threads of
 * the process have to do at this time, and is stopped meanwhile; nearly always
 * there is nothing. Keeps errno.
 */
PAL_EXPORT void pal_helper_take_part(void);

PAL_END_DECLS

#endif
