/* SPDX-License-Identifier: MIT */

/* The function's standard streams: where they go, and what of them comes back. */
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdio_ext.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "isolate-support.h"
#include "sanitizers.h"

#define INIT ISOLATE_OPTIONS_INIT
#define BOTH INIT, .std_out = PAL_STDIO_PIPE, .std_err = PAL_STDIO_PIPE

/* Writes to both streams in turn: no order of reading may block it. */
struct flood {
	size_t size; /* of each */
	size_t chunk;
};

static int flood(struct isolate_writer *out, void *arg)
{
	const struct flood *flood = arg;
	static char bytes[5000]; /* not of a stack that may be small */

	for (size_t at = 0; at < flood->size; at += flood->chunk) {
		size_t size = flood->size - at < flood->chunk ? flood->size - at : flood->chunk;

		for (size_t i = 0; i < size; i++)
			bytes[i] = (char)('a' + pattern(at + i) % 26);
		if (write(1, bytes, size) != (ssize_t)size || write(2, bytes, size) != (ssize_t)size)
			return -1;
	}
	return isolate_write(out, "r", 1);
}

static void check_flood(const char *bytes, size_t size, size_t expected)
{
	ck_assert_ptr_nonnull(bytes);
	ck_assert_uint_eq(size, expected);
	for (size_t i = 0; i < size; i++)
		if (bytes[i] != (char)('a' + pattern(i) % 26))
			ck_abort_msg("byte %zu of %zu is wrong", i, size);
	ck_assert_int_eq(bytes[size], 0);
}

static void run(isolate_fn fn, void *arg, const struct isolate_options *options, bool by_progress,
	struct isolate_result *result)
{
	struct isolate_run *run;
	struct pal_error error;

	if (!by_progress) {
		isolate_call(fn, arg, options, result);
		return;
	}
	ck_assert_ok(isolate_start(fn, arg, options, &run, &error), &error);
	do {
		struct pollfd event = {.fd = isolate_run_fd(run), .events = POLLIN};

		ck_assert_int_eq(poll(&event, 1, A_HANG_MS), 1);
	} while (!isolate_progress(run));
	isolate_finish(run, result);
}

static const size_t sizes[] = {0, 1, 4096, 4097, 65536, 300000, 1 << 20};
#define SIZES (sizeof sizes / sizeof *sizes)

START_TEST(both_streams_are_captured_whole)
{
	struct isolate_options options = {BOTH};
	struct flood what = {sizes[_i % SIZES], 5000};
	struct isolate_result result;

	run(flood, &what, &options, _i >= (int)SIZES, &result);
	ck_assert_answer(&result, ISOLATE_RETURNED);
	ck_assert_uint_eq(result.size, 1);
	check_flood(result.out, result.out_size, what.size);
	check_flood(result.err, result.err_size, what.size);
	ck_assert(!result.truncated && !result.cut_off);
	isolate_result_clear(&result);
	ck_assert_ptr_null(result.out);
}
END_TEST

static const size_t limits[] = {1, 100, 4096, 5000, 65536};

START_TEST(what_is_more_than_wanted_is_thrown_away_and_does_not_block)
{
	struct isolate_options options = {BOTH, .max_capture = limits[_i / 2]};
	struct flood what = {limits[_i / 2] + (size_t)_i % 2 * 200000, 1000};
	struct isolate_result result;

	isolate_call(flood, &what, &options, &result);
	ck_assert_answer(&result, ISOLATE_RETURNED);
	check_flood(result.out, result.out_size, limits[_i / 2]);
	check_flood(result.err, result.err_size, limits[_i / 2]);
	ck_assert_int_eq(result.truncated, _i % 2);
	isolate_result_clear(&result);
}
END_TEST

static void *call_and_throw_away(void *result)
{
	struct isolate_options options = {BOTH, .max_capture = 100};
	struct flood what = {200000, 1000};

	isolate_call(flood, &what, &options, result);
	return NULL;
}

START_TEST(the_smallest_stack_that_a_thread_can_have_will_do)
{
	struct isolate_result result;
	pthread_attr_t attributes;
	pthread_t thread;

	if (BUILT_WITH_ASAN || BUILT_WITH_TSAN)
		support_skip("what a sanitizer puts on the stack does not fit");
	pthread_attr_init(&attributes);
	ck_assert_int_eq(pthread_attr_setstacksize(&attributes, PTHREAD_STACK_MIN), 0);
	ck_assert_int_eq(
		pthread_create(&thread, &attributes, call_and_throw_away, &result), 0);
	ck_assert_int_eq(pthread_join(thread, NULL), 0);
	pthread_attr_destroy(&attributes);
	ck_assert_answer(&result, ISOLATE_RETURNED);
	ck_assert(result.truncated);
	isolate_result_clear(&result);
}
END_TEST

static int say_and_crash(struct isolate_writer *out, void *arg)
{
	(void)out;
	(void)arg;
	fprintf(stderr, "I am going to fall\n");
	raise(SIGSEGV);
	return 0;
}

