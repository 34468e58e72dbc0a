/* SPDX-License-Identifier: MIT */

/* Copies that do not start, are told to end, or do not die: what that costs, and whom. */
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <pal/socket.h>

#include "pool-callers.h"

/* So long that to wait for it would be a hang. */
#define FOR_EVER_MS 600000

/* The copy that waits in a pool's only place. */
static pid_t waiting_copy(struct isolate_pool *pool)
{
	const struct isolate__slot *slot = &pool->current->slots[0];
	char path[64];
	int pid = 0;
	FILE *file;

	SUPPORT_LOOK_UNTIL((slot->area->job.state & ISOLATE__JOB_KIND) == ISOLATE__JOB_AWAITED);
	snprintf(path, sizeof path, "/proc/%d/task/%d/children", (int)isolate_pool_pid(pool),
		(int)isolate_pool_pid(pool));
	file = fopen(path, "re");
	if (!file)
		support_skip("no %s", path);
	ck_assert_int_eq(fscanf(file, "%d", &pid), 1);
	fclose(file);
	return pid;
}

/* As by SIGTSTP to the group, which a server ignores and its copies do not. */
START_TEST(a_waiting_copy_that_was_stopped_is_replaced)
{
	struct isolate_pool_options options = {ISOLATE_POOL_OPTIONS_INIT, .at_once = 1};
	struct isolate_pool *pool = new_pool(&options);

	for (int i = 0; i < 3; i++) {
		int stopped;

		check_that_it_works(pool);
		stopped = waiting_copy(pool);
		kill(stopped, SIGSTOP);
		ck_assert_int_ne(call_for_pid(pool), stopped);
	}
	isolate_pool_free(pool);
}
END_TEST

static int *forks; /* of all processes */

static void count_fork(void)
{
	++*forks;
}

/* They are many, if a snapshot stood still for long, and a copy for each would end with the next. */
START_TEST(orders_of_callers_who_have_gone_are_not_carried_out)
{
	struct isolate_pool_options options = {
		ISOLATE_POOL_OPTIONS_INIT, .at_once = 1, .no_spare = true};
	struct isolate_options shortly = {ISOLATE_OPTIONS_INIT, .deadline_ms = 1};
	struct isolate_pool *pool;
	struct isolate_result result;

	forks = shared_memory(sizeof *forks);
	pool = new_pool(&options);
	ck_assert_int_eq(pthread_atfork(count_fork, NULL, NULL), 0);
	refresh(pool);
	kill(isolate_pool_pid(pool), SIGSTOP);
	for (int i = 0; i < 10; i++) {
		isolate_pool_call(pool, echo, "", 0, &shortly, &result);
		ck_assert_failure(
			&result, ISOLATE_NOT_EXECUTED, ISOLATE_STAGE_DEADLINE, -ETIMEDOUT);
	}
	*forks = 0;
	kill(isolate_pool_pid(pool), SIGCONT);
	check_that_it_works(pool);
	ck_assert_int_eq(*forks, 1);
	isolate_pool_free(pool);
	munmap(forks, sizeof *forks);
}
END_TEST

static volatile sig_atomic_t was_told;

static void note(int signal)
{
	(void)signal;
	was_told = 1;
}

static int end_when_told(struct isolate_writer *out, const void *in, size_t in_size)
{
	sigset_t blocked, before;

	(void)in;
	(void)in_size;
	was_told = 0;
	sigemptyset(&blocked);
	sigaddset(&blocked, SIGTERM);
	sigprocmask(SIG_BLOCK, &blocked, &before);
	signal(SIGTERM, note);
	while (!was_told)
		sigsuspend(&before);
	sigprocmask(SIG_SETMASK, &before, NULL);
	return isolate_write(out, "told", 4);
}

START_TEST(what_is_complete_in_the_grace_time_is_not_waited_for)
{
	struct isolate_options options = {
		ISOLATE_OPTIONS_INIT, .deadline_ms = 1000, .grace_ms = FOR_EVER_MS};
	struct isolate_pool *pool = pool_of(_i);
	struct isolate_result result;

	for (int i = 0; i < 2; i++) {
		isolate_pool_call(pool, end_when_told, NULL, 0, &options, &result);
		ck_assert_answer(&result, ISOLATE_RETURNED);
		ck_assert_uint_eq(result.size, 4);
		isolate_result_clear(&result);
		check_that_it_works(pool);
	}
	isolate_pool_free(pool);
}
END_TEST

/* What has much memory, and no CPU to give it back with, is as slow. */
START_TEST(a_copy_that_does_not_die_costs_no_other_call)
{
	struct isolate_options deadline = {ISOLATE_OPTIONS_INIT, .deadline_ms = 3000};
	struct isolate_pool_options pool_options = {
		ISOLATE_POOL_OPTIONS_INIT, .at_once = 2, .reuse = _i ? 10 : 0};
	struct caller other = {.fn = stay}, held = {.fn = stay, .options = &deadline};
	struct isolate_pool *pool;
	pid_t snapshot, pid;

	set_board();
	pool = new_pool(&pool_options);
	snapshot = isolate_pool_pid(pool);
	other.pool = held.pool = pool;
	start_caller(&other);
	await_entered(1);
	start_caller(&held);
	await_entered(2);
	pid = board->pid;
	if (ptrace(PTRACE_SEIZE, pid, NULL, NULL) < 0)
		support_skip("ptrace: %s", strerror(errno));
	join(&held);
	ck_assert_failure(&held.result, ISOLATE_UNKNOWN, ISOLATE_STAGE_DEADLINE, -ETIMEDOUT);
	ck_assert(!held.result.status_known);
	check_that_it_works(pool); /* in the place that it had */
	check_that_it_works(pool);
	support_tell_one_more(&board->go);
	join(&other);
	ck_assert_answer(&other.result, ISOLATE_RETURNED);
	isolate_result_clear(&other.result);
	ck_assert_int_eq(isolate_pool_pid(pool), snapshot);
	ck_assert_int_eq(waitpid(pid, NULL, __WALL), pid);
	isolate_pool_free(pool);
	drop_board();
}
END_TEST

