/* SPDX-License-Identifier: MIT */
#include <pal/spawn-priv.h>

#include <errno.h>
#include <fcntl.h>
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

/*
 * The library's own descriptors get the lowest free numbers: a source that is
 * closed must be found before there are any, or the child would be given one of
 * them. The sandbox's is older than the spawn.
 */
static int check_sources(const struct pal_builder *builder, struct pal_error *error)
{
	for (size_t i = 0; i < builder->fd_count; i++) {
		const struct pal_stdio *from = &builder->fds[i].from;
		struct pal__report report = {
			.code = -EBADF, .stage = PAL_STAGE_FDS, .index = (int)i};

		if (from->kind != PAL_STDIO_KIND_FD)
			continue;
		if (fcntl(from->fd, F_GETFD) < 0 || from->fd == builder->sandbox.landlock_fd)
			return pal__report_error(builder, &report, error);
	}
	return 0;
}

int pal__launch_check(const struct pal_builder *builder, bool program, struct pal_error *error)
{
	int r = check_builder(builder, program, error);

	return r < 0 ? r : check_sources(builder, error);
}

int pal__launch_prepare(struct pal__launch *launch, const struct pal_builder *builder, bool program,
	int ready_fd, struct pal_error *error)
{
	int r;

	*launch = (struct pal__launch){.streams = PAL__STREAMS_INIT};
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
	child->leads_group = false; /* until a builder can ask for it */
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
