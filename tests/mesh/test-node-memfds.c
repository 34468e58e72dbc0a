/* SPDX-License-Identifier: MIT */
/* A large message needs a memfd. A process that may not make it, a sandbox of ours among them, loses no more than the port. */
#include "nodes.h"

#include <errno.h>
#include <sys/resource.h>

#include "support.h"

enum { LARGE = 100000 };

int __real_memfd_create(const char *name, unsigned flags);
int __wrap_memfd_create(const char *name, unsigned flags);
static bool refuse_memfds;

/* As a filter of system calls does it. */
int __wrap_memfd_create(const char *name, unsigned flags)
{
	if (!__atomic_load_n(&refuse_memfds, __ATOMIC_RELAXED))
		return __real_memfd_create(name, flags);
	errno = EPERM;
	return -1;
}

/* One of the two reasons; the signal that comes with the first would end this process. */
static void set_allowed(int reason, bool allowed)
{
	struct rlimit limit;

	if (reason) {
		__atomic_store_n(&refuse_memfds, !allowed, __ATOMIC_RELAXED);
		return;
	}
	ck_assert_int_eq(getrlimit(RLIMIT_FSIZE, &limit), 0);
	limit.rlim_cur = allowed ? limit.rlim_max : 4096;
	ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &limit), 0);
}

static void send_large(struct mesh_port *port, struct mesh_port *passenger)
{
	struct mesh_message *message = mesh_message_new_sized(LARGE);

	if (passenger)
		ck_assert_int_eq(mesh_message_put_port(message, passenger), 0);
	ck_assert_int_eq(mesh_port_send(port, message), 0);
}

static void expect_large(struct mesh_port *port)
{
	struct mesh_message *message = nodes_recv(port);

	ck_assert_uint_eq(mesh_message_size(message), LARGE);
	mesh_message_free(message);
}

START_TEST(a_large_message_that_may_not_be_made_fails_its_port_alone)
{
	struct mesh_port *here, *there, *stays, *goes;
	struct node_pair pair;

	nodes_make(&pair);
	ck_assert_int_eq(mesh_port_pair(&here, &there), 0);
	ck_assert_int_eq(mesh_port_pair(&stays, &goes), 0);
	nodes_send_port(pair.at_leader, "another", there);
	there = nodes_expect_port(pair.at_host, "another");
	nodes_send_text(there, "here");
	nodes_expect_text(here, "here"); /* so it has been acknowledged: what is sent now leaves at once */
	nodes_send_text(here, "before it");
	set_allowed(_i, false);
	send_large(here, goes);
	set_allowed(_i, true);
	nodes_expect_text(there, "before it");
	nodes_expect_end(there, -ECONNRESET);
	nodes_expect_end(here, -ECONNRESET);
	nodes_expect_end(stays, -ECONNRESET); /* what the message carried went with it */
	send_large(pair.at_leader, NULL); /* the link is there */
	expect_large(pair.at_host);
	mesh_port_free(here);
	mesh_port_free(there);
	mesh_port_free(stays);
	nodes_free(&pair);
}
END_TEST

static Suite *make_suite(void)
{
	Suite *suite = suite_create("mesh/node-memfds");
	TCase *memfds = support_tcase(suite, "memfds");

	tcase_set_timeout(memfds, 60);
	tcase_add_loop_test(memfds, a_large_message_that_may_not_be_made_fails_its_port_alone, 0, 2);
	return suite;
}
SUPPORT_MAIN(make_suite)
