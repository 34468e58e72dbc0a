/* SPDX-License-Identifier: MIT */
#ifndef PROCMESH_PAL_CAPABILITIES_PRIV_H
#define PROCMESH_PAL_CAPABILITIES_PRIV_H

#include <pal/sandbox-priv.h>

/* Sets `sets` in the sandbox, for every user, without the numbers that the running kernel does not have. */
void pal__capabilities_plan(struct pal__sandbox *sandbox, const struct pal_capabilities *sets);

/* What a child has of them. */
struct pal_capabilities pal__capabilities_of(const struct pal__sandbox *sandbox, bool is_root);

/* ---- in the child (capabilities-child.c): 0, or a negative errno that is also in the report ---- */

/* Around a change of user, on and off again: it shall not cost what is going to be kept or set. */
int pal__capabilities_hold(const struct pal__sandbox *sandbox, bool on, struct pal__report *report);
/* What the kernel does itself where user 0 becomes another one: of any user, unless they are kept or set. */
int pal__capabilities_drop(const struct pal__sandbox *sandbox, struct pal__report *report);
/* `user_set`: after a change of user. */
int pal__capabilities_set(const struct pal__sandbox *sandbox, bool user_set, struct pal__report *report);

#endif
