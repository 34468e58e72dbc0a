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
#include <pal/process-mark.h>
#include <pal/seccomp.h>
#include <pal/streams-priv.h>
#include <pal/util-priv.h>

/* ---- making ---- */

static const ptrdiff_t private_places[] = {
	PAL_PRIVATE_PLACE(struct pal_child, private, pidfd),
	PAL_PRIVATE_PLACE(struct pal_child, private, own_stdio[0]),
	PAL_PRIVATE_PLACE(struct pal_child, private, own_stdio[1]),
	PAL_PRIVATE_PLACE(struct pal_child, private, own_stdio[2]),
	PAL_PRIVATE_PLACE(struct pal_child, private, notify_fd),
	PAL_PRIVATE_PLACE(struct pal_child, private, lifeline.ends[0]),
	PAL_PRIVATE_PLACE(struct pal_child, private, lifeline.ends[1]),
};
static const struct pal_private_layout private_layout = {
	.count = PAL_ARRAY_LENGTH(private_places), .places = private_places};

/* Not calloc(3): some libcs give it no block that was freed just now, whose pages are there. */
struct pal_child *pal__child_new(void)
{
	struct pal_child *child = malloc(sizeof *child);

	if (!child)
		return NULL;
	*child = (struct pal_child){.owner = pal_process_mark(),
		.pidfd = -1,
		.stdio = {-1, -1, -1},
		.own_stdio = {-1, -1, -1},
		.notify_fd = -1,
		.lifeline = PAL__LIFELINE_INIT,
		.started_ns = pal__now_ns()};
	pal_private_add(&child->private, &private_layout);
	return child;
}

bool pal__child_is_own(const struct pal_child *child)
{
	return child->owner == pal_process_mark();
}

static int open_child(pid_t pid)
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

int pal__child_open(pid_t pid, int *ret)
{
	bool held = pal_private_begin();
	int pidfd = open_child(pid);

	if (pidfd >= 0)
		__atomic_store_n(ret, pidfd, __ATOMIC_RELAXED);
	pal_private_end(held);
	return pidfd < 0 ? pidfd : 0;
}

int pal_child_adopt(pid_t pid, struct pal_child **ret, struct pal_error *error)
{
	struct pal_child *child = pal__child_new();
	int r;

	if (!child)
		return pal_error_set(error, PAL_STAGE_MEMORY, -ENOMEM, "handle of a child");
	child->pid = pid;
	r = pal__child_open(pid, &child->pidfd);
	if (r < 0) {
		pal__child_release(child);
		return pal_error_set(error, PAL_STAGE_CLONE, r, "adopt process %d", (int)pid);
	}
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

int pal__child_show_stdio(const struct pal_child *child, int stream)
{
	struct pal_child *own = (struct pal_child *)child; /* handles are allocated, none is const */

	if (own->own_stdio[stream] >= 0)
		own->stdio[stream] = pal_take_fd(&own->own_stdio[stream]);
	return own->stdio[stream];
}

int pal__child_take_stdio(struct pal_child *child, int stream)
{
	pal__child_show_stdio(child, stream);
	return pal_take_fd(&child->stdio[stream]);
}

int pal_child_stdin(const struct pal_child *child)
{
	return pal__child_show_stdio(child, 0);
}

int pal_child_stdout(const struct pal_child *child)
{
	return pal__child_show_stdio(child, 1);
}

int pal_child_stderr(const struct pal_child *child)
{
	return pal__child_show_stdio(child, 2);
}

int pal_child_steal_stdin(struct pal_child *child)
{
	return pal__child_take_stdio(child, 0);
}

int pal_child_steal_stdout(struct pal_child *child)
{
	return pal__child_take_stdio(child, 1);
}

int pal_child_steal_stderr(struct pal_child *child)
{
	return pal__child_take_stdio(child, 2);
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
	pal_private_close(&child->pidfd);
	for (int i = 0; i < 3; i++)
		pal_close(pal__child_take_stdio(child, i));
	pal_private_close(&child->notify_fd);
	pal__lifeline_end(&child->lifeline, child->owner);
	if (child->report)
		munmap(child->report, sizeof *child->report);
	pal_private_remove(&child->private);
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

void pal_child_forget(struct pal_child *child)
{
	if (child && !pal__child_is_own(child)) {
		pal_private_disown(&child->private);
		for (int i = 0; i < 3; i++)
			child->stdio[i] = -1;
	}
	pal_child_free(child);
}
