/* SPDX-License-Identifier: MIT */
#include <pal/fdmap-priv.h>

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <pal/builder.h>
#include <pal/builder-priv.h>
#include <pal/child.h>
#include <pal/plan-priv.h>
#include <pal/spawn-child-priv.h>
#include <pal/util-priv.h>

#include "support.h"

/*
 * Every mapping of NUMBERS descriptors: each number is no target, or gets one
 * of the NUMBERS files. Mapping k written in base NUMBERS + 1 gives them all.
 */
#define NUMBERS 6
#define MAPPINGS 117649 /* 7 to the 6th */
#define NO_TARGET NUMBERS
#define CLOSED (-1)

static void decode(int mapping, int source_of[NUMBERS])
{
	for (int to = 0; to < NUMBERS; to++, mapping /= NUMBERS + 1)
		source_of[to] = mapping % (NUMBERS + 1);
}

static size_t plan(const int source_of[NUMBERS], struct pal__fd_step *steps)
{
	struct pal__fd_move moves[NUMBERS];
	size_t count = 0;

	memset(moves, 0xa5, sizeof moves); /* the planner's own fields need no preparation */
	for (int to = NUMBERS - 1; to >= 0; to--) {
		if (source_of[to] == NO_TARGET)
			continue;
		moves[count].from = source_of[to];
		moves[count].to = to;
		moves[count].request = to;
		moves[count++].optional = false;
	}
	return pal__fdmap(moves, count, steps);
}

/* ---- on an array in place of a descriptor table ---- */

struct table {
	int file[NUMBERS]; /* or CLOSED */
	int saved;         /* the temporary */
	bool saving;
};

static struct table table_of(unsigned open)
{
	struct table table = {.saved = CLOSED};

	for (int fd = 0; fd < NUMBERS; fd++)
		table.file[fd] = open >> fd & 1 ? fd : CLOSED;
	return table;
}

static bool simulate(struct table *table, const struct pal__fd_step *step)
{
	switch (step->kind) {
	case PAL__FD_KEEP:
		return step->from == step->to && table->file[step->to] != CLOSED;
	case PAL__FD_DUP:
		if (table->file[step->from] == CLOSED)
			return false;
		table->file[step->to] = table->file[step->from];
		return true;
	case PAL__FD_SAVE:
		ck_assert_msg(!table->saving, "two temporaries at once");
		table->saving = true;
		table->saved = table->file[step->from];
		return table->saved != CLOSED;
	case PAL__FD_RESTORE:
		ck_assert(table->saving);
		table->saving = false;
		table->file[step->to] = table->saved;
		return true;
	}
	return false;
}

static bool needs_closed(const int source_of[NUMBERS], unsigned open)
{
	for (int to = 0; to < NUMBERS; to++)
		if (source_of[to] != NO_TARGET && !(open >> source_of[to] & 1))
			return true;
	return false;
}

/* All steps work and every number is what was asked, or the step that fails names a request with a closed source. */
static bool check_simulated(
	const int source_of[NUMBERS], unsigned open, const struct pal__fd_step *steps, size_t count)
{
	struct table table = table_of(open);

	for (size_t i = 0; i < count; i++)
		if (!simulate(&table, &steps[i]))
			return !(open >> source_of[steps[i].request] & 1);
	if (needs_closed(source_of, open) || table.saving)
		return false;
	for (int fd = 0; fd < NUMBERS; fd++) {
		int before = open >> fd & 1 ? fd : CLOSED;

		if (table.file[fd] != (source_of[fd] == NO_TARGET ? before : source_of[fd]))
			return false;
	}
	return true;
}

START_TEST(every_mapping_of_six_with_every_set_of_them_closed)
{
	struct pal__fd_step steps[PAL__FDMAP_STEPS(NUMBERS)];
	int source_of[NUMBERS];

	for (int mapping = 0; mapping < MAPPINGS; mapping++) {
		size_t count;

		decode(mapping, source_of);
		count = plan(source_of, steps);
		if (count > PAL__FDMAP_STEPS(NUMBERS))
			ck_abort_msg("mapping %d: %zu steps", mapping, count);
		for (unsigned open = 0; open < 1u << NUMBERS; open++)
			if (!check_simulated(source_of, open, steps, count))
				ck_abort_msg("mapping %d with open set %#x", mapping, open);
	}
}
END_TEST

