/* SPDX-License-Identifier: MIT */
#include <isolate_event/isolate_event.h>

#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "isolate-support.h"

/* What a callback was given, and what it makes of it. */
struct record {
	int calls;
	struct isolate_run *run;
	struct isolate_event *event; /* to free in the callback, with the run finished; or NULL */
	struct isolate_result result;
};

static void on_outcome(struct isolate_run *run, void *userdata)
{
	struct record *record = userdata;

	record->calls++;
	record->run = run;
	ck_assert_int_eq(isolate_progress(run), 1);
	if (record->event) {
		isolate_event_free(record->event);
		isolate_finish(run, &record->result);
	}
}

static struct isolate_run *start(isolate_fn fn, void *arg, const struct isolate_options *options)
{
	struct pal_error error = {0};
	struct isolate_run *run;

	ck_assert_ok(isolate_start(fn, arg, options, &run, &error), &error);
	return run;
}

static struct isolate_event *watch(
	struct event_base *base, struct isolate_run *run, struct record *record)
{
	struct isolate_event *event;
	struct pal_error error = {0};

	ck_assert_ok(isolate_event_new(base, run, on_outcome, record, &event, &error), &error);
	return event;
}

static int wait_for_end_of_file(struct isolate_writer *out, void *arg)
{
	const int *ends = arg;
	char byte;

	close(ends[1]);
	return read(ends[0], &byte, 1) == 0 ? isolate_write(out, "end", 3) : -1;
}

START_TEST(the_outcome_is_told_once)
{
	struct event_base *base = event_base_new();
	struct record record = {0};
	struct isolate_event *event;
	struct isolate_run *run;
	int ends[2];

	ck_assert_int_eq(pipe2(ends, O_CLOEXEC), 0);
	run = start(wait_for_end_of_file, ends, NULL);
	event = watch(base, run, &record);
	ck_assert_int_eq(event_base_loop(base, EVLOOP_NONBLOCK), 0);
	ck_assert_int_eq(record.calls, 0);
	close(ends[0]);
	close(ends[1]);
	ck_assert_int_eq(event_base_dispatch(base), 1); /* returns, because nothing is pending */
	ck_assert_int_eq(record.calls, 1);
	ck_assert_ptr_eq(record.run, run);
	ck_assert_int_eq(event_base_dispatch(base), 1);
	ck_assert_int_eq(record.calls, 1);
	isolate_event_free(event);
	ck_assert_int_eq(isolate_finish(run, &record.result), ISOLATE_RETURNED);
	ck_assert_uint_eq(record.result.size, 3);
	isolate_result_clear(&record.result);
	event_base_free(base);
	isolate_event_free(NULL);
}
END_TEST

/* All of libevent's ways to wait that this kernel has. */
static struct event_base *base_with(const char *method)
{
	struct event_config *config = event_config_new();
	const char **all = event_get_supported_methods();
	struct event_base *base;

	for (; *all; all++)
		if (strcmp(*all, method))
			event_config_avoid_method(config, *all);
	base = event_base_new_with_config(config);
	event_config_free(config);
	ck_assert_ptr_nonnull(base);
	ck_assert_str_eq(event_base_get_method(base), method);
	return base;
}

#define AT_ONCE 10

/* With captured streams that more is written to than a pipe holds. */
static int print_much(struct isolate_writer *out, void *arg)
{
	static const char line[1000] = "l";
	struct order *order = arg;

	for (int i = 0; i < 200; i++)
		if (write(1, line, sizeof line) != sizeof line)
			return -1;
	return write_pattern(out, order);
}

START_TEST(the_callback_may_free_both)
{
	static const char *const methods[] = {"epoll", "poll", "select"};
	struct isolate_options options = {ISOLATE_OPTIONS_INIT, .std_out = PAL_STDIO_PIPE};
	struct event_base *base = base_with(methods[_i]);

	for (int i = 0; i < 5; i++) {
		struct record records[AT_ONCE] = {{0}};
		struct order orders[AT_ONCE];

		for (size_t j = 0; j < AT_ONCE; j++) {
			orders[j] = (struct order){j * 9000, 1000};
			records[j].event = watch(
				base, start(print_much, &orders[j], &options), &records[j]);
		}
		ck_assert_int_eq(event_base_dispatch(base), 1);
		for (size_t j = 0; j < AT_ONCE; j++) {
			ck_assert_int_eq(records[j].calls, 1);
			check_pattern(&records[j].result, j * 9000);
			ck_assert_uint_eq(records[j].result.out_size, 200000);
			isolate_result_clear(&records[j].result);
		}
	}
	event_base_free(base);
}
END_TEST

