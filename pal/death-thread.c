/* SPDX-License-Identifier: MIT */
#include <pal/death-thread-priv.h>

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <unistd.h>

#include <pal/sandbox.h>

#define STACK_SIZE                                                                                 \
	((size_t)256 * 1024) /* it runs little of ours, but libc's thread data is in there */

struct job {
	void (*fn)(void *arg);
	void *arg;
	bool done;
	struct job *next;
};

/*
 * One per process and never freed. A forked child inherits the memory but not
 * the thread, and maybe a locked mutex: it leaves that one alone and makes its own.
 */
struct service {
	pid_t pid;
	struct service *inherited; /* only so that leak checkers can reach it */
	pthread_mutex_t lock;
	pthread_cond_t more;
	pthread_cond_t done;
	struct job *first, **last;
	bool running;
};

static _Atomic(struct service *) current;

static struct service *service_new(struct service *inherited)
{
	struct service *service = calloc(1, sizeof *service);

	if (!service)
		return NULL;
	service->pid = getpid();
	service->inherited = inherited;
	service->last = &service->first;
	pthread_mutex_init(&service->lock, NULL);
	pthread_cond_init(&service->more, NULL);
	pthread_cond_init(&service->done, NULL);
	return service;
}

static struct service *this_process(void)
{
	struct service *service = atomic_load(&current), *fresh;

	if (service && service->pid == getpid())
		return service;
	fresh = service_new(service);
	if (!fresh)
		return NULL;
	if (atomic_compare_exchange_strong(&current, &service, fresh))
		return fresh;
	free(fresh); /* another thread was faster: `service` is its one now */
	return service;
}

static void *serve(void *arg)
{
	struct service *service = arg;

	pthread_mutex_lock(&service->lock);
	for (;;) {
		struct job *job = service->first;

		if (!job) {
			pthread_cond_wait(&service->more, &service->lock);
			continue;
		}
		service->first = job->next;
		if (!service->first)
			service->last = &service->first;
		pthread_mutex_unlock(&service->lock);
		job->fn(job->arg);
		pthread_mutex_lock(&service->lock);
		job->done = true;
		pthread_cond_broadcast(&service->done);
	}
	return NULL;
}

/* With every signal blocked that a program may want to get elsewhere; see pal_threads_signal. */
static int start_thread(struct service *service)
{
	pthread_attr_t attributes;
	pthread_t thread;
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
		r = pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
	if (!r)
		r = pthread_create(&thread, &attributes, serve, service);
	pthread_attr_destroy(&attributes);
	if (r)
		return -r;
	pthread_setname_np(thread, "pal-spawn");
	service->running = true;
	return 0;
}

int pal__death_thread_run(void (*fn)(void *arg), void *arg)
{
	struct service *service = this_process();
	struct job job = {.fn = fn, .arg = arg};
	int r = 0;

	if (!service)
		return -ENOMEM;
	pthread_mutex_lock(&service->lock);
	if (!service->running)
		r = start_thread(service);
	if (r >= 0) {
		*service->last = &job;
		service->last = &job.next;
		pthread_cond_signal(&service->more);
		while (!job.done)
			pthread_cond_wait(&service->done, &service->lock);
	}
	pthread_mutex_unlock(&service->lock);
	return r;
}
