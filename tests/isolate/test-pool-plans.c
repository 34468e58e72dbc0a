/* SPDX-License-Identifier: MIT */

/* What a pool is made with: copies that are reused, the plan of all copies, and what is refused. */
#include <fcntl.h>
#include <pal/profile.h>
#include <signal.h>
#include <stdio.h>
#include <sys/stat.h>

#include "pool-support.h"

/* ---- reuse ---- */

static int counter;

static int count(struct isolate_writer *out, const void *in, size_t in_size)
{
	(void)out;
	(void)in;
	(void)in_size;
	return ++counter;
}

static int die(struct isolate_writer *out, const void *in, size_t in_size)
{
	(void)out;
	(void)in;
	(void)in_size;
	return raise(SIGKILL);
}

START_TEST(a_copy_serves_as_many_calls_as_were_asked_for)
{
	struct isolate_pool_options options = {ISOLATE_POOL_OPTIONS_INIT, .reuse = 3, .no_spare = _i};
	struct isolate_pool *pool = new_pool(&options);
	struct isolate_result result;

	for (int i = 0; i < 9; i++) {
		isolate_pool_call(pool, count, NULL, 0, NULL, &result);
		ck_assert_answer(&result, ISOLATE_RETURNED);
		ck_assert_int_eq(result.value, i % 3 + 1);
		ck_assert_int_eq(result.status_known, i % 3 == 2);
	}
	isolate_pool_free(pool);
}
END_TEST

START_TEST(a_crash_costs_its_call_and_no_other)
{
	struct isolate_pool *pool = pool_of(1);
	struct isolate_result result;

	for (int i = 0; i < 6; i++) {
		isolate_pool_call(pool, i % 3 == 2 ? die : count, NULL, 0, NULL, &result);
		ck_assert_answer(&result, i % 3 == 2 ? ISOLATE_UNKNOWN : ISOLATE_RETURNED);
		if (i % 3 != 2)
			ck_assert_int_eq(result.value, i % 3 + 1);
	}
	isolate_pool_free(pool);
}
END_TEST

START_TEST(without_reuse_nothing_is_left_to_the_next)
{
	struct isolate_pool *pool = pool_of(0);
	struct isolate_result result;

	for (int i = 0; i < 4; i++) {
		isolate_pool_call(pool, count, NULL, 0, NULL, &result);
		ck_assert_answer(&result, ISOLATE_RETURNED);
		ck_assert_int_eq(result.value, 1);
		ck_assert(!result.status.signaled && result.status.code == 0);
	}
	isolate_pool_free(pool);
}
END_TEST

/* Killed while it waits for a job: it had none, so another one takes it. */
START_TEST(a_copy_that_dies_while_it_waits_costs_no_call)
{
	struct isolate_pool *pool = pool_of(1);
	pid_t last = 0;

	for (int i = 0; i < 10; i++) {
		pid_t pid = call_for_pid(pool);
		int pidfd;

		ck_assert_int_ne(pid, last);
		pidfd = open_pidfd(pid);
		kill(pid, SIGKILL);
		if (i % 2)
			await_end(pidfd);
		else
			close(pidfd);
		last = pid;
	}
	isolate_pool_free(pool);
}
END_TEST

/* The first child of the snapshot; 0: there is none, or the kernel does not tell. */
static pid_t find_spare(struct isolate_pool *pool)
{
	pid_t pid = isolate_pool_pid(pool);
	char path[64];
	FILE *file;

	snprintf(path, sizeof path, "/proc/%d/task/%d/children", (int)pid, (int)pid);
	file = fopen(path, "re");
	if (!file || fscanf(file, "%d", &pid) != 1)
		pid = 0;
	if (file)
		fclose(file);
	return pid;
}

START_TEST(a_spare_copy_that_dies_costs_no_call)
{
	struct isolate_pool *pool = pool_of(0);
	int killed = 0;

	for (int i = 0; i < 20; i++) {
		pid_t spare;

		check_that_it_works(pool);
		spare = find_spare(pool);
		if (spare && kill(spare, SIGKILL) == 0)
			killed++;
	}
	check_that_it_works(pool);
	ck_assert_int_ge(killed, find_spare(pool) > 0); /* not where the kernel tells of no children */
	isolate_pool_free(pool);
}
END_TEST

