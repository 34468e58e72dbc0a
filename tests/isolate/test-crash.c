/* SPDX-License-Identifier: MIT */

/* What is reported of each way to crash. The functions are exported so that dladdr(3) knows them. */
#include <pal/seccomp.h>
#include <pal/profile.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "crash-support.h"
#include "gate.h"

/* ---- addresses ---- */

NAMED(reads_null)
{
	(void)out;
	return *(volatile int *)arg;
}

NAMED(calls_one_that_reads_null)
{
	int value = reads_null(out, arg);

	NOT_A_TAIL_CALL();
	return value;
}

START_TEST(a_read_of_null_is_reported_with_its_frames)
{
	struct isolate_result result;
	const struct isolate_crash *crash;

	crash_in(calls_one_that_reads_null, (void *)16, NULL, &result);
	crash = check_signal(&result, SIGSEGV);
	ck_assert_int_eq(crash->code, SEGV_MAPERR);
	ck_assert(crash->address_known);
	ck_assert_uint_eq(crash->address, 16);
	ck_assert_int_eq(crash->sender, 0);
	ck_assert_int_eq(crash->system_call, -1);
	ck_assert(crash->own_thread);
	ck_assert_frame(crash, 0, "reads_null");
	ck_assert_frame(crash, 1, "calls_one_that_reads_null");
	ck_assert_int_eq(crash->frames_end, ISOLATE_FRAMES_END);
	ck_assert_uint_eq(crash->function_frame_count, 2);
	ck_assert_ptr_null(strstr(report_text(crash), "#2"));
	/* up to main, through this library */
	ck_assert_uint_gt(crash->frame_count, 5);
	isolate_result_clear(&result);
}
END_TEST

static const char constant[4096] __attribute__((aligned(4096))) = "constant";

NAMED(writes_to_a_constant)
{
	(void)out;
	*(volatile char *)arg = 'x';
	return 0;
}

START_TEST(a_write_to_read_only_memory_is_reported)
{
	struct isolate_result result;
	const struct isolate_crash *crash;

	crash_in(writes_to_a_constant, (void *)(uintptr_t)(constant + 5), NULL, &result);
	crash = check_signal(&result, SIGSEGV);
	ck_assert_int_eq(crash->code, SEGV_ACCERR);
	ck_assert_uint_eq(crash->address, (uintptr_t)(constant + 5));
	ck_assert_frame(crash, 0, "writes_to_a_constant");
#ifdef __x86_64__
	ck_assert_int_eq(crash->access, ISOLATE_ACCESS_WRITE);
#endif
	isolate_result_clear(&result);
}
END_TEST

NAMED(jumps_to)
{
	isolate_fn volatile target = (isolate_fn)arg;
	int value = target(out, NULL);

	NOT_A_TAIL_CALL();
	return value;
}

/* NULL, an address that is not there, and data */
static void *const not_code[] = {NULL, (void *)0x7eadbeef000, (void *)(uintptr_t)constant};

START_TEST(a_jump_to_what_is_no_code_is_reported_with_its_caller)
{
	void *target = not_code[_i];
	struct isolate_result result;
	const struct isolate_crash *crash;

	crash_in(jumps_to, target, NULL, &result);
	crash = check_signal(&result, SIGSEGV);
	ck_assert_uint_eq(crash->pc, (uintptr_t)target);
	ck_assert_uint_eq(crash->address, (uintptr_t)target);
	ck_assert_frame(crash, 1, "jumps_to");
	ck_assert_int_eq(crash->frames_end, ISOLATE_FRAMES_END);
	isolate_result_clear(&result);
}
END_TEST

/* ---- the stack ---- */

NAMED(recurses)
{
	volatile char room[1000];
	int value = 0;

	room[0] = 1;
	if (room[0])
		value = recurses(out, arg);
	return value + room[0];
}

START_TEST(an_overflow_of_the_stack_is_reported)
{
	const struct isolate_rlimit small = {RLIMIT_STACK, {1 << 20, 8 << 20}};
	struct isolate_options options = {WITH_REPORT, .rlimits = &small, .rlimit_count = 1};
	struct isolate_result result;
	const struct isolate_crash *crash;

	crash_in(recurses, NULL, &options, &result);
	crash = check_signal(&result, SIGSEGV);
	ck_assert_uint_eq(crash->frame_count, ISOLATE_CRASH_FRAMES);
	ck_assert_int_eq(crash->frames_end, ISOLATE_FRAMES_CUT);
	ck_assert_frame(crash, 0, "recurses");
	ck_assert_frame(crash, ISOLATE_CRASH_FRAMES - 1, "recurses");
	ck_assert_ptr_nonnull(strstr(report_text(crash), "did the stack overflow?"));
	isolate_result_clear(&result);
}
END_TEST

