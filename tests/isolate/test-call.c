/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "isolate-support.h"

#define KIB ((size_t)1 << 10)
#define MIB ((size_t)1 << 20)

static int say_hello(struct isolate_writer *out, void *arg)
{
	(void)arg;
	isolate_write(out, "hel", 3);
	isolate_write(out, "lo", 2);
	return -17;
}

START_TEST(the_bytes_the_value_and_the_status_come_back)
{
	struct isolate_result result;

	ck_assert_int_eq(isolate_call(say_hello, NULL, NULL, &result), ISOLATE_RETURNED);
	ck_assert_answer(&result, ISOLATE_RETURNED);
	ck_assert_uint_eq(result.size, 5);
	ck_assert_mem_eq(result.data, "hello", 5);
	ck_assert_int_eq(result.value, -17); /* its failure, and none of the library's */
	ck_assert_int_eq(result.error.code, 0);
	ck_assert(result.status_known);
	ck_assert(!result.status.signaled);
	ck_assert_int_eq(result.status.code, 0);
	isolate_result_clear(&result);
	ck_assert_ptr_null(result.data);
	isolate_result_clear(&result);
	isolate_result_clear(NULL);
}
END_TEST

/* S110: no size is special, to the page, to a pipe, or to the writes it was made of */
static const struct order orders[] = {
	{0, 1},
	{1, 1},
	{4096, 7},
	{64 * KIB - 1, 64 * KIB},
	{64 * KIB, 64 * KIB},
	{64 * KIB, 1000},
	{64 * KIB + 1, 1},
	{64 * KIB + 1, 64 * KIB},
	{64 * KIB + 1, MIB},
	{128 * KIB, 64 * KIB},
	{430000, 430000},
	{430000, 65535},
	{430000, 65537},
	{430000, 4093},
	{16 * MIB, 16 * MIB},
	{16 * MIB, 100000},
	{256 * MIB, 256 * MIB},
};

START_TEST(a_result_of_any_size_is_byte_identical)
{
	struct order order = orders[_i];
	struct isolate_result result;

	isolate_call(write_pattern, &order, NULL, &result);
	check_pattern(&result, order.size);
	if (result.size) /* it is the caller's memory */
		memset(result.data, 0xaa, result.size);
	isolate_result_clear(&result);
}
END_TEST

static int mix_small_and_long_writes(struct isolate_writer *out, void *arg)
{
	static unsigned char bytes[300000];
	size_t at = 0;

	(void)arg;
	for (size_t i = 0; i < sizeof bytes; i++)
		bytes[i] = pattern(i);
	for (size_t size = 1; at < sizeof bytes; size = size % 100003 * 3 + 1) {
		size_t left = sizeof bytes - at;

		if (isolate_write(out, bytes + at, size < left ? size : left) < 0)
			return -1;
		at += size < left ? size : left;
	}
	return 0;
}

START_TEST(small_and_long_writes_keep_their_order)
{
	struct isolate_result result;

	isolate_call(mix_small_and_long_writes, NULL, NULL, &result);
	check_pattern(&result, 300000);
	isolate_result_clear(&result);
}
END_TEST

struct bounded {
	struct order order;
	int written; /* what isolate_write said */
	int went_on;
};

static int write_and_go_on(struct isolate_writer *out, void *arg)
{
	struct bounded *bounded = arg;

	bounded->written = write_pattern(out, &bounded->order);
	bounded->went_on = isolate_write(out, "", 0) == bounded->written;
	return 3;
}

static const size_t bounds[] = {1, 10, 64 * KIB - 1, 64 * KIB, 64 * KIB + 1, 100000};

START_TEST(max_result_is_exact_and_the_function_is_told)
{
	struct bounded *bounded = shared_memory(sizeof *bounded);
	struct isolate_options options = {ISOLATE_OPTIONS_INIT, .max_result = bounds[_i]};
	struct isolate_result result;

	*bounded = (struct bounded){.order = {bounds[_i], 5000}};
	ck_assert_int_eq(
		isolate_call(write_and_go_on, bounded, &options, &result), ISOLATE_RETURNED);
	ck_assert_int_eq(bounded->written, 0);
	ck_assert_uint_eq(result.size, bounds[_i]);
	isolate_result_clear(&result);

	*bounded = (struct bounded){.order = {bounds[_i] + 1, 5000}};
	isolate_call(write_and_go_on, bounded, &options, &result);
	ck_assert_failure(&result, ISOLATE_EXECUTED, ISOLATE_STAGE_RESULT, -EFBIG);
	ck_assert_int_eq(bounded->written, -EFBIG);
	ck_assert(bounded->went_on);
	ck_assert_int_eq(result.value, 3);
	munmap(bounded, sizeof *bounded);
}
END_TEST

static int write_after_a_limit_on_files(struct isolate_writer *out, void *arg)
{
	struct order order = {MIB, MIB};

	(void)arg;
	setrlimit(RLIMIT_FSIZE, &(struct rlimit){100000, 100000});
	return write_pattern(out, &order);
}

