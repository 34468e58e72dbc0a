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
#include <pal/child.h>
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

/* ---- on real descriptors, in a forked child ---- */

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

static void check_real(int mapping)
{
	struct pal_builder *builder = pal_builder_new(NULL);
	struct pal_error error = {0};
	struct pal_child *child;
	struct pal_status status;
	int source_of[NUMBERS];

	decode(mapping, source_of);
	for (int to = 0; to < NUMBERS; to++)
		if (source_of[to] != NO_TARGET)
			pal_builder_dup_fd(builder, numbers[source_of[to]], numbers[to]);
	ck_assert_ok(pal_fork(builder, compare_numbers, source_of, &child, &error), &error);
	ck_assert_ok(pal_child_wait(child, PAL_DEADLINE_NONE, &status, &error), &error);
	ck_assert_msg(
		!status.signaled && status.code == 0, "mapping %d: code %d", mapping, status.code);
	pal_child_free(child);
	pal_builder_free(builder);
}

/* A prime stride visits digits of every place in every value. */
#define STRIDE 149

START_TEST(real_descriptors_follow_the_mapping)
{
	open_numbers();
	for (int mapping = 0; mapping < MAPPINGS; mapping += STRIDE)
		check_real(mapping);
	close_numbers();
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
		check_real(mapping);
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
	tcase_add_test(real, real_descriptors_follow_the_mapping);
	tcase_add_test(real, a_cycle_through_the_highest_allowed_number_goes_round);
	return suite;
}
SUPPORT_MAIN(make_suite)