/* Leaves nothing of the stack above itself by which its callers could be found. */
NAMED(destroys_the_stack)
{
	volatile uintptr_t *at = __builtin_frame_address(0);

	(void)out;
	for (int i = 0; i < 64; i++)
		at[i] = 0x4141414141414141;
	*(volatile int *)arg = 1;
	return 0;
}

START_TEST(what_was_known_before_a_destroyed_stack_is_kept)
{
	struct isolate_result result;
	const struct isolate_crash *crash;

	crash_in(destroys_the_stack, (void *)8, NULL, &result);
	crash = check_signal(&result, SIGSEGV);
	ck_assert_uint_eq(crash->address, 8);
	ck_assert_frame(crash, 0, "destroys_the_stack");
	ck_assert_int_eq(crash->frames_end, ISOLATE_FRAMES_LOST);
	ck_assert_uint_le(crash->frame_count, 3);
	ck_assert_ptr_nonnull(strstr(report_text(crash), "cannot be read"));
	isolate_result_clear(&result);
}
END_TEST

#ifdef __x86_64__
NAMED(loses_the_stack_pointer)
{
	(void)out;
	(void)arg;
	__asm__ volatile("mov $0x1000, %rsp; push %rax");
	return 0;
}

START_TEST(a_lost_stack_pointer_is_reported)
{
	struct isolate_result result;
	const struct isolate_crash *crash;

	crash_in(loses_the_stack_pointer, NULL, NULL, &result);
	crash = check_signal(&result, SIGSEGV);
	ck_assert_uint_eq(crash->sp, 0x1000);
	/* Code with a frame pointer has its callers all the same. */
	ck_assert_frame(crash, 0, "loses_the_stack_pointer");
	ck_assert_str_eq(isolate_crash_register_name(15), "rsp");
	ck_assert_uint_eq(crash->registers[15], 0x1000);
	isolate_result_clear(&result);
}
END_TEST
#endif

/* ---- instructions ---- */

#ifdef __x86_64__
NAMED(divides_by_zero)
{
	volatile int zero = arg != NULL;

	(void)out;
	return 1000 / zero;
}

NAMED(runs_an_illegal_instruction)
{
	(void)out;
	(void)arg;
	__asm__ volatile("ud2");
	return 0;
}

NAMED(comes_to_a_breakpoint)
{
	(void)out;
	(void)arg;
	__asm__ volatile("int3");
	return 0;
}

NAMED(uses_an_address_of_no_machine)
{
	(void)out;
	(void)arg;
	return *(volatile int *)0x8000000000000000;
}

static const struct {
	isolate_fn fn;
	const char *name;
	int signal, code, address_is_pc;
	const char *text;
} instructions[] = {
	{divides_by_zero, "divides_by_zero", SIGFPE, FPE_INTDIV, 1, "divided by zero"},
	{runs_an_illegal_instruction, "runs_an_illegal_instruction", SIGILL, ILL_ILLOPN, 1,
		"illegal instruction"},
	{comes_to_a_breakpoint, "comes_to_a_breakpoint", SIGTRAP, SI_KERNEL, 0, "breakpoint"},
	{uses_an_address_of_no_machine, "uses_an_address_of_no_machine", SIGSEGV, SI_KERNEL, 0,
		"no address"},
};

START_TEST(an_instruction_that_cannot_be_run_is_reported)
{
	struct isolate_result result;
	const struct isolate_crash *crash;

	crash_in(instructions[_i].fn, NULL, NULL, &result);
	crash = check_signal(&result, instructions[_i].signal);
	ck_assert_int_eq(crash->code, instructions[_i].code);
	ck_assert_int_eq(crash->address_known, instructions[_i].address_is_pc);
	if (instructions[_i].address_is_pc)
		ck_assert_uint_eq(crash->address, crash->pc);
	ck_assert_frame(crash, 0, instructions[_i].name);
	ck_assert_ptr_nonnull(strstr(report_text(crash), instructions[_i].text));
	isolate_result_clear(&result);
}
END_TEST
#endif

/* ---- signals that are sent ---- */

