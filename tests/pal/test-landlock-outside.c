/* SPDX-License-Identifier: MIT */
#include <pal/landlock.h>

#include <errno.h>
#include <fcntl.h>
#include <linux/seccomp.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <pal/child.h>
#include <pal/landlock-abi-priv.h>
#include <pal/landlock-priv.h>
#include <pal/util-priv.h>

#include "sandboxed.h"

/* What rulesets do apart from files, and what of it older kernels have. */

/* ---- ports and scopes ---- */

static int attempt_bind_port(void *unused)
{
	PAL_CLEANUP_CLOSE int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct sockaddr_in address = {.sin_family = AF_INET};

	(void)unused;
	address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	return result_of(bind(fd, (struct sockaddr *)&address, sizeof address));
}

static int attempt_signal(void *pid)
{
	return result_of(kill(*(pid_t *)pid, 0));
}

#define needs_abi(number)                                                                          \
	do {                                                                                       \
		if (pal_landlock_abi() < (number))                                                 \
			support_skip("needs a later Landlock");                                    \
	} while (0)

static int attempt_connect(void *port)
{
	struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(*(uint16_t *)port)};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	return connect(fd, (struct sockaddr *)&address, sizeof address) < 0 ? errno : 0;
}

/* A listening TCP socket, and its port. */
static int listen_tcp(uint16_t *port)
{
	struct sockaddr_in address = {.sin_family = AF_INET};
	socklen_t size = sizeof address;
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	ck_assert_int_eq(bind(fd, (struct sockaddr *)&address, sizeof address), 0);
	ck_assert_int_eq(listen(fd, 8), 0);
	ck_assert_int_eq(getsockname(fd, (struct sockaddr *)&address, &size), 0);
	*port = ntohs(address.sin_port);
	return fd;
}

START_TEST(tcp_ports_are_denied_unless_a_rule_allows_them)
{
	struct pal_landlock *ruleset = NULL;
	struct pal_error error = {0};
	struct pal_builder *builder;
	uint16_t port;
	int fd;

	needs_abi(4);
	become(_i);
	fd = listen_tcp(&port);
	ck_assert_int_eq(outcome(NULL, attempt_connect, &port), 0);
	ck_assert_int_eq(outcome(NULL, attempt_bind_port, NULL), 0);
	builder = builder_in_domain(new_ruleset());
	ck_assert_int_eq(outcome(builder, attempt_connect, &port), EACCES);
	ck_assert_int_eq(outcome(builder, attempt_bind_port, NULL), EACCES);
	pal_builder_free(builder);
	ruleset = new_ruleset();
	ck_assert_ok(pal_landlock_allow_port(ruleset, port, PAL_LANDLOCK_CONNECT, &error), &error);
	builder = builder_in_domain(ruleset);
	ck_assert_int_eq(outcome(builder, attempt_connect, &port), 0);
	ck_assert_int_eq(outcome(builder, attempt_bind_port, NULL), EACCES);
	pal_builder_free(builder);
	ruleset = new_ruleset();
	ck_assert_ok(pal_landlock_allow_port(ruleset, 0, PAL_LANDLOCK_BIND, &error), &error);
	builder = builder_in_domain(ruleset);
	ck_assert_int_eq(outcome(builder, attempt_bind_port, NULL), 0);
	pal_builder_free(builder);
	close(fd);
}
END_TEST

START_TEST(signals_and_abstract_sockets_do_not_leave_the_sandbox) /* S104 */
{
	struct abstract_address address;
	struct pal_builder *builder;
	pid_t parent = getpid();
	int fd;

	needs_abi(6);
	become(_i);
	builder = builder_in_domain(new_ruleset());
	fd = bind_abstract(SOCK_STREAM, &address);
	ck_assert_int_eq(listen(fd, 8), 0);
	ck_assert_int_eq(outcome(NULL, attempt_signal, &parent), 0);
	ck_assert_int_eq(outcome(builder, attempt_signal, &parent), EPERM);
	ck_assert_int_eq(outcome(NULL, attempt_abstract_socket, &address), 0);
	ck_assert_int_eq(outcome(builder, attempt_abstract_socket, &address), EPERM);
	close(fd);
	pal_builder_free(builder);
}
END_TEST

