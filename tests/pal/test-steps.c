/* SPDX-License-Identifier: MIT */
#include <pal/steps.h>

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <pal/builder-priv.h>
#include <pal/sandbox.h>
#include <pal/util-priv.h>

#include "process-support.h"
#include "spawn-support.h"
#include "support.h"

/* Things that a child does in order. */

/* A file with a few words in it. */
static char file[] = "/tmp/procmesh-steps-XXXXXX";
static int file_fd;

static void make_file(void)
{
	strcpy(strrchr(file, '-'), "-XXXXXX");
	file_fd = mkostemp(file, O_CLOEXEC);
	ck_assert_int_ge(file_fd, 0);
	ck_assert_int_eq(write(file_fd, "some words\n", 11), 11);
}

static void remove_file(void)
{
	close(file_fd);
	ck_assert_int_eq(unlink(file), 0);
}

/* ---- order ---- */

START_TEST(steps_come_in_the_order_of_their_calls_after_the_moves)
{
	struct pal_builder *builder = builder_for("show-fds", _i);
	int moved = new_file();
	const char *text;

	pal_builder_step_open(builder, 60, file, O_RDONLY, 0);
	pal_builder_step_dup2(builder, 60, 61);
	pal_builder_step_dup2(builder, 50, 60);
	pal_builder_step_close(builder, 50);
	pal_builder_dup_fd(builder, moved, 50);
	text = output_of(builder);
	ck_assert_int_eq(count_lines(text), 5);
	ck_assert(shows(text, 60, moved));
	ck_assert(shows(text, 61, file_fd));
	close(moved);
}
END_TEST

START_TEST(a_builder_with_steps_can_be_used_again)
{
	struct pal_builder *builder = builder_for("show-fds", _i);

	pal_builder_step_open(builder, 60, file, O_RDONLY, 0);
	pal_builder_stdout(builder, PAL_STDIO_PIPE);
	for (int i = 0; i < 3; i++) {
		struct pal_error error = {0};
		struct pal_child *child;

		ck_assert_ok(pal_builder_spawn(builder, &child, &error), &error);
		ck_assert(shows(read_to_end(pal_child_stdout(child)), 60, file_fd));
		ck_assert_int_eq(wait_take(child).code, 0);
	}
	pal_builder_free(builder);
}
END_TEST

/* ---- open ---- */

/* S14 */
START_TEST(an_opened_file_takes_the_place_of_what_was_there)
{
	struct pal_builder *builder = builder_for("show-fds", _i);
	const char *text;

	pal_builder_dup_fd(builder, 1, 60);
	pal_builder_step_open(builder, 60, file, O_RDONLY, 0);
	pal_builder_step_open(builder, 0, file, O_RDONLY, 0);
	text = output_of(builder);
	ck_assert(shows(text, 60, file_fd));
	ck_assert(shows(text, 0, file_fd));
}
END_TEST

/* S14 */
START_TEST(a_file_that_cannot_be_opened_fails_the_spawn)
{
	struct pal_builder *builder = process_builder(_i);
	struct pal_error error = {0};
	struct pal_child *child;

	pal_builder_step_open(builder, 60, file, O_RDONLY, 0);
	pal_builder_step_open(builder, 61, "/no/such/file", O_RDONLY, 0);
	ck_assert_int_eq(pal_builder_spawn(builder, &child, &error), -ENOENT);
	ck_assert_str_eq(
		pal_error_text(&error), "step 1: open /no/such/file: No such file or directory");
	assert_refused(builder, _i, -ENOENT, PAL_STAGE_STEP, 1);
	builder = process_builder(_i);
	pal_builder_step_open(builder, 60, file, O_RDONLY | O_CREAT | O_EXCL, 0600);
	assert_refused(builder, _i, -EEXIST, PAL_STAGE_STEP, 0);
	builder = process_builder(_i);
	pal_builder_step_open(builder, 60, "", O_RDONLY, 0);
	assert_refused(builder, _i, -ENOENT, PAL_STAGE_STEP, 0);
}
END_TEST

