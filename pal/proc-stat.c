/* SPDX-License-Identifier: MIT */
#include <pal/proc-stat-priv.h>

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <pal/private.h>
#include <pal/util-priv.h>

/* Bits of the field "flags" of proc(5), from the kernel's sched.h. */
#define PF_EXITING 0x4u
#define PF_FORKNOEXEC 0x40u /* "forked but didn't exec" */

/*
 * The vfork parent of a child may see any of these: execve clears the one bit
 * only after it has let that parent go on, while a dying process sets the other
 * before that.
 */
enum pal__progress pal__stat_progress(const char *text, pid_t parent)
{
	const char *fields = strrchr(text, ')'); /* the name before may hold anything */
	int ppid;
	unsigned flags;

	if (!fields || sscanf(fields, ") %*c %d %*d %*d %*d %*d %u", &ppid, &flags) != 2)
		return PAL__PROGRESS_UNKNOWN;
	/* Another parent: /proc belongs to another pid namespace, and this is not our child. */
	if (ppid != (int)parent)
		return PAL__PROGRESS_UNKNOWN;
	if (!(flags & PF_FORKNOEXEC))
		return PAL__PROGRESS_EXECUTED;
	return flags & PF_EXITING ? PAL__PROGRESS_DIED : PAL__PROGRESS_NOT_YET;
}

enum pal__progress pal__progress(pid_t pid)
{
	char path[64], text[512];
	ssize_t size = -1;
	bool held;
	int fd;

	snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
	held = pal_private_begin(); /* until it is closed: no fork has it */
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd >= 0)
		size = read(fd, text, sizeof text - 1);
	pal_close(fd);
	pal_private_end(held);
	if (size <= 0)
		return PAL__PROGRESS_UNKNOWN;
	text[size] = 0;
	return pal__stat_progress(text, getpid());
}
