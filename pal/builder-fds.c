/* SPDX-License-Identifier: MIT */
#include <pal/builder-priv.h>

#include <errno.h>
#include <stdlib.h>

#include <pal/util-priv.h>

/* The setters of streams and descriptors. */

int pal__builder_put_fd(struct pal_builder *builder, struct pal__fd_request request)
{
	struct pal__fd_request *fds = builder->fds;

	for (size_t i = 0; i < builder->fd_count; i++)
		if (fds[i].child_fd == request.child_fd) {
			fds[i] = request;
			return 0;
		}
	fds = reallocarray(fds, builder->fd_count + 1, sizeof *fds);
	if (!fds)
		return -ENOMEM;
	builder->fds = fds;
	fds[builder->fd_count++] = request;
	return 0;
}

static bool is_valid(int stream, const struct pal_stdio *from)
{
	switch (from->kind) {
	case PAL_STDIO_KIND_INHERIT:
	case PAL_STDIO_KIND_NULL:
	case PAL_STDIO_KIND_PIPE:
		return true;
	case PAL_STDIO_KIND_FD:
		return from->fd >= 0;
	case PAL_STDIO_KIND_FILE:
		return from->path;
	case PAL_STDIO_KIND_STDOUT:
		return stream == 2;
	}
	return false;
}

static int put_stream(struct pal_builder *builder, int stream, struct pal_stdio from)
{
	int r;

	if (!is_valid(stream, &from))
		return -EINVAL;
	if (from.kind == PAL_STDIO_KIND_FILE) {
		r = pal__builder_replace(&builder->stream_paths[stream], from.path);
		if (r < 0)
			return r;
		from.path = builder->stream_paths[stream];
	}
	return pal__builder_put_fd(builder, (struct pal__fd_request){stream, from, -1});
}

static void set_stream(
	struct pal_builder *builder, int stream, struct pal_stdio from, const char *name)
{
	if (builder)
		pal__builder_check(builder, put_stream(builder, stream, from), "%s", name);
}

void pal_builder_stdin(struct pal_builder *builder, struct pal_stdio from)
{
	set_stream(builder, 0, from, "stdin");
}

void pal_builder_stdout(struct pal_builder *builder, struct pal_stdio to)
{
	set_stream(builder, 1, to, "stdout");
}

void pal_builder_stderr(struct pal_builder *builder, struct pal_stdio to)
{
	set_stream(builder, 2, to, "stderr");
}

void pal_builder_dup_fd(struct pal_builder *builder, int fd, int child_fd)
{
	if (!builder)
		return;
	if (fd < 0 || child_fd < 0)
		pal__builder_check(builder, -EINVAL, "dup_fd of %d as %d", fd, child_fd);
	else
		pal__builder_check(builder,
			pal__builder_put_fd(builder, (struct pal__fd_request){child_fd,
							     PAL_STDIO_FD(fd), builder->fd_calls}),
			"dup_fd");
	builder->fd_calls++;
}

void pal_builder_take_fd(struct pal_builder *builder, int fd, int child_fd)
{
	int *owned;

	if (!builder || fd < 0) {
		pal_builder_dup_fd(builder, fd, child_fd);
		pal_close(fd);
		return;
	}
	owned = reallocarray(builder->owned_fds, builder->owned_count + 1, sizeof *owned);
	if (!owned) {
		pal_close(fd);
		pal__builder_check(builder, -ENOMEM, "dup_fd");
		return;
	}
	builder->owned_fds = owned;
	owned[builder->owned_count++] = fd;
	pal_builder_dup_fd(builder, fd, child_fd);
}

void pal_builder_close_fd(struct pal_builder *builder, int child_fd)
{
	struct pal__fd_close *closes;

	if (!builder)
		return;
	if (child_fd < 0) {
		pal__builder_check(builder, -EINVAL, "close_fd of %d", child_fd);
		return;
	}
	closes = reallocarray(builder->closes, builder->close_count + 1, sizeof *closes);
	if (!closes) {
		pal__builder_check(builder, -ENOMEM, "close_fd");
		return;
	}
	builder->closes = closes;
	closes[builder->close_count++] = (struct pal__fd_close){child_fd, builder->fd_calls++};
	builder->changed = true;
}

void pal_builder_close_others(struct pal_builder *builder, bool on)
{
	if (!builder)
		return;
	builder->close_others = on;
	builder->changed = true;
}

bool pal__builder_gives_fd(const struct pal_builder *builder, int child_fd)
{
	bool given = false;

	for (size_t i = 0; i < builder->fd_count; i++)
		given |= builder->fds[i].child_fd == child_fd;
	for (size_t i = 0; i < builder->close_count; i++)
		given &= builder->closes[i].child_fd != child_fd;
	return given;
}
