/* SPDX-License-Identifier: MIT */
/*
 * A node that has nothing to do does nothing: its thread sleeps, and a base that it is on finds nothing due.
 * What is looked for is one span of time in which nothing happened at all; what spins or wakes up on its
 * own never has one, however slow the machine, and what still had something to finish has one later.
 */
#include "nodes.h"

#include <dirent.h>
#include <errno.h>
#include <event2/event.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "support.h"

enum { SPAN_MS = 50, TRIES = 200 };

/* ---- the threads of this process ---- */

struct thread {
	pid_t tid;
	int64_t ran_ns;
};

struct threads {
	struct thread list[16];
	size_t count;
};

/* The kernel's CPU clock of a thread, as pthread_getcpuclockid makes it. */
static int64_t ran_ns(pid_t tid)
{
	struct timespec ran;

	if (clock_gettime((clockid_t)(~(unsigned)tid << 3 | 6), &ran) < 0)
		return -1; /* it has just ended */
	return (int64_t)ran.tv_sec * 1000000000 + ran.tv_nsec;
}

/* Those but the calling one. */
static struct threads list_threads(void)
{
	struct threads threads = {.count = 0};
	DIR *dir = opendir("/proc/self/task");

	ck_assert_ptr_nonnull(dir);
	for (struct dirent *entry; (entry = readdir(dir));) {
		pid_t tid = atoi(entry->d_name);

		if (tid && tid != (pid_t)syscall(SYS_gettid)) {
			ck_assert_uint_lt(threads.count, 16);
			threads.list[threads.count++] = (struct thread){.tid = tid, .ran_ns = ran_ns(tid)};
		}
	}
	closedir(dir);
	return threads;
}

static bool knows(const struct threads *threads, pid_t tid)
{
	for (size_t i = 0; i < threads->count; i++)
		if (threads->list[i].tid == tid)
			return true;
	return false;
}

/* Those of a sanitizer, which do what they like. */
static struct threads others;

static void note_other_threads(void)
{
	pthread_t thread;

	ck_assert_int_eq(pthread_create(&thread, NULL, support_return_arg, NULL), 0); /* with it come those */
	ck_assert_int_eq(pthread_join(thread, NULL), 0);
	others = list_threads();
}

static void let_time_pass(void)
{
	nanosleep(&(struct timespec){.tv_nsec = SPAN_MS * 1000000l}, NULL);
}

/* Whether none of the nodes' threads ran. *ret_count: how many there are. */
static bool nobody_ran(size_t *ret_count)
{
	struct threads before = list_threads();
	bool still = true;

	*ret_count = 0;
	let_time_pass();
	for (size_t i = 0; i < before.count; i++) {
		const struct thread *thread = &before.list[i];

		if (knows(&others, thread->tid))
			continue;
		++*ret_count;
		still &= thread->ran_ns == ran_ns(thread->tid);
	}
	return still;
}

static void expect_idle_threads(size_t expected)
{
	size_t count = 0;

	for (int i = 0; i < TRIES; i++)
		if (nobody_ran(&count) && count == expected)
			return;
	ck_abort_msg("no rest among %zu threads, which should be %zu", count, expected);
}

/* ---- a node with a thread of its own ---- */

static void forget(struct mesh_port *port, int status, struct mesh_message *message, void *userdata)
{
	int *end = userdata;

	(void)port;
	mesh_message_free(message);
	if (status && end)
		__atomic_store_n(end, status, __ATOMIC_RELEASE);
}

static void wait_for(int *end)
{
	while (!__atomic_load_n(end, __ATOMIC_ACQUIRE))
		let_time_pass();
}

static void round_trips(struct node_pair *pair)
{
	for (int i = 0; i < 100; i++) {
		nodes_send_text(pair->at_host, "up");
		nodes_expect_text(pair->at_leader, "up");
		nodes_send_text(pair->at_leader, "down");
		nodes_expect_text(pair->at_host, "down");
	}
}

START_TEST(a_node_without_links_sleeps)
{
	struct mesh_node *node;
	struct pal_error error = {0};

	note_other_threads();
	ck_assert_ok(mesh_node_new(NULL, &node, &error), &error);
	expect_idle_threads(1);
	mesh_node_free(node);
}
END_TEST

START_TEST(nodes_sleep_when_they_have_said_what_there_was_to_say)
{
	struct node_pair pair;

	note_other_threads();
	nodes_make(&pair);
	expect_idle_threads(2);
	round_trips(&pair);
	expect_idle_threads(2);
	nodes_send_text(pair.at_host, "unread"); /* what is due to the program keeps nobody awake */
	expect_idle_threads(2);
	nodes_free(&pair);
}
END_TEST

START_TEST(a_node_sleeps_when_a_link_has_ended)
{
	struct node_pair pair;
	struct mesh_port *at_leader, *at_host;
	struct mesh_node *host;

	note_other_threads();
	nodes_make(&pair);
	nodes_invite(pair.leader, &host, &at_leader, &at_host);
	mesh_node_free(host);
	nodes_expect_end(at_leader, -ECONNRESET);
	expect_idle_threads(2);
	mesh_node_free(pair.leader);
	pair.leader = NULL;
	nodes_expect_end(pair.at_host, -ECONNRESET);
	expect_idle_threads(1);
	mesh_port_free(at_leader);
	mesh_port_free(at_host);
	nodes_free(&pair);
}
END_TEST

