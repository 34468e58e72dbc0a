/* SPDX-License-Identifier: MIT */
#include <pal/spawn-child-priv.h>

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <linux/close_range.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

/*
 * All code that runs between clone and exec. The process shares its memory with
 * a parent that has other threads, so it may do nothing but read the plan,
 * write the report and make system calls: no allocation, no lock, no log, no
 * handler of the parent, nothing left changed in memory.
 *
 * The calls are made by number with syscall(2). libc's functions would do, but
 * sanitizers and preloaded libraries put code of their own before them that
 * keeps books about descriptors and handlers - of the wrong process, here.
 * tests/abi/check-child-symbols.sh holds this file to that, and the others that
 * it calls: signals-child.c, process-child.c, ids-child.c, steps-child.c,
 * namespaces-child.c, mapper-child.c, root-child.c, init-child.c, capabilities-child.c,
 * sandbox-child.c.
 *
 * Functions return instead of calling _exit, up to clone's own wrapper.
 */

/* ---- descriptors ---- */

/*
 * For when nothing is free above the plan's numbers: looks below. `used` is
 * sorted, so one pass over both finds the first number that is in neither.
 */
static int copy_to_gap(const struct pal__fd_plan *plan, int fd)
{
	size_t i = 0;

	for (int number = 3; i < plan->used_count; number++) {
		while (i < plan->used_count && plan->used[i] < number)
			i++;
		if (i == plan->used_count)
			break;
		if (plan->used[i] == number || syscall(SYS_fcntl, number, F_GETFD) >= 0)
			continue;
		if (syscall(SYS_dup3, fd, number, O_CLOEXEC) >= 0)
			return number;
		break; /* beyond RLIMIT_NOFILE */
	}
	return -EMFILE;
}

/* A copy of `fd`, with close-on-exec, on a number that the plan does not mention. */
static int copy_aside(const struct pal__fd_plan *plan, int fd)
{
	int highest = plan->used_count ? plan->used[plan->used_count - 1] : 2;
	int lowest_free = highest < 2 ? 3 : highest < INT_MAX ? highest + 1 : highest;
	int r = pal__child_result(syscall(SYS_fcntl, fd, F_DUPFD_CLOEXEC, lowest_free));

	return r == -EMFILE || r == -EINVAL ? copy_to_gap(plan, fd) : r;
}

static int make_step(
	const struct pal__fd_plan *plan, const struct pal__fd_step *step, int *temporary)
{
	int r;

	switch (step->kind) {
	case PAL__FD_DUP:
		r = pal__child_result(syscall(SYS_dup3, step->from, step->to, 0));
		if (r != -EBADF || !step->optional)
			return r;
		syscall(SYS_close, step->to); /* stderr as the stdout that there is not */
		return 0;
	case PAL__FD_KEEP:
		r = pal__child_result(syscall(SYS_fcntl, step->to, F_SETFD, 0));
		return r == -EBADF && step->optional ? 0 : r;
	case PAL__FD_SAVE:
		*temporary = copy_aside(plan, step->from);
		return *temporary;
	case PAL__FD_RESTORE:
		r = pal__child_result(syscall(SYS_dup3, *temporary, step->to, 0));
		syscall(SYS_close, *temporary);
		return r;
	}
	return -EINVAL;
}

/*
 * Moves what the child needs itself out of the way. The old number is free then:
 * it has to look closed to a step that reads it. A folder is only borrowed.
 */
static int carry(
	const struct pal__fd_plan *plan, struct pal__report *report, int carried[PAL__CARRIED])
{
	for (int i = 0; i < PAL__CARRIED; i++) {
		carried[i] = plan->carried[i];
		if (!plan->in_the_way[i])
			continue;
		carried[i] = copy_aside(plan, plan->carried[i]);
		if (carried[i] < 0)
			return pal__report_fail(report, PAL_STAGE_FDS, -1, carried[i]);
		if (i != PAL__CARRY_CWD)
			syscall(SYS_close, plan->carried[i]);
	}
	return 0;
}

static int move_fds(const struct pal__fd_plan *plan, struct pal__report *report)
{
	int temporary = -1;

	for (size_t i = 0; i < plan->step_count; i++) {
		int r = make_step(plan, &plan->steps[i], &temporary);

		if (r < 0)
			return pal__report_fail(report, PAL_STAGE_FDS, plan->steps[i].request, r);
	}
	for (size_t i = 0; i < plan->close_count; i++)
		syscall(SYS_close, plan->closes[i]);
	return 0;
}

