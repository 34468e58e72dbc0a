/* SPDX-License-Identifier: MIT */

/*
 * Spawning a static tiny program in a sandbox, on one processor: what that adds to a spawn
 * without, against the same system calls in plain order, and bubblewrap where it
 * can do the same; and making a sandbox that children can be spawned in from a text.
 */
#include <pal/pal.h>
#include <pal_profile/text.h>

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench-spawn-sandboxed.h"
#include "bench-spawn.h"
#include "config.h"
#include "harness.h"

/* ---- what all of them say ---- */

/* clang-format off */
const char *const sandboxed_calls[61] = {
	"read", "write", "close", "fstat", "newfstatat", "lseek", "mmap", "mprotect", "munmap", "brk",
	"rt_sigaction", "rt_sigprocmask", "rt_sigreturn", "sigaltstack", "ioctl", "pread64", "pwrite64", "readv",
	"writev", "faccessat", "pipe2", "sched_yield", "mremap", "madvise", "dup", "dup3", "nanosleep",
	"clock_nanosleep", "getpid", "gettid", "sendto", "recvfrom", "sendmsg", "recvmsg", "shutdown", "getsockopt",
	"exit", "exit_group", "wait4", "kill", "uname", "fcntl", "getcwd", "openat", "readlinkat", "getdents64",
	"futex", "set_robust_list", "set_tid_address", "prlimit64", "getrandom", "rseq", "clock_gettime",
	"epoll_create1", "epoll_ctl", "epoll_pwait", "ppoll", "eventfd2", "execve", "statx",
};

const char *const sandboxed_folders[11] = {"/usr/lib", "/usr/bin", "/usr/share", "/etc", "/proc", "/dev", "/var",
	"/run", "/tmp", TINY_FOLDER};
/* clang-format on */

const struct sandboxed_limit sandboxed_limits[3] = {
	{RLIMIT_NOFILE, "LimitNOFILE", 256},
	{RLIMIT_CORE, "LimitCORE", 0},
	{RLIMIT_FSIZE, "LimitFSIZE", 1 << 20},
};

const char *const sandboxed_binds[5] = {"/usr/lib", "/usr/share", "/etc", TINY_FOLDER};

/* ---- without, and by this library ---- */

static void run_floor(unsigned count)
{
	while (count--) {
		pid_t pid = vfork();

		if (pid == 0) {
			execve(TINY, (char *const[]){(char *)TINY, NULL}, environ);
			_exit(127);
		}
		if (pid < 0)
			bench_die("vfork");
		expect_exit_0(pid);
	}
}

static void set_filter(struct pal_builder *builder)
{
	struct pal_seccomp *filter;

	bench_check(pal_seccomp_new(PAL_SECCOMP_ERRNO(EPERM), &filter, NULL), "pal_seccomp_new");
	bench_check(pal_seccomp_rules(filter, PAL_SECCOMP_ALLOW, sandboxed_calls, NULL),
		"pal_seccomp_rules");
	pal_builder_seccomp(builder, filter);
	pal_seccomp_free(filter);
}

static void set_ruleset(struct pal_builder *builder)
{
	struct pal_landlock *ruleset;

	bench_check(pal_landlock_new(&ruleset, NULL), "pal_landlock_new");
	for (const char *const *path = sandboxed_folders; *path; path++)
		bench_check(pal_landlock_allow_path(
				    ruleset, *path, PAL_LANDLOCK_READ | PAL_LANDLOCK_EXECUTE, NULL),
			*path);
	pal_builder_landlock(builder, ruleset);
	pal_landlock_free(ruleset);
}

static struct pal_builder *make_builder(enum sandboxed_in in)
{
	struct pal_builder *builder = pal_builder_new(TINY);
	const struct pal_capabilities none = PAL_CAPABILITIES_NONE;

	if (in != IN_NOTHING) {
		pal_builder_namespaces(builder, PAL_NS_USER | PAL_NS_MOUNT | PAL_NS_PID);
		pal_builder_deny_setgroups(builder, true);
	}
	if (in == IN_ROOT) {
		pal_builder_private_root(builder, true);
		for (const char *const *path = sandboxed_binds; *path; path++)
			pal_builder_bind(builder, *path, *path, PAL_MOUNT_READ_ONLY);
	}
	for (size_t i = 0; i < sizeof sandboxed_limits / sizeof sandboxed_limits[0]; i++)
		pal_builder_rlimit(builder, sandboxed_limits[i].resource, sandboxed_limits[i].value,
			sandboxed_limits[i].value);
	pal_builder_capabilities(builder, &none);
	pal_builder_no_new_privs(builder, true);
	set_ruleset(builder);
	set_filter(builder);
	return builder;
}

static struct pal_builder *builder;

static void start_nothing(void)
{
	builder = make_builder(IN_NOTHING);
}

