/* SPDX-License-Identifier: MIT */
#include <isolate/memory.h>

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/mman.h>
#include <unistd.h>

struct pages {
	void *first;
	size_t size;
};

/* The whole pages in a range. `exact`: which must be all of it. */
static int find_pages(void *address, size_t size, bool exact, struct pages *ret)
{
	uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
	uintptr_t from = (uintptr_t)address, to = from + size, before;

	if (to < from)
		return -EINVAL;
	if (exact && (from % page || to % page))
		return -EINVAL;
	before = (page - from % page) % page;
	to -= to % page;
	if (before >= size || from + before >= to)
		return -EINVAL;
	*ret = (struct pages){(char *)address + before, to - from - before};
	return 0;
}

static int advise(const struct pages *pages, int advice)
{
	return madvise(pages->first, pages->size, advice) < 0 ? -errno : 0;
}

static int keep(const struct pages *pages)
{
	int copied = advise(pages, MADV_DOFORK), whole = advise(pages, MADV_KEEPONFORK);

	return copied < 0 ? copied : whole;
}

static int change(const struct pages *pages, int advice)
{
	int r = advise(pages, advice);

	if (r < 0) /* the part before the one that could not be changed has been */
		(void)keep(pages);
	return r;
}

int isolate_leave_out(void *address, size_t size)
{
	struct pages pages;
	int r = find_pages(address, size, false, &pages);

	return r < 0 ? r : change(&pages, MADV_DONTFORK);
}

int isolate_wipe(void *address, size_t size)
{
	struct pages pages;
	int r = find_pages(address, size, true, &pages);

	return r < 0 ? r : change(&pages, MADV_WIPEONFORK);
}

int isolate_keep(void *address, size_t size)
{
	struct pages pages;
	int r = find_pages(address, size, false, &pages);

	return r < 0 ? r : keep(&pages);
}
