/* SPDX-License-Identifier: MIT */
/* How tests launch hosts and talk to them. */
#include "role.h"

#include <mesh/invitation.h>
#include <mesh_process/mesh_process-priv.h>
#include <pal/builder.h>
#include <pal/util-priv.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "support.h"

struct mesh_process *role_new(void)
{
	struct mesh_process *process;
	struct pal_error error;

	ck_assert_ok(mesh_process_new("test", NULL, &process, &error), &error);
	return process;
}

void role_shutdown(struct mesh_process *process)
{
	ck_assert_int_eq(mesh_process_shutdown(process, PAL_DEADLINE_MS(30000)), 0);
}

struct mesh_process_host *role_launch(struct mesh_process *process, const char *name,
	struct mesh_process_config *config, struct mesh_port **ret_port)
{
	struct mesh_process_host *host;
	struct pal_error error;

	if (!config)
		config = mesh_process_config_new(name);
	mesh_process_config_join_deadline(config, 60000);
	ck_assert_ok(mesh_process_launch(process, config, ret_port, &host, &error), &error);
	mesh_process_config_free(config);
	return host;
}

const char *role_expect_failure(
	struct mesh_process *process, struct mesh_process_config *config, int code, int stage)
{
	static struct pal_error error;
	struct mesh_process_host *host = NULL;
	struct mesh_port *port = NULL;

	error = (struct pal_error){0};
	ck_assert_msg(mesh_process_launch(process, config, &port, &host, &error) == code, "%s",
		pal_error_text(&error));
	ck_assert_ptr_null(port);
	ck_assert_ptr_null(host);
	ck_assert_int_eq(error.code, code);
	ck_assert_int_eq(error.stage, stage);
	mesh_process_config_free(config);
	return pal_error_text(&error);
}

const char *role_expect_failure_alone(struct mesh_process_config *config, int code, int stage)
{
	struct mesh_process *process = role_new();
	const char *text = role_expect_failure(process, config, code, stage);

	role_shutdown(process);
	return text;
}

static void PAL_PRINTF(3, 0) tell(struct mesh_port *port, int fd, const char *format, va_list args)
{
	struct mesh_message *message;
	char *text;

	ck_assert_int_ge(vasprintf(&text, format, args), 0);
	message = mesh_message_new(text, strlen(text));
	free(text);
	ck_assert_ptr_nonnull(message);
	if (fd >= 0)
		ck_assert_int_eq(mesh_message_dup_fd(message, fd), 0);
	ck_assert_int_eq(mesh_port_send(port, message), 0);
}

void role_tell(struct mesh_port *port, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	tell(port, -1, format, args);
	va_end(args);
}

char *role_ask(struct mesh_port *port, int fd, const char *format, ...)
{
	struct mesh_message *message;
	struct pal_error error;
	va_list args;
	char *text;

	va_start(args, format);
	tell(port, fd, format, args);
	va_end(args);
	ck_assert_ok(mesh_port_recv(port, PAL_DEADLINE_MS(60000), &message, &error), &error);
	ck_assert_int_ge(asprintf(&text, "%.*s", (int)mesh_message_size(message),
		(const char *)mesh_message_data(message)), 0);
	ck_assert_ptr_nonnull(text);
	mesh_message_free(message);
	return text;
}

void role_expect(struct mesh_port *port, const char *command, const char *answer)
{
	char *got = role_ask(port, -1, "%s", command);

	ck_assert_str_eq(got, answer);
	free(got);
}

static const char *text_of(const struct pal_status *status)
{
	static char text[64];

	return pal_status_text(status, text, sizeof text);
}

const char *role_end(struct mesh_process_host *host)
{
	struct pal_status status;

	ck_assert_int_eq(mesh_process_host_wait(host, PAL_DEADLINE_MS(60000), &status), 0);
	return text_of(&status);
}

/* ---- a leader by hand ---- */

static struct pal_child *raw_spawn(struct mesh_invitation *invitation)
{
	struct pal_builder *builder = pal_builder_new("/proc/self/exe");
	struct pal_child *child;
	struct pal_error error;
	char *text;

	ck_assert_int_eq(mesh_invitation_to_text(invitation, "raw", 9, &text), 0);
	pal_builder_env(builder, MESH_PROCESS_INVITATION_VARIABLE, text);
	pal_builder_dup_fd(builder, invitation->fd, 9); /* another number than 3 is as good */
	ck_assert_ok(pal_builder_spawn(builder, &child, &error), &error);
	pal_builder_free(builder);
	free(text);
	mesh_invitation_clear(invitation);
	return child;
}

void role_raw_launch(struct role_raw *raw)
{
	struct mesh_invitation invitation = MESH_INVITATION_INIT;
	struct mesh_port *ours, *theirs, *requests, *port;
	struct mesh_message *init, *first;
	struct pal_error error;

	ck_assert_ok(mesh_node_new(NULL, &raw->node, &error), &error);
	ck_assert_int_eq(mesh_port_pair(&ours, &theirs), 0);
	ck_assert_int_eq(mesh_port_pair(&raw->requests, &requests), 0);
	ck_assert_int_eq(mesh_port_pair(&raw->port, &port), 0);
	init = mesh_message_new("\x0f", 1);
	ck_assert_int_eq(mesh_message_put_port(init, port), 0);
	ck_assert_int_eq(mesh_process__initial_encode(requests, init, &first), 0);
	ck_assert_int_eq(
		mesh_port_send_and_free(ours, first), 0); /* before it is even invited: legal too */
	ck_assert_ok(mesh_node_invite(raw->node, theirs, &invitation, &error), &error);
	raw->child = raw_spawn(&invitation);
	role_expect(raw->port, "say here", "here");
}

void role_raw_request(
	struct mesh_port *requests, const void *data, size_t size, struct mesh_port *port)
{
	struct mesh_message *message = mesh_message_new(data, size);

	if (port)
		ck_assert_int_eq(mesh_message_put_port(message, port), 0);
	ck_assert_int_eq(mesh_port_send(requests, message), 0);
}

const char *role_raw_end(struct role_raw *raw)
{
	struct pal_status status;
	struct pal_error error;

	ck_assert_ok(pal_child_wait(raw->child, PAL_DEADLINE_MS(60000), &status, &error), &error);
	pal_child_free(raw->child);
	mesh_port_free(raw->port);
	mesh_port_free(raw->requests);
	ck_assert_ok(mesh_node_shutdown(raw->node, PAL_DEADLINE_MS(30000), &error), &error);
	mesh_node_free(raw->node);
	return text_of(&status);
}
