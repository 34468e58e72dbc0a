/* SPDX-License-Identifier: MIT */
#include <pal/spawn-child-priv.h>

#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

/*
 * What kind of process the child is, under the rules at the top of spawn-child.c.
 */

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

static int set_policy(const struct pal__process *process, int policy, struct pal__report *report)
{
	const struct sched_param priority = {.sched_priority = process->priority};

	return passed(report, PAL_STAGE_SCHEDULER, 0,
		syscall(SYS_sched_setscheduler, 0, policy, &priority));
}

/* Of process 1 the program's process would be the first to lose the policy that it is to have. */
int pal__child_reset_on_fork(const struct pal__process *process, struct pal__report *report)
{
	if (process->scheduler != PAL__SCHEDULER_POLICY || !(process->policy & SCHED_RESET_ON_FORK))
		return 0;
	return set_policy(process, process->policy, report);
}

static int set_scheduler(const struct pal__plan *plan, struct pal__report *report)
{
	const struct pal__process *process = plan->process;
	const struct sched_param priority = {.sched_priority = process->priority};
	int later = plan->namespaces.init ? SCHED_RESET_ON_FORK : 0;

	switch (process->scheduler) {
	case PAL__SCHEDULER_SAME:
		break;
	case PAL__SCHEDULER_POLICY:
		return set_policy(process, process->policy & ~later, report);
	case PAL__SCHEDULER_PRIORITY:
		return passed(
			report, PAL_STAGE_SCHEDULER, 0, syscall(SYS_sched_setparam, 0, &priority));
	}
	return 0;
}

static int set_scheduling(const struct pal__plan *plan, struct pal__report *report)
{
	const struct pal__process *process = plan->process;
	int r = 0;

	if (process->nice_set)
		r = passed(report, PAL_STAGE_NICE, 0,
			syscall(SYS_setpriority, PRIO_PROCESS, 0, process->nice));
	if (r >= 0)
		r = set_scheduler(plan, report);
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

/* ---- in the order that process.h promises ---- */

int pal__child_become(const struct pal__plan *plan, struct pal__report *report)
{
	const struct pal__process *process = plan->process;
	int r = set_scheduling(plan, report);

	if (r >= 0)
		r = set_session(process, report);
	if (r >= 0 && process->umask_set)
		syscall(SYS_umask, process->umask); /* always succeeds */
	if (r >= 0)
		r = set_limits(plan, report);
	if (r >= 0)
		r = pal__child_set_user(plan, report);
	return r;
}