/* ---- plans ---- */

static int tell_plan(struct isolate_writer *out, const void *in, size_t in_size)
{
	struct rlimit limit;
	struct stat st;
	int fd = *(const int *)in;

	(void)out;
	(void)in_size;
	getrlimit(RLIMIT_NOFILE, &limit);
	if (limit.rlim_cur != 50)
		return 1;
	if (fstat(fd, &st) < 0)
		return 2;
	if (fcntl(fd + 1, F_GETFD) >= 0)
		return 3;
	return write(1, "", 0) == 0 ? 0 : 4;
}

START_TEST(the_plan_of_the_pool_holds_for_every_call)
{
	struct isolate_rlimit limit = {RLIMIT_NOFILE, {50, 50}};
	int kept = 40, other = 41;
	struct isolate_options worker = {ISOLATE_OPTIONS_INIT,
		.rlimits = &limit,
		.rlimit_count = 1,
		.keep_fds = &kept,
		.keep_fd_count = 1,
		.std_out = PAL_STDIO_NULL,
		.nice = 1};
	struct isolate_pool_options options = {
		ISOLATE_POOL_OPTIONS_INIT, .worker = &worker, .reuse = _i ? 3 : 0};
	struct isolate_pool *pool;
	struct isolate_result result;

	skip_under_valgrind("it keeps RLIMIT_NOFILE for itself");
	ck_assert_int_eq(fcntl(1, F_DUPFD_CLOEXEC, kept), kept);
	ck_assert_int_eq(fcntl(1, F_DUPFD_CLOEXEC, other), other);
	pool = new_pool(&options);
	for (int i = 0; i < 5; i++) {
		isolate_pool_call(pool, tell_plan, &kept, sizeof kept, NULL, &result);
		ck_assert_answer(&result, ISOLATE_RETURNED);
		ck_assert_int_eq(result.value, 0);
	}
	check_that_it_works(pool);
	isolate_pool_free(pool);
	close(kept);
	close(other);
}
END_TEST

static int run_program(struct isolate_writer *out, const void *in, size_t in_size)
{
	(void)out;
	(void)in;
	(void)in_size;
	return execl("/bin/true", "true", (char *)NULL);
}

START_TEST(a_sandbox_holds_for_every_call)
{
	struct isolate_options worker = {
		ISOLATE_OPTIONS_INIT, .sandbox = pal_profile_pure_compute()};
	struct isolate_pool_options options = {
		ISOLATE_POOL_OPTIONS_INIT, .worker = &worker, .reuse = _i ? 3 : 0};
	struct isolate_pool *pool;
	struct isolate_result result;

	skip_under_valgrind("it keeps RLIMIT_NOFILE for itself, which the profile lowers");
	pool = new_pool(&options);
	for (int i = 0; i < 5; i++) {
		check_that_it_works(pool);
		isolate_pool_call(pool, run_program, NULL, 0, NULL, &result);
		ck_assert(result.answer == ISOLATE_RETURNED || result.status.signaled);
		isolate_result_clear(&result);
	}
	isolate_pool_free(pool);
}
END_TEST

static int crash(struct isolate_writer *out, const void *in, size_t in_size)
{
	(void)out;
	(void)in_size;
	*(volatile char *)(uintptr_t)(*(const char *)in) = 1;
	return 0;
}

START_TEST(crashes_are_reported)
{
	struct isolate_options worker = {ISOLATE_OPTIONS_INIT, .crash_report = true};
	struct isolate_pool_options options = {
		ISOLATE_POOL_OPTIONS_INIT, .worker = &worker, .reuse = _i ? 3 : 0};
	struct isolate_pool *pool = new_pool(&options);
	struct isolate_result result;

	for (int i = 0; i < 3; i++) {
		check_that_it_works(pool);
		isolate_pool_call(pool, crash, "\x10", 1, NULL, &result);
		ck_assert_failure(&result, ISOLATE_UNKNOWN, ISOLATE_STAGE_RUN, -ECHILD);
		ck_assert_ptr_nonnull(result.crash);
		ck_assert(result.crash->kind == ISOLATE_CRASH_BY_SANITIZER ||
			  result.crash->signal == SIGSEGV);
		ck_assert_uint_eq(result.crash->address, 0x10);
		isolate_result_clear(&result);
	}
	isolate_pool_free(pool);
}
END_TEST

