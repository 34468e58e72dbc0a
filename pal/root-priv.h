/* SPDX-License-Identifier: MIT */
#ifndef PROCMESH_PAL_ROOT_PRIV_H
#define PROCMESH_PAL_ROOT_PRIV_H

#include <pal/error.h>
#include <pal/report-priv.h>
#include <pal/root.h>
#include <stdbool.h>
#include <stddef.h>

struct pal_builder;

/* What root.h adds to a builder; the child reads it as it is (root-child.c). */

struct pal__mount {
	enum pal__mount_kind {
		PAL__MOUNT_BIND,
		PAL__MOUNT_TMPFS,
		PAL__MOUNT_PROC,
		PAL__MOUNT_DEV,
		PAL__MOUNT_SYMLINK,
		PAL__MOUNT_KEEP,
		PAL__MOUNT_READ_ONLY,
		PAL__MOUNT_HIDE
	} kind;
	unsigned flags;  /* PAL_MOUNT_ */
	bool recursive;  /* READ_ONLY */
	char *source;    /* BIND; content of SYMLINK; owned */
	char *target;    /* owned, relative to the root, names with one slash between; "": the root */
	char *name;      /* SYMLINK: the last of `target`, which is cut before it; owned */
	char size[24];   /* TMPFS, as mount options; "": not said */
	char mode[8];
};

/* A new root, and not what is done to the one there is; the folder of a link is none. */
static inline bool pal__mount_is_root(const struct pal__mount *mount)
{
	return !*mount->target && mount->kind != PAL__MOUNT_READ_ONLY &&
	       mount->kind != PAL__MOUNT_SYMLINK;
}

struct pal__root {
	bool private_root;
	struct pal__mount *items;
	size_t count;
	/* when a profile had added to it last: what setters from then on take nothing of */
	bool settled_private;
	size_t settled_count;
};

void pal__root_clear(struct pal__root *root);

/*
 * Everything is read-only from then on, with what is mounted in it, but for what `paths` are, NULL at
 * the end: these stay as they are at that point of the list. (KEEP is about the entry that follows it;
 * of more than PAL__KEPT_MAX in a row the child has no room for what it keeps: -E2BIG.)
 */
#define PAL__KEPT_MAX 512
void pal__builder_read_only_but(struct pal_builder *builder, const char *const *paths);

/*
 * root-child.c. `leaves`: the child is going to a working directory that it does not look for
 * from the one it has. 0, or a negative errno that is also in the report.
 */
int pal__child_mount(const struct pal__root *root, bool leaves, struct pal__report *report);

#endif
