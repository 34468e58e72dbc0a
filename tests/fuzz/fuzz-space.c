/* SPDX-License-Identifier: MIT */

/*
 * A node's ports and a history: events from two other nodes, well formed or as
 * they come, among what the application does and the loss of nodes. Nothing may
 * break, leak or stay behind.
 *
 * The input is a list of steps, one byte that says which, and what it needs;
 * what is missing at the end reads as 0. Ids are one byte of the input: low ones
 * are those of ports and nodes that exist. corpus/space was found by libFuzzer
 * and chosen with -set_cover_merge=1.
 */

#include <fcntl.h>
#include <string.h>

#include <mesh/machine-priv.h>
#include <pal/util-priv.h>

#include "fuzz.h"

enum {
	PORTS = 6,
	REMOTES = 3
};

static struct mesh__space space;
static struct mesh__remote *remotes[REMOTES]; /* nodes 2, 3, 4; the space's own is 1 */
static struct mesh_port *owned[32];

/* ---- input ---- */

static const uint8_t *at, *end;

static uint8_t byte(void)
{
	return at < end ? *at++ : 0;
}

static struct mesh_id id_of(uint8_t number)
{
	struct mesh_id id = {{0}};

	if (number)
		memset(&id, number, sizeof id);
	return id;
}

static struct mesh_id some_id(void)
{
	return id_of(byte());
}

/* Small ones, and some at the edges. */
static uint64_t number(void)
{
	uint8_t value = byte();

	if (value < 0xf0)
		return value;
	return value < 0xf8 ? UINT64_MAX - (value & 7u)
	                    : ((uint64_t)1 << (value & 7u) * 8) + byte();
}

/* ---- other nodes ---- */

static void post(
        struct mesh__remote *remote, const struct mesh_id *port_id, struct mesh__event *event)
{
	uint8_t *data;
	size_t size, count;
	int fds[MESH_MESSAGE_MAX_FDS];

	if (mesh__space_encode(remote, port_id, event, 8, &data, &size, fds, &count) < 0)
		return;
	must(size >= MESH__EVENT_HEADER_SIZE && data[8 + 16] <= MESH__EVENT_FAIL_PORT);
	while (count)
		pal_close(fds[--count]);
	free(data);
}

static void free_remote(struct mesh__remote *remote)
{
	free(remote);
}

static const struct mesh__remote_ops remote_ops = {.post = post, .free = free_remote};

static struct mesh__remote *remote_of(struct mesh__space *of, const struct mesh_id *node)
{
	struct mesh__remote **place = &remotes[node->bytes[0] % REMOTES];

	if (*place && mesh__id_equal(&(*place)->id, node))
		return mesh__remote_ref(*place);
	if (*place) { /* only so many: another takes its place */
		(*place)->failed = true;
		mesh__remote_unref(*place);
	}
	*place = calloc(1, sizeof **place);
	must(*place);
	**place = (struct mesh__remote){.ops = &remote_ops, .space = of, .id = *node, .refs = 1};
	return mesh__remote_ref(*place);
}

static const struct mesh__space_ops space_ops = {.remote = remote_of};

/* ---- steps ---- */

/* As a link does it with the body of a large event; `lost`: there was no memory for it. */
static void detach_body(struct mesh__incoming *incoming, bool lost)
{
	struct mesh__raw_event raw;

	incoming->detached = true;
	(void)mesh__raw_event_parse(incoming->data, incoming->size, &raw);
	if (!lost)
		incoming->body = mesh_message_new(raw.body, raw.body_size);
}

static void receive(const void *event, size_t size)
{
	struct mesh_id node = id_of((uint8_t)(2 + byte() % 3));
	struct mesh__remote *from = remote_of(&space, &node);
	uint8_t how = byte();
	size_t count = how % 4;
	int fds[4];
	uint8_t *copy = malloc(size ? size : 1); /* without a byte to spare */
	struct mesh__incoming incoming = {.data = copy, .size = size};

	must(copy);
	if (size)
		memcpy(copy, event, size);
	for (size_t i = 0; i < count; i++)
		fds[i] = open("/dev/null", O_RDONLY | O_CLOEXEC);
	if (how & 0x80)
		detach_body(&incoming, how & 0x40);
	(void)mesh__space_receive(&space, from, &incoming, fds, count);
	mesh__remote_unref(from);
	free(copy);
}

static void receive_as_it_comes(void)
{
	size_t size = byte() % 250u;

	if (size > (size_t)(end - at))
		size = (size_t)(end - at);
	at += size;
	receive(at - size, size);
}

static void write_records(uint8_t *out, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		struct mesh__record record = {.id = some_id()};

		if (!mesh__id_is_zero(&record.id)) {
			record.next_local_seq = number();
			record.old_node = some_id();
			record.old_port = some_id();
			record.peer_node = some_id();
			record.peer_port = some_id();
		}
		mesh__record_write(out + i * MESH__RECORD_SIZE, &record);
	}
}

