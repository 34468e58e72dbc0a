/* SPDX-License-Identifier: MIT */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

/* show-fds [N]: one line "number device:inode" per open descriptor, to descriptor N (1). */
int main(int argc, char **argv)
{
	DIR *dir = opendir("/proc/self/fd");
	struct dirent *entry;

	while (dir && (entry = readdir(dir))) {
		int fd = atoi(entry->d_name);
		struct stat info;

		if (entry->d_name[0] != '.' && fd != dirfd(dir) && fstat(fd, &info) == 0)
			dprintf(argc > 1 ? atoi(argv[1]) : 1, "%d %lx:%lx\n", fd,
				(unsigned long)info.st_dev, (unsigned long)info.st_ino);
	}
	return !dir;
}
