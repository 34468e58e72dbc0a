/* SPDX-License-Identifier: MIT */
#include <pal/child-priv.h>

#include <errno.h>
#include <signal.h>
#include <sys/wait.h>

#include <pal/deadline-priv.h>
#include <pal/pidfd-info-priv.h>
#include <pal/poll-priv.h>
#include <pal/util-priv.h>

#ifndef P_PIDFD /* glibc has it as an enumerator since 2.36 only */
#define P_PIDFD 3
#endif

#define ANY_CHANGE (PAL_CHILD_ENDED | PAL_CHILD_STOPPED | PAL_CHILD_CONTINUED)

/* __WALL: also an adopted child that does not report its end by SIGCHLD. */
static int wait_for(int kind, int id, int options, siginfo_t *ret, struct rusage *ret_usage)
{
	long r;

	do {
		*ret = (siginfo_t){0};
		r = syscall(SYS_waitid, kind, id, ret, options | __WALL, ret_usage);
	} while (r < 0 && errno == EINTR);
	return r < 0 ? -errno : 0;
}

int pal__waitid(int pidfd, int options, siginfo_t *ret, struct rusage *ret_usage)
{
	return wait_for(P_PIDFD, pidfd, options, ret, ret_usage);
}

static int look(int kind, int id, siginfo_t *ret)
{
	return wait_for(kind, id, WEXITED | WNOHANG | WNOWAIT, ret, NULL);
}

/* Of a process that lives, or has not been waited for: no child that we had and have no more. */
static bool is_somebodys(int pidfd)
{
	return pal__pidfd_signal(pidfd, 0) == 0 || errno == EPERM;
}

int pal__child_look(const struct pal_child *child, int pidfd)
{
	siginfo_t info;
	int r = pidfd < 0 ? -EBADF : look(P_PIDFD, pidfd, &info);

	if (r == 0 && info.si_pid && info.si_pid != child->pid)
		return -EBADF;
	/* What the kernel reaps, where SIGCHLD is ignored, is no child any more and not gone yet. */
	if (r == -ECHILD && is_somebodys(pidfd) && look(P_PID, child->pid, &info) == 0)
		return -EBADF;
	return r;
}

/*
 * Neither number alone is the child for sure. The pidfd's may have become another child's, behind
 * the back of the handle: waiting by it would reap that one. The pid may be another child's if
 * somebody else has reaped ours. So the pidfd is asked, and takes nothing, and it is the pid that is
 * waited for: where the pidfd is the child's, and says that it has not been reaped, the pid is its
 * own; where it is not, nobody else was to wait for it (child.h). This is one system call more
 * than the wait, of some 0.3 us.
 */
int pal__child_waitid(
	struct pal_child *child, int options, siginfo_t *ret, struct rusage *ret_usage)
{
	int r = pal__child_look(child, child->pidfd);

	if (r < 0 && r != -EBADF)
		return r;
	if (r == -EBADF) {
		/* What has the number now is not the handle's to close. */
		__atomic_store_n(&child->pidfd, -1, __ATOMIC_RELAXED);
		(void)pal__child_open(child->pid, &child->pidfd);
	}
	return wait_for(P_PID, child->pid, options, ret, ret_usage);
}

int pal__reap(int pidfd)
{
	siginfo_t info;

	if (pal__waitid(pidfd, WEXITED, &info, NULL) < 0)
		return 0;
	return info.si_code == CLD_EXITED ? 0 : info.si_status;
}

int pal__child_wait_error(const struct pal_child *child, int code, struct pal_error *error)
{
	if (code == -ECHILD && !pal__child_is_own(child))
		return pal_error_set(error, PAL_STAGE_WAIT, code,
			"child %d is not of this process, but of one that it was forked from",
			(int)child->pid);
	if (code == -ECHILD && !(child->ended && child->result < 0))
		return pal_error_set(
			error, PAL_STAGE_WAIT, code, "child %d has ended", (int)child->pid);
	if (code == -ECHILD)
		return pal_error_set(error, PAL_STAGE_WAIT, code,
			"child %d has ended, its status is lost to SIGCHLD's disposition or another wait",
			(int)child->pid);
	return pal_error_set(error, PAL_STAGE_WAIT, code, "wait for child %d", (int)child->pid);
}

