/* SPDX-License-Identifier: MIT */
#include <pal/spawn-priv.h>

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

#include <pal/death-thread-priv.h>
#include <pal/proc-stat-priv.h>
#include <pal/signals-priv.h>
#include <pal/spawn-child-priv.h>
#include <pal/util-priv.h>

/* Far more than the child's few frames need, also with sanitizers' red zones. */
#define STACK_SIZE ((size_t)64 * 1024)

/* ---- the child's stack and its report, in one mapping ---- */

/*
 * From the bottom: a guard page, the stack, the report. Shared, so that the
 * report arrives from a child that has its own copy of the memory, too.
 */
struct stage {
	char *base;
	size_t size;
	struct pal__report *report; /* right above the stack */
};

static int stage_map(struct stage *stage)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	size_t size = page + ((STACK_SIZE + page - 1) & ~(page - 1)) + page;
	char *base = mmap(NULL, size, PROT_NONE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	if (base == MAP_FAILED)
		return -errno;
	if (mprotect(base + page, size - page, PROT_READ | PROT_WRITE) < 0) {
		int r = -errno;

		munmap(base, size);
		return r;
	}
	*stage = (struct stage){base, size, (struct pal__report *)(void *)(base + size - page)};
	return 0;
}

static void stage_unmap(struct stage *stage)
{
	if (stage->base)
		munmap(stage->base, stage->size);
}

/* ---- clone ---- */

/*
 * ThreadSanitizer's clone does in the child what is right after fork(2) - to the
 * memory that this child shares with us. __clone is libc's own name for it.
 */
#if defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define CLONE_PLAIN __clone
#endif
#endif
#if defined(__SANITIZE_THREAD__)
#define CLONE_PLAIN __clone
#endif
#ifdef CLONE_PLAIN
extern __typeof__(clone) CLONE_PLAIN;
#else
#define CLONE_PLAIN clone
#endif

struct clone_call {
	struct pal__child_args args;
	bool share_memory;
	pid_t pid; /* or a negative errno */
	int pidfd;
	struct pal__death_thread *thread; /* NULL: the calling thread has cloned */
};

/*
 * The only part that runs in a chosen thread. CLONE_VFORK without CLONE_VM, too:
 * so clone returns when the child has executed its program or ended, and both
 * kinds are judged by the same code.
 */
static void call_clone(void *arg)
{
	struct clone_call *call = arg;
	int flags = CLONE_VFORK | CLONE_PIDFD | SIGCHLD | (call->share_memory ? CLONE_VM : 0);
	struct pal__sigset before = pal__signals_block_all();

	call->pid =
		CLONE_PLAIN(pal__child_main, call->args.report, flags, &call->args, &call->pidfd);
	if (call->pid < 0)
		call->pid = -errno;
	pal__signals_restore(&before);
}

/*
 * Where standard streams are closed, the kernel will put the pidfd there, and
 * once the program runs it is too late for EMFILE: this takes a number for it
 * beforehand. -1: not needed.
 */
static int reserve_number(int *ret)
{
	int fd;

	*ret = -1;
	if (fcntl(0, F_GETFD) >= 0 && fcntl(1, F_GETFD) >= 0 && fcntl(2, F_GETFD) >= 0)
		return 0;
	fd = eventfd(0, EFD_CLOEXEC);
	fd = fd < 0 ? -errno : pal__fd_lift(fd);
	if (fd < 0)
		return fd;
	*ret = fd;
	return 0;
}

/* The pidfd on its final number. Takes `reserved`. */
static int place_pidfd(int pidfd, int reserved)
{
	if (pidfd > 2 || dup3(pidfd, reserved, O_CLOEXEC) < 0) {
		pal_close(reserved);
		return pidfd;
	}
	pal_close(pidfd);
	return reserved;
}

static int run_clone(
	struct clone_call *call, const struct pal_builder *builder, struct pal_error *error)
{
	int reserved, r = reserve_number(&reserved);

