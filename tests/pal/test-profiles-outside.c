/* SPDX-License-Identifier: MIT */
#include <pal/profile.h>

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

#include <pal/util-priv.h>

#include "sandboxed.h"

/*
 * Roundabout ways out of the ready-made profiles that may do most, for which Landlock has no
 * right and a filter by name is too coarse. Each works without the profile.
 */

#define TERMINAL 70             /* of the child */
static int terminal_given = -1; /* of this process */

static int under(const struct pal_profile *profile, int (*attempt)(void *arg), void *arg)
{
	struct pal_builder *builder = pal_builder_new(NULL);
	int code;

	if (terminal_given >= 0) {
		pal_builder_dup_fd(builder, terminal_given, TERMINAL);
		pal_builder_controlling_tty(builder, TERMINAL);
	}

	if (profile)
		pal_builder_sandbox(builder, profile);
	code = outcome(builder, attempt, arg);
	pal_builder_free(builder);
	return code;
}

/* ---- a network client: TCP to other ports than those it may ---- */

static struct sockaddr_in address_of(uint16_t port)
{
	struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port)};

	address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	return address;
}

static uint16_t listen_on(int *ret_fd)
{
	struct sockaddr_in address = address_of(0);
	socklen_t size = sizeof address;

	*ret_fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	ck_assert_int_eq(bind(*ret_fd, (struct sockaddr *)&address, sizeof address), 0);
	ck_assert_int_eq(listen(*ret_fd, 8), 0);
	ck_assert_int_eq(getsockname(*ret_fd, (struct sockaddr *)&address, &size), 0);
	return ntohs(address.sin_port);
}

static int connect_by(int protocol, uint16_t port)
{
	PAL_CLEANUP_CLOSE int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, protocol);
	struct sockaddr_in address = address_of(port);

	return fd < 0 ? errno : result_of(connect(fd, (struct sockaddr *)&address, sizeof address));
}

static int connect_tcp(void *port)
{
	return connect_by(IPPROTO_TCP, *(uint16_t *)port);
}

static int connect_mptcp(void *port)
{
	return connect_by(262 /* IPPROTO_MPTCP */, *(uint16_t *)port);
}

static int make_sctp(void *unused)
{
	PAL_CLEANUP_CLOSE int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, IPPROTO_SCTP);

	(void)unused;
	return result_of(fd);
}

/* Connects with the first bytes. */
static int send_fast(void *port)
{
	PAL_CLEANUP_CLOSE int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct sockaddr_in address = address_of(*(uint16_t *)port);

	need(fd >= 0);
	return result_of(sendto(fd, "x", 1, MSG_FASTOPEN | MSG_NOSIGNAL,
		(const struct sockaddr *)&address, sizeof address));
}

static int send_message_fast(void *port)
{
	PAL_CLEANUP_CLOSE int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct sockaddr_in address = address_of(*(uint16_t *)port);
	struct iovec bytes = {(char[]){"x"}, 1};
	struct mmsghdr message = {.msg_hdr = {.msg_name = &address,
					  .msg_namelen = sizeof address,
					  .msg_iov = &bytes,
					  .msg_iovlen = 1}};
	int one = result_of(sendmsg(fd, &message.msg_hdr, MSG_FASTOPEN | MSG_NOSIGNAL));
	int more = result_of(sendmmsg(fd, &message, 1, MSG_FASTOPEN | MSG_NOSIGNAL));

	return one == more ? one : more == EISCONN ? one : 255;
}

/* An upper layer makes another kind of socket of it; this one does not exist. */
static int add_layer(void *unused)
{
	PAL_CLEANUP_CLOSE int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	(void)unused;
	need(fd >= 0);
	return result_of(setsockopt(fd, IPPROTO_TCP, 31 /* TCP_ULP */, "none", 4));
}

static int set_no_delay(void *unused)
{
	PAL_CLEANUP_CLOSE int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	(void)unused;
	need(fd >= 0);
	return result_of(setsockopt(fd, IPPROTO_TCP, 1 /* TCP_NODELAY */, &(int){1}, sizeof(int)));
}

