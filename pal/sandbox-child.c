/* SPDX-License-Identifier: MIT */
#include <pal/sandbox-priv.h>

#include <errno.h>
#include <linux/capability.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <pal/landlock-abi-priv.h>

/*
 * Runs in a child that may share its memory with the parent, and in signal
 * handlers: system calls on a read-only plan, nothing else. They are made by
 * number, because sanitizers wrap some of libc's functions in code that may
 * lock.
 */

/* capget(2) and capset(2) as masks. */
struct thread_sets {
	uint64_t permitted, effective, inheritable;
};

static int fail(struct pal__report *report, int index)
{
	return pal__report_fail(report, report->stage, index, -errno);
}

static long control(int option, unsigned long first, unsigned long second)
{
	return syscall(SYS_prctl, option, first, second, 0UL, 0UL);
}

static uint64_t joined(uint32_t low, uint32_t high)
{
	return (uint64_t)high << 32 | low;
}

static long get_sets(struct thread_sets *ret)
{
	struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3];
	long result = syscall(SYS_capget, &header, data);

	if (result < 0)
		return result;
	ret->permitted = joined(data[0].permitted, data[1].permitted);
	ret->effective = joined(data[0].effective, data[1].effective);
	ret->inheritable = joined(data[0].inheritable, data[1].inheritable);
	return 0;
}

static long put_sets(const struct thread_sets *sets)
{
	struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3] = {
		{(uint32_t)sets->effective, (uint32_t)sets->permitted, (uint32_t)sets->inheritable},
		{(uint32_t)(sets->effective >> 32), (uint32_t)(sets->permitted >> 32),
			(uint32_t)(sets->inheritable >> 32)},
	};

	return syscall(SYS_capset, &header, data);
}

static int first_of(uint64_t mask)
{
	return mask ? __builtin_ctzll(mask) : 0;
}

/* The kernel would let a thread raise what another of its sets holds: not wanted in tightening. */
static int refuse_gain(const struct pal__sandbox *sandbox, const struct thread_sets *now,
	struct pal__report *report)
{
	const struct pal_capabilities *asked = &sandbox->capabilities;
	uint64_t gained = (asked->permitted & ~now->permitted) |
			  (asked->effective & ~now->effective) |
			  (asked->inheritable & ~now->inheritable);

	for (unsigned number = 0; number <= sandbox->last_capability; number++)
		if (asked->ambient >> number & 1 &&
			control(PR_CAP_AMBIENT, PR_CAP_AMBIENT_IS_SET, number) <= 0)
			gained |= UINT64_C(1) << number;
	if (gained)
		return pal__report_fail(report, report->stage, first_of(gained), -EPERM);
	return 0;
}

/* Without CAP_SETPCAP the set stays: harmless where no_new_privs keeps exec from using it. */
static int drop_bounding(const struct pal__sandbox *sandbox, struct pal__report *report)
{
	for (unsigned number = 0; number <= sandbox->last_capability; number++) {
		long held;

		if (sandbox->capabilities.bounding >> number & 1)
			continue;
		held = control(PR_CAPBSET_READ, number, 0);
		if (held < 0)
			return fail(report, (int)number);
		if (!held || control(PR_CAPBSET_DROP, number, 0) == 0)
			continue;
		if (errno == EPERM &&
			(sandbox->no_new_privs || control(PR_GET_NO_NEW_PRIVS, 0, 0) == 1))
			return 0;
		return fail(report, (int)number);
	}
	return 0;
}

static int raise_ambient(const struct pal__sandbox *sandbox, struct pal__report *report)
{
	for (unsigned number = 0; number <= sandbox->last_capability; number++)
		if (sandbox->capabilities.ambient >> number & 1 &&
			control(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, number) < 0)
			return fail(report, (int)number);
	return 0;
}

/*
 * The order that works for every combination: what becomes inheritable must
 * still be in the bounding set, dropping from the bounding set needs
 * CAP_SETPCAP to be effective still, and ambient ones must be permitted and
 * inheritable already.
 */
static int set_capabilities(const struct pal__sandbox *sandbox, struct pal__report *report)
{
	const struct pal_capabilities *asked = &sandbox->capabilities;
	const struct thread_sets wanted = {asked->permitted, asked->effective, asked->inheritable};
	struct thread_sets now;
	int result;

	report->stage = PAL_STAGE_CAPABILITIES;
	if (get_sets(&now) < 0)
		return fail(report, 0);
	result = sandbox->only_narrow ? refuse_gain(sandbox, &now, report) : 0;
	if (result < 0)
		return result;
	now.inheritable |= asked->inheritable;
	if (!sandbox->only_narrow) /* a change of user leaves them permitted only */
		now.effective |= now.permitted & UINT64_C(1) << CAP_SETPCAP;
	if (put_sets(&now) < 0)
		return fail(report, first_of(asked->inheritable));
	result = drop_bounding(sandbox, report);
	if (result < 0)
		return result;
	/* also what the caller had as ambient: it was not asked for, or is raised again */
	if (control(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0) < 0)
		return fail(report, 0);
	if (put_sets(&wanted) < 0)
		return fail(report, first_of(asked->permitted & ~now.permitted));
	return raise_ambient(sandbox, report);
}

static int enter_domain(int ruleset_fd, struct pal__report *report)
{
	if (ruleset_fd < 0)
		return 0;
	report->stage = PAL_STAGE_LANDLOCK;
	return syscall(SYS_landlock_restrict_self, ruleset_fd, 0) < 0 ? fail(report, 0) : 0;
}

int pal__sandbox_enter_unfiltered(
	const struct pal__sandbox *sandbox, int landlock_fd, struct pal__report *report)
{
	if (sandbox->set_capabilities) {
		int result = set_capabilities(sandbox, report);

		if (result < 0)
			return result;
	}
	if (sandbox->no_new_privs) {
		report->stage = PAL_STAGE_NO_NEW_PRIVS;
		if (control(PR_SET_NO_NEW_PRIVS, 1, 0) < 0)
			return fail(report, 0);
	}
	return enter_domain(landlock_fd, report);
}

int pal__sandbox_enter(const struct pal__sandbox *sandbox, int landlock_fd, int border_fd,
	struct pal__report *report)
{
	int result = pal__sandbox_enter_unfiltered(sandbox, landlock_fd, report);

	if (result >= 0)
		result = enter_domain(border_fd, report);
	if (result < 0)
		return result;
	if (landlock_fd >= 0)
		syscall(SYS_close, landlock_fd);
	if (border_fd >= 0)
		syscall(SYS_close, border_fd);
	return 0;
}

int pal__sandbox_filter(const struct pal__sandbox *sandbox, struct pal__report *report)
{
	if (!sandbox->seccomp.len)
		return 0;
	report->stage = PAL_STAGE_SECCOMP;
	if (syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &sandbox->seccomp) < 0)
		return fail(report, 0);
	return 0;
}