NAMED(aborts)
{
	(void)out;
	(void)arg;
	abort();
}

NAMED(raises)
{
	(void)out;
	raise(*(int *)arg);
	NOT_A_TAIL_CALL();
	return 0;
}

static const struct {
	isolate_fn fn;
	const char *name;
	int signal;
} by_oneself[] = {
	{aborts, "aborts", SIGABRT},
	{raises, "raises", SIGABRT},
	{raises, "raises", SIGFPE},
	{raises, "raises", SIGSYS},
	{raises, "raises", SIGSEGV},
};

START_TEST(a_signal_to_oneself_is_reported)
{
	int number = by_oneself[_i].signal;
	struct isolate_result result;
	const struct isolate_crash *crash;

	crash_in(by_oneself[_i].fn, &number, NULL, &result);
	crash = check_signal(&result, number);
	ck_assert_int_eq(crash->code, SI_TKILL);
	ck_assert(!crash->address_known);
	ck_assert_int_eq(crash->sender, crash->thread);
	ck_assert_uint_lt(frame_of(crash, by_oneself[_i].name), crash->frame_count);
	isolate_result_clear(&result);
}
END_TEST

START_TEST(a_signal_from_outside_is_reported_with_its_sender)
{
	struct isolate_options options = {WITH_REPORT};
	struct isolate_result result;
	const struct isolate_crash *crash;
	struct isolate_run *run;
	struct gate gate;

	gate_open(&gate, 0);
	run = start(pass, &gate, &options);
	ck_assert_int_eq(kill(await_entry(&gate), SIGBUS), 0);
	isolate_finish(run, &result);
	crash = check_signal(&result, SIGBUS);
	ck_assert_int_eq(crash->code, SI_USER);
	ck_assert_int_eq(crash->sender, getpid());
	ck_assert_uint_eq(crash->sender_user, getuid());
	ck_assert(!crash->address_known);
	isolate_result_clear(&result);
	let_go(&gate);
	check_that_all_are_gone(&gate);
}
END_TEST

NAMED(makes_a_refused_call)
{
	(void)out;
	(void)arg;
	syscall(SYS_getppid);
	return 0;
}

static int refuse_getppid(
	const struct pal_profile *profile, struct pal_builder *builder, struct pal_error *error)
{
	struct pal_seccomp *filter;

	(void)profile;
	ck_assert_ok(pal_seccomp_new(PAL_SECCOMP_ALLOW, &filter, error), error);
	ck_assert_ok(pal_seccomp_rule(filter, PAL_SECCOMP_TRAP, "getppid", error), error);
	pal_builder_seccomp(builder, filter);
	pal_seccomp_free(filter);
	return 0;
}

START_TEST(a_call_that_a_filter_refuses_is_reported_with_its_number)
{
	struct pal_profile profile = {
		.size = sizeof profile, .name = "no getppid", .apply = refuse_getppid};
	struct isolate_options options = {WITH_REPORT, .sandbox = &profile};
	struct isolate_result result;
	const struct isolate_crash *crash;

	crash_in(makes_a_refused_call, NULL, &options, &result);
	crash = check_signal(&result, SIGSYS);
	ck_assert_int_eq(crash->system_call, SYS_getppid);
	ck_assert(!crash->address_known);
	ck_assert_uint_lt(frame_of(crash, "makes_a_refused_call"), 3);
	ck_assert_ptr_nonnull(strstr(report_text(crash), "which a filter refuses"));
	isolate_result_clear(&result);
}
END_TEST

/* ---- threads of the function ---- */

NAMED_OF_THREAD(crashes_in_a_thread)
{
	*(volatile int *)arg = 1;
	return NULL;
}

static int start_a_thread_that_crashes(struct isolate_writer *out, void *arg)
{
	pthread_t thread;

	(void)out;
	if (pthread_create(&thread, NULL, crashes_in_a_thread, arg) == 0)
		pthread_join(thread, NULL);
	return 0;
}

START_TEST(a_crash_of_another_thread_is_reported_as_such)
{
	struct isolate_result result;
	const struct isolate_crash *crash;

	crash_in(start_a_thread_that_crashes, (void *)24, NULL, &result);
	crash = check_signal(&result, SIGSEGV);
	ck_assert_uint_eq(crash->address, 24);
	ck_assert(!crash->own_thread);
	ck_assert_frame(crash, 0, "crashes_in_a_thread");
	ck_assert_ptr_nonnull(strstr(report_text(crash), "in thread"));
	isolate_result_clear(&result);
}
END_TEST

