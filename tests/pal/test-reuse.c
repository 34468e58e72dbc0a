/* SPDX-License-Identifier: MIT */

/* A builder that is spawned from again uses what it worked out, and never what is no longer so. */
#include <pal/builder.h>

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <pal/builder-priv.h>
#include <pal/child.h>
#include <pal/plan-priv.h>
#include <pal/process.h>
#include <pal/util-priv.h>

#include "spawn-support.h"
#include "support.h"

/* As output_of, but keeps the builder. */
static const char *run(struct pal_builder *builder)
{
	struct pal_error error = {0};
	struct pal_child *child;
	const char *text;

	ck_assert_ok(pal_builder_spawn(builder, &child, &error), &error);
	text = read_to_end(pal_child_stdout(child));
	ck_assert_int_eq(wait_take(child).code, 0);
	return text;
}

static struct pal_builder *builder_with_pipe(const char *helper, int mode)
{
	struct pal_builder *builder = builder_for(helper, mode);

	pal_builder_stdout(builder, PAL_STDIO_PIPE);
	return builder;
}

START_TEST(nothing_is_made_anew_for_an_unchanged_builder)
{
	struct pal_builder *builder = builder_with_pipe("show-args", _i);
	struct pal__plan first;
	char *stack;

	run(builder);
	first = *builder->plan;
	stack = builder->stack.base;
	run(builder);
	ck_assert_ptr_eq(builder->plan->argv, first.argv);
	ck_assert_ptr_eq(builder->plan->envp, first.envp);
	ck_assert_ptr_eq(builder->plan->fds.steps, first.fds.steps);
	ck_assert_ptr_eq(builder->plan->candidates.items, first.candidates.items);
	ck_assert_ptr_eq(builder->stack.base, stack);
	pal_builder_free(builder);
}
END_TEST

START_TEST(a_changed_environment_of_the_parent_is_seen)
{
	struct pal_builder *builder = builder_with_pipe("show-args", _i);

	setenv("REUSE", "one", 1);
	ck_assert_ptr_nonnull(strstr(run(builder), "env REUSE=one\n"));
	setenv("REUSE", "two", 1);
	ck_assert_ptr_nonnull(strstr(run(builder), "env REUSE=two\n"));
	unsetenv("REUSE");
	ck_assert_ptr_null(strstr(run(builder), "env REUSE="));
	clearenv();
	ck_assert_ptr_null(strstr(run(builder), "env "));
	pal_builder_free(builder);
}
END_TEST

START_TEST(an_entry_that_changes_its_name_in_place_is_looked_at_again)
{
	struct pal_builder *builder = builder_with_pipe("show-args", _i);
	char entry[] = "REUSE1=x";

	pal_builder_env_remove(builder, "REUSE2");
	putenv(entry);
	ck_assert_ptr_nonnull(strstr(run(builder), "env REUSE1=x\n"));
	entry[5] = '2';
	ck_assert_ptr_null(strstr(run(builder), "env REUSE"));
	unsetenv("REUSE2");
	pal_builder_free(builder);
}
END_TEST

START_TEST(a_changed_path_is_searched)
{
	struct pal_builder *builder = pal_builder_new("show-args");
	const char *path = getenv("PATH");
	char *old_path = strdup(path ? path : "");
	char *folder = strdup(support_helper("show-args"));
	struct pal_child *child;

	*strrchr(folder, '/') = 0;
	pal_builder_vfork(builder, _i == MODE_VFORK);
	pal_builder_stdout(builder, PAL_STDIO_PIPE);
	pal_builder_env_clear(builder); /* PATH is all that it takes from the parent's environment */
	setenv("PATH", "/nonexistent", 1);
	ck_assert_int_eq(pal_builder_spawn(builder, &child, NULL), -ENOENT);
	setenv("PATH", folder, 1);
	ck_assert_ptr_nonnull(strstr(run(builder), "arg show-args\n"));
	setenv("PATH", "/nonexistent", 1);
	ck_assert_int_eq(pal_builder_spawn(builder, &child, NULL), -ENOENT);
	setenv("PATH", old_path, 1);
	free(old_path);
	free(folder);
	pal_builder_free(builder);
}
END_TEST

START_TEST(what_is_set_between_two_spawns_counts)
{
	struct pal_builder *builder = builder_with_pipe("show-args", _i);
	const char *text;

	run(builder);
	pal_builder_arg(builder, "later");
	ck_assert_ptr_nonnull(strstr(run(builder), "arg later\n"));
	pal_builder_arg0(builder, "other");
	ck_assert_ptr_nonnull(strstr(run(builder), "arg other\n"));
	pal_builder_env(builder, "REUSE", "set");
	ck_assert_ptr_nonnull(strstr(run(builder), "env REUSE=set\n"));
	pal_builder_env_remove(builder, "REUSE");
	ck_assert_ptr_null(strstr(run(builder), "env REUSE="));
	pal_builder_env(builder, "REUSE", "again");
	pal_builder_env_clear(builder);
	ck_assert_ptr_null(strstr(run(builder), "env "));
	pal_builder_cwd(builder, "/");
	text = run(builder);
	ck_assert_ptr_eq(strstr(text, "cwd /\n"), text);
	pal_builder_free(builder);
}
END_TEST