START_TEST(a_temporary_is_used_for_cycles_only)
{
	struct pal__fd_step steps[PAL__FDMAP_STEPS(NUMBERS)];
	/* a chain into a shared source, an identity, and no cycle */
	const int chain[NUMBERS] = {1, 2, 2, 2, NO_TARGET, 0};
	const int two_cycles[NUMBERS] = {1, 0, 3, 4, 2, NO_TARGET};
	size_t count = plan(chain, steps), saves = 0;

	ck_assert_uint_eq(count, 5);
	for (size_t i = 0; i < count; i++)
		ck_assert(steps[i].kind == PAL__FD_DUP || steps[i].kind == PAL__FD_KEEP);
	count = plan(two_cycles, steps);
	ck_assert_uint_eq(count, 7);
	for (size_t i = 0; i < count; i++)
		saves += steps[i].kind == PAL__FD_SAVE;
	ck_assert_uint_eq(saves, 2);
}
END_TEST

START_TEST(no_moves_are_no_steps)
{
	ck_assert_uint_eq(pal__fdmap(NULL, 0, NULL), 0);
}
END_TEST

/*
 * ---- on real descriptors ----
 *
 * All 117,649 mappings of six, and as many again with some of the six closed, are
 * run by the code that a child runs, on a table of descriptors that is restored
 * for each: one child does them all. What that leaves out - whether the child of
 * a spawn runs just this code, and what exec and close_others make of the rest -
 * is seen by a program that is executed, for all 625 mappings of four and each
 * 149th of six, and by a forked child, for each 149th of six.
 */

/* Among them the standard streams, neighbours, and a gap that the temporary may have to take. */
static const int numbers[NUMBERS] = {0, 1, 2, 20, 21, 30};
static int saved_streams[3];
static ino_t inodes[NUMBERS];

static void open_numbers(void)
{
	for (int i = 0; i < 3; i++)
		saved_streams[i] = fcntl(i, F_DUPFD_CLOEXEC, 40);
	for (int i = 0; i < NUMBERS; i++) {
		int fd = memfd_create("file", MFD_CLOEXEC);
		struct stat info;

		ck_assert_int_ge(fd, 3);
		ck_assert_int_eq(fstat(fd, &info), 0);
		inodes[i] = info.st_ino;
		ck_assert_int_eq(dup3(fd, numbers[i], O_CLOEXEC), numbers[i]);
		close(fd);
	}
}

static void close_numbers(void)
{
	for (int i = 3; i < NUMBERS; i++)
		close(numbers[i]);
	for (int i = 0; i < 3; i++) {
		dup2(saved_streams[i], i);
		close(saved_streams[i]);
	}
}

static struct pal_builder *builder_of(const char *program, const int source_of[NUMBERS])
{
	struct pal_builder *builder = pal_builder_new(program);

	for (int to = 0; to < NUMBERS; to++)
		if (source_of[to] != NO_TARGET)
			pal_builder_dup_fd(builder, numbers[source_of[to]], numbers[to]);
	return builder;
}

/* In the child: 0 if every number is the file that the mapping says, the others as the builder's rules are. */
static int compare_numbers(void *arg)
{
	const int *source_of = arg;

	for (int i = 0; i < NUMBERS; i++) {
		bool target = source_of[i] != NO_TARGET, inherited = numbers[i] <= 2;
		struct stat info;

		if (fstat(numbers[i], &info) < 0) {
			if (target || inherited)
				return 10 + i;
			continue;
		}
		if (!target && !inherited)
			return 20 + i;
		if (info.st_ino != inodes[target ? source_of[i] : i] ||
			fcntl(numbers[i], F_GETFD) != 0)
			return 30 + i;
	}
	for (int fd = 3; fd < 64; fd++)
		if (fd != 20 && fd != 21 && fd != 30 && fcntl(fd, F_GETFD) >= 0)
			return 50 + fd;
	return 0;
}

static void expect_exit_0(struct pal_child *child, int mapping)
{
	struct pal_error error = {0};
	struct pal_status status;

	ck_assert_ok(pal_child_wait(child, PAL_DEADLINE_NONE, &status, &error), &error);
	ck_assert_msg(
		!status.signaled && status.code == 0, "mapping %d: code %d", mapping, status.code);
	pal_child_free(child);
}

