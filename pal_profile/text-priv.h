/* SPDX-License-Identifier: MIT */
#ifndef PROCMESH_PAL_PROFILE_TEXT_PRIV_H
#define PROCMESH_PAL_PROFILE_TEXT_PRIV_H

#include <pal_profile/text.h>
#include <stdbool.h>

/* pal_profile_parse; `inherited`: the process is in the sandbox already, and only finalizes. */
int pal_profile__parse(const char *text, size_t size, const char *name, bool inherited,
	struct pal_profile **ret, struct pal_error *error);

/* All that can be read from the descriptor, NUL behind it. -E2BIG, -ENOMEM, or read(2)'s. */
int pal_profile__read_all(int fd, char **ret, size_t *ret_size);

#endif
