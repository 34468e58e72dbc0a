/* SPDX-License-Identifier: MIT */
#include <mesh_process/mesh_process-priv.h>

#include <errno.h>
#include <mesh/invitation.h>
#include <pal/helper.h>
#include <pal/log.h>
#include <pal/util-priv.h>
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

/*
 * How long the leader may take for its first two messages, which it has sent before this
 * process exists.
 */
#define JOIN_MS 60000
/*
 * How long leaving the mesh may take: the parent has a deadline of its own, and a signal
 * that ends all waiting.
 */
#define LEAVE_MS 5000
/*
 * How long a host function that the parent has ended may take to notice that its ports
 * have failed.
 */
#define RETURN_MS 250

/*
 * This process, once it is a host. Two things may end it, and the first one does:
 *
 *   the host function returns      the main thread leaves the mesh and exits with its status
 *   the parent's requests end      the node's thread notices; the leaver, which has been waiting
 *                                  for this, leaves the mesh, so that every port fails. A host
 *                                  function that returns then lets the main thread exit in order,
 *                                  with 0; one that does not is left behind by _exit: exit(3)
 *                                  would run handlers and destructors under its feet.
 *
 * The leaver exists from the start, as a host may give up the right to make threads.
 */
static struct {
	struct mesh_process__monitor monitor;
	enum {
		RUNNING,
		RETURNED,
		TOLD_TO_LEAVE
	} end; /* what came first */
	bool returned;
	struct mesh_node *node;
	struct mesh_process__requests requests;
	pthread_t leaver;
	sem_t leaver_called; /* to look at `end`, or to take part in what pal_self_restrict does */
	bool has_leaver;
	pid_t pid; /* a fork of the host is none: it has no leaver, and must not speak on the links */
} this_host;

struct mesh_node *mesh_process_host_node(void)
{
	return this_host.node;
}

/* ---- leaving ---- */

static void call_leaver(void *unused)
{
	(void)unused;
	sem_post(&this_host.leaver_called);
}

static void ended_by(int what)
{
	mesh_process__lock(&this_host.monitor);
	if (this_host.end == RUNNING)
		this_host.end = what;
	if (what == RETURNED)
		this_host.returned = true;
	mesh_process__changed(&this_host.monitor);
	mesh_process__unlock(&this_host.monitor);
	call_leaver(NULL);
}

static void requests_ended(void)
{
	ended_by(TOLD_TO_LEAVE);
}

static void leave_mesh(void)
{
	struct pal_error error;

	if (mesh_node_shutdown(this_host.node, PAL_DEADLINE_MS(LEAVE_MS), &error) < 0)
		pal_log(PAL_LOG_WARNING, "leaving the mesh: %s", pal_error_text(&error));
}

static int await_end(void)
{
	int end;

	do {
		while (sem_wait(&this_host.leaver_called) < 0)
			;
		pal_helper_take_part();
		mesh_process__lock(&this_host.monitor);
		end = this_host.end;
		mesh_process__unlock(&this_host.monitor);
	} while (end == RUNNING);
	return end;
}

static void *leaver(void *unused)
{
	pal_deadline deadline;
	bool returned;

	(void)unused;
	if (await_end() != TOLD_TO_LEAVE)
		return NULL;
	leave_mesh();
	deadline = PAL_DEADLINE_MS(RETURN_MS);
	mesh_process__lock(&this_host.monitor);
	while (!this_host.returned && !mesh_process__await(&this_host.monitor, deadline))
		;
	returned = this_host.returned;
	mesh_process__unlock(&this_host.monitor);
	if (!returned)
		_exit(0);
	return NULL;
}

/* In the main thread: ends what this host has, the other threads first: exit(3) must find none of them. */
static void end_host(void)
{
	struct mesh_node *node = this_host.node;

	ended_by(RETURNED);
	if (this_host.has_leaver)
		pthread_join(this_host.leaver, NULL);
	if (node && this_host.end == RETURNED)
		leave_mesh();
	this_host.node = NULL;
	mesh_node_free(node);
}

/* When the host function has returned. */
static _Noreturn void leave(int status)
{
	end_host();
	exit(this_host.end == RETURNED ? status : 0);
}

/* ---- arriving ---- */

static void set_name(const char *base, const char *name)
{
	char text[16]; /* what the kernel keeps of it */

	snprintf(text, sizeof text, "%s-%s", base, name);
	prctl(PR_SET_NAME, text);
}

