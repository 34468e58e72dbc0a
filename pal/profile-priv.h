/* SPDX-License-Identifier: MIT */
#ifndef PROCMESH_PAL_PROFILE_PRIV_H
#define PROCMESH_PAL_PROFILE_PRIV_H

#include <pal/profile.h>

/*
 * Calls the apply hook so that what the builder had been told of the sandbox before holds as well:
 * profile-stack.c. 0 or a negative errno.
 */
int pal__profile_apply(
	const struct pal_profile *profile, struct pal_builder *builder, struct pal_error *error);

/* Whether it is one: 0, or as pal_check_size. */
int pal__profile_check(const struct pal_profile *profile);

#endif
