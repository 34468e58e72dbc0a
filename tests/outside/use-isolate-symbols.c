/* SPDX-License-Identifier: MIT */

/* A program that knows only what is installed: a crash, reported with the name of a static function. */
#include <isolate/isolate.h>
#include <isolate_symbols/isolate_symbols.h>

#include <signal.h>
#include <stdio.h>
#include <string.h>

static int crashes(struct isolate_writer *out, void *arg)
{
	(void)out;
	raise(*(int *)arg);
	return 0;
}

int main(void)
{
	struct isolate_options options;
	struct isolate_result result;
	struct isolate_symbols *symbols;
	char text[16384] = "";
	int number = SIGSEGV;

	memset(&options, 0, sizeof options);
	options.size = sizeof options;
	options.crash_report = true;
	isolate_call(crashes, &number, &options, &result);
	if (result.crash && isolate_symbols_new(&symbols, NULL) == 0) {
		isolate_crash_text(
			result.crash, isolate_symbols_resolve, symbols, text, sizeof text);
		isolate_symbols_free(symbols);
	}
	isolate_result_clear(&result);
	fputs(text, stdout);
	return strstr(text, " crashes+") ? 0 : 1;
}
