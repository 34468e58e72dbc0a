/* SPDX-License-Identifier: MIT */
#include <spawn_preload/spawn_preload-priv.h>

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <sys/mman.h>

/*
 * Locks of a library that nobody knows of. To hold them over fork(2) by
 * pthread_atfork(3) would order them with the program's own: where a library does
 * in its handlers, or in a handler of a signal, what takes one of these, somebody
 * would wait for ever. So a fork takes nothing, and its child begins with
 * open locks. What they guard changes by single stores and can be copied at any
 * time.
 *
 * The child may take one in a handler that is called before ours, and _Fork(3)
 * calls none: a page that the kernel wipes in each child tells, too.
 */

static pthread_mutex_t locks[SPAWN_PRELOAD__LOCKS] = {
	PTHREAD_MUTEX_INITIALIZER, PTHREAD_MUTEX_INITIALIZER};
static _Atomic unsigned *page; /* NULL: there is none */

enum {
	WIPED, /* this is a new process */
	RENEWING,
	RENEWED
};

static void renew(void)
{
	for (int i = 0; i < SPAWN_PRELOAD__LOCKS; i++)
		locks[i] = (pthread_mutex_t)PTHREAD_MUTEX_INITIALIZER;
	if (page)
		atomic_store(page, RENEWED);
}

static void *make_page(void)
{
	const size_t size = sizeof *page;
	void *made =
		mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (made == MAP_FAILED)
		return NULL;
	if (madvise(made, size, MADV_WIPEONFORK) == 0)
		return made;
	munmap(made, size);
	return NULL;
}

__attribute__((constructor)) static void watch_forks(void)
{
	page = make_page();
	renew();
	pthread_atfork(NULL, NULL, renew);
}

void spawn_preload__lock(enum spawn_preload__lock lock)
{
	unsigned wiped = WIPED;

	if (page && atomic_load(page) != RENEWED) {
		if (atomic_compare_exchange_strong(page, &wiped, RENEWING))
			renew();
		while (atomic_load(page) != RENEWED)
			sched_yield();
	}
	pthread_mutex_lock(&locks[lock]);
}

void spawn_preload__unlock(enum spawn_preload__lock lock)
{
	pthread_mutex_unlock(&locks[lock]);
}