/* ---- the same by themselves ---- */

START_TEST(ports_may_be_all_that_is_handled)
{
	struct pal_builder *builder;

	needs_abi(4);
	become(_i);
	builder = builder_in_domain(ruleset_handling(0, PAL_LANDLOCK_BIND, 0));
	ck_assert_int_eq(outcome(NULL, attempt_bind_port, NULL), 0);
	ck_assert_int_eq(outcome(builder, attempt_bind_port, NULL), EACCES);
	ck_assert_int_eq(outcome(builder, attempt_create, (char[]){"/dev/null"}), 0);
	pal_builder_free(builder);
	builder = builder_in_domain(ruleset_handling(0, PAL_LANDLOCK_CONNECT, 0));
	ck_assert_int_eq(outcome(builder, attempt_bind_port, NULL), 0);
	pal_builder_free(builder);
}
END_TEST

START_TEST(each_scope_closes_its_own_way_out) /* S104 */
{
	struct pal_builder *signals, *sockets;
	struct abstract_address address;
	pid_t outside = getpid();
	int fd;

	needs_abi(6);
	become(_i);
	fd = bind_abstract(SOCK_STREAM, &address);
	ck_assert_int_eq(listen(fd, 8), 0);
	signals = builder_in_domain(ruleset_handling(0, 0, PAL_LANDLOCK_SCOPE_SIGNALS));
	sockets = builder_in_domain(ruleset_handling(0, 0, PAL_LANDLOCK_SCOPE_ABSTRACT_SOCKETS));
	ck_assert_int_eq(outcome(NULL, attempt_signal, &outside), 0);
	ck_assert_int_eq(outcome(NULL, attempt_abstract_socket, &address), 0);
	ck_assert_int_eq(outcome(signals, attempt_signal, &outside), EPERM);
	ck_assert_int_eq(outcome(signals, attempt_abstract_socket, &address), 0);
	ck_assert_int_eq(outcome(sockets, attempt_signal, &outside), 0);
	ck_assert_int_eq(outcome(sockets, attempt_abstract_socket, &address), EPERM);
	pal_builder_free(signals);
	pal_builder_free(sockets);
	close(fd);
}
END_TEST

/* ---- processes and places outside, under any ruleset ---- */

static int attempt_trace(void *pid)
{
	return result_of(ptrace(PTRACE_SEIZE, *(pid_t *)pid, NULL, NULL));
}

static int attempt_open_memory(void *pid)
{
	char path[40];

	snprintf(path, sizeof path, "/proc/%d/mem", (int)*(pid_t *)pid);
	return opened(open(path, O_RDONLY | O_CLOEXEC));
}

START_TEST(a_sibling_cannot_be_traced) /* S80 */
{
	struct pal_builder *builder;
	pid_t sibling;

	needs_landlock();
	become(_i);
	builder = builder_in_domain(ruleset_handling(PAL_LANDLOCK_MAKE_BLOCK, 0, 0));
	sibling = fork();
	if (sibling == 0)
		for (;;)
			pause();
	ck_assert_int_eq(outcome(NULL, attempt_trace, &sibling), 0);
	ck_assert_int_eq(outcome(NULL, attempt_open_memory, &sibling), 0);
	ck_assert_int_eq(outcome(builder, attempt_trace, &sibling), EPERM);
	ck_assert_int_ne(outcome(builder, attempt_open_memory, &sibling), 0);
	kill(sibling, SIGKILL);
	waitpid(sibling, NULL, 0);
	pal_builder_free(builder);
}
END_TEST

