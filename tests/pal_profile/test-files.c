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

/*
 * What the keys about files do, as root and as nobody with a user namespace. Each test has a folder
 * with: open/, open/inner/, file, and a copy of true, "program".
 */

static char folder[64];

static void path_in(char path[static 128], const char *name)
{
	snprintf(path, 128, "%s/%s", folder, name);
}

static void copy_program(const char *to)
{
	char command[256];

	snprintf(command, sizeof command, "cp /bin/true %s && chmod 755 %s", to, to);
	ck_assert_int_eq(system(command), 0);
}

static void prepare(void)
{
	char path[128];
	int fd;

	make_folder(folder);
	path_in(path, "open");
	ck_assert_int_eq(mkdir(path, 0777), 0);
	chmod(path, 0777);
	path_in(path, "open/inner");
	ck_assert_int_eq(mkdir(path, 0777), 0);
	chmod(path, 0777);
	path_in(path, "file");
	fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0666);
	ck_assert_int_eq(write(fd, "text", 4), 4);
	close(fd);
	path_in(path, "program");
	copy_program(path);
	path_in(path, "open/program");
	copy_program(path);
}

static void finish(void)
{
	remove_folder(folder);
}

static int create(void *name)
{
	char path[128];
	int fd;

	path_in(path, name);
	fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	if (fd < 0)
		return errno;
	close(fd);
	return unlink(path) < 0 ? errno : 0;
}

static int read_it(void *name)
{
	char path[128];

	path_in(path, name);
	return attempt_read(path);
}

static int run(void *name)
{
	char path[128];

	path_in(path, name);
	execl(path, path, (char *)NULL);
	return errno;
}

/* "%" in the text is the folder; "*" begins a user namespace where one is needed. */
static int inside(int user, const char *text, int (*attempt)(void *arg), const void *arg)
{
	char expanded[1024] = "";
	size_t length = 0;

	ck_assert_int_eq(chdir("/"), 0); /* what is mounted may hide where this was started */
	if (user == USER_NOBODY)
		length = (size_t)snprintf(expanded, sizeof expanded, AS_ANYBODY);
	for (; *text && length < sizeof expanded - sizeof folder; text++)
		if (*text == '%')
			length += (size_t)snprintf(
				expanded + length, sizeof expanded - length, "%s", folder);
		else
			expanded[length++] = *text;
	expanded[length] = 0;
	return under(expanded, attempt, arg);
}

