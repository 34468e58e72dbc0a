/* SPDX-License-Identifier: MIT */
#include <pal/seccomp.h>

#include <errno.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <pal/seccomp-priv.h>
#include <pal/util-priv.h>

#include "sandboxed.h"

static struct pal_seccomp *filter_of(int otherwise, int action, const char *group)
{
	struct pal_error error = {0};
	struct pal_seccomp *filter;

	ck_assert_ok(pal_seccomp_new(otherwise, &filter, &error), &error);
	ck_assert_ok(pal_seccomp_group(filter, action, group, &error), &error);
	return filter;
}

static bool contains(const char *group, const char *call, int depth)
{
	const char *const *member = pal_seccomp_group_members(group);

	ck_assert_msg(member && depth < 4, "%s is unknown or in itself", group);
	for (; *member; member++)
		if (!strcmp(*member, call) ||
			(**member == '@' && contains(*member, call, depth + 1)))
			return true;
	return false;
}

START_TEST(every_group_is_known_by_its_name_and_ends)
{
	size_t count = 0;

	for (const char *const *group = pal_seccomp_groups(); *group; group++, count++) {
		ck_assert_int_eq(**group, '@');
		ck_assert_ptr_nonnull(pal_seccomp_group_members(*group));
		ck_assert(!contains(*group, "no call", 0));
	}
	ck_assert_uint_eq(count, 29);
	ck_assert_ptr_null(pal_seccomp_group_members("@none"));
	ck_assert_ptr_null(pal_seccomp_group_members("file-system"));
	ck_assert_ptr_null(pal_seccomp_group_members(NULL));
}
END_TEST

START_TEST(members_are_those_of_systemd)
{
	static const struct {
		const char *group, *call;
		bool in;
	} facts[] = {
		{"@basic-io", "read", true},
		{"@basic-io", "openat", false},
		{"@file-system", "openat", true},
		{"@file-system", "socket", false},
		{"@io-event", "epoll_wait", true},
		{"@mount", "pivot_root", true},
		{"@network-io", "socket", true},
		{"@privileged", "setuid", true}, /* by @setuid */
		{"@privileged", "chown", true},  /* by @chown */
		{"@process", "clone3", true},
		{"@debug", "ptrace", true},
		{"@keyring", "keyctl", true},
		{"@module", "init_module", true},
		{"@raw-io", "iopl", true},
		{"@reboot", "kexec_load", true},
		{"@swap", "swapon", true},
		{"@clock", "settimeofday", true},
		{"@cpu-emulation", "modify_ldt", true},
		{"@obsolete", "uselib", true},
		{"@resources", "sched_setaffinity", true},
		{"@system-service", "read", true},
		{"@system-service", "socket", true},
		{"@system-service", "mount", false},
		{"@system-service", "ptrace", false},
		{"@system-service", "reboot", false},
		{"@known", "mount", true},
	};

	for (size_t i = 0; i < PAL_ARRAY_LENGTH(facts); i++)
		ck_assert_msg(contains(facts[i].group, facts[i].call, 0) == facts[i].in, "%s: %s",
			facts[i].group, facts[i].call);
}
END_TEST

START_TEST(an_ordinary_program_runs_with_system_service) /* S93: its libc is newer than the list */
{
	struct pal_seccomp *filter =
		filter_of(PAL_SECCOMP_KILL, PAL_SECCOMP_ALLOW, "@system-service");
	struct pal_error error = {0};
	struct pal_builder *builder;

	become(_i);
	ck_assert_ok(pal_seccomp_newer(filter, PAL_SECCOMP_ERRNO(ENOSYS), &error), &error);
	builder = builder_under(filter, "/bin/sh");
	pal_builder_args(builder,
		(const char *const[]){"-c", "ls -l /etc | sort | head -n 3 >/dev/null", NULL});
	ck_assert_int_eq(outcome_of_program(builder), 0);
	pal_builder_vfork(builder, false);
	ck_assert_int_eq(outcome_of_program(builder), 0);
	pal_builder_free(builder);
}
END_TEST

static int attempt_mount(void *unused)
{
	(void)unused;
	return syscall(SYS_mount, "none", "/nowhere", "tmpfs", 0, NULL) < 0 ? errno : 0;
}

static int attempt_newest(void *unused)
{
	(void)unused;
	return syscall(9999) < 0 ? errno : 0;
}

START_TEST(what_is_not_in_it_is_denied)
{
	struct pal_seccomp *filter =
		filter_of(PAL_SECCOMP_ERRNO(EXFULL), PAL_SECCOMP_ALLOW, "@system-service");
	struct pal_error error = {0};
	struct pal_builder *builder;

	become(_i);
	ck_assert_ok(pal_seccomp_newer(filter, PAL_SECCOMP_ERRNO(ENOANO), &error), &error);
	builder = builder_under(filter, NULL);
	ck_assert_int_ne(outcome(NULL, attempt_mount, NULL), EXFULL);
	ck_assert_int_eq(outcome(builder, attempt_mount, NULL), EXFULL);
	ck_assert_int_eq(outcome(NULL, attempt_newest, NULL), ENOSYS);
	ck_assert_int_eq(outcome(builder, attempt_newest, NULL), ENOANO);
	pal_builder_free(builder);
}
END_TEST

