/* SPDX-License-Identifier: MIT */

/* The child's end: small writes gather in the shared page, the rest goes to the memfd. */
#include <isolate/isolate-priv.h>

#include <errno.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

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
	struct rlimit limit;

	if (getrlimit(RLIMIT_FSIZE, &limit) < 0)
		return fail(writer, -errno, 0);
	if (limit.rlim_cur != RLIM_INFINITY && writer->spilled + size > limit.rlim_cur)
		return fail(writer, -EFBIG, limit.rlim_cur);
	return 0;
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
	if (fstat(call->memfd, &st) < 0)
		return fail(writer, -errno, 0);
	if (st.st_dev != call->memfd_device || st.st_ino != call->memfd_inode)
		return fail(writer, -EBADF, 0);
	return 0;
}

static int spill(struct isolate_writer *writer, const unsigned char *data, size_t size)
{
	if (check_file_size(writer, size) < 0 || check_memfd(writer) < 0)
		return writer->error;
	while (size > 0) {
		ssize_t n = pwrite(writer->call->memfd, data, size, (off_t)writer->spilled);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return fail(writer, n < 0 ? -errno : -EIO, 0);
		writer->spilled += (size_t)n;
		data += n;
		size -= (size_t)n;
	}
	return 0;
}

static int flush(struct isolate_writer *writer)
{
	int r = spill(writer, writer->shared->buffer, writer->buffered);

	if (r == 0)
		writer->buffered = 0;
	return r;
}

int isolate_write(struct isolate_writer *writer, const void *data, size_t size)
{
	int r;

	if (!writer)
		return -EINVAL;
	if (getpid() != writer->owner)
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
	memcpy(writer->shared->buffer + writer->buffered, data, size);
	writer->buffered += size;
	return 0;
}

void isolate__writer_finish(struct isolate_writer *writer)
{
	/* A result that never left the page stays there. */
	if (writer->error || writer->spilled == 0)
		return;
	if (flush(writer) == 0 && writer->call->deliver) {
		int r = writer->call->deliver(writer->call);

		if (r < 0)
			fail(writer, r, 0);
	}
}
