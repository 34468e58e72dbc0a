/* SPDX-License-Identifier: MIT */
#include <pal/seccomp.h>

#include <errno.h>
#include <string.h>

#include <pal/seccomp-groups-priv.h>
#include <pal/seccomp-priv.h>

const char *const *pal_seccomp_groups(void)
{
	return pal__seccomp_group_names;
}

const char *const *pal_seccomp_group_members(const char *group)
{
	for (const struct pal__seccomp_group *known = pal__seccomp_groups; group && known->name;
		known++)
		if (!strcmp(known->name, group))
			return known->members;
	return NULL;
}

unsigned pal__seccomp_newest_known(void)
{
	int newest = 0;

	for (const char *const *name = pal_seccomp_group_members("@known"); *name; name++) {
		int number;

		/* the groups in it have nothing that is newer */
		if (**name != '@' && pal__seccomp_number(*name, &number) == 0 && number > newest)
			newest = number;
	}
	return (unsigned)newest;
}

/* The groups are the library's own, and none contains itself: a test looks. */
static int add_members(
	struct pal_seccomp *filter, int action, const char *const *members, struct pal_error *error)
{
	int result = 0;

	for (; *members && !result; members++) {
		int number;

		if (**members == '@')
			result = add_members(
				filter, action, pal_seccomp_group_members(*members), error);
		else if (pal__seccomp_number(*members, &number) == 0)
			result = pal_seccomp_rule(filter, action, *members, error);
		else if (action != PAL_SECCOMP_ALLOW)
			result = pal_error_set(error, PAL_STAGE_SECCOMP, -EOPNOTSUPP,
				"seccomp rule for %s, which this libseccomp has no number for",
				*members);
	}
	return result;
}

int pal_seccomp_group(
	struct pal_seccomp *filter, int action, const char *group, struct pal_error *error)
{
	const char *const *members = pal_seccomp_group_members(group);

	if (!filter || !group)
		return pal_error_set(error, PAL_STAGE_ARGUMENT, -EINVAL, "seccomp group");
	if (!members)
		return pal_error_set(
			error, PAL_STAGE_SECCOMP, -EINVAL, "unknown seccomp group %s", group);
	return add_members(filter, action, members, error);
}
