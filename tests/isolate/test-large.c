/* SPDX-License-Identifier: MIT */

/* Large hosts and the largest result. What is copied is counted, not timed. S110, S124 */
#include <isolate/memory.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "pool-support.h"

#define GIB ((size_t)1 << 30)

/* The number in the line of a file of /proc that begins so; -1: there is none. */
static long read_kib(const char *path, const char *name)
{
	FILE *file = fopen(path, "re");
	long kib = -1;
	char line[256];

	while (file && kib < 0 && fgets(line, sizeof line, file))
		if (strncmp(line, name, strlen(name)) == 0)
			kib = strtol(line + strlen(name), NULL, 10);
	if (file)
		fclose(file);
	return kib;
}

/* ---- many mappings ---- */

#define MAPPINGS 2000

/* Neighbours differ, so that the kernel does not make one of them. */
static unsigned char *map_many(size_t page)
{
	unsigned char *all = mmap(
		NULL, MAPPINGS * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	ck_assert(all != MAP_FAILED);
	for (size_t i = 0; i < MAPPINGS; i++) {
		memcpy(all + i * page, &i, sizeof i);
		if (i % 2)
			ck_assert_int_eq(mprotect(all + i * page, page, PROT_READ), 0);
	}
	return all;
}

struct many {
	unsigned char *all;
	size_t page;
};

static int count_lines_of_maps(void)
{
	FILE *maps = fopen("/proc/self/maps", "re");
	int count = 0, c;

	while (maps && (c = fgetc(maps)) != EOF)
		count += c == '\n';
	if (maps)
		fclose(maps);
	return count;
}

static int look_at_many(struct isolate_writer *out, void *arg)
{
	const struct many *many = arg;
	int lines = count_lines_of_maps();

	for (size_t i = 0; i < MAPPINGS; i++)
		if (memcmp(many->all + i * many->page, &i, sizeof i) != 0)
			return -1;
	return isolate_write_value(out, &lines);
}

static int look_at_many_in_pool(struct isolate_writer *out, const void *in, size_t in_size)
{
	(void)in_size;
	return look_at_many(out, (void *)(uintptr_t)in);
}

START_TEST(a_host_of_two_thousand_mappings_is_copied_whole)
{
	struct many many = {.page = (size_t)sysconf(_SC_PAGESIZE)};
	struct isolate_pool *pool;
	struct isolate_result result;
	int lines;

	many.all = map_many(many.page);
	for (int i = 0; i < 20; i++) {
		isolate_call(look_at_many, &many, NULL, &result);
		ck_assert_answer(&result, ISOLATE_RETURNED);
		ck_assert_int_eq(result.value, 0);
		ck_assert_int_eq(isolate_result_value(&result, &lines), 0);
		ck_assert_int_ge(lines, MAPPINGS);
		isolate_result_clear(&result);
	}
	pool = new_pool(NULL);
	isolate_pool_call(pool, look_at_many_in_pool, &many, sizeof many, NULL, &result);
	ck_assert_answer(&result, ISOLATE_RETURNED);
	ck_assert_int_eq(result.value, 0);
	isolate_result_clear(&result);
	isolate_pool_free(pool);
	munmap(many.all, MAPPINGS * many.page);
}
END_TEST

/* ---- a GiB that is left out ---- */

static int tell_page_tables(struct isolate_writer *out, void *unused)
{
	long kib = read_kib("/proc/self/status", "VmPTE:");

	(void)unused;
	return isolate_write_value(out, &kib);
}

static long page_tables_of_child(void)
{
	struct isolate_result result;
	long kib;

	isolate_call(tell_page_tables, NULL, NULL, &result);
	ck_assert_answer(&result, ISOLATE_RETURNED);
	ck_assert_int_eq(isolate_result_value(&result, &kib), 0);
	isolate_result_clear(&result);
	ck_assert_int_gt(kib, 0);
	return kib;
}

/*
 * Of a GiB whose every page the page tables have: 2 MiB of them, and nearly no memory, because
 * what has only been read is the page of zeros. That one page is written to makes a fork copy them.
 */
static unsigned char *map_a_gibibyte(size_t page)
{
	unsigned char *memory =
		mmap(NULL, GIB, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	ck_assert(memory != MAP_FAILED);
	madvise(memory, GIB, MADV_NOHUGEPAGE);
	memory[0] = 1;
	for (size_t at = page; at < GIB; at += page)
		(void)((volatile unsigned char *)memory)[at];
	return memory;
}

START_TEST(a_gibibyte_that_is_left_out_costs_a_fork_nothing)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	long before, with, without;
	unsigned char *memory;

	if (BUILT_WITH_ASAN || BUILT_WITH_TSAN)
		support_skip("a sanitizer's shadow of it has page tables of its own");
	skip_under_valgrind("the page tables are mostly its own");
	before = page_tables_of_child();
	memory = map_a_gibibyte(page);
	with = page_tables_of_child();
	ck_assert_int_eq(isolate_leave_out(memory, GIB), 0);
	without = page_tables_of_child();
	ck_assert_int_ge(with - before, (long)(GIB / page * sizeof(void *) / 1024 * 9 / 10));
	ck_assert_int_le(without - before, 64);
	munmap(memory, GIB);
}
END_TEST

/* ---- a result of a GiB ---- */

#define PIECE ((size_t)1 << 20)
static unsigned char piece[PIECE];

/* Each piece begins with its number. */
static int write_pieces(struct isolate_writer *out, void *arg)
{
	int r = 0;

	for (uint64_t i = 0; i < *(size_t *)arg / PIECE && r == 0; i++) {
		memcpy(piece, &i, sizeof i);
		r = isolate_write(out, piece, PIECE);
	}
	return r;
}

static bool are_pieces(const struct isolate_result *result)
{
	const unsigned char *data = result->data;

	for (uint64_t i = 0; i < result->size / PIECE; i++) {
		memcpy(piece, &i, sizeof i);
		if (memcmp(data + i * PIECE, piece, PIECE) != 0)
			return false;
	}
	return true;
}

/* The longest that is allowed by default; the caller has no copy of it but what arrived. */
START_TEST(a_result_of_a_gibibyte_arrives)
{
	long available = read_kib("/proc/meminfo", "MemAvailable:");
	size_t size = GIB;
	struct isolate_result result;

	if (BUILT_WITH_ASAN || BUILT_WITH_TSAN)
		support_skip("a sanitizer's shadow of it takes too long");
	skip_under_valgrind("it takes too long");
	if (available < (long)(2 * GIB / 1024))
		support_skip("%ld MiB of memory are available, and 2 GiB wanted", available / 1024);
	for (size_t i = 0; i < PIECE; i++)
		piece[i] = pattern(i);
	isolate_call(write_pieces, &size, NULL, &result);
	if (result.error.code == -ENOSPC || result.error.code == -ENOMEM)
		support_skip("no memory for it here: %s", result.error.text);
	ck_assert_answer(&result, ISOLATE_RETURNED);
	ck_assert_int_eq(result.value, 0);
	ck_assert_uint_eq(result.size, size);
	ck_assert(are_pieces(&result));
	isolate_result_clear(&result);

	size += PIECE;
	isolate_call(write_pieces, &size, NULL, &result);
	ck_assert_failure(&result, ISOLATE_EXECUTED, ISOLATE_STAGE_RESULT, -EFBIG);
	isolate_result_clear(&result);
}
END_TEST

static Suite *make_suite(void)
{
	Suite *suite = suite_create("isolate/large");
	TCase *large = isolate_tcase(suite, "large");

	tcase_set_timeout(large, 60);
	tcase_add_test(large, a_host_of_two_thousand_mappings_is_copied_whole);
	tcase_add_test(large, a_gibibyte_that_is_left_out_costs_a_fork_nothing);
	tcase_add_test(large, a_result_of_a_gibibyte_arrives);
	return suite;
}
SUPPORT_MAIN(make_suite)
