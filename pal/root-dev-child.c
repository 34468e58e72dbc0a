/* SPDX-License-Identifier: MIT */
#include <pal/root-child-priv.h>

#include <fcntl.h>
#include <linux/mount.h>

/* A minimal /dev, under the rules at the top of spawn-child.c. */

static const struct {
	const char *path, *name;
	unsigned major, minor;
} devices[] = {
	{"/dev/null", "null", 1, 3},
	{"/dev/zero", "zero", 1, 5},
	{"/dev/full", "full", 1, 7},
	{"/dev/random", "random", 1, 8},
	{"/dev/urandom", "urandom", 1, 9},
	{"/dev/tty", "tty", 5, 0},
};

static const struct {
	const char *content, *name;
} links[] = {
	{"pts/ptmx", "ptmx"},
	{"/proc/self/fd", "fd"},
	{"/proc/self/fd/0", "stdin"},
	{"/proc/self/fd/1", "stdout"},
	{"/proc/self/fd/2", "stderr"},
};

static int make_device(int folder, size_t index)
{
	int target = pal__child_result(syscall(SYS_openat, folder, devices[index].name,
		O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0444));
	int r;

	if (target < 0)
		return target;
	r = pal__child_mount_attach(pal__child_mount_device(devices[index].path,
					    makedev(devices[index].major, devices[index].minor),
					    MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC),
		target);
	syscall(SYS_close, target);
	return r;
}

/* Takes `mount`. */
static int attach_in(int folder, const char *name, int mount)
{
	int target = -1, r = mount;

	if (r >= 0)
		r = pal__child_result(syscall(SYS_mkdirat, folder, name, 0755));
	if (r >= 0)
		r = target = pal__child_result(
			syscall(SYS_openat, folder, name, O_PATH | O_DIRECTORY | O_CLOEXEC, 0));
	if (r >= 0)
		r = pal__child_mount_attach(mount, target);
	else
		pal__place_close(mount);
	pal__place_close(target);
	return r;
}

static int fill(int folder)
{
	const struct pal__mount_option terminals[] = {{"mode", "0620"}, {"ptmxmode", "0666"}};
	const uint64_t quiet = MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC;
	int r = 0;

	for (size_t i = 0; r >= 0 && i < sizeof devices / sizeof devices[0]; i++)
		r = make_device(folder, i);
	for (size_t i = 0; r >= 0 && i < sizeof links / sizeof links[0]; i++)
		r = pal__child_result(
			syscall(SYS_symlinkat, links[i].content, folder, links[i].name));
	if (r >= 0)
		r = attach_in(folder, "shm",
			pal__child_mount_tmpfs("1777", NULL, quiet | MOUNT_ATTR_NODEV));
	if (r >= 0)
		r = attach_in(folder, "pts", pal__child_mount_new("devpts", quiet, terminals, 2));
	/* what has been mounted in it stays as it is */
	if (r >= 0)
		r = pal__child_mount_set_flags(folder, MOUNT_ATTR_RDONLY, false);
	return r;
}

/* The mount is filled where it is, by its descriptor: its path may lead elsewhere by now. */
int pal__child_mount_dev(const struct pal__place *place, const char *path)
{
	int target = pal__child_path_make(place, path, true), folder, r;

	if (target < 0)
		return target;
	r = folder = pal__child_mount_tmpfs(
		"0755", "64k", MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC | MOUNT_ATTR_NODEV);
	if (r >= 0)
		r = pal__child_mount_move(folder, target);
	if (r >= 0)
		r = fill(folder);
	pal__place_close(folder);
	syscall(SYS_close, target);
	return r;
}
