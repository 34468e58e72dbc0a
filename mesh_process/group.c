/* SPDX-License-Identifier: MIT */
#include <mesh_process/mesh_process-priv.h>

#include <errno.h>
#include <pal/util-priv.h>
#include <signal.h>
#include <stdlib.h>

/* Frees what there is of it: the node has been shut down, or nobody has used it. */
static void destroy(struct mesh_process *process)
{
	mesh_process__watch_stop(process);
	mesh_node_free(process->node);
	pal_close(process->wake_fd);
	pal_close(process->call_fd);
	pal_close(process->epoll_fd);
	mesh_process__monitor_deinit(&process->monitor);
	free(process);
}

int mesh_process_new(const char *name, const struct mesh_node_options *options,
	struct mesh_process **ret, struct pal_error *error)
{
	struct mesh_process *process;
	int result;

	if (!name || !ret)
		return pal_error_set(error, PAL_STAGE_ARGUMENT, -EINVAL, "mesh_process_new");
	process = calloc(1, sizeof *process);
	if (!process)
		return pal_error_set(error, PAL_STAGE_MEMORY, -ENOMEM, "mesh_process_new");
	process->epoll_fd = process->wake_fd = process->call_fd = -1;
	LIST_INIT(&process->hosts);
	mesh_process__monitor_init(&process->monitor);
	result = mesh_process__watch_start(process, name, error);
	if (!result)
		result = mesh_node_new(options, &process->node, error);
	if (result) {
		destroy(process);
		return result;
	}
	*ret = process;
	return 0;
}

struct mesh_node *mesh_process_node(struct mesh_process *process)
{
	return process ? process->node : NULL;
}

int mesh_process__launch_begin(struct mesh_process *process)
{
	int result = 0;

	mesh_process__lock(&process->monitor);
	if (process->stopping)
		result = -ESHUTDOWN;
	else
		process->launches++;
	mesh_process__unlock(&process->monitor);
	return result;
}

void mesh_process__launch_end(struct mesh_process *process)
{
	mesh_process__lock(&process->monitor);
	process->launches--;
	mesh_process__changed(&process->monitor);
	mesh_process__unlock(&process->monitor);
}

/* With the lock held: waits until all hosts have ended and were reaped. */
static int await_ends(struct mesh_process *process, pal_deadline deadline)
{
	int result = 0;

	while (!LIST_EMPTY(&process->hosts) && !result)
		result = mesh_process__await(&process->monitor, deadline);
	return LIST_EMPTY(&process->hosts) ? 0 : result;
}

/* Tell, wait, kill. Returns with no host and no launch left. */
static int end_hosts(struct mesh_process *process, pal_deadline deadline)
{
	struct mesh_process_host *host;
	int result;

	mesh_process__lock(&process->monitor);
	process->stopping = true;
	mesh_process__wake(process); /* launches that wait for their host give up */
	while (process->launches)
		mesh_process__await(&process->monitor, PAL_DEADLINE_NONE);
	LIST_FOREACH(host, &process->hosts, live)
		mesh_process_host_leave(host);
	result = await_ends(process, deadline);
	if (result) {
		LIST_FOREACH(host, &process->hosts, live)
			mesh_process_host_signal(host, SIGKILL);
		await_ends(process, PAL_DEADLINE_NONE);
	}
	mesh_process__unlock(&process->monitor);
	return result;
}

int mesh_process_shutdown(struct mesh_process *process, pal_deadline deadline)
{
	int ended, left;

	if (!process)
		return 0;
	/* An exit function or a callback of the node: the threads that it would wait for. */
	if (pthread_equal(process->watcher, pthread_self()) || mesh_node_is_home(process->node))
		return -EDEADLK;
	ended = end_hosts(process, deadline);
	left = mesh_node_shutdown(process->node, deadline, NULL);
	destroy(process);
	return ended ? ended : left;
}
