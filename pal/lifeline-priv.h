/* SPDX-License-Identifier: MIT */
#ifndef PROCMESH_PAL_LIFELINE_PRIV_H
#define PROCMESH_PAL_LIFELINE_PRIV_H

#include <stdint.h>
#include <sys/types.h>

/*
 * The end of this process as a signal for one child, where the kernel's
 * parent-death signal will not do because it follows the thread: a pair of
 * sockets that only this process has. Each is to send the child a signal when the
 * other one is closed (O_ASYNC, F_SETSIG), and the kernel closes all that a
 * process has when the last of its threads ends, one of the two first. They are
 * shut down from the start: nothing else can ever happen to them.
 */
struct pal__lifeline {
	int ends[2]; /* -1: none */
};
#define PAL__LIFELINE_INIT {{-1, -1}}

/* 0 or a negative errno. */
int pal__lifeline_open(struct pal__lifeline *lifeline, int signal);

/*
 * To a child that this process has not reaped. Where that may have been done by
 * somebody else, its number could be another's by now: the pidfd tells.
 */
void pal__lifeline_tie(const struct pal__lifeline *lifeline, pid_t pid, int pidfd);

/* For the child: it is not to hold itself. Async-signal-safe. */
void pal__lifeline_drop(const struct pal__lifeline *lifeline);

/*
 * Nobody is sent anything any more. In a fork of the process (`owner`, a mark, is another one), only
 * its copy is closed.
 */
void pal__lifeline_end(struct pal__lifeline *lifeline, uint64_t owner);

#endif
