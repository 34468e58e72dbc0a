/* SPDX-License-Identifier: MIT */
#include <pal/builder.h>

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <pal/builder-priv.h>
#include <pal/util-priv.h>

#include "spawn-support.h"
#include "support.h"

/* Where show-fds writes when the standard streams are under test. */
#define OUT 100

/* Spawns show-fds with its text on OUT; frees the builder. */
static const char *shown_on_out(struct pal_builder *builder)
{
	int ends[2];
	struct pal_child *child;
	const char *text;

	ck_assert_int_eq(pipe2(ends, O_CLOEXEC), 0);
	for (int i = 0; i < 2; i++) { /* not where a stream is meant to be closed */
		int high = fcntl(ends[i], F_DUPFD_CLOEXEC, OUT + 1);

		close(ends[i]);
		ends[i] = high;
	}
	pal_builder_arg(builder, "100");
	pal_builder_dup_fd(builder, ends[1], OUT);
	child = spawn_take(builder);
	close(ends[1]);
	text = read_to_end(ends[0]);
	close(ends[0]);
	ck_assert_int_eq(wait_take(child).code, 0);
	return text;
}

/* S1, S2: what a rule of thumb with "the highest number" gets wrong. */
START_TEST(numbers_can_be_exchanged)
{
	static const struct {
		int to, from;
	} swaps[][3] = {
		{{50, 40}, {40, 50}, {60, 60}},
		{{55, 60}, {45, 40}, {60, 60}},
		{{60, 40}, {40, 50}, {50, 60}},
		{{40, 50}, {50, 60}, {60, 40}},
	};
	const int files[] = {new_file_at(40), new_file_at(50), new_file_at(60)};

	for (size_t i = 0; i < PAL_ARRAY_LENGTH(swaps); i++) {
		struct pal_builder *builder = builder_for("show-fds", _i);
		const char *text;

		for (int j = 0; j < 3; j++)
			pal_builder_dup_fd(builder, swaps[i][j].from, swaps[i][j].to);
		text = output_of(builder);
		for (int j = 0; j < 3; j++)
			ck_assert_msg(shows(text, swaps[i][j].to, swaps[i][j].from), "swap %zu: %s",
				i, text);
		ck_assert_int_eq(count_lines(text), 6);
	}
	for (int i = 0; i < 3; i++)
		close(files[i]);
}
END_TEST

/* S4 */
START_TEST(keeping_a_number_does_not_touch_the_parent_s_flag)
{
	struct pal_builder *builder = builder_for("show-fds", _i);
	int fd = new_file_at(40);

	pal_builder_dup_fd(builder, 40, 40);
	ck_assert(shows(output_of(builder), 40, 40));
	ck_assert_int_eq(fcntl(40, F_GETFD), FD_CLOEXEC);
	close(fd);
}
END_TEST

/* S5 */
static void without_streams(unsigned closed, int mode)
{
	int saved[3], fd;
	struct pal_builder *builder = builder_for("show-fds", mode);
	struct pal_child *child;
	const char *text;

	for (fd = 0; fd < 3; fd++) {
		saved[fd] = fcntl(fd, F_DUPFD_CLOEXEC, 60);
		if (closed >> fd & 1)
			close(fd);
	}
	/* inherited: what is closed here is closed there, and the rest is the same */
	text = shown_on_out(builder);
	for (fd = 0; fd < 3; fd++) {
		ck_assert_int_eq(shows(text, fd, saved[fd]), !(closed >> fd & 1));
		ck_assert_int_eq(fcntl(fd, F_GETFD) < 0, closed >> fd & 1);
	}
	ck_assert_int_eq(count_lines(text), 4 - __builtin_popcount(closed));

	/* pipes and /dev/null: nothing of ours may land on the numbers, nor stay there */
	builder = builder_for("end-with", mode);
	pal_builder_args(builder, (const char *const[]){"kill", NULL});
	pal_builder_stdin(builder, PAL_STDIO_NULL);
	pal_builder_stdout(builder, PAL_STDIO_PIPE);
	pal_builder_stderr(builder, PAL_STDIO_PIPE);
	child = spawn_take(builder);
	ck_assert_int_gt(pal_child_peek_pidfd(child), 2);
	ck_assert_int_gt(pal_child_stdout(child), 2);
	ck_assert_int_gt(pal_child_stderr(child), 2);
	ck_assert_int_eq(fcntl(pal_child_peek_pidfd(child), F_GETFD), FD_CLOEXEC);
	for (fd = 0; fd < 3; fd++)
		ck_assert_int_eq(fcntl(fd, F_GETFD) < 0, closed >> fd & 1);
	pal_child_free(child);

	ck_assert_spawn_fails(builder_for("no-such-helper", mode), -ENOENT, PAL_STAGE_EXEC, 0);
	for (fd = 0; fd < 3; fd++) {
		ck_assert_int_eq(fcntl(fd, F_GETFD) < 0, closed >> fd & 1);
		dup2(saved[fd], fd);
		close(saved[fd]);
	}
}

