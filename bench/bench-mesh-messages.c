/* SPDX-License-Identifier: MIT */

/* Libraries that carry messages and block for the next one: sd-bus, ZeroMQ, nng. */
#include "bench-mesh.h"

#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "config.h"
#include "harness.h"

/* ---- sd-bus, peer to peer: a method call ---- */

#ifdef HAVE_SDBUS
#include <systemd/sd-bus.h>

static sd_bus *bus;
static int bus_socket;

static int bus_called(sd_bus_message *call, void *userdata, sd_bus_error *error)
{
	sd_bus_message *reply = NULL;
	const void *bytes;
	size_t size;

	(void)userdata;
	(void)error;
	bench_check(sd_bus_message_read_array(call, 'y', &bytes, &size), "sd_bus_message_read_array");
	bench_check(sd_bus_message_new_method_return(call, &reply), "sd_bus_message_new_method_return");
	bench_check(sd_bus_message_append_array(reply, 'y', bytes, size), "sd_bus_message_append_array");
	bench_check(sd_bus_send(NULL, reply, NULL), "sd_bus_send");
	sd_bus_message_unref(reply);
	return 1;
}

static void bus_open(int socket, int server)
{
	bench_check(sd_bus_new(&bus), "sd_bus_new");
	bench_check(sd_bus_set_fd(bus, socket, socket), "sd_bus_set_fd");
	bench_check(sd_bus_set_anonymous(bus, 1), "sd_bus_set_anonymous");
	if (server)
		bench_check(sd_bus_set_server(bus, 1, (sd_id128_t){.bytes = {1}}), "sd_bus_set_server");
	bench_check(sd_bus_start(bus), "sd_bus_start");
}

static void bus_echo(int socket)
{
	int result;

	bus_open(socket, 1);
	bench_check(sd_bus_add_object(bus, NULL, "/", bus_called, NULL), "sd_bus_add_object");
	while ((result = sd_bus_process(bus, NULL)) >= 0)
		if (result == 0)
			sd_bus_wait(bus, UINT64_MAX);
}

void bus_fork(void)
{
	bus_socket = bench_fork_peer(SOCK_STREAM, bus_echo);
}

void bus_start(void)
{
	bus_open(bus_socket, 0);
}

void bus_run(unsigned count)
{
	char bytes[MESSAGE_SIZE] = "";

	while (count--) {
		sd_bus_message *call = NULL, *reply = NULL;

		bench_check(sd_bus_message_new_method_call(bus, &call, NULL, "/", "procmesh.Bench", "Echo"),
			"sd_bus_message_new_method_call");
		bench_check(sd_bus_message_append_array(call, 'y', bytes, sizeof bytes), "sd_bus_message_append_array");
		bench_check(sd_bus_call(bus, call, 0, NULL, &reply), "sd_bus_call");
		sd_bus_message_unref(call);
		sd_bus_message_unref(reply);
	}
}
#endif

/* ---- ZeroMQ: a pair of PAIR sockets ---- */

#ifdef HAVE_ZMQ
#include <zmq.h>

static void *zmq_socket_;
static char zmq_address[64];

static void zmq_echo(int socket)
{
	void *pair = zmq_socket(zmq_ctx_new(), ZMQ_PAIR);
	char message[MESSAGE_SIZE];

	(void)socket;
	if (zmq_bind(pair, zmq_address) < 0)
		bench_die("zmq_bind");
	while (zmq_recv(pair, message, sizeof message, 0) == MESSAGE_SIZE)
		if (zmq_send(pair, message, sizeof message, 0) != MESSAGE_SIZE)
			break;
}

void zmq_fork(void)
{
	snprintf(zmq_address, sizeof zmq_address, "ipc://@procmesh-bench-zmq-%d", (int)getpid());
	bench_fork_peer(SOCK_STREAM, zmq_echo);
}

void zmq_start(void)
{
	zmq_socket_ = zmq_socket(zmq_ctx_new(), ZMQ_PAIR);
	if (zmq_connect(zmq_socket_, zmq_address) < 0)
		bench_die("zmq_connect");
}

void zmq_run(unsigned count)
{
	char message[MESSAGE_SIZE] = "";

	while (count--)
		if (zmq_send(zmq_socket_, message, sizeof message, 0) != MESSAGE_SIZE ||
			zmq_recv(zmq_socket_, message, sizeof message, 0) != MESSAGE_SIZE)
			bench_die("zmq");
}
#endif

/* ---- nng: the same ---- */

#ifdef HAVE_NNG
#include <nng/nng.h>
#include <nng/protocol/pair0/pair.h>

static nng_socket nng_socket_;
static char nng_address[64];

static void nng_check(int result, const char *what)
{
	if (!result)
		return;
	fprintf(stderr, "bench-mesh: %s: %s\n", what, nng_strerror(result));
	_exit(1);
}

static void nng_echo(int socket)
{
	char message[MESSAGE_SIZE];
	nng_socket pair;

	(void)socket;
	nng_check(nng_pair0_open(&pair), "nng_pair0_open");
	nng_check(nng_listen(pair, nng_address, NULL, 0), "nng_listen");
	for (;;) {
		size_t size = sizeof message;

		nng_check(nng_recv(pair, message, &size, 0), "nng_recv");
		nng_check(nng_send(pair, message, size, 0), "nng_send");
	}
}

void nng_fork(void)
{
	snprintf(nng_address, sizeof nng_address, "abstract://procmesh-bench-nng-%d", (int)getpid());
	bench_fork_peer(SOCK_STREAM, nng_echo);
}

void nng_start(void)
{
	nng_check(nng_pair0_open(&nng_socket_), "nng_pair0_open");
	nng_check(nng_dial(nng_socket_, nng_address, NULL, NNG_FLAG_NONBLOCK), "nng_dial");
}

void nng_run(unsigned count)
{
	char message[MESSAGE_SIZE] = "";

	while (count--) {
		size_t size = sizeof message;

		nng_check(nng_send(nng_socket_, message, sizeof message, 0), "nng_send");
		nng_check(nng_recv(nng_socket_, message, &size, 0), "nng_recv");
	}
}
#endif
