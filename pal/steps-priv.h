/* SPDX-License-Identifier: MIT */
#ifndef PROCMESH_PAL_STEPS_PRIV_H
#define PROCMESH_PAL_STEPS_PRIV_H

#include <pal/steps.h>
#include <stddef.h>

/* What steps.h adds to a builder; the child reads it as it is (steps-child.c). */

struct pal__step {
	enum pal__step_kind {
		PAL__STEP_OPEN,
		PAL__STEP_DUP2,
		PAL__STEP_CLOSE,
		PAL__STEP_CLOSE_FROM,
		PAL__STEP_CHDIR,
		PAL__STEP_FCHDIR,
		PAL__STEP_FOREGROUND
	} kind;
	int fd;     /* the number that the call is about; of DUP2 the source */
	int to;     /* DUP2 */
	char *path; /* OPEN, CHDIR; owned */
	int flags;  /* OPEN */
	mode_t mode;
};

struct pal__steps {
	struct pal__step *items;
	size_t count;
};

void pal__steps_clear(struct pal__steps *steps);

#endif
