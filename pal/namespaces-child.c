/* SPDX-License-Identifier: MIT */
#include <pal/spawn-child-priv.h>

#include <fcntl.h>
#include <linux/capability.h>
#include <linux/magic.h>
#include <linux/sched.h>
#include <net/if.h>
#include <stdint.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <sys/wait.h>
#include <unistd.h>

#include <pal/ids-child-priv.h>
#include <pal/mapper-priv.h>

/*
 * A child's way into its namespaces, under the rules at the top of spawn-child.c,
 * while its descriptors still have the parent's numbers. It may be one of up to
 * three processes that all run this plan:
 *
 *   helper   writes the id maps that the child may not write itself. Cloned before
 *            the child is in its user namespace, so with the parent's credentials.
 *            Waits for a byte on a pipe; a child that dies is the pipe's end.
 *   first    the one that the parent has made. Where a pid namespace is asked for
 *            it clones, as another child of the parent (CLONE_PARENT), the
 *   second   and leaves, after it has sent the second's pidfd to the parent.
 *
 * Where there is nothing to join, the first is born in its user and pid namespaces, and is the
 * only one. The helper, if it takes one, is another child of the parent then: mapper-priv.h.
 */

static int fail(struct pal__report *report, int stage, int index, int code)
{
	return pal__report_fail(report, stage, index, code);
}

static int passed(struct pal__report *report, int stage, int index, long value)
{
	int r = pal__child_result(value);

	return r < 0 ? fail(report, stage, index, r) : r;
}

static int open_at(int folder, const char *path, int flags)
{
	return pal__child_result(
		syscall(SYS_openat, folder, path, flags | O_CLOEXEC | O_LARGEFILE, 0));
}

/* A text of the kernel's own making is written whole or not at all. */
static int write_file(int folder, const char *path, const char *text, size_t size)
{
	int fd = open_at(folder, path, O_WRONLY), r;

	if (fd < 0)
		return fd;
	r = pal__child_result(syscall(SYS_write, fd, text, size));
	syscall(SYS_close, fd);
	return r < 0 ? r : 0;
}

/* ---- /proc ---- */

static int check_proc(int fd)
{
	struct statfs status;
#ifdef SYS_fstatfs64
	int r = pal__child_result(syscall(SYS_fstatfs64, fd, sizeof status, &status));
#else
	int r = pal__child_result(syscall(SYS_fstatfs, fd, &status));
#endif

	return r >= 0 && status.f_type != PROC_SUPER_MAGIC ? -ENODEV : r;
}

/*
 * Our own, before another mount namespace is joined, which may have anything under
 * that name. -1: not needed.
 */
static int open_proc(const struct pal__ns_plan *plan, struct pal__report *report, int *ret)
{
	int stage = plan->user ? PAL_STAGE_ID_MAP : PAL_STAGE_NAMESPACE, r;

	*ret = -1;
	if (!plan->user && !(plan->unshared & CLONE_NEWTIME))
		return 0;
	r = *ret = open_at(AT_FDCWD, "/proc", O_PATH | O_DIRECTORY);
	if (r >= 0)
		r = check_proc(*ret);
	return r < 0 ? fail(report, stage, 0, r) : 0;
}

/* ---- id maps ---- */

static int write_map(int process, const char *name, const struct pal__map_plan *map)
{
	return write_file(process, name, map->text ? map->text : map->own, map->size);
}

int pal__child_write_id_maps(
	const struct pal__ns_plan *plan, int process, struct pal__report *report)
{
	int r = 0;

	if (plan->deny_setgroups)
		r = write_file(process, "setgroups", "deny", 4);
	if (r >= 0)
		r = write_map(process, "uid_map", &plan->uids);
	if (r >= 0)
		r = write_map(process, "gid_map", &plan->gids);
	return r < 0 ? fail(report, PAL_STAGE_ID_MAP, 0, r) : 0;
}

struct helper {
	pid_t pid;
	int pipe[2];
};

static void close_pipe(const struct helper *helper)
{
	syscall(SYS_close, helper->pipe[0]);
	syscall(SYS_close, helper->pipe[1]);
}

/* In the helper. Nothing to read: the child has failed, or has been killed. */
static int help(const struct helper *helper, const struct pal__ns_plan *plan, int self,
	struct pal__report *report)
{
	char byte;
	int r;

