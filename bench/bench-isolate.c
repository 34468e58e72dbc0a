/* SPDX-License-Identifier: MIT */

/* Calling a function in a forked copy of this process and getting 8 bytes back. */
#include <isolate/isolate.h>

#include <stdint.h>
#include <sys/wait.h>
#include <unistd.h>

#include "harness.h"

static const uint64_t answer = 42;

static void run_floor(unsigned count)
{
	while (count--) {
		uint64_t got = 0, rest;
		int ends[2], status;
		pid_t pid;

		if (pipe2(ends, 0) < 0 || (pid = fork()) < 0)
			bench_die("fork");
		if (pid == 0)
			_exit(write(ends[1], &answer, sizeof answer) != sizeof answer);
		close(ends[1]);
		if (read(ends[0], &got, sizeof got) != sizeof got || got != answer || read(ends[0], &rest, 1) != 0)
			bench_die("the answer");
		close(ends[0]);
		if (waitpid(pid, &status, 0) != pid || status)
			bench_die("the child");
	}
}

static int give_answer(struct isolate_writer *out, void *arg)
{
	(void)arg;
	return isolate_write(out, &answer, sizeof answer);
}

static void run_procmesh(unsigned count)
{
	while (count--) {
		struct isolate_result result;

		if (isolate_call(give_answer, NULL, NULL, &result) != ISOLATE_RETURNED || result.size != sizeof answer)
			bench_die(pal_error_text(&result.error));
		isolate_result_clear(&result);
	}
}

static const struct bench_candidate candidates[] = {
	{"floor", NULL, run_floor, NULL},
	{"procmesh", NULL, run_procmesh, NULL},
	{NULL, NULL, NULL, NULL},
};

int main(void)
{
	bench_grow_to((size_t)5 << 20);
	bench_run(&(struct bench_measure){"isolate.8B.5MiB", "us", 20, 51, candidates});
	return 0;
}
