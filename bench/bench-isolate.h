/* SPDX-License-Identifier: MIT */
#ifndef PROCMESH_BENCH_ISOLATE_H
#define PROCMESH_BENCH_ISOLATE_H

#include <stdbool.h>
#include <stddef.h>

/* A few rounds, to see that it works: nothing that takes many seconds. */
bool bench_isolate_is_short(void);

/* What the others compare with: fork(2), a pipe, waitpid(2); `size` bytes into memory that is there. */
void bench_isolate_raw(const void *source, void *target, size_t size);
/* The same by isolate_call. */
void bench_isolate_call(const void *source, size_t size);

/* bench-isolate-result.c: long results, what they cost in time and in memory */
void bench_isolate_results(void);
void bench_isolate_peak(void);

/* bench-isolate-size.c: large processes, whose memory is copied, or left out */
void bench_isolate_sizes(void);

/* bench-isolate-drift.c: what many calls leave */
void bench_isolate_drift(void);

#endif