	syscall(SYS_close, helper->pipe[1]);
	r = passed(report, PAL_STAGE_ID_MAP, 0, syscall(SYS_read, helper->pipe[0], &byte, 1));
	return r <= 0 || pal__child_write_id_maps(plan, self, report) < 0;
}

/* No signal tells of its end, and only who asks for it by name gets its status. */
static int start_helper(struct helper *helper, const struct pal__ns_plan *plan, int self,
	struct pal__report *report)
{
	struct clone_args args = {0};
	int r = pal__child_result(syscall(SYS_pipe2, helper->pipe, O_CLOEXEC));

	if (r < 0)
		return fail(report, PAL_STAGE_ID_MAP, 0, r);
	helper->pid = (pid_t)syscall(SYS_clone3, &args, sizeof args);
	if (helper->pid == 0)
		syscall(SYS_exit_group, help(helper, plan, self, report));
	if (helper->pid > 0)
		return 0;
	r = fail(report, PAL_STAGE_ID_MAP, 0, -errno);
	close_pipe(helper);
	return r;
}

/* Lets it write, unless `r` says that there is nothing to write for, and waits for its end. */
static int finish_helper(const struct helper *helper, int r, struct pal__report *report)
{
	int status = 0;
	long ended;

	if (r >= 0)
		r = passed(report, PAL_STAGE_ID_MAP, 0, syscall(SYS_write, helper->pipe[1], "", 1));
	close_pipe(helper);
	do
		ended = syscall(SYS_wait4, helper->pid, &status, __WALL, NULL);
	while (ended < 0 && errno == EINTR);
	if (r < 0)
		return r;
	if (report->code < 0)
		return report->code;
	return ended < 0 || status ? fail(report, PAL_STAGE_ID_MAP, 0, -ECHILD) : 0;
}

/* ---- the user namespace ---- */

/* An id that the namespace does not have owns nothing, and can make no file. */
static int become_first(const struct pal__ns_plan *plan, struct pal__report *report)
{
	unsigned uid = plan->uids.first, gid = plan->gids.first;
	int r = 0;

	if ((uid != (unsigned)-1 || gid != (unsigned)-1) && plan->drop_groups)
		r = pal__child_put_groups(NULL, 0, report);
	if (r >= 0 && gid != (unsigned)-1)
		r = pal__child_put_gid(gid, report);
	if (r >= 0 && uid != (unsigned)-1)
		r = pal__child_put_uid(uid, report);
	return r;
}

/*
 * Whoever has the same user outside could trace a process that is privileged in here,
 * and has it run something else. A new user alone does not forbid that. Until
 * exec: a function goes on as dumpable as its process was.
 */
static int hide_from_tracers(struct pal__report *report)
{
	return passed(
		report, PAL_STAGE_NAMESPACE, 0, syscall(SYS_prctl, PR_SET_DUMPABLE, 0, 0, 0, 0));
}

/* Into it, if it is not born there, and maps by itself or by a helper of its own. */
static int enter_and_map(
	const struct pal__ns_plan *plan, int proc, struct pal__report *report)
{
	struct helper helper;
	int self = open_at(proc, "self", O_PATH | O_DIRECTORY), r;

	if (self < 0)
		return fail(report, PAL_STAGE_ID_MAP, 0, self);
	r = plan->helper ? start_helper(&helper, plan, self, report) : 0;
	if (r >= 0) {
		if (!(plan->born & CLONE_NEWUSER))
			r = passed(report, PAL_STAGE_NAMESPACE, 0,
				syscall(SYS_unshare, CLONE_NEWUSER));
		if (plan->helper)
			r = finish_helper(&helper, r, report);
		else if (r >= 0)
			r = pal__child_write_id_maps(plan, self, report);
	}
	syscall(SYS_close, self);
	return r;
}

static int check_file(int proc, const char *path, const char *start, size_t size)
{
	int fd = open_at(proc, path, O_RDONLY), r;
	char text[8];

	if (fd < 0)
		return fd;
	r = pal__child_result(syscall(SYS_read, fd, text, size));
	syscall(SYS_close, fd);
	if (r < 0)
		return r;
	return (size_t)r == size && (!start || !memcmp(text, start, size)) ? 0 : -ECHILD;
}

/*
 * The mapper knows this process by a number of the parent's table, where another thread can have
 * put something else on it. Nobody else may write a map, so one that is there is the one asked for.
 */
