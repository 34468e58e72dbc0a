/* SPDX-License-Identifier: MIT */
#include <pal/builder.h>

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>

#include <pal/process.h>
#include <pal/profile.h>
#include <pal/sandbox.h>
#include <pal/steps.h>

#include "spawn-support.h"
#include "support.h"

#define SETTER_CASES 16

static int failing_apply(
	const struct pal_profile *profile, struct pal_builder *builder, struct pal_error *error)
{
	(void)builder;
	return profile->data ? pal_error_set(error, PAL_STAGE_SECCOMP, -EPERM, "own words")
			     : -EPERM;
}

static const struct pal_profile silent = {
	.size = sizeof silent, .name = "silent", .apply = failing_apply};
static const struct pal_profile telling = {
	.size = sizeof telling, .apply = failing_apply, .data = (void *)&silent};

/* S12, S33, S34: no child is made. */
START_TEST(the_first_invalid_value_is_returned_by_spawn)
{
	struct pal_builder *builder = pal_builder_new(_i == 0 ? "" : "/bin/true");
	int stage = PAL_STAGE_ARGUMENT, code = -EINVAL;

	switch (_i) {
	case 1:
		pal_builder_arg(builder, NULL);
		break;
	case 2:
		pal_builder_args(builder, NULL);
		break;
	case 3:
		pal_builder_arg0(builder, NULL);
		break;
	case 4:
		pal_builder_env(builder, "A=B", "x");
		break;
	case 5:
		pal_builder_env_remove(builder, "");
		break;
	case 6:
		pal_builder_dup_fd(builder, -1, 5);
		break;
	case 7:
		pal_builder_dup_fd(builder, 5, -2);
		break;
	case 8:
		pal_builder_close_fd(builder, -1);
		break;
	case 9:
		pal_builder_stdin(builder, PAL_STDIO_FD(-1));
		break;
	case 10:
		pal_builder_cwd(builder, "");
		break;
	case 11:
		pal_builder_rlimit(builder, 1000, 1, 1);
		break;
	case 12:
		pal_builder_parent_death(builder, 65);
		break;
	case 13:
		pal_builder_sandbox(builder, NULL);
		break;
	case 14:
		pal_builder_sandbox(builder, &silent);
		stage = PAL_STAGE_PROFILE;
		code = -EPERM;
		break;
	case 15:
		pal_builder_sandbox(builder, &telling);
		stage = PAL_STAGE_SECCOMP;
		code = -EPERM;
		break;
	}
	pal_builder_rlimit(builder, -1, 1, 1); /* too late: the first is told */
	ck_assert_spawn_fails(builder, code, stage, 0);
}
END_TEST

static void give_nonsense(struct pal_builder *builder, int which)
{
	switch (which) {
	case 0:
		pal_builder_arg(builder, "good");
		pal_builder_arg(builder, NULL);
		break;
	case 1:
		pal_builder_env(builder, "A=B", "x");
		break;
	case 2:
		pal_builder_env(builder, "HOME", NULL);
		break;
	case 3:
		pal_builder_env_remove(builder, NULL);
		break;
	case 4:
		pal_builder_dup_fd(builder, -1, 5);
		break;
	case 5:
		pal_builder_cwd(builder, "");
		break;
	}
}

#define TEXTS 7
START_TEST(the_text_of_an_error_names_the_value_that_was_invalid)
{
	static const char *const texts[TEXTS] = {
		"argument 2: (null): Invalid argument",
		"environment variable 'A=B': Invalid argument",
		"environment variable 'HOME' as (null): Invalid argument",
		"environment variable '(null)': Invalid argument",
		"dup_fd of -1 as 5: Invalid argument",
		"cwd '': Invalid argument",
		"program '': Invalid argument",
	};
	struct pal_builder *builder = pal_builder_new(_i == TEXTS - 1 ? "" : "/bin/true");
	struct pal_child *child;
	struct pal_error error;

	give_nonsense(builder, _i);
	ck_assert_int_eq(pal_builder_spawn(builder, &child, &error), -EINVAL);
	ck_assert_str_eq(pal_error_text(&error), texts[_i]);
	pal_builder_free(builder);
}
END_TEST

