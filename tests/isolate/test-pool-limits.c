/* SPDX-License-Identifier: MIT */

/* What a pool meets where this process has no room for what it needs: no call is executed in vain. */
#include <fcntl.h>
#include <isolate/pool-priv.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "pool-callers.h"

#define LONG_RESULT 100000

static volatile int *entered;

/* Another thread that is faster: as often, it takes the number that is free when one is needed. */
static int robberies;

ssize_t __real_recvmsg(int socket, struct msghdr *message, int flags);
ssize_t __wrap_recvmsg(int socket, struct msghdr *message, int flags);
ssize_t __wrap_recvmsg(int socket, struct msghdr *message, int flags)
{
	int fd = robberies > 0 ? dup(STDERR_FILENO) : -1, saved;
	ssize_t size = __real_recvmsg(socket, message, flags);

	saved = errno;
	if (fd >= 0) {
		robberies--;
		close(fd);
	}
	errno = saved;
	return size;
}

static int write_long(struct isolate_writer *out, const void *in, size_t in_size)
{
	static const char bytes[LONG_RESULT];

	(void)in;
	(void)in_size;
	(*entered)++;
	return isolate_write(out, bytes, sizeof bytes);
}

/* With SIGXFSZ as it is by default: it would end the test. */
START_TEST(files_that_may_not_be_that_long_are_an_error)
{
	static const char bytes[ISOLATE__AREA_SIZE];
	struct rlimit old, limit;
	struct isolate_pool *pool = new_pool(NULL);
	struct isolate_result result;

	if (_i)
		check_that_it_works(pool);
	ck_assert_int_eq(getrlimit(RLIMIT_FSIZE, &old), 0);
	limit = old;
	limit.rlim_cur = _i ? ISOLATE__AREA_SIZE : ISOLATE__AREA_SIZE - 1;
	ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &limit), 0);
	isolate_pool_call(
		pool, echo, bytes, _i ? ISOLATE__INPUT_ROOM + 1 : 1, NULL, &result);
	ck_assert_failure(&result, ISOLATE_NOT_EXECUTED, ISOLATE_STAGE_PREPARE, -EFBIG);
	ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &old), 0);
	check_that_it_works(pool);
	isolate_pool_free(pool);
}
END_TEST

/* Every number is taken: as many descriptors of one pipe as there may be. */
START_TEST(without_a_number_for_the_result_nothing_is_executed)
{
	struct isolate_pool_options options = {ISOLATE_POOL_OPTIONS_INIT, .reuse = _i ? 100 : 1};
	struct isolate_pool *pool;
	struct isolate_result result;
	struct rlimit old, limit;
	int fds[64], count = 0;

	entered = shared_memory(sizeof *entered);
	pool = new_pool(&options);
	check_that_it_works(pool);
	ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &old), 0);
	limit = old;
	limit.rlim_cur = 64;
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
	while (count < 64 && (fds[count] = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 0)) >= 0)
		count++;
	isolate_pool_call(pool, write_long, NULL, 0, NULL, &result);
	ck_assert_failure(&result, ISOLATE_NOT_EXECUTED, ISOLATE_STAGE_PREPARE, -EMFILE);
	ck_assert_int_eq(*entered, 0);
	close(fds[--count]);
	robberies = getenv("PROCMESH_UNDER_VALGRIND") ? 0 : 2; /* which keeps the limit for itself */
	isolate_pool_call(pool, write_long, NULL, 0, NULL, &result);
	ck_assert_answer(&result, ISOLATE_RETURNED);
	ck_assert_uint_eq(result.size, LONG_RESULT);
	isolate_result_clear(&result);
	ck_assert_int_eq(robberies, 0);
	while (count > 0)
		close(fds[--count]);
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &old), 0);
	isolate_pool_free(pool);
	munmap((void *)entered, sizeof *entered);
}
END_TEST

#define PLACES 30
#define NUMBERS 140 /* enough here, and too few for what a snapshot needs for its copies */

static int give_limit(struct isolate_writer *out, const void *in, size_t in_size)
{
	struct rlimit limit;

	(void)in;
	(void)in_size;
	return getrlimit(RLIMIT_NOFILE, &limit) < 0 ? -1 : isolate_write_value(out, &limit);
}

