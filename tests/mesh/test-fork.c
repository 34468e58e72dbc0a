/* SPDX-License-Identifier: MIT */
/* A program that forks has copies of its nodes and ports in the child. They are dead there, and say so. */
#include "nodes.h"

#include <errno.h>
#include <event2/event.h>
#include <mesh/counters.h>
#include <mesh/node-priv.h>
#include <pthread.h>
#include <sys/wait.h>
#include <unistd.h>

#include "support.h"

/* Where the child of a program with threads starts some. */
#define needs_threads_in_the_child() \
	do { \
		if (BUILT_WITH_TSAN) \
			support_skip("ThreadSanitizer ends a child that starts threads"); \
	} while (0)

/* In a child: which check it was, as its status. */
#define child_check(condition) \
	do { \
		if (!(condition)) \
			_exit(__LINE__ % 250 + 1); \
	} while (0)

static void expect_good_child(pid_t child)
{
	int status;

	ck_assert_int_gt(child, 0);
	ck_assert_int_eq(waitpid(child, &status, 0), child);
	ck_assert_msg(status == 0, "the child's status is %#x: a check near line %d (modulo 250)", (unsigned)status,
		WEXITSTATUS(status) - 1);
}

/* Locks that another thread has while the program forks. */
struct held_locks {
	struct mesh_node *node;
	pthread_t thread;
	pthread_barrier_t taken, forked;
};

static void *hold(void *argument)
{
	struct held_locks *held = argument;

	mesh__space_lock(&held->node->space);
	mesh__space_lock(mesh__local_space());
	pthread_barrier_wait(&held->taken);
	pthread_barrier_wait(&held->forked);
	mesh__space_unlock(mesh__local_space());
	mesh__space_unlock(&held->node->space);
	return NULL;
}

static void start_holding(struct held_locks *held, struct mesh_node *node)
{
	held->node = node;
	pthread_barrier_init(&held->taken, NULL, 2);
	pthread_barrier_init(&held->forked, NULL, 2);
	ck_assert_int_eq(pthread_create(&held->thread, NULL, hold, held), 0);
	pthread_barrier_wait(&held->taken);
}

static void stop_holding(struct held_locks *held)
{
	pthread_barrier_wait(&held->forked);
	ck_assert_int_eq(pthread_join(held->thread, NULL), 0);
	pthread_barrier_destroy(&held->taken);
	pthread_barrier_destroy(&held->forked);
}

static void never(struct mesh_port *port, int status, struct mesh_message *message, void *userdata)
{
	(void)port;
	(void)status;
	(void)message;
	(void)userdata;
	_exit(255);
}

static void never_writable(struct mesh_port *port, void *userdata)
{
	(void)port;
	(void)userdata;
	_exit(255);
}

static struct mesh_message *word(void)
{
	return mesh_message_new("from a child", 12);
}

static void try_port(struct mesh_port *port, struct mesh_port *other)
{
	struct mesh_message *message = NULL, *carrier = word();
	struct mesh_port *answers = NULL;
	struct pal_error error = {0};

	child_check(mesh_port_send(port, word()) == -EPERM);
	child_check(mesh_port_send_last(port, word()) == -EPERM);
	child_check(mesh_port_try_send(port, word()) == -EPERM);
	child_check(mesh_port_send_wait(port, word(), PAL_DEADLINE_NONE, &error) == -EPERM);
	child_check(error.code == -EPERM && error.stage == MESH_STAGE_PORT);
	child_check(mesh_port_recv(port, PAL_DEADLINE_NONE, &message, NULL) == -EPERM);
	child_check(mesh_port_try_recv(port, &message) == -EPERM);
	child_check(mesh_port_set_callback(port, NULL, never, NULL) == -EPERM);
	child_check(mesh_port_set_callback(port, NULL, NULL, NULL) == -EPERM);
	child_check(mesh_port_on_writable(port, NULL, never_writable, NULL) == -EPERM);
	child_check(mesh_port_peek_fd(port) == -EPERM);
	child_check(mesh_port_request(port, word(), &answers) == -EPERM);
	child_check(mesh_port_call(port, word(), PAL_DEADLINE_NONE, &message, NULL) == -EPERM);
	child_check(mesh_message_put_port(carrier, port) == -EPERM && mesh_message_resource_count(carrier) == 0);
	child_check(mesh_port_bridge(port, other) == -EPERM);
	child_check(mesh_port_send_and_free(port, word()) == -EPERM);
	child_check(!message && !answers);
	mesh_message_free(carrier);
	mesh_port_free(port);
	mesh_port_fail(other);
}

