/* SPDX-License-Identifier: MIT */

/*
 * What runs need besides calls, failing in turn (linked with --wrap): memory for
 * the run and for what is captured, the set and its timer, looking for the end,
 * signals that do not arrive. S105, S116
 */
#include <fcntl.h>
#include <isolate/isolate-priv.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/stat.h>
#include <sys/timerfd.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "isolate-support.h"

enum call {
	NO_CALL,
	AWAIT_START,
	ALLOCATE_RUN,
	GROW_CAPTURE,
	MAKE_SET,
	MAKE_TIMER,
	ADD_TO_SET,
	LOOK_FOR_END,
	READ_STREAM,
	COUNT_THREADS,
	SEND_SIGNAL
};

static struct {
	enum call call;
	int code;  /* errno */
	int skip;  /* occurrences that pass before one fails */
	int times; /* that fail then */
} fault;

static bool strikes(enum call call)
{
	if (fault.call != call || fault.skip-- > 0 || fault.times-- <= 0)
		return false;
	errno = fault.code;
	return true;
}

static void let_fail(enum call call, int code, int skip, int times)
{
	fault.call = call;
	fault.code = code;
	fault.skip = skip;
	fault.times = times;
}

#define WRAP(type, name, ...)                                                                      \
	type __real_##name(__VA_ARGS__);                                                           \
	type __wrap_##name(__VA_ARGS__);                                                           \
	type __wrap_##name(__VA_ARGS__)

/* Shared with the function, which sets it. */
static volatile bool *entered;

WRAP(int, poll, struct pollfd *events, nfds_t count, int timeout_ms)
{
	if (count != 2 || fault.call != AWAIT_START) /* pal_fork's, for the start */
		return __real_poll(events, count, timeout_ms);
	while (!*entered)
		sched_yield();
	return strikes(AWAIT_START) ? -1 : __real_poll(events, count, timeout_ms);
}

WRAP(void *, malloc, size_t size)
{
	return size == sizeof(struct isolate_run) && strikes(ALLOCATE_RUN) ? NULL
									   : __real_malloc(size);
}

WRAP(void *, realloc, void *old, size_t size)
{
	return strikes(GROW_CAPTURE) ? NULL : __real_realloc(old, size);
}

WRAP(void *, calloc, size_t count, size_t size)
{
	return count == 1 && size == 1 && strikes(GROW_CAPTURE) ? NULL : __real_calloc(count, size);
}

WRAP(int, epoll_create1, int flags)
{
	return strikes(MAKE_SET) ? -1 : __real_epoll_create1(flags);
}

WRAP(int, timerfd_create, int clock, int flags)
{
	return strikes(MAKE_TIMER) ? -1 : __real_timerfd_create(clock, flags);
}

WRAP(int, epoll_ctl, int set, int operation, int fd, struct epoll_event *event)
{
	if (operation == EPOLL_CTL_ADD && strikes(ADD_TO_SET))
		return -1;
	return __real_epoll_ctl(set, operation, fd, event);
}

WRAP(int, pal_child_try_wait, struct pal_child *child, struct pal_status *ret,
	struct pal_error *error)
{
	int code = fault.code;

	if (!strikes(LOOK_FOR_END))
		return __real_pal_child_try_wait(child, ret, error);
	if (code == ECHILD) /* says that it has ended, so it has */
		(void)__real_pal_child_try_wait(child, ret, error);
	return code ? pal_error_set(error, PAL_STAGE_WAIT, -code, "wait") : 0;
}

WRAP(ssize_t, read, int fd, void *data, size_t size)
{
	return strikes(READ_STREAM) ? -1 : __real_read(fd, data, size);
}

static bool reads_wait; /* as with a kernel before Linux 6.4 */

WRAP(ssize_t, preadv2, int fd, const struct iovec *parts, int count, off_t offset, int flags)
{
	if (reads_wait) {
		errno = EOPNOTSUPP;
		return -1;
	}
	return strikes(READ_STREAM) ? -1 : __real_preadv2(fd, parts, count, offset, flags);
}

WRAP(int, stat, const char *path, struct stat *st)
{
	return strikes(COUNT_THREADS) ? -1 : __real_stat(path, st);
}

