/* SPDX-License-Identifier: MIT */
#include <pal/child-priv.h>

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <pal/seccomp.h>
#include <pal/util-priv.h>

struct pal_child *pal__child_new(void)
{
	struct pal_child *child = calloc(1, sizeof *child);

	if (child)
		*child = (struct pal_child){.owner = getpid(), .pidfd = -1, .stdio = {-1, -1, -1}, .notify_fd = -1};
	return child;
}

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

	if (!status->signaled)
		snprintf(buffer, size, "exit %d", status->code);
	else if (name)
		snprintf(buffer, size, "SIG%s%s", name, core);
	else if (status->code >= SIGRTMIN && status->code <= SIGRTMAX)
		snprintf(buffer, size, "signal %d+%d%s", SIGRTMIN, status->code - SIGRTMIN, core);
	else
		snprintf(buffer, size, "signal %d%s", status->code, core);
	return buffer;
}
