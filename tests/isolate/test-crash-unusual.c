/* SPDX-License-Identifier: MIT */

/*
 * Crashes that would not happen again if the interrupted instruction were run once more, or that
 * the handler would have, too: each ends the child as it does without a report.
 */
#include <sys/syscall.h>
#include <unistd.h>

#include "crash-support.h"

#ifdef __x86_64__

/* A trap: the pc is behind the instruction, and the signal is SIGSEGV. */
UNCHECKED static int overflows_by_an_instruction(struct isolate_writer *out, void *arg)
{
	(void)out;
	(void)arg;
	__asm__ volatile("int $4");
	return 77;
}

static void do_nothing(int signal)
{
	(void)signal;
}

/* The kernel cannot write the frame of the handler to the stack, which is there again afterwards. */
UNCHECKED static int is_interrupted_without_a_stack(struct isolate_writer *out, void *arg)
{
	long number = SYS_tgkill;

	(void)out;
	(void)arg;
	signal(SIGUSR1, do_nothing);
	__asm__ volatile("mov %%rsp, %%r12\n\t"
			 "mov $0x1000, %%rsp\n\t"
			 "syscall\n\t"
			 "mov %%r12, %%rsp"
			 : "+a"(number)
			 : "D"((long)getpid()), "S"((long)gettid()), "d"((long)SIGUSR1)
			 : "r12", "rcx", "r11", "memory");
	return 77;
}

/* The flag that makes misaligned addresses a crime holds in handlers, too. */
UNCHECKED static int reads_misaligned(struct isolate_writer *out, void *arg)
{
	static const long words[2] = {1, 2};
	const unsigned long alignment_check = 1 << 18;
	int value;

	(void)out;
	(void)arg;
	__asm__ volatile("sub $128, %%rsp\n\t"
			 "pushf\n\t"
			 "or %2, (%%rsp)\n\t"
			 "popf\n\t"
			 "mov 1(%1), %0\n\t"
			 "add $128, %%rsp"
			 : "=r"(value)
			 : "r"(words), "r"(alignment_check)
			 : "cc", "memory");
	return value;
}

static const struct {
	isolate_fn fn;
	int signal;
} unusual[] = {
	{overflows_by_an_instruction, SIGSEGV},
	{is_interrupted_without_a_stack, SIGSEGV},
	{reads_misaligned, SIGBUS},
};

START_TEST(a_crash_ends_the_child_as_without_a_report)
{
	struct isolate_options plain = {ISOLATE_OPTIONS_INIT};
	struct isolate_result result;

	if (BUILT_WITH_TSAN && unusual[_i].signal == SIGBUS) {
		support_skip("ThreadSanitizer's own handler comes first, with the flag set");
	}
	isolate_call(unusual[_i].fn, NULL, &plain, &result);
	ck_assert_failure(&result, ISOLATE_UNKNOWN, ISOLATE_STAGE_RUN, -ECHILD);
	ck_assert_int_eq(result.status.code, unusual[_i].signal);
	isolate_result_clear(&result);
	crash_in(unusual[_i].fn, NULL, NULL, &result);
	check_signal(&result, unusual[_i].signal);
	if (unusual[_i].signal == SIGBUS) /* the kernel says NULL, and does not know */
		ck_assert_int_eq(result.crash->address_known, 0);
	isolate_result_clear(&result);
}
END_TEST
#endif

static Suite *make_suite(void)
{
	Suite *suite = suite_create("isolate/crash-unusual");
	TCase *ends = isolate_tcase(suite, "ends");

#ifdef __x86_64__
	tcase_add_loop_test(ends, a_crash_ends_the_child_as_without_a_report, 0,
		sizeof unusual / sizeof *unusual);
#else
	(void)ends;
#endif
	return suite;
}
SUPPORT_MAIN(make_suite)