/* S14: the mode in which it is open is the child's matter. */
START_TEST(a_file_is_created_with_its_mode_and_the_child_s_umask)
{
	struct pal_builder *builder = pal_builder_new("/bin/cat");
	char name[sizeof file + 8];
	struct stat info;

	snprintf(name, sizeof name, "%s.new", file);
	pal_builder_vfork(builder, _i == MODE_VFORK);
	pal_builder_umask(builder, 027);
	pal_builder_step_open(builder, 0, file, O_RDONLY, 0);
	pal_builder_step_open(builder, 1, name, O_WRONLY | O_CREAT | O_EXCL, 0777);
	ck_assert_int_eq(wait_take(spawn_take(builder)).code, 0);
	ck_assert_int_eq(stat(name, &info), 0);
	ck_assert_uint_eq(info.st_mode & 07777, 0750);
	ck_assert_int_eq(info.st_size, 11);
	ck_assert_int_eq(unlink(name), 0);
}
END_TEST

START_TEST(close_on_exec_of_an_opened_file_is_as_its_flags_say)
{
	struct pal_builder *builder = builder_for("show-fds", _i);
	const char *text;

	/* both on the number that open(2) returns and on another */
	pal_builder_step_open(builder, 60, file, O_RDONLY | O_CLOEXEC, 0);
	pal_builder_step_open(builder, 0, file, O_RDONLY | O_CLOEXEC, 0);
	pal_builder_step_open(builder, 61, file, O_RDONLY, 0);
	text = output_of(builder);
	ck_assert_int_eq(count_lines(text), 3);
	ck_assert(shows(text, 61, file_fd));
}
END_TEST

/* S15: CVE-2014-4043 */
START_TEST(steps_keep_copies_of_strings)
{
	struct pal_builder *builder = builder_for("show-fds", _i);
	char *path = strdup(file), *folder = strdup("/");

	pal_builder_step_open(builder, 60, path, O_RDONLY, 0);
	pal_builder_step_chdir(builder, folder);
	memset(path, 'x', strlen(path));
	memset(folder, 'x', strlen(folder));
	free(path);
	free(folder);
	ck_assert(shows(output_of(builder), 60, file_fd));
}
END_TEST

/* ---- dup2 and close ---- */

START_TEST(dup2_onto_itself_keeps_a_number_open)
{
	struct pal_builder *builder = builder_for("show-fds", _i);
	int fd = new_file();

	pal_builder_close_others(builder, false);
	pal_builder_step_dup2(builder, fd, fd);
	ck_assert(shows(output_of(builder), fd, fd));
	ck_assert_int_eq(fcntl(fd, F_GETFD), FD_CLOEXEC);
	builder = process_builder(_i);
	pal_builder_step_dup2(builder, 77, 77);
	assert_refused(builder, _i, -EBADF, PAL_STAGE_STEP, 0);
	close(fd);
}
END_TEST

START_TEST(dup2_of_a_closed_number_fails)
{
	struct pal_builder *builder = process_builder(_i);

	pal_builder_step_dup2(builder, 77, 78);
	assert_refused(builder, _i, -EBADF, PAL_STAGE_STEP, 0);
}
END_TEST

/* Under either setting of close_others. */
START_TEST(what_steps_open_stays_open_and_what_they_close_does_not)
{
	struct pal_builder *builder = builder_for("show-fds", _i % MODES);
	int fd = new_file();
	const char *text;

	pal_builder_close_others(builder, _i / MODES);
	pal_builder_dup_fd(builder, fd, 60);
	pal_builder_dup_fd(builder, fd, 61);
	pal_builder_step_close(builder, 60);
	pal_builder_step_open(builder, 62, file, O_RDONLY, 0);
	pal_builder_step_dup2(builder, 61, 63);
	pal_builder_step_close(builder, 62);
	pal_builder_step_dup2(builder, fd, 64); /* close-on-exec in the parent */
	text = output_of(builder);
	ck_assert(!shows(text, 60, fd));
	ck_assert(shows(text, 61, fd));
	ck_assert(!shows(text, 62, file_fd));
	ck_assert(shows(text, 63, fd));
	ck_assert(shows(text, 64, fd));
	if (_i / MODES)
		ck_assert_int_eq(count_lines(text), 6);
	close(fd);
}
END_TEST

/* S13 */
START_TEST(closing_what_is_closed_is_an_error_only_beyond_the_limit)
{
	struct pal_builder *builder = process_builder(_i);

	pal_builder_step_close(builder, 77);
	pal_builder_step_close(builder, 77);
	process_text(builder, _i);
	builder = process_builder(_i);
	pal_builder_step_close(builder, 77);
	pal_builder_step_close(builder, INT_MAX);
	assert_refused(builder, _i, -EBADF, PAL_STAGE_STEP, 1);
}
END_TEST

