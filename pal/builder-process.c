/* SPDX-License-Identifier: MIT */
#include <pal/builder-priv.h>

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* The setters of process.h, apart from signals: user, session, scheduling, cgroups. */

static void invalid(struct pal_builder *builder, const char *what, int value)
{
	pal__builder_fail(builder, PAL_STAGE_ARGUMENT, -EINVAL, "%s %d", what, value);
}

void pal__process_clear(struct pal__process *process)
{
	free(process->groups);
	free(process->cpus);
	*process = (struct pal__process)PAL__PROCESS_INIT;
}

/* Puts a copy of `size` bytes (0: nothing) in the place of *memory. 0 or -ENOMEM. */
static int replace_copy(void **memory, const void *with, size_t size)
{
	void *copy = size ? malloc(size) : NULL;

	if (size && !copy)
		return -ENOMEM;
	if (size)
		memcpy(copy, with, size);
	free(*memory);
	*memory = copy;
	return 0;
}

/* ---- user and groups ---- */

void pal_builder_uid(struct pal_builder *builder, uid_t uid)
{
	if (builder)
		builder->process.uid = uid;
}

void pal_builder_gid(struct pal_builder *builder, gid_t gid)
{
	if (builder)
		builder->process.gid = gid;
}

void pal_builder_groups(struct pal_builder *builder, const gid_t *groups, size_t count)
{
	void *copy;
	int r;

	if (!builder)
		return;
	if (count > NGROUPS_MAX || (count && !groups)) {
		pal__builder_check(builder, -EINVAL, "supplementary groups");
		return;
	}
	copy = builder->process.groups;
	r = replace_copy(&copy, groups, count * sizeof *groups);
	pal__builder_check(builder, r, "supplementary groups");
	if (r < 0)
		return;
	builder->process.groups = copy;
	builder->process.group_count = count;
	builder->process.groups_kind = PAL__GROUPS_SET;
}

void pal_builder_keep_groups(struct pal_builder *builder)
{
	if (builder)
		builder->process.groups_kind = PAL__GROUPS_KEPT;
}

void pal_builder_reset_ids(struct pal_builder *builder, bool on)
{
	if (builder)
		builder->process.reset_ids = on;
}

/* As the child will see it, which makes no call then: process-child.c. */
static bool has_ids_to_reset(void)
{
	uid_t uid, effective_uid, saved_uid;
	gid_t gid, effective_gid, saved_gid;

	getresuid(&uid, &effective_uid, &saved_uid);
	getresgid(&gid, &effective_gid, &saved_gid);
	return effective_uid != uid || saved_uid != uid || effective_gid != gid || saved_gid != gid;
}

bool pal__builder_shares_memory(const struct pal_builder *builder)
{
	const struct pal__process *process = &builder->process;

	if (!builder->vfork || process->uid != (uid_t)-1 || process->gid != (gid_t)-1 ||
		!pal__namespaces_share_memory(builder))
		return false;
	return !process->reset_ids || !has_ids_to_reset();
}

/* ---- session, process group, terminal ---- */

void pal_builder_setsid(struct pal_builder *builder, bool on)
{
	if (builder)
		builder->process.setsid = on;
}

void pal_builder_process_group(struct pal_builder *builder, pid_t group)
{
	if (!builder)
		return;
	if (group < -1)
		invalid(builder, "process group", group);
	else
		builder->process.group = group;
}

void pal_builder_controlling_tty(struct pal_builder *builder, int child_fd)
{
	if (!builder)
		return;
	if (child_fd < -1)
		invalid(builder, "descriptor of a controlling terminal", child_fd);
	else
		builder->process.tty = child_fd;
	builder->changed = true;
}

/* ---- scheduling ---- */

void pal_builder_nice(struct pal_builder *builder, int value)
{
	if (!builder)
		return;
	if (value < -20 || value > 19) {
		invalid(builder, "nice value", value);
		return;
	}
	builder->process.nice = value;
	builder->process.nice_set = true;
}

void pal_builder_scheduler(struct pal_builder *builder, int policy, int priority)
{
	if (!builder)
		return;
	builder->process.scheduler = PAL__SCHEDULER_POLICY;
	builder->process.policy = policy;
	builder->process.priority = priority;
}

void pal_builder_scheduler_priority(struct pal_builder *builder, int priority)
{
	if (!builder)
		return;
	builder->process.scheduler = PAL__SCHEDULER_PRIORITY;
	builder->process.priority = priority;
}

void pal_builder_affinity(struct pal_builder *builder, const cpu_set_t *cpus, size_t size)
{
	void *copy;
	int r;

	if (!builder)
		return;
	if (!cpus || !size) {
		pal__builder_check(builder, -EINVAL, "affinity without a set of CPUs");
		return;
	}
	copy = builder->process.cpus;
	r = replace_copy(&copy, cpus, size);
	pal__builder_check(builder, r, "affinity");
	if (r < 0)
		return;
	builder->process.cpus = copy;
	builder->process.cpus_size = size;
}

/* ---- the rest ---- */

void pal_builder_umask(struct pal_builder *builder, mode_t mask)
{
	if (!builder)
		return;
	builder->process.umask = mask;
	builder->process.umask_set = true;
}

void pal_builder_cgroup(struct pal_builder *builder, int directory_fd)
{
	if (!builder)
		return;
	if (directory_fd < 0)
		invalid(builder, "descriptor of a cgroup", directory_fd);
	else
		builder->process.cgroup_fd = directory_fd;
	builder->changed = true;
}

void pal_builder_cgroup_procs(struct pal_builder *builder, int procs_fd)
{
	struct pal__process *process;

	if (!builder)
		return;
	process = &builder->process;
	if (procs_fd < 0)
		invalid(builder, "descriptor of a cgroup", procs_fd);
	else if (process->procs_count == PAL_CGROUPS_MAX)
		invalid(builder, "cgroups beyond", PAL_CGROUPS_MAX);
	else
		process->procs_fds[process->procs_count++] = procs_fd;
	builder->changed = true;
}
