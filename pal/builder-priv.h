/* SPDX-License-Identifier: MIT */
#ifndef PROCMESH_PAL_BUILDER_PRIV_H
#define PROCMESH_PAL_BUILDER_PRIV_H

#include <pal/builder.h>
#include <pal/sandbox-priv.h>

struct pal_builder {
	struct pal_error first_error; /* of a setter; code 0: none */
	struct pal__sandbox sandbox;
};

/* Remembers the first failure of a setter. `builder` may be NULL. Formats as pal_error_set. */
void pal__builder_fail(struct pal_builder *builder, int stage, int code, const char *format, ...) PAL_PRINTF(4, 5);

#endif
