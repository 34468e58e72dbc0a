/* SPDX-License-Identifier: MIT */
#include <mesh/node-priv.h>

#include <errno.h>
#include <stdlib.h>

/* The ports on which leader and followers speak to one another, at either. */

static void on_notify(struct mesh_port *port)
{
	struct mesh_node *node = mesh__node_of(port->space);
	struct mesh__control *control = port->userdata;

	if (control->due)
		return;
	control->due = true;
	TAILQ_INSERT_TAIL(&node->due_controls, control, in_due);
}

int mesh__control_add(struct mesh_node *node, struct mesh_port *port, enum mesh__control_role role,
	struct mesh__follower *follower)
{
	struct mesh__control *control = calloc(1, sizeof *control);

	if (!control) {
		mesh__port_disown(port);
		return -ENOMEM;
	}
	control->port = port;
	control->role = role;
	control->follower = follower;
	if (follower)
		follower->request_ports++;
	TAILQ_INSERT_TAIL(&node->controls, control, in_all);
	port->userdata = control;
	port->notify = on_notify;
	on_notify(port); /* for what is there already */
	return 0;
}

struct mesh_port *mesh__control_release(struct mesh_node *node, struct mesh__control *control)
{
	struct mesh_port *port = control->port;

	if (control->due)
		TAILQ_REMOVE(&node->due_controls, control, in_due);
	TAILQ_REMOVE(&node->controls, control, in_all);
	free(control);
	port->notify = NULL;
	port->userdata = NULL;
	return port;
}

void mesh__control_remove_all(struct mesh_node *node)
{
	struct mesh__control *control;

	while ((control = TAILQ_FIRST(&node->controls)))
		mesh__port_disown(mesh__control_release(node, control));
}
