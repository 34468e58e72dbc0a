/* SPDX-License-Identifier: MIT */

/* What the parent makes of an area that may hold anything, verdicts of sanitizers, and the text. */
#include <isolate/isolate-priv.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "crash-support.h"

/* Whether there is a sanitizer with a runtime, and the one that describes what it finds. */
#if defined __SANITIZE_ADDRESS__
#define SANITIZED_BY_ADDRESS 1
#elif defined __SANITIZE_THREAD__
#define SANITIZED 1
#elif defined __has_feature
#if __has_feature(address_sanitizer)
#define SANITIZED_BY_ADDRESS 1
#elif __has_feature(thread_sanitizer) || __has_feature(undefined_behavior_sanitizer)
#define SANITIZED 1
#endif
#endif
#ifdef SANITIZED_BY_ADDRESS
#define SANITIZED 1
#else
#define SANITIZED_BY_ADDRESS 0
#ifndef SANITIZED
#define SANITIZED 0
#endif
#endif

/* ---- the area ---- */

static struct isolate__crash_area area_of_a_crash(void)
{
	return (struct isolate__crash_area){
		.stage = ISOLATE__CRASH_WHOLE,
		.report =
			{
				.kind = ISOLATE_CRASH_BY_SIGNAL,
				.signal = SIGSEGV,
				.code = SEGV_MAPERR,
				.access = ISOLATE_ACCESS_READ,
				.address_known = 1,
				.address = 16,
				.system_call = -1,
				.own_thread = 1,
				.pc = 4096,
				.frames_end = ISOLATE_FRAMES_END,
				.frame_count = 1,
				.frames = {4096},
				.function_frame_count = 1,
			},
	};
}

static const struct pal_status died = {.signaled = true, .code = SIGSEGV};
static const struct pal_status exited = {.code = 0};
static const struct pal_status failed = {.code = 1};

START_TEST(a_report_is_taken_as_it_is)
{
	struct isolate__crash_area area = area_of_a_crash();
	struct isolate_crash *crash = isolate__crash_collect(&area, &died);

	ck_assert_mem_eq(crash, &area.report, sizeof *crash);
	free(crash);
	crash = isolate__crash_collect(&area, NULL);
	ck_assert_ptr_nonnull(crash);
	free(crash);
}
END_TEST

START_TEST(a_report_that_was_not_finished_lost_its_frames)
{
	struct isolate__crash_area area = area_of_a_crash();
	struct isolate_crash *crash;

	area.stage = ISOLATE__CRASH_FACTS;
	crash = isolate__crash_collect(&area, &died);
	ck_assert_int_eq(crash->frames_end, ISOLATE_FRAMES_LOST);
	ck_assert_uint_eq(crash->frame_count, 1);
	free(crash);
}
END_TEST

START_TEST(an_area_is_used_again)
{
	struct isolate__crash_area area = area_of_a_crash();

	isolate__crash_prepare(&area);
	ck_assert_ptr_null(isolate__crash_collect(&area, &died));
	ck_assert_uint_eq(area.report.frame_count, 0);
}
END_TEST

START_TEST(numbers_beyond_their_bounds_are_cut)
{
	struct isolate__crash_area area = area_of_a_crash();
	struct isolate_crash *crash;
	size_t registers = 0;

	while (isolate_crash_register_name(registers))
		registers++;
	memset(&area.report, 0xff, sizeof area.report);
	area.report.kind = ISOLATE_CRASH_BY_SIGNAL;
	area.report.signal = SIGBUS;
	crash = isolate__crash_collect(&area, NULL);
	ck_assert_uint_eq(crash->frame_count, ISOLATE_CRASH_FRAMES);
	ck_assert_uint_eq(crash->function_frame_count, ISOLATE_CRASH_FRAMES);
	ck_assert_uint_eq(crash->register_count, registers);
	ck_assert_int_eq(crash->frames_end, ISOLATE_FRAMES_LOST);
	ck_assert_int_eq(crash->access, ISOLATE_ACCESS_UNKNOWN);
	ck_assert_int_eq(crash->address_known, 1);
	ck_assert_int_eq(crash->own_thread, 1);
	ck_assert_uint_eq(strlen(crash->description), sizeof crash->description - 1);
	ck_assert_uint_eq(strspn(crash->description, "?"), sizeof crash->description - 1);
	ck_assert_ptr_nonnull(strstr(report_text(crash), "SIGBUS"));
	free(crash);
}
END_TEST

