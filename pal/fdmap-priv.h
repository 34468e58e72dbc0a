/* SPDX-License-Identifier: MIT */
#ifndef PROCMESH_PAL_FDMAP_PRIV_H
#define PROCMESH_PAL_FDMAP_PRIV_H

#include <stdbool.h>
#include <stddef.h>

/* The file that is open as `from` shall be open as `to`. */
struct pal__fd_move {
	int from;
	int to;
	int request;   /* handed on to the steps, for reports */
	bool optional; /* no error if `from` is not open; one that is in a cycle may not have this */

	/* the planner's own */
	size_t readers; /* moves yet to be made that read `to` */
	size_t next;    /* in the list of moves that can be made now */
	bool made;
};

/* One thing for the child to do. All steps together are the moves, made at once. */
struct pal__fd_step {
	enum pal__fd_step_kind {
		PAL__FD_DUP,     /* dup2(from, to) */
		PAL__FD_KEEP,    /* clear close-on-exec of `to` */
		PAL__FD_SAVE,    /* the temporary := a copy of `from` */
		PAL__FD_RESTORE, /* dup2(temporary, to); close the temporary */
	} kind;
	int from;
	int to;
	int request;
	bool optional;
};

/* Room that `count` moves can need: one more step for each cycle, and a cycle has two moves at least. */
#define PAL__FDMAP_STEPS(count) ((count) + (count) / 2)

/*
 * Orders moves whose targets are all different, so that no number is
 * overwritten before everything that reads it has been done; sources may be
 * shared, and a closed source shows as an error of the first step that reads
 * it. At most one temporary is in use at a time. Sorts and marks `moves`.
 * Returns the number of steps. Pure: no system call, no allocation.
 */
size_t pal__fdmap(struct pal__fd_move *moves, size_t count, struct pal__fd_step *ret_steps);

#endif
