/* SPDX-License-Identifier: MIT */

/*
 * The memory that carries the result: one shared mapping for the marks and for
 * short results, and a memfd for long ones. The child writes the memfd with
 * pwrite(2), which needs no page tables; the parent has it mapped. So a long result
 * is copied once, and where the memfd has served before, into pages that are there.
 */
#include <isolate/isolate-priv.h>
#include <isolate/warm-priv.h>

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <pal/process-mark.h>
#include <pal/util-priv.h>

#ifndef MFD_NOEXEC_SEAL
#define MFD_NOEXEC_SEAL 0x0008U
#endif

int isolate__lift(int fd)
{
	PAL_CLEANUP_CLOSE int low = fd;

	if (fd < 0 || fd > STDERR_FILENO)
		return pal_take_fd(&low);
	return fcntl(low, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
}

int isolate__memfd(const char *name)
{
	int fd = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING | MFD_NOEXEC_SEAL);

	if (fd < 0 && errno == EINVAL) /* before Linux 6.3 */
		fd = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING);
	return isolate__lift(fd);
}

/* The call's memfd is one of `warm` from now on, if that can be opened; else nothing is changed. Takes `warm`. */
static bool open_warm(struct isolate__call *call, struct isolate__warm *warm, struct stat *st)
{
	bool held = pal_private_begin();
	int fd = isolate__warm_open(warm, st);

	if (fd >= 0) {
		pal_close(call->memfd);
		call->memfd = fd;
	}
	pal_private_end(held);
	if (fd >= 0)
		call->warm = warm;
	else
		isolate__warm_free(warm);
	return fd >= 0;
}

/* The first kept one that can still be opened. Whether there is one. */
static bool open_kept(struct isolate__call *call, struct stat *st)
{
	struct isolate__warm *warm;

	while ((warm = isolate__cache_take_warm()))
		if (open_warm(call, warm, st))
			return true;
	return false;
}

static int open_memfd(struct isolate__call *call, struct stat *st)
{
	bool held = pal_private_begin();

	call->memfd = isolate__memfd("isolate-result");
	pal_private_end(held);
	return call->memfd < 0 || fstat(call->memfd, st) < 0 ? -errno : 0;
}

/* What cannot be opened anew (/proc is not mounted, no descriptors) serves this call only. */
static int open_new(struct isolate__call *call, bool keep, struct stat *st)
{
	struct isolate__warm *warm = NULL;
	int r = open_memfd(call, st);

	if (r == 0 && keep && isolate__cache_expects_long())
		warm = isolate__warm_new(call->memfd);
	if (warm)
		(void)open_warm(call, warm, st);
	return r;
}

uint64_t isolate__result_ticket(void)
{
	static atomic_uint_fast64_t last ISOLATE__WRITTEN_BY_CALLS;

	return atomic_fetch_add(&last, 1) + 1;
}

static void set_memfd(struct isolate__call *call, const struct stat *st)
{
	/*
	 * Results are written at explicit offsets. Its own offset is where no file
	 * can grow to: a function that writes to numbers it does not own gets an
	 * error and spoils nothing.
	 */
	(void)lseek(call->memfd, (off_t)LLONG_MAX, SEEK_SET);
	call->memfd_device = st->st_dev;
	call->memfd_inode = st->st_ino;
	call->memfd_size = (uint64_t)st->st_size;
}

static int prepare_memfd(struct isolate__call *call)
{
	/*
	 * What kept memory relies on, a function that is to be kept from something could spoil: its
	 * memfd is sealed, and serves no other call.
	 */
	bool keep = !call->options.sandbox;
	struct stat st;
	int r = 0;

	if (!keep || !open_kept(call, &st))
		r = open_new(call, keep, &st);
	if (r < 0)
		return r;
	set_memfd(call, &st);
	call->ticket = isolate__result_ticket();
	return 0;
}

