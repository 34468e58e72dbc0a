/* SPDX-License-Identifier: MIT */
/*
 * A host that answers what it is sent, for tests against other implementations of
 * the wire. Its contract is that of the independent test peer:
 *
 *   first message  { receiver requests = 1; sender replies = 2; }
 *   message        { bytes data = 1; fds = 2 ...; ports = 3 ...; uint32 op = 4; }, in field 1 of the
 *                  channel's envelope; field 2 there is a port to receive from too
 *   op 0 echo      the same back           op 3 drive    be the client of somebody's echo loop
 *   op 1 adopt     echo on these ports too op 4 burst    many answers to one request
 *   op 2 offer     a new loop to be used   op 5 oneshot  one message on that port
 */
#include <mesh/mesh.h>
#include <mesh_process/mesh_process.h>

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { OP_ECHO, OP_ADOPT, OP_OFFER, OP_DRIVE, OP_BURST, OP_ONESHOT };
enum { MAX_SOURCES = 64, MAX_RESOURCES = 4096, MAX_BURST = 1 << 24 };

/* ---- channels ---- */

struct receiver {
	struct mesh_port *ports[MAX_SOURCES];
	size_t count;
	bool failed; /* the last source did */
};

struct request {
	struct mesh_message *message;
	const uint8_t *data;
	size_t size;
	size_t fds[MAX_RESOURCES], ports[MAX_RESOURCES]; /* indices in the message */
	size_t fd_count, port_count;
	uint64_t op;
};

static void drop_source(struct receiver *from, size_t i, bool fail)
{
	if (fail)
		mesh_port_fail(from->ports[i]);
	else
		mesh_port_free(from->ports[i]);
	from->ports[i] = from->ports[--from->count];
}

static bool read_body(struct request *request, struct mesh_reader body)
{
	struct mesh_field field;
	int more;

	while ((more = mesh_reader_next(&body, &field)) > 0) {
		if (field.number == 1 && field.wire_type == 2) {
			request->data = field.inner.at;
			request->size = (size_t)(field.inner.end - field.inner.at);
		} else if (field.number == 2 && field.wire_type == 7 && request->fd_count < MAX_RESOURCES) {
			request->fds[request->fd_count++] = field.resource;
		} else if (field.number == 3 && field.wire_type == 7 && request->port_count < MAX_RESOURCES) {
			request->ports[request->port_count++] = field.resource;
		} else if (field.number == 4 && field.wire_type == 0) {
			request->op = field.value;
		} else if (field.number <= 4) {
			return false;
		}
	}
	return more == 0;
}

/* 1: a request; 0: another source was added; -1: not understood. */
static int decode(struct receiver *from, struct mesh_message *message, struct request *ret)
{
	struct mesh_reader reader = mesh_reader_of(message);
	struct mesh_field envelope;
	struct mesh_port *source;

	*ret = (struct request){.message = message};
	if (mesh_reader_next(&reader, &envelope) <= 0)
		return -1;
	if (envelope.number == 1 && (envelope.wire_type == 2 || envelope.wire_type == 6))
		return read_body(ret, envelope.inner) ? 1 : -1;
	if (envelope.number != 2 || envelope.wire_type != 7 || from->count == MAX_SOURCES)
		return -1;
	source = mesh_message_take_port(message, envelope.resource);
	if (!source)
		return -1;
	from->ports[from->count++] = source;
	return 0;
}

/* The next request of any source; 0 at the end of all of them. The caller frees the message. */
static int next_request(struct receiver *from, struct request *ret)
{
	struct pollfd pollers[MAX_SOURCES];

	while (from->count) {
		bool idle = true;

		for (size_t i = 0; i < from->count; i++) {
			struct mesh_message *message;
			int result = from->count == 1 ?
				mesh_port_recv(from->ports[i], PAL_DEADLINE_NONE, &message, NULL) :
				mesh_port_try_recv(from->ports[i], &message);

			if (result == -EAGAIN)
				continue;
			idle = false;
			if (result < 0) {
				from->failed = result != -EPIPE;
				drop_source(from, i, false);
				break;
			}
			result = decode(from, message, ret);
			if (result == 1)
				return 1;
			mesh_message_free(message);
			if (result < 0) {
				from->failed = true;
				drop_source(from, i, true);
			}
			break;
		}
		if (!idle)
			continue;
		for (size_t i = 0; i < from->count; i++)
			pollers[i] = (struct pollfd){.fd = mesh_port_peek_fd(from->ports[i]), .events = POLLIN};
		poll(pollers, from->count, -1);
	}
	return 0;
}

