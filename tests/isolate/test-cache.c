/* SPDX-License-Identifier: MIT */

/* Shared pages are used again, and only where no other process has them. */
#include <errno.h>
#include <fcntl.h>
#include <isolate/isolate-priv.h>
#include <pal/profile.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "isolate-support.h"

static int failing; /* the advice that fails; 0: none */

int __real_madvise(void *address, size_t size, int advice);
int __wrap_madvise(void *address, size_t size, int advice);
int __wrap_madvise(void *address, size_t size, int advice)
{
	if (!failing || advice != failing)
		return __real_madvise(address, size, advice);
	errno = ENOMEM;
	return -1;
}

/* The library's pages that this process has: what is kept, when no call is under way. */
static size_t count_pages(void)
{
	FILE *maps = fopen("/proc/self/maps", "re");
	size_t count = 0, from, to;
	char line[512];

	ck_assert_ptr_nonnull(maps);
	while (fgets(line, sizeof line, maps))
		if (strstr(line, "/dev/zero") && sscanf(line, "%zx-%zx", &from, &to) == 2)
			count += (to - from) / sizeof(struct isolate__shared);
	fclose(maps);
	return count;
}

static int tell_page(struct isolate_writer *out, void *arg)
{
	const void *page = out->shared;

	(void)arg;
	return isolate_write_value(out, &page);
}

static const void *page_of_call(const struct isolate_options *options)
{
	struct isolate_result result;
	const void *page;

	isolate_call(tell_page, NULL, options, &result);
	ck_assert_answer(&result, ISOLATE_RETURNED);
	ck_assert_int_eq(isolate_result_value(&result, &page), 0);
	isolate_result_clear(&result);
	return page;
}

START_TEST(the_same_page_serves_call_after_call)
{
	const void *page = page_of_call(NULL);

	for (int i = 0; i < 20; i++)
		ck_assert_ptr_eq(page_of_call(NULL), page);
	ck_assert_uint_eq(count_pages(), 1);
	errno = 1234;
	isolate_trim();
	isolate_trim();
	ck_assert_int_eq(errno, 1234);
	ck_assert_uint_eq(count_pages(), 0);
}
END_TEST

static int crash(struct isolate_writer *out, void *arg)
{
	(void)out;
	(void)arg;
	raise(SIGKILL);
	return 0;
}

START_TEST(a_page_of_a_child_that_crashed_is_not_kept)
{
	struct isolate_result result;

	isolate_call(crash, NULL, NULL, &result);
	ck_assert_answer(&result, ISOLATE_UNKNOWN);
	ck_assert_uint_eq(count_pages(), 0);
}
END_TEST

/* The library makes no call there that a filter might take offence at. */
START_TEST(a_page_of_a_sandboxed_child_is_not_kept)
{
	struct isolate_options options = {
		ISOLATE_OPTIONS_INIT, .sandbox = pal_profile_pure_compute()};

	skip_under_valgrind("it keeps RLIMIT_NOFILE for itself");
	page_of_call(&options);
	ck_assert_uint_eq(count_pages(), 0);
}
END_TEST

static const int advices[] = {MADV_DOFORK, MADV_DONTFORK};

START_TEST(a_page_that_cannot_be_secluded_is_not_kept)
{
	page_of_call(NULL);
	failing = advices[_i];
	page_of_call(NULL);
	page_of_call(NULL);
	failing = 0;
	ck_assert_uint_le(count_pages(), 1);
	page_of_call(NULL);
}
END_TEST

/* ---- what else is kept ---- */

static int tell_nice_and_fd(struct isolate_writer *out, void *arg)
{
	int told[2] = {getpriority(PRIO_PROCESS, 0), fcntl(*(int *)arg, F_GETFD) >= 0};

	return isolate_write_value(out, &told);
}

static void check_child(const struct isolate_options *options, int fd, int nice, int has_fd)
{
	struct isolate_result result;
	int told[2] = {-1, -1};

	isolate_call(tell_nice_and_fd, &fd, options, &result);
	ck_assert_answer(&result, ISOLATE_RETURNED);
	ck_assert_int_eq(isolate_result_value(&result, &told), 0);
	ck_assert_int_eq(told[0], nice);
	ck_assert_int_eq(told[1], has_fd);
	ck_assert_int_eq(
		result.out != NULL, options && options->std_out.kind == PAL_STDIO_KIND_PIPE);
	isolate_result_clear(&result);
}

START_TEST(the_options_of_one_call_are_not_those_of_the_next)
{
	static const int no_fds[] = {0};
	static const struct isolate_rlimit impossible = {RLIMIT_CPU, {8, 7}};
	const struct isolate_options nicer = {ISOLATE_OPTIONS_INIT, .nice = 4};
	const struct isolate_options closed = {ISOLATE_OPTIONS_INIT, .keep_fds = no_fds};
	const struct isolate_options captured = {ISOLATE_OPTIONS_INIT, .std_out = PAL_STDIO_PIPE};
	const struct isolate_options failing_one = {
		ISOLATE_OPTIONS_INIT, .rlimits = &impossible, .rlimit_count = 1};
	int fd = fcntl(0, F_DUPFD_CLOEXEC, 50), nice = getpriority(PRIO_PROCESS, 0);
	struct isolate_result result;

	for (int i = 0; i < 3; i++) {
		check_child(NULL, fd, nice, 1);
		check_child(&nicer, fd, nice + 4, 1);
		check_child(NULL, fd, nice, 1);
		check_child(&closed, fd, nice, 0);
		check_child(NULL, fd, nice, 1);
		check_child(&captured, fd, nice, 1);
		isolate_call(tell_nice_and_fd, &fd, &failing_one, &result);
		ck_assert_failure(&result, ISOLATE_NOT_EXECUTED, ISOLATE_STAGE_START, -EINVAL);
	}
	check_child(NULL, fd, nice, 1);
	close(fd);
}
END_TEST

