/* SPDX-License-Identifier: MIT */

/*
 * The codec when memory runs out: each operation is repeated with the first, second, third ...
 * allocation failing until it succeeds. Each failure must be -ENOMEM and leave nothing behind.
 */

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <mesh/control-priv.h>
#include <mesh/encoding.h>
#include <mesh/message-priv.h>
#include <pal/util-priv.h>

#include "support.h"
#include "vectors.h"

/* ---- allocations that fail; only those of the code that is linked in, not Check's ---- */

static int until_failure = -1; /* how many succeed before one fails; negative: all */
static int failures;

static bool fails(void)
{
	if (until_failure < 0 || until_failure-- > 0)
		return false;
	failures++;
	return true;
}

void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *old, size_t size);
void *__real_reallocarray(void *old, size_t count, size_t size);
char *__real_strndup(const char *text, size_t size);
void *__wrap_malloc(size_t size);
void *__wrap_mesh__pool_get(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *old, size_t size);
void *__wrap_reallocarray(void *old, size_t count, size_t size);
char *__wrap_strndup(const char *text, size_t size);

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
void *__wrap_realloc(void *old, size_t size)
{
	return fails() ? NULL : __real_realloc(old, size);
}
void *__wrap_reallocarray(void *old, size_t count, size_t size)
{
	return fails() ? NULL : __real_reallocarray(old, count, size);
}
char *__wrap_strndup(const char *text, size_t size)
{
	return fails() ? NULL : __real_strndup(text, size);
}

/* ---- operations; each gets its resources before allocations fail ---- */

static const struct mesh_id node = {{1}};

static int some_link(void)
{
	int pair[2];

	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
	close(pair[1]);
	return pair[0];
}

/* Where an operation writes its message, and its end: all allocations succeed again. */
static struct mesh_message *written;

static int end(int result)
{
	until_failure = -1;
	if (result == 0)
		mesh_message_free(written);
	return result;
}

static int write_initial(int n)
{
	struct mesh_port *ports[] = {some_port(), some_port(), some_port()};

	until_failure = n;
	return end(mesh__control_write_initial(ports[0], ports[1], ports[2], &written));
}

static int write_request(int n)
{
	until_failure = n;
	return end(mesh__control_write_connect_request(&node, &written));
}

static int write_invite(int n)
{
	struct mesh_port *ports[] = {some_port(), some_port()};

	until_failure = n;
	return end(mesh__control_write_invite_request(ports[0], ports[1], &written));
}

static int write_claim(int n)
{
	struct mesh_port *port = some_port();

	until_failure = n;
	return end(mesh__control_write_claim(&node, port, &written));
}

static int write_followers(int n)
{
	const struct mesh__handed_over list[] = {
	        {node, some_port(), some_port()}, {node, some_port(), some_port()}};

	until_failure = n;
	return end(mesh__control_write_followers(list, 2, &written));
}

static int write_order(int n)
{
	int fd = some_link();

	until_failure = n;
	return end(mesh__control_write_connect_order(&node, fd, &written));
}

static int write_invitation(int n)
{
	struct mesh_invitation invitation = {node, node, node, node, some_link()};

	until_failure = n;
	return end(mesh__control_write_invitation(&invitation, &written));
}

static int read_order(int n)
{
	struct mesh_message *message =
	        vector_message(vector_find("chan(FollowerRequest::Connect Some)"));
	struct pal_error error = {0};
	struct mesh__order order;
	int r;

	until_failure = n;
	r = mesh__control_read_order(message, &order, &error);
	until_failure = -1;
	ck_assert(r == 0 || strstr(error.text, "no memory"));
	ck_assert_int_eq(message->resources[0].kind, MESH__RESOURCE_FD);
	mesh_message_free(message);
	return r;
}

/* More than fits without growing. */
static int write_much(int n)
{
	static const char data[1000];
	int fd = some_fd();
	struct mesh_writer *writer;

	until_failure = n;
	writer = mesh_writer_new();
	for (int i = 0; i < 20; i++)
		mesh_writer_begin(writer, 1);
	mesh_writer_put_fd(writer, 1, fd);
	mesh_writer_bytes(writer, 2, data, sizeof data);
	for (int i = 0; i < 20; i++)
		mesh_writer_end(writer);
	return end(mesh_writer_finish(writer, &written));
}

static int to_text(int n)
{
	const struct mesh_invitation invitation = {node, node, node, node, -1};
	char *text;
	int r;

	until_failure = n;
	r = mesh_invitation_to_text(&invitation, "name", 3, &text);
	until_failure = -1;
	if (r == 0)
		free(text);
	return r;
}

static int from_text(int n)
{
	struct mesh_invitation invitation = {node, node, node, node, some_link()},
	                       got = MESH_INVITATION_INIT;
	char *text, *name = NULL;
	struct pal_error error = {0};
	int r;

	ck_assert_int_eq(mesh_invitation_to_text(&invitation, "name", invitation.fd, &text), 0);
	until_failure = n;
	r = mesh_invitation_from_text(text, &got, &name, &error);
	until_failure = -1;
	ck_assert_int_eq(error.code, r);
	ck_assert_int_eq(got.fd, r == 0 ? invitation.fd : -1);
	mesh_invitation_clear(&invitation);
	free(name);
	free(text);
	return r;
}

static int (*const operations[])(int n) = {write_initial, write_request, write_invite, write_claim, write_followers, write_order,
        write_invitation, read_order, write_much, to_text, from_text};

START_TEST(without_memory_an_operation_fails_and_leaves_nothing)
{
	int r, n = 0;

	do {
		failures = 0;
		r = operations[_i](n++);
		ck_assert_int_eq(r, failures ? -ENOMEM : 0);
	} while (r < 0);
	ck_assert_int_gt(n, 2); /* a writer and its message at least */
}
END_TEST

static Suite *make_suite(void)
{
	Suite *suite = suite_create("mesh/codec-memory");
	TCase *memory = support_tcase(suite, "memory");

	tcase_add_loop_test(memory, without_memory_an_operation_fails_and_leaves_nothing, 0,
	        PAL_ARRAY_LENGTH(operations));
	return suite;
}
SUPPORT_MAIN(make_suite)
