/* SPDX-License-Identifier: MIT */
#include <pal/sandbox.h>

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/filter.h>
#include <pthread.h>
#include <seccomp.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <pal/seccomp-priv.h>
#include <pal/util-priv.h>

#include "sandboxed.h"

/* A filter that denies one call only. */
static struct pal_builder *builder_without(const char *name, int action)
{
	struct pal_seccomp *filter = new_filter(PAL_SECCOMP_ALLOW);

	filter_rule(filter, action, name);
	return builder_under(filter, "/bin/true");
}

/* ---- actions ---- */

START_TEST(a_denied_call_fails_with_the_errno_of_its_rule)
{
	struct pal_builder *builder;

	become(_i);
	ck_assert_int_eq(outcome(NULL, attempt_socket, NULL), 0);
	builder = builder_without("socket", PAL_SECCOMP_ERRNO(EXFULL));
	ck_assert_int_eq(outcome(builder, attempt_socket, NULL), EXFULL);
	pal_builder_free(builder);
}
END_TEST

static void *make_socket(void *unused)
{
	attempt_socket(NULL);
	return unused;
}

static int make_socket_in_a_thread(void *unused)
{
	pthread_t thread;

	(void)unused;
	need(pthread_create(&thread, NULL, make_socket, NULL) == 0);
	pthread_join(thread, NULL);
	return 0;
}

START_TEST(a_kill_ends_the_whole_process_and_the_status_shows_it) /* S96 */
{
	struct pal_builder *builder = builder_without("socket", PAL_SECCOMP_KILL);

	become(_i);
	ck_assert_int_eq(outcome(NULL, make_socket_in_a_thread, NULL), 0);
	ck_assert_int_eq(outcome(builder, make_socket_in_a_thread, NULL), DIED + SIGSYS);
	pal_builder_free(builder);
}
END_TEST

/* What the library, libc and AddressSanitizer need around an attempt in a fork. */
static const char *const bare[] = {
	"close",
	"exit_group",
	"rt_sigprocmask",
	"sigaltstack",
	"write",
	NULL,
};

static int attempt_number(void *number)
{
	return syscall(*(long *)number) < 0 ? errno : 0;
}

START_TEST(a_call_without_a_rule_meets_the_default) /* S93 */
{
	long numbers[] = {SYS_getppid, 9999, SYS_clone3, 442 /* mount_setattr */};
	struct pal_error error = {0};

	become(_i);
	for (size_t i = 0; i < PAL_ARRAY_LENGTH(numbers); i++) {
		struct pal_seccomp *filter = new_filter(PAL_SECCOMP_ERRNO(EXFULL));
		struct pal_builder *builder;

		ck_assert_ok(pal_seccomp_rules(filter, PAL_SECCOMP_ALLOW, bare, &error), &error);
		builder = builder_under(filter, "/bin/true");
		ck_assert_int_eq(outcome(builder, attempt_number, &numbers[i]), EXFULL);
		pal_builder_free(builder);
		filter = new_filter(PAL_SECCOMP_KILL);
		ck_assert_ok(pal_seccomp_rules(filter, PAL_SECCOMP_ALLOW, bare, &error), &error);
		builder = builder_under(filter, "/bin/true");
		ck_assert_int_eq(outcome(builder, attempt_number, &numbers[i]), DIED + SIGSYS);
		pal_builder_free(builder);
	}
}
END_TEST

/* The flags are an int: the upper half of the register must not matter. */
static int open_with_flags(void *unused)
{
	long fd;

	(void)unused;
	fd = syscall(SYS_openat, AT_FDCWD, "/dev/null", (long)O_RDONLY);
	need(fd >= 0);
	close((int)fd);
	need(syscall(SYS_openat, AT_FDCWD, "/dev/null", (long)O_WRONLY) < 0 && errno == EXFULL);
	need(syscall(SYS_openat, AT_FDCWD, "/dev/null", (long)O_RDWR) < 0 && errno == EXFULL);
	need(syscall(SYS_openat, AT_FDCWD, "/dev/null", (1L << 32) | O_WRONLY) < 0 &&
		errno == EXFULL);
	fd = syscall(SYS_openat, AT_FDCWD, "/dev/null", (1L << 32) | O_RDONLY | O_CLOEXEC);
	need(fd >= 0);
	close((int)fd);
	return 0;
}

