/* SPDX-License-Identifier: MIT */
#include "memory-link.h"

#include <check.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include <pal/util-priv.h>

struct memory_remote {
	struct mesh__remote remote; /* first */
	LIST_ENTRY(memory_remote) next;
};

void (*memory_scarce)(bool scarce);

void memory_call_scarce(bool scarce)
{
	if (memory_scarce)
		memory_scarce(scarce);
}

static struct memory_node *node_of(struct mesh__space *space)
{
	return (struct memory_node *)space; /* its first member */
}

static struct memory_node *node_by_id(struct memory_net *net, const struct mesh_id *id)
{
	for (size_t i = 0; i < net->node_count; i++) {
		if (mesh__id_equal(&net->nodes[i].space.node, id))
			return &net->nodes[i];
	}
	return NULL;
}

/* ---- names and lines ---- */

struct mesh_id memory_id(const char *text)
{
	struct mesh_id id = {0};

	memcpy(&id, text, strnlen(text, sizeof id));
	return id;
}

void memory_name(struct memory_net *net, const struct mesh_id *id, const char *name)
{
	struct memory_name *entry = calloc(1, sizeof *entry);

	entry->id = *id;
	snprintf(entry->text, sizeof entry->text, "%s", name);
	LIST_INSERT_HEAD(&net->names, entry, next);
}

const char *memory_name_of(struct memory_net *net, const struct mesh_id *id, char buffer[40])
{
	struct memory_name *entry;

	LIST_FOREACH(entry, &net->names, next) {
		if (mesh__id_equal(&entry->id, id))
			return entry->text;
	}
	if (mesh__id_is_zero(id))
		return "0";
	for (size_t i = 0; i < sizeof *id; i++)
		sprintf(buffer + 2 * i, "%02x", id->bytes[i]);
	return buffer;
}

static const char *node_name(const struct mesh_id *id, char buffer[2])
{
	buffer[0] = id->bytes[0] ? (char)id->bytes[0] : '0';
	buffer[1] = 0;
	return buffer;
}

static void print_record(FILE *out, struct memory_net *net, const uint8_t *at)
{
	struct mesh__record record;
	char a[40], b[40], c[40], d[2], e[2];

	mesh__record_parse(at, &record);
	fprintf(out, " | RES id=%s next_local=%llu old=%s.%s peer=%s.%s",
	        memory_name_of(net, &record.id, a), (unsigned long long)record.next_local_seq,
	        node_name(&record.old_node, d), memory_name_of(net, &record.old_port, b),
	        node_name(&record.peer_node, e), memory_name_of(net, &record.peer_port, c));
}

static char *describe(struct memory_net *net, const struct memory_packet *packet)
{
	static const char *const types[] = {[1] = "MESSAGE",
	        [3] = "CHANGE_PEER",
	        [4] = "ACK_CHANGE_PEER",
	        [5] = "ACK_PORT",
	        [6] = "FAIL_PORT"};
	struct mesh__raw_event raw;
	struct mesh__change_peer change;
	struct mesh_id blamed;
	char *line, buffer[40], node[2];
	size_t size;
	FILE *out = open_memstream(&line, &size);

	ck_assert_int_eq(mesh__raw_event_parse(packet->data, packet->size, &raw), 0);
	fprintf(out, "%c -> %c (%zuB): ->port %s seq %llu %s", packet->from->name, packet->to->name,
	        packet->size, memory_name_of(net, &raw.port, buffer), (unsigned long long)raw.seq,
	        types[raw.type]);
	if (raw.type == MESH__EVENT_MESSAGE)
		fprintf(out, " flags=%02x res=%u size=%u", raw.flags, raw.record_count,
		        raw.body_size);
	for (size_t i = 0; i < raw.record_count; i++)
		print_record(out, net, raw.records + i * MESH__RECORD_SIZE);
	if (!mesh__change_peer_read(&raw, &change) && raw.type == MESH__EVENT_CHANGE_PEER)
		fprintf(out, " new=%s.%s delta=%lld", node_name(&change.node, node),
		        memory_name_of(net, &change.port, buffer), (long long)change.seq_delta);
	if (raw.type == MESH__EVENT_FAIL_PORT && !mesh__fail_port_read(&raw, &blamed))
		fprintf(out, " node=%s", node_name(&blamed, node));
	fclose(out);
	return line;
}

static void log_line(struct memory_net *net, char *line)
{
	if (net->log_count == net->log_room) {
		net->log_room = net->log_room ? 2 * net->log_room : 32;
		net->log = reallocarray(net->log, net->log_room, sizeof *net->log);
	}
	net->log[net->log_count++] = line;
}

/* ---- remotes ---- */

