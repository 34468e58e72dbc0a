/* SPDX-License-Identifier: MIT */
#include "hostile-port.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>

#include "support.h"

struct memory_net net;
struct mesh_port *a, *b, *calm_a, *calm_b;

void start(void)
{
	memory_net_init(&net, 3);
	net.quiet = true;
	memory_pair(A, "a", &a, B, "b", &b);
	memory_pair(A, "calm a", &calm_a, B, "calm b", &calm_b);
}

void stop(void)
{
	memory_run(&net, NULL);
	memory_send(calm_a, "ping");
	memory_send(calm_b, "pong");
	memory_run(&net, NULL);
	memory_expect(calm_b, "ping");
	memory_expect(calm_a, "pong");
	memory_free(calm_a);
	memory_free(calm_b);
	memory_free(a);
	if (b)
		memory_free(b);
	memory_run(&net, NULL);
	ck_assert_uint_eq(memory_port_count(A), 0);
	ck_assert_uint_eq(memory_port_count(B), 0);
	memory_net_clear(&net);
}

void inject(struct raw raw)
{
	struct mesh_id port = memory_id(raw.port ? raw.port : "b");
	size_t size = mesh__event_size(raw.record_count, raw.body_size);
	uint8_t *event = calloc(1, size);
	int fds[4];

	mesh__event_header_write(event, &port, raw.type, raw.flags, raw.seq,
	        (uint32_t)raw.record_count + raw.extra_records,
	        (uint32_t)raw.body_size + raw.extra_body);
	for (size_t i = 0; i < raw.record_count; i++)
		mesh__record_write(
		        event + MESH__EVENT_HEADER_SIZE + i * MESH__RECORD_SIZE, &raw.records[i]);
	if (raw.body_size)
		memcpy(event + size - raw.body_size, raw.body, raw.body_size);
	for (size_t i = 0; i < raw.fds; i++)
		fds[i] = open("/dev/null", O_RDONLY | O_CLOEXEC);
	/* In a buffer of its own, so that reading beyond the end is seen. */
	event = realloc(event, size - raw.cut ? size - raw.cut : 1);
	memory_inject(B, raw.from ? raw.from : A, event, size - raw.cut, fds, raw.fds);
	free(event);
}

void expect_failed(void)
{
	memory_run(&net, NULL);
	ck_assert_int_eq(memory_end(b), -ECONNRESET);
	ck_assert_int_eq(memory_end(a), -ECONNRESET);
}

void expect_alive(void)
{
	memory_run(&net, NULL);
	ck_assert_int_eq(memory_end(b), 0);
	ck_assert_int_eq(memory_end(a), 0);
}
