/* SPDX-License-Identifier: MIT */
#ifndef PROCMESH_PAL_PLAN_PRIV_H
#define PROCMESH_PAL_PLAN_PRIV_H

#include <pal/builder-priv.h>
#include <pal/fdmap-priv.h>
#include <pal/streams-priv.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/*
 * Everything that a child does between clone and exec, worked out beforehand:
 * the child reads it and allocates nothing. Borrows strings, steps, limits
 * and so on from the builder, and the environment from the process. The builder
 * keeps it from one spawn to the next, and what is allocated in it is made anew
 * only where something that it was made for has changed.
 */

/*
 * Descriptors that the child needs in spite of moves, steps and closes, until it
 * has used them: it closes them itself.
 */
enum {
	PAL__CARRY_LANDLOCK,
	PAL__CARRY_BORDER,
	PAL__CARRY_HANDOVER, /* for the listener of a seccomp filter */
	PAL__CARRY_HANDOVER_OTHER, /* not the child's: only to be closed, in pal_fork */
	PAL__CARRY_READY,
	PAL__CARRY_CWD, /* a copy: the number itself goes the way of any other */
	PAL__CARRY_PARENT, /* a pidfd of the parent, where its pid says nothing: in a pid namespace */
	PAL__CARRY_STACKED, /* of these there are several */
	PAL__CARRY_STACKED_LAST = PAL__CARRY_STACKED + PAL__STACKED_MAX - 1,
	PAL__CARRIED
};
#define PAL__CARRIED_NONE {[0 ... PAL__CARRIED - 1] = -1}

/* Descriptors that the library opens for one child and that are no stream; -1: none. */
struct pal__plan_fds {
	int ready;      /* an eventfd on which the child says that it runs, where that does not show */
	int parent;     /* PAL__CARRY_PARENT */
	int sockets[2]; /* PAL__SOCKET_ */
};
#define PAL__PLAN_FDS_INIT {-1, -1, {-1, -1}}

struct pal__fd_plan {
	struct pal__fd_step *steps;
	size_t step_count;
	int *closes; /* after the steps; no error if not open */
	size_t close_count;
	int *kept; /* what close_others leaves, apart from the carried: sorted, above 2; after the steps */
	size_t kept_count;
	bool close_others;
	/*
	 * A child that shares the parent's table of descriptors leaves it with a copy of
	 * the numbers below this one: all that it reads are. 0: it needs all of them.
	 */
	int leave_from;
	int *used; /* every number that the plan mentions, sorted: no temporary may take one */
	size_t used_count;
	int carried[PAL__CARRIED];       /* number in the parent, -1: none */
	bool in_the_way[PAL__CARRIED];   /* a move, a close or a step is about that number */
};

struct pal__plan {
	/* what differs from spawn to spawn of an unchanged builder */
	pid_t parent;
	struct pal__sigset mask;

	int parent_death; /* signal, 0: none */
	const struct pal__signals *signals;
	/*
	 * Real-time signals below this one keep their dispositions: libc's own in a child
	 * that goes on with this libc, which does not install its handlers again.
	 */
	int first_reset_rt;
	struct pal__fd_plan fds;
	int cgroup_fd; /* for the child to move into itself, -1: none */
	const struct pal__process *process;
	const struct pal__steps *steps;
	const char *cwd; /* NULL: none, or carried as a descriptor */
	const struct rlimit *limits;
	const bool *limit_set;
	const struct pal__sandbox *sandbox;
	struct pal__ns_plan namespaces;
	const struct pal__root *root;

	/* exec; not used by pal_fork */
	char **argv;
	char **envp;
	struct pal__strings candidates; /* paths to try in turn */
	bool as_execvp; /* PAL_SEARCH_RELATIVE */

	/* what the allocated parts were made for; besides that the builder's own `changed` */
	struct pal__plan_key {
		bool valid;
		bool program;
		struct pal__streams streams;
		int carried[PAL__CARRIED];
		char *path;     /* PATH, where it was searched; owned */
		char **inherited; /* the parent's environment, where it was used: its entries, NULL at the end; owned */
		uint64_t names;   /* a hash of their names: a freed entry's memory can hold another one */
	} key;
};

/*
 * Makes a plan, or brings an earlier one of the same builder up to date.
 * `program`: whether something is going to be executed. Of no use after a failure but for pal__plan_clear.
 */
int pal__plan_update(struct pal__plan *plan, const struct pal_builder *builder, bool program,
	const struct pal__streams *streams, const struct pal__plan_fds *own,
	struct pal_error *error);
void pal__plan_clear(struct pal__plan *plan);

/* The descriptor part: 0 or -ENOMEM; plan->carried is set already. */
int pal__fd_plan_make(struct pal__fd_plan *plan, const struct pal_builder *builder,
	const struct pal__streams *streams);
void pal__fd_plan_clear(struct pal__fd_plan *plan);

#endif
