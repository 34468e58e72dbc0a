/* SPDX-License-Identifier: MIT */
#include <pal/profile-priv.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include <pal/builder.h>
#include <pal/util-priv.h>

int pal__profile_check(const struct pal_profile *profile)
{
	return profile ? pal_check_size(profile, profile->size, sizeof *profile) : -EINVAL;
}

int pal_profile_finalize(const struct pal_profile *profile, struct pal_error *error)
{
	int result;

	if (!profile)
		return 0;
	result = pal__profile_check(profile);
	if (result < 0)
		return pal_error_set(error, PAL_STAGE_ARGUMENT, result, "sandbox profile");
	return profile->finalize ? profile->finalize(profile, error) : 0;
}

void pal_profile_free(struct pal_profile *profile)
{
	int saved = errno;

	if (profile && profile->destroy)
		profile->destroy(profile);
	errno = saved;
}

/* ---- two of them ---- */

struct composition {
	struct pal_profile profile;
	const struct pal_profile *first, *second;
	char *name;
};

static int apply_both(
	const struct pal_profile *profile, struct pal_builder *builder, struct pal_error *error)
{
	const struct composition *both = profile->data;
	int r = pal__profile_apply(both->first, builder, error);

	return r < 0 ? r : pal__profile_apply(both->second, builder, error);
}

static int finalize_both(const struct pal_profile *profile, struct pal_error *error)
{
	const struct composition *both = profile->data;
	int r = pal_profile_finalize(both->first, error);

	return r < 0 ? r : pal_profile_finalize(both->second, error);
}

/* Those with a text are made here and in libprocmesh-profile, and call pal_self_restrict only. */
static bool is_known(const struct pal_profile *profile)
{
	const struct composition *both = profile->data;

	if (profile->finalize == finalize_both)
		return is_known(both->first) && is_known(both->second);
	return !profile->finalize || profile->text;
}

int pal__profile_note_finalize(const struct pal_profile *profile, struct pal_builder *builder,
	bool *known, struct pal_error *error)
{
	struct pal_builder *before;
	int r;

	*known = is_known(profile);
	if (!*known)
		return 0;
	before = pal__self_restrict_instead(builder);
	r = pal_profile_finalize(profile, error);
	pal__self_restrict_instead(before);
	return r;
}

static void destroy_both(struct pal_profile *profile)
{
	struct composition *both = profile->data;

	free(both->name);
	free(both);
}

static const char *name_of(const struct pal_profile *profile)
{
	return profile->name ? profile->name : "unnamed";
}

int pal_profile_compose(const struct pal_profile *first, const struct pal_profile *second,
	struct pal_profile **ret, struct pal_error *error)
{
	struct composition *both;

	if (pal__profile_check(first) < 0 || pal__profile_check(second) < 0 || !ret)
		return pal_error_set(error, PAL_STAGE_ARGUMENT, -EINVAL, "composing profiles");
	both = calloc(1, sizeof *both);
	if (!both || asprintf(&both->name, "%s, %s", name_of(first), name_of(second)) < 0) {
		free(both);
		return pal_error_set(error, PAL_STAGE_MEMORY, -ENOMEM, "composing profiles");
	}
	both->first = first;
	both->second = second;
	both->profile = (struct pal_profile){
		.size = sizeof both->profile,
		.name = both->name,
		.apply = apply_both,
		.finalize = first->finalize || second->finalize ? finalize_both : NULL,
		.data = both,
		.destroy = destroy_both,
	};
	*ret = &both->profile;
	return 0;
}
