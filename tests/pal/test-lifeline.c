/* SPDX-License-Identifier: MIT */

/* pal_builder_parent_death_of_process: forked functions that end with the process, not with a thread. S69 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <pal/builder.h>
#include <pal/child.h>

#include "spawn-support.h"
#include "support.h"

static struct pal_builder *dying_with_process(int signal)
{
	struct pal_builder *builder = pal_builder_new(NULL);

	pal_builder_close_others(builder, false);
	pal_builder_parent_death(builder, signal);
	pal_builder_parent_death_of_process(builder, true);
	return builder;
}

static struct pal_child *fork_with(struct pal_builder *builder, int (*fn)(void *arg), void *arg)
{
	struct pal_error error = {0};
	struct pal_child *child;

	ck_assert_ok(pal_fork(builder, fn, arg, &child, &error), &error);
	pal_builder_free(builder);
	return child;
}

static int read_to_its_end(void *arg)
{
	const int *ends = arg;
	char byte;

	close(ends[1]);
	return read(ends[0], &byte, 1) == 0 ? 0 : 1;
}

static void *fork_in_thread(void *arg)
{
	return fork_with(dying_with_process(SIGKILL), read_to_its_end, arg);
}

START_TEST(a_function_outlives_the_thread_that_forked_it)
{
	pthread_t thread;
	void *child;
	int ends[2];

	ck_assert_int_eq(pipe2(ends, O_CLOEXEC), 0);
	ck_assert_int_eq(pthread_create(&thread, NULL, fork_in_thread, ends), 0);
	ck_assert_int_eq(pthread_join(thread, &child), 0);
	/* Had the thread's end killed it, that would have been before it was joined. */
	ck_assert_int_eq(pal_child_try_wait(child, NULL, NULL), 0);
	close(ends[0]);
	close(ends[1]);
	ck_assert_int_eq(wait_take(child).code, 0);
}
END_TEST

/* ---- the end of the process ---- */

#define CHILDREN 3

struct host {
	int told[2]; /* the children hold the end that is written */
	int signal;
	bool close_everything;
};

static int tell_and_stay(void *arg)
{
	const struct host *host = arg;

	ck_assert_int_eq(write(host->told[1], "x", 1), 1);
	if (host->close_everything)
		for (int fd = 0; fd < 200; fd++)
			if (fd != host->told[1])
				close(fd);
	for (;;)
		pause();
}

/* S51: SIGKILL leaves no time for anything. */
static void *run_host(void *arg)
{
	struct host *host = arg;

	for (int i = 0; i < CHILDREN; i++)
		fork_with(dying_with_process(host->signal), tell_and_stay, host);
	return NULL;
}

static const struct host hosts[] = {{.signal = SIGKILL}, {.signal = SIGTERM},
	{.signal = SIGKILL, .close_everything = true}};

/* Each of the children inherits what ties the earlier ones to the host: the last one ends first. */
START_TEST(every_function_ends_with_the_process)
{
	struct host host = hosts[_i];
	char byte;
	pid_t pid;

	ck_assert_int_eq(pipe2(host.told, O_CLOEXEC), 0);
	pid = fork();
	if (pid == 0) {
		pthread_t thread;

		pthread_create(&thread, NULL, run_host, &host);
		pthread_join(thread, NULL);
		close(host.told[1]);
		for (;;)
			pause();
	}
	close(host.told[1]);
	for (int i = 0; i < CHILDREN; i++)
		ck_assert_int_eq(read(host.told[0], &byte, 1), 1);
	kill(pid, SIGKILL);
	ck_assert_int_eq(waitpid(pid, NULL, 0), pid);
	ck_assert_int_eq(read(host.told[0], &byte, 1), 0);
	close(host.told[0]);
}
END_TEST

/* ---- the handle ---- */

START_TEST(a_copy_of_the_handle_in_a_fork_ties_nothing_and_unties_nothing)
{
	struct pal_child *child;
	int ends[2], status;
	pid_t pid;

	ck_assert_int_eq(pipe2(ends, O_CLOEXEC), 0);
	child = fork_with(dying_with_process(SIGKILL), read_to_its_end, ends);
	pid = fork();
	if (pid == 0) {
		pal_child_free(child);
		_exit(0);
	}
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert_int_eq(status, 0);
	ck_assert_int_eq(pal_child_try_wait(child, NULL, NULL), 0);
	ck_assert_int_eq(pal_child_steal_pid(child), -EBUSY);
	close(ends[0]);
	close(ends[1]);
	ck_assert_int_eq(wait_take(child).code, 0);
}
END_TEST

START_TEST(a_detached_function_stays_tied)
{
	int told[2];
	char byte;
	pid_t pid;

	if (BUILT_WITH_TSAN)
		support_skip("ThreadSanitizer does not let a forked process start threads");
	ck_assert_int_eq(pipe2(told, O_CLOEXEC), 0);
	pid = fork();
	if (pid == 0) {
		struct host host = {.told = {told[0], told[1]}};

		if (pal_child_detach(fork_with(dying_with_process(SIGKILL), tell_and_stay, &host),
			    NULL) < 0)
			_exit(1);
		close(told[1]);
		for (;;)
			pause();
	}
	close(told[1]);
	ck_assert_int_eq(read(told[0], &byte, 1), 1);
	kill(pid, SIGKILL);
	ck_assert_int_eq(waitpid(pid, NULL, 0), pid);
	ck_assert_int_eq(read(told[0], &byte, 1), 0);
	close(told[0]);
}
END_TEST

static int never(void *arg)
{
	(void)arg;
	return 0;
}

/* S106 */
START_TEST(without_descriptors_nothing_is_forked)
{
	struct pal_builder *builder = dying_with_process(SIGKILL);
	int lowest = dup(0);
	struct rlimit saved, limit;
	struct pal_error error = {0};
	struct pal_child *child;

	close(lowest);
	getrlimit(RLIMIT_NOFILE, &saved);
	for (int free_numbers = 0; free_numbers < 2; free_numbers++) {
		limit = saved;
		limit.rlim_cur = (rlim_t)(lowest + free_numbers);
		ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
		ck_assert_int_eq(pal_fork(builder, never, NULL, &child, &error), -EMFILE);
		ck_assert_int_eq(error.stage, PAL_STAGE_PARENT_DEATH);
		setrlimit(RLIMIT_NOFILE, &saved);
	}
	pal_builder_free(builder);
	pal_builder_parent_death_of_process(NULL, true);
}
END_TEST

static Suite *make_suite(void)
{
	Suite *suite = suite_create("pal/lifeline");
	TCase *life = support_tcase(suite, "life");

	tcase_add_test(life, a_function_outlives_the_thread_that_forked_it);
	tcase_add_loop_test(life, every_function_ends_with_the_process, 0,
		sizeof hosts / sizeof *hosts);
	tcase_add_test(life, a_copy_of_the_handle_in_a_fork_ties_nothing_and_unties_nothing);
	tcase_add_test(life, a_detached_function_stays_tied);
	tcase_add_test(life, without_descriptors_nothing_is_forked);
	return suite;
}
SUPPORT_MAIN(make_suite)
