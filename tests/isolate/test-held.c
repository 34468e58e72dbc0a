/* SPDX-License-Identifier: MIT */

/*
 * Each answer with each reason to end a child: the kernel holds it in a system call before the
 * function, in it or behind it, until the deadline or a cancellation has come. S105, S122
 */
#include <poll.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "isolate-support.h"
#include "supervise.h"

enum place {
	BEFORE,
	INSIDE,
	BEHIND
};

struct row {
	enum place place;
	bool is_cancelled; /* else it has a deadline */
	bool in_halves;    /* so are all that are cancelled */
	int64_t grace_ms;
	enum isolate_answer answer;
};

static const struct row rows[] = {
	{BEFORE, true, true, 0, ISOLATE_NOT_EXECUTED},
	{BEFORE, false, true, 0, ISOLATE_NOT_EXECUTED},
	{BEFORE, false, false, 0, ISOLATE_NOT_EXECUTED},
	{BEFORE, false, false, 1, ISOLATE_NOT_EXECUTED},
	{INSIDE, true, true, 0, ISOLATE_UNKNOWN},
	{INSIDE, false, true, 0, ISOLATE_UNKNOWN},
	{INSIDE, false, false, 0, ISOLATE_UNKNOWN},
	{INSIDE, false, false, A_HANG_MS, ISOLATE_UNKNOWN},
	{BEHIND, true, true, 0, ISOLATE_EXECUTED},
	{BEHIND, false, true, 0, ISOLATE_EXECUTED},
	{BEHIND, false, false, 0, ISOLATE_EXECUTED},
	{BEHIND, false, false, A_HANG_MS, ISOLATE_EXECUTED},
};

/* Shared by the test, the host and the function. */
struct stage {
	const struct row *row;
	bool is_started; /* isolate_start need not wait for the child any more */
	bool entered;
	bool returned; /* is about to be */
	bool held;
	int64_t deadline_ms;
	enum isolate_answer answer;
	int code, error_stage, value;
	bool has_bytes;
};

/* Stands still at the first system call in `place`. */
static int judge(const struct supervised_call *call, void *arg)
{
	struct stage *stage = arg;
	enum place place = stage->returned ? BEHIND : stage->entered ? INSIDE : BEFORE;
	bool may_be_held = place != BEFORE || !stage->row->in_halves || stage->is_started;

	if (call->by_host)
		return SUPERVISE_MAKE;
	if (may_be_held && place == stage->row->place) {
		__atomic_store_n(&stage->held, true, __ATOMIC_RELEASE);
		return SUPERVISE_HOLD;
	}
	/* The first one that it makes is to say so. */
	if (call->number == SYS_write)
		stage->is_started = true;
	return SUPERVISE_MAKE;
}

#define SIZE 70000 /* is written by calls, and its end behind the function */
#define VALUE 5

static int write_much(struct isolate_writer *out, void *arg)
{
	static const char bytes[SIZE];
	struct stage *stage = arg;

	stage->entered = true;
	if (isolate_write(out, bytes, sizeof bytes) < 0)
		return -1;
	stage->returned = true;
	return VALUE;
}

/* ---- the host ---- */

static void note(struct stage *stage, struct isolate_result *result)
{
	stage->answer = result->answer;
	stage->code = result->error.code;
	stage->error_stage = result->error.stage;
	stage->value = result->value;
	stage->has_bytes = result->data || result->size;
	isolate_result_clear(result);
}

static int run_in_halves(struct stage *stage, const struct isolate_options *options)
{
	struct pal_error error = {0};
	struct isolate_result result;
	struct isolate_run *run;

	if (isolate_start(write_much, stage, options, &run, &error) < 0)
		result = (struct isolate_result){.answer = ISOLATE_NOT_EXECUTED, .error = error};
	else {
		while (stage->row->is_cancelled && !__atomic_load_n(&stage->held, __ATOMIC_ACQUIRE))
			poll(NULL, 0, 1);
		if (stage->row->is_cancelled)
			isolate_cancel(run);
		isolate_finish(run, &result);
	}
	note(stage, &result);
	return 0;
}

static int host(void *arg)
{
	struct stage *stage = arg;
	struct isolate_options options = {ISOLATE_OPTIONS_INIT,
		.deadline_ms = stage->row->is_cancelled ? 0 : stage->deadline_ms,
		.grace_ms = stage->row->grace_ms};
	struct isolate_result result;

	if (stage->row->in_halves)
		return run_in_halves(stage, &options);
	isolate_call(write_much, stage, &options, &result);
	note(stage, &result);
	return 0;
}

/* On a busy machine the time may be over before the child has come to its place. */
static void run_until_held(struct stage *stage)
{
	const struct row *row = stage->row;

	for (int64_t deadline_ms = 100; !stage->held; deadline_ms *= 2) {
		int status;

		*stage = (struct stage){.row = row, .deadline_ms = deadline_ms};
		status = supervise(host, judge, stage);
		ck_assert_msg(WIFEXITED(status) && WEXITSTATUS(status) == 0, "status %#x",
			(unsigned)status);
		ck_assert_int_lt(deadline_ms, A_HANG_MS);
	}
}

START_TEST(whoever_ends_a_child_the_answer_is_what_it_had_come_to)
{
	const struct row *row = &rows[_i];
	struct stage *stage;

	supervise_or_skip();
	stage = shared_memory(sizeof *stage);
	stage->row = row;
	run_until_held(stage);
	ck_assert_int_eq(stage->answer, row->answer);
	ck_assert_int_eq(stage->code, row->is_cancelled ? -ECANCELED : -ETIMEDOUT);
	ck_assert_int_eq(stage->error_stage,
		row->is_cancelled ? ISOLATE_STAGE_CANCEL : ISOLATE_STAGE_DEADLINE);
	ck_assert_int_eq(stage->entered, row->place != BEFORE);
	ck_assert_int_eq(stage->returned, row->place == BEHIND);
	if (row->place == BEHIND)
		ck_assert_int_eq(stage->value, VALUE);
	ck_assert(!stage->has_bytes);
	munmap(stage, sizeof *stage);
}
END_TEST

static Suite *make_suite(void)
{
	Suite *suite = suite_create("isolate/held");
	TCase *held = isolate_tcase(suite, "held");

	tcase_add_loop_test(held, whoever_ends_a_child_the_answer_is_what_it_had_come_to, 0,
		sizeof rows / sizeof *rows);
	return suite;
}
SUPPORT_MAIN(make_suite)
