/* SPDX-License-Identifier: MIT */
#ifndef PROCMESH_PAL_CAPABILITIES_PRIV_H
#define PROCMESH_PAL_CAPABILITIES_PRIV_H

#include <pal/sandbox-priv.h>

/* Sets `sets` in the sandbox, without the numbers that the running kernel does not have. */
void pal__capabilities_plan(struct pal__sandbox *sandbox, const struct pal_capabilities *sets);

#endif
