/* SPDX-License-Identifier: MIT */
#ifndef PROCMESH_PAL_PRIVATE_PRIV_H
#define PROCMESH_PAL_PRIVATE_PRIV_H

#include <pal/plan-priv.h>
#include <pal/private.h>
#include <sys/types.h>

/* fork(3), with each descriptor of other threads known or not open. */
pid_t pal__private_fork(void);

/*
 * In the child of a pal_fork, which is alone with its copy: closes all but those of the nodes in `kept`,
 * and the numbers that the plan is about. Async-signal-safe.
 */
void pal__private_drop(
	const struct pal_private *const *kept, size_t kept_count, const struct pal__fd_plan *plan);

#endif
