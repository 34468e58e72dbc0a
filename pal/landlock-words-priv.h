/* SPDX-License-Identifier: MIT */
#ifndef PROCMESH_PAL_LANDLOCK_WORDS_PRIV_H
#define PROCMESH_PAL_LANDLOCK_WORDS_PRIV_H

#include <pal/strings-priv.h>
#include <stdatomic.h>
#include <stdint.h>

/*
 * What the kernel will not tell of a ruleset: its rules, in words, for pal_profile_describe. Shared by
 * the ruleset and the builders that have it.
 */
struct pal__landlock_words {
	atomic_int refs;
	struct pal__strings lines; /* "read, execute: /usr" */
};

struct pal__landlock_words *pal__landlock_words_new(void);
/* NULL stays NULL. */
struct pal__landlock_words *pal__landlock_words_ref(struct pal__landlock_words *words);
/* Returns NULL. */
struct pal__landlock_words *pal__landlock_words_unref(struct pal__landlock_words *words);
/* Rights on files, as "read, write, ioctl of devices". */
#define PAL__LANDLOCK_WORDS_SIZE 400
void pal__landlock_file_words(uint64_t access, char to[static PAL__LANDLOCK_WORDS_SIZE]);
/* `access`: pal_landlock_allow_path's, or with `port` >= 0 pal_landlock_allow_port's. 0 or -ENOMEM. */
int pal__landlock_words_add(
	struct pal__landlock_words *words, const char *path, int port, unsigned access);

#endif