START_TEST(a_group_can_be_taken_away)
{
	struct pal_builder *builder;

	become(_i);
	ck_assert_int_eq(outcome(NULL, attempt_socket, NULL), 0);
	builder = builder_under(
		filter_of(PAL_SECCOMP_ALLOW, PAL_SECCOMP_ERRNO(EXFULL), "@network-io"), NULL);
	ck_assert_int_eq(outcome(builder, attempt_socket, NULL), EXFULL);
	ck_assert_int_eq(outcome(builder, attempt_read, (char[]){"/etc/passwd"}), 0);
	pal_builder_free(builder);
	builder =
		builder_under(filter_of(PAL_SECCOMP_ALLOW, PAL_SECCOMP_KILL, "@privileged"), NULL);
	ck_assert_int_eq(outcome(builder, attempt_socket, NULL), 0);
	pal_builder_free(builder);
}
END_TEST

START_TEST(a_member_without_a_number_cannot_be_denied)
{
	struct pal_error error = {0};
	struct pal_seccomp *filter;
	int number;

	if (pal__seccomp_number("uretprobe", &number) == 0)
		support_skip("this libseccomp knows every member");
	ck_assert_ok(pal_seccomp_new(PAL_SECCOMP_ALLOW, &filter, &error), &error);
	ck_assert_int_eq(
		pal_seccomp_group(filter, PAL_SECCOMP_KILL, "@default", &error), -EOPNOTSUPP);
	ck_assert_int_eq(error.stage, PAL_STAGE_SECCOMP);
	ck_assert_ptr_nonnull(strstr(error.text, "no number"));
	pal_seccomp_free(filter);
}
END_TEST

START_TEST(unknown_groups_are_refused)
{
	struct pal_error error = {0};
	struct pal_seccomp *filter;

	ck_assert_ok(pal_seccomp_new(PAL_SECCOMP_KILL, &filter, &error), &error);
	ck_assert_int_eq(pal_seccomp_group(filter, PAL_SECCOMP_ALLOW, "@no-such", &error), -EINVAL);
	ck_assert_int_eq(error.stage, PAL_STAGE_SECCOMP);
	ck_assert_ptr_nonnull(strstr(error.text, "@no-such"));
	ck_assert_int_eq(pal_seccomp_group(filter, PAL_SECCOMP_ALLOW, NULL, &error), -EINVAL);
	ck_assert_int_eq(pal_seccomp_group(NULL, PAL_SECCOMP_ALLOW, "@basic-io", &error), -EINVAL);
	ck_assert_int_eq(pal_seccomp_group(filter, -6, "@basic-io", &error), -EINVAL);
	pal_seccomp_free(filter);
}
END_TEST

/* ---- calls that can be made by another one ---- */

START_TEST(a_rule_is_about_both_ways_to_make_a_call)
{
	const struct pal__seccomp_multiplexer *by = pal__seccomp_multiplexer("connect");
	struct pal__seccomp_rule rule = {.number = 1, .verdict = 7, .count = 0}, other = {0};

	ck_assert_ptr_null(pal__seccomp_multiplexer("read"));
	ck_assert_str_eq(pal__seccomp_multiplexer("shmctl")->name, "ipc");
	ck_assert_uint_eq(pal__seccomp_multiplexer("shmctl")->which, 24);
	ck_assert_uint_eq(pal__seccomp_multiplexer("shmctl")->mask, 0xffff);
	ck_assert_str_eq(by->name, "socketcall");
	ck_assert(pal__seccomp_multiplexed_rule(&rule, true, by, 102, &other));
	ck_assert_uint_eq(other.number, 102);
	ck_assert_uint_eq(other.verdict, 7);
	ck_assert_uint_eq(other.count, 1);
	ck_assert_uint_eq(other.conditions[0].arg, 0);
	ck_assert_uint_eq(other.conditions[0].value, 3);
	ck_assert_uint_eq(other.conditions[0].mask, UINT32_MAX);
	/* conditions on arguments: denied without them, and not allowed */
	rule.count = 1;
	ck_assert(pal__seccomp_multiplexed_rule(&rule, false, by, 102, &other));
	ck_assert_uint_eq(other.count, 1);
	ck_assert(!pal__seccomp_multiplexed_rule(&rule, true, by, 102, &other));
}
END_TEST

static Suite *make_suite(void)
{
	Suite *suite = suite_create("pal/seccomp-groups");
	TCase *table = support_tcase(suite, "table");
	TCase *filters = support_tcase(suite, "filters");

	tcase_add_test(table, every_group_is_known_by_its_name_and_ends);
	tcase_add_test(table, members_are_those_of_systemd);
	tcase_add_test(table, a_rule_is_about_both_ways_to_make_a_call);
	tcase_add_loop_test(filters, an_ordinary_program_runs_with_system_service, 0, USERS);
	tcase_add_loop_test(filters, what_is_not_in_it_is_denied, 0, USERS);
	tcase_add_loop_test(filters, a_group_can_be_taken_away, 0, USERS);
	tcase_add_test(filters, a_member_without_a_number_cannot_be_denied);
	tcase_add_test(filters, unknown_groups_are_refused);
	return suite;
}
SUPPORT_MAIN(make_suite)
