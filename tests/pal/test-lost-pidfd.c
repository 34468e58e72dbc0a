/* SPDX-License-Identifier: MIT */

/* Children whose pidfd the program closes, or replaces, behind the back of the handle. */
#include <pal/child.h>

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <pal/builder.h>
#include <pal/process.h>

#include "spawn-support.h"
#include "support.h"

/* Long enough for any machine: only where the defect under test would be a hang. */
#define A_HANG_MS 30000

/* Until its standard input, the gate, is closed. */
static int pass_the_gate(void *unused)
{
	char byte;

	(void)unused;
	return read(STDIN_FILENO, &byte, 1) == 0 ? 7 : 8;
}

static struct pal_child *start(int *gate)
{
	struct pal_builder *builder = pal_builder_new(NULL);
	struct pal_error error = {0};
	struct pal_child *child;

	pal_builder_stdin(builder, PAL_STDIO_PIPE);
	pal_builder_process_group(builder, 0);
	ck_assert_ok(pal_fork(builder, pass_the_gate, NULL, &child, &error), &error);
	pal_builder_free(builder);
	*gate = pal_child_steal_stdin(child);
	return child;
}

enum loss {
	CLOSED,
	READY,  /* another file, which can always be read */
	SILENT, /* and one that never can */
	LOSSES
};

struct other {
	int fd; /* -1: none */
	int pipe[2];
};

static struct other lose_pidfd(const struct pal_child *child, enum loss loss)
{
	struct other other = {.fd = pal_child_peek_pidfd(child), .pipe = {-1, -1}};
	int null = -1;

	switch (loss) {
	case READY:
		null = open("/dev/null", O_RDONLY | O_CLOEXEC);
		ck_assert_int_eq(dup3(null, other.fd, O_CLOEXEC), other.fd);
		close(null);
		break;
	case SILENT:
		ck_assert_int_eq(pipe2(other.pipe, O_CLOEXEC), 0);
		ck_assert_int_eq(dup3(other.pipe[0], other.fd, O_CLOEXEC), other.fd);
		break;
	default:
		close(other.fd);
		other.fd = -1;
	}
	return other;
}

/* It is the program's, and nothing of the handle's: still open. */
static void close_other(struct other *other)
{
	if (other->fd >= 0)
		ck_assert_int_eq(close(other->fd), 0);
	if (other->pipe[0] >= 0) {
		close(other->pipe[0]);
		close(other->pipe[1]);
	}
}

START_TEST(a_child_is_waited_for_all_the_same)
{
	int gate;
	struct pal_child *child = start(&gate);
	struct other other = lose_pidfd(child, _i);
	struct pal_status status;
	struct pal_error error;

	ck_assert_int_eq(pal_child_try_wait(child, &status, &error), 0);
	ck_assert_int_ne(pal_child_peek_pidfd(child), -1);
	ck_assert_int_ne(pal_child_peek_pidfd(child), other.fd);
	ck_assert_int_eq(pal_child_wait(child, pal_deadline_after_ms(1), &status, NULL), -ETIMEDOUT);
	close(gate);
	ck_assert_ok(pal_child_wait(child, pal_deadline_after_ms(A_HANG_MS), &status, &error), &error);
	ck_assert(!status.signaled);
	ck_assert_int_eq(status.code, 7);
	pal_child_free(child);
	close_other(&other);
}
END_TEST

/* Its loss is noticed by the wait itself, with and without a deadline. */
START_TEST(a_wait_that_begins_without_a_pidfd_ends_with_the_child)
{
	int gate;
	struct pal_child *child = start(&gate);
	struct other other = lose_pidfd(child, _i % SILENT);
	struct pal_status status;
	struct pal_error error;

	close(gate);
	ck_assert_ok(pal_child_wait(child,
			     _i < SILENT ? PAL_DEADLINE_NONE : pal_deadline_after_ms(A_HANG_MS),
			     &status, &error),
		&error);
	ck_assert_int_eq(status.code, 7);
	pal_child_free(child);
	close_other(&other);
}
END_TEST

