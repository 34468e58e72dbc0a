/* SPDX-License-Identifier: MIT */
#ifndef PROCMESH_PAL_DEADLINE_PRIV_H
#define PROCMESH_PAL_DEADLINE_PRIV_H

#include <pal/deadline.h>

/* What a pal_deadline is measured against: nanoseconds of CLOCK_MONOTONIC. */
int64_t pal__now_ns(void);

#endif