	if (r >= 0 && builder->parent_death)
		r = pal__death_thread_run(call_clone, call, &call->thread);
	else if (r >= 0)
		call_clone(call);
	if (r >= 0)
		r = call->pid < 0 ? call->pid : 0;
	if (r < 0) {
		pal_close(reserved);
		return pal_error_set(
			error, PAL_STAGE_CLONE, r, "%s", pal_stage_name(PAL_STAGE_CLONE));
	}
	call->pidfd = place_pidfd(call->pidfd, reserved);
	return 0;
}

/* ---- the outcome ---- */

/* No process group has this number: the kernel's pids end far below it. */
#define NO_GROUP INT_MAX

/*
 * setpgid(2) refuses with EACCES exactly if the child has executed a program,
 * and asks for that before it looks at the group: so it costs next to nothing,
 * tells the same of a child that has ended, and changes nothing in one that has
 * not executed. A program that has made its own session since is EPERM, too.
 * We ourselves always are: EACCES there is a seccomp filter's word.
 */
static bool has_executed(pid_t pid)
{
	return setpgid(pid, NO_GROUP) < 0 && errno == EACCES && setpgid(0, NO_GROUP) < 0 &&
	       errno == EPERM;
}

/*
 * The child reported no error. It has been killed on the way if it has not come
 * to execve; from there on it has either executed or been killed, and may have
 * run and ended by now, so only the kernel knows. It lets the parent go on a
 * moment before either can be seen. A child that SIGCHLD's disposition has
 * removed already counts as started, and pal_child_wait will say that its
 * status is lost.
 */
static bool died_before_exec(const struct clone_call *call)
{
	struct pollfd end = {.fd = call->pidfd, .events = POLLIN};

	if (call->args.report->stage != PAL_STAGE_EXEC)
		return true;
	while (!has_executed(call->pid)) {
		enum pal__progress progress = pal__progress(call->pid);

		if (progress != PAL__PROGRESS_NOT_YET)
			return progress == PAL__PROGRESS_DIED;
		poll(&end, 1, 1);
	}
	return false;
}

static int judge(
	const struct pal_builder *builder, const struct clone_call *call, struct pal_error *error)
{
	const struct pal__report *report = call->args.report;

	if (report->code < 0) {
		pal__reap(call->pidfd);
		return pal__report_error(builder, report, error);
	}
	return died_before_exec(call) ? pal__died_error(pal__reap(call->pidfd), error) : 0;
}

static int start(struct pal__launch *launch, const struct pal_builder *builder,
	const struct stage *stage, struct pal_child **ret, struct pal_error *error)
{
	struct clone_call call = {
		.args = {.plan = &launch->plan, .report = stage->report},
		.share_memory = pal__builder_shares_memory(builder),
		.pidfd = -1,
	};
	int r = run_clone(&call, builder, error);

	if (r >= 0)
		r = judge(builder, &call, error);
	if (r >= 0)
		r = pal__launch_receive(launch, call.pidfd, error);
	if (r < 0) {
		pal__death_thread_end(call.thread);
		pal_close(call.pidfd);
		return r;
	}
	*ret = pal__launch_finish(launch, call.pid, call.pidfd);
	(*ret)->death_thread = call.thread;
	return 0;
}

static int spawn(const struct pal_builder *builder, struct pal_child **ret, struct pal_error *error)
{
	struct pal__launch launch;
	struct stage stage = {0};
	int r = pal__launch_check(builder, true, error);

	if (r < 0)
		return r;
	r = pal__launch_prepare(&launch, builder, true, -1, error);
	if (r >= 0) {
		r = stage_map(&stage);
		if (r < 0)
			pal_error_set(
				error, PAL_STAGE_STACK, r, "%s", pal_stage_name(PAL_STAGE_STACK));
	}
	if (r >= 0)
		r = start(&launch, builder, &stage, ret, error);
	stage_unmap(&stage);
	pal__launch_clear(&launch);
	return r;
}

int pal_builder_spawn(struct pal_builder *builder, struct pal_child **ret, struct pal_error *error)
{
	int cancel_state, r;

	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &cancel_state);
	r = spawn(builder, ret, error);
	pthread_setcancelstate(cancel_state, NULL);
	return r;
}