START_TEST(last_words_are_captured_whatever_the_answer_is)
{
	struct isolate_options options = {INIT, .std_err = PAL_STDIO_PIPE};
	struct isolate_result result;

	isolate_call(say_and_crash, NULL, &options, &result);
	ck_assert_failure(&result, ISOLATE_UNKNOWN, ISOLATE_STAGE_RUN, -ECHILD);
	ck_assert_str_eq(result.err, "I am going to fall\n");
	ck_assert_ptr_null(result.out);
	isolate_result_clear(&result);
}
END_TEST

/* ---- where else they go ---- */

static int say_on_both(struct isolate_writer *out, void *arg)
{
	char byte;

	(void)arg;
	if (write(1, "out ", 4) != 4 || write(2, "err ", 4) != 4)
		return 1;
	return read(0, &byte, 1) == 0 ? isolate_write(out, "", 0) : 2;
}

START_TEST(streams_go_where_they_are_told)
{
	int in = open("/dev/null", O_RDONLY | O_CLOEXEC), ends[2];
	struct isolate_options options = {
		INIT, .std_in = PAL_STDIO_FD(in), .std_out = PAL_STDIO_NULL};
	struct isolate_result result;
	char text[16] = "";

	ck_assert_int_eq(pipe2(ends, O_CLOEXEC), 0);
	options.std_err = PAL_STDIO_FD(ends[1]);
	isolate_call(say_on_both, NULL, &options, &result);
	ck_assert_answer(&result, ISOLATE_RETURNED);
	ck_assert_int_eq(result.value, 0);
	ck_assert_ptr_null(result.out);
	ck_assert_ptr_null(result.err);
	ck_assert_int_eq(read(ends[0], text, sizeof text), 4);
	ck_assert_str_eq(text, "err ");

	options.std_out = PAL_STDIO_PIPE;
	options.std_err = PAL_STDIO_STDOUT;
	isolate_call(say_on_both, NULL, &options, &result);
	ck_assert_str_eq(result.out, "out err ");
	ck_assert_ptr_null(result.err);
	isolate_result_clear(&result);
	close(in);
	close(ends[0]);
	close(ends[1]);
}
END_TEST

static int print(struct isolate_writer *out, void *arg)
{
	(void)out;
	return fputs("not flushed", arg) < 0;
}

/* Neither what the caller has in its buffer, nor what the function adds. S113 */
START_TEST(buffers_are_not_flushed_by_the_library)
{
	struct isolate_options options = {INIT, .std_out = PAL_STDIO_PIPE};
	FILE *stream = fdopen(1, "w");
	struct isolate_result result;

	ck_assert_ptr_nonnull(stream);
	setvbuf(stream, NULL, _IOFBF, 4096);
	fputs("the caller's", stream);
	isolate_call(print, stream, &options, &result);
	ck_assert_answer(&result, ISOLATE_RETURNED);
	ck_assert_str_eq(result.out, "");
	isolate_result_clear(&result);
	__fpurge(stream);
}
END_TEST

/* ---- those that keep a stream ---- */

struct keeper {
	int go[2];
	bool talk; /* for as long as it is there */
};

static int leave_a_keeper(struct isolate_writer *out, void *arg)
{
	const struct keeper *keeper = arg;
	pid_t pid = fork();
	char byte;

	if (pid == 0) {
		close(keeper->go[1]);
		signal(SIGPIPE, SIG_IGN);
		if (keeper->talk)
			while (write(1, "keeper\n", 7) > 0)
				;
		while (read(keeper->go[0], &byte, 1) > 0)
			;
		_exit(0);
	}
	if (write(1, "child\n", 6) != 6)
		return 1;
	return isolate_write(out, "r", 1);
}

/* S112: drained for a while at most, whoever keeps the pipe and whatever it writes */
START_TEST(a_process_that_keeps_a_stream_does_not_keep_the_caller)
{
	struct isolate_options options = {INIT, .std_out = PAL_STDIO_PIPE, .max_capture = 6,
		.drain_ms = _i / 4 ? -1 : 20};
	struct keeper keeper = {.talk = _i & 1};
	struct isolate_result result;

	ck_assert_int_eq(pipe2(keeper.go, O_CLOEXEC), 0);
	run(leave_a_keeper, &keeper, &options, _i & 2, &result);
	ck_assert_answer(&result, ISOLATE_RETURNED);
	ck_assert_uint_eq(result.size, 1);
	ck_assert(result.cut_off);
	if (!keeper.talk)
		ck_assert_str_eq(result.out, "child\n");
	isolate_result_clear(&result);
	close(keeper.go[0]);
	close(keeper.go[1]);
}
END_TEST

