/* SPDX-License-Identifier: MIT */
#ifndef PROCMESH_PAL_PROFILE_PLACES_PRIV_H
#define PROCMESH_PAL_PROFILE_PLACES_PRIV_H

#include <pal_profile/settings-priv.h>

/*
 * All that a text says about files, as one list: outer paths first, and for one path in the
 * order of the kinds. Symbolic links are resolved; what is optional and missing is left out,
 * if it cannot be in what `builder` has mounted already.
 */
int pal_profile__places_collect(const struct pal_profile__settings *settings,
	const struct pal_builder *builder, struct pal_profile__places *ret,
	struct pal_error *error);

/* Whether `path` is `outer` or in it. */
bool pal_profile__is_within(const char *path, const char *outer);

/* What holds at a path, by the innermost that says something about it or mounts something above it. */
struct pal_profile__holds {
	bool read_only, no_exec;
	const struct pal_profile__place *cover; /* the mount that it is in; NULL: the root's own files */
};
/* `itself`: is not asked about what it mounts; may be NULL. */
struct pal_profile__holds pal_profile__holds_at(const struct pal_profile__places *places,
	const char *path, const struct pal_profile__place *itself);

/* Whether somewhere more is allowed than around it: then mounts have to begin with a root of their own. */
bool pal_profile__places_lift(const struct pal_profile__places *places);

/* The host's path for one in the child; NULL: it is in a file system of the child's own. -ENOMEM in *code. */
char *pal_profile__host_path(const struct pal_profile__places *places, const char *root,
	const char *path, const struct pal_profile__place *itself, int *code);

#endif
