/* SPDX-License-Identifier: MIT */

/* Memory that functions do not get: left out, wiped, kept again. */
#include <isolate/memory.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "isolate-support.h"

#define PAGES 8

static size_t page_size(void)
{
	return (size_t)sysconf(_SC_PAGESIZE);
}

static unsigned char *map(size_t size, int flags)
{
	void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, flags | MAP_ANONYMOUS, -1, 0);

	ck_assert(memory != MAP_FAILED);
	memset(memory, 0x5a, size);
	return memory;
}

/* What the child has: for each page a byte of "." not mapped, "0" wiped, "x" as it was, "?" else. */
static int tell_pages(struct isolate_writer *out, void *arg)
{
	const unsigned char *memory = arg;

	for (int i = 0; i < PAGES; i++) {
		const unsigned char *page = memory + (size_t)i * page_size();
		char told;

		if (msync((void *)(uintptr_t)page, page_size(), MS_ASYNC) < 0)
			told = '.';
		else if (*page == page[page_size() - 1])
			told = *page == 0 ? '0' : *page == 0x5a ? 'x' : '?';
		else
			told = '?';
		isolate_write(out, &told, 1);
	}
	return 0;
}

static void check_pages(unsigned char *memory, const char *expected)
{
	struct isolate_result result;
	char told[PAGES + 1] = "";

	isolate_call(tell_pages, memory, NULL, &result);
	ck_assert_answer(&result, ISOLATE_RETURNED);
	memcpy(told, result.data, result.size);
	ck_assert_str_eq(told, expected);
	isolate_result_clear(&result);
	for (size_t i = 0; i < PAGES * page_size(); i++)
		ck_assert_int_eq(memory[i], 0x5a); /* nothing happens to it here */
}

START_TEST(what_is_left_out_is_not_there_and_its_neighbours_are)
{
	unsigned char *memory = map(PAGES * page_size(), _i ? MAP_SHARED : MAP_PRIVATE);
	size_t page = page_size();

	check_pages(memory, "xxxxxxxx");
	ck_assert_int_eq(isolate_leave_out(memory + page, 2 * page), 0);
	check_pages(memory, "x..xxxxx");
	/* one byte less at both ends is one page less at both ends */
	ck_assert_int_eq(isolate_leave_out(memory + 4 * page + 1, 3 * page - 2), 0);
	check_pages(memory, "x..xx.xx");
	ck_assert_int_eq(isolate_keep(memory + 2 * page, page), 0);
	check_pages(memory, "x.xxx.xx");
	ck_assert_int_eq(isolate_keep(memory, PAGES * page), 0);
	check_pages(memory, "xxxxxxxx");
	munmap(memory, PAGES * page);
}
END_TEST

START_TEST(what_is_wiped_is_zero)
{
	unsigned char *memory = map(PAGES * page_size(), MAP_PRIVATE);
	size_t page = page_size();

	ck_assert_int_eq(isolate_wipe(memory + page, 2 * page), 0);
	check_pages(memory, "x00xxxxx");
	ck_assert_int_eq(isolate_leave_out(memory + 2 * page, 2 * page), 0);
	check_pages(memory, "x0..xxxx");
	ck_assert_int_eq(isolate_keep(memory, PAGES * page), 0);
	check_pages(memory, "xxxxxxxx");
	munmap(memory, PAGES * page);
}
END_TEST

START_TEST(a_range_without_a_whole_page_is_refused)
{
	unsigned char *memory = map(PAGES * page_size(), MAP_PRIVATE);
	size_t page = page_size();

	ck_assert_int_eq(isolate_leave_out(memory, 0), -EINVAL);
	ck_assert_int_eq(isolate_leave_out(memory, page - 1), -EINVAL);
	ck_assert_int_eq(isolate_leave_out(memory + 1, page), -EINVAL);
	ck_assert_int_eq(isolate_leave_out(memory + 1, 2 * page - 2), -EINVAL);
	ck_assert_int_eq(isolate_leave_out(memory, SIZE_MAX), -EINVAL);
	ck_assert_int_eq(isolate_leave_out(NULL, 0), -EINVAL);
	ck_assert_int_eq(isolate_keep(memory + 1, page), -EINVAL);
	ck_assert_int_eq(isolate_wipe(memory, 0), -EINVAL);
	ck_assert_int_eq(isolate_wipe(memory + 1, 2 * page - 1), -EINVAL);
	ck_assert_int_eq(isolate_wipe(memory, 2 * page - 1), -EINVAL);
	check_pages(memory, "xxxxxxxx");
	/* and changes nothing */
	ck_assert_int_eq(isolate_leave_out(memory, 2 * page), 0);
	ck_assert_int_eq(isolate_wipe(memory, 2 * page - 1), -EINVAL);
	ck_assert_int_eq(isolate_keep(memory + 1, page), -EINVAL);
	check_pages(memory, "..xxxxxx");
	munmap(memory, PAGES * page);
}
END_TEST

