/* SPDX-License-Identifier: MIT */
#include <pal/builder.h>

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <pal/builder-priv.h>
#include <pal/util-priv.h>

#include "spawn-support.h"
#include "support.h"


START_TEST(a_closed_source_is_EBADF_and_says_which)
{
	struct pal_builder *builder = builder_for("show-fds", _i);
	int one = new_file();

	pal_builder_dup_fd(builder, one, 30);
	pal_builder_close_fd(builder, 40);
	pal_builder_dup_fd(builder, 90, 91);
	ck_assert_spawn_fails(builder, -EBADF, PAL_STAGE_FDS, 2);
	builder = builder_for("show-fds", _i);
	pal_builder_dup_fd(builder, 90, 90);
	ck_assert_spawn_fails(builder, -EBADF, PAL_STAGE_FDS, 0);
	builder = builder_for("show-fds", _i);
	pal_builder_dup_fd(builder, one, 90); /* a cycle with a closed number in it */
	pal_builder_dup_fd(builder, 90, one);
	ck_assert_spawn_fails(builder, -EBADF, PAL_STAGE_FDS, 1);
	builder = builder_for("show-fds", _i);
	pal_builder_stderr(builder, PAL_STDIO_FD(90));
	ck_assert_spawn_fails(builder, -EBADF, PAL_STAGE_STDIO, 2);
	builder = builder_for("show-fds", _i);
	pal_builder_dup_fd(builder, one, 0x7fffffff);
	ck_assert_spawn_fails(builder, -EBADF, PAL_STAGE_FDS, 0);
	close(one);
}
END_TEST

/* What the library opens for a child gets the lowest free numbers; none of it is ever handed out. */
START_TEST(a_closed_source_is_EBADF_also_where_the_library_opens_something)
{
	int lowest = new_file();

	close(lowest);
	for (int fd = lowest; fd < lowest + 8; fd++) {
		struct pal_builder *builder = builder_for("show-fds", _i);
		struct pal_error error = {0};
		struct pal_child *child;

		if (fcntl(fd, F_GETFD) >= 0) { /* whoever started this test has left it open */
			pal_builder_free(builder);
			continue;
		}
		pal_builder_stdin(builder, PAL_STDIO_PIPE);
		pal_builder_stdout(builder, PAL_STDIO_NULL);
		pal_builder_dup_fd(builder, 0, 40);
		pal_builder_dup_fd(builder, fd, 41);
		ck_assert_int_eq(pal_fork(builder, support_return_zero, NULL, &child, &error), -EBADF);
		ck_assert_int_eq(error.stage, PAL_STAGE_FDS);
		ck_assert_int_eq(error.index, 1);
		ck_assert_spawn_fails(builder, -EBADF, PAL_STAGE_FDS, 1);
		builder = builder_for("show-fds", _i);
		pal_builder_stdin(builder, PAL_STDIO_PIPE);
		pal_builder_stderr(builder, PAL_STDIO_FD(fd));
		ck_assert_spawn_fails(builder, -EBADF, PAL_STAGE_STDIO, 2);
	}
}
END_TEST

START_TEST(the_descriptor_of_a_sandbox_is_no_source)
{
	struct pal_builder *builder = builder_for("show-fds", _i);

	builder->sandbox.landlock_fd = new_file();
	pal_builder_dup_fd(builder, builder->sandbox.landlock_fd, 40);
	ck_assert_spawn_fails(builder, -EBADF, PAL_STAGE_FDS, 0);
}
END_TEST


START_TEST(failing_spawns_leave_nothing)
{
	struct pal_builder *builder = builder_for("no-such-helper", _i);
	size_t fds = support_open_fds();
	siginfo_t info;

	pal_builder_stdin(builder, PAL_STDIO_PIPE);
	pal_builder_stdout(builder, PAL_STDIO_PIPE);
	for (int i = 0; i < 1024; i++) {
		struct pal_child *child = (void *)&info;

		ck_assert_int_eq(pal_builder_spawn(builder, &child, NULL), -ENOENT);
		ck_assert_ptr_eq(child, (void *)&info);
	}
	ck_assert_uint_eq(support_open_fds(), fds);
	ck_assert_int_eq(waitid(P_ALL, 0, &info, WEXITED | WNOHANG), -1);
	ck_assert_int_eq(errno, ECHILD);
	pal_builder_free(builder);
}
END_TEST

