/* SPDX-License-Identifier: MIT */
#include <pal/communicate.h>

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <pal/builder.h>
#include <pal/process.h>

#include "fault-calls.h"
#include "spawn-support.h"
#include "support.h"

/*
 * S105: every call of waiting, stopping, adopting, detaching and communicating
 * is made to fail once. It is told with the call's errno and a stage that fits,
 * or it is of no consequence; and then the handle is freed, and nothing is left.
 */

/* Ends with 0 at the end of its input. */
static struct pal_child *start_holding(void)
{
	struct pal_builder *builder = builder_for("end-with", MODE_VFORK);

	pal_builder_arg(builder, "stdin");
	pal_builder_stdin(builder, PAL_STDIO_PIPE);
	return spawn_take(builder);
}

static struct pal_child *start_talking(void)
{
	struct pal_builder *builder = builder_for("say", MODE_VFORK);

	pal_builder_arg(builder, "late");
	pal_builder_stdin(builder, PAL_STDIO_PIPE);
	pal_builder_stdout(builder, PAL_STDIO_PIPE);
	pal_builder_stderr(builder, PAL_STDIO_PIPE);
	return spawn_take(builder);
}

/* Leads a group of two. */
static struct pal_child *start_group(void)
{
	struct pal_builder *builder = builder_for("say", MODE_VFORK);
	struct pal_child *child;
	char text[6];

	pal_builder_arg(builder, "group");
	pal_builder_stdout(builder, PAL_STDIO_PIPE);
	pal_builder_process_group(builder, 0);
	child = spawn_take(builder);
	ck_assert_int_eq(read(pal_child_stdout(child), text, sizeof text), 6);
	return child;
}

/*
 * Each sets *child to NULL if it frees it, and returns 1 for a wrong result: no
 * assertions in here, since Check's allocations go through the wrappers, too.
 */

static int do_wait(struct pal_child **child, struct pal_error *error)
{
	close(pal_child_steal_stdin(*child));
	return pal_child_wait(*child, PAL_DEADLINE_NONE, NULL, error);
}

static int do_wait_until(struct pal_child **child, struct pal_error *error)
{
	close(pal_child_steal_stdin(*child));
	return pal_child_wait(*child, PAL_DEADLINE_MS(600000), NULL, error);
}

static int do_wait_change(struct pal_child **child, struct pal_error *error)
{
	int r;

	close(pal_child_steal_stdin(*child));
	r = pal_child_wait_change(*child, PAL_CHILD_ENDED, PAL_DEADLINE_MS(600000), NULL, error);
	return r == PAL_CHILD_ENDED ? 0 : r;
}

static int do_stop(struct pal_child **child, struct pal_error *error)
{
	return pal_child_stop(*child, 600000, NULL, error);
}

static int do_stop_group(struct pal_child **child, struct pal_error *error)
{
	return pal_child_stop_group(*child, 600000, NULL, error);
}

static int do_adopt(struct pal_child **child, struct pal_error *error)
{
	struct pal_child *adopted;
	int r = pal_child_adopt(pal_child_pid(*child), &adopted, error);

	if (r == 0 && pal_child_steal_pid(adopted) < 0)
		return 1;
	return r;
}

static int do_detach(struct pal_child **child, struct pal_error *error)
{
	int r = pal_child_detach(*child, error);

	*child = NULL; /* its input ends with the handle, and so does it */
	return r;
}

static int do_communicate(struct pal_child **child, struct pal_error *error)
{
	struct pal_communicate_options options = {PAL_COMMUNICATE_OPTIONS_INIT};
	static const char input[200000];
	struct pal_output output;
	int r;

	options.input = input;
	options.input_size = sizeof input;
	options.deadline_ms = 600000;
	r = pal_child_communicate(*child, &options, &output, error);
	if (r == 0) {
		r = output.out_size == sizeof input && output.status.code == 0 ? 0 : 1;
		pal_output_clear(&output);
	}
	return r;
}

static int do_free(struct pal_child **child, struct pal_error *error)
{
	(void)error;
	pal_child_free(*child);
	*child = NULL;
	return 0;
}

