/* SPDX-License-Identifier: MIT */
#include <pal/builder.h>

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "process-support.h"
#include "spawn-support.h"
#include "support.h"

/* The folder that a child starts in, by path and by descriptor. */

START_TEST(a_folder_can_be_a_descriptor)
{
	static const int kinds[] = {O_PATH, O_RDONLY | O_DIRECTORY};

	for (int i = 0; i < 2; i++) {
		struct pal_builder *builder = builder_for("show-args", _i);
		int fd = open("/proc", kinds[i] | O_CLOEXEC);

		pal_builder_cwd_fd(builder, fd);
		ck_assert_ptr_nonnull(strstr(output_of(builder), "cwd /proc\n"));
		close(fd);
	}
}
END_TEST

START_TEST(the_later_folder_counts)
{
	struct pal_builder *builder = builder_for("show-args", _i);
	int fd = open("/proc", O_PATH | O_CLOEXEC);

	pal_builder_cwd(builder, "/usr");
	pal_builder_cwd_fd(builder, fd);
	ck_assert_ptr_nonnull(strstr(output_of(builder), "cwd /proc\n"));
	builder = builder_for("show-args", _i);
	pal_builder_cwd_fd(builder, fd);
	pal_builder_cwd(builder, "/usr");
	ck_assert_ptr_nonnull(strstr(output_of(builder), "cwd /usr\n"));
	close(fd);
}
END_TEST

/* S22: CVE-2024-21626; and its number may be that of something else in the child. */
START_TEST(the_descriptor_of_a_folder_does_not_arrive)
{
	struct pal_builder *builder = builder_for("show-fds", _i);
	int fd = open("/proc", O_PATH), file = new_file();
	const char *text;

	pal_builder_cwd_fd(builder, fd);
	ck_assert_int_eq(count_lines(output_of(builder)), 3);
	builder = builder_for("show-fds", _i);
	pal_builder_cwd_fd(builder, fd);
	pal_builder_dup_fd(builder, file, fd);
	text = output_of(builder);
	ck_assert_int_eq(count_lines(text), 4);
	ck_assert(shows(text, fd, file));
	close(fd);
	close(file);
}
END_TEST

START_TEST(the_descriptor_of_a_folder_can_be_given_as_well)
{
	struct pal_builder *builder = builder_for("show-fds", _i);
	int fd = open("/proc", O_RDONLY | O_CLOEXEC);

	pal_builder_cwd_fd(builder, fd);
	pal_builder_dup_fd(builder, fd, fd);
	ck_assert(shows(output_of(builder), fd, fd));
	close(fd);
}
END_TEST

START_TEST(the_descriptor_of_a_folder_stays_where_others_do)
{
	struct pal_builder *builder = builder_for("show-fds", _i);
	int fd = open("/proc", O_RDONLY); /* without close-on-exec */

	pal_builder_close_others(builder, false);
	pal_builder_cwd_fd(builder, fd);
	ck_assert(shows(output_of(builder), fd, fd));
	close(fd);
}
END_TEST

START_TEST(what_is_no_folder_is_an_error)
{
	struct pal_builder *builder = process_builder(_i);
	int file = new_file();
	struct pal_error error = {0};
	struct pal_child *child;

	pal_builder_cwd_fd(builder, file);
	assert_refused(builder, _i, -ENOTDIR, PAL_STAGE_CHDIR, 0);
	builder = process_builder(_i);
	pal_builder_cwd_fd(builder, -1);
	assert_refused(builder, _i, -EINVAL, PAL_STAGE_ARGUMENT, 0);
	/* closed here, though the library opens something there in a moment */
	close(file);
	builder = process_builder(_i);
	pal_builder_stdin(builder, PAL_STDIO_PIPE);
	pal_builder_cwd_fd(builder, file);
	ck_assert_int_eq(pal_builder_spawn(builder, &child, &error), -EBADF);
	ck_assert_int_eq(error.stage, PAL_STAGE_CHDIR);
	ck_assert_ptr_nonnull(strstr(pal_error_text(&error), "chdir to descriptor "));
	pal_builder_free(builder);
}
END_TEST

static Suite *make_suite(void)
{
	Suite *suite = suite_create("pal/cwd");
	TCase *cwd = support_tcase(suite, "cwd");

	tcase_add_loop_test(cwd, a_folder_can_be_a_descriptor, 0, MODES);
	tcase_add_loop_test(cwd, the_later_folder_counts, 0, MODES);
	tcase_add_loop_test(cwd, the_descriptor_of_a_folder_does_not_arrive, 0, MODES);
	tcase_add_loop_test(cwd, the_descriptor_of_a_folder_can_be_given_as_well, 0, MODES);
	tcase_add_loop_test(cwd, the_descriptor_of_a_folder_stays_where_others_do, 0, MODES);
	tcase_add_loop_test(cwd, what_is_no_folder_is_an_error, 0, KINDS);
	return suite;
}
SUPPORT_MAIN(make_suite)
