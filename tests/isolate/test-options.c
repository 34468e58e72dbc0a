/* SPDX-License-Identifier: MIT */

/* What the options make of the child: limits, sandbox, nice value, cores, descriptors, threads. */
#include <fcntl.h>
#include <isolate/isolate-priv.h>
#include <pal/profile.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "isolate-support.h"

#define INIT ISOLATE_OPTIONS_INIT

static void call(isolate_fn fn, void *arg, const struct isolate_options *options,
	struct isolate_result *result)
{
	isolate_call(fn, arg, options, result);
	ck_assert_answer(result, ISOLATE_RETURNED);
}

/* ---- limits ---- */

static int tell_limits(struct isolate_writer *out, void *arg)
{
	static const int resources[] = {RLIMIT_NOFILE, RLIMIT_CPU, RLIMIT_CORE};
	struct rlimit limits[3];

	(void)arg;
	for (int i = 0; i < 3; i++)
		getrlimit(resources[i], &limits[i]);
	return isolate_write(out, limits, sizeof limits);
}

START_TEST(limits_hold_in_the_child_only)
{
	static const struct isolate_rlimit limits[] = {
		{RLIMIT_NOFILE, {100, 200}}, {RLIMIT_CPU, {7, 8}}, {RLIMIT_NOFILE, {50, 60}}};
	struct isolate_options options = {INIT, .rlimits = limits, .rlimit_count = 3};
	struct rlimit before, after, *told;
	struct isolate_result result;

	skip_under_valgrind("it keeps RLIMIT_NOFILE for itself");
	getrlimit(RLIMIT_NOFILE, &before);
	call(tell_limits, NULL, &options, &result);
	told = result.data;
	ck_assert_uint_eq(told[0].rlim_cur, 50);
	ck_assert_uint_eq(told[0].rlim_max, 60);
	ck_assert_uint_eq(told[1].rlim_cur, 7);
	ck_assert_uint_eq(told[1].rlim_max, 8);
	isolate_result_clear(&result);
	getrlimit(RLIMIT_NOFILE, &after);
	ck_assert_mem_eq(&before, &after, sizeof before);
}
END_TEST

static int use_cpu(struct isolate_writer *out, void *arg)
{
	(void)out;
	for (;;)
		++*(volatile unsigned *)arg;
	return 0;
}

START_TEST(a_limit_on_cpu_time_ends_the_function)
{
	static const struct isolate_rlimit limit = {RLIMIT_CPU, {1, 2}};
	struct isolate_options options = {INIT, .rlimits = &limit, .rlimit_count = 1};
	struct isolate_result result;
	unsigned count = 0;

	isolate_call(use_cpu, &count, &options, &result);
	ck_assert_failure(&result, ISOLATE_UNKNOWN, ISOLATE_STAGE_RUN, -ECHILD);
	ck_assert_int_eq(result.status.code, SIGXCPU);
	ck_assert_int_ge(result.status.usage.ru_utime.tv_sec * 1000000 +
				 result.status.usage.ru_utime.tv_usec +
				 result.status.usage.ru_stime.tv_sec * 1000000 +
				 result.status.usage.ru_stime.tv_usec,
		500000); /* the kernel counts ticks, some of which a host takes */
	ck_assert_int_ge(result.status.wall_us, 500000);
}
END_TEST

START_TEST(a_limit_that_cannot_be_set_is_not_executed)
{
	static const struct isolate_rlimit limit = {RLIMIT_CPU, {8, 7}};
	static const struct isolate_rlimit none = {1000, {1, 1}};
	struct isolate_options options = {INIT, .rlimits = &limit, .rlimit_count = 1};
	struct isolate_result result;

	isolate_call(tell_limits, NULL, &options, &result);
	ck_assert_failure(&result, ISOLATE_NOT_EXECUTED, ISOLATE_STAGE_START, -EINVAL);
	options.rlimits = &none;
	isolate_call(tell_limits, NULL, &options, &result);
	ck_assert_failure(&result, ISOLATE_NOT_EXECUTED, ISOLATE_STAGE_START, -EINVAL);
}
END_TEST

/* ---- cores ---- */

static rlim_t core_limit(enum isolate_core core, const struct isolate_rlimit *limit)
{
	struct isolate_options options = {
		INIT, .core = core, .rlimits = limit, .rlimit_count = limit != NULL};
	struct isolate_result result;
	rlim_t told;

	call(tell_limits, NULL, &options, &result);
	told = ((struct rlimit *)result.data)[2].rlim_cur;
	isolate_result_clear(&result);
	return told;
}

