/* SPDX-License-Identifier: MIT */
#include <mesh_process/mesh_process-priv.h>

#include <errno.h>
#include <string.h>
#include <unistd.h>

/* Removes the first entry of that name from environ and returns it, NULL when there is none. */
static char *remove_entry(const char *name)
{
	size_t length = strlen(name);
	char **at = environ, *entry;

	while (at && *at && (strncmp(*at, name, length) || (*at)[length] != '='))
		at++;
	if (!at || !*at)
		return NULL;
	entry = *at;
	do {
		at[0] = at[1];
	} while (*at++);
	return entry;
}

int mesh_process__environ_take(const char *name, char **ret)
{
	char *value = NULL, *entry;
	int result = 0;

	/* A name may be there more than once: getenv(3) finds the first, but all are to be gone. */
	while ((entry = remove_entry(name))) {
		if (!value && !result) {
			value = strdup(entry + strlen(name) + 1);
			result = value ? 0 : -ENOMEM;
		}
		/*
		 * At the start of a program its environment's strings are still those that
		 * execve(2) put on the stack, and which /proc/PID/environ shows: whoever
		 * may read that file need not learn the ids in there.
		 */
		explicit_bzero(entry, strlen(entry));
	}
	*ret = value;
	return result;
}
