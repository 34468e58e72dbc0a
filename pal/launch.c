/* SPDX-License-Identifier: MIT */
#include <pal/spawn-priv.h>

#include <errno.h>
#include <stdlib.h>

#include <pal/util-priv.h>

static int check_builder(const struct pal_builder *builder, bool program, struct pal_error *error)
{
	if (!builder)
		return pal_error_set(error, PAL_STAGE_MEMORY, -ENOMEM, "builder");
	if (builder->first_error.code) {
		if (error)
			*error = builder->first_error;
		return builder->first_error.code;
	}
	if (program && !builder->program)
		return pal_error_set(error, PAL_STAGE_ARGUMENT, -EINVAL, "no program to execute");
	return 0;
}

int pal__launch_prepare(struct pal__launch *launch, const struct pal_builder *builder, bool program,
	int ready_fd, struct pal_error *error)
{
	int r = check_builder(builder, program, error);

	*launch = (struct pal__launch){.streams = PAL__STREAMS_INIT};
	if (r < 0)
		return r;
	launch->child = pal__child_new();
	if (!launch->child)
		return pal_error_set(error, PAL_STAGE_MEMORY, -ENOMEM, "handle of a child");
	r = pal__streams_open(&launch->streams, builder, error);
	if (r < 0)
		return r;
	return pal__plan_make(&launch->plan, builder, program, &launch->streams, ready_fd, error);
}

struct pal_child *pal__launch_finish(struct pal__launch *launch, pid_t pid, int pidfd)
{
	struct pal_child *child = PAL_TAKE_POINTER(launch->child);

	child->pid = pid;
	child->pidfd = pidfd;
	for (int i = 0; i < 3; i++)
		child->stdio[i] = pal_take_fd(&launch->streams.parent_side[i]);
	return child;
}

void pal__launch_clear(struct pal__launch *launch)
{
	pal__plan_clear(&launch->plan);
	pal__streams_close(&launch->streams);
	free(launch->child);
}
