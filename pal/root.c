/* SPDX-License-Identifier: MIT */
#include <pal/builder-priv.h>

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <pal/profile-priv.h>
#include <pal/util-priv.h>

/* The setters of root.h: each adds one to the list that the child goes through. */

#define ALL_FLAGS (PAL_MOUNT_READ_ONLY | PAL_MOUNT_NO_EXEC | PAL_MOUNT_DEVICES | PAL_MOUNT_OPTIONAL)

static void mount_clear(struct pal__mount *mount)
{
	free(mount->source);
	free(mount->target);
	free(mount->name);
}

void pal__root_clear(struct pal__root *root)
{
	for (size_t i = 0; i < root->count; i++)
		mount_clear(&root->items[i]);
	free(root->items);
	*root = (struct pal__root){0};
}

/* One name of a path into `to`, which has room; returns the place behind. */
static char *add_name(char *to, const char *name, size_t length, bool first)
{
	if (!first)
		*to++ = '/';
	memcpy(to, name, length);
	to[length] = 0;
	return to + length;
}

/* As struct pal__mount wants it: 0, -EINVAL, -ENAMETOOLONG or -ENOMEM. */
static int normal_path(const char *path, char **ret)
{
	PAL_CLEANUP_FREE char *normal = NULL;
	char *end;

	if (!path || *path != '/')
		return -EINVAL;
	end = normal = calloc(1, strlen(path) + 1);
	if (!normal)
		return -ENOMEM;
	while (*(path += strspn(path, "/"))) {
		size_t length = strcspn(path, "/");

		if (length == 2 && !strncmp(path, "..", 2))
			return -EINVAL;
		if (length > NAME_MAX)
			return -ENAMETOOLONG;
		if (length != 1 || *path != '.')
			end = add_name(end, path, length, end == normal);
		path += length;
	}
	*ret = PAL_TAKE_POINTER(normal);
	return 0;
}

/* Takes what `mount` owns. */
static void add_mount(struct pal_builder *builder, struct pal__mount *mount)
{
	struct pal__root *root = &builder->root;
	struct pal__mount *items = reallocarray(root->items, root->count + 1, sizeof *root->items);

	if (!items) {
		mount_clear(mount);
		pal__builder_check(builder, -ENOMEM, "mount");
		return;
	}
	root->items = items;
	items[root->count++] = *mount;
	builder->namespaces.flags |= PAL_NS_MOUNT;
	pal__setter_mounts(builder);
}

static void add(struct pal_builder *builder, struct pal__mount mount, const char *source,
	const char *target)
{
	unsigned allowed = ALL_FLAGS;
	int r;

	if (!builder)
		return;
	if (mount.kind != PAL__MOUNT_BIND)
		allowed &= ~PAL_MOUNT_OPTIONAL;
	r = mount.flags & ~allowed ? -EINVAL : normal_path(target, &mount.target);
	if (r >= 0 && !*mount.target &&
		(mount.kind == PAL__MOUNT_HIDE || mount.kind == PAL__MOUNT_DEV))
		r = -EINVAL; /* not the root */
	if (r >= 0 && source) {
		r = *source ? 0 : -EINVAL;
		mount.source = strdup(source);
		if (!mount.source)
			r = -ENOMEM;
	}
	if (r >= 0) {
		add_mount(builder, &mount);
		return;
	}
	mount_clear(&mount);
	if (r == -ENOMEM)
		pal__builder_check(builder, r, "mount");
	else
		pal__builder_fail(builder, PAL_STAGE_ARGUMENT, r, "mount %zu on %s",
			builder->root.count, target ? target : "nothing");
}

void pal_builder_private_root(struct pal_builder *builder, bool on)
{
	if (!builder)
		return;
	builder->root.private_root = on;
	if (on)
		builder->namespaces.flags |= PAL_NS_MOUNT;
	pal__setter_mounts(builder);
}

void pal_builder_bind(
	struct pal_builder *builder, const char *source, const char *target, unsigned flags)
{
	add(builder, (struct pal__mount){.kind = PAL__MOUNT_BIND, .flags = flags},
		source ? source : "", target);
}

void pal_builder_tmpfs(struct pal_builder *builder, const char *target, size_t max_bytes,
	mode_t mode, unsigned flags)
{
	struct pal__mount mount = {.kind = PAL__MOUNT_TMPFS, .flags = flags};

	if (max_bytes)
		snprintf(mount.size, sizeof mount.size, "%zu", max_bytes);
	snprintf(mount.mode, sizeof mount.mode, "%o", (unsigned)mode & 07777);
	add(builder, mount, NULL, target);
}

void pal_builder_mount_proc(struct pal_builder *builder, const char *target)
{
	add(builder, (struct pal__mount){.kind = PAL__MOUNT_PROC}, NULL, target);
}

void pal_builder_mount_dev(struct pal_builder *builder, const char *target)
{
	add(builder, (struct pal__mount){.kind = PAL__MOUNT_DEV}, NULL, target);
}

/* The last name of the target becomes the link's. */
static int split_name(struct pal__mount *mount)
{
	char *slash = strrchr(mount->target, '/');

	mount->name = strdup(slash ? slash + 1 : mount->target);
	if (!mount->name)
		return -ENOMEM;
	if (!*mount->name)
		return -EINVAL;
	*(slash ? slash : mount->target) = 0;
	return 0;
}

void pal_builder_symlink(struct pal_builder *builder, const char *content, const char *path)
{
	size_t before;
	int r;

	if (!builder)
		return;
	before = builder->root.count;
	add(builder, (struct pal__mount){.kind = PAL__MOUNT_SYMLINK}, content ? content : "", path);
	if (builder->root.count == before)
		return;
	r = split_name(&builder->root.items[before]);
	pal__builder_check(builder, r, "symbolic link");
}

void pal_builder_remount_read_only(struct pal_builder *builder, const char *path, bool recursive)
{
	add(builder, (struct pal__mount){.kind = PAL__MOUNT_READ_ONLY, .recursive = recursive},
		NULL, path);
}

void pal__builder_read_only_but(struct pal_builder *builder, const char *const *paths)
{
	for (; *paths; paths++)
		add(builder, (struct pal__mount){.kind = PAL__MOUNT_KEEP}, NULL, *paths);
	pal_builder_remount_read_only(builder, "/", true);
}

void pal_builder_hide(struct pal_builder *builder, const char *path)
{
	add(builder, (struct pal__mount){.kind = PAL__MOUNT_HIDE}, NULL, path);
}

static bool is_within(const char *path, const char *outer)
{
	size_t length = strlen(outer);

	return length == 0 || (!strncmp(path, outer, length) && (!path[length] || path[length] == '/'));
}

/* A source may be relative. */
static bool has_other_name(const struct pal__mount *bind)
{
	PAL_CLEANUP_FREE char *source = NULL;

	return normal_path(bind->source, &source) < 0 || strcmp(source, bind->target) != 0;
}

bool pal_builder_binds_another(const struct pal_builder *builder, const char *path)
{
	PAL_CLEANUP_FREE char *normal = NULL;

	if (!builder)
		return false;
	if (normal_path(path, &normal) < 0)
		return true;
	for (size_t i = 0; i < builder->root.count; i++) {
		const struct pal__mount *mount = &builder->root.items[i];

		if (mount->kind == PAL__MOUNT_BIND && is_within(normal, mount->target) &&
			has_other_name(mount))
			return true;
	}
	return false;
}
