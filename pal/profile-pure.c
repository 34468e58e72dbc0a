/* SPDX-License-Identifier: MIT */
#include <pal/profile-pure-priv.h>

#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <stdint.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <pal/builder.h>
#include <pal/sandbox-priv.h>
#include <pal/sandbox.h>
#include <pal/util-priv.h>

/*
 * Both filters answer in four ways. What is needed is allowed. What code that
 * means well may try - a library looking for its configuration, a logger for
 * its socket - fails with EACCES, and the code goes on without. What only an
 * attacker has a use for kills the process: no second guess. All the rest,
 * with every call that is younger than this list, is ENOSYS: so libc falls
 * back to an older call.
 */
#define REFUSED PAL__PURE_REFUSED

#define MAX_DESCRIPTORS 64
#define LANDLOCK_WITH_SCOPES 6 /* ABI */
#define INT_MASK 0xffffffffu

/* One form of a call. */
struct form {
	const char *name;
	unsigned arg;
	uint64_t mask, value;
};

/* clang-format off */

/* ---- in both stages ---- */

static const char *const common[] = {
	/* memory */
	"brk", "madvise", "membarrier", "mremap", "munmap",
	/* descriptors that exist */
	"_llseek", "close", "close_range", "dup", "dup2", "dup3", "epoll_ctl", "epoll_pwait",
	"epoll_pwait2", "epoll_wait", "fstat", "fstat64", "ftruncate", "ftruncate64",
	"getpeername", "getsockname", "getsockopt", "lseek", "poll", "ppoll", "preadv", "pread64",
	"pselect6", "pwrite64", "pwritev", "read", "readv", "recv", "recvfrom", "recvmmsg",
	"recvmsg", "select", "_newselect", "shutdown", "write", "writev",
	/* descriptors that lead to nothing but this process */
	"epoll_create", "epoll_create1", "eventfd", "eventfd2", "memfd_create", "pipe", "pipe2",
	"timerfd_create", "timerfd_gettime", "timerfd_settime",
	/* time */
	"clock_getres", "clock_gettime", "clock_nanosleep", "gettimeofday", "nanosleep", "time",
	"times",
	/* threads and signals */
	"exit", "exit_group", "futex", "get_robust_list", "restart_syscall", "rseq",
	"rt_sigaction", "rt_sigpending", "rt_sigprocmask", "rt_sigreturn", "rt_sigsuspend",
	"rt_sigtimedwait", "sched_get_priority_max", "sched_get_priority_min",
	"sched_getaffinity", "sched_getparam", "sched_getscheduler", "sched_yield",
	"set_robust_list", "sigaltstack", "sigreturn",
	/* what a process may know about itself */
	"getcpu", "getegid", "getegid32", "geteuid", "geteuid32", "getgid", "getgid32", "getpgrp",
	"getpid", "getppid", "getrandom", "getresgid", "getresuid", "getrlimit", "getrusage",
	"gettid", "getuid", "getuid32", "sysinfo", "ugetrlimit", "uname",
	NULL,
};

static const struct form common_forms[] = {
	/* new threads, but no new processes; clone3, whose flags a filter cannot see, is ENOSYS */
	{"clone", PAL__CLONE_FLAGS, CLONE_THREAD, CLONE_THREAD},
	/* with that flag they connect, which Landlock does not see */
	{"send", 3, MSG_FASTOPEN, 0},
	{"sendmmsg", 3, MSG_FASTOPEN, 0},
	{"sendmsg", 2, MSG_FASTOPEN, 0},
	{"sendto", 3, MSG_FASTOPEN, 0},
	{"ioctl", 1, INT_MASK, TCGETS}, /* isatty, of stdio */
	{"ioctl", 1, INT_MASK, FIONREAD},
	{"ioctl", 1, INT_MASK, FIONBIO},
	{"prctl", 0, INT_MASK, PR_SET_NAME},
	{"prctl", 0, INT_MASK, PR_GET_NAME},
	{"prctl", 0, INT_MASK, PR_SET_VMA}, /* names for anonymous memory */
	/* libc's getrlimit: nothing is set where the new limits are a null pointer */
	{"prlimit64", 2, UINT64_MAX, 0},
	{0},
};

/* No owner, lease or lock: those concern other processes. */
static const int fcntl_commands[] = {
	F_DUPFD, F_DUPFD_CLOEXEC, F_GETFD, F_SETFD, F_GETFL, F_SETFL, F_ADD_SEALS, F_GET_SEALS,
};