START_TEST(a_rule_may_look_at_an_argument)
{
	struct pal_seccomp *filter = new_filter(PAL_SECCOMP_ALLOW);
	struct pal_error error = {0};
	struct pal_builder *builder;

	become(_i);
	for (uint64_t mode = O_WRONLY; mode <= O_RDWR; mode++)
		ck_assert_ok(pal_seccomp_rule_masked(filter, PAL_SECCOMP_ERRNO(EXFULL), "openat", 2,
				     O_ACCMODE, mode, &error),
			&error);
	builder = builder_under(filter, "/bin/true");
	ck_assert_int_eq(outcome(builder, open_with_flags, NULL), 0);
	pal_builder_free(builder);
}
END_TEST

/* ---- other numbers for the same calls (S92) ---- */

#ifdef __x86_64__
static int call_by_i386(void *number)
{
	long result;

	__asm__ volatile("int $0x80"
			 : "=a"(result)
			 : "a"(*(long *)number)
			 : "memory", "r8", "r9", "r10", "r11");
	return result < 0 ? 1 : 0;
}

START_TEST(a_foreign_architecture_is_killed)
{
	struct pal_builder *builder = builder_without("socket", PAL_SECCOMP_ERRNO(EACCES));
	long i386_getppid = 64, x32_getppid = 0x40000000 | SYS_getppid;
	int plain = outcome(NULL, call_by_i386, &i386_getppid);

	become(_i);
	if (plain == DIED + SIGSEGV)
		printf("note: this kernel has no i386 calls\n");
	else
		ck_assert_int_eq(plain, 0);
	if (plain == 0)
		ck_assert_int_eq(outcome(builder, call_by_i386, &i386_getppid), DIED + SIGSYS);
	ck_assert_int_lt(outcome(NULL, attempt_number, &x32_getppid), DIED);
	ck_assert_int_eq(outcome(builder, attempt_number, &x32_getppid), DIED + SIGSYS);
	pal_builder_free(builder);
}
END_TEST
#endif

/* ---- exec ---- */

START_TEST(a_filter_that_denies_the_programs_exec_fails_the_spawn) /* S95 */
{
	struct pal_builder *builder;
	struct pal_child *child;
	struct pal_error error = {0};

	become(_i);
	builder = builder_without("execve", PAL_SECCOMP_ERRNO(EXFULL));
	ck_assert_int_eq(refusal(builder, PAL_STAGE_EXEC), -EXFULL);
	pal_builder_vfork(builder, false);
	ck_assert_int_eq(refusal(builder, PAL_STAGE_EXEC), -EXFULL);
	pal_builder_free(builder);
	builder = builder_without("execve", PAL_SECCOMP_KILL);
	ck_assert_int_eq(pal_builder_spawn(builder, &child, &error), -ECHILD);
	ck_assert_int_eq(error.stage, PAL_STAGE_DIED);
	ck_assert_int_eq(error.index, SIGSYS);
	pal_builder_free(builder);
}
END_TEST

START_TEST(the_first_exec_may_be_the_only_one)
{
	struct pal_builder *builder = pal_builder_new("/bin/sh");
	struct pal_seccomp *filter = new_filter(PAL_SECCOMP_ERRNO(ENOSYS));
	struct pal_error error = {0};

	become(_i);
	pal_builder_args(builder, (const char *const[]){"-c", "exec /bin/true 2>/dev/null", NULL});
	ck_assert_int_eq(outcome_of_program(builder), 0);

	for (int number = 0; number < 1000; number++) {
		char *name = seccomp_syscall_resolve_num_arch(SCMP_ARCH_NATIVE, number);

		if (name && number != SYS_execve && number != SYS_execveat)
			filter_rule(filter, PAL_SECCOMP_ALLOW, name);
		free(name);
	}
	ck_assert_ok(pal_seccomp_allow_first_exec(filter, &error), &error);
	ck_assert_ok(pal_seccomp_allow_first_exec(filter, &error), &error);
	pal_builder_no_new_privs(builder, true);
	pal_builder_seccomp(builder, filter);
	pal_seccomp_free(filter);
	ck_assert_int_eq(outcome_of_program(builder), DIED + SIGSYS);
	pal_builder_vfork(builder, false);
	ck_assert_int_eq(outcome_of_program(builder), DIED + SIGSYS);
	pal_builder_free(builder);
}
END_TEST

