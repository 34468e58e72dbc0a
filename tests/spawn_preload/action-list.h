/* SPDX-License-Identifier: MIT */
#ifndef PROCMESH_TESTS_SPAWN_PRELOAD_ACTION_LIST_H
#define PROCMESH_TESTS_SPAWN_PRELOAD_ACTION_LIST_H

#include "cases.h"

/*
 * File actions in one line: "close 3, dup2 4 1, open 5 name flags, chdir name,
 * fchdir 3, closefrom 3, tty 0".
 */
int add_action(posix_spawn_file_actions_t *actions, const char *word); /* one; what libc's function returns */
void add_list(posix_spawn_file_actions_t *actions, const char *list);
/* show() with the list as label and actions. */
void show_list(const char *list, const char *items);

/* Octal numbers of flags in the lists. */
#define R "00"
#define W "01"
#define RW "02"
#define CREATE "0101"     /* O_WRONLY | O_CREAT */
#define EXCLUSIVE "0301"  /* O_WRONLY | O_CREAT | O_EXCL */
#define APPEND "02101"    /* O_WRONLY | O_CREAT | O_APPEND */
#define TRUNCATE "01001"  /* O_WRONLY | O_TRUNC */
#define CLOEXEC "02000000"

/* Makes the file where it is missing. */
int open_at(int number, const char *path, int flags);

#endif
