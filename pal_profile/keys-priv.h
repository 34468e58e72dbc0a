/* SPDX-License-Identifier: MIT */
#ifndef PROCMESH_PAL_PROFILE_KEYS_PRIV_H
#define PROCMESH_PAL_PROFILE_KEYS_PRIV_H

#include <pal_profile/settings-priv.h>

/* Where the text is being read, and where to. */
struct pal_profile__context {
	struct pal_profile__settings *settings;
	struct pal_profile__stage *stage; /* of the section */
	const char *name;
	unsigned line;
	const char *key;
	struct pal_error *error;
};

/* One key. Its values arrive without white space around them; an empty one undoes what was said before. */
struct pal_profile__key {
	const char *name;
	int (*read)(struct pal_profile__context *context, const struct pal_profile__key *key,
		char *value);
	size_t offset; /* of what it sets, in the stage where `both`, else in the settings */
	int argument;
	bool both; /* in [Finalize], too */
};

/* Each ends with a key without a name. */
extern const struct pal_profile__key pal_profile__process_keys[];
extern const struct pal_profile__key pal_profile__limit_keys[];
extern const struct pal_profile__key pal_profile__files_keys[];
extern const struct pal_profile__key pal_profile__filter_keys[];
extern const struct pal_profile__key pal_profile__landlock_keys[];

/* Fills the error with place, key and message; returns `code`. 0 passes. */
int pal_profile__bad(struct pal_profile__context *context, int code, const char *format, ...)
	PAL_PRINTF(3, 4);

void *pal_profile__place_of(
	struct pal_profile__context *context, const struct pal_profile__key *key);

/* `bool` at the offset; empty: false. */
int pal_profile__read_bool(struct pal_profile__context *context, const struct pal_profile__key *key,
	char *value);
/* The words into *list, each checked by `check` (0 or a negative errno); empty: cleared. */
int pal_profile__read_list(struct pal_profile__context *context, struct pal_profile__list *list,
	char *value, int (*check)(const char *word));

/* For `while ((r = pal_profile__next(context, &at, &word)) > 0)`. */
int pal_profile__next(struct pal_profile__context *context, char **at, char **ret);

#endif
