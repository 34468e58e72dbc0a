/* SPDX-License-Identifier: MIT */

/*
 * The frames of a crash, by the compiler's unwinder, which reads the tables that every program
 * for exceptions has: no frame pointers are needed. With glibc 2.35 or later, which has
 * _dl_find_object(3), it takes no lock and allocates nothing. (It takes one in programs that register
 * code which they make at run time, by __register_frame, if they were built with gcc before 13.)
 */
#include <isolate/crash-priv.h>
#include <isolate/isolate-priv.h>

#include <unwind.h>

/* Of the handler, the kernel and a sanitizer, before the interrupted one. */
#define SKIPPED_MAX 64

struct walk {
	struct isolate__crash_area *area;
	uintptr_t from;   /* nothing is noted before it is seen; 0: it has been */
	uintptr_t caller; /* what is noted for it; 0: it is in the report */
	unsigned skipped;
	bool cut;
};

static void add(struct walk *walk, uintptr_t address)
{
	struct isolate_crash *report = &walk->area->report;
	size_t count = report->frame_count;

	walk->cut = count >= ISOLATE_CRASH_FRAMES;
	if (walk->cut)
		return;
	report->frames[count] = address;
	/* The next frame may be the one that cannot be read. */
	__atomic_store_n(&report->frame_count, count + 1, __ATOMIC_RELEASE);
}

/* The frame that comes next has called the function. */
static void mark_function(struct walk *walk)
{
	struct isolate_crash *report = &walk->area->report;

	if (!report->function_frame_count)
		report->function_frame_count = report->frame_count;
}

static _Unwind_Reason_Code look_at(struct _Unwind_Context *context, void *userdata)
{
	struct walk *walk = userdata;
	uintptr_t ip = _Unwind_GetIP(context);

	if (!walk->from) {
		if (isolate__is_guard(_Unwind_GetRegionStart(context)))
			mark_function(walk);
		if (ip)
			add(walk, ip);
	} else if (ip == walk->from) {
		walk->from = 0;
		if (walk->caller)
			add(walk, walk->caller);
	} else if (++walk->skipped == SKIPPED_MAX) {
		return _URC_NORMAL_STOP;
	}
	return walk->cut ? _URC_NORMAL_STOP : _URC_NO_REASON;
}

void isolate__crash_unwind(struct isolate__crash_area *area, uintptr_t from, uintptr_t caller)
{
	struct walk walk = {.area = area, .from = from, .caller = caller};
	_Unwind_Reason_Code end = _Unwind_Backtrace(look_at, &walk);

	area->report.frames_end = walk.cut                   ? ISOLATE_FRAMES_CUT
				  : end == _URC_END_OF_STACK ? ISOLATE_FRAMES_END
							     : ISOLATE_FRAMES_LOST;
}

/* Two frames are enough for what is found once: tables of registers, symbols of the unwinder. */
static _Unwind_Reason_Code look_at_two(struct _Unwind_Context *context, void *count)
{
	(void)_Unwind_GetIP(context);
	return ++*(int *)count == 2 ? _URC_NORMAL_STOP : _URC_NO_REASON;
}

void isolate__crash_unwind_warm(void)
{
	int count = 0;

	_Unwind_Backtrace(look_at_two, &count);
}