static const struct {
	const char *name;
	struct pal_child *(*start)(void);
	int (*run)(struct pal_child **child, struct pal_error *error);
	int at_least; /* calls that can fail: else the wrappers are not in place */
} kinds[] = {
	{"wait", start_holding, do_wait, 1},
	{"wait until", start_holding, do_wait_until, 2},
	{"wait change", start_holding, do_wait_change, 1},
	{"stop", start_holding, do_stop, 4},
	{"stop group", start_group, do_stop_group, 4},
	{"adopt", start_holding, do_adopt, 3},
	{"detach", start_holding, do_detach, 6},
	{"communicate", start_talking, do_communicate, 10},
	{"free", start_holding, do_free, 2},
};
#define KINDS (int)(sizeof kinds / sizeof kinds[0])

/* Calls whose failure the caller need not hear of, as what they are for comes about all the same. */
static bool may_be_ignored(const char *name, const char *call)
{
	/* to know whether a signal still has somebody to go to */
	if (!strcmp(call, "poll"))
		return !strcmp(name, "stop") || !strcmp(name, "free");
	/* for a signal: to have a pidfd of its own, and to know about the handle's, which does too */
	if (!strncmp(name, "stop", 4) && !strcmp(call, "sys_pidfd_open"))
		return true;
	if (!strncmp(name, "stop", 4) && !strcmp(call, "sys_waitid"))
		return true;
	/* looks whether the child has ended already; there is nobody to tell */
	if (!strcmp(call, "sys_waitid") && !strcmp(name, "detach"))
		return true;
	return !strcmp(name, "free");
}

static bool stage_fits(const char *call, int code, int stage)
{
	if (code == -ENOMEM)
		return stage == PAL_STAGE_MEMORY || stage == PAL_STAGE_WAIT;
	if (!strcmp(call, "sys_pidfd_send_signal"))
		return stage == PAL_STAGE_SIGNAL;
	if (!strcmp(call, "sys_pidfd_open"))
		return stage == PAL_STAGE_CLONE;
	return stage == PAL_STAGE_WAIT || stage == PAL_STAGE_CLONE;
}

static void check(
	const char *name, const char *call, int code, int r, const struct pal_error *error)
{
	ck_assert_int_le(r, 0);
	if (r == 0) {
		ck_assert_msg(
			may_be_ignored(name, call), "%s: %s has failed in silence", name, call);
		return;
	}
	ck_assert_msg(
		r == code && error->code == r, "%s: %s: %d instead of %d", name, call, r, code);
	ck_assert_msg(stage_fits(call, code, error->stage), "%s: %s shows as \"%s\"", name, call,
		pal_error_text(error));
}

/* Of what the library could not reap, because it was told so. */
static void reap_the_rest(void)
{
	while (waitpid(-1, NULL, 0) > 0 || errno == EINTR)
		;
}

/* Whether there was an n-th call. */
static bool attempt(int kind, int n)
{
	struct pal_child *child = kinds[kind].start();
	struct pal_error error = {0};
	int threads = support_count_threads("");
	pid_t pid = pal_child_pid(child);
	char call[32] = "";
	int r, code;

	fault_arm(n);
	r = kinds[kind].run(&child, &error);
	code = -fault_errno();
	if (fault_fired())
		strcpy(call, fault_fired());
	fault_arm(0);
	if (*call)
		check(kinds[kind].name, call, code, r, &error);
	else
		ck_assert_msg(r == 0, "%s: %d: %s", kinds[kind].name, r, pal_error_text(&error));
	if (*call && kinds[kind].run == do_stop_group)
		kill(-pid, SIGKILL); /* whom the failed call has left; to free a handle is to end its child alone */
	pal_child_free(child);
	reap_the_rest();
	SUPPORT_LOOK_UNTIL(support_count_threads("") <= threads); /* the one that reaps */
	return *call;
}

START_TEST(every_call_may_fail)
{
	int n = 1;

	if (BUILT_WITH_TSAN && (kinds[_i].run == do_detach || kinds[_i].run == do_free))
		support_skip(
			"two threads use the wrappers, which do not lock, for ThreadSanitizer to see");
	while (attempt(_i, n))
		n++;
	ck_assert_msg(n > kinds[_i].at_least, "%s: only %d calls", kinds[_i].name, n - 1);
	fault_end();
}
END_TEST

static Suite *make_suite(void)
{
	Suite *suite = suite_create("pal/child-faults");
	TCase *calls = support_tcase(suite, "calls");

	tcase_add_loop_test(calls, every_call_may_fail, 0, KINDS);
	return suite;
}
SUPPORT_MAIN(make_suite)
