/* SPDX-License-Identifier: MIT */
#ifndef PROCMESH_ISOLATE_CRASH_PRIV_H
#define PROCMESH_ISOLATE_CRASH_PRIV_H

#include <isolate/crash.h>
#include <pal/child.h>
#include <pal/error.h>
#include <pal/export.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>

/*
 * A crash report travels in an area of memory that parent and child share. Nothing in
 * here knows how that came to be, nor what the child is for:
 *
 *	parent                                   child
 *	isolate__crash_prepare
 *	fork ----------------------------------> isolate__crash_arm
 *	                                         the handler, or a sanitizer's callback: writes the report
 *	isolate__crash_arm_error, _collect  <--  its end
 */

/*
 * How far it got, from top to bottom. As in isolate__progress no value that is likely to come
 * from a function that writes over the area.
 */
enum isolate__crash_stage {
	ISOLATE__CRASH_NONE,
	ISOLATE__CRASH_FACTS = 0x69736f60, /* all but the frames, which are added one by one */
	ISOLATE__CRASH_WHOLE
};

struct isolate__crash_area {
	uint32_t stage;    /* enum isolate__crash_stage; stored after what it makes valid */
	uint32_t arm_step; /* enum isolate__crash_step: what failed; arm_error says why */
	int arm_error;     /* negative errno */
	struct isolate_crash report;
};

enum isolate__crash_step {
	ISOLATE__CRASH_ARMED,
	ISOLATE__CRASH_GUARD,  /* mprotect */
	ISOLATE__CRASH_STACK,  /* sigaltstack */
	ISOLATE__CRASH_HANDLER /* sigaction */
};

/* The signals that a report is made of; 0 ends them. */
extern const int isolate__crash_signals[];

/* ---- in the parent: crash.c ---- */

/* Before the fork. Also makes what the child needs ready in this process, once. */
void isolate__crash_prepare(struct isolate__crash_area *area);
/* Why the child could not arm itself: a negative errno; 0: it could, or did not come to it. */
int isolate__crash_arm_error(const struct isolate__crash_area *area, struct pal_error *error);
/*
 * A report for free(3); NULL: there is none, it does not belong to that end (`status` NULL: not
 * known), or there is no memory. The area may be anything, and may still change.
 */
struct isolate_crash *isolate__crash_collect(
	const struct isolate__crash_area *area, const struct pal_status *status);

/* ---- in the child: async-signal-safe, no heap, no lock ---- */

/*
 * crash-child.c: from here on. Threads that exist later are included, forks and vforks of this
 * process are not. 0 or a negative errno, which is in the area as well.
 */
int isolate__crash_arm(struct isolate__crash_area *area);

/* crash-sanitizer-child.c: where the program has one. */
void isolate__crash_arm_sanitizer(void);

/* crash-child.c, for crash-sanitizer-child.c */
struct isolate__crash_area *isolate__crash_claim(void); /* NULL: not by this one, or not now */

/*
 * crash-unwind-child.c: adds the frames behind the one at `from`, which is reached from here, to
 * the report. `caller` is what to add for that one itself; 0: it is there. `from` 0: all that
 * are reached from here.
 */
void isolate__crash_unwind(struct isolate__crash_area *area, uintptr_t from, uintptr_t caller);
/* Makes the unwinder do what it does once only: before the fork. */
void isolate__crash_unwind_warm(void);

void isolate__crash_reach(struct isolate__crash_area *area, enum isolate__crash_stage stage);

#endif