static struct memory_packet *encode(struct memory_node *from, struct memory_node *to,
        struct mesh__remote *remote, const struct mesh_id *port_id, struct mesh__event *event)
{
	struct memory_packet *packet;
	int r;

	memory_call_scarce(false);
	packet = calloc(1, sizeof *packet);
	packet->from = from;
	packet->to = to;
	memory_call_scarce(true);
	r = mesh__space_encode(remote, port_id, event, 0, &packet->data, &packet->size, packet->fds,
	        &packet->fd_count);
	if (!r)
		return packet;
	if (r == -ENOMEM)
		from->gives_up = to;
	free(packet);
	return NULL;
}

static void post(
        struct mesh__remote *remote, const struct mesh_id *port_id, struct mesh__event *event)
{
	struct memory_node *from = node_of(remote->space);
	struct memory_node *to = node_by_id(from->net, &remote->id);
	struct memory_packet *packet;

	if (!to || to->dead || from->dead) {
		mesh__event_free(event);
		return;
	}
	packet = encode(from, to, remote, port_id, event);
	if (!packet)
		return;
	if (!from->net->quiet)
		packet->line = describe(from->net, packet);
	TAILQ_INSERT_TAIL(&from->net->packets, packet, next);
	from->net->packet_count++;
}

static void give_up(struct mesh__remote *remote)
{
	struct memory_node *from = node_of(remote->space);

	from->gives_up = node_by_id(from->net, &remote->id);
}

static void free_remote(struct mesh__remote *remote)
{
	free(remote);
}

static const struct mesh__remote_ops remote_ops = {
        .post = post, .free = free_remote, .give_up = give_up};

/* Borrowed. */
struct mesh__remote *memory_remote(struct memory_node *node, const struct mesh_id *id)
{
	struct memory_remote *remote;

	LIST_FOREACH(remote, &node->remotes, next) {
		if (mesh__id_equal(&remote->remote.id, id))
			return &remote->remote;
	}
	remote = calloc(1, sizeof *remote);
	if (!remote)
		return NULL;
	remote->remote = (struct mesh__remote){
	        .ops = &remote_ops, .space = &node->space, .id = *id, .refs = 1};
	LIST_INSERT_HEAD(&node->remotes, remote, next);
	return &remote->remote;
}

static struct mesh__remote *remote_op(struct mesh__space *space, const struct mesh_id *id)
{
	struct mesh__remote *remote = memory_remote(node_of(space), id);

	return remote ? mesh__remote_ref(remote) : NULL;
}

static const struct mesh__space_ops space_ops = {.remote = remote_op};

static void lose_remote(struct memory_node *node, struct memory_remote *remote)
{
	mesh__space_lock(&node->space);
	LIST_REMOVE(remote, next);
	mesh__space_lost(&node->space, &remote->remote);
	mesh__remote_unref(&remote->remote);
	mesh__space_unlock(&node->space);
}

/* What the leader would answer to a node that wants to be linked with one that is not there. */
static bool lose_the_unknown(struct memory_node *node)
{
	struct memory_remote *remote;

	LIST_FOREACH(remote, &node->remotes, next) {
		struct memory_node *other = node_by_id(node->net, &remote->remote.id);

		if (!other || other->dead) {
			lose_remote(node, remote);
			return true;
		}
	}
	return false;
}

void memory_tell_lost(struct memory_node *node, struct memory_node *gone)
{
	struct memory_remote *remote;

	LIST_FOREACH(remote, &node->remotes, next) {
		if (mesh__id_equal(&remote->remote.id, &gone->space.node)) {
			lose_remote(node, remote);
			return;
		}
	}
}

/* ---- the net ---- */

void memory_net_init(struct memory_net *net, size_t nodes)
{
	*net = (struct memory_net){.node_count = nodes};
	TAILQ_INIT(&net->packets);
	LIST_INIT(&net->names);
	for (size_t i = 0; i < nodes; i++) {
		struct memory_node *node = &net->nodes[i];
		struct mesh_id id = {{(uint8_t)('A' + i)}};

		node->net = net;
		node->name = (char)('A' + i);
		LIST_INIT(&node->remotes);
		mesh__space_init(&node->space, &space_ops, &id);
	}
}