static const char *const refused[] = {
	/* files */
	"chmod", "chown", "chown32", "creat", "fchmod", "fchmodat", "fchown", "fchown32",
	"fchownat", "inotify_add_watch", "lchown", "lchown32", "link", "linkat", "mkdir",
	"mkdirat", "mknod", "mknodat", "openat2", "rename", "renameat", "renameat2", "rmdir",
	"symlink", "symlinkat", "truncate", "truncate64", "unlink", "unlinkat", "utimensat",
	/* sockets */
	"accept", "accept4", "bind", "connect", "listen", "setsockopt", "socket", "socketcall",
	"socketpair",
	/* processes */
	"fork", "vfork", "kill", "tkill", "rt_sigqueueinfo", "rt_tgsigqueueinfo", "pidfd_open",
	"pidfd_send_signal", "sched_setaffinity", "sched_setattr", "sched_setparam",
	"sched_setscheduler", "setpriority",
	/* privileges */
	"personality", "setfsgid", "setfsuid", "setgid", "setgroups", "setregid", "setresgid",
	"setresuid", "setreuid", "setuid",
	NULL,
};

static const struct form refused_forms[] = {
	{"clone", PAL__CLONE_FLAGS, CLONE_THREAD, 0}, /* fork */
	{"send", 3, MSG_FASTOPEN, MSG_FASTOPEN},
	{"sendmmsg", 3, MSG_FASTOPEN, MSG_FASTOPEN},
	{"sendmsg", 2, MSG_FASTOPEN, MSG_FASTOPEN},
	{"sendto", 3, MSG_FASTOPEN, MSG_FASTOPEN},
	{0},
};

static const char *const hostile[] = {
	/* other processes, other programs */
	"execveat", "kcmp", "pidfd_getfd", "process_madvise", "process_vm_readv",
	"process_vm_writev", "ptrace", "uselib",
	/* other privileges, other namespaces */
	"chroot", "fsconfig", "fsmount", "fsopen", "fspick", "mount", "mount_setattr", "move_mount",
	"open_by_handle_at", "open_tree", "pivot_root", "setdomainname", "sethostname", "setns",
	"umount", "umount2", "unshare",
	/* the parts of the kernel where its bugs are found */
	"acct", "add_key", "bpf", "io_uring_enter", "io_uring_register", "io_uring_setup",
	"keyctl", "modify_ldt", "perf_event_open", "request_key", "userfaultfd", "vmsplice",
	/* the machine */
	"clock_adjtime", "clock_settime", "delete_module", "finit_module", "init_module", "ioperm",
	"iopl", "kexec_file_load", "kexec_load", "quotactl", "reboot", "settimeofday", "stime",
	"swapoff", "swapon", "syslog", "vhangup",
	NULL,
};

/* ---- only until finalize: loader, libc's start, reading configuration, finalize itself ---- */

static const char *const starting[] = {
	"access", "arch_prctl", "capget", "capset", "faccessat", "faccessat2", "fadvise64",
	"fadvise64_64", "fstatat64", "fstatfs", "fstatfs64", "getcwd", "getdents", "getdents64",
	"getgroups", "getgroups32", "getpgid", "getpriority", "getsid", "landlock_add_rule",
	"landlock_create_ruleset", "landlock_restrict_self", "lstat", "lstat64", "mmap", "mmap2",
	"mprotect", "newfstatat", "readlink", "readlinkat", "seccomp", "set_thread_area",
	"set_tid_address", "set_tls", "setrlimit", "stat", "stat64", "statfs", "statfs64", "statx",
	"umask",
	NULL,
};

/* A file may be opened to read it; O_TMPFILE shares a bit with O_DIRECTORY, which is harmless. */
#define WRITING (O_ACCMODE | O_CREAT | O_TRUNC | (O_TMPFILE & ~O_DIRECTORY))

static const struct form starting_forms[] = {
	{"open", 1, WRITING, O_RDONLY},
	{"openat", 2, WRITING, O_RDONLY},
	{"prlimit64", 0, INT_MASK, 0}, /* its own limits may be lowered */
	{"prctl", 0, INT_MASK, PR_CAPBSET_READ},
	{"prctl", 0, INT_MASK, PR_CAPBSET_DROP},
	{"prctl", 0, INT_MASK, PR_CAP_AMBIENT},
	{"prctl", 0, INT_MASK, PR_GET_DUMPABLE},
	{"prctl", 0, INT_MASK, PR_SET_DUMPABLE},
	{"prctl", 0, INT_MASK, PR_GET_PDEATHSIG},
	{"prctl", 0, INT_MASK, PR_GET_NO_NEW_PRIVS},
	{"prctl", 0, INT_MASK, PR_SET_NO_NEW_PRIVS},
	{0},
};

