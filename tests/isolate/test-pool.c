/* SPDX-License-Identifier: MIT */

/* Calls of pools, each answer by a real cause. In every test once with a copy for each call and once reused. */
#include <isolate/pool-priv.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "pool-support.h"

/* ---- results ---- */

static const size_t sizes[] = {0, 8, (64 << 10), (64 << 10) + 1, 16 << 20};

START_TEST(input_and_result_of_every_size_arrive)
{
	struct isolate_pool *pool = pool_of(_i);
	struct isolate_result result;
	unsigned char *bytes = malloc(sizes[4]);

	for (size_t i = 0; i < sizes[4]; i++)
		bytes[i] = pattern(i);
	for (int round = 0; round < 2; round++)
		for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
			isolate_pool_call(pool, echo, bytes, sizes[i], NULL, &result);
			check_pattern(&result, sizes[i]);
			ck_assert_int_eq(result.status_known, !_i);
			isolate_result_clear(&result);
		}
	free(bytes);
	isolate_pool_free(pool);
}
END_TEST

static int value_is_size(struct isolate_writer *out, const void *in, size_t in_size)
{
	(void)out;
	return in ? (int)in_size : -1;
}

START_TEST(no_input_is_still_somewhere)
{
	struct isolate_pool *pool = pool_of(_i);
	struct isolate_result result;

	for (int i = 0; i < 3; i++) {
		isolate_pool_call(pool, value_is_size, NULL, 0, NULL, &result);
		ck_assert_answer(&result, ISOLATE_RETURNED);
		ck_assert_int_eq(result.value, 0);
		ck_assert_ptr_null(result.data);
	}
	isolate_pool_free(pool);
}
END_TEST

START_TEST(a_result_beyond_the_bound_is_lost)
{
	struct isolate_options bound = {ISOLATE_OPTIONS_INIT, .max_result = 100};
	struct isolate_pool *pool = pool_of(_i);
	struct isolate_result result;
	char bytes[101] = {0};

	for (int i = 0; i < 3; i++) {
		isolate_pool_call(pool, echo, bytes, 100, &bound, &result);
		ck_assert_answer(&result, ISOLATE_RETURNED);
		isolate_result_clear(&result);
		isolate_pool_call(pool, echo, bytes, 101, &bound, &result);
		ck_assert_failure(&result, ISOLATE_EXECUTED, ISOLATE_STAGE_RESULT, -EFBIG);
	}
	check_that_it_works(pool);
	isolate_pool_free(pool);
}
END_TEST

/* ---- ways of leaving ---- */

static jmp_buf outside;

static int leave(struct isolate_writer *out, const void *in, size_t in_size)
{
	(void)in_size;
	(void)isolate_write(out, "lost", 4);
	switch (*(const char *)in) {
	case 'e':
		exit(7);
	case '_':
		_exit(7);
	case 'x':
		execl("/bin/true", "true", (char *)NULL);
		return 0;
	case 'l':
		longjmp(outside, 1);
	case 'k':
		raise(SIGKILL);
		return 0;
	case 's':
		signal(SIGSEGV, SIG_DFL);
		raise(SIGSEGV);
		return 0;
	case 'p':
		pthread_exit(NULL);
	}
	return 0;
}

static const char ways[] = "e_xlksp";

START_TEST(whoever_leaves_is_known_to_have_left)
{
	struct isolate_pool *pool;
	struct isolate_result result;

	if (setjmp(outside))
		_exit(99);
	pool = pool_of(_i);
	for (const char *way = ways; *way; way++) {
		isolate_pool_call(pool, leave, way, 1, NULL, &result);
		ck_assert_failure(&result, ISOLATE_UNKNOWN, ISOLATE_STAGE_RUN, -ECHILD);
		ck_assert(result.status_known);
		ck_assert_int_eq(result.status.signaled, *way == 'k' || *way == 's');
		check_that_it_works(pool);
	}
	isolate_pool_free(pool);
}
END_TEST

static int close_all(struct isolate_writer *out, const void *in, size_t in_size)
{
	for (int fd = 0; fd < 1024; fd++)
		close(fd);
	return echo(out, in, in_size);
}

START_TEST(a_short_result_survives_the_closing_of_everything)
{
	static const char bytes[70000];
	struct isolate_pool *pool = pool_of(_i);
	struct isolate_result result;

	for (int i = 0; i < 3; i++) {
		isolate_pool_call(pool, close_all, bytes, 60000, NULL, &result);
		ck_assert_answer(&result, ISOLATE_RETURNED);
		ck_assert_uint_eq(result.size, 60000);
		isolate_result_clear(&result);
		isolate_pool_call(pool, close_all, bytes, 70000, NULL, &result);
		ck_assert_failure(&result, ISOLATE_EXECUTED, ISOLATE_STAGE_RESULT, -EBADF);
	}
	isolate_pool_free(pool);
}
END_TEST