START_TEST(a_child_can_be_signalled_and_a_dead_one_cannot)
{
	int gate;
	struct pal_child *child = start(&gate);
	struct other other = lose_pidfd(child, _i);
	struct pal_status status;
	struct pal_error error;
	siginfo_t info;

	ck_assert_int_eq(pal_child_signal(child, 0), 0);
	ck_assert_int_eq(pal_child_signal(child, SIGTERM), 0);
	ck_assert_int_eq(waitid(P_PID, (id_t)pal_child_pid(child), &info, WEXITED | WNOWAIT), 0);
	ck_assert_int_eq(pal_child_signal(child, SIGKILL), -ESRCH);
	ck_assert_ok(pal_child_wait(child, PAL_DEADLINE_NONE, &status, &error), &error);
	ck_assert(status.signaled);
	ck_assert_int_eq(status.code, SIGTERM);
	ck_assert_int_eq(pal_child_signal(child, SIGKILL), -ESRCH);
	pal_child_free(child);
	close(gate);
	close_other(&other);
}
END_TEST

START_TEST(a_group_can_be_signalled)
{
	int gate;
	struct pal_child *child = start(&gate);
	struct other other = lose_pidfd(child, _i);
	struct pal_status status;
	struct pal_error error;

	ck_assert_int_eq(pal_child_signal_group(child, SIGTERM), 0);
	ck_assert_ok(pal_child_wait(child, PAL_DEADLINE_NONE, &status, &error), &error);
	ck_assert_int_eq(status.code, SIGTERM);
	pal_child_free(child);
	close(gate);
	close_other(&other);
}
END_TEST

START_TEST(a_child_is_killed_with_its_handle)
{
	int gate;
	struct pal_child *child = start(&gate);
	struct other other = lose_pidfd(child, _i);

	pal_child_free(child); /* the fixture looks for zombies */
	close(gate);
	close_other(&other);
}
END_TEST

/* No descriptor can be opened, as if the table were full. */
START_TEST(without_room_for_another_it_goes_by_the_pid)
{
	struct rlimit before, none;
	int gate;
	struct pal_child *child = start(&gate);
	struct pal_status status;
	struct pal_error error;
	int code = 0;

	lose_pidfd(child, CLOSED);
	ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &before), 0);
	none = (struct rlimit){3, before.rlim_max};
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &none), 0);
	ck_assert_int_eq(pal_child_try_wait(child, &status, &error), 0);
	ck_assert_int_eq(pal_child_peek_pidfd(child), -1);
	ck_assert_int_eq(pal_child_signal(child, SIGTERM), -EMFILE);
	if (_i == 0) {
		close(gate);
		code = pal_child_wait(child, pal_deadline_after_ms(A_HANG_MS), &status, &error);
	}
	pal_child_free(child);
	setrlimit(RLIMIT_NOFILE, &before);
	ck_assert_ok(code, &error);
	if (_i == 0)
		ck_assert_int_eq(status.code, 7);
	else
		close(gate);
}
END_TEST

/* Somebody else has waited for it: its pid may be anybody's. */
START_TEST(a_child_that_was_reaped_by_others_has_ended)
{
	int gate;
	struct pal_child *child = start(&gate);
	struct other other = lose_pidfd(child, _i);
	struct pal_status status;
	int code;

	close(gate);
	ck_assert_int_eq(waitpid(pal_child_pid(child), &code, 0), pal_child_pid(child));
	ck_assert_int_eq(pal_child_signal(child, SIGKILL), -ESRCH);
	ck_assert_int_eq(pal_child_wait(child, PAL_DEADLINE_NONE, &status, NULL), -ECHILD);
	pal_child_free(child);
	close_other(&other);
}
END_TEST

/* Its pidfd's number, which becomes another child's, as after a double close. */
static int confuse(const struct pal_child *child, const struct pal_child *other)
{
	int number = pal_child_peek_pidfd(child);

	ck_assert_int_eq(dup3(pal_child_peek_pidfd(other), number, O_CLOEXEC), number);
	return number;
}

static void check_it_passes_the_gate(struct pal_child *child, int gate)
{
	struct pal_status status;
	struct pal_error error;

	ck_assert_int_eq(pal_child_try_wait(child, &status, &error), 0);
	close(gate);
	ck_assert_ok(pal_child_wait(child, pal_deadline_after_ms(A_HANG_MS), &status, &error), &error);
	ck_assert(!status.signaled);
	ck_assert_int_eq(status.code, 7);
	pal_child_free(child);
}

static void await_zombie(const struct pal_child *child)
{
	siginfo_t info;

	ck_assert_int_eq(waitid(P_PID, (id_t)pal_child_pid(child), &info, WEXITED | WNOWAIT), 0);
}

