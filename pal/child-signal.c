/* SPDX-License-Identifier: MIT */
#include <pal/child-priv.h>

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <sys/wait.h>
#include <time.h>

#include <pal/poll-priv.h>
#include <pal/util-priv.h>

/* Linux 6.9: to the process group whose number was given as the pidfd's process was. */
#ifndef PIDFD_SIGNAL_PROCESS_GROUP
#define PIDFD_SIGNAL_PROCESS_GROUP (1u << 2)
#endif

/* How long to wait for the end of a killed child, which a tracer or a device that does not answer can put off. */
#define KILLED_WITHIN_MS 2000

/* The kernel takes signals for a zombie and says nothing. */
static int signal_by(int pidfd, int signal)
{
	struct pollfd end = {.fd = pidfd, .events = POLLIN};
	bool ready = pal__poll(&end, 1, 0) > 0;

	if (pal__pidfd_signal(pidfd, ready ? 0 : signal) < 0)
		return -errno;
	return ready ? -ESRCH : 0;
}

static int signal_group_by(int pidfd, int signal)
{
	return syscall(SYS_pidfd_send_signal, pidfd, signal, NULL, PIDFD_SIGNAL_PROCESS_GROUP) < 0
		       ? -errno
		       : 0;
}

struct own_pidfd {
	struct pal_private private;
	int fd;
};
static const ptrdiff_t own_places[] = {PAL_PRIVATE_PLACE(struct own_pidfd, private, fd)};
static const struct pal_private_layout own_layout = {.count = 1, .places = own_places};

/*
 * The pidfd to signal the child by: one of its own for each signal, because the handle's may have
 * become another child's, and cannot say so while that runs. And the handle's is asked afterwards:
 * if the child had not been waited for then, the new one is not of a process that has its number
 * since. Where there is no room for a new one the handle's has to do.
 */
static int find(const struct pal_child *child, struct own_pidfd *own, int *ret)
{
	int known = __atomic_load_n(&child->pidfd, __ATOMIC_RELAXED), r, looked;

	if (__atomic_load_n(&child->ended, __ATOMIC_ACQUIRE))
		return -ESRCH;
	r = pal__child_open(child->pid, &own->fd);
	looked = pal__child_look(child, known);
	if (looked == -ECHILD || r == -ECHILD || r == -ESRCH)
		return -ESRCH;
	if (r < 0 && looked == -EBADF)
		return r;
	*ret = r < 0 ? known : own->fd;
	return 0;
}

static int signal_child(
	const struct pal_child *child, int signal, int (*send)(int pidfd, int signal))
{
	struct own_pidfd own = {.fd = -1};
	int pidfd, r, cancel_state;

	/* A thread that ended in here would leave what is on its stack in the list. */
	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &cancel_state);
	pal_private_add(&own.private, &own_layout);
	r = find(child, &own, &pidfd);
	if (r == 0)
		r = send(pidfd, signal);
	pal_private_close(&own.fd);
	pal_private_remove(&own.private);
	pthread_setcancelstate(cancel_state, NULL);
	return r;
}

int pal_child_signal(struct pal_child *child, int signal)
{
	return pal__child_is_own(child) ? signal_child(child, signal, signal_by) : -ECHILD;
}

/* By the kernel, where the process ignores SIGCHLD, or by somebody else: then its number may be another's. */
static bool is_reaped(struct pal_child *child)
{
	siginfo_t info;

	return child->ended ||
	       pal__child_waitid(child, WEXITED | WNOHANG | WNOWAIT, &info, NULL) < 0;
}

/* When the child has been waited for its group can be had by the handle's pidfd alone. */
static int signal_group(const struct pal_child *child, int signal)
{
	int r = signal_child(child, signal, signal_group_by);

	if (r == -ESRCH && pal__child_look(child, child->pidfd) == -ECHILD)
		r = signal_group_by(child->pidfd, signal);
	return r;
}

/*
 * The kernel says -EINVAL for a signal and for a flag that it does not know, so
 * the signal is looked at here. Without the flag there is only the number, which
 * is the group's for sure as long as its leader has not been reaped.
 */
int pal_child_signal_group(struct pal_child *child, int signal)
{
	int r;

	if (!child->leads_group || signal < 0 || signal >= _NSIG)
		return -EINVAL;
	if (!pal__child_is_own(child))
		return -ECHILD;
	r = signal_group(child, signal);
	if (r != -EINVAL)
		return r;
	if (is_reaped(child))
		return -ESRCH;
	return kill(-child->pid, signal) < 0 ? -errno : 0;
}

/* To the child or to its group. That nobody is there to get it is no error. */
static int send(struct pal_child *child, bool group, int signal, struct pal_error *error)
{
	int r = group ? pal_child_signal_group(child, signal) : pal_child_signal(child, signal);

	if (r < 0 && r != -ESRCH)
		return pal_error_set(error, PAL_STAGE_SIGNAL, r, "signal %d for %s %d", signal,
			group ? "the process group of child" : "child", (int)child->pid);
	return 0;
}

static pal_deadline grace_end(int64_t grace_ms)
{
	return grace_ms > 0 ? pal_deadline_after_ms(grace_ms) : PAL_DEADLINE_NOW;
}

int pal_child_stop(
	struct pal_child *child, int64_t grace_ms, struct pal_status *ret, struct pal_error *error)
{
	int r = 0;

	if (!child->ended)
		r = send(child, false, SIGTERM, error);
	if (r < 0)
		return r;
	r = pal__child_await(child, grace_end(grace_ms));
	if (r < 0 && r != -ETIMEDOUT)
		return pal__child_wait_error(child, r, error);
	if (r == -ETIMEDOUT)
		r = send(child, false, SIGKILL, error);
	return r < 0 ? r : pal_child_wait(child, PAL_DEADLINE_NONE, ret, error);
}

/* The child is not reaped before the last signal: see pal_child_signal_group. */
int pal_child_stop_group(
	struct pal_child *child, int64_t grace_ms, struct pal_status *ret, struct pal_error *error)
{
	int r = send(child, true, SIGTERM, error);

	if (r < 0)
		return r;
	r = child->ended ? 1 : pal__child_poll(child, grace_end(grace_ms));
	if (r < 0)
		return pal__child_wait_error(child, r, error);
	r = send(child, true, SIGKILL, error);
	return r < 0 ? r : pal_child_wait(child, PAL_DEADLINE_NONE, ret, error);
}

/* Who is not let poll, by a filter, looks again and again. */
static void await_killed(struct pal_child *child)
{
	static const struct timespec nap = {.tv_nsec = PAL__TRACED_NAP_MS * 1000000L};
	pal_deadline deadline = pal_deadline_after_ms(KILLED_WITHIN_MS);
	int cancel_state, r = pal__child_await(child, deadline);

	if (r == 0 || r == -ETIMEDOUT)
		return;
	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &cancel_state);
	do {
		nanosleep(&nap, NULL);
		r = pal__child_reap(child);
	} while (r == -EAGAIN && pal_deadline_left_ms(deadline) > 0);
	pthread_setcancelstate(cancel_state, NULL);
}

void pal__child_kill(struct pal_child *child)
{
	int r;

	if (child->ended || !pal__child_is_own(child))
		return;
	if (pal__child_reap(child) == 0)
		return;
	/* It runs, and is ours: its pid is its own, where there is no pidfd to be had. */
	r = pal_child_signal(child, SIGKILL);
	if (r < 0 && r != -ESRCH && kill(child->pid, SIGKILL) < 0)
		return;
	await_killed(child);
}
