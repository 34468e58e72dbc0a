/* SPDX-License-Identifier: MIT */
#include "mappings-priv.h"
#include "sanitizers.h"

#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

/* ---- /proc/self/maps ---- */

/* "start-end perms offset dev inode   name"; an anonymous one has no name. */
static bool parse_line(char *line, struct mapping *ret)
{
	unsigned long start, end;
	char permissions[5];
	int at = 0;

	line[strcspn(line, "\n")] = 0;
	if (sscanf(line, "%lx-%lx %4s %*s %*s %*s %n", &start, &end, permissions, &at) != 3 || !at)
		return false;
	*ret = (struct mapping){.start = start, .size = end - start, .shared = permissions[3] == 's'};
	snprintf(ret->name, sizeof ret->name, "%s", line + at);
	return true;
}

/*
 * What the C library and the loader bring in on their own, whenever they like:
 * libgcc_s for pthread_exit, locales, character sets. "[...]" are the heap, the
 * stack, the kernel's pages and memory that somebody named, which is anonymous.
 */
static bool is_runtime(const struct mapping *mapping)
{
	const char *name = mapping->name;

	if (mapping->shared)
		return false;
	return !name[0] || name[0] == '[' || strstr(name, ".so") || strstr(name, "/locale/") || strstr(name, "/gconv/");
}

size_t mappings_named(struct mapping *ret, size_t room)
{
	FILE *maps = fopen("/proc/self/maps", "re");
	char line[512];
	size_t count = 0;

	if (!maps)
		abort();
	while (count < room && fgets(line, sizeof line, maps))
		if (parse_line(line, &ret[count]) && !is_runtime(&ret[count]))
			count++;
	fclose(maps);
	return count;
}

/* ---- who called mmap ---- */

#if BUILT_WITH_ASAN || BUILT_WITH_TSAN /* which have their own */

void mappings_watch(void)
{
}

size_t mappings_left(struct mapping *ret, size_t room)
{
	(void)ret;
	(void)room;
	return 0;
}

#else

/*
 * Slots are taken and freed by compare-and-swap on `start`, so that threads
 * need no lock and a child that was forked meanwhile cannot meet a held one.
 */
#define MAX_WATCHED 4096
static struct watched {
	_Atomic uintptr_t start; /* 0: free */
	_Atomic size_t size;
} watched[MAX_WATCHED];

static void watch(uintptr_t start, size_t size)
{
	for (size_t i = 0; i < MAX_WATCHED; i++) {
		uintptr_t free_slot = 0;

		if (atomic_compare_exchange_strong(&watched[i].start, &free_slot, start)) {
			atomic_store(&watched[i].size, size);
			return;
		}
	}
	abort(); /* a test that maps this much needs a larger table */
}

/* Takes [start, start + size) out of everything that is watched. */
static void unwatch(uintptr_t start, size_t size)
{
	uintptr_t end = start + size;

	for (size_t i = 0; i < MAX_WATCHED; i++) {
		uintptr_t from = atomic_load(&watched[i].start), to = from + atomic_load(&watched[i].size);

		if (!from || end <= from || start >= to)
			continue;
		atomic_store(&watched[i].size, 0);
		atomic_store(&watched[i].start, 0);
		if (from < start)
			watch(from, start - from);
		if (end < to)
			watch(end, to - end);
	}
}

static size_t whole_pages(size_t size)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);

	return (size + page - 1) / page * page;
}

void mappings_watch(void)
{
	for (size_t i = 0; i < MAX_WATCHED; i++)
		atomic_store(&watched[i].start, 0);
}

size_t mappings_left(struct mapping *ret, size_t room)
{
	size_t count = 0;

	for (size_t i = 0; i < MAX_WATCHED && count < room; i++) {
		uintptr_t start = atomic_load(&watched[i].start);

		if (start)
			ret[count++] = (struct mapping){.start = start, .size = atomic_load(&watched[i].size)};
	}
	return count;
}

/*
 * These definitions take the place of the C library's in the test program and
 * in every library that it loads; glibc itself does not call through them.
 */
void *mmap(void *address, size_t size, int protection, int flags, int fd, off_t offset)
{
#ifdef SYS_mmap2
	long result = syscall(SYS_mmap2, address, size, protection, flags, fd, (long)(offset / 4096));
#else
	long result = syscall(SYS_mmap, address, size, protection, flags, fd, offset);
#endif

	if (result == -1)
		return MAP_FAILED;
	if (flags & MAP_FIXED)
		unwatch((uintptr_t)result, whole_pages(size));
	if ((flags & MAP_ANONYMOUS) && (flags & MAP_TYPE) == MAP_PRIVATE)
		watch((uintptr_t)result, whole_pages(size));
	return (void *)result;
}

void *mmap64(void *address, size_t size, int protection, int flags, int fd, off64_t offset)
{
	return mmap(address, size, protection, flags, fd, offset);
}

int munmap(void *address, size_t size)
{
	/* before the call: afterwards another thread may have mapped the same addresses */
	if ((uintptr_t)address % (uintptr_t)sysconf(_SC_PAGESIZE) == 0)
		unwatch((uintptr_t)address, whole_pages(size));
	return (int)syscall(SYS_munmap, address, size);
}

void *mremap(void *address, size_t old_size, size_t new_size, int flags, ...)
{
	bool anonymous = false;
	void *wanted = NULL;
	va_list args;
	long result;

	if (flags & MREMAP_FIXED) {
		va_start(args, flags);
		wanted = va_arg(args, void *);
		va_end(args);
	}
	for (size_t i = 0; i < MAX_WATCHED && !anonymous; i++) {
		uintptr_t start = atomic_load(&watched[i].start);

		anonymous = start && (uintptr_t)address - start < atomic_load(&watched[i].size);
	}
	result = syscall(SYS_mremap, address, old_size, new_size, flags, wanted);
	if (result == -1)
		return MAP_FAILED;
	if (anonymous) {
		unwatch((uintptr_t)address, whole_pages(old_size));
		watch((uintptr_t)result, whole_pages(new_size));
	}
	return (void *)result;
}

#endif