static int stay(struct isolate_writer *out, void *arg)
{
	(void)out;
	while (!*(volatile bool *)arg)
		pause();
	return 0;
}

static bool never;

START_TEST(the_deadline_is_kept)
{
	struct isolate_options options = {ISOLATE_OPTIONS_INIT, .deadline_ms = A_HANG_MS / 100};
	struct event_base *base = event_base_new();
	struct record record = {0};

	record.event = watch(base, start(stay, &never, &options), &record);
	ck_assert_int_eq(event_base_dispatch(base), 1);
	ck_assert_failure(&record.result, ISOLATE_UNKNOWN, ISOLATE_STAGE_DEADLINE, -ETIMEDOUT);
	event_base_free(base);
}
END_TEST

START_TEST(a_cancelled_run_is_told)
{
	struct event_base *base = event_base_new();
	struct isolate_run *run = start(stay, &never, NULL);
	struct record record = {0};

	record.event = watch(base, run, &record);
	ck_assert_int_eq(event_base_loop(base, EVLOOP_NONBLOCK), 0);
	isolate_cancel(run);
	ck_assert_int_eq(event_base_dispatch(base), 1);
	ck_assert_int_eq(record.result.error.stage, ISOLATE_STAGE_CANCEL); /* entered or not */
	ck_assert_int_eq(record.result.error.code, -ECANCELED);
	event_base_free(base);
}
END_TEST

START_TEST(a_freed_event_is_silent)
{
	struct event_base *base = event_base_new();
	struct isolate_run *run = start(stay, &never, NULL);
	struct record record = {0};
	struct isolate_event *event = watch(base, run, &record);

	errno = 1234;
	isolate_event_free(event);
	ck_assert_int_eq(errno, 1234);
	isolate_cancel(run);
	ck_assert_int_eq(event_base_dispatch(base), 1);
	ck_assert_int_eq(record.calls, 0);
	isolate_run_free(run);
	event_base_free(base);
}
END_TEST

START_TEST(an_outcome_that_was_known_before_is_told_all_the_same)
{
	struct event_base *base = event_base_new();
	struct order order = {1000, 10};
	struct isolate_run *run = start(write_pattern, &order, NULL);
	struct record record = {0};

	while (!isolate_progress(run))
		;
	record.event = watch(base, run, &record);
	ck_assert_int_eq(record.calls, 0); /* not from in there */
	ck_assert_int_eq(event_base_dispatch(base), 1);
	check_pattern(&record.result, 1000);
	isolate_result_clear(&record.result);
	event_base_free(base);
}
END_TEST

/* ---- failures ---- */

static int left; /* calls until the first one that fails */
static int failures;

static bool fails(void)
{
	if (left && --left > 0)
		return false;
	return failures > 0 && failures--;
}

