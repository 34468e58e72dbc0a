/* SPDX-License-Identifier: MIT */
#include <pal/profile.h>

#include <pal/util-priv.h>

int pal_profile_finalize(const struct pal_profile *profile, struct pal_error *error)
{
	if (!profile)
		return 0;
	if (profile->size < sizeof *profile)
		return pal_error_set(error, PAL_STAGE_ARGUMENT, -EINVAL, "sandbox profile");
	return profile->finalize ? profile->finalize(profile, error) : 0;
}
