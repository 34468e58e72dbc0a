/* SPDX-License-Identifier: MIT */
#include <pal/profile-priv.h>

#include <errno.h>
#include <string.h>

#include <pal/builder-priv.h>
#include <pal/seccomp-stack-priv.h>
#include <pal/util-priv.h>

/*
 * Setters replace what was set before. Between profiles that would be the weaker sandbox of the two: so
 * a profile is applied to an empty one, and then both are put together. Of what is no
 * sandbox - user, folder, environment - the later one counts, mounts and namespaces add up.
 */

static struct pal_capabilities both_sets(
	const struct pal_capabilities *a, const struct pal_capabilities *b)
{
	return (struct pal_capabilities){a->bounding & b->bounding, a->permitted & b->permitted,
		a->effective & b->effective, a->inheritable & b->inheritable,
		a->ambient & b->ambient};
}

static void stack_capabilities(struct pal__sandbox *sandbox, const struct pal__sandbox *before)
{
	if (before->set_capabilities && sandbox->set_capabilities) {
		sandbox->capabilities = both_sets(&before->capabilities, &sandbox->capabilities);
	} else if (before->set_capabilities) {
		sandbox->set_capabilities = true;
		sandbox->capabilities = before->capabilities;
		sandbox->last_capability = before->last_capability;
		sandbox->bounding_seen = before->bounding_seen;
	}
	sandbox->keep_capabilities |= before->keep_capabilities;
	sandbox->securebits |= before->securebits;
	sandbox->set_securebits |= before->set_securebits;
}

static struct pal__landlock_view take_view(struct pal__landlock_view *view)
{
	struct pal__landlock_view taken = *view;

	*view = (struct pal__landlock_view){0};
	return taken;
}

static int stack_ruleset(
	struct pal__sandbox *sandbox, int *fd, unsigned flags, struct pal__landlock_view *view)
{
	if (*fd < 0)
		return 0;
	for (size_t i = 0; i < PAL__STACKED_MAX; i++)
		if (sandbox->stacked_fds[i] < 0) {
			sandbox->stacked_fds[i] = pal_take_fd(fd);
			sandbox->stacked_flags[i] = flags;
			sandbox->stacked_views[i] = take_view(view);
			return 0;
		}
	return -E2BIG;
}

/* The later one stays where it is: a setter of the caller would replace that. */
static int stack_landlock(struct pal__sandbox *sandbox, struct pal__sandbox *before)
{
	int r = 0;

	for (size_t i = 0; i < PAL__STACKED_MAX && r >= 0; i++)
		r = stack_ruleset(sandbox, &before->stacked_fds[i], before->stacked_flags[i],
			&before->stacked_views[i]);
	if (r >= 0 && sandbox->landlock_fd < 0) {
		sandbox->landlock_fd = pal_take_fd(&before->landlock_fd);
		sandbox->landlock_flags = before->landlock_flags;
		/* of a ruleset of which this kernel knows nothing */
		pal__landlock_words_unref(sandbox->landlock_view.words);
		sandbox->landlock_view = take_view(&before->landlock_view);
	} else if (r >= 0) {
		r = stack_ruleset(sandbox, &before->landlock_fd, before->landlock_flags,
			&before->landlock_view);
	}
	if (sandbox->border_fd < 0)
		sandbox->border_fd = pal_take_fd(&before->border_fd);
	return r;
}

static int stack_filters(struct pal__sandbox *sandbox, struct pal__sandbox *before)
{
	struct sock_fprog both;
	int r = 0;

	if (before->seccomp.len && sandbox->seccomp.len) {
		r = pal__seccomp_stack(&before->seccomp, &sandbox->seccomp, &both);
		if (r < 0)
			return r;
		pal__seccomp_program_free(&sandbox->seccomp);
		sandbox->seccomp = both;
	} else if (before->seccomp.len) {
		sandbox->seccomp = before->seccomp;
		before->seccomp = (struct sock_fprog){0};
	}
	if (before->exec_key) /* the other one's, if there is one, is the same: shared_key */
		sandbox->exec_key = before->exec_key;
	if (before->start_key)
		sandbox->start_key = before->start_key;
	sandbox->notify |= before->notify;
	return 0;
}

static void stack_limits(struct pal_builder *builder, const struct rlimit *limits, const bool *set)
{
	for (size_t i = 0; i < RLIM_NLIMITS; i++) {
		struct rlimit *now = &builder->limits[i];

		if (!set[i])
			continue;
		if (limits[i].rlim_cur < now->rlim_cur)
			now->rlim_cur = limits[i].rlim_cur;
		if (limits[i].rlim_max < now->rlim_max)
			now->rlim_max = limits[i].rlim_max;
	}
}

static int stack(struct pal__sandbox *sandbox, struct pal__sandbox *before, struct pal_error *error)
{
	int r;

	sandbox->no_new_privs |= before->no_new_privs;
	stack_capabilities(sandbox, before);
	r = stack_landlock(sandbox, before);
	if (r < 0)
		return pal_error_set(error, PAL_STAGE_LANDLOCK, r,
			"more than %d Landlock rulesets in one sandbox", PAL__STACKED_MAX + 1);
	r = stack_filters(sandbox, before);
	if (r < 0)
		return pal_error_set(error, r == -ENOMEM ? PAL_STAGE_MEMORY : PAL_STAGE_SECCOMP, r,
			"two filters in one sandbox");
	return 0;
}

int pal__profile_apply(
	const struct pal_profile *profile, struct pal_builder *builder, struct pal_error *error)
{
	struct pal__sandbox before = builder->sandbox;
	struct rlimit limits[RLIM_NLIMITS];
	bool limit_set[RLIM_NLIMITS];
	int r;

	if (!profile->apply)
		return 0;
	memcpy(limits, builder->limits, sizeof limits);
	memcpy(limit_set, builder->limit_set, sizeof limit_set);
	builder->sandbox = (struct pal__sandbox)PAL__SANDBOX_INIT;
	builder->sandbox.no_new_privs = before.no_new_privs;
	builder->sandbox.shared_key = before.exec_key ? before.exec_key : before.shared_key;
	r = profile->apply(profile, builder, error);
	if (r >= 0)
		r = stack(&builder->sandbox, &before, error);
	builder->sandbox.shared_key = before.shared_key;
	stack_limits(builder, limits, limit_set);
	pal__sandbox_clear(&before);
	return r;
}
