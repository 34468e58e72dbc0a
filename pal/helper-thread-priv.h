/* SPDX-License-Identifier: MIT */
#ifndef PROCMESH_PAL_HELPER_THREAD_PRIV_H
#define PROCMESH_PAL_HELPER_THREAD_PRIV_H

#include <pthread.h>
#include <sys/types.h>

/*
 * The threads of the library's own. They block every signal: none that the
 * program wants to get elsewhere comes to them, and none that it has blocked
 * everywhere ends the process. So they cannot be interrupted, and are woken for
 * what all threads of the process have to do, see threads-priv.h.
 */
enum pal__thread_kind {
	PAL__THREAD_JOINED,
	PAL__THREAD_DETACHED, /* nobody waits for its end */
	PAL__THREAD_USERS     /* joined; runs code of others, with a stack of the usual size */
};

/*
 * Starts one, with a small stack but for the users'. `fn` begins with pal__helper_enter and ends with
 * pal__helper_leave. 0, -ENOMEM, or what pthread_create(3) says, negated: -EAGAIN,
 * -ENOMEM, -EINVAL.
 */
int pal__helper_thread_start(
	pthread_t *ret, enum pal__thread_kind kind, void *(*fn)(void *arg), void *arg);

/* One of these threads, on its own stack. */
struct pal__helper {
	pid_t tid;
	void (*wake)(void *arg);
	void *arg;
	struct pal__helper *next, **link;
};

/*
 * From here on the calling thread may be woken: it calls pal__threads_take_part
 * as soon as it comes to where it waits. `wake(arg)` is called while other threads
 * may be stopped in the middle of malloc, and until pal__helper_leave returns.
 */
void pal__helper_enter(
	struct pal__helper *helper, const char *name, void (*wake)(void *arg), void *arg);
void pal__helper_leave(struct pal__helper *helper);

/*
 * For who wakes them: the list of those of this process, which does not change
 * until it is unlocked; NULL: there have been none. Unlock takes NULL.
 */
struct pal__helpers;
struct pal__helpers *pal__helpers_lock(void);
void pal__helpers_unlock(struct pal__helpers *helpers);
/* NULL: that thread is none of them. Takes NULL. */
struct pal__helper *pal__helpers_find(struct pal__helpers *helpers, pid_t tid);

#endif
