/* SPDX-License-Identifier: MIT */

/* What of the program's code a pool has: what was made, changed, or unloaded since its snapshot. */
#include <dlfcn.h>
#include <isolate/pool-priv.h>
#include <pthread.h>
#include <sys/resource.h>

#include "pool-support.h"

static int call_at(struct isolate_pool *pool, void *at)
{
	struct isolate_result result;
	isolate_pool_fn fn;

	memcpy(&fn, &at, sizeof fn);
	isolate_pool_call(pool, fn, NULL, 0, NULL, &result);
	if (result.answer == ISOLATE_RETURNED)
		return result.value;
	ck_assert_failure(&result, ISOLATE_NOT_EXECUTED, ISOLATE_STAGE_SNAPSHOT, -ENOEXEC);
	return -ENOEXEC;
}

static void put_code(unsigned char *page)
{
#if defined __x86_64__
	memcpy(page, "\xf3\x0f\x1e\xfa\xb8\x2a\x00\x00\x00\xc3", 10); /* returns 42 */
#else
	(void)page;
#endif
}

/* Made, as by a compiler at run time: no library tells of it. */
START_TEST(code_that_was_made_later_is_not_there_before_a_refresh)
{
	struct isolate_pool *pool = new_pool(NULL);
	void *code = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	ck_assert(code != MAP_FAILED);
	put_code(code);
	ck_assert_int_eq(call_at(pool, code), -ENOEXEC); /* data */
	ck_assert_int_eq(mprotect(code, 4096, PROT_READ | PROT_EXEC), 0);
	ck_assert_int_eq(call_at(pool, code), -ENOEXEC);
	check_that_it_works(pool);
#if defined __x86_64__
	refresh(pool);
	ck_assert_int_eq(call_at(pool, code), 42);
#endif
	munmap(code, 4096);
	isolate_pool_free(pool);
}
END_TEST

static bool has(struct isolate__code *code, const void *address)
{
	struct pal_error error;

	return isolate__code_check(code, address, &error) == 0;
}

START_TEST(what_was_unloaded_is_not_believed_when_it_comes_back)
{
	void *library = dlopen("libresolv.so.2", RTLD_NOW | RTLD_LOCAL), *function;
	struct isolate__code *code;
	struct pal_error error;

	function = library ? dlsym(library, "ns_get16") : NULL;
	if (!function)
		support_skip("no libresolv.so.2 with ns_get16");
	ck_assert_ok(isolate__code_new(&code, &error), &error);
	ck_assert(has(code, function));
	dlclose(library);
	if (dlopen("libresolv.so.2", RTLD_NOW | RTLD_NOLOAD))
		support_skip("somebody else uses libresolv.so.2");
	ck_assert(!has(code, function));
	library = dlopen("libresolv.so.2", RTLD_NOW | RTLD_LOCAL);
	ck_assert(!has(code, dlsym(library, "ns_get16")));
	ck_assert(has(code, (const void *)echo));
	dlclose(library);
	isolate__code_free(code);
}
END_TEST

/* A library that is unloaded makes every pool look again. */
static void unload_something(void)
{
	void *library = dlopen("libresolv.so.2", RTLD_NOW | RTLD_LOCAL);

	if (!library)
		support_skip("no libresolv.so.2");
	dlclose(library);
	if (dlopen("libresolv.so.2", RTLD_NOW | RTLD_NOLOAD))
		support_skip("somebody else uses libresolv.so.2");
}

START_TEST(what_cannot_be_found_out_is_not_called_missing)
{
	struct isolate_options few_bytes = {ISOLATE_OPTIONS_INIT, .max_result = 1000};
	struct isolate_pool *pool = new_pool(NULL);
	struct isolate_result result;
	struct rlimit before, none;

	check_that_it_works(pool);
	unload_something();
	ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &before), 0);
	none = (struct rlimit){0, before.rlim_max};
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &none), 0);
	isolate_pool_call(pool, echo, "", 0, &few_bytes, &result);
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &before), 0);
	ck_assert_failure(&result, ISOLATE_NOT_EXECUTED, ISOLATE_STAGE_SNAPSHOT, -EMFILE);
	check_that_it_works(pool);
	isolate_pool_free(pool);
}
END_TEST

/* Hooks and probes do that to pages of a program: the mapping is divided into several. */
START_TEST(code_whose_protection_was_changed_is_still_the_same)
{
	size_t page = (size_t)getpagesize();
	unsigned char *code =
		mmap(NULL, 4 * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct isolate_pool *pool;

	ck_assert(code != MAP_FAILED);
	for (int i = 0; i < 4; i++)
		put_code(code + (size_t)i * page);
	ck_assert_int_eq(mprotect(code, 4 * page, PROT_READ | PROT_EXEC), 0);
	pool = new_pool(NULL);
	ck_assert_int_eq(mprotect(code + page, page, PROT_READ | PROT_WRITE | PROT_EXEC), 0);
	ck_assert_int_eq(mprotect(code + 2 * page, page, PROT_READ), 0);
	unload_something();
	ck_assert_int_eq(
		call_at(pool, code + 2 * page), -ENOEXEC); /* nor could it be called here */
#if defined __x86_64__
	ck_assert_int_eq(call_at(pool, code), 42);
	ck_assert_int_eq(call_at(pool, code + page), 42);
	ck_assert_int_eq(call_at(pool, code + 3 * page), 42);
#endif
	ck_assert_int_eq(mprotect(code, 4 * page, PROT_READ | PROT_EXEC), 0);
	unload_something();
	ck_assert_int_eq(
		call_at(pool, code + 2 * page), -ENOEXEC); /* it could be something else now */
	check_that_it_works(pool);
	munmap(code, 4 * page);
	isolate_pool_free(pool);
}
END_TEST

/* ---- a program whose first thread has ended ---- */

static struct isolate_pool *older;

static void *go_on_alone(void *unused)
{
	struct isolate_pool *pool;

	(void)unused;
	SUPPORT_LOOK_UNTIL(access("/proc/self/exe", F_OK) < 0); /* it is gone */
	check_that_it_works(older);
	unload_something();
	check_that_it_works(older);
	refresh(older);
	check_that_it_works(older);
	pool = new_pool(NULL);
	check_that_it_works(pool);
	isolate_pool_free(pool);
	isolate_pool_free(older);
	_exit(EXIT_SUCCESS);
}

START_TEST(pools_go_on_without_the_first_thread)
{
	pthread_t thread;

	skip_under_valgrind("what only the first thread's stack points to is lost, to it");
	older = new_pool(NULL);
	ck_assert_int_eq(pthread_create(&thread, NULL, go_on_alone, NULL), 0);
	pthread_exit(NULL);
}
END_TEST

static Suite *make_suite(void)
{
	Suite *suite = suite_create("isolate/pool-code");
	TCase *code = isolate_tcase(suite, "code");

	tcase_add_test(code, code_that_was_made_later_is_not_there_before_a_refresh);
	tcase_add_test(code, what_was_unloaded_is_not_believed_when_it_comes_back);
	tcase_add_test(code, what_cannot_be_found_out_is_not_called_missing);
	tcase_add_test(code, code_whose_protection_was_changed_is_still_the_same);
	tcase_add_test(code, pools_go_on_without_the_first_thread);
	return suite;
}
SUPPORT_MAIN(make_suite)
