/* SPDX-License-Identifier: MIT */
#include <pal/capabilities-priv.h>

#include <errno.h>
#include <linux/capability.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

/*
 * The five sets of a child or a thread, under the rules of sandbox-child.c: system
 * calls on a read-only plan, nothing else.
 */

#define BIT(number) (UINT64_C(1) << (number))

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

struct pal_capabilities pal__capabilities_of(const struct pal__sandbox *sandbox, bool is_root)
{
	const uint64_t mask = is_root ? UINT64_MAX : sandbox->unless_root;
	struct pal_capabilities sets = sandbox->capabilities;

	sets.permitted &= mask;
	sets.effective &= mask;
	sets.inheritable &= mask;
	sets.ambient &= mask;
	return sets;
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
			gained |= BIT(number);
	if (gained)
		return pal__report_fail(report, report->stage, first_of(gained), -EPERM);
	return 0;
}

/*
 * What the sets must be for the steps before the last: what becomes inheritable must still be in
 * the bounding set when it does, and narrowing that takes CAP_SETPCAP, which a change of user
 * leaves permitted and not effective.
 */
static int prepare_sets(uint64_t inheritable, struct thread_sets *now, struct pal__report *report)
{
	struct thread_sets next = *now;

	next.inheritable |= inheritable;
	next.effective |= next.permitted & BIT(CAP_SETPCAP);
	if (next.inheritable == now->inheritable && next.effective == now->effective)
		return 0;
	if (put_sets(&next) < 0)
		return fail(report, first_of(inheritable));
	*now = next;
	return 0;
}

/* Without CAP_SETPCAP the set stays: harmless where no_new_privs keeps exec from using it. */
static int drop_one(const struct pal__sandbox *sandbox, unsigned number, bool *ret_moot)
{
	bool seen = sandbox->bounding_seen >> number & 1;
	long held = 1;

	/* what the parent has seen there costs one call; the rest may have come with a namespace */
	if (!seen)
		held = control(PR_CAPBSET_READ, number, 0);
	if (held <= 0 || control(PR_CAPBSET_DROP, number, 0) == 0)
		return (int)held < 0 ? -1 : 0;
	if (errno == EPERM && seen && control(PR_CAPBSET_READ, number, 0) == 0)
		return 0;
	*ret_moot = errno == EPERM &&
		    (sandbox->no_new_privs || control(PR_GET_NO_NEW_PRIVS, 0, 0) == 1);
	return *ret_moot ? 0 : -1;
}

static int drop_bounding(const struct pal__sandbox *sandbox, struct pal__report *report)
{
	bool moot = false;

	for (unsigned number = 0; number <= sandbox->last_capability && !moot; number++)
		if (!(sandbox->capabilities.bounding >> number & 1) &&
			drop_one(sandbox, number, &moot) < 0)
			return fail(report, (int)number);
	return 0;
}

static int raise_ambient(
	const struct pal__sandbox *sandbox, uint64_t ambient, struct pal__report *report)
{
	for (unsigned number = 0; number <= sandbox->last_capability; number++)
		if (ambient >> number & 1 &&
			control(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, number) < 0)
			return fail(report, (int)number);
	return 0;
}

static int set_securebits(const struct pal__sandbox *sandbox, struct pal__report *report)
{
	if (sandbox->set_securebits && control(PR_SET_SECUREBITS, sandbox->securebits, 0) < 0)
		return fail(report, 0);
	return 0;
}

/*
 * The order that works for every combination: inheritable, bounding, the three
 * sets, ambient, which takes permitted and inheritable. Securebits may forbid to raise
 * ambient ones, and take CAP_SETPCAP, so that this one goes last.
 */
static int set_sets(const struct pal__sandbox *sandbox, struct pal__report *report)
{
	/* in a user namespace its own 0; the ids are what they will be by now */
	const struct pal_capabilities asked =
		pal__capabilities_of(sandbox, syscall(SYS_geteuid) == 0);
	const struct thread_sets wanted = {asked.permitted, asked.effective, asked.inheritable};
	struct thread_sets now, next = wanted;
	uint64_t stray = asked.ambient & ~(asked.permitted & asked.inheritable);
	int result = 0;

	if (stray)
		return pal__report_fail(report, report->stage, first_of(stray), -EPERM);
	if (get_sets(&now) < 0)
		return fail(report, 0);
	if (sandbox->only_narrow)
		result = refuse_gain(sandbox, &now, report);
	if (result >= 0)
		result = prepare_sets(asked.inheritable, &now, report);
	if (result >= 0)
		result = drop_bounding(sandbox, report);
	if (result < 0)
		return result;
	/* also what the caller had as ambient: it was not asked for, or is raised again */
	if (wanted.permitted & wanted.inheritable &&
		control(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0) < 0)
		return fail(report, 0);
	if (sandbox->set_securebits) {
		next.permitted |= now.permitted & BIT(CAP_SETPCAP);
		next.effective |= now.effective & BIT(CAP_SETPCAP);
	}
	if (put_sets(&next) < 0)
		return fail(report, first_of(asked.permitted & ~now.permitted));
	result = raise_ambient(sandbox, asked.ambient, report);
	if (result >= 0)
		result = set_securebits(sandbox, report);
	if (result >= 0 && sandbox->set_securebits && put_sets(&wanted) < 0)
		result = fail(report, 0);
	return result;
}

/* After a change of user, which leaves what was permitted, and none of it effective. */
static int make_effective(struct pal__report *report)
{
	struct thread_sets now;

	if (get_sets(&now) < 0)
		return fail(report, 0);
	now.effective = now.permitted;
	return put_sets(&now) < 0 ? fail(report, 0) : 0;
}

int pal__capabilities_hold(const struct pal__sandbox *sandbox, bool on, struct pal__report *report)
{
	if (!sandbox->set_capabilities && !sandbox->keep_capabilities)
		return 0;
	report->stage = PAL_STAGE_CAPABILITIES;
	return control(PR_SET_KEEPCAPS, on, 0) < 0 ? fail(report, 0) : 0;
}

int pal__capabilities_drop(const struct pal__sandbox *sandbox, struct pal__report *report)
{
	struct thread_sets now;

	if (sandbox->set_capabilities || sandbox->keep_capabilities)
		return 0;
	report->stage = PAL_STAGE_CAPABILITIES;
	if (control(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0) < 0 || get_sets(&now) < 0)
		return fail(report, 0);
	if (!(now.permitted | now.effective))
		return 0;
	now.permitted = now.effective = 0;
	return put_sets(&now) < 0 ? fail(report, 0) : 0;
}

int pal__capabilities_set(
	const struct pal__sandbox *sandbox, bool user_set, struct pal__report *report)
{
	int result = 0;

	report->stage = PAL_STAGE_CAPABILITIES;
	if (sandbox->set_capabilities)
		return set_sets(sandbox, report);
	if (user_set && sandbox->keep_capabilities)
		result = make_effective(report);
	return result < 0 ? result : set_securebits(sandbox, report);
}
