/* SPDX-License-Identifier: MIT */
#ifndef PROCMESH_PAL_PROCESS_PRIV_H
#define PROCMESH_PAL_PROCESS_PRIV_H

#include <pal/process.h>
#include <pal/signals-priv.h>

/*
 * What process.h sets, as a builder keeps it and as the child reads it
 * (process-child.c, signals-child.c).
 */

struct pal__process {
	uid_t uid; /* (uid_t)-1: not changed */
	gid_t gid;
	bool reset_ids;
	enum pal__groups {
		PAL__GROUPS_UNSAID, /* none where the user changes */
		PAL__GROUPS_KEPT,
		PAL__GROUPS_SET
	} groups_kind;
	gid_t *groups;
	size_t group_count;

	bool setsid;
	pid_t group; /* 0: a new one; -1: the parent's */
	int tty;     /* -1: none */

	bool nice_set;
	int nice;
	enum pal__scheduler {
		PAL__SCHEDULER_SAME,
		PAL__SCHEDULER_POLICY,
		PAL__SCHEDULER_PRIORITY /* of whatever policy there is */
	} scheduler;
	int policy;
	int priority;
	cpu_set_t *cpus; /* NULL: the parent's */
	size_t cpus_size;

	bool umask_set;
	mode_t umask;

	int cgroup_fd; /* a directory of version 2; -1: none */
	int procs_fds[PAL_CGROUPS_MAX];
	size_t procs_count;
};
#define PAL__PROCESS_INIT {.uid = (uid_t)-1, .gid = (gid_t)-1, .group = -1, .tty = -1, .cgroup_fd = -1}

struct pal__signals {
	struct pal__sigset ignored;
	bool keep_ignored;        /* of the parent's dispositions, those that are SIG_IGN ... */
	struct pal__sigset reset; /* ... and not in here */
	enum pal__mask {
		PAL__MASK_EMPTY,
		PAL__MASK_SET,
		PAL__MASK_KEPT /* the calling thread's */
	} mask_kind;
	struct pal__sigset mask; /* of PAL__MASK_SET */
};

/* Whether setresuid(2) is called, be it with the same user. */
static inline bool pal__process_sets_uid(const struct pal__process *process)
{
	return process->uid != (uid_t)-1 || process->reset_ids;
}

void pal__process_clear(struct pal__process *process);

#endif
