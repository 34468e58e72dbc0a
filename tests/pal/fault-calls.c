/* SPDX-License-Identifier: MIT */
#include "fault-calls.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/kcmp.h>
#include <pthread.h>
#include <sched.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

static struct state {
	int left; /* calls until the one that fails */
	int error;
	int strays;
	int stray_opens;
	bool lies;     /* fault_arm_lie */
	char only[32]; /* fault_arm_call */
	pid_t owner;
	char fired[32];
} * state;

void *__real_mmap(void *address, size_t size, int protection, int flags, int fd, off_t offset);
void *__wrap_mmap(void *address, size_t size, int protection, int flags, int fd, off_t offset);

void fault_arm(int n)
{
	if (!state)
		state = __real_mmap(NULL, sizeof *state, PROT_READ | PROT_WRITE,
			MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	memset(state, 0, sizeof *state);
	state->owner = getpid();
	state->left = n;
}

void fault_arm_call(const char *call, int n)
{
	fault_arm(0);
	snprintf(state->only, sizeof state->only, "%s", call);
	state->left = n;
}

void fault_arm_lie(const char *call, int n)
{
	fault_arm_call(call, 0);
	state->lies = true;
	state->left = n;
}

void fault_end(void)
{
	if (state)
		munmap(state, sizeof *state);
	state = NULL;
}

const char *fault_fired(void)
{
	return *state->fired ? state->fired : NULL;
}

int fault_errno(void)
{
	return state->error;
}

int fault_stray_allocations(void)
{
	return state->strays;
}

int fault_stray_opens(void)
{
	return state->stray_opens;
}

static bool fails(const char *name, int error)
{
	if (!state || (*state->only && strcmp(state->only, name) != 0))
		return false;
	/* several processes of one child may be on their way at once */
	if (__atomic_load_n(&state->left, __ATOMIC_RELAXED) <= 0 ||
		__atomic_sub_fetch(&state->left, 1, __ATOMIC_RELAXED))
		return false;
	strncpy(state->fired, name, sizeof state->fired - 1);
	state->error = error;
	errno = error;
	return true;
}

bool fault_fails(const char *name, int error)
{
	return fails(name, error);
}

/* ---- memory ---- */

static bool allocation_fails(const char *name)
{
	if (state && syscall(SYS_getpid) != state->owner)
		state->strays++;
	return fails(name, ENOMEM);
}

void *__real_calloc(size_t count, size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_calloc(size_t count, size_t size)
{
	return allocation_fails("calloc") ? NULL : __real_calloc(count, size);
}

void *__real_malloc(size_t size);
void *__wrap_malloc(size_t size);
void *__wrap_malloc(size_t size)
{
	return allocation_fails("malloc") ? NULL : __real_malloc(size);
}

void *__real_reallocarray(void *pointer, size_t count, size_t size);
void *__wrap_reallocarray(void *pointer, size_t count, size_t size);
void *__wrap_reallocarray(void *pointer, size_t count, size_t size)
{
	return allocation_fails("reallocarray") ? NULL : __real_reallocarray(pointer, count, size);
}

char *__real_strdup(const char *string);
char *__wrap_strdup(const char *string);
char *__wrap_strdup(const char *string)
{
	return allocation_fails("strdup") ? NULL : __real_strdup(string);
}

int __wrap_asprintf(char **ret, const char *format, ...) __attribute__((format(printf, 2, 3)));
int __wrap_asprintf(char **ret, const char *format, ...)
{
	va_list args;
	int r;

	if (allocation_fails("asprintf"))
		return -1;
	va_start(args, format);
	r = vasprintf(ret, format, args);
	va_end(args);
	return r;
}

void __real_free(void *pointer);
void __wrap_free(void *pointer);
void __wrap_free(void *pointer)
{
	if (state && syscall(SYS_getpid) != state->owner)
		state->strays++;
	__real_free(pointer);
}

void *__wrap_mmap(void *address, size_t size, int protection, int flags, int fd, off_t offset)
{
	return fails("mmap", ENOMEM) ? MAP_FAILED
				     : __real_mmap(address, size, protection, flags, fd, offset);
}

int __real_mprotect(void *address, size_t size, int protection);
int __wrap_mprotect(void *address, size_t size, int protection);
int __wrap_mprotect(void *address, size_t size, int protection)
{
	return fails("mprotect", ENOMEM) ? -1 : __real_mprotect(address, size, protection);
}

/* ---- descriptors ---- */

int __real_open(const char *path, int flags, ...);
int __wrap_open(const char *path, int flags, ...);
int __wrap_open(const char *path, int flags, ...)
{
	va_list args;
	mode_t mode;

	va_start(args, flags);
	mode = va_arg(args, mode_t);
	va_end(args);
	/* /proc is only asked when in doubt, and may be missing */
	return strncmp(path, "/proc/", 6) && fails("open", EMFILE) ? -1
								   : __real_open(path, flags, mode);
}

int __real_pipe2(int ends[2], int flags);
int __wrap_pipe2(int ends[2], int flags);
int __wrap_pipe2(int ends[2], int flags)
{
	return fails("pipe2", ENFILE) ? -1 : __real_pipe2(ends, flags);
}

int __real_eventfd(unsigned value, int flags);
int __wrap_eventfd(unsigned value, int flags);
int __wrap_eventfd(unsigned value, int flags)
{
	return fails("eventfd", EMFILE) ? -1 : __real_eventfd(value, flags);
}

int __real_fcntl(int fd, int command, ...);
int __wrap_fcntl(int fd, int command, ...);
int __wrap_fcntl(int fd, int command, ...)
{
	va_list args;
	long argument;

	va_start(args, command);
	argument = va_arg(args, long);
	va_end(args);
	if (command == F_DUPFD_CLOEXEC && fails("fcntl", EMFILE))
		return -1;
	if (command == F_SETFL && fails("fcntl_setfl", EPERM))
		return -1;
	return __real_fcntl(fd, command, argument);
}

ssize_t __real_write(int fd, const void *data, size_t size);
ssize_t __wrap_write(int fd, const void *data, size_t size);
ssize_t __wrap_write(int fd, const void *data, size_t size)
{
	return fails("write", EIO) ? -1 : __real_write(fd, data, size);
}

/* ---- sockets ---- */

int __real_socketpair(int domain, int type, int protocol, int ends[2]);
int __wrap_socketpair(int domain, int type, int protocol, int ends[2]);
int __wrap_socketpair(int domain, int type, int protocol, int ends[2])
{
	return fails("socketpair", EMFILE) ? -1 : __real_socketpair(domain, type, protocol, ends);
}

ssize_t __real_recvmsg(int fd, struct msghdr *message, int flags);
ssize_t __wrap_recvmsg(int fd, struct msghdr *message, int flags);
ssize_t __wrap_recvmsg(int fd, struct msghdr *message, int flags)
{
	return fails("recvmsg", ENOMEM) ? -1 : __real_recvmsg(fd, message, flags);
}

/* ---- processes ---- */

/* Both names: see spawn.c for the second. */
typedef int clone_call(int (*fn)(void *), void *stack, int flags, void *arg, ...);
clone_call __real_clone, __wrap_clone, __real___clone, __wrap___clone;

int __wrap_clone(int (*fn)(void *), void *stack, int flags, void *arg, ...)
{
	va_list args;
	int *pidfd;

	va_start(args, arg);
	pidfd = va_arg(args, int *);
	va_end(args);
	return fails("clone", EAGAIN) ? -1 : __real_clone(fn, stack, flags, arg, pidfd);
}

int __wrap___clone(int (*fn)(void *), void *stack, int flags, void *arg, ...)
{
	va_list args;
	int *pidfd;

	va_start(args, arg);
	pidfd = va_arg(args, int *);
	va_end(args);
	return fails("clone", EAGAIN) ? -1 : __real___clone(fn, stack, flags, arg, pidfd);
}

pid_t __real_fork(void);
pid_t __wrap_fork(void);
pid_t __wrap_fork(void)
{
	return fails("fork", EAGAIN) ? -1 : __real_fork();
}

int __real_pthread_create(
	pthread_t *ret, const pthread_attr_t *attributes, void *(*fn)(void *), void *arg);
int __wrap_pthread_create(
	pthread_t *ret, const pthread_attr_t *attributes, void *(*fn)(void *), void *arg);
int __wrap_pthread_create(
	pthread_t *ret, const pthread_attr_t *attributes, void *(*fn)(void *), void *arg)
{
	return fails("pthread_create", EAGAIN) ? EAGAIN
					       : __real_pthread_create(ret, attributes, fn, arg);
}

long __real_syscall(long number, ...);

/* 32-bit machines have other numbers for these: ids-child-priv.h. */
#ifdef SYS_setresuid32
#define CALL_SETRESUID SYS_setresuid32
#define CALL_SETRESGID SYS_setresgid32
#define CALL_SETGROUPS SYS_setgroups32
#define CALL_GETRESUID SYS_getresuid32
#define CALL_GETRESGID SYS_getresgid32
#define CALL_FSTATFS SYS_fstatfs64
#define CALL_GETGROUPS SYS_getgroups32
#else
#define CALL_GETGROUPS SYS_getgroups
#define CALL_GETRESUID SYS_getresuid
#define CALL_GETRESGID SYS_getresgid
#define CALL_FSTATFS SYS_fstatfs
#define CALL_SETRESUID SYS_setresuid
#define CALL_SETRESGID SYS_setresgid
#define CALL_SETGROUPS SYS_setgroups
#endif

/* The child's calls, and those that libc has no function for. Others cannot fail there. */
static const struct {
	long number;
	const char *name;
	int error;
	bool only_child; /* it cannot fail in the parent, who does not look */
} calls[] = {
	{SYS_rt_sigaction, "sys_rt_sigaction", EINVAL, false},
	{SYS_rt_sigprocmask, "sys_rt_sigprocmask", EINVAL, true},
	{SYS_prctl, "sys_prctl", EINVAL, false},
	{SYS_fcntl, "sys_fcntl", EIO, false},
	{SYS_dup3, "sys_dup3", EBADF, false},
	{SYS_openat, "sys_openat", EACCES, false},
	{SYS_write, "sys_write", EOPNOTSUPP, false},
	{SYS_close_range, "sys_close_range", ENOMEM, false},
	{SYS_chdir, "sys_chdir", EACCES, false},
	{SYS_fchdir, "sys_fchdir", EACCES, false},
	{SYS_setsid, "sys_setsid", EPERM, false},
	{SYS_setpgid, "sys_setpgid", ESRCH, true},
	{SYS_ioctl, "sys_ioctl", ENOTTY, false},
	{SYS_setpriority, "sys_setpriority", EACCES, false},
	{SYS_sched_setscheduler, "sys_sched_setscheduler", EPERM, false},
	{SYS_sched_setparam, "sys_sched_setparam", EPERM, false},
	{SYS_sched_setaffinity, "sys_sched_setaffinity", EINVAL, false},
	{SYS_prlimit64, "sys_prlimit64", EPERM, false},
	{CALL_SETGROUPS, "sys_setgroups", ENOMEM, false},
	{CALL_SETRESGID, "sys_setresgid", EAGAIN, false},
	{CALL_SETRESUID, "sys_setresuid", EAGAIN, false},
	{SYS_execve, "sys_execve", ENOMEM, false},
	{SYS_pidfd_open, "sys_pidfd_open", EMFILE, false},
	{SYS_pidfd_send_signal, "sys_pidfd_send_signal", EPERM, false},
	{SYS_waitid, "sys_waitid", EFAULT, false},
};

/* Of fault_arm_call. */
static const struct {
	long number;
	const char *name;
	int error;
} more_calls[] = {
	{SYS_unshare, "sys_unshare", ENOSPC},
	{SYS_setns, "sys_setns", EPERM},
	{SYS_clone3, "sys_clone3", EAGAIN},
	{SYS_wait4, "sys_wait4", ECHILD},
	{SYS_pipe2, "sys_pipe2", ENFILE},
	{SYS_read, "sys_read", EIO},
	{SYS_sendmsg, "sys_sendmsg", ETOOMANYREFS},
	{SYS_sethostname, "sys_sethostname", EPERM},
	{SYS_socket, "sys_socket", EMFILE},
	{SYS_capget, "sys_capget", EFAULT},
	{SYS_capset, "sys_capset", EPERM},
	{SYS_landlock_restrict_self, "sys_landlock_restrict_self", E2BIG},
	{SYS_seccomp, "sys_seccomp", EINVAL},
	{SYS_mount, "sys_mount", EPERM},
	{SYS_open_tree, "sys_open_tree", EPERM},
	{SYS_move_mount, "sys_move_mount", EPERM},
	{SYS_mount_setattr, "sys_mount_setattr", EPERM},
	{SYS_fsopen, "sys_fsopen", EPERM},
	{SYS_fsconfig, "sys_fsconfig", ENOMEM},
	{SYS_fsmount, "sys_fsmount", ENOSPC},
	{SYS_openat2, "sys_openat2", EXDEV},
	{SYS_mkdirat, "sys_mkdirat", ENOSPC},
	{SYS_symlinkat, "sys_symlinkat", ENOSPC},
	{SYS_newfstatat, "sys_newfstatat", EIO},
	{SYS_pivot_root, "sys_pivot_root", EINVAL},
	{SYS_umount2, "sys_umount2", EBUSY},
	{SYS_statx, "sys_statx", EIO},
	{SYS_getcwd, "sys_getcwd", ENOENT},
	{SYS_capget, "sys_capget", EPERM},
	{CALL_GETRESUID, "sys_getresuid", ENOSYS},
	{CALL_GETRESGID, "sys_getresgid", ENOSYS},
	{CALL_GETGROUPS, "sys_getgroups", ENOSYS},
	{CALL_FSTATFS, "sys_fstatfs", EIO},
};

static bool may_fail(bool only_child)
{
	return !only_child || (state && __real_syscall(SYS_getpid) != state->owner);
}

static bool one_more_fails(long number)
{
	for (size_t i = 0; state && *state->only && i < sizeof more_calls / sizeof more_calls[0]; i++)
		/* a parent that may not ask for its capabilities is one without */
		if (more_calls[i].number == number && may_fail(number == SYS_capget))
			return fails(more_calls[i].name, more_calls[i].error);
	return false;
}

static void watch(long number)
{
	pid_t self = (pid_t)__real_syscall(SYS_getpid);

	if (state && number == SYS_openat && self != state->owner &&
		__real_syscall(SYS_kcmp, state->owner, self, KCMP_FILES, 0L, 0L) == 0)
		state->stray_opens++;
}

long __wrap_syscall(long number, ...);
/*
 * Takes six arguments where there may be fewer, as libc's own does: not for a sanitizer to see.
 * The third is how much it is that a call says to have done, if it lies.
 */
__attribute__((no_sanitize("address"))) long __wrap_syscall(long number, ...)
{
	long arguments[6];
	va_list args;

	va_start(args, number);
	for (int i = 0; i < 6; i++)
		arguments[i] = va_arg(args, long);
	va_end(args);
	watch(number);
	for (size_t i = 0; i < sizeof calls / sizeof calls[0]; i++)
		if (calls[i].number == number && may_fail(calls[i].only_child) &&
			fails(calls[i].name, calls[i].error))
			return state->lies ? arguments[2] : -1;
	if (one_more_fails(number))
		return -1;
	return __real_syscall(number, arguments[0], arguments[1], arguments[2], arguments[3],
		arguments[4], arguments[5]);
}
