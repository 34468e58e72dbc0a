/* SPDX-License-Identifier: MIT */
#ifndef PROCMESH_BENCH_HARNESS_H
#define PROCMESH_BENCH_HARNESS_H

/*
 * Compares ways of doing the same thing. The candidates of a measure run in
 * turn, a small batch each per round and starting with another one in every
 * round, so that a machine that gets slower or faster meanwhile changes all of
 * them alike. Reported is the time of one operation: the median over the rounds
 * and the extremes, and the ratio to the median of the first candidate, the
 * floor: the fewest system calls that could do it.
 */

#include <stdbool.h>
#include <stddef.h>

struct bench_candidate {
	const char *name;
	void (*start)(void);         /* once, before the first round; may be NULL */
	void (*run)(unsigned count); /* does it `count` times */
	void (*stop)(void);          /* once, at the end; may be NULL */
	unsigned fewer;              /* does it that many times less often per round: slow ones; 0: as often */
};

struct bench_measure {
	const char *name;
	const char *unit;  /* "us" or "ns" */
	unsigned batch;    /* operations per candidate and round */
	unsigned rounds;
	const struct bench_candidate *candidates; /* the floor first; ends with a NULL name */
	bool added; /* also what they add to the floor, as a measure NAME.added */
};

/*
 * Runs it and prints a line per candidate: measure, candidate, median, min,
 * max, unit, ratio, separated by tabs. BENCH_ROUNDS and BENCH_BATCH in the
 * environment override the numbers. What is added to the floor is the
 * difference within a round, and its ratio is to that of the second candidate.
 */
void bench_run(const struct bench_measure *measure);

/* Inside run: time that is not to be counted. */
void bench_pause(void);
void bench_resume(void);

/* Makes the resident memory of this process at least `bytes`, in small pages. */
void bench_grow_to(size_t bytes);
/* Binds this thread, and what it starts from now on, to one CPU. */
void bench_one_cpu(void);
/* To the nth of those that it may use, from 0; false: there are not so many. */
bool bench_cpu(unsigned n);
/* To all of them again. */
void bench_all_cpus(void);

/* Prints what failed, with errno, and exits: a benchmark has nothing to recover. */
void bench_die(const char *what) __attribute__((noreturn));
/* Dies if a call returned a negative errno. */
void bench_check(int result, const char *what);

#endif
