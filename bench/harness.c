/* SPDX-License-Identifier: MIT */
#include "harness.h"

#include <errno.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#define MAX_CANDIDATES 16

static int64_t excluded, paused_at;

void bench_die(const char *what)
{
	fprintf(stderr, "%s: %s: %s\n", program_invocation_short_name, what, strerror(errno));
	exit(1);
}

void bench_check(int result, const char *what)
{
	if (result >= 0)
		return;
	errno = -result;
	bench_die(what);
}

static int64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

void bench_pause(void)
{
	paused_at = now_ns();
}

void bench_resume(void)
{
	excluded += now_ns() - paused_at;
}

static unsigned batch_of(const struct bench_candidate *candidate, unsigned batch)
{
	return candidate->fewer && candidate->fewer < batch ? batch / candidate->fewer : candidate->fewer ? 1 : batch;
}

static double time_per_operation(const struct bench_candidate *candidate, unsigned batch)
{
	int64_t began;

	batch = batch_of(candidate, batch);
	excluded = 0;
	began = now_ns();
	candidate->run(batch);
	return (double)(now_ns() - began - excluded) / batch;
}

static int compare(const void *a, const void *b)
{
	double left = *(const double *)a, right = *(const double *)b;

	return (left > right) - (left < right);
}

static double median(const double *sorted, unsigned count)
{
	return count % 2 ? sorted[count / 2] : (sorted[count / 2 - 1] + sorted[count / 2]) / 2;
}

static unsigned number_from_environment(const char *name, unsigned otherwise)
{
	const char *text = getenv(name);
	int number = text ? atoi(text) : 0;

	return number > 0 ? (unsigned)number : otherwise;
}

/* The ratio is to the median of the first. */
static void print_candidates(const struct bench_measure *measure, const char *suffix,
	const struct bench_candidate *candidates, double *const *times, unsigned count, unsigned rounds)
{
	double unit = strcmp(measure->unit, "us") ? 1 : 1000, first = 0;
	double *sorted = calloc(rounds, sizeof *sorted);

	if (!sorted)
		bench_die("memory");
	for (unsigned i = 0; i < count; i++) {
		double middle;

		memcpy(sorted, times[i], rounds * sizeof *sorted); /* in the order of the rounds they are comparable */
		qsort(sorted, rounds, sizeof *sorted, compare);
		middle = median(sorted, rounds);
		if (i == 0)
			first = middle;
		printf("%s%s\t%s\t%.2f\t%.2f\t%.2f\t%s\t%.2f\n", measure->name, suffix, candidates[i].name, middle / unit,
			sorted[0] / unit, sorted[rounds - 1] / unit, measure->unit, middle / first);
	}
	free(sorted);
}

static void subtract_floor(double *const *times, unsigned count, unsigned rounds)
{
	for (unsigned i = 1; i < count; i++)
		for (unsigned round = 0; round < rounds; round++)
			times[i][round] -= times[0][round];
}

void bench_run(const struct bench_measure *measure)
{
	unsigned rounds = number_from_environment("BENCH_ROUNDS", measure->rounds);
	unsigned batch = number_from_environment("BENCH_BATCH", measure->batch);
	const struct bench_candidate *candidates = measure->candidates;
	double *times[MAX_CANDIDATES];
	unsigned count = 0;

	for (; candidates[count].name; count++) {
		if (count == MAX_CANDIDATES || !(times[count] = calloc(rounds, sizeof *times[count])))
			bench_die("candidates");
		if (candidates[count].start)
			candidates[count].start();
	}
	for (unsigned i = 0; i < count; i++)
		candidates[i].run(batch_of(&candidates[i], batch)); /* warm: not counted */
	for (unsigned round = 0; round < rounds; round++) {
		for (unsigned i = 0; i < count; i++) {
			unsigned turn = (round + i) % count;

			times[turn][round] = time_per_operation(&candidates[turn], batch);
		}
	}
	for (unsigned i = 0; i < count; i++)
		if (candidates[i].stop)
			candidates[i].stop();
	print_candidates(measure, "", candidates, times, count, rounds);
	if (measure->added) {
		subtract_floor(times, count, rounds);
		print_candidates(measure, ".added", candidates + 1, times + 1, count - 1, rounds);
	}
	fflush(stdout);
	for (unsigned i = 0; i < count; i++)
		free(times[i]);
}

static size_t resident(void)
{
	unsigned long size, pages = 0;
	FILE *file = fopen("/proc/self/statm", "re");

	if (!file || fscanf(file, "%lu %lu", &size, &pages) != 2)
		bench_die("/proc/self/statm");
	fclose(file);
	return pages * (size_t)sysconf(_SC_PAGESIZE);
}

void bench_grow_to(size_t bytes)
{
	size_t have = resident();
	char *filler;

	if (have >= bytes)
		return;
	filler = mmap(NULL, bytes - have, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (filler == MAP_FAILED)
		bench_die("memory");
	/* The pages of a process that has grown bit by bit; it does not matter if there are no others. */
	madvise(filler, bytes - have, MADV_NOHUGEPAGE);
	memset(filler, 1, bytes - have); /* kept until the end */
}

/* Those that the program was started with. */
static const cpu_set_t *allowed_cpus(void)
{
	static cpu_set_t allowed;

	if (!CPU_COUNT(&allowed) && sched_getaffinity(0, sizeof allowed, &allowed) < 0)
		bench_die("sched_getaffinity");
	return &allowed;
}

static void use_cpus(const cpu_set_t *cpus)
{
	if (sched_setaffinity(0, sizeof *cpus, cpus) < 0)
		bench_die("sched_setaffinity");
}

bool bench_cpu(unsigned n)
{
	const cpu_set_t *allowed = allowed_cpus();
	cpu_set_t one;

	CPU_ZERO(&one);
	for (int cpu = 0; cpu < CPU_SETSIZE; cpu++) {
		if (!CPU_ISSET(cpu, allowed) || n--)
			continue;
		CPU_SET(cpu, &one);
		use_cpus(&one);
		return true;
	}
	return false;
}

void bench_one_cpu(void)
{
	bench_cpu(0);
}

void bench_all_cpus(void)
{
	use_cpus(allowed_cpus());
}
