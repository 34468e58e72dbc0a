/* SPDX-License-Identifier: MIT */

/*
 * Every system call and allocation of the library fails in turn (linked with
 * --wrap): the answer and the stage are the documented ones, and the leak
 * fixture finds nothing left. S105, S116
 */
#include <errno.h>
#include <fcntl.h>
#include <isolate/isolate-priv.h>
#include <pal/builder.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/single_threaded.h>
#include <sys/stat.h>
#include <unistd.h>

#include "isolate-support.h"

enum call {
	NO_CALL,
	MAKE_ROOM,
	MAP_PAGE,
	MAKE_MEMFD,
	MOVE_MEMFD,
	STAT_MEMFD,
	MAKE_BUILDER,
	FORK,
	SET_EXIT_HANDLER,
	GET_FILE_LIMIT,
	STAT_IN_CHILD,
	WRITE,
	WAIT,
	ALLOCATE_RESULT,
	SEAL,
	STAT_RESULT,
	MAP_RESULT
};

#define LONG_RESULT 200000
#define SHORT_RESULT 7777 /* nobody else allocates that */
#define ROOM_FOR_REGISTERING 4096 /* guard.c's; nobody else in a call does */

static struct {
	enum call call;
	int code; /* errno; 0: what the wrapper does instead is its own affair */
	int skip; /* occurrences that pass before one fails */
} fault;

static bool strikes(enum call call)
{
	if (fault.call != call || fault.skip-- > 0)
		return false;
	errno = fault.code;
	return true;
}

#define WRAP(type, name, ...)                                                                      \
	type __real_##name(__VA_ARGS__);                                                           \
	type __wrap_##name(__VA_ARGS__);                                                           \
	type __wrap_##name(__VA_ARGS__)

WRAP(void *, mmap, void *at, size_t size, int protection, int flags, int fd, off_t offset)
{
	if (size == sizeof(struct isolate__shared) && strikes(MAP_PAGE))
		return MAP_FAILED;
	if (size == LONG_RESULT && strikes(MAP_RESULT))
		return MAP_FAILED;
	return __real_mmap(at, size, protection, flags, fd, offset);
}

WRAP(int, memfd_create, const char *name, unsigned flags)
{
	return strikes(MAKE_MEMFD) ? -1 : __real_memfd_create(name, flags);
}

WRAP(int, fcntl, int fd, int command, ...)
{
	va_list args;
	long arg;

	va_start(args, command);
	arg = va_arg(args, long);
	va_end(args);
	if (command == F_DUPFD_CLOEXEC && strikes(MOVE_MEMFD))
		return -1;
	if (command == F_ADD_SEALS && strikes(SEAL))
		return -1;
	return __real_fcntl(fd, command, arg);
}

WRAP(int, fstat, int fd, struct stat *st)
{
	/* in the parent, where the second one is of the result */
	return strikes(fault.call == STAT_RESULT ? STAT_RESULT : STAT_MEMFD) ? -1
									      : __real_fstat(fd, st);
}

WRAP(int, fstatat, int fd, const char *path, struct stat *st, int flags)
{
	return strikes(STAT_IN_CHILD) ? -1 : __real_fstatat(fd, path, st, flags);
}

WRAP(struct pal_builder *, pal_builder_new, const char *program)
{
	return strikes(MAKE_BUILDER) ? NULL : __real_pal_builder_new(program);
}

WRAP(int, pal_fork, struct pal_builder *builder, int (*fn)(void *), void *arg,
	struct pal_child **ret, struct pal_error *error)
{
	if (strikes(FORK))
		return pal_error_set(error, PAL_STAGE_CLONE, -fault.code, "fork");
	return __real_pal_fork(builder, fn, arg, ret, error);
}

WRAP(int, on_exit, void (*handler)(int, void *), void *arg)
{
	return strikes(SET_EXIT_HANDLER) ? -1 : __real_on_exit(handler, arg);
}

WRAP(int, getrlimit, __rlimit_resource_t resource, struct rlimit *limit)
{
	return strikes(GET_FILE_LIMIT) ? -1 : __real_getrlimit(resource, limit);
}

