/* SPDX-License-Identifier: MIT */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <pal/util-priv.h>

#include "profiled.h"

/* Keys that protect whole areas of the system. */

static int under_as(int user, const char *text, int (*attempt)(void *arg), const void *arg)
{
	char whole[256];

	snprintf(whole, sizeof whole, "%s%s", user == USER_NOBODY ? AS_ANYBODY : "", text);
	return under(whole, attempt, arg);
}

static int write_to(void *path)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);

	return fd < 0 ? errno : 0;
}

static int reads_nothing(void *path)
{
	int r = attempt_read(path);

	return r == EACCES || r == ENXIO || r == ENOENT || r == EPERM ? 1 : r;
}

/* A name that no other run of this has. */
static int create_in(void *folder_name)
{
	char path[64];
	int fd;

	snprintf(path, sizeof path, "%s/procmesh-test-%d", (char *)folder_name, (int)getpid());
	fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);

	if (fd < 0)
		return errno;
	close(fd);
	return unlink(path) < 0 ? errno : 0;
}

static int has_device(void *path)
{
	struct stat status;

	return stat(path, &status) < 0 ? errno : S_ISCHR(status.st_mode) ? 0 : 1;
}

static int open_to_read(void *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	return fd < 0 ? errno : close(fd);
}

START_TEST(whole_areas_of_the_system_are_protected)
{
	char home[] = "/root/procmesh-test-XXXXXX";
	int fd;

	become(USER_ROOT);
	ck_assert_int_eq(chdir("/"), 0); /* a folder in /tmp would be covered */
	ck_assert_int_eq(under("", create_in, "/usr"), 0);
	ck_assert_int_eq(under("ProtectSystem=yes", create_in, "/usr"), EROFS);
	ck_assert_int_eq(under("ProtectSystem=yes", create_in, "/etc"), 0);
	ck_assert_int_eq(under("ProtectSystem=full", create_in, "/etc"), EROFS);
	ck_assert_int_eq(under("", create_in, "/root"), 0);
	ck_assert_int_eq(under("ProtectHome=read-only", create_in, "/root"), EROFS);
	fd = mkostemp(home, O_CLOEXEC);
	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(close(fd), 0);
	ck_assert_int_eq(under("", open_to_read, home), 0);
	ck_assert_int_eq(under("ProtectHome=tmpfs", open_to_read, home), ENOENT);
	ck_assert_int_eq(under("ProtectHome=yes", open_to_read, home), ENOENT);
	ck_assert_int_eq(unlink(home), 0);
	ck_assert_int_eq(
		under("ProtectKernelTunables=yes", write_to, "/proc/sys/kernel/printk"), EROFS);
	ck_assert_int_eq(under("", write_to, "/proc/sys/kernel/printk"), 0);
	ck_assert_int_eq(under("ProtectKernelTunables=yes", reads_nothing, "/proc/kallsyms"), 1);
	ck_assert_int_eq(under("", has_device, "/dev/null"), 0);
	ck_assert_int_eq(under("PrivateDevices=yes", has_device, "/dev/null"), 0);
	ck_assert_int_eq(under("PrivateDevices=yes", has_device, "/dev/kmsg"), ENOENT);
	ck_assert_int_eq(under("ProtectKernelLogs=yes", reads_nothing, "/dev/kmsg"), 1);
}
END_TEST

static int is_read_only(void *path)
{
	struct statvfs status;

	need(statvfs(path, &status) == 0);
	return status.f_flag & ST_RDONLY ? 1 : 0;
}

/* Nothing of the host's is to be seen in it. */
static int is_empty(void *path)
{
	DIR *opened = opendir(path);
	int entries = 0;

	if (!opened)
		return errno == EACCES ? 1 : 255;
	while (readdir(opened))
		entries++;
	closedir(opened);
	return entries <= 2 ? 1 : 0;
}

START_TEST(areas_are_read_only_or_empty_for_anybody)
{
	static const struct {
		const char *text, *path;
		int (*attempt)(void *path);
	} areas[] = {
		{"ProtectSystem=yes", "/usr", is_read_only},
		{"ProtectSystem=full", "/etc", is_read_only},
		{"ProtectSystem=strict", "/", is_read_only},
		{"ProtectSystem=strict", "/var", is_read_only},
		{"ProtectHome=read-only", "/home", is_read_only},
		{"ProtectHome=read-only", "/root", is_read_only},
		{"ProtectHome=tmpfs", "/home", is_read_only},
		{"ProtectControlGroups=yes", "/sys/fs/cgroup", is_read_only},
		{"ProtectKernelTunables=yes", "/proc/sys", is_read_only},
		{"ProtectKernelTunables=yes", "/sys", is_read_only},
		{"ProtectKernelModules=yes", "/lib/modules", is_empty},
		{"PrivateTmp=yes", "/tmp", is_empty},
	};
	char folder[64];
	int user = _i % USERS;

	if (user == USER_NOBODY)
		needs_user_namespace_of_fork();
	become(user);
	ck_assert_int_eq(chdir("/"), 0); /* a folder in /tmp would be covered */
	make_folder(folder); /* so that /tmp is not empty */
	for (size_t i = 0; i < PAL_ARRAY_LENGTH(areas); i++) {
		int without, with;

		if (access(areas[i].path, F_OK) < 0)
			continue; /* this host has no such place */
		without = under_as(user, "", areas[i].attempt, areas[i].path);
		with = under_as(user, areas[i].text, areas[i].attempt, areas[i].path);
		/* as it is on a host that has that protected already, or nothing there */
		ck_assert_msg(without == 0 || !strcmp(areas[i].path, "/lib/modules") ||
				      !strncmp(areas[i].path, "/sys", 4),
			"%s: %d without", areas[i].text, without);
		ck_assert_msg(with == 1, "%s: %s: %d", areas[i].text, areas[i].path, with);
	}
	remove_folder(folder);
}
END_TEST

static int capabilities_lack(void *mask)
{
	return status_number("CapBnd") & *(unsigned long long *)mask ? 1 : 0;
}

START_TEST(areas_take_capabilities_away)
{
	static const struct {
		const char *text;
		unsigned long long mask;
	} taken[] = {
		{"PrivateDevices=yes", 1ull << 27 | 1ull << 17}, /* MKNOD, SYS_RAWIO */
		{"ProtectKernelModules=yes", 1ull << 16},
		{"ProtectKernelLogs=yes", 1ull << 34},
		{"ProtectClock=yes", 1ull << 25 | 1ull << 35},
	};

	become(USER_ROOT);
	ck_assert_int_eq(chdir("/"), 0); /* a folder in /tmp would be covered */
	for (size_t i = 0; i < PAL_ARRAY_LENGTH(taken); i++) {
		ck_assert_int_eq(under("", capabilities_lack, &taken[i].mask), 1);
		ck_assert_msg(!under(taken[i].text, capabilities_lack, &taken[i].mask), "%s",
			taken[i].text);
	}
}
END_TEST

static Suite *make_suite(void)
{
	Suite *suite = suite_create("pal_profile/areas");
	TCase *areas = support_tcase(suite, "areas");

	tcase_add_test(areas, whole_areas_of_the_system_are_protected);
	tcase_add_loop_test(areas, areas_are_read_only_or_empty_for_anybody, 0, USERS);
	tcase_add_test(areas, areas_take_capabilities_away);
	return suite;
}
SUPPORT_MAIN(make_suite)
