/* SPDX-License-Identifier: MIT */
#include <mesh_process/mesh_process-priv.h>

#include <errno.h>
#include <pal/util-priv.h>
#include <poll.h>

/*
 * When has a host joined? The message that it was started with closes its port,
 * and the new node answers with its own close as soon as it has that message:
 * our end of the port ends. A host that joined and exited at once has joined
 * too, so its exit alone decides nothing: what it sent before may not have been
 * read yet. Only when the link is gone as well is it clear that it never joined.
 */

/*
 * Once the link or the process is known to be gone, the news of the other
 * follows at once: the node of a process that has ended is evicted, whoever else
 * has its link. Unless the host has closed its link and lives on: for that the
 * rest of the deadline is not wasted.
 */
#define GRACE_MS 1000

struct joining {
	struct mesh_process *process;
	struct mesh_process_host *host;
	pal_deadline deadline;
	bool link_lost, ended;
};

/* The news on the port: 1 joined, 0 not yet. */
static int look_at_port(struct joining *joining)
{
	struct mesh_message *unexpected;
	int result = mesh_port_try_recv(joining->host->arrival, &unexpected);

	if (!result)
		mesh_message_free(unexpected); /* nothing is due on this port but its end */
	else if (result == -EPIPE)
		return 1;
	else if (result != -EAGAIN)
		joining->link_lost = true;
	return 0;
}

static void shorten(struct joining *joining)
{
	pal_deadline grace = PAL_DEADLINE_MS(GRACE_MS);

	if (grace < joining->deadline)
		joining->deadline = grace;
}

/* Sleeps until there is news and takes it: 1 joined, 0 something else, -ETIMEDOUT, -ESHUTDOWN. */
static int await_news(struct joining *joining, int port_fd)
{
	bool was_clear = !joining->link_lost && !joining->ended;
	struct pollfd fds[] = {
		{.fd = joining->link_lost ? -1 : port_fd, .events = POLLIN},
		{.fd = joining->ended ? -1 : pal_child_peek_pidfd(joining->host->child),
			.events = POLLIN},
		{.fd = joining->process->wake_fd, .events = POLLIN},
	};
	int count = poll(fds, PAL_ARRAY_LENGTH(fds), pal_deadline_left_ms(joining->deadline));

	if (count < 0)
		return errno == EINTR ? 0 : -errno;
	if (!count)
		return -ETIMEDOUT;
	if (fds[0].revents && look_at_port(joining))
		return 1;
	if (fds[1].revents) {
		joining->ended = true;
		(void)mesh_node_evict(joining->process->node, &joining->host->node);
	}
	if (fds[2].revents)
		return -ESHUTDOWN;
	if (was_clear && (joining->link_lost || joining->ended))
		shorten(joining);
	return 0;
}

/* Says why a host that did not join did not. */
static int explain(const struct joining *joining, int result, struct pal_error *error)
{
	struct pal_status status;
	char text[64] = "its status is lost";

	if (joining->ended) {
		if (!pal_child_wait(joining->host->child, PAL_DEADLINE_NOW, &status, NULL))
			pal_status_text(&status, text, sizeof text);
		return mesh_process__fail(error, MESH_PROCESS_STAGE_JOIN, -ECHILD,
			"host '%s' ended before it joined: %s", joining->host->name, text);
	}
	if (joining->link_lost)
		return mesh_process__fail(error, MESH_PROCESS_STAGE_JOIN, -ECONNRESET,
			"host '%s' closed its link instead of joining", joining->host->name);
	if (result == -ETIMEDOUT)
		return mesh_process__fail(error, MESH_PROCESS_STAGE_JOIN, result,
			"host '%s' did not join in time", joining->host->name);
	return pal_error_set(
		error, MESH_PROCESS_STAGE_JOIN, result, "host '%s' did not join", joining->host->name);
}

int mesh_process__await_join(struct mesh_process *process, struct mesh_process_host *host,
	pal_deadline deadline, struct pal_error *error)
{
	struct joining joining = {.process = process, .host = host, .deadline = deadline};
	int port_fd = mesh_port_peek_fd(host->arrival), result = port_fd < 0 ? port_fd : 0;

	while (!result && !(joining.link_lost && joining.ended))
		result = await_news(&joining, port_fd);
	return result == 1 ? 0 : explain(&joining, result, error);
}
