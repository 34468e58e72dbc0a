/* SPDX-License-Identifier: MIT */
#include <pal/builder.h>

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <pal/communicate.h>

#include "spawn-support.h"
#include "support.h"

/* ---- S108: more children at once than select(2) has bits ---- */

#define ALIVE 1025

static struct pal_child *start_echo(void)
{
	struct pal_builder *builder = builder_for("say", MODE_VFORK);

	pal_builder_arg(builder, "echo");
	pal_builder_stdin(builder, PAL_STDIO_PIPE);
	pal_builder_stdout(builder, PAL_STDIO_PIPE);
	return spawn_take(builder);
}

START_TEST(children_beyond_a_thousand_are_all_heard)
{
	struct pal_communicate_options options = {PAL_COMMUNICATE_OPTIONS_INIT};
	static struct pal_child *children[ALIVE];
	struct rlimit limit, needed;

	ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &limit), 0);
	needed = limit;
	if (needed.rlim_cur < 4 * ALIVE)
		needed.rlim_cur = 4 * ALIVE;
	if (needed.rlim_max < needed.rlim_cur)
		needed.rlim_max = needed.rlim_cur;
	if (setrlimit(RLIMIT_NOFILE, &needed) < 0)
		support_skip("RLIMIT_NOFILE cannot be %d", 4 * ALIVE);
	for (int i = 0; i < ALIVE; i++)
		children[i] = start_echo();
	ck_assert_int_gt(pal_child_stdout(children[ALIVE - 1]), 1023);
	for (int i = 0; i < ALIVE; i++) {
		struct pal_error error = {0};
		struct pal_output output;

		options.input = &i;
		options.input_size = sizeof i;
		ck_assert_ok(pal_child_communicate(children[i], &options, &output, &error), &error);
		ck_assert_int_eq(output.status.code, 0);
		ck_assert_uint_eq(output.out_size, sizeof i);
		ck_assert_mem_eq(output.out, &i, sizeof i);
		pal_output_clear(&output);
		pal_child_free(children[i]);
	}
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
}
END_TEST

/* ---- S67 ---- */

#define TIMES 10000

static int lowest_free(void)
{
	int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);

	close(fd);
	return fd;
}

START_TEST(ten_thousand_handles_freed_early_leave_nothing)
{
	struct pal_builder *builder = builder_for("end-with", MODE_VFORK);
	int before = lowest_free();

	pal_builder_arg(builder, "nothing");
	pal_builder_stdin(builder, PAL_STDIO_NULL);
	for (int i = 0; i < TIMES; i++) {
		struct pal_error error = {0};
		struct pal_child *child;

		ck_assert_ok(pal_builder_spawn(builder, &child, &error), &error);
		pal_child_free(child);
	}
	ck_assert_int_eq(lowest_free(), before);
	ck_assert_int_eq(waitpid(-1, NULL, WNOHANG), -1);
	ck_assert_int_eq(errno, ECHILD);
	pal_builder_free(builder);
}
END_TEST

/* ---- spawns that fail: S18, S19, S21 ---- */

static struct pal_builder *failing(int mode)
{
	struct pal_builder *builder = builder_for("no-such-helper", mode);

	pal_builder_stdin(builder, PAL_STDIO_PIPE);
	pal_builder_stdout(builder, PAL_STDIO_PIPE);
	pal_builder_stderr(builder, PAL_STDIO_PIPE);
	return builder;
}

static void fail_often(int mode, int times)
{
	struct pal_builder *builder = failing(mode);

	for (int i = 0; i < times; i++) {
		struct pal_child *child = (void *)-1;

		ck_assert_int_eq(pal_builder_spawn(builder, &child, NULL), -ENOENT);
		ck_assert_ptr_eq(child, (void *)-1);
	}
	pal_builder_free(builder);
}

START_TEST(a_thousand_failed_spawns_leave_nothing)
{
	int before = lowest_free();
	siginfo_t info;

	fail_often(_i, 1024);
	ck_assert_int_eq(lowest_free(), before);
	ck_assert_int_eq(waitid(P_ALL, 0, &info, WEXITED | WNOHANG), -1);
	ck_assert_int_eq(errno, ECHILD);
}
END_TEST

#define PIPES 20

static atomic_bool enough;

/* Every descriptor that this thread opens is still the same one before it closes it. */
static void *open_and_close(void *arg)
{
	long rounds = 0;

	(void)arg;
	do {
		int ends[PIPES][2];
		struct stat opened[PIPES][2], now;

		for (int i = 0; i < PIPES; i++) {
			if (pipe2(ends[i], O_CLOEXEC) < 0)
				return (void *)-1;
			for (int end = 0; end < 2; end++)
				if (fstat(ends[i][end], &opened[i][end]) < 0)
					return (void *)-2;
		}
		for (int i = 0; i < PIPES; i++)
			for (int end = 0; end < 2; end++)
				if (fstat(ends[i][end], &now) < 0 ||
					now.st_ino != opened[i][end].st_ino ||
					close(ends[i][end]) < 0)
					return (void *)-3;
		rounds++;
	} while (!atomic_load(&enough) || !rounds);
	return NULL;
}

START_TEST(a_failed_spawn_closes_nothing_of_another_thread)
{
	pthread_t thread;
	void *result;

	atomic_store(&enough, false);
	ck_assert_int_eq(pthread_create(&thread, NULL, open_and_close, NULL), 0);
	fail_often(_i, 500);
	atomic_store(&enough, true);
	ck_assert_int_eq(pthread_join(thread, &result), 0);
	ck_assert_ptr_null(result);
}
END_TEST

static Suite *make_suite(void)
{
	Suite *suite = suite_create("pal/many");
	TCase *alive = support_tcase(suite, "alive");
	TCase *failed = support_tcase(suite, "failed");

	tcase_set_timeout(alive, 60);
	tcase_set_timeout(failed, 60);
	tcase_add_test(alive, children_beyond_a_thousand_are_all_heard);
	tcase_add_test(alive, ten_thousand_handles_freed_early_leave_nothing);
	tcase_add_loop_test(failed, a_thousand_failed_spawns_leave_nothing, 0, MODES);
	tcase_add_loop_test(failed, a_failed_spawn_closes_nothing_of_another_thread, 0, MODES);
	return suite;
}
SUPPORT_MAIN(make_suite)
