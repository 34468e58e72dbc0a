/* SPDX-License-Identifier: MIT */
#include <pal/spawn-priv.h>

#include <errno.h>
#include <linux/futex.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <pal/private-priv.h>
#include <pal/process-mark.h>
#include <pal/signals-priv.h>
#include <pal/spawn-child-priv.h>
#include <pal/util-priv.h>

/*
 * fork(2) gives no pidfd, and where the process ignores SIGCHLD the kernel
 * removes an ended child at once. So the child waits at a gate until the parent
 * has opened its pidfd. Then it runs the plan and says "ready" through an
 * eventfd, or fills the report and ends; the parent waits for eventfd or pidfd,
 * whichever comes, and so learns of a child that was killed at any point. With
 * pal_builder_fork_unwaited it does not wait, and nothing is said but in the report.
 */

enum gate {
	GATE_SHUT,
	GATE_AWAITED, /* the same, and the child has to be woken */
	GATE_OPEN
};

/* In memory that both processes see. */
struct fork_page {
	struct pal__report report;
	_Atomic unsigned gate; /* enum gate; a futex */
};
_Static_assert(sizeof(struct fork_page) <= PAL_FORK_MEMORY && _Alignof(struct fork_page) <= 16,
	"the caller's memory is enough");

struct fork_call {
	struct pal__launch launch;
	struct fork_page *page;
	bool page_is_callers;
	const struct pal_private *kept_private;
	int (*fn)(void *arg);
	void *arg;
};

/* ---- the child ---- */

/* How often the child looks whether its parent still lives to open the gate. */
static const struct timespec gate_tick = {.tv_nsec = 50 * 1000 * 1000};

static bool pass_gate(const struct fork_call *call)
{
	/*
	 * Read before it is written: then the kernel makes the page table entries of its
	 * neighbours as well, and the caller's memory behind it costs no further page fault.
	 */
	unsigned seen = atomic_load(&call->page->gate);

	if (seen == GATE_SHUT)
		atomic_compare_exchange_strong(&call->page->gate, &seen, GATE_AWAITED);
	while (atomic_load(&call->page->gate) != GATE_OPEN) {
		pid_t parent = getppid();

		if (parent != call->launch.plan->parent &&
			parent != 0) /* 0: beyond a pid namespace */
			return false;
		syscall(SYS_futex, &call->page->gate, FUTEX_WAIT, GATE_AWAITED, &gate_tick,
			NULL, 0);
	}
	return true;
}

/*
 * The last step of the plan. It comes after a seccomp filter: the calls in here
 * are what a filter for pal_fork must allow. 0 or a negative errno.
 */
static int say_ready(const struct fork_call *call, int ready_fd)
{
	const unsigned long key = call->launch.plan->sandbox->start_key;
	const uint64_t one = 1;
	long r;

	if (ready_fd < 0) /* nobody waits for it */
		return 0;
	do
		r = syscall(SYS_write, ready_fd, &one, sizeof one, 0UL, 0UL, key);
	while (r < 0 && errno == EINTR);
	if (r < 0)
		return pal__report_fail(&call->page->report, PAL_STAGE_CLONE, 0, -errno);
	syscall(SYS_close, ready_fd, 0UL, 0UL, 0UL, 0UL, key);
	return 0;
}

/* Before anything is done to descriptors: what belongs to other calls and handles. */
static void drop_others(const struct fork_call *call)
{
	const struct pal_private *own[] = {&call->launch.private, call->kept_private};

	pal__private_drop(own, PAL_ARRAY_LENGTH(own), &call->launch.plan->fds);
}

static void __attribute__((noreturn)) run_child(struct fork_call *call)
{
	struct pal__child_args args = {
		.plan = call->launch.plan, .report = &call->page->report};

	int r;

	drop_others(call);
	pal__lifeline_drop(&call->launch.lifeline);
	r = pass_gate(call) ? pal__child_setup(&args) : -ESRCH;
	if (r == PAL__CHILD_LEAVES)
		_exit(args.exit_code);
	if (r < 0 || say_ready(call, args.carried[PAL__CARRY_READY]) < 0)
		_exit(127);
	_exit(call->fn(call->arg) & 0xff);
}

/* ---- the parent ---- */

static void open_gate(struct fork_page *page)
{
	if (atomic_exchange(&page->gate, GATE_OPEN) == GATE_AWAITED)
		syscall(SYS_futex, &page->gate, FUTEX_WAKE, 1, NULL, NULL, 0);
}

/*
 * The pidfd, above 2, of a child that comes no further than to the gate, so that its pid is still
 * its own. On failure the child has ended and is reaped: killed, because it may never come there.
 */
static int open_pidfd(pid_t pid, int *ret)
{
	bool held = pal_private_begin();
	int pidfd = pal__pidfd_open(pid);

	pidfd = pidfd < 0 ? -errno : pal__fd_lift(pidfd);
	if (pidfd >= 0)
		*ret = pidfd;
	pal_private_end(held);
	if (pidfd >= 0)
		return 0;
	kill(pid, SIGKILL);
	while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
		;
	return pidfd;
}

