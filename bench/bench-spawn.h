/* SPDX-License-Identifier: MIT */
#ifndef PROCMESH_BENCH_SPAWN_H
#define PROCMESH_BENCH_SPAWN_H

#include <sys/types.h>

/* The parts of bench-spawn; each runs in a process of its own. */

void bench_capture(void);   /* bench-spawn-capture.c */
void bench_alive(void);     /* bench-spawn-alive.c */
void bench_sandboxed(void); /* bench-spawn-sandboxed.c */

/*
 * With what procmesh gives a child: signals, descriptors, a pidfd, which is returned. What argv[0]
 * names is executed. bench-spawn-guarded.c
 */
int guarded_spawn(char *const argv[]);
void guarded_reap(int pidfd);

/* Waits for it, and dies if it has not exited with 0. */
void expect_exit_0(pid_t pid);

#endif
