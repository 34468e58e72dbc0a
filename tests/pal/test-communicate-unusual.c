/* SPDX-License-Identifier: MIT */
#include <pal/communicate.h>

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include <pal/builder.h>

#include "spawn-support.h"
#include "support.h"

/* Children and hosts of pal_communicate that are not like most. */

/* A child that runs `fn`, with pipes. */
static struct pal_child *fork_child(int (*fn)(void *arg), void *arg)
{
	struct pal_builder *builder = pal_builder_new(NULL);
	struct pal_error error = {0};
	struct pal_child *child;

	pal_builder_stdin(builder, PAL_STDIO_PIPE);
	pal_builder_stdout(builder, PAL_STDIO_PIPE);
	pal_builder_stderr(builder, PAL_STDIO_PIPE);
	ck_assert_ok(pal_fork(builder, fn, arg, &child, &error), &error);
	pal_builder_free(builder);
	return child;
}

/* ---- packets: pipe(2), O_DIRECT ---- */

static const char *const packets[] = {"one", "two two", "3", "four"};
#define PACKETS (int)(sizeof packets / sizeof packets[0])
#define ALL_PACKETS "onetwo two3four"

static int write_packets(void *arg)
{
	int fd = *(int *)arg;

	if (fcntl(fd, F_SETFL, O_WRONLY | O_DIRECT) < 0)
		return 77;
	for (int i = 0; i < PACKETS; i++)
		if (write(fd, packets[i], strlen(packets[i])) < 0)
			return 1;
	return 0;
}

START_TEST(packets_arrive_all)
{
	int fd = 1 + _i % 2;
	struct pal_communicate_options options = {
		PAL_COMMUNICATE_OPTIONS_INIT, .drain_ms = _i < 2 ? 0 : -1};
	struct pal_child *child = fork_child(write_packets, &fd);
	struct pal_error error = {0};
	struct pal_output output;

	/* They are all there, and the end is, too. */
	ck_assert_ok(pal_child_wait(child, PAL_DEADLINE_NONE, NULL, &error), &error);
	ck_assert_ok(pal_child_communicate(child, &options, &output, &error), &error);
	ck_assert_int_eq(output.status.code, 0);
	ck_assert_str_eq(output.out, fd == 1 ? ALL_PACKETS : "");
	ck_assert_str_eq(output.err, fd == 2 ? ALL_PACKETS : "");
	ck_assert(!output.cut_off);
	pal_output_clear(&output);
	pal_child_free(child);
}
END_TEST

/* ---- what is too long ---- */

static int write_more(void *arg)
{
	return write(*(int *)arg, "more than two", 13) != 13;
}

START_TEST(the_stream_that_is_too_long_is_named)
{
	struct pal_communicate_options options = {PAL_COMMUNICATE_OPTIONS_INIT, .max_output = 2};
	int fd = 1 + _i;
	struct pal_child *child = fork_child(write_more, &fd);
	struct pal_error error = {0};
	struct pal_output output;

	ck_assert_int_eq(pal_child_communicate(child, &options, &output, &error), -EOVERFLOW);
	ck_assert_int_eq(error.stage, PAL_STAGE_STDIO);
	ck_assert_int_eq(error.index, fd);
	pal_child_free(child);
}
END_TEST

static int write_much(void *arg)
{
	static const char page[4096];

	for (int i = 0; i < *(int *)arg; i++)
		if (write(1, page, sizeof page) != sizeof page)
			return 1;
	return 0;
}

static void *collect_truncated(void *arg)
{
	struct pal_communicate_options options = {
		PAL_COMMUNICATE_OPTIONS_INIT, .max_output = 1000, .truncate = true};
	struct pal_output output;

	if (pal_child_communicate(arg, &options, &output, NULL) < 0)
		return NULL;
	if (output.out_size != 1000 || !output.truncated)
		return NULL;
	pal_output_clear(&output);
	return arg;
}

/* In a thread with the smallest stack that there is. */
START_TEST(what_is_thrown_away_needs_no_stack)
{
	int pages = 100;
	struct pal_child *child;
	pthread_attr_t attributes;
	pthread_t thread;
	void *result;

	if (BUILT_WITH_ASAN || BUILT_WITH_TSAN)
		support_skip("a sanitizer needs more stack");
	child = fork_child(write_much, &pages);
	ck_assert_int_eq(pthread_attr_init(&attributes), 0);
	ck_assert_int_eq(pthread_attr_setstacksize(&attributes, (size_t)PTHREAD_STACK_MIN), 0);
	ck_assert_int_eq(pthread_create(&thread, &attributes, collect_truncated, child), 0);
	ck_assert_int_eq(pthread_join(thread, &result), 0);
	ck_assert_ptr_eq(result, child);
	pthread_attr_destroy(&attributes);
	pal_child_free(child);
}
END_TEST

/* ---- signals ---- */

static volatile sig_atomic_t caught;

static void count(int signal)
{
	(void)signal;
	caught++;
}

static int signal_the_parent(void *arg)
{
	char byte;

	(void)arg;
	if (read(0, &byte, 1) != 1 || kill(getppid(), SIGPIPE) < 0)
		return 1;
	while (read(0, &byte, 1) > 0)
		;
	return 0;
}

/* Not one that a write to the child has made, but the host's own. */
START_TEST(a_SIGPIPE_of_somebody_else_arrives)
{
	static const char input[100000];
	struct pal_communicate_options options = {
		PAL_COMMUNICATE_OPTIONS_INIT, .input = input, .input_size = sizeof input};
	struct pal_child *child;
	struct pal_error error = {0};
	struct pal_output output;

	signal(SIGPIPE, count);
	child = fork_child(signal_the_parent, NULL);
	ck_assert_ok(pal_child_communicate(child, &options, &output, &error), &error);
	ck_assert_int_eq(output.status.code, 0);
	ck_assert_int_eq(caught, 1);
	pal_output_clear(&output);
	pal_child_free(child);
}
END_TEST

static Suite *make_suite(void)
{
	Suite *suite = suite_create("pal/communicate-unusual");
	TCase *children = support_tcase(suite, "children");
	TCase *hosts = support_tcase(suite, "hosts");

	tcase_add_loop_test(children, packets_arrive_all, 0, 4);
	tcase_add_loop_test(children, the_stream_that_is_too_long_is_named, 0, 2);
	tcase_add_test(hosts, what_is_thrown_away_needs_no_stack);
	tcase_add_test(hosts, a_SIGPIPE_of_somebody_else_arrives);
	return suite;
}
SUPPORT_MAIN(make_suite)