/* The other ways to open, so that they fail like any missing permission. */
static const struct form starting_refused[] = {
	{"open", 1, O_ACCMODE, O_WRONLY},
	{"open", 1, O_ACCMODE, O_RDWR},
	{"open", 1, O_ACCMODE | O_CREAT, O_RDONLY | O_CREAT},
	{"openat", 2, O_ACCMODE, O_WRONLY},
	{"openat", 2, O_ACCMODE, O_RDWR},
	{"openat", 2, O_ACCMODE | O_CREAT, O_RDONLY | O_CREAT},
	{0},
};

/* ---- only after finalize ---- */

static const struct form finished_forms[] = {
	/* no new code */
	{"mmap", 2, PROT_EXEC, 0},
	{"mmap2", 2, PROT_EXEC, 0},
	{"mprotect", 2, PROT_EXEC, 0},
	/* fstat, as libc calls it: a path is not excluded, but metadata is all there is to have */
	{"newfstatat", 3, AT_EMPTY_PATH, AT_EMPTY_PATH},
	{"fstatat64", 3, AT_EMPTY_PATH, AT_EMPTY_PATH},
	{"statx", 2, AT_EMPTY_PATH, AT_EMPTY_PATH},
	{0},
};

static const struct form finished_refused_forms[] = {
	{"mmap", 2, PROT_EXEC, PROT_EXEC},
	{"mmap2", 2, PROT_EXEC, PROT_EXEC},
	{"mprotect", 2, PROT_EXEC, PROT_EXEC},
	{0},
};

static const char *const finished_refused[] = {
	"access", "chdir", "faccessat", "faccessat2", "fchdir", "getcwd", "getdents", "getdents64",
	"lstat", "lstat64", "open", "openat", "readlink", "readlinkat", "setrlimit", "stat",
	"stat64", "statfs", "statfs64", NULL,
};

static const char *const finished_hostile[] = {"execve", NULL};

/* clang-format on */

/* ---- made of them ---- */

static int add_forms(
	struct pal_seccomp *filter, int action, const struct form *forms, struct pal_error *error)
{
	int result = 0;

	for (; forms->name && !result; forms++)
		result = pal_seccomp_rule_masked(
			filter, action, forms->name, forms->arg, forms->mask, forms->value, error);
	return result;
}

static int add_fcntl(struct pal_seccomp *filter, struct pal_error *error)
{
	int result = 0;

	for (size_t i = 0; i < PAL_ARRAY_LENGTH(fcntl_commands) && !result; i++) {
		uint64_t command = (uint64_t)fcntl_commands[i];

		result = pal_seccomp_rule_masked(
			filter, PAL_SECCOMP_ALLOW, "fcntl", 1, INT_MASK, command, error);
		if (!result)
			result = pal_seccomp_rule_masked(
				filter, PAL_SECCOMP_ALLOW, "fcntl64", 1, INT_MASK, command, error);
	}
	return result;
}

static int add_common(struct pal_seccomp *filter, struct pal_error *error)
{
	int result = pal_seccomp_rules(filter, PAL_SECCOMP_ALLOW, common, error);

	if (!result)
		result = add_forms(filter, PAL_SECCOMP_ALLOW, common_forms, error);
	if (!result)
		result = add_fcntl(filter, error);
	if (!result)
		result = pal_seccomp_rules(filter, REFUSED, refused, error);
	if (!result)
		result = add_forms(filter, REFUSED, refused_forms, error);
	if (!result)
		result = pal_seccomp_rules(filter, PAL_SECCOMP_KILL, hostile, error);
	return result;
}

/*
 * abort, raise and, in finalize, pal_self_restrict. Where there is nothing to keep
 * signals inside, a filter can only choose which: it does not know the child's pid.
 */
static int add_signalling(struct pal_seccomp *filter, struct pal_error *error)
{
	const struct form without_scope[] = {
		{"tgkill", 2, INT_MASK, SIGABRT},
		{"tgkill", 2, INT_MASK, (uint64_t)pal_threads_signal()},
		{0},
	};

	if (pal_landlock_abi() >= LANDLOCK_WITH_SCOPES)
		return pal_seccomp_rule(filter, PAL_SECCOMP_ALLOW, "tgkill", error);
	return add_forms(filter, PAL_SECCOMP_ALLOW, without_scope, error);
}

int pal__pure_add_starting(struct pal_seccomp *filter, struct pal_error *error)
{
	int result = add_common(filter, error);

	if (!result)
		result = pal_seccomp_rules(filter, PAL_SECCOMP_ALLOW, starting, error);
	if (!result)
		result = add_forms(filter, PAL_SECCOMP_ALLOW, starting_forms, error);
	if (!result)
		result = add_forms(filter, REFUSED, starting_refused, error);
	if (!result)
		result = add_signalling(filter, error);
	if (!result)
		result = pal_seccomp_allow_first_exec(filter, error);
	return result;
}

