/* SPDX-License-Identifier: MIT */
#include <isolate/warm-priv.h>

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <pal/process-mark.h>
#include <pal/util-priv.h>

#include <isolate/isolate-priv.h>

/* ---- the file ---- */

/*
 * Another description of the same file: this is the only way to one. Not waiting, where another
 * process has a lease, for it to give that up: it has /proc/sys/fs/lease-break-time for that.
 */
static int open_again(int fd, int how)
{
	char path[sizeof "/proc/self/fd/" + 11];

	snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
	return isolate__lift(open(path, how | O_CLOEXEC | O_NONBLOCK));
}

/* A program that closes what it does not own may have another file under our number by now. */
static bool is_it(const struct isolate__warm *warm, const struct stat *st)
{
	return st->st_dev == warm->device && st->st_ino == warm->inode;
}

/* Asked before anything is done to it: opening it, or a lease, ends leases that its owner has. */
static bool is_there(const struct isolate__warm *warm, struct stat *ret)
{
	return fstat(warm->fd, ret) == 0 && is_it(warm, ret);
}

size_t isolate__warm_size(const struct isolate__warm *warm)
{
	struct stat st;

	return is_there(warm, &st) ? (size_t)st.st_size : 0;
}

static void close_file(struct isolate__warm *warm)
{
	struct stat st;

	if (fstat(warm->fd, &st) < 0 ? errno != EBADF : is_it(warm, &st))
		pal_private_close(&warm->fd);
}

static const ptrdiff_t private_places[] = {PAL_PRIVATE_PLACE(struct isolate__warm, private, fd)};
static const struct pal_private_layout private_layout = {
	.count = 1,
	.places = private_places,
	.file = PAL_PRIVATE_PLACE(struct isolate__warm, private, file)};

/* Whether it can be opened anew. */
static bool open_file(struct isolate__warm *warm, int memfd)
{
	bool held = pal_private_begin();
	struct stat st;
	bool opened;

	warm->fd = open_again(memfd, O_RDONLY);
	opened = warm->fd >= 0 && fstat(warm->fd, &st) == 0;
	if (opened) {
		warm->device = st.st_dev;
		warm->inode = st.st_ino;
		warm->file = (struct pal_private_file){
			st.st_ino, major(st.st_dev), minor(st.st_dev)};
	} else {
		warm->fd = pal_close(warm->fd);
	}
	pal_private_end(held);
	return opened;
}

struct isolate__warm *isolate__warm_new(int memfd)
{
	struct isolate__warm *warm = malloc(sizeof *warm);

	if (!warm)
		return NULL;
	*warm = (struct isolate__warm){.fd = -1, .owner = pal_process_mark()};
	pal_private_add(&warm->private, &private_layout);
	if (open_file(warm, memfd))
		return warm;
	pal_private_remove(&warm->private);
	free(warm);
	return NULL;
}

struct isolate__warm *isolate__warm_new_buffer(void)
{
	struct isolate__warm *warm = malloc(sizeof *warm);
	void *view;

	if (!warm)
		return NULL;
	view = mmap(NULL, ISOLATE__BUFFER_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
		-1, 0);
	if (view == MAP_FAILED) {
		free(warm);
		return NULL;
	}
	*warm = (struct isolate__warm){.fd = -1,
		.view = view,
		.view_size = ISOLATE__BUFFER_SIZE,
		.owner = pal_process_mark()};
	return warm;
}

void isolate__warm_free(struct isolate__warm *warm)
{
	int saved = errno;

	if (!warm)
		return;
	/* A fork has no mapping of what was not lent, and may have another one there. */
	if (warm->view && (warm->lent || warm->owner == pal_process_mark()))
		munmap(warm->view, warm->view_size);
	close_file(warm);
	pal_private_remove(&warm->private);
	free(warm);
	errno = saved;
}

int isolate__warm_open(const struct isolate__warm *warm, struct stat *ret)
{
	if (!is_there(warm, ret)) {
		errno = EBADF;
		return -1;
	}
	/* By a function, that had it once. */
	if (fcntl(warm->fd, F_GET_SEALS) & (F_SEAL_WRITE | F_SEAL_FUTURE_WRITE | F_SEAL_GROW)) {
		errno = EPERM;
		return -1;
	}
	return open_again(warm->fd, O_RDWR);
}

