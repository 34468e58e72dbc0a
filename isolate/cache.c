/* SPDX-License-Identifier: MIT */

/*
 * What one call leaves to the next: a shared page and a builder, which with the page
 * faults of memory that is new or was last touched before a fork cost a tenth of what
 * a fork of a small process does, and memory for long results, see warm-priv.h.
 *
 * A page is used again only where nobody but this process has it. So it is
 * copied to forks (MADV_DOFORK) just while the child of its call is forked, and
 * the child in turn keeps it from its own forks, which may outlive it, and says
 * in the marks that it has. A child that did not complete counts as having it
 * still: it may have died in the middle of a vfork(2). Nothing tells of a process that shares the
 * child's memory and outlives it (CLONE_VM without CLONE_VFORK): that has the page, see doc/isolate.md.
 */
#include <isolate/isolate-priv.h>
#include <isolate/warm-priv.h>

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>

#include <pal/process-mark.h>
#include <pal/util-priv.h>

#define IDLE_MAX 8

/* After so many calls that had no use for it, or for half of it, memory is given back. */
#define UNUSED_MAX 64

/* The lock is never waited for: in a fork, a thread that is not there may have it. */
static struct {
	pthread_mutex_t lock;
	uint64_t owner; /* pal_process_mark: a fork has the pointers and not the pages */
	size_t count;
	struct isolate__kept idle[IDLE_MAX];
	size_t buffer_count;
	struct isolate__warm *buffers[IDLE_MAX]; /* for short results */
	struct warm {
		size_t count; /* the first was used longest ago */
		struct {
			struct isolate__warm *memory;
			size_t size;
		} idle[IDLE_MAX];
		size_t sum;
		uint64_t puts;
	} warm;
} cache ISOLATE__WRITTEN_BY_CALLS = {.lock = PTHREAD_MUTEX_INITIALIZER};
static atomic_size_t warm_limit = ISOLATE_DEFAULT_KEPT;

/* Of another process: the pages are not here, and the builders are copies. */
static void forget_all(void)
{
	while (cache.count)
		pal_builder_free(cache.idle[--cache.count].builder);
	while (cache.warm.count)
		isolate__warm_free(cache.warm.idle[--cache.warm.count].memory);
	while (cache.buffer_count)
		isolate__warm_free(cache.buffers[--cache.buffer_count]);
	cache.warm.sum = 0;
	cache.owner = pal_process_mark();
}

static bool lock(void)
{
	if (pthread_mutex_trylock(&cache.lock))
		return false;
	if (cache.owner != pal_process_mark())
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

/* ---- memory for long results ---- */

/* What is to be freed, once nobody has to wait for that. */
struct victims {
	size_t count;
	struct isolate__warm *memory[IDLE_MAX + 1];
};

static void free_victims(struct victims *victims)
{
	while (victims->count)
		isolate__warm_free(victims->memory[--victims->count]);
}

static struct isolate__warm *remove_warm(size_t i)
{
	struct warm *warm = &cache.warm;
	struct isolate__warm *memory = warm->idle[i].memory;

	warm->sum -= warm->idle[i].size;
	warm->count--;
	memmove(&warm->idle[i], &warm->idle[i + 1], (warm->count - i) * sizeof warm->idle[0]);
	return memory;
}

/* Down to `limit` bytes, and without what was not used for long. */
static void thin_out(size_t limit, size_t count, struct victims *victims)
{
	struct warm *warm = &cache.warm;

	while (warm->count && (warm->count > count || warm->sum > limit ||
				      warm->puts - warm->idle[0].memory->put_at > UNUSED_MAX))
		victims->memory[victims->count++] = remove_warm(0);
}

/* The one that was used last. */
static struct isolate__warm *take_warm(bool rested)
{
	struct isolate__warm *memory = NULL;

	if (!lock())
		return NULL;
	for (size_t i = cache.warm.count; i-- > 0 && !memory;)
		if (!rested || isolate__warm_has_rested(cache.warm.idle[i].memory))
			memory = remove_warm(i);
	unlock();
	return memory;
}

struct isolate__warm *isolate__cache_take_warm(void)
{
	return take_warm(true);
}

struct isolate__warm *isolate__cache_take_buffer(void)
{
	struct isolate__warm *memory = NULL;

	if (!lock())
		return NULL;
	if (cache.buffer_count)
		memory = cache.buffers[--cache.buffer_count];
	unlock();
	return memory;
}

/* Whether it has been taken. */
static bool add_buffer(struct isolate__warm *memory)
{
	bool added;

	if (!lock())
		return false;
	added = cache.buffer_count < IDLE_MAX;
	if (added)
		cache.buffers[cache.buffer_count++] = memory;
	unlock();
	return added;
}

static bool is_too_large(struct isolate__warm *memory, size_t needed, size_t size)
{
	memory->too_large = needed < size / 2 ? memory->too_large + 1 : 0;
	return memory->too_large > UNUSED_MAX;
}

static bool add_warm(struct isolate__warm *memory, size_t needed, struct victims *victims)
{
	size_t size = isolate__warm_size(memory), limit = atomic_load(&warm_limit);
	struct warm *warm = &cache.warm;

	if (size == 0 || size > limit || is_too_large(memory, needed, size) || !lock())
		return false;
	warm->puts++;
	thin_out(limit - size, IDLE_MAX - 1, victims);
	memory->put_at = warm->puts;
	warm->idle[warm->count].memory = memory;
	warm->idle[warm->count++].size = size;
	warm->sum += size;
	unlock();
	return true;
}

void isolate__cache_put_warm(struct isolate__warm *memory, size_t needed)
{
	int saved = errno;
	struct victims victims = {0};
	bool added = memory->fd < 0 ? add_buffer(memory) : add_warm(memory, needed, &victims);

	if (!added)
		isolate__warm_free(memory);
	free_victims(&victims);
	errno = saved;
}

/* Making it costs more than a memfd for one call, and is for nothing where all results are short. */
static atomic_uint expected ISOLATE__WRITTEN_BY_CALLS;

void isolate__cache_had_long(void)
{
	atomic_store(&expected, UNUSED_MAX);
}

bool isolate__cache_expects_long(void)
{
	unsigned count = atomic_load(&expected);

	if (atomic_load(&warm_limit) == 0 || count == 0)
		return false;
	atomic_compare_exchange_strong(&expected, &count, count - 1);
	return true;
}

void isolate_limit_kept(size_t bytes)
{
	int saved = errno;
	struct victims victims = {0};

	atomic_store(&warm_limit, bytes);
	/* Where another thread is in there, that is for the next one to see. */
	if (lock()) {
		thin_out(bytes, IDLE_MAX, &victims);
		unlock();
	}
	free_victims(&victims);
	errno = saved;
}

void isolate_trim(void)
{
	int saved = errno;
	struct isolate__kept kept;
	struct isolate__warm *memory;

	while (take_idle(&kept))
		release(&kept);
	while ((memory = take_warm(false)) || (memory = isolate__cache_take_buffer()))
		isolate__warm_free(memory);
	errno = saved;
}
