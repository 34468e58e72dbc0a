/* SPDX-License-Identifier: MIT */
#include <pal_profile/settings-priv.h>

#include <errno.h>
#include <pal/namespaces.h>
#include <pal/process.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <pal/util-priv.h>
#include <pal_profile/text-priv.h>
#include <pal_profile/users-priv.h>

/* Gives a builder what a text says about the process itself. */

static void apply_ids(const struct pal_profile__process *process, struct pal_builder *builder)
{
	gid_t group = pal_profile__group_of(process);

	if (process->user_set)
		pal_builder_uid(builder, process->user);
	if (group != (gid_t)-1)
		pal_builder_gid(builder, group);
	if (process->user_set || process->groups_set)
		pal_builder_groups(builder, process->groups, process->group_count);
}

/* "root" and the unit's own, as systemd.exec(5) has it; without privileges only the own. */
static void apply_user_namespace(
	const struct pal_profile__process *process, struct pal_builder *builder)
{
	uid_t user = process->user_set ? process->user : geteuid();
	gid_t group = pal_profile__group_of(process);

	pal_builder_namespaces(builder, PAL_NS_USER);
	if (geteuid() != 0)
		return;
	pal_builder_map_uid(builder, 0, 0, 1);
	if (user != 0)
		pal_builder_map_uid(builder, user, user, 1);
	pal_builder_map_gid(builder, 0, 0, 1);
	group = group == (gid_t)-1 ? getegid() : group;
	if (group != 0)
		pal_builder_map_gid(builder, group, group, 1);
}

static void apply_namespaces(
	const struct pal_profile__settings *settings, struct pal_builder *builder)
{
	const struct pal_profile__process *process = &settings->process;

	if (process->users)
		apply_user_namespace(process, builder);
	if (process->ipc)
		pal_builder_namespaces(builder, PAL_NS_IPC);
	if (process->network)
		pal_builder_loopback(builder, true);
	if (settings->stage.filter.no_hostname)
		pal_builder_namespaces(builder, PAL_NS_UTS);
	if (settings->files.mounts)
		pal_builder_namespaces(builder, PAL_NS_MOUNT);
	if (process->pids) {
		pal_builder_namespaces(builder, PAL_NS_PID);
		pal_builder_pid_init(builder, true);
	}
}

static void apply_scheduling(
	const struct pal_profile__process *process, struct pal_builder *builder)
{
	int policy = process->policy_set ? process->policy : SCHED_OTHER;
	bool is_realtime = policy == SCHED_FIFO || policy == SCHED_RR;
	int priority = process->priority_set ? process->priority : is_realtime;

	if (process->nice_set)
		pal_builder_nice(builder, process->nice);
	if (process->policy_set || process->reset_on_fork)
		pal_builder_scheduler(builder,
			policy | (process->reset_on_fork ? SCHED_RESET_ON_FORK : 0), priority);
	else if (process->priority_set)
		pal_builder_scheduler_priority(builder, priority);
	if (process->cpus_set)
		pal_builder_affinity(builder, &process->cpus, sizeof process->cpus);
}

/* ---- environment ---- */

/* What the child would have. */
static const char *value_of(const struct pal_builder *builder, const char *name)
{
	const char *value = pal_builder_peek_env(builder, name);

	return value || !pal_builder_get_env_inherited(builder) ? value : getenv(name);
}

static int add_assignment(struct pal_profile__list *list, const char *name, const char *value)
{
	PAL_CLEANUP_FREE char *assignment = NULL;

	if (asprintf(&assignment, "%s=%s", name, value) < 0) {
		assignment = NULL;
		return -ENOMEM;
	}
	return pal_profile__list_add(list, assignment, 0);
}

static int set_variable(struct pal_builder *builder, const char *assignment)
{
	PAL_CLEANUP_FREE char *name = strdup(assignment);
	char *equals = name ? strchr(name, '=') : NULL;

	if (!equals)
		return -ENOMEM;
	*equals = 0;
	pal_builder_env(builder, name, equals + 1);
	return 0;
}

/*
 * Nothing else of what there is. Values are looked up before they are forgotten. A profile that was passed
 * to the child, in the builder, is no part of its environment: without it the child would be less confined.
 */
static int apply_pass(const struct pal_profile__list *names, struct pal_builder *builder)
{
	const char *passed = pal_builder_peek_env(builder, PAL_PROFILE__VARIABLE);
	struct pal_profile__list kept = {0};
	int r = passed ? add_assignment(&kept, PAL_PROFILE__VARIABLE, passed) : 0;

	for (size_t i = 0; i < names->count && r >= 0; i++) {
		const char *value = value_of(builder, names->items[i]);

		if (value)
			r = add_assignment(&kept, names->items[i], value);
	}
	if (r >= 0)
		pal_builder_env_clear(builder);
	for (size_t i = 0; i < kept.count && r >= 0; i++)
		r = set_variable(builder, kept.items[i]);
	pal_profile__list_clear(&kept);
	return r;
}

/* "NAME", or "NAME=value" for where the child would have just that. */
static int unset_variable(struct pal_builder *builder, const char *item)
{
	PAL_CLEANUP_FREE char *name = strdup(item);
	char *equals = name ? strchr(name, '=') : NULL;
	const char *value;

	if (!name)
		return -ENOMEM;
	if (equals)
		*equals = 0;
	value = equals ? value_of(builder, name) : NULL;
	if (!equals || (value && !strcmp(value, equals + 1)))
		pal_builder_env_remove(builder, name);
	return 0;
}

static int apply_environment(const struct pal_profile__process *process,
	struct pal_builder *builder, struct pal_error *error)
{
	int r = process->pass_set ? apply_pass(&process->pass, builder) : 0;

	for (size_t i = 0; i < process->environment.count && r >= 0; i++)
		r = set_variable(builder, process->environment.items[i]);
	for (size_t i = 0; i < process->unset.count && r >= 0; i++)
		r = unset_variable(builder, process->unset.items[i]);
	if (r < 0)
		return pal_error_set(error, PAL_STAGE_MEMORY, r, "environment");
	return 0;
}

/* ---- all of it ---- */

static void apply_signals(const struct pal_profile__process *process, struct pal_builder *builder)
{
	sigset_t pipe;

	sigemptyset(&pipe);
	sigaddset(&pipe, SIGPIPE);
	if (process->ignore_sigpipe == PAL_PROFILE__YES) /* it is not, otherwise */
		pal_builder_ignore_signals(builder, &pipe);
}

static void apply_folder(const struct pal_profile__settings *settings, struct pal_builder *builder)
{
	const struct pal_profile__process *process = &settings->process;
	const char *folder = process->cwd_home ? process->home : process->cwd;

	if (!folder)
		return;
	if (process->cwd_optional && !settings->files.root && access(folder, F_OK) < 0)
		folder = "/";
	pal_builder_cwd(builder, folder);
}

int pal_profile__apply_process(const struct pal_profile__settings *settings,
	struct pal_builder *builder, struct pal_error *error)
{
	const struct pal_profile__process *process = &settings->process;

	apply_namespaces(settings, builder);
	apply_scheduling(process, builder);
	apply_signals(process, builder);
	apply_folder(settings, builder);
	if (process->umask_set)
		pal_builder_umask(builder, process->umask);
	for (int i = 0; i < (int)RLIM_NLIMITS; i++)
		if (process->limit_set[i])
			pal_builder_rlimit(builder, i, process->limits[i].rlim_cur,
				process->limits[i].rlim_max);
	if (process->securebits_set)
		pal_builder_securebits(builder, process->securebits);
	apply_ids(process, builder);
	return apply_environment(process, builder, error);
}
