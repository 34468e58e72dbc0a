/* SPDX-License-Identifier: MIT */
#include <isolate/isolate-priv.h>

#include <pthread.h>

enum isolate_answer isolate_call(isolate_fn fn, void *arg, const struct isolate_options *options,
	struct isolate_result *result)
{
	struct isolate_run run;
	struct pal_error error;
	int cancel_state;

	if (!result)
		return ISOLATE_NOT_EXECUTED;
	/* Unwinding from here by pthread_cancel would leave the child behind. */
	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &cancel_state);
	/* This thread does not end before the child does. */
	if (isolate__run_start(&run, fn, arg, options, false, &error) == 0)
		isolate__run_finish(&run, result);
	else
		*result = (struct isolate_result){.answer = ISOLATE_NOT_EXECUTED, .error = error};
	pthread_setcancelstate(cancel_state, NULL);
	return result->answer;
}