WRAP(ssize_t, pwrite, int fd, const void *data, size_t size, off_t offset)
{
	if (!strikes(WRITE))
		return __real_pwrite(fd, data, size < 1000 ? size : 1000, offset); /* short */
	if (fault.code == EOWNERDEAD)
		kill(getpid(), SIGKILL);
	if (fault.code == EINTR)
		fault.call = NO_CALL;
	return fault.code ? -1 : 0;
}

WRAP(int, pal_child_wait, struct pal_child *child, pal_deadline deadline, struct pal_status *ret,
	struct pal_error *error)
{
	int r = 0;

	if (fault.call == WAIT && fault.code == ECHILD) /* says that it has ended, so it has */
		r = __real_pal_child_wait(child, deadline, ret, error);
	if (strikes(WAIT))
		return pal_error_set(error, PAL_STAGE_WAIT, -fault.code, "wait");
	return r < 0 ? r : __real_pal_child_wait(child, deadline, ret, error);
}

WRAP(void *, malloc, size_t size)
{
	if (size == ROOM_FOR_REGISTERING && strikes(MAKE_ROOM))
		return NULL;
	return size == SHORT_RESULT && strikes(ALLOCATE_RESULT) ? NULL : __real_malloc(size);
}

static unsigned char bytes[LONG_RESULT];

static int write_it(struct isolate_writer *out, void *arg)
{
	size_t size = *(size_t *)arg;

	/* The last bytes are in the buffer when it returns. */
	isolate_write(out, bytes, size - 100);
	isolate_write(out, bytes + size - 100, 100);
	return 9;
}

static const struct row {
	enum call call;
	int code;
	int skip;
	size_t size;
	enum isolate_answer answer;
	int stage;
} rows[] = {
	{NO_CALL, 0, 0, LONG_RESULT, ISOLATE_RETURNED, 0},
	{MAP_PAGE, ENOMEM, 0, LONG_RESULT, ISOLATE_NOT_EXECUTED, ISOLATE_STAGE_PREPARE},
	{MAKE_MEMFD, EMFILE, 0, LONG_RESULT, ISOLATE_NOT_EXECUTED, ISOLATE_STAGE_PREPARE},
	{MAKE_MEMFD, ENFILE, 0, LONG_RESULT, ISOLATE_NOT_EXECUTED, ISOLATE_STAGE_PREPARE},
	{MAKE_MEMFD, EINVAL, 0, LONG_RESULT, ISOLATE_NOT_EXECUTED, ISOLATE_STAGE_PREPARE},
	{STAT_MEMFD, EIO, 0, LONG_RESULT, ISOLATE_NOT_EXECUTED, ISOLATE_STAGE_PREPARE},
	{MAKE_BUILDER, ENOMEM, 0, LONG_RESULT, ISOLATE_NOT_EXECUTED, ISOLATE_STAGE_START},
	{FORK, EAGAIN, 0, LONG_RESULT, ISOLATE_NOT_EXECUTED, ISOLATE_STAGE_START},
	{FORK, ENOMEM, 0, LONG_RESULT, ISOLATE_NOT_EXECUTED, ISOLATE_STAGE_START},
	{SET_EXIT_HANDLER, ECHILD, 0, LONG_RESULT, ISOLATE_NOT_EXECUTED, ISOLATE_STAGE_START},
	{GET_FILE_LIMIT, EPERM, 0, LONG_RESULT, ISOLATE_EXECUTED, ISOLATE_STAGE_RESULT},
	{STAT_IN_CHILD, EBADF, 0, LONG_RESULT, ISOLATE_EXECUTED, ISOLATE_STAGE_RESULT},
	{WRITE, ENOMEM, 0, LONG_RESULT, ISOLATE_EXECUTED, ISOLATE_STAGE_RESULT},
	{WRITE, ENOSPC, LONG_RESULT / 1000, LONG_RESULT, ISOLATE_EXECUTED, ISOLATE_STAGE_RESULT},
	{WRITE, EINTR, 3, LONG_RESULT, ISOLATE_RETURNED, 0},
	{WAIT, ECHILD, 0, SHORT_RESULT, ISOLATE_RETURNED, 0},
	{ALLOCATE_RESULT, ENOMEM, 0, SHORT_RESULT, ISOLATE_EXECUTED, ISOLATE_STAGE_RESULT},
	{SEAL, EBUSY, 0, LONG_RESULT, ISOLATE_RETURNED, 0},
	{STAT_RESULT, EIO, 1, LONG_RESULT, ISOLATE_EXECUTED, ISOLATE_STAGE_RESULT},
	{MAP_RESULT, ENOMEM, 0, LONG_RESULT, ISOLATE_EXECUTED, ISOLATE_STAGE_RESULT},
};

