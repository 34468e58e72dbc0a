/* SPDX-License-Identifier: MIT */
#include <pal/spawn-child-priv.h>

#include <fcntl.h>
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
		return pal__child_close_from((unsigned)step->fd, NULL, 0, carried);
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
