/* SPDX-License-Identifier: MIT */
#include <pal/spawn-child-priv.h>

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/close_range.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <pal/signals-priv.h>

/*
 * All code that runs between clone and exec. The process shares its memory with
 * a parent that has other threads, so it may do nothing but read the plan,
 * write the report and make system calls: no allocation, no lock, no log, no
 * handler of the parent, nothing left changed in memory.
 *
 * The calls are made by number with syscall(2). libc's functions would do, but
 * sanitizers and preloaded libraries put code of their own before them that
 * keeps books about descriptors and handlers - of the wrong process, here.
 * tests/abi/check-child-symbols.sh holds this file to that.
 *
 * Functions return instead of calling _exit, up to clone's own wrapper.
 */

static int result(long value)
{
	return value < 0 ? -errno : (int)value;
}

/* ---- signals ---- */

static const struct pal__sigset no_signals;
/* SIG_DFL, no flags, empty mask, whatever the order of the kernel's struct sigaction is. */
static const unsigned long default_action[8];

static int reset_dispositions(const struct pal__plan *plan, struct pal__report *report)
{
	for (int signal = 1; signal < _NSIG; signal++) {
		int r;

		if (signal == SIGKILL || signal == SIGSTOP ||
			(signal >= PAL__KERNEL_SIGRTMIN && signal < plan->first_reset_rt))
			continue;
		r = result(syscall(
			SYS_rt_sigaction, signal, default_action, NULL, PAL__KERNEL_SIGSET_SIZE));
		if (r < 0)
			return pal__report_fail(report, PAL_STAGE_SIGNALS, signal, r);
	}
	return 0;
}

/* Last of all, when nothing of the parent's can run on delivery any more. */
static int open_mask(struct pal__report *report)
{
	int r = result(syscall(
		SYS_rt_sigprocmask, SIG_SETMASK, &no_signals, NULL, PAL__KERNEL_SIGSET_SIZE));

	return r < 0 ? pal__report_fail(report, PAL_STAGE_SIGNALS, 0, r) : 0;
}

static int arm_parent_death(const struct pal__plan *plan, struct pal__report *report)
{
	pid_t parent;
	int r;

	if (!plan->parent_death)
		return 0;
	r = result(syscall(SYS_prctl, PR_SET_PDEATHSIG, plan->parent_death, 0, 0, 0));
	if (r < 0)
		return pal__report_fail(report, PAL_STAGE_PARENT_DEATH, 0, r);
	/* It may have died before that. 0 is a parent outside of this child's pid namespace. */
	parent = (pid_t)syscall(SYS_getppid);
	if (parent != plan->parent && parent != 0)
		return pal__report_fail(report, PAL_STAGE_PARENT_DEATH, 0, -ESRCH);
	return 0;
}

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
	int r = result(syscall(SYS_fcntl, fd, F_DUPFD_CLOEXEC, lowest_free));

	return r == -EMFILE || r == -EINVAL ? copy_to_gap(plan, fd) : r;
}

static int make_step(
	const struct pal__fd_plan *plan, const struct pal__fd_step *step, int *temporary)
{
	int r;

	switch (step->kind) {
	case PAL__FD_DUP:
		return result(syscall(SYS_dup3, step->from, step->to, 0));
	case PAL__FD_KEEP:
		r = result(syscall(SYS_fcntl, step->to, F_SETFD, 0));
		return r == -EBADF && step->optional ? 0 : r;
	case PAL__FD_SAVE:
		*temporary = copy_aside(plan, step->from);
		return *temporary;
	case PAL__FD_RESTORE:
		r = result(syscall(SYS_dup3, *temporary, step->to, 0));
		syscall(SYS_close, *temporary);
		return r;
	}
	return -EINVAL;
}