static void call_with(const struct row *row, struct isolate_result *result)
{
	size_t size = row->size;

	for (size_t i = 0; i < size; i++)
		bytes[i] = pattern(i);
	fault.call = row->call;
	fault.code = row->code;
	fault.skip = row->skip;
	isolate_call(write_it, &size, NULL, result);
	fault.call = NO_CALL;
}

START_TEST(each_failure_has_its_documented_answer)
{
	const struct row *row = &rows[_i];
	struct isolate_result result;

	if (row->call == SET_EXIT_HANDLER && !__libc_single_threaded)
		support_skip("the handler is set in programs with one thread only");
	call_with(row, &result);
	if (row->answer != ISOLATE_RETURNED) {
		ck_assert_failure(&result, row->answer, row->stage, -row->code);
	} else {
		ck_assert_answer(&result, ISOLATE_RETURNED);
		ck_assert_uint_eq(result.size, row->size);
		ck_assert_mem_eq(result.data, bytes, row->size);
	}
	ck_assert_int_eq(result.value, row->answer == ISOLATE_NOT_EXECUTED ? 0 : 9);
	ck_assert_int_eq(result.status_known,
		row->call != WAIT &&
			(row->answer != ISOLATE_NOT_EXECUTED || row->call == SET_EXIT_HANDLER));
	isolate_result_clear(&result);

	/* S106: nothing is left that makes the next call fail */
	call_with(&rows[0], &result);
	ck_assert_answer(&result, ISOLATE_RETURNED);
	isolate_result_clear(&result);
}
END_TEST

static void *call_first(void *result)
{
	const struct row row = {
		MAKE_ROOM, ENOMEM, 0, SHORT_RESULT, ISOLATE_NOT_EXECUTED, ISOLATE_STAGE_PREPARE};

	call_with(&row, result);
	return NULL;
}

/* glibc would abort, where it has no memory for a destructor of the thread. */
START_TEST(no_memory_at_the_first_call_of_a_thread_is_an_answer)
{
	struct isolate_result result;
	pthread_t thread;

	ck_assert_int_eq(pthread_create(&thread, NULL, call_first, &result), 0);
	ck_assert_int_eq(pthread_join(thread, NULL), 0);
	ck_assert_failure(&result, ISOLATE_NOT_EXECUTED, ISOLATE_STAGE_PREPARE, -ENOMEM);
	isolate_result_clear(&result);
}
END_TEST

START_TEST(a_write_of_nothing_is_an_error_and_no_loop)
{
	struct isolate_result result;

	call_with(&(struct row){WRITE, 0, 5, LONG_RESULT, 0, 0}, &result);
	ck_assert_failure(&result, ISOLATE_EXECUTED, ISOLATE_STAGE_RESULT, -EIO);
}
END_TEST

/* S111: killed between the function's return and the last byte */
START_TEST(a_child_killed_while_it_writes_the_rest_was_executed)
{
	struct isolate_result result;

	call_with(&(struct row){WRITE, EOWNERDEAD, LONG_RESULT / 1000, LONG_RESULT, 0, 0}, &result);
	ck_assert_failure(&result, ISOLATE_EXECUTED, ISOLATE_STAGE_RESULT, -ECHILD);
	ck_assert_int_eq(result.value, 9);
	ck_assert(result.status_known && result.status.signaled);
	ck_assert_int_eq(result.status.code, SIGKILL);
}
END_TEST

