/* SPDX-License-Identifier: MIT */

/* What is known, and the answer to it; also what no test can bring about in a real child. */
#include <errno.h>
#include <isolate/isolate-priv.h>
#include <signal.h>
#include <string.h>

#include "isolate-support.h"

#define EXITED(exit_code)                                                                          \
	{                                                                                          \
		.code = (exit_code)                                                                \
	}
#define KILLED(signal_number)                                                                      \
	{                                                                                          \
		.signaled = true, .code = (signal_number)                                          \
	}
#define MARKS(...) .marks = {__VA_ARGS__}

static const struct row {
	struct isolate__facts facts;
	enum isolate_answer answer;
	int stage;
	int code;
	const char *text; /* a part of it */
} rows[] = {
	/* the function was not entered */
	{{MARKS(ISOLATE__PREPARED), .start_code = -EAGAIN, .wait_code = -ECHILD,
		 .start_error = {.code = -EAGAIN,
			 .stage = PAL_STAGE_CLONE,
			 .text = "fork: no more"}},
		ISOLATE_NOT_EXECUTED, ISOLATE_STAGE_START, -EAGAIN, "fork: no more"},
	{{MARKS(ISOLATE__PREPARED), .status = KILLED(SIGKILL)}, ISOLATE_NOT_EXECUTED,
		ISOLATE_STAGE_START, -ECHILD, "before the function: SIGKILL"},
	{{MARKS(ISOLATE__PREPARED), .wait_code = -ECHILD}, ISOLATE_NOT_EXECUTED,
		ISOLATE_STAGE_START, -ECHILD, "status is lost"},
	{{MARKS(ISOLATE__PREPARED), .timed_out = 1, .killed = 1, .status = KILLED(SIGKILL)},
		ISOLATE_NOT_EXECUTED, ISOLATE_STAGE_DEADLINE, -ETIMEDOUT,
		"out of time after 200 ms, killed before the function"},
	{{MARKS(ISOLATE__PREPARED), .timed_out = 1, .withdrawn = 1, .wait_code = -ECHILD},
		ISOLATE_NOT_EXECUTED, ISOLATE_STAGE_DEADLINE, -ETIMEDOUT,
		"out of time after 200 ms, before a process was ready"},

	/* entered: a start that failed afterwards makes no retry safe */
	{{MARKS(ISOLATE__ENTERED), .start_code = -ECHILD, .wait_code = -ECHILD}, ISOLATE_UNKNOWN,
		ISOLATE_STAGE_RUN, -ECHILD, "in the function"},
	{{MARKS(ISOLATE__ENTERED), .status = KILLED(SIGSEGV)}, ISOLATE_UNKNOWN, ISOLATE_STAGE_RUN,
		-ECHILD, "in the function: SIGSEGV"},
	{{MARKS(ISOLATE__ENTERED), .status = EXITED(0)}, /* S118: zero with no answer */
		ISOLATE_UNKNOWN, ISOLATE_STAGE_RUN, -ECHILD, "in the function: exit 0"},
	{{MARKS(ISOLATE__ENTERED, .left = ISOLATE__LEFT_BY_EXIT, .left_status = 300),
		 .status = EXITED(44)},
		ISOLATE_UNKNOWN, ISOLATE_STAGE_RUN, -ECHILD, "exit(300)"},
	{{MARKS(ISOLATE__ENTERED, .left = ISOLATE__LEFT_BY_UNWINDING), .status = EXITED(1)},
		ISOLATE_UNKNOWN, ISOLATE_STAGE_RUN, -ECHILD, "longjmp"},
	{{MARKS(ISOLATE__ENTERED, .left = 77), .status = EXITED(2)}, ISOLATE_UNKNOWN,
		ISOLATE_STAGE_RUN, -ECHILD, "exit 2"},
	{{MARKS(ISOLATE__ENTERED), .timed_out = 1, .wait_code = -ECHILD}, ISOLATE_UNKNOWN,
		ISOLATE_STAGE_DEADLINE, -ETIMEDOUT, "200 ms"},
	{{MARKS(ISOLATE__ENTERED), .wait_code = -ENOMEM,
		 .wait_error = {.code = -ENOMEM, .stage = PAL_STAGE_WAIT, .text = "poll"}},
		ISOLATE_UNKNOWN, ISOLATE_STAGE_WAIT, -ENOMEM, "poll"},

	/* returned, and something of the result is missing */
	{{MARKS(ISOLATE__RETURNED, .value = 7), .status = KILLED(SIGKILL)}, ISOLATE_EXECUTED,
		ISOLATE_STAGE_RESULT, -ECHILD, "SIGKILL"},
	{{MARKS(ISOLATE__RETURNED, .value = 7), .timed_out = 1, .status = KILLED(SIGKILL)},
		ISOLATE_EXECUTED, ISOLATE_STAGE_DEADLINE, -ETIMEDOUT, "while it wrote"},
	{{MARKS(ISOLATE__COMPLETE, .value = 7, .write_error = -EFBIG, .write_limit = 4321)},
		ISOLATE_EXECUTED, ISOLATE_STAGE_RESULT, -EFBIG, "4321"},
	{{MARKS(ISOLATE__COMPLETE, .value = 7, .write_error = -ENOSPC)}, ISOLATE_EXECUTED,
		ISOLATE_STAGE_RESULT, -ENOSPC, "write the result"},

	/* S118: whatever happened after a complete result, it is complete */
	{{MARKS(ISOLATE__COMPLETE, .value = 7), .status = EXITED(0)}, ISOLATE_RETURNED, 0, 0, ""},
	{{MARKS(ISOLATE__COMPLETE, .value = 7), .status = EXITED(3)}, ISOLATE_RETURNED, 0, 0, ""},
	{{MARKS(ISOLATE__COMPLETE, .value = 7), .status = KILLED(SIGKILL)}, ISOLATE_RETURNED, 0, 0,
		""},
	{{MARKS(ISOLATE__COMPLETE, .value = 7), .timed_out = 1}, ISOLATE_RETURNED, 0, 0, ""},
	{{MARKS(ISOLATE__COMPLETE, .value = 7), .wait_code = -ECHILD}, ISOLATE_RETURNED, 0, 0, ""},
	{{MARKS(ISOLATE__COMPLETE, .value = 7), .wait_code = -EIO}, ISOLATE_RETURNED, 0, 0, ""},

	/* marks that this library never makes */
	{{MARKS(0)}, ISOLATE_UNKNOWN, ISOLATE_STAGE_RUN, -EBADMSG, "wrote over"},
	{{MARKS(UINT32_MAX)}, ISOLATE_UNKNOWN, ISOLATE_STAGE_RUN, -EBADMSG, "wrote over"},
	{{MARKS(ISOLATE__COMPLETE + 1)}, ISOLATE_UNKNOWN, ISOLATE_STAGE_RUN, -EBADMSG,
		"wrote over"},
	{{MARKS(ISOLATE__COMPLETE, .value = 7, .write_error = 5)}, ISOLATE_EXECUTED,
		ISOLATE_STAGE_RESULT, -EBADMSG, "wrote over"},
};

