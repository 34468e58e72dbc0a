/* SPDX-License-Identifier: MIT */

/* Calling a function in a forked copy of this process and getting bytes back. */
#include "bench-isolate.h"

#include <isolate/isolate.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "harness.h"

bool bench_isolate_is_short(void)
{
	const char *rounds = getenv("BENCH_ROUNDS");

	return rounds && atoi(rounds) > 0 && atoi(rounds) < 10;
}

static volatile unsigned sum;

/* As whoever wants the result does, with one access per page. */
static void look_at(const unsigned char *bytes, size_t size)
{
	for (size_t i = 0; i < size; i += 4096)
		sum += bytes[i];
}

static void write_all(int fd, const unsigned char *source, size_t size)
{
	for (size_t at = 0; at < size;) {
		ssize_t put = write(fd, source + at, size - at);

		if (put < 0)
			_exit(1);
		at += (size_t)put;
	}
	_exit(0);
}

void bench_isolate_raw(const void *source, void *target, size_t size)
{
	unsigned char *bytes = target, rest;
	size_t at = 0;
	ssize_t got;
	int ends[2], status;
	pid_t pid;

	if (pipe2(ends, 0) < 0 || (pid = fork()) < 0)
		bench_die("fork");
	if (pid == 0)
		write_all(ends[1], source, size);
	close(ends[1]);
	while (at < size && (got = read(ends[0], bytes + at, size - at)) > 0)
		at += (size_t)got;
	if (at != size || read(ends[0], &rest, 1) != 0)
		bench_die("the answer");
	close(ends[0]);
	if (waitpid(pid, &status, 0) != pid || status)
		bench_die("the child");
	look_at(bytes, size);
}

struct bytes {
	const void *source;
	size_t size;
};

static int give_bytes(struct isolate_writer *out, void *arg)
{
	const struct bytes *bytes = arg;

	return isolate_write(out, bytes->source, bytes->size);
}

void bench_isolate_call(const void *source, size_t size)
{
	struct bytes bytes = {source, size};
	struct isolate_result result;

	if (isolate_call(give_bytes, &bytes, NULL, &result) != ISOLATE_RETURNED || result.size != size)
		bench_die(pal_error_text(&result.error));
	look_at(result.data, size);
	isolate_result_clear(&result);
}

int main(void)
{
	/* These two in a process that has nothing else yet. */
	bench_isolate_peak();
	bench_isolate_results();
	bench_isolate_sizes();
	bench_isolate_drift();
	return 0;
}
