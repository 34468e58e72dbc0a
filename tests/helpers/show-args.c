/* SPDX-License-Identifier: MIT */
#include <stdio.h>
#include <unistd.h>

/* show-args: the folder, then each argument, then each environment variable, one per line with its kind. */
int main(int argc, char **argv)
{
	char *cwd = getcwd(NULL, 0);

	printf("cwd %s\n", cwd ? cwd : "?");
	for (int i = 0; i < argc; i++)
		printf("arg %s\n", argv[i]);
	for (char **variable = environ; *variable; variable++)
		printf("env %s\n", *variable);
	return 0;
}
