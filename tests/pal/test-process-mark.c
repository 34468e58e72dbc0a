/* SPDX-License-Identifier: MIT */
#include <pal/process-mark.h>

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "support.h"

START_TEST(it_stays_the_same)
{
	uint64_t mark = pal_process_mark();

	ck_assert_uint_gt(mark, UINT32_MAX); /* no pid */
	ck_assert_uint_eq(pal_process_mark(), mark);
}
END_TEST

/* A fork, also one that libc does not see. */
static pid_t fork_in_some_way(int way)
{
	return way == 0 ? fork() : (pid_t)syscall(SYS_clone, SIGCHLD, NULL, NULL, NULL, NULL);
}

/* 0 where `depth` forks in a row have marks that none before them had. */
static int differs_from(const uint64_t *before, int count, int depth, int way)
{
	uint64_t marks[8];
	int status = 0;
	pid_t pid;

	for (int i = 0; i < count; i++) {
		marks[i] = before[i];
		if (marks[i] == pal_process_mark())
			return 1;
	}
	marks[count] = pal_process_mark();
	if (depth == 0)
		return 0;
	pid = fork_in_some_way(way);
	if (pid == 0)
		syscall(SYS_exit_group, differs_from(marks, count + 1, depth - 1, way));
	return waitpid(pid, &status, 0) != pid || status != 0;
}

START_TEST(it_differs_in_every_fork)
{
	const uint64_t none = 0;

	ck_assert_int_eq(differs_from(&none, 0, 3, _i), 0);
}
END_TEST

/* The first to ask is not here: what a process marks is true in all of its threads. */
static void *ask(void *arg)
{
	*(uint64_t *)arg = pal_process_mark();
	return NULL;
}

START_TEST(all_threads_have_the_same)
{
	pthread_t threads[8];
	uint64_t marks[8];

	for (int i = 0; i < 8; i++)
		ck_assert_int_eq(pthread_create(&threads[i], NULL, ask, &marks[i]), 0);
	for (int i = 0; i < 8; i++)
		ck_assert_int_eq(pthread_join(threads[i], NULL), 0);
	for (int i = 0; i < 8; i++)
		ck_assert_uint_eq(marks[i], pal_process_mark());
}
END_TEST

int __real_madvise(void *address, size_t size, int advice);
int __wrap_madvise(void *address, size_t size, int advice);
static bool madvise_fails;

int __wrap_madvise(void *address, size_t size, int advice)
{
	if (madvise_fails) {
		errno = EINVAL;
		return -1;
	}
	return __real_madvise(address, size, advice);
}

/* A kernel that does not clear pages. Once that is known it remains so: marks are compared. */
START_TEST(else_it_is_the_pid)
{
	const uint64_t none = 0;

	madvise_fails = true;
	ck_assert_uint_eq(pal_process_mark(), (uint64_t)getpid());
	madvise_fails = false;
	ck_assert_uint_eq(pal_process_mark(), (uint64_t)getpid());
	ck_assert_int_eq(differs_from(&none, 0, 2, 0), 0);
}
END_TEST

static Suite *make_suite(void)
{
	Suite *suite = suite_create("pal/process-mark");
	TCase *marks = support_tcase(suite, "marks");

	tcase_add_test(marks, it_stays_the_same);
	tcase_add_loop_test(marks, it_differs_in_every_fork, 0, 2);
	tcase_add_test(marks, else_it_is_the_pid);
	tcase_add_test(marks, all_threads_have_the_same);
	return suite;
}
SUPPORT_MAIN(make_suite)
