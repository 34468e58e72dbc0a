/* SPDX-License-Identifier: MIT */

/* Eight bytes from forks of processes of many sizes. */
#include <isolate/memory.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench-isolate.h"
#include "harness.h"

#define MIB ((size_t)1 << 20)
#define GIB ((size_t)1 << 30)

static const uint64_t answer = 42;

static void run_floor(unsigned count)
{
	while (count--) {
		uint64_t got;

		bench_isolate_raw(&answer, &got, sizeof got);
	}
}

static void run_procmesh(unsigned count)
{
	while (count--)
		bench_isolate_call(&answer, sizeof answer);
}

static const struct bench_candidate candidates[] = {
	{"floor", NULL, run_floor, NULL, 0},
	{"procmesh", NULL, run_procmesh, NULL, 0},
	{NULL, NULL, NULL, NULL, 0},
};

/* ---- a process that stays small ---- */

static int orders[2], reports[2];
static pid_t small;

static void start_small(void)
{
	unsigned count;

	if (pipe(orders) < 0 || pipe(reports) < 0 || (small = fork()) < 0)
		bench_die("fork");
	if (small)
		return;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	close(orders[1]);
	while (read(orders[0], &count, sizeof count) == sizeof count) {
		run_procmesh(count);
		if (write(reports[1], &count, sizeof count) != sizeof count)
			break;
	}
	_exit(0);
}

static void stop_small(void)
{
	close(orders[0]);
	close(orders[1]);
	close(reports[0]);
	close(reports[1]);
	waitpid(small, NULL, 0);
}

static void run_small(unsigned count)
{
	if (write(orders[1], &count, sizeof count) != sizeof count ||
		read(reports[0], &count, sizeof count) != sizeof count)
		bench_die("the small process");
}

static const struct bench_candidate candidates_leftout[] = {
	{"procmesh-5MiB", NULL, run_small, NULL, 0},
	{"procmesh", NULL, run_procmesh, NULL, 0},
	{NULL, NULL, NULL, NULL, 0},
};

/* ---- sizes ---- */

static size_t available(void)
{
	FILE *file = fopen("/proc/meminfo", "re");
	unsigned long kib = 0;
	char line[256];

	while (file && fgets(line, sizeof line, file))
		if (sscanf(line, "MemAvailable: %lu", &kib) == 1)
			break;
	if (file)
		fclose(file);
	return (size_t)kib << 10;
}

static bool can_grow_by(const char *name, size_t bytes)
{
	if (bench_isolate_is_short() && bytes > GIB) {
		fprintf(stderr, "%s: left out of a short run: it takes 15 seconds\n", name);
		return false;
	}
	if (available() < bytes + bytes / 8) {
		fprintf(stderr, "%s: left out: needs %zu MiB of memory, there are %zu\n", name,
			(bytes + bytes / 8) >> 20, available() >> 20);
		return false;
	}
	return true;
}

/* In small pages, as of a process that has grown bit by bit. */
static void *grow(size_t bytes)
{
	void *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (memory == MAP_FAILED)
		bench_die("memory");
	madvise(memory, bytes, MADV_NOHUGEPAGE);
	memset(memory, 1, bytes);
	return memory;
}

static void measure(const char *name, size_t bytes, unsigned rounds)
{
	void *memory;

	if (!can_grow_by(name, bytes))
		return;
	memory = grow(bytes);
	bench_run(&(struct bench_measure){name, "us", 1, rounds, candidates, false});
	munmap(memory, bytes);
}

static void measure_leftout(const char *name, size_t bytes)
{
	void *memory;

	if (!can_grow_by(name, bytes))
		return;
	memory = grow(bytes);
	bench_check(isolate_leave_out(memory, bytes), "isolate_leave_out");
	bench_run(&(struct bench_measure){name, "us", 20, 51, candidates_leftout, false});
	munmap(memory, bytes);
}

void bench_isolate_sizes(void)
{
	bench_grow_to(5 * MIB);
	bench_run(&(struct bench_measure){"isolate.8B.5MiB", "us", 20, 101, candidates, false});
	start_small();
	measure("isolate.8B.1GiB", GIB, 21);
	measure("isolate.8B.8GiB", 8 * GIB, 11);
	measure_leftout("isolate.8B.8GiB.leftout", 8 * GIB);
	stop_small();
}
