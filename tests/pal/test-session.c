/* SPDX-License-Identifier: MIT */
#include <pal/process.h>

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <pal/steps.h>

#include "process-support.h"
#include "spawn-support.h"
#include "support.h"

/* Session, process group, controlling terminal, foreground. S82 */

START_TEST(a_child_is_in_the_session_and_group_of_its_parent)
{
	const char *text = process_text(process_builder(_i), _i);

	ck_assert_int_eq(process_stat(text, STAT_SESSION), getsid(0));
	ck_assert_int_eq(process_stat(text, STAT_GROUP), getpgrp());
}
END_TEST

START_TEST(a_child_can_lead_a_session)
{
	struct pal_builder *builder = process_builder(_i);
	const char *text;

	pal_builder_setsid(builder, true);
	text = process_text(builder, _i);
	ck_assert_int_eq(process_stat(text, STAT_SESSION), process_stat(text, STAT_PID));
	ck_assert_int_eq(process_stat(text, STAT_GROUP), process_stat(text, STAT_PID));
	ck_assert_int_eq(process_stat(text, STAT_TTY), 0);
}
END_TEST

START_TEST(a_child_can_lead_a_group)
{
	struct pal_builder *builder = process_builder(_i);
	const char *text;

	pal_builder_process_group(builder, 0);
	text = process_text(builder, _i);
	ck_assert_int_eq(process_stat(text, STAT_SESSION), getsid(0));
	ck_assert_int_eq(process_stat(text, STAT_GROUP), process_stat(text, STAT_PID));
}
END_TEST

START_TEST(a_child_can_join_a_group)
{
	struct pal_builder *leader = pal_builder_new("/bin/cat"), *builder = process_builder(_i);
	struct pal_child *child;

	pal_builder_stdin(leader, PAL_STDIO_PIPE);
	pal_builder_process_group(leader, 0);
	child = spawn_take(leader);
	pal_builder_process_group(builder, pal_child_pid(child));
	ck_assert_int_eq(process_stat(process_text(builder, _i), STAT_GROUP), pal_child_pid(child));
	pal_child_free(child);
}
END_TEST

START_TEST(a_group_that_cannot_be_joined_is_an_error)
{
	struct pal_builder *builder = process_builder(_i);

	pal_builder_process_group(builder, INT_MAX);
	assert_refused(builder, _i, -EPERM, PAL_STAGE_PROCESS_GROUP, 0);
	builder = process_builder(_i);
	pal_builder_process_group(builder, 0);
	pal_builder_setsid(builder, true);
	assert_refused(builder, _i, -EPERM, PAL_STAGE_PROCESS_GROUP, 0);
	builder = process_builder(_i);
	pal_builder_process_group(builder, -2);
	assert_refused(builder, _i, -EINVAL, PAL_STAGE_ARGUMENT, 0);
}
END_TEST

START_TEST(what_was_switched_on_can_be_switched_off)
{
	struct pal_builder *builder = process_builder(_i);
	const char *text;

	pal_builder_setsid(builder, true);
	pal_builder_process_group(builder, 0);
	pal_builder_controlling_tty(builder, 0);
	pal_builder_setsid(builder, false);
	pal_builder_process_group(builder, -1);
	pal_builder_controlling_tty(builder, -1);
	text = process_text(builder, _i);
	ck_assert_int_eq(process_stat(text, STAT_SESSION), getsid(0));
	ck_assert_int_eq(process_stat(text, STAT_GROUP), getpgrp());
}
END_TEST

/* ---- terminals ---- */

/* A terminal of its own: *ret_master, and the other end as return. */
static int open_terminal(int *ret_master)
{
	int master = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC), slave;

	ck_assert_int_ge(master, 0);
	ck_assert_int_eq(grantpt(master), 0);
	ck_assert_int_eq(unlockpt(master), 0);
	slave = open(ptsname(master), O_RDWR | O_NOCTTY | O_CLOEXEC);
	ck_assert_int_ge(slave, 0);
	*ret_master = master;
	return slave;
}

/* The number of a terminal in /proc/PID/stat. */
static long tty_number(int fd)
{
	struct stat info;
	unsigned minor_;

	ck_assert_int_eq(fstat(fd, &info), 0);
	minor_ = minor(info.st_rdev);
	return (long)((minor_ & 0xff) | major(info.st_rdev) << 8 | (minor_ & ~0xffU) << 12);
}

START_TEST(a_terminal_can_be_the_controlling_one)
{
	struct pal_builder *builder = process_builder(_i);
	int master, slave = open_terminal(&master);
	const char *text;

	pal_builder_dup_fd(builder, slave, 70);
	pal_builder_controlling_tty(builder, 70);
	ck_assert(pal_builder_get_setsid(builder));
	text = process_text(builder, _i);
	ck_assert_int_eq(process_stat(text, STAT_SESSION), process_stat(text, STAT_PID));
	ck_assert_int_eq(process_stat(text, STAT_TTY), tty_number(slave));
	close(slave);
	close(master);
}
END_TEST

