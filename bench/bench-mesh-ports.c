/* SPDX-License-Identifier: MIT */

/*
 * Ports within one process, without a node:
 *
 * mesh.local.send_recv    64 bytes sent on one end of a pair and received on the other, by one thread; compared with a
 *                         node from malloc(3) on a list under a mutex
 * mesh.local.crossthread  64 bytes to another thread and back; compared with two such lists with condition variables
 * mesh.ports.1M           a million pairs are made, then freed: time of one; compared with two allocations of 256 bytes,
 *                         which is what a port may take at most
 * mesh.ports.1M.bytes     resident memory of one port of them
 */

#include <mesh/mesh.h>

#include <malloc.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <unistd.h>

#include "harness.h"

#define MESSAGE_SIZE 64
#define PAIRS 1000000u
#define PORT_BYTES 256

/* ---- the floor: a list under a mutex ---- */

struct node {
	STAILQ_ENTRY(node) next;
	char bytes[MESSAGE_SIZE];
};

struct list {
	pthread_mutex_t lock;
	pthread_cond_t filled;
	STAILQ_HEAD(, node) nodes;
};
static struct list there = {PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, STAILQ_HEAD_INITIALIZER(there.nodes)};
static struct list back = {PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, STAILQ_HEAD_INITIALIZER(back.nodes)};

static void list_push(struct list *list, const char *bytes, bool wake)
{
	struct node *node = malloc(sizeof *node);

	memcpy(node->bytes, bytes, MESSAGE_SIZE);
	pthread_mutex_lock(&list->lock);
	STAILQ_INSERT_TAIL(&list->nodes, node, next);
	if (wake)
		pthread_cond_signal(&list->filled);
	pthread_mutex_unlock(&list->lock);
}

static void list_pop(struct list *list, char *bytes)
{
	struct node *node;

	pthread_mutex_lock(&list->lock);
	while (!(node = STAILQ_FIRST(&list->nodes)))
		pthread_cond_wait(&list->filled, &list->lock);
	STAILQ_REMOVE_HEAD(&list->nodes, next);
	pthread_mutex_unlock(&list->lock);
	memcpy(bytes, node->bytes, MESSAGE_SIZE);
	free(node);
}

static void list_run(unsigned count)
{
	char bytes[MESSAGE_SIZE] = "";

	while (count--) {
		list_push(&there, bytes, false);
		list_pop(&there, bytes);
	}
}

/* ---- a pair ---- */

static struct mesh_port *ends[2];

static void pair_start(void)
{
	bench_check(mesh_port_pair(&ends[0], &ends[1]), "mesh_port_pair");
}

static void pair_stop(void)
{
	mesh_port_free(ends[0]);
	mesh_port_free(ends[1]);
}

static void port_send(struct mesh_port *port, const char *bytes)
{
	struct mesh_message *message = mesh_message_new(bytes, MESSAGE_SIZE);

	if (!message)
		bench_die("mesh_message_new");
	bench_check(mesh_port_send(port, message), "mesh_port_send");
}

static void pair_run(unsigned count)
{
	char bytes[MESSAGE_SIZE] = "";

	while (count--) {
		struct mesh_message *message;

		port_send(ends[0], bytes);
		bench_check(mesh_port_try_recv(ends[1], &message), "mesh_port_try_recv");
		memcpy(bytes, mesh_message_data(message), MESSAGE_SIZE);
		mesh_message_free(message);
	}
}

/* ---- another thread ---- */

/* One that does nothing: while a process has no second thread its mutexes cost nothing, and who uses a mesh has one. */
static void *idle(void *unused)
{
	for (;;)
		pause();
	return unused;
}

static pthread_t echo;

static void *list_echo(void *unused)
{
	char bytes[MESSAGE_SIZE];

	(void)unused;
	do {
		list_pop(&there, bytes);
		list_push(&back, bytes, true);
	} while (bytes[0] != 'q');
	return NULL;
}

static void lists_round(char *bytes)
{
	list_push(&there, bytes, true);
	list_pop(&back, bytes);
}

static void lists_start(void)
{
	bench_check(-pthread_create(&echo, NULL, list_echo, NULL), "pthread_create");
}

static void lists_run(unsigned count)
{
	char bytes[MESSAGE_SIZE] = "";

	while (count--)
		lists_round(bytes);
}

static void lists_stop(void)
{
	char bytes[MESSAGE_SIZE] = "q";

	lists_round(bytes);
	pthread_join(echo, NULL);
}

