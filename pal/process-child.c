/* SPDX-License-Identifier: MIT */
#include <pal/spawn-child-priv.h>

#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

/*
 * What kind of process the child is, under the rules at the top of spawn-child.c.
 *
 * All of these calls change the calling thread only, as the kernel sees it:
 * libc's setresuid(2) and the like would ask every thread of the parent to
 * follow.
 */

/* 32-bit machines have older calls for 16-bit ids under the plain names. */
#ifdef SYS_setresuid32
#define CALL_SETRESUID SYS_setresuid32
#define CALL_SETRESGID SYS_setresgid32
#define CALL_SETGROUPS SYS_setgroups32
#define CALL_GETRESUID SYS_getresuid32
#define CALL_GETRESGID SYS_getresgid32
#else
#define CALL_SETRESUID SYS_setresuid
#define CALL_SETRESGID SYS_setresgid
#define CALL_SETGROUPS SYS_setgroups
#define CALL_GETRESUID SYS_getresuid
#define CALL_GETRESGID SYS_getresgid
#endif

static int passed(struct pal__report *report, int stage, int index, long value)
{
	int r = pal__child_result(value);

	return r < 0 ? pal__report_fail(report, stage, index, r) : 0;
}

/* ---- cgroups ---- */

/* "0" is the process that writes. */
static int join_by(int procs_fd)
{
	return pal__child_result(syscall(SYS_write, procs_fd, "0", 1));
}

static int join_directory(int directory_fd)
{
	int fd = pal__child_result(syscall(
		SYS_openat, directory_fd, "cgroup.procs", O_WRONLY | O_CLOEXEC | O_LARGEFILE, 0));
	int r = fd < 0 ? fd : join_by(fd);

	if (fd >= 0)
		syscall(SYS_close, fd);
	return r;
}

/* Before the moves: the descriptors are the parent's. */
int pal__child_join_cgroups(const struct pal__child_args *args)
{
	const struct pal__plan *plan = args->plan;
	struct pal__report *report = args->report;
	int r = plan->cgroup_fd >= 0 && !args->born_in_cgroup ? join_directory(plan->cgroup_fd) : 0;

	if (r < 0)
		return pal__report_fail(report, PAL_STAGE_CGROUP, 0, r);
	for (size_t i = 0; i < plan->process->procs_count; i++) {
		r = join_by(plan->process->procs_fds[i]);
		if (r < 0)
			return pal__report_fail(report, PAL_STAGE_CGROUP, (int)i, r);
	}
	return 0;
}

/* ---- session ---- */

static int set_session(const struct pal__process *process, struct pal__report *report)
{
	int r = 0;

	if (process->setsid || process->tty >= 0)
		r = passed(report, PAL_STAGE_SESSION, 0, syscall(SYS_setsid));
	if (r >= 0 && process->group >= 0)
		r = passed(report, PAL_STAGE_PROCESS_GROUP, 0,
			syscall(SYS_setpgid, 0, process->group));
	if (r >= 0 && process->tty >= 0)
		r = passed(report, PAL_STAGE_TERMINAL, 0,
			syscall(SYS_ioctl, process->tty, TIOCSCTTY, 0));
	return r;
}

/* ---- scheduling ---- */

static int set_scheduler(const struct pal__process *process, struct pal__report *report)
{
	const struct sched_param priority = {.sched_priority = process->priority};

	switch (process->scheduler) {
	case PAL__SCHEDULER_SAME:
		break;
	case PAL__SCHEDULER_POLICY:
		return passed(report, PAL_STAGE_SCHEDULER, 0,
			syscall(SYS_sched_setscheduler, 0, process->policy, &priority));
	case PAL__SCHEDULER_PRIORITY:
		return passed(
			report, PAL_STAGE_SCHEDULER, 0, syscall(SYS_sched_setparam, 0, &priority));
	}
	return 0;
}

static int set_scheduling(const struct pal__process *process, struct pal__report *report)
{
	int r = 0;

	if (process->nice_set)
		r = passed(report, PAL_STAGE_NICE, 0,
			syscall(SYS_setpriority, PRIO_PROCESS, 0, process->nice));
	if (r >= 0)
		r = set_scheduler(process, report);
	if (r >= 0 && process->cpus)
		r = passed(report, PAL_STAGE_AFFINITY, 0,
			syscall(SYS_sched_setaffinity, 0, process->cpus_size, process->cpus));
	return r;
}

/* ---- limits ---- */

