/* SPDX-License-Identifier: MIT */
#ifndef PROCMESH_PAL_PROFILE_PRIV_H
#define PROCMESH_PAL_PROFILE_PRIV_H

#include <pal/profile.h>
#include <pal/root-priv.h>
#include <pal/sandbox-priv.h>

/*
 * Calls the apply hook so that what the builder had been told of the sandbox before holds as well:
 * profile-stack.c. 0 or a negative errno.
 */
int pal__profile_apply(
	const struct pal_profile *profile, struct pal_builder *builder, struct pal_error *error);

/*
 * Around what a setter of the sandbox does: what profiles have set before stays, and holds with it.
 * *before is kept for the end.
 */
void pal__setter_begin(struct pal_builder *builder, struct pal__sandbox *before);
void pal__setter_end(struct pal_builder *builder, struct pal__sandbox *before);

/* The same after a setter of root.h: what profiles have mounted stays, or the builder has an error. */
void pal__setter_mounts(struct pal_builder *builder);

/*
 * Whether all that the first `before` mounts take away is still away with those behind them:
 * profile-mounts.c. 0 or -EOPNOTSUPP. `had_root`: private_root was set by then.
 */
int pal__profile_mounts_hold(
	const struct pal__root *root, size_t before, bool had_root, struct pal_error *error);

/*
 * What its finalize would do to this process, done to `builder` instead. 0, or a negative errno; *known is false where the
 * hook is nobody's here, and may do anything: it is not called then.
 */
int pal__profile_note_finalize(const struct pal_profile *profile, struct pal_builder *builder, bool *known,
	struct pal_error *error);

/* Whether it is one: 0, or as pal_check_size. */
int pal__profile_check(const struct pal_profile *profile);

#endif