static int attempt_move(void *unused)
{
	(void)unused;
	/* nothing is moved, wherever that is */
	return result_of(mount("/nowhere at all", "/proc", NULL, MS_MOVE, NULL));
}

START_TEST(mounts_cannot_be_changed) /* S102 */
{
	struct pal_builder *builder;

	needs_landlock();
	become(USER_ROOT);
	builder = builder_in_domain(ruleset_handling(PAL_LANDLOCK_MAKE_BLOCK, 0, 0));
	ck_assert_int_eq(outcome(NULL, attempt_move, NULL), ENOENT);
	ck_assert_int_eq(outcome(builder, attempt_move, NULL), EPERM);
	pal_builder_free(builder);
}
END_TEST

/* ---- older kernels, played by the parent (S99) ---- */

/* A filter that hands every landlock_create_ruleset to the parent. */
static struct pal_builder *builder_with_kernel(void)
{
	struct pal_builder *builder = pal_builder_new(NULL);
	struct pal_error error = {0};
	struct pal_seccomp *filter;

	ck_assert_ok(pal_seccomp_new(PAL_SECCOMP_ALLOW, &filter, &error), &error);
	ck_assert_ok(
		pal_seccomp_rule(filter, PAL_SECCOMP_NOTIFY, "landlock_create_ruleset", &error),
		&error);
	pal_builder_no_new_privs(builder, true);
	pal_builder_seccomp(builder, filter);
	pal_seccomp_free(filter);
	return builder;
}

/* `abi` 0: no Landlock. */
static void answer_as(int listener, int abi)
{
	for (;;) {
		struct pollfd event = {.fd = listener, .events = POLLIN};
		struct seccomp_notif call = {0};
		struct seccomp_notif_resp answer;

		ck_assert_int_eq(poll(&event, 1, 30000), 1);
		if (!(event.revents & POLLIN))
			return;
		if (ioctl(listener, SECCOMP_IOCTL_NOTIF_RECV, &call) < 0)
			continue;
		answer = (struct seccomp_notif_resp){.id = call.id};
		if (!abi)
			answer.error = -EOPNOTSUPP;
		else if (call.data.args[2] & LANDLOCK_CREATE_RULESET_VERSION)
			answer.val = abi;
		else
			answer.flags = SECCOMP_USER_NOTIF_FLAG_CONTINUE;
		ioctl(listener, SECCOMP_IOCTL_NOTIF_SEND, &answer);
	}
}

struct asked {
	uint64_t files, ports, scopes;
};

static const struct asked everything = {PAL_LANDLOCK_ALL_FILE_RIGHTS,
	PAL_LANDLOCK_BIND | PAL_LANDLOCK_CONNECT,
	PAL_LANDLOCK_SCOPE_SIGNALS | PAL_LANDLOCK_SCOPE_ABSTRACT_SOCKETS};

/* What an ABI has not. */
static struct pal_landlock_rights unknown_to(int abi)
{
	struct pal_landlock_rights unknown = {0};

	if (abi < 1)
		unknown.files = everything.files;
	if (abi < 2)
		unknown.files |= PAL_LANDLOCK_REFER;
	if (abi < 3)
		unknown.files |= PAL_LANDLOCK_TRUNCATE;
	if (abi < 4)
		unknown.ports = everything.ports;
	if (abi < 5)
		unknown.files |= PAL_LANDLOCK_IOCTL_DEV;
	if (abi < 6)
		unknown.scopes = everything.scopes;
	return unknown;
}

