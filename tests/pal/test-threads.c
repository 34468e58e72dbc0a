/* SPDX-License-Identifier: MIT */
#include <pal/sandbox.h>

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <pal/util-priv.h>

#include "sandboxed.h"
#include "workers.h"

/*
 * pal_self_restrict with threads that exist before it. Everything happens in a
 * child of pal_fork: what it does to itself cannot be undone.
 */

#define WORKERS 4

/* ---- the threads are reached ---- */

static int restrict_with_workers(void *unused)
{
	static struct worker workers[WAITS], late;
	struct pal_error error = {0};
	sigset_t before, after;

	(void)unused;
	for (size_t i = 0; i < WAITS; i++)
		need(start_worker(&workers[i], waits[i]) == 0);
	pthread_sigmask(SIG_SETMASK, NULL, &before);
	need(restrict_all(NULL, &error) == 0);
	pthread_sigmask(SIG_SETMASK, NULL, &after);
	for (int signal = 1; signal < NSIG; signal++)
		need(sigismember(&before, signal) == sigismember(&after, signal));
	need(signal_is_default());
	need(try_read("/etc/passwd") == EACCES);
	need(start_worker(&late, wait_in_read) == 0); /* a thread started later inherits it all */
	for (size_t i = 0; i < WAITS; i++) {
		need(end_worker(&workers[i]) == 0);
		need(is_restricted(&workers[i]));
	}
	need(end_worker(&late) == 0);
	need(is_restricted(&late));
	return 0;
}

START_TEST(every_thread_that_exists_is_restricted)
{
	needs_self_restrict();
	become(_i);
	ck_assert_int_eq(outcome(NULL, restrict_with_workers, NULL), 0);
}
END_TEST

static int compare_unrestricted(void *unused)
{
	static struct worker worker;

	(void)unused;
	need(start_worker(&worker, wait_in_read) == 0);
	need(end_worker(&worker) == 0);
	need(is_free(&worker));
	need(worker.permitted == (geteuid() == 0));
	return 0;
}

START_TEST(without_it_the_threads_are_free)
{
	become(_i);
	ck_assert_int_eq(outcome(NULL, compare_unrestricted, NULL), 0);
}
END_TEST

static int restrict_alone(void *unused)
{
	struct pal_error error = {0};

	(void)unused;
	/* the signal is not needed, so it may have any other use */
	signal(pal_threads_signal(), SIG_IGN);
	need(restrict_all(NULL, &error) == 0);
	need(try_read("/etc/passwd") == EACCES);
	need(prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1);
	return 0;
}

START_TEST(a_process_with_one_thread_needs_no_signal)
{
	needs_self_restrict();
	become(_i);
	ck_assert_int_eq(outcome(NULL, restrict_alone, NULL), 0);
}
END_TEST

static int filter_with_workers(void *unused)
{
	static struct worker workers[WORKERS];
	struct pal_error error = {0};
	struct pal_seccomp *filter;

	(void)unused;
	for (int i = 0; i < WORKERS; i++)
		need(start_worker(&workers[i], waits[i]) == 0);
	need(pal_seccomp_new(PAL_SECCOMP_ALLOW, &filter, &error) == 0);
	need(pal_seccomp_rule(filter, PAL_SECCOMP_ERRNO(EXFULL), "openat", &error) == 0);
	need(pal_seccomp_rule(filter, PAL_SECCOMP_ERRNO(EXFULL), "open", &error) == 0);
	need(restrict_all(filter, &error) == 0);
	pal_seccomp_free(filter);
	for (int i = 0; i < WORKERS; i++) {
		need(end_worker(&workers[i]) == 0);
		need(workers[i].read_result == EXFULL && workers[i].no_new_privs == 1);
	}
	return 0;
}

START_TEST(a_filter_reaches_every_thread)
{
	needs_self_restrict();
	become(_i);
	ck_assert_int_eq(outcome(NULL, filter_with_workers, NULL), 0);
}
END_TEST

/* ---- threads come and go ---- */

struct churn {
	atomic_bool stop;
	atomic_int made;
};

static void *short_lived(void *unused)
{
	return unused;
}

static void *make_threads(void *arg)
{
	struct churn *churn = arg;
	pthread_t thread;

	while (!atomic_load(&churn->stop)) {
		if (pthread_create(&thread, NULL, short_lived, NULL) == 0) {
			atomic_fetch_add(&churn->made, 1);
			pthread_join(thread, NULL);
		}
	}
	return (void *)(intptr_t)prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0);
}