/* The lowest number from `from` on that stays open; UINT_MAX: none. */
static unsigned next_kept(
	unsigned from, const int *kept, size_t kept_count, const int carried[PAL__CARRIED])
{
	unsigned lowest = UINT_MAX;

	for (size_t i = 0; i < kept_count; i++)
		if ((unsigned)kept[i] >= from) {
			lowest = (unsigned)kept[i];
			break;
		}
	for (int i = 0; i < PAL__CARRIED; i++)
		if (carried[i] >= 0 && (unsigned)carried[i] >= from &&
			(unsigned)carried[i] < lowest)
			lowest = (unsigned)carried[i];
	return lowest;
}

/* Before anything else is done to descriptors. What is left out of the copy is not even counted. */
static int leave_shared_files(const struct pal__fd_plan *plan, struct pal__report *report)
{
	int r = pal__child_result(syscall(
		SYS_close_range, plan->leave_from, UINT_MAX, (unsigned)CLOSE_RANGE_UNSHARE));

	return r < 0 ? pal__report_fail(report, PAL_STAGE_CLOSE_OTHERS, 0, r) : 0;
}

int pal__child_close_from(
	unsigned from, const int *kept, size_t kept_count, const int carried[PAL__CARRIED])
{
	unsigned next = 0;

	for (; next != UINT_MAX; from = next + 1) {
		int r = 0;

		next = next_kept(from, kept, kept_count, carried);
		if (next > from)
			r = pal__child_result(syscall(
				SYS_close_range, from, next == UINT_MAX ? next : next - 1, 0));
		if (r < 0)
			return r;
	}
	return 0;
}

static int close_others(struct pal__child_args *args)
{
	const struct pal__fd_plan *plan = &args->plan->fds;
	int r = 0;

	/* A table that was left without any of them has only what was meant for the child since. */
	if (plan->close_others && !(args->shares_files && plan->leave_from == 3))
		r = pal__child_close_from(3, plan->kept, plan->kept_count, args->carried);
	return r < 0 ? pal__report_fail(args->report, PAL_STAGE_CLOSE_OTHERS, 0, r) : 0;
}

/* ---- the rest ---- */

/* `parent_fd`: -1 where the pid tells. */
static bool parent_has_died(const struct pal__plan *plan, int parent_fd)
{
	struct pollfd end = {.fd = parent_fd, .events = POLLIN};
	const struct timespec now = {0};
	pid_t parent = (pid_t)syscall(SYS_getppid);

	if (parent_fd >= 0)
		return syscall(SYS_ppoll, &end, 1, &now, NULL, 0) != 0;
	/* 0 is a parent outside of this child's pid namespace */
	return parent != plan->parent && parent != 0;
}

static int arm_parent_death(
	const struct pal__plan *plan, struct pal__report *report, int parent_fd)
{
	int r;

	if (!plan->parent_death)
		return 0;
	r = pal__child_result(syscall(SYS_prctl, PR_SET_PDEATHSIG, plan->parent_death, 0, 0, 0));
	if (r < 0)
		return pal__report_fail(report, PAL_STAGE_PARENT_DEATH, 0, r);
	/* It may have died before that. */
	if (parent_has_died(plan, parent_fd))
		return pal__report_fail(report, PAL_STAGE_PARENT_DEATH, 0, -ESRCH);
	if (parent_fd >= 0)
		syscall(SYS_close, parent_fd);
	return 0;
}

static int change_folder(const struct pal__plan *plan, struct pal__report *report, int carried_cwd)
{
	int r = 0;

	if (plan->cwd)
		r = pal__child_result(syscall(SYS_chdir, plan->cwd));
	else if (carried_cwd >= 0)
		r = pal__child_result(syscall(SYS_fchdir, carried_cwd));
	if (r < 0)
		return pal__report_fail(report, PAL_STAGE_CHDIR, 0, r);
	if (carried_cwd >= 0)
		syscall(SYS_close, carried_cwd);
	return 0;
}

/* The last three arguments are for a seccomp filter to see: see seccomp-priv.h. */
static int try_candidate(const struct pal__plan *plan, size_t i)
{
	return pal__child_result(syscall(SYS_execve, plan->candidates.items[i], plan->argv,
		plan->envp, plan->sandbox->exec_key, 0UL, plan->sandbox->start_key));
}

