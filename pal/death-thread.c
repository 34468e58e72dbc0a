/* SPDX-License-Identifier: MIT */
#include <pal/death-thread-priv.h>

#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#include <pal/sandbox.h>

#define STACK_SIZE                                                                                 \
	((size_t)256 * 1024) /* it runs little of ours, but libc's thread data is in there */

struct pal__death_thread {
	pthread_t thread;
	pid_t owner; /* the process that has the thread */
	void (*fn)(void *arg);
	void *arg;
	sem_t done;
	sem_t leave;
};

static void await(sem_t *event)
{
	while (sem_wait(event) < 0) /* EINTR: the host's signals, pal_threads_signal() */
		;
}

static void *run_and_stay(void *arg)
{
	struct pal__death_thread *thread = arg;

	pthread_setname_np(pthread_self(), "pal-spawn");
	thread->fn(thread->arg);
	sem_post(&thread->done);
	await(&thread->leave);
	return NULL;
}

/* With every signal blocked that a program may want to get elsewhere; see pal_threads_signal. */
static int start_thread(struct pal__death_thread *thread)
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
	if (!r)
		r = pthread_create(&thread->thread, &attributes, run_and_stay, thread);
	pthread_attr_destroy(&attributes);
	return -r;
}

static void thread_free(struct pal__death_thread *thread)
{
	sem_destroy(&thread->done);
	sem_destroy(&thread->leave);
	free(thread);
}

int pal__death_thread_run(void (*fn)(void *arg), void *arg, struct pal__death_thread **ret)
{
	struct pal__death_thread *thread = calloc(1, sizeof *thread);
	int r;

	if (!thread)
		return -ENOMEM;
	thread->owner = getpid();
	thread->fn = fn;
	thread->arg = arg;
	sem_init(&thread->done, 0, 0);
	sem_init(&thread->leave, 0, 0);
	r = start_thread(thread);
	if (r < 0) {
		thread_free(thread);
		return r;
	}
	await(&thread->done);
	*ret = thread;
	return 0;
}

void pal__death_thread_end(struct pal__death_thread *thread)
{
	int cancel_state;

	if (!thread)
		return;
	if (thread->owner == getpid()) {
		pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &cancel_state);
		sem_post(&thread->leave);
		pthread_join(thread->thread, NULL);
		pthread_setcancelstate(cancel_state, NULL);
	}
	thread_free(thread);
}
