/* SPDX-License-Identifier: MIT */
#include <pal/proc-stat-priv.h>

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "support.h"

#define TAIL " 0 20 0 1 0"

START_TEST(only_our_zombie_that_never_executed_counts)
{
	/* flags 0x40: forked, not executed; 0x4: exiting */
	ck_assert(pal__stat_never_executed("7 (sh) Z 99 1 1 0 -1 68" TAIL, 99));
	ck_assert(!pal__stat_never_executed("7 (sh) Z 99 1 1 0 -1 4" TAIL, 99));
	ck_assert(!pal__stat_never_executed("7 (sh) S 99 1 1 0 -1 68" TAIL, 99));
	ck_assert(!pal__stat_never_executed("7 (sh) Z 98 1 1 0 -1 68" TAIL, 99));
	ck_assert(pal__stat_never_executed("7 (a) Z 98 1 1 0 -1 4) Z 99 1 1 0 -1 4194372" TAIL, 99));
}
END_TEST

START_TEST(a_text_that_is_something_else_tells_nothing)
{
	ck_assert(!pal__stat_never_executed("", 99));
	ck_assert(!pal__stat_never_executed("7 (sh", 99));
	ck_assert(!pal__stat_never_executed("7 (sh)", 99));
	ck_assert(!pal__stat_never_executed("7 (sh) Z 99 1 1", 99));
	ck_assert(!pal__stat_never_executed("7 (sh) Z 99 1 1 0 -1 x", 99));
}
END_TEST

START_TEST(the_running_kernel_tells)
{
	siginfo_t info;
	pid_t pid = fork();

	if (pid == 0)
		_exit(0);
	ck_assert_int_eq(waitid(P_PID, (id_t)pid, &info, WEXITED | WNOWAIT), 0);
	ck_assert(pal__zombie_never_executed(pid));
	ck_assert_int_eq(waitpid(pid, NULL, 0), pid);
	ck_assert(!pal__zombie_never_executed(pid));
	pid = fork();
	if (pid == 0) {
		execl("/bin/true", "true", NULL);
		_exit(1);
	}
	ck_assert_int_eq(waitid(P_PID, (id_t)pid, &info, WEXITED | WNOWAIT), 0);
	ck_assert(!pal__zombie_never_executed(pid));
	ck_assert_int_eq(waitpid(pid, NULL, 0), pid);
}
END_TEST

static Suite *make_suite(void)
{
	Suite *suite = suite_create("pal/proc-stat");
	TCase *stat = support_tcase(suite, "stat");

	tcase_add_test(stat, only_our_zombie_that_never_executed_counts);
	tcase_add_test(stat, a_text_that_is_something_else_tells_nothing);
	tcase_add_test(stat, the_running_kernel_tells);
	return suite;
}
SUPPORT_MAIN(make_suite)