static int set_limits(const struct pal__plan *plan, struct pal__report *report)
{
	for (int i = 0; i < (int)RLIM_NLIMITS; i++) {
		int r;

		if (!plan->limit_set[i])
			continue;
		r = passed(report, PAL_STAGE_RLIMIT, i,
			syscall(SYS_prlimit64, 0, i, &plan->limits[i], NULL));
		if (r < 0)
			return r;
	}
	return 0;
}

/* ---- user ---- */

/* Real, effective, saved; cannot fail, the addresses are valid. */
struct ids {
	unsigned real, effective, saved;
};

static struct ids ids_by(long call)
{
	struct ids ids = {0};

	syscall(call, &ids.real, &ids.effective, &ids.saved);
	return ids;
}

static bool are_all(const struct ids *ids, unsigned id)
{
	return ids->real == id && ids->effective == id && ids->saved == id;
}

static bool changes_user(const struct pal__process *process)
{
	const struct ids now = ids_by(CALL_GETRESUID);

	return process->uid != (uid_t)-1 && !are_all(&now, process->uid);
}

/* Supplementary groups that nobody mentioned do not stay with another user. */
static int set_groups(const struct pal__process *process, struct pal__report *report)
{
	if (process->groups_kind == PAL__GROUPS_SET)
		return passed(report, PAL_STAGE_GROUPS, 0,
			syscall(CALL_SETGROUPS, process->group_count, process->groups));
	if (process->groups_kind == PAL__GROUPS_UNSAID && changes_user(process))
		return passed(report, PAL_STAGE_GROUPS, 0, syscall(CALL_SETGROUPS, 0, NULL));
	return 0;
}

/*
 * The saved id changes in any case: else the child could go back to it. A reset
 * that resets nothing makes no call: the child may share the parent's memory
 * then, and file-system ids that differ would make that undumpable.
 */
static int set_gid(const struct pal__process *process, struct pal__report *report)
{
	const struct ids now = ids_by(CALL_GETRESGID);
	gid_t gid = process->gid;

	if (gid == (gid_t)-1) {
		if (!process->reset_ids || are_all(&now, now.real))
			return 0;
		gid = now.real;
	}
	return passed(report, PAL_STAGE_GID, 0, syscall(CALL_SETRESGID, gid, gid, gid));
}

/* What capabilities() asks for is set later, and could not be if the change of user dropped all there are. */
static int keep_capabilities(const struct pal__plan *plan, bool on, struct pal__report *report)
{
	if (!plan->sandbox->set_capabilities)
		return 0;
	return passed(report, PAL_STAGE_CAPABILITIES, 0,
		syscall(SYS_prctl, PR_SET_KEEPCAPS, (unsigned long)on, 0UL, 0UL, 0UL));
}

static int set_uid(const struct pal__plan *plan, struct pal__report *report)
{
	const struct pal__process *process = plan->process;
	const struct ids now = ids_by(CALL_GETRESUID);
	uid_t uid = process->uid;
	int r;

	if (uid == (uid_t)-1) {
		if (!process->reset_ids || are_all(&now, now.real))
			return 0;
		uid = now.real;
	}
	r = keep_capabilities(plan, true, report);
	if (r >= 0)
		r = passed(report, PAL_STAGE_UID, 0, syscall(CALL_SETRESUID, uid, uid, uid));
	if (r >= 0)
		r = keep_capabilities(plan, false, report);
	return r;
}

static int set_user(const struct pal__plan *plan, struct pal__report *report)
{
	const struct pal__process *process = plan->process;
	int r;

	if (process->uid == (uid_t)-1 && process->gid == (gid_t)-1 && !process->reset_ids &&
		process->groups_kind != PAL__GROUPS_SET)
		return 0; /* as most children: three calls less */
	r = set_groups(process, report);
	if (r >= 0)
		r = set_gid(process, report);
	if (r >= 0)
		r = set_uid(plan, report);
	return r;
}

/* ---- in the order that process.h promises ---- */

int pal__child_become(const struct pal__plan *plan, struct pal__report *report)
{
	const struct pal__process *process = plan->process;
	int r = set_scheduling(process, report);

	if (r >= 0)
		r = set_session(process, report);
	if (r >= 0 && process->umask_set)
		syscall(SYS_umask, process->umask); /* always succeeds */
	if (r >= 0)
		r = set_limits(plan, report);
	if (r >= 0)
		r = set_user(plan, report);
	return r;
}
