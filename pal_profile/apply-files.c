/* SPDX-License-Identifier: MIT */
#include <pal_profile/settings-priv.h>

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <pal/root.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <pal/util-priv.h>
#include <pal_profile/places-priv.h>

/*
 * Gives a builder what a text says about files. Where things are only taken away, mounts are
 * changed in place. Where less is taken away in the middle of something (ReadWritePaths= in
 * ReadOnlyPaths=), or there is a RootDirectory=, the child gets a root of its own, into
 * which each entry of the other is mounted with the rights that it shall have: what
 * is not mounted as it was before cannot be had back.
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

/* ---- a root of its own ---- */

static bool is_covered(const struct applying *applying, const char *path)
{
	const struct pal_profile__place *cover =
		pal_profile__holds_at(applying->places, path, NULL).cover;

	return cover && !strcmp(cover->path, path);
}

static int take_link(struct applying *applying, const char *source, const char *path)
{
	char content[PATH_MAX];
	ssize_t length = readlink(source, content, sizeof content - 1);

	if (length < 0)
		return pal_error_set(applying->error, PAL_STAGE_PROFILE, -errno, "%s", source);
	content[length] = 0;
	pal_builder_symlink(applying->builder, content, path);
	return 0;
}

static int take_entry(struct applying *applying, const struct dirent *entry)
{
	PAL_CLEANUP_FREE char *path = NULL, *source = NULL;
	struct pal_profile__holds holds;

	if (asprintf(&path, "/%s", entry->d_name) < 0) {
		path = NULL;
		return no_memory(applying);
	}
	if (asprintf(&source, "%s%s", applying->root ? applying->root : "", path) < 0) {
		source = NULL;
		return no_memory(applying);
	}
	if (is_covered(applying, path))
		return 0;
	if (entry->d_type == DT_LNK)
		return take_link(applying, source, path);
	holds = pal_profile__holds_at(applying->places, path, NULL);
	pal_builder_bind(applying->builder, source, path,
		flags_for(holds.read_only, holds.no_exec, true) | PAL_MOUNT_OPTIONAL);
	return 0;
}

static int take_root(struct applying *applying)
{
	const char *root = applying->root ? applying->root : "/";
	DIR *folder = opendir(root);
	struct dirent *entry;
	int r = 0;

	if (!folder)
		return pal_error_set(
			applying->error, PAL_STAGE_PROFILE, -errno, "RootDirectory=%s", root);
	pal_builder_private_root(applying->builder, true);
	while (r >= 0 && (entry = readdir(folder)))
		if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
			r = take_entry(applying, entry);
	closedir(folder);
	return r;
}

/* ---- one place ---- */

static bool is_top(const char *path)
{
	return !strchr(path + 1, '/');
}

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

/* Whether the mount that covers the path has its flags already. */
static bool is_done(const struct applying *applying, const struct pal_profile__place *place)
{
	const struct pal_profile__place *cover =
		pal_profile__holds_at(applying->places, place->path, NULL).cover;

	return !cover && applying->own_root && is_top(place->path);
}

static int restrict_place(struct applying *applying, const struct pal_profile__place *place)
{
	const struct pal_profile__place *cover;

	if (is_done(applying, place))
		return 0;
	cover = pal_profile__holds_at(applying->places, place->path, NULL).cover;
	if (place->kind == PAL_PROFILE__READ_ONLY &&
		(!applying->own_root || (cover && cover->kind != PAL_PROFILE__BIND))) {
		pal_builder_remount_read_only(applying->builder, place->path, true);
		return 0;
	}
	if (!applying->own_root && place->kind != PAL_PROFILE__NO_EXEC)
		return 0; /* nothing to lift: see pal_profile__places_lift */
	return bind_again(applying, place);
}

static void mount_tmpfs(struct applying *applying, const struct pal_profile__place *place)
{
	pal_builder_tmpfs(applying->builder, place->path, (size_t)place->size, place->mode,
		flags_for(place->read_only, place->no_exec, place->devices));
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
	int r = pal_profile__places_collect(settings, &places, error);

	if (r < 0)
		return r;
	applying.own_root = applying.root || pal_profile__places_lift(&places);
	if (applying.own_root)
		r = take_root(&applying);
	for (size_t i = 0; i < places.count && r >= 0; i++)
		r = apply_place(&applying, &places.items[i]);
	pal_profile__places_clear(&places);
	return r;
}
