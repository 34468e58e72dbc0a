/* SPDX-License-Identifier: MIT */
#include <pal_profile/keys-priv.h>

#include <errno.h>
#include <linux/securebits.h>
#include <stdlib.h>
#include <string.h>

#include <pal/util-priv.h>
#include <pal_profile/users-priv.h>
#include <pal_profile/value-priv.h>

/* Keys about the process itself: user, scheduling, environment, capabilities, simple namespaces. */

#define PROCESS(member) offsetof(struct pal_profile__settings, process.member)
#define STAGE(member) offsetof(struct pal_profile__stage, member)

static struct pal_profile__process *process_of(struct pal_profile__context *context)
{
	return &context->settings->process;
}

/* ---- user and groups ---- */

static int read_user(
	struct pal_profile__context *context, const struct pal_profile__key *key, char *value)
{
	(void)key;
	process_of(context)->user_line = context->line;
	return pal_profile__bad(
		context, pal_profile__find_user(process_of(context), value), "user %s", value);
}

static int read_group(
	struct pal_profile__context *context, const struct pal_profile__key *key, char *value)
{
	struct pal_profile__process *process = process_of(context);
	int r = *value ? pal_profile__find_group(value, &process->group) : 0;

	(void)key;
	if (r >= 0)
		process->group_set = *value;
	return pal_profile__bad(context, r, "group %s", value);
}

static int add_group(struct pal_profile__process *process, const char *name)
{
	gid_t *groups;
	int r;

	if (process->group_count >= PAL_PROFILE__MOST)
		return -E2BIG;
	groups = reallocarray(process->groups, process->group_count + 1, sizeof *groups);
	if (!groups)
		return -ENOMEM;
	process->groups = groups;
	r = pal_profile__find_group(name, &groups[process->group_count]);
	if (r >= 0)
		process->group_count++;
	return r;
}

static int read_groups(
	struct pal_profile__context *context, const struct pal_profile__key *key, char *value)
{
	struct pal_profile__process *process = process_of(context);
	char *word;
	int r;

	(void)key;
	process->groups_set = *value;
	if (!*value)
		process->group_count = 0;
	while ((r = pal_profile__next(context, &value, &word)) > 0) {
		r = add_group(process, word);
		if (r < 0)
			return pal_profile__bad(context, r, "group %s", word);
	}
	return r;
}

/* ---- folder, umask ---- */

static int read_umask(
	struct pal_profile__context *context, const struct pal_profile__key *key, char *value)
{
	struct pal_profile__process *process = process_of(context);
	int r = *value ? pal_profile__octal(value, 07777, &process->umask) : 0;

	(void)key;
	if (r >= 0)
		process->umask_set = *value;
	return pal_profile__bad(context, r, "\"%s\" is no octal mode", value);
}

static int read_cwd(
	struct pal_profile__context *context, const struct pal_profile__key *key, char *value)
{
	struct pal_profile__process *process = process_of(context);
	char *word = value;
	int r = pal_profile__next(context, &value, &word);
	bool optional = r > 0 && *word == '-';

	(void)key;
	if (r < 0)
		return r;
	if (*value)
		return pal_profile__bad(context, -EINVAL, "more than one folder");
	word += optional;
	free(process->cwd);
	process->cwd = NULL;
	process->cwd_home = r > 0 && !strcmp(word, "~");
	process->cwd_optional = optional;
	process->cwd_line = context->line;
	if (r == 0 || process->cwd_home)
		return 0;
	r = pal_profile__check_path(word);
	if (r < 0)
		return pal_profile__bad(context, r, "%s", word);
	process->cwd = strdup(word);
	return process->cwd ? 0 : pal_profile__bad(context, -ENOMEM, "%s", word);
}

/* ---- scheduling ---- */

static int read_nice(
	struct pal_profile__context *context, const struct pal_profile__key *key, char *value)
{
	struct pal_profile__process *process = process_of(context);
	long number = 0;
	int r = *value ? pal_profile__integer(value, -20, 19, &number) : 0;

	(void)key;
	if (r < 0)
		return pal_profile__bad(context, r, "%s is not from -20 to 19", value);
	process->nice_set = *value;
	process->nice = (int)number;
	return 0;
}

