/* SPDX-License-Identifier: MIT */
#include <pal/proc-stat-priv.h>

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <pal/util-priv.h>

#define PF_FORKNOEXEC 0x40u /* "forked but didn't exec": proc(5) names the file, the kernel's sched.h the bit */

bool pal__stat_never_executed(const char *text, pid_t parent)
{
	const char *fields = strrchr(text, ')'); /* the name before may hold anything */
	int ppid;
	unsigned flags;

	if (!fields || sscanf(fields, ") %*c %d %*d %*d %*d %*d %u", &ppid, &flags) != 2)
		return false;
	/* Another parent: /proc belongs to another pid namespace, and this is not our child. */
	return ppid == (int)parent && (flags & PF_FORKNOEXEC);
}

bool pal__never_executed(pid_t pid)
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
	return pal__stat_never_executed(text, getpid());
}