/* ---- close from ---- */

/* S8 */
START_TEST(close_from_closes_the_rest_and_later_steps_open_again)
{
	struct pal_builder *builder = builder_for("show-fds", _i);
	int fds[100];
	const char *text;

	pal_builder_close_others(builder, false);
	for (int i = 0; i < 100; i++) {
		fds[i] = new_file_at(400 + i);
		ck_assert_int_eq(fcntl(fds[i], F_SETFD, 0), 0);
	}
	pal_builder_step_close_from(builder, 450);
	pal_builder_step_open(builder, 480, file, O_RDONLY, 0);
	text = output_of(builder);
	for (int i = 0; i < 100; i++) {
		ck_assert_int_eq(shows(text, 400 + i, fds[i]), i < 50);
		close(fds[i]);
	}
	ck_assert(shows(text, 480, file_fd));
}
END_TEST

START_TEST(close_from_0_closes_everything)
{
	struct pal_builder *builder = builder_for("show-fds", _i);
	int folder = open("/", O_PATH | O_CLOEXEC), out = new_file();
	char text[64] = "";

	pal_builder_arg(builder, "60");
	pal_builder_cwd_fd(builder, folder); /* needed later, and spared */
	pal_builder_dup_fd(builder, out, 70);
	pal_builder_step_dup2(builder, 70, 5);
	pal_builder_step_close_from(builder, 6);
	pal_builder_step_dup2(builder, 5, 60);
	pal_builder_step_close(builder, 5);
	for (int fd = 0; fd < 3; fd++)
		pal_builder_step_close(builder, fd);
	ck_assert_int_eq(wait_take(spawn_take(builder)).code, 0);
	ck_assert_int_gt(pread(out, text, sizeof text - 1, 0), 0);
	ck_assert_int_eq(count_lines(text), 1);
	ck_assert(shows(text, 60, out));
	close(folder);
	close(out);
	builder = builder_for("end-with", _i);
	pal_builder_close_others(builder, false);
	pal_builder_step_close_from(builder, 0);
	wait_take(spawn_take(builder));
}
END_TEST

/* ---- the library's own descriptors ---- */

START_TEST(steps_may_be_about_the_number_of_the_folder)
{
	struct pal_builder *builder = builder_for("show-args", _i);
	int folder = open("/proc", O_PATH | O_CLOEXEC);

	pal_builder_cwd_fd(builder, folder);
	pal_builder_step_open(builder, folder, file, O_RDONLY, 0);
	pal_builder_step_close_from(builder, 3);
	ck_assert_ptr_nonnull(strstr(output_of(builder), "cwd /proc\n"));
	close(folder);
}
END_TEST

/* Bit 0: the file cannot be read; the other bits: descriptors above 2 that are not the file. */
static int what_is_left(void *arg)
{
	int fd = open("/etc/passwd", O_RDONLY | O_CLOEXEC), result = fd < 0 ? 1 : 0;
	struct stat wanted, info;

	(void)arg;
	if (fd >= 0)
		close(fd);
	if (fstat(60, &wanted) < 0)
		return 128;
	for (fd = 3; fd < 200; fd++)
		if (fstat(fd, &info) == 0 && info.st_ino != wanted.st_ino)
			result += 2;
	return result;
}

/*
 * Every low number is hit by a step: also those of the ruleset and of pal_fork's
 * own eventfd. All are applied and reported, and none is left.
 */
START_TEST(steps_may_be_about_the_numbers_of_the_library)
{
	struct pal_builder *builder = pal_builder_new(NULL);
	struct pal_error error = {0};
	struct pal_landlock *ruleset;
	struct pal_child *child;

	if (pal_landlock_abi() < 1)
		support_skip("no Landlock");
	ck_assert_ok(pal_landlock_new(&ruleset, &error), &error);
	pal_builder_landlock(builder, ruleset);
	pal_builder_no_new_privs(builder, true);
	pal_builder_close_others(builder, _i % 2);
	pal_builder_stdin(builder, PAL_STDIO_PIPE);
	if (_i / 2) {
		for (int fd = 3; fd < 40; fd++)
			pal_builder_step_open(builder, fd, file, O_RDONLY, 0);
	}
	pal_builder_step_close_from(builder, 3);
	pal_builder_step_open(builder, 60, file, O_RDONLY, 0);
	ck_assert_ok(pal_fork(builder, what_is_left, NULL, &child, &error), &error);
	ck_assert_int_eq(wait_take(child).code, 1);
	pal_builder_free(builder);
	pal_landlock_free(ruleset);
}
END_TEST