static int read_policy(
	struct pal_profile__context *context, const struct pal_profile__key *key, char *value)
{
	static const struct {
		const char *name;
		int policy;
	} policies[] = {{"other", SCHED_OTHER}, {"batch", SCHED_BATCH}, {"idle", SCHED_IDLE},
		{"fifo", SCHED_FIFO}, {"rr", SCHED_RR}};
	struct pal_profile__process *process = process_of(context);

	(void)key;
	process->policy_set = false;
	if (!*value)
		return 0;
	for (size_t i = 0; i < PAL_ARRAY_LENGTH(policies); i++)
		if (!strcmp(policies[i].name, value)) {
			process->policy = policies[i].policy;
			process->policy_set = true;
			return 0;
		}
	return pal_profile__bad(
		context, -EINVAL, "%s: there are other, batch, idle, fifo, rr", value);
}

static int read_priority(
	struct pal_profile__context *context, const struct pal_profile__key *key, char *value)
{
	struct pal_profile__process *process = process_of(context);
	long number = 0;
	int r = *value ? pal_profile__integer(value, 0, 99, &number) : 0;

	(void)key;
	if (r < 0)
		return pal_profile__bad(context, r, "%s is not from 0 to 99", value);
	process->priority_set = *value;
	process->priority = (int)number;
	return 0;
}

/* "3", "0-7" */
static int add_cpus(cpu_set_t *cpus, char *range)
{
	char *end = strchr(range, '-');
	long first, last;
	int r;

	if (end)
		*end++ = 0;
	r = pal_profile__integer(range, 0, CPU_SETSIZE - 1, &first);
	if (r >= 0)
		r = pal_profile__integer(end ? end : range, 0, CPU_SETSIZE - 1, &last);
	if (r < 0)
		return r;
	if (first > last)
		return -EINVAL;
	for (; first <= last; first++)
		CPU_SET((size_t)first, cpus);
	return 0;
}

static int read_affinity(
	struct pal_profile__context *context, const struct pal_profile__key *key, char *value)
{
	struct pal_profile__process *process = process_of(context);
	char *word;
	int r;

	(void)key;
	if (!*value) {
		CPU_ZERO(&process->cpus);
		process->cpus_set = false;
	}
	for (char *comma = value; (comma = strchr(comma, ','));)
		*comma = ' ';
	while ((r = pal_profile__next(context, &value, &word)) > 0) {
		r = add_cpus(&process->cpus, word);
		if (r < 0)
			return pal_profile__bad(context, r, "these are no CPUs");
		process->cpus_set = true;
	}
	return r;
}

/* ---- privileges ---- */

static int read_said(
	struct pal_profile__context *context, const struct pal_profile__key *key, char *value)
{
	enum pal_profile__said *place = pal_profile__place_of(context, key);
	bool on = false;

	if (!*value) {
		*place = PAL_PROFILE__UNSAID;
		return 0;
	}
	if (pal_profile__bool(value, &on) < 0)
		return pal_profile__bad(context, -EINVAL, "\"%s\" is neither yes nor no", value);
	*place = on ? PAL_PROFILE__YES : PAL_PROFILE__NO;
	return 0;
}

/* Lines add; those that begin with ~ take away, from everything if nothing was said before. */
static int merge_capabilities(bool *set, uint64_t *place, const char *value)
{
	uint64_t mask;
	int r = pal_capabilities_parse(value, &mask);

	if (r < 0)
		return r;
	if (!*value || !strcmp(value, "~"))
		*place = mask; /* nothing, or everything, whatever was said before */
	else if (*value == '~')
		*place = *set ? *place & mask : mask;
	else
		*place = *set ? *place | mask : mask;
	*set = true;
	return 0;
}

static int read_bounding(
	struct pal_profile__context *context, const struct pal_profile__key *key, char *value)
{
	struct pal_profile__stage *stage = context->stage;

	(void)key;
	return pal_profile__bad(context,
		merge_capabilities(&stage->bounding_set, &stage->bounding, value),
		"there is a name in it that is no capability");
}

static int read_ambient(
	struct pal_profile__context *context, const struct pal_profile__key *key, char *value)
{
	struct pal_profile__stage *stage = context->stage;

	(void)key;
	return pal_profile__bad(context,
		merge_capabilities(&stage->ambient_set, &stage->ambient, value),
		"there is a name in it that is no capability");
}

