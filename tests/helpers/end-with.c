/* SPDX-License-Identifier: MIT */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/*
 * end-with exit N      exits with N
 * end-with signal N    kills itself
 * end-with stdin       exits with 0 at the end of its input
 * end-with kill        ignores SIGTERM, writes "ready" and leaves the rest to SIGKILL
 * end-with nothing     waits for a signal
 */
int main(int argc, char **argv)
{
	const char *how = argc > 1 ? argv[1] : "";
	int number = argc > 2 ? atoi(argv[2]) : 0;
	char byte;

	if (!strcmp(how, "exit"))
		exit(number);
	if (!strcmp(how, "signal"))
		raise(number);
	else if (!strcmp(how, "stdin"))
		while (read(0, &byte, 1) > 0)
			;
	else if (!strcmp(how, "kill")) {
		signal(SIGTERM, SIG_IGN);
		dprintf(1, "ready\n");
		for (;;)
			pause();
	} else if (!strcmp(how, "nothing"))
		pause();
	return 0;
}