static void clear_node(struct memory_node *node)
{
	struct memory_remote *remote;

	mesh__space_deinit(&node->space);
	ck_assert_uint_eq(node->space.moving, 0);
	ck_assert_ptr_null(node->space.ports);
	ck_assert_uint_eq(node->space.counters.ports, 0);
	ck_assert_uint_eq(node->space.counters.waiting.messages, 0);
	ck_assert_uint_eq(node->space.counters.waiting.bytes, 0);
	ck_assert_uint_eq(node->space.counters.waiting.fds, 0);
	ck_assert_uint_eq(node->space.counters.waiting.ports, 0);
	while ((remote = LIST_FIRST(&node->remotes))) {
		LIST_REMOVE(remote, next);
		ck_assert_uint_eq(remote->remote.refs, 1);
		ck_assert_uint_eq(remote->remote.held.bytes, 0);
		ck_assert_uint_eq(remote->remote.held.events, 0);
		ck_assert_uint_eq(remote->remote.held.fds, 0);
		free(remote);
	}
}

void memory_net_clear(struct memory_net *net)
{
	struct memory_name *name;

	for (size_t i = 0; i < net->node_count; i++)
		clear_node(&net->nodes[i]);
	while (!TAILQ_EMPTY(&net->packets))
		memory_lose(net, TAILQ_FIRST(&net->packets));
	while ((name = LIST_FIRST(&net->names))) {
		LIST_REMOVE(name, next);
		free(name);
	}
	while (net->log_count)
		free(net->log[--net->log_count]);
	free(net->log);
}

static void take_out(struct memory_net *net, struct memory_packet *packet)
{
	TAILQ_REMOVE(&net->packets, packet, next);
	net->packet_count--;
	if (packet->line)
		log_line(net, packet->line);
}

void memory_lose(struct memory_net *net, struct memory_packet *packet)
{
	take_out(net, packet);
	for (size_t i = 0; i < packet->fd_count; i++)
		pal_close(packet->fds[i]);
	free(packet->data);
	free(packet);
}

void memory_inject(struct memory_node *to, struct memory_node *from, const void *event, size_t size,
        int *fds, size_t fd_count)
{
	struct mesh__remote *remote = memory_remote(to, &from->space.node);
	struct mesh__incoming incoming = {.data = event, .size = size};

	mesh__space_lock(&to->space);
	memory_call_scarce(true);
	(void)mesh__space_receive(&to->space, remote, &incoming, fds, fd_count);
	memory_call_scarce(false);
	mesh__space_unlock(&to->space);
}

void memory_deliver(struct memory_net *net, struct memory_packet *packet)
{
	take_out(net, packet);
	memory_inject(packet->to, packet->from, packet->data, packet->size, packet->fds,
	        packet->fd_count);
	free(packet->data);
	free(packet);
}

static void lose_between(struct memory_net *net, struct memory_node *a, struct memory_node *b)
{
	struct memory_packet *packet, *next;

	for (packet = TAILQ_FIRST(&net->packets); packet; packet = next) {
		next = TAILQ_NEXT(packet, next);
		if ((packet->from == a && packet->to == b) ||
		        (packet->from == b && packet->to == a))
			memory_lose(net, packet);
	}
}

static void end_given_up_links(struct memory_net *net)
{
	for (size_t i = 0; i < net->node_count; i++) {
		struct memory_node *a = &net->nodes[i], *b = a->gives_up;

		a->gives_up = NULL;
		if (b) {
			lose_between(net, a, b);
			memory_tell_lost(a, b);
			memory_tell_lost(b, a);
		}
	}
}

struct memory_packet *memory_pick(struct memory_net *net, unsigned *seed)
{
	struct memory_packet *packet = TAILQ_FIRST(&net->packets), *first;

	for (size_t skip = (size_t)rand_r(seed) % net->packet_count; skip; skip--)
		packet = TAILQ_NEXT(packet, next);
	if (!net->links_in_order)
		return packet;
	TAILQ_FOREACH(first, &net->packets, next) {
		if (first->from == packet->from && first->to == packet->to)
			break;
	}
	return first;
}

void memory_run(struct memory_net *net, unsigned *seed)
{
	bool again = true;

	while (again) {
		while (net->packet_count) {
			memory_deliver(net,
			        seed ? memory_pick(net, seed) : TAILQ_FIRST(&net->packets));
			end_given_up_links(net);
		}
		end_given_up_links(net);
		again = false;
		for (size_t i = 0; i < net->node_count; i++)
			again |= !net->nodes[i].dead && lose_the_unknown(&net->nodes[i]);
	}
}

void memory_kill(struct memory_node *node)
{
	struct memory_net *net = node->net;
	struct memory_packet *packet, *next;

	node->dead = true;
	for (packet = TAILQ_FIRST(&net->packets); packet; packet = next) {
		next = TAILQ_NEXT(packet, next);
		if (packet->from == node || packet->to == node)
			memory_lose(net, packet);
	}
	for (size_t i = 0; i < net->node_count; i++) {
		if (!net->nodes[i].dead)
			memory_tell_lost(&net->nodes[i], node);
	}
}
