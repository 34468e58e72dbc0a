/* SPDX-License-Identifier: MIT */
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "support.h"

/* The child answers each count with the same one: it has to see the first before it can wait for the second. */
START_TEST(processes_wait_for_each_other_s_words)
{
	int *words = mmap(NULL, 2 * sizeof *words, PROT_READ | PROT_WRITE,
		MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	int status;
	pid_t pid;

	ck_assert(words != MAP_FAILED);
	pid = fork();
	if (pid == 0) {
		for (int i = 1; i <= 1000; i++) {
			support_await(&words[0], i);
			support_tell(&words[1], words[0]);
		}
		_exit(0);
	}
	for (int i = 1; i <= 1000; i++) {
		support_tell_one_more(&words[0]);
		support_await(&words[1], i);
		ck_assert_int_eq(words[1], i);
	}
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert_int_eq(status, 0);
	munmap(words, 2 * sizeof *words);
}
END_TEST

START_TEST(a_state_is_seen_and_so_is_that_it_does_not_come)
{
	pid_t pid = fork();

	if (pid == 0)
		for (;;)
			pause();
	kill(pid, SIGSTOP);
	ck_assert(support_await_state(pid, 'T'));
	kill(pid, SIGCONT);
	ck_assert(support_await_state(pid, 'S'));
	kill(pid, SIGKILL);
	ck_assert(support_await_state(pid, 'Z'));
	ck_assert(!support_await_state(pid, 'T'));
	ck_assert_int_eq(waitpid(pid, NULL, 0), pid);
	ck_assert(!support_await_state(pid, 'T'));
}
END_TEST

static Suite *make_suite(void)
{
	Suite *suite = suite_create("support/await");
	TCase *await = support_tcase(suite, "await");

	tcase_add_test(await, processes_wait_for_each_other_s_words);
	tcase_add_test(await, a_state_is_seen_and_so_is_that_it_does_not_come);
	return suite;
}
SUPPORT_MAIN(make_suite)
