/* SPDX-License-Identifier: MIT */
#include <pal/describe-priv.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <pal/profile-priv.h>
#include <pal/util-priv.h>

/* What a profile does, in words: from what its apply hook does to an empty builder. */

static void describe_user(FILE *out, const struct pal__process *process)
{
	if (process->uid != (uid_t)-1)
		fprintf(out, "- user %u\n", (unsigned)process->uid);
	if (process->gid != (gid_t)-1)
		fprintf(out, "- group %u\n", (unsigned)process->gid);
	if (process->groups_kind == PAL__GROUPS_SET) {
		fputs("- supplementary groups:", out);
		for (size_t i = 0; i < process->group_count; i++)
			fprintf(out, " %u", (unsigned)process->groups[i]);
		fputs(process->group_count ? "\n" : " none\n", out);
	} else if (process->groups_kind == PAL__GROUPS_UNSAID && process->uid != (uid_t)-1) {
		fputs("- supplementary groups: none\n", out);
	}
	if (process->umask_set)
		fprintf(out, "- umask %04o\n", (unsigned)process->umask);
}

static const char *policy_name(int policy)
{
	switch (policy & ~SCHED_RESET_ON_FORK) {
	case SCHED_OTHER:
		return "other";
	case SCHED_BATCH:
		return "batch";
	case SCHED_IDLE:
		return "idle";
	case SCHED_FIFO:
		return "fifo";
	case SCHED_RR:
		return "rr";
	default:
		return "unknown";
	}
}

static void describe_scheduling(FILE *out, const struct pal__process *process)
{
	if (process->nice_set)
		fprintf(out, "- nice value %d\n", process->nice);
	if (process->scheduler == PAL__SCHEDULER_POLICY)
		fprintf(out, "- scheduler %s, priority %d%s\n", policy_name(process->policy),
			process->priority,
			process->policy & SCHED_RESET_ON_FORK ? ", not for its children" : "");
	else if (process->scheduler == PAL__SCHEDULER_PRIORITY)
		fprintf(out, "- priority %d\n", process->priority);
	if (!process->cpus)
		return;
	fputs("- CPUs:", out);
	for (size_t cpu = 0; cpu < 8 * process->cpus_size; cpu++)
		if (CPU_ISSET_S(cpu, process->cpus_size, process->cpus))
			fprintf(out, " %zu", cpu);
	fputs("\n", out);
}

/* ---- limits ---- */

static void put_limit(FILE *out, rlim_t limit)
{
	if (limit == RLIM_INFINITY)
		fputs("unlimited", out);
	else
		fprintf(out, "%llu", (unsigned long long)limit);
}

static void describe_limits(FILE *out, const struct pal_builder *builder)
{
	static const char *const names[RLIM_NLIMITS] = {
		[RLIMIT_CPU] = "seconds of CPU time",
		[RLIMIT_FSIZE] = "bytes in a file",
		[RLIMIT_DATA] = "bytes of data",
		[RLIMIT_STACK] = "bytes of stack",
		[RLIMIT_CORE] = "bytes of a core file",
		[RLIMIT_RSS] = "bytes resident",
		[RLIMIT_NPROC] = "processes of its user",
		[RLIMIT_NOFILE] = "descriptors",
		[RLIMIT_MEMLOCK] = "bytes locked in memory",
		[RLIMIT_AS] = "bytes of address space",
		[RLIMIT_LOCKS] = "file locks",
		[RLIMIT_SIGPENDING] = "queued signals",
		[RLIMIT_MSGQUEUE] = "bytes in message queues",
		[RLIMIT_NICE] = "nice limit",
		[RLIMIT_RTPRIO] = "real-time priority",
		[RLIMIT_RTTIME] = "microseconds of real-time scheduling",
	};

	for (size_t i = 0; i < RLIM_NLIMITS; i++) {
		if (!builder->limit_set[i])
			continue;
		fprintf(out, "- limit of %s: ", names[i] ? names[i] : "something");
		put_limit(out, builder->limits[i].rlim_cur);
		if (builder->limits[i].rlim_max != builder->limits[i].rlim_cur) {
			fputs(", can be raised to ", out);
			put_limit(out, builder->limits[i].rlim_max);
		}
		fputs("\n", out);
	}
}

/* ---- namespaces ---- */

static void describe_namespaces(FILE *out, const struct pal__namespaces *namespaces)
{
	static const struct {
		unsigned flag;
		const char *name;
	} kinds[] = {{PAL_NS_USER, "users"}, {PAL_NS_MOUNT, "mounts"}, {PAL_NS_PID, "processes"},
		{PAL_NS_IPC, "System V IPC and message queues"}, {PAL_NS_UTS, "hostname"},
		{PAL_NS_NET, "network"}, {PAL_NS_CGROUP, "cgroups"}, {PAL_NS_TIME, "clocks"}};
	const char *separator = " ";

	if (namespaces->flags) {
		fputs("- its own:", out);
		for (size_t i = 0; i < PAL_ARRAY_LENGTH(kinds); i++)
			if (namespaces->flags & kinds[i].flag) {
				fprintf(out, "%s%s", separator, kinds[i].name);
				separator = ", ";
			}
		fputs("\n", out);
	}
	if (namespaces->hostname)
		fprintf(out, "- hostname %s\n", namespaces->hostname);
	if (namespaces->flags & PAL_NS_NET)
		fprintf(out, "- network: %s\n",
			namespaces->loopback ? "the loopback device only" : "no device that is up");
	if (namespaces->forbid_user)
		fputs("- it can make no user namespaces\n", out);
}

/* ---- privileges ---- */

