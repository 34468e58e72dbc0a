/* SPDX-License-Identifier: MIT */
#include <pal/child-priv.h>

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>

#include <pal/deadline-priv.h>
#include <pal/detach-priv.h>
#include <pal/process-mark-priv.h>
#include <pal/seccomp.h>
#include <pal/streams-priv.h>
#include <pal/util-priv.h>

/* ---- making ---- */

/* Not calloc(3): some libcs give it no block that was freed just now, whose pages are there. */
struct pal_child *pal__child_new(void)
{
	struct pal_child *child = malloc(sizeof *child);

	if (child)
		*child = (struct pal_child){.owner = pal__process_mark(),
			.pidfd = -1,
			.stdio = {-1, -1, -1},
			.notify_fd = -1,
			.lifeline = PAL__LIFELINE_INIT,
			.started_ns = pal__now_ns()};
	return child;
}

bool pal__child_is_own(const struct pal_child *child)
{
	return child->owner == pal__process_mark();
}

int pal__child_open(pid_t pid)
{
	int pidfd = pal__pidfd_open(pid), r;
	siginfo_t info;

	/* Kernels differ about the number of a thread. */
	if (pidfd < 0)
		return errno == EINVAL || errno == ENOENT ? -ESRCH : -errno;
	pidfd = pal__fd_lift(pidfd);
	if (pidfd < 0)
		return pidfd;
	r = pal__waitid(pidfd, WEXITED | WNOHANG | WNOWAIT, &info, NULL);
	if (r < 0) {
		pal_close(pidfd);
		return r;
	}
	return pidfd;
}

int pal_child_adopt(pid_t pid, struct pal_child **ret, struct pal_error *error)
{
	struct pal_child *child = pal__child_new();
	int pidfd;

	if (!child)
		return pal_error_set(error, PAL_STAGE_MEMORY, -ENOMEM, "handle of a child");
	pidfd = pal__child_open(pid);
	if (pidfd < 0) {
		pal__child_release(child);
		return pal_error_set(error, PAL_STAGE_CLONE, pidfd, "adopt process %d", (int)pid);
	}
	child->pid = pid;
	child->pidfd = pidfd;
	*ret = child;
	return 0;
}

/* ---- what is in it ---- */

pid_t pal_child_pid(const struct pal_child *child)
{
	return child->pid;
}

int pal_child_peek_pidfd(const struct pal_child *child)
{
	return child->pidfd;
}

int pal_child_stdin(const struct pal_child *child)
{
	return child->stdio[0];
}

int pal_child_stdout(const struct pal_child *child)
{
	return child->stdio[1];
}

int pal_child_stderr(const struct pal_child *child)
{
	return child->stdio[2];
}

int pal_child_steal_stdin(struct pal_child *child)
{
	return pal_take_fd(&child->stdio[0]);
}

int pal_child_steal_stdout(struct pal_child *child)
{
	return pal_take_fd(&child->stdio[1]);
}

int pal_child_steal_stderr(struct pal_child *child)
{
	return pal_take_fd(&child->stdio[2]);
}

int pal_child_steal_notify(struct pal_child *child)
{
	return pal_take_fd(&child->notify_fd);
}

const char *pal_status_text(const struct pal_status *status, char *buffer, size_t size)
{
	const char *core = status->core ? " (core dumped)" : "";
	const char *name = sigabbrev_np(status->code);

	if (status->code < 0)
		snprintf(buffer, size, "status lost");
	else if (!status->signaled)
		snprintf(buffer, size, "exit %d", status->code);
	else if (name)
		snprintf(buffer, size, "SIG%s%s", name, core);
	else if (status->code >= SIGRTMIN && status->code <= SIGRTMAX)
		snprintf(buffer, size, "signal %d+%d%s", SIGRTMIN, status->code - SIGRTMIN, core);
	else
		snprintf(buffer, size, "signal %d%s", status->code, core);
	return buffer;
}

/* ---- giving up ---- */

void pal__child_release(struct pal_child *child)
{
	pal_close(child->pidfd);
	for (int i = 0; i < 3; i++)
		pal_close(child->stdio[i]);
	pal_close(child->notify_fd);
	pal__lifeline_end(&child->lifeline, child->owner);
	if (child->report)
		munmap(child->report, sizeof *child->report);
	free(child);
}

pid_t pal_child_steal_pid(struct pal_child *child)
{
	pid_t pid = child->pid;
	int cancel_state;

	if (child->ended || !pal__child_is_own(child))
		return -ECHILD;
	if (child->death_thread || child->lifeline.ends[0] >= 0)
		return -EBUSY;
	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &cancel_state);
	pal__child_release(child);
	pthread_setcancelstate(cancel_state, NULL);
	return pid;
}

static void free_child(struct pal_child *child)
{
	pal__child_kill(child);
	if (!child->ended && pal__child_is_own(child)) {
		pal__detach(child); /* whose end we cannot bring about */
		return;
	}
	pal__death_thread_end(child->death_thread);
	pal__child_release(child);
}

void pal_child_free(struct pal_child *child)
{
	int saved = errno, cancel_state;

	if (!child)
		return;
	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &cancel_state);
	free_child(child);
	pthread_setcancelstate(cancel_state, NULL);
	errno = saved;
}
