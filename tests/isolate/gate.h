/* SPDX-License-Identifier: MIT */
#ifndef PROCMESH_TESTS_ISOLATE_GATE_H
#define PROCMESH_TESTS_ISOLATE_GATE_H

/* Runs that wait until the test lets them go on, and looking at runs as a loop does. */
#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

#include "isolate-support.h"

/* Lets functions that were started go on, all at once, and sees when none of them is left. */
struct gate {
	int go[2];   /* closed here: they go on */
	int held[2]; /* end of file: they are gone */
	size_t size; /* of what each writes then */
};

static inline void gate_open(struct gate *gate, size_t size)
{
	ck_assert_int_eq(pipe2(gate->go, O_CLOEXEC), 0);
	ck_assert_int_eq(pipe2(gate->held, O_CLOEXEC), 0);
	gate->size = size;
}

static inline int pass(struct isolate_writer *out, void *arg)
{
	struct gate *gate = arg;
	struct order order = {gate->size, 1000};
	pid_t self = getpid();
	ssize_t n;
	char byte;

	close(gate->go[1]);
	close(gate->held[0]);
	if (write(gate->held[1], &self, sizeof self) != sizeof self)
		return -1;
	do
		n = read(gate->go[0], &byte, 1);
	while (n < 0 && errno == EINTR); /* of being stopped, under valgrind */
	if (n != 0)
		return -1;
	return write_pattern(out, &order);
}

static inline pid_t await_entry(const struct gate *gate)
{
	pid_t pid;

	ck_assert_int_eq(read(gate->held[0], &pid, sizeof pid), sizeof pid);
	return pid;
}

static inline void let_go(struct gate *gate)
{
	close(gate->go[0]);
	close(gate->go[1]);
}

/* Everything that the functions wrote has been read. */
static inline void check_that_all_are_gone(struct gate *gate)
{
	char byte;

	close(gate->held[1]);
	ck_assert_int_eq(read(gate->held[0], &byte, 1), 0);
	close(gate->held[0]);
}

static inline struct isolate_run *start(
	isolate_fn fn, void *arg, const struct isolate_options *options)
{
	struct pal_error error = {0};
	struct isolate_run *run;

	ck_assert_ok(isolate_start(fn, arg, options, &run, &error), &error);
	return run;
}

static inline bool is_readable(int fd, int timeout_ms)
{
	struct pollfd event = {.fd = fd, .events = POLLIN};

	return poll(&event, 1, timeout_ms) > 0;
}

/* As a loop does. Counts the turns, so that one that never sleeps is noticed. */
static inline int progress_to_the_end(struct isolate_run *run)
{
	int fd = isolate_run_fd(run), turns = 0;

	ck_assert_int_ge(fd, 3);
	do {
		turns++;
		ck_assert(is_readable(fd, A_HANG_MS));
	} while (!isolate_progress(run));
	ck_assert(is_readable(fd, 0)); /* for good */
	ck_assert_int_eq(isolate_progress(run), 1);
	ck_assert(is_readable(fd, 0));
	return turns;
}

#endif
