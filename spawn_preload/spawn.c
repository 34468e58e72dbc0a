/* SPDX-License-Identifier: MIT */
#include <spawn_preload/spawn_preload-priv.h>

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <string.h>
#include <unistd.h>

#include <pal/builder.h>
#include <pal/child.h>
#include <pal/process.h>
#include <pal/steps.h>
#include <pal/util-priv.h>

/* ---- attributes ---- */

static void set_signals(struct pal_builder *builder, const posix_spawnattr_t *attributes)
{
	short flags = attributes->__flags;

	pal_builder_keep_ignored_signals(
		builder, flags & POSIX_SPAWN_SETSIGDEF ? &attributes->__sd : NULL);
	if (flags & POSIX_SPAWN_SETSIGMASK)
		pal_builder_signal_mask(builder, &attributes->__ss);
	else
		pal_builder_keep_signal_mask(builder);
}

/* Either flag brings the priority, only one the policy, too. */
static void set_scheduler(struct pal_builder *builder, const posix_spawnattr_t *attributes)
{
	int priority = attributes->__sp.sched_priority;

	if (attributes->__flags & POSIX_SPAWN_SETSCHEDULER)
		pal_builder_scheduler(builder, attributes->__policy, priority);
	else if (attributes->__flags & POSIX_SPAWN_SETSCHEDPARAM)
		pal_builder_scheduler_priority(builder, priority);
}

static int set_attributes(struct pal_builder *builder, const posix_spawnattr_t *attributes)
{
	short flags = attributes->__flags;

	set_signals(builder, attributes);
	set_scheduler(builder, attributes);
	if (flags & POSIX_SPAWN_SETSID)
		pal_builder_setsid(builder, true);
	if (flags & POSIX_SPAWN_SETPGROUP) {
		if (attributes->__pgrp < 0) /* to pal -1 is "stays", to setpgid(2) an error */
			return -EINVAL;
		pal_builder_process_group(builder, attributes->__pgrp);
	}
	if (flags & POSIX_SPAWN_RESETIDS)
		pal_builder_reset_ids(builder, true);
	return 0;
}

/* ---- file actions ---- */

/* Whether the action puts something else on this number, or nothing. */
static bool replaces(const struct __spawn_action *action, int fd)
{
	switch (action->tag) {
	case SPAWN_PRELOAD__CLOSE:
		return action->of.fd == fd;
	case SPAWN_PRELOAD__DUP2: /* onto itself: clears close-on-exec */
		return action->of.dup2.to == fd;
	case SPAWN_PRELOAD__OPEN:
		return action->of.open.fd == fd;
	case SPAWN_PRELOAD__CLOSE_FROM:
		return action->of.fd <= fd;
	default:
		return false;
	}
}

/* Whether the child has this number open when it comes to the action `index`. */
static bool is_open_at(const posix_spawn_file_actions_t *actions, int index, int fd)
{
	bool is_open = fcntl(fd, F_GETFD) >= 0;

	for (int i = 0; i < index; i++) {
		const struct __spawn_action *action = &actions->__actions[i];

		if (replaces(action, fd))
			is_open = action->tag == SPAWN_PRELOAD__OPEN || action->tag == SPAWN_PRELOAD__DUP2;
	}
	return is_open;
}

/*
 * glibc closes the number, opens the file, and where that has got another number
 * moves it by dup2(2), which loses O_CLOEXEC. So the flag means something only if
 * no lower number is free.
 */
static int open_flags(const posix_spawn_file_actions_t *actions, int index)
{
	const struct __spawn_action *action = &actions->__actions[index];
	int flags = action->of.open.flags;

	for (int fd = 0; fd < action->of.open.fd && flags & O_CLOEXEC; fd++)
		if (!is_open_at(actions, index, fd))
			flags &= ~O_CLOEXEC;
	return flags;
}

static void add_step(
	struct pal_builder *builder, const posix_spawn_file_actions_t *actions, int index)
{
	const struct __spawn_action *action = &actions->__actions[index];

	switch (action->tag) {
	case SPAWN_PRELOAD__CLOSE:
		pal_builder_step_close(builder, action->of.fd);
		break;
	case SPAWN_PRELOAD__DUP2:
		pal_builder_step_dup2(builder, action->of.dup2.fd, action->of.dup2.to);
		break;
	case SPAWN_PRELOAD__OPEN:
		pal_builder_step_open(builder, action->of.open.fd, action->of.open.path,
			open_flags(actions, index), action->of.open.mode);
		break;
	case SPAWN_PRELOAD__CHDIR:
		pal_builder_step_chdir(builder, action->of.path);
		break;
	case SPAWN_PRELOAD__FCHDIR: /* a negative number is an error of the child, as any other */
		pal_builder_step_fchdir(builder, action->of.fd < 0 ? INT_MAX : action->of.fd);
		break;
	case SPAWN_PRELOAD__CLOSE_FROM:
		pal_builder_step_close_from(builder, action->of.fd);
		break;
	case SPAWN_PRELOAD__FOREGROUND:
		pal_builder_step_foreground(builder, action->of.fd);
		break;
	}
}