START_TEST(what_is_no_report_of_this_end_is_none)
{
	struct isolate__crash_area area = area_of_a_crash();

	ck_assert_ptr_null(isolate__crash_collect(&area, &exited));
	ck_assert_ptr_null(isolate__crash_collect(&area, &failed));
	area.stage = 1;
	ck_assert_ptr_null(isolate__crash_collect(&area, &died));
	area.stage = ISOLATE__CRASH_NONE;
	ck_assert_ptr_null(isolate__crash_collect(&area, &died));
	area = area_of_a_crash();
	area.report.signal = SIGTERM;
	ck_assert_ptr_null(isolate__crash_collect(&area, &died));
	area.report.signal = -1;
	ck_assert_ptr_null(isolate__crash_collect(&area, &died));
	area = area_of_a_crash();
	area.report.kind = (enum isolate_crash_kind)77;
	ck_assert_ptr_null(isolate__crash_collect(&area, &died));
	area.report.kind = ISOLATE_CRASH_BY_SANITIZER; /* with a signal */
	ck_assert_ptr_null(isolate__crash_collect(&area, &failed));
	area.report.signal = 0;
	ck_assert_ptr_null(isolate__crash_collect(&area, &exited));
}
END_TEST

/* Killed while it looked for frames, or unable to die of the signal: that was its end. Afterwards: it went on. */
START_TEST(what_was_survived_is_not_reported_for_another_death)
{
	static const struct pal_status killed = {.signaled = true, .code = SIGKILL};
	static const struct pal_status unable = {.signaled = true, .code = SIGILL};
	struct isolate__crash_area area = area_of_a_crash();
	struct isolate_crash *crash;

	ck_assert_ptr_null(isolate__crash_collect(&area, &killed));
	crash = isolate__crash_collect(&area, &unable);
	ck_assert_ptr_nonnull(crash);
	free(crash);
	area.stage = ISOLATE__CRASH_FACTS;
	crash = isolate__crash_collect(&area, &killed);
	ck_assert_ptr_nonnull(crash);
	free(crash);
}
END_TEST

START_TEST(random_bytes_do_no_harm)
{
	struct isolate__crash_area area;
	unsigned seed = 1;

	for (int round = 0; round < 2000; round++) {
		unsigned char *bytes = (unsigned char *)&area.report;
		struct isolate_crash *crash;

		for (size_t i = 0; i < sizeof area.report; i++)
			bytes[i] = (unsigned char)rand_r(&seed);
		area.stage = ISOLATE__CRASH_WHOLE;
		if (round % 2) {
			area.report.kind = ISOLATE_CRASH_BY_SIGNAL;
			area.report.signal = SIGSEGV;
		}
		crash = isolate__crash_collect(&area, &died);
		if (round % 2)
			ck_assert_uint_gt(strlen(report_text(crash)), 10);
		free(crash);
	}
}
END_TEST

/* S112: nothing is made of it. */
static int spoils_the_area_and_dies(struct isolate_writer *out, void *arg)
{
	memset(&out->shared->crash, *(int *)arg, sizeof out->shared->crash);
	kill(getpid(), SIGKILL);
	return 0;
}