START_TEST(standard_streams_may_be_closed_here)
{
	for (unsigned closed = 0; closed < 8; closed++)
		without_streams(closed, _i);
}
END_TEST

START_TEST(every_stream_has_its_source)
{
	struct pal_builder *builder = builder_for("show-fds", _i);
	int null = open("/dev/null", O_RDWR | O_CLOEXEC), file = new_file();
	const char *text;

	pal_builder_stdin(builder, PAL_STDIO_NULL);
	pal_builder_stdout(builder, PAL_STDIO_FD(file));
	pal_builder_stderr(builder, PAL_STDIO_FD(file)); /* S16 */
	text = shown_on_out(builder);
	ck_assert(shows(text, 0, null));
	ck_assert(shows(text, 1, file));
	ck_assert(shows(text, 2, file));
	ck_assert_int_eq(count_lines(text), 4);
	close(null);
	close(file);
}
END_TEST

START_TEST(the_last_word_about_a_number_wins)
{
	struct pal_builder *builder = builder_for("show-fds", _i);
	int one = new_file(), two = new_file();
	struct pal_child *child;
	const char *text;

	pal_builder_dup_fd(builder, one, 0);
	pal_builder_stdin(builder, PAL_STDIO_FD(two));
	pal_builder_stdout(builder, PAL_STDIO_PIPE);
	pal_builder_dup_fd(builder, one, 1);
	pal_builder_dup_fd(builder, one, 30);
	pal_builder_dup_fd(builder, two, 30);
	text = shown_on_out(builder);
	ck_assert(shows(text, 0, two));
	ck_assert(shows(text, 1, one));
	ck_assert(shows(text, 30, two));
	builder = builder_for("end-with", _i);
	pal_builder_stdout(builder, PAL_STDIO_PIPE);
	pal_builder_dup_fd(builder, one, 1);
	child = spawn_take(builder);
	ck_assert_int_eq(pal_child_stdout(child), -1); /* nobody writes to it */
	pal_child_free(child);
	close(one);
	close(two);
}
END_TEST

/* S13 */
START_TEST(close_fd_closes_after_the_moves_and_takes_what_is_not_open)
{
	struct pal_builder *builder = builder_for("show-fds", _i);
	int one = new_file();
	const char *text;

	pal_builder_dup_fd(builder, one, 30);
	pal_builder_dup_fd(builder, one, 31);
	pal_builder_close_fd(builder, 30);
	pal_builder_close_fd(builder, 0);
	pal_builder_close_fd(builder, 77);
	text = shown_on_out(builder);
	ck_assert_int_eq(count_lines(text), 4);
	ck_assert(shows(text, 31, one));
	close(one);
}
END_TEST
/* S8, S11 */
START_TEST(a_child_gets_nothing_that_was_not_given)
{
	struct pal_builder *builder = builder_for("show-fds", _i);
	int inheritable[80];
	const char *text;

	for (int i = 0; i < 80; i++) {
		inheritable[i] = new_file();
		fcntl(inheritable[i], F_SETFD, 0);
	}
	pal_builder_dup_fd(builder, inheritable[10], inheritable[20]);
	pal_builder_dup_fd(builder, inheritable[30], inheritable[30]);
	pal_builder_dup_fd(builder, inheritable[79], 200);
	text = output_of(builder);
	ck_assert_int_eq(count_lines(text), 6);
	ck_assert(shows(text, inheritable[20], inheritable[10]));
	ck_assert(shows(text, inheritable[30], inheritable[30]));
	ck_assert(shows(text, 200, inheritable[79]));
	for (int i = 0; i < 80; i++)
		close(inheritable[i]);
}
END_TEST

