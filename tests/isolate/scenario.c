/* SPDX-License-Identifier: MIT */
#include "scenario.h"

#include <errno.h>
#include <fcntl.h>
#include <pal/profile.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define LONG_SIZE 200000
#define VALUE 9
#define PRINTED 3000

const struct scenario scenarios[SCENARIOS] = {
	{.name = "short", .size = 100},
	{.name = "long", .size = LONG_SIZE},
	{.name = "captured", .size = 100, .captures = true},
	{.name = "limited, with chosen descriptors",
		.size = LONG_SIZE,
		.limits = true,
		.keeps_fds = true},
	{.name = "in a sandbox", .size = LONG_SIZE, .sandboxed = true},
	{.name = "without other threads", .size = 0, .alone = true},
	{.name = "in halves", .size = LONG_SIZE, .in_halves = true, .captures = true},
	{.name = "out of time", .captures = true, .is_ended = true},
	{.name = "out of time in halves", .in_halves = true, .is_ended = true},
	{.name = "cancelled", .in_halves = true, .is_cancelled = true, .is_ended = true},
};

static unsigned char bytes[LONG_SIZE];

/* For who strikes a call to find one in the function, whatever the library does. A sandbox allows it. */
static void make_a_call(void)
{
	struct stat st;

	(void)fstat(999, &st); /* none, but libc asks */
}

static int play(struct isolate_writer *out, void *arg)
{
	const struct scene *scene = arg;
	const struct scenario *scenario = scene->scenario;
	char line[PRINTED] = "";
	ssize_t written;

	scene->truth->entered = true;
	make_a_call();
	while (scenario->is_ended)
		pause();
	if (scenario->captures) {
		do
			written = write(1, line, sizeof line);
		while (written < 0 && errno == EINTR);
		scene->truth->printed = written > 0 ? (size_t)written : 0;
	}
	/* The last bytes are in the buffer when it returns. */
	for (size_t at = 0, part; at < scenario->size; at += part) {
		part = scenario->size - at > 50 ? scenario->size - at - 50 : 50;
		isolate_write(out, bytes + at, part);
	}
	make_a_call();
	scene->truth->returned = true;
	return VALUE;
}

static struct isolate_options options_of(const struct scenario *scenario)
{
	static const struct isolate_rlimit limit = {RLIMIT_CPU, {50, 60}};
	static const int keep[] = {0, 1, 2};
	struct isolate_options options = {ISOLATE_OPTIONS_INIT, .only_thread = scenario->alone};

	if (scenario->captures) {
		options.std_out = PAL_STDIO_PIPE;
		options.std_err = PAL_STDIO_PIPE;
		options.max_capture = 2 * PRINTED;
	}
	if (scenario->limits) {
		options.rlimits = &limit;
		options.rlimit_count = 1;
		options.nice = 1;
		options.core = ISOLATE_CORE_OFF;
	}
	if (scenario->keeps_fds) {
		options.keep_fds = keep;
		options.keep_fd_count = 3;
	}
	if (scenario->sandboxed)
		options.sandbox = pal_profile_pure_compute();
	/* Else one that no run meets: with it, the end is waited for in another way. */
	options.deadline_ms = scenario->is_ended && !scenario->is_cancelled ? 10 : 0;
	if (scenario->captures && !scenario->is_ended)
		options.deadline_ms = A_HANG_MS;
	options.grace_ms = scenario->is_ended ? 2 : 0;
	return options;
}

/* ---- the two interfaces ---- */

/* Without a system call, which would be one of those that are counted. */
static void spin_until_entered_or_struck(const volatile struct truth *truth)
{
	while (!truth->entered && !truth->struck)
		;
}

static void run_in_halves(const struct scene *scene, const struct isolate_options *options,
	struct isolate_result *result)
{
	struct pal_error error = {0};
	struct isolate_run *run;
	struct pollfd event = {.events = POLLIN};

	if (isolate_start(play, (void *)scene, options, &run, &error) < 0) {
		*result = (struct isolate_result){.answer = ISOLATE_NOT_EXECUTED, .error = error};
		return;
	}
	event.fd = isolate_run_fd(run);
	if (scene->scenario->is_cancelled) {
		spin_until_entered_or_struck(scene->truth);
		isolate_cancel(run);
	}
	while (event.fd >= 0 && !isolate_progress(run)) /* without one: finish waits */
		poll(&event, 1, 50);
	isolate_finish(run, result);
}

