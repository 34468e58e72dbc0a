/* SPDX-License-Identifier: MIT */
#include <pal/spawn-priv.h>

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <sys/wait.h>

#include <pal/util-priv.h>

/* Waiting for a child that says itself when it runs: of pal_fork, or in a pid namespace with a reaper. */

struct waiting {
	struct pal__launch *launch;
	const struct pal__report *report;
	pid_t *pid;
	int *pidfd;
	bool divides; /* this is still the first of two: divide.c */
};

/* Waits for any event. 0, or a negative errno: nothing has happened. */
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

static int give_up(const struct waiting *wait, int code, struct pal_error *error)
{
	bool runs = true;

	if (wait->divides) { /* the first, which is still what we are */
		pal__pidfd_signal(*wait->pidfd, SIGKILL);
		pal__reap(*wait->pidfd);
		runs = pal__divide_take(wait->launch, wait->report, wait->pid, wait->pidfd) >= 0;
	}
	if (runs)
		pal__launch_abandon(wait->launch, *wait->pid, wait->pidfd);
	return pal_error_set(error, PAL_STAGE_CLONE, code, "wait for a child to run");
}

/* `code`: of pal__divide_take. */
static int not_ready(const struct waiting *wait, const struct pal_builder *builder, int code,
	struct pal_error *error)
{
	const struct pal__report *report = wait->report;
	int signal = pal__reap(*wait->pidfd);

	if (code < 0 && code != -EAGAIN)
		return pal_error_set(error, PAL_STAGE_CLONE, code, "pidfd of a child");
	if (report->code < 0)
		return pal__report_error(builder, report, error);
	if (report->program_ended && report->program_end != CLD_EXITED)
		signal = report->program_status;
	return pal__died_error(signal, error);
}

/* Its pidfd's number has become something else's, behind our back: that is ready, or is no file. */
static bool still_runs(pid_t pid)
{
	siginfo_t info = {0};

	return waitid(P_PID, (id_t)pid, &info, WEXITED | WNOHANG | WNOWAIT | __WALL) == 0 &&
	       info.si_pid == 0;
}

/* Asked again: it may have said so after poll looked, and ended before poll looked at the pidfd. */
static bool is_ready(struct pollfd *ready)
{
	return ready->revents || poll(ready, 1, 0) > 0;
}

int pal__await_ready(struct pal__launch *launch, const struct pal__report *report, pid_t *pid,
	int *pidfd, const struct pal_builder *builder, pal_deadline deadline,
	struct pal_error *error)
{
	struct waiting wait = {launch, report, pid, pidfd, launch->plan->namespaces.divides};
	int r = 0;

	for (;;) {
		struct pollfd events[] = {{.fd = *pidfd, .events = POLLIN},
			{.fd = launch->own.ready, .events = POLLIN}};

		r = await_event(events, wait.divides ? 1 : 2, deadline);
		if (r < 0)
			return give_up(&wait, r, error);
		if (!wait.divides && is_ready(&events[1]))
			return 0;
		if (!wait.divides)
			return still_runs(*pid) ? give_up(&wait, -EBADF, error)
						: not_ready(&wait, builder, 0, error);
		r = pal__divide_take(launch, report, pid, pidfd);
		if (r < 0)
			return not_ready(&wait, builder, r, error);
		wait.divides = false;
	}
}
