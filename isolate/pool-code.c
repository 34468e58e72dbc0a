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
#include <fcntl.h>
#include <inttypes.h>
#include <link.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

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

static int add(struct mappings *mappings, const struct mapping *found)
{
	struct mapping *items = mappings->items;

	if (!(mappings->count & (mappings->count - 1))) { /* a power of two: full, or nothing yet */
		items = reallocarray(
			items, mappings->count ? 2 * mappings->count : 1, sizeof *items);
		if (!items)
			return -ENOMEM;
		mappings->items = items;
	}
	items[mappings->count++] = *found;
	return 0;
}

/* Adds what a line of that tells, if it is code. */
static int add_line(struct mappings *mappings, const char *line)
{
	struct mapping found;
	char executable;

	if (sscanf(line, "%" SCNxPTR "-%" SCNxPTR " %*c%*c%c%*c %llx %x:%x %llu", &found.from,
		    &found.to, &executable, &found.offset, &found.major, &found.minor,
		    &found.inode) != 7 ||
		executable != 'x')
		return 0;
	return add(mappings, &found);
}

/*
 * That of this thread: the process's own is empty once its first thread has ended. A function that had it could read on in it, and the
 * pool would lack what it has read.
 */
struct source {
	struct pal_private private;
	int fd;
};
static const ptrdiff_t private_places[] = {PAL_PRIVATE_PLACE(struct source, private, fd)};
static const struct pal_private_layout private_layout = {.count = 1, .places = private_places};

static int open_source(struct source *source)
{
	bool held = pal_private_begin();
	int r;

	source->fd = isolate__lift(open("/proc/thread-self/maps", O_RDONLY | O_CLOEXEC));
	r = source->fd < 0 ? -errno : 0;
	pal_private_end(held);
	return r;
}

static ssize_t read_source(void *source, char *to, size_t size)
{
	ssize_t n;

	do
		n = read(((struct source *)source)->fd, to, size);
	while (n < 0 && errno == EINTR);
	return n;
}

static int read_lines(struct mappings *ret, struct source *source)
{
	/* The stream does not close it: that, too, no fork is to see half done. */
	FILE *file = fopencookie(source, "r", (cookie_io_functions_t){.read = read_source});
	char *line = NULL;
	size_t room = 0;
	int r = 0;

	if (!file)
		return -ENOMEM;
	while (r == 0 && getline(&line, &room, file) > 0)
		r = add_line(ret, line);
	if (r == 0 && (ferror(file) || ret->count == 0))
		r = -EIO;
	free(line);
	fclose(file);
	return r;
}

static int read_mappings(struct mappings *ret)
{
	struct source source = {.fd = -1};
	int r;

	*ret = (struct mappings){0};
	pal_private_add(&source.private, &private_layout);
	r = open_source(&source);
	if (r == 0)
		r = read_lines(ret, &source);
	pal_private_close(&source.fd);
	pal_private_remove(&source.private);
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
			"/proc/thread-self/maps, for what a snapshot can call");
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

/* The first one that does not end before there; or NULL. */
static const struct mapping *find_from(const struct mappings *mappings, uintptr_t address)
{
	size_t low = 0, high = mappings->count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (mappings->items[middle].to <= address)
			low = middle + 1;
		else
			high = middle;
	}
	return low < mappings->count ? &mappings->items[low] : NULL;
}

/* Between these addresses, which are in it. */
static struct mapping cut_out(const struct mapping *mapping, uintptr_t from, uintptr_t to)
{
	struct mapping part = *mapping;

	part.from = from;
	part.to = to;
	if (mapping->inode)
		part.offset += from - mapping->from;
	return part;
}

static bool is_same(const struct mapping *a, const struct mapping *b)
{
	return a->offset == b->offset && a->inode == b->inode && a->major == b->major &&
	       a->minor == b->minor;
}

/* Adds what there is of `known`, in pieces: it may have been divided, or have become one with others. */
static int add_present(
	struct mappings *ret, const struct mapping *known, const struct mappings *present)
{
	int r = 0;

	for (uintptr_t at = known->from; at < known->to && r == 0;) {
		const struct mapping *there = find_from(present, at);
		uintptr_t from, to;
		struct mapping piece, now;

		if (!there || there->from >= known->to)
			break;
		from = there->from > at ? there->from : at;
		to = there->to < known->to ? there->to : known->to;
		piece = cut_out(known, from, to);
		now = cut_out(there, from, to);
		if (is_same(&piece, &now))
			r = add(ret, &piece);
		at = to;
	}
	return r;
}

/* Forgets what is not there any more, for good: what will be loaded in its place is not known there. */
static int forget_unloaded(struct isolate__code *code, unsigned long long unloaded)
{
	struct mappings present, kept = {0};
	int r = read_mappings(&present);

	if (r < 0)
		return r;
	for (size_t i = 0; i < code->known.count && r == 0; i++)
		r = add_present(&kept, &code->known.items[i], &present);
	free(present.items);
	if (r < 0) {
		free(kept.items);
		return r;
	}
	free(code->known.items);
	code->known = kept;
	code->unloaded = unloaded;
	return 0;
}

static bool has(const struct mappings *mappings, uintptr_t address)
{
	const struct mapping *found = find_from(mappings, address);

	return found && found->from <= address;
}

int isolate__code_check(struct isolate__code *code, const void *address, struct pal_error *error)
{
	unsigned long long unloaded = unloaded_so_far();
	bool is_known;
	int r = 0;

	pthread_mutex_lock(&code->lock);
	if (code->unloaded != unloaded)
		r = forget_unloaded(code, unloaded);
	is_known = has(&code->known, (uintptr_t)address);
	pthread_mutex_unlock(&code->lock);
	if (r < 0)
		return pal_error_set(error, ISOLATE_STAGE_SNAPSHOT, r,
			"/proc/thread-self/maps, for what is still loaded");
	if (!is_known)
		return pal_error_set(error, ISOLATE_STAGE_SNAPSHOT, -ENOEXEC,
			"the snapshot has no function at %p", address);
	return 0;
}