static void try_node(struct mesh_node *node)
{
	struct mesh_invitation invitation = MESH_INVITATION_INIT;
	struct mesh_port_counters counters;
	size_t links;
	struct mesh_port *p, *q;

	child_check(mesh_port_pair(&p, &q) == 0);
	child_check(mesh_node_invite(node, p, &invitation, NULL) == -EPERM && invitation.fd < 0);
	child_check(mesh_node_evict(node, &invitation.local_node) == -EPERM);
	child_check(mesh_node_count_ports(node, &counters, sizeof counters) == -EPERM);
	child_check(mesh_node_count_links(node, NULL, 0, 0, &links) == -EPERM);
	child_check(!mesh_node_is_home(node));
	child_check(mesh_node_shutdown(node, PAL_DEADLINE_NONE, NULL) == -EPERM);
	errno = EXDEV;
	mesh_node_free(node);
	child_check(errno == EXDEV);
	mesh_port_free(q);
}

/* The node's own and the one of pairs without a node, whoever has them. */
START_TEST(what_a_child_inherits_is_refused_at_once_also_where_a_thread_had_the_locks)
{
	struct held_locks held;
	struct mesh_port *a, *b;
	struct node_pair pair;
	pid_t child;

	nodes_make(&pair);
	ck_assert_int_eq(mesh_port_pair(&a, &b), 0);
	start_holding(&held, pair.leader);
	child = fork();
	if (!child) {
		try_port(pair.at_leader, a);
		try_port(b, pair.at_host);
		try_node(pair.leader);
		try_node(pair.host);
		_exit(0);
	}
	stop_holding(&held);
	expect_good_child(child);
	/* Nothing of it was said to anybody. */
	nodes_send_text(pair.at_leader, "first");
	nodes_expect_text(pair.at_host, "first");
	nodes_send_text(a, "first");
	nodes_expect_text(b, "first");
	mesh_port_free(a);
	nodes_expect_end(b, -EPIPE);
	mesh_port_free(b);
	nodes_free(&pair);
}
END_TEST

static void talk_within_a_mesh_of_its_own(void)
{
	struct node_pair pair;

	nodes_make(&pair);
	nodes_send_text(pair.at_leader, "to the child's own");
	nodes_expect_text(pair.at_host, "to the child's own");
	nodes_free(&pair);
}

START_TEST(a_child_makes_a_mesh_of_its_own)
{
	struct held_locks held;
	struct mesh_port *a, *b;
	struct node_pair pair;
	pid_t child;

	needs_threads_in_the_child();
	nodes_make(&pair);
	start_holding(&held, pair.host);
	child = fork();
	if (!child) {
		child_check(mesh_port_pair(&a, &b) == 0);
		nodes_send_text(a, "within the child");
		nodes_expect_text(b, "within the child");
		mesh_port_free(a);
		nodes_expect_end(b, -EPIPE);
		mesh_port_free(b);
		talk_within_a_mesh_of_its_own();
		_exit(0);
	}
	stop_holding(&held);
	expect_good_child(child);
	nodes_free(&pair);
}
END_TEST

/* Its bytes and descriptors are the child's as all memory is; its ports are not. */
START_TEST(a_message_that_a_child_inherits_may_be_read_and_freed_but_its_ports_not_sent)
{
	struct mesh_port *a, *b, *own, *others;
	struct mesh_message *message = mesh_message_new("bytes", 5), *plain = mesh_message_new("plain", 5);
	pid_t child;

	ck_assert_int_eq(mesh_port_pair(&a, &b), 0);
	ck_assert_int_eq(mesh_message_dup_fd(message, 0), 0);
	ck_assert_int_eq(mesh_message_put_port(message, b), 0);
	child = fork();
	if (!child) {
		child_check(mesh_port_pair(&own, &others) == 0);
		child_check(!memcmp(mesh_message_data(message), "bytes", 5));
		child_check(mesh_port_try_send(own, message) == -EPERM); /* which frees it */
		child_check(mesh_port_send(own, plain) == 0);
		nodes_expect_text(others, "plain");
		_exit(0);
	}
	expect_good_child(child);
	mesh_message_free(plain);
	nodes_send_text(a, "b is there");
	b = mesh_message_take_port(message, 1);
	nodes_expect_text(b, "b is there");
	mesh_message_free(message);
	mesh_port_free(a);
	mesh_port_free(b);
}
END_TEST

