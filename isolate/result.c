/* SPDX-License-Identifier: MIT */

/*
 * The memory that carries the result: one shared mapping for the marks and for
 * short results, and a memfd for long ones. The child writes the memfd with
 * pwrite(2); the parent seals it and maps it, so a long result is copied once.
 */
#include <isolate/isolate-priv.h>

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

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

static int make_memfd(void)
{
	int fd = memfd_create("isolate-result", MFD_CLOEXEC | MFD_ALLOW_SEALING | MFD_NOEXEC_SEAL);

	if (fd < 0 && errno == EINVAL) /* before Linux 6.3 */
		fd = memfd_create("isolate-result", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	fd = isolate__lift(fd);
	/*
	 * Results are written at explicit offsets. Its own offset is where no file
	 * can grow to: a function that writes to numbers it does not own gets an
	 * error and spoils nothing.
	 */
	if (fd >= 0)
		(void)lseek(fd, (off_t)LLONG_MAX, SEEK_SET);
	return fd;
}

int isolate__result_open(struct isolate__call *call)
{
	struct stat st;
	int r;

	call->memfd = make_memfd();
	if (call->memfd < 0)
		return -errno;
	if (fstat(call->memfd, &st) < 0) {
		r = -errno;
		call->memfd = pal_close(call->memfd);
		return r;
	}
	call->memfd_device = st.st_dev;
	call->memfd_inode = st.st_ino;
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
	r = isolate__result_open(call);
	if (r < 0)
		return pal_error_set(
			error, ISOLATE_STAGE_PREPARE, r, "make a memfd for the result");
	return 0;
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
	call->memfd = pal_close(call->memfd);
}

static int fetch_short(
	const struct isolate__call *call, size_t size, void **ret_data, struct pal_error *error)
{
	void *data = malloc(size);

	if (!data)
		return pal_error_set(
			error, ISOLATE_STAGE_RESULT, -ENOMEM, "%zu bytes for the result", size);
	memcpy(data, call->shared->buffer, size);
	*ret_data = data;
	return 0;
}

static int fetch_long(
	const struct isolate__call *call, size_t size, void **ret_data, struct pal_error *error)
{
	struct stat st;
	void *data;

	/* A process that the function left behind has the memfd too, and can change nothing now. */
	if (fcntl(call->memfd, F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW) < 0)
		return pal_error_set(error, ISOLATE_STAGE_RESULT, -errno, "seal the result");
	if (fstat(call->memfd, &st) < 0)
		return pal_error_set(error, ISOLATE_STAGE_RESULT, -errno, "size of the result");
	if ((uint64_t)st.st_size != size)
		return pal_error_set(error, ISOLATE_STAGE_RESULT, -EBADMSG,
			"%zu bytes announced, %lld written", size, (long long)st.st_size);
	data = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE, call->memfd, 0);
	if (data == MAP_FAILED)
		return pal_error_set(
			error, ISOLATE_STAGE_RESULT, -errno, "map %zu bytes of result", size);
	*ret_data = data;
	return 0;
}

int isolate__result_fetch(
	const struct isolate__call *call, uint64_t size, void **ret_data, struct pal_error *error)
{
	if (size > call->max_result)
		return pal_error_set(error, ISOLATE_STAGE_RESULT, -EBADMSG,
			"%llu bytes announced, at most %zu allowed", (unsigned long long)size,
			call->max_result);
	if (size == 0) {
		*ret_data = NULL;
		return 0;
	}
	if (size <= ISOLATE__BUFFER_SIZE)
		return fetch_short(call, size, ret_data, error);
	return fetch_long(call, size, ret_data, error);
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
	if (result->size > ISOLATE__BUFFER_SIZE)
		munmap(result->data, result->size);
	else
		free(result->data);
	free(result->out);
	free(result->err);
	*result = (struct isolate_result){.answer = ISOLATE_NOT_EXECUTED};
	errno = saved;
}
