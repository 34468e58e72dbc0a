/* SPDX-License-Identifier: MIT */
#include <pal/sandbox.h>

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/securebits.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <pal/builder-priv.h>
#include <pal/process.h>
#include <pal/util-priv.h>

#include "sandboxed.h"

#define BIT(number) (UINT64_C(1) << (number))

static struct pal_builder *new_builder(const char *program)
{
	struct pal_builder *builder = pal_builder_new(program);

	ck_assert_ptr_nonnull(builder);
	return builder;
}

/* ---- no_new_privs ---- */

START_TEST(a_set_user_id_program_gains_nothing_under_no_new_privs) /* S79 */
{
	struct pal_builder *builder;
	char folder[64], program[80];

	become(USER_ROOT);
	make_folder(folder);
	snprintf(program, sizeof program, "%s/grep", folder);
	copy_file("/bin/grep", program, 04755);
	builder = new_builder(program);
	/* real, effective, saved, file system */
	pal_builder_args(builder,
		(const char *const[]){"-q", "^Uid:.65534.0.0.0$", "/proc/self/status", NULL});
	if (fork() == 0) { /* the folder is root's to remove */
		become(USER_NOBODY);
		if (outcome_of_program(builder) != 0)
			_exit(2);
		pal_builder_no_new_privs(builder, true);
		_exit(outcome_of_program(builder) == 1 && status_number("NoNewPrivs") == 0 ? 0 : 3);
	}
	int status;
	ck_assert_int_gt(wait(&status), 0);
	ck_assert_int_eq(status, 0);
	pal_builder_free(builder);
	remove_folder(folder);
}
END_TEST

/* ---- the setters ---- */

START_TEST(null_is_never_taken_for_nothing)
{
	for (int i = 0; i < 3; i++) {
		struct pal_builder *builder = new_builder("/bin/true");

		if (i == 0)
			pal_builder_capabilities(builder, NULL);
		else if (i == 1)
			pal_builder_landlock(builder, NULL);
		else
			pal_builder_seccomp(builder, NULL);
		ck_assert_int_eq(refusal(builder, PAL_STAGE_ARGUMENT), -EINVAL);
		pal_builder_free(builder);
	}
	pal_builder_no_new_privs(NULL, true);
	pal_builder_capabilities(NULL, &PAL_CAPABILITIES_NONE);
	pal_builder_landlock(NULL, NULL);
	pal_builder_seccomp(NULL, NULL);
	pal_landlock_free(NULL);
	pal_seccomp_free(NULL);
}
END_TEST

/* ---- every system call of the child, failing (S105) ---- */

static const struct fault {
	const char *call;
	int option; /* of prctl; -1: any call */
	int stage;
} faults[] = {
	{"capget", -1, PAL_STAGE_CAPABILITIES},
	{"capset", -1, PAL_STAGE_CAPABILITIES},
	{"prctl", PR_SET_KEEPCAPS, PAL_STAGE_CAPABILITIES},
	{"prctl", PR_CAPBSET_READ, PAL_STAGE_CAPABILITIES},
	{"prctl", PR_CAPBSET_DROP, PAL_STAGE_CAPABILITIES},
	{"prctl", PR_CAP_AMBIENT, PAL_STAGE_CAPABILITIES},
	{"prctl", PR_SET_SECUREBITS, PAL_STAGE_CAPABILITIES},
	{"prctl", PR_SET_NO_NEW_PRIVS, PAL_STAGE_NO_NEW_PRIVS},
	{"landlock_restrict_self", -1, PAL_STAGE_LANDLOCK},
	{"seccomp", -1, PAL_STAGE_SECCOMP},
	{"sendmsg", -1, PAL_STAGE_SECCOMP},
	/* of the parent */
	{"socketpair", -1, PAL_STAGE_SECCOMP},
	{"recvmsg", -1, PAL_STAGE_SECCOMP},
};

/* Spawns with every step, and returns the stage that failed with EIO. */
static int spawn_with_everything(void *arg)
{
	const uint64_t one = BIT(CAP_NET_BIND_SERVICE);
	const struct pal_capabilities sets = {0, one, one, one, one};
	struct pal_builder *builder = pal_builder_new("/bin/true");
	struct pal_error error = {0};
	struct pal_landlock *ruleset;
	struct pal_seccomp *filter;
	struct pal_child *child = NULL;
	int result;

	need(pal_landlock_new(&ruleset, &error) == 0);
	need(pal_landlock_allow_path(
		     ruleset, "/", PAL_LANDLOCK_READ | PAL_LANDLOCK_EXECUTE, &error) == 0);
	need(pal_seccomp_new(PAL_SECCOMP_ALLOW, &filter, &error) == 0);
	need(pal_seccomp_rule(filter, PAL_SECCOMP_NOTIFY, "sync", &error) == 0);
	pal_builder_vfork(builder, *(bool *)arg);
	if (!*(bool *)arg) /* with it the memory is copied in any case */
		pal_builder_uid(builder, NOBODY);
	pal_builder_capabilities(builder, &sets);
	pal_builder_securebits(builder, SECBIT_NOROOT);
	pal_builder_no_new_privs(builder, true);
	pal_builder_landlock(builder, ruleset);
	pal_builder_seccomp(builder, filter);
	pal_landlock_free(ruleset);
	pal_seccomp_free(filter);
	result = pal_builder_spawn(builder, &child, &error);
	pal_builder_free(builder);
	need(result == -EIO && !child);
	need(waitpid(-1, NULL, WNOHANG) < 0 && errno == ECHILD);
	return error.stage;
}