START_TEST(cores_are_as_the_caller_s_or_off_or_on)
{
	static const struct isolate_rlimit own = {RLIMIT_CORE, {3000, 4000}};

	ck_assert_int_eq(setrlimit(RLIMIT_CORE, &(struct rlimit){2000, 5000}), 0);
	ck_assert_uint_eq(core_limit(ISOLATE_CORE_AS_CALLER, NULL), 2000);
	ck_assert_uint_eq(core_limit(ISOLATE_CORE_OFF, NULL), 1);
	ck_assert_uint_eq(core_limit(ISOLATE_CORE_ON, NULL), 5000);
	ck_assert_uint_eq(core_limit(ISOLATE_CORE_OFF, &own), 3000);
	ck_assert_int_eq(setrlimit(RLIMIT_CORE, &(struct rlimit){0, 0}), 0);
	ck_assert_uint_eq(core_limit(ISOLATE_CORE_OFF, NULL), 0);
	ck_assert_uint_eq(core_limit(ISOLATE_CORE_ON, NULL), 0);
}
END_TEST

static int abort_it(struct isolate_writer *out, void *arg)
{
	(void)out;
	(void)arg;
	abort();
}

/* In a folder of its own, where the pattern is a name. Where cores go to a program, `core` says so too. */
START_TEST(a_core_is_dumped_or_not)
{
	struct isolate_options options = {INIT, .core = _i ? ISOLATE_CORE_ON : ISOLATE_CORE_OFF};
	char folder[] = "/tmp/isolate-core-XXXXXX", command[64];
	struct isolate_result result;
	struct rlimit limit;

	skip_under_valgrind("it writes cores of its own");
	getrlimit(RLIMIT_CORE, &limit);
	if (_i && limit.rlim_max < (64 << 20))
		support_skip("the hard limit allows no core");
	ck_assert_ptr_nonnull(mkdtemp(folder));
	ck_assert_int_eq(chdir(folder), 0);
	isolate_call(abort_it, NULL, &options, &result);
	ck_assert_int_eq(chdir("/"), 0);
	snprintf(command, sizeof command, "rm -rf %s", folder);
	ck_assert_int_eq(system(command), 0);
	ck_assert_failure(&result, ISOLATE_UNKNOWN, ISOLATE_STAGE_RUN, -ECHILD);
	ck_assert_int_eq(result.status.code, SIGABRT);
	ck_assert_int_eq(result.status.core, _i);
}
END_TEST

/* ---- nice ---- */

static int tell_nice(struct isolate_writer *out, void *arg)
{
	(void)out;
	(void)arg;
	return getpriority(PRIO_PROCESS, 0);
}

static int nice_of(int by)
{
	struct isolate_options options = {INIT, .nice = by};
	struct isolate_result result;

	call(tell_nice, NULL, &options, &result);
	return result.value;
}

START_TEST(nice_is_added_to_the_caller_s)
{
	ck_assert_int_eq(setpriority(PRIO_PROCESS, 0, 3), 0);
	ck_assert_int_eq(nice_of(0), 3);
	ck_assert_int_eq(nice_of(5), 8);
	ck_assert_int_eq(nice_of(1000), 19);
	ck_assert_int_eq(nice_of(INT32_MAX), 19);
	ck_assert_int_eq(getpriority(PRIO_PROCESS, 0), 3);
	if (getuid() == 0)
		ck_assert_int_eq(nice_of(INT32_MIN), -20);
}
END_TEST

/* ---- sandbox ---- */

struct sandboxed {
	size_t size;
	bool finalize;
};

static int open_a_file_and_write(struct isolate_writer *out, void *arg)
{
	const struct sandboxed *sandboxed = arg;
	struct order order = {sandboxed->size, 1000};
	int fd = open("/tmp", O_TMPFILE | O_WRONLY, 0600);

	if (fd >= 0 || errno != EACCES)
		return 1;
	if (sandboxed->finalize && pal_profile_finalize(pal_profile_pure_compute(), NULL) < 0)
		return 2;
	return write_pattern(out, &order);
}

static const struct sandboxed sandboxed[] = {
	{10, false}, {100000, false}, {10, true}, {100000, true}};

START_TEST(a_sandbox_holds_and_results_pass)
{
	struct isolate_options options = {INIT, .sandbox = pal_profile_pure_compute()};
	struct sandboxed what = sandboxed[_i];
	struct isolate_result result;

	skip_under_valgrind("it keeps RLIMIT_NOFILE for itself, which the profile lowers");
	isolate_call(open_a_file_and_write, &what, &options, &result);
	if (what.finalize && result.value == 2)
		support_skip(
			"finalize needs Landlock, and threads of a sanitizer do not take part in it");
	check_pattern(&result, what.size);
	isolate_result_clear(&result);
}
END_TEST