START_TEST(where_there_are_numbers_for_all_calls_there_are_for_all_copies)
{
	struct isolate_options few_bytes = {ISOLATE_OPTIONS_INIT, .max_result = 1000};
	struct isolate_pool_options options = {ISOLATE_POOL_OPTIONS_INIT, .at_once = PLACES};
	struct caller callers[PLACES];
	struct isolate_pool *pool;
	struct isolate_result result;
	struct rlimit old, limit;

	set_board();
	ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &old), 0);
	limit = old;
	limit.rlim_cur = NUMBERS;
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
	pool = new_pool(&options);
	for (int i = 0; i < PLACES; i++) {
		callers[i] = (struct caller){.pool = pool, .fn = stay, .options = &few_bytes};
		start_caller(&callers[i]);
		await_entered(i + 1);
	}
	support_tell_one_more(&board->go);
	for (int i = 0; i < PLACES; i++) {
		join(&callers[i]);
		ck_assert_answer(&callers[i].result, ISOLATE_RETURNED);
		isolate_result_clear(&callers[i].result);
	}
	isolate_pool_call(pool, give_limit, NULL, 0, &few_bytes, &result);
	ck_assert_int_eq(isolate_result_value(&result, &limit), 0);
	ck_assert_uint_eq(limit.rlim_cur, NUMBERS);
	ck_assert_uint_eq(limit.rlim_max, old.rlim_max);
	isolate_result_clear(&result);
	isolate_pool_free(pool);
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &old), 0);
	drop_board();
}
END_TEST

START_TEST(what_is_kept_has_to_be_open)
{
	int fd = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 500), kept[] = {fd};
	struct isolate_options worker = {ISOLATE_OPTIONS_INIT};
	struct isolate_pool_options options = {ISOLATE_POOL_OPTIONS_INIT, .worker = &worker};
	struct isolate_pool *pool;
	struct pal_error error = {0};

	if (_i == 0) {
		worker.keep_fds = kept;
		worker.keep_fd_count = 1;
	} else {
		worker.std_out = PAL_STDIO_FD(fd);
	}
	pool = new_pool(&options);
	close(fd);
	ck_assert_int_eq(isolate_pool_refresh(pool, &error), -EBADF);
	ck_assert_int_eq(error.stage, ISOLATE_STAGE_PREPARE);
	check_that_it_works(pool);
	isolate_pool_free(pool);
	ck_assert_int_eq(isolate_pool_new(&options, &pool, &error), -EBADF);
}
END_TEST

/* What came to its number is nobody's to be given: most of all not what the pool itself has. */
START_TEST(what_is_kept_has_to_be_the_same_file)
{
	int ends[2], others[2], fd;
	struct isolate_options worker = {ISOLATE_OPTIONS_INIT,
		.keep_fds = &fd,
		.keep_fd_count = 1,
		.max_result = 1000}; /* for which no number is kept free */
	struct isolate_pool_options options = {ISOLATE_POOL_OPTIONS_INIT, .worker = &worker};
	struct isolate_pool *pool;
	struct pal_error error = {0};

	ck_assert_int_eq(pipe2(ends, O_CLOEXEC) | pipe2(others, O_CLOEXEC), 0);
	fd = ends[0];
	pool = new_pool(&options);
	refresh(pool);
	close(fd);
	check_that_it_works(pool);
	if (_i) /* the program's own */
		ck_assert_int_eq(dup3(others[0], fd, O_CLOEXEC), fd);
	ck_assert_int_ge(fcntl(fd, F_GETFD), 0); /* the lowest number: the pool's area by now */
	ck_assert_int_eq(isolate_pool_refresh(pool, &error), -EBADF);
	ck_assert_int_eq(error.stage, ISOLATE_STAGE_PREPARE);
	check_that_it_works(pool);
	isolate_pool_free(pool);
	if (_i)
		close(fd);
	close(ends[1]);
	close(others[0]);
	close(others[1]);
}
END_TEST

