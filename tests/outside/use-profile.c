/* SPDX-License-Identifier: MIT */

/* A program that knows only what is installed: a sandbox from text, what it does in words, and a child in it. */
#include <pal/pal.h>
#include <pal_profile/text.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char text[] = "[Service]\n"
			   "NoNewPrivileges=yes\n"
			   "LimitNOFILE=64\n"
			   "SystemCallFilter=~@mount @reboot\n";
static const char wrong[] = "NoNewPrivileges=yes\nNoSuchKey=1\n";

int main(void)
{
	struct pal_builder *builder = pal_builder_new("sh");
	struct pal_profile *profile = NULL, *bad = NULL;
	char *words = NULL;
	struct pal_child *child = NULL;
	struct pal_status status;
	struct pal_error error;

	if (pal_profile_parse(text, strlen(text), "example", &profile, &error) < 0 ||
		pal_profile_describe(profile, &words, &error) < 0) {
		fprintf(stderr, "use-profile: %s\n", pal_error_text(&error));
		return 1;
	}
	fputs(words, stdout);
	if (pal_profile_parse(wrong, strlen(wrong), "wrong", &bad, &error) == 0 || strncmp(error.text, "wrong:2:", 8)) {
		fprintf(stderr, "use-profile: a wrong key is not told: %s\n", pal_error_text(&error));
		return 1;
	}
	pal_builder_arg(builder, "-c");
	pal_builder_arg(builder, "exit $(ulimit -n)");
	pal_builder_sandbox(builder, profile);
	if (pal_builder_spawn(builder, &child, &error) < 0 ||
		pal_child_wait(child, PAL_DEADLINE_NONE, &status, &error) < 0) {
		fprintf(stderr, "use-profile: %s\n", pal_error_text(&error));
		return 1;
	}
	pal_child_free(child);
	pal_builder_free(builder);
	pal_profile_free(profile);
	free(words);
	return status.signaled || status.code != 64;
}