START_TEST(a_node_sleeps_when_a_callback_has_been_told_of_the_end)
{
	struct node_pair pair;
	int end = 0;

	note_other_threads();
	nodes_make(&pair);
	ck_assert_int_eq(mesh_port_set_callback(pair.at_leader, NULL, forget, &end), 0);
	nodes_send_text(pair.at_host, "a message");
	expect_idle_threads(2);
	if (_i) {
		mesh_node_free(pair.host);
		pair.host = NULL;
	} else {
		mesh_port_free(pair.at_host);
		pair.at_host = NULL;
	}
	wait_for(&end);
	expect_idle_threads(_i ? 1 : 2);
	nodes_free(&pair);
}
END_TEST

/* ---- a libevent base ---- */

static void on_time(evutil_socket_t fd, short what, void *argument)
{
	(void)fd;
	(void)what;
	*(bool *)argument = true;
}

/* How many turns the loop makes until a timer ends it: one, if there is nothing else. */
static unsigned turns_of(struct event_base *base)
{
	const struct timeval span = {.tv_usec = SPAN_MS * 1000};
	bool over = false;
	unsigned turns = 0;

	ck_assert_int_eq(event_base_once(base, -1, EV_TIMEOUT, on_time, &over, &span), 0);
	while (!over) {
		event_base_loop(base, EVLOOP_ONCE);
		turns++;
	}
	return turns;
}

static void expect_idle_base(struct event_base *base)
{
	unsigned turns = 0;

	for (int i = 0; i < TRIES; i++) {
		turns = turns_of(base);
		if (turns == 1)
			return;
	}
	ck_abort_msg("the loop goes round %u times", turns);
}

static void run_until(struct event_base *base, const int *end)
{
	while (!*end)
		event_base_loop(base, EVLOOP_ONCE);
}

START_TEST(a_base_rests_whatever_has_ended_on_it)
{
	struct event_base *base = event_base_new();
	struct mesh_node_options options = {MESH_NODE_OPTIONS_INIT, .base = base};
	struct node_pair pair;
	struct pal_error error = {0};
	int end = 0;

	ck_assert_ok(mesh_node_new(&options, &pair.leader, &error), &error);
	nodes_invite(pair.leader, &pair.host, &pair.at_leader, &pair.at_host);
	expect_idle_base(base);
	nodes_send_text(pair.at_host, "received here");
	nodes_send_text(pair.at_host, "read with it");
	nodes_expect_text(pair.at_leader, "received here");
	ck_assert_int_eq(mesh_port_set_callback(pair.at_leader, NULL, forget, &end), 0); /* tells the base by an eventfd */
	expect_idle_base(base);
	nodes_send_text(pair.at_host, "a message");
	expect_idle_base(base);
	if (_i == 0)
		mesh_port_free(pair.at_host);
	else
		mesh_node_free(pair.host);
	run_until(base, &end);
	expect_idle_base(base);
	mesh_node_free(pair.leader);
	expect_idle_base(base);
	mesh_port_free(pair.at_leader);
	if (_i == 0)
		mesh_node_free(pair.host);
	else
		mesh_port_free(pair.at_host);
	event_base_free(base);
}
END_TEST

/* A port with a callback on a base that is not its node's is watched there by a descriptor of its own. */
START_TEST(a_base_rests_when_a_port_has_ended_that_it_watches)
{
	struct event_base *base = event_base_new();
	struct mesh_port *here, *there;
	struct node_pair pair;
	int end = 0;

	nodes_make(&pair);
	if (_i) {
		ck_assert_int_eq(mesh_port_pair(&here, &there), 0);
	} else {
		here = pair.at_leader;
		there = pair.at_host;
	}
	ck_assert_int_eq(mesh_port_set_callback(here, base, forget, &end), 0);
	nodes_send_text(there, "a message");
	expect_idle_base(base);
	mesh_port_free(there);
	run_until(base, &end);
	expect_idle_base(base);
	mesh_port_free(here);
	if (!_i)
		pair.at_leader = pair.at_host = NULL;
	nodes_free(&pair);
	event_base_free(base);
}
END_TEST

static Suite *make_suite(void)
{
	Suite *suite = suite_create("mesh/idle");
	TCase *threads = support_tcase(suite, "threads"), *bases = support_tcase(suite, "bases");

	tcase_set_timeout(threads, 60);
	tcase_set_timeout(bases, 60);
	tcase_add_test(threads, a_node_without_links_sleeps);
	tcase_add_test(threads, nodes_sleep_when_they_have_said_what_there_was_to_say);
	tcase_add_test(threads, a_node_sleeps_when_a_link_has_ended);
	tcase_add_loop_test(threads, a_node_sleeps_when_a_callback_has_been_told_of_the_end, 0, 2);
	tcase_add_loop_test(bases, a_base_rests_whatever_has_ended_on_it, 0, 2);
	tcase_add_loop_test(bases, a_base_rests_when_a_port_has_ended_that_it_watches, 0, 2);
	return suite;
}
SUPPORT_MAIN(make_suite)
