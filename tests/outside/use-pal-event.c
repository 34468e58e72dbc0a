/* SPDX-License-Identifier: MIT */

/* A program that knows only what is installed: a child's end as an event of its loop. */
#include <event2/event.h>
#include <pal/pal.h>
#include <pal_event/pal_event.h>

#include <stdio.h>

static void ended(struct pal_child *child, const struct pal_status *status, int result, void *userdata)
{
	int *code = (int *)userdata;

	(void)child;
	*code = result == 0 && !status->signaled ? status->code : -1;
}

int main(void)
{
	struct event_base *base = event_base_new();
	struct pal_builder *builder = pal_builder_new("false");
	struct pal_child_event *event = NULL;
	struct pal_child *child = NULL;
	struct pal_error error;
	int code = -1;

	if (pal_builder_spawn(builder, &child, &error) < 0 ||
		pal_child_event_new(base, child, ended, &code, &event, &error) < 0) {
		fprintf(stderr, "use-pal-event: %s\n", pal_error_text(&error));
		return 1;
	}
	event_base_dispatch(base);
	pal_child_event_free(event);
	pal_child_free(child);
	pal_builder_free(builder);
	event_base_free(base);
	return code == 1 ? 0 : 1;
}