/* One that is not given to the program. */
START_TEST(an_inherited_terminal_can_be_the_controlling_one)
{
	struct pal_builder *builder = process_builder(_i);
	int master, slave = open_terminal(&master);

	ck_assert_int_eq(dup3(slave, 300, O_CLOEXEC), 300);
	pal_builder_controlling_tty(builder, 300);
	ck_assert_int_eq(process_stat(process_text(builder, _i), STAT_TTY), tty_number(slave));
	close(300);
	close(slave);
	close(master);
}
END_TEST

START_TEST(what_is_no_terminal_cannot_control)
{
	struct pal_builder *builder = process_builder(_i);
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);

	pal_builder_dup_fd(builder, null, 70);
	pal_builder_controlling_tty(builder, 70);
	assert_refused(builder, _i, -ENOTTY, PAL_STAGE_TERMINAL, 0);
	builder = process_builder(_i);
	pal_builder_controlling_tty(builder, 71);
	assert_refused(builder, _i, -EBADF, PAL_STAGE_TERMINAL, 0);
	builder = process_builder(_i);
	pal_builder_controlling_tty(builder, -2);
	assert_refused(builder, _i, -EINVAL, PAL_STAGE_ARGUMENT, 0);
	close(null);
}
END_TEST

START_TEST(the_terminal_of_another_session_is_not_stolen)
{
	struct pal_builder *first = pal_builder_new("/bin/cat"), *builder = process_builder(_i);
	int master, slave = open_terminal(&master);
	struct pal_child *child;

	pal_builder_stdin(first, PAL_STDIO_FD(slave));
	pal_builder_stdout(first, PAL_STDIO_NULL);
	pal_builder_controlling_tty(first, 0);
	child = spawn_take(first);
	pal_builder_dup_fd(builder, slave, 70);
	pal_builder_controlling_tty(builder, 70);
	assert_refused(builder, _i, -EPERM, PAL_STAGE_TERMINAL, 0);
	pal_child_free(child);
	close(slave);
	close(master);
}
END_TEST

/*
 * In a session with a terminal as its stdin: a child in a group of its own comes
 * to the foreground from the background, without being stopped.
 */
static int bring_to_foreground(void *kind)
{
	struct pal_builder *builder = pal_builder_new("/bin/cat");
	struct pal_error error = {0};
	struct pal_child *child;
	int result;

	pal_builder_vfork(builder, *(int *)kind == KIND_VFORK);
	pal_builder_stdout(builder, PAL_STDIO_NULL);
	pal_builder_process_group(builder, 0);
	pal_builder_step_foreground(builder, 0);
	if (tcgetpgrp(0) != getpid())
		return 1;
	if (pal_builder_spawn(builder, &child, &error) < 0)
		return 2;
	result = tcgetpgrp(0) == pal_child_pid(child) ? 0 : 3;
	pal_child_free(child);
	pal_builder_free(builder);
	return result;
}

START_TEST(a_child_can_take_the_foreground)
{
	struct pal_builder *builder = pal_builder_new(NULL);
	int master, slave = open_terminal(&master), kind = _i;
	struct pal_error error = {0};
	struct pal_child *child;

	pal_builder_stdin(builder, PAL_STDIO_FD(slave));
	pal_builder_controlling_tty(builder, 0);
	ck_assert_ok(pal_fork(builder, bring_to_foreground, &kind, &child, &error), &error);
	pal_builder_free(builder);
	ck_assert_int_eq(wait_take(child).code, 0);
	close(slave);
	close(master);
}
END_TEST

START_TEST(without_a_terminal_there_is_no_foreground)
{
	struct pal_builder *builder = process_builder(_i);

	pal_builder_stdin(builder, PAL_STDIO_NULL);
	pal_builder_step_close(builder, 70);
	pal_builder_step_foreground(builder, 0);
	assert_refused(builder, _i, -ENOTTY, PAL_STAGE_STEP, 1);
}
END_TEST

static Suite *make_suite(void)
{
	Suite *suite = suite_create("pal/session");
	TCase *groups = support_tcase(suite, "groups"),
	      *terminals = support_tcase(suite, "terminals");

	tcase_add_loop_test(groups, a_child_is_in_the_session_and_group_of_its_parent, 0, KINDS);
	tcase_add_loop_test(groups, a_child_can_lead_a_session, 0, KINDS);
	tcase_add_loop_test(groups, a_child_can_lead_a_group, 0, KINDS);
	tcase_add_loop_test(groups, a_child_can_join_a_group, 0, KINDS);
	tcase_add_loop_test(groups, a_group_that_cannot_be_joined_is_an_error, 0, KINDS);
	tcase_add_loop_test(groups, what_was_switched_on_can_be_switched_off, 0, KINDS);
	tcase_add_loop_test(terminals, a_terminal_can_be_the_controlling_one, 0, KINDS);
	tcase_add_loop_test(terminals, an_inherited_terminal_can_be_the_controlling_one, 0, KINDS);
	tcase_add_loop_test(terminals, what_is_no_terminal_cannot_control, 0, KINDS);
	tcase_add_loop_test(terminals, the_terminal_of_another_session_is_not_stolen, 0, KINDS);
	tcase_add_loop_test(terminals, a_child_can_take_the_foreground, 0, MODES);
	tcase_add_loop_test(terminals, without_a_terminal_there_is_no_foreground, 0, KINDS);
	return suite;
}
SUPPORT_MAIN(make_suite)