/* The message of the contract, in the channel's envelope; consumes the ports. */
static struct mesh_message *make(const void *data, size_t size, struct mesh_port **ports, size_t port_count, uint64_t op)
{
	struct mesh_writer *writer = mesh_writer_new();
	struct mesh_message *message = NULL;

	mesh_writer_begin(writer, 1);
	if (size)
		mesh_writer_bytes(writer, 1, data, size);
	for (size_t i = 0; i < port_count; i++)
		mesh_writer_put_port(writer, 3, ports[i]);
	if (op)
		mesh_writer_varint(writer, 4, op);
	mesh_writer_end(writer);
	return mesh_writer_finish(writer, &message) < 0 ? NULL : message;
}

static int reply(struct mesh_port *to, const void *data, size_t size, uint64_t op)
{
	return mesh_port_send(to, make(data, size, NULL, 0, op));
}

/* Contents of the i-th message of a series. */
static void *pattern(uint32_t i, size_t size)
{
	uint8_t *data = malloc(size);

	if (data) {
		memset(data, (int)(i & 255), size);
		for (unsigned byte = 0; byte < 4; byte++)
			data[byte] = (uint8_t)(i >> 8 * byte);
	}
	return data;
}

/* ---- operations ---- */

struct loop {
	struct receiver requests;
	struct mesh_port *replies;
};

static int echo_loop(struct loop *loop);

static void *loop_thread(void *argument)
{
	echo_loop(argument);
	free(argument);
	return NULL;
}

/* Answers on these two ports from a thread of its own. */
static int start_loop(struct mesh_port *requests, struct mesh_port *replies)
{
	struct loop *loop = calloc(1, sizeof *loop);
	pthread_t thread;

	if (loop) {
		*loop = (struct loop){.requests = {.ports = {requests}, .count = 1}, .replies = replies};
		if (requests && replies && pthread_create(&thread, NULL, loop_thread, loop) == 0) {
			pthread_detach(thread);
			return 0;
		}
	}
	free(loop);
	mesh_port_free(requests);
	mesh_port_free(replies);
	return -EAGAIN;
}

/* The same data, descriptors and ports, in the same order, and nothing kept. */
static int echo(struct loop *loop, struct request *request)
{
	struct mesh_writer *writer = mesh_writer_new();
	struct mesh_message *message;

	mesh_writer_begin(writer, 1);
	if (request->size)
		mesh_writer_bytes(writer, 1, request->data, request->size);
	for (size_t i = 0; i < request->fd_count; i++)
		mesh_writer_put_fd(writer, 2, mesh_message_take_fd(request->message, request->fds[i]));
	for (size_t i = 0; i < request->port_count; i++)
		mesh_writer_put_port(writer, 3, mesh_message_take_port(request->message, request->ports[i]));
	mesh_writer_end(writer);
	if (mesh_writer_finish(writer, &message) < 0)
		return -EBADMSG;
	return mesh_port_send(loop->replies, message);
}

static struct mesh_port *port_of(struct request *request, size_t i)
{
	return i < request->port_count ? mesh_message_take_port(request->message, request->ports[i]) : NULL;
}

static int adopt(struct loop *loop, struct request *request)
{
	for (size_t i = 0; i + 1 < request->port_count; i += 2)
		if (start_loop(port_of(request, i), port_of(request, i + 1)) < 0)
			return -EAGAIN;
	return reply(loop->replies, request->data, request->size, OP_ADOPT);
}

static int offer(struct loop *loop, struct request *request)
{
	struct mesh_port *to_loop, *requests, *replies, *from_loop, *ports[2];

	if (mesh_port_pair(&to_loop, &requests) < 0 || mesh_port_pair(&replies, &from_loop) < 0 ||
		start_loop(requests, replies) < 0)
		return -ENOMEM;
	ports[0] = to_loop;
	ports[1] = from_loop;
	return mesh_port_send(loop->replies, make(request->data, request->size, ports, 2, OP_OFFER));
}

static bool read_numbers(const struct request *request, unsigned long *count, unsigned long *size)
{
	char text[64];

	snprintf(text, sizeof text, "%.*s", (int)request->size, (const char *)request->data);
	if (sscanf(text, "%lu %lu", count, size) != 2 || *count > MAX_BURST)
		return false;
	if (*size < 4)
		*size = 4;
	return true;
}

