/* SPDX-License-Identifier: MIT */

/*
 * A shared page and a builder for the next call: making them, with the page
 * faults of memory that is new or was last touched before a fork, costs a tenth
 * of what a fork of a small process does.
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
	struct isolate__kept idle[IDLE_MAX];
} cache = {.lock = PTHREAD_MUTEX_INITIALIZER};

/* Of another process: the pages are not here, and the builders are copies. */
static void forget_all(void)
{
	while (cache.count)
		pal_builder_free(cache.idle[--cache.count].builder);
	cache.owner = getpid();
}

static bool lock(void)
{
	if (pthread_mutex_trylock(&cache.lock))
		return false;
	if (cache.owner != getpid())
		forget_all();
	return true;
}

static void unlock(void)
{
	pthread_mutex_unlock(&cache.lock);
}

static void release(struct isolate__kept *kept)
{
	if (kept->shared)
		munmap(kept->shared, sizeof *kept->shared);
	pal_builder_free(kept->builder);
	*kept = (struct isolate__kept){0};
}

/* Whether there was one. */
static bool take_idle(struct isolate__kept *ret)
{
	bool taken;

	if (!lock())
		return false;
	taken = cache.count;
	if (taken)
		*ret = cache.idle[--cache.count];
	unlock();
	return taken;
}

int isolate__cache_take(struct isolate__kept *ret)
{
	struct isolate__kept kept = {0};
	void *fresh;

	if (take_idle(&kept) && madvise(kept.shared, sizeof *kept.shared, MADV_DOFORK) < 0)
		release(&kept);
	if (!kept.shared) {
		fresh = mmap(NULL, sizeof *kept.shared, PROT_READ | PROT_WRITE,
			MAP_SHARED | MAP_ANONYMOUS, -1, 0);
		if (fresh == MAP_FAILED)
			return -errno;
		kept.shared = fresh;
	}
	kept.shared->marks = (struct isolate__marks){.progress = ISOLATE__PREPARED};
	*ret = kept;
	return 0;
}

bool isolate__cache_seclude(struct isolate__shared *shared)
{
	return madvise(shared, sizeof *shared, MADV_DONTFORK) == 0;
}

void isolate__cache_put(struct isolate__kept *kept, bool secluded)
{
	int saved = errno;

	if (kept->shared && secluded && lock()) {
		if (cache.count < IDLE_MAX) {
			cache.idle[cache.count++] = *kept;
			*kept = (struct isolate__kept){0};
		}
		unlock();
	}
	release(kept);
	errno = saved;
}

void isolate_trim(void)
{
	int saved = errno;
	struct isolate__kept kept;

	while (take_idle(&kept))
		release(&kept);
	errno = saved;
}
