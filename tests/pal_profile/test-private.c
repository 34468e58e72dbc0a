/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <pal/util-priv.h>

#include "profiled.h"

/* The keys that give a child namespaces, or file systems, of its own, as root and as nobody. */

static int is_same_namespace(void *arg)
{
	const char *kind = arg;
	char path[64], ours[128], parents[128];
	ssize_t length;

	snprintf(path, sizeof path, "/proc/self/ns/%s", kind);
	length = readlink(path, ours, sizeof ours);
	need(length > 0);
	ours[length] = 0;
	snprintf(parents, sizeof parents, "%s", getenv("TEST_NS"));
	return strcmp(ours, parents) ? 1 : 0;
}

START_TEST(private_keys_make_namespaces)
{
	static const char *const cases[][2] = {{"PrivateNetwork=yes\n", "net"},
		{"PrivateIPC=yes\n", "ipc"}, {"PrivateMounts=yes\n", "mnt"},
		{"ProtectHostname=yes\n", "uts"}, {"PrivatePIDs=yes\n", "pid"},
		{"PrivateUsers=yes\n", "user"}};
	int user = _i % USERS;
	const char *const *one = cases[_i / USERS];
	char text[128], path[64], name[128];
	ssize_t length;

	become(user);
	snprintf(path, sizeof path, "/proc/self/ns/%s", one[1]);
	length = readlink(path, name, sizeof name - 1);
	ck_assert_int_gt(length, 0);
	name[length] = 0;
	setenv("TEST_NS", name, 1);
	snprintf(text, sizeof text, "%s%s", user == USER_NOBODY ? AS_ANYBODY : "", one[0]);
	ck_assert_int_eq(under("", is_same_namespace, one[1]), 0);
	ck_assert_int_eq(under(text, is_same_namespace, one[1]), 1);
	if (user == USER_NOBODY && strcmp(one[1], "user") != 0)
		ck_assert_int_eq(stage_refused(one[0]), PAL_STAGE_NAMESPACE);
}
END_TEST

/* Its loopback interface is another one, and is up: a port there can be refused. */
START_TEST(a_private_network_does_not_reach_the_hosts)
{
	uint16_t port;
	int fd;

	needs_user_namespace_of_fork();
	become(_i);
	fd = listen_on_loopback(&port);
	ck_assert_int_eq(under("", attempt_connect, &port), 0);
	ck_assert_int_eq(
		under(AS_ANYBODY "PrivateNetwork=yes", attempt_connect, &port), ECONNREFUSED);
	close(fd);
}
END_TEST

/* ---- what may be missing, in a file system of the child's own ---- */

static int creates_new(void *in)
{
	char path[64];
	int fd;

	snprintf(path, sizeof path, "%s/procmesh-new", (char *)in);
	fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	if (fd < 0)
		return errno;
	close(fd);
	return unlink(path) < 0 ? errno : 0;
}

/* An empty file, which is no program: ENOEXEC where one could be executed. */
static int executes_new(void *in)
{
	char path[64];
	int fd, r;

	snprintf(path, sizeof path, "%s/procmesh-program", (char *)in);
	fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0700);
	need(fd >= 0);
	close(fd);
	execl(path, path, (char *)NULL);
	r = errno;
	unlink(path);
	return r;
}

/* Also who may do anything with files: a cover is read-only. */
static int is_covered(void *in)
{
	int r = creates_new(in);

	return r == EACCES ? EROFS : r;
}

static const struct own_place {
	const char *text;
	int (*attempt)(void *arg);
	const void *arg;
	int without, with;
} own_places[] = {
	{"PrivateTmp=yes\nReadOnlyPaths=-/tmp", creates_new, "/tmp", 0, EROFS},
	{"PrivateTmp=yes\nInaccessiblePaths=-/tmp", is_covered, "/tmp", 0, EROFS},
	{"PrivateTmp=yes\nNoExecPaths=-/tmp", executes_new, "/tmp", ENOEXEC, EACCES},
	{"PrivateTmp=yes\nReadOnlyPaths=-/tmp/none\nNoExecPaths=-/tmp/none", creates_new, "/tmp", 0,
		0},
	{"TemporaryFileSystem=/home:mode=0777", creates_new, "/home", -1, 0},
	{"TemporaryFileSystem=/home:mode=0777\nProtectHome=yes", is_covered, "/home", -1, EROFS},
	{"TemporaryFileSystem=/home:mode=0777\nProtectHome=read-only", creates_new, "/home", -1,
		EROFS},
	{"PrivateTmp=yes\nBindPaths=-/none:/tmp/a/b\nReadOnlyPaths=-/tmp/a", creates_new, "/tmp", 0,
		0},
	{"PrivateDevices=yes", creates_new, "/dev/shm", 0, 0},
	{"PrivateDevices=yes\nReadOnlyPaths=-/dev/shm", creates_new, "/dev/shm", 0, EROFS},
	{"PrivateDevices=yes\nInaccessiblePaths=-/dev/shm", is_covered, "/dev/shm", 0, EROFS},
	{"PrivateDevices=yes\nNoExecPaths=-/dev/shm -/dev", executes_new, "/dev/shm", -1, EACCES},
	{"PrivateDevices=yes\nInaccessiblePaths=-/dev/none -/dev/shm/none", creates_new, "/dev/shm",
		0, 0},
	{"PrivateDevices=yes\nReadOnlyPaths=-/dev/null -/dev/zero -/dev/full -/dev/random\n"
	 "ReadOnlyPaths=-/dev/urandom -/dev/tty -/dev/pts -/dev/pts/ptmx",
		creates_new, "/dev/shm", 0, 0},
	{"PrivateDevices=yes\nProtectKernelLogs=yes", creates_new, "/dev/shm", 0, 0},
};
#define OWN_PLACES ((int)PAL_ARRAY_LENGTH(own_places) * USERS)

/* Whether something is there is asked of what the child will have. */
START_TEST(a_path_with_a_dash_counts_in_what_the_child_alone_has)
{
	const struct own_place *one = &own_places[_i / USERS];
	char text[256];
	int without, with;

	become(_i % USERS);
	ck_assert_int_eq(chdir("/"), 0);
	snprintf(text, sizeof text, "%s%s", _i % USERS == USER_NOBODY ? AS_ANYBODY : "", one->text);
	without = under("", one->attempt, one->arg);
	with = under(text, one->attempt, one->arg);
	ck_assert_msg(one->without < 0 || without == one->without, "%s: %d without", text, without);
	ck_assert_msg(with == one->with, "%s: %d", text, with);
}
END_TEST

static Suite *make_suite(void)
{
	Suite *suite = suite_create("pal_profile/private");
	TCase *namespaces = support_tcase(suite, "namespaces"), *files;

	tcase_add_loop_test(namespaces, private_keys_make_namespaces, 0, 6 * USERS);
	tcase_add_loop_test(namespaces, a_private_network_does_not_reach_the_hosts, 0, USERS);
	files = support_tcase(suite, "files");
	tcase_add_loop_test(
		files, a_path_with_a_dash_counts_in_what_the_child_alone_has, 0, OWN_PLACES);
	return suite;
}
SUPPORT_MAIN(make_suite)
