/* SPDX-License-Identifier: MIT */
#include <pal/proc-stat-priv.h>

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <pal/util-priv.h>

/* Bits of the field "flags" of proc(5), from the kernel's sched.h. */
#define PF_EXITING 0x4u
#define PF_FORKNOEXEC 0x40u /* "forked but didn't exec" */

/*
 * Both bits: execve clears the one only after it has let a vfork parent go on,
 * while a dying process sets the other before that.
 */
bool pal__stat_died_unexecuted(const char *text, pid_t parent)
{
	const unsigned died = PF_EXITING | PF_FORKNOEXEC;
	const char *fields = strrchr(text, ')'); /* the name before may hold anything */
	int ppid;
	unsigned flags;

	if (!fields || sscanf(fields, ") %*c %d %*d %*d %*d %*d %u", &ppid, &flags) != 2)
		return false;
	/* Another parent: /proc belongs to another pid namespace, and this is not our child. */
	return ppid == (int)parent && (flags & died) == died;
}

bool pal__died_unexecuted(pid_t pid)
{
	char path[64], text[512];
	ssize_t size;
	int fd;

	snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return false;
	size = read(fd, text, sizeof text - 1);
	pal_close(fd);
	if (size <= 0)
		return false;
	text[size] = 0;
	return pal__stat_died_unexecuted(text, getpid());
}
