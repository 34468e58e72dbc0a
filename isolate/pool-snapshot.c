/* SPDX-License-Identifier: MIT */

/* Making and ending a snapshot process, as this process sees it. */
#include <isolate/pool-priv.h>

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include <pal/process-mark.h>
#include <pal/socket.h>
#include <pal/util-priv.h>

/* How long a snapshot may take to end its workers. */
#define END_WITHIN_MS 2000

#define PLACE(fd) PAL_PRIVATE_PLACE(struct isolate__slot, private, fd)
static const ptrdiff_t private_places[] = {
	PLACE(socket), PLACE(seat_socket), PLACE(line), PLACE(area_fd), PLACE(worker_line)};
static const struct pal_private_layout private_layout = {
	.count = PAL_ARRAY_LENGTH(private_places), .places = private_places};

static int open_pair(struct isolate__slot *slot)
{
	int ends[2], r = pal_socket_pair(SOCK_SEQPACKET, ends);

	if (r < 0)
		return r;
	slot->socket = isolate__lift(ends[0]);
	r = slot->socket < 0 ? -errno : 0;
	slot->seat_socket = isolate__lift(ends[1]);
	return slot->seat_socket < 0 ? -errno : r;
}

static int open_sockets(struct isolate__slot *slot, struct isolate__seat *seat)
{
	bool held = pal_private_begin();
	int r = open_pair(slot);

	pal_private_end(held);
	seat->socket = slot->seat_socket;
	return r;
}

static int make_places(struct isolate__snapshot *snapshot)
{
	unsigned count = snapshot->pool->at_once;
	int r = 0;

	snapshot->slots = calloc(count, sizeof *snapshot->slots);
	if (snapshot->slots)
		snapshot->seats = calloc(count, sizeof *snapshot->seats);
	if (!snapshot->seats) {
		free(snapshot->slots);
		snapshot->slots = NULL; /* no descriptor in them is one yet */
		return -ENOMEM;
	}
	for (unsigned i = 0; i < count; i++) {
		snapshot->seats[i] = (struct isolate__seat){
			.snapshot = snapshot, .socket = -1, .line = -1};
		snapshot->slots[i] = (struct isolate__slot){.snapshot = snapshot,
			.socket = -1,
			.seat_socket = -1,
			.line = -1,
			.area_fd = -1,
			.worker_line = -1,
			.next = snapshot->idle};
		pal_private_add(&snapshot->slots[i].private, &private_layout);
		snapshot->idle = &snapshot->slots[i];
	}
	for (unsigned i = 0; i < count && r == 0; i++)
		r = open_sockets(&snapshot->slots[i], &snapshot->seats[i]);
	return r;
}

/* What the snapshot itself is like: workers have their own plan, which begins where it is. */
static struct pal_builder *make_builder(const struct isolate__snapshot *snapshot)
{
	const struct isolate_pool *pool = snapshot->pool;
	struct pal_builder *builder = pal_builder_new(NULL);
	/* A sandbox may have descriptors that are not known here. */
	bool closes = pool->options.keep_fds && !pool->options.sandbox;

	pal_builder_parent_death(builder, SIGKILL);
	pal_builder_parent_death_of_process(builder, true);
	pal_builder_close_others(builder, closes);
	for (size_t i = 0; closes && i < pool->kept_count; i++)
		pal_builder_dup_fd(builder, pool->kept[i].fd, pool->kept[i].fd);
	/* What it has of this pool: it is nobody else's. */
	for (unsigned i = 0; i < pool->at_once; i++)
		pal_builder_dup_fd(
			builder, snapshot->seats[i].socket, snapshot->seats[i].socket);
	pal_builder_dup_fd(builder, pool->worker_line, pool->worker_line);
	return builder;
}

static int start(struct isolate__snapshot *snapshot, struct pal_error *error)
{
	struct pal_builder *builder;
	struct isolate__crash_area unused;
	int r = isolate__guard_register();

	if (r < 0)
		return pal_error_set(
			error, ISOLATE_STAGE_SNAPSHOT, r, "memory for a destructor of this thread");
	builder = make_builder(snapshot);
	if (snapshot->pool->options.crash_report)
		isolate__crash_prepare(&unused); /* what is done once, copies are to have */
	r = pal_fork(builder, isolate__serve, snapshot, &snapshot->process, error);
	pal_builder_free(builder);
	for (unsigned i = 0; i < snapshot->pool->at_once; i++)
		pal_private_close(&snapshot->slots[i].seat_socket);
	if (r < 0 && error)
		error->stage = ISOLATE_STAGE_SNAPSHOT;
	return r;
}

int isolate__snapshot_new(
	struct isolate_pool *pool, struct isolate__snapshot **ret, struct pal_error *error)
{
	struct isolate__snapshot *snapshot = calloc(1, sizeof *snapshot);
	int r;

	if (!snapshot)
		return pal_error_set(error, ISOLATE_STAGE_SNAPSHOT, -ENOMEM, "a snapshot");
	snapshot->pool = pool;
	snapshot->host = getpid();
	r = make_places(snapshot);
	if (r < 0)
		pal_error_set(error, ISOLATE_STAGE_SNAPSHOT, r, "places in a snapshot");
	if (r == 0)
		r = isolate__code_new(&snapshot->code, error);
	if (r == 0)
		r = start(snapshot, error);
	if (r < 0)
		isolate__snapshot_free(snapshot);
	else
		*ret = snapshot;
	return r;
}

/* In a fork nothing is mapped at the areas' addresses, or something else; as with descriptors. */
static void free_places(struct isolate__snapshot *snapshot)
{
	bool is_own = snapshot->pool->owner == pal_process_mark();

	for (unsigned i = 0; snapshot->slots && i < snapshot->pool->at_once; i++) {
		struct isolate__slot *slot = &snapshot->slots[i];

		if (!is_own)
			slot->area = NULL;
		pal_private_disown(&slot->private);
		isolate__slot_drop(slot);
		pal_private_close(&slot->socket);
		pal_private_close(&slot->seat_socket);
		pal_private_remove(&slot->private);
	}
	free(snapshot->slots);
	free(snapshot->seats);
}

void isolate__snapshot_free(struct isolate__snapshot *snapshot)
{
	if (!snapshot)
		return;
	if (snapshot->process && snapshot->pool->owner == pal_process_mark()) {
		/*
		 * It reaps what it has started, also where somebody has stopped it; should it not
		 * come to that, they all end with it.
		 */
		shutdown(snapshot->slots[0].socket, SHUT_RDWR);
		(void)pal_child_signal(snapshot->process, SIGCONT);
		(void)!pal_child_wait(snapshot->process, PAL_DEADLINE_MS(END_WITHIN_MS), NULL, NULL);
	}
	pal_child_forget(snapshot->process); /* in a fork; else: frees it */
	free_places(snapshot);
	isolate__code_free(snapshot->code);
	free(snapshot);
}