START_TEST(what_is_waited_for_is_the_child_and_not_what_its_number_has_become)
{
	int gate, other_gate, number, change = PAL_CHILD_ENDED;
	struct pal_child *child = start(&gate), *other = start(&other_gate);
	struct pal_status status;
	struct pal_error error;

	number = confuse(child, other);
	close(other_gate);
	await_zombie(other);
	ck_assert_int_eq(pal_child_try_wait(child, &status, &error), 0);
	ck_assert_int_eq(pal_child_signal(child, SIGTERM), 0);
	if (_i == 0)
		ck_assert_ok(pal_child_wait(child, PAL_DEADLINE_NONE, &status, &error), &error);
	else if (_i == 1)
		ck_assert_ok(pal_child_wait(child, pal_deadline_after_ms(A_HANG_MS), &status,
				     &error),
			&error);
	else
		change = pal_child_wait_change(
			child, PAL_CHILD_ENDED, PAL_DEADLINE_NONE, NULL, &error);
	ck_assert_int_eq(change, PAL_CHILD_ENDED);
	ck_assert_ok(pal_child_wait(child, PAL_DEADLINE_NOW, &status, &error), &error);
	ck_assert(status.signaled);
	pal_child_free(child);
	ck_assert_ok(pal_child_wait(other, PAL_DEADLINE_NOW, &status, &error), &error);
	ck_assert_int_eq(status.code, 7);
	pal_child_free(other);
	close(gate);
	ck_assert_int_eq(close(number), 0);
}
END_TEST

START_TEST(another_child_that_runs_is_not_hit_by_what_is_for_this_one)
{
	int gate, other_gate;
	struct pal_child *child = start(&gate), *other = start(&other_gate);
	struct pal_status status;
	struct pal_error error;

	confuse(child, other);
	switch (_i) {
	case 0:
		ck_assert_int_eq(pal_child_signal(child, SIGKILL), 0);
		break;
	case 1:
		ck_assert_int_eq(pal_child_signal_group(child, SIGKILL), 0);
		break;
	case 2:
		ck_assert_ok(pal_child_stop(child, 0, &status, &error), &error);
		break;
	case 3:
		ck_assert_ok(pal_child_stop_group(child, 0, &status, &error), &error);
		break;
	default:
		break;
	}
	if (_i < 4) {
		ck_assert_ok(pal_child_wait(child, PAL_DEADLINE_NONE, &status, &error), &error);
		ck_assert(status.signaled);
		ck_assert_int_eq(pal_child_signal(child, SIGKILL), -ESRCH);
		ck_assert_int_eq(pal_child_signal_group(child, SIGKILL), -ESRCH);
	}
	pal_child_free(child); /* the fixture looks for zombies */
	check_it_passes_the_gate(other, other_gate);
	close(gate);
}
END_TEST

/* Not ours to wait for, and so no sign that somebody has waited for ours. */
START_TEST(a_number_that_has_become_the_pidfd_of_no_child_is_not_believed)
{
	int gate, number, self = (int)syscall(SYS_pidfd_open, getpid(), 0);
	struct pal_child *child = start(&gate);

	number = pal_child_peek_pidfd(child);
	ck_assert_int_eq(dup3(self, number, O_CLOEXEC), number);
	close(self);
	check_it_passes_the_gate(child, gate);
	close(number);
}
END_TEST

/* The pidfd, which is right, is what tells. */
START_TEST(a_child_that_others_reaped_is_not_its_successor_with_the_same_pid)
{
	pid_t newcomer = -1;

	for (int i = 0; i < 20 && newcomer < 0; i++) {
		int gate, r;
		struct pal_child *child = start(&gate);
		struct pal_status status;

		close(gate);
		ck_assert_int_eq(waitpid(pal_child_pid(child), NULL, 0), pal_child_pid(child));
		newcomer = fork_with_number(pal_child_pid(child));
		ck_assert_int_eq(pal_child_signal(child, SIGKILL), -ESRCH);
		r = pal_child_wait(child, PAL_DEADLINE_NOW, &status, NULL);
		ck_assert(r == -ECHILD || (r == 0 && status.code == 7));
		pal_child_free(child);
	}
	if (newcomer < 0)
		support_skip("no number of an ended child could be had again");
	ck_assert_int_eq(waitpid(newcomer, NULL, WNOHANG), 0);
	kill_and_reap(newcomer);
}
END_TEST

/* ---- before it runs ---- */

