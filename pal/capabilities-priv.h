/* SPDX-License-Identifier: MIT */
#ifndef PROCMESH_PAL_CAPABILITIES_PRIV_H
#define PROCMESH_PAL_CAPABILITIES_PRIV_H

#include <pal/sandbox-priv.h>

/* Sets `sets` in the sandbox, without the numbers that the running kernel does not have. */
void pal__capabilities_plan(struct pal__sandbox *sandbox, const struct pal_capabilities *sets);

/* ---- in the child (capabilities-child.c): 0, or a negative errno that is also in the report ---- */

/* Before a change of user: it shall not cost what is going to be kept or set. */
int pal__capabilities_hold(const struct pal__sandbox *sandbox, struct pal__report *report);
/* `held`: whether the former was called. */
int pal__capabilities_set(const struct pal__sandbox *sandbox, bool held, struct pal__report *report);

#endif