static void check_forked(int mapping)
{
	struct pal_builder *builder;
	struct pal_error error = {0};
	struct pal_child *child;
	int source_of[NUMBERS];

	decode(mapping, source_of);
	builder = builder_of(NULL, source_of);
	ck_assert_ok(pal_fork(builder, compare_numbers, source_of, &child, &error), &error);
	expect_exit_0(child, mapping);
	pal_builder_free(builder);
}

static void check_executed(int mapping)
{
	struct pal_builder *builder;
	struct pal_error error = {0};
	struct pal_child *child;
	int source_of[NUMBERS];

	decode(mapping, source_of);
	builder = builder_of(support_helper("match-fds"), source_of);
	for (int i = 0; i < NUMBERS; i++) {
		int file = source_of[i] != NO_TARGET ? source_of[i] : i;
		char text[40];

		snprintf(text, sizeof text, "%d:%lu", numbers[i], (unsigned long)inodes[file]);
		if (source_of[i] != NO_TARGET || numbers[i] <= 2)
			pal_builder_arg(builder, text);
	}
	ck_assert_ok(pal_builder_spawn(builder, &child, &error), &error);
	expect_exit_0(child, mapping);
	pal_builder_free(builder);
}

/* A prime stride visits digits of every place in every value. */
#define STRIDE 149

START_TEST(real_descriptors_follow_the_mapping_in_a_forked_child)
{
	open_numbers();
	for (int mapping = 0; mapping < MAPPINGS; mapping += STRIDE)
		check_forked(mapping);
	close_numbers();
}
END_TEST

/* Of mappings of four, `_i` is the first of the four numbers: 0 to 20, 1 to 21 or 2 to 30. */
START_TEST(real_descriptors_follow_the_mapping_in_a_program)
{
	open_numbers();
	for (int four = 0; four < 625; four++) {
		int mapping = 0, rest = four;

		for (int to = 0, place = 1; to < NUMBERS; to++, place *= NUMBERS + 1) {
			bool within = to >= _i && to < _i + 4;

			mapping += place * (within && rest % 5 < 4 ? _i + rest % 5 : NO_TARGET);
			rest = within ? rest / 5 : rest;
		}
		check_executed(mapping);
	}
	for (int mapping = _i; mapping < MAPPINGS; mapping += 3 * STRIDE)
		check_executed(mapping);
	close_numbers();
}
END_TEST

/* ---- all of them, in one child ---- */

#define COPIES 64 /* where the files stay open: beyond what a temporary needs */

/* The numbers as they were, except those of the set `closed`, and nothing else: a move that failed leaves its temporary. */
static bool restore_numbers(unsigned closed)
{
	if (close_range(3, 19, 0) || close_range(22, 29, 0) || close_range(31, COPIES - 1, 0))
		return false;
	for (int i = 0; i < NUMBERS; i++) {
		if (closed >> i & 1)
			close(numbers[i]);
		else if (dup3(COPIES + i, numbers[i], O_CLOEXEC) < 0)
			return false;
	}
	return true;
}

/* As compare_numbers, where close_others is off and nothing is executed. */
static bool are_moved(const int source_of[NUMBERS], unsigned closed)
{
	for (int i = 0; i < NUMBERS; i++) {
		bool target = source_of[i] != NO_TARGET, kept = target || numbers[i] <= 2;
		struct stat info;

		if (!target && closed >> i & 1) {
			if (fcntl(numbers[i], F_GETFD) >= 0)
				return false;
		} else if (fstat(numbers[i], &info) < 0 ||
			   info.st_ino != inodes[target ? source_of[i] : i] ||
			   fcntl(numbers[i], F_GETFD) != (kept ? 0 : FD_CLOEXEC)) {
			return false;
		}
	}
	return true;
}

/* No temporary is left, on any number that the one of such a plan can have. */
static bool is_tidy(void)
{
	static const int free_numbers[] = {3, 4, 19, 22, 23, 29, 31, 32, 33};

	for (size_t i = 0; i < PAL_ARRAY_LENGTH(free_numbers); i++)
		if (fcntl(free_numbers[i], F_GETFD) >= 0)
			return false;
	return true;
}

