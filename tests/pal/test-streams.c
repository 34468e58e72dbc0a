/* SPDX-License-Identifier: MIT */
#include <pal/builder.h>

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <unistd.h>

#include <pal/process.h>

#include "process-support.h"
#include "spawn-support.h"
#include "support.h"

/* Standard streams that are files, and stderr that is what stdout is. Others are in test-descriptors.c. */

static char folder[] = "/tmp/procmesh-streams-XXXXXX";
static int cwd_before;

static void enter_folder(void)
{
	strcpy(strrchr(folder, '-'), "-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(folder));
	cwd_before = open(".", O_PATH | O_CLOEXEC);
	ck_assert_int_eq(chdir(folder), 0);
}

static void leave_folder(void)
{
	char command[sizeof folder + 16];

	ck_assert_int_eq(fchdir(cwd_before), 0);
	close(cwd_before);
	snprintf(command, sizeof command, "rm -rf %s", folder);
	ck_assert_int_eq(system(command), 0);
}

static const char *content(const char *name)
{
	static char text[256];
	int fd = open(name, O_RDONLY | O_CLOEXEC);
	ssize_t got;

	ck_assert_msg(fd >= 0, "no file %s", name);
	got = read(fd, text, sizeof text - 1);
	ck_assert_int_ge(got, 0);
	text[got] = 0;
	close(fd);
	return text;
}

static struct pal_builder *shell(const char *script, int mode)
{
	struct pal_builder *builder = pal_builder_new("/bin/sh");

	pal_builder_vfork(builder, mode == MODE_VFORK);
	pal_builder_arg(builder, "-c");
	pal_builder_arg(builder, script);
	return builder;
}

static void run(struct pal_builder *builder)
{
	ck_assert_int_eq(wait_take(spawn_take(builder)).code, 0);
}

/* ---- files ---- */

START_TEST(streams_can_be_files)
{
	struct pal_builder *builder = shell("cat; echo complaint >&2", _i);
	int fd = open("in", O_WRONLY | O_CREAT | O_CLOEXEC, 0600);

	ck_assert_int_eq(write(fd, "input", 5), 5);
	close(fd);
	pal_builder_stdin(builder, PAL_STDIO_OPEN("in", O_RDONLY, 0));
	pal_builder_stdout(builder, PAL_STDIO_OPEN("out", O_WRONLY | O_CREAT | O_TRUNC, 0640));
	pal_builder_stderr(builder, PAL_STDIO_OPEN("err", O_WRONLY | O_CREAT | O_EXCL, 0600));
	run(builder);
	ck_assert_str_eq(content("out"), "input");
	ck_assert_str_eq(content("err"), "complaint\n");
}
END_TEST

START_TEST(a_file_can_be_appended_to_spawn_after_spawn)
{
	struct pal_builder *builder = shell("echo line", _i);

	pal_builder_stdout(builder, PAL_STDIO_APPEND("log"));
	for (int i = 0; i < 2; i++) {
		struct pal_error error = {0};
		struct pal_child *child;

		ck_assert_ok(pal_builder_spawn(builder, &child, &error), &error);
		ck_assert_int_eq(wait_take(child).code, 0);
	}
	pal_builder_free(builder);
	ck_assert_str_eq(content("log"), "line\nline\n");
}
END_TEST

/* S15 */
START_TEST(the_name_of_a_file_is_copied)
{
	struct pal_builder *builder = shell("echo line", _i);
	char name[] = "wrong";

	pal_builder_stdout(builder, PAL_STDIO_APPEND(name));
	strcpy(name, "right");
	pal_builder_stdout(builder, PAL_STDIO_APPEND(name));
	strcpy(name, "wrong");
	run(builder);
	ck_assert_str_eq(content("right"), "line\n");
	ck_assert_int_eq(access("wrong", F_OK), -1);
}
END_TEST

START_TEST(a_file_is_the_parent_s_whatever_the_child_is)
{
	struct pal_builder *builder = shell("echo line", _i);

	if (geteuid() != 0)
		support_skip("needs root");
	pal_builder_stdout(builder, PAL_STDIO_OPEN("mine", O_WRONLY | O_CREAT, 0600));
	pal_builder_uid(builder, NOBODY);
	pal_builder_umask(builder, 0777);
	pal_builder_cwd(builder, "/");
	run(builder);
	ck_assert_str_eq(content("mine"), "line\n");
}
END_TEST

START_TEST(a_file_that_cannot_be_opened_is_told_with_its_stream)
{
	struct pal_builder *builder = shell("echo line", _i);
	struct pal_error error = {0};
	struct pal_child *child;

	pal_builder_stderr(builder, PAL_STDIO_OPEN("missing/file", O_RDONLY, 0));
	ck_assert_int_eq(pal_builder_spawn(builder, &child, &error), -ENOENT);
	ck_assert_str_eq(pal_error_text(&error), "stderr missing/file: No such file or directory");
	ck_assert_spawn_fails(builder, -ENOENT, PAL_STAGE_STDIO, 2);
	builder = shell("echo line", _i);
	pal_builder_stdin(builder, PAL_STDIO_OPEN(".", O_WRONLY, 0));
	ck_assert_spawn_fails(builder, -EISDIR, PAL_STAGE_STDIO, 0);
	builder = shell("echo line", _i);
	pal_builder_stdin(builder, PAL_STDIO_OPEN(NULL, O_WRONLY, 0));
	ck_assert_spawn_fails(builder, -EINVAL, PAL_STAGE_ARGUMENT, 0);
}
END_TEST

/* S5: the file gets the lowest free number, which is the stream's own. */
START_TEST(files_arrive_where_standard_streams_are_closed)
{
	struct pal_builder *builder = shell("cat; echo complaint >&2", _i);
	int saved[3];

	for (int fd = 0; fd < 3; fd++) {
		saved[fd] = fcntl(fd, F_DUPFD_CLOEXEC, 50);
		close(fd);
	}
	pal_builder_stdin(builder, PAL_STDIO_OPEN("/dev/null", O_RDONLY, 0));
	pal_builder_stderr(builder, PAL_STDIO_STDOUT);
	pal_builder_stdout(builder, PAL_STDIO_APPEND("out"));
	run(builder);
	for (int fd = 0; fd < 3; fd++) {
		dup2(saved[fd], fd);
		close(saved[fd]);
	}
	ck_assert_str_eq(content("out"), "complaint\n");
}
END_TEST

/* ---- stderr as stdout ---- */

/* S16; in either order of the setters */
START_TEST(stderr_can_be_what_stdout_is)
{
	for (int order = 0; order < 2; order++) {
		struct pal_builder *builder = shell("echo one; echo two >&2; echo three", _i);

		if (order)
			pal_builder_stdout(builder, PAL_STDIO_APPEND("out"));
		pal_builder_stderr(builder, PAL_STDIO_STDOUT);
		if (!order) {
			ck_assert_str_eq(output_of(builder), "one\ntwo\nthree\n");
			continue;
		}
		run(builder);
		ck_assert_str_eq(content("out"), "one\ntwo\nthree\n");
	}
}
END_TEST

START_TEST(stdout_may_be_what_stderr_was)
{
	struct pal_builder *builder = builder_for("show-fds", _i);
	const char *text;
	int ends[2];

	ck_assert_int_eq(pipe2(ends, O_CLOEXEC), 0);
	pal_builder_stdout(builder, PAL_STDIO_FD(2));
	pal_builder_stderr(builder, PAL_STDIO_STDOUT);
	pal_builder_arg(builder, "60");
	pal_builder_dup_fd(builder, ends[1], 60);
	run(builder);
	close(ends[1]);
	text = read_to_end(ends[0]);
	ck_assert(shows(text, 1, 2));
	ck_assert(shows(text, 2, 2));
	close(ends[0]);
}
END_TEST

START_TEST(stderr_is_closed_where_stdout_is)
{
	struct pal_builder *builder = builder_for("show-fds", _i);
	int saved = fcntl(1, F_DUPFD_CLOEXEC, 50), ends[2];
	const char *text;

	ck_assert_int_eq(pipe2(ends, O_CLOEXEC), 0);
	close(1);
	pal_builder_stderr(builder, PAL_STDIO_STDOUT);
	pal_builder_arg(builder, "60");
	pal_builder_dup_fd(builder, ends[1], 60);
	run(builder);
	dup2(saved, 1);
	close(saved);
	close(ends[1]);
	text = read_to_end(ends[0]);
	ck_assert_int_eq(count_lines(text), 2);
	ck_assert(shows(text, 0, 0));
	close(ends[0]);
}
END_TEST

START_TEST(only_stderr_can_be_what_stdout_is)
{
	struct pal_builder *builder = shell("", _i);

	pal_builder_stdin(builder, PAL_STDIO_STDOUT);
	ck_assert_spawn_fails(builder, -EINVAL, PAL_STAGE_ARGUMENT, 0);
	builder = shell("", _i);
	pal_builder_stdout(builder, PAL_STDIO_STDOUT);
	ck_assert_spawn_fails(builder, -EINVAL, PAL_STAGE_ARGUMENT, 0);
}
END_TEST

static int signals; /* of a handler that may run in either thread */

static void on_signal(int signal)
{
	(void)signal;
	support_tell_one_more(&signals);
}

/* Opens the FIFO's other end, once its opener has been interrupted some times. */
static void *open_late(void *arg)
{
	sigset_t alarm;
	int fd;

	(void)arg;
	sigemptyset(&alarm);
	sigaddset(&alarm, SIGALRM);
	pthread_sigmask(SIG_BLOCK, &alarm, NULL);
	support_await(&signals, 3);
	fd = open("fifo", O_WRONLY | O_CLOEXEC);
	if (fd >= 0 && write(fd, "late\n", 5) == 5)
		close(fd);
	return NULL;
}

START_TEST(a_FIFO_is_waited_for_through_signals)
{
	struct sigaction handler = {.sa_handler = on_signal}; /* without SA_RESTART */
	struct itimerval fast = {{0, 2000}, {0, 2000}}, off = {{0, 0}, {0, 0}};
	struct pal_builder *builder = shell("cat", _i);
	struct pal_child *child;
	pthread_t thread;

	ck_assert_int_eq(mkfifo("fifo", 0600), 0);
	ck_assert_int_eq(pthread_create(&thread, NULL, open_late, NULL), 0);
	sigaction(SIGALRM, &handler, NULL);
	setitimer(ITIMER_REAL, &fast, NULL);
	pal_builder_stdin(builder, PAL_STDIO_OPEN("fifo", O_RDONLY, 0));
	pal_builder_stdout(builder, PAL_STDIO_PIPE);
	child = spawn_take(builder);
	setitimer(ITIMER_REAL, &off, NULL);
	ck_assert_int_eq(pthread_join(thread, NULL), 0);
	ck_assert_str_eq(read_to_end(pal_child_stdout(child)), "late\n");
	ck_assert_int_eq(wait_take(child).code, 0);
}
END_TEST

/* It is what stdout was before that was closed. */
START_TEST(stderr_outlives_a_closed_stdout)
{
	struct pal_builder *builder = shell("echo kept >&2", _i);
	struct pal_child *child;

	pal_builder_stdout(builder, PAL_STDIO_OPEN("both", O_WRONLY | O_CREAT, 0600));
	pal_builder_stderr(builder, PAL_STDIO_STDOUT);
	pal_builder_close_fd(builder, 1);
	child = spawn_take(builder);
	ck_assert_int_eq(wait_take(child).code, 0);
	ck_assert_str_eq(content("both"), "kept\n");
}
END_TEST

static Suite *make_suite(void)
{
	Suite *suite = suite_create("pal/streams");
	TCase *files = support_tcase(suite, "files"), *same = support_tcase(suite, "same");

	tcase_add_checked_fixture(files, enter_folder, leave_folder);
	tcase_add_checked_fixture(same, enter_folder, leave_folder);
	tcase_add_loop_test(files, streams_can_be_files, 0, MODES);
	tcase_add_loop_test(files, a_file_can_be_appended_to_spawn_after_spawn, 0, MODES);
	tcase_add_loop_test(files, the_name_of_a_file_is_copied, 0, MODES);
	tcase_add_loop_test(files, a_file_is_the_parent_s_whatever_the_child_is, 0, MODES);
	tcase_add_loop_test(files, a_file_that_cannot_be_opened_is_told_with_its_stream, 0, MODES);
	tcase_add_loop_test(files, files_arrive_where_standard_streams_are_closed, 0, MODES);
	tcase_add_loop_test(same, stderr_can_be_what_stdout_is, 0, MODES);
	tcase_add_loop_test(same, stderr_outlives_a_closed_stdout, 0, MODES);
	tcase_add_loop_test(same, a_FIFO_is_waited_for_through_signals, 0, MODES);
	tcase_add_loop_test(same, stdout_may_be_what_stderr_was, 0, MODES);
	tcase_add_loop_test(same, stderr_is_closed_where_stdout_is, 0, MODES);
	tcase_add_loop_test(same, only_stderr_can_be_what_stdout_is, 0, MODES);
	return suite;
}
SUPPORT_MAIN(make_suite)
