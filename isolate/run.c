/* SPDX-License-Identifier: MIT */

/* The outcome of a run, waited for or brought about. */
#include <isolate/forks-priv.h>
#include <isolate/isolate-priv.h>

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

#include <pal/process-mark.h>
#include <pal/util-priv.h>

static void take_captured(struct isolate_run *run, struct isolate_result *result)
{
	result->out = isolate__capture_take(&run->captures[0], &result->out_size);
	result->err = isolate__capture_take(&run->captures[1], &result->err_size);
	result->truncated = run->captures[0].truncated || run->captures[1].truncated;
	result->cut_off = run->cut_off;
}

/*
 * It has ended, or has been given up after two seconds of dying, and can change nothing any more;
 * or waiting has failed.
 */
static void give_back_child(struct isolate_run *run)
{
	struct pal_child *child = PAL_TAKE_POINTER(run->call.child);

	if (!child)
		return;
	if (run->facts.wait_code == -ETIMEDOUT) {
		pal_child_detach(child, NULL);
		isolate__forks_child_left(run->epoch);
	} else {
		pal_child_free(child); /* kills and reaps where waiting failed */
		isolate__forks_child_ended(run->epoch);
	}
}

/* As it would have been told at the start, had that been waited for. */
static void find_start_error(struct isolate_run *run)
{
	struct isolate__facts *facts = &run->facts;

	if (facts->start_code < 0 || facts->marks.progress != ISOLATE__PREPARED)
		return;
	facts->start_code = pal_builder_fork_error(run->call.builder, &facts->start_error);
	if (facts->start_code == 0 && run->call.options.crash_report)
		facts->start_code =
			isolate__crash_arm_error(&run->call.shared->crash, &facts->start_error);
	if (facts->start_code < 0)
		facts->wait_code = -ECHILD; /* its exit code is pal's affair */
}

void isolate__conclude(struct isolate__call *call, const struct isolate__facts *facts,
	struct isolate_result *result)
{
	struct pal_error error;

	isolate__judge(call, facts, result);
	if (facts->wait_code == 0) {
		result->status = facts->status;
		result->status_known = 1;
	}
	if (call->options.crash_report && call->shared)
		result->crash = isolate__crash_collect(
			&call->shared->crash, result->status_known ? &result->status : NULL);
	if (result->answer != ISOLATE_RETURNED)
		return;
	if (isolate__result_fetch(call, facts->marks.size, result, &error) < 0)
		isolate__judge_lost(result, &error);
}

/* A killed child executes nothing more, whatever keeps it from its end. */
static bool is_gone(const struct isolate__facts *facts)
{
	return facts->wait_code == 0 || facts->wait_code == -ECHILD ||
	       (facts->wait_code == -ETIMEDOUT && facts->killed);
}

static void conclude(struct isolate_run *run, struct isolate_result *result)
{
	run->facts.marks = run->call.shared->marks;
	find_start_error(run);
	/* It may come to the function yet. */
	if (run->facts.marks.progress == ISOLATE__PREPARED && !is_gone(&run->facts))
		run->facts.marks.progress = ISOLATE__ENTERED;
	isolate__conclude(&run->call, &run->facts, result);
	take_captured(run, result);
}

/* No copy of it has the page, and it is gone itself; of who shares its memory, see cache.c. */
static bool is_secluded(const struct isolate_run *run)
{
	const struct isolate__facts *facts = &run->facts;

	return run->owner == pal_process_mark() && run->secluded &&
	       (facts->wait_code == 0 || facts->wait_code == -ECHILD) &&
	       facts->marks.progress == ISOLATE__COMPLETE &&
	       facts->marks.secluded == ISOLATE__SECLUDED;
}

/*
 * Of what a fork of its process has a copy of, the memory alone is the fork's: the page is not there
 * (isolate__cache_seclude), and something else may be, as at the descriptors' numbers.
 */
static void keep_to_memory(struct isolate_run *run)
{
	pal_private_disown(&run->private);
	pal_child_forget(PAL_TAKE_POINTER(run->call.child));
	pal_builder_forget(PAL_TAKE_POINTER(run->call.builder));
	run->call.shared = NULL;
}

/* Of a run that is over, or that is a copy. */
static void release(struct isolate_run *run)
{
	if (run->owner != pal_process_mark())
		keep_to_memory(run);
	isolate__watch_close(run);
	for (int i = 0; i < 2; i++) {
		pal_private_close(&run->captures[i].fd);
		free(run->captures[i].data);
	}
	pal_child_free(run->call.child);
	isolate__result_release(&run->call, is_secluded(run));
	pal_private_remove(&run->private);
}

void isolate__run_finish(struct isolate_run *run, struct isolate_result *result)
{
	*result = (struct isolate_result){.answer = ISOLATE_UNKNOWN};
	if (run->owner != pal_process_mark()) {
		pal_error_set(&result->error, ISOLATE_STAGE_WAIT, -EPERM,
			"another process has started this");
	} else {
		isolate__run_await(run);
		give_back_child(run);
		conclude(run, result);
	}
	release(run);
}

enum isolate_answer isolate_finish(struct isolate_run *run, struct isolate_result *result)
{
	enum isolate_answer answer;
	struct isolate_result unwanted;
	int cancel_state;

	if (!result)
		result = &unwanted;
	if (!run) {
		*result = (struct isolate_result){.answer = ISOLATE_NOT_EXECUTED};
		pal_error_set(
			&result->error, ISOLATE_STAGE_PREPARE, -EINVAL, "no run to be finished");
		return result->answer;
	}
	/* Unwinding from here by pthread_cancel would leave the child behind. */
	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &cancel_state);
	isolate__run_finish(run, result);
	free(run);
	answer = result->answer;
	if (result == &unwanted)
		isolate_result_clear(result);
	pthread_setcancelstate(cancel_state, NULL);
	return answer;
}

int isolate_start(isolate_fn fn, void *arg, const struct isolate_options *options,
	struct isolate_run **ret, struct pal_error *error)
{
	struct isolate_run *run;
	int cancel_state, r;

	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &cancel_state);
	run = malloc(sizeof *run);
	if (run)
		r = isolate__run_start(run, fn, arg, options, true, error);
	else
		r = pal_error_set(error, ISOLATE_STAGE_PREPARE, -ENOMEM, "memory for a run");
	if (r == 0)
		*ret = PAL_TAKE_POINTER(run);
	free(run);
	pthread_setcancelstate(cancel_state, NULL);
	return r;
}

void isolate_cancel(struct isolate_run *run)
{
	int cancel_state;

	if (!run || run->owner != pal_process_mark())
		return;
	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &cancel_state);
	isolate__run_advance(run); /* what ended by itself was not cancelled */
	if (run->phase < ISOLATE__KILLED) {
		run->facts.cancelled = !run->facts.timed_out;
		isolate__run_kill(run);
		isolate__watch_update(run);
	}
	pthread_setcancelstate(cancel_state, NULL);
}

void isolate_run_free(struct isolate_run *run)
{
	int saved = errno;

	if (!run)
		return;
	isolate_cancel(run);
	isolate_finish(run, NULL);
	errno = saved;
}
