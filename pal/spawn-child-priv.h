/* SPDX-License-Identifier: MIT */
#ifndef PROCMESH_PAL_SPAWN_CHILD_PRIV_H
#define PROCMESH_PAL_SPAWN_CHILD_PRIV_H

#include <errno.h>
#include <pal/plan-priv.h>
#include <pal/report-priv.h>

/* The child's half. See the rules at the top of spawn-child.c. */

/* What clone(2) hands to pal__child_main. */
struct pal__child_args {
	const struct pal__plan *plan;
	struct pal__report *report;
	bool shares_files;     /* the parent's table of descriptors, until it has left it */
	int reserved;          /* a descriptor that only the parent needs; -1: none */
	bool handlers_cleared; /* by clone3(2): no signal has a handler */
	bool born_in_cgroup;   /* plan->cgroup_fd, by clone3(2) */
	int mapper;            /* a pidfd, where plan->namespaces.mapper */
	int carried[PAL__CARRIED]; /* the child's own */
	int exit_code;             /* of PAL__CHILD_LEAVES */
};

/* In place of 0: the plan goes on in another process, and this one ends with args->exit_code. */
#define PAL__CHILD_LEAVES 1

/* Runs the plan and executes the program. Returns, for the child to end with, only if that failed. */
int pal__child_main(void *child_args);

/*
 * All of the plan but exec: 0, PAL__CHILD_LEAVES, or a negative errno that is also in the report.
 * args->carried is where the descriptors of plan->fds.carried are then.
 */
int pal__child_setup(struct pal__child_args *args);

/* ---- parts of the plan: 0, or a negative errno that is also in the report ---- */

/* signals-child.c */
int pal__child_dispositions(const struct pal__child_args *args);
int pal__child_open_mask(const struct pal__plan *plan, struct pal__report *report);

/* Between those two, for process 1 of a pid namespace. Whether it was ignored; then it is not any more. */
int pal__child_default_sigchld(bool *ret_ignored);
int pal__child_ignore_sigchld(void);

/* namespaces-child.c, or PAL__CHILD_LEAVES */
int pal__child_enter_namespaces(struct pal__child_args *args);

/* init-child.c, or PAL__CHILD_LEAVES */
int pal__child_become_init(struct pal__child_args *args);

/* process-child.c */
int pal__child_join_cgroups(const struct pal__child_args *args);
/* Session, scheduling, umask, limits, user. */
int pal__child_become(const struct pal__plan *plan, struct pal__report *report);

/* In the process that a reaper has made for the program. */
int pal__child_reset_on_fork(const struct pal__process *process, struct pal__report *report);

/* ids-child.c */
int pal__child_set_user(const struct pal__plan *plan, struct pal__report *report);
/* Real, effective and saved ones, respectively all the groups: they are what was asked for, or -EPERM. */
int pal__child_put_uid(uid_t uid, struct pal__report *report);
int pal__child_put_gid(gid_t gid, struct pal__report *report);
int pal__child_put_groups(const gid_t *groups, size_t count, struct pal__report *report);
/* That ids of which nothing was said exist in the user namespace that has been joined. */
int pal__child_confirm_ids(const struct pal__process *process, struct pal__report *report);

/* steps-child.c */
int pal__child_walk(const struct pal__plan *plan, struct pal__report *report, const int carried[PAL__CARRIED]);

/* ---- help for those ---- */

/* A system call's return as 0, a count, or a negative errno. */
static inline int pal__child_result(long value)
{
	return value < 0 ? -errno : (int)value;
}

/* Closes all from `from` on but `kept`, which is sorted, and the carried. */
int pal__child_close_from(unsigned from, const int *kept, size_t kept_count, const int carried[PAL__CARRIED]);

#endif
