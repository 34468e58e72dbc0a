/* SPDX-License-Identifier: MIT */
/*
 * Leads a mesh of hosts that keep the contract of echo-host.c, in whatever
 * language they are written: `echo-lead PROGRAM ARGS...` launches two of them and checks
 * them. Prints "ok WHAT" for each check; the first failure ends it with status 1.
 */
#include <mesh/mesh.h>
#include <mesh_process/mesh_process.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define PATIENCE PAL_DEADLINE_MS(30000)

enum { OP_ECHO, OP_ADOPT, OP_OFFER, OP_DRIVE };

struct host {
	struct mesh_process_host *handle;
	struct mesh_port *requests, *replies;
};

static void fail(const char *what, const char *why)
{
	printf("FAIL %s: %s\n", what, why);
	exit(1);
}

static void check(int right, const char *what)
{
	if (!right)
		fail(what, "not as expected");
}

static void launch(struct mesh_process *process, const struct mesh_process_config *config, struct host *host)
{
	struct mesh_port *requests = NULL, *replies = NULL;
	struct mesh_writer *writer = mesh_writer_new();
	struct mesh_message *init;
	struct pal_error error;

	check(!mesh_port_pair(&host->requests, &requests) && !mesh_port_pair(&replies, &host->replies), "pairs");
	mesh_writer_put_port(writer, 1, requests);
	mesh_writer_put_port(writer, 2, replies);
	check(!mesh_writer_finish(writer, &init), "first message");
	if (mesh_process_launch_message(process, config, init, &host->handle, &error) < 0)
		fail("launch", pal_error_text(&error));
}

/* The message of the contract; ports and the descriptor are consumed. */
static struct mesh_message *make(const void *data, size_t size, int fd, struct mesh_port *a, struct mesh_port *b, int op)
{
	struct mesh_writer *writer = mesh_writer_new();
	struct mesh_message *message;

	mesh_writer_begin(writer, 1);
	if (size)
		mesh_writer_bytes(writer, 1, data, size);
	if (fd >= 0)
		mesh_writer_put_fd(writer, 2, fd);
	if (a)
		mesh_writer_put_port(writer, 3, a);
	if (b)
		mesh_writer_put_port(writer, 3, b);
	if (op)
		mesh_writer_varint(writer, 4, (uint64_t)op);
	mesh_writer_end(writer);
	check(!mesh_writer_finish(writer, &message), "message");
	return message;
}

static void ask(struct mesh_port *port, struct mesh_message *message)
{
	check(!mesh_port_send(port, message), "send");
}

/* The next message of a channel; its data, and its first two resources if it has any. */
static struct mesh_message *hear(struct mesh_port *port, const char *what, const uint8_t **data, size_t *size)
{
	struct mesh_message *message;
	struct mesh_field envelope, field;
	struct mesh_reader reader;
	struct pal_error error;

	*data = NULL;
	*size = 0;
	if (mesh_port_recv(port, PATIENCE, &message, &error) < 0)
		fail(what, pal_error_text(&error));
	reader = mesh_reader_of(message);
	check(mesh_reader_next(&reader, &envelope) == 1 && envelope.number == 1, what);
	while (mesh_reader_next(&envelope.inner, &field) > 0)
		if (field.number == 1) {
			*data = field.inner.at;
			*size = (size_t)(field.inner.end - field.inner.at);
		}
	return message;
}

static void expect_end(struct mesh_port *port, const char *what)
{
	struct mesh_message *message;

	check(mesh_port_recv(port, PATIENCE, &message, NULL) == -EPIPE, what);
}

static void echoes(struct host *host)
{
	const size_t sizes[] = {0, 1, 127, 128, 1000, 16300, 16320, 16330, 16344, 16400, 65536, 1 << 20, 16 << 20};
	uint8_t *bytes = malloc(16 << 20);

	check(bytes != NULL, "memory");
	for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
		const uint8_t *data;
		size_t size;
		struct mesh_message *message;

		memset(bytes, (int)i + 1, sizes[i]);
		ask(host->requests, make(bytes, sizes[i], -1, NULL, NULL, OP_ECHO));
		message = hear(host->replies, "echo", &data, &size);
		check(size == sizes[i] && (!size || !memcmp(data, bytes, size)), "echo");
		mesh_message_free(message);
	}
	free(bytes);
	puts("ok echoes of 0 bytes to 16 MiB");
}

