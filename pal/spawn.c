/* SPDX-License-Identifier: MIT */
#include <pal/spawn-priv.h>

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <pal/clone-priv.h>
#include <pal/clone3-priv.h>
#include <pal/death-thread-priv.h>
#include <pal/mapper-priv.h>
#include <pal/proc-stat-priv.h>
#include <pal/signals-priv.h>
#include <pal/spawn-child-priv.h>
#include <pal/util-priv.h>

/* Far more than the child's few frames need, also with sanitizers' red zones. */
#define STACK_SIZE ((size_t)64 * 1024)

struct clone_call {
	struct pal_private private;
	struct pal__child_args args;
	struct pal__report report; /* of a child that shares our memory */
	char *stack;
	size_t stack_size;
	bool share_memory;
	pid_t pid; /* or a negative errno */
	int pidfd;
	struct pal__death_thread *thread; /* NULL: the calling thread has cloned */
	bool pid_only; /* without a pidfd */
	struct pal__mapper mapper;
	int mapper_result; /* 0 or a negative errno: then nothing has been cloned */
};

/* The kernel writes pidfds there before they are open: no fork of another thread misses them. */
#define PLACE(fd) PAL_PRIVATE_PLACE(struct clone_call, private, fd)
static const ptrdiff_t private_places[] = {
	PLACE(args.reserved), PLACE(pidfd), PLACE(mapper.pidfd)};
static const struct pal_private_layout private_layout = {
	.count = PAL_ARRAY_LENGTH(private_places), .places = private_places};

/* ---- what the child runs on ---- */

static int stack_make(struct pal__stack *stack)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	size_t size = page + ((STACK_SIZE + page - 1) & ~(page - 1));
	char *base = mmap(NULL, size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK, -1, 0);

	if (base == MAP_FAILED)
		return -errno;
	if (mprotect(base + page, size - page, PROT_READ | PROT_WRITE) < 0) {
		int r = -errno;

		munmap(base, size);
		return r;
	}
	*stack = (struct pal__stack){base, size};
	return 0;
}

void pal__stack_free(struct pal__stack *stack)
{
	if (stack->base)
		munmap(stack->base, stack->size);
	*stack = (struct pal__stack){0};
}

/*
 * The builder's stack, made at its first spawn: mapping one costs a third of a
 * spawn. Private: a copy of this process has its own. But the report of a child
 * that does not share our memory has to come through memory that both see.
 */
