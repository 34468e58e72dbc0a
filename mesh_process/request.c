/* SPDX-License-Identifier: MIT */
#include <mesh_process/mesh_process-priv.h>

#include <errno.h>
#include <pal/log.h>
#include <stdlib.h>
#include <string.h>

/*
 * The request channel, parent to host:
 *
 *	envelope { HostRequest value = 1 | <port> another sender = 2 }
 *	HostRequest { Inspect { DeferredInner { ... <port> node = 4; } = 1 } = 1 | Crash {} = 2 }
 *
 * Each is one field of the message around it: a message without a known one is undecodable.
 */

enum {
	ENVELOPE_VALUE = 1,
	ENVELOPE_SENDER = 2
};
enum {
	REQUEST_INSPECT = 1,
	REQUEST_CRASH = 2
};
enum {
	INSPECT_DEFERRED = 1,
	DEFERRED_NODE = 4
};

struct mesh_message *mesh_process__crash_request(void)
{
	struct mesh_writer *writer = mesh_writer_new();
	struct mesh_message *message;

	mesh_writer_begin(writer, ENVELOPE_VALUE);
	mesh_writer_begin(writer, REQUEST_CRASH);
	mesh_writer_end(writer);
	mesh_writer_end(writer);
	return mesh_writer_finish(writer, &message) ? NULL : message;
}

/* A oneshot's answer, InternalNode's variant Ignored: this process has nothing to show. */
static int answer_inspect(struct mesh_message *message, struct mesh_reader inspect)
{
	static const uint8_t ignored[] = {0x0a, 0x02, 0x32, 0x00};
	struct mesh_reader deferred;
	struct mesh_message *answer;
	struct mesh_port *node;

	if (mesh_process__find_message(inspect, INSPECT_DEFERRED, &deferred) <= 0 ||
		mesh_process__find_port(message, deferred, DEFERRED_NODE, &node) <= 0)
		return -EBADMSG;
	answer = mesh_message_new(ignored, sizeof ignored);
	if (answer)
		return mesh_port_send_and_free(node, answer);
	mesh_port_free(node); /* which tells the asker too that there is no answer */
	return -ENOMEM;
}

static int serve_request(struct mesh_message *message, struct mesh_reader request)
{
	struct mesh_reader variant;

	if (mesh_process__find_message(request, REQUEST_CRASH, &variant) > 0)
		abort();
	if (mesh_process__find_message(request, REQUEST_INSPECT, &variant) > 0)
		return answer_inspect(message, variant);
	return -EBADMSG;
}

static int serve_message(struct mesh_process__requests *requests, struct mesh_message *message)
{
	struct mesh_reader envelope = mesh_reader_of(message), request;
	struct mesh_port *sender;

	if (mesh_process__find_port(message, envelope, ENVELOPE_SENDER, &sender) > 0)
		return mesh_process__requests_serve(requests, sender);
	if (mesh_process__find_message(envelope, ENVELOPE_VALUE, &request) > 0)
		return serve_request(message, request);
	return -EBADMSG;
}

static void on_request(
	struct mesh_port *port, int status, struct mesh_message *message, void *userdata)
{
	struct mesh_process__requests *requests = userdata;

	if (!status) {
		status = serve_message(requests, message);
		mesh_message_free(message);
		if (!status)
			return;
		pal_log(PAL_LOG_WARNING, "a request of the parent was not served: %s",
			strerror(-status));
		if (status != -EBADMSG)
			return; /* our own shortage: the next one may be served */
	}
	/*
	 * Closed, failed, or out of its mind: this sender is done with. The last one to go
	 * ends the service.
	 */
	mesh_port_free(port);
	if (!--requests->senders)
		requests->ended();
}

int mesh_process__requests_serve(struct mesh_process__requests *requests, struct mesh_port *port)
{
	int result;

	requests->senders++; /* before the first call, which may come from another thread */
	result = mesh_port_set_callback(port, NULL, on_request, requests);
	if (result) {
		requests->senders--;
		mesh_port_free(port);
	}
	return result;
}