int isolate__result_open(struct isolate__call *call)
{
	PAL_CLEANUP_CLOSE int memfd = isolate__memfd("isolate-result");
	struct stat st;

	if (memfd < 0 || fstat(memfd, &st) < 0)
		return -errno;
	call->memfd = pal_take_fd(&memfd);
	set_memfd(call, &st);
	return 0;
}

int isolate__result_prepare(struct isolate__call *call, struct pal_error *error)
{
	struct isolate__kept kept;
	int r = isolate__cache_take(&kept);

	if (r < 0)
		return pal_error_set(error, ISOLATE_STAGE_PREPARE, r, "map the shared page");
	call->shared = kept.shared;
	call->builder = kept.builder;
	if (call->max_result <= ISOLATE__BUFFER_SIZE)
		return 0;
	r = prepare_memfd(call);
	if (r < 0)
		return pal_error_set(
			error, ISOLATE_STAGE_PREPARE, r, "make a memfd for the result");
	return 0;
}

/* Nothing of it was lent: the next call has it, if no process has the descriptor any more. */
static void release_memfd(struct isolate__call *call)
{
	struct isolate__warm *warm = PAL_TAKE_POINTER(call->warm);

	pal_private_close(&call->memfd);
	if (warm && warm->owner == pal_process_mark() && isolate__warm_is_read_only(warm))
		isolate__cache_put_warm(warm, 0);
	else
		isolate__warm_free(warm);
}

void isolate__result_release(struct isolate__call *call, bool secluded)
{
	struct isolate__kept kept = {call->shared, call->builder};

	if (!isolate__options_plain(&call->options)) {
		pal_builder_free(kept.builder);
		kept.builder = NULL;
	}
	isolate__cache_put(&kept, secluded);
	call->shared = NULL;
	call->builder = NULL;
	release_memfd(call);
}

/* Of the more pages it takes, the more there is to be gained. */
#define FEW_BYTES ((size_t)8 << 10)

static struct isolate__warm *lend_buffer(size_t size)
{
	struct isolate__warm *buffer = isolate__cache_take_buffer();

	if (!buffer)
		buffer = isolate__warm_new_buffer();
	if (!buffer || isolate__warm_lend(buffer, size) == 0)
		return buffer;
	isolate__warm_free(buffer);
	return NULL;
}

static int fetch_short(const struct isolate__call *call, size_t size, struct isolate_result *result,
	struct pal_error *error)
{
	if (size > FEW_BYTES)
		result->memory = lend_buffer(size);
	result->data = result->memory ? result->memory->view : malloc(size);
	if (!result->data)
		return pal_error_set(
			error, ISOLATE_STAGE_RESULT, -ENOMEM, "%zu bytes for the result", size);
	memcpy(result->data, call->shared->buffer, size);
	return 0;
}

/* ---- long results ---- */

/*
 * A process that the function left behind may have the memfd open for writing. Where nobody else is
 * to use it, it is closed for good: a private mapping of it can be changed by nobody then.
 */
static bool seal(int memfd)
{
	return fcntl(memfd, F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW) == 0;
}

/* Nobody but the child's writer makes a memfd longer, or a record with this ticket. */
static int check_record(
	const struct isolate__call *call, int fd, size_t size, struct pal_error *error)
{
	const struct isolate__record record = call->shared->record;
	uint64_t expected = size < call->memfd_size ? call->memfd_size : size;
	struct stat st;

	if (fstat(fd, &st) < 0)
		return pal_error_set(error, ISOLATE_STAGE_RESULT, -errno, "size of the result");
	if (st.st_dev != call->memfd_device || st.st_ino != call->memfd_inode ||
		(uint64_t)st.st_size != expected || record.ticket != call->ticket ||
		record.size != size)
		return pal_error_set(error, ISOLATE_STAGE_RESULT, -EBADMSG,
			"%zu bytes announced, and not what was written", size);
	return 0;
}

static int read_all(int fd, unsigned char *to, size_t size)
{
	for (size_t at = 0; at < size;) {
		ssize_t n = pread(fd, to + at, size - at, (off_t)at);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n < 0 ? -errno : -EBADMSG;
		at += (size_t)n;
	}
	return 0;
}

