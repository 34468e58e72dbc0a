/* SPDX-License-Identifier: MIT */

/* A program that knows only what is installed: a port travels over another one and still works. */
#include <mesh/mesh.h>

#include <string.h>

int main(void)
{
	struct mesh_port *a, *b, *c, *d, *moved;
	struct mesh_message *message;
	int good;

	if (mesh_port_pair(&a, &b) < 0 || mesh_port_pair(&c, &d) < 0)
		return 1;
	message = mesh_message_new("port", 4);
	if (mesh_message_put_port(message, d) < 0 || mesh_port_send(a, message) < 0 ||
		mesh_port_recv(b, PAL_DEADLINE_MS(10000), &message, NULL) < 0)
		return 1;
	moved = mesh_message_take_port(message, 0);
	mesh_message_free(message);
	if (mesh_port_send(moved, mesh_message_new("hello", 5)) < 0 ||
		mesh_port_recv(c, PAL_DEADLINE_MS(10000), &message, NULL) < 0)
		return 1;
	good = mesh_message_size(message) == 5 && !memcmp(mesh_message_data(message), "hello", 5);
	mesh_message_free(message);
	mesh_port_free(a);
	mesh_port_free(b);
	mesh_port_free(c);
	mesh_port_free(moved);
	return good ? 0 : 1;
}
