/* SPDX-License-Identifier: MIT */
#include <pal/spawn-child-priv.h>

#include <linux/capability.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <pal/capabilities-priv.h>
#include <pal/ids-child-priv.h>

/*
 * Whose process the child is, under the rules at the top of spawn-child.c.
 *
 * All of these calls change the calling thread only, as the kernel sees it:
 * libc's setresuid(2) and the like would ask every thread of the parent to
 * follow.
 */

struct ids {
	unsigned real, effective, saved;
};

static int get_ids(long call, struct ids *ret)
{
	return pal__child_result(syscall(call, &ret->real, &ret->effective, &ret->saved));
}

static bool are_all(const struct ids *ids, unsigned id)
{
	return ids->real == id && ids->effective == id && ids->saved == id;
}

/*
 * In a user namespace an id that it does not have shows as the number of "nobody", which
 * says nothing: there the parent has worked out which number is the same user, if any.
 */
static bool changes_user(const struct pal__plan *plan, const struct ids *now)
{
	uid_t uid = plan->process->uid;

	if (uid == (uid_t)-1)
		return false;
	if (plan->namespaces.user || plan->namespaces.user_joined)
		return uid != plan->namespaces.same_uid;
	return !are_all(now, uid);
}

/* A filter that this process has inherited can make calls succeed that do nothing. */
static int put_all(long set, long get, unsigned id)
{
	struct ids now;
	int r = pal__child_result(syscall(set, id, id, id));

	if (r >= 0)
		r = get_ids(get, &now);
	return r >= 0 && !are_all(&now, id) ? -EPERM : r;
}

int pal__child_put_uid(uid_t uid, struct pal__report *report)
{
	int r = put_all(CALL_SETRESUID, CALL_GETRESUID, uid);

	return r < 0 ? pal__report_fail(report, PAL_STAGE_UID, 0, r) : 0;
}

int pal__child_put_gid(gid_t gid, struct pal__report *report)
{
	int r = put_all(CALL_SETRESGID, CALL_GETRESGID, gid);

	return r < 0 ? pal__report_fail(report, PAL_STAGE_GID, 0, r) : 0;
}

/* Room for what is compared; of more, only their number is. */
#define GROUPS_SEEN 64

static bool contains(const gid_t *groups, size_t count, gid_t group)
{
	while (count && groups[count - 1] != group)
		count--;
	return count;
}

static int confirm_groups(const gid_t *groups, size_t count)
{
	gid_t seen[GROUPS_SEEN];
	int r = pal__child_result(syscall(CALL_GETGROUPS, 0, NULL));

	if (r >= 0 && (size_t)r != count)
		return -EPERM;
	if (r <= 0 || count > GROUPS_SEEN)
		return r;
	r = pal__child_result(syscall(CALL_GETGROUPS, GROUPS_SEEN, seen));
	for (size_t i = 0; r >= 0 && i < count; i++)
		if (!contains(seen, (size_t)r, groups[i]))
			return -EPERM;
	return r;
}

int pal__child_put_groups(const gid_t *groups, size_t count, struct pal__report *report)
{
	int r = pal__child_result(syscall(CALL_SETGROUPS, count, groups));

	if (r >= 0)
		r = confirm_groups(groups, count);
	return r < 0 ? pal__report_fail(report, PAL_STAGE_GROUPS, 0, r) : 0;
}

/* Supplementary groups that nobody mentioned do not stay with another user. */
static int set_groups(
	const struct pal__process *process, bool user_changes, struct pal__report *report)
{
	if (process->groups_kind == PAL__GROUPS_SET)
		return pal__child_put_groups(process->groups, process->group_count, report);
	if (process->groups_kind == PAL__GROUPS_UNSAID && user_changes)
		return pal__child_put_groups(NULL, 0, report);
	return 0;
}

/*
 * The saved id changes in any case: else the child could go back to it. A reset
 * that resets nothing makes no call: the child may share the parent's memory
 * then, and file-system ids that differ would make that undumpable.
 */
