/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <linux/capability.h>
#include <linux/securebits.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <pal/process.h>
#include <pal/util-priv.h>

#include "fault-calls.h"
#include "sandboxed.h"

/*
 * As test-faults.c, for the steps of a sandbox: every time that one of their calls is made it
 * fails once, and then nothing runs. S73, S91, S105; S77, S78 for the calls in between.
 */

static const struct {
	const char *call;
	int stages[3];
	bool by_nobody; /* it is surely made for a child of nobody's, too */
} expected[] = {
	{"sys_setgroups", {PAL_STAGE_GROUPS}, false},
	{"sys_setresgid", {PAL_STAGE_GID}, false},
	{"sys_setresuid", {PAL_STAGE_UID}, false},
	{"sys_capget", {PAL_STAGE_CAPABILITIES}, true},
	{"sys_capset", {PAL_STAGE_CAPABILITIES}, true},
	{"sys_prctl", {PAL_STAGE_CAPABILITIES, PAL_STAGE_NO_NEW_PRIVS}, true},
	{"sys_landlock_restrict_self", {PAL_STAGE_LANDLOCK}, true},
	{"sys_seccomp", {PAL_STAGE_SECCOMP}, true},
	{"sys_sendmsg", {PAL_STAGE_SECCOMP}, true},
	{"sys_rt_sigprocmask", {PAL_STAGE_SIGNALS}, true},
	{"socketpair", {PAL_STAGE_SECCOMP}, true},
	{"recvmsg", {PAL_STAGE_SECCOMP}, true},
};

enum {
	PROGRAM,
	PROGRAM_COPIED,
	FUNCTION,
	KINDS
};

static void add_privileges(struct pal_builder *builder)
{
	const uint64_t one = UINT64_C(1) << CAP_NET_BIND_SERVICE;
	struct pal_capabilities sets = PAL_CAPABILITIES_NONE;

	if (geteuid() == 0) {
		sets = (struct pal_capabilities){0, one, one, one, one};
		pal_builder_uid(builder, NOBODY);
		pal_builder_gid(builder, NOBODY);
		pal_builder_securebits(builder, SECBIT_NOROOT);
	}
	pal_builder_capabilities(builder, &sets);
	pal_builder_no_new_privs(builder, true);
}

static void add_ruleset(struct pal_builder *builder)
{
	struct pal_landlock *ruleset;
	struct pal_error error = {0};

	ck_assert_ok(pal_landlock_new(&ruleset, &error), &error);
	ck_assert_ok(pal_landlock_allow_path(
			     ruleset, "/", PAL_LANDLOCK_READ | PAL_LANDLOCK_EXECUTE, &error),
		&error);
	pal_builder_landlock(builder, ruleset);
	pal_landlock_free(ruleset);
}

/* One that the parent is asked by, so that its descriptor goes there. */
static void add_filter(struct pal_builder *builder)
{
	struct pal_seccomp *filter;
	struct pal_error error = {0};

	ck_assert_ok(pal_seccomp_new(PAL_SECCOMP_ALLOW, &filter, &error), &error);
	ck_assert_ok(pal_seccomp_rule(filter, PAL_SECCOMP_NOTIFY, "sync", &error), &error);
	pal_builder_seccomp(builder, filter);
	pal_seccomp_free(filter);
}

static int apply_ruleset(
	const struct pal_profile *profile, struct pal_builder *builder, struct pal_error *error)
{
	(void)profile;
	(void)error;
	add_ruleset(builder);
	return 0;
}

/* With two rulesets: a profile's, and one on top of it. */
static struct pal_builder *sandboxed(int kind)
{
	static const struct pal_profile profile = {
		.size = sizeof profile, .name = "one", .apply = apply_ruleset};
	struct pal_builder *builder = pal_builder_new("/bin/true");

	pal_builder_vfork(builder, kind == PROGRAM);
	add_ruleset(builder);
	pal_builder_sandbox(builder, &profile);
	add_privileges(builder);
	add_filter(builder);
	return builder;
}

static bool stage_fits(const char *call, int stage)
{
	for (size_t i = 0; i < PAL_ARRAY_LENGTH(expected); i++)
		if (!strcmp(expected[i].call, call))
			for (int j = 0; j < 3; j++)
				if (expected[i].stages[j] == stage)
					return true;
	return false;
}

/* In a process of its own. Whether a call has failed. */
static bool attempt(int kind, const char *call, int n)
{
	struct pal_builder *builder = sandboxed(kind);
	struct pal_error error = {0};
	struct pal_child *child = NULL;
	bool fired;
	int r;

	fault_arm_call(call, n);
	r = kind == FUNCTION ? pal_fork(builder, support_return_zero, NULL, &child, &error)
			     : pal_builder_spawn(builder, &child, &error);
	fired = fault_fired();
	if (fired) {
		ck_assert_msg(r == -fault_errno() && error.code == r, "%s %d: %d instead of %d",
			call, n, r, -fault_errno());
		ck_assert_msg(stage_fits(call, error.stage), "%s %d shows as \"%s\"", call, n,
			pal_error_text(&error));
		ck_assert_ptr_null(child);
	} else {
		ck_assert_ok(r, &error);
	}
	fault_arm(0);
	pal_child_free(child);
	ck_assert_int_eq(waitid(P_ALL, 0, &(siginfo_t){0}, WEXITED | WNOHANG | WNOWAIT), -1);
	ck_assert_int_eq(errno, ECHILD);
	pal_builder_free(builder);
	return fired;
}

static bool in_own_process(int kind, const char *call, int n)
{
	int status;
	pid_t pid = fork();

	if (pid == 0) /* ThreadSanitizer's _exit would take a second each time */
		syscall(SYS_exit_group, attempt(kind, call, n) ? 10 : 11);
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert_msg(WIFEXITED(status) && WEXITSTATUS(status) >= 10, "%s %d: status %#x", call, n,
		status);
	return WEXITSTATUS(status) == 10;
}

START_TEST(nothing_runs_when_a_call_has_failed)
{
	int kind = _i % KINDS, user = _i / KINDS;

	needs_landlock();
	become(user);
	for (size_t i = 0; i < PAL_ARRAY_LENGTH(expected); i++) {
		int n = 1;

		while (in_own_process(kind, expected[i].call, n))
			n++;
		if (user == USER_ROOT || expected[i].by_nobody)
			ck_assert_msg(n > 1, "%s was never called", expected[i].call);
	}
	fault_end();
}
END_TEST

static Suite *make_suite(void)
{
	Suite *suite = suite_create("pal/sandbox-faults");
	TCase *calls = support_tcase(suite, "calls");

	tcase_add_loop_test(calls, nothing_runs_when_a_call_has_failed, 0, KINDS * USERS);
	return suite;
}
SUPPORT_MAIN(make_suite)
