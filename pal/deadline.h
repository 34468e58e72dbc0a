/* SPDX-License-Identifier: MIT */
#ifndef PROCMESH_PAL_DEADLINE_H
#define PROCMESH_PAL_DEADLINE_H

#include <pal/export.h>
#include <stdint.h>

PAL_BEGIN_DECLS

/*
 * A point in time: nanoseconds of CLOCK_MONOTONIC. Absolute, so that it can be
 * handed down through several waiting calls without being measured again.
 */
typedef int64_t pal_deadline;

#define PAL_DEADLINE_NONE INT64_MAX         /* wait for ever */
#define PAL_DEADLINE_NOW ((pal_deadline)0)  /* do not wait */
#define PAL_DEADLINE_MS(ms) (pal_deadline_after_ms(ms))

/* The point `ms` milliseconds from now; saturates to PAL_DEADLINE_NONE. Negative counts as 0. Any thread. */
PAL_EXPORT pal_deadline pal_deadline_after_ms(int64_t ms);

/*
 * Milliseconds left, rounded up, as poll(2) takes them: 0 when over, -1 for
 * PAL_DEADLINE_NONE, at most INT_MAX. Any thread.
 */
PAL_EXPORT int pal_deadline_left_ms(pal_deadline deadline);

PAL_END_DECLS

#endif
