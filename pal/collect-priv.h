/* SPDX-License-Identifier: MIT */
#ifndef PROCMESH_PAL_COLLECT_PRIV_H
#define PROCMESH_PAL_COLLECT_PRIV_H

#include <stdbool.h>
#include <stddef.h>

/*
 * What a pipe is made to hold when there is much to go through it, if that is allowed. A larger
 * one saves few turns more, and what is under way in it leaves the processor's cache.
 */
#define PAL__BIG_PIPE (256 << 10)

/* The bytes of one stream, read straight to where they stay. */
struct pal__collect {
	char *data;
	size_t size;
	size_t room;     /* bytes at `data`, one more of them is for the NUL; 0: none */
	size_t limit;
	bool truncate;   /* what is beyond the limit is thrown away */
	bool truncated;
};

/*
 * Reads once. 1: there may be more, 0: that was the end, or -EOVERFLOW, -ENOMEM,
 * read(2)'s errors. Only a read of nothing tells the end: of a pipe that holds
 * packets (O_DIRECT) each read gets one, however much room there is.
 */
int pal__collect_read(struct pal__collect *collect, int fd);

/* The bytes with a NUL behind them, for free(3), with little more memory than they need; NULL: no memory. */
char *pal__collect_take(struct pal__collect *collect);

#endif
