/* SPDX-License-Identifier: MIT */

/* What call after call leaves behind in the process that makes them: nothing, it should. */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bench-isolate.h"
#include "harness.h"

#define CALLS 100000 /* BENCH_CALLS in the environment overrides it */
#define CALLS_IN_SHORT 1000
#define LONG_RESULT ((size_t)256 << 10)

static unsigned char bytes[LONG_RESULT] = {1};

static long count_fds(void)
{
	DIR *folder = opendir("/proc/self/fd");
	long count = 0;

	if (!folder)
		bench_die("/proc/self/fd");
	while (readdir(folder))
		count++;
	closedir(folder);
	return count;
}

static long count_mappings(void)
{
	FILE *file = fopen("/proc/self/maps", "re");
	long count = 0;
	int c;

	if (!file)
		bench_die("/proc/self/maps");
	while ((c = getc(file)) != EOF)
		count += c == '\n';
	fclose(file);
	return count;
}

static long resident_kib(void)
{
	FILE *file = fopen("/proc/self/statm", "re");
	long size, pages;

	if (!file || fscanf(file, "%ld %ld", &size, &pages) != 2)
		bench_die("/proc/self/statm");
	fclose(file);
	return pages * (sysconf(_SC_PAGESIZE) >> 10);
}

static long calls(void)
{
	const char *text = getenv("BENCH_CALLS");
	long number = text ? atol(text) : 0;

	return number > 0 ? number : bench_isolate_is_short() ? CALLS_IN_SHORT : CALLS;
}

/* Mostly short results, and every tenth a long one. */
static void call(long count)
{
	for (long i = 0; i < count; i++)
		bench_isolate_call(bytes, i % 10 ? 8 : LONG_RESULT);
}

static void print(const char *candidate, long before, long after, const char *unit)
{
	printf("isolate.100k.drift\t%s\t%ld\t%ld\t%ld\t%s\t%.2f\n", candidate, after - before, before, after, unit,
		(double)after / (double)before);
}

/* The difference, before, after, and their ratio: after the first hundred, and at the end. */
void bench_isolate_drift(void)
{
	long fds, mappings, kib, count = calls();

	call(100);
	fds = count_fds();
	mappings = count_mappings();
	kib = resident_kib();
	call(count);
	print("fds", fds, count_fds(), "fds");
	print("mappings", mappings, count_mappings(), "mappings");
	print("resident", kib, resident_kib(), "KiB");
}