START_TEST(a_sandbox_narrows_limits_and_is_not_narrowed)
{
	static const struct isolate_rlimit few = {RLIMIT_NOFILE, {20, 20}};
	struct isolate_options options = {INIT, .sandbox = pal_profile_pure_compute(),
		.core = ISOLATE_CORE_ON, .rlimits = &few, .rlimit_count = 1};
	struct isolate_result result;
	struct rlimit *told;

	skip_under_valgrind("it keeps RLIMIT_NOFILE for itself");
	call(tell_limits, NULL, &options, &result);
	told = result.data;
	ck_assert_uint_eq(told[0].rlim_cur, 20);
	ck_assert_uint_eq(told[2].rlim_cur, 0);
	isolate_result_clear(&result);
}
END_TEST

static int refuse(
	const struct pal_profile *profile, struct pal_builder *builder, struct pal_error *error)
{
	(void)profile;
	(void)builder;
	return pal_error_set(error, PAL_STAGE_PROFILE, -EPERM, "no such sandbox today");
}

START_TEST(a_sandbox_that_cannot_be_applied_is_not_executed)
{
	struct pal_profile profile = {.size = sizeof profile, .name = "broken", .apply = refuse};
	struct isolate_options options = {INIT, .sandbox = &profile};
	struct isolate_result result;

	isolate_call(tell_nice, NULL, &options, &result);
	ck_assert_failure(&result, ISOLATE_NOT_EXECUTED, ISOLATE_STAGE_START, -EPERM);
	ck_assert_ptr_nonnull(strstr(result.error.text, "no such sandbox"));
}
END_TEST

/* ---- descriptors ---- */

#define NUMBERS 200

static int list_fds(struct isolate_writer *out, void *arg)
{
	struct order order = {100000, 1000};
	unsigned char open_fds[NUMBERS];
	pid_t pid;

	(void)arg;
	for (int fd = 0; fd < NUMBERS; fd++)
		open_fds[fd] = fcntl(fd, F_GETFD) >= 0;
	open_fds[out->call->memfd] = 0; /* the library's own */
	if (!(fcntl(out->call->memfd, F_GETFD) & FD_CLOEXEC))
		return 1;
	isolate_write(out, open_fds, sizeof open_fds);
	pid = getpid();
	return pid > 0 ? write_pattern(out, &order) : 1;
}

static void check_fds(const struct isolate_options *options, const int *expected, size_t count)
{
	unsigned char open_fds[NUMBERS] = {0};
	struct isolate_result result;

	for (size_t i = 0; i < count; i++)
		open_fds[expected[i]] = 1;
	call(list_fds, NULL, options, &result);
	ck_assert_int_eq(result.value, 0);
	ck_assert_uint_eq(result.size, NUMBERS + 100000);
	for (int fd = 0; fd < NUMBERS; fd++)
		ck_assert_msg(
			((unsigned char *)result.data)[fd] == open_fds[fd], "descriptor %d", fd);
	isolate_result_clear(&result);
}

START_TEST(only_what_is_to_be_kept_is_kept)
{
	int kept = fcntl(0, F_DUPFD_CLOEXEC, 50), other = fcntl(0, F_DUPFD_CLOEXEC, 60);
	int keep[] = {kept, 2};
	struct isolate_options options = {INIT, .keep_fds = keep, .keep_fd_count = 2};

	check_fds(&options, (int[]){0, 1, 2, kept}, 4);
	options.keep_fd_count = 0;
	check_fds(&options, (int[]){0, 1, 2}, 3);
	ck_assert_int_eq(fcntl(kept, F_GETFD), FD_CLOEXEC);
	close(kept);
	close(other);
}
END_TEST

START_TEST(a_descriptor_to_keep_must_be_open)
{
	int keep[] = {0, 150};
	struct isolate_options options = {INIT, .keep_fds = keep, .keep_fd_count = 2};
	struct isolate_result result;

	keep[1] = dup(0);
	close(keep[1]); /* the number that the library's own would get */
	isolate_call(list_fds, NULL, &options, &result);
	ck_assert_failure(&result, ISOLATE_NOT_EXECUTED, ISOLATE_STAGE_PREPARE, -EBADF);
	keep[1] = -1;
	isolate_call(list_fds, NULL, &options, &result);
	ck_assert_failure(&result, ISOLATE_NOT_EXECUTED, ISOLATE_STAGE_PREPARE, -EBADF);
	options = (struct isolate_options){INIT, .std_out = PAL_STDIO_FD(150)};
	isolate_call(list_fds, NULL, &options, &result);
	ck_assert_failure(&result, ISOLATE_NOT_EXECUTED, ISOLATE_STAGE_PREPARE, -EBADF);
}
END_TEST

static int become_a_lister(struct isolate_writer *out, void *arg)
{
	(void)out;
	execl("/bin/sh", "sh", "-c", arg, (char *)NULL);
	return 1;
}

