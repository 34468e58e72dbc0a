/* SPDX-License-Identifier: MIT */
#include <pal_event/pal_event.h>

#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <pal/builder.h>

#include "event-faults.h"
#include "spawn-support.h"
#include "support.h"

static struct pal_child *start(const char *how, const char *number)
{
	struct pal_builder *builder = builder_for("end-with", MODE_VFORK);

	pal_builder_arg(builder, how);
	if (number)
		pal_builder_arg(builder, number);
	pal_builder_stdin(builder, PAL_STDIO_PIPE);
	return spawn_take(builder);
}

/* What a callback was given, and what it has to free. */
struct record {
	int calls;
	int result;
	bool has_status;
	struct pal_status status;
	struct pal_child *child;
	struct pal_child_event *event; /* to free in the callback, with the child; or NULL */
};

static void on_end(
	struct pal_child *child, const struct pal_status *status, int result, void *userdata)
{
	struct record *record = userdata;

	record->calls++;
	record->result = result;
	record->has_status = status;
	if (status)
		record->status = *status;
	record->child = child;
	/* it has been reaped; what SIGCHLD's disposition removes is gone a moment after its end is told */
	if (result == -ECHILD)
		SUPPORT_LOOK_UNTIL(kill(pal_child_pid(child), 0) < 0);
	ck_assert_int_eq(kill(pal_child_pid(child), 0), -1);
	if (record->event) {
		pal_child_event_free(record->event);
		pal_child_free(child);
	}
}

static struct pal_child_event *watch(
	struct event_base *base, struct pal_child *child, struct record *record)
{
	struct pal_child_event *event;
	struct pal_error error = {0};

	ck_assert_ok(pal_child_event_new(base, child, on_end, record, &event, &error), &error);
	return event;
}

START_TEST(the_end_of_a_child_is_told_once)
{
	struct event_base *base = event_base_new();
	struct pal_child *child = start("stdin", NULL);
	struct record record = {0};
	struct pal_child_event *event = watch(base, child, &record);

	ck_assert_int_eq(event_base_loop(base, EVLOOP_NONBLOCK), 0);
	ck_assert_int_eq(record.calls, 0);
	close(pal_child_steal_stdin(child));
	ck_assert_int_eq(event_base_dispatch(base), 1); /* returns, because nothing is pending */
	ck_assert_int_eq(record.calls, 1);
	ck_assert_int_eq(record.result, 0);
	ck_assert(record.has_status);
	ck_assert_int_eq(record.status.code, 0);
	ck_assert_ptr_eq(record.child, child);
	ck_assert_int_eq(event_base_dispatch(base), 1);
	ck_assert_int_eq(record.calls, 1);
	pal_child_event_free(event);
	ck_assert_int_eq(wait_take(child).code, 0);
	event_base_free(base);
	pal_child_event_free(NULL);
}
END_TEST

/* All of libevent's ways to wait that this kernel has. */
static struct event_base *base_with(const char *method)
{
	struct event_config *config = event_config_new();
	const char **all = event_get_supported_methods();
	struct event_base *base;

	for (; *all; all++)
		if (strcmp(*all, method))
			event_config_avoid_method(config, *all);
	base = event_base_new_with_config(config);
	event_config_free(config);
	ck_assert_ptr_nonnull(base);
	ck_assert_str_eq(event_base_get_method(base), method);
	return base;
}

START_TEST(the_callback_may_free_both)
{
	static const char *const methods[] = {"epoll", "poll", "select"};
	struct event_base *base = base_with(methods[_i]);

	for (int i = 0; i < 200; i++) {
		struct record records[2] = {{0}};

		for (int j = 0; j < 2; j++)
			records[j].event = watch(base, start("exit", j ? "4" : "3"), &records[j]);
		ck_assert_int_eq(event_base_dispatch(base), 1);
		ck_assert_int_eq(records[0].calls, 1);
		ck_assert_int_eq(records[0].status.code, 3);
		ck_assert_int_eq(records[1].calls, 1);
		ck_assert_int_eq(records[1].status.code, 4);
	}
	event_base_free(base);
}
END_TEST

/* Before its end, and when that has come but the loop has not run. */
START_TEST(a_freed_event_is_silent)
{
	struct event_base *base = event_base_new();
	struct record record = {0};

	for (int ended = 0; ended < 2; ended++) {
		struct pal_child *child = start("stdin", NULL);
		struct pal_child_event *event = watch(base, child, &record);
		siginfo_t info;

		if (ended) {
			close(pal_child_steal_stdin(child));
			waitid(P_PID, (id_t)pal_child_pid(child), &info, WEXITED | WNOWAIT);
		}
		errno = EXDEV;
		pal_child_event_free(event);
		ck_assert_int_eq(errno, EXDEV);
		ck_assert_int_eq(event_base_dispatch(base), 1);
		pal_child_free(child);
	}
	ck_assert_int_eq(record.calls, 0);
	event_base_free(base);
}
END_TEST