START_TEST(a_limit_on_file_sizes_is_an_error_and_no_signal)
{
	struct isolate_result result;

	isolate_call(write_after_a_limit_on_files, NULL, NULL, &result);
	ck_assert_failure(&result, ISOLATE_EXECUTED, ISOLATE_STAGE_RESULT, -EFBIG);
	ck_assert_int_eq(result.value, -EFBIG);
}
END_TEST

/* To the byte, also in memory that has served before. */
START_TEST(a_limit_on_file_sizes_is_exact)
{
	size_t size = 300000;
	struct order order = {size, _i ? 1000 : size};
	struct isolate_result result;
	struct isolate_rlimit limit = {RLIMIT_FSIZE, {size, size}};
	struct isolate_options options = {
		ISOLATE_OPTIONS_INIT, .rlimits = &limit, .rlimit_count = 1};

	for (int i = 0; i < 3; i++) {
		isolate_call(write_pattern, &order, &options, &result);
		check_pattern(&result, size);
		isolate_result_clear(&result);
	}
	limit.limit.rlim_cur--;
	isolate_call(write_pattern, &order, &options, &result);
	ck_assert_failure(&result, ISOLATE_EXECUTED, ISOLATE_STAGE_RESULT, -EFBIG);
}
END_TEST

static int misuse_the_writer(struct isolate_writer *out, void *arg)
{
	(void)arg;
	if (isolate_write(NULL, "x", 1) != -EINVAL || isolate_write(out, NULL, 0) != 0)
		return 1;
	return isolate_write(out, NULL, 1) == -EINVAL ? 0 : 2;
}

/* S176 */
START_TEST(a_misused_writer_loses_the_result_only)
{
	struct isolate_result result;

	isolate_call(misuse_the_writer, NULL, NULL, &result);
	ck_assert_failure(&result, ISOLATE_EXECUTED, ISOLATE_STAGE_RESULT, -EINVAL);
	ck_assert_int_eq(result.value, 0);
}
END_TEST

static int global = 1;

struct memory {
	char *heap;
	int *stack;
};

static int change_everything(struct isolate_writer *out, void *arg)
{
	struct memory *memory = arg;

	(void)out;
	global = 2;
	*memory->stack = 2;
	memset(memory->heap, 2, 1000);
	free(memory->heap);
	return 0;
}

/* S114 */
START_TEST(what_the_function_does_to_memory_stays_in_the_child)
{
	int stack = 1;
	struct memory memory = {malloc(1000), &stack};
	struct isolate_result result;

	ck_assert_ptr_nonnull(memory.heap);
	memset(memory.heap, 1, 1000);
	ck_assert_int_eq(isolate_call(change_everything, &memory, NULL, &result), ISOLATE_RETURNED);
	ck_assert_int_eq(global, 1);
	ck_assert_int_eq(stack, 1);
	for (int i = 0; i < 1000; i++)
		ck_assert_int_eq(memory.heap[i], 1);
	free(memory.heap);
}
END_TEST

static long resident_pages(void)
{
	FILE *statm = fopen("/proc/self/statm", "re");
	long total, resident;

	ck_assert_ptr_nonnull(statm);
	ck_assert_int_eq(fscanf(statm, "%ld %ld", &total, &resident), 2);
	fclose(statm);
	return resident;
}

static int leak_a_mebibyte(struct isolate_writer *out, void *arg)
{
	volatile char *leaked = malloc(MIB);

	(void)out;
	(void)arg;
	for (size_t i = 0; leaked && i < MIB; i += 4096)
		leaked[i] = 1;
	return leaked != NULL;
}

/* S114 */
START_TEST(a_leak_in_the_function_ends_with_it)
{
	struct isolate_result result;
	long before;

	isolate_call(leak_a_mebibyte, NULL, NULL, &result); /* what the first call itself needs */
	before = resident_pages();
	for (int i = 0; i < 200; i++) {
		ck_assert_int_eq(
			isolate_call(leak_a_mebibyte, NULL, NULL, &result), ISOLATE_RETURNED);
		ck_assert_int_eq(result.value, 1);
	}
	ck_assert_int_lt(resident_pages() - before, 20 * (long)MIB / sysconf(_SC_PAGESIZE));
}
END_TEST

struct shared_things {
	int fd;
	int *mapping;
};

static int change_shared_things(struct isolate_writer *out, void *arg)
{
	const struct shared_things *things = arg;

	(void)out;
	*things->mapping = 2;
	return (int)lseek(things->fd, 5, SEEK_SET);
}

/* S115: as with any fork(2), and said so in the header */
START_TEST(shared_mappings_and_file_offsets_are_shared)
{
	struct shared_things things = {
		memfd_create("test", MFD_CLOEXEC), shared_memory(sizeof(int))};
	struct isolate_result result;

	*things.mapping = 1;
	ck_assert_int_eq(
		isolate_call(change_shared_things, &things, NULL, &result), ISOLATE_RETURNED);
	ck_assert_int_eq(*things.mapping, 2);
	ck_assert_int_eq(lseek(things.fd, 0, SEEK_CUR), 5);
	close(things.fd);
	munmap(things.mapping, sizeof(int));
}
END_TEST