/* Why the series broke off, or NULL. */
static const char *drive_series(struct mesh_port *sender, struct receiver *from, unsigned long count, unsigned long size,
	struct request *answer, unsigned long *at)
{
	for (*at = 0; *at < count; ++*at) {
		void *data = pattern((uint32_t)*at, size);
		bool right;

		if (!data)
			return "no memory";
		if (reply(sender, data, size, OP_ECHO) < 0 || !next_request(from, answer)) {
			free(data);
			return "no answer";
		}
		right = answer->size == size && !memcmp(answer->data, data, size);
		free(data);
		mesh_message_free(answer->message);
		if (!right)
			return "wrong data";
	}
	return NULL;
}

static int drive(struct loop *loop, struct request *request)
{
	struct mesh_port *sender = port_of(request, 0), *receiver = port_of(request, 1);
	struct receiver from = {.ports = {receiver}, .count = receiver != NULL};
	unsigned long count, size, at = 0;
	struct request *extra = calloc(1, sizeof *extra);
	const char *end = "closed", *why;
	char text[100];

	if (!sender || !receiver || !extra || !read_numbers(request, &count, &size)) {
		mesh_port_free(sender);
		mesh_port_free(receiver);
		free(extra);
		return -EBADMSG;
	}
	why = drive_series(sender, &from, count, size, extra, &at);
	mesh_port_free(sender);
	if (next_request(&from, extra)) {
		mesh_message_free(extra->message);
		end = "extra";
	} else if (from.failed) {
		end = "failed";
	}
	free(extra);
	while (from.count)
		drop_source(&from, 0, false);
	if (why)
		snprintf(text, sizeof text, "fail at %lu: %s %s", at, why, end);
	else
		snprintf(text, sizeof text, "ok %lu %s", count, end);
	return reply(loop->replies, text, strlen(text), OP_DRIVE);
}

static int burst(struct loop *loop, struct request *request)
{
	unsigned long count, size;

	if (!read_numbers(request, &count, &size))
		return -EBADMSG;
	for (unsigned long i = 0; i < count; i++) {
		void *data = pattern((uint32_t)i, size);
		int result = data ? reply(loop->replies, data, size, OP_ECHO) : -ENOMEM;

		free(data);
		if (result < 0)
			return result;
	}
	return 0;
}

static int oneshot(struct request *request)
{
	struct mesh_port *port = port_of(request, 0);

	if (!port)
		return -EBADMSG;
	return mesh_port_send_and_free(port, make(request->data, request->size, NULL, 0, 0));
}

static int answer(struct loop *loop, struct request *request)
{
	switch (request->op) {
	case OP_ECHO:
		return echo(loop, request);
	case OP_ADOPT:
		return adopt(loop, request);
	case OP_OFFER:
		return offer(loop, request);
	case OP_DRIVE:
		return drive(loop, request);
	case OP_BURST:
		return burst(loop, request);
	case OP_ONESHOT:
		return oneshot(request);
	default:
		return reply(loop->replies, "?op", 3, request->op);
	}
}

static int echo_loop(struct loop *loop)
{
	struct request *request = malloc(sizeof *request);

	while (request && next_request(&loop->requests, request)) {
		int result = answer(loop, request);

		mesh_message_free(request->message);
		if (result < 0) {
			loop->requests.failed = true;
			while (loop->requests.count)
				drop_source(&loop->requests, 0, true);
		}
	}
	free(request);
	mesh_port_free(loop->replies);
	return loop->requests.failed ? 1 : 0;
}

static int host(struct mesh_message *init, void *userdata)
{
	struct mesh_reader reader = mesh_reader_of(init);
	struct mesh_port *ports[3] = {NULL};
	struct mesh_field field;
	struct loop loop;

	(void)userdata;
	while (mesh_reader_next(&reader, &field) > 0)
		if ((field.number == 1 || field.number == 2) && field.wire_type == 7 && !ports[field.number])
			ports[field.number] = mesh_message_take_port(init, field.resource);
	if (!ports[1] || !ports[2])
		return 2;
	loop = (struct loop){.requests = {.ports = {ports[1]}, .count = 1}, .replies = ports[2]};
	return echo_loop(&loop);
}

int main(void)
{
	mesh_process_try_run_host_message("echo", host, NULL);
	fprintf(stderr, "echo-host: to be launched by the leader of a mesh\n");
	return 2;
}