static const struct files_case {
	const char *text;
	int (*attempt)(void *arg);
	const char *name;
	int without, with;
} cases[] = {
	{"ReadOnlyPaths=%", create, "new", 0, EROFS},
	{"ReadOnlyPaths=%", create, "open/new", 0, EROFS},
	{"ReadOnlyPaths=%", read_it, "file", 0, 0},
	{"ReadOnlyPaths=%/file", create, "new", 0, 0},
	{"ReadOnlyPaths=/", create, "new", 0, EROFS},
	{"ReadOnlyPaths=% -/no/such -%/nope", create, "new", 0, EROFS},
	{"ReadOnlyPaths=%\nReadOnlyPaths=", create, "new", 0, 0},
	{"ReadOnlyPaths=%\nReadWritePaths=%/open", create, "open/new", 0, 0},
	{"ReadOnlyPaths=%\nReadWritePaths=%/open", create, "new", 0, EROFS},
	{"ReadOnlyPaths=/\nReadWritePaths=%/open", create, "open/new", 0, 0},
	{"ReadOnlyPaths=/\nReadWritePaths=%/open", create, "new", 0, EROFS},
	{"ReadOnlyPaths=/ %/open/inner\nReadWritePaths=%/open", create, "open/inner/new", 0, EROFS},
	{"ReadOnlyPaths=/ %/open/inner\nReadWritePaths=%/open", create, "open/new", 0, 0},
	{"ReadWritePaths=%\nReadOnlyPaths=%", create, "new", 0, EROFS},
	{"InaccessiblePaths=%/file", read_it, "file", 0, EACCES},
	{"InaccessiblePaths=%/open", read_it, "open/program", 0, ENOENT},
	{"InaccessiblePaths=%/file", read_it, "program", 0, 0},
	{"NoExecPaths=%", run, "program", 0, EACCES},
	{"NoExecPaths=%/open", run, "program", 0, 0},
	{"NoExecPaths=%\nExecPaths=%/open", run, "open/program", 0, 0},
	{"NoExecPaths=%\nExecPaths=%/open", run, "program", 0, EACCES},
	{"NoExecPaths=/\nExecPaths=/usr /bin -/lib -/lib64", run, "program", 0, EACCES},
	{"NoExecPaths=/\nExecPaths=/usr -/lib -/lib64\nReadOnlyPaths=/\nReadWritePaths=%", create,
		"new", 0, 0},
	{"BindPaths=%/open:%/open/inner", read_it, "open/inner/program", ENOENT, 0},
	{"BindPaths=%/open:%/open/inner:rbind", create, "open/inner/new", 0, 0},
	{"BindReadOnlyPaths=%/open:%/open/inner", create, "open/inner/new", 0, EROFS},
	{"BindReadOnlyPaths=%/open:%/open/inner\nBindPaths=", create, "open/inner/new", 0, 0},
	{"BindReadOnlyPaths=-%/nope:%/open/inner", create, "open/inner/new", 0, 0},
	{"BindReadOnlyPaths=%/file:%/program", run, "program", 0, EACCES},
	{"TemporaryFileSystem=%", read_it, "file", 0, ENOENT},
	{"TemporaryFileSystem=%:mode=0777", create, "new", 0, 0},
	{"TemporaryFileSystem=%:ro", create, "new", 0, EROFS},
	{"TemporaryFileSystem=%\nTemporaryFileSystem=", read_it, "file", 0, 0},
	{"TemporaryFileSystem=%:ro,mode=0755\nBindPaths=%/open", create, "open/new", 0, 0},
	{"TemporaryFileSystem=%:ro\nBindReadOnlyPaths=%/open", create, "open/new", 0, EROFS},
	{"ReadOnlyPaths=/\nTemporaryFileSystem=%:mode=0777", create, "new", 0, 0},
	{"PrivateTmp=yes", read_it, "file", 0, ENOENT},
	{"PrivateTmp=no", read_it, "file", 0, 0},
	{"ProtectSystem=strict", create, "new", 0, EROFS},
	{"ProtectSystem=strict\nReadWritePaths=%", create, "new", 0, 0},
	{"ProtectSystem=full", create, "new", 0, 0},
	{"TemporaryFileSystem=%:mode=0777\nReadWritePaths=%", create, "new", 0, 0},
	{"TemporaryFileSystem=%:mode=0777\nReadOnlyPaths=%", create, "new", 0, EROFS},
	{"TemporaryFileSystem=%\nNoExecPaths=%\nBindPaths=%/program", run, "program", 0, 0},
	{"RootDirectory=%", read_it, "file", 0, ENOENT},
};
#define CASES ((int)PAL_ARRAY_LENGTH(cases) * USERS)

START_TEST(a_key_changes_what_it_names_and_nothing_else)
{
	const struct files_case *one = &cases[_i / USERS];
	int user = _i % USERS, without, with;

	if (user == USER_NOBODY)
		needs_user_namespace_of_fork();
	become(user);
	ck_assert_int_eq(chdir("/"), 0); /* a folder in /tmp would be covered */
	prepare();
	without = inside(user, "", one->attempt, one->name);
	with = inside(user, one->text, one->attempt, one->name);
	finish();
	ck_assert_msg(without == one->without, "%s: %d without", one->text, without);
	ck_assert_msg(with == one->with, "%s: %d", one->text, with);
}
END_TEST

/* ---- RootDirectory= ---- */

/* The path begins in the root. */
static int creates_new(void *in)
{
	char path[128];
	int fd;

	snprintf(path, sizeof path, "%s/new", (char *)in);
	fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	if (fd < 0)
		return errno;
	close(fd);
	return unlink(path) < 0 ? errno : 0;
}

