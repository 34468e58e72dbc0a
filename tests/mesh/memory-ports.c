/* SPDX-License-Identifier: MIT */
/* The owner's side of ports on the memory link, with the locks. */
#include "memory-link.h"

#include <check.h>
#include <fcntl.h>
#include <stdarg.h>

void memory_pair(struct memory_node *a, const char *name_a, struct mesh_port **ret_a,
        struct memory_node *b, const char *name_b, struct mesh_port **ret_b)
{
	struct mesh_id id_a = memory_id(name_a), id_b = memory_id(name_b);

	memory_name(a->net, &id_a, name_a);
	memory_name(a->net, &id_b, name_b);
	mesh__space_lock(&a->space);
	ck_assert_int_eq(mesh__port_new_remote(
	                         &a->space, &id_a, memory_remote(a, &b->space.node), &id_b, ret_a),
	        0);
	mesh__space_unlock(&a->space);
	mesh__space_lock(&b->space);
	ck_assert_int_eq(mesh__port_new_remote(
	                         &b->space, &id_b, memory_remote(b, &a->space.node), &id_a, ret_b),
	        0);
	mesh__space_unlock(&b->space);
}

void memory_local_pair(struct memory_net *net, struct memory_node *node, const char *name_a,
        struct mesh_port **ret_a, const char *name_b, struct mesh_port **ret_b)
{
	ck_assert_int_eq(mesh__port_pair(node ? &node->space : NULL, ret_a, ret_b), 0);
	(*ret_a)->id = memory_id(name_a);
	(*ret_b)->id = memory_id(name_b);
	memory_name(net, &(*ret_a)->id, name_a);
	memory_name(net, &(*ret_b)->id, name_b);
}

int memory_send_message(struct mesh_port *port, struct mesh_message *message, bool close)
{
	struct mesh__space *space = mesh__port_lock(port);
	int r;

	memory_call_scarce(true);
	r = mesh__port_send(port, message, close);
	memory_call_scarce(false);
	mesh__space_unlock(space);
	return r;
}

struct mesh_message *memory_new_message(size_t size, size_t fds)
{
	struct mesh_message *message = mesh_message_new_sized(size);

	ck_assert_ptr_nonnull(message);
	while (fds--) {
		int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);

		ck_assert_int_ge(fd, 0);
		ck_assert_int_eq(mesh_message_put_fd(message, fd), 0);
	}
	return message;
}

int memory_send(struct mesh_port *port, const char *text)
{
	return memory_send_message(port, mesh_message_new(text, strlen(text)), false);
}

int memory_send_ports(struct mesh_port *port, const char *text, ...)
{
	struct mesh_message *message = mesh_message_new(text, strlen(text));
	struct mesh_port *carried;
	va_list args;

	va_start(args, text);
	while ((carried = va_arg(args, struct mesh_port *)))
		ck_assert_int_eq(mesh_message_put_port(message, carried), 0);
	va_end(args);
	return memory_send_message(port, message, false);
}

struct mesh_message *memory_take(struct mesh_port *port)
{
	struct mesh__space *space = mesh__port_lock(port);
	struct mesh_message *message = mesh__port_take(port);

	mesh__space_unlock(space);
	return message;
}

void memory_expect(struct mesh_port *port, const char *text)
{
	struct mesh_message *message = memory_take(port);

	ck_assert_ptr_nonnull(message);
	ck_assert_uint_eq(mesh_message_resource_count(message), 0);
	ck_assert_uint_eq(mesh_message_size(message), strlen(text));
	ck_assert_mem_eq(mesh_message_data(message), text, strlen(text));
	mesh_message_free(message);
}

struct mesh_port *memory_take_port(struct mesh_port *port)
{
	struct mesh_message *message = memory_take(port);
	struct mesh_port *taken;

	ck_assert_ptr_nonnull(message);
	taken = mesh_message_take_port(message, 0);
	ck_assert_ptr_nonnull(taken);
	mesh_message_free(message);
	return taken;
}

int memory_end(struct mesh_port *port)
{
	struct mesh__space *space = mesh__port_lock(port);
	int r = mesh__port_end(port);

	mesh__space_unlock(space);
	return r;
}

void memory_free(struct mesh_port *port)
{
	mesh__port_release(port, false);
}

void memory_fail(struct mesh_port *port)
{
	struct mesh__space *space = mesh__port_lock(port);

	mesh__port_fail(port, "the test says so");
	mesh__space_unlock(space);
}

size_t memory_port_count(struct memory_node *node)
{
	return HASH_COUNT(node->space.ports);
}

int memory_bridge(struct mesh_port *a, struct mesh_port *b)
{
	int r;

	memory_call_scarce(true);
	r = mesh__port_bridge(a, b);
	memory_call_scarce(false);
	return r;
}
