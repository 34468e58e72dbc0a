/* SPDX-License-Identifier: MIT */
#include <pal/helper-thread-priv.h>

#include <errno.h>
#include <link.h>
#include <poll.h>
#include <signal.h>
#include <stddef.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <pal/process-own-priv.h>
#include <pal/threads-priv.h>

/* Little of ours runs there, but libc's thread data is in it, too; and the program's: stack_size. */
#define STACK_SIZE ((size_t)256 * 1024)

/* ---- which there are ---- */

struct pal__helpers {
	struct pal__process_own own; /* first */
	pthread_mutex_t lock;
	struct pal__helper *first;
};

static struct pal__process_own *_Atomic current;

static void init_helpers(struct pal__process_own *fresh)
{
	pthread_mutex_init(&((struct pal__helpers *)fresh)->lock, NULL);
}

/* NULL: there have been none in this process. */
static struct pal__helpers *find_helpers(void)
{
	return (struct pal__helpers *)pal__process_own_find(&current);
}

void pal__helper_enter(
	struct pal__helper *helper, const char *name, void (*wake)(void *arg), void *arg)
{
	struct pal__helpers *helpers = find_helpers(); /* the starter's */

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
	struct pal__helpers *helpers = find_helpers();

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
	struct pal__helpers *helpers = find_helpers();

	if (helpers)
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

	if (!pal__process_own_get(&current, sizeof(struct pal__helpers), init_helpers))
		return -ENOMEM;
	r = pthread_attr_init(&attributes);
	if (r)
		return -r;
	sigfillset(&blocked);
	r = pthread_attr_setsigmask_np(&attributes, &blocked);
	if (!r && kind != PAL__THREAD_USERS)
		r = pthread_attr_setstacksize(&attributes, stack_size());
	if (!r && kind == PAL__THREAD_DETACHED)
		r = pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
	if (!r)
		r = pthread_create(ret, &attributes, fn, arg);
	pthread_attr_destroy(&attributes);
	return -r;
}
