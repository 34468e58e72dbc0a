/* SPDX-License-Identifier: MIT */
#include <pal/helper-thread-priv.h>

#include <signal.h>
#include <stddef.h>

#include <pal/sandbox.h>

/* Little of ours runs there, but libc's thread data is in it, too. */
#define STACK_SIZE ((size_t)256 * 1024)

int pal__helper_thread_start(
	pthread_t *ret, enum pal__thread_kind kind, void *(*fn)(void *arg), void *arg)
{
	pthread_attr_t attributes;
	sigset_t blocked;
	int r = pthread_attr_init(&attributes);

	if (r)
		return -r;
	sigfillset(&blocked);
	sigdelset(&blocked, pal_threads_signal());
	r = pthread_attr_setsigmask_np(&attributes, &blocked);
	if (!r)
		r = pthread_attr_setstacksize(&attributes, STACK_SIZE);
	if (!r && kind == PAL__THREAD_DETACHED)
		r = pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
	if (!r)
		r = pthread_create(ret, &attributes, fn, arg);
	pthread_attr_destroy(&attributes);
	return -r;
}
