/* SPDX-License-Identifier: MIT */
#include "inside.h"

#include <unistd.h>

struct pal_builder *inside_builder(int way)
{
	struct pal_builder *builder = pal_builder_new(support_helper("inside"));

	if (access(support_helper("inside"), X_OK) < 0)
		support_skip("nobody may not execute what has been built here");
	pal_builder_vfork(builder, inside_kind(way) == INSIDE_SPAWN);
	return builder;
}

void inside_furnish(struct pal_builder *builder)
{
	static const char *const folders[] = {"/usr", "/bin", "/lib", "/lib64"};
	char folder[4096];

	for (size_t i = 0; i < sizeof folders / sizeof folders[0]; i++)
		pal_builder_bind(
			builder, folders[i], folders[i], PAL_MOUNT_READ_ONLY | PAL_MOUNT_OPTIONAL);
	snprintf(folder, sizeof folder, "%s", support_helper("inside"));
	pal_builder_bind(builder, folder, folder, PAL_MOUNT_READ_ONLY);
}

struct call {
	const char *name, *argument;
};

static int run(void *arg)
{
	const struct call *call = arg;

	return attempt(call->name, call->argument);
}

int inside(struct pal_builder *builder, int way, const char *name, const char *argument)
{
	struct call call = {name, argument};
	int r;

	pal_builder_arg(builder, name);
	pal_builder_arg(builder, argument);
	r = inside_kind(way) == INSIDE_FORK ? outcome(builder, run, &call)
					    : outcome_of_program(builder);
	pal_builder_free(builder);
	return r;
}

static int fail_to_run(void *unused)
{
	(void)unused;
	return 0;
}

int inside_refused(struct pal_builder *builder, int way, int stage, int index)
{
	struct pal_error error = {0};
	struct pal_child *child = NULL;
	int r = inside_kind(way) == INSIDE_FORK
			? pal_fork(builder, fail_to_run, NULL, &child, &error)
			: pal_builder_spawn(builder, &child, &error);

	ck_assert_int_lt(r, 0);
	ck_assert_ptr_null(child);
	ck_assert_int_eq(error.code, r);
	ck_assert_msg(error.stage == stage && error.index == index, "stage %s, index %d: %s",
		pal_stage_name(error.stage), error.index, pal_error_text(&error));
	pal_builder_free(builder);
	return r;
}