START_TEST(each_state_of_knowledge_has_one_answer)
{
	const struct row *row = &rows[_i];
	struct isolate__call call = {.options.deadline_ms = 200};
	struct isolate_result result = {0};
	bool returned = row->answer == ISOLATE_RETURNED || row->answer == ISOLATE_EXECUTED;

	isolate__judge(&call, &row->facts, &result);
	ck_assert_answer(&result, row->answer);
	ck_assert_int_eq(result.error.stage, row->stage);
	ck_assert_int_eq(result.error.code, row->code);
	ck_assert_msg(strstr(result.error.text, row->text) != NULL, "%s", result.error.text);
	ck_assert_int_eq(result.value, returned ? 7 : 0);
}
END_TEST

START_TEST(a_result_that_cannot_be_fetched_keeps_the_value)
{
	struct isolate_result result = {.answer = ISOLATE_RETURNED, .value = 7};
	struct pal_error error;

	pal_error_set(&error, ISOLATE_STAGE_RESULT, -ENOMEM, "map");
	isolate__judge_lost(&result, &error);
	ck_assert_failure(&result, ISOLATE_EXECUTED, ISOLATE_STAGE_RESULT, -ENOMEM);
	ck_assert_int_eq(result.value, 7);
}
END_TEST

static Suite *make_suite(void)
{
	Suite *suite = suite_create("isolate/outcome");
	TCase *judge = isolate_tcase(suite, "judge");

	tcase_add_loop_test(
		judge, each_state_of_knowledge_has_one_answer, 0, sizeof rows / sizeof *rows);
	tcase_add_test(judge, a_result_that_cannot_be_fetched_keeps_the_value);
	return suite;
}
SUPPORT_MAIN(make_suite)