START_TEST(a_function_that_writes_over_the_area_is_not_reported)
{
	static const int values[] = {0, 1, 0x69, 0xff};
	struct isolate_result result;
	int value = values[_i];

	crash_in(spoils_the_area_and_dies, &value, NULL, &result);
	ck_assert_failure(&result, ISOLATE_UNKNOWN, ISOLATE_STAGE_RUN, -ECHILD);
	ck_assert_ptr_null(result.crash);
	isolate_result_clear(&result);
}
END_TEST

/* ---- verdicts of sanitizers ---- */

#if SANITIZED_BY_ADDRESS
/* The real one. (Of two gcc has one callback: UndefinedBehaviorSanitizer must not be the first to see it.) */
PAL_EXPORT int writes_behind_its_memory(struct isolate_writer *out, void *arg);
__attribute__((noinline, no_sanitize("undefined"))) int writes_behind_its_memory(
	struct isolate_writer *out, void *arg)
{
	volatile char *bytes = malloc(10);
	volatile int behind = 10;

	(void)out;
	(void)arg;
	bytes[behind] = 1;
	free((void *)(uintptr_t)bytes);
	return 0;
}
#elif !SANITIZED
/* One that this program makes believe it has. */
static void (*death_callback)(void);
static bool present;
static void *verdict_pc;

void __sanitizer_set_death_callback(void (*callback)(void));
void __sanitizer_set_death_callback(void (*callback)(void))
{
	death_callback = callback;
}

int __asan_report_present(void);
int __asan_report_present(void)
{
	return present;
}

void *__asan_get_report_pc(void);
void *__asan_get_report_pc(void)
{
	return verdict_pc;
}

void *__asan_get_report_sp(void);
void *__asan_get_report_sp(void)
{
	return __builtin_frame_address(0);
}

void *__asan_get_report_address(void);
void *__asan_get_report_address(void)
{
	return (void *)0x5000;
}

const char *__asan_get_report_description(void);
const char *__asan_get_report_description(void)
{
	return "heap-buffer-overflow";
}

UNCHECKED static void find_a_defect(void)
{
	verdict_pc = __builtin_return_address(0);
	present = true;
	death_callback();
	_exit(1);
}

NAMED(writes_behind_its_memory)
{
	(void)out;
	(void)arg;
	find_a_defect();
	NOT_A_TAIL_CALL();
	return 0;
}
#endif

#if SANITIZED_BY_ADDRESS || !SANITIZED
START_TEST(a_verdict_is_reported)
{
	struct isolate_options options = {WITH_REPORT, .std_err = PAL_STDIO_PIPE};
	struct isolate_result result;
	const struct isolate_crash *crash;

	isolate_call(writes_behind_its_memory, NULL, &options, &result);
	ck_assert_failure(&result, ISOLATE_UNKNOWN, ISOLATE_STAGE_RUN, -ECHILD);
	ck_assert(!result.status.signaled);
	crash = result.crash;
	ck_assert_ptr_nonnull(crash);
	ck_assert_int_eq(crash->kind, ISOLATE_CRASH_BY_SANITIZER);
	ck_assert_int_eq(crash->signal, 0);
	ck_assert_str_eq(crash->description, "heap-buffer-overflow");
	ck_assert(crash->address_known);
	ck_assert(crash->own_thread);
	ck_assert_msg(strstr(report_text(crash), "heap-buffer-overflow at address 0x") != NULL &&
			      strstr(report_text(crash), "in writes_behind_its_memory+") != NULL,
		"%s", report_text(crash));
	ck_assert_uint_gt(crash->frame_count, 3);
	ck_assert_int_eq(crash->frames_end, ISOLATE_FRAMES_END);
	isolate_result_clear(&result);
}
END_TEST
#endif

#if !SANITIZED
static int finds_a_defect_and_aborts(struct isolate_writer *out, void *arg)
{
	(void)out;
	(void)arg;
	present = true;
	verdict_pc = __builtin_return_address(0);
	death_callback();
	abort();
}

