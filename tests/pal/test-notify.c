/* SPDX-License-Identifier: MIT */
#include <pal/seccomp.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <pal/builder-priv.h>
#include <pal/child-priv.h>
#include <pal/util-priv.h>

#include "sandboxed.h"

/* User notification: the child's calls are answered here, in the parent. */

enum {
	SPAWN_VFORK,
	SPAWN_COPY,
	FORK,
	KINDS
};

/* The loop over both: _i / USERS is the kind, _i % USERS the user. */
#define CASES (KINDS * USERS)

static struct pal_builder *shell_under(struct pal_seccomp *filter, int kind)
{
	struct pal_builder *builder = pal_builder_new("/bin/sh");

	ck_assert_ptr_nonnull(builder);
	pal_builder_vfork(builder, kind == SPAWN_VFORK);
	pal_builder_no_new_privs(builder, true);
	pal_builder_seccomp(builder, filter);
	pal_seccomp_free(filter);
	return builder;
}

static struct pal_builder *builder_asking_for(const char *call, int kind)
{
	struct pal_error error = {0};
	struct pal_seccomp *filter;

	ck_assert_ok(pal_seccomp_new(PAL_SECCOMP_ALLOW, &filter, &error), &error);
	ck_assert_ok(pal_seccomp_rule(filter, PAL_SECCOMP_NOTIFY, call, &error), &error);
	return shell_under(filter, kind);
}

static int exit_with_umask(void *unused)
{
	(void)unused;
	return (int)syscall(SYS_umask, 0123) & 0xff;
}

/* A child that ends with what umask(2) has returned, low 8 bits. */
static struct pal_child *start(struct pal_builder *builder, int kind)
{
	struct pal_error error = {0};
	struct pal_child *child = NULL;

	pal_builder_args(builder, (const char *const[]){"-c", "exit $(printf %d $(umask))", NULL});
	if (kind == FORK)
		ck_assert_ok(pal_fork(builder, exit_with_umask, NULL, &child, &error), &error);
	else
		ck_assert_ok(pal_builder_spawn(builder, &child, &error), &error);
	pal_builder_free(builder);
	return child;
}

static int ending(struct pal_child *child)
{
	struct pal_error error = {0};
	struct pal_status status;

	ck_assert_ok(pal_child_wait(child, PAL_DEADLINE_MS(30000), &status, &error), &error);
	pal_child_free(child);
	return status.signaled ? DIED + status.code : status.code;
}

/* Answers calls until the child has ended: `number` with `value` or -error, others go on. */
static unsigned supervise(int listener, int number, int64_t value, int error)
{
	unsigned seen = 0;

	for (;;) {
		struct pollfd event = {.fd = listener, .events = POLLIN};
		struct seccomp_notif call = {0};
		struct seccomp_notif_resp answer = {0};

		ck_assert_int_eq(poll(&event, 1, 30000), 1);
		if (!(event.revents & POLLIN)) /* nobody is under the filter any more */
			return seen;
		if (ioctl(listener, SECCOMP_IOCTL_NOTIF_RECV, &call) < 0) {
			ck_assert(errno == ENOENT || errno == EINTR);
			continue;
		}
		answer.id = call.id;
		answer.flags = SECCOMP_USER_NOTIF_FLAG_CONTINUE;
		if (call.data.nr == number) {
			seen++;
			answer = (struct seccomp_notif_resp){
				.id = call.id, .val = error ? 0 : value, .error = -error};
		}
		if (ioctl(listener, SECCOMP_IOCTL_NOTIF_SEND, &answer) < 0)
			ck_assert_int_eq(errno, ENOENT);
	}
}

START_TEST(the_parent_answers_for_the_kernel)
{
	struct pal_child *child;
	int listener;

	become(_i % USERS);
	child = start(builder_asking_for("umask", _i / USERS), _i / USERS);
	listener = pal_child_steal_notify(child);
	ck_assert_int_gt(listener, 2);
	ck_assert_int_eq(fcntl(listener, F_GETFD), FD_CLOEXEC);
	ck_assert_int_eq(pal_child_steal_notify(child), -1);
	ck_assert_uint_gt(supervise(listener, SYS_umask, 42, 0), 0);
	/* the shell prints 42 as octal 0052, which printf reads as that again */
	ck_assert_int_eq(ending(child), 42);
	close(listener);
}
END_TEST

/* S95: nothing that the library does itself may wait for an answer. */
START_TEST(even_a_filter_that_asks_for_everything_does_not_hang_the_start)
{
	struct pal_error error = {0};
	struct pal_seccomp *filter;
	struct pal_child *child;
	int listener;

	become(_i % USERS);
	ck_assert_ok(pal_seccomp_new(PAL_SECCOMP_NOTIFY, &filter, &error), &error);
	child = start(shell_under(filter, _i / USERS), _i / USERS);
	listener = pal_child_steal_notify(child);
	supervise(listener, SYS_umask, 17, 0);
	ck_assert_int_eq(ending(child), 17);
	close(listener);
}
END_TEST

