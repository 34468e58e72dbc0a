/* SPDX-License-Identifier: MIT */
#include <spawn_preload/spawn_preload-priv.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/*
 * posix_spawn_file_actions_*: a list that grows. What a number may be is decided
 * when the action is added, with the limit of that moment; whether it is open,
 * in the child.
 */

#define GROWTH 8

static bool is_valid_fd(int fd)
{
	long limit = sysconf(_SC_OPEN_MAX);

	return fd >= 0 && (limit < 0 || fd < limit);
}

static int append(posix_spawn_file_actions_t *actions, const struct __spawn_action *action)
{
	if (actions->__used == actions->__allocated) {
		struct __spawn_action *grown = reallocarray(actions->__actions,
			(size_t)actions->__allocated + GROWTH, sizeof *grown);

		if (!grown)
			return ENOMEM;
		actions->__actions = grown;
		actions->__allocated += GROWTH;
	}
	actions->__actions[actions->__used++] = *action;
	return 0;
}

/* Of the actions that have nothing but a descriptor. */
static int append_fd(posix_spawn_file_actions_t *actions, enum spawn_preload__tag tag, int fd)
{
	const struct __spawn_action action = {.tag = tag, .of.fd = fd};

	return is_valid_fd(fd) ? append(actions, &action) : EBADF;
}

SPAWN_PRELOAD_EXPORT int posix_spawn_file_actions_init(posix_spawn_file_actions_t *actions)
{
	memset(actions, 0, sizeof *actions);
	return 0;
}

SPAWN_PRELOAD_EXPORT int posix_spawn_file_actions_destroy(posix_spawn_file_actions_t *actions)
{
	for (int i = 0; i < actions->__used; i++) {
		struct __spawn_action *action = &actions->__actions[i];

		if (action->tag == SPAWN_PRELOAD__OPEN)
			free(action->of.open.path);
		else if (action->tag == SPAWN_PRELOAD__CHDIR)
			free(action->of.path);
	}
	free(actions->__actions);
	return 0;
}

/* The path is copied: the caller's may change before the spawn (CVE-2014-4043). */
SPAWN_PRELOAD_EXPORT int posix_spawn_file_actions_addopen(
	posix_spawn_file_actions_t *restrict actions, int fd, const char *restrict path, int flags,
	mode_t mode)
{
	struct __spawn_action action = {.tag = SPAWN_PRELOAD__OPEN,
		.of.open = {.fd = fd, .flags = flags, .mode = mode}};
	int r;

	if (!is_valid_fd(fd))
		return EBADF;
	action.of.open.path = strdup(path);
	if (!action.of.open.path)
		return ENOMEM;
	r = append(actions, &action);
	if (r)
		free(action.of.open.path);
	return r;
}

SPAWN_PRELOAD_EXPORT int posix_spawn_file_actions_addclose(
	posix_spawn_file_actions_t *actions, int fd)
{
	return append_fd(actions, SPAWN_PRELOAD__CLOSE, fd);
}

SPAWN_PRELOAD_EXPORT int posix_spawn_file_actions_adddup2(
	posix_spawn_file_actions_t *actions, int fd, int to)
{
	const struct __spawn_action action = {
		.tag = SPAWN_PRELOAD__DUP2, .of.dup2 = {.fd = fd, .to = to}};

	return is_valid_fd(fd) && is_valid_fd(to) ? append(actions, &action) : EBADF;
}

SPAWN_PRELOAD_EXPORT int posix_spawn_file_actions_addchdir_np(
	posix_spawn_file_actions_t *restrict actions, const char *restrict path)
{
	struct __spawn_action action = {.tag = SPAWN_PRELOAD__CHDIR, .of.path = strdup(path)};
	int r = action.of.path ? append(actions, &action) : ENOMEM;

	if (r)
		free(action.of.path);
	return r;
}

/* The only one that takes any number, as glibc 2.36. */
SPAWN_PRELOAD_EXPORT int posix_spawn_file_actions_addfchdir_np(
	posix_spawn_file_actions_t *actions, int fd)
{
	return append(actions,
		&(struct __spawn_action){.tag = SPAWN_PRELOAD__FCHDIR, .of.fd = fd});
}

SPAWN_PRELOAD_EXPORT int posix_spawn_file_actions_addclosefrom_np(
	posix_spawn_file_actions_t *actions, int from)
{
	return append_fd(actions, SPAWN_PRELOAD__CLOSE_FROM, from);
}

SPAWN_PRELOAD_EXPORT int posix_spawn_file_actions_addtcsetpgrp_np(
	posix_spawn_file_actions_t *actions, int terminal)
{
	return append_fd(actions, SPAWN_PRELOAD__FOREGROUND, terminal);
}