static int set_gid(const struct pal__process *process, struct pal__report *report)
{
	gid_t gid = process->gid;
	struct ids now;
	int r = get_ids(CALL_GETRESGID, &now);

	if (r < 0)
		return pal__report_fail(report, PAL_STAGE_GID, 0, r);
	if (gid == (gid_t)-1) {
		if (!process->reset_ids || are_all(&now, now.real))
			return 0;
		gid = now.real;
	}
	return pal__child_put_gid(gid, report);
}

static int set_uid(const struct pal__plan *plan, const struct ids *now, struct pal__report *report)
{
	const struct pal__process *process = plan->process;
	bool user_changes = changes_user(plan, now);
	uid_t uid = process->uid;
	int r;

	if (uid == (uid_t)-1) {
		if (!process->reset_ids || are_all(now, now->real))
			return 0;
		uid = now->real;
		user_changes = true;
	}
	r = pal__capabilities_hold(plan->sandbox, true, report);
	if (r >= 0)
		r = pal__child_put_uid(uid, report);
	if (r >= 0)
		r = pal__capabilities_hold(plan->sandbox, false, report);
	if (r >= 0 && uid != 0 && user_changes)
		r = pal__capabilities_drop(plan->sandbox, report);
	return r;
}

int pal__child_set_user(const struct pal__plan *plan, struct pal__report *report)
{
	const struct pal__process *process = plan->process;
	struct ids now;
	int r;

	if (process->uid == (uid_t)-1 && process->gid == (gid_t)-1 && !process->reset_ids &&
		process->groups_kind != PAL__GROUPS_SET)
		return 0; /* as most children: three calls less */
	r = get_ids(CALL_GETRESUID, &now);
	if (r < 0)
		return pal__report_fail(report, PAL_STAGE_UID, 0, r);
	r = set_groups(process, changes_user(plan, &now), report);
	if (r >= 0)
		r = set_gid(process, report);
	if (r >= 0)
		r = set_uid(plan, &now, report);
	return r;
}

/* ---- in a user namespace that has been joined ---- */

/* Without CAP_SETUID and CAP_SETGID this is allowed for ids that are the process's own, and for no others. */
static int set_same(long get, long set)
{
	struct ids ids;
	int r = get_ids(get, &ids);

	if (r >= 0)
		r = pal__child_result(syscall(set, ids.real, ids.effective, ids.saved));
	return r == -EINVAL ? -EPERM : r; /* not even the number of "nobody" */
}

static int put_effective(
	struct __user_cap_data_struct data[static _LINUX_CAPABILITY_U32S_3], uint32_t effective)
{
	struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};

	data[0].effective = effective;
	return pal__child_result(syscall(SYS_capset, &header, data));
}

static int confirm(const struct pal__process *process, struct pal__report *report)
{
	int r = 0;

	if (process->uid == (uid_t)-1)
		r = set_same(CALL_GETRESUID, CALL_SETRESUID);
	if (r < 0)
		return pal__report_fail(report, PAL_STAGE_UID, 0, r);
	if (process->gid == (gid_t)-1)
		r = set_same(CALL_GETRESGID, CALL_SETRESGID);
	return r < 0 ? pal__report_fail(report, PAL_STAGE_GID, 0, r) : 0;
}

int pal__child_confirm_ids(const struct pal__process *process, struct pal__report *report)
{
	struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3];
	const uint32_t ids = CAP_TO_MASK(CAP_SETUID) | CAP_TO_MASK(CAP_SETGID);
	uint32_t effective;
	int r;

	if (process->uid != (uid_t)-1 && process->gid != (gid_t)-1)
		return 0;
	r = pal__child_result(syscall(SYS_capget, &header, data));
	effective = data[0].effective;
	if (r >= 0)
		r = put_effective(data, effective & ~ids);
	if (r < 0)
		return pal__report_fail(report, PAL_STAGE_NAMESPACE, PAL_NS_USER, r);
	r = confirm(process, report);
	if (r < 0)
		return r;
	r = put_effective(data, effective);
	return r < 0 ? pal__report_fail(report, PAL_STAGE_NAMESPACE, PAL_NS_USER, r) : 0;
}