/*
 * A standard stream that is close-on-exec here is closed in the child unless an
 * action replaces it. A builder hands streams on whatever their flag is; so it
 * is told to close them, last, because actions may use them before.
 */
static void close_unwanted_streams(
	struct pal_builder *builder, const posix_spawn_file_actions_t *actions)
{
	for (int fd = 0; fd < 3; fd++) {
		int flags = fcntl(fd, F_GETFD);
		bool replaced = false;

		for (int i = 0; actions && i < actions->__used; i++)
			replaced = replaced || replaces(&actions->__actions[i], fd);
		if (flags >= 0 && flags & FD_CLOEXEC && !replaced)
			pal_builder_step_close(builder, fd);
	}
}

static void set_actions(struct pal_builder *builder, const posix_spawn_file_actions_t *actions)
{
	pal_builder_close_others(builder, false);
	for (int i = 0; actions && i < actions->__used; i++)
		add_step(builder, actions, i);
	close_unwanted_streams(builder, actions);
}

/* ---- the program ---- */

static void set_arguments(struct pal_builder *builder, char *const argv[], char *const envp[])
{
	static const char *const nothing[] = {NULL};

	/* without any the kernel gives an empty one since Linux 5.18; older ones would give none */
	pal_builder_arg0(builder, argv[0] ? argv[0] : "");
	if (argv[0])
		pal_builder_args(builder, (const char *const *)argv + 1);
	pal_builder_env_verbatim(builder, envp ? (const char *const *)envp : nothing);
}

static int set_up(struct pal_builder *builder, enum spawn_preload__find find,
	const posix_spawn_file_actions_t *actions, const posix_spawnattr_t *attributes,
	char *const argv[], char *const envp[])
{
	static const posix_spawnattr_t defaults;

	pal_builder_search(builder,
		find == SPAWN_PRELOAD__SEARCH ? PAL_SEARCH_RELATIVE : PAL_SEARCH_NONE);
	set_arguments(builder, argv, envp);
	set_actions(builder, actions);
	return set_attributes(builder, attributes ? attributes : &defaults);
}

/* The result is a negative errno; `error` is set then. */
static int start(enum spawn_preload__find find, pid_t *ret_pid, const char *program,
	const posix_spawn_file_actions_t *actions, const posix_spawnattr_t *attributes,
	char *const argv[], char *const envp[], struct pal_error *error)
{
	struct pal_builder *builder = pal_builder_new(*program ? program : "/");
	int r = set_up(builder, find, actions, attributes, argv, envp);

	if (!*program) /* told by the child when all else is done, as glibc: ENOENT */
		pal_builder_step_chdir(builder, program);
	if (r < 0)
		pal_error_set(error, PAL_STAGE_ARGUMENT, r, "process group");
	else
		r = spawn_preload__confine(builder, error);
	if (r >= 0)
		r = pal_builder_spawn_pid(builder, ret_pid, error);
	pal_builder_free(builder);
	return r;
}

/* No cancellation point, the trace neither: the caller would not learn of the child. */
int spawn_preload__start(const char *function, enum spawn_preload__find find, pid_t *ret_pid,
	const char *program, const posix_spawn_file_actions_t *actions,
	const posix_spawnattr_t *attributes, char *const argv[], char *const envp[])
{
	struct pal_error error;
	pid_t pid = -1;
	int cancel_state, r;

	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &cancel_state);
	r = start(find, &pid, program, actions, attributes, argv, envp, &error);
	spawn_preload__trace(function, program, pid, &error);
	pthread_setcancelstate(cancel_state, NULL);
	if (r < 0)
		return spawn_preload__code(&error);
	if (ret_pid)
		*ret_pid = pid;
	return 0;
}

int spawn_preload__start_shell(const char *function, pid_t *ret_pid, const char *command,
	const posix_spawn_file_actions_t *actions, const posix_spawnattr_t *attributes)
{
	char name[] = "sh", option[] = "-c";
	char *const argv[] = {name, option, (char *)command, NULL};

	return spawn_preload__start(function, SPAWN_PRELOAD__PATHNAME, ret_pid,
		SPAWN_PRELOAD__SHELL, actions, attributes, argv, environ);
}

SPAWN_PRELOAD_EXPORT int posix_spawn(pid_t *restrict pid, const char *restrict path,
	const posix_spawn_file_actions_t *restrict actions,
	const posix_spawnattr_t *restrict attributes, char *const argv[restrict],
	char *const envp[restrict])
{
	return spawn_preload__start("posix_spawn", SPAWN_PRELOAD__PATHNAME, pid, path, actions,
		attributes, argv, envp);
}

SPAWN_PRELOAD_EXPORT int posix_spawnp(pid_t *pid, const char *file,
	const posix_spawn_file_actions_t *actions, const posix_spawnattr_t *attributes,
	char *const argv[], char *const envp[])
{
	return spawn_preload__start("posix_spawnp", SPAWN_PRELOAD__SEARCH, pid, file, actions,
		attributes, argv, envp);
}
