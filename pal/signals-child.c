/* SPDX-License-Identifier: MIT */
#include <pal/spawn-child-priv.h>

#include <stdint.h>
#include <sys/syscall.h>
#include <unistd.h>

/*
 * The child's signals, under the rules at the top of spawn-child.c. All are
 * blocked while this runs. Handlers of the parent go first of all: execve(2)
 * would reset them, but the mask opens before that.
 */

/* The kernel's struct sigaction, of which only the handler is looked at: its other fields are 0 here. */
#define ACTION_WORDS 8
#ifdef __mips__
#define HANDLER 1 /* behind the flags */
#else
#define HANDLER 0
#endif

/* On the stack, which is there: a constant would be a page fault of its own in a forked child. */
static int set_action(int signal, __sighandler_t handler)
{
	unsigned long action[ACTION_WORDS] = {[HANDLER] = (uintptr_t)handler};

	return pal__child_result(
		syscall(SYS_rt_sigaction, signal, action, NULL, PAL__KERNEL_SIGSET_SIZE));
}

/* For pal_builder_keep_ignored_signals: resets it unless it is ignored. */
static int reset_handled(int signal)
{
	unsigned long now[ACTION_WORDS];
	int r = pal__child_result(
		syscall(SYS_rt_sigaction, signal, NULL, now, PAL__KERNEL_SIGSET_SIZE));

	if (r < 0 || now[HANDLER] == (uintptr_t)SIG_DFL || now[HANDLER] == (uintptr_t)SIG_IGN)
		return r;
	return set_action(signal, SIG_DFL);
}

static int set_disposition(
	const struct pal__signals *wanted, int signal, bool handlers_cleared)
{
	if (pal__sigset_has(&wanted->ignored, signal))
		return set_action(signal, SIG_IGN);
	if (wanted->keep_ignored && !pal__sigset_has(&wanted->reset, signal))
		return handlers_cleared ? 0 : reset_handled(signal);
	return set_action(signal, SIG_DFL);
}

int pal__child_dispositions(const struct pal__child_args *args)
{
	const struct pal__plan *plan = args->plan;

	for (int signal = 1; signal < _NSIG; signal++) {
		int r;

		if (signal == SIGKILL || signal == SIGSTOP ||
			(signal >= PAL__KERNEL_SIGRTMIN && signal < plan->first_reset_rt))
			continue;
		r = set_disposition(plan->signals, signal, args->handlers_cleared);
		if (r < 0)
			return pal__report_fail(args->report, PAL_STAGE_SIGNALS, signal, r);
	}
	return 0;
}

int pal__child_default_sigchld(bool *ret_ignored)
{
	unsigned long now[ACTION_WORDS];
	int r = pal__child_result(
		syscall(SYS_rt_sigaction, SIGCHLD, NULL, now, PAL__KERNEL_SIGSET_SIZE));

	if (r < 0 || now[HANDLER] != (uintptr_t)SIG_IGN)
		return r;
	*ret_ignored = true;
	return set_action(SIGCHLD, SIG_DFL);
}

int pal__child_ignore_sigchld(void)
{
	return set_action(SIGCHLD, SIG_IGN);
}

/* Last of all, when nothing of the parent's can run on delivery any more. */
int pal__child_open_mask(const struct pal__plan *plan, struct pal__report *report)
{
	/* under the filter, which may let it pass for the key */
	int r = pal__child_result(syscall(SYS_rt_sigprocmask, SIG_SETMASK, &plan->mask, NULL,
		PAL__KERNEL_SIGSET_SIZE, 0UL, plan->sandbox->start_key));

	return r < 0 ? pal__report_fail(report, PAL_STAGE_SIGNALS, 0, r) : 0;
}