static void descriptors(struct host *host)
{
	const uint8_t *data;
	struct mesh_message *message;
	size_t size;
	int ends[2], fd;
	char byte;

	check(!pipe2(ends, O_CLOEXEC), "pipe");
	ask(host->requests, make("fd", 2, ends[1], NULL, NULL, OP_ECHO));
	message = hear(host->replies, "descriptor", &data, &size);
	fd = mesh_message_take_fd(message, 0);
	mesh_message_free(message);
	check(fd >= 0 && write(fd, "x", 1) == 1 && read(ends[0], &byte, 1) == 1, "descriptor");
	close(fd);
	check(read(ends[0], &byte, 1) == 0, "the host keeps a descriptor");
	close(ends[0]);
	puts("ok a descriptor there and back");
}

static void ports(struct host *host)
{
	struct mesh_port *mine, *passenger;
	struct mesh_message *message;
	const uint8_t *data;
	size_t size;

	check(!mesh_port_pair(&mine, &passenger), "pair");
	ask(mine, mesh_message_new("a", 1));
	ask(host->requests, make("p", 1, -1, passenger, NULL, OP_ECHO));
	ask(mine, mesh_message_new("b", 1));
	message = hear(host->replies, "port", &data, &size);
	passenger = mesh_message_take_port(message, 0);
	mesh_message_free(message);
	check(passenger != NULL, "port");
	mesh_port_free(mine);
	for (const char *expected = "ab"; *expected; expected++) {
		check(!mesh_port_recv(passenger, PATIENCE, &message, NULL), "port");
		check(mesh_message_size(message) == 1 && !memcmp(mesh_message_data(message), expected, 1), "order");
		mesh_message_free(message);
	}
	expect_end(passenger, "the end of a port that travelled");
	mesh_port_free(passenger);
	puts("ok a port there and back, with what was in it");
}

/* One host offers a loop, the other one drives it: they talk to one another directly. */
static void two_hosts(struct host *offering, struct host *driving)
{
	struct mesh_port *sender, *receiver;
	struct mesh_message *message;
	const uint8_t *data;
	size_t size;

	ask(offering->requests, make("of", 2, -1, NULL, NULL, OP_OFFER));
	message = hear(offering->replies, "offer", &data, &size);
	sender = mesh_message_take_port(message, 0);
	receiver = mesh_message_take_port(message, 1);
	mesh_message_free(message);
	check(sender && receiver, "offer");
	ask(driving->requests, make("500 200", 7, -1, sender, receiver, OP_DRIVE));
	message = hear(driving->replies, "drive", &data, &size);
	if (size != strlen("ok 500 closed") || memcmp(data, "ok 500 closed", size)) {
		printf("%.*s\n", (int)size, (const char *)data);
		fail("drive", "see above");
	}
	mesh_message_free(message);
	puts("ok one host drives what another one offers");
}

static void finish(struct host *host)
{
	struct pal_status status;
	char text[64];

	mesh_port_free(host->requests);
	expect_end(host->replies, "the end of the replies");
	mesh_port_free(host->replies);
	check(!mesh_process_host_wait(host->handle, PATIENCE, &status), "wait");
	if (status.signaled || status.code)
		fail("end", pal_status_text(&status, text, sizeof text));
	mesh_process_host_free(host->handle);
}

int main(int argc, char **argv)
{
	struct mesh_process_config *config = mesh_process_config_new("echo");
	struct mesh_process *process;
	struct host hosts[2];
	struct pal_error error;

	if (argc < 2) {
		fprintf(stderr, "usage: echo-lead PROGRAM ARGS...\n");
		return 2;
	}
	setvbuf(stdout, NULL, _IOLBF, 0);
	mesh_process_config_program(config, argv[1]);
	for (int i = 2; i < argc; i++)
		mesh_process_config_arg(config, argv[i]);
	if (mesh_process_new("echo-lead", NULL, &process, &error) < 0)
		fail("new", pal_error_text(&error));
	for (int i = 0; i < 2; i++)
		launch(process, config, &hosts[i]);
	puts("ok two hosts joined");
	for (int i = 0; i < 2; i++) {
		echoes(&hosts[i]);
		descriptors(&hosts[i]);
		ports(&hosts[i]);
		two_hosts(&hosts[i], &hosts[1 - i]);
	}
	for (int i = 0; i < 2; i++)
		finish(&hosts[i]);
	puts("ok both hosts left with 0");
	check(!mesh_process_shutdown(process, PATIENCE), "shutdown");
	mesh_process_config_free(config);
	puts("ok shutdown");
	return 0;
}
