/* SPDX-License-Identifier: MIT */
#ifndef PROCMESH_TESTS_SPAWN_PRELOAD_CASES_H
#define PROCMESH_TESTS_SPAWN_PRELOAD_CASES_H

#include <spawn.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

/*
 * A program that only knows posix_spawn(3) and its relatives. It prints what they
 * do, one line an observation, nothing that differs from run to run: so its
 * output without and with the preloaded library can be compared, and both with
 * spawn-cases.expected.
 *
 * Each case is a process of its own, in an empty directory, with descriptors 0, 1
 * and 2 only.
 */
struct spawn_case {
	const char *name;
	void (*run)(void);
};

extern const struct spawn_case attribute_cases[], signal_cases[], action_cases[], descriptor_cases[],
	program_cases[], parent_cases[], system_cases[], popen_cases[], root_cases[], realtime_cases[],
	beyond_cases[];

/* "case: " and the text. */
void say(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* "0", "EBADF"; of a negative number that of errno, as after functions that return -1. */
const char *name_of(int error);

/* This program, to be spawned: it shows what `items` name, comma-separated: see show.c. */
extern const char *self;
#define SHOWN "shown" /* the file that it writes to, in the directory of the case */

/* Spawns it and says "label: 0 items", or "label: ENOENT" where that fails, or how it ended. */
void show(const char *label, const char *items, const posix_spawn_file_actions_t *actions,
	const posix_spawnattr_t *attributes);

/* For children whose working directory is going to be another. */
void show_in_this_folder(void);

/* After posix_spawn has returned `r`: waits, says the same. */
void say_shown(const char *label, int r, pid_t pid);

/* "exit 3", "signal 9", "gone: ECHILD". Valid until the next call. */
const char *ending_of(pid_t pid);
const char *status_text(int status);

/* Ends the program of the tests with a message where its own means fail. */
#define must(condition) \
	do { \
		if (!(condition)) \
			must_failed(__FILE__, __LINE__, #condition); \
	} while (0)
void must_failed(const char *file, int line, const char *condition) __attribute__((noreturn));

void write_file(const char *path, const char *text, mode_t mode);
/* "" where there is no such file. Valid until the next call. */
const char *read_file(const char *path);
size_t open_fds(void);

int show_main(char **argv);

#endif
