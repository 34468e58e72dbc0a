/* SPDX-License-Identifier: MIT */
#include <isolate/isolate.h>

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>

#include <isolate/isolate-priv.h>
#include <pal/builder.h>

/* Options of a smaller size are those of an older caller: the fields it does not know are 0. */
static int read_options(
	const struct isolate_options *given, struct isolate_options *ret, struct pal_error *error)
{
	struct isolate_options options = {ISOLATE_OPTIONS_INIT};

	if (given) {
		if (given->size < sizeof given->size)
			return pal_error_set(error, ISOLATE_STAGE_PREPARE, -EINVAL,
				"options.size is %zu", given->size);
		for (size_t i = sizeof options; i < given->size; i++)
			if (((const unsigned char *)given)[i])
				return pal_error_set(error, ISOLATE_STAGE_PREPARE, -E2BIG,
					"options set a field that this version does not know");
		memcpy(&options, given,
			given->size < sizeof options ? given->size : sizeof options);
	}
	if (options.deadline_ms < 0)
		return pal_error_set(
			error, ISOLATE_STAGE_PREPARE, -EINVAL, "options.deadline_ms is negative");
	*ret = options;
	return 0;
}

static int prepare(
	struct isolate__call *call, const struct isolate_options *given, struct pal_error *error)
{
	struct isolate_options options = {0};
	int r = read_options(given, &options, error);

	if (r < 0)
		return r;
	if (!call->fn)
		return pal_error_set(error, ISOLATE_STAGE_PREPARE, -EINVAL, "no function to call");
	call->max_result = options.max_result ? options.max_result : ISOLATE_DEFAULT_MAX_RESULT;
	call->deadline_ms = options.deadline_ms;
	call->deadline =
		options.deadline_ms ? PAL_DEADLINE_MS(options.deadline_ms) : PAL_DEADLINE_NONE;
	isolate__guard_register();
	return isolate__result_prepare(call, error);
}

static void start(struct isolate__call *call, struct isolate__facts *facts)
{
	struct pal_builder *builder = pal_builder_new(NULL);

	pal_builder_close_others(builder, false);
	pal_builder_parent_death(builder, SIGKILL);
	pal_builder_start_deadline(builder, call->deadline);
	facts->start_code =
		pal_fork(builder, isolate__child, call, &call->child, &facts->start_error);
	facts->timed_out = facts->start_code == -ETIMEDOUT;
	pal_builder_free(builder);
}

/* Comes back when the child has ended, whatever went wrong. */
static void await_end(struct isolate__call *call, struct isolate__facts *facts)
{
	if (facts->start_code < 0) {
		facts->wait_code = -ECHILD;
		return;
	}
	facts->wait_code =
		pal_child_wait(call->child, call->deadline, &facts->status, &facts->wait_error);
	if (facts->wait_code == -ETIMEDOUT) {
		facts->timed_out = 1;
		pal_child_signal(call->child, SIGKILL);
		facts->wait_code = pal_child_wait(
			call->child, PAL_DEADLINE_NONE, &facts->status, &facts->wait_error);
	}
	pal_child_free(call->child); /* kills and reaps where waiting failed */
	call->child = NULL;
}

static void conclude(
	struct isolate__call *call, struct isolate__facts *facts, struct isolate_result *result)
{
	struct pal_error error;

	facts->marks = call->shared->marks;
	isolate__judge(call, facts, result);
	if (facts->wait_code == 0) {
		result->status = facts->status;
		result->status_known = 1;
	}
	if (result->answer != ISOLATE_RETURNED)
		return;
	if (isolate__result_fetch(call, facts->marks.size, &result->data, &error) < 0)
		isolate__judge_lost(result, &error);
	else
		result->size = facts->marks.size;
}

enum isolate_answer isolate_call(isolate_fn fn, void *arg, const struct isolate_options *options,
	struct isolate_result *result)
{
	struct isolate__call call = {.fn = fn, .arg = arg, .memfd = -1};
	struct isolate__facts facts = {0};
	int cancel_state;

	if (!result)
		return ISOLATE_NOT_EXECUTED;
	*result = (struct isolate_result){.answer = ISOLATE_NOT_EXECUTED};

	/* Unwinding from here by pthread_cancel would leave the child behind. */
	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &cancel_state);
	if (prepare(&call, options, &result->error) == 0) {
		start(&call, &facts);
		await_end(&call, &facts);
		conclude(&call, &facts, result);
	}
	isolate__result_release(&call);
	pthread_setcancelstate(cancel_state, NULL);
	return result->answer;
}
