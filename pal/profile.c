/* SPDX-License-Identifier: MIT */
#include <pal/profile.h>

#include <pal/util-priv.h>

int pal_profile_finalize(const struct pal_profile *profile, struct pal_error *error)
{
	int result;

	if (!profile)
		return 0;
	result = pal_check_size(profile, profile->size, sizeof *profile);
	if (result < 0)
		return pal_error_set(error, PAL_STAGE_ARGUMENT, result, "sandbox profile");
	return profile->finalize ? profile->finalize(profile, error) : 0;
}
