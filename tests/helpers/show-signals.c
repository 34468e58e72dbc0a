/* SPDX-License-Identifier: MIT */
#include <stdio.h>
#include <string.h>

/* show-signals: the Sig... lines of /proc/self/status that a program can inherit. */
int main(void)
{
	FILE *status = fopen("/proc/self/status", "re");
	char line[256];

	while (status && fgets(line, sizeof line, status))
		if (!strncmp(line, "SigBlk", 6) || !strncmp(line, "SigIgn", 6) ||
			!strncmp(line, "SigCgt", 6))
			fputs(line, stdout);
	return !status;
}
