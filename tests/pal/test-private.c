/* SPDX-License-Identifier: MIT */

/* The function of a pal_fork has nothing of what handles of other children hold; S112 */
#include <pal/builder.h>
#include <pal/private.h>
#include <pal/sandbox.h>
#include <pal/seccomp.h>

#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <unistd.h>

#include "sanitizers.h"
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

/* ---- each kind of handle ---- */

static struct pal_child *spawned(void)
{
	struct pal_builder *builder = pal_builder_new("/bin/cat");

	pal_builder_stdin(builder, PAL_STDIO_PIPE); /* and no end of that */
	pal_builder_stdout(builder, PAL_STDIO_PIPE);
	return spawn_take(builder);
}

static struct pal_child *adopted(void)
{
	struct pal_error error = {0};
	struct pal_child *child;
	pid_t pid = fork();

	if (pid == 0)
		_exit(wait_for_ever(NULL));
	ck_assert_int_gt(pid, 0);
	ck_assert_ok(pal_child_adopt(pid, &child, &error), &error);
	return child;
}

/* Its listener is the caller's once it was taken. */
static struct pal_child *listened_to(void)
{
	struct pal_builder *builder = inheriting();
	struct pal_error error = {0};
	struct pal_seccomp *filter;

	ck_assert_ok(pal_seccomp_new(PAL_SECCOMP_ALLOW, &filter, &error), &error);
	ck_assert_ok(pal_seccomp_rule(filter, PAL_SECCOMP_NOTIFY, "umask", &error), &error);
	pal_builder_no_new_privs(builder, true);
	pal_builder_seccomp(builder, filter);
	pal_seccomp_free(filter);
	return fork_take(builder, wait_for_ever, NULL);
}

static struct pal_child *(*const kinds[])(void) = {spawned, adopted, listened_to};
#define KINDS ((int)(sizeof kinds / sizeof *kinds))

START_TEST(nor_is_anything_of_a_handle_of_another_kind_given_away)
{
	struct sight sight = {.other = NULL};
	int fd;

	look(&sight);
	sight.other = kinds[_i]();
	ck_assert_int_eq(wait_take(fork_take(inheriting(), count_others, &sight)).code, 0);
	fd = pal_child_steal_notify(sight.other);
	ck_assert_int_eq(
		wait_take(fork_take(inheriting(), count_others, &sight)).code, fd >= 0 ? 1 : 0);
	ck_assert_int_eq(fd >= 0, kinds[_i] == listened_to);
	if (fd >= 0)
		close(fd);
	pal_child_free(sight.other);
}
END_TEST

/* The thread that reaps it has a set and an eventfd. */
START_TEST(nor_of_children_that_were_detached)
{
	struct pal_error error = {0};
	struct sight sight = {.other = NULL};
	struct pal_child *child;
	pid_t pid;

	look(&sight);
	child = fork_take(pal_builder_new(NULL), wait_for_ever, NULL);
	pid = pal_child_pid(child);
	ck_assert_ok(pal_child_detach(child, &error), &error);
	ck_assert_int_ge(count_others(&sight), 3);
	ck_assert_int_eq(wait_take(fork_take(inheriting(), count_others, &sight)).code, 0);
	ck_assert_int_eq(kill(pid, SIGKILL), 0);
	while (count_others(&sight)) /* or the test is ended from outside */
		sched_yield();
}
END_TEST

/* ---- what is under way ---- */

#define ROUNDS 200

static atomic_bool enough;

static int end_at_once(void *unused)
{
	(void)unused;
	return 0;
}

/* Mostly with a thread that reaps for each: it comes with the first, and goes with the last. */
static void *detach_again_and_again(void *unused)
{
	intptr_t failed = 0;

	(void)unused;
	while (!atomic_load(&enough)) {
		struct pal_builder *builder = pal_builder_new(NULL);
		struct pal_child *child;

		if (pal_fork(builder, end_at_once, NULL, &child, NULL) < 0 ||
			pal_child_detach(child, NULL) < 0)
			failed++;
		pal_builder_free(builder);
	}
	return (void *)failed; /* NOLINT(performance-no-int-to-ptr) */
}

/* How many could not be had. Not an assertion, in a thread. */
static void *spawn_again_and_again(void *unused)
{
	intptr_t failed = 0;

	(void)unused;
	while (!atomic_load(&enough)) {
		struct pal_builder *builder = pal_builder_new("/bin/true");
		struct pal_child *child;

		if (pal_builder_spawn(builder, &child, NULL) < 0)
			failed++;
		else
			pal_child_free(child);
		pal_builder_free(builder);
	}
	return (void *)failed; /* NOLINT(performance-no-int-to-ptr) */
}

START_TEST(nor_of_spawns_that_are_under_way_or_detached)
{
	void *(*const busy[])(void *) = {spawn_again_and_again, detach_again_and_again};
	struct sight sight = {.other = NULL};
	pthread_t thread;
	int others = 0;
	void *failed;

	look(&sight);
	ck_assert_int_eq(pthread_create(&thread, NULL, busy[_i], NULL), 0);
	for (int i = 0; i < ROUNDS; i++)
		others += wait_take(fork_take(inheriting(), count_others, &sight)).code;
	atomic_store(&enough, true);
	ck_assert_int_eq(pthread_join(thread, &failed), 0);
	ck_assert_int_eq((intptr_t)failed, 0);
	ck_assert_int_eq(others, 0);
	while (count_others(&sight)) /* or the test is ended from outside */
		sched_yield();
}
END_TEST