/* The connection is put off until something is sent. */
static int connect_later(void *port)
{
	PAL_CLEANUP_CLOSE int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct sockaddr_in address = address_of(*(uint16_t *)port);

	need(fd >= 0);
	need(setsockopt(fd, IPPROTO_TCP, 30 /* TCP_FASTOPEN_CONNECT */, &(int){1}, sizeof(int)) ==
		0);
	if (connect(fd, (struct sockaddr *)&address, sizeof address) < 0)
		return errno;
	return result_of(send(fd, "x", 1, MSG_NOSIGNAL));
}

static int send_udp(void *port)
{
	PAL_CLEANUP_CLOSE int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, IPPROTO_UDP);
	struct sockaddr_in address = address_of(*(uint16_t *)port);

	return fd < 0 ? errno
		      : result_of(sendto(
				fd, "x", 1, 0, (const struct sockaddr *)&address, sizeof address));
}

struct finished {
	const struct pal_profile *profile;
	int (*attempt)(void *arg);
	void *arg;
};

static int finish_and(void *arg)
{
	const struct finished *finished = arg;
	struct pal_error error = {0};

	need(pal_profile_finalize(finished->profile, &error) == 0);
	return finished->attempt(finished->arg);
}

static const struct {
	int (*attempt)(void *arg);
	int allowed, forbidden; /* for a port that the profile allows, for another one */
} ways_to_connect[] = {
	{connect_tcp, 0, EACCES}, {connect_mptcp, EACCES, EACCES}, {make_sctp, EACCES, EACCES},
	{connect_later, 0, EACCES}, {add_layer, EACCES, EACCES}, {set_no_delay, 0, 0},
	{send_fast, EACCES, EACCES}, {send_message_fast, EACCES, EACCES},
	{send_udp, 0, 0}, /* what is promised is TCP's ports */
};

START_TEST(a_network_client_has_no_other_way_to_a_port)
{
	int (*attempt)(void *arg) = ways_to_connect[_i / USERS].attempt;
	struct pal_error error = {0};
	struct pal_profile *profile;
	int listeners[2], without;
	uint16_t ports[2];

	needs_self_restrict();
	if (pal_landlock_abi() < 4)
		support_skip("needs Landlock ABI 4");
	become(_i % USERS);
	for (int i = 0; i < 2; i++)
		ports[i] = listen_on(&listeners[i]);
	ck_assert_ok(pal_profile_network_client_new(ports, 1, &profile, &error), &error);
	without = under(NULL, attempt, &ports[1]);
	ck_assert_msg(without == 0 || without == ENOENT || without == EPROTONOSUPPORT ||
			      without == ENOPROTOOPT || without == EOPNOTSUPP,
		"without: %d", without);
	for (int i = 0; i < 2; i++) {
		int expected = i ? ways_to_connect[_i / USERS].forbidden
				 : ways_to_connect[_i / USERS].allowed;
		struct finished finished = {profile, attempt, &ports[i]};

		ck_assert_int_eq(under(profile, attempt, &ports[i]), expected);
		ck_assert_int_eq(under(profile, finish_and, &finished), expected);
		close(listeners[i]);
	}
	pal_profile_free(profile);
}
END_TEST

/* ---- a worker for builds ---- */

/* A socket of the host, such as a logger's. */
static struct sockaddr_un path_address = {.sun_family = AF_UNIX};

static int send_by_pair(void *type)
{
	int pair[2];

	if (socketpair(AF_UNIX, *(int *)type | SOCK_CLOEXEC, 0, pair) < 0)
		return errno;
	return result_of(sendto(pair[0], "x", 1, MSG_NOSIGNAL, (struct sockaddr *)&path_address,
		sizeof path_address));
}

static int make_pair(void *type)
{
	int pair[2];

	return result_of(socketpair(AF_UNIX, *(int *)type | SOCK_CLOEXEC, 0, pair));
}

static int join_keyring(void *unused)
{
	(void)unused;
	return result_of(syscall(SYS_keyctl, 1 /* KEYCTL_JOIN_SESSION_KEYRING */, NULL));
}

static int limit_parent(void *unused)
{
	struct rlimit limit;

	(void)unused;
	need(getrlimit(RLIMIT_CORE, &limit) == 0);
	return result_of(prlimit(getppid(), RLIMIT_CORE, &limit, NULL));
}

