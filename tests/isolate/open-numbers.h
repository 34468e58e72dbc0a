/* SPDX-License-Identifier: MIT */
#ifndef PROCMESH_TESTS_OPEN_NUMBERS_H
#define PROCMESH_TESTS_OPEN_NUMBERS_H

/* Which descriptors there are, and which there have been before. */
#include <fcntl.h>
#include <stdbool.h>

#define OPEN_NUMBERS 256

struct open_numbers {
	bool open[OPEN_NUMBERS];
};

static inline struct open_numbers open_now(void)
{
	struct open_numbers now = {{false}};

	for (int fd = 0; fd < OPEN_NUMBERS; fd++)
		now.open[fd] = fcntl(fd, F_GETFD) >= 0;
	return now;
}

static inline int count_new(const struct open_numbers *before)
{
	int count = 0;

	for (int fd = 0; fd < OPEN_NUMBERS; fd++)
		count += fcntl(fd, F_GETFD) >= 0 && !before->open[fd];
	return count;
}

#endif
