/* SPDX-License-Identifier: MIT */
#include <pal_profile/settings-priv.h>

#include <errno.h>

/* What no single line can see: whether the lines of a text go together. */

static int bad(const char *name, const char *what, struct pal_error *error)
{
	return pal_error_set(error, PAL_STAGE_PROFILE, -EINVAL, "%s: %s", name, what);
}

static bool has_place(const struct pal_profile__places *places, enum pal_profile__place_kind kind)
{
	for (size_t i = 0; i < places->count; i++)
		if (places->items[i].kind == kind)
			return true;
	return false;
}

int pal_profile__check_settings(
	const struct pal_profile__settings *settings, const char *name, struct pal_error *error)
{
	const struct pal_profile__process *process = &settings->process;
	const struct pal_profile__stage *stages[] = {&settings->stage, &settings->finalize};

	if (process->user_set && process->user_group == (gid_t)-1 && !process->group_set)
		return bad(name, "User= is a number that no user has: it needs Group=", error);
	if (process->cwd_home && !process->home)
		return bad(name, "WorkingDirectory=~ needs User= with an entry", error);
	if (has_place(&settings->files.places, PAL_PROFILE__EXEC) &&
		!has_place(&settings->files.places, PAL_PROFILE__NO_EXEC) &&
		!has_place(&settings->files.places, PAL_PROFILE__TMPFS))
		return bad(name, "ExecPaths= changes nothing without NoExecPaths=", error);
	for (size_t i = 0; i < 2; i++)
		if (stages[i]->filter.otherwise && !stages[i]->filter.calls.set)
			return bad(name,
				"SystemCallErrorNumber= changes nothing without SystemCallFilter=",
				error);
	return 0;
}
