/* SPDX-License-Identifier: MIT */
#include <mesh/port-waiters-priv.h>

#include <errno.h>
#include <event2/event.h>
#include <event2/thread.h>
#include <pthread.h>
#include <unistd.h>

#include <mesh/invitation.h>
#include <mesh/message.h>
#include <pal/util-priv.h>

#include "memory-link.h"
#include "support.h"

/* The lock of a port's space while the port changes its space. For ThreadSanitizer too. */

static struct memory_net net;
#define A (&net.nodes[0])
#define B (&net.nodes[1])

#define MESSAGES 2000
#define SENDERS 4

struct sender {
	pthread_t thread;
	struct mesh_port *port;
	uint32_t number;
};

static void *send_numbers(void *argument)
{
	struct sender *sender = argument;

	for (uint32_t i = 0; i < MESSAGES; i++) {
		uint32_t text[] = {sender->number, i};

		if (memory_send_message(sender->port, mesh_message_new(text, sizeof text), false))
			return sender;
	}
	return NULL;
}

/* The numbers of each sender come in its order. */
static void receive_numbers(struct mesh_port *port, uint32_t next[SENDERS])
{
	struct mesh_message *message;

	while ((message = memory_take(port))) {
		const uint32_t *text = mesh_message_data(message);

		ck_assert_uint_eq(text[1], next[text[0]]);
		next[text[0]]++;
		mesh_message_free(message);
	}
}

/* S157: a pair of no node is adopted by one, and its end moves, while four threads send on the other end. */
START_TEST(senders_keep_their_order_while_the_receiver_moves)
{
	struct sender senders[SENDERS];
	uint32_t next[SENDERS] = {0};
	struct mesh_port *a, *b, *p, *q, *x;
	void *failed;

	memory_net_init(&net, 2);
	net.quiet = true;
	memory_pair(A, "a", &a, B, "b", &b);
	ck_assert_int_eq(mesh__port_pair(NULL, &p, &q), 0);
	for (uint32_t i = 0; i < SENDERS; i++) {
		senders[i] = (struct sender){.port = q, .number = i};
		ck_assert_int_eq(
		        pthread_create(&senders[i].thread, NULL, send_numbers, &senders[i]), 0);
	}
	while (!next[0])
		receive_numbers(p, next);
	memory_send_ports(a, "p", p, NULL);
	for (uint32_t i = 0; i < SENDERS; i++) {
		ck_assert_int_eq(pthread_join(senders[i].thread, &failed), 0);
		ck_assert_ptr_null(failed);
	}
	memory_run(&net, NULL);
	x = memory_take_port(b);
	receive_numbers(x, next);
	for (uint32_t i = 0; i < SENDERS; i++)
		ck_assert_uint_eq(next[i], MESSAGES);
	memory_free(x);
	memory_free(q);
	memory_free(a);
	memory_free(b);
	memory_run(&net, NULL);
	memory_net_clear(&net);
}
END_TEST

static void *use_until_it_fails(void *argument)
{
	struct mesh_port *port = argument;

	while (!memory_end(port))
		memory_send(port, "x");
	memory_free(port);
	return NULL;
}

START_TEST(a_node_goes_while_others_use_its_ports)
{
	for (unsigned round = 0; round < 50; round++) {
		pthread_t threads[2];
		struct mesh_port *a, *b, *c, *d;

		memory_net_init(&net, 2);
		net.quiet = true;
		memory_pair(A, "a", &a, B, "b", &b);
		memory_pair(A, "c", &c, B, "d", &d);
		B->dead = true; /* what is sent there is dropped, not collected */
		pthread_create(&threads[0], NULL, use_until_it_fails, a);
		pthread_create(&threads[1], NULL, use_until_it_fails, c);
		memory_net_clear(&net);
		pthread_join(threads[0], NULL);
		pthread_join(threads[1], NULL);
		memory_free(b);
		memory_free(d);
	}
}
END_TEST

static void *receive(void *port)
{
	struct mesh_message *message;

	return (void *)(intptr_t)mesh_port_recv(port, PAL_DEADLINE_NONE, &message, NULL);
}

static unsigned blocked_on(struct mesh_port *port)
{
	struct mesh__space *space = mesh__port_lock(port);
	struct mesh__waiter *waiter;
	unsigned count = 0;

	if (port->waiters) {
		TAILQ_FOREACH(waiter, &port->waiters->blocked, of_port)
			count++;
	}
	mesh__space_unlock(space);
	return count;
}

