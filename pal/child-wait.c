/* SPDX-License-Identifier: MIT */
#include <pal/child-priv.h>

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>

#include <pal/util-priv.h>

#ifndef P_PIDFD /* glibc has it as an enumerator since 2.36 only */
#define P_PIDFD 3
#endif

/* How long to wait before looking again at a child whose end its tracer has not let go of yet. */
#define TRACED_NAP_MS 5

int pal__waitid(int pidfd, int options, siginfo_t *ret, struct rusage *ret_usage)
{
	long r;

	do {
		*ret = (siginfo_t){0};
		r = syscall(SYS_waitid, P_PIDFD, pidfd, ret, options, ret_usage);
	} while (r < 0 && errno == EINTR);
	return r < 0 ? -errno : 0;
}

int pal__reap(int pidfd)
{
	siginfo_t info;

	if (pal__waitid(pidfd, WEXITED, &info, NULL) < 0)
		return 0;
	return info.si_code == CLD_EXITED ? 0 : info.si_status;
}

/* 1: has ended, or it cannot be asked; 0: time is over; negative errno. */
static int poll_end(const struct pal_child *child, pal_deadline deadline)
{
	struct pollfd poll_fd = {.fd = child->pidfd, .events = POLLIN};

	for (;;) {
		int left = pal_deadline_left_ms(deadline);
		int r = poll(&poll_fd, 1, left);

		if (r > 0)
			return 1;
		if (r < 0 && errno != EINTR)
			return -errno;
		/* The milliseconds of a far deadline are cut to an int. */
		if (r == 0 && pal_deadline_left_ms(deadline) == 0)
			return 0;
	}
}

/* Nobody is left for whom its parent-death thread would have to stay. */
static void set_ended(struct pal_child *child, int result)
{
	child->ended = true;
	child->result = result;
	pal__death_thread_end(PAL_TAKE_POINTER(child->death_thread));
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

static void take_status(struct pal_child *child, const siginfo_t *info, const struct rusage *usage)
{
	child->status = (struct pal_status){
		.signaled = info->si_code != CLD_EXITED,
		.code = info->si_status,
		.core = info->si_code == CLD_DUMPED,
		.usage = *usage,
	};
	take_program_status(&child->status, child->report);
	set_ended(child, 0);
}

/* Reaps a child whose pidfd says that it has ended. 0, -EAGAIN, or another negative errno. */
static int reap(struct pal_child *child)
{
	struct rusage usage = {0};
	siginfo_t info;
	int r = pal__waitid(child->pidfd, WEXITED | WNOHANG, &info, &usage);

	if (r == -ECHILD) {
		set_ended(child, -ECHILD);
		return 0;
	}
	if (r < 0)
		return r;
	if (!info.si_pid)
		return -EAGAIN; /* a debugger has it and has not waited yet */
	take_status(child, &info, &usage);
	return 0;
}

static int wait_until(struct pal_child *child, pal_deadline deadline)
{
	while (!child->ended) {
		int r = poll_end(child, deadline);

		if (r > 0)
			r = reap(child);
		else if (r == 0)
			r = -ETIMEDOUT;
		if (r == -EAGAIN && pal_deadline_left_ms(deadline) != 0)
			poll(NULL, 0, TRACED_NAP_MS);
		else if (r < 0)
			return r == -EAGAIN ? -ETIMEDOUT : r;
	}
	return child->result;
}

static int wait_error(const struct pal_child *child, int code, struct pal_error *error)
{
	if (code == -ECHILD)
		return pal_error_set(error, PAL_STAGE_WAIT, code,
			"child %d has ended, its status is lost to SIGCHLD's disposition or another wait",
			(int)child->pid);
	return pal_error_set(error, PAL_STAGE_WAIT, code, "wait for child %d", (int)child->pid);
}

int pal_child_wait(struct pal_child *child, pal_deadline deadline, struct pal_status *ret,
	struct pal_error *error)
{
	int r = wait_until(child, deadline);

	if (r < 0)
		return wait_error(child, r, error);
	if (ret)
		*ret = child->status;
	return 0;
}

int pal_child_try_wait(struct pal_child *child, struct pal_status *ret, struct pal_error *error)
{
	int r = wait_until(child, PAL_DEADLINE_NOW);

	if (r == -ETIMEDOUT)
		return 0;
	if (r < 0)
		return wait_error(child, r, error);
	if (ret)
		*ret = child->status;
	return 1;
}

int pal_child_signal(struct pal_child *child, int signal)
{
	struct pollfd poll_fd = {.fd = child->pidfd, .events = POLLIN};

	/* The kernel takes signals for a zombie and says nothing. */
	if (poll(&poll_fd, 1, 0) > 0)
		return -ESRCH;
	return pal__pidfd_signal(child->pidfd, signal) < 0 ? -errno : 0;
}

static int send_or_ended(struct pal_child *child, int signal, struct pal_error *error)
{
	int r = pal_child_signal(child, signal);

	if (r < 0 && r != -ESRCH)
		return pal_error_set(error, PAL_STAGE_SIGNAL, r, "signal %d for child %d", signal,
			(int)child->pid);
	return 0;
}

int pal_child_stop(
	struct pal_child *child, int64_t grace_ms, struct pal_status *ret, struct pal_error *error)
{
	int r = 0;

	if (!child->ended)
		r = send_or_ended(child, SIGTERM, error);
	if (r < 0)
		return r;
	r = wait_until(child, grace_ms > 0 ? pal_deadline_after_ms(grace_ms) : PAL_DEADLINE_NOW);
	if (r == -ETIMEDOUT) {
		r = send_or_ended(child, SIGKILL, error);
		if (r < 0)
			return r;
	}
	return pal_child_wait(child, PAL_DEADLINE_NONE, ret, error);
}

void pal_child_free(struct pal_child *child)
{
	int saved = errno, cancel_state;

	if (!child)
		return;
	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &cancel_state);
	/* A child that may not be killed (it has another user now) would be waited for without end. */
	if (!child->ended && child->owner == getpid())
		wait_until(child, send_or_ended(child, SIGKILL, NULL) < 0 ? PAL_DEADLINE_NOW
									  : PAL_DEADLINE_NONE);
	pal__death_thread_end(child->death_thread);
	pal_close(child->pidfd);
	for (int i = 0; i < 3; i++)
		pal_close(child->stdio[i]);
	pal_close(child->notify_fd);
	if (child->report)
		munmap(child->report, sizeof *child->report);
	free(child);
	pthread_setcancelstate(cancel_state, NULL);
	errno = saved;
}
