/* SPDX-License-Identifier: MIT */
#include <mesh/pool-priv.h>

#include <stdlib.h>

#define KEPT 512u /* blocks of each size: as many as a link brings in a few turns */

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define KEEPS false
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer) || __has_feature(memory_sanitizer)
#define KEEPS false
#endif
#endif
#ifndef KEEPS
#define KEEPS true
#endif

/* An event; a small message; one of a kibibyte, each with what is around it. */
static const size_t sizes[] = {256, 512, 1536};
enum { SIZES = sizeof sizes / sizeof *sizes };

struct block {
	struct block *next;
};

/*
 * Taken for a few instructions, and never waited for: who finds it taken goes to malloc. So nobody spins, and a child of
 * fork(2), which may have it taken by a thread that it has not, is not hurt.
 */
static struct shelf {
	bool taken;
	unsigned count;
	struct block *first;
} shelves[SIZES];

static int index_of(size_t size)
{
	for (int i = 0; i < SIZES; i++)
		if (size <= sizes[i])
			return i;
	return SIZES;
}

static bool take(struct shelf *shelf)
{
	return !__atomic_test_and_set(&shelf->taken, __ATOMIC_ACQUIRE);
}

static void release(struct shelf *shelf)
{
	__atomic_clear(&shelf->taken, __ATOMIC_RELEASE);
}

void *mesh__pool_get(size_t size)
{
	int index = index_of(size);
	struct block *block = NULL;

	if (index == SIZES)
		return malloc(size);
	if (KEEPS && take(&shelves[index])) {
		struct shelf *shelf = &shelves[index];

		block = shelf->first;
		if (block) {
			shelf->first = block->next;
			shelf->count--;
		}
		release(shelf);
	}
	return block ? block : malloc(KEEPS ? sizes[index] : size);
}

void mesh__pool_put(void *memory, size_t size)
{
	struct block *block = memory;
	int index = index_of(size);
	bool kept = false;

	if (block && index < SIZES && KEEPS && take(&shelves[index])) {
		struct shelf *shelf = &shelves[index];

		kept = shelf->count < KEPT;
		if (kept) {
			block->next = shelf->first;
			shelf->first = block;
			shelf->count++;
		}
		release(shelf);
	}
	if (!kept)
		free(memory);
}

bool mesh__pool_has(size_t size)
{
	return KEEPS && index_of(size) < SIZES;
}
