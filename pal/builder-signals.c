/* SPDX-License-Identifier: MIT */
#include <pal/builder-priv.h>

#include <errno.h>
#include <string.h>

/* The setters of signal masks and dispositions (process.h). */

/*
 * libc's set as the kernel has it, without the signals that libc keeps for
 * itself: sigfillset(3) leaves them out, but not everybody makes sets with it.
 */
static struct pal__sigset from_libc(const sigset_t *set)
{
	struct pal__sigset kernel = {{0}};

	for (int signal = 1; signal < _NSIG; signal++)
		if ((signal < PAL__KERNEL_SIGRTMIN || signal >= SIGRTMIN) &&
			sigismember(set, signal) == 1)
			pal__sigset_add(&kernel, signal);
	return kernel;
}

void pal_builder_signal_mask(struct pal_builder *builder, const sigset_t *blocked)
{
	if (!builder)
		return;
	builder->signals.mask_kind = blocked ? PAL__MASK_SET : PAL__MASK_EMPTY;
	if (blocked)
		builder->signals.mask = from_libc(blocked);
}

void pal_builder_keep_signal_mask(struct pal_builder *builder)
{
	if (builder)
		builder->signals.mask_kind = PAL__MASK_KEPT;
}

void pal_builder_ignore_signals(struct pal_builder *builder, const sigset_t *signals)
{
	struct pal__sigset added;

	if (!builder)
		return;
	if (!signals || sigismember(signals, SIGKILL) || sigismember(signals, SIGSTOP)) {
		pal__builder_check(builder, -EINVAL, "signals to ignore");
		return;
	}
	added = from_libc(signals);
	for (size_t i = 0; i < sizeof added.bits / sizeof added.bits[0]; i++)
		builder->signals.ignored.bits[i] |= added.bits[i];
}

void pal_builder_keep_ignored_signals(struct pal_builder *builder, const sigset_t *reset)
{
	if (!builder)
		return;
	builder->signals.keep_ignored = true;
	builder->signals.reset = reset ? from_libc(reset) : (struct pal__sigset){{0}};
}
