/* SPDX-License-Identifier: MIT */
#ifndef PROCMESH_PAL_PLAN_PRIV_H
#define PROCMESH_PAL_PLAN_PRIV_H

#include <pal/builder-priv.h>
#include <pal/fdmap-priv.h>
#include <pal/streams-priv.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

/*
 * Everything that a child does between clone and exec, worked out beforehand:
 * the child reads it and allocates nothing. Borrows strings, limits and the
 * sandbox from the builder, and the environment from the process; it lives
 * for the length of one spawn.
 */

/*
 * Descriptors of the library that the child needs in spite of moves and closes,
 * until it has used them: it closes them itself.
 */
enum { PAL__CARRY_LANDLOCK, PAL__CARRY_BORDER, PAL__CARRY_READY, PAL__CARRIED };

struct pal__fd_plan {
	struct pal__fd_step *steps;
	size_t step_count;
	int *closes; /* after the steps; no error if not open */
	size_t close_count;
	int *kept; /* what close_others leaves, apart from the carried: sorted, above 2 */
	size_t kept_count;
	bool close_others;
	int *used; /* every number that the plan mentions, sorted: no temporary may take one */
	size_t used_count;
	int carried[PAL__CARRIED];       /* number in the parent, -1: none */
	bool in_the_way[PAL__CARRIED];   /* that number is a target or is closed */
};

struct pal__plan {
	pid_t parent;
	int parent_death; /* signal, 0: none */
	/*
	 * Real-time signals below this one keep their dispositions: libc's own in a child
	 * that goes on with this libc, which does not install its handlers again.
	 */
	int first_reset_rt;
	struct pal__fd_plan fds;
	const char *cwd; /* NULL: none */
	const struct rlimit *limits;
	const bool *limit_set;
	const struct pal__sandbox *sandbox;

	/* exec; not used by pal_fork */
	char **argv;
	char **envp;
	struct pal__strings candidates; /* paths to try in turn */
};

/*
 * Freezes `builder`. `ready_fd` (-1: none) is carried into the child. `program`: whether
 * something is going to be executed. Half made on failure, for pal__plan_clear.
 */
int pal__plan_make(struct pal__plan *plan, const struct pal_builder *builder, bool program,
	const struct pal__streams *streams, int ready_fd, struct pal_error *error);
void pal__plan_clear(struct pal__plan *plan);

/* The descriptor part: 0 or -ENOMEM; plan->carried is set already. */
int pal__fd_plan_make(struct pal__fd_plan *plan, const struct pal_builder *builder,
	const struct pal__streams *streams);
void pal__fd_plan_clear(struct pal__fd_plan *plan);

#endif
