/* SPDX-License-Identifier: MIT */
#include <pal/root-child-priv.h>

#include <fcntl.h>
#include <limits.h>
#include <linux/mount.h>

/*
 * A child's mounts, one after the other, under the rules at the top of
 * spawn-child.c. Each is made detached (root-mount-child.c) and has its flags
 * before it is put in its place (root-path-child.c).
 *
 * The new root is mounted over the old one before it is filled: absolute paths,
 * those of sources, still begin in the old one, because that is this process's
 * root until it is changed.
 */

#define DETACH 2 /* MNT_DETACH is in sys/mount.h, which linux/mount.h does not go with */
#define NEW_MOUNTS 0x00020000 /* CLONE_NEWNS: sched.h */

#define STRICT (MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC)

static uint64_t flags_of(const struct pal__mount *mount)
{
	return MOUNT_ATTR_NOSUID | (mount->flags & PAL_MOUNT_READ_ONLY ? MOUNT_ATTR_RDONLY : 0) |
	       (mount->flags & PAL_MOUNT_NO_EXEC ? MOUNT_ATTR_NOEXEC : 0) |
	       (mount->flags & PAL_MOUNT_DEVICES ? 0 : MOUNT_ATTR_NODEV);
}

/* ---- one entry ---- */

/* What is mounted over the old root is the root from then on: paths begin in it. Takes `mount`. */
static int put_as_root(struct pal__place *place, int mount)
{
	int r = pal__child_mount_move(mount, place->root_fd);

	if (r < 0) {
		syscall(SYS_close, mount);
		return r;
	}
	place->root_fd = mount;
	return 0;
}

/* Takes `mount`, also if it is a negative errno. */
static int put(struct pal__place *place, const char *path, int mount)
{
	struct stat status;
	int r = mount < 0 ? mount : pal__child_path_status(mount, &status), target;

	if (r >= 0 && !*path && place->root->private_root)
		return put_as_root(place, mount);
	target = r < 0 ? r : pal__child_path_make(place, path, S_ISDIR(status.st_mode));
	if (target < 0) {
		pal__place_close(mount);
		return target;
	}
	r = pal__child_mount_attach(mount, target);
	syscall(SYS_close, target);
	return r;
}

/* Where targets may be made: see root.h. */
static void add_own(struct pal__place *place, dev_t device)
{
	if (place->root->private_root && place->own_count < PAL__OWN_MAX)
		place->own[place->own_count++] = device;
}

static int put_tmpfs(struct pal__place *place, const struct pal__mount *mount)
{
	int tmpfs = pal__child_mount_tmpfs(mount->mode, mount->size, flags_of(mount));
	struct stat status;
	int r = tmpfs < 0 ? tmpfs : pal__child_path_status(tmpfs, &status);

	if (r < 0) {
		pal__place_close(tmpfs);
		return r;
	}
	r = put(place, mount->target, tmpfs);
	if (r >= 0)
		add_own(place, status.st_dev);
	return r;
}

/* Where nothing else is the root. Read-only at the end: its only content is names of mounts. */
static int put_empty_root(struct pal__place *place)
{
	int root = pal__child_mount_tmpfs("0755", NULL, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV), r;
	struct stat status;

	if (root < 0)
		return root;
	r = pal__child_path_status(root, &status);
	if (r < 0) {
		syscall(SYS_close, root);
		return r;
	}
	r = put_as_root(place, root);
	if (r >= 0)
		add_own(place, status.st_dev);
	place->empty_root = true;
	return r;
}

static int bind_source(struct pal__place *place, const struct pal__mount *mount)
{
	int tree = pal__child_mount_copy(AT_FDCWD, mount->source, 0, flags_of(mount));

	if ((tree == -ENOENT || tree == -ENOTDIR) && mount->flags & PAL_MOUNT_OPTIONAL)
		return pal__mount_is_root(mount) && place->root->private_root
			       ? put_empty_root(place)
			       : 0;
	return put(place, mount->target, tree);
}

static int make_link(const struct pal__place *place, const struct pal__mount *mount)
{
	int folder = pal__child_path_make(place, mount->target, true);
	int r = folder < 0 ? folder : pal__child_path_is_own(place, folder);

	if (r > 0)
		r = pal__child_result(syscall(SYS_symlinkat, mount->source, folder, mount->name));
	else if (r == 0)
		r = -EROFS;
	pal__place_close(folder);
	return r;
}

/* What is no mount yet becomes one: a copy of itself, on top of it. */
static int copy_read_only(int target, bool recursive)
{
	int tree = pal__child_mount_copy(target, "", AT_EMPTY_PATH, 0);
	int r = tree < 0 ? tree : pal__child_mount_set_flags(tree, MOUNT_ATTR_RDONLY, recursive);

	if (r >= 0)
		return pal__child_mount_attach(tree, target);
	pal__place_close(tree);
	return r;
}