static int prepare_memory(struct pal_builder *builder, struct clone_call *call)
{
	int r = builder->stack.base ? 0 : stack_make(&builder->stack);

	if (r < 0)
		return r;
	call->stack = builder->stack.base;
	call->stack_size = builder->stack.size;
	if (call->share_memory) {
		call->args.report = &call->report;
		return 0;
	}
	call->args.report = mmap(NULL, sizeof *call->args.report, PROT_READ | PROT_WRITE,
		MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (call->args.report == MAP_FAILED)
		return -errno;
	return 0;
}

/* ---- clone ---- */

/* An init does not execute anything: it says when its child has. */
static int flags_of(const struct clone_call *call)
{
	const struct pal__ns_plan *namespaces = &call->args.plan->namespaces;

	return namespaces->born | (namespaces->born && namespaces->init ? 0 : CLONE_VFORK) |
	       (call->pid_only ? 0 : CLONE_PIDFD) | (call->share_memory ? CLONE_VM : 0) |
	       (call->args.shares_files ? CLONE_FILES : 0);
}

/* For what only clone3 can do; otherwise libc's clone, which works everywhere. */
static pid_t try_clone3(struct clone_call *call)
{
	const struct pal__plan *plan = call->args.plan;
	struct clone_args args = {
		.flags = (uint64_t)(unsigned)flags_of(call),
		.pidfd = (uintptr_t)&call->pidfd,
		.exit_signal = SIGCHLD,
		.stack = (uintptr_t)call->stack,
		.stack_size = call->stack_size,
	};
	pid_t pid;

	call->args.handlers_cleared = plan->signals->keep_ignored;
	call->args.born_in_cgroup = plan->cgroup_fd >= 0;
	if (!call->args.handlers_cleared && !call->args.born_in_cgroup)
		return -ENOSYS;
	if (call->args.handlers_cleared)
		args.flags |= CLONE_CLEAR_SIGHAND;
	if (call->args.born_in_cgroup) {
		args.flags |= CLONE_INTO_CGROUP;
		args.cgroup = (uint64_t)plan->cgroup_fd;
	}
	pid = (pid_t)pal__clone3(&args, pal__child_main, &call->args);
	if (pid < 0)
		call->args.handlers_cleared = call->args.born_in_cgroup = false;
	return pid;
}

/* What kernels that lack clone3 or one of its flags say, and filters that cannot look into its arguments. */
static bool is_missing(int code)
{
	return code == -ENOSYS || code == -E2BIG || code == -EINVAL || code == -EPERM;
}

/*
 * The mapper's stack is in the half that the child needs nothing of. (And in other memory
 * than the child's is: that has a copy.)
 */
static int start_mapper(struct clone_call *call)
{
	if (!call->args.plan->namespaces.mapper)
		return 0;
	call->mapper.plan = &call->args.plan->namespaces;
	call->mapper.report = call->args.report;
	call->mapper.child = &call->pidfd;
	return pal__mapper_start(&call->mapper, call->stack + call->stack_size / 2);
}

static void clone_child(struct clone_call *call)
{
	call->args.mapper = call->mapper.pidfd;
	call->pid = try_clone3(call);
	if (is_missing(call->pid)) {
		call->pid = PAL__CLONE(pal__child_main, call->stack + call->stack_size,
			flags_of(call) | SIGCHLD, &call->args, &call->pidfd);
		if (call->pid < 0)
			call->pid = -errno;
	}
	if (call->pid < 0) /* the kernel may have written a number that it has given back since */
		call->pidfd = -1;
}

/*
 * The only part that runs in a chosen thread. CLONE_VFORK without CLONE_VM, too:
 * so clone returns when the child has executed its program or ended, and both
 * kinds are judged by the same code.
 */
static void call_clone(void *arg)
{
	struct clone_call *call = arg;
	struct pal__sigset before = pal__signals_block_all();

	call->mapper_result = start_mapper(call);
	if (call->mapper_result >= 0)
		clone_child(call);
	pal__mapper_end(&call->mapper);
	pal__signals_restore(&before);
}

/*
 * Where standard streams are closed, the kernel will put the pidfd there, and
 * once the program runs it is too late for EMFILE: this takes a number for it
 * beforehand. -1: not needed.
 */
static int reserve_number(int *ret)
{
	bool held;
	int fd;

	if (fcntl(0, F_GETFD) >= 0 && fcntl(1, F_GETFD) >= 0 && fcntl(2, F_GETFD) >= 0)
		return 0;
	held = pal_private_begin();
	fd = eventfd(0, EFD_CLOEXEC);
	fd = fd < 0 ? -errno : pal__fd_lift(fd);
	if (fd >= 0)
		*ret = fd;
	pal_private_end(held);
	return fd < 0 ? fd : 0;
}

/* The pidfd on its final number. */
static void place_pidfd(struct clone_call *call)
{
	bool held;

	if (call->args.reserved < 0)
		return;
	held = pal_private_begin();
	if (call->pidfd <= 2 && dup3(call->pidfd, call->args.reserved, O_CLOEXEC) >= 0) {
		pal_close(call->pidfd);
		call->pidfd = pal_take_fd(&call->args.reserved);
	}
	call->args.reserved = pal_close(call->args.reserved);
	pal_private_end(held);
}

/* These are about the cgroup, or the namespaces, where the child was to be born in such: clone(2). */
static int stage_of_clone(const struct clone_call *call, int code)
{
	bool namespaces = call->args.plan->namespaces.born &&
			  (code == -EPERM || code == -EINVAL || code == -ENOSPC || code == -EUSERS);
	bool cgroup = call->args.plan->cgroup_fd >= 0 &&
		      (code == -EACCES || code == -EBUSY || code == -EOPNOTSUPP || code == -EBADF ||
			      code == -ENODEV);

	if (namespaces)
		return PAL_STAGE_NAMESPACE;
	return cgroup ? PAL_STAGE_CGROUP : PAL_STAGE_CLONE;
}

static atomic_int last_pidfd; /* of any spawn: a hint */

/*
 * Whoever makes a shared table of descriptors grow waits until no processor can be looking at the
 * old one: milliseconds, where without the child nobody shares it. Tables end at powers of two,
 * from 64 on. Where numbers are dense the pidfd gets the one behind the highest that we know;
 * a wrong guess costs that time, or a copy.
 */
static bool table_may_grow(const struct pal__streams *streams)
{
	int highest = atomic_load_explicit(&last_pidfd, memory_order_relaxed);
	unsigned next;

	for (int i = 0; i < 3; i++) {
		highest = PAL_MAX(highest, streams->parent_side[i]);
		highest = PAL_MAX(highest, streams->child_side[i]);
	}
	next = (unsigned)highest + 1;
	return next >= 64 && !(next & (next - 1)) && fcntl(highest, F_GETFD) >= 0;
}

/*
 * Copying a large table of descriptors costs more than all the rest, and most of
 * it would be closed: the child shares ours and leaves it with a copy of the part
 * that it needs. Not where the pidfd would get the number of a closed stream or make the
 * table grow, and not where the way into namespaces leads over descriptors.
 */
static int run_clone(
	struct clone_call *call, const struct pal_builder *builder, struct pal_error *error)
{
	int r = call->pid_only ? 0 : reserve_number(&call->args.reserved);

	call->args.shares_files = call->args.plan->fds.leave_from > 0 && r >= 0 &&
				  call->args.reserved < 0 &&
				  !call->args.plan->namespaces.used &&
				  (call->pid_only || !table_may_grow(&call->args.plan->key.streams));
	if (r >= 0 && builder->parent_death)
		r = pal__death_thread_run(call_clone, call, &call->thread);
	else if (r >= 0)
		call_clone(call);
	if (r >= 0)
		r = call->mapper_result < 0 ? call->mapper_result : call->pid < 0 ? call->pid : 0;
	if (r < 0) {
		int stage = call->mapper_result < 0 ? PAL_STAGE_ID_MAP : stage_of_clone(call, r);

		pal_private_close(&call->args.reserved);
		return pal_error_set(error, stage, r, "%s", pal_stage_name(stage));
	}
	if (!call->pid_only) {
		place_pidfd(call);
		atomic_store_explicit(&last_pidfd, call->pidfd, memory_order_relaxed);
	}
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

/* How often to look whether the child has come out of execve before the processor is given to others for longer. */
#define YIELDS 100

/*
 * The child reported no error. It has been killed on the way if it has not come
 * to execve; from there on it has either executed or been killed, and may have
 * run and ended by now, so only the kernel knows. It lets the parent go on a
 * moment before either can be seen: then a child that has ended without having
 * executed was killed. Where setpgid does not tell, /proc does, at a price: for
 * a child with a session of its own. A child that SIGCHLD's disposition has
 * removed already counts as started, and pal_child_wait will say that its status
 * is lost.
 */
static bool died_before_exec(const struct clone_call *call)
{
	struct pollfd end = {.fd = call->pidfd, .events = POLLIN};
	const struct pal__process *process = call->args.plan->process;
	unsigned looks = process->setsid || process->tty >= 0 ? YIELDS : 0;

	if (call->args.report->stage != PAL_STAGE_EXEC)
		return true;
	while (!has_executed(call->pid)) {
		enum pal__progress progress;

		if (looks++ < YIELDS) {
			sched_yield();
			continue;
		}
		progress = pal__progress(call->pid);
		if (progress != PAL__PROGRESS_NOT_YET)
			return progress == PAL__PROGRESS_DIED;
		poll(&end, 1, 1);
	}
	return false;
}

static int judge(struct pal__launch *launch, const struct pal_builder *builder,
	struct clone_call *call, struct pal_error *error)
{
	const struct pal__report *report = call->args.report;
	int r = 0;

	if (launch->plan->namespaces.init)
		return pal__await_ready(launch, report, &call->pid, &call->pidfd, builder,
			PAL_DEADLINE_NONE, error);
	if (launch->plan->namespaces.divides)
		r = pal__divide_take(launch, report, &call->pid, &call->pidfd);
	if (r < 0 && r != -EAGAIN) {
		pal__reap(call->pidfd);
		return pal_error_set(error, PAL_STAGE_CLONE, r, "pidfd of a child");
	}
	if (report->code < 0) {
		pal__reap(call->pidfd);
		return pal__report_error(builder, report, error);
	}
	return died_before_exec(call) ? pal__died_error(pal__reap(call->pidfd), error) : 0;
}

static int start(struct pal__launch *launch, const struct pal_builder *builder,
	struct clone_call *call, struct pal_child **ret, struct pal_error *error)
{
	int r = run_clone(call, builder, error);

	if (r >= 0)
		r = judge(launch, builder, call, error);
	if (r >= 0)
		r = pal__launch_receive(launch, call->pid, &call->pidfd, error);
	if (r < 0) {
		pal__death_thread_end(call->thread);
		pal_private_close(&call->pidfd);
		return r;
	}
	*ret = pal__launch_finish(launch, call->pid, call->pidfd);
	(*ret)->death_thread = call->thread;
	if (launch->plan->namespaces.init)
		(*ret)->report = PAL_TAKE_POINTER(call->args.report);
	return 0;
}

/*
 * Judged by the report alone: where it is empty, the rest is between the child and its waiter.
 * One that is not the child that was made first has come with a pidfd.
 */
static int start_pid(struct pal__launch *launch, const struct pal_builder *builder,
	struct clone_call *call, pid_t *ret, struct pal_error *error)
{
	int r = run_clone(call, builder, error);

	if (r < 0)
		return r;
	if (!call->pid_only) {
		r = judge(launch, builder, call, error);
		pal_private_close(&call->pidfd);
		if (r >= 0)
			*ret = call->pid;
		return r;
	}
	if (call->args.report->code < 0) {
		while (waitpid(call->pid, NULL, 0) < 0 && errno == EINTR)
			;
		return pal__report_error(builder, call->args.report, error);
	}
	*ret = call->pid;
	return 0;
}

static int check_pid_only(const struct pal_builder *builder, struct pal_error *error)
{
	if (builder->parent_death)
		return pal_error_set(error, PAL_STAGE_ARGUMENT, -EINVAL,
			"parent_death of a child without a handle");
	for (size_t i = 0; i < builder->fd_count; i++)
		if (builder->fds[i].from.kind == PAL_STDIO_KIND_PIPE)
			return pal_error_set(error, PAL_STAGE_ARGUMENT, -EINVAL,
				"pipe of a child without a handle");
	return 0;
}

static bool needs_pidfd(const struct pal__ns_plan *namespaces)
{
	return namespaces->divides || namespaces->born & CLONE_NEWPID || namespaces->mapper;
}

/* One of `ret` and `ret_pid` is NULL, also below. */
static int start_in_memory(struct pal__launch *launch, struct pal_builder *builder,
	struct pal_child **ret, pid_t *ret_pid, struct pal_error *error)
{
	struct clone_call call = {.share_memory = pal__builder_shares_memory(builder),
		.args.reserved = -1,
		.pidfd = -1,
		.mapper = PAL__MAPPER_INIT,
		.pid_only = ret_pid && !needs_pidfd(&launch->plan->namespaces)};
	int r = prepare_memory(builder, &call);

	if (r < 0)
		return pal_error_set(
			error, PAL_STAGE_STACK, r, "%s", pal_stage_name(PAL_STAGE_STACK));
	call.args.plan = launch->plan;
	pal_private_add(&call.private, &private_layout);
	r = ret_pid ? start_pid(launch, builder, &call, ret_pid, error)
		    : start(launch, builder, &call, ret, error);
	pal_private_remove(&call.private);
	if (!call.share_memory && call.args.report)
		munmap(call.args.report, sizeof *call.args.report);
	return r;
}

static int spawn(struct pal_builder *builder, struct pal_child **ret, pid_t *ret_pid,
	struct pal_error *error)
{
	struct pal__launch launch;
	int r = pal__launch_check(builder, true, error);

	if (r >= 0 && ret_pid)
		r = check_pid_only(builder, error);
	if (r < 0)
		return r;
	pal__launch_init(&launch);
	r = pal__launch_prepare(&launch, builder, true, error);
	if (r >= 0)
		r = start_in_memory(&launch, builder, ret, ret_pid, error);
	pal__launch_clear(&launch);
	return r;
}

static int spawn_uncancelled(struct pal_builder *builder, struct pal_child **ret, pid_t *ret_pid,
	struct pal_error *error)
{
	int cancel_state, r;

	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &cancel_state);
	r = spawn(builder, ret, ret_pid, error);
	pthread_setcancelstate(cancel_state, NULL);
	return r;
}

int pal_builder_spawn(struct pal_builder *builder, struct pal_child **ret, struct pal_error *error)
{
	return spawn_uncancelled(builder, ret, NULL, error);
}

int pal_builder_spawn_pid(struct pal_builder *builder, pid_t *ret, struct pal_error *error)
{
	return spawn_uncancelled(builder, NULL, ret, error);
}