static void put_set(FILE *out, const char *name, uint64_t set, unsigned last)
{
	uint64_t all = UINT64_MAX >> (63 - last);

	fprintf(out, "  - %s:", name);
	if (!(set & all))
		fputs(" none", out);
	else if ((set & all) == all)
		fputs(" all", out);
	else
		for (unsigned number = 0; number <= last; number++)
			if (set >> number & 1) {
				const char *known = pal_capability_name(number);

				if (known)
					fprintf(out, " %s", known);
				else
					fprintf(out, " %u", number);
			}
	fputs("\n", out);
}

static void describe_privileges(FILE *out, const struct pal_builder *builder)
{
	const struct pal__sandbox *sandbox = &builder->sandbox;
	const struct pal_capabilities held = pal__describe_capabilities(builder), *sets = &held;

	if (sandbox->no_new_privs)
		fputs("- it gains no privileges by executing programs (no_new_privs)\n", out);
	if (sandbox->set_capabilities) {
		fputs("- capabilities:\n", out);
		put_set(out, "bounding", sets->bounding, sandbox->last_capability);
		put_set(out, "permitted", sets->permitted, sandbox->last_capability);
		put_set(out, "effective", sets->effective, sandbox->last_capability);
		put_set(out, "inheritable", sets->inheritable, sandbox->last_capability);
		put_set(out, "ambient", sets->ambient, sandbox->last_capability);
	}
	if (sandbox->set_securebits)
		fprintf(out, "- secure bits %#x\n", sandbox->securebits);
}

/* ---- environment, signals ---- */

static void describe_environment(FILE *out, const struct pal_builder *builder)
{
	const struct pal__environ *env = &builder->env;

	if (env->cleared)
		fputs("- environment: nothing of the parent's\n", out);
	for (size_t i = 0; i < env->changes.count; i++)
		fprintf(out, "- environment: %s %s\n",
			strchr(env->changes.items[i], '=') ? "set" : "without",
			env->changes.items[i]);
}

static void describe_signals(FILE *out, const struct pal_builder *builder)
{
	for (int number = 1; number < SIGRTMIN; number++) {
		const char *name = sigabbrev_np(number);

		if (name && pal__sigset_has(&builder->signals.ignored, number))
			fprintf(out, "- SIG%s is ignored\n", name);
	}
}

/* The second half: on a builder that has nothing else. */
static void describe_finalize(FILE *out, const struct pal_profile *profile)
{
	struct pal_builder *builder = pal_builder_new(NULL);
	struct pal_error error = {0};
	bool known = true;
	int r;

	if (!profile->finalize) {
		pal_builder_free(builder);
		return;
	}
	if (builder)
		builder->sandbox.settled = true; /* several times add up */
	r = builder ? pal__profile_note_finalize(profile, builder, &known, &error) : -ENOMEM;
	if (!known)
		fputs("and may restrict itself further, by a pal_profile_finalize that is not known here\n",
			out);
	else if (r < 0)
		fprintf(out,
			"and cannot restrict itself further by pal_profile_finalize here: %s\n",
			error.code ? pal_error_text(&error) : "out of memory");
	else
		fputs("and when it has called pal_profile_finalize, also\n", out);
	if (known && r >= 0) {
		describe_privileges(out, builder);
		pal__describe_landlock(out, &builder->sandbox);
		if (builder->sandbox.seccomp.len)
			pal__describe_filter(out, &builder->sandbox.seccomp, false);
	}
	pal_builder_free(builder);
}

static void describe(
	FILE *out, const struct pal_profile *profile, const struct pal_builder *builder)
{
	fprintf(out, "%s: a program that is started under it has\n",
		profile->name ? profile->name : "a profile");
	describe_namespaces(out, &builder->namespaces);
	pal__describe_files(out, builder);
	if (builder->cwd)
		fprintf(out, "- working directory %s\n", builder->cwd);
	describe_user(out, &builder->process);
	describe_scheduling(out, &builder->process);
	describe_limits(out, builder);
	describe_environment(out, builder);
	describe_signals(out, builder);
	describe_privileges(out, builder);
	pal__describe_landlock(out, &builder->sandbox);
	if (builder->sandbox.seccomp.len)
		pal__describe_filter(out, &builder->sandbox.seccomp, builder->sandbox.exec_key);
	describe_finalize(out, profile);
}

/* 0, -ENOMEM, or the error of the builder. */
static int write_description(
	FILE *out, const struct pal_profile *profile, const struct pal_builder *builder)
{
	bool bad;

	if (!out)
		return -ENOMEM;
	if (builder && !builder->first_error.code)
		describe(out, profile, builder);
	bad = ferror(out);
	bad |= fclose(out) != 0;
	if (bad || !builder)
		return -ENOMEM;
	return builder->first_error.code;
}

int pal_profile_describe(const struct pal_profile *profile, char **ret, struct pal_error *error)
{
	struct pal_builder *builder;
	char *text = NULL;
	size_t size;
	int r;

	if (pal__profile_check(profile) < 0 || !ret)
		return pal_error_set(error, PAL_STAGE_ARGUMENT, -EINVAL, "describing a profile");
	builder = pal_builder_new(NULL);
	pal_builder_sandbox(builder, profile);
	r = write_description(open_memstream(&text, &size), profile, builder);
	if (r < 0 && builder && builder->first_error.code && error)
		*error = builder->first_error;
	else if (r < 0)
		pal_error_set(error, PAL_STAGE_MEMORY, r, "describing a profile");
	pal_builder_free(builder);
	if (r < 0)
		free(text);
	else
		*ret = text;
	return r;
}
