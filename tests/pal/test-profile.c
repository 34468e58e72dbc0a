/* SPDX-License-Identifier: MIT */
#include <pal/profile.h>

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <pal/util-priv.h>

#include "sandboxed.h"

/* Runs tests/helpers/pure-host; `profile` may be NULL. Descriptor 3 there is a folder. */
static int host(
	const struct pal_profile *profile, const char *stage, const char *action, int socket)
{
	PAL_CLEANUP_CLOSE int folder = open("/usr/lib", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct pal_builder *builder = pal_builder_new(support_helper("pure-host"));
	int result;

	pal_builder_arg(builder, stage);
	pal_builder_arg(builder, action);
	pal_builder_stdout(builder, PAL_STDIO_NULL);
	pal_builder_dup_fd(builder, folder, 3);
	if (socket >= 0)
		pal_builder_dup_fd(builder, socket, 4);
	if (profile)
		pal_builder_sandbox(builder, profile);
	result = outcome_of_program(builder);
	pal_builder_free(builder);
	return result;
}

/* ---- pure computation ---- */

#define ANYTHING (-1)    /* depends on the system */
#define KEPT_INSIDE (-2) /* by Landlock's scope, or by the filter where there is none */
#define KILLED (DIED + SIGSYS)

static const struct verdict {
	const char *action;
	int without; /* the profile */
	int start, final;
} verdicts[] = {
	{"read-file", 0, 0, EACCES},
	{"write-file", ANYTHING, EACCES, EACCES},
	{"write-null", 0, EACCES, EACCES},
	{"create-file", ANYTHING, EACCES, EACCES},
	{"open-above", 0, 0, EACCES}, /* S100 */
	{"remove-file", ENOENT, EACCES, EACCES},
	{"make-socket", 0, EACCES, EACCES},
	{"make-pair", 0, EACCES, EACCES},
	{"make-process", 0, EACCES, EACCES},
	{"run-program", 0, KILLED, KILLED},
	{"run-descriptor", ANYTHING, KILLED, KILLED},
	{"trace", 0, KILLED, KILLED},
	{"mount", ANYTHING, KILLED, KILLED},
	{"unshare", ANYTHING, KILLED, KILLED},
	{"signal-parent", 0, EACCES, EACCES},
	{"signal-parents-thread", 0, KEPT_INSIDE, ENOSYS},
	{"read-parents-memory", ANYTHING, EACCES, EACCES},
	{"bind-parent", 0, EACCES, EACCES},
	{"limit-parent", 0, ENOSYS, ENOSYS},
	{"call-unknown", ENOSYS, ENOSYS, ENOSYS}, /* S93 */
	{"call-clone3", EINVAL, ENOSYS, ENOSYS},  /* S93 */
	{"make-code", 0, 0, EACCES},
	{"make-code-later", 0, 0, EACCES},
	{"abort", DIED + SIGABRT, DIED + SIGABRT, DIED + SIGABRT},
	{"inject-input", ANYTHING, ENOSYS, ENOSYS}, /* S81 */
	{"own-capabilities", ANYTHING, 0, ENOSYS},
	{"own-descriptors", 255, 0, 0},
	{"use-threads", 0, 0, 0},
	{"use-memory", 0, 0, 0},
	{"use-events", 0, 0, 0},
	{"use-libc", 0, 0, 0},
	{"use-pictures", 0, 0, 0},
	{"signal-itself", 0, 0, 0},
};
#define CASES ((int)PAL_ARRAY_LENGTH(verdicts) * USERS)

START_TEST(pure_computation_does_what_it_needs_and_nothing_else)
{
	const struct verdict *verdict = &verdicts[_i / USERS];
	const struct pal_profile *profile = pal_profile_pure_compute();
	int without, start, expected = verdict->start;

	needs_self_restrict();
	become(_i % USERS);
	if (expected == KEPT_INSIDE)
		expected = pal_landlock_abi() < 6 ? ENOSYS : EPERM;
	without = host(NULL, "start", verdict->action, -1);
	ck_assert_msg(without == verdict->without || verdict->without == ANYTHING, "%s: %d",
		verdict->action, without);
	start = host(profile, "start", verdict->action, -1);
	ck_assert_msg(start == expected, "%s at the start: %d", verdict->action, start);
	ck_assert_msg(host(profile, "final", verdict->action, -1) == verdict->final, "%s",
		verdict->action);
	ck_assert_msg(host(profile, "thread", verdict->action, -1) == verdict->final, "%s",
		verdict->action);
}
END_TEST

/* From now on this process sees a kernel without Landlock. */
static void lose_landlock(void)
{
	struct pal_self_restrictions restrictions = {.size = sizeof restrictions};
	struct pal_error error = {0};
	struct pal_seccomp *filter;

	ck_assert_int_eq(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), 0);
	ck_assert_ok(pal_seccomp_new(PAL_SECCOMP_ALLOW, &filter, &error), &error);
	ck_assert_ok(pal_seccomp_rule(filter, PAL_SECCOMP_ERRNO(EOPNOTSUPP),
			     "landlock_create_ruleset", &error),
		&error);
	restrictions.seccomp = filter;
	ck_assert_ok(pal_self_restrict(&restrictions, &error), &error);
	pal_seccomp_free(filter);
	ck_assert_int_eq(pal_landlock_abi(), -EOPNOTSUPP);
}

