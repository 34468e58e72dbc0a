/* SPDX-License-Identifier: MIT */

/* Starting a program that writes 1 MiB, and having that in memory, all on one CPU. */
#include <pal/pal.h>

#include <fcntl.h>
#include <spawn.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench-spawn.h"
#include "config.h"
#include "harness.h"

#ifdef HAVE_LIBUV
#include <uv.h>
#endif
#ifdef HAVE_GLIB
#include <gio/gio.h>
#endif

#define OUTPUT ((size_t)1 << 20)
#define PIECE ((size_t)64 << 10)

static char *const argv[] = {(char *)TINY_WRITE, NULL};

/* ---- the floor: it knows how much will come ---- */

static void collect(int fd)
{
	char *output = malloc(OUTPUT);
	size_t size = 0;
	ssize_t got;

	if (!output)
		bench_die("memory");
	while (size < OUTPUT && (got = read(fd, output + size, OUTPUT - size < PIECE ? OUTPUT - size : PIECE)) > 0)
		size += (size_t)got;
	if (size != OUTPUT || read(fd, output, 1) != 0)
		bench_die("the output");
	free(output);
}

static void run_floor(unsigned count)
{
	while (count--) {
		int ends[2];
		pid_t pid;

		if (pipe2(ends, O_CLOEXEC) < 0)
			bench_die("pipe2");
		pid = vfork();
		if (pid == 0) {
			if (dup2(ends[1], 1) == 1)
				execve(TINY_WRITE, argv, environ);
			_exit(127);
		}
		if (pid < 0)
			bench_die("vfork");
		close(ends[1]);
		collect(ends[0]);
		close(ends[0]);
		expect_exit_0(pid);
	}
}

/* ---- procmesh ---- */

static struct pal_builder *builder;

static void start_procmesh(void)
{
	builder = pal_builder_new(TINY_WRITE);
	pal_builder_stdout(builder, PAL_STDIO_PIPE);
}

static void run_procmesh(unsigned count)
{
	while (count--) {
		struct pal_output output;

		bench_check(pal_communicate(builder, NULL, &output, NULL), "pal_communicate");
		if (output.out_size != OUTPUT || output.status.signaled || output.status.code)
			bench_die("the output");
		pal_output_clear(&output);
	}
}

static void stop_procmesh(void)
{
	pal_builder_free(builder);
}

/* ---- posix_spawn ---- */

static void run_posix_spawn(unsigned count)
{
	while (count--) {
		posix_spawn_file_actions_t actions;
		int ends[2];
		pid_t pid;

		if (pipe2(ends, O_CLOEXEC) < 0)
			bench_die("pipe2");
		posix_spawn_file_actions_init(&actions);
		posix_spawn_file_actions_adddup2(&actions, ends[1], 1);
		if (posix_spawn(&pid, TINY_WRITE, &actions, NULL, argv, environ))
			bench_die("posix_spawn");
		posix_spawn_file_actions_destroy(&actions);
		close(ends[1]);
		collect(ends[0]);
		close(ends[0]);
		expect_exit_0(pid);
	}
}

/* ---- libuv ---- */

#ifdef HAVE_LIBUV
struct captured {
	char *output;
	size_t size;
};

static void uv_ended(uv_process_t *process, int64_t status, int signal)
{
	if (status || signal)
		bench_die("the child");
	uv_close((uv_handle_t *)process, NULL);
}

static void uv_room(uv_handle_t *handle, size_t suggested, uv_buf_t *ret)
{
	struct captured *captured = handle->data;

	(void)suggested;
	*ret = uv_buf_init(captured->output + captured->size, PIECE);
}

static void uv_got(uv_stream_t *stream, ssize_t got, const uv_buf_t *buffer)
{
	struct captured *captured = stream->data;

	(void)buffer;
	if (got >= 0)
		captured->size += (size_t)got;
	else
		uv_close((uv_handle_t *)stream, NULL);
}

static void run_libuv(unsigned count)
{
	while (count--) {
		struct captured captured = {malloc(OUTPUT + PIECE), 0};
		uv_pipe_t pipe;
		uv_stdio_container_t stdio[3] = {{.flags = UV_IGNORE},
			{.flags = UV_CREATE_PIPE | UV_WRITABLE_PIPE, .data.stream = (uv_stream_t *)&pipe},
			{.flags = UV_INHERIT_FD, .data.fd = 2}};
		uv_process_options_t options = {.file = TINY_WRITE,
			.args = (char **)argv,
			.exit_cb = uv_ended,
			.stdio = stdio,
			.stdio_count = 3};
		uv_process_t process;

		uv_pipe_init(uv_default_loop(), &pipe, 0);
		pipe.data = &captured;
		if (!captured.output || uv_spawn(uv_default_loop(), &process, &options) ||
			uv_read_start((uv_stream_t *)&pipe, uv_room, uv_got))
			bench_die("uv_spawn");
		uv_run(uv_default_loop(), UV_RUN_DEFAULT);
		if (captured.size != OUTPUT)
			bench_die("the output");
		free(captured.output);
	}
}
#endif

/* ---- GLib ---- */

#ifdef HAVE_GLIB
static void run_glib(unsigned count)
{
	static const char *const args[] = {TINY_WRITE, NULL};

	while (count--) {
		GSubprocess *process = g_subprocess_newv(args, G_SUBPROCESS_FLAGS_STDOUT_PIPE, NULL);
		GBytes *output = NULL;

		if (!process || !g_subprocess_communicate(process, NULL, NULL, &output, NULL, NULL) ||
			g_bytes_get_size(output) != OUTPUT || !g_subprocess_get_successful(process))
			bench_die("GSubprocess");
		g_bytes_unref(output);
		g_object_unref(process);
	}
}
#endif

static const struct bench_candidate candidates[] = {
	{"floor", NULL, run_floor, NULL},
	{"procmesh", start_procmesh, run_procmesh, stop_procmesh},
	{"posix_spawn", NULL, run_posix_spawn, NULL},
#ifdef HAVE_LIBUV
	{"libuv", NULL, run_libuv, NULL},
#endif
#ifdef HAVE_GLIB
	{"glib-subprocess", NULL, run_glib, NULL},
#endif
	{NULL, NULL, NULL, NULL},
};

void bench_capture(void)
{
	bench_one_cpu();
	bench_run(&(struct bench_measure){"spawn.capture1MiB.onecpu", "us", 10, 51, candidates});
}