/* Where the table of descriptors may have to grow for the pidfd, the child does not share it. */
START_TEST(a_child_at_the_end_of_the_table_gets_nothing_either)
{
	int output = new_file(), stdout_before = dup(1), inheritable[64], count = 0;
	struct pal_builder *builder = builder_for("show-fds", _i);
	struct pal_child *children[3];
	const char *text;

	do {
		inheritable[count] = new_file();
		fcntl(inheritable[count], F_SETFD, 0);
	} while (inheritable[count++] < 62);
	ck_assert_int_eq(dup2(output, 1), 1);
	for (int i = 0; i < 3; i++) {
		ck_assert_int_eq(pal_builder_spawn(builder, &children[i], NULL), 0);
		ck_assert_int_eq(pal_child_peek_pidfd(children[i]), 63 + i);
		ck_assert_int_eq(pal_child_wait(children[i], PAL_DEADLINE_NONE, NULL, NULL), 0);
	}
	ck_assert_int_eq(dup2(stdout_before, 1), 1);
	ck_assert_int_eq(lseek(output, 0, SEEK_SET), 0);
	text = read_to_end(output);
	ck_assert_int_eq(count_lines(text), 9); /* three have three */
	for (int i = 0; i < 3; i++)
		pal_child_free(children[i]);
	while (count--)
		close(inheritable[count]);
	close(stdout_before);
	close(output);
	pal_builder_free(builder);
}
END_TEST

START_TEST(without_close_others_close_on_exec_decides)
{
	struct pal_builder *builder = builder_for("show-fds", _i);
	int kept = new_file(), lost = new_file();
	const char *text;

	fcntl(kept, F_SETFD, 0);
	pal_builder_close_others(builder, false);
	pal_builder_dup_fd(builder, lost, 40);
	pal_builder_dup_fd(builder, lost, 41);
	pal_builder_stdin(builder, PAL_STDIO_PIPE);
	text = output_of(builder);
	ck_assert(shows(text, kept, kept));
	ck_assert(!shows(text, lost, lost));
	ck_assert(shows(text, 40, lost));
	ck_assert(shows(text, 41, lost));
	for (int fd = 3; fd < 40; fd++) /* of the library's own none */
		ck_assert_int_eq(fd != kept && shows(text, fd, kept), 0);
	close(kept);
	close(lost);
}
END_TEST

/* S22: the folder must not be a way back for what was not given. */
START_TEST(descriptors_are_closed_before_the_folder_is_changed)
{
	struct pal_builder *builder = builder_for("show-args", _i);
	int dir = open("/", O_PATH | O_DIRECTORY); /* without close-on-exec */
	char path[64];

	ck_assert_int_ge(dir, 3);
	snprintf(path, sizeof path, "/proc/self/fd/%d", dir);
	pal_builder_cwd(builder, path);
	ck_assert_spawn_fails(builder, -ENOENT, PAL_STAGE_CHDIR, 0);
	close(dir);
}
END_TEST

/* S19, S21 */
/* S10 */
static atomic_bool stop;

static void *make_inheritable_pipes(void *arg)
{
	(void)arg;
	while (!stop) {
		int ends[2];

		if (pipe(ends) == 0) {
			close(ends[0]);
			close(ends[1]);
		}
	}
	return NULL;
}

START_TEST(what_another_thread_opens_meanwhile_does_not_arrive)
{
	pthread_t thread;

	ck_assert_int_eq(pthread_create(&thread, NULL, make_inheritable_pipes, NULL), 0);
	for (int i = 0; i < 50; i++)
		ck_assert_int_eq(count_lines(output_of(builder_for("show-fds", _i))), 3);
	stop = true;
	ck_assert_int_eq(pthread_join(thread, NULL), 0);
}
END_TEST

static Suite *make_suite(void)
{
	Suite *suite = suite_create("pal/descriptors");
	TCase *moves = support_tcase(suite, "moves");
	TCase *others = support_tcase(suite, "others");

	tcase_add_loop_test(moves, numbers_can_be_exchanged, 0, MODES);
	tcase_add_loop_test(moves, keeping_a_number_does_not_touch_the_parent_s_flag, 0, MODES);
	tcase_add_loop_test(moves, standard_streams_may_be_closed_here, 0, MODES);
	tcase_add_loop_test(moves, every_stream_has_its_source, 0, MODES);
	tcase_add_loop_test(moves, the_last_word_about_a_number_wins, 0, MODES);
	tcase_add_loop_test(
		moves, close_fd_closes_after_the_moves_and_takes_what_is_not_open, 0, MODES);
	tcase_add_loop_test(others, a_child_gets_nothing_that_was_not_given, 0, MODES);
	tcase_add_loop_test(
		others, a_child_at_the_end_of_the_table_gets_nothing_either, 0, MODES);
	tcase_add_loop_test(others, without_close_others_close_on_exec_decides, 0, MODES);
	tcase_add_loop_test(others, descriptors_are_closed_before_the_folder_is_changed, 0, MODES);
	tcase_add_loop_test(others, what_another_thread_opens_meanwhile_does_not_arrive, 0, MODES);
	return suite;
}
SUPPORT_MAIN(make_suite)
