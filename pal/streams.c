/* SPDX-License-Identifier: MIT */
#include <pal/streams-priv.h>

#include <errno.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <pal/private.h>
#include <pal/socket.h>
#include <pal/util-priv.h>

static const char *const names[] = {"stdin", "stdout", "stderr"};

int pal__fd_lift(int fd)
{
	int lifted;

	if (fd < 0 || fd > 2)
		return fd;
	lifted = fcntl(fd, F_DUPFD_CLOEXEC, 3);
	if (lifted < 0)
		lifted = -errno;
	pal_close(fd);
	return lifted;
}

static int open_null(struct pal__streams *streams)
{
	int fd;

	if (streams->null >= 0)
		return 0;
	fd = open("/dev/null", O_RDWR | O_CLOEXEC);
	fd = fd < 0 ? -errno : pal__fd_lift(fd);
	if (fd < 0)
		return fd;
	streams->null = fd;
	return 0;
}

static int open_pipe(struct pal__streams *streams, int stream)
{
	int ends[2], child_end = stream == 0 ? 0 : 1, r;

	if (pipe2(ends, O_CLOEXEC) < 0)
		return -errno;
	for (int i = 0; i < 2; i++) {
		r = pal__fd_lift(ends[i]);
		if (r < 0) {
			pal_close(ends[!i]);
			return r;
		}
		ends[i] = r;
	}
	streams->child_side[stream] = ends[child_end];
	streams->parent_side[stream] = ends[!child_end];
	return 0;
}

/* Opened here, where the host's rights and folder count. */
static int open_file(struct pal__streams *streams, int stream, const struct pal_stdio *file)
{
	int fd;

	do /* a FIFO waits for its other end */
		fd = open(file->path, file->flags | O_CLOEXEC | O_NOCTTY, file->mode);
	while (fd < 0 && errno == EINTR);
	fd = fd < 0 ? -errno : pal__fd_lift(fd);
	if (fd < 0)
		return fd;
	streams->child_side[stream] = fd;
	return 0;
}

static int open_stream(struct pal__streams *streams, const struct pal__fd_request *request)
{
	bool held;
	int r;

	switch (request->from.kind) {
	case PAL_STDIO_KIND_NULL:
		return open_null(streams);
	case PAL_STDIO_KIND_PIPE:
		held = pal_private_begin();
		r = open_pipe(streams, request->child_fd);
		pal_private_end(held);
		return r;
	case PAL_STDIO_KIND_FILE:
		return open_file(streams, request->child_fd, &request->from);
	case PAL_STDIO_KIND_INHERIT:
	case PAL_STDIO_KIND_FD:
	case PAL_STDIO_KIND_STDOUT:
		break;
	}
	return 0;
}

static int open_handover(struct pal__streams *streams, struct pal_error *error)
{
	bool held = pal_private_begin();
	int ends[2], r = pal_socket_pair(SOCK_SEQPACKET, ends);

	for (int i = 0; i < 2 && r >= 0; i++) {
		r = pal__fd_lift(ends[i]);
		if (r < 0 && i == 0)
			pal_close(ends[1]);
		if (r >= 0)
			streams->handover[i] = r;
	}
	pal_private_end(held);
	if (r < 0)
		return pal_error_set(
			error, PAL_STAGE_SECCOMP, r, "a socket for the listener of a filter");
	return 0;
}

static const char *name_of(const struct pal_stdio *from)
{
	return from->kind == PAL_STDIO_KIND_PIPE   ? "pipe"
	       : from->kind == PAL_STDIO_KIND_FILE ? from->path
						   : "/dev/null";
}

int pal__streams_open(
	struct pal__streams *streams, const struct pal_builder *builder, struct pal_error *error)
{
	for (size_t i = 0; i < builder->fd_count; i++) {
		const struct pal__fd_request *request = &builder->fds[i];
		int r = open_stream(streams, request);

		if (r < 0) {
			pal_error_set(error, PAL_STAGE_STDIO, r, "%s %s", names[request->child_fd],
				name_of(&request->from));
			if (error)
				error->index = request->child_fd;
			return r;
		}
	}
	return builder->sandbox.notify ? open_handover(streams, error) : 0;
}

static void close_child_sides(struct pal__streams *streams)
{
	for (int i = 0; i < 3; i++)
		streams->child_side[i] = pal_close(streams->child_side[i]);
	streams->null = pal_close(streams->null);
	streams->handover[1] = pal_close(streams->handover[1]);
}

void pal__streams_close_child_sides(struct pal__streams *streams)
{
	bool held = pal_private_begin();

	close_child_sides(streams);
	pal_private_end(held);
}

void pal__streams_close(struct pal__streams *streams)
{
	bool held = pal_private_begin();

	close_child_sides(streams);
	for (int i = 0; i < 3; i++)
		streams->parent_side[i] = pal_close(streams->parent_side[i]);
	streams->handover[0] = pal_close(streams->handover[0]);
	pal_private_end(held);
}