WRAP(int, pal_child_signal, struct pal_child *child, int signal)
{
	return strikes(SEND_SIGNAL) ? -fault.code : __real_pal_child_signal(child, signal);
}

static int print_and_return(struct isolate_writer *out, void *arg)
{
	static const char line[1000] = "l";

	for (size_t i = 0; i < *(const size_t *)arg / 1000; i++)
		if (write(1, line, sizeof line) != sizeof line)
			return -1;
	return isolate_write(out, "r", 1);
}

static struct isolate_run *start(
	size_t *size, const struct isolate_options *options, struct pal_error *error)
{
	struct isolate_run *run;

	ck_assert_ok(isolate_start(print_and_return, size, options, &run, error), error);
	return run;
}

static void progress_to_the_end(struct isolate_run *run)
{
	do {
		struct pollfd event = {.fd = isolate_run_fd(run), .events = POLLIN};

		ck_assert_int_ge(event.fd, 0);
		ck_assert_int_eq(poll(&event, 1, A_HANG_MS), 1);
	} while (!isolate_progress(run));
}

static const struct isolate_options capturing = {
	ISOLATE_OPTIONS_INIT, .std_out = {.kind = PAL_STDIO_KIND_PIPE}};

START_TEST(a_run_without_memory_is_not_executed)
{
	struct isolate_run *untouched = (void *)-1, *run = untouched;
	struct pal_error error = {0};
	size_t size = 0;

	let_fail(ALLOCATE_RUN, ENOMEM, 0, 1);
	ck_assert_int_eq(isolate_start(print_and_return, &size, NULL, &run, &error), -ENOMEM);
	ck_assert_int_eq(error.stage, ISOLATE_STAGE_PREPARE);
	ck_assert_ptr_eq(run, untouched);
}
END_TEST

static int enter(struct isolate_writer *out, void *arg)
{
	(void)out;
	(void)arg;
	*entered = true;
	return pause();
}

/* A start that fails when the function has been entered has an outcome, and no child. */
START_TEST(a_start_that_fails_late_is_a_run_that_is_over)
{
	struct pollfd event = {.events = POLLIN};
	struct isolate_result result;
	struct isolate_run *run;

	entered = shared_memory(sizeof *entered);
	let_fail(AWAIT_START, EPERM, 0, 1);
	ck_assert_int_eq(isolate_start(enter, NULL, NULL, &run, NULL), 0);
	event.fd = isolate_run_fd(run);
	ck_assert_int_ge(event.fd, 0);
	isolate_cancel(run);
	ck_assert_int_eq(poll(&event, 1, A_HANG_MS), 1);
	ck_assert_int_eq(isolate_progress(run), 1);
	ck_assert_int_eq(isolate_finish(run, &result), ISOLATE_UNKNOWN);
	isolate_result_clear(&result);
	munmap((void *)entered, sizeof *entered);
	entered = NULL;
}
END_TEST

static const struct {
	enum call call;
	int code;
	int skip;
} sets[] = {
	{MAKE_SET, EMFILE, 0},
	{MAKE_TIMER, ENFILE, 0},
	{ADD_TO_SET, ENOSPC, 0},
	{ADD_TO_SET, ENOMEM, 1},
	{ADD_TO_SET, ENOMEM, 2},
};

START_TEST(a_set_that_cannot_be_made_changes_nothing)
{
	struct isolate_result result;
	struct pal_error error = {0};
	size_t size = 100000;
	struct isolate_run *run = start(&size, &capturing, &error);

	for (int i = 0; i < 2; i++) {
		let_fail(sets[_i].call, sets[_i].code, sets[_i].skip, 1);
		ck_assert_int_eq(isolate_run_fd(run), -sets[_i].code);
		ck_assert_int_eq(fault.times, 0);
	}
	progress_to_the_end(run);
	isolate_finish(run, &result);
	ck_assert_answer(&result, ISOLATE_RETURNED);
	ck_assert_uint_eq(result.out_size, size);
	isolate_result_clear(&result);
}
END_TEST