START_TEST(below_a_root_paths_are_the_host_s_but_for_those_with_a_plus)
{
	static const struct {
		const char *text, *in;
		int result;
	} roots[] = {
		{"RootDirectory=%", "/open", 0},
		{"RootDirectory=%/", "/open/inner", 0},
		{"RootDirectory=%\nReadOnlyPaths=%/open", "/open", EROFS},
		{"RootDirectory=%\nReadOnlyPaths=%/open", "/", 0},
		{"ReadOnlyPaths=%\nRootDirectory=%/", "/open", EROFS},
		{"RootDirectory=%\nReadOnlyPaths=+/open", "/open", EROFS},
		{"RootDirectory=%\nReadOnlyPaths=-+/open -%/no", "/open", EROFS},
		{"RootDirectory=%\nReadOnlyPaths=+/\nReadWritePaths=%/open", "/open", 0},
		{"RootDirectory=%\nReadOnlyPaths=+/\nReadWritePaths=%/open", "/", EROFS},
		{"RootDirectory=/\nReadOnlyPaths=%", "%", EROFS},
		{"ReadOnlyPaths=+%", "%", EROFS},
	};

	if (_i == USER_NOBODY)
		needs_user_namespace_of_fork();
	become(_i);
	prepare();
	for (size_t i = 0; i < PAL_ARRAY_LENGTH(roots); i++) {
		const char *in = *roots[i].in == '%' ? folder : roots[i].in;
		int r = inside(_i, roots[i].text, creates_new, in);

		ck_assert_msg(r == roots[i].result, "%s: %d", roots[i].text, r);
	}
	finish();
}
END_TEST

/* ---- what is elsewhere ---- */

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
	int user = _i % USERS;

	if (user == USER_NOBODY)
		needs_user_namespace_of_fork();
	become(user);
	ck_assert_int_eq(chdir("/"), 0); /* a folder in /tmp would be covered */
	prepare(); /* so that /tmp is not empty */
	for (size_t i = 0; i < PAL_ARRAY_LENGTH(areas); i++) {
		int without, with;

		if (access(areas[i].path, F_OK) < 0)
			continue; /* this host has no such place */
		without = inside(user, "", areas[i].attempt, areas[i].path);
		with = inside(user, areas[i].text, areas[i].attempt, areas[i].path);
		/* as it is on a host that has that protected already, or nothing there */
		ck_assert_msg(without == 0 || !strcmp(areas[i].path, "/lib/modules") ||
				      !strncmp(areas[i].path, "/sys", 4),
			"%s: %d without", areas[i].text, without);
		ck_assert_msg(with == 1, "%s: %s: %d", areas[i].text, areas[i].path, with);
	}
	finish();
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

static int tmpfs_is_small(void *unused)
{
	struct statvfs status;

	(void)unused;
	need(statvfs("/tmp", &status) == 0);
	return status.f_blocks * status.f_frsize == 1 << 20 ? 0 : 1;
}

static int is_no_exec(void *path)
{
	struct statvfs status;

	need(statvfs(path, &status) == 0);
	return status.f_flag & ST_NOEXEC ? 0 : 1;
}

static int has_processes(void *unused)
{
	(void)unused;
	return access("/proc/1/comm", F_OK) == 0 && getpid() < 4 ? 0 : 1;
}

START_TEST(sizes_and_processes_are_its_own)
{
	become(_i);
	ck_assert_int_eq(chdir("/"), 0); /* a folder in /tmp would be covered */
	ck_assert_int_eq(inside(_i, "TemporaryFileSystem=/tmp:size=1M", tmpfs_is_small, NULL), 0);
	ck_assert_int_eq(inside(_i, "TemporaryFileSystem=/tmp:size=2m", tmpfs_is_small, NULL), 1);
	ck_assert_int_eq(inside(_i, "PrivateTmp=yes", is_no_exec, "/tmp"), 1);
	ck_assert_int_eq(inside(_i, "PrivateTmp=yes\nNoExecPaths=/tmp", is_no_exec, "/tmp"), 0);
	ck_assert_int_eq(inside(_i, "", has_processes, NULL), 1);
	ck_assert_int_eq(inside(_i, "PrivatePIDs=yes", has_processes, NULL), 0);
}
END_TEST

