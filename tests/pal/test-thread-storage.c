/* SPDX-License-Identifier: MIT */
#include <pal/child.h>

#include <sched.h>
#include <signal.h>
#include <unistd.h>

#include <pal/builder.h>

#include "spawn-support.h"
#include "support.h"

/*
 * A program with more variables per thread than the stacks of the library's threads
 * have room: they are part of a stack, and have to come on top of it.
 */
static __thread volatile char storage[1 << 20];

static struct pal_child *start(int *ret_input)
{
	struct pal_builder *builder = builder_for("end-with", MODE_VFORK);
	struct pal_child *child;

	storage[sizeof storage / 2] = 1;
	pal_builder_arg(builder, "stdin");
	pal_builder_stdin(builder, PAL_STDIO_PIPE);
	pal_builder_parent_death(builder, SIGKILL);
	child = spawn_take(builder);
	*ret_input = pal_child_steal_stdin(child);
	return child;
}

START_TEST(a_child_that_dies_with_its_parent_is_spawned)
{
	int input;
	struct pal_child *child = start(&input);

	close(input);
	ck_assert_int_eq(wait_take(child).code, 0);
}
END_TEST

START_TEST(a_child_is_detached)
{
	struct pal_error error = {0};
	int input, threads = support_count_threads("");
	struct pal_child *child;

	if (BUILT_WITH_TSAN)
		support_skip("ThreadSanitizer has threads of its own");
	child = start(&input);

	ck_assert_ok(pal_child_detach(child, &error), &error);
	close(input);
	while (support_count_threads("") > threads)
		sched_yield();
}
END_TEST

static Suite *make_suite(void)
{
	Suite *suite = suite_create("pal/thread-storage");
	TCase *much = support_tcase(suite, "much");

	tcase_add_test(much, a_child_that_dies_with_its_parent_is_spawned);
	tcase_add_test(much, a_child_is_detached);
	return suite;
}
SUPPORT_MAIN(make_suite)
