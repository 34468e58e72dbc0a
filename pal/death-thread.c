/* SPDX-License-Identifier: MIT */
#include <pal/death-thread-priv.h>

#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>

#include <pal/helper-thread-priv.h>
#include <pal/process-mark.h>
#include <pal/threads-priv.h>

struct pal__death_thread {
	pthread_t thread;
	uint64_t owner; /* pal_process_mark of the process that has the thread */
	void (*fn)(void *arg);
	void *arg;
	sem_t done;
	sem_t awake; /* to leave, or to take part */
	_Atomic bool leaves;
};

static void await(sem_t *event)
{
	while (sem_wait(event) < 0) /* EINTR: the host's signals */
		;
}

static void wake(void *arg)
{
	struct pal__death_thread *thread = arg;

	sem_post(&thread->awake);
}

static void *run_and_stay(void *arg)
{
	struct pal__death_thread *thread = arg;
	struct pal__helper self;

	pal__helper_enter(&self, "pal-spawn", wake, thread);
	thread->fn(thread->arg);
	sem_post(&thread->done);
	for (await(&thread->awake); !atomic_load(&thread->leaves); await(&thread->awake))
		pal__threads_take_part();
	pal__helper_leave(&self);
	return NULL;
}

static void thread_free(struct pal__death_thread *thread)
{
	sem_destroy(&thread->done);
	sem_destroy(&thread->awake);
	free(thread);
}

int pal__death_thread_run(void (*fn)(void *arg), void *arg, struct pal__death_thread **ret)
{
	struct pal__death_thread *thread = calloc(1, sizeof *thread);
	int r;

	if (!thread)
		return -ENOMEM;
	thread->owner = pal_process_mark();
	thread->fn = fn;
	thread->arg = arg;
	sem_init(&thread->done, 0, 0);
	sem_init(&thread->awake, 0, 0);
	r = pal__helper_thread_start(&thread->thread, PAL__THREAD_JOINED, run_and_stay, thread);
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
	if (thread->owner == pal_process_mark()) {
		pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &cancel_state);
		atomic_store(&thread->leaves, true);
		wake(thread);
		pthread_join(thread->thread, NULL);
		pthread_setcancelstate(cancel_state, NULL);
	}
	thread_free(thread);
}
