/* SPDX-License-Identifier: MIT */
#include <pal/builder-priv.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <pal/util-priv.h>

/* The setters of steps.h: each adds one to the list that the child goes through. */

void pal__steps_clear(struct pal__steps *steps)
{
	for (size_t i = 0; i < steps->count; i++)
		free(steps->items[i].path);
	free(steps->items);
	*steps = (struct pal__steps){0};
}

/* Takes step.path. */
static void add_step(struct pal_builder *builder, struct pal__step step)
{
	PAL_CLEANUP_FREE char *path = step.path;
	struct pal__steps *steps = &builder->steps;
	struct pal__step *items =
		reallocarray(steps->items, steps->count + 1, sizeof *steps->items);

	if (!items) {
		pal__builder_check(builder, -ENOMEM, "step");
		return;
	}
	steps->items = items;
	step.path = PAL_TAKE_POINTER(path);
	items[steps->count++] = step;
	builder->changed = true;
}

static void add_step_of_path(struct pal_builder *builder, struct pal__step step, const char *path)
{
	step.path = path ? strdup(path) : NULL;
	if (step.path)
		add_step(builder, step);
	else
		pal__builder_check(builder, path ? -ENOMEM : -EINVAL, "path of a step");
}

/* For steps whose descriptors are `fd` and, for some, `to`. */
static bool has_fds(struct pal_builder *builder, int fd, int to)
{
	if (builder && (fd < 0 || to < 0))
		pal__builder_fail(builder, PAL_STAGE_ARGUMENT, -EBADF,
			"step %zu with a negative descriptor", builder->steps.count);
	return builder && fd >= 0 && to >= 0;
}

void pal_builder_step_open(
	struct pal_builder *builder, int child_fd, const char *path, int flags, mode_t mode)
{
	if (has_fds(builder, child_fd, 0))
		add_step_of_path(builder,
			(struct pal__step){
				PAL__STEP_OPEN, .fd = child_fd, .flags = flags, .mode = mode},
			path);
}

void pal_builder_step_dup2(struct pal_builder *builder, int from, int to)
{
	if (has_fds(builder, from, to))
		add_step(builder, (struct pal__step){PAL__STEP_DUP2, .fd = from, .to = to});
}

void pal_builder_step_close(struct pal_builder *builder, int child_fd)
{
	if (has_fds(builder, child_fd, 0))
		add_step(builder, (struct pal__step){PAL__STEP_CLOSE, .fd = child_fd});
}

void pal_builder_step_close_from(struct pal_builder *builder, int first)
{
	if (has_fds(builder, first, 0))
		add_step(builder, (struct pal__step){PAL__STEP_CLOSE_FROM, .fd = first});
}

void pal_builder_step_chdir(struct pal_builder *builder, const char *path)
{
	if (builder)
		add_step_of_path(builder, (struct pal__step){PAL__STEP_CHDIR, .fd = -1}, path);
}

void pal_builder_step_fchdir(struct pal_builder *builder, int child_fd)
{
	if (has_fds(builder, child_fd, 0))
		add_step(builder, (struct pal__step){PAL__STEP_FCHDIR, .fd = child_fd});
}

void pal_builder_step_foreground(struct pal_builder *builder, int child_fd)
{
	if (has_fds(builder, child_fd, 0))
		add_step(builder, (struct pal__step){PAL__STEP_FOREGROUND, .fd = child_fd});
}