/* PAL_SEARCH_RELATIVE: the same failures end the search as in execvp(3), and the same one is told. */
static int execute_as_execvp(const struct pal__plan *plan, struct pal__report *report)
{
	bool denied = false;
	int r = -ENOENT;

	for (size_t i = 0; i < plan->candidates.count; i++) {
		r = try_candidate(plan, i);
		denied = denied || r == -EACCES;
		if (r != -EACCES && r != -ENOENT && r != -ENOTDIR && r != -ESTALE && r != -ENODEV &&
			r != -ETIMEDOUT)
			return pal__report_fail(report, PAL_STAGE_EXEC, (int)i, r);
	}
	return pal__report_fail(report, PAL_STAGE_EXEC, 0, denied ? -EACCES : r);
}

/* Tries the candidates, and never hands a file to a shell. */
static int execute(const struct pal__plan *plan, struct pal__report *report)
{
	int failure = -ENOENT;

	report->stage = PAL_STAGE_EXEC;
	if (plan->as_execvp)
		return execute_as_execvp(plan, report);
	for (size_t i = 0; i < plan->candidates.count; i++) {
		int r = try_candidate(plan, i);

		switch (r) {
		case -EACCES: /* told only if nothing else is found */
			failure = r;
			break;
		case -ENOTDIR:
			if (plan->candidates.count == 1)
				failure = r;
			break;
		case -ENOENT:
			break;
		case -ENAMETOOLONG:
		case -ESTALE:
		case -ENODEV:
		case -ETIMEDOUT:
			if (failure == -ENOENT)
				failure = r;
			break;
		default:
			return pal__report_fail(report, PAL_STAGE_EXEC, (int)i, r);
		}
	}
	return pal__report_fail(report, PAL_STAGE_EXEC, 0, failure);
}

static struct pal__sandbox_entry sandbox_entry(
	const struct pal__plan *plan, const int carried[PAL__CARRIED])
{
	struct pal__sandbox_entry entry = {
		.landlock_fd = carried[PAL__CARRY_LANDLOCK],
		.border_fd = carried[PAL__CARRY_BORDER],
		.handover_fd = carried[PAL__CARRY_HANDOVER],
		.handover_other = carried[PAL__CARRY_HANDOVER_OTHER],
		.user_set = pal__process_sets_uid(plan->process),
	};

	for (size_t i = 0; i < PAL__STACKED_MAX; i++)
		entry.stacked_fds[i] = carried[PAL__CARRY_STACKED + i];
	return entry;
}

/* From the first descriptor to the last step but those that also bind system calls of process 1. */
static int finish_setup(struct pal__child_args *args)
{
	const struct pal__plan *plan = args->plan;
	struct pal__report *report = args->report;
	struct pal__sandbox_entry entry;
	int *carried = args->carried, r;

	r = carry(&plan->fds, report, carried);
	if (r >= 0)
		r = move_fds(&plan->fds, report);
	if (r >= 0)
		r = pal__child_become(plan, report);
	if (r >= 0)
		r = arm_parent_death(plan, report, carried[PAL__CARRY_PARENT]);
	if (r >= 0)
		r = pal__child_walk(plan, report, carried);
	if (r >= 0)
		r = close_others(args);
	if (r >= 0)
		r = change_folder(plan, report, carried[PAL__CARRY_CWD]);
	if (r < 0)
		return r;
	entry = sandbox_entry(plan, carried);
	return pal__sandbox_enter(plan->sandbox, &entry, report);
}

/* The order is explained in process.h. */
int pal__child_setup(struct pal__child_args *args)
{
	const struct pal__plan *plan = args->plan;
	struct pal__report *report = args->report;
	struct pal__sandbox_entry entry;
	int r;

	r = pal__child_dispositions(args);
	if (r >= 0)
		r = pal__child_join_cgroups(args);
	if (r >= 0)
		r = pal__child_enter_namespaces(args);
	if (r < 0 || r == PAL__CHILD_LEAVES)
		return r;
	r = finish_setup(args);
	if (r >= 0)
		r = pal__child_become_init(args);
	if (r < 0 || r == PAL__CHILD_LEAVES)
		return r;
	entry = sandbox_entry(plan, args->carried);
	r = pal__sandbox_filter(plan->sandbox, &entry, report);
	if (r >= 0)
		r = pal__child_open_mask(plan, report);
	return r;
}

int pal__child_main(void *child_args)
{
	struct pal__child_args *args = child_args;
	int r;

	if (args->reserved >= 0) /* a step could be about its number */
		syscall(SYS_close, args->reserved);
	if (args->shares_files && leave_shared_files(&args->plan->fds, args->report) < 0)
		return 127;
	r = pal__child_setup(args);
	if (r == PAL__CHILD_LEAVES)
		return args->exit_code;
	if (r >= 0)
		execute(args->plan, args->report);
	return 127;
}