static bool shows_number(const char *text, int number)
{
	char start[16];

	snprintf(start, sizeof start, "\n%d ", number);
	return strstr(text, start);
}

START_TEST(descriptors_that_are_asked_for_between_two_spawns_are_there)
{
	struct pal_builder *builder = builder_with_pipe("show-fds", _i);
	int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);

	ck_assert(!shows_number(run(builder), 40));
	pal_builder_dup_fd(builder, fd, 40);
	ck_assert(shows_number(run(builder), 40));
	pal_builder_close_fd(builder, 40);
	ck_assert(!shows_number(run(builder), 40));
	close(fd);
	pal_builder_free(builder);
}
END_TEST

START_TEST(pipes_on_other_numbers_than_before_work)
{
	struct pal_builder *builder = builder_with_pipe("show-args", _i);
	int taken[4];

	run(builder);
	for (size_t i = 0; i < PAL_ARRAY_LENGTH(taken); i++)
		taken[i] = open("/dev/null", O_RDONLY | O_CLOEXEC);
	ck_assert_ptr_nonnull(strstr(run(builder), "arg "));
	for (size_t i = 0; i < PAL_ARRAY_LENGTH(taken); i++)
		close(taken[i]);
	ck_assert_ptr_nonnull(strstr(run(builder), "arg "));
	pal_builder_free(builder);
}
END_TEST

START_TEST(only_descriptors_are_planned_anew_where_pipes_have_other_numbers)
{
	struct pal_builder *builder = builder_with_pipe("show-args", _i);
	struct pal_error error = {0};
	struct pal_child *first, *second;
	struct pal__plan plan;

	ck_assert_ok(pal_builder_spawn(builder, &first, &error), &error);
	plan = *builder->plan;
	ck_assert_ok(pal_builder_spawn(builder, &second, &error), &error);
	ck_assert(memcmp(&plan.key.streams, &builder->plan->key.streams, sizeof plan.key.streams));
	ck_assert_ptr_eq(builder->plan->argv, plan.argv);
	ck_assert_ptr_eq(builder->plan->envp, plan.envp);
	ck_assert_ptr_eq(builder->plan->candidates.items, plan.candidates.items);
	ck_assert_ptr_nonnull(strstr(read_to_end(pal_child_stdout(second)), "arg "));
	pal_child_free(first);
	pal_child_free(second);
	pal_builder_free(builder);
}
END_TEST

START_TEST(a_builder_serves_spawn_and_fork_in_turn)
{
	struct pal_builder *builder = builder_with_pipe("show-args", _i);
	struct pal_error error = {0};
	struct pal_child *child;

	for (int i = 0; i < 2; i++) {
		run(builder);
		ck_assert_ok(pal_fork(builder, support_return_zero, NULL, &child, &error), &error);
		pal_child_free(child);
	}
	pal_builder_free(builder);
}
END_TEST

static int spawn_in_copy(void *arg)
{
	struct pal_builder *builder = arg;

	for (int i = 0; i < 50; i++) {
		struct pal_child *child;

		if (pal_builder_spawn(builder, &child, NULL) < 0)
			return 1;
		if (!strstr(read_to_end(pal_child_stdout(child)), "arg "))
			return 2;
		if (pal_child_wait(child, PAL_DEADLINE_NONE, NULL, NULL) < 0)
			return 3;
		pal_child_free(child);
	}
	return 0;
}

START_TEST(a_copy_of_the_process_uses_its_copy_of_the_builder_at_the_same_time)
{
	struct pal_builder *builder = builder_with_pipe("show-args", _i);
	struct pal_builder *forker = pal_builder_new(NULL);
	struct pal_error error = {0};
	struct pal_child *copy;

	run(builder);
	ck_assert_ok(pal_fork(forker, spawn_in_copy, builder, &copy, &error), &error);
	ck_assert_int_eq(spawn_in_copy(builder), 0);
	ck_assert_int_eq(wait_take(copy).code, 0);
	pal_builder_free(forker);
	pal_builder_free(builder);
}
END_TEST

/* ---- the child shares the parent's table of descriptors for a moment ---- */

#define MANY 200

START_TEST(the_parent_keeps_every_descriptor_and_flag_while_the_child_gets_none)
{
	struct pal_builder *builder = builder_with_pipe("show-fds", _i);
	int fds[MANY], null = open("/dev/null", O_RDONLY);

	for (int i = 0; i < MANY; i++)
		fds[i] = fcntl(null, i % 2 ? F_DUPFD : F_DUPFD_CLOEXEC, 50 + 3 * i);
	for (int highest = 2; highest < 50 + 3 * MANY; highest += 150) {
		const char *text;

		/* the higher the source, the more of the table the child takes with it */
		pal_builder_dup_fd(builder, highest > 2 ? fds[(highest - 50) / 3] : null, 3);
		text = run(builder);
		ck_assert(shows_number(text, 3));
		for (int i = 0; i < MANY; i++) {
			ck_assert(!shows_number(text, 50 + 3 * i));
			ck_assert_int_eq(fcntl(fds[i], F_GETFD), i % 2 ? 0 : FD_CLOEXEC);
		}
	}
	for (int i = 0; i < MANY; i++)
		close(fds[i]);
	close(null);
	pal_builder_free(builder);
}
END_TEST

