/* SPDX-License-Identifier: MIT */
#ifndef PROCMESH_PAL_SPAWN_PRIV_H
#define PROCMESH_PAL_SPAWN_PRIV_H

#include <pal/builder-priv.h>
#include <pal/child-priv.h>
#include <pal/plan-priv.h>
#include <pal/private.h>
#include <pal/report-priv.h>
#include <pal/streams-priv.h>

/* The parent's half of what spawn and fork share. */

/* What one spawn owns until it has succeeded. */
struct pal__launch {
	struct pal__streams streams;
	struct pal__plan_fds own;
	struct pal__plan *plan; /* the builder's */
	struct pal_child *child;
	struct pal_private private; /* while it is under way: other forked children do not have its descriptors */
	int pidfd;                  /* of the child of a pal_fork, until the handle has it */
	int first;                  /* of a child that has made the one that is wanted */
	struct pal__lifeline lifeline; /* the same */
};

/*
 * Whether the builder can be spawned from. Comes first of all, before the
 * library opens any descriptor. `program`: whether it must have one.
 */
int pal__launch_check(const struct pal_builder *builder, bool program, struct pal_error *error);

/* Makes all of the above, for a builder that has been checked. Half made on failure, for pal__launch_clear. */
int pal__launch_prepare(struct pal__launch *launch, struct pal_builder *builder, bool program,
	struct pal_error *error);
#define PAL__LAUNCH_INIT {.streams = PAL__STREAMS_INIT, .own = PAL__PLAN_FDS_INIT, .pidfd = -1, .first = -1, .lifeline = PAL__LIFELINE_INIT}

/* divide.c */
int pal__plan_fds_open(struct pal__plan_fds *own, const struct pal_builder *builder, bool program,
	struct pal_error *error);
void pal__plan_fds_close(struct pal__plan_fds *own);
/*
 * For a child that has ended after it has made a second one: that takes its place
 * in *pid and *pidfd. On failure there is no second one, or it has been killed, and
 * the first is still to be reaped. 0, -EAGAIN: it has not come so far, -EMFILE.
 */
int pal__divide_take(struct pal__launch *launch, const struct pal__report *report, pid_t *pid,
	int *pidfd);

/*
 * Waits for a child that says on launch->own.ready when it runs, and for its second
 * one where it divides: *pid and *pidfd are that one's then. 0, or a negative errno with nothing
 * left of the child but its *pidfd. await-ready.c
 */
int pal__await_ready(struct pal__launch *launch, const struct pal__report *report, pid_t *pid,
	int *pidfd, const struct pal_builder *builder, pal_deadline deadline,
	struct pal_error *error);

/*
 * The child runs: what it has handed over becomes ours. 0 or a negative errno; then the
 * child, whose filter nobody would answer for, has been killed and reaped.
 */
int pal__launch_receive(struct pal__launch *launch, pid_t pid, int *pidfd, struct pal_error *error);
/* Nobody is going to have this child: kills it. Takes *pidfd. */
void pal__launch_abandon(struct pal__launch *launch, pid_t pid, int *pidfd);
/* It becomes a handle. Takes `pidfd`. */
struct pal_child *pal__launch_finish(struct pal__launch *launch, pid_t pid, int pidfd);
/* First of all; it must not move from then to pal__launch_clear. */
void pal__launch_init(struct pal__launch *launch);
void pal__launch_clear(struct pal__launch *launch);

/* Fills `error` from what the child left; returns its code. report.c */
int pal__report_error(const struct pal_builder *builder, const struct pal__report *report,
	struct pal_error *error);
/* Fills `error` for a child that was killed by `signal`, 0: unknown; returns -ECHILD. */
int pal__died_error(int signal, struct pal_error *error);

#endif
