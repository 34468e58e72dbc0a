/* SPDX-License-Identifier: MIT */
#ifndef PROCMESH_PAL_PROC_STAT_PRIV_H
#define PROCMESH_PAL_PROC_STAT_PRIV_H

#include <sys/types.h>

/* What has become of a child that was to execute a program. */
enum pal__progress {
	PAL__PROGRESS_UNKNOWN,  /* /proc does not tell */
	PAL__PROGRESS_NOT_YET,  /* it will execute, or end */
	PAL__PROGRESS_EXECUTED, /* and perhaps has ended since */
	PAL__PROGRESS_DIED      /* is ending or has ended without having executed anything */
};

/* Of our child `pid`, while it has not been reaped. */
enum pal__progress pal__progress(pid_t pid);

/* The same on the text of /proc/PID/stat. */
enum pal__progress pal__stat_progress(const char *text, pid_t parent);

#endif
