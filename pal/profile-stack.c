/* SPDX-License-Identifier: MIT */
#include <pal/profile-priv.h>

#include <errno.h>
#include <string.h>

#include <pal/builder-priv.h>
#include <pal/seccomp-stack-priv.h>
#include <pal/util-priv.h>

/*
 * Setters replace what was set before. Between profiles that would be the weaker sandbox of the two: so
 * a profile is applied to an empty one, and then both are put together; the same for what a
 * setter says after a profile. Of what is no sandbox - user, folder, environment - the later
 * one counts, mounts (profile-mounts.c) and namespaces add up.
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
		sandbox->unless_root &= before->unless_root;
	} else if (before->set_capabilities) {
		sandbox->set_capabilities = true;
		sandbox->capabilities = before->capabilities;
		sandbox->unless_root = before->unless_root;
		sandbox->last_capability = before->last_capability;
		sandbox->bounding_seen = before->bounding_seen;
	}
	sandbox->keep_capabilities |= before->keep_capabilities;
	sandbox->securebits |= before->securebits;
	sandbox->set_securebits |= before->set_securebits;
}

/* What a ruleset that the kernel has nothing for leaves to be said. */
static void add_missing(struct pal__landlock_view *view, const struct pal__landlock_view *other)
{
	view->missing.files |= other->missing.files;
	view->missing.ports |= other->missing.ports;
	view->missing.scopes |= other->missing.scopes;
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

/* For a sandbox that has none in the kernel; it may have one that does nothing there. */
static void take_ruleset(struct pal__sandbox *sandbox, struct pal__sandbox *before)
{
	struct pal__landlock_view own = sandbox->landlock_view;

	if (!before->landlock_view.words)
		return;
	sandbox->landlock_fd = pal_take_fd(&before->landlock_fd);
	sandbox->landlock_flags = before->landlock_flags;
	sandbox->landlock_view = take_view(&before->landlock_view);
	add_missing(&sandbox->landlock_view, &own);
	pal__landlock_words_unref(own.words);
}

static int stack_landlock(struct pal__sandbox *sandbox, struct pal__sandbox *before)
{
	int r = 0;

	for (size_t i = 0; i < PAL__STACKED_MAX && r >= 0; i++)
		r = stack_ruleset(sandbox, &before->stacked_fds[i], before->stacked_flags[i],
			&before->stacked_views[i]);
	if (r >= 0 && sandbox->landlock_fd < 0) {
		take_ruleset(sandbox, before);
	} else if (r >= 0) {
		if (before->landlock_fd < 0)
			add_missing(&sandbox->landlock_view, &before->landlock_view);
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

/* An empty one in the place of what was set so far, which *before becomes. */
static void set_aside(struct pal_builder *builder, struct pal__sandbox *before)
{
	*before = builder->sandbox;
	builder->sandbox = (struct pal__sandbox)PAL__SANDBOX_INIT;
	builder->sandbox.no_new_privs = before->no_new_privs;
	builder->sandbox.shared_key = before->exec_key ? before->exec_key : before->shared_key;
}

/* Both at once from now on, and what follows comes on top. `r`: what came of setting the later one. */
static int put_together(
	struct pal_builder *builder, struct pal__sandbox *before, int r, struct pal_error *error)
{
	if (r >= 0)
		r = stack(&builder->sandbox, before, error);
	builder->sandbox.shared_key = before->shared_key;
	builder->sandbox.settled = true;
	pal__sandbox_clear(before);
	return r;
}

/* Where a profile says nothing of mounts, those of the caller are the caller's. */
static void settle_root(struct pal__root *root, size_t mounts, bool had_root)
{
	if (root->count == mounts && root->private_root == had_root)
		return;
	root->settled_count = root->count;
	root->settled_private = root->private_root;
}

int pal__profile_apply(
	const struct pal_profile *profile, struct pal_builder *builder, struct pal_error *error)
{
	const size_t mounts = builder->root.count;
	const bool had_root = builder->root.private_root;
	const bool forbade_user = builder->namespaces.forbid_user;
	const bool denied_groups = builder->namespaces.setgroups == PAL__SETGROUPS_DENIED;
	struct pal__sandbox before;
	struct rlimit limits[RLIM_NLIMITS];
	bool limit_set[RLIM_NLIMITS];
	int r;

	if (!profile->apply)
		return 0;
	memcpy(limits, builder->limits, sizeof limits);
	memcpy(limit_set, builder->limit_set, sizeof limit_set);
	set_aside(builder, &before);
	r = profile->apply(profile, builder, error);
	builder->namespaces.forbid_user |= forbade_user;
	if (denied_groups)
		builder->namespaces.setgroups = PAL__SETGROUPS_DENIED;
	builder->root.private_root |= had_root;
	if (r >= 0)
		r = pal__profile_mounts_hold(&builder->root, mounts, had_root, error);
	r = put_together(builder, &before, r, error);
	stack_limits(builder, limits, limit_set);
	settle_root(&builder->root, mounts, had_root);
	return r;
}

/* ---- setters after a profile ---- */

void pal__setter_begin(struct pal_builder *builder, struct pal__sandbox *before)
{
	if (builder->sandbox.settled)
		set_aside(builder, before);
	else
		*before = (struct pal__sandbox)PAL__SANDBOX_INIT;
}

void pal__setter_mounts(struct pal_builder *builder)
{
	struct pal__root *root = &builder->root;
	struct pal_error error = {0};

	if (!builder->sandbox.settled)
		return;
	root->private_root |= root->settled_private;
	if (pal__profile_mounts_hold(root, root->settled_count, root->settled_private, &error) <
			0 &&
		!builder->first_error.code)
		builder->first_error = error;
}

void pal__setter_end(struct pal_builder *builder, struct pal__sandbox *before)
{
	struct pal_error error = {0};

	if (before->settled && put_together(builder, before, 0, &error) < 0 &&
		!builder->first_error.code)
		builder->first_error = error;
}