/* S18: what fails closes its own descriptors, once. */
static atomic_bool stop;

static void *open_and_check(void *arg)
{
	long lost = 0;

	(void)arg;
	while (!stop) {
		int ends[20][2];

		for (int i = 0; i < 20; i++)
			if (pipe2(ends[i], O_CLOEXEC) < 0)
				lost++;
		for (int i = 0; i < 20; i++)
			for (int j = 0; j < 2; j++)
				lost += close(ends[i][j]) < 0;
	}
	return (void *)lost;
}

START_TEST(nothing_of_another_thread_is_closed)
{
	struct pal_builder *builder = builder_for("no-such-helper", _i);
	pthread_t thread;
	void *lost;

	pal_builder_stdin(builder, PAL_STDIO_PIPE);
	pal_builder_stdout(builder, PAL_STDIO_PIPE);
	pal_builder_stderr(builder, PAL_STDIO_PIPE);
	ck_assert_int_eq(pthread_create(&thread, NULL, open_and_check, NULL), 0);
	for (int i = 0; i < 200; i++) {
		struct pal_child *child;

		ck_assert_int_eq(pal_builder_spawn(builder, &child, NULL), -ENOENT);
	}
	stop = true;
	ck_assert_int_eq(pthread_join(thread, &lost), 0);
	ck_assert_ptr_null(lost);
	pal_builder_free(builder);
}
END_TEST

/* EMFILE comes from the step that needed the number, and a later spawn works: S106. */
START_TEST(when_descriptors_run_out_the_step_is_named)
{
	struct rlimit before, tight;
	struct pal_builder *builder = builder_for("end-with", _i);
	struct pal_error error;
	struct pal_child *child;
	static const int stages[] = {
		PAL_STAGE_CLONE, PAL_STAGE_STDIO, PAL_STAGE_STDIO, PAL_STAGE_CLONE};
	static const int room[] = {0, 1, 2, 3};
	int lowest = dup(0);

	close(lowest);
	ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &before), 0);
	tight = before;
	for (size_t i = 0; i < PAL_ARRAY_LENGTH(room); i++) {
		if (i == 1) {
			pal_builder_stdin(builder, PAL_STDIO_NULL);
			pal_builder_stdout(builder, PAL_STDIO_PIPE);
		}
		tight.rlim_cur = (rlim_t)(lowest + room[i]);
		ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &tight), 0);
		ck_assert_int_eq(pal_builder_spawn(builder, &child, &error), -EMFILE);
		ck_assert_int_eq(error.stage, stages[i]);
		ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &before), 0);
	}
	ck_assert_int_eq(wait_take(spawn_take(builder)).code, 0);
}
END_TEST

static Suite *make_suite(void)
{
	Suite *suite = suite_create("pal/descriptor-failures");
	TCase *failures = support_tcase(suite, "failures");

	tcase_add_loop_test(failures, a_closed_source_is_EBADF_and_says_which, 0, MODES);
	tcase_add_loop_test(failures,
		a_closed_source_is_EBADF_also_where_the_library_opens_something, 0, MODES);
	tcase_add_loop_test(failures, the_descriptor_of_a_sandbox_is_no_source, 0, MODES);
	tcase_add_loop_test(failures, failing_spawns_leave_nothing, 0, MODES);
	tcase_add_loop_test(failures, nothing_of_another_thread_is_closed, 0, MODES);
	tcase_add_loop_test(failures, when_descriptors_run_out_the_step_is_named, 0, MODES);
	return suite;
}
SUPPORT_MAIN(make_suite)
