/* SPDX-License-Identifier: MIT */

/* Functions that disturb the library's descriptors and memory, and processes that outlive them. */
#include <errno.h>
#include <fcntl.h>
#include <isolate/isolate-priv.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "isolate-support.h"

static int write_some(struct isolate_writer *out, size_t size)
{
	int r = 0;

	for (size_t at = 0; at < size && r == 0; at += 10)
		r = isolate_write(out, "0123456789", 10);
	return r;
}

static int close_everything(struct isolate_writer *out, void *arg)
{
	for (int fd = 0; fd < 1024; fd++)
		close(fd);
	return write_some(out, *(size_t *)arg);
}

START_TEST(a_short_result_survives_the_closing_of_everything)
{
	size_t size = 60000;
	struct isolate_result result;

	isolate_call(close_everything, &size, NULL, &result);
	ck_assert_answer(&result, ISOLATE_RETURNED);
	ck_assert_uint_eq(result.size, size);
	isolate_result_clear(&result);
}
END_TEST

START_TEST(a_long_result_is_lost_by_closing_everything)
{
	size_t size = 100000;
	struct isolate_result result;

	isolate_call(close_everything, &size, NULL, &result);
	ck_assert_failure(&result, ISOLATE_EXECUTED, ISOLATE_STAGE_RESULT, -EBADF);
	ck_assert_int_eq(result.value, -EBADF);
}
END_TEST

static int put_a_file_of_its_own_there(struct isolate_writer *out, void *arg)
{
	int victim = *(int *)arg;

	dup2(victim, out->call->memfd);
	return write_some(out, 100000);
}

START_TEST(a_long_result_goes_to_no_file_that_took_the_number)
{
	int victim = memfd_create("victim", MFD_CLOEXEC);
	struct isolate_result result;

	isolate_call(put_a_file_of_its_own_there, &victim, NULL, &result);
	ck_assert_failure(&result, ISOLATE_EXECUTED, ISOLATE_STAGE_RESULT, -EBADF);
	ck_assert_int_eq(lseek(victim, 0, SEEK_END), 0);
	close(victim);
}
END_TEST

/* S112: as a function does that writes to descriptors it believes to be its own */
static int write_garbage_to_the_descriptor(struct isolate_writer *out, void *arg)
{
	int r = write_some(out, 70000);

	(void)arg;
	if (write(out->call->memfd, "garbage", 7) != -1)
		return errno;
	return r < 0 ? r : write_some(out, 30000);
}

START_TEST(garbage_written_to_the_descriptor_spoils_nothing)
{
	struct isolate_result result;

	isolate_call(write_garbage_to_the_descriptor, NULL, NULL, &result);
	ck_assert_answer(&result, ISOLATE_RETURNED);
	ck_assert_int_eq(result.value, 0);
	ck_assert_uint_eq(result.size, 100000);
	for (size_t i = 0; i < result.size; i++)
		ck_assert_int_eq(((char *)result.data)[i], '0' + (int)(i % 10));
	isolate_result_clear(&result);
}
END_TEST

static int lengthen_the_file(struct isolate_writer *out, void *arg)
{
	(void)arg;
	if (ftruncate(out->call->memfd, 200000) < 0)
		return 1;
	return write_some(out, 100000);
}

START_TEST(bytes_that_the_writer_did_not_write_are_noticed)
{
	struct isolate_result result;

	isolate_call(lengthen_the_file, NULL, NULL, &result);
	ck_assert_failure(&result, ISOLATE_EXECUTED, ISOLATE_STAGE_RESULT, -EBADMSG);
	ck_assert_int_eq(result.value, 0);
}
END_TEST

static int fill_the_page_and_die(struct isolate_writer *out, void *arg)
{
	memset(out->shared, *(int *)arg, sizeof *out->shared);
	_exit(0);
}

START_TEST(a_page_written_over_never_reads_as_not_executed)
{
	struct isolate_result result;

	isolate_call(fill_the_page_and_die, &_i, NULL, &result);
	ck_assert_failure(&result, ISOLATE_UNKNOWN, ISOLATE_STAGE_RUN, -EBADMSG);
}
END_TEST