/* As a tracer does it; and in the second turn the set cannot take the child back. */
START_TEST(an_end_that_cannot_be_had_is_looked_for_again)
{
	struct isolate_result result;
	struct pal_error error = {0};
	size_t size = 0;
	struct isolate_run *run = start(&size, NULL, &error);
	struct pollfd event = {.fd = isolate_run_fd(run), .events = POLLIN};

	ck_assert_int_eq(poll(&event, 1, A_HANG_MS), 1);
	for (int i = 0; i < 3; i++) {
		let_fail(LOOK_FOR_END, 0, 0, 1);
		ck_assert_int_eq(isolate_progress(run), 0);
		let_fail(ADD_TO_SET, ENOMEM, 0, _i);
		ck_assert_int_eq(poll(&event, 1, A_HANG_MS), 1);
	}
	progress_to_the_end(run);
	isolate_finish(run, &result);
	ck_assert_answer(&result, ISOLATE_RETURNED);
	ck_assert(result.status_known);
	isolate_result_clear(&result);
}
END_TEST

START_TEST(a_status_that_is_lost_loses_nothing_else)
{
	struct isolate_result result;
	struct pal_error error = {0};
	size_t size = 0;
	struct isolate_run *run = start(&size, NULL, &error);

	let_fail(LOOK_FOR_END, ECHILD, 0, 1);
	progress_to_the_end(run);
	isolate_finish(run, &result);
	ck_assert_answer(&result, ISOLATE_RETURNED);
	ck_assert(!result.status_known);
	isolate_result_clear(&result);
}
END_TEST

static int stay(struct isolate_writer *out, void *arg)
{
	(void)out;
	*(volatile pid_t *)arg = getpid();
	while (*(volatile pid_t *)arg)
		pause();
	return 0;
}

/* It shows an end, and then why it cannot be had says nothing about the child. */
START_TEST(a_look_that_fails_ends_the_child)
{
	struct isolate_result result;
	struct pal_error error = {0};
	size_t size = 0;
	struct isolate_run *run = start(&size, NULL, &error);

	let_fail(LOOK_FOR_END, ENOMEM, 0, 1);
	progress_to_the_end(run);
	isolate_finish(run, &result);
	ck_assert(!result.status_known);
	ck_assert_answer(&result, ISOLATE_RETURNED); /* the marks are enough */
	isolate_result_clear(&result);
}
END_TEST

/* ---- captured streams ---- */

START_TEST(what_there_is_no_memory_for_is_thrown_away)
{
	struct isolate_result result;
	size_t size = 200000;

	let_fail(GROW_CAPTURE, ENOMEM, _i, 1000);
	isolate_call(print_and_return, &size, &capturing, &result);
	ck_assert_answer(&result, ISOLATE_RETURNED);
	ck_assert_uint_eq(result.size, 1);
	ck_assert(result.truncated && !result.cut_off);
	ck_assert_uint_eq(result.out_size, _i ? (size_t)4096 << (_i - 1) : 0);
	isolate_result_clear(&result);
}
END_TEST

START_TEST(no_memory_at_all_costs_no_answer)
{
	struct isolate_result result;
	size_t size = 0;

	let_fail(GROW_CAPTURE, ENOMEM, 0, 1000);
	isolate_call(print_and_return, &size, &capturing, &result);
	ck_assert_answer(&result, ISOLATE_RETURNED);
	ck_assert(result.truncated);
	ck_assert_ptr_null(result.out);
	isolate_result_clear(&result);
}
END_TEST

START_TEST(a_read_that_is_interrupted_goes_on)
{
	struct isolate_result result;
	size_t size = 200000;

	let_fail(READ_STREAM, EINTR, _i, 3);
	isolate_call(print_and_return, &size, &capturing, &result);
	ck_assert_answer(&result, ISOLATE_RETURNED);
	ck_assert_uint_eq(result.out_size, size);
	ck_assert(!result.truncated);
	isolate_result_clear(&result);
}
END_TEST

START_TEST(a_stream_that_cannot_be_read_costs_itself_only)
{
	struct isolate_result result;
	size_t size = 1000;

	let_fail(READ_STREAM, EIO, 0, 1000); /* in both ways */
	isolate_call(print_and_return, &size, &capturing, &result);
	ck_assert_uint_eq(result.out_size, 0);
	ck_assert(result.truncated);
	isolate_result_clear(&result);
}
END_TEST