/* S145: the end of a host is seen though a child of its lives on, if that has freed its copies. */
START_TEST(a_child_that_frees_its_copies_does_not_hide_the_end_of_its_parent)
{
	struct mesh_invitation invitation;
	struct mesh_node *leader, *host;
	struct mesh_port *port, *passenger;
	struct pal_error error = {0};
	int alive[2], status;
	pid_t parent, child;
	char byte;

	needs_threads_in_the_child();
	ck_assert_int_eq(pipe(alive), 0);
	ck_assert_ok(mesh_node_new(NULL, &leader, &error), &error);
	ck_assert_int_eq(mesh_port_pair(&port, &passenger), 0);
	ck_assert_ok(mesh_node_invite(leader, passenger, &invitation, &error), &error);
	parent = fork();
	if (!parent) {
		mesh_node_free(leader);
		child_check(mesh_node_join(&invitation, NULL, NODES_PATIENCE, &host, &passenger, NULL) == 0);
		nodes_send_text(passenger, "here");
		pal_close(alive[1]);
		if (_i)
			mesh__space_lock(&host->space); /* as its thread may have it */
		child = fork();
		if (child && _i)
			mesh__space_unlock(&host->space);
		if (!child) {
			mesh_port_free(passenger);
			mesh_node_free(host);
			_exit((int)read(alive[0], &byte, 1)); /* until the test is over */
		}
		nodes_expect_text(passenger, "forked?");
		_exit(0);
	}
	mesh_invitation_clear(&invitation);
	nodes_expect_text(port, "here");
	nodes_send_text(port, "forked?");
	nodes_expect_end(port, -ECONNRESET);
	ck_assert_int_eq(waitpid(parent, &status, 0), parent);
	ck_assert_int_eq(status, 0);
	mesh_port_free(port);
	mesh_node_free(leader);
	pal_close(alive[0]);
	pal_close(alive[1]);
}
END_TEST

struct forking {
	struct event_base *base;
	pid_t child;
	bool is_child;
	unsigned calls;
};

static void fork_in_callback(struct mesh_port *port, int status, struct mesh_message *message, void *userdata)
{
	struct forking *forking = userdata;

	(void)port;
	if (status)
		return;
	mesh_message_free(message);
	if (forking->is_child)
		_exit(255); /* what comes second is for the parent alone */
	if (!forking->calls++) {
		forking->child = fork();
		forking->is_child = !forking->child;
	}
	event_base_loopbreak(forking->base);
}

/* The child comes back from the callback into the loop, and the node's code is under way in it. */
START_TEST(a_callback_may_fork_and_return_twice)
{
	struct forking forking = {.base = event_base_new()};
	const struct mesh_node_options options = {MESH_NODE_OPTIONS_INIT, .base = forking.base};
	struct mesh_invitation invitation;
	struct mesh_port *port, *passenger;
	struct pal_error error = {0};
	struct mesh_node *leader, *host;

	ck_assert_ok(mesh_node_new(&options, &leader, &error), &error);
	ck_assert_int_eq(mesh_port_pair(&port, &passenger), 0);
	ck_assert_ok(mesh_node_invite(leader, passenger, &invitation, &error), &error);
	ck_assert_ok(mesh_node_join(&invitation, NULL, NODES_PATIENCE, &host, &passenger, &error), &error);
	ck_assert_int_eq(mesh_port_set_callback(port, NULL, fork_in_callback, &forking), 0);
	nodes_send_text(passenger, "fork");
	nodes_send_text(passenger, "and again: the parent's alone");
	event_base_dispatch(forking.base);
	if (forking.is_child) {
		/* What is left for the parent's node is none of this loop's business, and nothing keeps it turning. */
		child_check(event_reinit(forking.base) == 0);
		child_check(event_base_loop(forking.base, EVLOOP_NONBLOCK) >= 0);
		child_check(mesh_port_send(port, word()) == -EPERM);
		_exit(0);
	}
	expect_good_child(forking.child);
	mesh_port_free(port);
	mesh_port_free(passenger);
	mesh_node_free(host);
	mesh_node_free(leader);
	event_base_free(forking.base);
}
END_TEST

static Suite *make_suite(void)
{
	Suite *suite = suite_create("mesh/fork");
	TCase *forks = support_tcase(suite, "forks");

	tcase_add_test(forks, what_a_child_inherits_is_refused_at_once_also_where_a_thread_had_the_locks);
	tcase_add_test(forks, a_child_makes_a_mesh_of_its_own);
	tcase_add_test(forks, a_message_that_a_child_inherits_may_be_read_and_freed_but_its_ports_not_sent);
	tcase_add_loop_test(forks, a_child_that_frees_its_copies_does_not_hide_the_end_of_its_parent, 0, 2);
	tcase_add_test(forks, a_callback_may_fork_and_return_twice);
	return suite;
}
SUPPORT_MAIN(make_suite)