static void start_namespaces(void)
{
	builder = make_builder(IN_NAMESPACES);
}

static void start_root(void)
{
	builder = make_builder(IN_ROOT);
}

static void run_procmesh(unsigned count)
{
	while (count--) {
		struct pal_child *child;
		struct pal_status status;

		bench_check(pal_builder_spawn(builder, &child, NULL), "pal_builder_spawn");
		bench_check(
			pal_child_wait(child, PAL_DEADLINE_NONE, &status, NULL), "pal_child_wait");
		if (status.signaled || status.code)
			bench_die("the child");
		pal_child_free(child);
	}
}

static void stop_procmesh(void)
{
	pal_builder_free(builder);
}

/* ---- from text ---- */

static char text[8192];
static size_t text_size;

static void __attribute__((format(printf, 1, 2))) add_text(const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	text_size +=
		(size_t)vsnprintf(text + text_size, sizeof text - text_size, format, arguments);
	va_end(arguments);
	if (text_size >= sizeof text)
		bench_die("a text that is too long");
}

static void add_words(const char *key, const char *const *words)
{
	add_text("%s=", key);
	for (; *words; words++)
		add_text("%s ", *words);
	add_text("\n");
}

static void start_text(void)
{
	add_text(
		"[Service]\nNoNewPrivileges=yes\nCapabilityBoundingSet=\nSystemCallErrorNumber=EPERM\n");
	add_words("SystemCallFilter", sandboxed_calls);
	add_words("X-LandlockExecute", sandboxed_folders);
	add_text("X-LandlockRestrict=files tcp signals abstract-sockets\n");
	for (size_t i = 0; i < sizeof sandboxed_limits / sizeof sandboxed_limits[0]; i++)
		add_text("%s=%llu\n", sandboxed_limits[i].key,
			(unsigned long long)sandboxed_limits[i].value);
}

/* To where only spawning is left. */
static void build_from_text(unsigned count)
{
	while (count--) {
		struct pal_builder *made = pal_builder_new(TINY);
		struct pal_profile *profile;

		bench_check(pal_profile_parse(text, text_size, "bench", &profile, NULL),
			"pal_profile_parse");
		bench_check(profile->apply(profile, made, NULL), "apply");
		pal_builder_free(made);
		pal_profile_free(profile);
	}
}

static void build_by_calls(unsigned count)
{
	while (count--)
		pal_builder_free(make_builder(IN_NOTHING));
}

/* The only thing of it that takes the kernel. */
static void build_ruleset(unsigned count)
{
	while (count--)
		close(raw_ruleset());
}

static void build_by_libseccomp(unsigned count)
{
	while (count--) {
		close(libseccomp_file(true));
		close(raw_ruleset());
	}
}

/* ---- the measures ---- */

static const struct bench_candidate in_nothing[] = {
	{"floor", NULL, run_floor, NULL},
	{"raw", NULL, run_raw, NULL},
	{"procmesh", start_nothing, run_procmesh, stop_procmesh},
	{NULL, NULL, NULL, NULL},
};
static const struct bench_candidate in_namespaces[] = {
	{"floor", NULL, run_floor, NULL},
	{"raw", NULL, run_raw_namespaces, NULL},
	{"procmesh", start_namespaces, run_procmesh, stop_procmesh},
	{"raw-unsafe", NULL, run_raw_sharing, NULL},
#ifdef BWRAP
	{"bubblewrap", NULL, run_bwrap_namespaces, NULL, 10},
#endif
	{NULL, NULL, NULL, NULL},
};
static const struct bench_candidate in_root[] = {
	{"floor", NULL, run_floor, NULL},
	{"raw", NULL, run_raw_root, NULL},
	{"procmesh", start_root, run_procmesh, stop_procmesh},
#ifdef BWRAP
	{"bubblewrap", NULL, run_bwrap_root, NULL, 10},
#endif
	{NULL, NULL, NULL, NULL},
};
static const struct bench_candidate building[] = {
	{"floor", NULL, build_ruleset, NULL},
	{"procmesh", start_text, build_from_text, NULL},
	{"procmesh-calls", NULL, build_by_calls, NULL},
	{"libseccomp", NULL, build_by_libseccomp, NULL},
	{NULL, NULL, NULL, NULL},
};

void bench_sandboxed(void)
{
	bench_one_cpu();
	bench_grow_to((size_t)5 << 20);
	bench_run(&(struct bench_measure){
		"spawn.sandboxed.onecpu", "us", 20, 51, in_nothing, .added = true});
	bench_run(&(struct bench_measure){
		"spawn.sandboxed.ns", "us", 10, 31, in_namespaces, .added = true});
	bench_run(&(struct bench_measure){
		"spawn.sandboxed.root", "us", 10, 31, in_root, .added = true});
	bench_run(&(struct bench_measure){"sandbox.build", "us", 20, 51, building});
}
