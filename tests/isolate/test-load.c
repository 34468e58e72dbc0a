/* SPDX-License-Identifier: MIT */

/* Many calls: one after the other, at once, nested, and beside threads that hold locks. */
#include <dlfcn.h>
#include <errno.h>
#include <pal/deadline.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "isolate-support.h"

/* Of the library: its page is an anonymous shared mapping, a long result one of a memfd. */
static size_t count_mappings(void)
{
	FILE *maps = fopen("/proc/self/maps", "re");
	size_t count = 0;
	char line[512];

	ck_assert_ptr_nonnull(maps);
	while (fgets(line, sizeof line, maps))
		count += strstr(line, "/dev/zero") || strstr(line, "memfd:");
	fclose(maps);
	return count;
}

static int echo(struct isolate_writer *out, void *arg)
{
	static size_t numbers[50000];
	size_t count = *(size_t *)arg;

	for (size_t i = 0; i < count; i++)
		numbers[i] = count + i;
	return isolate_write(out, numbers, count * sizeof *numbers);
}

/* Not ck_assert: it is used in threads and in children. */
static bool is_echo(const struct isolate_result *result, size_t count)
{
	const size_t *numbers = result->data;

	if (result->answer != ISOLATE_RETURNED || result->value != 0 ||
		result->size != count * sizeof *numbers)
		return false;
	for (size_t i = 0; i < count; i++)
		if (numbers[i] != count + i)
			return false;
	return true;
}

/* S123: long results and short ones in turn; the fixture counts descriptors and children */
START_TEST(a_thousand_calls_leave_nothing)
{
	struct isolate_result result;
	size_t before = count_mappings();

	for (int i = 0; i < stress() * 1000 / SLOWNESS; i++) {
		size_t count = i % 10 == 0 ? 20000 : (size_t)i % 1000 + 1;

		isolate_call(echo, &count, NULL, &result);
		ck_assert_answer(&result, ISOLATE_RETURNED);
		ck_assert(is_echo(&result, count));
		isolate_result_clear(&result);
	}
	isolate_trim();
	ck_assert_uint_eq(count_mappings(), before);
}
END_TEST

#define THREADS 8

struct caller {
	pthread_t thread;
	size_t first;
	pal_deadline until; /* at least */
	int wrong;
};

static void *call_many(void *arg)
{
	struct caller *caller = arg;
	size_t at_least = (size_t)stress() * 40 / SLOWNESS;

	for (size_t i = 0; i < at_least || pal_deadline_left_ms(caller->until) > 0; i++) {
		size_t count = caller->first + i % 40 * 997;
		struct isolate_result result;

		isolate_call(echo, &count, NULL, &result);
		if (!is_echo(&result, count))
			caller->wrong++;
		isolate_result_clear(&result);
	}
	return NULL;
}

/* S121. `.ci/run nightly` has them call for a minute, under ThreadSanitizer */
START_TEST(calls_from_eight_threads_do_not_mix_their_answers)
{
	struct caller callers[THREADS];
	pal_deadline until = PAL_DEADLINE_MS(stress_seconds() * 1000);

	for (size_t i = 0; i < THREADS; i++) {
		callers[i] = (struct caller){.first = 1 + i, .until = until};
		ck_assert_int_eq(
			pthread_create(&callers[i].thread, NULL, call_many, &callers[i]), 0);
	}
	for (size_t i = 0; i < THREADS; i++) {
		pthread_join(callers[i].thread, NULL);
		ck_assert_int_eq(callers[i].wrong, 0);
	}
}
END_TEST

struct depth {
	int left;
	bool leave; /* the innermost one calls exit */
};

static int recurse(struct isolate_writer *out, void *arg)
{
	const struct depth *depth = arg;
	struct depth next = {depth->left - 1, depth->leave};
	struct isolate_result result;
	char line[32];

	if (depth->left == 0) {
		if (depth->leave)
			exit(9);
		return 0;
	}
	isolate_call(recurse, &next, NULL, &result);
	isolate_write(out, result.data, result.size);
	snprintf(line, sizeof line, "%d:%d ", depth->left, (int)result.answer);
	isolate_write(out, line, strlen(line));
	isolate_result_clear(&result);
	return result.value;
}

/* S121: only the level that was left is UNKNOWN */
START_TEST(calls_nest_eight_deep)
{
	struct depth depth = {8, _i};
	struct isolate_result result;
	const char *expected =
		_i ? "1:3 2:0 3:0 4:0 5:0 6:0 7:0 8:0 " : "1:0 2:0 3:0 4:0 5:0 6:0 7:0 8:0 ";

	isolate_call(recurse, &depth, NULL, &result);
	ck_assert_answer(&result, ISOLATE_RETURNED);
	ck_assert_uint_eq(result.size, strlen(expected));
	ck_assert_mem_eq(result.data, expected, result.size);
	isolate_result_clear(&result);
}
END_TEST

static atomic_bool over;