bool isolate__warm_is_read_only(const struct isolate__warm *warm)
{
	struct stat st;

	/*
	 * Who opens it for writing while we have the lease has us sent a signal: not SIGIO, which
	 * would end the caller. The end of a lease forgets that.
	 */
	if (!is_there(warm, &st) || fcntl(warm->fd, F_SETSIG, SIGURG) < 0 ||
		fcntl(warm->fd, F_SETLEASE, F_RDLCK) < 0)
		return false;
	(void)fcntl(warm->fd, F_SETLEASE, F_UNLCK);
	return true;
}

/* ---- the mapping ---- */

static size_t whole_pages(size_t size)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);

	return (size + page - 1) / page * page;
}

/*
 * Longer, and what is there of it stays: unless it was divided into several mappings, by what
 * the caller has said about parts of it (madvise(2)).
 */
static int stretch(struct isolate__warm *warm, size_t size)
{
	void *view = MAP_FAILED;

	if (warm->view_size >= size)
		return 0;
	if (warm->view)
		view = mremap(warm->view, warm->view_size, size, MREMAP_MAYMOVE);
	if (view == MAP_FAILED) {
		view = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE, warm->fd, 0);
		if (view == MAP_FAILED)
			return -errno;
		if (warm->view)
			munmap(warm->view, warm->view_size);
	}
	warm->view = view;
	warm->view_size = size;
	return 0;
}

/* Whatever it was made before, it is the caller's as any memory is. Files cannot be wiped. */
static bool make_as_new(const struct isolate__warm *warm)
{
	return madvise(warm->view, warm->view_size, MADV_DOFORK) == 0 &&
	       (warm->fd >= 0 || madvise(warm->view, warm->view_size, MADV_KEEPONFORK) == 0) &&
	       mprotect(warm->view, warm->view_size, PROT_READ | PROT_WRITE) == 0;
}

int isolate__warm_lend(struct isolate__warm *warm, size_t size)
{
	bool kept = warm->view;
	int r = stretch(warm, whole_pages(size));

	if (r < 0)
		return r;
	warm->since = isolate__forks_now();
	if (kept && !make_as_new(warm))
		return -errno;
	warm->lent = size;
	return 0;
}

/* /proc/PID/pagemap: a page that is there or swapped out, and not the file's, is a copy. */
#define IS_PRESENT ((uint64_t)1 << 63)
#define IS_SWAPPED ((uint64_t)1 << 62)
#define IS_OF_FILE ((uint64_t)1 << 61)
#define AT_ONCE 512

static bool any_is_copy(const uint64_t *entries, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (entries[i] & IS_SWAPPED ||
			(entries[i] & (IS_PRESENT | IS_OF_FILE)) == IS_PRESENT)
			return true;
	return false;
}

/* Written to by the caller, it would hide a part of the next result. */
static bool is_untouched(const struct isolate__warm *warm)
{
	PAL_CLEANUP_CLOSE int pagemap = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
	size_t page = (size_t)sysconf(_SC_PAGESIZE), count = whole_pages(warm->lent) / page;
	uint64_t entries[AT_ONCE];

	if (pagemap < 0)
		return false;
	for (size_t at = 0; at < count;) {
		size_t some = count - at < AT_ONCE ? count - at : AT_ONCE;
		off_t from = (off_t)(((uintptr_t)warm->view / page + at) * sizeof *entries);
		ssize_t got = pread(pagemap, entries, some * sizeof *entries, from);

		if (got != (ssize_t)(some * sizeof *entries) || any_is_copy(entries, some))
			return false;
		at += some;
	}
	return true;
}

/* Of a file forks have no copy, but see what becomes of it. */
static bool is_nobody_elses(const struct isolate__warm *warm)
{
	return warm->fd < 0 || (is_untouched(warm) && isolate__forks_none_by_others(&warm->since));
}

bool isolate__warm_take_back(struct isolate__warm *warm)
{
	/* From now on forks do not get it: before it is asked which there have been. */
	if (warm->owner != pal_process_mark() ||
		madvise(warm->view, warm->view_size, MADV_DONTFORK) < 0 || !is_nobody_elses(warm))
		return false;
	warm->lent = 0;
	warm->since = isolate__forks_now();
	return true;
}

bool isolate__warm_has_rested(const struct isolate__warm *warm)
{
	return warm->fd < 0 || !warm->view || isolate__forks_have_ended(&warm->since);
}
