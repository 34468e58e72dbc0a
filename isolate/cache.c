/* SPDX-License-Identifier: MIT */

/*
 * Shared pages for the next call: making one, with its first page fault, and
 * unmapping it cost a tenth of what a fork of a small process does.
 *
 * A page is used again only where nobody but this process has it. So it is
 * copied to forks (MADV_DOFORK) just while the child of its call is forked, and
 * the child in turn keeps it from its own forks, which may outlive it, and says
 * in the marks that it has. A child that did not complete counts as having it
 * still: it may have died in the middle of a vfork(2).
 */
#include <isolate/isolate-priv.h>

#include <errno.h>
#include <pthread.h>
#include <sys/mman.h>
#include <unistd.h>

#define IDLE_MAX 8

/* The lock is never waited for: in a fork, a thread that is not there may have it. */
static struct {
	pthread_mutex_t lock;
	pid_t owner; /* a fork has the pointers and not the pages */
	size_t count;
	struct isolate__shared *idle[IDLE_MAX];
} cache = {.lock = PTHREAD_MUTEX_INITIALIZER};

static bool lock(void)
{
	if (pthread_mutex_trylock(&cache.lock))
		return false;
	if (cache.owner != getpid()) {
		cache.owner = getpid();
		cache.count = 0;
	}
	return true;
}

static void unlock(void)
{
	pthread_mutex_unlock(&cache.lock);
}

static struct isolate__shared *take_idle(void)
{
	struct isolate__shared *shared = NULL;

	if (!lock())
		return NULL;
	if (cache.count)
		shared = cache.idle[--cache.count];
	unlock();
	return shared;
}

struct isolate__shared *isolate__cache_take(void)
{
	struct isolate__shared *shared = take_idle();

	if (shared && madvise(shared, sizeof *shared, MADV_DOFORK) < 0) {
		munmap(shared, sizeof *shared);
		shared = NULL;
	}
	if (!shared)
		shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE,
			MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (shared == MAP_FAILED)
		return NULL;
	shared->marks = (struct isolate__marks){.progress = ISOLATE__PREPARED};
	return shared;
}

bool isolate__cache_seclude(struct isolate__shared *shared)
{
	return madvise(shared, sizeof *shared, MADV_DONTFORK) == 0;
}

void isolate__cache_put(struct isolate__shared *shared)
{
	int saved = errno;
	bool kept = false;

	if (lock()) {
		kept = cache.count < IDLE_MAX;
		if (kept)
			cache.idle[cache.count++] = shared;
		unlock();
	}
	if (!kept)
		munmap(shared, sizeof *shared);
	errno = saved;
}

void isolate_trim(void)
{
	int saved = errno;
	struct isolate__shared *shared;

	while ((shared = take_idle()))
		munmap(shared, sizeof *shared);
	errno = saved;
}
