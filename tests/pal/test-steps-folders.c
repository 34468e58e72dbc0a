/* SPDX-License-Identifier: MIT */
/* Folders as steps, and steps that cannot be meant. */
#include <pal/steps.h>

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <pal/builder-priv.h>
#include <pal/sandbox.h>
#include <pal/util-priv.h>

#include "process-support.h"
#include "spawn-support.h"
#include "support.h"

START_TEST(folders_change_for_later_steps_and_the_program)
{
	struct pal_builder *builder = builder_for("show-args", _i);
	int folder = open("/proc/self", O_PATH | O_CLOEXEC);

	pal_builder_dup_fd(builder, folder, 60);
	pal_builder_step_fchdir(builder, 60);
	pal_builder_step_chdir(builder, "../..");
	pal_builder_step_chdir(builder, "usr");
	pal_builder_step_open(builder, 61, "../proc/version", O_RDONLY, 0);
	ck_assert_ptr_nonnull(strstr(output_of(builder), "cwd /usr\n"));
	close(folder);
}
END_TEST

START_TEST(cwd_comes_after_the_steps)
{
	struct pal_builder *builder = builder_for("show-args", _i);

	pal_builder_cwd(builder, "proc");
	pal_builder_step_chdir(builder, "/");
	ck_assert_ptr_nonnull(strstr(output_of(builder), "cwd /proc\n"));
}
END_TEST

START_TEST(a_folder_that_cannot_be_entered_fails_the_spawn)
{
	struct pal_builder *builder = process_builder(_i);

	pal_builder_step_chdir(builder, "/no/such/folder");
	assert_refused(builder, _i, -ENOENT, PAL_STAGE_STEP, 0);
	builder = process_builder(_i);
	pal_builder_step_fchdir(builder, 0);
	pal_builder_stdin(builder, PAL_STDIO_NULL);
	assert_refused(builder, _i, -ENOTDIR, PAL_STAGE_STEP, 0);
}
END_TEST

/* ---- arguments ---- */

/* S12: nothing is tried. */
START_TEST(a_step_with_a_negative_descriptor_is_EBADF)
{
	for (int which = 0; which < 7; which++) {
		struct pal_builder *builder = process_builder(_i);

		pal_builder_step_chdir(builder, "/");
		if (which == 0)
			pal_builder_step_open(builder, -1, "/", O_RDONLY, 0);
		else if (which == 1)
			pal_builder_step_dup2(builder, -1, 5);
		else if (which == 2)
			pal_builder_step_dup2(builder, 5, -1);
		else if (which == 3)
			pal_builder_step_close(builder, -2);
		else if (which == 4)
			pal_builder_step_close_from(builder, -1);
		else if (which == 5)
			pal_builder_step_fchdir(builder, AT_FDCWD);
		else
			pal_builder_step_foreground(builder, -1);
		assert_refused(builder, _i, -EBADF, PAL_STAGE_ARGUMENT, 0);
	}
}
END_TEST

START_TEST(a_step_without_a_path_is_EINVAL)
{
	struct pal_builder *builder = process_builder(_i);

	pal_builder_step_open(builder, 5, NULL, O_RDONLY, 0);
	assert_refused(builder, _i, -EINVAL, PAL_STAGE_ARGUMENT, 0);
	builder = process_builder(_i);
	pal_builder_step_chdir(builder, NULL);
	assert_refused(builder, _i, -EINVAL, PAL_STAGE_ARGUMENT, 0);
}
END_TEST

static Suite *make_suite(void)
{
	Suite *suite = suite_create("pal/steps-folders");
	TCase *folders = support_tcase(suite, "folders");

	tcase_add_loop_test(folders, folders_change_for_later_steps_and_the_program, 0, MODES);
	tcase_add_loop_test(folders, cwd_comes_after_the_steps, 0, MODES);
	tcase_add_loop_test(folders, a_folder_that_cannot_be_entered_fails_the_spawn, 0, KINDS);
	tcase_add_loop_test(folders, a_step_with_a_negative_descriptor_is_EBADF, 0, KINDS);
	tcase_add_loop_test(folders, a_step_without_a_path_is_EINVAL, 0, KINDS);
	return suite;
}
SUPPORT_MAIN(make_suite)
