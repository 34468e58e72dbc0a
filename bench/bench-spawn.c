/* SPDX-License-Identifier: MIT */

/* Spawning a static tiny program and waiting for its end. */
#include <pal/pal.h>

#include <spawn.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "config.h"
#include "harness.h"

#ifdef HAVE_LIBUV
#include <uv.h>
#endif
#ifdef HAVE_GLIB
#include <glib.h>
#endif

static char *const argv[] = {(char *)TINY, NULL};

static void expect_exit_0(pid_t pid)
{
	int status;

	if (waitpid(pid, &status, 0) != pid || status)
		bench_die("the child");
}

static void run_floor(unsigned count)
{
	while (count--) {
		pid_t pid = vfork();

		if (pid == 0) {
			execve(TINY, argv, environ);
			_exit(127);
		}
		if (pid < 0)
			bench_die("vfork");
		expect_exit_0(pid);
	}
}

static struct pal_builder *builder, *execve_builder;

static void start_procmesh(void)
{
	builder = pal_builder_new(TINY);
}

/* Without resetting what is ignored: with the signals that execve(2) gives, as the floor. */
static void start_execve_signals(void)
{
	execve_builder = pal_builder_new(TINY);
	pal_builder_keep_ignored_signals(execve_builder, NULL);
}

static void spawn_from(struct pal_builder *from, unsigned count)
{
	while (count--) {
		struct pal_child *child;
		struct pal_status status;

		bench_check(pal_builder_spawn(from, &child, NULL), "pal_builder_spawn");
		bench_check(pal_child_wait(child, PAL_DEADLINE_NONE, &status, NULL), "pal_child_wait");
		if (status.signaled || status.code)
			bench_die("the child");
		pal_child_free(child);
	}
}

static void run_procmesh(unsigned count)
{
	spawn_from(builder, count);
}

static void run_execve_signals(unsigned count)
{
	spawn_from(execve_builder, count);
}

static void stop_procmesh(void)
{
	pal_builder_free(builder);
}

static void stop_execve_signals(void)
{
	pal_builder_free(execve_builder);
}

static void run_posix_spawn(unsigned count)
{
	while (count--) {
		pid_t pid;

		if (posix_spawn(&pid, TINY, NULL, NULL, argv, environ))
			bench_die("posix_spawn");
		expect_exit_0(pid);
	}
}

#ifdef HAVE_LIBUV
static void uv_ended(uv_process_t *process, int64_t status, int signal)
{
	if (status || signal)
		bench_die("the child");
	uv_close((uv_handle_t *)process, NULL);
}

static void run_libuv(unsigned count)
{
	uv_process_options_t options = {.file = TINY, .args = (char **)argv, .exit_cb = uv_ended};

	while (count--) {
		uv_process_t process;

		if (uv_spawn(uv_default_loop(), &process, &options))
			bench_die("uv_spawn");
		uv_run(uv_default_loop(), UV_RUN_DEFAULT);
	}
}
#endif

#ifdef HAVE_GLIB
static void spawn_glib(unsigned count, GSpawnFlags flags)
{
	while (count--) {
		GPid pid;

		if (!g_spawn_async(NULL, (char **)argv, NULL, flags | G_SPAWN_DO_NOT_REAP_CHILD, NULL, NULL, &pid, NULL))
			bench_die("g_spawn_async");
		expect_exit_0(pid);
	}
}

static void run_glib(unsigned count)
{
	spawn_glib(count, G_SPAWN_DEFAULT);
}

static void run_glib_open(unsigned count)
{
	spawn_glib(count, G_SPAWN_LEAVE_DESCRIPTORS_OPEN);
}
#endif

static const struct bench_candidate candidates[] = {
	{"floor", NULL, run_floor, NULL},
	{"procmesh", start_procmesh, run_procmesh, stop_procmesh},
	{"procmesh-execve-signals", start_execve_signals, run_execve_signals, stop_execve_signals},
	{"posix_spawn", NULL, run_posix_spawn, NULL},
#ifdef HAVE_LIBUV
	{"libuv", NULL, run_libuv, NULL},
#endif
#ifdef HAVE_GLIB
	{"glib", NULL, run_glib, NULL},
	{"glib-leave-open", NULL, run_glib_open, NULL},
#endif
	{NULL, NULL, NULL, NULL},
};

int main(void)
{
	bench_grow_to((size_t)5 << 20);
	bench_run(&(struct bench_measure){"spawn.tiny.5MiB", "us", 20, 51, candidates});
	return 0;
}
