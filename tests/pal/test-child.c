/* SPDX-License-Identifier: MIT */
#include <pal/child.h>

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <spawn.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <pal/builder.h>
#include <pal/communicate.h>

#include "spawn-support.h"
#include "support.h"

/* ---- adopting ---- */

/* Not by pal: ends with 3 at the end of its input, which is `*ret_input`. */
static pid_t start_plain(int *ret_input)
{
	int ends[2];
	char byte;
	pid_t pid;

	ck_assert_int_eq(pipe(ends), 0);
	pid = fork();
	ck_assert_int_ge(pid, 0);
	if (pid == 0) {
		close(ends[1]);
		syscall(SYS_exit_group, read(ends[0], &byte, 1) == 0 ? 3 : 4);
	}
	close(ends[0]);
	*ret_input = ends[1];
	return pid;
}

START_TEST(a_child_of_fork_is_adopted)
{
	struct pal_error error = {0};
	struct pal_status status;
	struct pal_child *child;
	int input;
	pid_t pid = start_plain(&input);

	ck_assert_ok(pal_child_adopt(pid, &child, &error), &error);
	ck_assert_int_eq(pal_child_pid(child), pid);
	ck_assert_int_eq(pal_child_stdin(child), -1);
	ck_assert_int_eq(pal_child_signal_group(child, 0), -EINVAL);
	ck_assert_int_eq(pal_child_try_wait(child, NULL, NULL), 0);
	close(input);
	ck_assert_ok(pal_child_wait(child, PAL_DEADLINE_MS(600000), &status, &error), &error);
	ck_assert_int_eq(status.code, 3);
	ck_assert_int_gt(status.wall_us, 0);
	pal_child_free(child);
}
END_TEST

START_TEST(a_child_of_posix_spawn_is_adopted_and_killed_with_its_handle)
{
	char *argv[] = {(char *)"end-with", (char *)"nothing", NULL};
	struct pal_error error = {0};
	struct pal_child *child;
	pid_t pid;

	ck_assert_int_eq(
		posix_spawn(&pid, support_helper("end-with"), NULL, NULL, argv, environ), 0);
	ck_assert_ok(pal_child_adopt(pid, &child, &error), &error);
	pal_child_free(child);
	ck_assert_int_eq(kill(pid, 0), -1);
}
END_TEST

START_TEST(a_zombie_is_adopted)
{
	struct pal_error error = {0};
	struct pal_child *child;
	siginfo_t info;
	int input;
	pid_t pid = start_plain(&input);

	close(input);
	ck_assert_int_eq(waitid(P_PID, (id_t)pid, &info, WEXITED | WNOWAIT), 0);
	ck_assert_ok(pal_child_adopt(pid, &child, &error), &error);
	ck_assert_int_eq(wait_take(child).code, 3);
}
END_TEST

static int exit_with_9(void *arg)
{
	(void)arg;
	syscall(SYS_exit_group, 9);
	return 0;
}

/* clone(2) lets a child end without SIGCHLD, or with another signal. */
START_TEST(a_child_that_sends_no_SIGCHLD_is_adopted)
{
	static char stack[65536] __attribute__((aligned(16)));
	struct pal_error error = {0};
	struct pal_child *child;
	pid_t pid;

	if (BUILT_WITH_TSAN)
		support_skip("ThreadSanitizer has a clone of its own");
	signal(SIGUSR1, SIG_IGN);
	pid = clone(exit_with_9, stack + sizeof stack, _i ? SIGUSR1 : 0, NULL);
	ck_assert_int_gt(pid, 0);
	ck_assert_ok(pal_child_adopt(pid, &child, &error), &error);
	ck_assert_int_eq(wait_take(child).code, 9);
}
END_TEST

START_TEST(what_is_no_child_is_not_adopted)
{
	struct pal_child *child = (void *)-1;
	struct pal_error error = {0};

	ck_assert_int_eq(pal_child_adopt(getppid(), &child, &error), -ECHILD);
	ck_assert_int_eq(error.stage, PAL_STAGE_CLONE);
	ck_assert_int_eq(pal_child_adopt(getpid(), &child, &error), -ECHILD);
	ck_assert_int_eq(pal_child_adopt(0, &child, &error), -ESRCH);
	ck_assert_int_eq(pal_child_adopt(-1, &child, &error), -ESRCH);
	ck_assert_int_eq(pal_child_adopt(INT_MAX, &child, &error), -ESRCH);
	ck_assert_ptr_eq(child, (void *)-1);
}
END_TEST

static void *adopt_me(void *arg)
{
	struct pal_error error = {0};
	struct pal_child *child;

	(void)arg;
	ck_assert_int_eq(pal_child_adopt(gettid(), &child, &error), -ESRCH);
	return NULL;
}

START_TEST(nor_is_a_thread)
{
	pthread_t thread;

	ck_assert_int_eq(pthread_create(&thread, NULL, adopt_me, NULL), 0);
	ck_assert_int_eq(pthread_join(thread, NULL), 0);
}
END_TEST

START_TEST(the_pidfd_is_no_standard_stream)
{
	struct pal_error error = {0};
	struct pal_child *child;
	int input, saved = dup(0);
	pid_t pid = start_plain(&input);

	close(0);
	ck_assert_ok(pal_child_adopt(pid, &child, &error), &error);
	ck_assert_int_ge(pal_child_peek_pidfd(child), 3);
	ck_assert_int_eq(dup2(saved, 0), 0);
	close(saved);
	pal_child_free(child);
	close(input);
}
END_TEST