static pthread_t port_thread;

static void *port_echo(void *unused)
{
	struct mesh_message *message;

	(void)unused;
	while (mesh_port_recv(ends[1], PAL_DEADLINE_NONE, &message, NULL) == 0)
		bench_check(mesh_port_send(ends[1], message), "mesh_port_send");
	return NULL;
}

static void ports_start(void)
{
	pair_start();
	bench_check(-pthread_create(&port_thread, NULL, port_echo, NULL), "pthread_create");
}

static void ports_run(unsigned count)
{
	char bytes[MESSAGE_SIZE] = "";

	while (count--) {
		struct mesh_message *message;

		port_send(ends[0], bytes);
		bench_check(mesh_port_recv(ends[0], PAL_DEADLINE_NONE, &message, NULL), "mesh_port_recv");
		mesh_message_free(message);
	}
}

static void ports_stop(void)
{
	mesh_port_free(ends[0]);
	pthread_join(port_thread, NULL);
	mesh_port_free(ends[1]);
}

/* ---- a million ---- */

static void *(*many)[2];

static void many_start(void)
{
	many = calloc(PAIRS, sizeof *many);
	if (!many)
		bench_die("calloc");
	memset(many, 1, PAIRS * sizeof *many); /* resident now */
}

static void many_stop(void)
{
	free(many);
	malloc_trim(0);
}

static void blocks_run(unsigned count)
{
	for (unsigned i = 0; i < count; i++) {
		many[i][0] = calloc(1, PORT_BYTES);
		many[i][1] = calloc(1, PORT_BYTES);
	}
	for (unsigned i = 0; i < count; i++) {
		free(many[i][0]);
		free(many[i][1]);
	}
}

static void make_pairs(unsigned count)
{
	for (unsigned i = 0; i < count; i++) {
		struct mesh_port *a, *b;

		bench_check(mesh_port_pair(&a, &b), "mesh_port_pair");
		many[i][0] = a;
		many[i][1] = b;
	}
}

static void free_pairs(unsigned count)
{
	for (unsigned i = 0; i < count; i++) {
		mesh_port_free(many[i][0]);
		mesh_port_free(many[i][1]);
	}
}

static void pairs_run(unsigned count)
{
	make_pairs(count);
	free_pairs(count);
}

static double resident_bytes(void)
{
	unsigned long pages;
	FILE *file = fopen("/proc/self/statm", "re");

	if (!file || fscanf(file, "%*u %lu", &pages) != 1)
		bench_die("/proc/self/statm");
	fclose(file);
	return (double)pages * (double)sysconf(_SC_PAGESIZE);
}

static void weigh_ports(void)
{
	double before, bytes;

	many_start();
	malloc_trim(0);
	before = resident_bytes();
	make_pairs(PAIRS);
	bytes = (resident_bytes() - before) / PAIRS / 2;
	free_pairs(PAIRS);
	many_stop();
	printf("mesh.ports.1M.bytes\tprocmesh\t%.1f\t%.1f\t%.1f\tbytes\t%.3f\n", bytes, bytes, bytes, bytes / PORT_BYTES);
}

static const struct bench_candidate send_recv[] = {{.name = "mutex queue", .run = list_run},
	{.name = "procmesh", .start = pair_start, .run = pair_run, .stop = pair_stop}, {0}};
static const struct bench_candidate crossthread[] = {
	{.name = "mutex queue", .start = lists_start, .run = lists_run, .stop = lists_stop},
	{.name = "procmesh", .start = ports_start, .run = ports_run, .stop = ports_stop}, {0}};
static const struct bench_candidate million[] = {
	{.name = "2 x calloc 256", .start = many_start, .run = blocks_run},
	{.name = "procmesh", .run = pairs_run, .stop = many_stop}, {0}};

int main(void)
{
	pthread_t thread;

	bench_check(-pthread_create(&thread, NULL, idle, NULL), "pthread_create");
	weigh_ports(); /* first, while no freed memory is kept */
	bench_run(&(struct bench_measure){
		.name = "mesh.local.send_recv", .unit = "ns", .batch = 20000, .rounds = 51, .candidates = send_recv});
	bench_run(&(struct bench_measure){
		.name = "mesh.local.crossthread", .unit = "ns", .batch = 1000, .rounds = 51, .candidates = crossthread});
	bench_run(&(struct bench_measure){
		.name = "mesh.ports.1M", .unit = "ns", .batch = PAIRS, .rounds = 5, .candidates = million});
	return 0;
}