/* What the shell makes of a mask of -1 is its own affair, as long as it goes on. */
static void check_unanswered(struct pal_child *child, int kind)
{
	int code = ending(child);

	if (kind == FORK)
		ck_assert_int_eq(code, 0xff);
	else
		ck_assert_int_lt(code, DIED);
}

START_TEST(without_a_listener_the_calls_are_enosys) /* S98 */
{
	const int kind = _i / USERS;
	struct pal_child *child;

	become(_i % USERS);
	child = start(builder_asking_for("umask", kind), kind);
	close(pal_child_steal_notify(child));
	check_unanswered(child, kind);
}
END_TEST

START_TEST(a_handle_that_is_freed_ends_child_and_listener)
{
	struct pal_child *child;

	become(_i % USERS);
	child = start(builder_asking_for("umask", _i / USERS), _i / USERS);
	pal_child_free(child); /* the leak fixture looks for the descriptor */
}
END_TEST

static int supervise_briefly(int listener)
{
	struct seccomp_notif call = {0};

	return ioctl(listener, SECCOMP_IOCTL_NOTIF_RECV, &call) < 0 ? 1 : 0;
}

START_TEST(a_supervisor_that_is_killed_leaves_nobody_stuck) /* S98 */
{
	const int kind = _i / USERS;
	struct pal_child *child;
	int listener, status;
	pid_t supervisor;

	become(_i % USERS);
	child = start(builder_asking_for("umask", kind), kind);
	listener = pal_child_steal_notify(child);
	supervisor = fork();
	if (supervisor == 0) { /* takes the call, and is killed before it answers */
		if (supervise_briefly(listener) == 0)
			raise(SIGKILL);
		_exit(1);
	}
	close(listener);
	ck_assert_int_eq(waitpid(supervisor, &status, 0), supervisor);
	ck_assert(WIFSIGNALED(status));
	check_unanswered(child, kind);
}
END_TEST

/* What is open besides the standard streams and the folder that is read. */
static int count_descriptors(void *unused)
{
	DIR *folder = opendir("/proc/self/fd");
	struct dirent *entry;
	int count = 0;

	(void)unused;
	need(folder);
	while ((entry = readdir(folder)))
		if (*entry->d_name != '.' && atoi(entry->d_name) > 2 &&
			atoi(entry->d_name) != dirfd(folder))
			count++;
	closedir(folder);
	return count;
}

START_TEST(the_child_does_not_have_the_listener)
{
	struct pal_builder *builder = builder_asking_for("umask", SPAWN_VFORK);

	become(_i % USERS);
	if (_i / USERS == FORK) {
		struct pal_builder *plain = pal_builder_new(NULL);

		ck_assert_int_eq(outcome(builder, count_descriptors, NULL), 0);
		pal_builder_close_others(plain, false);
		pal_builder_close_others(builder, false);
		ck_assert_int_eq(outcome(builder, count_descriptors, NULL),
			outcome(plain, count_descriptors, NULL));
		pal_builder_free(plain);
	} else {
		pal_builder_vfork(builder, _i / USERS == SPAWN_VFORK);
		pal_builder_close_others(builder, false);
		/* the shell opens what it globs on a descriptor of its own: 3 */
		pal_builder_args(
			builder, (const char *const[]){"-c",
					 "for fd in /proc/self/fd/*; do case $(readlink $fd) in "
					 "*seccomp*) exit 1;; esac; done; exit 0",
					 NULL});
		ck_assert_int_eq(outcome_of_program(builder), 0);
	}
	pal_builder_free(builder);
}
END_TEST

/* Moves, closes and small limits must find the socket and the listener out of their way. */
START_TEST(descriptors_of_the_child_may_be_any)
{
	struct pal_builder *builder;
	struct pal_child *child;
	int listener;

	become(_i % USERS);
	builder = builder_asking_for("umask", _i / USERS);
	for (int fd = 3; fd < 12; fd++)
		pal_builder_dup_fd(builder, 0, fd);
	pal_builder_close_fd(builder, 12);
	child = start(builder, _i / USERS);
	listener = pal_child_steal_notify(child);
	supervise(listener, SYS_umask, 8, 0);
	ck_assert_int_eq(ending(child), 8);
	close(listener);
}
END_TEST

START_TEST(no_number_left_for_the_listener_fails_the_spawn)
{
	struct pal_builder *builder = builder_asking_for("umask", _i);
	struct pal_error error = {0};
	struct pal_child *child = NULL;

	pal_builder_rlimit(builder, RLIMIT_NOFILE, 3, 3); /* of the child */
	ck_assert_int_eq(pal_builder_spawn(builder, &child, &error), -EMFILE);
	ck_assert_int_eq(error.stage, PAL_STAGE_SECCOMP);
	ck_assert_ptr_null(child);
	pal_builder_free(builder);
}
END_TEST

