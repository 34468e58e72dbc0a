/* SPDX-License-Identifier: MIT */
#ifndef PROCMESH_SPAWN_PRELOAD_PRIV_H
#define PROCMESH_SPAWN_PRELOAD_PRIV_H

#include <pal/error.h>
#include <spawn.h>
#include <stdbool.h>
#include <sys/types.h>

/*
 * libprocmesh-spawn-preload.so: posix_spawn(3) and its relatives of glibc 2.36, on
 * pal, to be preloaded into programs that cannot be changed. Everything that is
 * observable is glibc's: results, errors, what the child finds. Where a comment
 * here says "as glibc", tests/spawn_preload/spawn-cases.c has the case.
 */

/* libc's declarations have no visibility: this gives it to the definitions. */
#define SPAWN_PRELOAD_EXPORT __attribute__((visibility("default")))

/* ---- file actions ---- */

enum spawn_preload__tag {
	SPAWN_PRELOAD__CLOSE,
	SPAWN_PRELOAD__DUP2,
	SPAWN_PRELOAD__OPEN,
	SPAWN_PRELOAD__CHDIR,
	SPAWN_PRELOAD__FCHDIR,
	SPAWN_PRELOAD__CLOSE_FROM,
	SPAWN_PRELOAD__FOREGROUND,
};

/*
 * posix_spawn_file_actions_t points to an array of these. Its form is not ours
 * to choose freely: a library that was loaded with RTLD_DEEPBIND keeps glibc's
 * functions, and one object may be filled by the ones and used by the others.
 * So this is what glibc has had there since 2.29.
 */
struct __spawn_action {
	enum spawn_preload__tag tag;
	union {
		int fd; /* closed, entered, of a terminal; the first to be closed */
		struct {
			int fd;
			int to;
		} dup2;
		struct {
			int fd;
			char *path;
			int flags;
			mode_t mode;
		} open;
		char *path; /* entered */
	} of;
};

/* ---- starting a child ---- */

/* How the program is found. */
enum spawn_preload__find { SPAWN_PRELOAD__PATHNAME, SPAWN_PRELOAD__SEARCH };

/*
 * Starts a child that the caller waits for: 0, or a positive errno as
 * posix_spawn(3) returns it, with *ret_pid untouched. `function` is for the trace.
 */
int spawn_preload__start(const char *function, enum spawn_preload__find find, pid_t *ret_pid,
	const char *program, const posix_spawn_file_actions_t *actions,
	const posix_spawnattr_t *attributes, char *const argv[], char *const envp[]);

/* The shell that system(3) and popen(3) run. */
#define SPAWN_PRELOAD__SHELL "/bin/sh"
int spawn_preload__start_shell(const char *function, pid_t *ret_pid, const char *command,
	const posix_spawn_file_actions_t *actions, const posix_spawnattr_t *attributes);

/* ---- the profile that PROCMESH_PROFILE asks for ---- */

struct pal_builder;

/*
 * To be called last, so that nothing replaces what it sets. 0, also where none is asked for, or a
 * negative errno, with `error`: then nothing may be started.
 */
int spawn_preload__confine(struct pal_builder *builder, struct pal_error *error);
/* The positive errno for the caller of posix_spawn(3): EPERM where it is the profile that failed. */
int spawn_preload__code(const struct pal_error *error);
/* Whether this one, of a shell, means that there may be no child. */
bool spawn_preload__is_refusal(int code);

/* ---- locks that no fork leaves shut ---- */

enum spawn_preload__lock {
	SPAWN_PRELOAD__LOCK_STREAMS,  /* of popen */
	SPAWN_PRELOAD__LOCK_KEYBOARD, /* dispositions that system(3) changes */
	SPAWN_PRELOAD__LOCKS
};
void spawn_preload__lock(enum spawn_preload__lock lock);
void spawn_preload__unlock(enum spawn_preload__lock lock);

/* ---- the trace ---- */

/* A line in the file that PROCMESH_SPAWN_TRACE names, if it does. Keeps errno. `pid` < 0: failed, see `error`. */
void spawn_preload__trace(
	const char *function, const char *program, pid_t pid, const struct pal_error *error);

#endif
