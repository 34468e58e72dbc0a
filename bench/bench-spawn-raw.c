/* SPDX-License-Identifier: MIT */

/*
 * A sandbox as one writes it down without a library, in plain order: all of it in the child, one call
 * after the other, but for the filter, which libseccomp has made before in the way
 * it does if nothing else is said. The child shares the memory of this process until it
 * executes, as that of the floor does; but not in a user namespace, where whoever has the same user outside
 * could trace it, and so change the memory of a process that has more rights: a copy, as fork(2) makes. What
 * it would cost to share it there, too, is run_raw_sharing.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <seccomp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "bench-spawn-sandboxed.h"
#include "bench-spawn.h"
#include "harness.h"

/* ---- the filter ---- */

int libseccomp_file(bool tree)
{
	scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ERRNO(EPERM));
	int file = memfd_create("filter", MFD_CLOEXEC);

	if (!filter || file < 0)
		bench_die("libseccomp");
	bench_check(seccomp_attr_set(filter, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS),
		"libseccomp");
	if (tree)
		bench_check(seccomp_attr_set(filter, SCMP_FLTATR_CTL_OPTIMIZE, 2), "libseccomp");
	for (const char *const *name = sandboxed_calls; *name; name++)
		bench_check(seccomp_rule_add(
				    filter, SCMP_ACT_ALLOW, seccomp_syscall_resolve_name(*name), 0),
			*name);
	bench_check(seccomp_export_bpf(filter, file), "seccomp_export_bpf");
	seccomp_release(filter);
	return file;
}

struct sock_fprog libseccomp_program(bool tree)
{
	int file = libseccomp_file(tree);
	off_t size = lseek(file, 0, SEEK_END);
	struct sock_fprog program = {
		.len = (unsigned short)((size_t)size / sizeof(struct sock_filter)),
		.filter = malloc((size_t)size),
	};

	if (!program.filter || pread(file, program.filter, (size_t)size, 0) != size)
		bench_die("libseccomp");
	close(file);
	return program;
}

static const struct sock_fprog *program_in_plain_order(void)
{
	static struct sock_fprog program;

	if (!program.len)
		program = libseccomp_program(false);
	return &program;
}

/* ---- Landlock, which libc's headers may be too old for ---- */

struct ruleset {
	uint64_t files, ports, scopes;
};

struct __attribute__((packed)) folder_rule {
	uint64_t files;
	int32_t folder;
};

#define EXECUTE_AND_READ (UINT64_C(1) | 1 << 2 | 1 << 3)
#define RULE_OF_FOLDER 1
#define ASK_FOR_VERSION 1

/* All that the running kernel knows. */
static struct ruleset everything(void)
{
	long version = syscall(SYS_landlock_create_ruleset, NULL, 0, ASK_FOR_VERSION);
	unsigned files = version >= 5 ? 16 : version >= 3 ? 15 : version == 2 ? 14 : 13;

	return (struct ruleset){
		.files = (UINT64_C(1) << files) - 1,
		.ports = version >= 4 ? 3 : 0,
		.scopes = version >= 6 ? 3 : 0,
	};
}

/* Returns a descriptor or -1. */
static int make_ruleset(const struct ruleset *handled)
{
	size_t size = handled->scopes ? 24 : handled->ports ? 16 : 8;
	int ruleset = (int)syscall(SYS_landlock_create_ruleset, handled, size, 0);

	for (const char *const *path = sandboxed_folders; ruleset >= 0 && *path; path++) {
		struct folder_rule rule = {EXECUTE_AND_READ, open(*path, O_PATH | O_CLOEXEC)};

		if (rule.folder < 0 ||
			syscall(SYS_landlock_add_rule, ruleset, RULE_OF_FOLDER, &rule, 0) < 0)
			return -1;
		close(rule.folder);
	}
	return ruleset;
}

int raw_ruleset(void)
{
	struct ruleset handled = everything();
	int ruleset = make_ruleset(&handled);

	if (ruleset < 0)
		bench_die("Landlock");
	return ruleset;
}

/* ---- in the child: each of these returns whether it has done it ---- */

struct child {
	enum sandboxed_in in;
	struct ruleset handled;
	const struct sock_fprog *filter;
	char uid_map[32], gid_map[32];
};

static bool write_file(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	ssize_t written = fd < 0 ? -1 : write(fd, text, strlen(text));

	if (fd >= 0)
		close(fd);
	return written >= 0;
}

static bool set_up_namespaces(const struct child *child)
{
	return write_file("/proc/self/setgroups", "deny") &&
	       write_file("/proc/self/uid_map", child->uid_map) &&
	       write_file("/proc/self/gid_map", child->gid_map) &&
	       mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0;
}