static int make_read_only(const struct pal__place *place, const struct pal__mount *mount)
{
	int target = pal__child_path_open(place, mount->target), r;

	if (target < 0)
		return target;
	r = pal__child_mount_set_flags(target, MOUNT_ATTR_RDONLY, mount->recursive);
	/* what lies over its root a process does not see: one that is no mount stays as it is */
	if (r == -EINVAL && *mount->target)
		r = copy_read_only(target, mount->recursive);
	syscall(SYS_close, target);
	return r;
}

/* A device file on a mount without devices cannot be opened, whoever tries. */
static int hide(const struct pal__place *place, const struct pal__mount *mount)
{
	int target = pal__child_path_open(place, mount->target), cover, r;
	struct stat status;

	r = target < 0 ? target : pal__child_path_status(target, &status);
	if (r >= 0) {
		cover = S_ISDIR(status.st_mode)
				? pal__child_mount_tmpfs("000", "4k", STRICT | MOUNT_ATTR_RDONLY)
				: pal__child_mount_device(
					  "/dev/null", makedev(1, 3), STRICT | MOUNT_ATTR_RDONLY);
		r = pal__child_mount_attach(cover, target);
	}
	pal__place_close(target);
	return r;
}

/* Of this place, with all that earlier entries have mounted and forbidden in it. */
static int copy_kept(const struct pal__place *place, const struct pal__mount *mount)
{
	int target = pal__child_path_open(place, mount->target);
	int tree = target < 0 ? target : pal__child_mount_copy(target, "", AT_EMPTY_PATH, 0);

	pal__place_close(target);
	return tree;
}

/* Its path is looked up once more: through what is mounted there now. Takes `tree`. */
static int put_kept(const struct pal__place *place, const struct pal__mount *mount, int tree)
{
	int target = pal__child_path_open(place, mount->target), r;

	if (target < 0) {
		syscall(SYS_close, tree);
		return target;
	}
	r = pal__child_mount_attach(tree, target);
	syscall(SYS_close, target);
	return r;
}

static int make_entry(struct pal__place *place, const struct pal__mount *mount);

/*
 * What is there is copied, for each of the entries in a row that say so, the next entry is
 * made, and the copies come over what that has made of it, the last one first.
 */
static int keep(struct pal__place *place, const struct pal__mount *first)
{
	const struct pal__root *root = place->root;
	int trees[PAL__KEPT_MAX], r = 0;
	size_t count = 0;

	while (r >= 0 && root->items[place->made].kind == PAL__MOUNT_KEEP) {
		r = count < PAL__KEPT_MAX ? copy_kept(place, &first[count]) : -E2BIG;
		if (r < 0)
			break;
		trees[count++] = r;
		if (++place->made == root->count)
			r = -EINVAL;
	}
	if (r >= 0)
		r = make_entry(place, &root->items[place->made]);
	while (count--)
		if (r >= 0)
			r = put_kept(place, &first[count], trees[count]);
		else
			syscall(SYS_close, trees[count]);
	return r;
}

static int make_entry(struct pal__place *place, const struct pal__mount *mount)
{
	switch (mount->kind) {
	case PAL__MOUNT_BIND:
		return bind_source(place, mount);
	case PAL__MOUNT_TMPFS:
		return put_tmpfs(place, mount);
	case PAL__MOUNT_PROC: /* what belongs to user 0 in it is open to that one without any capability */
		return put(place, mount->target,
			pal__child_mount_new("proc", STRICT | MOUNT_ATTR_RDONLY, NULL, 0));
	case PAL__MOUNT_DEV:
		return pal__child_mount_dev(place, mount->target);
	case PAL__MOUNT_SYMLINK:
		return make_link(place, mount);
	case PAL__MOUNT_KEEP:
		return keep(place, mount);
	case PAL__MOUNT_READ_ONLY:
		return make_read_only(place, mount);
	case PAL__MOUNT_HIDE:
		return hide(place, mount);
	}
	return -EINVAL;
}

/* ---- the root ---- */

static int mount_number(int fd, uint64_t *ret)
{
	struct statx status;
	int r = pal__child_result(syscall(SYS_statx, fd, "", AT_EMPTY_PATH, STATX_MNT_ID, &status));

	if (r >= 0 && !(status.stx_mask & STATX_MNT_ID))
		r = -EOPNOTSUPP;
	if (r >= 0)
		*ret = status.stx_mnt_id;
	return r;
}

/*
 * After chroot(2) to a mount, what is outside of that is still around the new root,
 * for who may call chroot(2) to get at. setns(2) to the own namespace goes to the root of
 * that, wherever this process's is: it has to be this one.
 */
static int check_outermost(int root)
{
	uint64_t own = 0, outermost = 0;
	int fd, r;

	r = fd = pal__child_result(syscall(SYS_pidfd_open, syscall(SYS_getpid), 0));
	if (r >= 0)
		r = pal__child_result(syscall(SYS_setns, fd, NEW_MOUNTS));
	pal__place_close(fd);
	if (r >= 0)
		r = mount_number(root, &own);
	if (r < 0)
		return r;
	r = fd = pal__child_result(
		syscall(SYS_openat, AT_FDCWD, "/", O_PATH | O_DIRECTORY | O_CLOEXEC, 0));
	if (r >= 0)
		r = mount_number(fd, &outermost);
	pal__place_close(fd);
	return r >= 0 && own != outermost ? -EINVAL : r;
}