/* Moves or, where a source is closed, fails and names a request of a closed source. */
static bool moves_rightly(int mapping, unsigned closed)
{
	const struct pal__streams streams = PAL__STREAMS_INIT;
	const struct pal__plan_fds own = PAL__PLAN_FDS_INIT;
	struct pal__report report = {0};
	struct pal__plan plan = {0};
	struct pal__child_args args = {.plan = &plan, .report = &report, .reserved = -1};
	int source_of[NUMBERS], r, failed = 0;
	struct pal_builder *builder;

	decode(mapping, source_of);
	builder = builder_of(NULL, source_of);
	pal_builder_close_others(builder, false);
	if (!restore_numbers(closed) || pal__plan_update(&plan, builder, false, &streams, &own, NULL))
		return false;
	r = pal__child_setup(&args);
	if (r < 0)
		failed = builder->fds[report.index].from.fd;
	pal__plan_clear(&plan);
	pal_builder_free(builder);
	if (!needs_closed(source_of, ~closed))
		return r == 0 && are_moved(source_of, closed) && is_tidy();
	for (int i = 0; i < NUMBERS; i++)
		if (numbers[i] == failed)
			return r == -EBADF && report.stage == PAL_STAGE_FDS && closed >> i & 1;
	return false;
}

static int move_all(void *arg)
{
	int *at = arg;

	for (int i = 0; i < NUMBERS; i++)
		if (dup3(numbers[i], COPIES + i, O_CLOEXEC) < 0)
			return 1;
	for (; *at < MAPPINGS; ++*at)
		if (!moves_rightly(*at, 0) || !moves_rightly(*at, (unsigned)*at * 37 % 64))
			return 1;
	return 0;
}

START_TEST(every_mapping_of_six_real_descriptors)
{
	struct pal_builder *builder = pal_builder_new(NULL);
	struct pal_error error = {0};
	struct pal_child *child;
	int *at = mmap(NULL, sizeof *at, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	struct pal_status status;

	ck_assert(at != MAP_FAILED);
	open_numbers();
	for (int i = 0; i < NUMBERS; i++)
		pal_builder_dup_fd(builder, numbers[i], numbers[i]);
	ck_assert_ok(pal_fork(builder, move_all, at, &child, &error), &error);
	ck_assert_ok(pal_child_wait(child, PAL_DEADLINE_NONE, &status, &error), &error);
	ck_assert_int_eq(*at, MAPPINGS); /* or the first that is wrong */
	ck_assert(!status.signaled && status.code == 0);
	pal_child_free(child);
	pal_builder_free(builder);
	close_numbers();
	munmap(at, sizeof *at);
}
END_TEST

/* S1: the temporary has no number above the plan's, because those are forbidden. */
START_TEST(a_cycle_through_the_highest_allowed_number_goes_round)
{
	/* 0<-1<-0, 20<-21<-30<-20; all six in one cycle; the highest swapped with the lowest */
	static const int cycles[][NUMBERS] = {
		{1, 0, 2, 4, 5, 3}, {1, 2, 3, 4, 5, 0}, {5, 1, 2, 3, 4, 0}, {5, 0, 1, 2, 3, 4}};
	struct rlimit before, tight;

	open_numbers();
	ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &before), 0);
	tight = before;
	tight.rlim_cur = 31;
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &tight), 0);
	for (size_t i = 0; i < PAL_ARRAY_LENGTH(cycles); i++) {
		int mapping = 0;

		for (int to = NUMBERS - 1; to >= 0; to--)
			mapping = mapping * (NUMBERS + 1) + cycles[i][to];
		check_forked(mapping);
		check_executed(mapping);
	}
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &before), 0);
	close_numbers();
}
END_TEST

static Suite *make_suite(void)
{
	Suite *suite = suite_create("pal/fdmap");
	TCase *pure = support_tcase(suite, "pure");
	TCase *real = support_tcase(suite, "real");

	tcase_add_test(pure, every_mapping_of_six_with_every_set_of_them_closed);
	tcase_add_test(pure, a_temporary_is_used_for_cycles_only);
	tcase_add_test(pure, no_moves_are_no_steps);
	tcase_add_test(real, every_mapping_of_six_real_descriptors);
	tcase_add_test(real, real_descriptors_follow_the_mapping_in_a_forked_child);
	tcase_add_loop_test(real, real_descriptors_follow_the_mapping_in_a_program, 0, 3);
	tcase_add_test(real, a_cycle_through_the_highest_allowed_number_goes_round);
	return suite;
}
SUPPORT_MAIN(make_suite)
