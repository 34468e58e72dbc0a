/* SPDX-License-Identifier: MIT */
#ifndef PROCMESH_PAL_SECCOMP_GROUPS_PRIV_H
#define PROCMESH_PAL_SECCOMP_GROUPS_PRIV_H

#include <stddef.h>

/* Calls and, with '@', other groups; NULL at the end. */
struct pal__seccomp_group {
	const char *name;
	const char *const *members;
};

extern const struct pal__seccomp_group pal__seccomp_groups[]; /* an empty one at the end */
extern const char *const pal__seccomp_group_names[];          /* the same names; NULL at the end */

#endif
