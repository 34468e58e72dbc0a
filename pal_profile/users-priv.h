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

/* Group=, or that of the User='s entry; (gid_t)-1: neither is said. */
gid_t pal_profile__group_of(const struct pal_profile__process *process);
/* Once, when all is read: those of the user's entry, as at a login, before those that are listed. */
int pal_profile__add_groups_of_user(struct pal_profile__process *process);

#endif
