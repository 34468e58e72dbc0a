/* SPDX-License-Identifier: MIT */
#include <mesh_process/mesh_process-priv.h>

#include <errno.h>
#include <pal/log.h>
#include <pal/util-priv.h>
#include <stdlib.h>
#include <string.h>

struct mesh_process_host *mesh_process__host_new(const char *name)
{
	struct mesh_process_host *host = calloc(1, sizeof *host);

	if (!host)
		return NULL;
	host->name = strdup(name);
	if (!host->name) {
		free(host);
		return NULL;
	}
	atomic_init(&host->refs, 1);
	mesh_process__monitor_init(&host->monitor);
	return host;
}

void mesh_process__host_ref(struct mesh_process_host *host)
{
	atomic_fetch_add(&host->refs, 1);
}

void mesh_process__host_unref(struct mesh_process_host *host)
{
	if (atomic_fetch_sub(&host->refs, 1) != 1)
		return;
	mesh_port_free(host->arrival);
	mesh_port_free(host->requests);
	pal_child_free(host->child); /* of a launch that failed: kills and reaps */
	mesh_process__monitor_deinit(&host->monitor);
	free(host->name);
	free(host);
}

/* Calls the exit function where there is one, without the lock, which the caller holds. */
static void call_on_exit(struct mesh_process_host *host)
{
	mesh_process_exit_fn fn = host->on_exit;
	bool nested = host->in_on_exit;

	if (!fn)
		return;
	host->in_on_exit = true;
	host->on_exit_thread = pthread_self();
	mesh_process__unlock(&host->monitor);
	/* Nobody writes the status any more. */
	fn(host, host->end_result ? NULL : &host->status, host->on_exit_userdata);
	mesh_process__lock(&host->monitor);
	host->in_on_exit = nested;
	mesh_process__changed(&host->monitor);
}

void mesh_process__host_ended(
	struct mesh_process_host *host, int result, const struct pal_status *status)
{
	struct mesh_port *requests;
	struct pal_child *child;

	mesh_process__lock(&host->monitor);
	requests = PAL_TAKE_POINTER(host->requests);
	child = PAL_TAKE_POINTER(host->child);
	host->end_result = result;
	if (!result)
		host->status = *status;
	host->ended = true;
	mesh_process__changed(&host->monitor);
	call_on_exit(host);
	mesh_process__unlock(&host->monitor);
	mesh_port_free(requests);
	pal_child_free(child);
}

pid_t mesh_process_host_pid(const struct mesh_process_host *host)
{
	return host ? host->pid : -EINVAL;
}

const char *mesh_process_host_name(const struct mesh_process_host *host)
{
	return host ? host->name : NULL;
}

int mesh_process_host_on_exit(
	struct mesh_process_host *host, mesh_process_exit_fn fn, void *userdata)
{
	if (!host)
		return -EINVAL;
	mesh_process__host_ref(host); /* the function may free the handle */
	mesh_process__lock(&host->monitor);
	/*
	 * Whoever replaces or removes a function may free what it uses: so it must not be
	 * running any more.
	 */
	while (host->in_on_exit && !pthread_equal(host->on_exit_thread, pthread_self()))
		mesh_process__await(&host->monitor, PAL_DEADLINE_NONE);
	host->on_exit = fn;
	host->on_exit_userdata = userdata;
	if (host->ended)
		call_on_exit(host);
	mesh_process__unlock(&host->monitor);
	mesh_process__host_unref(host);
	return 0;
}

int mesh_process_host_wait(
	struct mesh_process_host *host, pal_deadline deadline, struct pal_status *ret)
{
	int result = 0;

	if (!host)
		return -EINVAL;
	mesh_process__lock(&host->monitor);
	while (!host->ended && !result)
		result = mesh_process__await(&host->monitor, deadline);
	if (host->ended) {
		result = host->end_result;
		if (!result && ret)
			*ret = host->status;
	}
	mesh_process__unlock(&host->monitor);
	return result;
}

int mesh_process_host_status(struct mesh_process_host *host, struct pal_status *ret)
{
	int result = mesh_process_host_wait(host, PAL_DEADLINE_NOW, ret);

	return result == -ETIMEDOUT ? -EAGAIN : result;
}

int mesh_process_host_signal(struct mesh_process_host *host, int signal)
{
	int result;

	if (!host)
		return -EINVAL;
	mesh_process__lock(&host->monitor);
	result = host->child ? pal_child_signal(host->child, signal) : -ESRCH;
	mesh_process__unlock(&host->monitor);
	return result;
}

int mesh_process_host_leave(struct mesh_process_host *host)
{
	struct mesh_port *requests;
	bool ended;

	if (!host)
		return -EINVAL;
	mesh_process__lock(&host->monitor);
	requests = PAL_TAKE_POINTER(host->requests);
	ended = host->ended;
	mesh_process__unlock(&host->monitor);
	mesh_port_free(requests);
	return ended ? -ESRCH : 0;
}

int mesh_process_host_crash(struct mesh_process_host *host)
{
	struct mesh_message *request;
	int result;

	if (!host)
		return -EINVAL;
	request = mesh_process__crash_request();
	if (!request)
		return -ENOMEM;
	mesh_process__lock(&host->monitor);
	if (host->requests)
		result = mesh_port_send(host->requests, PAL_TAKE_POINTER(request));
	else
		result = -ESRCH;
	mesh_process__unlock(&host->monitor);
	mesh_message_free(request);
	return result;
}

void mesh_process_host_free(struct mesh_process_host *host)
{
	int saved = errno;

	if (!host)
		return;
	mesh_process_host_on_exit(host, NULL, NULL);
	mesh_process__host_unref(host);
	errno = saved;
}
