/* SPDX-License-Identifier: MIT */
#include <mesh/link-priv.h>

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <mesh/message-priv.h>
#include <pal/util-priv.h>

#define ALL_SEALS (F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE)
#define PAGE 4096u /* what the peers of this wire round to, whatever the machine's page size */

static int write_all(int fd, const uint8_t *data, size_t size)
{
	while (size) {
		ssize_t done = write(fd, data, size);

		if (done < 0 && errno == EINTR)
			continue;
		if (done < 0)
			return -errno;
		if (!done)
			return -EIO;
		data += done;
		size -= (size_t)done;
	}
	return 0;
}

/* A memfd is a file: one that grows beyond RLIMIT_FSIZE would raise SIGXFSZ, which by default ends the process. */
static bool may_be_as_large(size_t size)
{
	struct rlimit limit;

	return getrlimit(RLIMIT_FSIZE, &limit) < 0 || size <= limit.rlim_cur;
}

int mesh__large_event_open(size_t size)
{
	const size_t padded = (size + PAGE - 1) & ~(size_t)(PAGE - 1);
	PAL_CLEANUP_CLOSE int fd = -1;

	if (!may_be_as_large(padded))
		return -EFBIG;
	fd = memfd_create("mesh", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (fd < 0)
		return -errno;
	if (ftruncate(fd, (off_t)padded) < 0 || fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW) < 0)
		return -errno;
	return pal_take_fd(&fd);
}

int mesh__large_event_write(int memfd, const void *event, size_t size)
{
	int result = write_all(memfd, event, size);

	if (result < 0)
		return result;
	return fcntl(memfd, F_ADD_SEALS, ALL_SEALS) < 0 ? -errno : 0;
}

/* The size of one that may be read, or -EBADMSG. */
static ssize_t check(int memfd, size_t max_message, uintmax_t *ret_allocated)
{
	int seals = fcntl(memfd, F_GET_SEALS); /* EINVAL for what is not a memfd */
	struct stat status;

	if (seals < 0 || (seals & ALL_SEALS) != ALL_SEALS)
		return -EBADMSG;
	if (fstat(memfd, &status) < 0 || !S_ISREG(status.st_mode))
		return -EBADMSG;
	/* Room for the records and the padding around a largest message. */
	if (status.st_size <= 0 ||
		(uintmax_t)status.st_size > (uintmax_t)mesh__event_size(MESH__MAX_RECORDS, max_message) + PAGE)
		return -EBADMSG;
	*ret_allocated = (uintmax_t)status.st_blocks * 512;
	return (ssize_t)status.st_size;
}

/* By read, not by a mapping: that would fill a hole with pages of its own. */
static int read_all(int fd, uint8_t *to, size_t size, size_t offset)
{
	while (size) {
		ssize_t done = pread(fd, to, size, (off_t)offset);

		if (done < 0 && errno == EINTR)
			continue;
		if (done <= 0)
			return -EBADMSG;
		to += done;
		offset += (size_t)done;
		size -= (size_t)done;
	}
	return 0;
}

/* The header and, if the rest is as it says, the records. */
static int read_head(int memfd, size_t size, uintmax_t allocated, uint8_t **ret, struct mesh__raw_event *ret_event)
{
	uint8_t header[MESH__EVENT_HEADER_SIZE];
	PAL_CLEANUP_FREE uint8_t *head = NULL;
	size_t head_size;

	head_size = size < sizeof header ? size : sizeof header;
	if (read_all(memfd, header, head_size, 0) < 0)
		return -EBADMSG;
	memset(header + head_size, 0, sizeof header - head_size);
	if (mesh__raw_event_parse(header, size, ret_event) == 0) {
		if (ret_event->record_count > MESH__MAX_RECORDS)
			return -EBADMSG;
		head_size += ret_event->record_count * (size_t)MESH__RECORD_SIZE;
		if (allocated < head_size + (uintmax_t)ret_event->body_size)
			return -EBADMSG;
	}
	head = malloc(head_size);
	if (!head)
		return -ENOMEM;
	if (read_all(memfd, head, head_size, 0) < 0)
		return -EBADMSG;
	*ret = PAL_TAKE_POINTER(head);
	return (int)head_size;
}

int mesh__large_event_read_head(int memfd, size_t max_message, struct mesh__incoming *ret)
{
	struct mesh__raw_event event;
	uintmax_t allocated = 0;
	ssize_t size = check(memfd, max_message, &allocated);
	uint8_t *head = NULL;
	int head_size;

	if (size < 0)
		return (int)size;
	head_size = read_head(memfd, (size_t)size, allocated, &head, &event);
	if (head_size < 0)
		return head_size;
	*ret = (struct mesh__incoming){
		.data = head, .size = (size_t)head_size + event.body_size, .detached = true};
	return 0;
}

int mesh__large_event_read_body(int memfd, size_t max_message, struct mesh__incoming *event)
{
	struct mesh__raw_event raw;
	struct mesh_message *body;

	(void)mesh__raw_event_parse(event->data, event->size, &raw); /* one that is malformed has no body */
	if (raw.body_size > max_message)
		return 0;
	body = mesh__message_new_undefined(raw.body_size);
	if (body && read_all(memfd, body->data, body->size, event->size - body->size) < 0) {
		mesh_message_free(body);
		return -EBADMSG;
	}
	event->body = body;
	return 0;
}
