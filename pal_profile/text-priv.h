/* SPDX-License-Identifier: MIT */
#ifndef PROCMESH_PAL_PROFILE_TEXT_PRIV_H
#define PROCMESH_PAL_PROFILE_TEXT_PRIV_H

#include <pal_profile/text.h>
#include <stdbool.h>

/* The variable with the descriptor's number: pal_profile_pass. */
#define PAL_PROFILE__VARIABLE "PROCMESH_PROFILE_FD"

/* pal_profile_parse; `inherited`: the process is in the sandbox already, and only finalizes. */
int pal_profile__parse(const char *text, size_t size, const char *name, bool inherited,
	struct pal_profile **ret, struct pal_error *error);

#endif
