/* SPDX-License-Identifier: MIT */
#include <mesh/space-priv.h>

#include <errno.h>
#include <fcntl.h>

#include "memory-link.h"
#include "support.h"

/*
 * The n-th allocation of the machine fails, for every n that there is: nothing
 * leaks, no port is left on the move, and what the application asked for either
 * has happened or has failed.
 */

static bool is_scarce;
static unsigned allocations, failing; /* counted from 1; 0: none fails */

static void set_scarce(bool scarce)
{
	is_scarce = scarce;
}

static bool fails(void)
{
	return is_scarce && ++allocations == failing;
}

void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_reallocarray(void *old, size_t count, size_t size);
void *__wrap_malloc(size_t size);
void *__wrap_mesh__pool_get(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_reallocarray(void *old, size_t count, size_t size);

/* Recycled memory would hide the failures. */
void *__wrap_mesh__pool_get(size_t size)
{
	return __wrap_malloc(size);
}

void *__wrap_malloc(size_t size)
{
	return fails() ? NULL : __real_malloc(size);
}

void *__wrap_calloc(size_t count, size_t size)
{
	return fails() ? NULL : __real_calloc(count, size);
}

void *__wrap_reallocarray(void *old, size_t count, size_t size)
{
	return fails() ? NULL : __real_reallocarray(old, count, size);
}

static struct memory_net net;
#define A (&net.nodes[0])
#define B (&net.nodes[1])
#define C (&net.nodes[2])

/* Sending says that it failed, and then has changed nothing. */
static void try_send(struct mesh_port *port, struct mesh_message *message)
{
	uint64_t seq = port->next_local_seq;
	int r = memory_send_message(port, message, false);

	ck_assert(!r || (r == -ENOMEM && port->next_local_seq == seq));
}

static struct mesh_message *text(const char *text)
{
	return mesh_message_new(text, strlen(text));
}

static struct mesh_message *with_port(struct mesh_port *port)
{
	struct mesh_message *message = text("a port and a descriptor");

	ck_assert_int_eq(mesh_message_put_port(message, port), 0);
	ck_assert_int_eq(mesh_message_put_fd(message, open("/dev/null", O_RDONLY | O_CLOEXEC)), 0);
	return message;
}

/* The port that came, if it came. */
static struct mesh_port *try_take_port(struct mesh_port *from)
{
	struct mesh_message *message = memory_take(from);
	struct mesh_port *port = message ? mesh_message_take_port(message, 0) : NULL;

	mesh_message_free(message);
	return port;
}

/* Two moves of a port, with messages on the way, and of one that is done. */
static void story(void)
{
	struct mesh_port *ab, *ba, *bc, *cb, *p, *q, *done, *other, *x, *y = NULL;

	memory_net_init(&net, 3);
	net.quiet = true;
	memory_pair(A, "ab", &ab, B, "ba", &ba);
	memory_pair(B, "bc", &bc, C, "cb", &cb);
	ck_assert_int_eq(mesh__port_pair(NULL, &p, &q), 0);
	ck_assert_int_eq(mesh__port_pair(NULL, &done, &other), 0);
	try_send(other, text("last"));
	memory_free(other);
	memory_scarce = set_scarce;
	try_send(q, text("early"));
	try_send(ab, with_port(p));
	try_send(ab, with_port(done));
	try_send(q, text("late"));
	memory_run(&net, &(unsigned){1});
	x = try_take_port(ba);
	if (x)
		try_send(bc, with_port(x));
	x = try_take_port(ba);
	memory_run(&net, &(unsigned){2});
	y = try_take_port(cb);
	if (y)
		try_send(y, text("back"));
	memory_run(&net, &(unsigned){3});
	memory_scarce = NULL;
	ck_assert_uint_eq(A->space.moving + B->space.moving + C->space.moving, 0);
	if (x)
		memory_free(x);
	if (y)
		memory_free(y);
	memory_free(q);
	memory_free(ab);
	memory_free(ba);
	memory_free(bc);
	memory_free(cb);
	memory_run(&net, NULL);
	for (size_t i = 0; i < 3; i++)
		ck_assert_uint_eq(memory_port_count(&net.nodes[i]), 0);
	memory_net_clear(&net);
}

/* A bridge, also to what is closed or has unread messages. Both ends of it hear of it when it fails. */
static void try_bridge(struct mesh_port *x, struct mesh_port *y)
{
	int r = memory_bridge(x, y);

	ck_assert(!r || r == -ENOMEM);
}

static void story_of_bridges(void)
{
	struct mesh_port *ports[10];

	memory_net_init(&net, 3);
	net.quiet = true;
	memory_pair(A, "x", &ports[0], B, "a", &ports[1]);
	memory_pair(A, "y", &ports[2], C, "b", &ports[3]);
	memory_pair(A, "z", &ports[4], C, "c", &ports[5]);
	ck_assert_int_eq(mesh__port_pair(NULL, &ports[6], &ports[7]), 0);
	ck_assert_int_eq(mesh__port_pair(NULL, &ports[8], &ports[9]), 0);
	try_send(ports[7], text("unread"));
	memory_free(ports[9]);
	memory_scarce = set_scarce;
	try_send(ports[1], text("to x"));
	try_bridge(ports[0], ports[2]);
	try_bridge(ports[6], ports[4]);
	memory_run(&net, &(unsigned){1});
	try_bridge(ports[3], ports[8]);
	memory_run(&net, &(unsigned){2});
	memory_scarce = NULL;
	ck_assert_uint_eq(A->space.moving + B->space.moving + C->space.moving, 0);
	ck_assert_int_ne(memory_end(ports[1]), 0);
	memory_free(ports[1]);
	memory_free(ports[5]);
	memory_free(ports[7]);
	memory_run(&net, NULL);
	for (size_t i = 0; i < 3; i++)
		ck_assert_uint_eq(memory_port_count(&net.nodes[i]), 0);
	memory_net_clear(&net);
}

static void fail_each_allocation_of(void (*a_story)(void))
{
	unsigned all;

	allocations = failing = 0;
	a_story();
	all = allocations;
	ck_assert_uint_gt(all, 20);
	for (failing = 1; failing <= all; failing++) {
		allocations = 0;
		a_story();
	}
}

START_TEST(every_allocation_of_a_move_may_fail)
{
	fail_each_allocation_of(story);
}
END_TEST

START_TEST(every_allocation_of_a_bridge_may_fail)
{
	fail_each_allocation_of(story_of_bridges);
}
END_TEST

static Suite *make_suite(void)
{
	Suite *suite = suite_create("mesh/port-memory");
	TCase *memory = support_tcase(suite, "memory");

	tcase_add_test(memory, every_allocation_of_a_move_may_fail);
	tcase_add_test(memory, every_allocation_of_a_bridge_may_fail);
	return suite;
}
SUPPORT_MAIN(make_suite)
