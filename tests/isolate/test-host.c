/* SPDX-License-Identifier: MIT */

/* Hosts in every condition: streams closed, SIGCHLD ignored, signals, a thread cancelled, locks held. */
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/file.h>
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

static int *signals; /* shared */

static void count_signal(int signal)
{
	(void)signal;
	support_tell_one_more(signals);
}

#define SIGNALS 50

/* Two that come at once are one: each waits for the handler of the one before. */
static int signal_the_parent(struct isolate_writer *out, void *arg)
{
	struct order order = {200000, 1000};

	(void)arg;
	for (int i = 0; i < SIGNALS; i++) {
		kill(getppid(), SIGUSR1);
		if (!BUILT_WITH_TSAN) /* whose runtime runs a handler when the thread calls one of its wrappers */
			support_await(signals, i + 1);
	}
	return write_pattern(out, &order);
}

/* S117, S125 */
START_TEST(signals_to_the_caller_run_there_and_disturb_nothing)
{
	struct sigaction action = {.sa_handler = count_signal}; /* EINTR: no SA_RESTART */
	struct isolate_result result;

	signals = shared_memory(sizeof *signals);
	sigaction(SIGUSR1, &action, NULL);
	isolate_call(signal_the_parent, NULL, NULL, &result);
	check_pattern(&result, 200000);
	if (!BUILT_WITH_TSAN)
		ck_assert_int_eq(*signals, SIGNALS);
	isolate_result_clear(&result);
	munmap(signals, sizeof *signals);
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

static int stop_and_be_continued(struct isolate_writer *out, void *arg)
{
	struct order order = {200000, 1000};
	pid_t self = getpid(), helper = fork();

	(void)arg;
	if (helper == 0) {
		support_await_state(self, 'T');
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

/* A frame that a cancellation unwinds stays poisoned for ASan of clang 14, which then stumbles over it. */
__attribute__((no_sanitize_address)) static void *call_and_be_cancelled(void *arg)
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

/* ---- file locks ---- */

static int unlock_and_lock(struct isolate_writer *out, void *arg)
{
	int fd = *(int *)arg, codes[2];
	struct flock whole = {.l_type = F_WRLCK, .l_whence = SEEK_SET};

	codes[0] = flock(fd, LOCK_UN) < 0 ? -errno : 0;
	codes[1] = fcntl(fd, F_SETLK, &whole) < 0 ? -errno : 0;
	close(fd); /* where it were the caller's, the record lock would go */
	return isolate_write_value(out, &codes);
}

/* As anybody else. In a copy, because closing any descriptor of a file ends a process's record locks. */
static int try_flock(struct isolate_writer *out, void *path)
{
	int fd = open(path, O_RDWR | O_CLOEXEC);

	(void)out;
	return fd < 0 || flock(fd, LOCK_EX | LOCK_NB) < 0 ? -errno : 0;
}

/* Of what another process would be told: a record lock is none against its own. */
static int try_record_lock(struct isolate_writer *out, void *arg)
{
	struct flock whole = {.l_type = F_WRLCK, .l_whence = SEEK_SET};

	(void)out;
	return fcntl(*(int *)arg, F_SETLK, &whole) < 0 ? -errno : 0;
}

static int value_of(isolate_fn fn, void *arg)
{
	struct isolate_result result;

	isolate_call(fn, arg, NULL, &result);
	ck_assert_answer(&result, ISOLATE_RETURNED);
	return result.value;
}

/* S115: doc/isolate.md, what is shared all the same */
START_TEST(a_flock_is_shared_and_a_record_lock_is_the_callers)
{
	struct flock whole = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
	char path[] = "/tmp/procmesh-locks-XXXXXX";
	int fd = mkostemp(path, O_CLOEXEC), codes[2];
	struct isolate_result result;

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(flock(fd, LOCK_EX), 0);
	ck_assert_int_eq(fcntl(fd, F_SETLK, &whole), 0);
	ck_assert_int_eq(value_of(try_flock, path), -EWOULDBLOCK);

	isolate_call(unlock_and_lock, &fd, NULL, &result);
	ck_assert_answer(&result, ISOLATE_RETURNED);
	ck_assert_int_eq(isolate_result_value(&result, &codes), 0);
	isolate_result_clear(&result);
	ck_assert_int_eq(codes[0], 0);
	ck_assert_int_eq(codes[1], -EAGAIN);
	ck_assert_int_eq(value_of(try_flock, path), 0); /* it was given up for both */

	ck_assert_int_eq(fcntl(fd, F_GETFD), FD_CLOEXEC);          /* only the copy is closed */
	ck_assert_int_eq(value_of(try_record_lock, &fd), -EAGAIN); /* still the caller's */
	unlink(path);
	close(fd);
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
	tcase_add_test(host, a_flock_is_shared_and_a_record_lock_is_the_callers);
	return suite;
}
SUPPORT_MAIN(make_suite)