/* ---- the end ---- */

int pal__child_poll(const struct pal_child *child, pal_deadline deadline)
{
	struct pollfd end = {.fd = child->pidfd, .events = POLLIN};

	for (;;) {
		int r = pal__poll(&end, 1, pal_deadline_left_ms(deadline));

		if (r > 0)
			return 1;
		if (r < 0 && r != -EINTR)
			return r;
		/* The milliseconds of a far deadline are cut to an int. */
		if (r == 0 && pal_deadline_left_ms(deadline) == 0)
			return 0;
	}
}

/* Nobody is left for whom its parent-death thread or lifeline would have to stay. */
static void set_ended(struct pal_child *child, int result)
{
	__atomic_store_n(&child->ended, true, __ATOMIC_RELEASE);
	child->result = result;
	pal__death_thread_end(PAL_TAKE_POINTER(child->death_thread));
	pal__lifeline_end(&child->lifeline, child->owner);
}

/* Process 1 of a pid namespace cannot die of a signal as its program did: it tells. */
static void take_program_status(struct pal_status *status, const struct pal__report *report)
{
	if (!report || !report->program_ended || status->signaled)
		return;
	status->signaled = report->program_end != CLD_EXITED;
	status->code = report->program_status;
	status->core = report->program_end == CLD_DUMPED;
}

static void set_status(struct pal_child *child, const struct pal_status *status)
{
	child->status = *status;
	child->status.wall_us = (pal__now_ns() - child->started_ns) / 1000;
	take_program_status(&child->status, child->report);
	set_ended(child, 0);
}

static void take_status(struct pal_child *child, const siginfo_t *info, const struct rusage *usage)
{
	struct pal_status status = {.signaled = info->si_code != CLD_EXITED,
		.code = info->si_status,
		.core = info->si_code == CLD_DUMPED,
		.usage = *usage};

	set_status(child, &status);
}

/* Somebody else has reaped it, or nobody had to: its pidfd may tell the rest. */
static void take_late_status(struct pal_child *child)
{
	int code;

	if (pal__pidfd_exit_status(child->pidfd, &code) < 0) {
		set_ended(child, -ECHILD);
		return;
	}
	set_status(child, &(struct pal_status){.signaled = WIFSIGNALED(code),
				  .code = WIFSIGNALED(code) ? WTERMSIG(code) : WEXITSTATUS(code),
				  .core = WIFSIGNALED(code) && WCOREDUMP(code)});
}

/* `options`: 0 to wait for the end, WNOHANG to look. */
static int reap(struct pal_child *child, int options)
{
	struct rusage usage = {0};
	siginfo_t info;
	int r = pal__child_waitid(child, WEXITED | options, &info, &usage);

	if (r == -ECHILD) {
		take_late_status(child);
		return 0;
	}
	if (r < 0)
		return r;
	if (!info.si_pid)
		return -EAGAIN;
	take_status(child, &info, &usage);
	return 0;
}

int pal__child_reap(struct pal_child *child)
{
	return child->ended ? 0 : reap(child, WNOHANG);
}

/* The kernel cannot wait until a point in time: it says when to look. */
static int await_until(struct pal_child *child, pal_deadline deadline)
{
	for (;;) {
		int ready = child->pidfd < 0 ? 1 : pal__child_poll(child, deadline), r;

		if (ready < 0 && ready != -EBADF)
			return ready;
		/* Also when time is over: it may be another file that has not become ready. */
		r = reap(child, WNOHANG);
		if (r != -EAGAIN)
			return r;
		if (pal_deadline_left_ms(deadline) == 0)
			return -ETIMEDOUT;
		/* A debugger has it, and has not waited yet; or there is no pidfd. */
		pal__poll(NULL, 0, PAL__TRACED_NAP_MS);
	}
}

int pal__child_await(struct pal_child *child, pal_deadline deadline)
{
	int r = 0;

	if (!pal__child_is_own(child))
		return -ECHILD;
	if (child->ended)
		return 0;
	if (deadline == PAL_DEADLINE_NONE)
		r = reap(child, 0);
	else if (deadline == PAL_DEADLINE_NOW)
		r = reap(child, WNOHANG);
	else
		r = await_until(child, deadline);
	return r == -EAGAIN ? -ETIMEDOUT : r;
}