static int read_securebits(
	struct pal_profile__context *context, const struct pal_profile__key *key, char *value)
{
	static const struct {
		const char *name;
		unsigned bit;
	} bits[] = {{"keep-caps", SECBIT_KEEP_CAPS}, {"keep-caps-locked", SECBIT_KEEP_CAPS_LOCKED},
		{"no-setuid-fixup", SECBIT_NO_SETUID_FIXUP},
		{"no-setuid-fixup-locked", SECBIT_NO_SETUID_FIXUP_LOCKED},
		{"noroot", SECBIT_NOROOT}, {"noroot-locked", SECBIT_NOROOT_LOCKED}};
	struct pal_profile__process *process = process_of(context);
	char *word;
	int r;

	(void)key;
	if (!*value)
		process->securebits = 0;
	process->securebits_set = true;
	while ((r = pal_profile__next(context, &value, &word)) > 0) {
		size_t i = 0;

		while (i < PAL_ARRAY_LENGTH(bits) && strcmp(bits[i].name, word) != 0)
			i++;
		if (i == PAL_ARRAY_LENGTH(bits))
			return pal_profile__bad(context, -EINVAL, "%s is no secure bit", word);
		process->securebits |= bits[i].bit;
	}
	return r;
}

/* ---- environment ---- */

static int check_assignment(const char *word)
{
	const char *equals = strchr(word, '=');

	return equals && pal_profile__is_name(word, (size_t)(equals - word)) ? 0 : -EINVAL;
}

/* "NAME", or "NAME=value": where it is just that. */
static int check_name_or_assignment(const char *word)
{
	return pal_profile__is_name(word, strcspn(word, "=")) ? 0 : -EINVAL;
}

static int check_name(const char *word)
{
	return pal_profile__is_name(word, strlen(word)) ? 0 : -EINVAL;
}

static int read_environment(
	struct pal_profile__context *context, const struct pal_profile__key *key, char *value)
{
	(void)key;
	return pal_profile__read_list(
		context, &process_of(context)->environment, value, check_assignment);
}

static int read_unset(
	struct pal_profile__context *context, const struct pal_profile__key *key, char *value)
{
	(void)key;
	return pal_profile__read_list(
		context, &process_of(context)->unset, value, check_name_or_assignment);
}

static int read_pass(
	struct pal_profile__context *context, const struct pal_profile__key *key, char *value)
{
	(void)key;
	process_of(context)->pass_set = *value;
	return pal_profile__read_list(context, &process_of(context)->pass, value, check_name);
}

const struct pal_profile__key pal_profile__process_keys[] = {
	{"User", read_user, 0, 0, false},
	{"Group", read_group, 0, 0, false},
	{"SupplementaryGroups", read_groups, 0, 0, false},
	{"UMask", read_umask, 0, 0, false},
	{"WorkingDirectory", read_cwd, 0, 0, false},
	{"Nice", read_nice, 0, 0, false},
	{"CPUSchedulingPolicy", read_policy, 0, 0, false},
	{"CPUSchedulingPriority", read_priority, 0, 0, false},
	{"CPUSchedulingResetOnFork", pal_profile__read_bool, PROCESS(reset_on_fork), 0, false},
	{"CPUAffinity", read_affinity, 0, 0, false},
	{"IgnoreSIGPIPE", read_said, PROCESS(ignore_sigpipe), 0, false},
	{"Environment", read_environment, 0, 0, false},
	{"UnsetEnvironment", read_unset, 0, 0, false},
	{"PassEnvironment", read_pass, 0, 0, false},
	{"NoNewPrivileges", read_said, STAGE(no_new_privs), 0, true},
	{"CapabilityBoundingSet", read_bounding, 0, 0, true},
	{"AmbientCapabilities", read_ambient, 0, 0, false},
	{"SecureBits", read_securebits, 0, 0, false},
	{"PrivateNetwork", pal_profile__read_bool, PROCESS(network), 0, false},
	{"PrivateIPC", pal_profile__read_bool, PROCESS(ipc), 0, false},
	{"PrivateUsers", pal_profile__read_bool, PROCESS(users), 0, false},
	{"PrivatePIDs", pal_profile__read_bool, PROCESS(pids), 0, false},
	{0},
};
