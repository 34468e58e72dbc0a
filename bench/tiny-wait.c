/* SPDX-License-Identifier: MIT */

/* A child that is there until its standard input ends; as small as tiny.c. */
#include <sys/syscall.h>
#include <unistd.h>

void _start(void);
void _start(void)
{
	char byte;

	/* without the start-up there is no thread data, which libc's own read looks at */
	while (syscall(SYS_read, 0, &byte, 1) > 0)
		;
	_exit(0);
}