START_TEST(an_abort_after_a_verdict_leaves_its_report)
{
	struct isolate_result result;

	crash_in(finds_a_defect_and_aborts, NULL, NULL, &result);
	ck_assert(result.status.signaled);
	ck_assert_int_eq(result.status.code, SIGABRT);
	ck_assert_ptr_nonnull(result.crash);
	ck_assert_int_eq(result.crash->kind, ISOLATE_CRASH_BY_SANITIZER);
	isolate_result_clear(&result);
}
END_TEST

/* Of a sanitizer that tells no more than that. */
static int finds_something(struct isolate_writer *out, void *arg)
{
	(void)out;
	(void)arg;
	death_callback();
	_exit(1);
}

START_TEST(a_verdict_without_a_finding_has_frames)
{
	struct isolate_result result;

	crash_in(finds_something, NULL, NULL, &result);
	ck_assert_ptr_nonnull(result.crash);
	ck_assert_int_eq(result.crash->kind, ISOLATE_CRASH_BY_SANITIZER);
	ck_assert_str_eq(result.crash->description, "");
	ck_assert_uint_gt(result.crash->frame_count, 3);
	ck_assert_ptr_nonnull(strstr(report_text(result.crash), "sanitizer: a defect\n"));
	isolate_result_clear(&result);
}
END_TEST

static int a_fork_of_it_finds_a_defect(struct isolate_writer *out, void *arg)
{
	pid_t pid = fork();
	int status;

	if (pid == 0)
		finds_something(out, arg);
	return waitpid(pid, &status, 0) == pid ? 0 : -1;
}

START_TEST(a_verdict_in_a_fork_is_its_own_affair)
{
	struct isolate_result result;

	crash_in(a_fork_of_it_finds_a_defect, NULL, NULL, &result);
	ck_assert_answer(&result, ISOLATE_RETURNED);
	ck_assert_ptr_null(result.crash);
	ck_assert_ptr_null(death_callback); /* of this process */
	isolate_result_clear(&result);
}
END_TEST
#endif

/* ---- the text ---- */

/* Two functions, one inlined into the other, at the first address; nothing elsewhere. */
static size_t resolve_for_the_test(
	uintptr_t address, struct isolate_place *ret, size_t max, void *userdata)
{
	ck_assert_uint_ge(max, 2);
	++*(int *)userdata;
	if (address != 4096)
		return 0;
	ret[0] = (struct isolate_place){.module = "/usr/lib/libfoo.so",
		.module_offset = 0x1000,
		.function = "inner",
		.function_offset = 0x10,
		.file = "foo.c",
		.line = 12};
	ret[1] = (struct isolate_place){
		.module = "/usr/lib/libfoo.so", .module_offset = 0x1000, .function = "outer"};
	return 2;
}

START_TEST(a_text_has_a_line_for_each_frame)
{
	struct isolate__crash_area area = area_of_a_crash();
	char text[1000], stream[1000] = "";
	int calls = 0;
	FILE *file;

	area.report.frame_count = 3;
	area.report.function_frame_count = 2;
	area.report.frames[1] = 0x2001;
	area.report.frames[2] = 0x3001; /* called the function */
	ck_assert_uint_eq(
		isolate_crash_text(&area.report, resolve_for_the_test, &calls, text, sizeof text),
		strlen(text));
	ck_assert_str_eq(text,
		"SIGSEGV at address 0x10 (read, address not mapped), pc 0x1000 in inner+0x10 "
		"(libfoo.so+0x1000) at foo.c:12\n"
		"  #0 0x1000 inner+0x10 (libfoo.so+0x1000) at foo.c:12\n"
		"     inlined into outer+0x0 (libfoo.so+0x1000)\n"
		"  #1 0x2001\n");
	ck_assert_int_eq(calls, 3);
	file = fmemopen(stream, sizeof stream, "w");
	ck_assert_int_eq(isolate_crash_print(&area.report, resolve_for_the_test, &calls, file), 0);
	fclose(file);
	ck_assert_str_eq(stream, text);
}
END_TEST