START_TEST(without_landlock_it_starts_and_the_filter_leaves_one_signal)
{
	const struct pal_profile *profile = pal_profile_pure_compute();

	become(_i);
	lose_landlock();
	ck_assert_int_eq(host(profile, "start", "use-threads", -1), 0);
	ck_assert_int_eq(host(profile, "start", "signal-parents-thread", -1), ENOSYS);
	ck_assert_int_eq(host(profile, "start", "abort", -1), DIED + SIGABRT);
}
END_TEST

static int apply_with_a_ruleset(
	const struct pal_profile *profile, struct pal_builder *builder, struct pal_error *error)
{
	struct pal_landlock *files;
	int r = pal_profile_pure_compute()->apply(profile, builder, error);

	if (r >= 0)
		r = pal_landlock_new(&files, error);
	if (r < 0)
		return r;
	r = pal_landlock_allow_path(files, "/", PAL_LANDLOCK_READ | PAL_LANDLOCK_EXECUTE, error);
	pal_builder_landlock(builder, files);
	pal_landlock_free(files);
	return r;
}

/* The example of profile.h. Both are in force, and none of their descriptors stays. */
START_TEST(a_ruleset_of_one_s_own_stacks_with_that_of_the_profile)
{
	const struct pal_profile own = {
		.size = sizeof own, .name = "own", .apply = apply_with_a_ruleset};

	needs_landlock();
	become(_i);
	ck_assert_int_eq(host(&own, "start", "own-descriptors", -1), 0);
	ck_assert_int_eq(host(&own, "start", "read-parents-memory", -1), EACCES);
	if (pal_landlock_abi() >= 6)
		ck_assert_int_eq(host(&own, "start", "signal-parents-thread", -1), EPERM);
}
END_TEST

/* Sends the byte with a descriptor to the other end, and reads it back. */
static void converse(const char *stage)
{
	int file = memfd_create("text", MFD_CLOEXEC);
	char byte = 0, other = 0;
	int fds[2];

	ck_assert_int_eq(write(file, "text", 4), 4);
	ck_assert_int_eq(pal_socket_pair(SOCK_SEQPACKET, fds), 0);
	ck_assert_int_eq(pal_socket_send(fds[0], &byte, 1, &file, 1), 1);
	ck_assert_int_eq(host(pal_profile_pure_compute(), stage, "use-socket", fds[1]), 0);
	ck_assert_int_eq(read(fds[0], &other, 1), 1);
	close(file);
	close(fds[0]);
	close(fds[1]);
}

START_TEST(pure_computation_may_use_the_sockets_that_it_was_given)
{
	needs_self_restrict();
	become(_i);
	converse("start");
	converse("final");
	converse("thread");
}
END_TEST

/* The filter cannot see addresses in memory; Landlock's scope is what stops this. */
START_TEST(a_socket_that_it_was_given_does_not_reach_abstract_addresses)
{
	struct abstract_address address;
	int listener, sender;

	needs_self_restrict();
	if (pal_landlock_abi() < 6)
		support_skip("needs Landlock ABI 6");
	become(_i);
	listener = bind_abstract(SOCK_DGRAM, &address);
	setenv("PROCMESH_TEST_ADDRESS", address.address.sun_path + 1, 1);
	sender = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	ck_assert_int_eq(host(pal_profile_pure_compute(), "start", "send-abstract", sender), 0);
	ck_assert_int_eq(host(pal_profile_pure_compute(), "final", "send-abstract", sender), EPERM);
	ck_assert_int_eq(
		host(pal_profile_pure_compute(), "thread", "send-abstract", sender), EPERM);
	close(listener);
	close(sender);
}
END_TEST

