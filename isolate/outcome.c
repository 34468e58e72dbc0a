/* SPDX-License-Identifier: MIT */

/* From what is known to the answer, and to words. Pure: no system call, nothing allocated. */
#include <isolate/isolate-priv.h>

#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>

#define WRITTEN_OVER "the function wrote over the memory of this library"

/* pal_error_set without the errno's description, where the code only names a case. */
PAL_PRINTF(4, 5)
static void say(struct isolate_result *result, int stage, int code, const char *format, ...)
{
	va_list args;

	result->error = (struct pal_error){.code = code, .stage = stage};
	va_start(args, format);
	vsnprintf(result->error.text, sizeof result->error.text, format, args);
	va_end(args);
}

static const char *how_it_ended(const struct isolate__facts *facts, char *buffer, size_t size)
{
	if (facts->wait_code == 0)
		return pal_status_text(&facts->status, buffer, size);
	return "its status is lost";
}

/* Just before it would have been killed. */
static bool ended_by_itself(const struct isolate__facts *facts)
{
	const struct pal_status *status = &facts->status;

	return facts->wait_code == 0 && !(status->signaled && status->code == SIGKILL);
}

/* The child ended, or was ended, `when`: why the function's result is not here. */
static void say_end(struct isolate_result *result, const struct isolate__call *call,
	const struct isolate__facts *facts, enum isolate_stage stage, const char *when)
{
	char buffer[64];

	if (facts->timed_out)
		say(result, ISOLATE_STAGE_DEADLINE, -ETIMEDOUT, "out of time after %lld ms, %s %s",
			(long long)call->options.deadline_ms,
			facts->killed ? "killed" : "ended after SIGTERM", when);
	else if (facts->cancelled && !ended_by_itself(facts))
		say(result, ISOLATE_STAGE_CANCEL, -ECANCELED, "cancelled, killed %s", when);
	else if (facts->wait_code < 0 && facts->wait_code != -ECHILD) {
		result->error = facts->wait_error;
		result->error.stage = ISOLATE_STAGE_WAIT;
	} else
		say(result, stage, -ECHILD, "the child ended %s: %s", when,
			how_it_ended(facts, buffer, sizeof buffer));
}

static void judge_not_entered(const struct isolate__call *call, const struct isolate__facts *facts,
	struct isolate_result *result)
{
	result->answer = ISOLATE_NOT_EXECUTED;
	if (facts->start_code < 0 && !facts->timed_out) {
		result->error = facts->start_error;
		result->error.stage = ISOLATE_STAGE_START;
	} else if (facts->withdrawn)
		say(result, ISOLATE_STAGE_DEADLINE, -ETIMEDOUT,
			"out of time after %lld ms, before a process was ready for the function",
			(long long)call->options.deadline_ms);
	else
		say_end(result, call, facts, ISOLATE_STAGE_START, "before the function");
}

static void judge_entered(const struct isolate__call *call, const struct isolate__facts *facts,
	struct isolate_result *result)
{
	result->answer = ISOLATE_UNKNOWN;
	if (facts->marks.left == ISOLATE__LEFT_BY_EXIT)
		say(result, ISOLATE_STAGE_RUN, -ECHILD, "the function called exit(%d)",
			facts->marks.left_status);
	else if (facts->marks.left == ISOLATE__LEFT_BY_UNWINDING)
		say(result, ISOLATE_STAGE_RUN, -ECHILD,
			"the function was left by longjmp, pthread_exit or an exception");
	else
		say_end(result, call, facts, ISOLATE_STAGE_RUN, "in the function");
}

static void judge_complete(const struct isolate__facts *facts, struct isolate_result *result)
{
	const struct isolate__marks *marks = &facts->marks;

	result->value = marks->value;
	result->answer = marks->write_error ? ISOLATE_EXECUTED : ISOLATE_RETURNED;
	if (marks->write_error > 0)
		say(result, ISOLATE_STAGE_RESULT, -EBADMSG, WRITTEN_OVER);
	else if (marks->write_error == -EFBIG)
		say(result, ISOLATE_STAGE_RESULT, -EFBIG, "the result is longer than %llu bytes",
			(unsigned long long)marks->write_limit);
	else if (marks->write_error)
		pal_error_set(&result->error, ISOLATE_STAGE_RESULT, marks->write_error,
			"write the result");
}

void isolate__judge(const struct isolate__call *call, const struct isolate__facts *facts,
	struct isolate_result *result)
{
	switch (facts->marks.progress) {
	case ISOLATE__PREPARED:
		judge_not_entered(call, facts, result);
		break;
	case ISOLATE__ENTERED:
		judge_entered(call, facts, result);
		break;
	case ISOLATE__RETURNED:
		result->answer = ISOLATE_EXECUTED;
		result->value = facts->marks.value;
		say_end(result, call, facts, ISOLATE_STAGE_RESULT, "while it wrote the result");
		break;
	case ISOLATE__COMPLETE:
		/* Whatever ended the child after this, the result is whole. */
		judge_complete(facts, result);
		break;
	default:
		result->answer = ISOLATE_UNKNOWN;
		say(result, ISOLATE_STAGE_RUN, -EBADMSG, WRITTEN_OVER);
	}
}

void isolate__judge_lost(struct isolate_result *result, const struct pal_error *error)
{
	result->answer = ISOLATE_EXECUTED;
	result->error = *error;
}

const char *isolate_result_text(const struct isolate_result *result, char *buffer, size_t size)
{
	if (result->answer == ISOLATE_RETURNED)
		snprintf(buffer, size, "the function returned %d and wrote %zu bytes",
			result->value, result->size);
	else
		snprintf(buffer, size, "%s", pal_error_text(&result->error));
	return buffer;
}
