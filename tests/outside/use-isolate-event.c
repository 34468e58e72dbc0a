/* SPDX-License-Identifier: MIT */

/* A program that knows only what is installed: an isolated function beside other things in its loop. */
#include <event2/event.h>
#include <isolate/isolate.h>
#include <isolate_event/isolate_event.h>

#include <stdio.h>

static int answer(struct isolate_writer *out, void *arg)
{
	return isolate_write(out, arg, 2);
}

static void known(struct isolate_run *run, void *userdata)
{
	isolate_finish(run, (struct isolate_result *)userdata);
}

int main(void)
{
	struct event_base *base = event_base_new();
	struct isolate_event *event = NULL;
	struct isolate_run *run = NULL;
	struct isolate_result result;
	struct pal_error error;
	char text[] = "42";
	int ok;

	if (isolate_start(answer, text, NULL, &run, &error) < 0 ||
		isolate_event_new(base, run, known, &result, &event, &error) < 0) {
		fprintf(stderr, "use-isolate-event: %s\n", pal_error_text(&error));
		return 1;
	}
	event_base_dispatch(base);
	ok = result.answer == ISOLATE_RETURNED && result.size == 2;
	isolate_event_free(event);
	isolate_result_clear(&result);
	event_base_free(base);
	return ok ? 0 : 1;
}
