/* SPDX-License-Identifier: MIT */
/* That messages which come and go cost no allocation once a few of them have. The allocator of this program counts. */
#include "nodes.h"

#include <errno.h>
#include <event2/event.h>
#include <stdlib.h>
#include <string.h>

#include <mesh/pool-priv.h>

#include "support.h"

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define HAS_ALLOCATOR 0
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer) || __has_feature(memory_sanitizer)
#define HAS_ALLOCATOR 0
#endif
#endif
#ifndef HAS_ALLOCATOR
#define HAS_ALLOCATOR 1
#endif

static unsigned long allocations;

#if HAS_ALLOCATOR
/* glibc's own, under the names by which it calls them itself */
void *__libc_malloc(size_t size);
void *__libc_calloc(size_t count, size_t size);
void *__libc_realloc(void *old, size_t size);

void *malloc(size_t size)
{
	__atomic_add_fetch(&allocations, 1, __ATOMIC_RELAXED);
	return __libc_malloc(size);
}

void *calloc(size_t count, size_t size)
{
	__atomic_add_fetch(&allocations, 1, __ATOMIC_RELAXED);
	return __libc_calloc(count, size);
}

void *realloc(void *old, size_t size)
{
	__atomic_add_fetch(&allocations, 1, __ATOMIC_RELAXED);
	return __libc_realloc(old, size);
}
#endif

/* ---- two nodes whose only thread is the test's ---- */

static struct event_base *bases[2];
static struct mesh_node *leader, *host;
static struct mesh_port *at_leader, *at_host;

static void make_mesh(void)
{
	struct mesh_node_options options = {MESH_NODE_OPTIONS_INIT};
	struct mesh_invitation invitation;
	struct mesh_port *passenger;

	options.base = bases[0] = event_base_new();
	ck_assert_int_eq(mesh_node_new(&options, &leader, NULL), 0);
	ck_assert_int_eq(mesh_port_pair(&at_leader, &passenger), 0);
	ck_assert_int_eq(mesh_node_invite(leader, passenger, &invitation, NULL), 0);
	options.base = bases[1] = event_base_new();
	ck_assert_int_eq(mesh_node_join(&invitation, &options, NODES_PATIENCE, &host, &at_host, NULL), 0);
}

static void free_mesh(void)
{
	mesh_port_free(at_leader);
	mesh_port_free(at_host);
	mesh_node_free(host);
	mesh_node_free(leader);
	for (int i = 0; i < 2; i++)
		event_base_free(bases[i]);
}

/* Check's own macros allocate when all is well, too. */
static void must(bool holds, int line)
{
	if (!holds)
		ck_abort_msg("line %d", line);
}
#define MUST(condition) must(condition, __LINE__)

static char bytes[4096];

static void send_one(struct mesh_port *port, size_t size)
{
	MUST(mesh_port_send(port, mesh_message_new(bytes, size)) == 0);
}

/* Nobody but this thread sends what waits at the other node. */
static struct mesh_message *take_one(struct mesh_port *port, struct mesh_port *other, size_t size)
{
	struct mesh_message *message, *none;
	int result;

	while ((result = mesh_port_recv(port, PAL_DEADLINE_NOW, &message, NULL)) == -ETIMEDOUT)
		MUST(mesh_port_recv(other, PAL_DEADLINE_NOW, &none, NULL) == -ETIMEDOUT);
	MUST(result == 0 && mesh_message_size(message) == size);
	return message;
}

static void burst(unsigned count, size_t size)
{
	for (unsigned i = 0; i < count; i++)
		send_one(at_leader, size);
	for (unsigned i = 0; i < count; i++)
		mesh_message_free(take_one(at_host, at_leader, size));
}

static void echo(unsigned count, size_t size)
{
	while (count--) {
		send_one(at_leader, size);
		MUST(mesh_port_send(at_host, take_one(at_host, at_leader, size)) == 0);
		mesh_message_free(take_one(at_leader, at_host, size));
	}
}

static struct mesh_port *p, *q;

static void within_the_process(unsigned count, size_t size)
{
	for (unsigned i = 0; i < count; i++)
		send_one(p, size);
	for (unsigned i = 0; i < count; i++)
		mesh_message_free(take_one(q, p, size));
}

static const struct pattern {
	const char *name;
	void (*run)(unsigned count, size_t size);
	unsigned count;
	size_t size;
} patterns[] = {
	{"round trips", echo, 50, 64},
	{"round trips of a kibibyte", echo, 50, 1024},
	{"what the socket takes at once", burst, 100, 64},
	{"kibibytes that the socket takes at once", burst, 50, 1024},
	{"what has to wait", burst, 400, 64},
	{"kibibytes that have to wait", burst, 400, 1024},
	{"within the process", within_the_process, 100, 64},
};
enum { PATTERNS = sizeof patterns / sizeof *patterns };

START_TEST(messages_that_come_and_go_allocate_nothing)
{
	const struct pattern *pattern = &patterns[_i];

	if (!HAS_ALLOCATOR || !mesh__pool_has(64))
		support_skip("a sanitizer has its own allocator, and sees each allocation");
	make_mesh();
	ck_assert_int_eq(mesh_port_pair(&p, &q), 0);
	for (int round = 0; round < 10; round++)
		pattern->run(pattern->count, pattern->size);
	allocations = 0;
	for (int round = 0; round < 20; round++)
		pattern->run(pattern->count, pattern->size);
	ck_assert_msg(allocations == 0, "%s: %lu allocations", pattern->name, allocations);
	mesh_port_free(p);
	mesh_port_free(q);
	free_mesh();
}
END_TEST

/* Without this the test above could not fail. */
START_TEST(allocations_are_counted)
{
	struct mesh_message *message;

	if (!HAS_ALLOCATOR)
		support_skip("a sanitizer has its own allocator");
	allocations = 0;
	message = mesh_message_new_sized(100000);
	ck_assert_uint_gt(allocations, 0);
	mesh_message_free(message);
}
END_TEST

START_TEST(what_is_kept_is_bounded)
{
	enum { BLOCKS = 4000, SIZE = 300 };
	static void *blocks[BLOCKS];

	if (!HAS_ALLOCATOR || !mesh__pool_has(SIZE))
		support_skip("a sanitizer has its own allocator, and nothing is kept");
	for (int round = 0; round < 2; round++) {
		allocations = 0;
		for (int i = 0; i < BLOCKS; i++)
			blocks[i] = mesh__pool_get(SIZE);
		for (int i = 0; i < BLOCKS; i++) {
			memset(blocks[i], i, SIZE);
			mesh__pool_put(blocks[i], SIZE);
		}
	}
	ck_assert_uint_ge(allocations, BLOCKS - 1000);
	ck_assert_uint_lt(allocations, BLOCKS);
	mesh__pool_put(NULL, SIZE);
	ck_assert(!mesh__pool_has(1 << 20));
}
END_TEST

static Suite *make_suite(void)
{
	Suite *suite = suite_create("mesh/allocations");
	TCase *steady = support_tcase(suite, "steady state");

	tcase_add_test(steady, allocations_are_counted);
	tcase_add_test(steady, what_is_kept_is_bounded);
	tcase_add_loop_test(steady, messages_that_come_and_go_allocate_nothing, 0, PATTERNS);
	return suite;
}
SUPPORT_MAIN(make_suite)
