/* SPDX-License-Identifier: MIT */

/* The child's end: small writes gather in the shared page, the rest goes to the memfd. */
#include <isolate/isolate-priv.h>

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#define PAGE 4096 /* no page is smaller */

static int fail(struct isolate_writer *writer, int code, uint64_t limit)
{
	if (!writer->error) {
		writer->error = code;
		writer->error_limit = limit;
	}
	return writer->error;
}

/* Writing beyond RLIMIT_FSIZE would not only fail: SIGXFSZ would end the function. */
static int check_file_size(struct isolate_writer *writer, size_t size)
{
	size_t end = writer->spilled + size;
	struct rlimit limit;

	if (getrlimit(RLIMIT_FSIZE, &limit) < 0)
		return fail(writer, -errno, 0);
	if (limit.rlim_cur != RLIM_INFINITY && end > limit.rlim_cur)
		return fail(writer, -EFBIG, limit.rlim_cur);
	return 0;
}

/*
 * As fstat(3), which gives the kernel an empty path that lies in libc, on a page that a fork has no
 * entry for. The stack is there.
 */
static int look_at(int fd, struct stat *ret)
{
	char empty[] = "";

	return fstatat(fd, empty, ret, AT_EMPTY_PATH);
}

/* A function that closes what it does not own may have another file under our number by now. */
static int check_memfd(struct isolate_writer *writer)
{
	struct isolate__call *call = writer->call;
	struct stat st;
	int r;

	if (call->memfd < 0) {
		r = isolate__result_open(call);
		return r < 0 ? fail(writer, r, 0) : 0;
	}
	if (look_at(call->memfd, &st) < 0)
		return fail(writer, -errno, 0);
	if (st.st_dev != call->memfd_device || st.st_ino != call->memfd_inode ||
		(uint64_t)st.st_size < writer->spilled) /* or have cut this one */
		return fail(writer, -EBADF, 0);
	return 0;
}

static int put(struct isolate_writer *writer, const void *from, size_t size)
{
	const unsigned char *data = from;
	size_t at = writer->spilled;

	if (check_file_size(writer, size) < 0 || check_memfd(writer) < 0)
		return writer->error;
	while (size > 0) {
		ssize_t n = pwrite(writer->call->memfd, data, size, (off_t)at);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return fail(writer, n < 0 ? -errno : -EIO, 0);
		at += (size_t)n;
		data += n;
		size -= (size_t)n;
	}
	return 0;
}

static int spill(struct isolate_writer *writer, const void *data, size_t size)
{
	int r = put(writer, data, size);

	if (r == 0)
		writer->spilled += size;
	return r;
}

static int flush(struct isolate_writer *writer)
{
	int r = 0;

	if (writer->buffered)
		r = spill(writer, writer->shared->buffer, writer->buffered);
	if (r == 0)
		writer->buffered = 0;
	return r;
}

/*
 * A fork has no page table entries for shared memory. Where a page is read first, the kernel
 * makes those of its neighbours as well; where it is written, this one only.
 */
static void map_around(const volatile unsigned char *to, size_t size)
{
	for (size_t at = 0; at < size; at += PAGE)
		(void)to[at];
}

#define CHUNK 64 /* for memcpy(3) in place, in registers */

/*
 * Without a call of memcpy(3): a fork has no page table entry for its code, and making one costs
 * more than copying a full page does. `at` is hidden from the compiler, or it would make this loop
 * such a call.
 */
static void copy(unsigned char *to, const unsigned char *from, size_t size)
{
	size_t at = 0;

	for (; size - at >= CHUNK; at += CHUNK) {
		__asm__("" : "+r"(at));
		memcpy(to + at, from + at, CHUNK);
	}
	for (; at < size; at++) {
		__asm__("" : "+r"(at));
		to[at] = from[at];
	}
}

static void gather(struct isolate_writer *writer, const unsigned char *data, size_t size)
{
	unsigned char *to = writer->shared->buffer + writer->buffered;

	if (size > PAGE)
		map_around(to, size);
	copy(to, data, size);
	writer->buffered += size;
}

int isolate_write(struct isolate_writer *writer, const void *data, size_t size)
{
	int r;

	if (!writer)
		return -EINVAL;
	if (!isolate__writer_is_here(writer))
		return -EPERM;
	if (writer->error || size == 0)
		return writer->error;
	if (!data)
		return fail(writer, -EINVAL, 0);
	if (size > writer->call->max_result - writer->spilled - writer->buffered)
		return fail(writer, -EFBIG, writer->call->max_result);

	if (size > ISOLATE__BUFFER_SIZE - writer->buffered) {
		r = flush(writer);
		if (r == 0 && size > ISOLATE__BUFFER_SIZE)
			return spill(writer, data, size);
		if (r < 0)
			return r;
	}
	gather(writer, data, size);
	return 0;
}

void isolate__writer_finish(struct isolate_writer *writer)
{
	struct isolate__call *call = writer->call;
	int r;

	/* A result that never left the page stays there. */
	if (writer->error || writer->spilled == 0 || flush(writer) < 0)
		return;
	/* Where either fails the result is lost. */
	if (check_memfd(writer) < 0)
		return;
	writer->shared->record =
		(struct isolate__record){.ticket = call->ticket, .size = writer->spilled};
	r = call->deliver ? call->deliver(call) : 0;
	if (r < 0)
		fail(writer, r, 0);
}
