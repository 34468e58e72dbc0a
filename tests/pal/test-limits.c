/* SPDX-License-Identifier: MIT */
#include <pal/process.h>

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <pal/steps.h>

#include "process-support.h"
#include "spawn-support.h"
#include "support.h"

/* The file mode mask and resource limits. S83 */

START_TEST(a_child_has_its_own_umask)
{
	struct pal_builder *builder = process_builder(_i);

	umask(022);
	ck_assert_str_eq(process_line(process_text(process_builder(_i), _i), "Umask"), "0022");
	pal_builder_umask(builder, 053);
	ck_assert_str_eq(process_line(process_text(builder, _i), "Umask"), "0053");
	ck_assert_uint_eq(umask(022), 022);
}
END_TEST

static int open_something(void *arg)
{
	(void)arg;
	return open("/", O_PATH | O_CLOEXEC) < 0 ? errno : 0;
}

START_TEST(a_child_may_open_nothing)
{
	struct pal_builder *builder = pal_builder_new(NULL);
	struct pal_error error = {0};
	struct pal_child *child;
	int folder = open("/", O_PATH | O_CLOEXEC);

	pal_builder_rlimit(builder, RLIMIT_NOFILE, 0, 0);
	pal_builder_stdin(builder, PAL_STDIO_PIPE);
	pal_builder_dup_fd(builder, folder, 70);
	pal_builder_cwd_fd(builder, folder); /* what the library needs is there already */
	ck_assert_ok(pal_fork(builder, open_something, NULL, &child, &error), &error);
	ck_assert_int_eq(wait_take(child).code, EMFILE);
	pal_builder_step_open(builder, 70, "/", O_PATH, 0);
	ck_assert_int_eq(pal_fork(builder, open_something, NULL, &child, &error), -EMFILE);
	ck_assert_int_eq(error.stage, PAL_STAGE_STEP);
	pal_builder_free(builder);
	close(folder);
}
END_TEST

static void raise_beyond_hard(int kind)
{
	struct rlimit limit = {100, 100};
	struct pal_builder *builder = process_builder(kind);

	ck_assert_int_eq(setrlimit(RLIMIT_CORE, &limit), 0);
	pal_builder_rlimit(builder, RLIMIT_CORE, 200, 200);
	assert_refused(builder, kind, -EPERM, PAL_STAGE_RLIMIT, RLIMIT_CORE);
	builder = process_builder(kind);
	pal_builder_rlimit(builder, RLIMIT_CORE, 2, 1);
	assert_refused(builder, kind, -EINVAL, PAL_STAGE_RLIMIT, RLIMIT_CORE);
}

START_TEST(a_limit_above_the_hard_one_is_an_error)
{
	if (geteuid() != 0)
		support_skip("needs root");
	run_as(NOBODY, raise_beyond_hard, _i);
}
END_TEST

START_TEST(a_limit_that_is_refused_is_named)
{
	struct pal_builder *builder = pal_builder_new(NULL);
	struct pal_error error = {0};
	struct pal_child *child;

	pal_builder_rlimit(builder, RLIMIT_CPU, 2, 1);
	ck_assert_int_eq(pal_fork(builder, open_something, NULL, &child, &error), -EINVAL);
	ck_assert_str_eq(error.text, "limit RLIMIT_CPU: Invalid argument");
	pal_builder_rlimit(builder, RLIMIT_CPU, 1, 2);
	pal_builder_rlimit(builder, RLIMIT_RTTIME, 2, 1);
	ck_assert_int_eq(pal_fork(builder, open_something, NULL, &child, &error), -EINVAL);
	ck_assert_str_eq(error.text, "limit RLIMIT_RTTIME: Invalid argument");
	pal_builder_free(builder);
}
END_TEST

static int core_limit(void *arg)
{
	struct rlimit limit;

	(void)arg;
	ck_assert_int_eq(getrlimit(RLIMIT_CORE, &limit), 0);
	return (int)limit.rlim_max;
}

static void drop_setuid(void)
{
	struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3];

	ck_assert_int_eq(syscall(SYS_capget, &header, data), 0);
	data[0].effective &= ~(1u << CAP_SETUID);
	ck_assert_int_eq(syscall(SYS_capset, &header, data), 0);
}

/*
 * Limits are set while the child still has the right to. Where root itself may not
 * raise them, of two steps that both fail it is the first that is told.
 */
START_TEST(a_child_that_changes_its_user_may_have_its_limits_raised)
{
	struct rlimit limit = {100, 100};
	struct pal_builder *builder = pal_builder_new(NULL);
	struct pal_error error = {0};
	struct pal_child *child;

	ck_assert_int_eq(setrlimit(RLIMIT_CORE, &limit), 0);
	limit.rlim_max = 101;
	pal_builder_rlimit(builder, RLIMIT_CORE, 200, 200);
	pal_builder_uid(builder, NOBODY);
	if (setrlimit(RLIMIT_CORE, &limit) == 0) {
		ck_assert_ok(pal_fork(builder, core_limit, NULL, &child, &error), &error);
		ck_assert_int_eq(wait_take(child).code, 200);
	} else {
		drop_setuid();
		ck_assert_int_eq(pal_fork(builder, core_limit, NULL, &child, &error), -EPERM);
		ck_assert_int_eq(error.stage, PAL_STAGE_RLIMIT);
	}
	pal_builder_free(builder);
}
END_TEST

static Suite *make_suite(void)
{
	Suite *suite = suite_create("pal/limits");
	TCase *limits = support_tcase(suite, "limits");

	tcase_add_loop_test(limits, a_child_has_its_own_umask, 0, KINDS);
	tcase_add_test(limits, a_child_may_open_nothing);
	tcase_add_loop_test(limits, a_limit_above_the_hard_one_is_an_error, 0, KINDS);
	tcase_add_test(limits, a_limit_that_is_refused_is_named);
	tcase_add_test(limits, a_child_that_changes_its_user_may_have_its_limits_raised);
	return suite;
}
SUPPORT_MAIN(make_suite)
