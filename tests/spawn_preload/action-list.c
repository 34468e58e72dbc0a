/* SPDX-License-Identifier: MIT */
#include "action-list.h"

#include <fcntl.h>
#include <limits.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

int add_action(posix_spawn_file_actions_t *actions, const char *word)
{
	char path[PATH_MAX] = "";
	int a, b;

	if (sscanf(word, "close %d", &a) == 1)
		return posix_spawn_file_actions_addclose(actions, a);
	if (sscanf(word, "dup2 %d %d", &a, &b) == 2)
		return posix_spawn_file_actions_adddup2(actions, a, b);
	if (sscanf(word, "open %d %s %i", &a, path, &b) == 3)
		return posix_spawn_file_actions_addopen(actions, a, path, b, 0666);
	if (sscanf(word, "chdir %s", path) == 1)
		return posix_spawn_file_actions_addchdir_np(actions, path);
	if (sscanf(word, "fchdir %d", &a) == 1)
		return posix_spawn_file_actions_addfchdir_np(actions, a);
	if (sscanf(word, "closefrom %d", &a) == 1)
		return posix_spawn_file_actions_addclosefrom_np(actions, a);
	if (sscanf(word, "tty %d", &a) == 1)
		return posix_spawn_file_actions_addtcsetpgrp_np(actions, a);
	must(!"a known action");
	return -1;
}

void add_list(posix_spawn_file_actions_t *actions, const char *list)
{
	char copy[512], *rest = copy, *word;

	must(strlen(list) < sizeof copy);
	strcpy(copy, list);
	while ((word = strsep(&rest, ",")))
		if (*word)
			must(add_action(actions, word + strspn(word, " ")) == 0);
}

void show_list(const char *list, const char *items)
{
	posix_spawn_file_actions_t actions;

	must(posix_spawn_file_actions_init(&actions) == 0);
	add_list(&actions, list);
	show(list, items, &actions, NULL);
	must(posix_spawn_file_actions_destroy(&actions) == 0);
}

int open_at(int number, const char *path, int flags)
{
	int fd = open(path, flags | O_CREAT, 0666);

	must(fd >= 0);
	if (fd != number) {
		must(dup3(fd, number, flags & O_CLOEXEC) == number);
		close(fd);
	}
	return number;
}