static int leave_a_late_speaker(struct isolate_writer *out, void *arg)
{
	struct pollfd end = {.fd = (int)syscall(SYS_pidfd_open, getpid(), 0), .events = POLLIN};
	const int *go = arg;
	pid_t pid = fork();

	(void)out;
	if (pid == 0) {
		if (poll(&end, 1, -1) != 1)
			_exit(1);
		if (write(1, "late", 4) != 4)
			_exit(1);
		_exit(0);
	}
	close(go[1]);
	return 0;
}

START_TEST(what_comes_late_is_waited_for_while_there_is_time)
{
	struct isolate_options options = {
		INIT, .std_out = PAL_STDIO_PIPE, .drain_ms = A_HANG_MS};
	struct isolate_result result;
	int go[2];

	ck_assert_int_eq(pipe2(go, O_CLOEXEC), 0);
	run(leave_a_late_speaker, go, &options, _i, &result);
	ck_assert_answer(&result, ISOLATE_RETURNED);
	ck_assert_str_eq(result.out, "late");
	ck_assert(!result.cut_off);
	isolate_result_clear(&result);
	close(go[0]);
	close(go[1]);
}
END_TEST

/* S122: also while it writes all the time */
static int write_for_ever(struct isolate_writer *out, void *arg)
{
	(void)out;
	(void)arg;
	while (write(1, "again and again\n", 16) > 0)
		;
	return 0;
}

static int wait_for_ever(struct isolate_writer *out, void *arg)
{
	(void)out;
	(void)arg;
	for (;;)
		pause();
	return 0;
}

START_TEST(the_deadline_ends_a_function_that_writes_for_ever)
{
	struct isolate_options options = {
		INIT, .std_out = PAL_STDIO_PIPE, .deadline_ms = 500, .max_capture = 1000};
	struct isolate_result result;

	run(write_for_ever, NULL, &options, _i, &result);
	ck_assert_failure(&result, ISOLATE_UNKNOWN, ISOLATE_STAGE_DEADLINE, -ETIMEDOUT);
	ck_assert_uint_eq(result.out_size, 1000);
	ck_assert(result.truncated && !result.cut_off);
	isolate_result_clear(&result);
}
END_TEST

START_TEST(a_run_that_captures_can_be_given_up)
{
	struct isolate_options options = {BOTH};
	struct isolate_run *run;
	struct pal_error error;

	ck_assert_ok(isolate_start(write_for_ever, NULL, &options, &run, &error), &error);
	if (_i)
		ck_assert_int_ge(isolate_run_fd(run), 3);
	ck_assert_int_eq(isolate_progress(run), 0);
	isolate_run_free(run);
}
END_TEST

/* What any process can do that has a copy of the reading end: the flag is of both. */
START_TEST(pipes_that_others_make_blocking_do_not_keep_the_caller)
{
	struct isolate_options options = {BOTH, .deadline_ms = 1000};
	struct isolate_run *run;
	struct isolate_result result;
	struct pal_error error;

	ck_assert_ok(isolate_start(wait_for_ever, NULL, &options, &run, &error), &error);
	for (int fd = 3; fd < 64; fd++) {
		struct stat st;

		if (fstat(fd, &st) == 0 && S_ISFIFO(st.st_mode))
			(void)fcntl(fd, F_SETFL, 0);
	}
	if (_i)
		isolate_progress(run);
	isolate_finish(run, &result);
	ck_assert_failure(&result, ISOLATE_UNKNOWN, ISOLATE_STAGE_DEADLINE, -ETIMEDOUT);
	isolate_result_clear(&result);
}
END_TEST

static Suite *make_suite(void)
{
	Suite *suite = suite_create("isolate/capture");
	TCase *bytes = isolate_tcase(suite, "bytes");
	TCase *streams = isolate_tcase(suite, "streams");
	TCase *keepers = isolate_tcase(suite, "keepers");

	tcase_add_loop_test(bytes, both_streams_are_captured_whole, 0, 2 * SIZES);
	tcase_add_test(bytes, the_smallest_stack_that_a_thread_can_have_will_do);
	tcase_add_loop_test(bytes, what_is_more_than_wanted_is_thrown_away_and_does_not_block, 0,
		2 * sizeof limits / sizeof *limits);
	tcase_add_test(bytes, last_words_are_captured_whatever_the_answer_is);
	tcase_add_test(streams, streams_go_where_they_are_told);
	tcase_add_test(streams, buffers_are_not_flushed_by_the_library);
	tcase_add_loop_test(keepers, a_process_that_keeps_a_stream_does_not_keep_the_caller, 0, 8);
	tcase_add_loop_test(keepers, what_comes_late_is_waited_for_while_there_is_time, 0, 2);
	tcase_add_loop_test(keepers, the_deadline_ends_a_function_that_writes_for_ever, 0, 2);
	tcase_add_loop_test(keepers, a_run_that_captures_can_be_given_up, 0, 2);
	tcase_add_loop_test(
		keepers, pipes_that_others_make_blocking_do_not_keep_the_caller, 0, 2);
	return suite;
}
SUPPORT_MAIN(make_suite)
