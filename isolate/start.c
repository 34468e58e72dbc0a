/* SPDX-License-Identifier: MIT */

/* From the caller's options to a child that runs. */
#include <isolate/forks-priv.h>
#include <isolate/isolate-priv.h>

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <pal/builder.h>
#include <pal/process-mark.h>
#include <pal/util-priv.h>

/* ---- that no other thread exists ---- */

/* How long a thread may be seen that has been joined. */
#define THREAD_GONE_MS 50

/* The kernel counts them for the directory's link count: itself, its parent and one for each. */
static int count_threads(void)
{
	struct stat st;

	return stat("/proc/self/task", &st) < 0 ? -errno : (int)st.st_nlink - 2;
}

int isolate__check_only_thread(struct pal_error *error)
{
	pal_deadline deadline = PAL_DEADLINE_MS(THREAD_GONE_MS);
	int count;

	while ((count = count_threads()) > 1 && pal_deadline_left_ms(deadline) > 0)
		poll(NULL, 0, 1);
	if (count > 1)
		return pal_error_set(
			error, ISOLATE_STAGE_PREPARE, -EBUSY, "this process has %d threads", count);
	if (count < 1)
		return pal_error_set(error, ISOLATE_STAGE_PREPARE, count < 0 ? count : -EPROTO,
			"/proc/self/task, to count threads");
	return 0;
}

/* ---- preparing ---- */

static int prepare(
	struct isolate_run *run, const struct isolate_options *given, struct pal_error *error)
{
	struct isolate__call *call = &run->call;
	int r = isolate__options_read(given, &call->options, error);

	if (r < 0)
		return r;
	if (!call->fn)
		return pal_error_set(error, ISOLATE_STAGE_PREPARE, -EINVAL, "no function to call");
	if (call->options.only_thread)
		r = isolate__check_only_thread(error);
	if (r < 0)
		return r;
	call->max_result =
		call->options.max_result ? call->options.max_result : ISOLATE_DEFAULT_MAX_RESULT;
	call->deadline = call->options.deadline_ms ? PAL_DEADLINE_MS(call->options.deadline_ms)
						   : PAL_DEADLINE_NONE;
	r = isolate__guard_register();
	if (r < 0)
		return pal_error_set(
			error, ISOLATE_STAGE_PREPARE, r, "memory for a destructor of this thread");
	r = isolate__result_prepare(call, error);
	if (r == 0 && call->options.crash_report)
		isolate__crash_prepare(&call->shared->crash);
	return r;
}

/* ---- the fork ---- */

static void take_captures(struct isolate_run *run)
{
	const struct isolate_options *options = &run->call.options;
	size_t limit = options->max_capture ? options->max_capture : ISOLATE_DEFAULT_MAX_CAPTURE;
	bool held = pal_private_begin();

	isolate__capture_begin(&run->captures[0], pal_child_steal_stdout(run->call.child), limit);
	isolate__capture_begin(&run->captures[1], pal_child_steal_stderr(run->call.child), limit);
	pal_private_end(held);
}

/* What cannot be started has come to its outcome: the marks tell which. */
static void start(struct isolate_run *run, bool outlives_thread)
{
	struct isolate__facts *facts = &run->facts;

	isolate__options_builder(&run->call);
	pal_builder_parent_death_of_process(run->call.builder, outlives_thread);
	/* Who waits for the end need not wait for the start; and a filter may have to be attended to. */
	pal_builder_fork_unwaited(
		run->call.builder, !outlives_thread && !run->call.options.sandbox);
	pal_builder_keep_private(run->call.builder, &run->private);
	run->epoch = isolate__forks_begin();
	facts->start_code = isolate__guarded_fork(&run->call, &facts->start_error);
	isolate__forks_end();
	if (facts->start_code == -ETIMEDOUT)
		isolate__forks_child_left(run->epoch);
	else if (facts->start_code < 0)
		isolate__forks_child_ended(run->epoch);
	run->secluded = isolate__cache_seclude(run->call.shared);
	facts->timed_out = facts->start_code == -ETIMEDOUT;
	facts->killed = facts->timed_out;
	if (facts->start_code < 0) {
		/* The function may have run all the same, and nobody has read what it wrote. */
		run->captures[0].truncated = run->call.options.std_out.kind == PAL_STDIO_KIND_PIPE;
		run->captures[1].truncated = run->call.options.std_err.kind == PAL_STDIO_KIND_PIPE;
		facts->wait_code = -ECHILD;
		run->phase = ISOLATE__DONE;
		run->next = PAL_DEADLINE_NOW;
		return;
	}
	run->next = run->call.deadline;
	take_captures(run);
}

#define PLACE(fd) PAL_PRIVATE_PLACE(struct isolate_run, private, fd)
static const ptrdiff_t private_places[] = {PLACE(captures[0].fd), PLACE(captures[1].fd),
	PLACE(watch.epoll), PLACE(watch.timer), PLACE(call.memfd)};
static const struct pal_private_layout private_layout = {
	.count = PAL_ARRAY_LENGTH(private_places), .places = private_places};

int isolate__run_start(struct isolate_run *run, isolate_fn fn, void *arg,
	const struct isolate_options *options, bool outlives_thread, struct pal_error *error)
{
	struct isolate_result result;
	int r;

	*run = (struct isolate_run){
		.call = {.fn = fn, .arg = arg, .memfd = -1},
		.captures = {{.fd = -1}, {.fd = -1}},
		.owner = pal_process_mark(),
		.watch = {.epoll = -1, .timer = -1},
	};
	pal_private_add(&run->private, &private_layout);
	r = prepare(run, options, error);
	if (r == 0)
		start(run, outlives_thread);
	if (r == 0 && run->facts.start_code < 0 &&
		run->call.shared->marks.progress == ISOLATE__PREPARED) {
		isolate__run_finish(run, &result);
		if (error)
			*error = result.error;
		return result.error.code;
	}
	if (r < 0) {
		isolate__result_release(&run->call, false);
		pal_private_remove(&run->private);
	}
	return r;
}