static int restrict_among_short_lived(void *unused)
{
	static struct churn churn;
	struct pal_error error = {0};
	pthread_t makers[2];
	void *result;
	int code;

	(void)unused;
	for (int i = 0; i < 2; i++)
		need(pthread_create(&makers[i], NULL, make_threads, &churn) == 0);
	while (atomic_load(&churn.made) < 100)
		sched_yield();
	for (int round = 0; round < 10; round++) {
		code = restrict_all(NULL, &error);
		if (code < 0)
			fprintf(stderr, "%s\n", pal_error_text(&error));
		need(code == 0);
	}
	atomic_store(&churn.stop, true);
	for (int i = 0; i < 2; i++) {
		need(pthread_join(makers[i], &result) == 0);
		need((intptr_t)result == 1);
	}
	return 0;
}

START_TEST(threads_may_start_and_end_meanwhile)
{
	needs_self_restrict();
	become(_i);
	ck_assert_int_eq(outcome(NULL, restrict_among_short_lived, NULL), 0);
}
END_TEST

static void *make_detached(void *arg)
{
	struct churn *churn = arg;
	pthread_attr_t attributes;
	pthread_t thread;

	pthread_attr_init(&attributes);
	pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
	while (!atomic_load(&churn->stop))
		if (pthread_create(&thread, &attributes, short_lived, NULL) == 0)
			atomic_fetch_add(&churn->made, 1);
	pthread_attr_destroy(&attributes);
	return NULL;
}

/*
 * A thread that ends takes back its stack under libc's lock, with all signals
 * blocked; the thread that has the lock may be stopped. Each round has to come through.
 */
static int restrict_among_detached(void *unused)
{
	static struct churn churn;
	struct pal_error error = {0};
	pthread_t makers[4];

	(void)unused;
	for (int i = 0; i < 4; i++)
		need(pthread_create(&makers[i], NULL, make_detached, &churn) == 0);
	for (int round = 1; round <= 14; round++) { /* Landlock nests 16 deep */
		while (atomic_load(&churn.made) < 50 * round)
			sched_yield();
		if (restrict_all(NULL, &error) < 0) {
			fprintf(stderr, "round %d: %s\n", round, pal_error_text(&error));
			return 1;
		}
	}
	atomic_store(&churn.stop, true);
	for (int i = 0; i < 4; i++)
		need(pthread_join(makers[i], NULL) == 0);
	return 0;
}

START_TEST(threads_that_end_by_themselves_are_no_obstacle)
{
	needs_self_restrict();
	ck_assert_int_eq(outcome(NULL, restrict_among_detached, NULL), 0);
}
END_TEST

static struct worker survivor;

static void *outlive_main(void *main_thread)
{
	struct pal_error error = {0};
	bool fine;

	pthread_join(*(pthread_t *)main_thread, NULL);
	fine = restrict_all(NULL, &error) == 0 && end_worker(&survivor) == 0 &&
	       is_restricted(&survivor);
	if (!fine)
		fprintf(stderr, "%s\n", pal_error_text(&error));
	_exit(fine ? 0 : 1);
}

static int end_main_first(void *unused)
{
	static pthread_t self, thread;

	(void)unused;
	self = pthread_self();
	need(start_worker(&survivor, wait_in_read) == 0);
	need(pthread_create(&thread, NULL, outlive_main, &self) == 0);
	pthread_exit(NULL);
}

START_TEST(a_main_thread_that_has_ended_is_no_obstacle)
{
	needs_self_restrict();
	ck_assert_int_eq(outcome(NULL, end_main_first, NULL), 0);
}
END_TEST

/* ---- a thread cannot be reached ---- */

static int restrict_with_blocker(void *unused)
{
	static struct worker reachable, blocker;
	struct pal_error error = {0};
	char tid[16];

	(void)unused;
	blocker.blocks = true;
	need(start_worker(&reachable, wait_in_read) == 0);
	need(start_worker(&blocker, wait_in_read) == 0);
	need(restrict_all(NULL, &error) == -EBUSY);
	need(error.stage == PAL_STAGE_THREADS && error.code == -EBUSY);
	need(error.index == blocker.tid);
	snprintf(tid, sizeof tid, "%d", (int)blocker.tid);
	need(strstr(error.text, tid) && strstr(error.text, "blocks"));
	need(signal_is_default());
	need(end_worker(&reachable) == 0 && is_free(&reachable));
	need(end_worker(&blocker) == 0 && is_free(&blocker));
	need(prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 0); /* nothing was applied anywhere */
	need(try_read("/etc/passwd") == 0);
	need(restrict_all(NULL, &error) == 0); /* and now it can be */
	return 0;
}