static struct {
	int gate[2];
	int *ran;
	pthread_t forker;
	int given_up;
} start_of;

/* In the child, which is on its way to its function. */
static void stay_at_the_gate(void)
{
	char byte;

	close(start_of.gate[1]);
	while (read(start_of.gate[0], &byte, 1) < 0)
		;
}

static int note_that_it_ran(void *unused)
{
	(void)unused;
	*start_of.ran = 1;
	return 0;
}

static void interrupt(int signal)
{
	(void)signal;
}

static bool is_pidfd(int fd)
{
	char path[32], name[64] = "";

	snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
	return readlink(path, name, sizeof name - 1) > 0 && strstr(name, "pidfd");
}

/* Who waits has the file until he is interrupted. */
static void *close_every_pidfd(void *unused)
{
	(void)unused;
	while (!__atomic_load_n(&start_of.given_up, __ATOMIC_SEQ_CST)) {
		for (int fd = 3; fd < 64; fd++)
			if (is_pidfd(fd))
				close(fd);
		pthread_kill(start_of.forker, SIGUSR1);
		sched_yield();
	}
	return NULL;
}

START_TEST(a_child_that_is_lost_before_its_function_does_not_come_to_it)
{
	struct pal_builder *builder = pal_builder_new(NULL);
	struct pal_error error = {0};
	struct pal_child *child;
	pthread_t thread;
	int r;

	start_of.ran = mmap(NULL, sizeof *start_of.ran, PROT_READ | PROT_WRITE,
		MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	ck_assert_ptr_ne(start_of.ran, MAP_FAILED);
	ck_assert_int_eq(pipe2(start_of.gate, O_CLOEXEC), 0);
	ck_assert_int_eq(pthread_atfork(NULL, NULL, stay_at_the_gate), 0);
	ck_assert_int_eq(sigaction(SIGUSR1, &(struct sigaction){.sa_handler = interrupt}, NULL), 0);
	start_of.forker = pthread_self();
	ck_assert_int_eq(pthread_create(&thread, NULL, close_every_pidfd, NULL), 0);
	r = pal_fork(builder, note_that_it_ran, NULL, &child, &error);
	__atomic_store_n(&start_of.given_up, 1, __ATOMIC_SEQ_CST);
	ck_assert_int_eq(pthread_join(thread, NULL), 0);
	ck_assert_msg(r == -EBADF, "%d: %s", r, pal_error_text(&error));
	close(start_of.gate[1]);
	ck_assert_int_eq(waitpid(-1, NULL, __WALL), -1); /* nobody is left */
	ck_assert_int_eq(*start_of.ran, 0);
	close(start_of.gate[0]);
	munmap(start_of.ran, sizeof *start_of.ran);
	pal_builder_free(builder);
}
END_TEST

static Suite *make_suite(void)
{
	Suite *suite = suite_create("pal/lost-pidfd");
	TCase *lost = support_tcase(suite, "lost");
	TCase *confused = support_tcase(suite, "confused");
	TCase *before = support_tcase(suite, "before");

	tcase_add_loop_test(lost, a_child_is_waited_for_all_the_same, 0, LOSSES);
	tcase_add_loop_test(lost, a_wait_that_begins_without_a_pidfd_ends_with_the_child, 0, 2 * SILENT);
	tcase_add_loop_test(lost, a_child_can_be_signalled_and_a_dead_one_cannot, 0, LOSSES);
	tcase_add_loop_test(lost, a_group_can_be_signalled, 0, LOSSES);
	tcase_add_loop_test(lost, a_child_is_killed_with_its_handle, 0, LOSSES);
	tcase_add_loop_test(lost, without_room_for_another_it_goes_by_the_pid, 0, 2);
	tcase_add_loop_test(lost, a_child_that_was_reaped_by_others_has_ended, 0, LOSSES);
	tcase_add_loop_test(confused, what_is_waited_for_is_the_child_and_not_what_its_number_has_become, 0, 3);
	tcase_add_loop_test(confused, another_child_that_runs_is_not_hit_by_what_is_for_this_one, 0, 5);
	tcase_add_test(confused, a_number_that_has_become_the_pidfd_of_no_child_is_not_believed);
	tcase_add_test(confused, a_child_that_others_reaped_is_not_its_successor_with_the_same_pid);
	tcase_add_test(before, a_child_that_is_lost_before_its_function_does_not_come_to_it);
	return suite;
}
SUPPORT_MAIN(make_suite)