/* Where such a process has it even mapped, and so it cannot be sealed. */
static void *copy_of(int fd, size_t size)
{
	void *copy = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	int r;

	if (copy == MAP_FAILED)
		return copy;
	r = read_all(fd, copy, size);
	if (r == 0)
		return copy;
	munmap(copy, size);
	errno = -r;
	return MAP_FAILED;
}

/* From a file that serves no other call. */
static int fetch_once(struct isolate__call *call, int fd, size_t size,
	struct isolate_result *result, struct pal_error *error)
{
	bool sealed = seal(fd);
	void *data;
	int r = check_record(call, fd, size, error);

	if (r < 0)
		return r;
	data = sealed ? mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0)
		      : copy_of(fd, size);
	if (data == MAP_FAILED)
		return pal_error_set(error, ISOLATE_STAGE_RESULT, -errno, "%s %zu bytes of result",
			sealed ? "map" : "copy", size);
	result->data = data;
	return 0;
}

/* Somebody else has it open for writing, or that cannot be told: no other call will use it. */
static int fetch_abandoned(struct isolate__call *call, size_t size, struct isolate_result *result,
	struct pal_error *error)
{
	struct isolate__warm *warm = PAL_TAKE_POINTER(call->warm);
	bool held = pal_private_begin();
	struct stat st;
	int r;

	call->memfd = isolate__warm_open(warm, &st);
	pal_private_end(held);
	r = fetch_once(call, call->memfd < 0 ? warm->fd : call->memfd, size, result, error);
	isolate__warm_free(warm);
	return r;
}

static int fetch_long(struct isolate__call *call, size_t size, struct isolate_result *result,
	struct pal_error *error)
{
	int r;

	isolate__cache_had_long();
	if (!call->warm)
		return fetch_once(call, call->memfd, size, result, error);
	pal_private_close(&call->memfd); /* or we would be one that writes */
	if (!isolate__warm_is_read_only(call->warm))
		return fetch_abandoned(call, size, result, error);
	r = check_record(call, call->warm->fd, size, error);
	if (r < 0)
		return r;
	r = isolate__warm_lend(call->warm, size);
	if (r < 0)
		return pal_error_set(
			error, ISOLATE_STAGE_RESULT, r, "map %zu bytes of result", size);
	result->memory = PAL_TAKE_POINTER(call->warm);
	result->data = result->memory->view;
	return 0;
}

int isolate__result_fetch(struct isolate__call *call, uint64_t size, struct isolate_result *result,
	struct pal_error *error)
{
	int r = 0;

	if (size > call->max_result)
		return pal_error_set(error, ISOLATE_STAGE_RESULT, -EBADMSG,
			"%llu bytes announced, at most %zu allowed", (unsigned long long)size,
			call->max_result);
	if (size > ISOLATE__BUFFER_SIZE)
		r = fetch_long(call, size, result, error);
	else if (size > 0)
		r = fetch_short(call, size, result, error);
	if (r == 0)
		result->size = size;
	return r;
}

static void give_back(struct isolate__warm *warm, size_t size)
{
	if (isolate__warm_take_back(warm))
		isolate__cache_put_warm(warm, size);
	else
		isolate__warm_free(warm);
}

int isolate_result_copy(const struct isolate_result *result, void *to, size_t size)
{
	if (result->answer != ISOLATE_RETURNED)
		return result->error.code ? result->error.code : -EBADMSG;
	if (result->size != size)
		return -EBADMSG;
	if (size)
		memcpy(to, result->data, size);
	return 0;
}

void isolate_result_clear(struct isolate_result *result)
{
	int saved = errno;

	if (!result)
		return;
	if (result->memory)
		give_back(result->memory, result->size);
	else if (result->size > ISOLATE__BUFFER_SIZE)
		munmap(result->data, result->size);
	else
		free(result->data);
	free(result->out);
	free(result->err);
	free(result->crash);
	*result = (struct isolate_result){.answer = ISOLATE_NOT_EXECUTED};
	errno = saved;
}