static int attempt_run_with_key(void *key)
{
	char *const args[] = {(char[]){"true"}, NULL}, *const none[] = {NULL};

	syscall(SYS_execve, "/bin/true", args, none, *(unsigned long *)key);
	return errno;
}

/* Every bit of the key counts: a function that knows it is the program here. */
START_TEST(a_key_that_is_wrong_by_one_bit_kills)
{
	const int otherwise[] = {PAL_SECCOMP_ALLOW, PAL_SECCOMP_ERRNO(ENOSYS), PAL_SECCOMP_KILL};
	struct pal_seccomp *filter = new_filter(otherwise[_i]);
	struct pal_builder *builder;
	struct pal_error error = {0};
	unsigned long key;

	for (int number = 0; otherwise[_i] != PAL_SECCOMP_ALLOW && number < 1000; number++) {
		char *name = seccomp_syscall_resolve_num_arch(SCMP_ARCH_NATIVE, number);

		if (name && number != SYS_execve)
			filter_rule(filter, PAL_SECCOMP_ALLOW, name);
		free(name);
	}
	ck_assert_ok(pal_seccomp_allow_first_exec(filter, &error), &error);
	key = filter->exec_key;
	builder = builder_under(filter, "/bin/true");
	ck_assert_int_eq(outcome(builder, attempt_run_with_key, &key), 0);
	for (int bit = 0; bit < (int)sizeof key * CHAR_BIT; bit++) {
		unsigned long wrong = key ^ 1UL << bit;

		ck_assert_int_eq(outcome(builder, attempt_run_with_key, &wrong), DIED + SIGSYS);
	}
	pal_builder_free(builder);
}
END_TEST

/* ---- filters that cannot be (S91) ---- */

START_TEST(a_filter_that_is_too_long_fails_the_spawn)
{
	struct pal_seccomp *filter = new_filter(PAL_SECCOMP_ALLOW);
	struct pal_builder *builder;
	struct pal_error error = {0};
	struct pal_child *child;
	int code;

	/* each takes several instructions */
	for (uint64_t value = 1; value <= BPF_MAXINSNS; value++)
		ck_assert_ok(pal_seccomp_rule_masked(filter, PAL_SECCOMP_KILL, "getppid", 0,
				     UINT64_MAX, value << 20, &error),
			&error);
	builder = builder_under(filter, "/bin/true");
	code = pal_builder_spawn(builder, &child, &error);
	ck_assert_int_eq(code, -E2BIG);
	ck_assert_int_eq(error.stage, PAL_STAGE_SECCOMP);
	ck_assert_ptr_nonnull(strstr(error.text, "4096"));
	pal_builder_free(builder);
}
END_TEST

START_TEST(a_filter_that_the_kernel_refuses_fails_the_spawn)
{
	struct pal_seccomp *filter = new_filter(PAL_SECCOMP_ALLOW);
	struct pal_builder *builder = pal_builder_new("/bin/true");

	become(_i);
	pal_builder_seccomp(builder, filter);
	pal_seccomp_free(filter);
	if (_i == USER_ROOT) { /* CAP_SYS_ADMIN is enough; without it no_new_privs is needed */
		struct pal_capabilities sets = {.bounding = UINT64_MAX};

		ck_assert_int_eq(outcome_of_program(builder), 0);
		pal_builder_capabilities(builder, &sets);
	}
	ck_assert_int_eq(refusal(builder, PAL_STAGE_SECCOMP), -EACCES);
	pal_builder_free(builder);
}
END_TEST