/* S111: each write but the last is made while the function runs, the last one after it has returned */
#define WRITES (LONG_RESULT / 1000 + 1)
START_TEST(a_child_killed_at_any_write_is_no_short_success)
{
	for (int write = 0; write < WRITES; write++) {
		bool returned = write == WRITES - 1;
		struct isolate_result result;

		call_with(&(struct row){WRITE, EOWNERDEAD, write, LONG_RESULT, 0, 0}, &result);
		ck_assert_failure(&result, returned ? ISOLATE_EXECUTED : ISOLATE_UNKNOWN,
			returned ? ISOLATE_STAGE_RESULT : ISOLATE_STAGE_RUN, -ECHILD);
		ck_assert(result.status_known && result.status.signaled);
		ck_assert_int_eq(result.status.code, SIGKILL);
	}
}
END_TEST

/* The wait fails for a reason that says nothing about the child. */
START_TEST(a_wait_that_fails_ends_the_child)
{
	struct isolate_result result;

	call_with(&(struct row){WAIT, ENOMEM, 0, SHORT_RESULT, 0, 0}, &result);
	ck_assert(!result.status_known);
	if (result.answer != ISOLATE_RETURNED) { /* it may have been faster than the kill */
		ck_assert_int_eq(result.error.stage, ISOLATE_STAGE_WAIT);
		ck_assert_int_eq(result.error.code, -ENOMEM);
	}
	isolate_result_clear(&result);
}
END_TEST

START_TEST(moving_the_memfd_above_the_streams_can_fail)
{
	struct isolate_result result;
	int saved = __real_fcntl(0, F_DUPFD_CLOEXEC, 10L);

	close(0);
	call_with(&(struct row){MOVE_MEMFD, EMFILE, 0, LONG_RESULT, 0, 0}, &result);
	dup2(saved, 0);
	close(saved);
	ck_assert_failure(&result, ISOLATE_NOT_EXECUTED, ISOLATE_STAGE_PREPARE, -EMFILE);
}
END_TEST

/* S116, S106: the same without a wrapper, at every number of descriptors that is left */
START_TEST(a_full_descriptor_table_is_not_executed)
{
	struct rlimit saved, limit;
	struct isolate_result result;
	size_t size = LONG_RESULT;
	int failures = 0, lowest = dup(0);

	close(lowest);
	ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &saved), 0);
	for (limit = saved, limit.rlim_cur = (rlim_t)lowest;; limit.rlim_cur++) {
		ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
		isolate_call(write_it, &size, NULL, &result);
		if (result.answer == ISOLATE_RETURNED)
			break;
		ck_assert_answer(&result, ISOLATE_NOT_EXECUTED);
		ck_assert_int_eq(result.error.code, -EMFILE);
		failures++;
	}
	setrlimit(RLIMIT_NOFILE, &saved);
	ck_assert_uint_eq(result.size, LONG_RESULT);
	ck_assert_int_ge(failures, 1);
	isolate_result_clear(&result);
}
END_TEST

static Suite *make_suite(void)
{
	Suite *suite = suite_create("isolate/faults");
	TCase *calls = isolate_tcase(suite, "calls");

	tcase_add_loop_test(
		calls, each_failure_has_its_documented_answer, 0, sizeof rows / sizeof *rows);
	tcase_add_test(calls, no_memory_at_the_first_call_of_a_thread_is_an_answer);
	tcase_add_test(calls, a_write_of_nothing_is_an_error_and_no_loop);
	tcase_add_test(calls, a_child_killed_while_it_writes_the_rest_was_executed);
	tcase_add_test(calls, a_child_killed_at_any_write_is_no_short_success);
	tcase_add_test(calls, a_wait_that_fails_ends_the_child);
	tcase_add_test(calls, moving_the_memfd_above_the_streams_can_fail);
	tcase_add_test(calls, a_full_descriptor_table_is_not_executed);
	return suite;
}
SUPPORT_MAIN(make_suite)