START_TEST(a_child_that_was_waited_for_is_told_all_the_same)
{
	struct event_base *base = event_base_new();
	struct pal_child *child = start("exit", "5");
	struct record record = {0};

	ck_assert_int_eq(pal_child_wait(child, PAL_DEADLINE_NONE, NULL, NULL), 0);
	record.event = watch(base, child, &record);
	ck_assert_int_eq(record.calls, 0);
	ck_assert_int_eq(event_base_dispatch(base), 1);
	ck_assert_int_eq(record.calls, 1);
	ck_assert_int_eq(record.status.code, 5);
	event_base_free(base);
}
END_TEST

/* S58 */
START_TEST(a_lost_status_is_told)
{
	struct event_base *base = event_base_new();
	struct record record = {0};

	support_without_pidfd_info();
	signal(SIGCHLD, SIG_IGN);
	record.event = watch(base, start("exit", "5"), &record);
	ck_assert_int_eq(event_base_dispatch(base), 1);
	ck_assert_int_eq(record.calls, 1);
	ck_assert_int_eq(record.result, -ECHILD);
	ck_assert(!record.has_status);
	event_base_free(base);
}
END_TEST

static void let_go(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	close(*(int *)arg);
}

/* S62: its pidfd is readable, and it cannot be reaped yet. */
START_TEST(a_traced_child_is_told_when_its_tracer_lets_go)
{
	static const struct timeval soon = {.tv_usec = 20000};
	struct event_base *base = event_base_new();
	struct pal_child *child = start("nothing", NULL);
	struct record record = {0};
	int ready[2], go[2];
	char byte;
	pid_t tracer, traced = pal_child_pid(child);

	ck_assert_int_eq(pipe2(ready, O_CLOEXEC), 0);
	ck_assert_int_eq(pipe2(go, O_CLOEXEC), 0);
	tracer = fork();
	if (tracer == 0) {
		close(go[1]);
		if (ptrace(PTRACE_SEIZE, traced, NULL, NULL) < 0 || write(ready[1], "x", 1) != 1)
			_exit(77);
		while (read(go[0], &byte, 1) > 0)
			;
		syscall(SYS_exit_group, 0);
	}
	ck_assert_int_eq(read(ready[0], &byte, 1), 1);
	record.event = watch(base, child, &record);
	ck_assert_int_eq(pal_child_signal(child, SIGKILL), 0);
	ck_assert_int_eq(event_base_once(base, -1, EV_TIMEOUT, let_go, &go[1], &soon), 0);
	ck_assert_int_eq(event_base_dispatch(base), 1);
	ck_assert_int_eq(record.calls, 1);
	ck_assert_int_eq(record.status.code, SIGKILL);
	ck_assert_int_eq(waitpid(tracer, NULL, 0), tracer);
	close(ready[0]);
	close(ready[1]);
	close(go[0]);
	event_base_free(base);
}
END_TEST

/* ---- failures ---- */

static int left; /* calls until the one that fails */

static bool fails(void)
{
	return left && --left == 0;
}

START_TEST(each_failure_is_told_and_leaves_nothing)
{
	static const int codes[] = {-ENOMEM, -ENOMEM, -ENOMEM, -ENOSPC, 0};
	struct event_base *base = event_base_new();
	struct pal_child *child = start("nothing", NULL);
	struct pal_child_event *event = (void *)-1;

	for (int n = 1; n <= 4; n++) {
		struct pal_error error = {0};

		left = n;
		ck_assert_int_eq(pal_child_event_new(base, child, on_end, NULL, &event, &error),
			codes[n - 1]);
		ck_assert_int_eq(left, 0);
		ck_assert_int_eq(error.code, codes[n - 1]);
		ck_assert_int_eq(error.stage, n == 1 ? PAL_STAGE_MEMORY : PAL_STAGE_WAIT);
		ck_assert_ptr_eq(event, (void *)-1);
		ck_assert_int_eq(event_base_dispatch(base), 1); /* nothing is pending */
	}
	ck_assert_int_eq(pal_child_event_new(NULL, child, on_end, NULL, &event, NULL), -EINVAL);
	ck_assert_int_eq(pal_child_event_new(base, NULL, on_end, NULL, &event, NULL), -EINVAL);
	ck_assert_int_eq(pal_child_event_new(base, child, NULL, NULL, &event, NULL), -EINVAL);
	pal_child_free(child);
	event_base_free(base);
}
END_TEST

static Suite *make_suite(void)
{
	Suite *suite = suite_create("pal_event");
	TCase *ends = support_tcase(suite, "ends");

	tcase_add_test(ends, the_end_of_a_child_is_told_once);
	tcase_add_loop_test(ends, the_callback_may_free_both, 0, 3);
	tcase_add_test(ends, a_freed_event_is_silent);
	tcase_add_test(ends, a_child_that_was_waited_for_is_told_all_the_same);
	tcase_add_test(ends, a_lost_status_is_told);
	tcase_add_test(ends, a_traced_child_is_told_when_its_tracer_lets_go);
	tcase_add_test(ends, each_failure_is_told_and_leaves_nothing);
	return suite;
}
SUPPORT_MAIN(make_suite)
