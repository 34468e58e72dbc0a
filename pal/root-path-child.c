/* SPDX-License-Identifier: MIT */
#include <pal/root-child-priv.h>

#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>

/*
 * Where mounts go, under the rules at the top of spawn-child.c. What is bound into
 * a root may belong to somebody who makes symbolic links in there, also while
 * this looks: a path is walked name by name, by descriptors.
 */

int pal__child_path_status(int fd, struct stat *ret)
{
#ifdef SYS_newfstatat
	return pal__child_result(syscall(SYS_newfstatat, fd, "", ret, AT_EMPTY_PATH));
#else
	return pal__child_result(syscall(SYS_fstatat64, fd, "", ret, AT_EMPTY_PATH));
#endif
}

/*
 * Any mount or rename in the system while a ".." is walked makes the kernel say
 * EAGAIN, because it could not tell whether that led out of the root: openat2(2).
 */
#define RETRIES 10000

static int open_inside(int folder, const char *path, uint64_t flags, uint64_t resolve)
{
	int r = -EAGAIN;
	struct open_how how = {
		.flags = O_PATH | O_CLOEXEC | flags,
		.resolve = resolve | RESOLVE_NO_MAGICLINKS,
	};

	for (int i = 0; i < RETRIES && r == -EAGAIN; i++)
		r = pal__child_result(syscall(SYS_openat2, folder, path, &how, sizeof how));
	return r;
}

int pal__child_path_open(const struct pal__place *place, const char *path)
{
	return open_inside(place->root_fd, *path ? path : ".", 0, RESOLVE_IN_ROOT);
}

/* ---- whose folder it is ---- */

/* By the file system, whatever lies over it or leads to it: no path is looked up a second time. */
int pal__child_path_is_own(const struct pal__place *place, int folder)
{
	struct stat status;
	int r = pal__child_path_status(folder, &status);

	for (size_t i = 0; r >= 0 && i < place->own_count; i++)
		if (place->own[i] == status.st_dev)
			return 1;
	return r < 0 ? r : 0;
}

/* ---- making what is missing ---- */

static int make_missing(const struct pal__place *place, int parent, const char *name, bool folder)
{
	int own = pal__child_path_is_own(place, parent), fd;

	if (own <= 0)
		return own < 0 ? own : -ENOENT;
	if (folder)
		return pal__child_result(syscall(SYS_mkdirat, parent, name, 0755));
	fd = pal__child_result(syscall(SYS_openat, parent, name,
		O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0444));
	pal__place_close(fd);
	return fd < 0 ? fd : 0;
}

static int step_into(const struct pal__place *place, int parent, const char *name, bool folder)
{
	const uint64_t resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS;
	uint64_t flags = folder ? O_DIRECTORY : 0;
	int fd = open_inside(parent, name, flags, resolve), r;

	if (fd != -ENOENT)
		return fd;
	r = make_missing(place, parent, name, folder);
	return r < 0 ? r : open_inside(parent, name, flags, resolve);
}

/* Copies the name that *path begins with, and moves *path to the next; whether there is one. */
static bool next_name(const char **path, char name[NAME_MAX + 1])
{
	size_t length = 0;

	for (; **path && **path != '/'; (*path)++)
		name[length++] = **path;
	name[length] = 0;
	if (**path)
		(*path)++;
	return length > 0;
}

int pal__child_path_make(const struct pal__place *place, const char *path, bool folder)
{
	char name[NAME_MAX + 1];
	int fd;

	if (!place->root->private_root)
		return pal__child_path_open(place, path);
	fd = open_inside(place->root_fd, ".", O_DIRECTORY, 0);
	while (fd >= 0 && next_name(&path, name)) {
		int next = step_into(place, fd, name, folder || *path);

		syscall(SYS_close, fd);
		fd = next;
	}
	return fd;
}