static int first_fd; /* of the library's: those below are of the test's own reports */

static void begin_spoiling(void)
{
	first_fd = dup(1);
	close(first_fd);
}

static int put_a_socket_of_its_own_everywhere(
	struct isolate_writer *out, const void *in, size_t in_size)
{
	for (int fd = first_fd; fd < 64; fd++)
		if (fd != *(const int *)in)
			dup2(*(const int *)in, fd);
	return echo(out, in, in_size);
}

START_TEST(a_long_result_goes_to_no_socket_that_took_the_number)
{
	static int bytes[30000];
	struct isolate_pool *pool;
	struct isolate_result result;
	int ends[2];
	char byte;

	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends), 0);
	begin_spoiling();
	pool = pool_of(_i);
	bytes[0] = ends[1];
	isolate_pool_call(pool, put_a_socket_of_its_own_everywhere, bytes, sizeof bytes, NULL, &result);
	ck_assert_failure(&result, ISOLATE_EXECUTED, ISOLATE_STAGE_RESULT, -EBADF);
	isolate_pool_call(pool, put_a_socket_of_its_own_everywhere, bytes, 8, NULL, &result);
	ck_assert_answer(&result, ISOLATE_RETURNED);
	isolate_result_clear(&result);
	ck_assert_int_eq(recv(ends[0], &byte, 1, MSG_DONTWAIT), -1);
	close(ends[0]);
	close(ends[1]);
	check_that_it_works(pool);
	isolate_pool_free(pool);
}
END_TEST

/* ---- hostile functions ---- */

static int spoil(struct isolate_writer *out, const void *in, size_t in_size)
{
	static const char garbage[1000] = "garbage";
	int how = *(const char *)in;

	(void)in_size;
	signal(SIGPIPE, SIG_IGN);
	for (int fd = first_fd; fd < 256; fd++) {
		(void)!write(fd, garbage, sizeof garbage);
		(void)!send(fd, garbage, sizeof garbage, MSG_DONTWAIT | MSG_NOSIGNAL);
		if (how == 's')
			shutdown(fd, SHUT_RDWR);
	}
	if (how == 'm') {
		memset(out->shared, 0x5a, ISOLATE__INPUT_AT);
		_exit(0);
	}
	return 0;
}

/* S112 */
START_TEST(garbage_costs_no_more_than_the_call)
{
	struct isolate_pool *pool;
	struct isolate_result result;

	begin_spoiling();
	pool = pool_of(_i);
	for (const char *how = "gsmgs"; *how; how++) {
		isolate_pool_call(pool, spoil, how, 1, NULL, &result);
		if (*how == 'm')
			ck_assert_failure(&result, ISOLATE_UNKNOWN, ISOLATE_STAGE_RUN, -EBADMSG);
		else
			ck_assert_answer(&result, ISOLATE_RETURNED);
		check_that_it_works(pool);
		isolate_pool_call(pool, echo, pool, sizeof *pool, NULL, &result);
		ck_assert_answer(&result, ISOLATE_RETURNED);
		isolate_result_clear(&result);
	}
	isolate_pool_free(pool);
}
END_TEST

static volatile pid_t *left_behind; /* shared */

/* Writes to all that there is to have, for ever; or dies of not having it. */
static int disturb(void *userdata)
{
	struct isolate_writer *out = userdata;
	volatile unsigned char *bytes = (volatile unsigned char *)out->shared;

	*left_behind = (pid_t)syscall(SYS_getpid);
	for (size_t at = 0; *left_behind; at++)
		bytes[at % sizeof *out->shared] = 0x5a;
	return 0;
}

static int leave_one_behind(struct isolate_writer *out, const void *in, size_t in_size)
{
	static char stack[64 << 10];
	pid_t pid;

	(void)in_size;
	if (*(const char *)in == 'c') /* with the very same memory, as of a vfork(2) that was cut short */
		pid = clone(disturb, stack + sizeof stack, CLONE_VM | SIGCHLD, out);
	else if ((pid = fork()) == 0)
		disturb(out);
	if (pid < 0)
		return -errno;
	while (!*left_behind)
		usleep(100);
	if (*(const char *)in == 'c')
		raise(SIGKILL);
	/* What disturbs the call that it is of is the function's own affair: it has ended before. */
	waitpid(pid, NULL, 0);
	return isolate_write(out, in, 1);
}

/* It has the descriptors, and not the memory. */
static int leave_a_writer_behind(struct isolate_writer *out, const void *in, size_t in_size)
{
	(void)in_size;
	if (fork() == 0) {
		*left_behind = getpid();
		for (;;) {
			(void)isolate_write(out, "never", 5);
			(void)spoil(out, "g", 1);
		}
	}
	while (!*left_behind)
		usleep(100);
	return isolate_write(out, in, 1);
}

