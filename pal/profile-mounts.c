/* SPDX-License-Identifier: MIT */
#include <pal/profile-priv.h>

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <pal/builder-priv.h>
#include <pal/util-priv.h>

/*
 * Mounts are made one after the other, and the last one at a place is what is seen there: what
 * one profile has made read-only or hidden, a mount of the next would bring back. What only takes
 * away may come later, and what is in the same place as strict as before; all else is refused.
 */

/* As the kernel will find the place, if there is no root of its own; else only a guess. */
static void resolve(const char *path, char resolved[static PATH_MAX])
{
	int saved = errno;

	if (!realpath(path, resolved))
		snprintf(resolved, PATH_MAX, "%s", path);
	errno = saved;
}

static void resolve_target(const struct pal__mount *mount, char resolved[static PATH_MAX])
{
	char path[PATH_MAX];

	snprintf(path, sizeof path, "/%s", mount->target);
	resolve(path, resolved);
}

/* Both begin with one slash. */
static bool is_within(const char *path, const char *outer)
{
	size_t length = strlen(outer);

	if (length == 1) /* the root */
		return true;
	return !strncmp(path, outer, length) && (!path[length] || path[length] == '/');
}

static bool is_over(const struct pal__mount *later, const struct pal__mount *earlier)
{
	char outer[PATH_MAX], inner[PATH_MAX];
	size_t length = strlen(later->target);

	if (!length || (!strncmp(earlier->target, later->target, length) &&
			       (!earlier->target[length] || earlier->target[length] == '/')))
		return true;
	resolve_target(later, outer);
	resolve_target(earlier, inner);
	return is_within(inner, outer);
}

static bool only_takes_away(const struct pal__root *root, const struct pal__mount *mount)
{
	char source[PATH_MAX], target[PATH_MAX];

	switch (mount->kind) {
	case PAL__MOUNT_READ_ONLY:
	case PAL__MOUNT_HIDE:
	case PAL__MOUNT_KEEP:    /* of what is there by then, whoever has mounted it */
	case PAL__MOUNT_SYMLINK: /* only where the builder's own mounts are */
		return true;
	case PAL__MOUNT_BIND: /* of what is there, on itself: with the flags it has, and all that is in it */
		if (root->private_root)
			return false;
		resolve(mount->source, source);
		resolve_target(mount, target);
		return !strcmp(source, target);
	case PAL__MOUNT_TMPFS:
		return mount->flags & PAL_MOUNT_READ_ONLY;
	default:
		return false;
	}
}

static unsigned long long size_of(const struct pal__mount *mount)
{
	return *mount->size ? strtoull(mount->size, NULL, 10) : ULLONG_MAX;
}

/* Of the same kind, and with nothing that the earlier one did not have. */
static bool is_as_strict(const struct pal__mount *later, const struct pal__mount *earlier)
{
	const unsigned strict = PAL_MOUNT_READ_ONLY | PAL_MOUNT_NO_EXEC;

	if (later->kind != earlier->kind || later->kind == PAL__MOUNT_BIND)
		return false;
	return !(earlier->flags & strict & ~later->flags) &&
	       !(later->flags & ~earlier->flags & PAL_MOUNT_DEVICES) &&
	       size_of(later) <= size_of(earlier);
}

static int refuse(
	const struct pal__root *root, size_t number, const char *why, struct pal_error *error)
{
	pal_error_set(error, PAL_STAGE_PROFILE, -EOPNOTSUPP, "mount %zu, on /%s, %s", number,
		root->items[number].target, why);
	if (error)
		error->index = (int)number;
	return -EOPNOTSUPP;
}

int pal__profile_mounts_hold(
	const struct pal__root *root, size_t before, bool had_root, struct pal_error *error)
{
	if (!before)
		return 0;
	if (root->private_root && !had_root)
		return pal_error_set(error, PAL_STAGE_PROFILE, -EOPNOTSUPP,
			"a root of its own would be without the %zu mounts before", before);
	for (size_t i = before; i < root->count; i++) {
		const struct pal__mount *later = &root->items[i];

		if (only_takes_away(root, later))
			continue;
		if (root->private_root && later->kind == PAL__MOUNT_BIND)
			return refuse(root, i,
				"would show files of the host that the root before it leaves out",
				error);
		for (size_t j = 0; j < before; j++)
			if (root->items[j].kind != PAL__MOUNT_KEEP &&
				is_over(later, &root->items[j]) &&
				!is_as_strict(later, &root->items[j]))
				return refuse(root, i, "would cover an earlier one", error);
	}
	return 0;
}
