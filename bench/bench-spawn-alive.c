/* SPDX-License-Identifier: MIT */

/*
 * Four thousand children that are alive at once, and then end at once and are
 * reaped; per child. Their standard input is one pipe, whose end is their end. GLib is left
 * out: its child watches are one more thread, which is about something else.
 */
#include <pal/pal.h>

#include <fcntl.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench-spawn.h"
#include "config.h"
#include "harness.h"

#ifdef HAVE_LIBUV
#include <uv.h>
#endif

#define ALIVE 4000

static char *const argv[] = {(char *)TINY_WAIT, NULL};

/* The pipe becomes our own standard input, for children to inherit. Returns its other end. */
static int hold_children(void)
{
	int ends[2];

	if (pipe2(ends, O_CLOEXEC) < 0 || dup2(ends[0], 0) < 0)
		bench_die("pipe2");
	close(ends[0]);
	return ends[1];
}

static void reap_any(unsigned count)
{
	int status;

	while (count--)
		if (waitpid(-1, &status, 0) < 0 || status)
			bench_die("the child");
}

static void run_floor(unsigned count)
{
	int hold = hold_children();

	for (unsigned i = 0; i < count; i++) {
		pid_t pid = vfork();

		if (pid == 0) {
			execve(TINY_WAIT, argv, environ);
			_exit(127);
		}
		if (pid < 0)
			bench_die("vfork");
	}
	close(hold);
	reap_any(count);
}

static void run_guarded(unsigned count)
{
	int *pidfds = calloc(count, sizeof *pidfds), hold = hold_children();

	if (!pidfds)
		bench_die("memory");
	for (unsigned i = 0; i < count; i++)
		pidfds[i] = guarded_spawn(argv);
	close(hold);
	for (unsigned i = 0; i < count; i++)
		guarded_reap(pidfds[i]);
	free(pidfds);
}

static struct pal_builder *builder, *execve_builder;

static void start_procmesh(void)
{
	builder = pal_builder_new(TINY_WAIT);
}

/* Without resetting what is ignored: with the signals that execve(2) gives, as the floor. */
static void start_execve_signals(void)
{
	execve_builder = pal_builder_new(TINY_WAIT);
	pal_builder_keep_ignored_signals(execve_builder, NULL);
}

static void hold_from(struct pal_builder *from, unsigned count)
{
	struct pal_child **children = calloc(count, sizeof(struct pal_child *));
	int hold = hold_children();

	if (!children)
		bench_die("memory");
	for (unsigned i = 0; i < count; i++)
		bench_check(pal_builder_spawn(from, &children[i], NULL), "pal_builder_spawn");
	close(hold);
	for (unsigned i = 0; i < count; i++) {
		struct pal_status status;

		bench_check(pal_child_wait(children[i], PAL_DEADLINE_NONE, &status, NULL), "pal_child_wait");
		if (status.signaled || status.code)
			bench_die("the child");
		pal_child_free(children[i]);
	}
	free(children);
}

static void run_procmesh(unsigned count)
{
	hold_from(builder, count);
}

static void run_execve_signals(unsigned count)
{
	hold_from(execve_builder, count);
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
	int hold = hold_children();

	for (unsigned i = 0; i < count; i++) {
		pid_t pid;

		if (posix_spawn(&pid, TINY_WAIT, NULL, NULL, argv, environ))
			bench_die("posix_spawn");
	}
	close(hold);
	reap_any(count);
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
	uv_stdio_container_t stdio = {.flags = UV_INHERIT_FD, .data.fd = 0};
	uv_process_options_t options = {
		.file = TINY_WAIT, .args = (char **)argv, .exit_cb = uv_ended, .stdio = &stdio, .stdio_count = 1};
	uv_process_t *processes = calloc(count, sizeof *processes);
	int hold = hold_children();

	if (!processes)
		bench_die("memory");
	for (unsigned i = 0; i < count; i++)
		if (uv_spawn(uv_default_loop(), &processes[i], &options))
			bench_die("uv_spawn");
	close(hold);
	uv_run(uv_default_loop(), UV_RUN_DEFAULT);
	free(processes);
}
#endif

static const struct bench_candidate candidates[] = {
	{"floor", NULL, run_floor, NULL},
	{"floor-guarded", NULL, run_guarded, NULL},
	{"procmesh", start_procmesh, run_procmesh, stop_procmesh},
	{"procmesh-execve-signals", start_execve_signals, run_execve_signals, stop_execve_signals},
	{"posix_spawn", NULL, run_posix_spawn, NULL},
#ifdef HAVE_LIBUV
	{"libuv", NULL, run_libuv, NULL},
#endif
	{NULL, NULL, NULL, NULL},
};

static int raise_limit(int resource, rlim_t wanted)
{
	struct rlimit limit;

	if (getrlimit(resource, &limit) < 0)
		return -1;
	if (limit.rlim_cur >= wanted)
		return 0;
	limit.rlim_cur = wanted;
	if (limit.rlim_max < wanted)
		limit.rlim_max = wanted;
	return setrlimit(resource, &limit);
}

void bench_alive(void)
{
	if (raise_limit(RLIMIT_NOFILE, ALIVE + 100) < 0 || raise_limit(RLIMIT_NPROC, 2 * ALIVE) < 0) {
		fprintf(stderr, "bench-spawn: no limits that allow %d children: spawn.4000alive is left out\n", ALIVE);
		return;
	}
	bench_run(&(struct bench_measure){"spawn.4000alive", "us", ALIVE, 5, candidates});
}