static atomic_bool stop;

/* Fails if anybody else touches its descriptors. */
static void *open_and_close(void *arg)
{
	static char touched[] = "descriptors of another thread were touched";

	while (!atomic_load(&stop)) {
		int ends[2];

		if (pipe2(ends, O_CLOEXEC) < 0 || write(ends[1], "x", 1) != 1 || close(ends[1]) < 0 ||
			close(ends[0]) < 0)
			return touched;
	}
	(void)arg;
	return NULL;
}

/* S10, S18 */
START_TEST(other_threads_open_and_close_meanwhile)
{
	struct pal_builder *builder = builder_with_pipe("show-fds", _i);
	pthread_t threads[3];
	void *result;

	atomic_store(&stop, false);
	for (size_t i = 0; i < PAL_ARRAY_LENGTH(threads); i++)
		ck_assert_int_eq(pthread_create(&threads[i], NULL, open_and_close, NULL), 0);
	for (int i = 0; i < 100; i++) {
		const char *text = run(builder);

		for (int number = 3; number < 20; number++)
			ck_assert(!shows_number(text, number));
	}
	atomic_store(&stop, true);
	for (size_t i = 0; i < PAL_ARRAY_LENGTH(threads); i++) {
		ck_assert_int_eq(pthread_join(threads[i], &result), 0);
		ck_assert_msg(!result, "%s", (const char *)result);
	}
	pal_builder_free(builder);
}
END_TEST

/* S18: the kernel has written the number of a pidfd before it finds that there is no such cgroup. */
START_TEST(a_child_that_is_not_born_takes_no_descriptor_of_another_thread_with_it)
{
	struct pal_builder *builder = builder_for("show-args", _i);
	int folder = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
	struct pal_error error = {0};
	struct pal_child *child;
	pthread_t threads[3];
	void *result;

	pal_builder_cgroup(builder, folder);
	atomic_store(&stop, false);
	for (size_t i = 0; i < PAL_ARRAY_LENGTH(threads); i++)
		ck_assert_int_eq(pthread_create(&threads[i], NULL, open_and_close, NULL), 0);
	for (int i = 0; i < 3000; i++) {
		ck_assert_int_lt(pal_builder_spawn(builder, &child, &error), 0);
		ck_assert_int_eq(error.stage, PAL_STAGE_CGROUP);
	}
	atomic_store(&stop, true);
	for (size_t i = 0; i < PAL_ARRAY_LENGTH(threads); i++) {
		ck_assert_int_eq(pthread_join(threads[i], &result), 0);
		ck_assert_msg(!result, "%s", (const char *)result);
	}
	close(folder);
	pal_builder_free(builder);
}
END_TEST

static Suite *make_suite(void)
{
	Suite *suite = suite_create("pal/reuse");
	TCase *again = support_tcase(suite, "again"), *table = support_tcase(suite, "table");

	tcase_add_loop_test(again, nothing_is_made_anew_for_an_unchanged_builder, 0, MODES);
	tcase_add_loop_test(again, a_changed_environment_of_the_parent_is_seen, 0, MODES);
	tcase_add_loop_test(again, an_entry_that_changes_its_name_in_place_is_looked_at_again, 0, MODES);
	tcase_add_loop_test(again, a_changed_path_is_searched, 0, MODES);
	tcase_add_loop_test(again, what_is_set_between_two_spawns_counts, 0, MODES);
	tcase_add_loop_test(again, descriptors_that_are_asked_for_between_two_spawns_are_there, 0, MODES);
	tcase_add_loop_test(again, pipes_on_other_numbers_than_before_work, 0, MODES);
	tcase_add_loop_test(again, a_builder_serves_spawn_and_fork_in_turn, 0, MODES);
	tcase_add_loop_test(
		again, a_copy_of_the_process_uses_its_copy_of_the_builder_at_the_same_time, 0, MODES);
	tcase_add_loop_test(
		table, the_parent_keeps_every_descriptor_and_flag_while_the_child_gets_none, 0, MODES);
	tcase_add_loop_test(
		again, only_descriptors_are_planned_anew_where_pipes_have_other_numbers, 0, MODES);
	tcase_add_loop_test(
		table, a_child_that_is_not_born_takes_no_descriptor_of_another_thread_with_it, 0, MODES);
	tcase_add_loop_test(table, other_threads_open_and_close_meanwhile, 0, MODES);
	return suite;
}
SUPPORT_MAIN(make_suite)
