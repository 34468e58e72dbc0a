/* SPDX-License-Identifier: MIT */
#include <pal/proc-stat-priv.h>

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "support.h"

#define TAIL " 0 20 0 1 0"

static void ck_assert_progress(const char *text, enum pal__progress expected)
{
	ck_assert_msg(pal__stat_progress(text, 99) == expected, "%s", text);
}

START_TEST(two_flags_of_our_own_child_count)
{
	/* flags 0x40: forked, not executed; 0x4: exiting */
	ck_assert_progress("7 (sh) Z 99 1 1 0 -1 68" TAIL, PAL__PROGRESS_DIED);
	ck_assert_progress(
		"7 (sh) R 99 1 1 0 -1 68" TAIL, PAL__PROGRESS_DIED); /* not a zombie yet */
	ck_assert_progress("7 (sh) Z 99 1 1 0 -1 4" TAIL, PAL__PROGRESS_EXECUTED);
	ck_assert_progress("7 (sh) R 99 1 1 0 -1 0" TAIL, PAL__PROGRESS_EXECUTED);
	ck_assert_progress("7 (sh) R 99 1 1 0 -1 64" TAIL, PAL__PROGRESS_NOT_YET); /* in execve */
	ck_assert_progress("7 (sh) Z 98 1 1 0 -1 68" TAIL, PAL__PROGRESS_UNKNOWN);
	ck_assert_progress("7 (a) Z 98 1 1 0 -1 4) Z 99 1 1 0 -1 4194372" TAIL, PAL__PROGRESS_DIED);
}
END_TEST

START_TEST(a_text_that_is_something_else_tells_nothing)
{
	ck_assert_progress("", PAL__PROGRESS_UNKNOWN);
	ck_assert_progress("7 (sh", PAL__PROGRESS_UNKNOWN);
	ck_assert_progress("7 (sh)", PAL__PROGRESS_UNKNOWN);
	ck_assert_progress("7 (sh) Z 99 1 1", PAL__PROGRESS_UNKNOWN);
	ck_assert_progress("7 (sh) Z 99 1 1 0 -1 x", PAL__PROGRESS_UNKNOWN);
}
END_TEST

static pid_t ended(bool execute)
{
	siginfo_t info;
	pid_t pid = fork();

	if (pid == 0 && execute)
		execl("/bin/true", "true", NULL);
	if (pid == 0)
		_exit(0);
	ck_assert_int_eq(waitid(P_PID, (id_t)pid, &info, WEXITED | WNOWAIT), 0);
	return pid;
}

START_TEST(the_running_kernel_tells)
{
	pid_t pid = ended(false);

	ck_assert_int_eq(pal__progress(pid), PAL__PROGRESS_DIED);
	ck_assert_int_eq(waitpid(pid, NULL, 0), pid);
	ck_assert_int_eq(pal__progress(pid), PAL__PROGRESS_UNKNOWN);
	pid = ended(true);
	ck_assert_int_eq(pal__progress(pid), PAL__PROGRESS_EXECUTED);
	ck_assert_int_eq(waitpid(pid, NULL, 0), pid);
	pid = fork();
	if (pid == 0)
		for (;;)
			pause();
	ck_assert_int_eq(pal__progress(pid), PAL__PROGRESS_NOT_YET);
	kill(pid, SIGKILL);
	ck_assert_int_eq(waitpid(pid, NULL, 0), pid);
}
END_TEST

static Suite *make_suite(void)
{
	Suite *suite = suite_create("pal/proc-stat");
	TCase *stat = support_tcase(suite, "stat");

	tcase_add_test(stat, two_flags_of_our_own_child_count);
	tcase_add_test(stat, a_text_that_is_something_else_tells_nothing);
	tcase_add_test(stat, the_running_kernel_tells);
	return suite;
}
SUPPORT_MAIN(make_suite)