static int count_call(struct isolate_writer *out, void *arg)
{
	(void)out;
	return ++*(int *)arg;
}

/* S175, S176 */
START_TEST(options_of_other_versions_are_taken_where_nothing_is_lost)
{
	struct {
		struct isolate_options options;
		unsigned char tail[3];
	} newer = {{.size = sizeof newer.options + 3}, {0}};
	struct isolate_options older = {
		.size = offsetof(struct isolate_options, max_result), .max_result = 1};
	struct isolate_result result;
	struct order order = {10, 10};
	int calls = 0;

	isolate_call(write_pattern, &order, &older, &result);
	check_pattern(&result, 10); /* the field that the older caller does not know was not read */
	isolate_result_clear(&result);

	ck_assert_int_eq(
		isolate_call(count_call, &calls, &newer.options, &result), ISOLATE_RETURNED);
	newer.tail[2] = 1;
	isolate_call(count_call, &calls, &newer.options, &result);
	ck_assert_failure(&result, ISOLATE_NOT_EXECUTED, ISOLATE_STAGE_PREPARE, -E2BIG);
}
END_TEST

START_TEST(invalid_arguments_are_not_executed)
{
	struct isolate_options no_size = {.size = 0};
	struct isolate_options short_size = {.size = sizeof(size_t) - 1};
	struct isolate_options negative = {ISOLATE_OPTIONS_INIT, .deadline_ms = -1};
	struct isolate_result result;
	int calls = 0;

	isolate_call(count_call, &calls, &no_size, &result);
	ck_assert_failure(&result, ISOLATE_NOT_EXECUTED, ISOLATE_STAGE_PREPARE, -EINVAL);
	isolate_call(count_call, &calls, &short_size, &result);
	ck_assert_failure(&result, ISOLATE_NOT_EXECUTED, ISOLATE_STAGE_PREPARE, -EINVAL);
	isolate_call(count_call, &calls, &negative, &result);
	ck_assert_failure(&result, ISOLATE_NOT_EXECUTED, ISOLATE_STAGE_PREPARE, -EINVAL);
	isolate_call(NULL, NULL, NULL, &result);
	ck_assert_failure(&result, ISOLATE_NOT_EXECUTED, ISOLATE_STAGE_PREPARE, -EINVAL);
	ck_assert_int_eq(isolate_call(count_call, &calls, NULL, NULL), ISOLATE_NOT_EXECUTED);
}
END_TEST

START_TEST(a_bound_beyond_all_memory_is_no_bound)
{
	struct isolate_options options = {ISOLATE_OPTIONS_INIT, .max_result = SIZE_MAX};
	struct order order = {MIB, 1000};
	struct isolate_result result;

	isolate_call(write_pattern, &order, &options, &result);
	check_pattern(&result, MIB);
	isolate_result_clear(&result);
}
END_TEST

static void *call_in_thread(void *arg)
{
	static struct order order = {MIB, MIB};

	isolate_call(write_pattern, &order, NULL, arg);
	return NULL;
}

START_TEST(a_result_outlives_the_thread_that_called)
{
	struct isolate_result result;
	pthread_t thread;

	ck_assert_int_eq(pthread_create(&thread, NULL, call_in_thread, &result), 0);
	pthread_join(thread, NULL);
	check_pattern(&result, MIB);
	isolate_result_clear(&result);
}
END_TEST

static Suite *make_suite(void)
{
	Suite *suite = suite_create("isolate/call");
	TCase *result = isolate_tcase(suite, "result");
	TCase *memory = isolate_tcase(suite, "memory");
	TCase *arguments = isolate_tcase(suite, "arguments");

	tcase_add_test(result, the_bytes_the_value_and_the_status_come_back);
	tcase_add_loop_test(
		result, a_result_of_any_size_is_byte_identical, 0, sizeof orders / sizeof *orders);
	tcase_add_test(result, small_and_long_writes_keep_their_order);
	tcase_add_loop_test(result, max_result_is_exact_and_the_function_is_told, 0,
		sizeof bounds / sizeof *bounds);
	tcase_add_test(result, a_bound_beyond_all_memory_is_no_bound);
	tcase_add_test(result, a_limit_on_file_sizes_is_an_error_and_no_signal);
	tcase_add_loop_test(result, a_limit_on_file_sizes_is_exact, 0, 2);
	tcase_add_test(result, a_result_outlives_the_thread_that_called);
	tcase_add_test(memory, what_the_function_does_to_memory_stays_in_the_child);
	tcase_add_test(memory, a_leak_in_the_function_ends_with_it);
	tcase_add_test(memory, shared_mappings_and_file_offsets_are_shared);
	tcase_add_test(arguments, options_of_other_versions_are_taken_where_nothing_is_lost);
	tcase_add_test(arguments, invalid_arguments_are_not_executed);
	tcase_add_test(arguments, a_misused_writer_loses_the_result_only);
	return suite;
}
SUPPORT_MAIN(make_suite)
