/* SPDX-License-Identifier: MIT */
#include <pal/plan-priv.h>

#include <errno.h>
#include <stdlib.h>

#include <pal/util-priv.h>

/* Most numbers that one spawn's streams can have opened. */
#define STREAM_FDS 7

static int compare_ints(const void *a, const void *b)
{
	const int *left = a, *right = b;

	return (*left > *right) - (*left < *right);
}

static bool is_target(const struct pal_builder *builder, int fd)
{
	for (size_t i = 0; i < builder->fd_count; i++)
		if (builder->fds[i].child_fd == fd)
			return true;
	return false;
}

static bool is_closed(const struct pal_builder *builder, int fd)
{
	for (size_t i = 0; i < builder->close_count; i++)
		if (builder->closes[i].child_fd == fd)
			return true;
	return false;
}

static int source_of(const struct pal__fd_request *request, const struct pal__streams *streams)
{
	switch (request->from.kind) {
	case PAL_STDIO_KIND_NULL:
		return streams->null;
	case PAL_STDIO_KIND_PIPE:
		return streams->child_side[request->child_fd];
	case PAL_STDIO_KIND_FD:
		return request->from.fd;
	case PAL_STDIO_KIND_INHERIT:
		break;
	}
	return request->child_fd;
}

static int plan_moves(struct pal__fd_plan *plan, const struct pal_builder *builder,
	const struct pal__streams *streams)
{
	PAL_CLEANUP_FREE struct pal__fd_move *moves = calloc(builder->fd_count, sizeof *moves);

	plan->steps = calloc(PAL__FDMAP_STEPS(builder->fd_count), sizeof *plan->steps);
	if (!moves || !plan->steps)
		return -ENOMEM;
	for (size_t i = 0; i < builder->fd_count; i++) {
		const struct pal__fd_request *request = &builder->fds[i];

		moves[i].to = request->child_fd;
		moves[i].from = source_of(request, streams);
		moves[i].request = (int)i;
		moves[i].optional = request->from.kind == PAL_STDIO_KIND_INHERIT;
		plan->used[plan->used_count++] = moves[i].from;
		plan->used[plan->used_count++] = moves[i].to;
		if (request->child_fd > 2 && !is_closed(builder, request->child_fd))
			plan->kept[plan->kept_count++] = request->child_fd;
	}
	plan->step_count = pal__fdmap(moves, builder->fd_count, plan->steps);
	return 0;
}

/*
 * What the streams have opened. Exec or close_others closes it; a pal_fork
 * without close_others must do it one by one, or the child would hold both ends
 * of its own pipes.
 */
static void plan_close_of_streams(struct pal__fd_plan *plan, const struct pal_builder *builder,
	const struct pal__streams *streams)
{
	const int opened[STREAM_FDS] = {streams->null, streams->parent_side[0],
		streams->parent_side[1], streams->parent_side[2], streams->child_side[0],
		streams->child_side[1], streams->child_side[2]};

	for (size_t i = 0; i < STREAM_FDS; i++) {
		if (opened[i] < 0)
			continue;
		plan->used[plan->used_count++] = opened[i];
		if (!is_target(builder, opened[i]))
			plan->closes[plan->close_count++] = opened[i];
	}
}

static void plan_closes(struct pal__fd_plan *plan, const struct pal_builder *builder)
{
	for (size_t i = 0; i < builder->close_count; i++) {
		plan->closes[plan->close_count++] = builder->closes[i].child_fd;
		plan->used[plan->used_count++] = builder->closes[i].child_fd;
	}
}

static void plan_carried(struct pal__fd_plan *plan, const struct pal_builder *builder)
{
	for (int i = 0; i < PAL__CARRIED; i++) {
		int fd = plan->carried[i];

		if (fd < 0)
			continue;
		plan->in_the_way[i] = is_target(builder, fd) || is_closed(builder, fd);
		plan->used[plan->used_count++] = fd;
	}
}

static int leave_from(const struct pal__fd_plan *plan, const struct pal_builder *builder,
	const struct pal__streams *streams)
{
	int from = 3;

	if (!builder->close_others)
		return 0;
	for (size_t i = 0; i < builder->fd_count; i++)
		if (source_of(&builder->fds[i], streams) >= from)
			from = source_of(&builder->fds[i], streams) + 1;
	for (int i = 0; i < PAL__CARRIED; i++)
		if (plan->carried[i] >= from)
			from = plan->carried[i] + 1;
	return from;
}

int pal__fd_plan_make(struct pal__fd_plan *plan, const struct pal_builder *builder,
	const struct pal__streams *streams)
{
	int r;

	plan->close_others = builder->close_others;
	plan->kept = calloc(builder->fd_count, sizeof *plan->kept);
	plan->closes = calloc(builder->close_count + STREAM_FDS, sizeof *plan->closes);
	plan->used =
		calloc(2 * builder->fd_count + builder->close_count + STREAM_FDS + PAL__CARRIED,
			sizeof *plan->used);
	if (!plan->kept || !plan->closes || !plan->used)
		return -ENOMEM;
	r = plan_moves(plan, builder, streams);
	if (r < 0)
		return r;
	plan_closes(plan, builder);
	plan_close_of_streams(plan, builder, streams);
	plan_carried(plan, builder);
	plan->leave_from = leave_from(plan, builder, streams);
	qsort(plan->kept, plan->kept_count, sizeof *plan->kept, compare_ints);
	qsort(plan->used, plan->used_count, sizeof *plan->used, compare_ints);
	return 0;
}

void pal__fd_plan_clear(struct pal__fd_plan *plan)
{
	free(plan->steps);
	free(plan->kept);
	free(plan->closes);
	free(plan->used);
	*plan = (struct pal__fd_plan){0};
}