static void take_child(struct fork_call *call, struct pal_child *child, struct pal_child **ret)
{
	bool held = pal_private_begin();

	child->lifeline = call->launch.lifeline;
	call->launch.lifeline = (struct pal__lifeline)PAL__LIFELINE_INIT;
	call->launch.pidfd = -1;
	pal_private_end(held);
	*ret = child;
}

static int do_fork(struct fork_call *call, const struct pal_builder *builder,
	struct pal_child **ret, struct pal_error *error)
{
	struct pal__sigset before = pal__signals_block_all();
	pid_t pid = pal__private_fork();
	int r, *pidfd = &call->launch.pidfd;

	if (pid == 0)
		run_child(call);
	r = pid < 0 ? -errno : 0;
	pal__signals_restore(&before);
	if (pid < 0)
		return pal_error_set(error, PAL_STAGE_CLONE, r, "fork");
	r = open_pidfd(pid, pidfd);
	if (r < 0)
		return pal_error_set(error, PAL_STAGE_CLONE, r, "pidfd of a forked child");
	pal__lifeline_tie(&call->launch.lifeline, pid, *pidfd);
	open_gate(call->page);
	if (pal__builder_leaves_fork(builder)) {
		take_child(call, pal__launch_finish(&call->launch, pid, *pidfd), ret);
		return 0;
	}
	r = pal__await_ready(&call->launch, &call->page->report, &pid, pidfd, builder,
		builder->start_deadline, error);
	if (r >= 0 && call->launch.plan->namespaces.divides)
		pal__lifeline_tie(&call->launch.lifeline, pid, *pidfd); /* it is another process now */
	if (r >= 0)
		r = pal__launch_receive(&call->launch, pid, pidfd, error);
	if (r < 0) {
		pal_private_close(pidfd);
		return r;
	}
	take_child(call, pal__launch_finish(&call->launch, pid, *pidfd), ret);
	if (call->launch.plan->namespaces.init)
		(*ret)->report = &PAL_TAKE_POINTER(call->page)->report;
	return 0;
}

/* Process 1 of a pid namespace goes on to use the page, which then is its handle's. */
static int get_page(struct fork_call *call, const struct pal_builder *builder, struct pal_error *error)
{
	if (builder->fork_memory && !pal__namespaces_init(builder, false)) {
		call->page = builder->fork_memory;
		call->page_is_callers = true;
		memset(call->page, 0, sizeof *call->page);
		return 0;
	}
	call->page = mmap(NULL, sizeof *call->page, PROT_READ | PROT_WRITE,
		MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (call->page == MAP_FAILED) {
		call->page = NULL;
		return pal_error_set(
			error, PAL_STAGE_STACK, -errno, "report page of a forked child");
	}
	return 0;
}

static int prepare(
	struct fork_call *call, struct pal_builder *builder, struct pal_error *error)
{
	int r = get_page(call, builder, error);

	if (r < 0)
		return r;
	if (builder->parent_death && builder->death_of_process) {
		r = pal__lifeline_open(&call->launch.lifeline, builder->parent_death);
		if (r < 0)
			return pal_error_set(error, PAL_STAGE_PARENT_DEATH, r,
				"sockets that tell a child of the end of this process");
	}
	return pal__launch_prepare(&call->launch, builder, false, error);
}

static int fork_with(struct fork_call *call, struct pal_builder *builder,
	struct pal_child **ret, struct pal_error *error)
{
	int r = pal__launch_check(builder, false, error);

	pal__launch_init(&call->launch);
	if (r >= 0) {
		call->kept_private = builder->kept_private;
		r = prepare(call, builder, error);
	}
	if (r >= 0)
		r = do_fork(call, builder, ret, error);
	pal__lifeline_end(&call->launch.lifeline, pal_process_mark());
	pal__launch_clear(&call->launch);
	if (call->page && !call->page_is_callers)
		munmap(call->page, sizeof *call->page);
	return r;
}

int pal_fork(struct pal_builder *builder, int (*fn)(void *arg), void *arg, struct pal_child **ret,
	struct pal_error *error)
{
	struct fork_call call = {.launch = PAL__LAUNCH_INIT, .fn = fn, .arg = arg};
	int cancel_state, r;

	if (!fn)
		return pal_error_set(error, PAL_STAGE_ARGUMENT, -EINVAL, "no function to run");
	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &cancel_state);
	r = fork_with(&call, builder, ret, error);
	pthread_setcancelstate(cancel_state, NULL);
	return r;
}

int pal_builder_fork_error(const struct pal_builder *builder, struct pal_error *error)
{
	const struct fork_page *page = builder ? builder->fork_memory : NULL;

	return page && page->report.code < 0 ? pal__report_error(builder, &page->report, error) : 0;
}
