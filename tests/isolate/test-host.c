/* SPDX-License-Identifier: MIT */

/* Hosts in every condition: streams closed, SIGCHLD ignored, signals, a thread cancelled. */
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "isolate-support.h"

static int list_standard_streams(struct isolate_writer *out, void *arg)
{
	struct order order = {1 << 20, 1 << 20};

	(void)arg;
	for (int fd = 0; fd <= 2; fd++)
		if (fcntl(fd, F_GETFD) >= 0)
			return 1 + fd;
	return write_pattern(out, &order);
}

/* S5: the library's own descriptors do not become somebody's standard streams */
START_TEST(streams_that_the_host_closed_are_closed_in_the_function)
{
	struct isolate_result result;
	int saved[3];

	skip_under_valgrind("it opens descriptors of its own there");
	for (int fd = 0; fd <= 2; fd++)
		ck_assert_int_ge(saved[fd] = fcntl(fd, F_DUPFD_CLOEXEC, 10), 10);
	for (int fd = 0; fd <= 2; fd++)
		close(fd);
	isolate_call(list_standard_streams, NULL, NULL, &result);
	for (int fd = 0; fd <= 2; fd++) {
		dup2(saved[fd], fd);
		close(saved[fd]);
	}
	check_pattern(&result, 1 << 20);
	isolate_result_clear(&result);
}
END_TEST

static int signals;

static void count_signal(int signal)
{
	(void)signal;
	__atomic_add_fetch(&signals, 1, __ATOMIC_RELAXED);
}

static int wait_for_signals_to_the_parent(struct isolate_writer *out, void *arg)
{
	struct order order = {200000, 1000};

	(void)arg;
	for (int i = 0; i < 50; i++) {
		kill(getppid(), SIGUSR1);
		usleep(200); /* or they are one signal; nothing depends on how many arrive */
	}
	return write_pattern(out, &order);
}

/* S117, S125 */
START_TEST(signals_to_the_caller_run_there_and_disturb_nothing)
{
	struct sigaction action = {.sa_handler = count_signal}; /* EINTR: no SA_RESTART */
	struct isolate_result result;

	sigaction(SIGUSR1, &action, NULL);
	isolate_call(wait_for_signals_to_the_parent, NULL, NULL, &result);
	check_pattern(&result, 200000);
	ck_assert_int_gt(signals, 0);
	isolate_result_clear(&result);
}
END_TEST

/* S58, S117 */
START_TEST(with_sigchld_ignored_only_the_status_is_unknown)
{
	struct sigaction action = {
		.sa_handler = _i ? SIG_DFL : SIG_IGN, .sa_flags = _i ? SA_NOCLDWAIT : 0};
	struct order order = {100000, 1000};
	struct isolate_result result;

	support_without_pidfd_info();
	sigaction(SIGCHLD, &action, NULL);
	isolate_call(write_pattern, &order, NULL, &result);
	check_pattern(&result, 100000);
	ck_assert(!result.status_known);
	isolate_result_clear(&result);
}
END_TEST

static bool is_stopped(pid_t pid)
{
	char path[64], state = 0;
	FILE *file;

	snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
	file = fopen(path, "re");
	if (!file || fscanf(file, "%*d %*s %c", &state) != 1)
		state = 0;
	if (file)
		fclose(file);
	return state == 'T';
}

static int stop_and_be_continued(struct isolate_writer *out, void *arg)
{
	struct order order = {200000, 1000};
	pid_t self = getpid(), helper = fork();

	(void)arg;
	if (helper == 0) {
		while (!is_stopped(self))
			usleep(100);
		kill(self, SIGCONT);
		_exit(0);
	}
	raise(SIGSTOP);
	waitpid(helper, NULL, 0);
	return write_pattern(out, &order);
}

/* S117 */
START_TEST(a_function_that_was_stopped_goes_on)
{
	struct isolate_result result;

	isolate_call(stop_and_be_continued, NULL, NULL, &result);
	check_pattern(&result, 200000);
	isolate_result_clear(&result);
}
END_TEST

static void *call_and_be_cancelled(void *arg)
{
	struct order order = {100000, 1000};

	pthread_cancel(pthread_self());
	isolate_call(write_pattern, &order, NULL, arg);
	((struct isolate_result *)arg)->error.index = 1234; /* was reached */
	pthread_testcancel();
	return NULL;
}

/* S54 */
START_TEST(a_cancelled_thread_still_gets_its_answer)
{
	struct isolate_result result;
	pthread_t thread;
	void *how;

	ck_assert_int_eq(pthread_create(&thread, NULL, call_and_be_cancelled, &result), 0);
	pthread_join(thread, &how);
	ck_assert_ptr_eq(how, PTHREAD_CANCELED);
	ck_assert_int_eq(result.error.index, 1234);
	check_pattern(&result, 100000);
	isolate_result_clear(&result);
}
END_TEST

static Suite *make_suite(void)
{
	Suite *suite = suite_create("isolate/host");
	TCase *host = isolate_tcase(suite, "host");

	tcase_add_test(host, streams_that_the_host_closed_are_closed_in_the_function);
	tcase_add_test(host, signals_to_the_caller_run_there_and_disturb_nothing);
	tcase_add_loop_test(host, with_sigchld_ignored_only_the_status_is_unknown, 0, 2);
	tcase_add_test(host, a_function_that_was_stopped_goes_on);
	tcase_add_test(host, a_cancelled_thread_still_gets_its_answer);
	return suite;
}
SUPPORT_MAIN(make_suite)