/* In a fork by others, whenever it comes: its list is its own, and its lock is free. */
static int fork_and_wait(void)
{
	struct pal_builder *builder = inheriting();
	struct pal_child *child;
	int r = pal_fork(builder, end_at_once, NULL, &child, NULL);

	pal_builder_free(builder);
	if (r < 0)
		return 1;
	r = pal_child_wait(child, PAL_DEADLINE_NONE, NULL, NULL);
	pal_child_free(child);
	return r < 0;
}

START_TEST(a_fork_of_the_program_itself_can_make_children_too)
{
	pthread_t thread;
	void *failed;
	int status;

	if (BUILT_WITH_ASAN || BUILT_WITH_TSAN)
		support_skip("fork(3) does not know the locks of a sanitizer's allocator");
	ck_assert_int_eq(pthread_create(&thread, NULL, spawn_again_and_again, NULL), 0);
	for (int i = 0; i < ROUNDS / 4; i++) {
		pid_t pid = fork();

		if (pid == 0)
			_exit(fork_and_wait());
		ck_assert_int_eq(waitpid(pid, &status, 0), pid);
		ck_assert_int_eq(status, 0);
	}
	atomic_store(&enough, true);
	ck_assert_int_eq(pthread_join(thread, &failed), 0);
	ck_assert_int_eq((intptr_t)failed, 0);
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

struct known {
	struct pal_private private;
	int fd;
	struct pal_private_file file;
};
static const ptrdiff_t known_places[] = {PAL_PRIVATE_PLACE(struct known, private, fd)};
static const struct pal_private_layout known_layout = {.count = 1,
	.places = known_places,
	.file = PAL_PRIVATE_PLACE(struct known, private, file)};

/* The variable stays: what is open is asked for by number. */
START_TEST(a_file_that_is_known_is_not_taken_for_another_at_its_number)
{
	struct known known = {.fd = -1};
	struct object object = {.before = -1};
	struct stat st;

	pal_private_add(&known.private, &known_layout);
	known.fd = object.fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
	ck_assert_int_eq(fstat(known.fd, &st), 0);
	known.file = (struct pal_private_file){st.st_ino, major(st.st_dev), minor(st.st_dev)};
	ck_assert_int_eq(wait_take(fork_take(inheriting(), which_are_open, &object)).code, 0);
	known.file.inode++;
	ck_assert_int_eq(wait_take(fork_take(inheriting(), which_are_open, &object)).code, 2);
	known.file.inode--;
	known.file.minor++;
	ck_assert_int_eq(wait_take(fork_take(inheriting(), which_are_open, &object)).code, 2);
	pal_private_close(&known.fd);
	pal_private_remove(&known.private);
}
END_TEST

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

/* ---- a fork by others ---- */

struct copies {
	struct pal_child *child;
	struct pal_builder *builder;
	struct object *object;
};

/* All that was inherited is closed, and the numbers are those of the fork's own files. */
static int drop_copies(const struct copies *copies)
{
	int lost = 0;

	for (int fd = 3; fd < NUMBERS; fd++)
		if (dup2(0, fd) != fd)
			return NUMBERS;
	pal_child_forget(copies->child);
	pal_builder_forget(copies->builder);
	pal_private_disown(&copies->object->private);
	pal_private_close(&copies->object->before);
	pal_private_close(&copies->object->fd);
	for (int fd = 3; fd < NUMBERS; fd++)
		lost += fcntl(fd, F_GETFD) < 0;
	return lost;
}

START_TEST(a_fork_that_forgets_its_copies_closes_nothing)
{
	struct object object = {.before = -1, .fd = -1};
	struct copies copies = {fork_other(), pal_builder_new(NULL), &object};
	int fd = dup(0), status;
	pid_t pid;

	ck_assert_int_ge(pal_child_stdout(copies.child), 3);
	pal_builder_take_fd(copies.builder, fd, 99);
	pal_private_add(&object.private, &layout);
	object.fd = dup(0);
	pid = fork();
	if (pid == 0)
		_exit(drop_copies(&copies));
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert_int_eq(status, 0);

	/* Whose they are loses them as ever. */
	pal_private_disown(&object.private);
	ck_assert_int_ge(object.fd, 3);
	pal_private_close(&object.fd);
	pal_private_remove(&object.private);
	pal_private_disown(&object.private);
	pal_child_forget(copies.child);
	pal_builder_free(copies.builder);
	pal_child_forget(NULL);
	pal_builder_forget(NULL);
}
END_TEST

static Suite *make_suite(void)
{
	Suite *suite = suite_create("pal/private");
	TCase *tcase = support_tcase(suite, "private");

	tcase_add_test(tcase, descriptors_of_a_handle_are_this_process_s_alone);
	tcase_add_test(tcase, a_copy_of_a_handle_closes_nothing_that_was_opened_since);
	tcase_add_test(tcase, what_the_caller_gives_to_a_child_that_has_it);
	tcase_add_loop_test(tcase, nor_is_anything_of_a_handle_of_another_kind_given_away, 0, KINDS);
	tcase_add_test(tcase, nor_of_children_that_were_detached);
	tcase_add_loop_test(tcase, nor_of_spawns_that_are_under_way_or_detached, 0, 2);
	tcase_add_test(tcase, a_fork_of_the_program_itself_can_make_children_too);
	tcase_add_test(tcase, a_file_that_is_known_is_not_taken_for_another_at_its_number);
	tcase_add_test(tcase, a_fork_that_forgets_its_copies_closes_nothing);
	tcase_add_test(tcase, an_object_is_kept_for_whom_it_belongs_to_and_until_it_is_removed);
	return suite;
}
SUPPORT_MAIN(make_suite)
