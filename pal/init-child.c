/* SPDX-License-Identifier: MIT */
#include <pal/spawn-child-priv.h>

#include <limits.h>
#include <linux/sched.h>
#include <signal.h>
#include <stdint.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/*
 * Process 1 of a pid namespace, under the rules at the top of spawn-child.c: it
 * has gone through the whole plan but the filter, makes the process that the
 * program is going to be, and stays to reap what nobody else waits for.
 *
 * A signal that kills the program cannot kill process 1: the kernel does not
 * let it. So the program's end is told in the report, which outlives the spawn
 * (child-wait.c), and the exit status is only for who does not look there.
 */

#define EXIT_OF_SIGNAL 128

/* How often to look whether the program runs, and from where on with a pause of a millisecond. */
#define YIELDS 100
#define LOOKS 5000 /* some seconds: a big process that dies on a busy machine takes its time */

/* ---- the program's process ---- */

static long make_program(const struct pal__plan *plan)
{
	struct clone_args args = {.flags = CLONE_VFORK, .exit_signal = SIGCHLD};

	if (plan->namespaces.fork_call)
		return plan->namespaces.fork_call();
	return syscall(SYS_clone3, &args, sizeof args);
}

/* ---- process 1 ---- */

/* Until no child is waiting to be reaped. Whether the program was among them. */
static bool reap(pid_t program, struct pal__report *report)
{
	bool ended = false;

	for (;;) {
		siginfo_t info;

		info.si_pid = 0;
		if (syscall(SYS_waitid, P_ALL, 0, &info, WEXITED | WNOHANG | __WALL, NULL) < 0 ||
			info.si_pid == 0)
			return ended;
		if (info.si_pid != program)
			continue;
		ended = true;
		report->program_end = info.si_code;
		report->program_status = info.si_status;
		report->program_ended = true;
	}
}

/* SIGHUP of a terminal that is gone, and SIGCONT after it: for the leader of the session alone. */
static bool is_for_leader(int signal)
{
	return (signal == SIGHUP || signal == SIGCONT) &&
	       syscall(SYS_getsid, 0) == syscall(SYS_getpid);
}

static void pass_on(pid_t program, const siginfo_t *info)
{
	/* the kernel's own are for a terminal's process group, which the program is in, too */
	if (info->si_code != SI_KERNEL || is_for_leader(info->si_signo))
		syscall(SYS_kill, program, info->si_signo);
}

static int run_init(pid_t program, struct pal__report *report)
{
	struct pal__sigset all;

	for (size_t i = 0; i < sizeof all.bits / sizeof all.bits[0]; i++)
		all.bits[i] = ~0UL;
	while (!reap(program, report)) {
		siginfo_t info;
		long signal =
			syscall(SYS_rt_sigtimedwait, &all, &info, NULL, PAL__KERNEL_SIGSET_SIZE);

		if (signal > 0 && signal != SIGCHLD)
			pass_on(program, &info);
	}
	if (report->program_end == CLD_EXITED)
		return report->program_status;
	return EXIT_OF_SIGNAL + report->program_status;
}

/* No process group has this number. */
#define NO_GROUP INT_MAX

/*
 * As in spawn.c: setpgid(2) refuses with EACCES exactly if a child has executed a program, and so does a
 * filter that we have inherited. One that has made its own session has executed a program, too: before it
 * has it makes none.
 */
static bool has_executed(pid_t program)
{
	if (syscall(SYS_setpgid, program, NO_GROUP) < 0 && errno == EACCES)
		return syscall(SYS_setpgid, 0, NO_GROUP) < 0 && errno == EPERM;
	return syscall(SYS_getsid, program) != syscall(SYS_getsid, 0);
}

static bool has_ended(pid_t program)
{
	siginfo_t info;

	info.si_pid = 0;
	return syscall(SYS_waitid, P_PID, program, &info, WEXITED | WNOHANG | WNOWAIT | __WALL,
		       NULL) == 0 &&
	       info.si_pid == program;
}

/*
 * clone lets us go on a moment before it can be seen that a program was executed, or that its
 * process was killed instead. Where a filter that we have inherited keeps that from being seen, what
 * does not end soon counts as a program.
 */
static bool runs(pid_t program)
{
	const struct timespec tick = {.tv_nsec = 1000 * 1000};

	for (int looks = 0; looks < LOOKS; looks++) {
		bool ended = has_ended(program);

		if (has_executed(program))
			return true;
		if (ended)
			return false;
		if (looks < YIELDS)
			syscall(SYS_sched_yield);
		else
			syscall(SYS_ppoll, NULL, 0, &tick, NULL, 0);
	}
	return true;
}

/* Of a program: clone has let us go on because it runs, or has failed to. In a fork the function's process does it. */
static int say_ready(const struct pal__child_args *args, pid_t program)
{
	const uint64_t one = 1;
	int ready = args->carried[PAL__CARRY_READY];

	if (args->report->code < 0 || args->report->stage != PAL_STAGE_EXEC || !runs(program))
		return 0;
	return pal__child_result(syscall(SYS_write, ready, &one, sizeof one));
}

/* The program has its own descriptors by then: whoever reads what it writes sees its end. */
static int stay(struct pal__child_args *args, pid_t program)
{
	int carried[PAL__CARRIED] = PAL__CARRIED_NONE, r = 0;

	if (!args->plan->namespaces.fork_call) {
		carried[PAL__CARRY_READY] = args->carried[PAL__CARRY_READY];
		pal__child_close_from(0, NULL, 0, carried);
		r = say_ready(args, program);
		carried[PAL__CARRY_READY] = -1;
	}
	if (r < 0) /* with process 1 everything ends */
		return pal__report_fail(args->report, PAL_STAGE_CLONE, 0, r);
	pal__child_close_from(0, NULL, 0, carried);
	args->exit_code = run_init(program, args->report);
	return PAL__CHILD_LEAVES;
}

/*
 * Process 1 may not be traced by the program, which may be of the same user and has a
 * filter that process 1 does not have. With SIGCHLD ignored the kernel would
 * keep no ended child for it.
 */
static int prepare(long *ret_dumpable, bool *ret_ignored)
{
	*ret_dumpable = syscall(SYS_prctl, PR_GET_DUMPABLE, 0, 0, 0, 0);
	if (*ret_dumpable < 0 || syscall(SYS_prctl, PR_SET_DUMPABLE, 0, 0, 0, 0) < 0)
		return -errno;
	return pal__child_default_sigchld(ret_ignored);
}

/* In the program's process. One that executes a program becomes as dumpable as that may be. */
static int undo(const struct pal__plan *plan, long dumpable, bool ignored)
{
	int r = ignored ? pal__child_ignore_sigchld() : 0;

	if (r >= 0 && dumpable == 1 && plan->namespaces.fork_call)
		r = pal__child_result(syscall(SYS_prctl, PR_SET_DUMPABLE, 1, 0, 0, 0));
	return r;
}

int pal__child_become_init(struct pal__child_args *args)
{
	bool ignored = false;
	long dumpable, program;
	int r;

	if (!args->plan->namespaces.init)
		return 0;
	r = prepare(&dumpable, &ignored);
	if (r < 0)
		return pal__report_fail(args->report, PAL_STAGE_NAMESPACE, 0, r);
	program = make_program(args->plan);
	if (program > 0)
		return stay(args, (pid_t)program);
	r = program < 0 ? -errno : undo(args->plan, dumpable, ignored);
	if (r < 0)
		return pal__report_fail(args->report, PAL_STAGE_NAMESPACE, 0, r);
	return pal__child_reset_on_fork(args->plan->process, args->report);
}
