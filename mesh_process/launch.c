/* SPDX-License-Identifier: MIT */
#include <mesh_process/mesh_process-priv.h>

#include <errno.h>
#include <fcntl.h>
#include <pal/builder.h>
#include <pal/util-priv.h>
#include <signal.h>
#include <unistd.h>

/* ---- starting it ---- */

/*
 * The own program by its kernel name, so that the very file that runs here is
 * executed even when it has been replaced meanwhile: the two would not
 * understand each other.
 */
static const char own_program[] = "/proc/self/exe";

static void change_env(const struct mesh_process_config *config, struct pal_builder *builder)
{
	for (size_t i = 0; i < config->env_count; i++) {
		const struct mesh_process__env_change *change = &config->env[i];

		switch (change->kind) {
		case MESH_PROCESS__ENV_SET:
			pal_builder_env(builder, change->name, change->value);
			break;
		case MESH_PROCESS__ENV_REMOVE:
			pal_builder_env_remove(builder, change->name);
			break;
		case MESH_PROCESS__ENV_CLEAR:
			pal_builder_env_clear(builder);
			break;
		}
	}
}

/*
 * A parent without stderr, where the number is free or some close-on-exec thing
 * has got it. In the host too something else would get it, to be written into
 * by whoever has a complaint.
 */
static bool has_stderr(void)
{
	int flags = fcntl(STDERR_FILENO, F_GETFD);

	return flags >= 0 && !(flags & FD_CLOEXEC);
}

static struct pal_builder *make_builder(
	const struct mesh_process_config *config, const char *invitation, int link)
{
	struct pal_builder *builder =
		pal_builder_new(config->program ? config->program : own_program);

	if (!config->program)
		pal_builder_arg0(builder, program_invocation_name);
	for (size_t i = 0; i < config->arg_count; i++)
		pal_builder_arg(builder, config->args[i]);
	if (!config->skip_name_arg)
		pal_builder_arg(builder, config->name);
	change_env(config, builder);
	pal_builder_env(builder, MESH_PROCESS_INVITATION_VARIABLE, invitation);
	pal_builder_stdin(builder, PAL_STDIO_NULL);
	pal_builder_stdout(builder, PAL_STDIO_NULL);
	if (config->stderr_fd >= 0)
		pal_builder_stderr(builder, PAL_STDIO_FD(config->stderr_fd));
	else if (!has_stderr())
		pal_builder_stderr(builder, PAL_STDIO_NULL);
	pal_builder_dup_fd(builder, link, MESH_PROCESS_LINK_FD);
	pal_builder_parent_death(builder, SIGKILL);
	if (config->profile)
		pal_builder_sandbox(builder, config->profile);
	return builder;
}

static int spawn(const struct mesh_process_config *config, const struct mesh_invitation *invitation,
	struct mesh_process_host *host, struct pal_error *error)
{
	PAL_CLEANUP_FREE char *text = NULL;
	struct pal_builder *builder;
	int result;

	if (!config->program && access(own_program, F_OK) < 0)
		return pal_error_set(error, MESH_PROCESS_STAGE_PROGRAM, -errno, "host '%s': %s",
			config->name, own_program);
	result = mesh_invitation_to_text(invitation, config->name, MESH_PROCESS_LINK_FD, &text);
	if (result)
		return pal_error_set(error, MESH_PROCESS_STAGE_INVITATION, result,
			"host '%s': invitation", config->name);
	builder = make_builder(config, text, invitation->fd);
	result = pal_builder_spawn(builder, &host->child, error);
	pal_builder_free(builder);
	if (result)
		return mesh_process__wrap(error, MESH_PROCESS_STAGE_SPAWN, result, config->name);
	host->pid = pal_child_pid(host->child);
	return 0;
}

/* ---- its first message ---- */

/*
 * The port goes out with the invitation, the message after it. In the other
 * order the message would have arrived, and been acknowledged, right here.
 */
static int invite(struct mesh_process *process, struct mesh_message *first,
	struct mesh_invitation *ret_invitation, struct mesh_port **ret_port)
{
	struct mesh_port *ours, *theirs;
	int result = mesh_port_pair(&ours, &theirs);

	if (result) {
		mesh_message_free(first);
		return result;
	}
	result = mesh_node_invite(process->node, theirs, ret_invitation, NULL);
	if (result)
		mesh_message_free(first);
	else
		result = mesh_port_send_last(ours, first);
	if (result) {
		mesh_port_free(ours);
		return result;
	}
	*ret_port = ours;
	return 0;
}

/* Makes the invitation, leaves the first message for the new node and starts it. */
static int start(struct mesh_process *process, const struct mesh_process_config *config,
	struct mesh_message *init, struct mesh_process_host *host, struct pal_error *error)
{
	struct mesh_invitation invitation = MESH_INVITATION_INIT;
	struct mesh_port *requests;
	struct mesh_message *first;
	int result;

