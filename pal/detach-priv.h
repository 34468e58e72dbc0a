/* SPDX-License-Identifier: MIT */
#ifndef PROCMESH_PAL_DETACH_PRIV_H
#define PROCMESH_PAL_DETACH_PRIV_H

#include <pal/child-priv.h>

/*
 * Hands a child of this process, which has not been reaped, to the thread that
 * reaps, and closes its pipes. Takes `child`. 0, or a negative errno: nobody will reap it then.
 */
int pal__detach(struct pal_child *child);

#endif