static int limit_itself(void *unused)
{
	struct rlimit limit;

	(void)unused;
	need(prlimit(0, RLIMIT_CORE, NULL, &limit) == 0);
	limit.rlim_cur = 0;
	return result_of(prlimit(0, RLIMIT_CORE, &limit, NULL));
}

/*
 * Of the controlling terminal that it was given: Landlock denies this only to who opens one. Its
 * reader, the caller's shell, would take the characters for typed ones. S81
 */
static int inject(void *request)
{
	return result_of(ioctl(TERMINAL, *(unsigned long *)request, "x"));
}

static int attach_debugger(void *unused)
{
	(void)unused;
	return result_of(ptrace(PTRACE_SEIZE, getppid(), NULL, NULL));
}

static int leave_namespace(void *unused)
{
	(void)unused;
	return result_of(unshare(CLONE_NEWUSER));
}

static int stream = SOCK_STREAM, packets = SOCK_SEQPACKET, datagrams = SOCK_DGRAM;
static unsigned long input = TIOCSTI, console = TIOCLINUX;
#define ANYTHING (-1)

static const struct {
	int (*attempt)(void *arg);
	void *arg;
	int without, with;
} of_worker[] = {
	{send_by_pair, &datagrams, 0, EACCES},
	{send_by_pair, &stream, EISCONN, EISCONN},
	{make_pair, &stream, 0, 0},
	{make_pair, &packets, 0, 0},
	{make_pair, &datagrams, 0, EACCES},
	{join_keyring, NULL, ANYTHING, EACCES},
	{limit_parent, NULL, 0, EPERM},
	{limit_itself, NULL, 0, 0},
	{inject, &input, ANYTHING, EACCES}, /* EIO without it, where the kernel has that off */
	{inject, &console, ANYTHING, EACCES},
	{attach_debugger, NULL, 0, DIED + SIGSYS},
	{leave_namespace, NULL, ANYTHING, EPERM}, /* as in a sanitizer's process, with its thread */
};

static void open_terminal(int *ret_master)
{
	*ret_master = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
	ck_assert_int_ge(*ret_master, 0);
	ck_assert_int_eq(grantpt(*ret_master) || unlockpt(*ret_master), 0);
	terminal_given = open(ptsname(*ret_master), O_RDWR | O_NOCTTY | O_CLOEXEC);
	ck_assert_int_ge(terminal_given, 0);
}

START_TEST(a_build_worker_reaches_nothing_outside)
{
	struct pal_error error = {0};
	struct pal_profile *profile;
	int without, with, master, listener;
	char folder[64];
	const char *const folders[] = {"/dev", NULL};

	needs_landlock();
	needs_user_namespace_of_fork();
	become(_i % USERS);
	listener = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	open_terminal(&master);
	make_folder(folder);
	snprintf(path_address.sun_path, sizeof path_address.sun_path, "%s/socket", folder);
	ck_assert_int_eq(bind(listener, (struct sockaddr *)&path_address, sizeof path_address), 0);
	ck_assert_ok(pal_profile_build_worker_new(folders, &profile, &error), &error);
	without = under(NULL, of_worker[_i / USERS].attempt, of_worker[_i / USERS].arg);
	with = under(profile, of_worker[_i / USERS].attempt, of_worker[_i / USERS].arg);
	pal_profile_free(profile);
	close(listener);
	close(terminal_given);
	close(master);
	remove_folder(folder);
	ck_assert_msg(of_worker[_i / USERS].without == ANYTHING ||
			      without == of_worker[_i / USERS].without,
		"without: %d", without);
	ck_assert_int_eq(with, of_worker[_i / USERS].with);
}
END_TEST

static Suite *make_suite(void)
{
	Suite *suite = suite_create("pal/profiles-outside");
	TCase *ports = support_tcase(suite, "ports"), *worker = support_tcase(suite, "worker");

	tcase_add_loop_test(ports, a_network_client_has_no_other_way_to_a_port, 0,
		(int)PAL_ARRAY_LENGTH(ways_to_connect) * USERS);
	tcase_add_loop_test(worker, a_build_worker_reaches_nothing_outside, 0,
		(int)PAL_ARRAY_LENGTH(of_worker) * USERS);
	return suite;
}
SUPPORT_MAIN(make_suite)