	result = mesh_port_pair(&host->requests, &requests);
	if (result)
		mesh_message_free(init);
	else
		result = mesh_process__initial_encode(requests, init, &first);
	if (result)
		return pal_error_set(error, MESH_PROCESS_STAGE_FIRST_MESSAGE, result,
			"host '%s': first message", config->name);
	result = invite(process, first, &invitation, &host->arrival);
	host->node = invitation.local_node;
	if (result)
		pal_error_set(error, MESH_PROCESS_STAGE_INVITATION, result, "host '%s': invitation",
			config->name);
	else
		result = spawn(config, &invitation, host, error);
	mesh_invitation_clear(&invitation);
	return result;
}

/* ---- launching ---- */

static int launch(struct mesh_process *process, const struct mesh_process_config *config,
	struct mesh_message *init, struct mesh_process_host *host, struct pal_error *error)
{
	pal_deadline deadline = PAL_DEADLINE_MS(config->join_ms);
	int result = start(process, config, init, host, error);

	if (!result)
		result = mesh_process__await_join(process, host, deadline, error);
	if (result)
		return result;
	result = mesh_process__watch_add(process, host);
	if (result)
		return pal_error_set(
			error, MESH_PROCESS_STAGE_WATCH, result, "host '%s'", host->name);
	mesh_port_free(PAL_TAKE_POINTER(host->arrival));
	return 0;
}

/*
 * The reading of an evicted node's link waits for nothing but its turn. Should that not come
 * for long, the link ends later.
 */
#define UNDO_MS 1000

/*
 * Nothing is left: neither the process nor, should it have passed its link on, a way to join,
 * nor the link here.
 */
static void undo(struct mesh_process *process, struct mesh_process_host *host)
{
	pal_deadline deadline = PAL_DEADLINE_MS(UNDO_MS);
	struct mesh_message *unexpected;

	/* -ENOENT: its link has ended already, or was never made. */
	(void)mesh_node_evict(process->node, &host->node);
	while (host->arrival && !mesh_port_recv(host->arrival, deadline, &unexpected, NULL))
		mesh_message_free(unexpected);
	mesh_process__host_unref(host); /* kills and reaps */
}

static int check(struct mesh_process *process, const struct mesh_process_config *config,
	struct mesh_message *init, struct pal_error *error)
{
	if (!process)
		return pal_error_set(error, PAL_STAGE_ARGUMENT, -EINVAL, "mesh_process_launch");
	if (!config || !init)
		return pal_error_set(error, PAL_STAGE_MEMORY, -ENOMEM, "mesh_process_launch");
	if (mesh_node_is_home(process->node)) /* the host would wait for this thread to read what it says */
		return pal_error_set(error, PAL_STAGE_ARGUMENT, -EDEADLK, "launching in a callback of the node");
	if (config->first_error.code) {
		if (error)
			*error = config->first_error;
		return config->first_error.code;
	}
	return 0;
}

int mesh_process_launch_message(struct mesh_process *process,
	const struct mesh_process_config *config, struct mesh_message *init,
	struct mesh_process_host **ret_host, struct pal_error *error)
{
	struct mesh_process_host *host = NULL;
	int result = check(process, config, init, error);

	if (!result && !ret_host)
		result = pal_error_set(error, PAL_STAGE_ARGUMENT, -EINVAL, "mesh_process_launch");
	if (!result && !(host = mesh_process__host_new(config->name)))
		result = pal_error_set(error, PAL_STAGE_MEMORY, -ENOMEM, "host '%s'", config->name);
	if (!result && (result = mesh_process__launch_begin(process))) {
		pal_error_set(
			error, MESH_PROCESS_STAGE_SHUTDOWN, result, "host '%s'", config->name);
		mesh_process__host_unref(host);
	}
	if (result) {
		mesh_message_free(init);
		return result;
	}
	result = launch(process, config, init, host, error);
	if (result)
		undo(process, host); /* before shutdown may go on */
	else
		*ret_host = host;
	mesh_process__launch_end(process);
	return result;
}

/* The init message of this library's own hosts: { <port> = 1 }. */
static struct mesh_message *message_of_port(struct mesh_port *port)
{
	struct mesh_writer *writer = mesh_writer_new();
	struct mesh_message *message;

	mesh_writer_put_port(writer, 1, port);
	return mesh_writer_finish(writer, &message) ? NULL : message;
}

int mesh_process_launch(struct mesh_process *process, const struct mesh_process_config *config,
	struct mesh_port **ret_port, struct mesh_process_host **ret_host, struct pal_error *error)
{
	struct mesh_port *ours, *theirs;
	int result;

	if (!ret_port)
		return pal_error_set(error, PAL_STAGE_ARGUMENT, -EINVAL, "mesh_process_launch");
	result = mesh_port_pair(&ours, &theirs);
	if (result)
		return pal_error_set(error, PAL_STAGE_MEMORY, result, "mesh_process_launch");
	result = mesh_process_launch_message(
		process, config, message_of_port(theirs), ret_host, error);
	if (result) {
		mesh_port_free(ours);
		return result;
	}
	*ret_port = ours;
	return 0;
}