static const struct isolate_options refused_workers[] = {
	{ISOLATE_OPTIONS_INIT, .std_out = {.kind = PAL_STDIO_KIND_PIPE}},
	{ISOLATE_OPTIONS_INIT, .std_in = {.kind = PAL_STDIO_KIND_FILE, .path = "/dev/null"}},
	{ISOLATE_OPTIONS_INIT, .max_capture = 1},
	{ISOLATE_OPTIONS_INIT, .drain_ms = -1},
	{ISOLATE_OPTIONS_INIT, .deadline_ms = -1},
};

START_TEST(what_a_pool_cannot_do_is_refused)
{
	struct isolate_pool_options options = {
		ISOLATE_POOL_OPTIONS_INIT, .worker = &refused_workers[_i]};
	struct pal_error error = {0};
	struct isolate_pool *pool = NULL;

	ck_assert_int_eq(isolate_pool_new(&options, &pool, &error), -EINVAL);
	ck_assert_int_eq(error.stage, ISOLATE_STAGE_PREPARE);
	ck_assert_ptr_null(pool);
}
END_TEST

static const struct isolate_options refused_calls[] = {
	{ISOLATE_OPTIONS_INIT, .nice = 1},
	{ISOLATE_OPTIONS_INIT, .only_thread = true},
	{ISOLATE_OPTIONS_INIT, .max_capture = 1},
	{ISOLATE_OPTIONS_INIT, .crash_report = true},
	{ISOLATE_OPTIONS_INIT, .core = ISOLATE_CORE_OFF},
	{ISOLATE_OPTIONS_INIT, .std_err = {.kind = PAL_STDIO_KIND_NULL}},
	{ISOLATE_OPTIONS_INIT, .max_result = 1001},
	{ISOLATE_OPTIONS_INIT, .grace_ms = -1},
};

START_TEST(what_a_call_cannot_have_is_refused)
{
	struct isolate_options worker = {ISOLATE_OPTIONS_INIT, .max_result = 1000};
	struct isolate_pool_options options = {ISOLATE_POOL_OPTIONS_INIT, .worker = &worker};
	struct isolate_pool *pool = new_pool(&options);
	struct isolate_result result;

	isolate_pool_call(pool, echo, "", 0, &refused_calls[_i], &result);
	ck_assert_failure(&result, ISOLATE_NOT_EXECUTED, ISOLATE_STAGE_PREPARE, -EINVAL);
	isolate_pool_call(pool, NULL, "", 0, NULL, &result);
	ck_assert_failure(&result, ISOLATE_NOT_EXECUTED, ISOLATE_STAGE_PREPARE, -EINVAL);
	isolate_pool_call(pool, echo, NULL, 1, NULL, &result);
	ck_assert_failure(&result, ISOLATE_NOT_EXECUTED, ISOLATE_STAGE_PREPARE, -EINVAL);
	isolate_pool_free(pool);
}
END_TEST

static Suite *make_suite(void)
{
	Suite *suite = suite_create("isolate/pool-plans");
	TCase *reuse = isolate_tcase(suite, "reuse");
	TCase *plans = isolate_tcase(suite, "plans");

	tcase_add_loop_test(reuse, a_copy_serves_as_many_calls_as_were_asked_for, 0, 2);
	tcase_add_test(reuse, a_crash_costs_its_call_and_no_other);
	tcase_add_test(reuse, without_reuse_nothing_is_left_to_the_next);
	tcase_add_test(reuse, a_copy_that_dies_while_it_waits_costs_no_call);
	tcase_add_test(reuse, a_spare_copy_that_dies_costs_no_call);
	tcase_add_loop_test(plans, the_plan_of_the_pool_holds_for_every_call, 0, 2);
	tcase_add_loop_test(plans, a_sandbox_holds_for_every_call, 0, 2);
	tcase_add_loop_test(plans, crashes_are_reported, 0, 2);
	tcase_add_loop_test(plans, what_a_pool_cannot_do_is_refused, 0,
		sizeof refused_workers / sizeof *refused_workers);
	tcase_add_loop_test(plans, what_a_call_cannot_have_is_refused, 0,
		sizeof refused_calls / sizeof *refused_calls);
	return suite;
}
SUPPORT_MAIN(make_suite)
