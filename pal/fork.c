/* SPDX-License-Identifier: MIT */
#include <pal/spawn-priv.h>

#include <errno.h>
#include <linux/futex.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <pal/signals-priv.h>
#include <pal/spawn-child-priv.h>
#include <pal/util-priv.h>

/*
 * fork(2) gives no pidfd, and where the process ignores SIGCHLD the kernel
 * removes an ended child at once. So the child waits at a gate until the parent
 * has opened its pidfd. Then it runs the plan and says "ready" through an
 * eventfd, or fills the report and ends; the parent waits for eventfd or pidfd,
 * whichever comes, and so learns of a child that was killed at any point.
 */

enum gate {
	GATE_SHUT,
	GATE_OPEN
};

/* In memory that both processes see. */
struct fork_page {
	struct pal__report report;
	_Atomic unsigned gate; /* enum gate; a futex */
};

struct fork_call {
	struct pal__launch launch;
	struct fork_page *page;
	int ready_fd;
	int (*fn)(void *arg);
	void *arg;
};

/* ---- the child ---- */

/* How often the child looks whether its parent still lives to open the gate. */
static const struct timespec gate_tick = {.tv_nsec = 50 * 1000 * 1000};

static bool pass_gate(const struct fork_call *call)
{
	while (atomic_load(&call->page->gate) == GATE_SHUT) {
		pid_t parent = getppid();

		if (parent != call->launch.plan->parent &&
			parent != 0) /* 0: beyond a pid namespace */
			return false;
		syscall(SYS_futex, &call->page->gate, FUTEX_WAIT, GATE_SHUT, &gate_tick, NULL, 0);
	}
	return true;
}

/*
 * The last step of the plan. It comes after a seccomp filter: the calls in here
 * are what a filter for pal_fork must allow. 0 or a negative errno.
 */
static int say_ready(const struct fork_call *call, int ready_fd)
{
	const uint64_t one = 1;

	if (write(ready_fd, &one, sizeof one) < 0)
		return pal__report_fail(&call->page->report, PAL_STAGE_CLONE, 0, -errno);
	close(ready_fd);
	return 0;
}

static void __attribute__((noreturn)) run_child(struct fork_call *call)
{
	struct pal__child_args args = {
		.plan = call->launch.plan, .report = &call->page->report};

	if (!pass_gate(call) || pal__child_setup(&args) < 0 ||
		say_ready(call, args.carried[PAL__CARRY_READY]) < 0)
		_exit(127);
	_exit(call->fn(call->arg) & 0xff);
}

/* ---- the parent ---- */

static void open_gate(struct fork_page *page)
{
	atomic_store(&page->gate, GATE_OPEN);
	syscall(SYS_futex, &page->gate, FUTEX_WAKE, 1, NULL, NULL, 0);
}

/*
 * The pidfd, above 2, of a child that comes no further than to the gate, so that its pid is still
 * its own. On failure the child has ended and is reaped: killed, because it may never come there.
 */
static int open_pidfd(pid_t pid)
{
	int pidfd = pal__pidfd_open(pid);

	pidfd = pidfd < 0 ? -errno : pal__fd_lift(pidfd);
	if (pidfd >= 0)
		return pidfd;
	kill(pid, SIGKILL);
	while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
		;
	return pidfd;
}

/* Waits for either event. 0, or a negative errno: nothing has happened. */
static int await_event(struct pollfd *events, nfds_t count, pal_deadline deadline)
{
	for (;;) {
		int left = pal_deadline_left_ms(deadline), r = poll(events, count, left);

		if (r > 0)
			return 0;
		if (r < 0 && errno != EINTR)
			return -errno;
		if (left == 0)
			return -ETIMEDOUT;
	}
}

/* *ret_runs is set where a failure is not the child's, which has not ended. */
static int await_setup(const struct fork_call *call, const struct pal_builder *builder, int pidfd,
	bool *ret_runs, struct pal_error *error)
{
	struct pollfd events[] = {
		{.fd = call->ready_fd, .events = POLLIN}, {.fd = pidfd, .events = POLLIN}};
	int signal, r = await_event(events, PAL_ARRAY_LENGTH(events), builder->start_deadline);

	if (r < 0) {
		*ret_runs = true;
		return pal_error_set(error, PAL_STAGE_CLONE, r, "wait for a forked child");
	}
	/* Asked again: it may have said so after poll looked, and ended before poll looked at the pidfd. */
	if (poll(events, 1, 0) > 0)
		return 0;
	signal = pal__reap(pidfd);
	if (call->page->report.code < 0)
		return pal__report_error(builder, &call->page->report, error);
	return pal__died_error(signal, error);
}

static int do_fork(struct fork_call *call, const struct pal_builder *builder,
	struct pal_child **ret, struct pal_error *error)
{
	struct pal__sigset before = pal__signals_block_all();
	pid_t pid = fork();
	int r = -errno, pidfd;
	bool runs = false;

	if (pid == 0)
		run_child(call);
	pal__signals_restore(&before);
	if (pid < 0)
		return pal_error_set(error, PAL_STAGE_CLONE, r, "fork");
	pidfd = open_pidfd(pid);
	if (pidfd < 0)
		return pal_error_set(error, PAL_STAGE_CLONE, pidfd, "pidfd of a forked child");
	open_gate(call->page);
	r = await_setup(call, builder, pidfd, &runs, error);
	if (r >= 0)
		*ret = pal__launch_finish(&call->launch, pid, pidfd);
	else if (runs) /* kills it, and knows what to do with one that cannot be killed */
		pal_child_free(pal__launch_finish(&call->launch, pid, pidfd));
	else
		pal_close(pidfd);
	return r < 0 ? r : 0;
}

static int prepare(
	struct fork_call *call, struct pal_builder *builder, struct pal_error *error)
{
	int fd = eventfd(0, EFD_CLOEXEC);

	fd = fd < 0 ? -errno : pal__fd_lift(fd);
	if (fd < 0)
		return pal_error_set(error, PAL_STAGE_CLONE, fd, "eventfd for a forked child");
	call->ready_fd = fd;
	call->page = mmap(NULL, sizeof *call->page, PROT_READ | PROT_WRITE,
		MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (call->page == MAP_FAILED) {
		call->page = NULL;
		return pal_error_set(
			error, PAL_STAGE_STACK, -errno, "report page of a forked child");
	}
	return pal__launch_prepare(&call->launch, builder, false, fd, error);
}

static int fork_with(struct fork_call *call, struct pal_builder *builder,
	struct pal_child **ret, struct pal_error *error)
{
	int r = pal__launch_check(builder, false, error);

	if (r >= 0)
		r = prepare(call, builder, error);
	if (r >= 0)
		r = do_fork(call, builder, ret, error);
	pal__launch_clear(&call->launch);
	pal_close(call->ready_fd);
	if (call->page)
		munmap(call->page, sizeof *call->page);
	return r;
}

int pal_fork(struct pal_builder *builder, int (*fn)(void *arg), void *arg, struct pal_child **ret,
	struct pal_error *error)
{
	struct fork_call call = {
		.launch = {.streams = PAL__STREAMS_INIT}, .ready_fd = -1, .fn = fn, .arg = arg};
	int cancel_state, r;

	if (!fn)
		return pal_error_set(error, PAL_STAGE_ARGUMENT, -EINVAL, "no function to run");
	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &cancel_state);
	r = fork_with(&call, builder, ret, error);
	pthread_setcancelstate(cancel_state, NULL);
	return r;
}
