/* SPDX-License-Identifier: MIT */

/*
 * Spawning a static tiny program and waiting for its end: from a small parent, from large ones,
 * from one with threads, and from one with descriptors that are not for the child.
 */
#include <pal/pal.h>

#include <fcntl.h>
#include <pthread.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench-spawn.h"
#include "config.h"
#include "harness.h"

#ifdef HAVE_LIBUV
#include <uv.h>
#endif
#ifdef HAVE_GLIB
#include <glib.h>
#endif
#if defined(__GLIBC__) && __GLIBC_PREREQ(2, 34)
#define HAVE_CLOSEFROM
#endif

static char *const argv[] = {(char *)TINY, NULL};

void expect_exit_0(pid_t pid)
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

static void run_guarded(unsigned count)
{
	while (count--)
		guarded_reap(guarded_spawn(argv));
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

/* ---- from what ---- */

#define CANDIDATES(fewer_of_those_that_fork) \
	{"floor", NULL, run_floor, NULL}, \
	{"floor-guarded", NULL, run_guarded, NULL}, \
	{"procmesh", start_procmesh, run_procmesh, stop_procmesh}, \
	{"procmesh-execve-signals", start_execve_signals, run_execve_signals, stop_execve_signals}, \
	{"posix_spawn", NULL, run_posix_spawn, NULL} UV_CANDIDATE(fewer_of_those_that_fork) \
	GLIB_CANDIDATES(fewer_of_those_that_fork)
#ifdef HAVE_LIBUV
#define UV_CANDIDATE(fewer) , {"libuv", NULL, run_libuv, NULL, fewer}
#else
#define UV_CANDIDATE(fewer)
#endif
#ifdef HAVE_GLIB
#define GLIB_CANDIDATES(fewer) , {"glib", NULL, run_glib, NULL, fewer}, \
	{"glib-leave-open", NULL, run_glib_open, NULL}
#else
#define GLIB_CANDIDATES(fewer)
#endif
#define END {NULL, NULL, NULL, NULL}

static const struct bench_candidate candidates[] = {CANDIDATES(0), END};
/* libuv and GLib copy the page tables. */
static const struct bench_candidate in_large_parents[] = {CANDIDATES(20), END};

static void from_5_mib(void)
{
	bench_grow_to((size_t)5 << 20);
	bench_run(&(struct bench_measure){"spawn.tiny.5MiB", "us", 20, 51, candidates});
}

static size_t available_memory(void)
{
	unsigned long long kib = 0;
	FILE *file = fopen("/proc/meminfo", "re");
	char line[128];

	while (file && fgets(line, sizeof line, file))
		if (sscanf(line, "MemAvailable: %llu kB", &kib) == 1)
			break;
	if (file)
		fclose(file);
	return (size_t)kib << 10;
}

static void from_large(const char *name, size_t size, unsigned rounds)
{
	if (available_memory() < size + size / 8) {
		fprintf(stderr, "bench-spawn: not enough memory: %s is left out\n", name);
		return;
	}
	bench_grow_to(size);
	bench_run(&(struct bench_measure){name, "us", 20, rounds, in_large_parents});
}

static void from_1_gib(void)
{
	from_large("spawn.tiny.1GiB", (size_t)1 << 30, 31);
}

static void from_8_gib(void)
{
	from_large("spawn.tiny.8GiB", (size_t)8 << 30, 21);
}

static pthread_barrier_t threads_are_there;

static void *sleep_on(void *arg)
{
	pthread_barrier_wait(&threads_are_there);
	for (;;)
		pause();
	return arg;
}

static void from_64_threads(void)
{
	pthread_barrier_init(&threads_are_there, NULL, 64);
	for (int i = 1; i < 64; i++) {
		pthread_t thread;

		if (pthread_create(&thread, NULL, sleep_on, NULL))
			bench_die("pthread_create");
	}
	pthread_barrier_wait(&threads_are_there);
	bench_grow_to((size_t)5 << 20);
	bench_run(&(struct bench_measure){"spawn.tiny.64threads", "us", 20, 51, candidates});
}

#ifdef HAVE_CLOSEFROM
static void run_posix_spawn_closefrom(unsigned count)
{
	while (count--) {
		posix_spawn_file_actions_t actions;
		pid_t pid;

		posix_spawn_file_actions_init(&actions);
		posix_spawn_file_actions_addclosefrom_np(&actions, 3);
		if (posix_spawn(&pid, TINY, &actions, NULL, argv, environ))
			bench_die("posix_spawn");
		posix_spawn_file_actions_destroy(&actions);
		expect_exit_0(pid);
	}
}
#endif

/* The floor, posix_spawn, libuv and glib-leave-open let the child have them; the others close them. */
static const struct bench_candidate with_descriptors[] = {CANDIDATES(0),
#ifdef HAVE_CLOSEFROM
	{"posix_spawn-closefrom", NULL, run_posix_spawn_closefrom, NULL},
#endif
	END};

static void from_1000_fds(void)
{
	int null = open("/dev/null", O_RDWR);

	for (int i = 0; i < 1000; i++)
		if (dup(null) < 0)
			bench_die("dup: 1000 descriptors");
	bench_grow_to((size_t)5 << 20);
	bench_run(&(struct bench_measure){"spawn.tiny.1000fds", "us", 20, 51, with_descriptors});
}

/* What a measure does to its process is not the next one's. */
static void apart(void (*measure)(void))
{
	pid_t pid = fork();

	if (pid == 0) {
		measure();
		_exit(0);
	}
	if (pid < 0)
		bench_die("fork");
	expect_exit_0(pid);
}

/* `bench-spawn PART...` runs these only. */
static const struct {
	const char *name;
	void (*measure)(void);
} parts[] = {
	{"5MiB", from_5_mib},
	{"1GiB", from_1_gib},
	{"8GiB", from_8_gib},
	{"64threads", from_64_threads},
	{"1000fds", from_1000_fds},
	{"capture", bench_capture},
	{"alive", bench_alive},
	{"sandboxed", bench_sandboxed},
};

static bool is_asked_for(const char *part, char **names)
{
	if (!*names)
		return true;
	while (*names && strcmp(*names, part))
		names++;
	return *names;
}

int main(int argc, char **arguments)
{
	(void)argc;
	for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++)
		if (is_asked_for(parts[i].name, arguments + 1))
			apart(parts[i].measure);
	return 0;
}