static int finalize_and_wait(void *fds)
{
	struct pal_error error = {0};
	char byte;

	need(pal_profile_finalize(pal_profile_pure_compute(), &error) == 0);
	need(write(((int *)fds)[1], "x", 1) == 1);
	need(read(((int *)fds)[1], &byte, 1) == 1);
	return 0;
}

/* A value of /proc/PID/status. */
static unsigned long long number_of(pid_t pid, const char *name)
{
	char path[64], line[256];
	unsigned long long number = ~0ull;
	FILE *file;

	snprintf(path, sizeof path, "/proc/%d/status", (int)pid);
	file = fopen(path, "re");
	ck_assert_ptr_nonnull(file);
	while (fgets(line, sizeof line, file))
		if (!strncmp(line, name, strlen(name)))
			number = strtoull(line + strlen(name) + 1, NULL, 16);
	fclose(file);
	return number;
}

START_TEST(finalize_alone_drops_the_capabilities_too)
{
	struct pal_builder *builder = pal_builder_new(NULL);
	struct pal_error error = {0};
	struct pal_child *child;
	struct pal_status status;
	char byte;
	int fds[2];

	needs_self_restrict();
	become(USER_ROOT);
	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
	pal_builder_dup_fd(builder, fds[1], fds[1]);
	ck_assert_ok(pal_fork(builder, finalize_and_wait, fds, &child, &error), &error);
	ck_assert_int_eq(read(fds[0], &byte, 1), 1);
	ck_assert_uint_eq(number_of(pal_child_pid(child), "CapPrm"), 0);
	ck_assert_uint_eq(number_of(pal_child_pid(child), "CapBnd"), 0);
	ck_assert_uint_eq(number_of(pal_child_pid(child), "NoNewPrivs"), 1);
	ck_assert_int_eq(write(fds[0], "x", 1), 1);
	ck_assert_ok(pal_child_wait(child, PAL_DEADLINE_NONE, &status, &error), &error);
	ck_assert_int_eq(status.code, 0);
	pal_child_free(child);
	pal_builder_free(builder);
	close(fds[0]);
	close(fds[1]);
}
END_TEST

static int finalize_in_a_fork(void *unused)
{
	struct pal_error error = {0};
	pid_t pid;

	(void)unused;
	need(pal_profile_finalize(pal_profile_pure_compute(), &error) == 0);
	need(open("/etc/passwd", O_RDONLY) < 0 && errno == EACCES);
	pid = fork();
	need(pid < 0 && errno == EACCES);
	return 0;
}

START_TEST(it_works_for_a_forked_function_too)
{
	struct pal_builder *builder = pal_builder_new(NULL);

	needs_self_restrict();
	become(_i);
	ck_assert_int_eq(outcome(NULL, finalize_in_a_fork, NULL), 0);
	pal_builder_sandbox(builder, pal_profile_pure_compute());
	ck_assert_int_eq(outcome(builder, finalize_in_a_fork, NULL), 0);
	pal_builder_free(builder);
}
END_TEST

START_TEST(a_limit_that_is_lower_already_is_kept)
{
	become(_i);
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &(struct rlimit){32, 32}), 0);
	/* 255: it ended at another number than 64 */
	ck_assert_int_eq(host(pal_profile_pure_compute(), "start", "own-descriptors", -1), 255);
}
END_TEST

static int limits_of_descriptors(void *expected)
{
	struct rlimit now;

	need(getrlimit(RLIMIT_NOFILE, &now) == 0);
	need(!memcmp(&now, expected, sizeof now));
	return 0;
}

START_TEST(a_soft_limit_is_not_raised_to_that_of_the_profile)
{
	struct pal_builder *builder = pal_builder_new(NULL);

	become(_i);
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &(struct rlimit){20, 200}), 0);
	pal_builder_sandbox(builder, pal_profile_pure_compute());
	ck_assert_int_eq(outcome(builder, limits_of_descriptors, &(struct rlimit){20, 64}), 0);
	pal_builder_free(builder);
}
END_TEST

/* ---- one's own ---- */

