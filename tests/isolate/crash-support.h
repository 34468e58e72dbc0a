/* SPDX-License-Identifier: MIT */
#ifndef PROCMESH_TESTS_CRASH_SUPPORT_H
#define PROCMESH_TESTS_CRASH_SUPPORT_H

/* Calls of functions that crash, and looking at what is reported. */
#include <isolate/crash.h>
#include <isolate/isolate.h>
#include <signal.h>
#include <string.h>

#include "isolate-support.h"

#define WITH_REPORT ISOLATE_OPTIONS_INIT, .crash_report = true

/* What it does is done by the machine, and not found by a sanitizer before. */
#ifdef __clang__
#define NO_COPY
#else
#define NO_COPY noclone,
#endif
#define UNCHECKED __attribute__((NO_COPY noinline, no_sanitize("address", "undefined", "thread")))
/* The same, with a name that dladdr(3) knows; no call in it is its last instruction. */
#define NAMED(name)                                                                                \
	PAL_EXPORT int name(struct isolate_writer *out, void *arg);                                \
	UNCHECKED int name(struct isolate_writer *out, void *arg)
#define NAMED_OF_THREAD(name)                                                                      \
	PAL_EXPORT void *name(void *arg);                                                          \
	UNCHECKED void *name(void *arg)
#define NOT_A_TAIL_CALL() __asm__ volatile("" ::: "memory")

static inline void crash_in(isolate_fn fn, void *arg, const struct isolate_options *options,
	struct isolate_result *result)
{
	static const struct isolate_options reported = {WITH_REPORT};

	isolate_call(fn, arg, options ? options : &reported, result);
}

/* Of a frame; "" where it is not known. */
static inline const char *function_at(const struct isolate_crash *crash, size_t frame)
{
	struct isolate_place place;

	if (frame >= crash->frame_count ||
		isolate_resolve(crash->frames[frame] - (frame > 0), &place, 1, NULL) == 0 ||
		!place.function)
		return "";
	return place.function;
}

/* Which frame it is; frame_count: none. */
static inline size_t frame_of(const struct isolate_crash *crash, const char *function)
{
	size_t frame = 0;

	while (frame < crash->frame_count && strcmp(function_at(crash, frame), function) != 0)
		frame++;
	return frame;
}

#define ck_assert_frame(crash, frame, expected)                                                    \
	ck_assert_msg(strcmp(function_at(crash, frame), expected) == 0, "%s", report_text(crash))

static inline const char *report_text(const struct isolate_crash *crash)
{
	static char text[16384];

	isolate_crash_text(crash, NULL, NULL, text, sizeof text);
	return text;
}

/* The child died of it, and says so. */
static inline const struct isolate_crash *check_signal(
	const struct isolate_result *result, int expected)
{
	const struct isolate_crash *crash = result->crash;

	ck_assert_failure(result, ISOLATE_UNKNOWN, ISOLATE_STAGE_RUN, -ECHILD);
	ck_assert(result->status.signaled);
	ck_assert_int_eq(result->status.code, expected);
	ck_assert_ptr_nonnull(crash);
	ck_assert_int_eq(crash->kind, ISOLATE_CRASH_BY_SIGNAL);
	ck_assert_int_eq(crash->signal, expected);
	ck_assert_uint_ge(crash->frame_count, 1);
	ck_assert_uint_eq(crash->frames[0], crash->pc);
	return crash;
}

#endif