START_TEST(more_places_than_descriptors_are_refused)
{
	struct isolate_pool_options options = {ISOLATE_POOL_OPTIONS_INIT, .at_once = 22};
	struct isolate_pool *pool;
	struct rlimit old, limit;
	struct pal_error error = {0};

	ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &old), 0);
	limit = old;
	limit.rlim_cur = 64;
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
	ck_assert_int_eq(isolate_pool_new(&options, &pool, &error), -EMFILE);
	ck_assert_int_eq(error.stage, ISOLATE_STAGE_PREPARE);
	ck_assert_msg(strstr(error.text, "22 calls at once") != NULL, "%s", error.text);
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &old), 0);
	pool = new_pool(&options);
	check_that_it_works(pool);
	isolate_pool_free(pool);
}
END_TEST

/* What pool.h says that they take: five for a call and five for the pool; a refresh has no old one's call. */
START_TEST(as_many_descriptors_as_are_told_of_are_enough)
{
	struct isolate_pool_options options = {
		ISOLATE_POOL_OPTIONS_INIT, .at_once = 1, .reuse = _i ? 10 : 1};
	struct isolate_pool *pool;
	struct isolate_result result;
	struct rlimit old, limit;
	int fds[64], count = 0;

	entered = shared_memory(sizeof *entered);
	ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &old), 0);
	limit = old;
	limit.rlim_cur = 64;
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
	while (count < 64 && (fds[count] = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 0)) >= 0)
		count++;
	for (int i = 0; i < 10; i++)
		close(fds[--count]);
	pool = new_pool(&options);
	for (int i = 0; i < 3; i++) {
		isolate_pool_call(pool, write_long, NULL, 0, NULL, &result);
		ck_assert_answer(&result, ISOLATE_RETURNED);
		ck_assert_uint_eq(result.size, LONG_RESULT);
		isolate_result_clear(&result);
	}
	for (int i = 0; i < 5; i++) /* with the three and four that it has, and eight */
		close(fds[--count]);
	refresh(pool);
	check_that_it_works(pool);
	isolate_pool_free(pool);
	while (count > 0)
		close(fds[--count]);
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &old), 0);
	munmap((void *)entered, sizeof *entered);
}
END_TEST

START_TEST(input_that_cannot_be_read_leaves_no_memory_behind)
{
	const size_t size = (size_t)4 << 20, page = 4096;
	struct isolate_pool_options options = {ISOLATE_POOL_OPTIONS_INIT, .at_once = 1};
	struct isolate_pool *pool = new_pool(&options);
	struct isolate_result result;
	struct stat st;
	char *in = mmap(
		NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	ck_assert(in != MAP_FAILED);
	ck_assert_int_eq(mprotect(in + size - page, page, PROT_NONE), 0);
	check_that_it_works(pool);
	isolate_pool_call(pool, echo, in, size, NULL, &result);
	ck_assert_failure(&result, ISOLATE_NOT_EXECUTED, ISOLATE_STAGE_PREPARE, -EFAULT);
	ck_assert_int_eq(fstat(pool->current->slots[0].area_fd, &st), 0);
	ck_assert_int_eq(st.st_size, ISOLATE__AREA_SIZE);
	check_that_it_works(pool);
	munmap(in, size);
	isolate_pool_free(pool);
}
END_TEST

static Suite *make_suite(void)
{
	Suite *suite = suite_create("isolate/pool-limits");
	TCase *limits = isolate_tcase(suite, "limits");

	tcase_add_loop_test(limits, files_that_may_not_be_that_long_are_an_error, 0, 2);
	tcase_add_loop_test(limits, without_a_number_for_the_result_nothing_is_executed, 0, 2);
	tcase_add_test(limits, where_there_are_numbers_for_all_calls_there_are_for_all_copies);
	tcase_add_loop_test(limits, what_is_kept_has_to_be_open, 0, 2);
	tcase_add_loop_test(limits, what_is_kept_has_to_be_the_same_file, 0, 2);
	tcase_add_test(limits, more_places_than_descriptors_are_refused);
	tcase_add_loop_test(limits, as_many_descriptors_as_are_told_of_are_enough, 0, 2);
	tcase_add_test(limits, input_that_cannot_be_read_leaves_no_memory_behind);
	return suite;
}
SUPPORT_MAIN(make_suite)