/* Every setter of process.h and steps.h, and those of builder.h that came with them. */
static void set_the_process_of(struct pal_builder *builder)
{
	sigset_t set;
	cpu_set_t cpus;

	sigemptyset(&set);
	CPU_ZERO(&cpus);
	CPU_SET(0, &cpus);
	pal_builder_search(builder, PAL_SEARCH_RELATIVE);
	pal_builder_env_verbatim(builder, (const char *const[]){"A=x", "A=y", NULL});
	pal_builder_cwd_fd(builder, 0);
	pal_builder_start_deadline(builder, PAL_DEADLINE_NONE);
	pal_builder_uid(builder, 1);
	pal_builder_gid(builder, 2);
	pal_builder_groups(builder, NULL, 0);
	pal_builder_keep_groups(builder);
	pal_builder_reset_ids(builder, true);
	pal_builder_setsid(builder, true);
	pal_builder_process_group(builder, 0);
	pal_builder_controlling_tty(builder, 0);
	pal_builder_signal_mask(builder, &set);
	pal_builder_keep_signal_mask(builder);
	pal_builder_ignore_signals(builder, &set);
	pal_builder_keep_ignored_signals(builder, NULL);
	pal_builder_nice(builder, 1);
	pal_builder_scheduler(builder, SCHED_OTHER, 0);
	pal_builder_scheduler_priority(builder, 0);
	pal_builder_affinity(builder, &cpus, sizeof cpus);
	pal_builder_umask(builder, 022);
	pal_builder_cgroup(builder, 0);
	pal_builder_cgroup_procs(builder, 0);
	pal_builder_step_open(builder, 5, "/", O_RDONLY, 0);
	pal_builder_step_dup2(builder, 5, 6);
	pal_builder_step_close(builder, 5);
	pal_builder_step_close_from(builder, 7);
	pal_builder_step_chdir(builder, "/");
	pal_builder_step_fchdir(builder, 6);
	pal_builder_step_foreground(builder, 0);
}

START_TEST(a_builder_that_could_not_be_made_is_accepted_everywhere)
{
	struct pal_error error = {0};
	struct pal_child *child;

	pal_builder_arg0(NULL, "x");
	pal_builder_arg(NULL, "x");
	pal_builder_args(NULL, (const char *const[]){"x", NULL});
	pal_builder_env(NULL, "A", "x");
	pal_builder_env_remove(NULL, "A");
	pal_builder_env_clear(NULL);
	pal_builder_stdin(NULL, PAL_STDIO_NULL);
	pal_builder_stdout(NULL, PAL_STDIO_NULL);
	pal_builder_stderr(NULL, PAL_STDIO_NULL);
	pal_builder_dup_fd(NULL, 1, 2);
	pal_builder_close_fd(NULL, 1);
	pal_builder_close_others(NULL, true);
	pal_builder_cwd(NULL, "/");
	set_the_process_of(NULL);
	pal_builder_rlimit(NULL, RLIMIT_CPU, 1, 1);
	pal_builder_parent_death(NULL, SIGKILL);
	pal_builder_vfork(NULL, true);
	pal_builder_sandbox(NULL, &silent);
	ck_assert_int_eq(pal_builder_spawn(NULL, &child, &error), -ENOMEM);
	ck_assert_int_eq(error.stage, PAL_STAGE_MEMORY);
	ck_assert_int_eq(pal_builder_spawn(NULL, &child, NULL), -ENOMEM);
	errno = EXDEV;
	pal_builder_free(NULL);
	ck_assert_int_eq(errno, EXDEV);
}
END_TEST

/* ---- what a profile can look at ---- */

START_TEST(an_untouched_builder_tells_the_defaults)
{
	struct pal_builder *builder = pal_builder_new("/bin/true"),
			   *without = pal_builder_new(NULL);
	struct rlimit limit;

	ck_assert_str_eq(pal_builder_peek_program(builder), "/bin/true");
	ck_assert_ptr_null(pal_builder_peek_program(without));
	ck_assert_uint_eq(pal_builder_get_uid(builder), (uid_t)-1);
	ck_assert_uint_eq(pal_builder_get_gid(builder), (gid_t)-1);
	for (int fd = 0; fd < 3; fd++)
		ck_assert(pal_builder_has_fd(builder, fd));
	ck_assert(!pal_builder_has_fd(builder, 3));
	ck_assert(pal_builder_get_close_others(builder));
	ck_assert(!pal_builder_get_setsid(builder));
	ck_assert(!pal_builder_get_no_new_privs(builder));
	ck_assert_int_eq(pal_builder_get_parent_death(builder), 0);
	ck_assert(!pal_builder_get_rlimit(builder, RLIMIT_CPU, &limit));
	ck_assert_ptr_null(pal_builder_peek_env(builder, "PATH"));
	pal_builder_free(builder);
	pal_builder_free(without);
}
END_TEST

