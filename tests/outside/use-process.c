/* SPDX-License-Identifier: MIT */

/* A program that knows only what is installed: launches itself as a host and gets an echo. */
#include <mesh_process/mesh_process.h>

#include <stdio.h>
#include <string.h>

static int echo(struct mesh_port *port, void *userdata)
{
	struct mesh_message *message;

	(void)userdata;
	if (mesh_port_recv(port, PAL_DEADLINE_MS(10000), &message, NULL) < 0)
		return 1;
	return mesh_port_send(port, message) < 0;
}

int main(void)
{
	struct mesh_process_config *config;
	struct mesh_process_host *host;
	struct mesh_process *process;
	struct mesh_message *message;
	struct mesh_port *port;
	struct pal_error error;
	int good;

	mesh_process_try_run_host("outside", echo, NULL);
	config = mesh_process_config_new("echo-1");
	if (mesh_process_new("outside", NULL, &process, &error) < 0 ||
		mesh_process_launch(process, config, &port, &host, &error) < 0 ||
		mesh_port_send(port, mesh_message_new("hello", 5)) < 0 ||
		mesh_port_recv(port, PAL_DEADLINE_MS(10000), &message, &error) < 0) {
		fprintf(stderr, "use-process: %s\n", pal_error_text(&error));
		return 1;
	}
	good = mesh_message_size(message) == 5 && !memcmp(mesh_message_data(message), "hello", 5);
	mesh_message_free(message);
	mesh_port_free(port);
	mesh_process_host_free(host);
	mesh_process_config_free(config);
	if (mesh_process_shutdown(process, PAL_DEADLINE_MS(10000)) < 0)
		return 1;
	return good ? 0 : 1;
}