static int confirm_maps(const struct pal__ns_plan *plan, int proc, struct pal__report *report)
{
	int r = 0;

	if (plan->deny_setgroups)
		r = check_file(proc, "self/setgroups", "deny", 4);
	if (r >= 0)
		r = check_file(proc, "self/uid_map", NULL, 1);
	if (r >= 0)
		r = check_file(proc, "self/gid_map", NULL, 1);
	return r < 0 ? fail(report, PAL_STAGE_ID_MAP, 0, r) : 0;
}

static int have_mapped(const struct pal__child_args *args, int proc)
{
	int r = pal__child_await_maps(args);

	return r < 0 ? r : confirm_maps(&args->plan->namespaces, proc, args->report);
}

static int make_user(const struct pal__child_args *args, int proc)
{
	const struct pal__ns_plan *plan = &args->plan->namespaces;
	struct pal__report *report = args->report;
	int r = plan->mapper ? have_mapped(args, proc) : enter_and_map(plan, proc, report);

	if (r >= 0)
		r = become_first(plan, report);
	return r < 0 || (plan->fork_call && !plan->pid_joined) ? r : hide_from_tracers(report);
}

/* ---- the others ---- */

static int join(const struct pal__ns_plan *plan, bool user, struct pal__report *report)
{
	for (size_t i = 0; i < plan->join_count; i++) {
		const struct pal__join *join = &plan->joins[i];
		int r;

		if ((join->which == PAL_NS_USER) != user)
			continue;
		/* 0: of whatever kind it is; the parent has looked */
		r = passed(report, PAL_STAGE_NAMESPACE, (int)join->which,
			syscall(SYS_setns, join->fd, 0));
		if (r < 0)
			return r;
	}
	return 0;
}

/*
 * What is in a joined user namespace may have every capability over a process that comes,
 * and in a pid namespace see one of its own user: neither shall get hold of this one, which
 * has our memory and descriptors (CVE-2016-9962). A function has them for good, and so remains hidden.
 * Who makes a user namespace does this when the maps, for which it is in the way, are written.
 */
static int join_all(const struct pal__plan *plan, struct pal__report *report)
{
	const struct pal__ns_plan *namespaces = &plan->namespaces;
	int r = 0;

	if (namespaces->user_joined || (namespaces->pid_joined && !namespaces->user))
		r = hide_from_tracers(report);
	if (r >= 0)
		r = join(namespaces, !namespaces->user_joined_last, report);
	if (r >= 0)
		r = join(namespaces, namespaces->user_joined_last, report);
	if (r >= 0 && namespaces->user_joined)
		r = pal__child_confirm_ids(plan->process, report);
	return r;
}

/* Also a time namespace is for children, but one can be entered that is still empty. */
static int enter_own_time(int proc, struct pal__report *report)
{
	int fd = open_at(proc, "self/ns/time_for_children", O_RDONLY), r;

	if (fd < 0)
		return fail(report, PAL_STAGE_NAMESPACE, 0, fd);
	r = passed(report, PAL_STAGE_NAMESPACE, 0, syscall(SYS_setns, fd, CLONE_NEWTIME));
	syscall(SYS_close, fd);
	return r;
}

/* ---- the second child ---- */

static int send_fd(int socket, int fd)
{
	union {
		struct cmsghdr header;
		char space[CMSG_SPACE(sizeof(int))];
	} control = {.header = {
			     .cmsg_len = CMSG_LEN(sizeof(int)),
			     .cmsg_level = SOL_SOCKET,
			     .cmsg_type = SCM_RIGHTS,
		     }};
	char byte = 0;
	struct iovec data = {&byte, 1};
	struct msghdr message = {
		.msg_iov = &data,
		.msg_iovlen = 1,
		.msg_control = &control,
		.msg_controllen = sizeof control,
	};

	memcpy(CMSG_DATA(&control.header), &fd, sizeof fd);
	return pal__child_result(syscall(SYS_sendmsg, socket, &message, MSG_NOSIGNAL));
}

/*
 * One that executes a program keeps this one waiting until then, as this one
 * keeps the parent. The kernel puts its pid into the report before it runs: the
 * parent knows of it also if this one is killed.
 */
