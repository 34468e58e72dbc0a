/* SPDX-License-Identifier: MIT */
#include <pal/plan-priv.h>

#include <errno.h>
#include <limits.h>
#include <stdlib.h>

#include <pal/util-priv.h>

/* Most numbers that one spawn's streams can have opened. */
#define STREAM_FDS 7

static int compare_ints(const void *a, const void *b)
{
	const int *left = a, *right = b;

	return (*left > *right) - (*left < *right);
}

static const struct pal__fd_request *request_of(const struct pal_builder *builder, int child_fd)
{
	for (size_t i = 0; i < builder->fd_count; i++)
		if (builder->fds[i].child_fd == child_fd)
			return &builder->fds[i];
	return NULL;
}

static bool is_target(const struct pal_builder *builder, int fd)
{
	return request_of(builder, fd);
}

static bool is_closed(const struct pal_builder *builder, int fd)
{
	for (size_t i = 0; i < builder->close_count; i++)
		if (builder->closes[i].child_fd == fd)
			return true;
	return false;
}

/* Where what `request` asks for is said. */
static const struct pal__fd_request *meant_by(
	const struct pal_builder *builder, const struct pal__fd_request *request)
{
	const struct pal__fd_request *out = request_of(builder, 1);

	return request->from.kind == PAL_STDIO_KIND_STDOUT && out ? out : request;
}

static int source_of(const struct pal__fd_request *request, const struct pal__streams *streams)
{
	switch (request->from.kind) {
	case PAL_STDIO_KIND_NULL:
		return streams->null;
	case PAL_STDIO_KIND_PIPE:
	case PAL_STDIO_KIND_FILE:
		return streams->child_side[request->child_fd];
	case PAL_STDIO_KIND_FD:
		return request->from.fd;
	case PAL_STDIO_KIND_INHERIT:
	case PAL_STDIO_KIND_STDOUT: /* never: see meant_by */
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
		const struct pal__fd_request *meant = meant_by(builder, request);

		moves[i].to = request->child_fd;
		moves[i].from = source_of(meant, streams);
		moves[i].request = (int)i;
		moves[i].optional = meant->from.kind == PAL_STDIO_KIND_INHERIT;
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

/* ---- the steps of steps.h, whose effects on the numbers are known beforehand ---- */

static bool is_of_step(const struct pal_builder *builder, int fd)
{
	const struct pal__steps *steps = &builder->steps;

	for (size_t i = 0; i < steps->count; i++)
		if (steps->items[i].fd == fd ||
			(steps->items[i].kind == PAL__STEP_DUP2 && steps->items[i].to == fd))
			return true;
	return false;
}

static void keep(struct pal__fd_plan *plan, int fd)
{
	for (size_t i = 0; i < plan->kept_count; i++)
		if (plan->kept[i] == fd)
			return;
	if (fd > 2)
		plan->kept[plan->kept_count++] = fd;
}

static void plan_ordered(struct pal__fd_plan *plan, const struct pal__steps *steps)
{
	for (size_t i = 0; i < steps->count; i++) {
		const struct pal__step *step = &steps->items[i];

		if (step->fd >= 0)
			plan->used[plan->used_count++] = step->fd;
		switch (step->kind) {
		case PAL__STEP_OPEN:
			keep(plan, step->fd);
			break;
		case PAL__STEP_DUP2:
			plan->used[plan->used_count++] = step->to;
			keep(plan, step->to);
			break;
		case PAL__STEP_CLOSE: /* what is closed may as well be spared later */
		case PAL__STEP_CLOSE_FROM:
		case PAL__STEP_CHDIR:
		case PAL__STEP_FCHDIR:
		case PAL__STEP_FOREGROUND:
			break;
		}
	}
}

/* ---- all of it ---- */

static void plan_carried(struct pal__fd_plan *plan, const struct pal_builder *builder)
{
	for (int i = 0; i < PAL__CARRIED; i++) {
		int fd = plan->carried[i];

		if (fd < 0)
			continue;
		plan->in_the_way[i] = i == PAL__CARRY_CWD || is_target(builder, fd) ||
				      is_closed(builder, fd) || is_of_step(builder, fd);
		plan->used[plan->used_count++] = fd;
	}
}

static int leave_from(const struct pal__fd_plan *plan, const struct pal_builder *builder,
	const struct pal__streams *streams)
{
	const struct pal__process *process = &builder->process;
	int highest = PAL_MAX(process->cgroup_fd, process->tty);

	if (!builder->close_others || builder->steps.count)
		return 0;
	for (size_t i = 0; i < builder->fd_count; i++)
		highest = PAL_MAX(highest, source_of(meant_by(builder, &builder->fds[i]), streams));
	for (int i = 0; i < PAL__CARRIED; i++)
		highest = PAL_MAX(highest, plan->carried[i]);
	for (size_t i = 0; i < process->procs_count; i++)
		highest = PAL_MAX(highest, process->procs_fds[i]);
	return highest == INT_MAX ? 0 : PAL_MAX(highest, 2) + 1;
}

int pal__fd_plan_make(struct pal__fd_plan *plan, const struct pal_builder *builder,
	const struct pal__streams *streams)
{
	size_t moves = builder->fd_count, closes = builder->close_count + STREAM_FDS;
	size_t ordered = builder->steps.count;
	int r;

	plan->close_others = builder->close_others;
	plan->kept = calloc(moves + ordered, sizeof *plan->kept);
	plan->closes = calloc(closes, sizeof *plan->closes);
	plan->used = calloc(2 * moves + closes + 2 * ordered + PAL__CARRIED, sizeof *plan->used);
	if (!plan->kept || !plan->closes || !plan->used)
		return -ENOMEM;
	r = plan_moves(plan, builder, streams);
	if (r < 0)
		return r;
	plan_closes(plan, builder);
	plan_close_of_streams(plan, builder, streams);
	plan_ordered(plan, &builder->steps);
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
