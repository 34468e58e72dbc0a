/* SPDX-License-Identifier: MIT */
#ifndef PROCMESH_PAL_PROC_STAT_PRIV_H
#define PROCMESH_PAL_PROC_STAT_PRIV_H

#include <stdbool.h>
#include <sys/types.h>

/*
 * Whether /proc shows `pid` as a child of ours that is ending or has ended
 * without having executed a program since it was forked. False, too, when /proc
 * does not tell.
 */
bool pal__died_unexecuted(pid_t pid);

/* The same on the text of /proc/PID/stat. */
bool pal__stat_died_unexecuted(const char *text, pid_t parent);

#endif