/* All folders on the way to `path`, and itself. */
static bool make_folders(char *path)
{
	for (char *slash = strchr(path + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
		*slash = '\0';
		if (mkdir(path, 0755) < 0 && errno != EEXIST)
			return false;
		*slash = '/';
	}
	return mkdir(path, 0755) == 0 || errno == EEXIST;
}

#define NEW_ROOT "/mnt" /* nothing that is bound is in it */

static bool bind_folder(const char *path)
{
	char target[4096];

	snprintf(target, sizeof target, NEW_ROOT "%s", path);
	return make_folders(target) && mount(path, target, NULL, MS_BIND | MS_REC, NULL) == 0 &&
	       mount(NULL, target, NULL, MS_REMOUNT | MS_BIND | MS_RDONLY | MS_NOSUID | MS_NODEV,
		       NULL) == 0;
}

static bool make_root(void)
{
	if (mount("tmpfs", NEW_ROOT, "tmpfs", MS_NOSUID | MS_NODEV, "mode=0755") < 0)
		return false;
	for (const char *const *path = sandboxed_binds; *path; path++)
		if (!bind_folder(*path))
			return false;
	return mount(NULL, NEW_ROOT, NULL, MS_REMOUNT | MS_BIND | MS_RDONLY | MS_NOSUID | MS_NODEV,
		       NULL) == 0 &&
	       chdir(NEW_ROOT) == 0 && syscall(SYS_pivot_root, ".", ".") == 0 &&
	       umount2(".", MNT_DETACH) == 0 && chdir("/") == 0;
}

static bool set_limits(void)
{
	for (size_t i = 0; i < sizeof sandboxed_limits / sizeof sandboxed_limits[0]; i++) {
		const struct sandboxed_limit *limit = &sandboxed_limits[i];

		if (setrlimit(limit->resource, &(struct rlimit){limit->value, limit->value}) < 0)
			return false;
	}
	return true;
}

static bool drop_capabilities(void)
{
	struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
	const struct __user_cap_data_struct none[_LINUX_CAPABILITY_U32S_3] = {{0}};
	unsigned long number = 0;

	/* up to the last one that there is; only who may: under no_new_privs it makes no difference */
	while (prctl(PR_CAPBSET_DROP, number, 0, 0, 0) == 0)
		number++;
	return (errno == EINVAL || errno == EPERM) &&
	       prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) == 0 &&
	       syscall(SYS_capset, &header, none) == 0;
}

static bool restrict_files(int ruleset)
{
	bool done = syscall(SYS_landlock_restrict_self, ruleset, 0) == 0;

	close(ruleset);
	return done;
}

/* The ruleset is made of what was there before the child's own root. */
static int run_child(void *arg)
{
	struct child *child = arg;
	const char *now = "namespaces";
	int ruleset = -1;
	bool done = child->in == IN_NOTHING || set_up_namespaces(child);

	if (done)
		now = "Landlock", ruleset = make_ruleset(&child->handled), done = ruleset >= 0;
	if (done && child->in == IN_ROOT)
		now = "root", done = make_root();
	if (done)
		now = "limits", done = set_limits();
	if (done)
		now = "capabilities", done = drop_capabilities();
	if (done)
		now = "no_new_privs", done = prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0;
	if (done)
		now = "Landlock", done = restrict_files(ruleset);
	if (done)
		now = "seccomp",
		done = syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, child->filter) == 0;
	if (done)
		now = "execve", execve(TINY, (char *const[]){(char *)TINY, NULL}, environ);
	dprintf(2, "bench-spawn: raw: %s: %s\n", now, strerror(errno));
	return 127;
}

/* ---- this process ---- */

/* `flags`: CLONE_VM or none. */
static void spawn_raw(enum sandboxed_in in, int flags, unsigned count)
{
	static char stack[64 * 1024] __attribute__((aligned(16)));
	struct child child = {
		.in = in, .handled = everything(), .filter = program_in_plain_order()};

	flags |= CLONE_VFORK | SIGCHLD;
	if (in != IN_NOTHING)
		flags |= CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWPID;
	snprintf(child.uid_map, sizeof child.uid_map, "%u %u 1\n", geteuid(), geteuid());
	snprintf(child.gid_map, sizeof child.gid_map, "%u %u 1\n", getegid(), getegid());
	while (count--) {
		pid_t pid = clone(run_child, stack + sizeof stack, flags, &child);

		if (pid < 0)
			bench_die("clone");
		expect_exit_0(pid);
	}
}

void run_raw(unsigned count)
{
	spawn_raw(IN_NOTHING, CLONE_VM, count);
}

void run_raw_namespaces(unsigned count)
{
	spawn_raw(IN_NAMESPACES, 0, count);
}

void run_raw_sharing(unsigned count)
{
	spawn_raw(IN_NAMESPACES, CLONE_VM, count);
}

void run_raw_root(unsigned count)
{
	spawn_raw(IN_ROOT, 0, count);
}