/* A number that is closed for the caller is so for a step, whatever the library keeps there. */
START_TEST(the_library_s_descriptors_are_closed_to_steps)
{
	for (int fd = 3; fd < 24; fd++) {
		struct pal_builder *builder = process_builder(_i);
		struct pal_error error = {0};
		struct pal_child *child;

		pal_builder_stdin(builder, PAL_STDIO_PIPE);
		pal_builder_stderr(builder, PAL_STDIO_NULL);
		pal_builder_step_dup2(builder, fd, 90);
		if (fcntl(fd, F_GETFD) < 0) {
			int r = _i == KIND_FORK
					? pal_fork(builder, support_return_zero, NULL, &child, &error)
					: pal_builder_spawn(builder, &child, &error);

			ck_assert_int_eq(r, -EBADF);
			ck_assert_int_eq(error.stage, PAL_STAGE_STEP);
		}
		pal_builder_free(builder);
	}
}
END_TEST

/* Where a standard stream is closed, the parent keeps a number for the pidfd. */
START_TEST(what_the_parent_keeps_for_itself_is_closed_to_steps)
{
	struct pal_builder *builder = builder_for("show-args", _i);
	int next, in = fcntl(0, F_DUPFD_CLOEXEC, 60);

	next = fcntl(file_fd, F_DUPFD_CLOEXEC, 3);
	close(next);
	close(0);
	pal_builder_step_dup2(builder, next, 61);
	ck_assert_spawn_fails(builder, -EBADF, PAL_STAGE_STEP, 0);
	ck_assert_int_eq(dup2(in, 0), 0);
	close(in);
}
END_TEST

static Suite *make_suite(void)
{
	Suite *suite = suite_create("pal/steps");
	TCase *files = support_tcase(suite, "files"), *numbers = support_tcase(suite, "numbers");

	tcase_add_checked_fixture(files, make_file, remove_file);
	tcase_add_checked_fixture(numbers, make_file, remove_file);
	tcase_add_loop_test(
		files, steps_come_in_the_order_of_their_calls_after_the_moves, 0, MODES);
	tcase_add_loop_test(files, a_builder_with_steps_can_be_used_again, 0, MODES);
	tcase_add_loop_test(files, an_opened_file_takes_the_place_of_what_was_there, 0, MODES);
	tcase_add_loop_test(files, a_file_that_cannot_be_opened_fails_the_spawn, 0, KINDS);
	tcase_add_loop_test(files, a_file_is_created_with_its_mode_and_the_child_s_umask, 0, MODES);
	tcase_add_loop_test(files, close_on_exec_of_an_opened_file_is_as_its_flags_say, 0, MODES);
	tcase_add_loop_test(files, steps_keep_copies_of_strings, 0, MODES);
	tcase_add_loop_test(numbers, dup2_onto_itself_keeps_a_number_open, 0, MODES);
	tcase_add_loop_test(numbers, dup2_of_a_closed_number_fails, 0, KINDS);
	tcase_add_loop_test(
		numbers, what_steps_open_stays_open_and_what_they_close_does_not, 0, 2 * MODES);
	tcase_add_loop_test(
		numbers, closing_what_is_closed_is_an_error_only_beyond_the_limit, 0, KINDS);
	tcase_add_loop_test(
		numbers, close_from_closes_the_rest_and_later_steps_open_again, 0, MODES);
	tcase_add_loop_test(numbers, close_from_0_closes_everything, 0, MODES);
	tcase_add_loop_test(numbers, steps_may_be_about_the_number_of_the_folder, 0, MODES);
	tcase_add_loop_test(numbers, steps_may_be_about_the_numbers_of_the_library, 0, 4);
	tcase_add_loop_test(numbers, the_library_s_descriptors_are_closed_to_steps, 0, KINDS);
	tcase_add_loop_test(
		numbers, what_the_parent_keeps_for_itself_is_closed_to_steps, 0, MODES);
	return suite;
}
SUPPORT_MAIN(make_suite)
