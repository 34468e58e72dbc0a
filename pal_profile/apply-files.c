/* SPDX-License-Identifier: MIT */
#include <pal_profile/settings-priv.h>

#include <errno.h>
#include <pal/root.h>
#include <stdlib.h>
#include <string.h>

#include <pal/util-priv.h>
#include <pal_profile/places-priv.h>

/*
 * Gives a builder what a text says about files. Where things are only taken away, mounts are
 * changed in place. Where less is taken away in the middle of something (ReadWritePaths= in
 * ReadOnlyPaths=), or there is a RootDirectory=, the child gets a root of its own, into which everything
 * is mounted from the old one with the rights that it shall have: so no mount has to
 * give back what another has taken.
 */

struct applying {
	struct pal_builder *builder;
	const struct pal_profile__places *places;
	const char *root; /* RootDirectory=; NULL: the host's */
	bool own_root;
	struct pal_error *error;
};

static int no_memory(struct applying *applying)
{
	return pal_error_set(applying->error, PAL_STAGE_MEMORY, -ENOMEM, "places of a profile");
}

static unsigned flags_for(bool read_only, bool no_exec, bool devices)
{
	return (read_only ? PAL_MOUNT_READ_ONLY : 0) | (no_exec ? PAL_MOUNT_NO_EXEC : 0) |
	       (devices ? PAL_MOUNT_DEVICES : 0);
}

/* The host's root, or the folder that is to be it, as the root of the child. */
static void take_root(struct applying *applying)
{
	struct pal_profile__holds holds = pal_profile__holds_at(applying->places, "/", NULL);

	pal_builder_private_root(applying->builder, true);
	pal_builder_bind(applying->builder, applying->root ? applying->root : "/", "/",
		flags_for(holds.read_only, holds.no_exec, true));
}

/* ---- one place ---- */

/* Mounts what is at the path once more, with what holds there. */
static int bind_again(struct applying *applying, const struct pal_profile__place *place)
{
	struct pal_profile__holds holds =
		pal_profile__holds_at(applying->places, place->path, NULL);
	PAL_CLEANUP_FREE char *source = NULL;
	int r = 0;

	if (!applying->own_root) {
		pal_builder_bind(applying->builder, place->path, place->path,
			flags_for(false, holds.no_exec, true));
		return 0;
	}
	source = pal_profile__host_path(applying->places, applying->root, place->path, NULL, &r);
	if (r < 0)
		return no_memory(applying);
	if (!source)
		return pal_error_set(applying->error, PAL_STAGE_PROFILE, -EOPNOTSUPP,
			"%s is in a file system of the child's own, and is to be other than it",
			place->path);
	pal_builder_bind(applying->builder, source, place->path,
		flags_for(holds.read_only, holds.no_exec, true));
	return 0;
}

/* What the mount that it is in does already: a tmpfs is made with what holds at its own path. */
static bool is_done(const struct pal_profile__place *cover, const struct pal_profile__place *place)
{
	if (!cover || cover->kind == PAL_PROFILE__BIND)
		return false;
	if (place->kind == PAL_PROFILE__READ_WRITE)
		return !cover->read_only;
	if (place->kind == PAL_PROFILE__NO_EXEC && cover->kind == PAL_PROFILE__DEV)
		return true; /* nothing in it can be executed */
	return place->kind != PAL_PROFILE__READ_ONLY && !strcmp(cover->path, place->path);
}

static int restrict_place(struct applying *applying, const struct pal_profile__place *place)
{
	const struct pal_profile__place *cover;

	if (applying->own_root && !strcmp(place->path, "/"))
		return 0; /* done: take_root */
	cover = pal_profile__holds_at(applying->places, place->path, NULL).cover;
	if (is_done(cover, place))
		return 0;
	if (place->kind == PAL_PROFILE__READ_ONLY &&
		(!applying->own_root || (cover && cover->kind != PAL_PROFILE__BIND))) {
		pal_builder_remount_read_only(applying->builder, place->path, true);
		return 0;
	}
	if (!applying->own_root && place->kind != PAL_PROFILE__NO_EXEC)
		return 0; /* nothing to lift: see pal_profile__places_lift */
	return bind_again(applying, place);
}

/* Whether something is to be mounted in it: the next of the list is, if any. */
static bool is_target(const struct applying *applying, const struct pal_profile__place *place)
{
	const struct pal_profile__place *next = place + 1;

	return next < applying->places->items + applying->places->count &&
	       pal_profile__is_within(next->path, place->path);
}

/* One that gets folders for mounts is read-only when they are there: close_tmpfs. */
static void mount_tmpfs(struct applying *applying, const struct pal_profile__place *place)
{
	struct pal_profile__holds holds =
		pal_profile__holds_at(applying->places, place->path, NULL);
	bool read_only = place->read_only && !is_target(applying, place);

	pal_builder_tmpfs(applying->builder, place->path, (size_t)place->size, place->mode,
		flags_for(read_only, holds.no_exec, place->devices));
}

static void close_tmpfs(struct applying *applying, const struct pal_profile__place *place)
{
	if (place->kind == PAL_PROFILE__TMPFS && place->read_only && is_target(applying, place))
		pal_builder_remount_read_only(applying->builder, place->path, false);
}

static int apply_place(struct applying *applying, const struct pal_profile__place *place)
{
	switch (place->kind) {
	case PAL_PROFILE__TMPFS:
		mount_tmpfs(applying, place);
		return 0;
	case PAL_PROFILE__BIND:
		pal_builder_bind(applying->builder, place->source, place->path,
			flags_for(place->read_only, place->no_exec, place->devices) |
				(place->optional ? PAL_MOUNT_OPTIONAL : 0));
		return 0;
	case PAL_PROFILE__DEV:
		pal_builder_mount_dev(applying->builder, place->path);
		return 0;
	case PAL_PROFILE__PROC:
		pal_builder_mount_proc(applying->builder, place->path);
		return 0;
	case PAL_PROFILE__READ_WRITE:
	case PAL_PROFILE__READ_ONLY:
	case PAL_PROFILE__EXEC:
	case PAL_PROFILE__NO_EXEC:
		return restrict_place(applying, place);
	case PAL_PROFILE__HIDE:
		pal_builder_hide(applying->builder, place->path);
		return 0;
	case PAL_PROFILE__KINDS:
		break;
	}
	return 0;
}

int pal_profile__apply_files(const struct pal_profile__settings *settings,
	struct pal_builder *builder, struct pal_error *error)
{
	struct pal_profile__places places = {0};
	struct applying applying = {.builder = builder,
		.places = &places,
		.root = settings->files.root,
		.error = error};
	int r = pal_profile__places_collect(settings, builder, &places, error);

	if (r < 0)
		return r;
	applying.own_root = applying.root || pal_profile__places_lift(&places);
	if (applying.own_root)
		take_root(&applying);
	for (size_t i = 0; i < places.count && r >= 0; i++)
		r = apply_place(&applying, &places.items[i]);
	for (size_t i = 0; i < places.count && r >= 0; i++)
		close_tmpfs(&applying, &places.items[i]);
	pal_profile__places_clear(&places);
	return r;
}