START_TEST(a_range_with_a_hole_is_refused_and_all_of_it_kept)
{
	unsigned char *memory = map(PAGES * page_size(), MAP_PRIVATE);
	size_t page = page_size();

	munmap(memory + 2 * page, page);
	ck_assert_int_eq(isolate_leave_out(memory, 4 * page), -ENOMEM);
	ck_assert_int_eq(isolate_wipe(memory, 4 * page), -ENOMEM);
	ck_assert_int_eq(isolate_keep(memory, 4 * page), -ENOMEM);
	ck_assert(mmap(memory + 2 * page, page, PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) != MAP_FAILED);
	memset(memory + 2 * page, 0x5a, page);
	check_pages(memory, "xxxxxxxx");
	munmap(memory, PAGES * page);
}
END_TEST

START_TEST(what_is_shared_cannot_be_wiped)
{
	unsigned char *memory = map(PAGES * page_size(), MAP_PRIVATE);
	size_t page = page_size();

	ck_assert(mmap(memory + 4 * page, page, PROT_READ | PROT_WRITE,
			  MAP_SHARED | MAP_ANONYMOUS | MAP_FIXED, -1, 0) != MAP_FAILED);
	memset(memory + 4 * page, 0x5a, page);
	ck_assert_int_eq(isolate_wipe(memory, PAGES * page), -EINVAL);
	check_pages(memory, "xxxxxxxx");
	munmap(memory, PAGES * page);
}
END_TEST

static int touch(struct isolate_writer *out, void *arg)
{
	(void)out;
	return *(volatile unsigned char *)arg;
}

START_TEST(a_function_that_touches_what_was_left_out_dies)
{
	unsigned char *memory = map(page_size(), MAP_PRIVATE);
	struct isolate_result result;

	ck_assert_int_eq(isolate_leave_out(memory, page_size()), 0);
	isolate_call(touch, memory, NULL, &result);
	ck_assert_failure(&result, ISOLATE_UNKNOWN, ISOLATE_STAGE_RUN, -ECHILD);
	ck_assert_int_eq(result.status.code, SIGSEGV);
	munmap(memory, page_size());
}
END_TEST

static int look_twice(struct isolate_writer *out, void *arg)
{
	struct isolate_result result;

	isolate_call(touch, arg, NULL, &result);
	return isolate_write(out, &result.value, sizeof result.value);
}

START_TEST(a_fork_of_the_function_gets_zeros_too)
{
	unsigned char *memory = map(page_size(), MAP_PRIVATE);
	struct isolate_result result;

	ck_assert_int_eq(isolate_wipe(memory, page_size()), 0);
	isolate_call(look_twice, memory, NULL, &result);
	ck_assert_answer(&result, ISOLATE_RETURNED);
	ck_assert_int_eq(*(int *)result.data, 0);
	isolate_result_clear(&result);
	munmap(memory, page_size());
}
END_TEST

/* ---- that it makes a fork cheap ---- */

struct size {
	long resident_kib;
	long tables_kib;
};

static int tell_size(struct isolate_writer *out, void *arg)
{
	FILE *status = fopen("/proc/self/status", "re");
	struct size size = {-1, -1};
	char line[256];

	(void)arg;
	while (status && fgets(line, sizeof line, status)) {
		sscanf(line, "VmRSS: %ld", &size.resident_kib);
		sscanf(line, "VmPTE: %ld", &size.tables_kib);
	}
	if (status)
		fclose(status);
	return isolate_write(out, &size, sizeof size);
}

static struct size size_of_child(void)
{
	struct isolate_result result;
	struct size size;

	isolate_call(tell_size, NULL, NULL, &result);
	ck_assert_answer(&result, ISOLATE_RETURNED);
	memcpy(&size, result.data, sizeof size);
	isolate_result_clear(&result);
	ck_assert_int_gt(size.resident_kib, 0);
	ck_assert_int_gt(size.tables_kib, 0);
	return size;
}

#define LARGE ((size_t)128 << 20)

/* S124: neither the memory nor its page tables, of which 128 MiB need 256 KiB */
START_TEST(a_fork_copies_nothing_of_what_is_left_out)
{
	unsigned char *memory =
		mmap(NULL, LARGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct size with, without;

	ck_assert(memory != MAP_FAILED);
	madvise(memory, LARGE, MADV_NOHUGEPAGE);
	memset(memory, 1, LARGE);
	with = size_of_child();
	ck_assert_int_eq(isolate_leave_out(memory, LARGE), 0);
	without = size_of_child();
	ck_assert_int_ge(with.resident_kib - without.resident_kib, 120 << 10);
	ck_assert_int_ge(with.tables_kib - without.tables_kib, 200);
	munmap(memory, LARGE);
}
END_TEST

static Suite *make_suite(void)
{
	Suite *suite = suite_create("isolate/memory");
	TCase *ranges = isolate_tcase(suite, "ranges");
	TCase *effects = isolate_tcase(suite, "effects");

	tcase_add_loop_test(ranges, what_is_left_out_is_not_there_and_its_neighbours_are, 0, 2);
	tcase_add_test(ranges, what_is_wiped_is_zero);
	tcase_add_test(ranges, a_range_without_a_whole_page_is_refused);
	tcase_add_test(ranges, a_range_with_a_hole_is_refused_and_all_of_it_kept);
	tcase_add_test(ranges, what_is_shared_cannot_be_wiped);
	tcase_add_test(effects, a_function_that_touches_what_was_left_out_dies);
	tcase_add_test(effects, a_fork_of_the_function_gets_zeros_too);
	tcase_add_test(effects, a_fork_copies_nothing_of_what_is_left_out);
	return suite;
}
SUPPORT_MAIN(make_suite)