/* As a snapshot that a machine without memory lets run now and then. */
static int stop_the_snapshot_and_stay(struct isolate_writer *out, const void *in, size_t in_size)
{
	kill(getppid(), SIGSTOP);
	return stay(out, in, in_size);
}

/* It answers an order to kill of the call before, and no other one. */
START_TEST(a_call_takes_no_answer_that_is_for_another_one)
{
	struct isolate_pool_options options = {ISOLATE_POOL_OPTIONS_INIT, .at_once = 1};
	struct isolate_options shortly = {ISOLATE_OPTIONS_INIT, .deadline_ms = 1},
			       longer = {ISOLATE_OPTIONS_INIT, .deadline_ms = 2000};
	struct isolate_pool *pool;
	struct isolate_result result;

	set_board();
	pool = new_pool(&options);
	kill(isolate_pool_pid(pool), SIGSTOP);
	isolate_pool_call(pool, echo, "", 0, &shortly, &result);
	ck_assert_failure(&result, ISOLATE_NOT_EXECUTED, ISOLATE_STAGE_DEADLINE, -ETIMEDOUT);
	kill(isolate_pool_pid(pool), SIGCONT);
	isolate_pool_call(pool, stop_the_snapshot_and_stay, NULL, 0, &longer, &result);
	ck_assert_failure(&result, ISOLATE_UNKNOWN, ISOLATE_STAGE_DEADLINE, -ETIMEDOUT);
	ck_assert_int_eq(board->entered, 1);
	(void)support_await_state(board->pid, 'Z'); /* or the test is ended from outside */
	refresh(pool);
	check_that_it_works(pool);
	isolate_pool_free(pool);
	drop_board();
}
END_TEST

/* ---- files that take their time to close ---- */

#define LINGER_S 600

static int own_line(void)
{
	for (int fd = 3; fd < 200; fd++) {
		int type = 0;
		socklen_t size = sizeof type;

		if (getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &size) == 0 && type == SOCK_SEQPACKET)
			return fd;
	}
	return -1;
}

/* With bytes that nobody reads: who closes it last waits. Its peer is `ret_peer`. */
static int lingering_socket(int *ret_peer)
{
	struct sockaddr_in address = {.sin_family = AF_INET,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t size = sizeof address;
	struct linger linger = {.l_onoff = 1, .l_linger = LINGER_S};
	int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0),
	    fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	char bytes[4096] = {0};

	if (bind(listener, (struct sockaddr *)&address, size) < 0 || listen(listener, 1) < 0 ||
		getsockname(listener, (struct sockaddr *)&address, &size) < 0 ||
		connect(fd, (struct sockaddr *)&address, size) < 0)
		abort();
	*ret_peer = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
	fcntl(fd, F_SETFL, O_NONBLOCK);
	while (write(fd, bytes, sizeof bytes) > 0)
		;
	fcntl(fd, F_SETFL, 0);
	setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof linger);
	close(listener);
	return fd;
}

/* As many as the input has bytes. Their peers stay open until the test lets a process go. */
static int send_lingering_sockets(struct isolate_writer *out, const void *in, size_t in_size)
{
	int line = own_line();

	(void)in;
	for (size_t i = 0; i < in_size; i++) {
		int peer, fd = lingering_socket(&peer);

		if (pal_socket_send(line, "", 1, &fd, 1) < 0)
			abort();
		if (fork() == 0) {
			close(fd);
			close(line);
			support_tell_one_more(&board->entered);
			support_await(&board->go, 1);
			_exit(0);
		}
		close(fd);
	}
	support_await(&board->entered, (int)in_size);
	if (in_size > 1)
		_exit(0);
	return isolate_write(out, "sent", 4);
}

/* What is in the line when the copy has ended, and what was taken from it before. */
START_TEST(what_a_function_sends_does_not_keep_its_caller)
{
	struct isolate_pool_options options = {ISOLATE_POOL_OPTIONS_INIT, .at_once = 1};
	struct isolate_pool *pool;
	struct isolate_result result;

	set_board();
	pool = new_pool(&options);
	isolate_pool_call(pool, send_lingering_sockets, "xxx", _i ? 3 : 1, NULL, &result);
	ck_assert_answer(&result, _i ? ISOLATE_UNKNOWN : ISOLATE_RETURNED);
	isolate_result_clear(&result);
	support_tell_one_more(&board->go);
	check_that_it_works(pool);
	isolate_pool_free(pool);
	drop_board();
}
END_TEST

static Suite *make_suite(void)
{
	Suite *suite = suite_create("isolate/pool-stubborn");
	TCase *copies = isolate_tcase(suite, "copies");

	tcase_set_timeout(copies, 60);
	tcase_add_test(copies, a_waiting_copy_that_was_stopped_is_replaced);
	tcase_add_test(copies, orders_of_callers_who_have_gone_are_not_carried_out);
	tcase_add_loop_test(copies, what_is_complete_in_the_grace_time_is_not_waited_for, 0, 2);
	tcase_add_test(copies, a_call_takes_no_answer_that_is_for_another_one);
	tcase_add_loop_test(copies, what_a_function_sends_does_not_keep_its_caller, 0, 2);
	tcase_add_loop_test(copies, a_copy_that_does_not_die_costs_no_other_call, 0, 2);
	return suite;
}
SUPPORT_MAIN(make_suite)
