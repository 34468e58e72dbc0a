/* SPDX-License-Identifier: MIT */

/*
 * Every system call and allocation of a pool fails in turn (linked with --wrap), in this
 * process, in the snapshot and in its copies: what is answered is true, nothing hangs, and after
 * a refresh all is well. S105, S116
 */
#include <fcntl.h>
#include <isolate/pool-priv.h>
#include <linux/futex.h>
#include <pal/socket.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "pool-support.h"

#define SHORT_RESULT 12345 /* nobody else allocates that */

enum role {
	NOBODY,
	HOST,
	SNAPSHOT,
	COPY
};

static struct {
	enum role role;
	int at; /* the call that fails, from 1 on; counted in each process */
	int count;
} fault;
static pid_t test_process;

/* Of all processes. */
static struct {
	const char *volatile struck; /* the call that failed */
	volatile int executed;
} *told;

static enum role own_role(void)
{
	if (getpid() == test_process)
		return HOST;
	return getppid() == test_process ? SNAPSHOT : COPY;
}

static bool strikes(const char *call)
{
	if (fault.role == NOBODY || fault.role != own_role() || ++fault.count != fault.at)
		return false;
	told->struck = call;
	errno = ENOMEM;
	return true;
}

#define WRAP(type, name, ...)                                                                      \
	type __real_##name(__VA_ARGS__);                                                           \
	type __wrap_##name(__VA_ARGS__);                                                           \
	type __wrap_##name(__VA_ARGS__)

WRAP(void *, mmap, void *at, size_t size, int protection, int flags, int fd, off_t offset)
{
	return strikes("mmap") ? MAP_FAILED : __real_mmap(at, size, protection, flags, fd, offset);
}

WRAP(void *, mremap, void *at, size_t old, size_t size, int flags)
{
	return strikes("mremap") ? MAP_FAILED : __real_mremap(at, old, size, flags);
}

WRAP(int, madvise, void *at, size_t size, int advice)
{
	return strikes("madvise") ? -1 : __real_madvise(at, size, advice);
}

WRAP(int, memfd_create, const char *name, unsigned flags)
{
	return strikes("memfd_create") ? -1 : __real_memfd_create(name, flags);
}

WRAP(int, ftruncate, int fd, off_t size)
{
	return strikes("ftruncate") ? -1 : __real_ftruncate(fd, size);
}

WRAP(ssize_t, pwrite, int fd, const void *data, size_t size, off_t at)
{
	return strikes("pwrite") ? -1 : __real_pwrite(fd, data, size, at);
}

WRAP(int, fstat, int fd, struct stat *st)
{
	return strikes("fstat") ? -1 : __real_fstat(fd, st);
}

WRAP(int, dup3, int from, int to, int flags)
{
	return strikes("dup3") ? -1 : __real_dup3(from, to, flags);
}

WRAP(int, eventfd, unsigned value, int flags)
{
	return strikes("eventfd") ? -1 : __real_eventfd(value, flags);
}

WRAP(int, epoll_create1, int flags)
{
	return strikes("epoll_create1") ? -1 : __real_epoll_create1(flags);
}

WRAP(int, epoll_ctl, int set, int operation, int fd, struct epoll_event *event)
{
	return strikes("epoll_ctl") ? -1 : __real_epoll_ctl(set, operation, fd, event);
}

WRAP(int, epoll_wait, int set, struct epoll_event *events, int count, int timeout)
{
	return strikes("epoll_wait") ? -1 : __real_epoll_wait(set, events, count, timeout);
}

WRAP(int, poll, struct pollfd *fds, nfds_t count, int timeout)
{
	return timeout && strikes("poll") ? -1 : __real_poll(fds, count, timeout);
}

WRAP(FILE *, fopencookie, void *cookie, const char *mode, cookie_io_functions_t functions)
{
	return strikes("fopencookie") ? NULL : __real_fopencookie(cookie, mode, functions);
}

WRAP(int, open, const char *path, int flags, mode_t mode)
{
	return strikes("open") ? -1 : __real_open(path, flags, mode);
}

WRAP(void *, calloc, size_t count, size_t size)
{
	return strikes("calloc") ? NULL : __real_calloc(count, size);
}

WRAP(void *, malloc, size_t size)
{
	return size == SHORT_RESULT && strikes("malloc") ? NULL : __real_malloc(size);
}

WRAP(void *, reallocarray, void *old, size_t count, size_t size)
{
	return strikes("reallocarray") ? NULL : __real_reallocarray(old, count, size);
}

WRAP(int, pal_socket_pair, int type, int ret_fds[2])
{
	return strikes("pal_socket_pair") ? -ENFILE : __real_pal_socket_pair(type, ret_fds);
}

WRAP(ssize_t, pal_socket_send, int socket, const void *data, size_t size, const int *fds,
	size_t fd_count)
{
	return strikes("pal_socket_send") ? -ETOOMANYREFS : __real_pal_socket_send(socket, data, size, fds, fd_count);
}

/* With an order come descriptors, for which there may be no number: they are lost. */
WRAP(ssize_t, pal_socket_receive, int socket, void *data, size_t size, int *ret_fds,
	size_t *ret_fd_count)
{
	return strikes("pal_socket_receive")
		       ? -ENOMEM
		       : __real_pal_socket_receive(socket, data, size, ret_fds, ret_fd_count);
}

