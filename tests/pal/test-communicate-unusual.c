/* SPDX-License-Identifier: MIT */
#include <pal/communicate.h>

#include <errno.h>
#include <fcntl.h>
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

static Suite *make_suite(void)
{
	Suite *suite = suite_create("pal/communicate-unusual");
	TCase *children = support_tcase(suite, "children");

	tcase_add_loop_test(children, packets_arrive_all, 0, 4);
	return suite;
}
SUPPORT_MAIN(make_suite)
