/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <pal/util-priv.h>

#include "profiled.h"

/*
 * Two texts that both say something about files: either both hold, or they are refused. Each test has a
 * folder with open/, data/ and data/file; "%" in a text stands for it.
 */

static char folder[64];

static void prepare(void)
{
	static const char *const names[] = {"open", "data"};
	char path[128];
	int fd;

	make_folder(folder);
	ck_assert_int_eq(chdir("/"), 0); /* what is mounted may hide where this was started */
	for (size_t i = 0; i < PAL_ARRAY_LENGTH(names); i++) {
		snprintf(path, sizeof path, "%s/%s", folder, names[i]);
		ck_assert_int_eq(mkdir(path, 0777), 0);
	}
	snprintf(path, sizeof path, "%s/data/file", folder);
	fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0666);
	ck_assert_int_eq(write(fd, "text", 4), 4);
	close(fd);
}

static struct pal_profile *expanded(const char *text)
{
	char whole[512] = "";
	size_t length = 0;

	for (; *text && length < sizeof whole - sizeof folder; text++)
		if (*text == '%')
			length += (size_t)snprintf(
				whole + length, sizeof whole - length, "%s", folder);
		else
			whole[length++] = *text;
	whole[length] = 0;
	return profile_of(whole);
}

static bool creates(const char *in, const char *name)
{
	char path[128];
	int fd;

	snprintf(path, sizeof path, "%s/%s-%d", in, name, (int)getpid());
	fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	if (fd < 0)
		return false;
	close(fd);
	unlink(path);
	return true;
}

enum {
	READS = 1,
	WRITES = 2,
	WRITES_OPEN = 4,
	WRITES_USR = 8,
	WRITES_TMP = 16
};

/* What can be done to the folder. */
static int look(void *unused)
{
	char path[128];

	(void)unused;
	snprintf(path, sizeof path, "%s/data/file", folder);
	return (attempt_read(path) == 0 ? READS : 0) | (creates(folder, "new") ? WRITES : 0) |
	       (creates(folder, "open/new") ? WRITES_OPEN : 0) |
	       (creates("/usr", "procmesh-together") ? WRITES_USR : 0) |
	       (creates("/var/tmp", "procmesh-together") ? WRITES_TMP : 0);
}

#define REFUSED (-EOPNOTSUPP)

/* In this order: what can be done, or REFUSED. */
static int both(const char *first, const char *second)
{
	struct pal_profile *a = expanded(first), *b = expanded(second), *composed;
	struct pal_builder *builder = pal_builder_new(NULL), *other = pal_builder_new(NULL);
	struct pal_error error = {0};
	struct pal_child *child = NULL;
	int r, s;

	ck_assert_ok(pal_profile_compose(a, b, &composed, &error), &error);
	pal_builder_sandbox(builder, a);
	pal_builder_sandbox(builder, b);
	pal_builder_sandbox(other, composed);
	r = pal_fork(builder, look, NULL, &child, &error);
	if (r >= 0) {
		pal_child_free(child);
		r = outcome(builder, look, NULL);
		s = outcome(other, look, NULL);
	} else {
		s = refusal(other, PAL_STAGE_PROFILE);
	}
	ck_assert_msg(r == s, "%s, %s: %d, composed %d", first, second, r, s);
	pal_builder_free(builder);
	pal_builder_free(other);
	pal_profile_free(composed);
	pal_profile_free(a);
	pal_profile_free(b);
	return r;
}

#define ALL (READS | WRITES | WRITES_OPEN | WRITES_USR | WRITES_TMP)
/* The root of its own: data can be written in one place only. */
#define LIFTING "ReadOnlyPaths=%\nReadWritePaths=%/open\nInaccessiblePaths=%/data"

