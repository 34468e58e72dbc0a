/* SPDX-License-Identifier: MIT */
#include <stdio.h>
#include <sys/stat.h>

#define HIGHEST 64

/*
 * match-fds NUMBER:INODE...: exit 0 if exactly these descriptors are open, of those
 * below HIGHEST, each on the file of that inode; or else 100 + the first that is
 * wrong. It opens nothing itself.
 */
int main(int argc, char **argv)
{
	unsigned long inodes[HIGHEST] = {0};

	for (int i = 1; i < argc; i++) {
		unsigned long inode;
		int fd;

		if (sscanf(argv[i], "%d:%lu", &fd, &inode) != 2 || fd < 0 || fd >= HIGHEST)
			return 99;
		inodes[fd] = inode;
	}
	for (int fd = 0; fd < HIGHEST; fd++) {
		struct stat info;

		if (fstat(fd, &info) < 0)
			info.st_ino = 0;
		if (info.st_ino != inodes[fd])
			return 100 + fd;
	}
	return 0;
}