/*
 * pivot_root(2) puts the old root on top of the new one, if both its arguments are
 * that; there it is detached.
 */
static int enter_root(const struct pal__place *place)
{
	int root = place->root_fd, r = 0;

	if (place->empty_root)
		r = pal__child_mount_set_flags(root, MOUNT_ATTR_RDONLY, false);
	if (r >= 0)
		r = pal__child_result(syscall(SYS_fchdir, root));
	if (r >= 0)
		r = pal__child_result(syscall(SYS_pivot_root, ".", "."));
	if (r >= 0)
		r = pal__child_result(syscall(SYS_umount2, ".", DETACH));
	if (r >= 0)
		r = check_outermost(root);
	if (r >= 0)
		r = pal__child_result(syscall(SYS_fchdir, root));
	return r;
}

static int make_all(struct pal__place *place, struct pal__report *report)
{
	const struct pal__root *root = place->root;

	for (; place->made < root->count; place->made++) {
		int r = make_entry(place, &root->items[place->made]);

		if (r < 0)
			return pal__report_fail(report, PAL_STAGE_MOUNT, (int)place->made, r);
	}
	return 0;
}

/* What is to be the root is taken from the old one before anything lies over that. */
static int make_in_root(const struct pal__root *root, int old_root, struct pal__report *report)
{
	struct pal__place place = {.root = root, .root_fd = old_root};
	int r = 0;

	if (root->private_root && !(root->count && pal__mount_is_root(&root->items[0])))
		r = put_empty_root(&place);
	if (r < 0)
		return pal__report_fail(report, PAL_STAGE_MOUNT, (int)root->count, r);
	r = make_all(&place, report);
	if (r >= 0 && root->private_root) {
		r = enter_root(&place);
		if (r < 0)
			pal__report_fail(report, PAL_STAGE_MOUNT, (int)root->count, r);
	}
	if (place.root_fd != old_root)
		syscall(SYS_close, place.root_fd);
	return r;
}

/* ---- the working directory ---- */

/*
 * A process stays in the folder that it stands in, whatever is mounted over that or above it
 * (CVE-2024-21626). So it goes there again by its path, through what is mounted now.
 */
struct folder {
	char path[PATH_MAX];
	int code; /* negative errno: it has no path, or none below the root */
};

static void look_up_folder(struct folder *folder)
{
	folder->code = pal__child_result(syscall(SYS_getcwd, folder->path, sizeof folder->path));
	if (folder->code >= 0 && *folder->path != '/') /* "(unreachable)" */
		folder->code = -ENOENT;
}

static int enter_again(const struct folder *folder, int root_fd)
{
	const struct pal__root none = {0};
	const struct pal__place place = {.root = &none, .root_fd = root_fd};
	int fd = folder->code < 0 ? folder->code : pal__child_path_open(&place, folder->path), r;

	if (fd < 0)
		return fd;
	r = pal__child_result(syscall(SYS_fchdir, fd));
	syscall(SYS_close, fd);
	return r;
}

/* Until it leaves: the steps before that may be about paths, too. */
static int return_to_folder(
	const struct folder *folder, int root_fd, bool leaves, struct pal__report *report)
{
	int r = enter_again(folder, root_fd);

	if (r < 0 && leaves)
		r = pal__child_result(syscall(SYS_fchdir, root_fd));
	return r < 0 ? pal__report_fail(report, PAL_STAGE_CHDIR, 0, r) : 0;
}

static int mount_all(
	const struct pal__root *root, int old_root, bool leaves, struct pal__report *report)
{
	bool stays = !root->private_root && root->count;
	struct folder folder;
	int r;

	if (stays)
		look_up_folder(&folder);
	r = make_in_root(root, old_root, report);
	return r >= 0 && stays ? return_to_folder(&folder, old_root, leaves, report) : r;
}

/* Nothing propagates, also if nothing is mounted here: the program may mount something. */
int pal__child_mount(const struct pal__root *root, bool leaves, struct pal__report *report)
{
	int old_root, r;
	long mask;

	old_root = pal__child_result(
		syscall(SYS_openat, AT_FDCWD, "/", O_PATH | O_DIRECTORY | O_CLOEXEC, 0));
	r = old_root;
	if (r >= 0)
		r = pal__child_result(
			syscall(SYS_mount, NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL));
	if (r < 0) {
		pal__report_fail(report, PAL_STAGE_MOUNT, (int)root->count, r);
	} else {
		mask = syscall(SYS_umask, 0);
		r = mount_all(root, old_root, leaves, report);
		syscall(SYS_umask, mask);
	}
	pal__place_close(old_root);
	return r;
}