static const struct together_case {
	const char *first, *second;
	int result;
} cases[] = {
	{"", "", ALL},
	{"ReadOnlyPaths=%", "InaccessiblePaths=%/data", WRITES_USR | WRITES_TMP},
	{"InaccessiblePaths=%/data", "ReadOnlyPaths=%", WRITES_USR | WRITES_TMP},
	{"ReadOnlyPaths=/usr", "ReadOnlyPaths=%", READS | WRITES_TMP},
	{LIFTING, "ReadOnlyPaths=/usr", WRITES_OPEN | WRITES_TMP},
	{LIFTING, "InaccessiblePaths=/usr", WRITES_OPEN | WRITES_TMP},
	{"ReadOnlyPaths=/usr", LIFTING, REFUSED},
	{LIFTING, "ReadOnlyPaths=/usr\nReadWritePaths=/usr/share", REFUSED},
	{LIFTING, "RootDirectory=/", REFUSED},
	{"RootDirectory=/", "RootDirectory=/", REFUSED},
	{"RootDirectory=/", LIFTING, REFUSED},
	{LIFTING, "BindPaths=%/data:%/open", REFUSED},
	{LIFTING, "BindPaths=/usr:%/open", REFUSED},
	{LIFTING, "NoExecPaths=%/data", REFUSED},
	{"ReadOnlyPaths=%", "NoExecPaths=%", READS | WRITES_USR | WRITES_TMP},
	{"ReadOnlyPaths=%", "BindPaths=/usr:%", REFUSED},
	{"ReadOnlyPaths=%", "TemporaryFileSystem=%:mode=0777", REFUSED},
	{"ReadOnlyPaths=%", "TemporaryFileSystem=%:ro", WRITES_USR | WRITES_TMP},
	{"PrivateTmp=yes", "PrivateTmp=yes", WRITES_USR | WRITES_TMP},
	{"PrivateUsers=yes", "PrivateUsers=yes", ALL},
	{"PrivateUsers=yes", "PrivateUsers=yes\nPrivateTmp=yes", WRITES_USR | WRITES_TMP},
	{"ProtectHome=yes", "ProtectSystem=yes", READS | WRITES | WRITES_OPEN | WRITES_TMP},
	{"TemporaryFileSystem=/var/tmp:ro", "PrivateTmp=yes", REFUSED},
	{"TemporaryFileSystem=/var/tmp:size=1M", "TemporaryFileSystem=/var/tmp", REFUSED},
	{"PrivateTmp=yes\nNoExecPaths=/var/tmp", "PrivateTmp=yes", REFUSED},
	/* which mounts, too: all is read-only but a folder */
	{"X-Profile=build-worker %/open", "ReadOnlyPaths=%/open", 0},
	{"ReadOnlyPaths=%/open", "X-Profile=build-worker %/open", 0},
	{"PrivateTmp=yes", "X-Profile=build-worker /usr", WRITES_USR},
	{"X-Profile=build-worker %/open", "RootDirectory=/", REFUSED},
	{"InaccessiblePaths=/proc/sys", "PrivatePIDs=yes", REFUSED},
	{"InaccessiblePaths=/dev/zero", "PrivateDevices=yes", REFUSED},
};

START_TEST(two_texts_both_hold_or_are_refused)
{
	const struct together_case *one = &cases[_i];
	int result;

	if (strstr(one->first, "PrivateUsers="))
		needs_user_namespace_of_fork();
	become(USER_ROOT);
	prepare();
	result = both(one->first, one->second);
	remove_folder(folder);
	ck_assert_msg(result == one->result, "%s, %s: %d", one->first, one->second, result);
}
END_TEST

/* ---- what only the first one's mounts show ---- */

static int read_in_open(void *unused)
{
	char path[128];
	int fd;

	(void)unused;
	snprintf(path, sizeof path, "%s/open/file", folder);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	return fd < 0 ? errno : close(fd);
}

/* Whether open/file can be read under both, or how the spawn fails. */
static int read_under(const char *first, const char *second)
{
	struct pal_profile *a = expanded(first), *b = expanded(second);
	struct pal_builder *builder = pal_builder_new(NULL);
	struct pal_error error = {0};
	struct pal_child *child;
	int r;

	pal_builder_sandbox(builder, a);
	pal_builder_sandbox(builder, b);
	r = pal_fork(builder, read_in_open, NULL, &child, &error);
	if (r >= 0) {
		pal_child_free(child);
		r = outcome(builder, read_in_open, NULL);
	} else {
		ck_assert_int_eq(error.stage, PAL_STAGE_MOUNT);
	}
	pal_builder_free(builder);
	pal_profile_free(a);
	pal_profile_free(b);
	return r;
}

/* Here there is no file of that name in open; in data, which is bound there, there is. */
START_TEST(a_path_in_what_an_earlier_text_binds_is_not_left_out)
{
	become(USER_ROOT);
	prepare();
	ck_assert_int_eq(read_under("", ""), ENOENT);
	ck_assert_int_eq(read_under("BindPaths=%/data:%/open", ""), 0);
	ck_assert_int_eq(
		read_under("BindPaths=%/data:%/open", "InaccessiblePaths=-%/open/file"), EACCES);
	/* nobody can tell before the mounts are made */
	ck_assert_int_eq(
		read_under("BindPaths=%/data:%/open", "InaccessiblePaths=-%/open/none"), -ENOENT);
	/* the same as here: missing is missing */
	ck_assert_int_eq(read_under("BindPaths=%/open", "InaccessiblePaths=-%/open/none"), ENOENT);
	ck_assert_int_eq(read_under("BindPaths=%/data:%/open", "InaccessiblePaths=-%/none"), 0);
	remove_folder(folder);
}
END_TEST

static Suite *make_suite(void)
{
	Suite *suite = suite_create("pal_profile/together");
	TCase *tcase = support_tcase(suite, "together");

	tcase_add_loop_test(
		tcase, two_texts_both_hold_or_are_refused, 0, (int)PAL_ARRAY_LENGTH(cases));
	tcase_add_test(tcase, a_path_in_what_an_earlier_text_binds_is_not_left_out);
	return suite;
}
SUPPORT_MAIN(make_suite)