static int apply_that_of_pure(
	const struct pal_profile *profile, struct pal_builder *builder, struct pal_error *error)
{
	return pal_profile_pure_compute()->apply(profile, builder, error);
}

static int refuse(const struct pal_profile *profile, struct pal_error *error)
{
	return pal_error_set(error, PAL_STAGE_PROFILE, -EXFULL, "%s", profile->name);
}

START_TEST(a_profile_is_a_pair_of_hooks)
{
	struct pal_profile own = {
		.size = sizeof own, .name = "own", .apply = apply_that_of_pure, .finalize = refuse};
	struct pal_error error = {0};

	ck_assert_int_eq(host(&own, "start", "make-socket", -1), EACCES);
	ck_assert_int_eq(pal_profile_finalize(&own, &error), -EXFULL);
	ck_assert_int_eq(error.stage, PAL_STAGE_PROFILE);
	own.finalize = NULL;
	ck_assert_int_eq(pal_profile_finalize(&own, &error), 0);
	ck_assert_int_eq(pal_profile_finalize(NULL, &error), 0);
	own.size = 4;
	ck_assert_int_eq(pal_profile_finalize(&own, &error), -EINVAL);
}
END_TEST

START_TEST(a_profile_that_asks_for_something_unknown_is_refused)
{
	struct {
		struct pal_profile known;
		long later;
	} profile = {.known = {.size = sizeof profile, .name = "later"}};
	struct pal_builder *builder = pal_builder_new("/bin/true");
	struct pal_error error = {0};

	pal_builder_sandbox(builder, &profile.known);
	ck_assert_int_eq(outcome_of_program(builder), 0);
	ck_assert_int_eq(pal_profile_finalize(&profile.known, &error), 0);
	profile.later = 1;
	pal_builder_sandbox(builder, &profile.known);
	ck_assert_int_eq(refusal(builder, PAL_STAGE_ARGUMENT), -E2BIG);
	ck_assert_int_eq(pal_profile_finalize(&profile.known, &error), -E2BIG);
	ck_assert_int_eq(error.stage, PAL_STAGE_ARGUMENT);
	pal_builder_free(builder);
}
END_TEST

static int fail_to_apply(
	const struct pal_profile *profile, struct pal_builder *builder, struct pal_error *error)
{
	(void)builder;
	return refuse(profile, error);
}

START_TEST(a_profile_that_cannot_be_applied_fails_the_spawn)
{
	struct pal_profile own = {.size = sizeof own, .name = "own", .apply = fail_to_apply};
	struct pal_builder *builder = pal_builder_new("/bin/true");

	pal_builder_sandbox(builder, &own);
	ck_assert_int_eq(refusal(builder, PAL_STAGE_PROFILE), -EXFULL);
	pal_builder_free(builder);
}
END_TEST

static Suite *make_suite(void)
{
	Suite *suite = suite_create("pal/profile");
	TCase *pure = support_tcase(suite, "pure computation");
	TCase *own = support_tcase(suite, "own");

	tcase_add_loop_test(pure, pure_computation_does_what_it_needs_and_nothing_else, 0, CASES);
	tcase_add_loop_test(pure, pure_computation_may_use_the_sockets_that_it_was_given, 0, USERS);
	tcase_add_loop_test(
		pure, a_socket_that_it_was_given_does_not_reach_abstract_addresses, 0, USERS);
	tcase_add_test(pure, finalize_alone_drops_the_capabilities_too);
	tcase_add_loop_test(pure, it_works_for_a_forked_function_too, 0, USERS);
	tcase_add_loop_test(pure, a_limit_that_is_lower_already_is_kept, 0, USERS);
	tcase_add_loop_test(pure, a_soft_limit_is_not_raised_to_that_of_the_profile, 0, USERS);
	tcase_add_loop_test(
		pure, without_landlock_it_starts_and_the_filter_leaves_one_signal, 0, USERS);
	tcase_add_loop_test(pure, a_ruleset_of_one_s_own_stacks_with_that_of_the_profile, 0, USERS);
	tcase_add_test(own, a_profile_is_a_pair_of_hooks);
	tcase_add_test(own, a_profile_that_asks_for_something_unknown_is_refused);
	tcase_add_test(own, a_profile_that_cannot_be_applied_fails_the_spawn);
	return suite;
}
SUPPORT_MAIN(make_suite)
