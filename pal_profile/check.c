/* SPDX-License-Identifier: MIT */
#include <pal_profile/settings-priv.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <pal/util-priv.h>
#include <pal_profile/places-priv.h>

/* What no single line can see: whether the lines of a text go together. */

static const struct pal_profile__place *find_place(
	const struct pal_profile__places *places, enum pal_profile__place_kind kind)
{
	for (size_t i = 0; i < places->count; i++)
		if (places->items[i].kind == kind)
			return &places->items[i];
	return NULL;
}

static int check_process(
	const struct pal_profile__process *process, const char *name, struct pal_error *error)
{
	if (process->user_set && process->user_group == (gid_t)-1 && !process->group_set)
		return pal_profile__refuse(error, name, process->user_line, "User", -EINVAL,
			"a number that no user has needs Group=");
	if (process->cwd_home && !process->home)
		return pal_profile__refuse(error, name, process->cwd_line, "WorkingDirectory",
			-EINVAL, "~ needs User= with an entry");
	return 0;
}

static int check_stage(const struct pal_profile__stage *stage, struct pal_error *error)
{
	const struct pal_profile__filter *filter = &stage->filter;

	if (filter->otherwise && !filter->calls.set)
		return pal_profile__refuse(error, stage->name, filter->otherwise_line,
			"SystemCallErrorNumber", -EINVAL,
			"changes nothing without SystemCallFilter=");
	return 0;
}

/* ---- files ---- */

/* What a key about a path of the host means in RootDirectory=: the same file, if it is in there. */
static int move_into_root(struct pal_profile__place *place, const char *root)
{
	size_t length = strlen(root);
	char *path;

	while (length && root[length - 1] == '/')
		length--;
	if (strncmp(place->path, root, length) != 0 ||
		(place->path[length] && place->path[length] != '/'))
		return -EINVAL;
	path = strdup(place->path[length] ? place->path + length : "/");
	if (!path)
		return -ENOMEM;
	free(place->path);
	place->path = path;
	place->in_root = true;
	return 0;
}

static int check_files(struct pal_profile__files *files, const char *name, struct pal_error *error)
{
	const struct pal_profile__place *exec = find_place(&files->places, PAL_PROFILE__EXEC);

	if (exec && !find_place(&files->places, PAL_PROFILE__NO_EXEC) &&
		!find_place(&files->places, PAL_PROFILE__TMPFS))
		return pal_profile__refuse(error, name, exec->line, exec->key, -EINVAL,
			"changes nothing without NoExecPaths=");
	for (size_t i = 0; files->root && i < files->places.count; i++) {
		struct pal_profile__place *place = &files->places.items[i];
		int r = place->in_root ? 0 : move_into_root(place, files->root);

		if (r < 0)
			return pal_profile__refuse(error, name, place->line, place->key, r,
				"%s is not in RootDirectory=; with a + it would begin there",
				place->path);
	}
	return 0;
}

/* ---- X-Profile= and [Finalize] ---- */

/* What a ready-made profile's finalize does, which looks for the threads in /proc, under what [Finalize] has made of the process: pal_self_restrict. */
static const char *const needed[] = {"brk", "capget", "capset", "close", "fstat", "futex",
	"getdents64", "getpid", "gettid", "landlock_add_rule", "landlock_create_ruleset",
	"landlock_restrict_self", "mmap", "munmap", "newfstatat", "openat", "prctl", "read",
	"rt_sigaction", "rt_sigprocmask", "rt_sigreturn", "seccomp", "statx", "tgkill"};

/* A ready-made profile without finalize keeps what would be needed for one to itself. */
static int check_finalize(const struct pal_profile__settings *settings, struct pal_error *error)
{
	const struct pal_profile__stage *stage = &settings->finalize;
	const struct pal_profile *base = settings->stage.base;

	if (!base || !settings->has_finalize)
		return 0;
	if (!base->finalize)
		return pal_profile__refuse(error, stage->name, settings->stage.base_line,
			"X-Profile", -EOPNOTSUPP, "%s leaves nothing to [Finalize] with",
			base->name);
	if (pal_profile__restricts_files(&stage->landlock))
		return pal_profile__refuse(error, stage->name, stage->landlock.files_line,
			"X-Landlock", -EOPNOTSUPP,
			"the finalize of X-Profile=, which comes after it, needs /proc");
	if (stage->filter.lock_personality)
		return pal_profile__refuse(error, stage->name, stage->filter.personality_line,
			"LockPersonality", -EOPNOTSUPP,
			"%s refuses the call that asks for the one there is", base->name);
	for (size_t i = 0; i < PAL_ARRAY_LENGTH(needed); i++)
		if (!pal_profile__allows(&stage->filter, needed[i]))
			return pal_profile__refuse(error, stage->name, stage->filter.calls.line,
				"SystemCallFilter", -EOPNOTSUPP,
				"the finalize of X-Profile=, which comes after it, needs %s",
				needed[i]);
	return 0;
}

int pal_profile__check_settings(struct pal_profile__settings *settings, struct pal_error *error)
{
	const char *name = settings->stage.name;
	int r = check_process(&settings->process, name, error);

	if (r >= 0)
		r = check_files(&settings->files, name, error);
	if (r >= 0)
		r = check_stage(&settings->stage, error);
	if (r >= 0)
		r = check_stage(&settings->finalize, error);
	return r < 0 ? r : check_finalize(settings, error);
}