static _Atomic int arrived;
#define TOGETHER 2

/* Deep, so that looking for the frames of the first one takes its time. */
UNCHECKED static void *go_down(unsigned depth, void *arg)
{
	arg = depth ? go_down(depth - 1, arg) : crashes_in_a_thread(arg);
	NOT_A_TAIL_CALL();
	return arg;
}

NAMED_OF_THREAD(crash_together)
{
	/* A barrier of libc's would wake one after the other. */
	for (arrived++; arrived < TOGETHER;)
		sched_yield();
	arg = go_down(40, arg);
	NOT_A_TAIL_CALL();
	return arg;
}

static int start_threads_that_crash(struct isolate_writer *out, void *arg)
{
	pthread_t threads[TOGETHER];

	(void)out;
	(void)arg;
	for (size_t i = 0; i < TOGETHER; i++)
		pthread_create(&threads[i], NULL, crash_together, (void *)(32 + 8 * i));
	for (size_t i = 0; i < TOGETHER; i++)
		pthread_join(threads[i], NULL);
	return 0;
}

START_TEST(of_several_crashes_at_once_one_is_reported)
{
	for (int i = 0; i < 100 / SLOWNESS; i++) {
		struct isolate_result result;
		const struct isolate_crash *crash;

		crash_in(start_threads_that_crash, NULL, NULL, &result);
		crash = check_signal(&result, SIGSEGV);
		ck_assert_uint_ge(crash->address, 32);
		ck_assert_uint_le(crash->address, 40);
		ck_assert_frame(crash, 0, "crashes_in_a_thread");
		ck_assert_uint_lt(frame_of(crash, "crash_together"), crash->frame_count);
		ck_assert_int_eq(crash->frames_end, ISOLATE_FRAMES_END);
		isolate_result_clear(&result);
	}
}
END_TEST

/* ---- concurrently ---- */

static void *crash_many_times(void *arg)
{
	uintptr_t address = 1000 * (uintptr_t)arg;

	for (int i = 0; i < 100 / SLOWNESS; i++) {
		struct isolate_result result;

		crash_in(reads_null, (void *)(address + 4 * (uintptr_t)i), NULL, &result);
		ck_assert_uint_eq(
			check_signal(&result, SIGSEGV)->address, address + 4 * (uintptr_t)i);
		isolate_result_clear(&result);
	}
	return NULL;
}

START_TEST(threads_get_the_reports_of_their_own_calls)
{
	pthread_t threads[4];

	for (uintptr_t i = 0; i < 4; i++)
		ck_assert_int_eq(pthread_create(&threads[i], NULL, crash_many_times, (void *)i), 0);
	for (int i = 0; i < 4; i++)
		pthread_join(threads[i], NULL);
}
END_TEST

static Suite *make_suite(void)
{
	Suite *suite = suite_create("isolate/crash");
	TCase *causes = isolate_tcase(suite, "causes");
	TCase *threads = isolate_tcase(suite, "threads");

	tcase_add_test(causes, a_read_of_null_is_reported_with_its_frames);
	tcase_add_test(causes, a_write_to_read_only_memory_is_reported);
	tcase_add_loop_test(causes, a_jump_to_what_is_no_code_is_reported_with_its_caller, 0,
		sizeof not_code / sizeof *not_code);
	tcase_add_test(causes, an_overflow_of_the_stack_is_reported);
	tcase_add_test(causes, what_was_known_before_a_destroyed_stack_is_kept);
#ifdef __x86_64__
	tcase_add_test(causes, a_lost_stack_pointer_is_reported);
	tcase_add_loop_test(causes, an_instruction_that_cannot_be_run_is_reported, 0,
		sizeof instructions / sizeof *instructions);
#endif
	tcase_add_loop_test(
		causes, a_signal_to_oneself_is_reported, 0, sizeof by_oneself / sizeof *by_oneself);
	tcase_add_test(causes, a_signal_from_outside_is_reported_with_its_sender);
	tcase_add_test(causes, a_call_that_a_filter_refuses_is_reported_with_its_number);
	tcase_add_test(threads, a_crash_of_another_thread_is_reported_as_such);
	tcase_add_test(threads, of_several_crashes_at_once_one_is_reported);
	tcase_add_test(threads, threads_get_the_reports_of_their_own_calls);
	return suite;
}
SUPPORT_MAIN(make_suite)
