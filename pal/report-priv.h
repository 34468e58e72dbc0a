/* SPDX-License-Identifier: MIT */
#ifndef PROCMESH_PAL_REPORT_PRIV_H
#define PROCMESH_PAL_REPORT_PRIV_H

/* What the child tells the parent, in memory that both see. Written with plain stores by one process at a time. */
struct pal__report {
	int stage; /* enum pal_stage: how far it got, or where it failed */
	int code;  /* negative errno; 0: nothing failed */
	int index;
};

static inline int pal__report_fail(struct pal__report *report, int stage, int index, int code)
{
	report->stage = stage;
	report->index = index;
	report->code = code;
	return code;
}

#endif
