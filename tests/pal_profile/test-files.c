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

	tcase_add_loop_test(keys, a_key_changes_what_it_names_and_nothing_else, 0, CASES);
	tcase_add_loop_test(keys, sizes_and_processes_are_its_own, 0, USERS);
	tcase_add_test(keys, without_privileges_mounts_fail_the_spawn);
	tcase_add_test(keys, a_path_that_is_missing_is_an_error_with_its_line);
	tcase_add_loop_test(
		keys, below_a_root_paths_are_the_host_s_but_for_those_with_a_plus, 0, USERS);
	return suite;
}
SUPPORT_MAIN(make_suite)
