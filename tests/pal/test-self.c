/* SPDX-License-Identifier: MIT */
#include <pal/sandbox.h>

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <pal/util-priv.h>

#include "sandboxed.h"
#include "workers.h"

/* What pal_self_restrict refuses, and what it leaves behind when a call fails. The rest is in test-threads.c. */

static int gain(void *unused)
{
	const uint64_t one = UINT64_C(1) << CAP_CHOWN;
	const struct pal_capabilities gains[] = {
		{.permitted = one, .inheritable = one},
		{.permitted = one, .effective = one},
		{.permitted = one, .inheritable = one, .ambient = one},
	};
	struct pal_self_restrictions restrictions = {.size = sizeof restrictions};
	/* numbers that no kernel has are ignored here, too (S78) */
	struct pal_capabilities held = {
		.bounding = UINT64_MAX, .permitted = one | UINT64_C(1) << 63};
	struct pal_error error = {0};

	(void)unused;
	restrictions.capabilities = &held;
	need(pal_self_restrict(&restrictions, &error) == 0);
	for (size_t i = 0; i < PAL_ARRAY_LENGTH(gains); i++) {
		restrictions.capabilities = &gains[i];
		need(pal_self_restrict(&restrictions, &error) == -EPERM);
		need(error.stage == PAL_STAGE_CAPABILITIES && error.index == CAP_CHOWN);
	}
	need(status_number("CapPrm") == one && status_number("CapInh") == 0 &&
		status_number("CapEff") == 0);
	return 0;
}

START_TEST(a_process_cannot_give_itself_capabilities)
{
	needs_self_restrict();
	become(USER_ROOT);
	ck_assert_int_eq(outcome(NULL, gain, NULL), 0);
}
END_TEST

static void *filter_itself(void *arg)
{
	struct worker *worker = arg;
	struct sock_filter allow = {
		.code = 0x06 /* BPF_RET | BPF_K */, .k = 0x7fff0000 /* SECCOMP_RET_ALLOW */};
	struct sock_fprog program = {1, &allow};

	prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	syscall(SYS_seccomp, 1 /* SECCOMP_SET_MODE_FILTER */, 0, &program);
	worker->tid = (pid_t)syscall(SYS_gettid);
	sem_post(&worker->started);
	wait_in_read(worker);
	return NULL;
}

static int filter_against_another(void *unused)
{
	static struct worker other;
	struct pal_error error = {0};
	struct pal_seccomp *filter;

	(void)unused;
	need(pipe2(other.fds, O_CLOEXEC) == 0);
	need(sem_init(&other.started, 0, 0) == 0);
	need(pthread_create(&other.thread, NULL, filter_itself, &other) == 0);
	while (sem_wait(&other.started) < 0)
		;
	need(pal_seccomp_new(PAL_SECCOMP_ALLOW, &filter, &error) == 0);
	need(restrict_all(filter, &error) == -EBUSY);
	need(error.stage == PAL_STAGE_SECCOMP && error.index == other.tid);
	pal_seccomp_free(filter);
	need(end_worker(&other) == 0);
	return 0;
}

START_TEST(a_thread_with_a_filter_of_its_own_is_named)
{
	needs_self_restrict();
	ck_assert_int_eq(outcome(NULL, filter_against_another, NULL), 0);
}
END_TEST

START_TEST(unknown_wishes_are_refused)
{
	struct {
		struct pal_self_restrictions known;
		long later;
	} wishes = {.known.size = sizeof wishes, .later = 1};
	struct pal_error error = {0};

	ck_assert_int_eq(pal_self_restrict(NULL, &error), -EINVAL);
	ck_assert_int_eq(pal_self_restrict(&wishes.known, &error), -E2BIG);
	wishes.later = 0;
	ck_assert_int_eq(pal_self_restrict(&wishes.known, &error), 0); /* asks for nothing */
	wishes.known.size = 0;
	ck_assert_int_eq(pal_self_restrict(&wishes.known, &error), -EINVAL);
	ck_assert_int_eq(error.stage, PAL_STAGE_ARGUMENT);
}
END_TEST

/* Each system call that finds and reaches the threads, failing (S105): nothing may have been applied. */
static const struct fault {
	const char *call;
	int stage;
	bool applied;
} faults[] = {
	{"openat", PAL_STAGE_THREADS, false},
	{"getdents64", PAL_STAGE_THREADS, false},
	{"lseek", PAL_STAGE_THREADS, false},
	{"tgkill", PAL_STAGE_THREADS, false},
	{"capget", PAL_STAGE_CAPABILITIES, false},
	{"capset", PAL_STAGE_CAPABILITIES, false},
	{"landlock_restrict_self", PAL_STAGE_LANDLOCK, true},
};

static int restrict_with_fault(void *arg)
{
	const struct fault *fault = arg;
	static struct worker worker;
	struct pal_self_restrictions restrictions = {
		.size = sizeof restrictions, .no_new_privs = true};
	struct pal_self_restrictions filtered = {.size = sizeof filtered};
	struct pal_landlock *ruleset;
	struct pal_error error = {0};
	struct pal_seccomp *filter;

	need(start_worker(&worker, wait_in_read) == 0);
	need(pal_landlock_new(&ruleset, &error) == 0);
	need(pal_seccomp_new(PAL_SECCOMP_ALLOW, &filter, &error) == 0);
	need(pal_seccomp_rule(filter, PAL_SECCOMP_ERRNO(EIO), fault->call, &error) == 0);
	filtered.seccomp = filter; /* as root: without no_new_privs */
	need(pal_self_restrict(&filtered, &error) == 0);
	pal_seccomp_free(filter);
	restrictions.capabilities = &PAL_CAPABILITIES_NONE;
	restrictions.landlock = ruleset;
	need(pal_self_restrict(&restrictions, &error) == -EIO);
	if (error.stage != fault->stage)
		fprintf(stderr, "%s\n", pal_error_text(&error));
	need(error.stage == fault->stage && error.text[0]);
	need(signal_is_default());
	pal_landlock_free(ruleset);
	need(end_worker(&worker) == 0);
	need(worker.no_new_privs ==
		0); /* the caller goes first: a thread behind it was not touched */
	need(fault->applied || prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 0);
	return 0;
}

START_TEST(a_failure_before_the_first_change_changes_nothing)
{
	needs_self_restrict();
	become(USER_ROOT);
	ck_assert_int_eq(outcome(NULL, restrict_with_fault, (void *)&faults[_i]), 0);
}
END_TEST

static Suite *make_suite(void)
{
	Suite *suite = suite_create("pal/self");
	TCase *wishes = support_tcase(suite, "wishes");
	TCase *failures = support_tcase(suite, "failures");

	tcase_add_test(wishes, a_process_cannot_give_itself_capabilities);
	tcase_add_test(wishes, unknown_wishes_are_refused);
	tcase_add_test(failures, a_thread_with_a_filter_of_its_own_is_named);
	tcase_add_loop_test(failures, a_failure_before_the_first_change_changes_nothing, 0,
		(int)PAL_ARRAY_LENGTH(faults));
	return suite;
}
SUPPORT_MAIN(make_suite)
