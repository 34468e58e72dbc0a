/* SPDX-License-Identifier: MIT */
#include <pal/spawn-child-priv.h>

#include <fcntl.h>
#include <stdint.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

/* The steps of steps.h, one after the other, under the rules at the top of spawn-child.c. */

/* The number is free before the file is opened, as POSIX wants it: some files can be open only once. */
static int open_as(const struct pal__step *step)
{
	int fd, r;

	syscall(SYS_close, step->fd);
	fd = pal__child_result(
		syscall(SYS_openat, AT_FDCWD, step->path, step->flags | O_LARGEFILE, step->mode));
	if (fd < 0 || fd == step->fd)
		return fd;
	r = pal__child_result(syscall(SYS_dup3, fd, step->fd, step->flags & O_CLOEXEC));
	syscall(SYS_close, fd);
	return r;
}

static int duplicate(int from, int to)
{
	if (from == to)
		return pal__child_result(syscall(SYS_fcntl, from, F_SETFD, 0));
	return pal__child_result(syscall(SYS_dup3, from, to, 0));
}

static int close_one(int fd)
{
	struct rlimit limit;
	int r = pal__child_result(syscall(SYS_close, fd));

	if (r == -EBADF && syscall(SYS_prlimit64, 0, RLIMIT_NOFILE, NULL, &limit) >= 0 &&
		(rlim_t)fd >= limit.rlim_cur)
		return r;
	return 0;
}

/* Not stopped by SIGTTOU, although the group is in the background: all signals are blocked. */
static int to_foreground(int fd)
{
	pid_t group = (pid_t)syscall(SYS_getpgid, 0);

	return pal__child_result(syscall(SYS_ioctl, fd, TIOCSPGRP, &group));
}

struct entry { /* of getdents64(2) */
	uint64_t inode;
	int64_t offset;
	unsigned short length;
	unsigned char type;
	char name[];
};

/* -1: it is no number. */
static int number_of(const char *name)
{
	int number = 0;

	for (; *name >= '0' && *name <= '9'; name++)
		number = number * 10 + (*name - '0');
	return *name ? -1 : number;
}

static bool is_carried(int fd, const int carried[PAL__CARRIED])
{
	for (int i = 0; i < PAL__CARRIED; i++)
		if (carried[i] == fd)
			return true;
	return false;
}

/* Closes those of one read of the list. How many, or a negative errno; *ret_end: nothing was left to read. */
static int close_listed(int list, int from, const int carried[PAL__CARRIED], bool *ret_end)
{
	char buffer[1024] __attribute__((aligned(__alignof__(struct entry))));
	int length = pal__child_result(syscall(SYS_getdents64, list, buffer, sizeof buffer));
	int closed = 0;

	*ret_end = length == 0;
	for (int at = 0; at < length;) {
		const struct entry *entry = (const void *)(buffer + at);
		int fd = number_of(entry->name);

		at += entry->length;
		if (fd < from || fd == list || is_carried(fd, carried))
			continue;
		syscall(SYS_close, fd);
		closed++;
	}
	return length < 0 ? length : closed;
}

/* What a list may say of numbers that are closed while it is read is unspecified: again, until one shows none. */
static int close_by_list(int from, const int carried[PAL__CARRIED])
{
	int list = pal__child_result(syscall(SYS_openat, AT_FDCWD, "/proc/self/fd",
		O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_LARGEFILE, 0));
	int closed = 0, r = list < 0 ? list : 0;
	bool end = false;

	while (r >= 0 && !end) {
		r = close_listed(list, from, carried, &end);
		closed += r > 0 ? r : 0;
		if (r >= 0 && end && closed > 0) {
			r = pal__child_result(syscall(SYS_lseek, list, 0L, SEEK_SET));
			closed = 0;
			end = false;
		}
	}
	if (list >= 0)
		syscall(SYS_close, list);
	return r < 0 ? r : 0;
}

/* As closefrom(3), where a filter or an old kernel refuses close_range(2). */
static int close_from(int from, const int carried[PAL__CARRIED])
{
	int r = pal__child_close_from((unsigned)from, NULL, 0, carried);

	return r < 0 && close_by_list(from, carried) >= 0 ? 0 : r;
}

static int make_step(const struct pal__step *step, const int carried[PAL__CARRIED])
{
	switch (step->kind) {
	case PAL__STEP_OPEN:
		return open_as(step);
	case PAL__STEP_DUP2:
		return duplicate(step->fd, step->to);
	case PAL__STEP_CLOSE:
		return close_one(step->fd);
	case PAL__STEP_CLOSE_FROM:
		return close_from(step->fd, carried);
	case PAL__STEP_CHDIR:
		return pal__child_result(syscall(SYS_chdir, step->path));
	case PAL__STEP_FCHDIR:
		return pal__child_result(syscall(SYS_fchdir, step->fd));
	case PAL__STEP_FOREGROUND:
		return to_foreground(step->fd);
	}
	return -EINVAL;
}

int pal__child_walk(
	const struct pal__plan *plan, struct pal__report *report, const int carried[PAL__CARRIED])
{
	const struct pal__steps *steps = plan->steps;

	for (size_t i = 0; i < steps->count; i++) {
		int r = make_step(&steps->items[i], carried);

		if (r < 0)
			return pal__report_fail(report, PAL_STAGE_STEP, (int)i, r);
	}
	return 0;
}
