/* SPDX-License-Identifier: MIT */

/* The parent's half of crash reports: nothing of what a child wrote is taken at its word. */
#include <isolate/crash-machine-priv.h>
#include <isolate/crash-priv.h>

#include <ctype.h>
#include <errno.h>
#include <isolate/isolate.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include <pal/util-priv.h>

void isolate__crash_prepare(struct isolate__crash_area *area)
{
	static atomic_bool warm;

	if (!atomic_load_explicit(&warm, memory_order_relaxed)) {
		isolate__crash_unwind_warm();
		atomic_store_explicit(&warm, true, memory_order_relaxed);
	}
	memset(area, 0, sizeof *area);
}

int isolate__crash_arm_error(const struct isolate__crash_area *area, struct pal_error *error)
{
	static const char *const steps[] = {
		[ISOLATE__CRASH_GUARD] = "mprotect",
		[ISOLATE__CRASH_STACK] = "sigaltstack",
		[ISOLATE__CRASH_HANDLER] = "sigaction",
	};
	uint32_t step = area->arm_step;
	int code = area->arm_error;

	if (step == ISOLATE__CRASH_ARMED || step >= PAL_ARRAY_LENGTH(steps) || code >= 0)
		return 0;
	return pal_error_set(
		error, ISOLATE_STAGE_START, code, "%s, for the crash report", steps[step]);
}

static bool is_reported(int signal)
{
	for (const int *known = isolate__crash_signals; *known; known++)
		if (*known == signal)
			return true;
	return false;
}

/*
 * Whether a process that was about to die of `signal` died so: by that, by SIGILL where it could
 * not (end_anyhow), or by anything while it was still looking for frames.
 */
static bool is_its_end(int signal, bool whole, const struct pal_status *status)
{
	return status->signaled && (status->code == signal || status->code == SIGILL || !whole);
}

/* A report that the process survived is of something else than its end. */
static bool fits(const struct isolate__crash_area *area, const struct pal_status *status)
{
	const struct isolate_crash *report = &area->report;
	bool whole = area->stage == ISOLATE__CRASH_WHOLE;

	switch (report->kind) {
	case ISOLATE_CRASH_BY_SIGNAL:
		return is_reported(report->signal) &&
		       (!status || is_its_end(report->signal, whole, status));
	case ISOLATE_CRASH_BY_SANITIZER:
		return report->signal == 0 &&
		       (!status || status->signaled || status->code != EXIT_SUCCESS);
	default:
		return false;
	}
}

static void bound(struct isolate_crash *report)
{
	if (report->access > ISOLATE_ACCESS_EXECUTE)
		report->access = ISOLATE_ACCESS_UNKNOWN;
	if (report->register_count > ISOLATE__REGISTER_COUNT)
		report->register_count = ISOLATE__REGISTER_COUNT;
	if (report->frame_count > ISOLATE_CRASH_FRAMES)
		report->frame_count = ISOLATE_CRASH_FRAMES;
	if (report->function_frame_count == 0 || report->function_frame_count > report->frame_count)
		report->function_frame_count = report->frame_count;
	if (report->frames_end < ISOLATE_FRAMES_END || report->frames_end > ISOLATE_FRAMES_LOST)
		report->frames_end = ISOLATE_FRAMES_LOST;
	report->address_known = !!report->address_known;
	report->own_thread = !!report->own_thread;
	report->description[sizeof report->description - 1] = '\0';
	for (char *at = report->description; *at; at++)
		if (!isprint((unsigned char)*at))
			*at = '?';
}

struct isolate_crash *isolate__crash_collect(
	const struct isolate__crash_area *area, const struct pal_status *status)
{
	struct isolate__crash_area copy = *area;
	struct isolate_crash *report;

	if (copy.stage != ISOLATE__CRASH_FACTS && copy.stage != ISOLATE__CRASH_WHOLE)
		return NULL;
	if (!fits(&copy, status))
		return NULL;
	report = malloc(sizeof *report);
	if (!report)
		return NULL;
	*report = copy.report;
	if (copy.stage == ISOLATE__CRASH_FACTS)
		report->frames_end = ISOLATE_FRAMES_LOST;
	bound(report);
	return report;
}

const char *isolate_crash_register_name(size_t index)
{
#ifdef ISOLATE__REGISTERS
	if (index < ISOLATE__REGISTER_COUNT)
		return isolate__register_names[index];
#endif
	(void)index;
	return NULL;
}