/* A start ends with the process, a call with its thread: one after the other, in whatever order. */
START_TEST(calls_and_starts_take_turns)
{
	struct isolate_run *run;

	for (int i = 0; i < 3; i++) {
		page_of_call(NULL);
		ck_assert_int_eq(isolate_start(tell_page, NULL, NULL, &run, NULL), 0);
		page_of_call(NULL);
		ck_assert_int_eq(isolate_finish(run, NULL), ISOLATE_RETURNED);
	}
}
END_TEST

/* ---- other processes ---- */

/* 0 if the page is not mapped here. */
static int has_page(const void *page)
{
	return msync((void *)(uintptr_t)page, 1, MS_ASYNC) == 0 || errno != ENOMEM;
}

static int wait_for_fork(const void *page)
{
	int status;
	pid_t pid = fork();

	if (pid == 0)
		_exit(has_page(page));
	waitpid(pid, &status, 0);
	return status;
}

static int fork_and_look(struct isolate_writer *out, void *arg)
{
	int status = wait_for_fork(out->shared);

	(void)arg;
	return isolate_write_value(out, &status);
}

/* S112: not even one that outlives the call and scribbles */
START_TEST(a_process_that_the_function_forks_does_not_have_the_page)
{
	struct isolate_result result;
	int status = -1;

	isolate_call(fork_and_look, NULL, NULL, &result);
	ck_assert_int_eq(isolate_result_value(&result, &status), 0);
	ck_assert_int_eq(status, 0);
	isolate_result_clear(&result);
}
END_TEST

START_TEST(a_fork_of_the_host_does_not_have_the_page_and_calls_on)
{
	const void *page = page_of_call(NULL);
	int status;
	pid_t pid;

	ck_assert_int_eq(wait_for_fork(page), 0);
	pid = fork();
	if (pid == 0) {
		page_of_call(NULL);
		page_of_call(NULL);
		_exit(count_pages() == 1 ? 0 : 1);
	}
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert_int_eq(status, 0);
	ck_assert_ptr_eq(page_of_call(NULL), page);
}
END_TEST

/* ---- many at once ---- */

#define AT_ONCE 20

START_TEST(no_more_than_eight_pages_are_kept)
{
	struct isolate_run *runs[AT_ONCE];

	for (int i = 0; i < AT_ONCE; i++)
		ck_assert_int_eq(isolate_start(tell_page, NULL, NULL, &runs[i], NULL), 0);
	for (int i = 0; i < AT_ONCE; i++) {
		struct isolate_result result;
		const void *page = NULL;

		isolate_finish(runs[i], &result);
		ck_assert_int_eq(isolate_result_value(&result, &page), 0);
		isolate_result_clear(&result);
	}
	ck_assert_uint_eq(count_pages(), 8);
}
END_TEST

static void *call_many(void *arg)
{
	for (int i = 0; i < 50 / SLOWNESS; i++) {
		page_of_call(NULL);
		if (i % 10 == 0)
			isolate_trim();
	}
	return arg;
}

START_TEST(threads_share_what_is_kept)
{
	pthread_t threads[4];

	for (int i = 0; i < 4; i++)
		ck_assert_int_eq(pthread_create(&threads[i], NULL, call_many, NULL), 0);
	for (int i = 0; i < 4; i++)
		pthread_join(threads[i], NULL);
	/* Who finds another one at it takes a new page: so more than one for each thread, but bounded. */
	ck_assert_uint_le(count_pages(), 8);
}
END_TEST

static Suite *make_suite(void)
{
	Suite *suite = suite_create("isolate/cache");
	TCase *pages = isolate_tcase(suite, "pages");
	TCase *processes = isolate_tcase(suite, "processes");

	tcase_add_test(pages, the_same_page_serves_call_after_call);
	tcase_add_test(pages, a_page_of_a_child_that_crashed_is_not_kept);
	tcase_add_test(pages, a_page_of_a_sandboxed_child_is_not_kept);
	tcase_add_loop_test(pages, a_page_that_cannot_be_secluded_is_not_kept, 0, 2);
	tcase_add_test(pages, the_options_of_one_call_are_not_those_of_the_next);
	tcase_add_test(pages, calls_and_starts_take_turns);
	tcase_add_test(pages, no_more_than_eight_pages_are_kept);
	tcase_add_test(pages, threads_share_what_is_kept);
	tcase_add_test(processes, a_process_that_the_function_forks_does_not_have_the_page);
	tcase_add_test(processes, a_fork_of_the_host_does_not_have_the_page_and_calls_on);
	return suite;
}
SUPPORT_MAIN(make_suite)
