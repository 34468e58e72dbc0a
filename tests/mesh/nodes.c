/* SPDX-License-Identifier: MIT */
#include "nodes.h"

#include <check.h>
#include <string.h>

#include "support.h"

void nodes_invite(struct mesh_node *leader, struct mesh_node **ret_host, struct mesh_port **ret_at_leader,
	struct mesh_port **ret_at_host)
{
	struct mesh_invitation invitation;
	struct mesh_port *passenger;
	struct pal_error error = {0};

	ck_assert_int_eq(mesh_port_pair(ret_at_leader, &passenger), 0);
	ck_assert_ok(mesh_node_invite(leader, passenger, &invitation, &error), &error);
	ck_assert_ok(mesh_node_join(&invitation, NULL, NODES_PATIENCE, ret_host, ret_at_host, &error), &error);
	ck_assert_int_eq(invitation.fd, -1);
}

void nodes_make(struct node_pair *pair)
{
	struct pal_error error = {0};

	ck_assert_ok(mesh_node_new(NULL, &pair->leader, &error), &error);
	nodes_invite(pair->leader, &pair->host, &pair->at_leader, &pair->at_host);
}

void nodes_free(struct node_pair *pair)
{
	mesh_port_free(pair->at_leader);
	mesh_port_free(pair->at_host);
	mesh_node_free(pair->host);
	mesh_node_free(pair->leader);
}

void nodes_send_text(struct mesh_port *port, const char *text)
{
	ck_assert_int_eq(mesh_port_send(port, mesh_message_new(text, strlen(text))), 0);
}

void nodes_send_port(struct mesh_port *port, const char *text, struct mesh_port *passenger)
{
	struct mesh_message *message = mesh_message_new(text, strlen(text));

	ck_assert_int_eq(mesh_message_put_port(message, passenger), 0);
	ck_assert_int_eq(mesh_port_send(port, message), 0);
}

struct mesh_message *nodes_recv(struct mesh_port *port)
{
	struct mesh_message *message = NULL;
	struct pal_error error = {0};

	ck_assert_ok(mesh_port_recv(port, NODES_PATIENCE, &message, &error), &error);
	ck_assert_ptr_nonnull(message);
	return message;
}

static struct mesh_message *recv_text(struct mesh_port *port, const char *text)
{
	struct mesh_message *message = nodes_recv(port);

	ck_assert_msg(mesh_message_size(message) == strlen(text) &&
			!memcmp(mesh_message_data(message), text, strlen(text)),
		"%.*s came, not %s", (int)mesh_message_size(message), (char *)mesh_message_data(message), text);
	return message;
}

void nodes_expect_text(struct mesh_port *port, const char *text)
{
	mesh_message_free(recv_text(port, text));
}

struct mesh_port *nodes_expect_port(struct mesh_port *port, const char *text)
{
	struct mesh_message *message = recv_text(port, text);
	struct mesh_port *passenger = mesh_message_take_port(message, 0);

	ck_assert_ptr_nonnull(passenger);
	mesh_message_free(message);
	return passenger;
}

void nodes_expect_end(struct mesh_port *port, int how)
{
	struct mesh_message *message;

	ck_assert_int_eq(mesh_port_recv(port, NODES_PATIENCE, &message, NULL), how);
}

void nodes_send_many(struct mesh_port *port, unsigned number)
{
	for (unsigned i = 0; i < number; i++)
		ck_assert_int_eq(mesh_port_send(port, mesh_message_new(&i, sizeof i)), 0);
}

void *nodes_receive_all(void *argument)
{
	struct mesh_port *port = argument;
	struct mesh_message *message;
	uintptr_t received = 0;

	while (mesh_port_recv(port, NODES_PATIENCE, &message, NULL) == 0) {
		mesh_message_free(message);
		received++;
	}
	return (void *)received;
}

void nodes_echo(struct mesh_port *port, int status, struct mesh_message *message, void *userdata)
{
	(void)status;
	(void)userdata;
	if (message)
		ck_assert_int_eq(mesh_port_send(port, message), 0);
}

void nodes_make_home_pair(struct node_pair *pair, struct mesh_port **p, struct mesh_port **q)
{
	ck_assert_int_eq(mesh_port_pair(p, q), 0);
	nodes_send_port(pair->at_leader, "p", *p);
	nodes_send_port(pair->at_host, "p", nodes_expect_port(pair->at_host, "p"));
	*p = nodes_expect_port(pair->at_leader, "p");
	nodes_send_text(*p, "settled");
	nodes_expect_text(*q, "settled");
	nodes_send_text(*q, "settled");
	nodes_expect_text(*p, "settled");
}