START_TEST(streams_are_read_whole_where_reads_of_pipes_would_wait)
{
	static const size_t sizes[] = {0, 1000, 300000};
	struct isolate_result result;
	size_t size = sizes[_i];

	reads_wait = true;
	isolate_call(print_and_return, &size, &capturing, &result);
	reads_wait = false;
	ck_assert_answer(&result, ISOLATE_RETURNED);
	ck_assert_uint_eq(result.out_size, size);
	ck_assert(!result.truncated && !result.cut_off);
	isolate_result_clear(&result);
}
END_TEST

/* ---- the rest ---- */

START_TEST(threads_that_cannot_be_counted_are_not_guessed)
{
	struct isolate_options options = {ISOLATE_OPTIONS_INIT, .only_thread = true};
	struct isolate_result result;
	size_t size = 0;

	let_fail(COUNT_THREADS, ENOENT, 0, 1);
	isolate_call(print_and_return, &size, &options, &result);
	ck_assert_failure(&result, ISOLATE_NOT_EXECUTED, ISOLATE_STAGE_PREPARE, -ENOENT);
}
END_TEST

/* As with one that has another user, or waits for a device: given up after two seconds, and reaped by pal when it ends. */
START_TEST(a_child_that_does_not_die_is_given_up)
{
	struct isolate_options options = {ISOLATE_OPTIONS_INIT, .deadline_ms = 200};
	size_t before = support_open_fds();
	struct isolate_result result;
	volatile pid_t *pid;

	if (THREADS_OF_THE_SANITIZER)
		support_skip("ThreadSanitizer takes the reaping thread for a leak");
	pid = shared_memory(sizeof *pid);
	for (*pid = 0; !*pid; options.deadline_ms *= 2) {
		let_fail(SEND_SIGNAL, EPERM, 0, 1);
		isolate_call(stay, (void *)(uintptr_t)pid, &options, &result);
	}
	ck_assert_failure(&result, ISOLATE_UNKNOWN, ISOLATE_STAGE_DEADLINE, -ETIMEDOUT);
	ck_assert(!result.status_known);
	ck_assert_int_eq(waitpid(*pid, NULL, WNOHANG), 0); /* it runs */
	kill(*pid, SIGKILL);
	while (support_open_fds() != before)
		sched_yield(); /* the last thing that the reaping thread does */
	munmap((void *)(uintptr_t)pid, sizeof *pid);
}
END_TEST

static Suite *make_suite(void)
{
	Suite *suite = suite_create("isolate/run-faults");
	TCase *runs = isolate_tcase(suite, "runs");
	TCase *streams = isolate_tcase(suite, "streams");

	tcase_add_test(runs, a_run_without_memory_is_not_executed);
	tcase_add_test(runs, a_start_that_fails_late_is_a_run_that_is_over);
	tcase_add_loop_test(
		runs, a_set_that_cannot_be_made_changes_nothing, 0, sizeof sets / sizeof *sets);
	tcase_add_loop_test(runs, an_end_that_cannot_be_had_is_looked_for_again, 0, 2);
	tcase_add_test(runs, a_status_that_is_lost_loses_nothing_else);
	tcase_add_test(runs, a_look_that_fails_ends_the_child);
	tcase_add_test(runs, threads_that_cannot_be_counted_are_not_guessed);
	tcase_add_test(runs, a_child_that_does_not_die_is_given_up);
	tcase_add_loop_test(streams, what_there_is_no_memory_for_is_thrown_away, 0, 4);
	tcase_add_test(streams, no_memory_at_all_costs_no_answer);
	tcase_add_loop_test(streams, a_read_that_is_interrupted_goes_on, 0, 3);
	tcase_add_test(streams, a_stream_that_cannot_be_read_costs_itself_only);
	tcase_add_loop_test(
		streams, streams_are_read_whole_where_reads_of_pipes_would_wait, 0, 3);
	return suite;
}
SUPPORT_MAIN(make_suite)