/* In two threads, on a pair of this process and on a port of a node, whose thread they are then. */
START_TEST(threads_that_wait_on_a_port_return_when_it_goes)
{
	struct mesh_port *a, *b, *far, *passenger;
	struct mesh_message *message = NULL;
	struct mesh_invitation invitation;
	struct mesh_node *node = NULL;
	pthread_t threads[2];
	bool of_node = _i & 1, into_message = _i & 2;

	ck_assert_int_eq(mesh_port_pair(&a, &b), 0);
	if (of_node) {
		ck_assert_int_eq(mesh_port_pair(&far, &passenger), 0);
		ck_assert_int_eq(mesh_node_new(NULL, &node, NULL), 0);
		ck_assert_int_eq(mesh_node_invite(node, passenger, &invitation, NULL), 0);
		message = mesh_message_new("b goes there", 12);
		ck_assert_int_eq(mesh_message_put_port(message, PAL_TAKE_POINTER(b)), 0);
		ck_assert_int_eq(mesh_port_send(far, PAL_TAKE_POINTER(message)), 0);
	}
	for (int i = 0; i < 2; i++)
		ck_assert_int_eq(pthread_create(&threads[i], NULL, receive, a), 0);
	SUPPORT_LOOK_UNTIL(blocked_on(a) == 2);
	if (into_message) {
		message = mesh_message_new("a", 1);
		ck_assert_int_eq(mesh_message_put_port(message, a), 0);
	} else {
		mesh_port_free(a);
	}
	for (int i = 0; i < 2; i++) {
		void *result;

		ck_assert_int_eq(pthread_join(threads[i], &result), 0);
		ck_assert_int_eq((int)(intptr_t)result, -ECANCELED);
	}
	mesh_message_free(message);
	mesh_port_free(b);
	if (of_node) {
		mesh_port_free(far);
		mesh_invitation_clear(&invitation);
		mesh_node_free(node);
	}
}
END_TEST

/* ---- a thread that has entered mesh_port_recv when another one gives up the port ---- */

static _Thread_local bool entering;
static int entered, freeing, go_on;