WRAP(ssize_t, pal_socket_receive_partial, int socket, void *data, size_t size, int *ret_fds,
	size_t *ret_fd_count, bool *ret_fds_lost)
{
	bool fails = strikes("pal_socket_receive_partial");
	ssize_t got = __real_pal_socket_receive_partial(
		socket, data, size, ret_fds, ret_fd_count, ret_fds_lost);

	if (fails && got > 0 && *ret_fd_count > 0) {
		while (*ret_fd_count > 0)
			close(ret_fds[--*ret_fd_count]);
		*ret_fds_lost = true;
	}
	return got;
}

WRAP(ssize_t, recvmsg, int socket, struct msghdr *message, int flags)
{
	return strikes("recvmsg") ? -1 : __real_recvmsg(socket, message, flags);
}

WRAP(int, pal_fork, struct pal_builder *builder, int (*fn)(void *), void *arg,
	struct pal_child **ret, struct pal_error *error)
{
	if (strikes("pal_fork"))
		return pal_error_set(error, PAL_STAGE_CLONE, -EAGAIN, "fork");
	return __real_pal_fork(builder, fn, arg, ret, error);
}

static bool can_fail(long number, long operation)
{
	return number == SYS_pidfd_open || number == SYS_recvfrom || number == SYS_sendto ||
	       (number == SYS_futex && operation == FUTEX_WAIT);
}

extern long __real_syscall(long number, ...);
extern long __wrap_syscall(long number, ...);

/* Takes six arguments, whether there are so many or not. */
__attribute__((no_sanitize("address"))) long __wrap_syscall(long number, ...)
{
	va_list args;
	long a[6];

	va_start(args, number);
	for (int i = 0; i < 6; i++)
		a[i] = va_arg(args, long);
	va_end(args);
	if (can_fail(number, a[1]) && strikes("syscall"))
		return -1;
	return __real_syscall(number, a[0], a[1], a[2], a[3], a[4], a[5]);
}

/* ---- what has to be true whatever fails ---- */

static int execute(struct isolate_writer *out, const void *in, size_t in_size)
{
	told->executed++;
	return echo(out, in, in_size);
}

static void check_answer(const struct isolate_result *result, size_t size)
{
	ck_assert_msg(result->error.code != -ETIMEDOUT, "%s hangs, number %d", told->struck, fault.at);
	switch (result->answer) {
	case ISOLATE_RETURNED:
		if (result->value == 0)
			check_pattern(result, size);
		ck_assert_int_eq(told->executed, 1);
		return;
	case ISOLATE_EXECUTED:
		ck_assert_int_eq(told->executed, 1);
		break;
	case ISOLATE_NOT_EXECUTED:
		ck_assert_int_eq(told->executed, 0);
		break;
	case ISOLATE_UNKNOWN:
		ck_assert_int_le(told->executed, 1);
	}
	ck_assert_failure(result, result->answer, result->error.stage, result->error.code);
	ck_assert_int_lt(result->error.code, 0);
	ck_assert_int_ne(result->error.stage, 0);
}

static const size_t sizes[] = {SHORT_RESULT, 200000, SHORT_RESULT};

static void call_with_fault(struct isolate_pool *pool, const unsigned char *bytes)
{
	struct isolate_options hang = {ISOLATE_OPTIONS_INIT, .deadline_ms = A_HANG_MS};

	for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
		struct isolate_result result;

		told->executed = 0;
		isolate_pool_call(pool, execute, bytes, sizes[i], &hang, &result);
		check_answer(&result, sizes[i]);
		isolate_result_clear(&result);
	}
}

/* Whether there was a call number `at` to fail. */
static bool survives(enum role role, int at, unsigned reuse, const unsigned char *bytes)
{
	struct isolate_pool_options options = {
		ISOLATE_POOL_OPTIONS_INIT, .at_once = 1, .reuse = reuse, .no_spare = at % 2};
	struct isolate_pool *pool = NULL;
	struct pal_error error = {0};
	int r;

	told->struck = NULL;
	fault.at = at;
	fault.count = 0;
	fault.role = role;
	r = isolate_pool_new(&options, &pool, &error);
	if (r == 0)
		call_with_fault(pool, bytes);
	fault.role = NOBODY;
	if (r < 0) {
		ck_assert_int_eq(error.code, r);
		ck_assert_str_ne(error.text, "");
		ck_assert(told->struck);
		return true;
	}
	refresh(pool);
	check_that_it_works(pool);
	isolate_pool_free(pool);
	return told->struck;
}

START_TEST(whatever_fails_is_told_truly_and_passes)
{
	unsigned char *bytes = malloc(sizes[1]);
	enum role role = HOST + _i / 2;
	int at = 1;

	for (size_t i = 0; i < sizes[1]; i++)
		bytes[i] = pattern(i);
	test_process = getpid();
	told = shared_memory(sizeof *told);
	/* With and without spare copies, in turn: both have to have come to their end. */
	for (int without = 0; without < 2; at++)
		without = survives(role, at, _i % 2 ? 2 : 0, bytes) ? 0 : without + 1;
	ck_assert_int_gt(at, role == HOST ? 40 : 6);
	munmap(told, sizeof *told);
	free(bytes);
}
END_TEST

static Suite *make_suite(void)
{
	Suite *suite = suite_create("isolate/pool-faults");
	TCase *faults = isolate_tcase(suite, "faults");

	tcase_set_timeout(faults, 120);
	tcase_add_loop_test(faults, whatever_fails_is_told_truly_and_passes, 0, 6);
	return suite;
}
SUPPORT_MAIN(make_suite)