static int divide(struct pal__child_args *args)
{
	const struct pal__ns_plan *plan = &args->plan->namespaces;
	int pidfd = -1, r;
	struct clone_args clone_args = {
		.flags = CLONE_PARENT | CLONE_PIDFD | CLONE_PARENT_SETTID |
			 (plan->init ? 0 : CLONE_VFORK),
		.pidfd = (uintptr_t)&pidfd,
		.parent_tid = (uintptr_t)&args->report->second,
	};
	long pid = syscall(SYS_clone3, &clone_args, sizeof clone_args);

	if (pid < 0)
		return fail(args->report, PAL_STAGE_NAMESPACE, 0, -errno);
	if (pid == 0) {
		syscall(SYS_close, plan->sockets[PAL__SOCKET_PARENT]);
		syscall(SYS_close, plan->sockets[PAL__SOCKET_CHILD]);
		return 0;
	}
	r = send_fd(plan->sockets[PAL__SOCKET_CHILD], pidfd);
	args->report->handover = r;
	return r < 0 ? r : PAL__CHILD_LEAVES;
}

/* ---- inside ---- */

static int raise_loopback(struct pal__report *report)
{
	struct ifreq request = {.ifr_name = "lo", .ifr_flags = IFF_UP};
	int fd = pal__child_result(syscall(SYS_socket, AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0)), r;

	if (fd < 0)
		return fail(report, PAL_STAGE_LOOPBACK, 0, fd);
	r = passed(report, PAL_STAGE_LOOPBACK, 0, syscall(SYS_ioctl, fd, SIOCSIFFLAGS, &request));
	syscall(SYS_close, fd);
	return r;
}

/* Whoever has CAP_SYS_RESOURCE in the namespace could raise the limit again. */
static int drop_resource_capability(void)
{
	struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3];
	struct __user_cap_data_struct *word = &data[CAP_TO_INDEX(CAP_SYS_RESOURCE)];
	unsigned bit = CAP_TO_MASK(CAP_SYS_RESOURCE);

	if (syscall(SYS_prctl, PR_CAPBSET_DROP, CAP_SYS_RESOURCE, 0, 0, 0) < 0 ||
		syscall(SYS_capget, &header, data) < 0)
		return -errno;
	word->effective &= ~bit;
	word->permitted &= ~bit;
	word->inheritable &= ~bit;
	return pal__child_result(syscall(SYS_capset, &header, data));
}

static int forbid_user_namespaces(int proc, struct pal__report *report)
{
	int r = write_file(proc, "sys/user/max_user_namespaces", "0", 1);

	if (r >= 0)
		r = drop_resource_capability();
	return r < 0 ? fail(report, PAL_STAGE_NAMESPACE, 0, r) : 0;
}

/* Whether the working directory that it is to have is named without the one it has. */
static bool leaves_folder(const struct pal__plan *plan)
{
	return plan->cwd ? *plan->cwd == '/' : plan->fds.carried[PAL__CARRY_CWD] >= 0;
}

static int furnish(const struct pal__plan *plan, int proc, struct pal__report *report)
{
	const struct pal__ns_plan *namespaces = &plan->namespaces;
	int r = 0;

	if (namespaces->hostname)
		r = passed(report, PAL_STAGE_HOSTNAME, 0,
			syscall(SYS_sethostname, namespaces->hostname,
				namespaces->hostname_length));
	if (r >= 0 && namespaces->loopback)
		r = raise_loopback(report);
	if (r >= 0 && namespaces->forbid_user)
		r = forbid_user_namespaces(proc, report);
	if (r >= 0 && namespaces->unshared & CLONE_NEWNS)
		r = pal__child_mount(plan->root, leaves_folder(plan), report);
	return r;
}

static int enter(struct pal__child_args *args, int proc)
{
	const struct pal__ns_plan *plan = &args->plan->namespaces;
	struct pal__report *report = args->report;
	int r = join_all(args->plan, report);

	if (r >= 0 && plan->user)
		r = make_user(args, proc);
	if (r >= 0 && plan->unshared)
		r = passed(report, PAL_STAGE_NAMESPACE, 0, syscall(SYS_unshare, plan->unshared));
	if (r >= 0 && plan->unshared & CLONE_NEWTIME && !plan->divides)
		r = enter_own_time(proc, report);
	if (r >= 0 && plan->divides)
		r = divide(args);
	return r < 0 || r == PAL__CHILD_LEAVES ? r : furnish(args->plan, proc, report);
}

int pal__child_enter_namespaces(struct pal__child_args *args)
{
	int proc, r;

	if (!args->plan->namespaces.used)
		return 0;
	r = open_proc(&args->plan->namespaces, args->report, &proc);
	if (r >= 0)
		r = enter(args, proc);
	if (proc >= 0)
		syscall(SYS_close, proc);
	return r;
}