static void *hammer_malloc_and_stdio(void *arg)
{
	while (!atomic_load(&over)) {
		char *text = NULL;
		size_t size = 0;
		FILE *memory = open_memstream(&text, &size);
		FILE *null = fopen("/dev/null", "we");

		if (memory) {
			fprintf(memory, "%d %p", 17, (void *)&size);
			fclose(memory);
		}
		if (null) {
			fprintf(null, "%s", text ? text : "");
			fclose(null);
		}
		free(text);
		free(realloc(malloc(100), 100000));
	}
	return arg;
}

/* Registering takes the lock that exit(3) takes as well. */
static void do_nothing(void *arg)
{
	(void)arg;
}

extern int __cxa_atexit(void (*)(void *), void *, void *);
extern void __cxa_finalize(void *);

static void *hammer_exit_handlers(void *arg)
{
	static int handle;

	while (!atomic_load(&over)) {
		__cxa_atexit(do_nothing, NULL, &handle);
		__cxa_finalize(&handle);
	}
	return arg;
}

/* A library that nobody else has open, so that it is mapped, relocated and unmapped each time. */
#define A_LIBRARY "libBrokenLocale.so.1" /* 5 KiB, and a part of glibc */

static void *hammer_dlopen(void *arg)
{
	while (!atomic_load(&over)) {
		void *library = dlopen(A_LIBRARY, RTLD_NOW | RTLD_LOCAL);

		if (library)
			dlclose(library);
	}
	return arg;
}

static int allocate_and_print(struct isolate_writer *out, void *arg)
{
	char *text = NULL;
	size_t size = 0;
	FILE *memory = open_memstream(&text, &size);
	FILE *null = fopen("/dev/null", "we");

	if (!memory || !null)
		return -ENOMEM;
	for (int i = 0; i < 100; i++)
		fprintf(memory, "%d ", i);
	fclose(memory);
	fprintf(null, "%s", text);
	free(realloc(malloc(100), 100000));
	isolate_write(out, text, size);
	free(text);
	return fclose(null) || arg ? 1 : 0;
}

static void *(*const hammers[])(void *) = {
	hammer_malloc_and_stdio, hammer_dlopen, hammer_exit_handlers};
#define HAMMERS 3

/* In its thread: what the calls leave of the processors is enough to hold a lock at any moment. */
static void *hammer(void *arg)
{
	void *(*const *run)(void *) = arg;

	setpriority(PRIO_PROCESS, (id_t)gettid(), 19);
	return (*run)(NULL);
}

static void call_under_hammers(int calls)
{
	struct isolate_options options = {ISOLATE_OPTIONS_INIT, .deadline_ms = A_HANG_MS};
	struct isolate_result result;

	for (int i = 0; i < calls; i++) {
		isolate_call(allocate_and_print, NULL, &options, &result);
		ck_assert_answer(&result, ISOLATE_RETURNED);
		ck_assert_int_eq(result.value, 0);
		ck_assert_uint_eq(result.size, 10 * 2 + 90 * 3);
		isolate_result_clear(&result);
	}
}

/*
 * S109: the child is copied at any point of what the other threads do: 10,000
 * calls in all, beside each hammer alone and beside all. The deadline turns a child
 * that hangs on a lock into a failure of this test, which so asks for more than
 * the clean timeout that would be allowed. All of it takes some 10 s of a
 * processor; only a sanitizer gets fewer calls.
 */
START_TEST(locks_of_other_threads_hold_up_neither_child_nor_parent)
{
	size_t first = _i < HAMMERS ? (size_t)_i : 0, end = _i < HAMMERS ? first + 1 : HAMMERS;
	pthread_t threads[HAMMERS];

	if (!ALLOCATOR_SURVIVES_FORK)
		support_skip("this allocator cannot be used after a fork of a threaded process");
	ck_assert_ptr_null(dlopen(A_LIBRARY, RTLD_NOW | RTLD_NOLOAD));
	ck_assert_int_eq(dlclose(dlopen(A_LIBRARY, RTLD_NOW)), 0);
	atomic_store(&over, false);
	for (size_t i = first; i < end; i++)
		ck_assert_int_eq(pthread_create(&threads[i], NULL, hammer, (void *)&hammers[i]), 0);
	call_under_hammers(stress() * (SLOWNESS > 1 ? 50 : 2500));
	atomic_store(&over, true);
	for (size_t i = first; i < end; i++)
		pthread_join(threads[i], NULL);
}
END_TEST

static Suite *make_suite(void)
{
	Suite *suite = suite_create("isolate/load");
	TCase *calls = isolate_tcase(suite, "calls");

	tcase_set_timeout(calls, 60.0 * stress() + stress_seconds());
	tcase_add_test(calls, a_thousand_calls_leave_nothing);
	tcase_add_test(calls, calls_from_eight_threads_do_not_mix_their_answers);
	tcase_add_loop_test(calls, calls_nest_eight_deep, 0, 2);
	tcase_add_loop_test(
		calls, locks_of_other_threads_hold_up_neither_child_nor_parent, 0, HAMMERS + 1);
	return suite;
}
SUPPORT_MAIN(make_suite)