/* ---- giving up ---- */

static struct pal_child *start(int parent_death)
{
	struct pal_builder *builder = builder_for("end-with", MODE_VFORK);

	pal_builder_arg(builder, "stdin");
	pal_builder_stdin(builder, PAL_STDIO_PIPE);
	pal_builder_stdout(builder, PAL_STDIO_PIPE);
	pal_builder_parent_death(builder, parent_death);
	return spawn_take(builder);
}

START_TEST(a_stolen_child_is_waited_for_by_its_pid)
{
	struct pal_child *child = start(0);
	pid_t pid = pal_child_pid(child);
	int input = pal_child_steal_stdin(child), status;

	ck_assert_int_eq(pal_child_steal_pid(child), pid);
	ck_assert_int_eq(waitpid(pid, &status, WNOHANG), 0);
	close(input);
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert_int_eq(status, 0);
}
END_TEST

START_TEST(what_cannot_be_stolen_stays)
{
	struct pal_child *child = start(SIGKILL);

	ck_assert_int_eq(pal_child_steal_pid(child), -EBUSY);
	ck_assert_int_eq(pal_child_try_wait(child, NULL, NULL), 0);
	close(pal_child_steal_stdin(child));
	ck_assert_int_eq(pal_child_wait(child, PAL_DEADLINE_NONE, NULL, NULL), 0);
	ck_assert_int_eq(pal_child_steal_pid(child), -ECHILD);
	ck_assert_int_eq(pal_child_wait(child, PAL_DEADLINE_NONE, NULL, NULL), 0);
	pal_child_free(child);
}
END_TEST

static int in_a_fork(bool (*fn)(struct pal_child *), struct pal_child *child)
{
	int status;
	pid_t pid = fork();

	if (pid == 0)
		syscall(SYS_exit_group, !fn(child));
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	return status;
}

static bool others_keep_their_hands_off(struct pal_child *child)
{
	struct pal_output output;

	return pal_child_steal_pid(child) == -ECHILD &&
	       pal_child_wait(child, PAL_DEADLINE_NONE, NULL, NULL) == -ECHILD &&
	       pal_child_try_wait(child, NULL, NULL) == -ECHILD &&
	       pal_child_wait_change(
		       child, PAL_CHILD_ENDED, PAL_DEADLINE_NONE, NULL, NULL) == -ECHILD &&
	       pal_child_signal(child, SIGKILL) == -ECHILD &&
	       pal_child_stop(child, 0, NULL, NULL) == -ECHILD &&
	       pal_child_communicate(child, NULL, &output, NULL) == -ECHILD &&
	       pal_child_detach(child, NULL) == 0;
}

/* S64: a handle in another process than the parent. */
START_TEST(a_fork_has_no_child_of_ours)
{
	struct pal_child *child = start(0);

	ck_assert_int_eq(in_a_fork(others_keep_their_hands_off, child), 0);
	ck_assert_int_eq(pal_child_try_wait(child, NULL, NULL), 0);
	close(pal_child_steal_stdin(child));
	ck_assert_int_eq(wait_take(child).code, 0);
}
END_TEST

/* ---- how long ---- */

static int64_t now_us(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

START_TEST(the_time_is_that_from_start_to_end)
{
	int64_t before = now_us(), all;
	struct pal_child *child = start(0);
	struct pal_status first, second;

	poll(NULL, 0, 20); /* what is measured is time */
	close(pal_child_steal_stdin(child));
	ck_assert_int_eq(pal_child_wait(child, PAL_DEADLINE_NONE, &first, NULL), 0);
	all = now_us() - before;
	ck_assert_int_ge(first.wall_us, 20000);
	ck_assert_int_le(first.wall_us, all);
	ck_assert_int_eq(pal_child_wait(child, PAL_DEADLINE_NONE, &second, NULL), 0);
	ck_assert_int_eq(first.wall_us, second.wall_us);
	pal_child_free(child);
}
END_TEST

static Suite *make_suite(void)
{
	Suite *suite = suite_create("pal/child");
	TCase *adopt = support_tcase(suite, "adopt");
	TCase *give_up = support_tcase(suite, "give up");

	tcase_add_test(adopt, a_child_of_fork_is_adopted);
	tcase_add_test(adopt, a_child_of_posix_spawn_is_adopted_and_killed_with_its_handle);
	tcase_add_test(adopt, a_zombie_is_adopted);
	tcase_add_loop_test(adopt, a_child_that_sends_no_SIGCHLD_is_adopted, 0, 2);
	tcase_add_test(adopt, what_is_no_child_is_not_adopted);
	tcase_add_test(adopt, nor_is_a_thread);
	tcase_add_test(adopt, the_pidfd_is_no_standard_stream);
	tcase_add_test(give_up, a_stolen_child_is_waited_for_by_its_pid);
	tcase_add_test(give_up, what_cannot_be_stolen_stays);
	tcase_add_test(give_up, a_fork_has_no_child_of_ours);
	tcase_add_test(give_up, the_time_is_that_from_start_to_end);
	return suite;
}
SUPPORT_MAIN(make_suite)