/* Becomes a node. *ret_port will bring the parent's message. Wipes and frees the text. */
static int join(const char *base, char *text, struct mesh_port **ret_port, struct pal_error *error)
{
	struct mesh_invitation invitation = MESH_INVITATION_INIT;
	PAL_CLEANUP_FREE char *name = NULL;
	int result = mesh_invitation_from_text(text, &invitation, &name, error);

	explicit_bzero(text, strlen(text));
	free(text);
	if (result)
		return result;
	set_name(base, name);
	return mesh_node_join(
		&invitation, NULL, PAL_DEADLINE_MS(JOIN_MS), &this_host.node, ret_port, error);
}

/*
 * Takes the parent's message: what the host function gets, and the requests, which are
 * served from now on.
 */
static int start_serving(
	struct mesh_port *port, struct mesh_message **ret_init, struct pal_error *error)
{
	struct mesh_message *message, *init;
	struct mesh_port *requests;
	int result = mesh_port_recv(port, PAL_DEADLINE_MS(JOIN_MS), &message, error);

	if (result)
		return result;
	result = mesh_process__initial_decode(message, &requests, &init);
	mesh_message_free(message);
	if (result)
		return pal_error_set(error, MESH_PROCESS_STAGE_FIRST_MESSAGE, result,
			"the parent's first message");
	this_host.requests.ended = requests_ended;
	result = pal_helper_start(&this_host.leaver, "mesh-leave", leaver, call_leaver, NULL);
	this_host.has_leaver = !result;
	if (result)
		mesh_port_free(requests);
	else
		result = mesh_process__requests_serve(&this_host.requests, requests);
	if (result) {
		mesh_message_free(init);
		return pal_error_set(error, MESH_PROCESS_STAGE_FIRST_MESSAGE, result,
			"serving the parent's requests");
	}
	*ret_init = init;
	return 0;
}

/* A launched process that cannot be a host is of no use as anything else. The reason is said first, as leaving may take time. */
static _Noreturn void give_up(const char *base, const struct pal_error *error)
{
	pal_log(PAL_LOG_ERROR, "%s: cannot be a mesh host: %s", base, pal_error_text(error));
	fprintf(stderr, "%s: cannot be a mesh host: %s\n", base, pal_error_text(error));
	end_host();
	exit(MESH_PROCESS_EXIT_INVITATION);
}

/*
 * A fork of the host returned from the host function. What it has are copies: the threads are not there,
 * a lock may be held by one of them for ever, and the sockets are those of the host, which goes on.
 */
static void leave_fork(int status)
{
	if (getpid() != this_host.pid)
		exit(status);
}

/* What runs here: one of the two functions. */
struct host_function {
	const char *base;
	mesh_process_host_message_fn message_fn;
	mesh_process_host_fn port_fn;
	void *userdata;
};

/* The exit status that the function wants, or -EBADMSG: it cannot run. */
static int run(const struct host_function *host, struct mesh_message *init, struct pal_error *error)
{
	struct mesh_port *port;
	int status;

	if (host->message_fn) {
		status = host->message_fn(init, host->userdata) & 0xff;
		leave_fork(status);
		return status;
	}
	if (mesh_process__find_port(init, mesh_reader_of(init), 1, &port) <= 0)
		return pal_error_set(error, MESH_PROCESS_STAGE_FIRST_MESSAGE, -EBADMSG,
			"the port in the parent's first message");
	status = host->port_fn(port, host->userdata) & 0xff;
	leave_fork(status);
	mesh_port_free(port);
	return status;
}

static int try_run(const struct host_function *host)
{
	struct pal_error error = {0};
	struct mesh_message *init = NULL;
	struct mesh_port *port;
	char *text;
	int result;

	if (!host->base)
		return -EINVAL;
	result = mesh_process__environ_take(MESH_PROCESS_INVITATION_VARIABLE, &text);
	if (!result && !text)
		return 0;
	mesh_process__monitor_init(&this_host.monitor);
	sem_init(&this_host.leaver_called, 0, 0);
	this_host.pid = getpid();
	if (result)
		pal_error_set(
			&error, MESH_PROCESS_STAGE_INVITATION, result, "taking the invitation");
	else
		result = join(host->base, text, &port, &error);
	if (!result) {
		result = start_serving(port, &init, &error);
		mesh_port_free(port);
	}
	if (result)
		give_up(host->base, &error);
	result = run(host, init, &error);
	mesh_message_free(init);
	if (result < 0)
		give_up(host->base, &error);
	leave(result);
}

int mesh_process_try_run_host_message(
	const char *base, mesh_process_host_message_fn fn, void *userdata)
{
	const struct host_function host = {.base = base, .message_fn = fn, .userdata = userdata};

	return fn ? try_run(&host) : -EINVAL;
}

int mesh_process_try_run_host(const char *base, mesh_process_host_fn fn, void *userdata)
{
	const struct host_function host = {.base = base, .port_fn = fn, .userdata = userdata};

	return fn ? try_run(&host) : -EINVAL;
}
