/* SPDX-License-Identifier: MIT */
#ifndef PROCMESH_PAL_SPAWN_PRIV_H
#define PROCMESH_PAL_SPAWN_PRIV_H

#include <pal/builder-priv.h>
#include <pal/child-priv.h>
#include <pal/plan-priv.h>
#include <pal/report-priv.h>
#include <pal/streams-priv.h>

/* The parent's half of what spawn and fork share. */

/* What one spawn owns until it has succeeded. */
struct pal__launch {
	struct pal__streams streams;
	struct pal__plan *plan; /* the builder's */
	struct pal_child *child;
};

/*
 * Whether the builder can be spawned from. Comes first of all, before the
 * library opens any descriptor. `program`: whether it must have one.
 */
int pal__launch_check(const struct pal_builder *builder, bool program, struct pal_error *error);

/*
 * Makes all of the above, for a builder that has been checked. `ready_fd`: see
 * pal__plan_update. Half made on failure, for pal__launch_clear.
 */
int pal__launch_prepare(struct pal__launch *launch, struct pal_builder *builder, bool program,
	int ready_fd, struct pal_error *error);
/*
 * The child runs: what it has handed over becomes ours. 0 or a negative errno; then the
 * child, whose filter nobody would answer for, has been killed and reaped.
 */
int pal__launch_receive(struct pal__launch *launch, int pidfd, struct pal_error *error);
/* It becomes a handle. Takes `pidfd`. */
struct pal_child *pal__launch_finish(struct pal__launch *launch, pid_t pid, int pidfd);
void pal__launch_clear(struct pal__launch *launch);

/* Fills `error` from what the child left; returns its code. report.c */
int pal__report_error(const struct pal_builder *builder, const struct pal__report *report,
	struct pal_error *error);
/* Fills `error` for a child that was killed by `signal`, 0: unknown; returns -ECHILD. */
int pal__died_error(int signal, struct pal_error *error);

#endif
