/* SPDX-License-Identifier: MIT */
#ifndef PROCMESH_PAL_STREAMS_PRIV_H
#define PROCMESH_PAL_STREAMS_PRIV_H

#include <pal/builder-priv.h>

/* Descriptors that the library opens for one spawn. All are above 2 and close-on-exec; -1: none. */
struct pal__streams {
	int parent_side[3]; /* of PAL_STDIO_PIPE */
	int child_side[3];  /* of that, and of PAL_STDIO_OPEN */
	int null; /* /dev/null, for every stream that is PAL_STDIO_NULL */
	int handover[2]; /* a socket pair for the listener of a filter: ours, the child's */
};
#define PAL__STREAMS_INIT {{-1, -1, -1}, {-1, -1, -1}, -1, {-1, -1}}

/* Opens what the builder's streams and filter need. On failure *streams is half open, for pal__streams_close. */
int pal__streams_open(struct pal__streams *streams, const struct pal_builder *builder, struct pal_error *error);
void pal__streams_close_child_sides(struct pal__streams *streams);
void pal__streams_close(struct pal__streams *streams);

/*
 * Moves an open descriptor above the standard streams, where a parent that
 * closed those got it. Takes `fd`; returns the new one or a negative errno. A
 * negative `fd` is returned as it is.
 */
int pal__fd_lift(int fd);

#endif
