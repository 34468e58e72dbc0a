/* SPDX-License-Identifier: MIT */
#include <pal/spawn-priv.h>

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>

#include <pal/socket.h>
#include <pal/util-priv.h>

int pal_builder_error(const struct pal_builder *builder, struct pal_error *error)
{
	if (!builder)
		return pal_error_set(error, PAL_STAGE_MEMORY, -ENOMEM, "builder");
	if (builder->first_error.code) {
		if (error)
			*error = builder->first_error;
		return builder->first_error.code;
	}
	return 0;
}

static int check_builder(const struct pal_builder *builder, bool program, struct pal_error *error)
{
	int r = pal_builder_error(builder, error);

	if (r == 0 && program && !builder->program)
		r = pal_error_set(error, PAL_STAGE_ARGUMENT, -EINVAL, "no program to execute");
	return r;
}

static bool is_open(const struct pal_builder *builder, int fd)
{
	const struct pal__sandbox *sandbox = &builder->sandbox;

	for (size_t i = 0; i < PAL__STACKED_MAX; i++)
		if (fd == sandbox->stacked_fds[i])
			return false;
	return fcntl(fd, F_GETFD) >= 0 && fd != sandbox->landlock_fd && fd != sandbox->border_fd;
}

/* As if the child had reported it. */
static int not_open(
	const struct pal_builder *builder, int stage, size_t index, struct pal_error *error)
{
	struct pal__report report = {.code = -EBADF, .stage = stage, .index = (int)index};

	return pal__report_error(builder, &report, error);
}

/*
 * The library's own descriptors get the lowest free numbers: a source that is
 * closed must be found before there are any, or the child would be given one of
 * them. The sandbox's are older than the spawn.
 */
static int check_sources(const struct pal_builder *builder, struct pal_error *error)
{
	const struct pal__process *process = &builder->process;

	for (size_t i = 0; i < builder->fd_count; i++) {
		const struct pal_stdio *from = &builder->fds[i].from;

		if (from->kind == PAL_STDIO_KIND_FD && !is_open(builder, from->fd))
			return not_open(builder, PAL_STAGE_FDS, i, error);
	}
	if (process->cgroup_fd >= 0 && !is_open(builder, process->cgroup_fd))
		return not_open(builder, PAL_STAGE_CGROUP, 0, error);
	for (size_t i = 0; i < process->procs_count; i++)
		if (!is_open(builder, process->procs_fds[i]))
			return not_open(builder, PAL_STAGE_CGROUP, i, error);
	if (builder->cwd_fd >= 0 && !is_open(builder, builder->cwd_fd))
		return not_open(builder, PAL_STAGE_CHDIR, 0, error);
	return 0;
}

int pal__launch_check(const struct pal_builder *builder, bool program, struct pal_error *error)
{
	int r = check_builder(builder, program, error);

	if (r >= 0)
		r = check_sources(builder, error);
	return r < 0 ? r : pal__namespaces_check(builder, error);
}

int pal__launch_prepare(struct pal__launch *launch, struct pal_builder *builder, bool program,
	struct pal_error *error)
{
	int r;

	*launch = (struct pal__launch)PAL__LAUNCH_INIT;
	launch->child = pal__child_new();
	if (!launch->child)
		return pal_error_set(error, PAL_STAGE_MEMORY, -ENOMEM, "handle of a child");
	r = pal__plan_fds_open(&launch->own, builder, program, error);
	if (r >= 0)
		r = pal__streams_open(&launch->streams, builder, error);
	if (r < 0)
		return r;
	if (!builder->plan)
		builder->plan = calloc(1, sizeof *builder->plan);
	if (!builder->plan)
		return pal_error_set(error, PAL_STAGE_MEMORY, -ENOMEM, "plan of a child");
	launch->plan = builder->plan;
	r = pal__plan_update(builder->plan, builder, program, &launch->streams, &launch->own, error);
	if (r >= 0)
		builder->changed = false;
	return r;
}

int pal__launch_receive(
	struct pal__launch *launch, pid_t pid, int *pidfd, struct pal_error *error)
{
	int fds[PAL_SOCKET_MAX_FDS], fd;
	size_t count;
	ssize_t size;
	char byte;

	if (launch->streams.handover[0] < 0)
		return 0;
	size = pal_socket_receive(launch->streams.handover[0], &byte, 1, fds, &count);
	fd = size < 0 ? (int)size : count == 1 ? pal__fd_lift(fds[0]) : -EPROTO;
	if (fd < 0) {
		pal__launch_abandon(launch, pid, pidfd);
		return pal_error_set(
			error, PAL_STAGE_SECCOMP, fd, "taking over the listener of a filter");
	}
	launch->child->notify_fd = fd;
	return 0;
}

struct pal_child *pal__launch_finish(struct pal__launch *launch, pid_t pid, int pidfd)
{
	const struct pal__process *process = launch->plan->process;
	struct pal_child *child = PAL_TAKE_POINTER(launch->child);

	child->pid = pid;
	child->pidfd = pidfd;
	child->leads_group = process->setsid || process->tty >= 0 || process->group == 0;
	for (int i = 0; i < 3; i++)
		child->stdio[i] = pal_take_fd(&launch->streams.parent_side[i]);
	return child;
}

void pal__launch_abandon(struct pal__launch *launch, pid_t pid, int *pidfd)
{
	/* knows what to do with one that may not be killed, or does not end */
	pal_child_free(pal__launch_finish(launch, pid, pal_take_fd(pidfd)));
}

void pal__launch_clear(struct pal__launch *launch)
{
	pal__streams_close(&launch->streams);
	if (launch->child)
		pal_close(launch->child->notify_fd);
	pal__plan_fds_close(&launch->own);
	free(launch->child);
}
