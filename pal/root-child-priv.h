/* SPDX-License-Identifier: MIT */
#ifndef PROCMESH_PAL_ROOT_CHILD_PRIV_H
#define PROCMESH_PAL_ROOT_CHILD_PRIV_H

#include <pal/root-priv.h>
#include <pal/spawn-child-priv.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>

/* The parts of a child's mounts. Descriptors are returned as such or as a negative errno. */

#define PAL__OWN_MAX 128

/* Where mounts go. */
struct pal__place {
	const struct pal__root *root;
	int root_fd;
	bool empty_root; /* the private root is not one of the entries */
	size_t made; /* entries of `root` */
	/* The file systems of a private root that are no host's: itself, and each tmpfs as long as there is room. */
	dev_t own[PAL__OWN_MAX];
	size_t own_count;
};

static inline void pal__place_close(int fd)
{
	if (fd >= 0)
		syscall(SYS_close, fd);
}

/* ---- root-mount-child.c: mounts that are nowhere yet ---- */

struct pal__mount_option {
	const char *name;
	const char *value; /* NULL or "": not said */
};

int pal__child_mount_new(const char *type, uint64_t flags, const struct pal__mount_option *options,
	size_t count);
int pal__child_mount_tmpfs(const char *mode, const char *size, uint64_t flags);
/* A copy of what `path` is and all that is mounted in it. `how`: 0 or AT_EMPTY_PATH. */
int pal__child_mount_copy(int folder, const char *path, unsigned how, uint64_t flags);
/* A copy of a device file of /dev: -ENODEV if it is anything else. */
int pal__child_mount_device(const char *path, dev_t number, uint64_t flags);
int pal__child_mount_set_flags(int mount, uint64_t flags, bool recursive);
/* Puts `mount` over what `target` is; it stays the descriptor of its root. */
int pal__child_mount_move(int mount, int target);
/* Puts `mount` over what `target` is. Takes `mount`, also if it is a negative errno, which is returned. */
int pal__child_mount_attach(int mount, int target);

/* ---- root-path-child.c: where they go ---- */

int pal__child_path_status(int fd, struct stat *ret);
/* Something that is there. Symbolic links are followed inside of the root. */
int pal__child_path_open(const struct pal__place *place, const char *path);
/* In a private root: made where it is missing, symbolic links are -ELOOP. Otherwise as the former. */
int pal__child_path_make(const struct pal__place *place, const char *path, bool folder);
/* Whether `folder` is in a tmpfs of this root, and not of the host: 1, 0, or a negative errno. */
int pal__child_path_is_own(const struct pal__place *place, int folder);

/* ---- root-dev-child.c ---- */

/* A minimal /dev. */
int pal__child_mount_dev(const struct pal__place *place, const char *path);

#endif