/* As a test of the parent's side: the limit is reached when the listener arrives. */
START_TEST(no_number_left_in_the_parent_ends_the_child)
{
	struct pal_builder *builder = builder_asking_for("umask", _i);
	struct pal_error error = {0};
	struct pal_child *child = NULL;
	struct rlimit limit, most;
	bool failed = false, started = false;

	ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &most), 0);
	for (rlim_t room = 3; room < 20 && !started; room++) {
		int result;

		limit = (struct rlimit){room, most.rlim_max};
		ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
		result = _i == FORK ? pal_fork(builder, exit_with_umask, NULL, &child, &error)
				    : pal_builder_spawn(builder, &child, &error);
		started = result >= 0;
		failed = failed || (result < 0 && error.stage == PAL_STAGE_SECCOMP);
		if (!started)
			ck_assert_int_eq(waitpid(-1, NULL, WNOHANG), -1);
	}
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &most), 0);
	ck_assert(started && failed);
	pal_child_free(child);
	pal_builder_free(builder);
}
END_TEST

START_TEST(a_filter_without_it_has_no_listener)
{
	struct pal_builder *builder = pal_builder_new("/bin/true");
	struct pal_error error = {0};
	struct pal_child *child;

	ck_assert_ok(pal_builder_spawn(builder, &child, &error), &error);
	ck_assert_int_eq(pal_child_steal_notify(child), -1);
	ck_assert_int_eq(ending(child), 0);
	pal_builder_free(builder);
}
END_TEST

START_TEST(a_program_of_ones_own_may_ask_too)
{
	const struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, 0),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_umask, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_USER_NOTIF),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct pal_builder *builder = pal_builder_new("/bin/sh");
	struct pal_child *child;
	int listener;

	become(_i % USERS);
	pal_builder_vfork(builder, _i / USERS == SPAWN_VFORK);
	pal_builder_no_new_privs(builder, true);
	pal_builder_seccomp_bpf(builder, code, PAL_ARRAY_LENGTH(code));
	child = start(builder, _i / USERS);
	listener = pal_child_steal_notify(child);
	ck_assert_uint_gt(supervise(listener, SYS_umask, 42, 0), 0);
	ck_assert_int_eq(ending(child), 42);
	close(listener);
}
END_TEST

/* A second listener in one process is EBUSY: under a filter that has one, none can be had. */
static int spawn_another(void *unused)
{
	struct pal_builder *builder = builder_asking_for("umask", SPAWN_VFORK);
	struct pal_error error = {0};
	struct pal_child *child = NULL;

	(void)unused;
	need(pal_builder_spawn(builder, &child, &error) == -EBUSY);
	need(error.stage == PAL_STAGE_SECCOMP && !child);
	pal_builder_free(builder);
	return 0;
}

START_TEST(a_second_listener_is_an_error)
{
	struct pal_builder *builder = builder_asking_for("umask", SPAWN_VFORK);

	ck_assert_int_eq(outcome(builder, spawn_another, NULL), 0);
	pal_builder_free(builder);
}
END_TEST

START_TEST(a_process_cannot_ask_itself)
{
	struct pal_self_restrictions restrictions = {.size = sizeof restrictions};
	struct pal_error error = {0};
	struct pal_seccomp *filter;

	ck_assert_ok(pal_seccomp_new(PAL_SECCOMP_NOTIFY, &filter, &error), &error);
	restrictions.seccomp = filter;
	ck_assert_int_eq(pal_self_restrict(&restrictions, &error), -EINVAL);
	ck_assert_int_eq(error.stage, PAL_STAGE_ARGUMENT);
	pal_seccomp_free(filter);
}
END_TEST

static Suite *make_suite(void)
{
	Suite *suite = suite_create("pal/notify");
	TCase *answers = support_tcase(suite, "answers");
	TCase *ends = support_tcase(suite, "ends");
	TCase *descriptors = support_tcase(suite, "descriptors");

	tcase_add_loop_test(answers, the_parent_answers_for_the_kernel, 0, CASES);
	tcase_add_loop_test(
		answers, even_a_filter_that_asks_for_everything_does_not_hang_the_start, 0, CASES);
	tcase_add_loop_test(answers, a_program_of_ones_own_may_ask_too, 0, CASES);
	tcase_add_test(answers, a_filter_without_it_has_no_listener);
	tcase_add_test(answers, a_second_listener_is_an_error);
	tcase_add_test(answers, a_process_cannot_ask_itself);
	tcase_add_loop_test(ends, without_a_listener_the_calls_are_enosys, 0, CASES);
	tcase_add_loop_test(ends, a_handle_that_is_freed_ends_child_and_listener, 0, CASES);
	tcase_add_loop_test(ends, a_supervisor_that_is_killed_leaves_nobody_stuck, 0, CASES);
	tcase_add_loop_test(descriptors, the_child_does_not_have_the_listener, 0, CASES);
	tcase_add_loop_test(descriptors, descriptors_of_the_child_may_be_any, 0, CASES);
	tcase_add_loop_test(descriptors, no_number_left_for_the_listener_fails_the_spawn, 0, FORK);
	tcase_add_loop_test(descriptors, no_number_left_in_the_parent_ends_the_child, 0, KINDS);
	return suite;
}
SUPPORT_MAIN(make_suite)