START_TEST(a_thread_that_blocks_the_signal_is_named_and_nothing_is_applied)
{
	needs_self_restrict();
	become(_i);
	ck_assert_int_eq(outcome(NULL, restrict_with_blocker, NULL), 0);
}
END_TEST

static void own_handler(int signal)
{
	(void)signal;
}

static int restrict_with_signal_in_use(void *unused)
{
	static struct worker worker;
	struct pal_error error = {0};
	struct sigaction action;

	(void)unused;
	need(start_worker(&worker, wait_in_read) == 0);
	signal(pal_threads_signal(), own_handler);
	need(restrict_all(NULL, &error) == -EBUSY);
	need(error.stage == PAL_STAGE_THREADS);
	need(sigaction(pal_threads_signal(), NULL, &action) == 0 &&
		action.sa_handler == own_handler);
	need(end_worker(&worker) == 0 && is_free(&worker));
	need(prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 0);
	return 0;
}

START_TEST(a_signal_that_is_in_use_stays_the_programs)
{
	needs_self_restrict();
	ck_assert_int_eq(outcome(NULL, restrict_with_signal_in_use, NULL), 0);
}
END_TEST

/* In vfork the calling thread is not interrupted before its child has ended. */
static void *sit_in_vfork(void *arg)
{
	int *gate = arg;
	uint64_t value;
	pid_t pid = vfork();

	if (pid == 0) {
		if (write(gate[1], &(uint64_t){1}, 8) == 8 && read(gate[0], &value, 8) == 8)
			_exit(0);
		_exit(1);
	}
	waitpid(pid, NULL, 0);
	return (void *)(intptr_t)prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0);
}

static int restrict_with_uninterruptible(void *unused)
{
	static struct worker worker;
	static int gate[2];
	struct pal_error error = {0};
	pthread_t thread;
	uint64_t value;
	void *result;

	(void)unused;
	gate[0] = eventfd(0, EFD_CLOEXEC);
	gate[1] = eventfd(0, EFD_CLOEXEC);
	need(start_worker(&worker, wait_in_read) == 0);
	need(pthread_create(&thread, NULL, sit_in_vfork, gate) == 0);
	need(read(gate[1], &value, 8) == 8);
	need(restrict_all(NULL, &error) == -EBUSY); /* at the end of its patience */
	need(error.stage == PAL_STAGE_THREADS && error.index != 0);
	need(signal_is_default());
	need(write(gate[0], &(uint64_t){1}, 8) == 8);
	need(pthread_join(thread, &result) ==
		0); /* a signal that was left queued would kill it now */
	need(result == NULL);
	need(end_worker(&worker) == 0 && is_free(&worker));
	need(prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 0);
	return 0;
}

START_TEST(a_thread_that_cannot_be_interrupted_fails_it_and_survives)
{
	needs_self_restrict();
	ck_assert_int_eq(outcome(NULL, restrict_with_uninterruptible, NULL), 0);
}
END_TEST

static Suite *make_suite(void)
{
	Suite *suite = suite_create("pal/threads");
	TCase *reached = support_tcase(suite, "reached");
	TCase *moving = support_tcase(suite, "moving");
	TCase *unreachable = support_tcase(suite, "unreachable");

	tcase_add_loop_test(reached, every_thread_that_exists_is_restricted, 0, USERS);
	tcase_add_loop_test(reached, without_it_the_threads_are_free, 0, USERS);
	tcase_add_loop_test(reached, a_process_with_one_thread_needs_no_signal, 0, USERS);
	tcase_add_loop_test(reached, a_filter_reaches_every_thread, 0, USERS);
	tcase_add_loop_test(moving, threads_may_start_and_end_meanwhile, 0, USERS);
	tcase_add_test(moving, threads_that_end_by_themselves_are_no_obstacle);
	tcase_add_test(moving, a_main_thread_that_has_ended_is_no_obstacle);
	tcase_add_loop_test(unreachable,
		a_thread_that_blocks_the_signal_is_named_and_nothing_is_applied, 0, USERS);
	tcase_add_test(unreachable, a_signal_that_is_in_use_stays_the_programs);
	tcase_add_test(unreachable, a_thread_that_cannot_be_interrupted_fails_it_and_survives);
	return suite;
}
SUPPORT_MAIN(make_suite)