/* What awaiting has come to. */
static int tell(struct pal_child *child, int r, struct pal_status *ret, struct pal_error *error)
{
	if (r == 0)
		r = child->result;
	if (r < 0)
		return pal__child_wait_error(child, r, error);
	if (ret)
		*ret = child->status;
	return 0;
}

int pal_child_wait(struct pal_child *child, pal_deadline deadline, struct pal_status *ret,
	struct pal_error *error)
{
	return tell(child, pal__child_await(child, deadline), ret, error);
}

int pal_child_try_wait(struct pal_child *child, struct pal_status *ret, struct pal_error *error)
{
	int r = pal__child_await(child, PAL_DEADLINE_NOW);

	if (r == -ETIMEDOUT)
		return 0;
	r = tell(child, r, ret, error);
	return r < 0 ? r : 1;
}

/* ---- stops and continuations ---- */

static int wait_options(unsigned changes)
{
	return (changes & PAL_CHILD_ENDED ? WEXITED : 0) |
	       (changes & PAL_CHILD_STOPPED ? WSTOPPED : 0) |
	       (changes & PAL_CHILD_CONTINUED ? WCONTINUED : 0);
}

/* The change that the kernel told: one of PAL_CHILD_*. */
static int take_change(
	struct pal_child *child, const siginfo_t *info, const struct rusage *usage, int *ret_signal)
{
	if (info->si_code == CLD_CONTINUED)
		return PAL_CHILD_CONTINUED;
	if (info->si_code == CLD_STOPPED || info->si_code == CLD_TRAPPED) {
		if (ret_signal)
			*ret_signal = info->si_status;
		return PAL_CHILD_STOPPED;
	}
	take_status(child, info, usage);
	return PAL_CHILD_ENDED;
}

/* Looks, or with `options` 0 waits. One of PAL_CHILD_*, -EAGAIN, or another negative errno. */
static int wait_change(struct pal_child *child, unsigned changes, int options, int *ret_signal)
{
	struct rusage usage = {0};
	siginfo_t info;
	int r = pal__child_waitid(child, wait_options(changes) | options, &info, &usage);

	if (r == -ECHILD && changes & PAL_CHILD_ENDED) {
		take_late_status(child);
		return child->result < 0 ? child->result : (int)PAL_CHILD_ENDED;
	}
	if (r < 0)
		return r;
	return info.si_pid ? take_change(child, &info, &usage, ret_signal) : -EAGAIN;
}

static int wait_change_until(
	struct pal_child *child, unsigned changes, pal_deadline deadline, int *ret_signal)
{
	struct pollfd end = {.fd = child->pidfd, .events = POLLIN};

	for (;;) {
		int r = wait_change(child, changes, WNOHANG, ret_signal), left, nap;

		if (r != -EAGAIN)
			return r;
		left = pal_deadline_left_ms(deadline);
		if (left == 0)
			return -ETIMEDOUT;
		/* Its end cuts the nap short - once: a tracer may keep it from us. */
		nap = left < PAL__TRACED_NAP_MS ? left : PAL__TRACED_NAP_MS;
		r = pal__poll(&end, end.fd >= 0, nap);
		if (r < 0 && r != -EINTR)
			return r;
		if (r > 0)
			end.fd = -1;
	}
}

static int await_change(
	struct pal_child *child, unsigned changes, pal_deadline deadline, int *ret_signal)
{
	if (!pal__child_is_own(child))
		return -ECHILD;
	if (child->ended)
		return changes & PAL_CHILD_ENDED && child->result == 0 ? (int)PAL_CHILD_ENDED
								       : -ECHILD;
	if (deadline == PAL_DEADLINE_NONE)
		return wait_change(child, changes, 0, ret_signal);
	return wait_change_until(child, changes, deadline, ret_signal);
}

int pal_child_wait_change(struct pal_child *child, unsigned changes, pal_deadline deadline,
	int *ret_signal, struct pal_error *error)
{
	int r;

	if (!changes || changes & ~ANY_CHANGE)
		return pal_error_set(
			error, PAL_STAGE_ARGUMENT, -EINVAL, "changes %#x to wait for", changes);
	r = await_change(child, changes, deadline, ret_signal);
	return r < 0 ? pal__child_wait_error(child, r, error) : r;
}