START_TEST(what_was_set_can_be_looked_at)
{
	struct pal_builder *builder = pal_builder_new("/bin/true");
	struct rlimit limit;

	pal_builder_dup_fd(builder, 1, 60);
	pal_builder_dup_fd(builder, 1, 61);
	pal_builder_close_fd(builder, 61);
	pal_builder_close_fd(builder, 0);
	ck_assert(pal_builder_has_fd(builder, 60));
	ck_assert(!pal_builder_has_fd(builder, 61));
	ck_assert(!pal_builder_has_fd(builder, 0));
	pal_builder_env(builder, "A", "");
	pal_builder_env(builder, "AB", "x");
	ck_assert_str_eq(pal_builder_peek_env(builder, "A"), "");
	pal_builder_env_remove(builder, "AB");
	ck_assert_ptr_null(pal_builder_peek_env(builder, "AB"));
	ck_assert_ptr_null(pal_builder_peek_env(builder, NULL));
	pal_builder_rlimit(builder, RLIMIT_CPU, 3, 4);
	ck_assert(pal_builder_get_rlimit(builder, RLIMIT_CPU, &limit));
	ck_assert_uint_eq(limit.rlim_cur, 3);
	ck_assert_uint_eq(limit.rlim_max, 4);
	ck_assert(!pal_builder_get_rlimit(builder, -1, &limit));
	ck_assert(!pal_builder_get_rlimit(builder, 1000, &limit));
	pal_builder_close_others(builder, false);
	pal_builder_no_new_privs(builder, true);
	pal_builder_parent_death(builder, SIGTERM);
	ck_assert(!pal_builder_get_close_others(builder));
	ck_assert(pal_builder_get_no_new_privs(builder));
	ck_assert_int_eq(pal_builder_get_parent_death(builder), SIGTERM);
	set_the_process_of(builder);
	ck_assert_uint_eq(pal_builder_get_uid(builder), 1);
	ck_assert_uint_eq(pal_builder_get_gid(builder), 2);
	ck_assert(pal_builder_get_setsid(builder));
	ck_assert_str_eq(pal_builder_peek_env(builder, "A"), "x");
	pal_builder_free(builder);
}
END_TEST

START_TEST(of_no_builder_nothing_is_told)
{
	struct rlimit limit;

	ck_assert_ptr_null(pal_builder_peek_program(NULL));
	ck_assert_uint_eq(pal_builder_get_uid(NULL), (uid_t)-1);
	ck_assert_uint_eq(pal_builder_get_gid(NULL), (gid_t)-1);
	ck_assert(!pal_builder_has_fd(NULL, 0));
	ck_assert(!pal_builder_get_close_others(NULL));
	ck_assert(!pal_builder_get_setsid(NULL));
	ck_assert(!pal_builder_get_no_new_privs(NULL));
	ck_assert_int_eq(pal_builder_get_parent_death(NULL), 0);
	ck_assert(!pal_builder_get_rlimit(NULL, RLIMIT_CPU, &limit));
	ck_assert_ptr_null(pal_builder_peek_env(NULL, "PATH"));
	ck_assert(!pal_builder_get_env_inherited(NULL));
}
END_TEST

START_TEST(without_a_program_only_fork_works)
{
	ck_assert_spawn_fails(pal_builder_new(NULL), -EINVAL, PAL_STAGE_ARGUMENT, 0);
}
END_TEST

static Suite *make_suite(void)
{
	Suite *suite = suite_create("pal/builder");
	TCase *setters = support_tcase(suite, "setters");
	TCase *getters = support_tcase(suite, "getters");

	tcase_add_loop_test(setters, the_first_invalid_value_is_returned_by_spawn, 0, SETTER_CASES);
	tcase_add_loop_test(
		setters, the_text_of_an_error_names_the_value_that_was_invalid, 0, TEXTS);
	tcase_add_test(setters, a_builder_that_could_not_be_made_is_accepted_everywhere);
	tcase_add_test(setters, without_a_program_only_fork_works);
	tcase_add_test(getters, an_untouched_builder_tells_the_defaults);
	tcase_add_test(getters, what_was_set_can_be_looked_at);
	tcase_add_test(getters, of_no_builder_nothing_is_told);
	return suite;
}
SUPPORT_MAIN(make_suite)
