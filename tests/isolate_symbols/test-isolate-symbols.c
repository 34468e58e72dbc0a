/* SPDX-License-Identifier: MIT */

/* This file is built with debugging information; its functions are static, and one is inlined. */
#include <dlfcn.h>
#include <isolate_symbols/isolate_symbols.h>
#include <stdio.h>
#include <string.h>

#include "crash-support.h"

static const int line_of_the_crash = __LINE__ + 5;

__attribute__((always_inline, no_sanitize("address", "undefined", "thread")))
static inline int inlined(const volatile int *at)
{
	return *at;
}

static const int line_of_the_inlining = __LINE__ + 5;

UNCHECKED static int outer(struct isolate_writer *out, void *arg)
{
	(void)out;
	return inlined(arg) + 1;
}

static const int line_of_the_call = __LINE__ + 4;

UNCHECKED static int caller(struct isolate_writer *out, void *arg)
{
	int value = outer(out, arg);

	NOT_A_TAIL_CALL();
	return value;
}

static struct isolate_symbols *new_symbols(void)
{
	struct isolate_symbols *symbols = NULL;
	struct pal_error error;

	ck_assert_ok(isolate_symbols_new(&symbols, &error), &error);
	return symbols;
}

static void check_place(const struct isolate_place *place, const char *function, int line)
{
	ck_assert_str_eq(place->function, function);
	ck_assert_ptr_nonnull(place->file);
	ck_assert_ptr_nonnull(strstr(place->file, "test-isolate-symbols.c"));
	ck_assert_int_eq(place->line, line);
	ck_assert_ptr_nonnull(strstr(place->module, "test-isolate-symbols"));
}

START_TEST(static_and_inlined_functions_have_file_and_line)
{
	struct isolate_symbols *symbols = new_symbols();
	struct isolate_place places[8];
	struct isolate_result result;
	const struct isolate_crash *crash;

	crash_in(caller, NULL, NULL, &result);
	crash = check_signal(&result, SIGSEGV);
	ck_assert_uint_eq(
		isolate_symbols_resolve(crash->frames[0], places, 8, symbols), 2);
	check_place(&places[0], "inlined", line_of_the_crash);
	check_place(&places[1], "outer", line_of_the_inlining);
	ck_assert_uint_eq(
		isolate_symbols_resolve(crash->frames[1] - 1, places, 8, symbols), 1);
	check_place(&places[0], "caller", line_of_the_call);
	isolate_symbols_free(symbols);
	isolate_result_clear(&result);
}
END_TEST

START_TEST(a_report_is_printed_with_lines)
{
	struct isolate_symbols *symbols = new_symbols();
	struct isolate_result result;
	char text[16384], wanted[64];

	crash_in(caller, NULL, NULL, &result);
	isolate_crash_text(check_signal(&result, SIGSEGV), isolate_symbols_resolve, symbols, text,
		sizeof text);
	snprintf(wanted, sizeof wanted, "test-isolate-symbols.c:%d\n", line_of_the_crash);
	ck_assert_msg(strstr(text, wanted) != NULL, "%s", text);
	ck_assert_msg(strstr(text, "inlined into outer+") != NULL, "%s", text);
	ck_assert_msg(strstr(text, " in caller+") != NULL || strstr(text, " caller+") != NULL, "%s", text);
	ck_assert_msg(strstr(text, "isolate_call") == NULL, "%s", text); /* it ends with the function */
	isolate_symbols_free(symbols);
	isolate_result_clear(&result);
}
END_TEST

/* libc has no debugging information here, or has; its symbols it has in any case. */
START_TEST(a_function_of_a_library_has_its_name)
{
	struct isolate_symbols *symbols = new_symbols();
	struct isolate_place place;
	uintptr_t address = (uintptr_t)dlsym(RTLD_DEFAULT, "getppid");

	ck_assert_uint_eq(isolate_symbols_resolve(address + 1, &place, 1, symbols), 1);
	ck_assert_ptr_nonnull(strstr(place.function, "getppid"));
	ck_assert_uint_eq(place.function_offset, 1);
	ck_assert_ptr_nonnull(strstr(place.module, "libc"));
	isolate_symbols_free(symbols);
}
END_TEST

START_TEST(what_is_no_code_has_no_place)
{
	struct isolate_symbols *symbols = new_symbols();
	struct isolate_place place;

	ck_assert_uint_eq(isolate_symbols_resolve(0, &place, 1, symbols), 0);
	ck_assert_uint_eq(isolate_symbols_resolve(16, &place, 1, symbols), 0);
	ck_assert_uint_eq(isolate_symbols_resolve(UINTPTR_MAX, &place, 1, symbols), 0);
	ck_assert_uint_eq(isolate_symbols_resolve((uintptr_t)outer, &place, 0, symbols), 0);
	ck_assert_uint_eq(isolate_symbols_resolve((uintptr_t)outer, &place, 1, symbols), 1);
	isolate_symbols_free(symbols);
	isolate_symbols_free(NULL);
}
END_TEST

static Suite *make_suite(void)
{
	Suite *suite = suite_create("isolate_symbols");
	TCase *places = isolate_tcase(suite, "places");

	tcase_add_test(places, static_and_inlined_functions_have_file_and_line);
	tcase_add_test(places, a_report_is_printed_with_lines);
	tcase_add_test(places, a_function_of_a_library_has_its_name);
	tcase_add_test(places, what_is_no_code_has_no_place);
	return suite;
}
SUPPORT_MAIN(make_suite)