static int check_abi(void *arg)
{
	const int abi = *(int *)arg;
	const struct pal_landlock_rights expected = unknown_to(abi);
	const bool complete = !(expected.files | expected.ports | expected.scopes);
	struct pal_landlock_rights missing = {0};
	struct pal_landlock *ruleset = NULL;
	struct pal_error error = {0};
	int result = pal_landlock_new_handling(
		everything.files, everything.ports, everything.scopes, 0, &ruleset, &error);

	need(result == (complete ? 0 : -EOPNOTSUPP) && !ruleset == !complete);
	if (complete)
		need(!pal_landlock_missing(ruleset, &missing));
	else
		need(error.stage == PAL_STAGE_LANDLOCK);
	pal_landlock_free(ruleset);

	need(pal_landlock_new_handling(everything.files, everything.ports, everything.scopes,
		     PAL_LANDLOCK_BEST_EFFORT | PAL_LANDLOCK_NO_AUDIT, &ruleset, &error) == 0);
	need(pal_landlock_missing(ruleset, &missing) == !complete);
	need(missing.files == expected.files);
	need(missing.ports == expected.ports && missing.scopes == expected.scopes);
	need((ruleset->fd >= 0) == (abi > 0));
	need(ruleset->restrict_flags == (abi >= 7 ? 1u : 0));
	need(pal_landlock_allow_path(ruleset, "/", PAL_LANDLOCK_READ, &error) == 0);
	need(pal_landlock_allow_port(ruleset, 80, PAL_LANDLOCK_BIND, &error) == 0);
	pal_landlock_free(ruleset);

	result = pal_landlock_new_handling(
		PAL_LANDLOCK_READ, 0, 0, PAL_LANDLOCK_NO_AUDIT, &ruleset, &error);
	need(result == (abi >= 7 ? 0 : -EOPNOTSUPP));
	if (result == 0)
		pal_landlock_free(ruleset);
	return 0;
}

START_TEST(each_abi_gives_what_it_has_and_says_what_it_has_not)
{
	struct pal_builder *builder = builder_with_kernel();
	struct pal_error error = {0};
	struct pal_status status;
	struct pal_child *child;
	int listener, abi = _i;

	needs_abi(7);
	ck_assert_ok(pal_fork(builder, check_abi, &abi, &child, &error), &error);
	listener = pal_child_steal_notify(child);
	answer_as(listener, abi);
	ck_assert_ok(pal_child_wait(child, PAL_DEADLINE_MS(30000), &status, &error), &error);
	ck_assert(!status.signaled && status.code == 0);
	close(listener);
	pal_child_free(child);
	pal_builder_free(builder);
}
END_TEST

START_TEST(a_ruleset_that_handles_nothing_restricts_nothing)
{
	const struct pal_landlock nothing = {.fd = -1}; /* best effort without Landlock */
	struct pal_landlock *ruleset;
	struct pal_builder *builder;

	needs_landlock();
	become(_i);
	ruleset = ruleset_handling(PAL_LANDLOCK_READ, 0, 0);
	builder = pal_builder_new("/bin/true");
	pal_builder_landlock(builder, ruleset);
	pal_builder_landlock(builder, &nothing);
	ck_assert_int_eq(outcome_of_program(builder), 0);
	pal_landlock_free(ruleset);
	pal_builder_free(builder);
}
END_TEST

static Suite *make_suite(void)
{
	Suite *suite = suite_create("pal/landlock-outside");
	TCase *others = support_tcase(suite, "others");
	TCase *kernels = support_tcase(suite, "kernels");

	tcase_add_loop_test(others, tcp_ports_are_denied_unless_a_rule_allows_them, 0, USERS);
	tcase_add_loop_test(
		others, signals_and_abstract_sockets_do_not_leave_the_sandbox, 0, USERS);
	tcase_add_loop_test(others, ports_may_be_all_that_is_handled, 0, USERS);
	tcase_add_loop_test(others, each_scope_closes_its_own_way_out, 0, USERS);
	tcase_add_loop_test(others, a_sibling_cannot_be_traced, 0, USERS);
	tcase_add_test(others, mounts_cannot_be_changed);
	tcase_add_loop_test(kernels, each_abi_gives_what_it_has_and_says_what_it_has_not, 0, 8);
	tcase_add_loop_test(kernels, a_ruleset_that_handles_nothing_restricts_nothing, 0, USERS);
	return suite;
}
SUPPORT_MAIN(make_suite)
