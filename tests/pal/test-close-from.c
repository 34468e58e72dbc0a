/* SPDX-License-Identifier: MIT */
#include <pal/pal.h>

#include <errno.h>
#include <fcntl.h>
#include <linux/seccomp.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "process-support.h"
#include "spawn-support.h"
#include "support.h"

/* The step that closes from a number on, where close_range(2) is refused. */

#define FIRST 400
#define COUNT 300

static struct pal_builder *builder_of(int mode)
{
	struct pal_builder *builder = builder_for("show-fds", mode);

	pal_builder_close_others(builder, false);
	pal_builder_step_close_from(builder, FIRST + 50);
	return builder;
}

/* More than fit into one reading of the list. */
START_TEST(without_close_range_the_list_of_descriptors_tells_what_to_close)
{
	int fds[COUNT];
	const char *text;

	for (int i = 0; i < COUNT; i++) {
		fds[i] = new_file_at(FIRST + i);
		ck_assert_int_eq(fcntl(fds[i], F_SETFD, 0), 0);
	}
	filter_calls(SYS_close_range, SECCOMP_RET_ERRNO | ENOSYS);
	text = output_of(builder_of(_i));
	for (int i = 0; i < COUNT; i++) {
		ck_assert_int_eq(shows(text, FIRST + i, fds[i]), i < 50);
		close(fds[i]);
	}
}
END_TEST

static void fail_without_list(int mode)
{
	filter_calls(SYS_close_range, SECCOMP_RET_ERRNO | EPERM);
	filter_calls(SYS_getdents64, SECCOMP_RET_ERRNO | EACCES);
	ck_assert_spawn_fails(builder_of(mode), -EPERM, PAL_STAGE_STEP, 0);
}

/* In a process of its own: that of the test has to list its descriptors at the end. */
START_TEST(without_the_list_the_step_fails)
{
	run_as(0, fail_without_list, _i);
}
END_TEST

static Suite *make_suite(void)
{
	Suite *suite = suite_create("pal/close_from");
	TCase *all = support_tcase(suite, "all");

	tcase_add_loop_test(all,
		without_close_range_the_list_of_descriptors_tells_what_to_close, 0, MODES);
	tcase_add_loop_test(all, without_the_list_the_step_fails, 0, MODES);
	return suite;
}
SUPPORT_MAIN(make_suite)