START_TEST(without_privileges_mounts_fail_the_spawn)
{
	become(USER_NOBODY);
	ck_assert_int_eq(chdir("/"), 0); /* a folder in /tmp would be covered */
	ck_assert_int_eq(stage_refused("ReadOnlyPaths=/usr"), PAL_STAGE_NAMESPACE);
	ck_assert_int_eq(stage_refused("PrivateTmp=yes"), PAL_STAGE_NAMESPACE);
}
END_TEST

static const char *const missing_paths[] = {
	"ReadOnlyPaths=/usr /no/such",
	"ReadWritePaths=/no/such",
	"InaccessiblePaths=/no/such",
	"NoExecPaths=/no/such",
	"NoExecPaths=/usr\nExecPaths=/no/such",
	"BindPaths=/no/such:/tmp",
	"BindPaths=/tmp:/no/such",
	"BindReadOnlyPaths=/no/such",
	"BindPaths=/usr:/mnt\nReadOnlyPaths=/mnt/no/such",
	"TemporaryFileSystem=/no/such",
	"RootDirectory=/no/such",
	"RootDirectory=/usr\nReadOnlyPaths=+/no/such",
	"WorkingDirectory=/no/such",
	"TemporaryFileSystem=/tmp\nBindPaths=/usr:/tmp/no\nWorkingDirectory=/tmp/no/such",
};

/* With the line that names it, before there is a child. */
static void is_missing(const char *text)
{
	struct pal_profile *profile = profile_of(text);
	struct pal_builder *builder = pal_builder_new(NULL);
	struct pal_error error = {0};
	char part[32];
	int line = strchr(text, '\n') && strstr(strchr(text, '\n'), "/no/such") ? 2 : 1;

	line += strstr(text, "WorkingDirectory=/tmp") ? 1 : 0;
	ck_assert_msg(profile->apply(profile, builder, &error) == -ENOENT, "%s: %s", text,
		pal_error_text(&error));
	ck_assert_int_eq(error.stage, PAL_STAGE_PROFILE);
	ck_assert_int_eq(error.index, line);
	snprintf(part, sizeof part, "text:%d: ", line);
	ck_assert_ptr_nonnull(strstr(pal_error_text(&error), part));
	ck_assert_ptr_nonnull(strstr(pal_error_text(&error), "/no/such"));
	pal_builder_free(builder);
	pal_profile_free(profile);
}

START_TEST(a_path_that_is_missing_is_an_error_with_its_line)
{
	become(USER_ROOT);
	ck_assert_int_eq(chdir("/"), 0); /* a folder in /tmp would be covered */
	for (size_t i = 0; i < PAL_ARRAY_LENGTH(missing_paths); i++)
		is_missing(missing_paths[i]);
	/* nobody can tell before the mounts are made */
	ck_assert_int_eq(stage_refused("TemporaryFileSystem=/tmp\nReadOnlyPaths=/tmp/no/such"),
		PAL_STAGE_MOUNT);
}
END_TEST

static Suite *make_suite(void)
{
	Suite *suite = suite_create("pal_profile/files");
	TCase *keys = support_tcase(suite, "keys");
	TCase *areas = support_tcase(suite, "areas");

	tcase_add_loop_test(keys, a_key_changes_what_it_names_and_nothing_else, 0, CASES);
	tcase_add_loop_test(keys, sizes_and_processes_are_its_own, 0, USERS);
	tcase_add_test(keys, without_privileges_mounts_fail_the_spawn);
	tcase_add_test(keys, a_path_that_is_missing_is_an_error_with_its_line);
	tcase_add_loop_test(
		keys, below_a_root_paths_are_the_host_s_but_for_those_with_a_plus, 0, USERS);
	tcase_add_test(areas, whole_areas_of_the_system_are_protected);
	tcase_add_loop_test(areas, areas_are_read_only_or_empty_for_anybody, 0, USERS);
	tcase_add_test(areas, areas_take_capabilities_away);
	return suite;
}
SUPPORT_MAIN(make_suite)
