/* SPDX-License-Identifier: MIT */
#ifndef PROCMESH_PAL_PROFILE_USERS_PRIV_H
#define PROCMESH_PAL_PROFILE_USERS_PRIV_H

#include <pal_profile/settings-priv.h>

/*
 * Users and groups by name or number, as the system's databases have them. -ESRCH for
 * a name that is not there. A user of "" takes back what was said.
 */
int pal_profile__find_user(struct pal_profile__process *process, const char *name);
int pal_profile__find_group(const char *name, gid_t *ret);

/* All groups that a user by name is in, `group` among them. *ret is the caller's. */
int pal_profile__groups_of(const char *user, gid_t group, gid_t **ret, size_t *ret_count);

#endif
