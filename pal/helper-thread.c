/* SPDX-License-Identifier: MIT */
#include <pal/helper-thread-priv.h>

#include <errno.h>
#include <link.h>
#include <poll.h>
#include <signal.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <pal/process-mark-priv.h>
#include <pal/threads-priv.h>

/* Little of ours runs there, but libc's thread data is in it, too; and the program's: stack_size. */
#define STACK_SIZE ((size_t)256 * 1024)

/* ---- which there are ---- */

struct pal__helpers {
	uint64_t owner; /* pal__process_mark: a fork has a copy of this, but not of the threads */
	pthread_mutex_t lock;
	struct pal__helper *first;
	struct pal__helpers *of_parent; /* in a fork */
};

/* Allocated once in a process, and never freed. */
static struct pal__helpers *_Atomic current;

static struct pal__helpers *get_helpers(void)
{
	struct pal__helpers *known = atomic_load(&current), *fresh;
	uint64_t mark = pal__process_mark();

	if (known && known->owner == mark)
		return known;
	fresh = calloc(1, sizeof *fresh);
	if (!fresh)
		return NULL;
	fresh->owner = mark;
	fresh->of_parent = known;
	pthread_mutex_init(&fresh->lock, NULL);
	if (!atomic_compare_exchange_strong(&current, &known, fresh)) {
		free(fresh);
		return known; /* another thread was faster */
	}
	return fresh;
}

void pal__helper_enter(
	struct pal__helper *helper, const char *name, void (*wake)(void *arg), void *arg)
{
	struct pal__helpers *helpers = atomic_load(&current); /* the starter's */

	pthread_setname_np(pthread_self(), name);
	*helper = (struct pal__helper){.tid = (pid_t)syscall(SYS_gettid),
		.wake = wake,
		.arg = arg,
		.link = &helpers->first};
	pthread_mutex_lock(&helpers->lock);
	helper->next = helpers->first;
	if (helper->next)
		helper->next->link = &helper->next;
	helpers->first = helper;
	pthread_mutex_unlock(&helpers->lock);
}

void pal__helper_leave(struct pal__helper *helper)
{
	struct pal__helpers *helpers = atomic_load(&current);

	/* Who holds it for long waits for this thread. */
	while (pthread_mutex_trylock(&helpers->lock)) {
		pal__threads_take_part();
		poll(NULL, 0, 1);
	}
	*helper->link = helper->next;
	if (helper->next)
		helper->next->link = helper->link;
	pthread_mutex_unlock(&helpers->lock);
}

struct pal__helpers *pal__helpers_lock(void)
{
	struct pal__helpers *helpers = atomic_load(&current);

	if (!helpers || helpers->owner != pal__process_mark())
		return NULL;
	pthread_mutex_lock(&helpers->lock);
	return helpers;
}

void pal__helpers_unlock(struct pal__helpers *helpers)
{
	if (helpers)
		pthread_mutex_unlock(&helpers->lock);
}

struct pal__helper *pal__helpers_find(struct pal__helpers *helpers, pid_t tid)
{
	struct pal__helper *helper = helpers ? helpers->first : NULL;

	while (helper && helper->tid != tid)
		helper = helper->next;
	return helper;
}

/* ---- starting one ---- */

static int add_thread_storage(struct dl_phdr_info *object, size_t size, void *arg)
{
	size_t *sum = arg;

	(void)size;
	for (int i = 0; i < object->dlpi_phnum; i++)
		if (object->dlpi_phdr[i].p_type == PT_TLS)
			*sum += object->dlpi_phdr[i].p_memsz + object->dlpi_phdr[i].p_align;
	return 0;
}

/* Variables of the program and its libraries that each thread has are part of a stack's size. */
static size_t stack_size(void)
{
	size_t sum = STACK_SIZE;

	dl_iterate_phdr(add_thread_storage, &sum);
	return sum;
}

int pal__helper_thread_start(
	pthread_t *ret, enum pal__thread_kind kind, void *(*fn)(void *arg), void *arg)
{
	pthread_attr_t attributes;
	sigset_t blocked;
	int r;

	if (!get_helpers())
		return -ENOMEM;
	r = pthread_attr_init(&attributes);
	if (r)
		return -r;
	sigfillset(&blocked);
	r = pthread_attr_setsigmask_np(&attributes, &blocked);
	if (!r)
		r = pthread_attr_setstacksize(&attributes, stack_size());
	if (!r && kind == PAL__THREAD_DETACHED)
		r = pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
	if (!r)
		r = pthread_create(ret, &attributes, fn, arg);
	pthread_attr_destroy(&attributes);
	return -r;
}