static const struct {
	isolate_pool_fn fn;
	const char *how;
	enum isolate_answer answer;
} leavers[] = {
	{leave_one_behind, "f", ISOLATE_RETURNED},
	{leave_one_behind, "c", ISOLATE_UNKNOWN},
	{leave_a_writer_behind, "w", ISOLATE_RETURNED},
};

START_TEST(who_is_left_behind_disturbs_nobody)
{
	struct isolate_pool *pool;
	struct isolate_result result;
	int leaver = _i / 2;
	unsigned char *bytes;

	if (THREADS_OF_THE_SANITIZER && leaver == 1)
		support_skip("ThreadSanitizer does in such a child what is right after a fork only");
	if (leaver == 1)
		skip_under_valgrind("it has no process that shares memory with another");
	bytes = malloc(200000);
	for (size_t i = 0; i < 200000; i++)
		bytes[i] = pattern(i);
	begin_spoiling();
	left_behind = shared_memory(sizeof *left_behind);
	pool = pool_of(_i & 1);
	isolate_pool_call(pool, leavers[leaver].fn, leavers[leaver].how, 1, NULL, &result);
	ck_assert_answer(&result, leavers[leaver].answer);
	isolate_result_clear(&result);
	for (int i = 0; i < 20; i++) {
		isolate_pool_call(pool, echo, bytes, i % 2 ? 200000 : 100, NULL, &result);
		check_pattern(&result, i % 2 ? 200000 : 100);
		isolate_result_clear(&result);
	}
	kill(*left_behind, SIGKILL);
	free(bytes);
	isolate_pool_free(pool);
	munmap((void *)(uintptr_t)left_behind, sizeof *left_behind);
}
END_TEST

/* ---- time ---- */

static int stay(struct isolate_writer *out, const void *in, size_t in_size)
{
	(void)out;
	(void)in_size;
	if (*(const char *)in == 'i')
		signal(SIGTERM, SIG_IGN);
	if (*(const char *)in == 's')
		raise(SIGSTOP);
	while (*(const volatile char *)in)
		pause();
	return 0;
}

static const struct {
	const char *how;
	int64_t grace_ms;
	int signal;
} stays[] = {{"p", 0, SIGKILL}, {"p", A_HANG_MS, SIGTERM}, {"i", 20, SIGKILL}, {"s", 0, SIGKILL},
	{"s", 20, SIGKILL}};

/* S113 */
START_TEST(at_the_deadline_comes_the_ladder)
{
	struct isolate_options options = {ISOLATE_OPTIONS_INIT, .deadline_ms = 100};
	struct isolate_pool *pool = pool_of(_i);
	struct isolate_result result;

	for (size_t i = 0; i < sizeof stays / sizeof *stays; i++) {
		options.grace_ms = stays[i].grace_ms;
		isolate_pool_call(pool, stay, stays[i].how, 1, &options, &result);
		if (result.answer == ISOLATE_NOT_EXECUTED) /* a very slow machine */
			ck_assert_int_eq(result.error.code, -ETIMEDOUT);
		else
			ck_assert_failure(&result, ISOLATE_UNKNOWN, ISOLATE_STAGE_DEADLINE, -ETIMEDOUT);
		if (result.status_known) {
			ck_assert(result.status.signaled);
			ck_assert_int_eq(result.status.code, stays[i].signal);
		}
		check_that_it_works(pool);
	}
	isolate_pool_free(pool);
}
END_TEST

static Suite *make_suite(void)
{
	Suite *suite = suite_create("isolate/pool");
	TCase *results = isolate_tcase(suite, "results");
	TCase *ends = isolate_tcase(suite, "ends");

	tcase_set_timeout(results, 60);
	tcase_set_timeout(ends, 60);
	tcase_add_loop_test(results, input_and_result_of_every_size_arrive, 0, 2);
	tcase_add_loop_test(results, no_input_is_still_somewhere, 0, 2);
	tcase_add_loop_test(results, a_result_beyond_the_bound_is_lost, 0, 2);
	tcase_add_loop_test(ends, whoever_leaves_is_known_to_have_left, 0, 2);
	tcase_add_loop_test(ends, a_short_result_survives_the_closing_of_everything, 0, 2);
	tcase_add_loop_test(ends, a_long_result_goes_to_no_socket_that_took_the_number, 0, 2);
	tcase_add_loop_test(ends, garbage_costs_no_more_than_the_call, 0, 2);
	tcase_add_loop_test(ends, who_is_left_behind_disturbs_nobody, 0, 6);
	tcase_add_loop_test(ends, at_the_deadline_comes_the_ladder, 0, 2);
	return suite;
}
SUPPORT_MAIN(make_suite)