int pal__pure_add_finished(struct pal_seccomp *filter, struct pal_error *error)
{
	int result = add_common(filter, error);

	if (!result)
		result = add_forms(filter, PAL_SECCOMP_ALLOW, finished_forms, error);
	if (!result) /* abort and raise */
		result = pal_seccomp_rule_masked(filter, PAL_SECCOMP_ALLOW, "tgkill", 0, INT_MASK,
			(uint64_t)getpid(), error);
	if (!result)
		result = add_forms(filter, REFUSED, finished_refused_forms, error);
	if (!result)
		result = pal_seccomp_rules(filter, REFUSED, finished_refused, error);
	if (!result)
		result = pal_seccomp_rules(filter, PAL_SECCOMP_KILL, finished_hostile, error);
	return result;
}

int pal__pure_add_reading(struct pal_seccomp *filter, struct pal_error *error)
{
	static const char *const reading[] = {"access", "chdir", "faccessat", "faccessat2",
		"fadvise64", "fadvise64_64", "fchdir", "fstatat64", "fstatfs", "fstatfs64",
		"getcwd", "getdents", "getdents64", "lstat", "lstat64", "newfstatat", "readlink",
		"readlinkat", "stat", "stat64", "statfs", "statfs64", "statx", NULL};
	static const struct form opening[] = {
		{"open", 1, WRITING, O_RDONLY}, {"openat", 2, WRITING, O_RDONLY}, {0}};
	int result = pal_seccomp_rules(filter, PAL_SECCOMP_ALLOW, reading, error);

	return result ? result : add_forms(filter, PAL_SECCOMP_ALLOW, opening, error);
}

/* ---- the hooks ---- */

static int limit(struct pal_builder *builder, int resource, rlim_t most, struct pal_error *error)
{
	struct rlimit now;

	if (getrlimit((__rlimit_resource_t)resource, &now) < 0)
		return pal_error_set(error, PAL_STAGE_RLIMIT, -errno, "pure computation");
	/* neither is raised: the hard limit would need a privilege, and the soft one was chosen */
	pal_builder_rlimit(builder, resource, now.rlim_cur < most ? now.rlim_cur : most,
		now.rlim_max < most ? now.rlim_max : most);
	return 0;
}

int pal__pure_apply(
	struct pal_builder *builder, struct pal_seccomp *filter, struct pal_error *error)
{
	int result = pal_landlock_abi() < 0 ? 0 : pal__builder_border(builder, error);

	if (!result)
		result = limit(builder, RLIMIT_CORE, 0, error);
	if (!result)
		result = limit(builder, RLIMIT_NOFILE, MAX_DESCRIPTORS, error);
	if (result < 0)
		return result;
	pal_builder_no_new_privs(builder, true);
	pal_builder_capabilities(builder, &PAL_CAPABILITIES_NONE);
	pal_builder_seccomp(builder, filter);
	return 0;
}

static int apply(
	const struct pal_profile *profile, struct pal_builder *builder, struct pal_error *error)
{
	struct pal_seccomp *filter;
	int result = pal_seccomp_new(PAL__PURE_OTHERWISE, &filter, error);

	(void)profile;
	if (result < 0)
		return result;
	result = pal__pure_add_starting(filter, error);
	if (!result)
		result = pal__pure_apply(builder, filter, error);
	pal_seccomp_free(filter);
	return result;
}

int pal__pure_finalize(
	struct pal_landlock *files, struct pal_seccomp *filter, struct pal_error *error)
{
	const struct pal_self_restrictions restrictions = {
		.size = sizeof restrictions,
		.no_new_privs = true,
		.capabilities = &PAL_CAPABILITIES_NONE,
		.landlock = files,
		.seccomp = filter,
	};

	return pal_self_restrict(&restrictions, error);
}

static int finalize(const struct pal_profile *profile, struct pal_error *error)
{
	struct pal_landlock *nothing = NULL;
	struct pal_seccomp *filter = NULL;
	int result;

	(void)profile;
	result = pal_landlock_new(&nothing, error);
	if (!result)
		result = pal_seccomp_new(PAL__PURE_OTHERWISE, &filter, error);
	if (!result)
		result = pal__pure_add_finished(filter, error);
	if (!result)
		result = pal__pure_finalize(nothing, filter, error);
	pal_landlock_free(nothing);
	pal_seccomp_free(filter);
	return result;
}

const struct pal_profile *pal_profile_pure_compute(void)
{
	static const struct pal_profile profile = {
		.size = sizeof profile,
		.name = "pure computation",
		.apply = apply,
		.finalize = finalize,
		.text = "X-Profile=pure-computation\n",
	};

	return &profile;
}
