/* SPDX-License-Identifier: MIT */
#include <mesh_process/mesh_process-priv.h>

#include <errno.h>
#include <pal/helper.h>
#include <pal/log.h>
#include <pal/util-priv.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>

/*
 * One thread per set of hosts sleeps on their pidfds. It alone reaps: after a
 * host has been added here nobody else waits for its child.
 */

static void log_end(
	const struct mesh_process_host *host, int result, const struct pal_status *status)
{
	char text[64];

	if (result)
		pal_log(PAL_LOG_ERROR, "host '%s' (pid %d) ended; its status is lost", host->name,
			(int)host->pid);
	else
		pal_log(status->signaled || status->code ? PAL_LOG_ERROR : PAL_LOG_INFO,
			"host '%s' (pid %d) ended: %s", host->name, (int)host->pid,
			pal_status_text(status, text, sizeof text));
}

static void reap(struct mesh_process *process, struct mesh_process_host *host)
{
	struct pal_status status = {0};
	int result = pal_child_try_wait(host->child, &status, NULL);

	if (!result)
		return; /* not yet */
	result = result < 0 ? result : 0;
	/*
	 * Out of the set before it is closed: a child of another thread may still hold
	 * a copy of the descriptor until its execve, and epoll watches what that refers to.
	 */
	epoll_ctl(process->epoll_fd, EPOLL_CTL_DEL, pal_child_peek_pidfd(host->child), NULL);
	log_end(host, result, &status);
	/* Its link has ended with it, or a process that it has forked holds it: -ENOENT or 0, and no port waits for the dead. */
	(void)mesh_node_evict(process->node, &host->node);
	mesh_process__host_ended(host, result, &status);

	mesh_process__lock(&process->monitor);
	LIST_REMOVE(host, live);
	mesh_process__changed(&process->monitor);
	mesh_process__unlock(&process->monitor);
	mesh_process__host_unref(host);
}

static bool must_quit(struct mesh_process *process)
{
	bool quit;

	mesh_process__lock(&process->monitor);
	quit = process->quit;
	mesh_process__unlock(&process->monitor);
	return quit;
}

static void *watch(void *arg)
{
	struct mesh_process *process = arg;
	struct epoll_event events[64];

	do {
		int count = epoll_wait(process->epoll_fd, events, 64, -1);

		pal_helper_take_part();
		for (int i = 0; i < count; i++)
			if (events[i].data.ptr)
				reap(process, events[i].data.ptr);
	} while (!must_quit(process));
	return NULL;
}

static void call_watcher(void *arg)
{
	pal_raise_event(((struct mesh_process *)arg)->call_fd);
}

/* Edge-triggered: every write wakes the watcher once, and nobody has to read. */
static int add_event(int epoll_fd, int *ret)
{
	struct epoll_event edge = {.events = EPOLLIN | EPOLLET};

	*ret = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	return *ret < 0 || epoll_ctl(epoll_fd, EPOLL_CTL_ADD, *ret, &edge) < 0 ? -errno : 0;
}

static int start(struct mesh_process *process, const char *name)
{
	char thread_name[16];
	int result;

	process->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	if (process->epoll_fd < 0)
		return -errno;
	result = add_event(process->epoll_fd, &process->wake_fd);
	if (!result)
		result = add_event(process->epoll_fd, &process->call_fd);
	if (result)
		return result;
	snprintf(thread_name, sizeof thread_name, "mesh-%s", name);
	return pal_helper_start(&process->watcher, thread_name, watch, call_watcher, process);
}

int mesh_process__watch_start(
	struct mesh_process *process, const char *name, struct pal_error *error)
{
	int result = start(process, name);

	if (result)
		return pal_error_set(
			error, MESH_PROCESS_STAGE_WATCH, result, "the thread that watches hosts");
	process->watcher_started = true;
	return 0;
}

void mesh_process__wake(struct mesh_process *process)
{
	pal_raise_event(process->wake_fd);
}

void mesh_process__watch_stop(struct mesh_process *process)
{
	if (!process->watcher_started)
		return;
	mesh_process__lock(&process->monitor);
	process->quit = true;
	mesh_process__unlock(&process->monitor);
	mesh_process__wake(process);
	pthread_join(process->watcher, NULL);
}

int mesh_process__watch_add(struct mesh_process *process, struct mesh_process_host *host)
{
	struct epoll_event event = {.events = EPOLLIN, .data.ptr = host};
	int result = 0;

	mesh_process__lock(&process->monitor);
	/*
	 * The lock is also what the watcher takes before it lets go of a host that has
	 * ended already.
	 */
	if (process->stopping) {
		result = -ESHUTDOWN;
	} else if (epoll_ctl(process->epoll_fd, EPOLL_CTL_ADD, pal_child_peek_pidfd(host->child),
			   &event) < 0) {
		result = -errno;
	} else {
		mesh_process__host_ref(host);
		LIST_INSERT_HEAD(&process->hosts, host, live);
	}
	mesh_process__unlock(&process->monitor);
	return result;
}
