/* SPDX-License-Identifier: MIT */
#include <pal/proc-stat-priv.h>

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "support.h"

#define TAIL " 0 20 0 1 0"

START_TEST(both_flags_of_our_own_child_count)
{
	/* flags 0x40: forked, not executed; 0x4: exiting */
	ck_assert(pal__stat_died_unexecuted("7 (sh) Z 99 1 1 0 -1 68" TAIL, 99));
	ck_assert(pal__stat_died_unexecuted(
		"7 (sh) R 99 1 1 0 -1 68" TAIL, 99)); /* not a zombie yet */
	ck_assert(!pal__stat_died_unexecuted("7 (sh) Z 99 1 1 0 -1 4" TAIL, 99));
	ck_assert(!pal__stat_died_unexecuted("7 (sh) R 99 1 1 0 -1 64" TAIL, 99)); /* in execve */
	ck_assert(!pal__stat_died_unexecuted("7 (sh) Z 98 1 1 0 -1 68" TAIL, 99));
	ck_assert(
		pal__stat_died_unexecuted("7 (a) Z 98 1 1 0 -1 4) Z 99 1 1 0 -1 4194372" TAIL, 99));
}
END_TEST

START_TEST(a_text_that_is_something_else_tells_nothing)
{
	ck_assert(!pal__stat_died_unexecuted("", 99));
	ck_assert(!pal__stat_died_unexecuted("7 (sh", 99));
	ck_assert(!pal__stat_died_unexecuted("7 (sh)", 99));
	ck_assert(!pal__stat_died_unexecuted("7 (sh) Z 99 1 1", 99));
	ck_assert(!pal__stat_died_unexecuted("7 (sh) Z 99 1 1 0 -1 x", 99));
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

	ck_assert(pal__died_unexecuted(pid));
	ck_assert_int_eq(waitpid(pid, NULL, 0), pid);
	ck_assert(!pal__died_unexecuted(pid));
	pid = ended(true);
	ck_assert(!pal__died_unexecuted(pid));
	ck_assert_int_eq(waitpid(pid, NULL, 0), pid);
	pid = fork();
	if (pid == 0)
		for (;;)
			pause();
	ck_assert(!pal__died_unexecuted(pid));
	kill(pid, SIGKILL);
	ck_assert_int_eq(waitpid(pid, NULL, 0), pid);
}
END_TEST

static Suite *make_suite(void)
{
	Suite *suite = suite_create("pal/proc-stat");
	TCase *stat = support_tcase(suite, "stat");

	tcase_add_test(stat, both_flags_of_our_own_child_count);
	tcase_add_test(stat, a_text_that_is_something_else_tells_nothing);
	tcase_add_test(stat, the_running_kernel_tells);
	return suite;
}
SUPPORT_MAIN(make_suite)