void *__real_calloc(size_t count, size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_calloc(size_t count, size_t size)
{
	return fails() ? NULL : __real_calloc(count, size);
}

int __real_isolate_run_fd(struct isolate_run *run);
int __wrap_isolate_run_fd(struct isolate_run *run);
int __wrap_isolate_run_fd(struct isolate_run *run)
{
	return fails() ? -EMFILE : __real_isolate_run_fd(run);
}

struct event *__real_event_new(
	struct event_base *base, evutil_socket_t fd, short what, event_callback_fn fn, void *arg);
struct event *__wrap_event_new(
	struct event_base *base, evutil_socket_t fd, short what, event_callback_fn fn, void *arg);
struct event *__wrap_event_new(
	struct event_base *base, evutil_socket_t fd, short what, event_callback_fn fn, void *arg)
{
	return fails() ? NULL : __real_event_new(base, fd, what, fn, arg);
}

int __real_event_add(struct event *event, const struct timeval *timeout);
int __wrap_event_add(struct event *event, const struct timeval *timeout);
int __wrap_event_add(struct event *event, const struct timeval *timeout)
{
	if (!fails())
		return __real_event_add(event, timeout);
	errno = ENOSPC;
	return -1;
}

START_TEST(each_failure_is_told_and_leaves_nothing)
{
	static const int codes[] = {-ENOMEM, -EMFILE, -ENOMEM, -ENOMEM, -ENOSPC};
	struct event_base *base = event_base_new();
	struct isolate_run *run = start(stay, &never, NULL);
	struct isolate_event *event = (void *)-1;

	for (int n = 1; n <= 5; n++) {
		struct pal_error error = {0};

		left = n;
		failures = 1;
		ck_assert_int_eq(isolate_event_new(base, run, on_outcome, NULL, &event, &error),
			codes[n - 1]);
		ck_assert_int_eq(failures, 0);
		ck_assert_int_eq(error.code, codes[n - 1]);
		ck_assert_int_eq(error.stage, n == 1 ? PAL_STAGE_MEMORY : ISOLATE_STAGE_WAIT);
		ck_assert_ptr_eq(event, (void *)-1);
		ck_assert_int_eq(event_base_dispatch(base), 1); /* nothing is pending */
	}
	ck_assert_int_eq(isolate_event_new(NULL, run, on_outcome, NULL, &event, NULL), -EINVAL);
	ck_assert_int_eq(isolate_event_new(base, NULL, on_outcome, NULL, &event, NULL), -EINVAL);
	ck_assert_int_eq(isolate_event_new(base, run, NULL, NULL, &event, NULL), -EINVAL);
	isolate_run_free(run);
	event_base_free(base);
}
END_TEST

static int print_and_wait(struct isolate_writer *out, void *arg)
{
	if (write(1, "printed", 7) != 7)
		return -1;
	return wait_for_end_of_file(out, arg);
}

struct early {
	struct record record;
	int ends[2]; /* -1: the function may go on */
};

static void let_go(evutil_socket_t fd, short what, void *arg)
{
	struct early *early = arg;

	(void)fd;
	(void)what;
	for (int i = 0; i < 2; i++) {
		close(early->ends[i]);
		early->ends[i] = -1;
	}
}

static void let_go_and_finish(struct isolate_run *run, void *userdata)
{
	struct early *early = userdata;

	if (early->ends[0] >= 0)
		let_go(-1, 0, early);
	early->record.calls++;
	isolate_event_free(early->record.event);
	isolate_finish(run, &early->record.result);
}

/* When it has read what was printed: then a timer looks in its place, and without one the caller is called early. */
START_TEST(a_loop_that_cannot_go_on_watching_loses_no_run)
{
	static const struct timeval later = {.tv_usec = 20000};
	struct isolate_options options = {ISOLATE_OPTIONS_INIT, .std_out = PAL_STDIO_PIPE};
	struct event_base *base = event_base_new();
	struct isolate_event *event;
	struct isolate_run *run;
	struct early early = {{0}, {-1, -1}};

	ck_assert_int_eq(pipe2(early.ends, O_CLOEXEC), 0);
	run = start(print_and_wait, early.ends, &options);
	ck_assert_int_eq(isolate_event_new(base, run, let_go_and_finish, &early, &event, NULL), 0);
	early.record.event = event;
	if (_i < 2)
		ck_assert_int_eq(event_base_once(base, -1, EV_TIMEOUT, let_go, &early, &later), 0);
	failures = _i;
	ck_assert_int_eq(event_base_dispatch(base), 1);
	ck_assert_int_eq(failures, 0);
	ck_assert_int_eq(early.record.calls, 1);
	ck_assert_answer(&early.record.result, ISOLATE_RETURNED);
	ck_assert_str_eq(early.record.result.out, "printed");
	isolate_result_clear(&early.record.result);
	event_base_free(base);
}
END_TEST

static Suite *make_suite(void)
{
	Suite *suite = suite_create("isolate_event");
	TCase *outcomes = isolate_tcase(suite, "outcomes");

	tcase_add_test(outcomes, the_outcome_is_told_once);
	tcase_add_loop_test(outcomes, the_callback_may_free_both, 0, 3);
	tcase_add_test(outcomes, the_deadline_is_kept);
	tcase_add_test(outcomes, a_cancelled_run_is_told);
	tcase_add_test(outcomes, a_freed_event_is_silent);
	tcase_add_test(outcomes, an_outcome_that_was_known_before_is_told_all_the_same);
	tcase_add_test(outcomes, each_failure_is_told_and_leaves_nothing);
	tcase_add_loop_test(outcomes, a_loop_that_cannot_go_on_watching_loses_no_run, 0, 3);
	return suite;
}
SUPPORT_MAIN(make_suite)
