/* SPDX-License-Identifier: MIT */
#include <mesh/port.h>

#include <errno.h>

#include <mesh/message.h>
#include <mesh/node.h>

/* Requests and their answers: nothing but ports and messages, as a user could write it. */

/* Adds the port for the answer. Consumes the request on failure. */
static int add_answer_port(struct mesh_message *request, struct mesh_port **ret_answers)
{
	struct mesh_port *answers, *theirs;
	int result = mesh_port_pair(&answers, &theirs);

	if (!result) {
		result = mesh_message_put_port(request, theirs);
		if (result < 0)
			mesh_port_free(answers);
	}
	if (result < 0)
		mesh_message_free(request);
	else
		*ret_answers = answers;
	return result;
}

int mesh_port_request(struct mesh_port *port, struct mesh_message *request, struct mesh_port **ret_answers)
{
	struct mesh_port *answers;
	int result;

	if (!port || !request || !ret_answers) {
		mesh_message_free(request);
		return -EINVAL;
	}
	result = add_answer_port(request, &answers);
	if (result < 0)
		return result;
	result = mesh_port_send(port, request);
	if (result < 0)
		mesh_port_free(answers);
	else
		*ret_answers = answers;
	return result;
}

int mesh_port_call(struct mesh_port *port, struct mesh_message *request, pal_deadline deadline,
	struct mesh_message **ret, struct pal_error *error)
{
	struct mesh_port *answers;
	int result = port && request ? 0 : -EINVAL;

	if (result < 0)
		mesh_message_free(request);
	else
		result = add_answer_port(request, &answers);
	if (result < 0)
		return pal_error_set(error, MESH_STAGE_PORT, result, "sending a request");
	result = mesh_port_send_wait(port, request, deadline, error);
	if (!result)
		result = mesh_port_recv(answers, deadline, ret, error);
	mesh_port_free(answers);
	return result;
}

int mesh_message_reply(struct mesh_message *request, struct mesh_message *answer)
{
	size_t count = mesh_message_resource_count(request);
	struct mesh_port *port = count ? mesh_message_take_port(request, count - 1) : NULL;

	return mesh_port_send_and_free(port, answer);
}
