/* SPDX-License-Identifier: MIT */
#include <pal/communicate.h>

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/select.h>
#include <unistd.h>

#include <pal/builder.h>
#include <pal/poll-priv.h>
#include <pal/process.h>

#include "spawn-support.h"
#include "support.h"

/*
 * A host that may open nothing any more, and with a limit below what it has open:
 * children that it has can be waited for, stopped and talked to all the same.
 */

#define FOREVER 600000

/* Numbers of descriptors from here on: those of a small and of a large fd_set. */
static const int lowest[] = {3, FD_SETSIZE + 100};
#define LOWEST (int)(sizeof lowest / sizeof lowest[0])

static int occupied[FD_SETSIZE + 200], count;

static void occupy(int below)
{
	struct rlimit limit = {FD_SETSIZE + 200, FD_SETSIZE + 200};

	if (below > 3)
		ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
	do {
		occupied[count] = open("/dev/null", O_RDONLY | O_CLOEXEC);
		ck_assert_int_ge(occupied[count], 0);
	} while (occupied[count++] < below);
}

static void set_limit(rlim_t limit)
{
	struct rlimit now;

	ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &now), 0);
	now.rlim_cur = limit;
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &now), 0);
}

static void leave_numbers(void)
{
	set_limit(FD_SETSIZE);
	while (count > 0)
		close(occupied[--count]);
}

static struct pal_child *start(const char *how, const char *code)
{
	struct pal_builder *builder = builder_for("end-with", MODE_VFORK);

	pal_builder_arg(builder, how);
	if (code)
		pal_builder_arg(builder, code);
	pal_builder_process_group(builder, 0);
	return spawn_take(builder);
}

START_TEST(a_child_is_waited_for)
{
	struct pal_child *child, *other;
	struct pal_error error = {0};
	struct pal_status status;

	occupy(lowest[_i]);
	child = start("exit", "3");
	other = start("nothing", NULL);
	set_limit(0);
	ck_assert_ok(pal_child_wait(child, PAL_DEADLINE_MS(FOREVER), &status, &error), &error);
	ck_assert_int_eq(status.code, 3);
	ck_assert_int_eq(pal_child_wait(other, PAL_DEADLINE_MS(1), NULL, &error), -ETIMEDOUT);
	ck_assert_int_eq(pal_child_wait_change(other, PAL_CHILD_ENDED | PAL_CHILD_STOPPED,
				 PAL_DEADLINE_MS(1), NULL, &error),
		-ETIMEDOUT);
	ck_assert_int_eq(pal_child_signal(other, SIGTERM), 0);
	ck_assert_int_eq(pal_child_wait_change(
				 other, PAL_CHILD_ENDED, PAL_DEADLINE_MS(FOREVER), NULL, &error),
		PAL_CHILD_ENDED);
	ck_assert_int_eq(pal_child_signal(child, SIGTERM), -ESRCH);
	pal_child_free(child);
	pal_child_free(other);
	leave_numbers();
}
END_TEST

/* The time to leave is given: else it would be SIGKILL. */
START_TEST(a_child_is_asked_to_stop)
{
	struct pal_child *child, *leader;
	struct pal_error error = {0};
	struct pal_status status;

	occupy(lowest[_i]);
	child = start("nothing", NULL);
	leader = start("nothing", NULL);
	set_limit(0);
	ck_assert_ok(pal_child_stop(child, FOREVER, &status, &error), &error);
	ck_assert_int_eq(status.code, SIGTERM);
	ck_assert_ok(pal_child_stop_group(leader, FOREVER, &status, &error), &error);
	ck_assert_int_eq(status.code, SIGTERM);
	pal_child_free(child);
	pal_child_free(leader);
	leave_numbers();
}
END_TEST

START_TEST(it_is_talked_to)
{
	struct pal_communicate_options options = {
		PAL_COMMUNICATE_OPTIONS_INIT, .deadline_ms = FOREVER};
	struct pal_builder *builder = builder_for("say", MODE_VFORK);
	static char input[300000];
	struct pal_error error = {0};
	struct pal_output output;
	struct pal_child *child;

	memset(input, 'x', sizeof input);
	options.input = input;
	options.input_size = sizeof input;
	occupy(lowest[_i]);
	pal_builder_arg(builder, "echo");
	pal_builder_arg(builder, "0");
	pal_builder_stdin(builder, PAL_STDIO_PIPE);
	pal_builder_stdout(builder, PAL_STDIO_PIPE);
	child = spawn_take(builder);
	set_limit(0);
	ck_assert_ok(pal_child_communicate(child, &options, &output, &error), &error);
	ck_assert_uint_eq(output.out_size, sizeof input);
	ck_assert_int_eq(memcmp(output.out, input, sizeof input), 0);
	pal_output_clear(&output);
	pal_child_free(child);
	leave_numbers();
}
END_TEST

/* What is ready, and what is not. */
START_TEST(poll_tells_the_same)
{
	int ends[2];

	occupy(lowest[_i]);
	ck_assert_int_eq(pipe2(ends, O_CLOEXEC), 0);
	for (int limited = 0; limited < 2; limited++) {
		struct pollfd events[] = {{.fd = ends[0], .events = POLLIN},
			{.fd = -1, .events = POLLIN}, {.fd = ends[1], .events = POLLOUT}};
		char byte;

		set_limit(limited ? 0 : (rlim_t)lowest[_i] + 50);
		ck_assert_int_eq(pal__poll(events, 3, -1), 1);
		ck_assert_int_eq(events[0].revents, 0);
		ck_assert_int_eq(events[1].revents, 0);
		ck_assert_int_eq(events[2].revents, POLLOUT);
		ck_assert_int_eq(pal__poll(events, 1, 1), 0);
		ck_assert_int_eq(write(ends[1], "x", 1), 1);
		ck_assert_int_eq(pal__poll(events, 3, -1), 2);
		ck_assert_int_eq(events[0].revents, POLLIN);
		ck_assert_int_eq(events[2].revents, POLLOUT);
		ck_assert_int_eq(read(ends[0], &byte, 1), 1);
		ck_assert_int_eq(pal__poll(NULL, 0, 1), 0);
	}
	close(ends[0]);
	close(ends[1]);
	leave_numbers();
}
END_TEST

static Suite *make_suite(void)
{
	Suite *suite = suite_create("pal/nofile");
	TCase *limited = support_tcase(suite, "limited");

	tcase_add_loop_test(limited, a_child_is_waited_for, 0, LOWEST);
	tcase_add_loop_test(limited, a_child_is_asked_to_stop, 0, LOWEST);
	tcase_add_loop_test(limited, it_is_talked_to, 0, LOWEST);
	tcase_add_loop_test(limited, poll_tells_the_same, 0, LOWEST);
	return suite;
}
SUPPORT_MAIN(make_suite)
