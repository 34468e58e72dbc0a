/* SPDX-License-Identifier: MIT */
#ifndef PROCMESH_PAL_ENVIRON_PRIV_H
#define PROCMESH_PAL_ENVIRON_PRIV_H

#include <pal/strings-priv.h>
#include <stdbool.h>

/* What a builder changes in the environment that its child would get. Zeroes change nothing. */
struct pal__environ {
	bool cleared;                /* nothing comes from the parent */
	struct pal__strings changes; /* "NAME=value" sets, "NAME" removes; one per name */
	bool verbatim;               /* the entries are everything, and what is changed from then on */
	struct pal__strings entries;
};

/* 0, -ENOMEM, or -EINVAL for a name that is NULL, empty or contains '=', or a NULL value. */
int pal__environ_set(struct pal__environ *env, const char *name, const char *value);
int pal__environ_remove(struct pal__environ *env, const char *name);
void pal__environ_clear(struct pal__environ *env);
/* These entries and no others, whatever was changed before. 0 or -ENOMEM: nothing has changed then. */
int pal__environ_verbatim(struct pal__environ *env, const char *const *entries);

/* The value that `env` gives to a variable; NULL: none of its own. The environment's. */
const char *pal__environ_peek(const struct pal__environ *env, const char *name);

/*
 * The changed environment, for execve(2). The array is the caller's to free;
 * its strings stay those of `parent` (NULL: none) and `env`. Entries of the parent without a
 * '=' are dropped, and of several with one name all but the last; everything
 * else that is not changed passes as it is. Sorted by name. 0 or -ENOMEM.
 */
int pal__environ_merge(const struct pal__environ *env, char *const *parent, char ***ret);

void pal__environ_free(struct pal__environ *env);

#endif