/* The library's own is not for the program. */
START_TEST(a_program_that_the_function_executes_has_what_was_kept)
{
	int kept = fcntl(0, F_DUPFD_CLOEXEC, 50);
	struct isolate_options options = {
		INIT, .keep_fds = &kept, .keep_fd_count = 1, .std_out = PAL_STDIO_PIPE};
	char list[] =
		"for i in 0 1 2 3 4 5 6 7 8 9 50; do [ -e /proc/$$/fd/$i ] && echo $i; done; true";
	struct isolate_result result;

	isolate_call(become_a_lister, list, &options, &result);
	ck_assert_int_eq(result.status.code, 0);
	ck_assert_str_eq(result.out, "0\n1\n2\n50\n");
	isolate_result_clear(&result);
	close(kept);
}
END_TEST

/* ---- threads ---- */

static void *wait_for_end(void *arg)
{
	char byte;

	return read(*(int *)arg, &byte, 1) == 0 ? NULL : arg;
}

START_TEST(other_threads_are_refused_where_that_is_asked_for)
{
	struct isolate_options options = {INIT, .only_thread = true};
	struct isolate_result result;
	pthread_t thread;
	int ends[2];

	if (THREADS_OF_THE_SANITIZER)
		support_skip("ThreadSanitizer has a thread of its own");
	call(tell_nice, NULL, &options, &result);
	ck_assert_int_eq(pipe2(ends, O_CLOEXEC), 0);
	ck_assert_int_eq(pthread_create(&thread, NULL, wait_for_end, &ends[0]), 0);
	isolate_call(tell_nice, NULL, &options, &result);
	ck_assert_failure(&result, ISOLATE_NOT_EXECUTED, ISOLATE_STAGE_PREPARE, -EBUSY);
	close(ends[1]);
	pthread_join(thread, NULL);
	call(tell_nice, NULL, &options, &result); /* also if the kernel is not done with it yet */
	close(ends[0]);
}
END_TEST

/* ---- what makes no sense ---- */

static const struct isolate_options nonsense[] = {
	{INIT, .grace_ms = -1},
	{INIT, .rlimit_count = 1},
	{INIT, .keep_fd_count = 1},
	{INIT, .std_in = {.kind = PAL_STDIO_KIND_PIPE}},
	{INIT, .std_in = {.kind = PAL_STDIO_KIND_STDOUT}},
	{INIT, .std_out = {.kind = PAL_STDIO_KIND_STDOUT}},
	{INIT, .std_err = {.kind = (enum pal_stdio_kind)(PAL_STDIO_KIND_STDOUT + 1)}},
	{INIT, .core = (enum isolate_core)(ISOLATE_CORE_ON + 1)},
};

START_TEST(nonsense_is_not_executed)
{
	struct isolate_result result;

	isolate_call(tell_nice, NULL, &nonsense[_i], &result);
	ck_assert_failure(&result, ISOLATE_NOT_EXECUTED, ISOLATE_STAGE_PREPARE, -EINVAL);
}
END_TEST

static Suite *make_suite(void)
{
	Suite *suite = suite_create("isolate/options");
	TCase *limits = isolate_tcase(suite, "limits");
	TCase *sandbox = isolate_tcase(suite, "sandbox");
	TCase *descriptors = isolate_tcase(suite, "descriptors");
	TCase *others = isolate_tcase(suite, "others");

	tcase_add_test(limits, limits_hold_in_the_child_only);
	tcase_add_test(limits, a_limit_on_cpu_time_ends_the_function);
	tcase_add_test(limits, a_limit_that_cannot_be_set_is_not_executed);
	tcase_add_test(limits, cores_are_as_the_caller_s_or_off_or_on);
	tcase_add_loop_test(limits, a_core_is_dumped_or_not, 0, 2);
	tcase_add_test(limits, nice_is_added_to_the_caller_s);
	tcase_add_loop_test(
		sandbox, a_sandbox_holds_and_results_pass, 0, sizeof sandboxed / sizeof *sandboxed);
	tcase_add_test(sandbox, a_sandbox_narrows_limits_and_is_not_narrowed);
	tcase_add_test(sandbox, a_sandbox_that_cannot_be_applied_is_not_executed);
	tcase_add_test(descriptors, only_what_is_to_be_kept_is_kept);
	tcase_add_test(descriptors, a_descriptor_to_keep_must_be_open);
	tcase_add_test(descriptors, a_program_that_the_function_executes_has_what_was_kept);
	tcase_add_test(others, other_threads_are_refused_where_that_is_asked_for);
	tcase_add_loop_test(
		others, nonsense_is_not_executed, 0, sizeof nonsense / sizeof *nonsense);
	return suite;
}
SUPPORT_MAIN(make_suite)
