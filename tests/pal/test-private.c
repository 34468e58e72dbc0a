/* SPDX-License-Identifier: MIT */

/* The function of a pal_fork has nothing of what handles of other children hold; S112 */
#include <pal/builder.h>
#include <pal/private.h>

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "spawn-support.h"
#include "support.h"

#define NUMBERS 128

static struct pal_child *fork_take(struct pal_builder *builder, int (*fn)(void *arg), void *arg)
{
	struct pal_error error = {0};
	struct pal_child *child;

	ck_assert_ok(pal_fork(builder, fn, arg, &child, &error), &error);
	pal_builder_free(builder);
	return child;
}

/* A child that has all that is open here. */
static struct pal_builder *inheriting(void)
{
	struct pal_builder *builder = pal_builder_new(NULL);

	pal_builder_close_others(builder, false);
	return builder;
}

static int wait_for_ever(void *arg)
{
	(void)arg;
	for (;;)
		pause();
	return 0;
}

/* With a lifeline, a pidfd, and pipes. */
static struct pal_child *fork_other(void)
{
	struct pal_builder *builder = pal_builder_new(NULL);

	pal_builder_stdin(builder, PAL_STDIO_PIPE);
	pal_builder_stdout(builder, PAL_STDIO_PIPE);
	pal_builder_parent_death(builder, SIGKILL);
	pal_builder_parent_death_of_process(builder, true);
	return fork_take(builder, wait_for_ever, NULL);
}

struct sight {
	bool open[NUMBERS];
	struct pal_child *other;
};

static void look(struct sight *sight)
{
	for (int fd = 0; fd < NUMBERS; fd++)
		sight->open[fd] = fcntl(fd, F_GETFD) >= 0;
}

static int count_others(void *arg)
{
	const struct sight *before = arg;
	int others = 0;

	for (int fd = 0; fd < NUMBERS; fd++)
		others += fcntl(fd, F_GETFD) >= 0 && !before->open[fd];
	return others;
}

START_TEST(descriptors_of_a_handle_are_this_process_s_alone)
{
	struct sight sight = {.other = NULL};

	look(&sight);
	sight.other = fork_other();
	ck_assert_int_eq(wait_take(fork_take(inheriting(), count_others, &sight)).code, 0);
	ck_assert_int_ge(pal_child_stdout(sight.other), 3); /* now it is the caller's */
	ck_assert_int_eq(wait_take(fork_take(inheriting(), count_others, &sight)).code, 1);
	pal_child_free(sight.other);
}
END_TEST

static int free_the_copy(void *arg)
{
	const struct sight *sight = arg;
	int fds[16], lost = 0;

	for (int i = 0; i < 16; i++)
		fds[i] = dup(0);
	pal_child_free(sight->other);
	for (int i = 0; i < 16; i++)
		lost += fcntl(fds[i], F_GETFD) < 0;
	return lost;
}

START_TEST(a_copy_of_a_handle_closes_nothing_that_was_opened_since)
{
	struct sight sight = {.other = fork_other()};
	struct pollfd end = {.fd = pal_child_peek_pidfd(sight.other), .events = POLLIN};

	ck_assert_int_eq(wait_take(fork_take(inheriting(), free_the_copy, &sight)).code, 0);
	ck_assert_int_eq(poll(&end, 1, 0), 0);
	pal_child_free(sight.other);
}
END_TEST

static int poll_109(void *arg)
{
	struct pollfd end = {.fd = 109, .events = POLLIN};

	(void)arg;
	return poll(&end, 1, 0) == 0 ? 0 : 1;
}

START_TEST(what_the_caller_gives_to_a_child_that_has_it)
{
	struct pal_child *other = fork_other();
	struct pal_builder *builder = inheriting();

	pal_builder_dup_fd(builder, pal_child_peek_pidfd(other), 109);
	ck_assert_int_eq(wait_take(fork_take(builder, poll_109, NULL)).code, 0);
	pal_child_free(other);
}
END_TEST

/* ---- objects of others ---- */

struct object {
	int before;
	struct pal_private private;
	int fd;
};
static const ptrdiff_t places[] = {PAL_PRIVATE_PLACE(struct object, private, before),
	PAL_PRIVATE_PLACE(struct object, private, fd)};
static const struct pal_private_layout layout = {.count = 2, .places = places};

static int which_are_open(void *arg)
{
	const struct object *object = arg;

	return (object->before >= 0 && fcntl(object->before, F_GETFD) >= 0) +
	       2 * (object->fd >= 0 && fcntl(object->fd, F_GETFD) >= 0);
}

static struct pal_builder *keeping(const struct pal_private *node)
{
	struct pal_builder *builder = inheriting();

	pal_builder_keep_private(builder, node);
	return builder;
}

START_TEST(an_object_is_kept_for_whom_it_belongs_to_and_until_it_is_removed)
{
	struct object object = {.before = -1}, none = {.before = -1, .fd = -1};
	bool held;

	pal_private_remove(&object.private);
	pal_private_add(&none.private, &layout);
	pal_private_add(&object.private, &layout);
	held = pal_private_begin();
	object.before = dup(0);
	object.fd = dup(0);
	pal_private_end(held);
	ck_assert_int_eq(wait_take(fork_take(keeping(NULL), which_are_open, &object)).code, 0);
	ck_assert_int_eq(
		wait_take(fork_take(keeping(&object.private), which_are_open, &object)).code, 3);
	pal_private_close(&object.before);
	ck_assert_int_eq(object.before, -1);
	pal_private_close(&object.before);
	pal_private_remove(&object.private);
	ck_assert_int_eq(wait_take(fork_take(keeping(NULL), which_are_open, &object)).code, 2);
	pal_private_remove(&none.private);
	pal_builder_keep_private(NULL, NULL);
	close(object.fd);
}
END_TEST

static Suite *make_suite(void)
{
	Suite *suite = suite_create("pal/private");
	TCase *tcase = support_tcase(suite, "private");

	tcase_add_test(tcase, descriptors_of_a_handle_are_this_process_s_alone);
	tcase_add_test(tcase, a_copy_of_a_handle_closes_nothing_that_was_opened_since);
	tcase_add_test(tcase, what_the_caller_gives_to_a_child_that_has_it);
	tcase_add_test(tcase, an_object_is_kept_for_whom_it_belongs_to_and_until_it_is_removed);
	return suite;
}
SUPPORT_MAIN(make_suite)
