/* SPDX-License-Identifier: MIT */

/* Bare event loops on both sides: libevent, libuv. */
#include "bench-mesh.h"

#include <event2/event.h>
#include <sys/socket.h>
#include <unistd.h>

#include "config.h"
#include "harness.h"

/* ---- libevent ---- */

static struct event_base *base;
static int event_socket;
static unsigned event_left;

static void event_send(int socket)
{
	char message[MESSAGE_SIZE] = "";

	if (send(socket, message, sizeof message, MSG_NOSIGNAL) != MESSAGE_SIZE)
		bench_die("send");
}

static void event_echo_readable(int socket, short what, void *userdata)
{
	char message[MESSAGE_SIZE];

	(void)what;
	(void)userdata;
	if (recv(socket, message, sizeof message, 0) != MESSAGE_SIZE)
		_exit(0);
	event_send(socket);
}

static void event_readable(int socket, short what, void *userdata)
{
	char message[MESSAGE_SIZE];

	(void)what;
	(void)userdata;
	if (recv(socket, message, sizeof message, 0) != MESSAGE_SIZE)
		bench_die("recv");
	if (--event_left)
		event_send(socket);
	else
		event_base_loopbreak(base);
}

static void event_watch(int socket, event_callback_fn readable)
{
	struct event *event;

	base = event_base_new();
	event = event_new(base, socket, EV_READ | EV_PERSIST, readable, NULL);
	if (!event || event_add(event, NULL) < 0)
		bench_die("libevent");
}

static void event_echo(int socket)
{
	event_watch(socket, event_echo_readable);
	event_base_dispatch(base);
}

void event_fork(void)
{
	event_socket = bench_fork_peer(SOCK_SEQPACKET, event_echo);
}

void event_start(void)
{
	event_watch(event_socket, event_readable);
}

void event_run(unsigned count)
{
	event_left = count;
	event_send(event_socket);
	event_base_dispatch(base);
}

/* ---- libuv ---- */

#ifdef HAVE_LIBUV
#include <uv.h>

static uv_pipe_t uv_pipe_;
static int uv_socket;
static unsigned uv_left;
static char uv_buffer[MESSAGE_SIZE];

static void uv_allocate(uv_handle_t *handle, size_t size, uv_buf_t *ret)
{
	(void)handle;
	(void)size;
	*ret = uv_buf_init(uv_buffer, sizeof uv_buffer);
}

static void uv_send(void)
{
	uv_buf_t bytes = uv_buf_init(uv_buffer, sizeof uv_buffer);

	if (uv_try_write((uv_stream_t *)&uv_pipe_, &bytes, 1) != MESSAGE_SIZE)
		bench_die("uv_try_write");
}

static void uv_echo_readable(uv_stream_t *stream, ssize_t size, const uv_buf_t *bytes)
{
	(void)stream;
	(void)bytes;
	if (size < 0)
		_exit(0);
	if (size)
		uv_send();
}

static void uv_readable(uv_stream_t *stream, ssize_t size, const uv_buf_t *bytes)
{
	(void)stream;
	(void)bytes;
	if (size == 0)
		return; /* EAGAIN */
	if (size != MESSAGE_SIZE)
		bench_die("uv_read");
	if (--uv_left)
		uv_send();
	else
		uv_stop(uv_default_loop());
}

static void uv_watch(int socket, uv_read_cb readable)
{
	if (uv_pipe_init(uv_default_loop(), &uv_pipe_, 0) || uv_pipe_open(&uv_pipe_, socket) ||
		uv_read_start((uv_stream_t *)&uv_pipe_, uv_allocate, readable))
		bench_die("libuv");
}

static void uv_echo(int socket)
{
	uv_watch(socket, uv_echo_readable);
	uv_run(uv_default_loop(), UV_RUN_DEFAULT);
}

void uv_fork(void)
{
	uv_socket = bench_fork_peer(SOCK_STREAM, uv_echo);
}

void uv_start(void)
{
	uv_watch(uv_socket, uv_readable);
}

void uv_run_(unsigned count)
{
	uv_left = count;
	uv_send();
	uv_run(uv_default_loop(), UV_RUN_DEFAULT);
}
#endif
