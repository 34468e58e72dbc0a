/* SPDX-License-Identifier: MIT */
#ifndef PROCMESH_PAL_LANDLOCK_PRIV_H
#define PROCMESH_PAL_LANDLOCK_PRIV_H

#include <pal/landlock-words-priv.h>
#include <pal/landlock.h>
#include <stdint.h>

struct pal_landlock {
	int fd; /* -1: nothing that this kernel knows is handled */
	uint64_t handled_fs; /* what the ruleset denies unless a rule allows it */
	uint64_t handled_net;
	unsigned restrict_flags; /* of landlock_restrict_self */
	struct pal_landlock_rights missing;
	uint64_t scopes;
	struct pal__landlock_words *words;
};

/*
 * A ruleset that makes a domain whose processes cannot reach those outside of it, and next to
 * nothing else: they cannot trace them or read their memory, which holds for every domain, nor
 * signal them (from ABI 6 on). A descriptor above 2, or a negative errno.
 */
int pal__landlock_border(void);

#endif
