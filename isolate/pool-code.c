/* SPDX-License-Identifier: MIT */

/*
 * Which code a snapshot has. What is loaded later is not mapped there, and what is unloaded
 * here leaves an address at which something else may be loaded: calling either would be a
 * crash at best. So the executable mappings are noted when the snapshot is made. They are compared
 * with the present ones only after something was unloaded, which the loader counts; a call
 * costs a look at that count.
 */
#include <isolate/pool-priv.h>

#include <errno.h>
#include <inttypes.h>
#include <link.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct mapping {
	uintptr_t from, to;
	unsigned long long offset, inode;
	unsigned major, minor;
};

struct mappings {
	struct mapping *items; /* by address, as the kernel tells them */
	size_t count;
};

struct isolate__code {
	pthread_mutex_t lock;
	struct mappings known;
	unsigned long long unloaded; /* as of when */
};

static int count_unloaded(struct dl_phdr_info *info, size_t size, void *ret)
{
	(void)size;
	*(unsigned long long *)ret = info->dlpi_subs;
	return 1;
}

static unsigned long long unloaded_so_far(void)
{
	unsigned long long count = 0;

	dl_iterate_phdr(count_unloaded, &count);
	return count;
}

/* Adds what a line of /proc/self/maps tells, if it is code. */
static int add_line(struct mappings *mappings, const char *line)
{
	struct mapping *items = mappings->items, found;
	char executable;

	if (sscanf(line, "%" SCNxPTR "-%" SCNxPTR " %*c%*c%c%*c %llx %x:%x %llu", &found.from,
		    &found.to, &executable, &found.offset, &found.major, &found.minor,
		    &found.inode) != 7 ||
		executable != 'x')
		return 0;
	if (!(mappings->count & (mappings->count - 1))) { /* a power of two: full, or nothing yet */
		items = reallocarray(
			items, mappings->count ? 2 * mappings->count : 1, sizeof *items);
		if (!items)
			return -ENOMEM;
		mappings->items = items;
	}
	items[mappings->count++] = found;
	return 0;
}

static int read_mappings(struct mappings *ret)
{
	FILE *file = fopen("/proc/self/maps", "re");
	char *line = NULL;
	size_t room = 0;
	int r = 0;

	*ret = (struct mappings){0};
	if (!file)
		return -errno;
	while (r == 0 && getline(&line, &room, file) > 0)
		r = add_line(ret, line);
	if (r == 0 && ferror(file))
		r = -EIO;
	free(line);
	fclose(file);
	if (r < 0)
		free(ret->items);
	return r;
}

int isolate__code_new(struct isolate__code **ret, struct pal_error *error)
{
	struct isolate__code *code = calloc(1, sizeof *code);
	int r = -ENOMEM;

	if (code) {
		code->unloaded = unloaded_so_far();
		r = read_mappings(&code->known);
	}
	if (r < 0) {
		free(code);
		return pal_error_set(error, ISOLATE_STAGE_SNAPSHOT, r,
			"/proc/self/maps, for what a snapshot can call");
	}
	pthread_mutex_init(&code->lock, NULL);
	*ret = code;
	return 0;
}

void isolate__code_free(struct isolate__code *code)
{
	if (!code)
		return;
	free(code->known.items);
	free(code);
}

static const struct mapping *find(const struct mappings *mappings, uintptr_t address)
{
	size_t low = 0, high = mappings->count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (mappings->items[middle].to <= address)
			low = middle + 1;
		else
			high = middle;
	}
	return low < mappings->count && mappings->items[low].from <= address ? &mappings->items[low]
									     : NULL;
}

/* Or has grown: neighbours may become one. */
static bool is_same(const struct mapping *a, const struct mapping *b)
{
	return b && a->to <= b->to && a->offset == b->offset + (b->inode ? a->from - b->from : 0) &&
	       a->inode == b->inode && a->major == b->major && a->minor == b->minor;
}

/* Forgets what is not there any more, for good: what will be loaded in its place is not known there. */
static int forget_unloaded(struct isolate__code *code, unsigned long long unloaded)
{
	struct mappings present;
	size_t kept = 0;
	int r = read_mappings(&present);

	if (r < 0)
		return r;
	for (size_t i = 0; i < code->known.count; i++)
		if (is_same(&code->known.items[i], find(&present, code->known.items[i].from)))
			code->known.items[kept++] = code->known.items[i];
	code->known.count = kept;
	code->unloaded = unloaded;
	free(present.items);
	return 0;
}

bool isolate__code_has(struct isolate__code *code, const void *address)
{
	unsigned long long unloaded = unloaded_so_far();
	int r = 0;
	bool has;

	pthread_mutex_lock(&code->lock);
	if (code->unloaded != unloaded)
		r = forget_unloaded(code, unloaded);
	has = r == 0 && find(&code->known, (uintptr_t)address);
	pthread_mutex_unlock(&code->lock);
	return has;
}
