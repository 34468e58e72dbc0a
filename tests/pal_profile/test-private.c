/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "profiled.h"

/* The keys that give a child namespaces, as root and as nobody. */

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

static int connect_to(void *port)
{
	struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = *(in_port_t *)port};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	need(fd >= 0);
	address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	return connect(fd, (struct sockaddr *)&address, sizeof address) < 0 ? errno : 0;
}

/* Its loopback interface is another one, and is up: a port there can be refused. */
START_TEST(a_private_network_does_not_reach_the_hosts)
{
	struct sockaddr_in address = {.sin_family = AF_INET};
	socklen_t size = sizeof address;
	int fd;

	needs_user_namespace_of_fork();
	become(_i);
	fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	ck_assert_int_eq(bind(fd, (struct sockaddr *)&address, sizeof address), 0);
	ck_assert_int_eq(listen(fd, 8), 0);
	ck_assert_int_eq(getsockname(fd, (struct sockaddr *)&address, &size), 0);
	ck_assert_int_eq(under("", connect_to, &address.sin_port), 0);
	ck_assert_int_eq(under(AS_ANYBODY "PrivateNetwork=yes", connect_to, &address.sin_port),
		ECONNREFUSED);
	close(fd);
}
END_TEST

static Suite *make_suite(void)
{
	Suite *suite = suite_create("pal_profile/private");
	TCase *namespaces = support_tcase(suite, "namespaces");

	tcase_add_loop_test(namespaces, private_keys_make_namespaces, 0, 6 * USERS);
	tcase_add_loop_test(namespaces, a_private_network_does_not_reach_the_hosts, 0, USERS);
	return suite;
}
SUPPORT_MAIN(make_suite)
