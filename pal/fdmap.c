/* SPDX-License-Identifier: MIT */
#include <pal/fdmap-priv.h>

#include <stdlib.h>

/*
 * Each number is the target of at most one move, but the source of many. A move
 * is ready when nobody has to read its target any more; making it may make the
 * one ready that targets its source. When no move is ready, every target that
 * is left is also read, and there are as many reads as targets: what is left
 * are cycles without branches, and each is opened by saving one number.
 */

#define NONE ((size_t)-1)

struct planner {
	struct pal__fd_move *moves; /* sorted by `to` */
	size_t count;
	size_t ready; /* head of a list through pal__fd_move.next */
	struct pal__fd_step *steps;
	size_t step_count;
};

static int compare_targets(const void *a, const void *b)
{
	const struct pal__fd_move *left = a, *right = b;

	return (left->to > right->to) - (left->to < right->to);
}

/* The move that writes `number`, or NONE. */
static size_t writer_of(const struct planner *planner, int number)
{
	const struct pal__fd_move key = {.to = number};
	const struct pal__fd_move *found =
		bsearch(&key, planner->moves, planner->count, sizeof key, compare_targets);

	return found ? (size_t)(found - planner->moves) : NONE;
}

static void add_step(struct planner *planner, enum pal__fd_step_kind kind, int from,
	const struct pal__fd_move *move)
{
	planner->steps[planner->step_count++] = (struct pal__fd_step){.kind = kind,
		.from = from,
		.to = move->to,
		.request = move->request,
		.optional = move->optional};
}

static void push_ready(struct planner *planner, size_t index)
{
	planner->moves[index].next = planner->ready;
	planner->ready = index;
}

static void count_readers(struct planner *planner)
{
	for (size_t i = 0; i < planner->count; i++) {
		struct pal__fd_move *move = &planner->moves[i];
		size_t writer = writer_of(planner, move->from);

		if (move->from != move->to && writer != NONE)
			planner->moves[writer].readers++;
	}
}

static void make_ready_moves(struct planner *planner)
{
	while (planner->ready != NONE) {
		struct pal__fd_move *move = &planner->moves[planner->ready];
		size_t writer = writer_of(planner, move->from);

		planner->ready = move->next;
		move->made = true;
		if (move->from == move->to) {
			add_step(planner, PAL__FD_KEEP, move->from, move);
			continue;
		}
		add_step(planner, PAL__FD_DUP, move->from, move);
		if (writer != NONE && --planner->moves[writer].readers == 0)
			push_ready(planner, writer);
	}
}

static void make_cycle(struct planner *planner, struct pal__fd_move *last)
{
	struct pal__fd_move *move = &planner->moves[writer_of(planner, last->from)];

	add_step(planner, PAL__FD_SAVE, last->from, last);
	while (move != last) {
		move->made = true;
		add_step(planner, PAL__FD_DUP, move->from, move);
		move = &planner->moves[writer_of(planner, move->from)];
	}
	last->made = true;
	add_step(planner, PAL__FD_RESTORE, last->from, last);
}

size_t pal__fdmap(struct pal__fd_move *moves, size_t count, struct pal__fd_step *ret_steps)
{
	struct planner planner = {
		.moves = moves, .count = count, .ready = NONE, .steps = ret_steps};

	if (!count)
		return 0;
	qsort(moves, count, sizeof *moves, compare_targets);
	for (size_t i = 0; i < count; i++) {
		moves[i].readers = 0;
		moves[i].made = false;
	}
	count_readers(&planner);
	for (size_t i = 0; i < count; i++)
		if (!moves[i].readers)
			push_ready(&planner, i);
	make_ready_moves(&planner);
	for (size_t i = 0; i < count; i++)
		if (!moves[i].made)
			make_cycle(&planner, &moves[i]);
	return planner.step_count;
}