START_TEST(bad_rules_are_refused)
{
	struct pal_seccomp *filter = NULL;
	struct pal_error error = {0};

	ck_assert_int_eq(pal_seccomp_new(-6, &filter, &error), -EINVAL);
	ck_assert_int_eq(pal_seccomp_new(4096, &filter, &error), -EINVAL);
	ck_assert_int_eq(pal_seccomp_new(0, NULL, &error), -EINVAL);
	ck_assert_ptr_null(filter);
	filter = new_filter(PAL_SECCOMP_KILL);
	ck_assert_int_eq(
		pal_seccomp_rule(filter, PAL_SECCOMP_ALLOW, "no_such_call", &error), -EINVAL);
	ck_assert_ptr_nonnull(strstr(error.text, "no_such_call"));
	ck_assert_int_eq(error.stage, PAL_STAGE_SECCOMP);
	ck_assert_int_eq(
		pal_seccomp_rules(filter, PAL_SECCOMP_ALLOW,
			(const char *const[]){"read", "no_such_call", "write", NULL}, &error),
		-EINVAL);
	ck_assert_int_eq(pal_seccomp_rules(filter, PAL_SECCOMP_ALLOW, NULL, &error), -EINVAL);
	ck_assert_int_eq(pal_seccomp_rule(filter, PAL_SECCOMP_ALLOW, NULL, &error), -EINVAL);
	ck_assert_int_eq(pal_seccomp_rule(NULL, PAL_SECCOMP_ALLOW, "read", &error), -EINVAL);
	ck_assert_int_eq(pal_seccomp_rule(filter, 5000, "read", &error), -EINVAL);
	ck_assert_int_eq(
		pal_seccomp_rule_masked(filter, PAL_SECCOMP_ALLOW, "read", 6, 1, 1, &error),
		-EINVAL);
	ck_assert_int_eq(
		pal_seccomp_rule_masked(filter, PAL_SECCOMP_ALLOW, "read", 0, 1, 2, &error),
		-EINVAL);
	ck_assert_int_eq(pal_seccomp_allow_first_exec(NULL, &error), -EINVAL);
	ck_assert_int_eq(pal_seccomp_rule(filter, PAL_SECCOMP_ALLOW, "_llseek", &error),
		0); /* of 32-bit systems */
	pal_seccomp_free(filter);
}
END_TEST

START_TEST(bad_conditions_are_refused)
{
	struct pal_seccomp *filter = new_filter(PAL_SECCOMP_KILL);
	struct pal_seccomp_compare good = {.arg = 0, .value = 1}, bad[3] = {good, good, good};
	struct pal_seccomp_compare many[7] = {good, good, good, good, good, good, good};
	struct pal_error error = {0};

	bad[0].arg = 6;
	bad[1].op = (enum pal_seccomp_op)6;
	bad[2].mask = 2;
	for (int i = 0; i < 3; i++) {
		ck_assert_int_eq(pal_seccomp_rule_compare(
					 filter, PAL_SECCOMP_ALLOW, "read", &bad[i], 1, &error),
			-EINVAL);
		ck_assert_int_eq(error.stage, PAL_STAGE_ARGUMENT);
	}
	ck_assert_int_eq(
		pal_seccomp_rule_compare(filter, PAL_SECCOMP_ALLOW, "read", many, 7, &error),
		-EINVAL);
	ck_assert_int_eq(
		pal_seccomp_rule_compare(filter, PAL_SECCOMP_ALLOW, "read", NULL, 1, &error),
		-EINVAL);
	ck_assert_int_eq(
		pal_seccomp_rule_masked(filter, PAL_SECCOMP_ALLOW, "read", 0, 0, 0, &error),
		-EINVAL);
	ck_assert_uint_eq(filter->count, 0);
	pal_seccomp_free(filter);
}
END_TEST

static Suite *make_suite(void)
{
	Suite *suite = suite_create("pal/seccomp");
	TCase *actions = support_tcase(suite, "actions");
	TCase *exec = support_tcase(suite, "exec");
	TCase *failures = support_tcase(suite, "failures");

	tcase_add_loop_test(actions, a_denied_call_fails_with_the_errno_of_its_rule, 0, USERS);
	tcase_add_loop_test(
		actions, a_kill_ends_the_whole_process_and_the_status_shows_it, 0, USERS);
	tcase_add_loop_test(actions, a_call_without_a_rule_meets_the_default, 0, USERS);
	tcase_add_loop_test(actions, a_rule_may_look_at_an_argument, 0, USERS);
#ifdef __x86_64__
	tcase_add_loop_test(actions, a_foreign_architecture_is_killed, 0, USERS);
#endif
	tcase_add_loop_test(exec, a_filter_that_denies_the_programs_exec_fails_the_spawn, 0, USERS);
	tcase_add_loop_test(exec, the_first_exec_may_be_the_only_one, 0, USERS);
	tcase_add_loop_test(exec, a_key_that_is_wrong_by_one_bit_kills, 0, 3);
	tcase_add_test(failures, a_filter_that_is_too_long_fails_the_spawn);
	tcase_add_loop_test(failures, a_filter_that_the_kernel_refuses_fails_the_spawn, 0, USERS);
	tcase_add_test(failures, bad_rules_are_refused);
	tcase_add_test(failures, bad_conditions_are_refused);
	return suite;
}
SUPPORT_MAIN(make_suite)
