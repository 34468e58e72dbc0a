/* SPDX-License-Identifier: MIT */
#include <pal/task-status-priv.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

int pal__task_open(void)
{
	long fd = syscall(
		SYS_openat, AT_FDCWD, "/proc/self/task", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	return fd < 0 ? -errno : (int)fd;
}

/* "TID/status", without stdio. */
static void status_path(char path[32], pid_t tid)
{
	char digits[12];
	int count = 0;

	do
		digits[count++] = (char)('0' + tid % 10);
	while (tid /= 10);
	while (count)
		*path++ = digits[--count];
	memcpy(path, "/status", sizeof "/status");
}

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* One line, cut to the buffer's size where it is longer. */
static void read_line(const char *line, int signal, struct pal__task_status *status)
{
	if (!strncmp(line, "Name:\t", 6)) {
		size_t length = strnlen(line + 6, sizeof status->name - 1);

		memcpy(status->name, line + 6, length);
		status->name[length] = 0;
	} else if (!strncmp(line, "State:\t", 7)) {
		status->gone = line[7] == 'Z' || line[7] == 'X';
	} else if (!strncmp(line, "SigBlk:\t", 8)) {
		uint64_t mask = 0;

		for (line += 8; hex_digit(*line) >= 0; line++)
			mask = mask << 4 | (uint64_t)hex_digit(*line);
		status->blocks = mask >> (signal - 1) & 1;
	}
}

/* The line of supplementary groups can be of any length, so the file goes through a window. */
static int read_status(int fd, int signal, struct pal__task_status *status)
{
	char chunk[512], line[64];
	size_t used = 0;
	long count;

	while ((count = syscall(SYS_read, fd, chunk, sizeof chunk)) > 0) {
		for (long i = 0; i < count; i++) {
			if (chunk[i] != '\n') {
				if (used < sizeof line - 1)
					line[used++] = chunk[i];
				continue;
			}
			line[used] = 0;
			read_line(line, signal, status);
			used = 0;
		}
	}
	return count < 0 ? -errno : 0;
}

int pal__task_status(int task_fd, pid_t tid, int signal, struct pal__task_status *ret)
{
	struct pal__task_status status = {.name = "?"};
	char path[32];
	long fd;
	int result;

	status_path(path, tid);
	fd = syscall(SYS_openat, task_fd, path, O_RDONLY | O_CLOEXEC);
	result = fd < 0 ? -errno : read_status((int)fd, signal, &status);
	if (fd >= 0)
		syscall(SYS_close, (int)fd);
	if (result == -ENOENT || result == -ESRCH)
		status.gone = true;
	else if (result < 0)
		return result;
	*ret = status;
	return 0;
}

static pid_t to_tid(const char *name)
{
	pid_t tid = 0;

	for (; *name >= '0' && *name <= '9'; name++)
		tid = tid * 10 + (*name - '0');
	return *name ? 0 : tid;
}

int pal__task_for_each(int task_fd, int (*visit)(pid_t tid, void *arg), void *arg)
{
	_Alignas(struct dirent64) char entries[4096];
	long count;

	if (syscall(SYS_lseek, task_fd, 0L, SEEK_SET) < 0)
		return -errno;
	while ((count = syscall(SYS_getdents64, task_fd, entries, sizeof entries)) > 0) {
		for (long at = 0; at < count;) {
			const struct dirent64 *entry = (const void *)(entries + at);
			pid_t tid = to_tid(entry->d_name);
			int result = tid ? visit(tid, arg) : 0;

			if (result)
				return result;
			at += entry->d_reclen;
		}
	}
	return count < 0 ? -errno : 0;
}