static int announce_too_much(struct isolate_writer *out, void *arg)
{
	out->shared->marks.size = *(uint64_t *)arg;
	out->shared->marks.progress = ISOLATE__COMPLETE;
	_exit(0);
}

static const uint64_t lies[] = {1000001, 1000000, UINT64_MAX, (uint64_t)1 << 32};

START_TEST(announced_bytes_that_are_not_there_are_noticed)
{
	struct isolate_options options = {ISOLATE_OPTIONS_INIT, .max_result = 1000000};
	uint64_t size = lies[_i];
	struct isolate_result result;

	isolate_call(announce_too_much, &size, &options, &result);
	ck_assert_failure(&result, ISOLATE_EXECUTED, ISOLATE_STAGE_RESULT, -EBADMSG);
}
END_TEST

/* A process that the function leaves behind, with every descriptor and mapping of its own. */
struct survivor {
	int go[2];   /* the test closes its end, and the survivor acts */
	int done[2]; /* end of file: it is gone */
	int pwrite_errno;
	int write_result;
};

static void survive(struct isolate_writer *out, struct survivor *survivor)
{
	char byte;

	close(survivor->go[1]);
	close(survivor->done[0]);
	while (read(survivor->go[0], &byte, 1) > 0)
		;
	survivor->pwrite_errno = pwrite(out->call->memfd, "garbage", 7, 0) < 0 ? errno : 0;
	survivor->write_result = isolate_write(out, "garbage", 7);
	_exit(0);
}

static int leave_a_survivor(struct isolate_writer *out, void *arg)
{
	pid_t pid = fork();

	if (pid == 0)
		survive(out, arg);
	return pid < 0 ? -errno : write_some(out, 100000);
}

/* S112 */
START_TEST(a_grandchild_that_keeps_everything_open_neither_delays_nor_changes_the_result)
{
	struct survivor *survivor = shared_memory(sizeof *survivor);
	struct isolate_options options = {ISOLATE_OPTIONS_INIT, .deadline_ms = A_HANG_MS};
	struct isolate_result result;
	char byte;

	ck_assert_int_eq(pipe2(survivor->go, O_CLOEXEC), 0);
	ck_assert_int_eq(pipe2(survivor->done, O_CLOEXEC), 0);
	isolate_call(leave_a_survivor, survivor, &options, &result);
	ck_assert_answer(&result, ISOLATE_RETURNED);
	ck_assert_int_eq(result.value, 0);
	ck_assert_uint_eq(result.size, 100000);

	close(survivor->go[1]);
	close(survivor->done[1]);
	ck_assert_int_eq(read(survivor->done[0], &byte, 1), 0);
	ck_assert_int_eq(survivor->pwrite_errno, EPERM);
	ck_assert_int_eq(survivor->write_result, -EPERM);
	ck_assert_mem_eq(result.data, "0123456789", 10);
	close(survivor->go[0]);
	close(survivor->done[0]);
	isolate_result_clear(&result);
	munmap(survivor, sizeof *survivor);
}
END_TEST

static Suite *make_suite(void)
{
	Suite *suite = suite_create("isolate/hostile");
	TCase *descriptors = isolate_tcase(suite, "descriptors");
	TCase *memory = isolate_tcase(suite, "memory");
	TCase *survivor = isolate_tcase(suite, "survivor");

	tcase_add_test(descriptors, a_short_result_survives_the_closing_of_everything);
	tcase_add_test(descriptors, a_long_result_is_lost_by_closing_everything);
	tcase_add_test(descriptors, a_long_result_goes_to_no_file_that_took_the_number);
	tcase_add_test(descriptors, garbage_written_to_the_descriptor_spoils_nothing);
	tcase_add_test(descriptors, bytes_that_the_writer_did_not_write_are_noticed);
	tcase_add_loop_test(memory, a_page_written_over_never_reads_as_not_executed, 0, 2);
	tcase_add_loop_test(memory, a_page_written_over_never_reads_as_not_executed, 255, 256);
	tcase_add_loop_test(memory, announced_bytes_that_are_not_there_are_noticed, 0,
		sizeof lies / sizeof *lies);
	tcase_add_test(survivor,
		a_grandchild_that_keeps_everything_open_neither_delays_nor_changes_the_result);
	return suite;
}
SUPPORT_MAIN(make_suite)
