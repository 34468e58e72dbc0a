/* SPDX-License-Identifier: MIT */

/*
 * Calls a parser that cannot be trusted to come back. Each document is parsed in
 * a forked copy of this process; the last one ends only the copy.
 */
#include <isolate/isolate.h>
#include <stdio.h>
#include <string.h>

struct summary {
	size_t words;
};

/* The parser: counts words, and has a defect. */
static int parse(struct isolate_writer *out, void *document)
{
	struct summary summary = {0};

	for (const char *at = document; *at; at++) {
		summary.words += at[0] != ' ' && (at[1] == ' ' || at[1] == 0);
		if (strncmp(at, "crash", 5) == 0)
			*(volatile char *)NULL = 0;
	}
	return isolate_write(out, &summary, sizeof summary);
}

int main(void)
{
	static char documents[][32] = {"one two three", "", "please crash now"};
	struct isolate_options options = {ISOLATE_OPTIONS_INIT, .deadline_ms = 10000};
	enum isolate_answer last = ISOLATE_RETURNED;

	for (size_t i = 0; i < sizeof documents / sizeof *documents; i++) {
		struct isolate_result r;

		last = isolate_call(parse, documents[i], &options, &r);
		printf("\"%s\": ", documents[i]);
		switch (last) {
		case ISOLATE_RETURNED:
			printf("%zu words\n", ((struct summary *)r.data)->words);
			break;
		case ISOLATE_NOT_EXECUTED:
			printf("not started, to be tried again: %s\n", pal_error_text(&r.error));
			break;
		case ISOLATE_EXECUTED: /* it ran, and its result is lost */
		case ISOLATE_UNKNOWN:
			printf("%s\n", pal_error_text(&r.error));
			break;
		}
		isolate_result_clear(&r);
	}
	return last == ISOLATE_UNKNOWN ? 0 : 1;
}
