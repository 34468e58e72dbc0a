/* SPDX-License-Identifier: MIT */

/* A child that writes 1 MiB to its standard output; as small as tiny.c. */
#include <sys/syscall.h>
#include <unistd.h>

static char block[1 << 16];

void _start(void);
void _start(void)
{
	for (int i = 0; i < 16; i++) {
		long left = sizeof block;

		while (left > 0) {
			long written = syscall(SYS_write, 1, block + sizeof block - left, left);

			if (written <= 0)
				_exit(1);
			left -= written;
		}
	}
	_exit(0);
}
