/* SPDX-License-Identifier: MIT */
#include <pal_profile/settings-priv.h>

#include <linux/capability.h>
#include <pal/process.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <pal/util-priv.h>

/* Privileges, rulesets and filters: for a child, and for this process when it is ready (finalize). */

#define CAPABILITY(number) (UINT64_C(1) << (number))
#define ALL UINT64_MAX

/* ---- capabilities ---- */

static uint64_t joined(uint32_t low, uint32_t high)
{
	return (uint64_t)high << 32 | low;
}

/* Of the calling thread. */
static struct pal_capabilities current_sets(void)
{
	struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3] = {{0}};
	struct pal_capabilities sets = PAL_CAPABILITIES_NONE;

	syscall(SYS_capget, &header, data);
	sets.permitted = joined(data[0].permitted, data[1].permitted);
	sets.effective = joined(data[0].effective, data[1].effective);
	sets.inheritable = joined(data[0].inheritable, data[1].inheritable);
	/* only what is permitted and inheritable can be ambient, in most processes nothing */
	for (unsigned number = 0; number < 64; number++)
		if (sets.permitted & sets.inheritable & CAPABILITY(number) &&
			prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_IS_SET, number, 0, 0) == 1)
			sets.ambient |= CAPABILITY(number);
	return sets;
}

/* What the keys of whole areas take away. */
static uint64_t taken_capabilities(const struct pal_profile__settings *settings)
{
	uint64_t taken = 0;

	if (settings->stage.filter.no_clock)
		taken |= CAPABILITY(CAP_SYS_TIME) | CAPABILITY(CAP_WAKE_ALARM);
	if (settings->files.kernel_modules)
		taken |= CAPABILITY(CAP_SYS_MODULE);
	if (settings->files.kernel_logs)
		taken |= CAPABILITY(CAP_SYSLOG);
	if (settings->files.devices)
		taken |= CAPABILITY(CAP_MKNOD) | CAPABILITY(CAP_SYS_RAWIO);
	return taken;
}

/*
 * What exec would make of the bounding set, now: so it holds under no_new_privs, too. Another user
 * than root keeps the ambient ones only; who the child is may be said after this.
 */
static void apply_capabilities(
	const struct pal_profile__settings *settings, struct pal_builder *builder)
{
	const struct pal_profile__stage *stage = &settings->stage;
	uint64_t taken = taken_capabilities(settings);
	struct pal_capabilities sets = PAL_CAPABILITIES_NONE;

	if (!stage->bounding_set && !stage->ambient_set && !taken)
		return;
	sets.bounding = (stage->bounding_set ? stage->bounding : ALL) & ~taken;
	sets.ambient = stage->ambient_set ? stage->ambient & sets.bounding : 0;
	sets.inheritable = sets.ambient;
	sets.permitted = sets.ambient;
	sets.permitted |=
		settings->process.users ? sets.bounding : current_sets().permitted & sets.bounding;
	sets.effective = sets.permitted;
	pal_builder_capabilities_of_root(builder, &sets);
}

/* ---- a child ---- */

/* With what the ruleset needs to hold. */
static struct pal_profile__filter filter_of(const struct pal_profile__stage *stage)
{
	struct pal_profile__filter filter = stage->filter;

	filter.no_port_evasion = pal_profile__restricts_ports(&stage->landlock);
	return filter;
}

/* And with what the keys about files and devices add to it. */
static struct pal_profile__filter whole_filter(const struct pal_profile__settings *settings)
{
	struct pal_profile__filter filter = filter_of(&settings->stage);

	filter.no_modules = settings->files.kernel_modules;
	filter.no_kernel_log = settings->files.kernel_logs;
	filter.no_raw_io = settings->files.devices;
	return filter;
}

/* What is enforced on top of the capabilities; the two may be NULL. */
struct enforced {
	struct pal_landlock *ruleset;
	struct pal_seccomp *filter;
	bool no_new_privs;
};

static int make_enforced(const struct pal_profile__stage *stage,
	const struct pal_profile__filter *asked, struct enforced *ret, struct pal_error *error)
{
	int r = pal_profile__make_landlock(&stage->landlock, stage->name, &ret->ruleset, error);

	if (r >= 0)
		r = pal_profile__make_filter(asked, &ret->filter, error);
	ret->no_new_privs = stage->no_new_privs == PAL_PROFILE__YES ||
			    (stage->no_new_privs == PAL_PROFILE__UNSAID &&
				    (ret->ruleset || ret->filter));
	return r;
}

static void free_enforced(struct enforced *enforced)
{
	pal_landlock_free(enforced->ruleset);
	pal_seccomp_free(enforced->filter);
}

int pal_profile__apply_stage(const struct pal_profile__settings *settings,
	struct pal_builder *builder, struct pal_error *error)
{
	const struct pal_profile__filter asked = whole_filter(settings);
	struct enforced enforced = {NULL};
	int r = make_enforced(&settings->stage, &asked, &enforced, error);

	if (r >= 0) {
		apply_capabilities(settings, builder);
		if (enforced.no_new_privs)
			pal_builder_no_new_privs(builder, true);
		if (enforced.ruleset)
			pal_builder_landlock(builder, enforced.ruleset);
		if (enforced.filter)
			pal_builder_seccomp(builder, enforced.filter);
	}
	free_enforced(&enforced);
	return r;
}

/* ---- this process ---- */

static void keep(struct pal_capabilities *sets, uint64_t mask)
{
	sets->bounding = mask;
	sets->permitted &= mask;
	sets->effective &= mask;
	sets->inheritable &= mask;
	sets->ambient &= mask;
}

int pal_profile__finalize_stage(const struct pal_profile__stage *stage, struct pal_error *error)
{
	struct pal_self_restrictions restrictions = {.size = sizeof restrictions};
	const struct pal_profile__filter asked = filter_of(stage);
	struct pal_capabilities sets = current_sets();
	struct enforced enforced = {NULL};
	int r = make_enforced(stage, &asked, &enforced, error);

	if (r >= 0) {
		keep(&sets, stage->bounding_set ? stage->bounding : ALL);
		restrictions.no_new_privs = enforced.no_new_privs;
		restrictions.capabilities = stage->bounding_set ? &sets : NULL;
		restrictions.landlock = enforced.ruleset;
		restrictions.seccomp = enforced.filter;
		r = pal_self_restrict(&restrictions, error);
	}
	free_enforced(&enforced);
	return r;
}
