/* SPDX-License-Identifier: MIT */
#ifndef PROCMESH_TESTS_PAL_INSIDE_H
#define PROCMESH_TESTS_PAL_INSIDE_H

/*
 * Attempts of attempts.h, in every way that a child can be made and by every
 * user: tests are loop tests over 0 to INSIDE_WAYS, and begin with inside_become(_i).
 */

#include "attempts.h"
#include "sandboxed.h"

enum {
	INSIDE_SPAWN,
	INSIDE_COPY,
	INSIDE_FORK,
	INSIDE_KINDS
};
#define INSIDE_WAYS (INSIDE_KINDS * USERS)

#define inside_kind(way) ((way) % INSIDE_KINDS)
#define inside_user(way) ((way) / INSIDE_KINDS)
#define inside_become(way) \
	do { \
		if (inside_kind(way) == INSIDE_FORK) \
			needs_user_namespace_of_fork(); \
		become(inside_user(way)); \
	} while (0)

/* A builder for one attempt. */
struct pal_builder *inside_builder(int way);
/* What has to be in a private root for an attempt: libraries, and the program. */
void inside_furnish(struct pal_builder *builder);
/* Makes it, as outcome() does, and frees the builder. */
int inside(struct pal_builder *builder, int way, const char *name, const char *argument);
/* Making the child must fail so; frees the builder. Returns the error's code. */
int inside_refused(struct pal_builder *builder, int way, int stage, int index);

#endif