static int move_fds(
	const struct pal__fd_plan *plan, struct pal__report *report, int carried[PAL__CARRIED])
{
	int temporary = -1;

	for (int i = 0; i < PAL__CARRIED; i++) {
		carried[i] =
			plan->in_the_way[i] ? copy_aside(plan, plan->carried[i]) : plan->carried[i];
		if (plan->in_the_way[i] && carried[i] < 0)
			return pal__report_fail(report, PAL_STAGE_FDS, -1, carried[i]);
	}
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
	const struct pal__fd_plan *plan, const int carried[PAL__CARRIED], unsigned from)
{
	unsigned lowest = UINT_MAX;

	for (size_t i = 0; i < plan->kept_count; i++)
		if ((unsigned)plan->kept[i] >= from) {
			lowest = (unsigned)plan->kept[i];
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
	int r = result(syscall(
		SYS_close_range, plan->leave_from, UINT_MAX, (unsigned)CLOSE_RANGE_UNSHARE));

	return r < 0 ? pal__report_fail(report, PAL_STAGE_CLOSE_OTHERS, 0, r) : 0;
}

static int close_others(const struct pal__fd_plan *plan, struct pal__report *report,
	const int carried[PAL__CARRIED])
{
	unsigned from = 3, kept = 0;

	for (; plan->close_others && kept != UINT_MAX; from = kept + 1) {
		int r = 0;

		kept = next_kept(plan, carried, from);
		if (kept > from)
			r = result(syscall(
				SYS_close_range, from, kept == UINT_MAX ? kept : kept - 1, 0));
		if (r < 0)
			return pal__report_fail(report, PAL_STAGE_CLOSE_OTHERS, 0, r);
	}
	return 0;
}

/* ---- the rest ---- */

static int change_folder(const struct pal__plan *plan, struct pal__report *report)
{
	int r = plan->cwd ? result(syscall(SYS_chdir, plan->cwd)) : 0;

	return r < 0 ? pal__report_fail(report, PAL_STAGE_CHDIR, 0, r) : 0;
}

static int set_limits(const struct pal__plan *plan, struct pal__report *report)
{
	for (int i = 0; i < (int)RLIM_NLIMITS; i++) {
		int r;

		if (!plan->limit_set[i])
			continue;
		r = result(syscall(SYS_prlimit64, 0, i, &plan->limits[i], NULL));
		if (r < 0)
			return pal__report_fail(report, PAL_STAGE_RLIMIT, i, r);
	}
	return 0;
}

/* Tries the candidates as execvp(3) does, but never hands a file to a shell. */
static int execute(const struct pal__plan *plan, struct pal__report *report)
{
	int failure = -ENOENT;

	report->stage = PAL_STAGE_EXEC;
	for (size_t i = 0; i < plan->candidates.count; i++) {
		/* the fourth argument is for a seccomp filter to see: pal_seccomp_allow_first_exec */
		int r = result(syscall(SYS_execve, plan->candidates.items[i], plan->argv,
			plan->envp, plan->sandbox->exec_key));

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

int pal__child_setup(
	const struct pal__plan *plan, struct pal__report *report, int carried[PAL__CARRIED])
{
	int r;

	r = reset_dispositions(plan, report);
	if (r >= 0)
		r = arm_parent_death(plan, report);
	if (r >= 0)
		r = move_fds(&plan->fds, report, carried);
	if (r >= 0)
		r = close_others(&plan->fds, report, carried);
	if (r >= 0)
		r = change_folder(plan, report);
	if (r >= 0)
		r = set_limits(plan,
			report); /* after all that needs a descriptor: it may lower RLIMIT_NOFILE */
	if (r >= 0)
		r = pal__sandbox_enter(plan->sandbox, carried[PAL__CARRY_LANDLOCK],
			carried[PAL__CARRY_BORDER], report);
	if (r >= 0)
		r = open_mask(report);
	return r;
}

int pal__child_main(void *child_args)
{
	struct pal__child_args *args = child_args;

	if (args->shares_files && leave_shared_files(&args->plan->fds, args->report) < 0)
		return 127;
	if (pal__child_setup(args->plan, args->report, args->carried) >= 0)
		execute(args->plan, args->report);
	return 127;
}