/* mesh_port_recv allocates under the lock, once it has seen that it has to wait. */
void *__real_calloc(size_t count, size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_calloc(size_t count, size_t size)
{
	if (entering) {
		entering = false;
		support_tell(&entered, 1);
		support_await(&go_on, 1);
	}
	return __real_calloc(count, size);
}

static void *enter_receive(void *port)
{
	entering = true;
	return receive(port);
}

static void *give_up(void *port)
{
	support_tell(&freeing, gettid());
	mesh_port_free(port);
	return NULL;
}

START_TEST(who_is_about_to_wait_on_a_port_returns_when_it_goes)
{
	pthread_t receiver, freer;
	struct mesh_port *a, *b;
	void *result;

	entered = freeing = go_on = 0;
	ck_assert_int_eq(mesh_port_pair(&a, &b), 0);
	ck_assert_int_eq(pthread_create(&receiver, NULL, enter_receive, a), 0);
	support_await(&entered, 1);
	ck_assert_int_eq(pthread_create(&freer, NULL, give_up, a), 0);
	support_await(&freeing, 1);
	ck_assert(support_await_state(freeing, 'S')); /* for the lock */
	support_tell(&go_on, 1);
	ck_assert_int_eq(pthread_join(receiver, &result), 0);
	ck_assert_int_eq((int)(intptr_t)result, -ECANCELED);
	ck_assert_int_eq(pthread_join(freer, NULL), 0);
	mesh_port_free(b);
}
END_TEST

/* ---- a base that is about to call when another thread sets another callback ---- */

static _Thread_local bool calling;
static int called, replaced;

struct mesh__space *__real_mesh__port_lock(struct mesh_port *port);
struct mesh__space *__wrap_mesh__port_lock(struct mesh_port *port);
struct mesh__space *__wrap_mesh__port_lock(struct mesh_port *port)
{
	if (calling) {
		calling = false;
		support_tell(&called, 1);
		support_await(&replaced, 1);
	}
	return __real_mesh__port_lock(port);
}

/* It waits for the call. */
void __real_event_free(struct event *event);
void __wrap_event_free(struct event *event);
void __wrap_event_free(struct event *event)
{
	support_tell(&replaced, 1);
	__real_event_free(event);
}

static void *run_base(void *base)
{
	calling = true;
	event_base_loop(base, EVLOOP_ONCE);
	return NULL;
}

static void note_thread(struct mesh_port *port, int status, struct mesh_message *message, void *userdata)
{
	pthread_t *thread = userdata;

	(void)port;
	ck_assert_int_eq(status, 0);
	mesh_message_free(message);
	*thread = pthread_self();
}

static void note_writable(struct mesh_port *port, void *userdata)
{
	note_thread(port, 0, NULL, userdata);
}

static int set_callback(struct mesh_port *port, struct event_base *base, pthread_t *thread, bool writable)
{
	if (writable)
		return mesh_port_on_writable(port, base, note_writable, thread);
	return mesh_port_set_callback(port, base, note_thread, thread);
}

START_TEST(a_call_that_comes_late_is_not_one_of_the_callback_that_was_set_meanwhile)
{
	pthread_t runner, old = 0, new = 0;
	struct event_base *first, *second;
	struct mesh_port *a, *b;

	ck_assert_int_eq(evthread_use_pthreads(), 0);
	first = event_base_new();
	second = event_base_new();
	called = replaced = 0;
	ck_assert_int_eq(mesh_port_pair(&a, &b), 0);
	ck_assert_int_eq(set_callback(b, first, &old, _i), 0);
	ck_assert_int_eq(mesh_port_send(a, mesh_message_new("one", 3)), 0);
	ck_assert_int_eq(pthread_create(&runner, NULL, run_base, first), 0);
	support_await(&called, 1);
	ck_assert_int_eq(set_callback(b, second, &new, _i), 0);
	ck_assert_int_eq(pthread_join(runner, NULL), 0);
	ck_assert_int_eq(old, 0);
	ck_assert_int_eq(new, 0);
	event_base_loop(second, EVLOOP_ONCE);
	ck_assert(pthread_equal(new, pthread_self()));
	mesh_port_free(a);
	mesh_port_free(b);
	event_base_free(first);
	event_base_free(second);
	libevent_global_shutdown();
}
END_TEST

/* ---- bridges ---- */

struct joint {
	pthread_t thread;
	struct mesh_port *left, *right;
};

static void *join_ends(void *argument)
{
	struct joint *joint = argument;

	return (void *)(intptr_t)mesh_port_bridge(joint->left, joint->right);
}

/* A chain of pairs of no node and of a node, joined at all places at once while its first end sends. */
START_TEST(a_chain_is_joined_by_several_threads_at_once)
{
	enum { JOINTS = 4 };
	struct joint joints[JOINTS];
	struct mesh_port *first, *last;
	uint32_t next[SENDERS] = {0};
	struct sender sender = {0};

	memory_net_init(&net, 1);
	net.quiet = true;
	ck_assert_int_eq(mesh__port_pair(NULL, &first, &joints[0].left), 0);
	for (int i = 0; i + 1 < JOINTS; i++)
		ck_assert_int_eq(
		        mesh__port_pair(i % 2 ? &A->space : NULL, &joints[i].right, &joints[i + 1].left), 0);
	ck_assert_int_eq(mesh__port_pair(NULL, &joints[JOINTS - 1].right, &last), 0);
	sender.port = first;
	ck_assert_int_eq(pthread_create(&sender.thread, NULL, send_numbers, &sender), 0);
	for (int i = 0; i < JOINTS; i++)
		ck_assert_int_eq(pthread_create(&joints[i].thread, NULL, join_ends, &joints[i]), 0);
	for (int i = 0; i < JOINTS; i++) {
		void *result;

		ck_assert_int_eq(pthread_join(joints[i].thread, &result), 0);
		ck_assert_int_eq((int)(intptr_t)result, 0);
	}
	ck_assert_int_eq(pthread_join(sender.thread, NULL), 0);
	receive_numbers(last, next);
	ck_assert_uint_eq(next[0], MESSAGES);
	memory_free(first);
	ck_assert_int_eq(memory_end(last), -EPIPE);
	memory_free(last);
	memory_net_clear(&net);
}
END_TEST

static Suite *make_suite(void)
{
	Suite *suite = suite_create("mesh/port-threads");
	TCase *threads = support_tcase(suite, "threads");

	tcase_add_test(threads, senders_keep_their_order_while_the_receiver_moves);
	tcase_add_test(threads, a_node_goes_while_others_use_its_ports);
	tcase_add_loop_test(threads, threads_that_wait_on_a_port_return_when_it_goes, 0, 4);
	tcase_add_test(threads, who_is_about_to_wait_on_a_port_returns_when_it_goes);
	tcase_add_loop_test(threads, a_call_that_comes_late_is_not_one_of_the_callback_that_was_set_meanwhile, 0, 2);
	tcase_add_loop_test(threads, a_chain_is_joined_by_several_threads_at_once, 0, 20);
	return suite;
}
SUPPORT_MAIN(make_suite)
