/* SPDX-License-Identifier: MIT */

/* An exception thrown by the function, with and without a handler for it in the caller. S113 */
#include <errno.h>
#include <exception>
#include <pthread.h>
#include <stdexcept>
#include <stdlib.h>
#include <string.h>
#include <string>

#include "isolate-support.h"

struct trespass {
	int handlers;
	int destructors;
};
static trespass *seen;

struct counted {
	~counted()
	{
		seen->destructors++;
	}
};

static int throws_out(struct isolate_writer *, void *)
{
	throw std::runtime_error("not caught by the function");
}

static int throws_within(struct isolate_writer *out, void *)
{
	try {
		throws_out(out, nullptr);
	} catch (const std::runtime_error &error) {
		return isolate_write(out, error.what(), strlen(error.what()));
	}
	return -1;
}

static void call_in_a_frame_of_the_caller(isolate_fn fn, isolate_result *result)
{
	counted local;

	isolate_call(fn, nullptr, nullptr, result);
}

START_TEST(an_exception_does_not_reach_the_callers_handler)
{
	isolate_result result;

	seen = static_cast<trespass *>(shared_memory(sizeof *seen));
	try {
		call_in_a_frame_of_the_caller(throws_out, &result);
	} catch (const std::exception &) {
		seen->handlers++;
	}
	ck_assert_failure(&result, ISOLATE_UNKNOWN, ISOLATE_STAGE_RUN, -ECHILD);
	ck_assert_int_eq(seen->handlers, 0);
	ck_assert_int_eq(seen->destructors, 1); /* the parent's own */
	munmap(seen, sizeof *seen);
}
END_TEST

/* noexcept: as main, when nobody above it catches anything. */
static void call_without_handlers(isolate_fn fn, isolate_result *result) noexcept
{
	call_in_a_frame_of_the_caller(fn, result);
}

static void counts_and_aborts()
{
	seen->handlers++;
	abort();
}

static int throws_past_a_local(struct isolate_writer *out, void *arg)
{
	counted local;

	return throws_out(out, arg);
}

START_TEST(an_exception_without_any_handler_ends_the_child_and_terminates_nothing)
{
	isolate_result result;
	std::terminate_handler before = std::set_terminate(counts_and_aborts);

	seen = static_cast<trespass *>(shared_memory(sizeof *seen));
	call_without_handlers(throws_past_a_local, &result);
	std::set_terminate(before);
	ck_assert_failure(&result, ISOLATE_UNKNOWN, ISOLATE_STAGE_RUN, -ECHILD);
	ck_assert_int_eq(result.status.signaled, 0);
	ck_assert_int_eq(result.status.code, 1);
	ck_assert_int_eq(seen->handlers, 0);
	ck_assert_int_eq(seen->destructors, 2); /* the function's, in the child, and the parent's own */
	munmap(seen, sizeof *seen);
}
END_TEST

START_TEST(an_exception_caught_in_the_function_is_its_own_affair)
{
	isolate_result result;

	isolate_call(throws_within, nullptr, nullptr, &result);
	ck_assert_answer(&result, ISOLATE_RETURNED);
	ck_assert_int_eq(result.value, 0);
	ck_assert(std::string(static_cast<char *>(result.data), result.size) ==
		  "not caught by the function");
	isolate_result_clear(&result);
}
END_TEST

static int exits(struct isolate_writer *, void *)
{
	exit(4);
}

static void *call_with_thread_locals(void *arg)
{
	static thread_local counted one;

	(void)one;
	isolate_call(exits, nullptr, nullptr, static_cast<isolate_result *>(arg));
	return nullptr;
}

/* The one thing of the caller's that exit(3) reaches, as the header says. */
START_TEST(exit_runs_thread_local_destructors_and_still_has_its_status)
{
	isolate_result result;
	pthread_t thread;

	seen = static_cast<trespass *>(shared_memory(sizeof *seen));
	ck_assert_int_eq(pthread_create(&thread, nullptr, call_with_thread_locals, &result), 0);
	pthread_join(thread, nullptr);
	ck_assert_failure(&result, ISOLATE_UNKNOWN, ISOLATE_STAGE_RUN, -ECHILD);
	ck_assert_int_eq(result.status.code, 4);
	ck_assert_int_eq(seen->destructors, 2); /* in the child, and at the thread's own end */
	munmap(seen, sizeof *seen);
}
END_TEST

static Suite *make_suite(void)
{
	Suite *suite = suite_create("isolate/leave-cxx");
	TCase *leave = isolate_tcase(suite, "leave");

	tcase_add_test(leave, an_exception_does_not_reach_the_callers_handler);
	tcase_add_test(leave, an_exception_without_any_handler_ends_the_child_and_terminates_nothing);
	tcase_add_test(leave, an_exception_caught_in_the_function_is_its_own_affair);
	tcase_add_test(leave, exit_runs_thread_local_destructors_and_still_has_its_status);
	return suite;
}
SUPPORT_MAIN(make_suite)
