/* SPDX-License-Identifier: MIT */
#ifndef PROCMESH_BENCH_SPAWN_H
#define PROCMESH_BENCH_SPAWN_H

#include <sys/types.h>

/* The parts of bench-spawn; each runs in a process of its own. */

void bench_capture(void);   /* bench-spawn-capture.c */
void bench_alive(void);     /* bench-spawn-alive.c */
void bench_sandboxed(void); /* bench-spawn-sandboxed.c */

/* Waits for it, and dies if it has not exited with 0. */
void expect_exit_0(pid_t pid);

#endif
