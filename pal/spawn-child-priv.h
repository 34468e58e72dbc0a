/* SPDX-License-Identifier: MIT */
#ifndef PROCMESH_PAL_SPAWN_CHILD_PRIV_H
#define PROCMESH_PAL_SPAWN_CHILD_PRIV_H

#include <pal/plan-priv.h>
#include <pal/report-priv.h>

/* The child's half. See the rules at the top of spawn-child.c. */

/* What clone(2) hands to pal__child_main. */
struct pal__child_args {
	const struct pal__plan *plan;
	struct pal__report *report;
	bool shares_files; /* the parent's table of descriptors, until it has left it */
	int carried[PAL__CARRIED]; /* the child's own */
};

/* Runs the plan and executes the program. Returns, for the child to end with, only if that failed. */
int pal__child_main(void *child_args);

/*
 * All of the plan but exec: 0, or a negative errno that is also in the report.
 * `carried` is where the descriptors of plan->fds.carried are now.
 */
int pal__child_setup(const struct pal__plan *plan, struct pal__report *report, int carried[PAL__CARRIED]);

#endif