static void receive_well_formed(void)
{
	uint8_t event[MESH__EVENT_HEADER_SIZE + 3 * MESH__RECORD_SIZE + MESH__CHANGE_PEER_SIZE] = {
	        0};
	struct mesh_id port = some_id();
	uint8_t type = byte() % 8, flags = byte();
	uint64_t seq = number();
	size_t records = type == MESH__EVENT_MESSAGE ? byte() % 4u : 0, body = 0;
	uint8_t *body_at = event + mesh__event_size(records, 0);

	write_records(event + MESH__EVENT_HEADER_SIZE, records);
	if (type == MESH__EVENT_CHANGE_PEER) {
		struct mesh__change_peer change = {
		        .node = some_id(), .port = some_id(), .seq_delta = number()};

		mesh__change_peer_write(body_at, &change);
		body = MESH__CHANGE_PEER_SIZE;
	} else if (type == MESH__EVENT_FAIL_PORT) {
		body = 16;
	}
	mesh__event_header_write(event, &port, type, flags, seq, (uint32_t)records, (uint32_t)body);
	receive(event, mesh__event_size(records, body));
}

static struct mesh_port **owned_place(void)
{
	return &owned[byte() % PAL_ARRAY_LENGTH(owned)];
}

static void send(struct mesh_port *port)
{
	struct mesh_message *message = mesh_message_new("text", byte() % 5u);
	struct mesh_port **carried = owned_place();
	uint8_t how = byte();

	must(message);
	if (*carried && *carried != port && (how & 1)) {
		mesh__space_unlock(&space); /* it takes that of the port */
		must(!mesh_message_put_port(message, PAL_TAKE_POINTER(*carried)));
		mesh__space_lock(&space);
	}
	if (how & 2)
		must(!mesh_message_put_fd(message, open("/dev/null", O_RDONLY | O_CLOEXEC)));
	(void)mesh__port_send(port, message, how & 4);
}

/* Keeps the first port of a message where there is a place for it. */
static void take(struct mesh_port *port)
{
	struct mesh_message *message = mesh__port_take(port);
	struct mesh_port **place = owned_place();

	if (message && !*place)
		*place = mesh_message_take_port(message, 0);
	mesh__event_message_free(&space, message);
}

static void lose(void)
{
	struct mesh__remote **place = &remotes[byte() % REMOTES], *remote = *place;

	if (!remote)
		return;
	*place = NULL;
	mesh__space_lost(&space, remote);
	mesh__remote_unref(remote);
}

static void act(void)
{
	struct mesh_port **place = owned_place();

	switch (byte() % 6) {
	case 0:
		if (*place)
			send(*place);
		break;
	case 1:
		if (*place)
			take(*place);
		break;
	case 2:
		if (*place)
			mesh__port_disown(PAL_TAKE_POINTER(*place));
		break;
	case 3:
		if (*place)
			mesh__port_fail(*place, "fuzz");
		break;
	case 4:
		lose();
		break;
	case 5:
		space.backlog_first = !space.backlog_first;
		break;
	}
}

/* ---- one history ---- */

static void begin(void)
{
	struct mesh_id self = id_of(1);

	mesh__space_init(&space, &space_ops, &self);
	memset(remotes, 0, sizeof remotes);
	memset(owned, 0, sizeof owned);
	must(!mesh__port_pair(&space, &owned[0], &owned[1]));
	must(!mesh__port_pair(NULL, &owned[2], &owned[3]));
	mesh__space_lock(&space);
	for (uint8_t i = 4; i < PORTS; i++) {
		struct mesh_id node = id_of((uint8_t)(2 + i % 2)), id = id_of(i),
		               peer = id_of((uint8_t)(0x10 + i));
		struct mesh__remote *remote = remote_of(&space, &node);

		must(!mesh__port_new_remote(&space, &id, remote, &peer, &owned[i]));
		mesh__remote_unref(remote);
	}
	for (uint8_t i = 0; i < 2; i++) {
		struct mesh_id id = id_of((uint8_t)(6 + i));

		must(!mesh__space_register(owned[i], &id));
	}
	mesh__space_unlock(&space);
}

static void finish(void)
{
	mesh__space_deinit(&space);
	must(!space.moving && !space.ports && LIST_EMPTY(&space.all));
	for (size_t i = 0; i < PAL_ARRAY_LENGTH(owned); i++) {
		if (owned[i])
			mesh__port_release(owned[i], false);
	}
	for (size_t i = 0; i < REMOTES; i++) {
		must(!remotes[i] || remotes[i]->refs == 1);
		free(remotes[i]);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	at = data;
	end = data + size;
	begin();
	while (at < end) {
		/* Each step under the lock of its own: what it gave up is freed at the unlock. */
		mesh__space_lock(&space);
		switch (byte() % 4) {
		case 0:
			receive_as_it_comes();
			break;
		case 1:
			act();
			break;
		default:
			receive_well_formed();
			break;
		}
		mesh__space_unlock(&space);
	}
	finish();
	return 0;
}