/* Of a module without symbols. */
static size_t resolve_to_a_module(
	uintptr_t address, struct isolate_place *ret, size_t max, void *unused)
{
	(void)max;
	(void)unused;
	*ret = (struct isolate_place){
		.module = "/usr/lib/libfoo.so", .module_offset = address - 0x100};
	return 1;
}

START_TEST(a_function_that_is_not_known_is_not_mentioned)
{
	struct isolate__crash_area area = area_of_a_crash();
	char text[1000];

	isolate_crash_text(&area.report, resolve_to_a_module, NULL, text, sizeof text);
	ck_assert_str_eq(text,
		"SIGSEGV at address 0x10 (read, address not mapped), pc 0x1000 (libfoo.so+0xf00)\n"
		"  #0 0x1000 (libfoo.so+0xf00)\n");
}
END_TEST

START_TEST(a_text_is_cut_to_its_buffer)
{
	struct isolate__crash_area area = area_of_a_crash();
	char whole[1000], cut[1000];
	size_t length = isolate_crash_text(&area.report, NULL, NULL, whole, sizeof whole);

	ck_assert_uint_eq(isolate_crash_text(&area.report, NULL, NULL, NULL, 0), length);
	for (size_t size = 1; size < length + 2; size++) {
		size_t fits = size - 1 < length ? size - 1 : length;

		memset(cut, 'x', sizeof cut);
		ck_assert_uint_eq(isolate_crash_text(&area.report, NULL, NULL, cut, size), length);
		ck_assert_uint_eq(strlen(cut), fits);
		ck_assert_mem_eq(cut, whole, fits);
		ck_assert_int_eq(cut[size], 'x');
	}
}
END_TEST

START_TEST(a_stream_that_takes_nothing_is_an_error)
{
	struct isolate__crash_area area = area_of_a_crash();
	FILE *full = fopen("/dev/full", "we");

	setvbuf(full, NULL, _IONBF, 0);
	ck_assert_int_eq(isolate_crash_print(&area.report, NULL, NULL, full), -ENOSPC);
	fclose(full);
}
END_TEST

static Suite *make_suite(void)
{
	Suite *suite = suite_create("isolate/crash-report");
	TCase *areas = isolate_tcase(suite, "area");
	TCase *verdicts __attribute__((unused)) = isolate_tcase(suite, "verdicts");
	TCase *texts = isolate_tcase(suite, "text");

	tcase_add_test(areas, a_report_is_taken_as_it_is);
	tcase_add_test(areas, a_report_that_was_not_finished_lost_its_frames);
	tcase_add_test(areas, an_area_is_used_again);
	tcase_add_test(areas, numbers_beyond_their_bounds_are_cut);
	tcase_add_test(areas, what_is_no_report_of_this_end_is_none);
	tcase_add_test(areas, what_was_survived_is_not_reported_for_another_death);
	tcase_add_test(areas, random_bytes_do_no_harm);
	tcase_add_loop_test(areas, a_function_that_writes_over_the_area_is_not_reported, 0, 4);
#if SANITIZED_BY_ADDRESS || !SANITIZED
	tcase_add_test(verdicts, a_verdict_is_reported);
#endif
#if !SANITIZED
	tcase_add_test(verdicts, an_abort_after_a_verdict_leaves_its_report);
	tcase_add_test(verdicts, a_verdict_without_a_finding_has_frames);
	tcase_add_test(verdicts, a_verdict_in_a_fork_is_its_own_affair);
#endif
	tcase_add_test(texts, a_text_has_a_line_for_each_frame);
	tcase_add_test(texts, a_function_that_is_not_known_is_not_mentioned);
	tcase_add_test(texts, a_text_is_cut_to_its_buffer);
	tcase_add_test(texts, a_stream_that_takes_nothing_is_an_error);
	return suite;
}
SUPPORT_MAIN(make_suite)
