/* SPDX-License-Identifier: MIT */
#include <pal/lifeline-priv.h>

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <pal/private.h>
#include <pal/process-mark.h>
#include <pal/streams-priv.h>
#include <pal/util-priv.h>

static int lift_both(int ends[2])
{
	int r = 0;

	for (int i = 0; i < 2; i++) {
		ends[i] = pal__fd_lift(ends[i]);
		if (ends[i] < 0)
			r = ends[i];
	}
	return r;
}

static int arm(int fd, int signal)
{
	if (fcntl(fd, F_SETSIG, signal) < 0 || fcntl(fd, F_SETFL, O_ASYNC) < 0)
		return -errno;
	return 0;
}

int pal__lifeline_open(struct pal__lifeline *lifeline, int signal)
{
	bool held = pal_private_begin();
	int r = 0;

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, lifeline->ends) < 0)
		r = -errno;
	else
		r = lift_both(lifeline->ends);
	pal_private_end(held);
	/*
	 * A child that inherits them from us and writes to them must not be taken for our end:
	 * bytes would signal, too.
	 */
	if (r == 0)
		shutdown(lifeline->ends[0], SHUT_RDWR);
	for (int i = 0; i < 2 && r == 0; i++)
		r = arm(lifeline->ends[i], signal);
	if (r < 0)
		pal__lifeline_end(lifeline, pal_process_mark());
	return r;
}

static void set_owner(const struct pal__lifeline *lifeline, pid_t pid)
{
	/* Memory for it is there since F_SETSIG: what can fail is that there is no such process. */
	for (int i = 0; i < 2; i++)
		if (lifeline->ends[i] >= 0)
			(void)fcntl(lifeline->ends[i], F_SETOWN, pid);
}

void pal__lifeline_tie(const struct pal__lifeline *lifeline, pid_t pid, int pidfd)
{
	struct pollfd end = {.fd = pidfd, .events = POLLIN};

	if (lifeline->ends[0] < 0)
		return;
	set_owner(lifeline, pid);
	if (poll(&end, 1, 0) != 0)
		set_owner(lifeline, 0);
}

void pal__lifeline_drop(const struct pal__lifeline *lifeline)
{
	for (int i = 0; i < 2; i++)
		if (lifeline->ends[i] >= 0)
			syscall(SYS_close, lifeline->ends[i]);
}

void pal__lifeline_end(struct pal__lifeline *lifeline, uint64_t owner)
{
	if (owner == pal_process_mark())
		set_owner(lifeline, 0);
	for (int i = 0; i < 2; i++)
		pal_private_close(&lifeline->ends[i]);
}
