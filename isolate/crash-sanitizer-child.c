/* SPDX-License-Identifier: MIT */

/*
 * A program that was built with a sanitizer may die by its verdict, with an exit code and no
 * signal. Sanitizers call a function before that, and tell what they found. Whether
 * there is one shows when the program is loaded: this library need not be built with it.
 */
#include <isolate/crash-priv.h>

extern void __sanitizer_set_death_callback(void (*callback)(void)) __attribute__((weak));
/* AddressSanitizer's */
extern int __asan_report_present(void) __attribute__((weak));
extern void *__asan_get_report_pc(void) __attribute__((weak));
extern void *__asan_get_report_sp(void) __attribute__((weak));
extern void *__asan_get_report_address(void) __attribute__((weak));
extern const char *__asan_get_report_description(void) __attribute__((weak));

static void describe(struct isolate_crash *report, const char *text)
{
	size_t i = 0;

	for (; text && text[i] && i < sizeof report->description - 1; i++)
		report->description[i] = text[i];
	report->description[i] = '\0';
}

static void note_finding(struct isolate_crash *report)
{
	if (!__asan_report_present || !__asan_report_present())
		return;
	report->pc = (uintptr_t)__asan_get_report_pc();
	report->sp = (uintptr_t)__asan_get_report_sp();
	report->address = (uintptr_t)__asan_get_report_address();
	report->address_known = 1;
	describe(report, __asan_get_report_description());
}

/* Not in a signal handler, but with the sanitizer's locks held. */
static void on_verdict(void)
{
	struct isolate__crash_area *area = isolate__crash_claim();
	struct isolate_crash *report;

	if (!area)
		return;
	report = &area->report;
	report->kind = ISOLATE_CRASH_BY_SANITIZER;
	report->system_call = -1;
	note_finding(report);
	report->frames[0] = report->pc;
	report->frame_count = report->pc != 0;
	isolate__crash_reach(area, ISOLATE__CRASH_FACTS);
	isolate__crash_unwind(area, report->pc, 0);
	isolate__crash_reach(area, ISOLATE__CRASH_WHOLE);
}

void isolate__crash_arm_sanitizer(void)
{
	if (__sanitizer_set_death_callback)
		__sanitizer_set_death_callback(on_verdict);
}
