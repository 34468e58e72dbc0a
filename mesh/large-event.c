/* SPDX-License-Identifier: MIT */
#include <mesh/link-priv.h>

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

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

int mesh__large_event_new(const void *event, size_t size)
{
	PAL_CLEANUP_CLOSE int fd = -1;
	int result;

	fd = memfd_create("mesh", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (fd < 0)
		return -errno;
	if (ftruncate(fd, (off_t)((size + PAGE - 1) & ~(size_t)(PAGE - 1))) < 0)
		return -errno;
	result = write_all(fd, event, size);
	if (result < 0)
		return result;
	if (fcntl(fd, F_ADD_SEALS, ALL_SEALS) < 0)
		return -errno;
	return pal_take_fd(&fd);
}

int mesh__large_event_map(int memfd, size_t max, void **ret, size_t *ret_mapped)
{
	int seals = fcntl(memfd, F_GET_SEALS); /* EINVAL for what is not a memfd */
	struct stat status;
	void *mapping;

	if (seals < 0 || (seals & ALL_SEALS) != ALL_SEALS)
		return -EBADMSG;
	if (fstat(memfd, &status) < 0 || !S_ISREG(status.st_mode))
		return -EBADMSG;
	/* Room for the records and the padding around a largest message. */
	if (status.st_size <= 0 || (uintmax_t)status.st_size > (uintmax_t)mesh__event_size(MESH__MAX_RECORDS, max) + PAGE)
		return -EBADMSG;
	/* Private: before Linux 6.7 a write-sealed memfd cannot be mapped shared, even for reading. */
	mapping = mmap(NULL, (size_t)status.st_size, PROT_READ, MAP_PRIVATE, memfd, 0);
	if (mapping == MAP_FAILED)
		return errno == ENOMEM ? -ENOMEM : -EBADMSG;
	*ret = mapping;
	*ret_mapped = (size_t)status.st_size;
	return 0;
}
