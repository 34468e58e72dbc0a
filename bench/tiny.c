/* SPDX-License-Identifier: MIT */

/*
 * What bench-spawn spawns: static and without the C library's start-up, so that
 * the work of the program does not hide that of the spawn.
 */
#include <unistd.h>

void _start(void);
void _start(void)
{
	_exit(0);
}
