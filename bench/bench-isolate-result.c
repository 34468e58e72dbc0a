/* SPDX-License-Identifier: MIT */

/* Long results. */
#include <isolate/isolate.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench-isolate.h"
#include "harness.h"

#define LARGEST ((size_t)64 << 20)

static unsigned char *source, *target;
static size_t size;

static void run_floor(unsigned count)
{
	while (count--)
		bench_isolate_raw(source, target, size);
}

static void run_procmesh(unsigned count)
{
	while (count--)
		bench_isolate_call(source, size);
}

static const struct bench_candidate candidates[] = {
	{"floor", NULL, run_floor, NULL, 0},
	{"procmesh", NULL, run_procmesh, NULL, 0},
	{NULL, NULL, NULL, NULL, 0},
};

/* Memory that has been touched, in small pages. */
static unsigned char *map(size_t bytes)
{
	unsigned char *memory =
		mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (memory == MAP_FAILED)
		bench_die("memory");
	madvise(memory, bytes, MADV_NOHUGEPAGE);
	memset(memory, 1, bytes);
	return memory;
}

static void measure(const char *name, size_t bytes, unsigned batch, unsigned rounds)
{
	size = bytes;
	source = map(size);
	target = map(size);
	madvise(target, size, MADV_DONTFORK); /* no child needs it */
	bench_run(&(struct bench_measure){name, "us", batch, rounds, candidates, false});
	munmap(source, size);
	munmap(target, size);
	isolate_trim();
}

void bench_isolate_results(void)
{
	measure("isolate.64KiB", (size_t)64 << 10, 20, 51);
	measure("isolate.1MiB", (size_t)1 << 20, 10, 51);
	measure("isolate.64MiB", LARGEST, 1, 31);
}

/* ---- memory ---- */

/* A line of /proc/self/status, in KiB. */
static long status_of_this(const char *name)
{
	FILE *file = fopen("/proc/self/status", "re");
	char line[256];
	long value = -1;

	while (file && fgets(line, sizeof line, file))
		if (!strncmp(line, name, strlen(name)))
			value = atol(line + strlen(name));
	if (!file || value < 0)
		bench_die(name);
	fclose(file);
	return value;
}

static int make_bytes(struct isolate_writer *out, void *arg)
{
	unsigned char *bytes = malloc(LARGEST);

	(void)arg;
	if (!bytes)
		return -1;
	memset(bytes, 2, LARGEST);
	return isolate_write(out, bytes, LARGEST);
}

static void call_and_look(void)
{
	struct isolate_result result;

	if (isolate_call(make_bytes, NULL, NULL, &result) != ISOLATE_RETURNED || result.size != LARGEST ||
		memchr(result.data, 0, result.size))
		bench_die(pal_error_text(&result.error));
	isolate_result_clear(&result);
}

/* How far the resident memory of a new process goes beyond what it was, shared pages included. */
void bench_isolate_peak(void)
{
	pid_t pid = fork();
	int status;

	if (pid == 0) {
		long before = status_of_this("VmRSS:"), added;

		for (int i = 0; i < 3; i++)
			call_and_look();
		added = status_of_this("VmHWM:") - before;
		printf("isolate.64MiB.peak\tprocmesh\t%ld\t%ld\t%ld\tKiB\t%.3f\n", added, added, added,
			(double)added / (double)(LARGEST >> 10));
		exit(0);
	}
	if (pid < 0 || waitpid(pid, &status, 0) != pid || status)
		bench_die("the peak");
}
