/* SPDX-License-Identifier: MIT */
#ifndef PROCMESH_TESTS_SUPPORT_H
#define PROCMESH_TESTS_SUPPORT_H

/*
 * What every test program shares. A suite is made by one function per file:
 *
 *	static Suite *make_suite(void)
 *	{
 *		Suite *suite = suite_create("pal/fdmap");
 *		TCase *moves = support_tcase(suite, "moves");
 *		tcase_add_test(moves, a_cycle_of_three_goes_round);
 *		return suite;
 *	}
 *	SUPPORT_MAIN(make_suite)
 */

#include <check.h>
#include <stdbool.h>
#include <stddef.h>

#include "sanitizers.h"

/* A test case whose tests each fail if they leave a descriptor, a child or a mapping behind. */
TCase *support_tcase(Suite *suite, const char *name);
int support_run(Suite *suite);
#define SUPPORT_MAIN(make_suite) \
	int main(void) \
	{ \
		return support_run(make_suite()); \
	}

/* Whether the kernel or container lacks something: prints the reason and leaves the test as passed. */
#define support_skip(...) support_skip_(__func__, __VA_ARGS__)
void support_skip_(const char *test, const char *format, ...) __attribute__((noreturn, format(printf, 2, 3)));

/* Absolute path of a program of tests/helpers. */
const char *support_helper(const char *name);

/*
 * From here on this process's kernel is one before 6.15: a pidfd does not tell how a child has
 * ended that has been removed. By a filter, which children inherit.
 */
void support_without_pidfd_info(void);

/* For threads and for pal_fork: they return `arg`, or 0, at once. */
void *support_return_arg(void *arg);
int support_return_zero(void *unused);

/* Open descriptors of this process. */
size_t support_open_fds(void);

/* Threads of this process whose name begins so. One that has been joined may be listed for another moment. */
int support_count_threads(const char *name);
/* Those that have a line that begins so in their status in /proc. */
int support_count_threads_with(const char *status);

/* Blocks every signal in this thread, for good, and sends the process each: a thread that has one open ends it. */
void support_send_every_signal(void);

/* Asserts that `call` returned 0 or a count, and shows the pal_error's text if not. */
#define ck_assert_ok(call, error_ptr) \
	do { \
		int ok_result_ = (call); \
		ck_assert_msg(ok_result_ >= 0, "%s: %d: %s", #call, ok_result_, pal_error_text(error_ptr)); \
	} while (0)

#endif
