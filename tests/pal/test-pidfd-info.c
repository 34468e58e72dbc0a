/* SPDX-License-Identifier: MIT */
#include <pal/pal.h>

#include <errno.h>
#include <signal.h>
#include <sys/wait.h>

#include <pal/pidfd-info-priv.h>

#include "spawn-support.h"
#include "support.h"

/* S58, S65: children that nobody can wait for any more, of which the pidfd still tells the end. */

static struct pal_child *start(int mode, const char *how, const char *number)
{
	struct pal_builder *builder = builder_for("end-with", mode);

	pal_builder_arg(builder, how);
	pal_builder_arg(builder, number);
	return spawn_take(builder);
}

static void await_removal(struct pal_child *child)
{
	siginfo_t info;

	while (waitid(P_PIDFD, (id_t)pal_child_peek_pidfd(child), &info, WEXITED | WNOWAIT) == 0)
		;
	ck_assert_int_eq(errno, ECHILD);
}

static void needs_it(void)
{
	struct pal_child *child;
	int code, r;

	signal(SIGCHLD, SIG_IGN);
	child = start(MODE_VFORK, "exit", "1");
	await_removal(child);
	r = pal__pidfd_exit_status(pal_child_peek_pidfd(child), &code);
	pal_child_free(child);
	signal(SIGCHLD, SIG_DFL);
	if (r < 0)
		support_skip("the kernel's pidfds do not tell how a process has ended: Linux 6.15");
}

static void check_exit(struct pal_child *child, int code)
{
	struct pal_error error = {0};
	struct pal_status status;

	ck_assert_ok(pal_child_wait(child, PAL_DEADLINE_NONE, &status, &error), &error);
	ck_assert(!status.signaled && !status.core);
	ck_assert_int_eq(status.code, code);
	ck_assert_int_eq(pal_child_try_wait(child, &status, &error), 1);
	ck_assert_int_eq(status.code, code);
	pal_child_free(child);
}

START_TEST(an_exit_code_is_known_where_SIGCHLD_is_ignored)
{
	needs_it();
	signal(SIGCHLD, SIG_IGN);
	for (int i = 0; i < 50; i++)
		check_exit(start(_i, "exit", "42"), 42);
}
END_TEST

START_TEST(a_signal_is_known_where_SIGCHLD_is_ignored)
{
	struct pal_status status;
	struct pal_child *child;

	needs_it();
	signal(SIGCHLD, SIG_IGN);
	child = start(_i, "signal", "15");
	ck_assert_int_eq(pal_child_wait(child, PAL_DEADLINE_NONE, &status, NULL), 0);
	ck_assert(status.signaled);
	ck_assert_int_eq(status.code, SIGTERM);
	pal_child_free(child);
}
END_TEST

START_TEST(a_status_that_somebody_else_took_is_known)
{
	struct pal_child *child;

	needs_it();
	child = start(_i, "exit", "5");
	ck_assert_int_eq(waitpid(-1, NULL, 0), pal_child_pid(child));
	check_exit(child, 5);
}
END_TEST

START_TEST(the_end_is_a_change_also_where_it_was_taken)
{
	struct pal_child *child;
	struct pal_status status;

	needs_it();
	child = start(_i, "exit", "6");
	ck_assert_int_eq(waitpid(-1, NULL, 0), pal_child_pid(child));
	ck_assert_int_eq(pal_child_wait_change(child, PAL_CHILD_ENDED, PAL_DEADLINE_NONE, NULL, NULL),
		PAL_CHILD_ENDED);
	ck_assert_int_eq(pal_child_wait(child, PAL_DEADLINE_NONE, &status, NULL), 0);
	ck_assert_int_eq(status.code, 6);
	pal_child_free(child);
}
END_TEST

START_TEST(an_older_kernel_does_not_tell)
{
	struct pal_child *child = start(_i, "exit", "5");
	int code = 77;

	support_without_pidfd_info();
	ck_assert_int_eq(waitpid(-1, NULL, 0), pal_child_pid(child));
	ck_assert_int_eq(pal__pidfd_exit_status(pal_child_peek_pidfd(child), &code), -ENOTTY);
	ck_assert_int_eq(code, 77);
	pal_child_free(child);
}
END_TEST

static Suite *make_suite(void)
{
	Suite *suite = suite_create("pal/pidfd_info");
	TCase *all = support_tcase(suite, "all");

	tcase_add_loop_test(all, an_exit_code_is_known_where_SIGCHLD_is_ignored, 0, MODES);
	tcase_add_loop_test(all, a_signal_is_known_where_SIGCHLD_is_ignored, 0, MODES);
	tcase_add_loop_test(all, a_status_that_somebody_else_took_is_known, 0, MODES);
	tcase_add_loop_test(all, the_end_is_a_change_also_where_it_was_taken, 0, MODES);
	tcase_add_loop_test(all, an_older_kernel_does_not_tell, 0, MODES);
	return suite;
}
SUPPORT_MAIN(make_suite)
