/* SPDX-License-Identifier: MIT */

/*
 * Each call that keeping memory for long results is made of fails in turn, at each of its
 * occurrences (linked with --wrap): the result is right, or lost with that errno, the calls after it
 * are right, and nothing is left. S105, S116
 */
#include <errno.h>
#include <fcntl.h>
#include <isolate/isolate-priv.h>
#include <isolate/warm-priv.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "isolate-support.h"

enum call {
	OPEN,
	LEASE,
	SEAL,
	STAT,
	MAP,
	STRETCH,
	COPY_OR_NOT,
	PROTECT,
	READ,
	ALLOCATE,
	CALLS
};

static struct {
	enum call call; /* CALLS: none */
	int code;
	int skip;      /* occurrences that pass before one fails */
	pid_t process; /* in which one it does */
	bool struck;
} fault = {.call = CALLS};

static bool strikes(enum call call)
{
	if (fault.call != call || fault.struck || getpid() != fault.process || fault.skip-- > 0)
		return false;
	fault.struck = true;
	errno = fault.code;
	return true;
}

#define WRAP(type, name, ...)                                                                      \
	type __real_##name(__VA_ARGS__);                                                           \
	type __wrap_##name(__VA_ARGS__);                                                           \
	type __wrap_##name(__VA_ARGS__)

/* While the library has a lease, somebody opens the file for writing. */
static bool meddles;
static int meddled;

WRAP(int, open, const char *path, int flags, ...)
{
	return strikes(OPEN) ? -1 : __real_open(path, flags);
}

static void meddle(int fd)
{
	char path[40];

	snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
	ck_assert_int_eq(__real_open(path, O_RDWR | O_NONBLOCK | O_CLOEXEC), -1);
	ck_assert_int_eq(errno, EWOULDBLOCK);
	meddled++;
}

WRAP(int, fcntl, int fd, int command, ...)
{
	va_list args;
	long arg;

	va_start(args, command);
	arg = va_arg(args, long);
	va_end(args);
	if ((command == F_SETLEASE && arg == F_RDLCK && strikes(LEASE)) ||
		(command == F_ADD_SEALS && strikes(SEAL)))
		return -1;
	if (meddles && command == F_SETLEASE && arg == F_UNLCK)
		meddle(fd);
	return __real_fcntl(fd, command, arg);
}

WRAP(int, fstat, int fd, struct stat *st)
{
	return strikes(STAT) ? -1 : __real_fstat(fd, st);
}

WRAP(void *, mmap, void *at, size_t size, int protection, int flags, int fd, off_t offset)
{
	return strikes(MAP) ? MAP_FAILED : __real_mmap(at, size, protection, flags, fd, offset);
}

WRAP(void *, mremap, void *at, size_t old, size_t size, int flags, ...)
{
	return strikes(STRETCH) ? MAP_FAILED : __real_mremap(at, old, size, flags);
}

WRAP(int, madvise, void *at, size_t size, int advice)
{
	return strikes(COPY_OR_NOT) ? -1 : __real_madvise(at, size, advice);
}

WRAP(int, mprotect, void *at, size_t size, int protection)
{
	return strikes(PROTECT) ? -1 : __real_mprotect(at, size, protection);
}

WRAP(ssize_t, pread, int fd, void *to, size_t size, off_t offset)
{
	return strikes(READ) ? -1 : __real_pread(fd, to, size, offset);
}

WRAP(void *, malloc, size_t size)
{
	return size == sizeof(struct isolate__warm) && strikes(ALLOCATE) ? NULL
									 : __real_malloc(size);
}

static const int codes[CALLS] = {
	EMFILE, EAGAIN, EBUSY, EIO, ENOMEM, ENOMEM, ENOMEM, ENOMEM, EIO, ENOMEM};

/* Whether the result is the pattern; if not it must be lost as documented. */
static bool call_pattern(size_t size)
{
	struct order order = {size, 10000};
	struct isolate_result result;
	bool returned;

	isolate_call(write_pattern, &order, NULL, &result);
	returned = result.answer == ISOLATE_RETURNED;
	if (returned) {
		check_pattern(&result, size);
	} else {
		ck_assert(fault.struck);
		ck_assert(
			result.answer == ISOLATE_EXECUTED || result.answer == ISOLATE_NOT_EXECUTED);
		ck_assert_int_eq(result.error.stage, result.answer == ISOLATE_EXECUTED
							     ? ISOLATE_STAGE_RESULT
							     : ISOLATE_STAGE_PREPARE);
		/* a record that cannot be read is not what was written */
		if (fault.call != READ)
			ck_assert_int_eq(result.error.code, -fault.code);
		else
			ck_assert_int_eq(result.error.code, -EBADMSG);
	}
	isolate_result_clear(&result);
	return returned;
}

/* Longer and longer ones, so that everything is done that is ever done. */
static void call_some(void)
{
	int lost = 0;

	for (size_t i = 0; i < 6; i++)
		lost += !call_pattern(100000 + i * 50000) + !call_pattern(50000);
	ck_assert_int_le(lost, 1);
}

START_TEST(what_fails_costs_one_result_at_most)
{
	int occurrences = 0;

	fault.call = (enum call)_i;
	fault.code = codes[_i];
	fault.process = getpid();
	for (;; occurrences++) {
		fault.skip = occurrences;
		fault.struck = false;
		call_some();
		isolate_trim();
		if (!fault.struck)
			break;
	}
	ck_assert_int_ge(occurrences, 1); /* it is called at all */
}
END_TEST

/* The kernel tells us of it by a signal. */
START_TEST(who_opens_it_for_writing_does_not_end_the_host)
{
	meddles = true;
	call_some();
	meddles = false;
	ck_assert_int_ge(meddled, 1);
}
END_TEST

static Suite *make_suite(void)
{
	Suite *suite = suite_create("isolate/warm-faults");
	TCase *calls = isolate_tcase(suite, "calls");

	tcase_add_loop_test(calls, what_fails_costs_one_result_at_most, 0, CALLS);
	tcase_add_test(calls, who_opens_it_for_writing_does_not_end_the_host);
	return suite;
}
SUPPORT_MAIN(make_suite)
