/* SPDX-License-Identifier: MIT */

/* A program that knows only what is installed: spawns echo and reads what it says. */
#include <pal/pal.h>

#include <stdio.h>
#include <string.h>
#include <unistd.h>

int main(void)
{
	struct pal_builder *builder = pal_builder_new("echo");
	struct pal_child *child = NULL;
	struct pal_status status;
	struct pal_error error;
	char text[16] = "";
	int result;

	pal_builder_arg(builder, "hello");
	pal_builder_stdout(builder, PAL_STDIO_PIPE);
	result = pal_builder_spawn(builder, &child, &error);
	if (result < 0) {
		fprintf(stderr, "use-pal: %s\n", pal_error_text(&error));
		return 1;
	}
	result = read(pal_child_stdout(child), text, sizeof text - 1) == 6 && !strcmp(text, "hello\n") &&
		 pal_child_wait(child, PAL_DEADLINE_MS(10000), &status, &error) == 0 && !status.signaled &&
		 status.code == 0;
	pal_child_free(child);
	pal_builder_free(builder);
	return result ? 0 : 1;
}