static void call(const struct scene *scene, struct isolate_result *result)
{
	struct isolate_options options = options_of(scene->scenario);

	scene->truth->entered = scene->truth->returned = false;
	scene->truth->printed = 0;
	if (scene->scenario->in_halves)
		run_in_halves(scene, &options, result);
	else
		isolate_call(play, (void *)scene, &options, result);
	scene->truth->answer = result->answer;
	scene->truth->code = result->error.code;
	scene->truth->stage = result->error.stage;
}

/* ---- whether it is right ---- */

__attribute__((format(printf, 2, 3))) static int wrong(
	const struct scene *scene, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(scene->truth->text, sizeof scene->truth->text, format, args);
	va_end(args);
	return 1;
}

static int check_bytes(const struct scene *scene, const struct isolate_result *result)
{
	const struct scenario *scenario = scene->scenario;

	if (result->value != VALUE)
		return wrong(scene, "the value is %d", result->value);
	if (result->size != scenario->size)
		return wrong(scene, "%zu bytes", result->size);
	if (result->size && memcmp(result->data, bytes, result->size) != 0)
		return wrong(scene, "other bytes");
	if (result->error.code || result->error.text[0])
		return wrong(scene, "with an error: %s", result->error.text);
	return 0;
}

/* The bytes are none but the function's, and what is missing is admitted. */
static int check_captured(const struct scene *scene, const struct isolate_result *result)
{
	if (!scene->scenario->captures || result->answer != ISOLATE_RETURNED)
		return 0;
	if (result->out_size > scene->truth->printed)
		return wrong(scene, "%zu bytes captured", result->out_size);
	if (result->out_size < scene->truth->printed && !result->truncated && !result->cut_off)
		return wrong(scene, "%zu bytes captured, and nothing said", result->out_size);
	return 0;
}

static int check_answer(const struct scene *scene, const struct isolate_result *result)
{
	const struct truth *truth = scene->truth;

	if (result->answer == ISOLATE_RETURNED)
		return check_bytes(scene, result);
	if (result->data || result->size)
		return wrong(scene, "bytes without a return");
	if (result->error.code >= 0 || !result->error.text[0])
		return wrong(scene, "no error with the answer %d", (int)result->answer);
	if (result->error.stage < (int)ISOLATE_STAGE_PREPARE ||
		result->error.stage > (int)ISOLATE_STAGE_CANCEL)
		return wrong(
			scene, "stage %#x: %s", (unsigned)result->error.stage, result->error.text);
	if (result->answer == ISOLATE_NOT_EXECUTED && truth->entered)
		return wrong(scene, "it was executed: %s", result->error.text);
	if (result->answer == ISOLATE_EXECUTED && !truth->returned)
		return wrong(scene, "it did not return: %s", result->error.text);
	if (result->answer == ISOLATE_EXECUTED && result->value != VALUE)
		return wrong(scene, "the value is %d: %s", result->value, result->error.text);
	return 0;
}

static size_t count_fds(void)
{
	size_t count = 0;

	for (int fd = 0; fd < 300; fd++)
		count += fcntl(fd, F_GETFD) >= 0;
	return count;
}

static int call_and_check(const struct scene *scene)
{
	struct isolate_result result;
	int r;

	for (size_t i = 0; i < sizeof bytes; i++)
		bytes[i] = pattern(i);
	scene->truth->watched = true;
	call(scene, &result);
	scene->truth->watched = false;
	r = check_answer(scene, &result);
	if (r == 0)
		r = check_captured(scene, &result);
	if (r == 0)
		snprintf(scene->truth->text, sizeof scene->truth->text, "%s", result.error.text);
	isolate_result_clear(&result);
	return r;
}

int scenario_play(const struct scene *scene)
{
	size_t before = count_fds();
	struct truth first;
	int r;

	r = call_and_check(scene);
	if (r)
		return r;
	first = *scene->truth;
	if (!scene->truth->may_leak && count_fds() != before)
		return wrong(scene, "%zu descriptors are left, of %zu", count_fds(), before);
	if (!scene->truth->may_leak &&
		(waitpid(-1, NULL, WNOHANG | __WALL) != -1 || errno != ECHILD))
		return wrong(scene, "a child is left");
	/* S106: nothing is left that makes the next call fail */
	if (!scene->scenario->is_ended) {
		call(scene, &(struct isolate_result){0});
		if (scene->truth->answer != ISOLATE_RETURNED)
			return wrong(scene, "the next call has the answer %d",
				(int)scene->truth->answer);
	}
	*scene->truth = first;
	return 0;
}
