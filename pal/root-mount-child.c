/* SPDX-License-Identifier: MIT */
#include <pal/root-child-priv.h>

#include <fcntl.h>
#include <linux/mount.h>

/* The calls of Linux's newer mount interface, under the rules at the top of spawn-child.c. */

int pal__child_mount_set_flags(int mount, uint64_t flags, bool recursive)
{
	struct mount_attr attributes = {.attr_set = flags};
	unsigned how = AT_EMPTY_PATH | (recursive ? AT_RECURSIVE : 0);

	return pal__child_result(
		syscall(SYS_mount_setattr, mount, "", how, &attributes, sizeof attributes));
}

static int set_options(int context, const struct pal__mount_option *options, size_t count)
{
	int r = 0;

	for (size_t i = 0; r >= 0 && i < count; i++)
		if (options[i].value && *options[i].value)
			r = pal__child_result(syscall(SYS_fsconfig, context, FSCONFIG_SET_STRING,
				options[i].name, options[i].value, 0));
	if (r >= 0)
		r = pal__child_result(
			syscall(SYS_fsconfig, context, FSCONFIG_CMD_CREATE, NULL, NULL, 0));
	return r;
}

int pal__child_mount_new(
	const char *type, uint64_t flags, const struct pal__mount_option *options, size_t count)
{
	int context = pal__child_result(syscall(SYS_fsopen, type, FSOPEN_CLOEXEC)), r;

	if (context < 0)
		return context;
	r = set_options(context, options, count);
	if (r >= 0)
		r = pal__child_result(syscall(SYS_fsmount, context, FSMOUNT_CLOEXEC, flags));
	syscall(SYS_close, context);
	return r;
}

int pal__child_mount_tmpfs(const char *mode, const char *size, uint64_t flags)
{
	const struct pal__mount_option options[] = {{"mode", mode}, {"size", size}};

	return pal__child_mount_new("tmpfs", flags, options, 2);
}

/* Takes `mount`. */
static int with_flags(int mount, uint64_t flags)
{
	int r = mount < 0 || !flags ? mount : pal__child_mount_set_flags(mount, flags, true);

	if (r >= 0)
		return mount;
	pal__place_close(mount);
	return r;
}

int pal__child_mount_copy(int folder, const char *path, unsigned how, uint64_t flags)
{
	unsigned all = OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_RECURSIVE | how;

	return with_flags(pal__child_result(syscall(SYS_open_tree, folder, path, all)), flags);
}

int pal__child_mount_device(const char *path, dev_t number, uint64_t flags)
{
	int mount = pal__child_mount_copy(AT_FDCWD, path, AT_SYMLINK_NOFOLLOW, flags);
	struct stat status;
	int r = mount < 0 ? mount : pal__child_path_status(mount, &status);

	if (r >= 0 && (!S_ISCHR(status.st_mode) || status.st_rdev != number))
		r = -ENODEV;
	if (r >= 0)
		return mount;
	pal__place_close(mount);
	return r;
}

int pal__child_mount_move(int mount, int target)
{
	return pal__child_result(syscall(SYS_move_mount, mount, "", target, "",
		MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH));
}

int pal__child_mount_attach(int mount, int target)
{
	int r = mount < 0 ? mount : pal__child_mount_move(mount, target);

	pal__place_close(mount);
	return r;
}