static void break_call(struct pal_builder *builder, const struct fault *fault)
{
	struct pal_error error = {0};
	struct pal_seccomp *filter;

	ck_assert_ok(pal_seccomp_new(PAL_SECCOMP_ALLOW, &filter, &error), &error);
	if (fault->option < 0)
		ck_assert_ok(pal_seccomp_rule(filter, PAL_SECCOMP_ERRNO(EIO), fault->call, &error),
			&error);
	else
		ck_assert_ok(pal_seccomp_rule_masked(filter, PAL_SECCOMP_ERRNO(EIO), fault->call, 0,
				     UINT32_MAX, (uint64_t)fault->option, &error),
			&error);
	pal_builder_no_new_privs(builder, true);
	pal_builder_seccomp(builder, filter);
	pal_seccomp_free(filter);
}

START_TEST(a_step_that_fails_fails_the_spawn_with_its_stage)
{
	struct pal_builder *builder = new_builder(NULL);
	bool vfork = false;

	become(USER_ROOT);
	if (pal_landlock_abi() < 0)
		support_skip("no Landlock");
	break_call(builder, &faults[_i]);
	ck_assert_int_eq(outcome(builder, spawn_with_everything, &vfork), faults[_i].stage);
	vfork = true;
	if (faults[_i].option != PR_SET_KEEPCAPS)
		ck_assert_int_eq(outcome(builder, spawn_with_everything, &vfork), faults[_i].stage);
	pal_builder_free(builder);
}
END_TEST

/* ---- every system call of the preparation in the parent, failing ---- */

static const struct fault preparation_faults[] = {
	{"landlock_create_ruleset", -1, PAL_STAGE_LANDLOCK},
	{"openat", -1, PAL_STAGE_LANDLOCK},
	{"landlock_add_rule", -1, PAL_STAGE_LANDLOCK},
	{"fcntl", -1, PAL_STAGE_LANDLOCK},
	{"getrandom", -1, PAL_STAGE_SECCOMP},
};

static int prepare_landlock(struct pal_builder *builder, struct pal_error *error)
{
	struct pal_landlock *ruleset;
	int result = pal_landlock_new(&ruleset, error);

	if (result < 0)
		return result;
	result = pal_landlock_allow_path(ruleset, "/", PAL_LANDLOCK_READ, error);
	pal_builder_landlock(builder, ruleset);
	pal_landlock_free(ruleset);
	return result;
}

static int prepare_seccomp(struct pal_builder *builder, struct pal_error *error)
{
	struct pal_seccomp *filter;
	int result = pal_seccomp_new(PAL_SECCOMP_KILL, &filter, error);

	if (result < 0)
		return result;
	result = pal_seccomp_allow_first_exec(filter, error);
	pal_builder_seccomp(builder, filter);
	pal_seccomp_free(filter);
	return result;
}

/* Returns the stage that failed, of a call or remembered by the builder. */
static int prepare_with_fault(void *arg)
{
	const struct fault *fault = arg;
	struct pal_self_restrictions restrictions = {.size = sizeof restrictions};
	struct pal_builder *builder = pal_builder_new("/bin/true");
	struct pal_error error = {0};
	struct pal_seccomp *filter;
	int next = dup(0), result;

	need(pal_seccomp_new(PAL_SECCOMP_ALLOW, &filter, &error) == 0);
	need(pal_seccomp_rule(filter, PAL_SECCOMP_ERRNO(EIO), fault->call, &error) == 0);
	restrictions.seccomp = filter;
	need(pal_self_restrict(&restrictions, &error) == 0);
	pal_seccomp_free(filter);

	result = prepare_landlock(builder, &error);
	if (result >= 0)
		result = prepare_seccomp(builder, &error);
	if (result >= 0) {
		error = builder->first_error;
		result = error.code;
	}
	need(result == -EIO && error.code == -EIO && error.text[0]);
	pal_builder_free(builder);
	close(next);
	need(dup(0) == next); /* nothing is left open */
	return error.stage;
}

START_TEST(a_preparation_that_fails_says_so_and_leaves_nothing_open)
{
	const struct fault *fault = &preparation_faults[_i];

	needs_landlock();
	become(USER_ROOT);
	ck_assert_int_eq(outcome(NULL, prepare_with_fault, (void *)fault), fault->stage);
}
END_TEST

static Suite *make_suite(void)
{
	Suite *suite = suite_create("pal/sandbox");
	TCase *privileges = support_tcase(suite, "no_new_privs");
	TCase *setters = support_tcase(suite, "setters");
	TCase *failures = support_tcase(suite, "failures");

	tcase_add_test(privileges, a_set_user_id_program_gains_nothing_under_no_new_privs);
	tcase_add_test(setters, null_is_never_taken_for_nothing);
	tcase_add_loop_test(failures, a_step_that_fails_fails_the_spawn_with_its_stage, 0,
		(int)PAL_ARRAY_LENGTH(faults));
	tcase_add_loop_test(failures, a_preparation_that_fails_says_so_and_leaves_nothing_open, 0,
		(int)PAL_ARRAY_LENGTH(preparation_faults));
	return suite;
}
SUPPORT_MAIN(make_suite)
