/* SPDX-License-Identifier: MIT */
#ifndef PROCMESH_PAL_REPORT_PRIV_H
#define PROCMESH_PAL_REPORT_PRIV_H

#include <stdatomic.h>
#include <stdbool.h>
#include <sys/types.h>

/* How far the id maps are that another process writes: mapper-priv.h. */
enum pal__maps {
	PAL__MAPS_NONE,
	PAL__MAPS_WANTED, /* the child is there, and waits */
	PAL__MAPS_UNWANTED,
	PAL__MAPS_WRITTEN
};

/* What the child tells the parent, in memory that both see. Written with plain stores by one process at a time. */
struct pal__report {
	int stage; /* enum pal_stage: how far it got, or where it failed */
	int code;  /* negative errno; 0: nothing failed */
	int index;

	/* of pid namespaces: namespaces-child.c, init-child.c */
	pid_t second;         /* the child that goes on in place of the first; 0: none yet */
	int handover;         /* negative errno: the first could not hand it over, and this is all it writes then */
	bool program_ended;   /* the init's child; then the two below are valid */
	int program_end;      /* CLD_EXITED, CLD_KILLED, CLD_DUMPED */
	int program_status;   /* exit code or signal */
	_Atomic unsigned maps; /* enum pal__maps; a futex */
};

static inline int pal__report_fail(struct pal__report *report, int stage, int index, int code)
{
	report->stage = stage;
	report->index = index;
	report->code = code;
	return code;
}

#endif
