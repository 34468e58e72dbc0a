/* SPDX-License-Identifier: MIT */

/* What happens to pools: their snapshot dies, the host dies, forks, refreshes. */
#include <fcntl.h>
#include <isolate/pool-priv.h>
#include <linux/sockios.h>
#include <pthread.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#include "pool-callers.h"

/* ---- the snapshot's death ---- */

static void check_lost(struct isolate_pool *pool)
{
	struct isolate_result result;

	isolate_pool_call(pool, echo, "", 0, NULL, &result);
	ck_assert_failure(
		&result, ISOLATE_NOT_EXECUTED, ISOLATE_STAGE_SNAPSHOT, -EOWNERDEAD);
}

START_TEST(without_its_snapshot_a_pool_executes_nothing_until_it_is_refreshed)
{
	struct isolate_pool_options options = {ISOLATE_POOL_OPTIONS_INIT, .reuse = _i ? 10 : 0};
	struct isolate_pool *pool = new_pool(&options);

	for (int i = 0; i < 3; i++) {
		if (i > 0) /* in the first turn no copy has been made yet */
			check_that_it_works(pool);
		kill_snapshot(pool);
		check_lost(pool);
		check_lost(pool);
		refresh(pool);
		check_that_it_works(pool);
	}
	isolate_pool_free(pool);
}
END_TEST

START_TEST(calls_under_way_when_the_snapshot_dies_are_unknown)
{
	struct isolate_pool_options options = {ISOLATE_POOL_OPTIONS_INIT, .reuse = _i ? 10 : 0};
	struct caller caller = {.fn = stay};
	int worker;

	set_board();
	caller.pool = new_pool(&options);
	start_caller(&caller);
	await_entered(1);
	worker = open_pidfd(board->pid);
	kill_snapshot(caller.pool);
	join(&caller);
	ck_assert_failure(
		&caller.result, ISOLATE_UNKNOWN, ISOLATE_STAGE_SNAPSHOT, -EOWNERDEAD);
	await_end(worker);
	check_lost(caller.pool);
	refresh(caller.pool);
	check_that_it_works(caller.pool);
	isolate_pool_free(caller.pool);
	drop_board();
}
END_TEST

static bool has_a_busy_place(struct isolate_pool *pool)
{
	bool busy;

	pthread_mutex_lock(&pool->lock);
	busy = pool->current->busy > 0;
	pthread_mutex_unlock(&pool->lock);
	return busy;
}

/* Whether the snapshot has something to read. */
static bool has_unread_orders(struct isolate_pool *pool)
{
	int unread, all = 0;

	for (unsigned i = 0; i < pool->at_once; i++) {
		ck_assert_int_eq(ioctl(pool->current->slots[i].socket, SIOCOUTQ, &unread), 0);
		all += unread;
	}
	return all > 0;
}

/* Stopped, so that it never comes to fork: killed before the order was sent, most likely, or after. */
START_TEST(an_order_that_the_snapshot_did_not_come_to_is_not_executed)
{
	struct isolate_pool_options options = {ISOLATE_POOL_OPTIONS_INIT, .no_spare = true};
	struct caller caller = {.fn = stay};

	set_board();
	caller.pool = new_pool(&options);
	kill(isolate_pool_pid(caller.pool), SIGSTOP);
	start_caller(&caller);
	SUPPORT_LOOK_UNTIL(has_a_busy_place(caller.pool));
	if (_i)
		SUPPORT_LOOK_UNTIL(has_unread_orders(caller.pool));
	kill_snapshot(caller.pool);
	join(&caller);
	ck_assert_failure(
		&caller.result, ISOLATE_NOT_EXECUTED, ISOLATE_STAGE_SNAPSHOT, -EOWNERDEAD);
	ck_assert_int_eq(board->entered, 0);
	isolate_pool_free(caller.pool);
	drop_board();
}
END_TEST

/* A function may do that to its parent. It is past no deadline for long. */
START_TEST(a_snapshot_that_stands_still_is_given_up)
{
	struct isolate_options deadline = {ISOLATE_OPTIONS_INIT, .deadline_ms = 100};
	struct caller caller = {.fn = stay, .options = _i ? &deadline : NULL};
	struct isolate_result result;

	set_board();
	caller.pool = new_pool(NULL);
	if (_i) { /* it has not made a copy: nothing has happened, and it may go on */
		kill(isolate_pool_pid(caller.pool), SIGSTOP);
		isolate_pool_call(caller.pool, echo, "", 0, &deadline, &result);
		ck_assert_failure(
			&result, ISOLATE_NOT_EXECUTED, ISOLATE_STAGE_DEADLINE, -ETIMEDOUT);
		kill(isolate_pool_pid(caller.pool), SIGCONT);
		check_that_it_works(caller.pool);
	} else {
		deadline.deadline_ms = 1000;
		caller.options = &deadline;
		start_caller(&caller);
		await_entered(1);
		kill(isolate_pool_pid(caller.pool), SIGSTOP);
		join(&caller);
		ck_assert_failure(
			&caller.result, ISOLATE_UNKNOWN, ISOLATE_STAGE_DEADLINE, -ETIMEDOUT);
		check_lost(caller.pool);
	}
	isolate_pool_free(caller.pool);
	drop_board();
}
END_TEST

static bool has_copies(pid_t snapshot)
{
	char path[64], pids[32] = "";
	int fd;

	snprintf(path, sizeof path, "/proc/%d/task/%d/children", (int)snapshot, (int)snapshot);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		support_skip("no list of children in /proc");
	ck_assert_int_ge(read(fd, pids, sizeof pids - 1), 0);
	close(fd);
	return pids[0];
}

/* Two places: the order for the one has been read when the other one's next call returns. */
START_TEST(a_copy_that_comes_late_for_its_call_ends)
{
	struct isolate_pool_options options = {
		ISOLATE_POOL_OPTIONS_INIT, .at_once = 2, .no_spare = true};
	struct isolate_options deadline = {ISOLATE_OPTIONS_INIT, .deadline_ms = 100};
	struct caller caller = {.fn = stay};
	struct isolate_result result;
	pid_t snapshot;

	set_board();
	caller.pool = new_pool(&options);
	snapshot = isolate_pool_pid(caller.pool);
	start_caller(&caller);
	await_entered(1);
	kill(snapshot, SIGSTOP);
	isolate_pool_call(caller.pool, echo, "", 0, &deadline, &result);
	ck_assert_failure(
		&result, ISOLATE_NOT_EXECUTED, ISOLATE_STAGE_DEADLINE, -ETIMEDOUT);
	ck_assert(strstr(result.error.text, "before a process was ready") != NULL);
	kill(snapshot, SIGCONT);
	support_tell(&board->go, 1);
	join(&caller);
	ck_assert_answer(&caller.result, ISOLATE_RETURNED);
	isolate_result_clear(&caller.result);
	check_that_it_works(caller.pool);
	SUPPORT_LOOK_UNTIL(!has_copies(snapshot));
	isolate_pool_free(caller.pool);
	drop_board();
}
END_TEST

/* Seen by who reaps the copy that it has: this process would get it from one that was killed. */
START_TEST(a_snapshot_that_stands_still_ends_in_order)
{
	struct isolate_pool_options options = {ISOLATE_POOL_OPTIONS_INIT, .at_once = 1, .reuse = 10};
	struct isolate_pool *pool = new_pool(&options);
	siginfo_t unused;
	pid_t worker;

	ck_assert_int_eq(prctl(PR_SET_CHILD_SUBREAPER, 1), 0);
	worker = call_for_pid(pool);
	kill(isolate_pool_pid(pool), SIGSTOP);
	if (_i)
		refresh(pool);
	else
		isolate_pool_free(pool);
	ck_assert_int_eq(waitid(P_PID, (id_t)worker, &unused, WEXITED), -1);
	ck_assert_int_eq(errno, ECHILD);
	if (_i) {
		check_that_it_works(pool);
		isolate_pool_free(pool);
	}
}
END_TEST

/* ---- refresh ---- */

static volatile int memory;

static int give_memory(struct isolate_writer *out, const void *in, size_t in_size)
{
	(void)out;
	(void)in;
	(void)in_size;
	return memory;
}

static int stay_and_give_memory(struct isolate_writer *out, const void *in, size_t in_size)
{
	int r = stay(out, in, in_size);

	return r < 0 ? r : memory;
}

static void check_memory(struct isolate_pool *pool, int expected)
{
	struct isolate_result result;

	isolate_pool_call(pool, give_memory, NULL, 0, NULL, &result);
	ck_assert_answer(&result, ISOLATE_RETURNED);
	ck_assert_int_eq(result.value, expected);
}

START_TEST(memory_is_that_of_the_last_snapshot)
{
	struct isolate_pool_options options = {ISOLATE_POOL_OPTIONS_INIT, .reuse = _i ? 10 : 0};
	struct isolate_pool *pool;

	memory = 1;
	pool = new_pool(&options);
	for (int i = 1; i < 4; i++) {
		memory = i + 1;
		check_memory(pool, i);
		check_memory(pool, i);
		refresh(pool);
		check_memory(pool, i + 1);
	}
	isolate_pool_free(pool);
}
END_TEST

START_TEST(calls_under_way_end_on_the_old_snapshot)
{
	struct caller caller = {.fn = stay_and_give_memory};
	int old;

	set_board();
	memory = 1;
	caller.pool = new_pool(NULL);
	start_caller(&caller);
	await_entered(1);
	memory = 2;
	old = open_pidfd(isolate_pool_pid(caller.pool));
	refresh(caller.pool);
	check_memory(caller.pool, 2);
	support_tell(&board->go, 1);
	join(&caller);
	ck_assert_answer(&caller.result, ISOLATE_RETURNED);
	ck_assert_int_eq(caller.result.value, 1);
	isolate_result_clear(&caller.result);
	await_end(old);
	check_memory(caller.pool, 2);
	isolate_pool_free(caller.pool);
	drop_board();
}
END_TEST

/* ---- the host ---- */

/* What the kernel ties to the parent's end, it forgets: a server does so to be nobody. */
static void give_up_its_user(void)
{
	(void)!setresuid(65534, 65534, 65534); /* as root only */
	prctl(PR_SET_PDEATHSIG, 0);
}

static int give_up_and_stay(struct isolate_writer *out, const void *in, size_t in_size)
{
	give_up_its_user();
	return stay(out, in, in_size);
}

static int give_up(struct isolate_writer *out, const void *in, size_t in_size)
{
	give_up_its_user();
	return give_pid(out, in, in_size);
}

/* A host that is killed in a call; writes the pids of snapshot, worker and idle worker. */
static void be_host(int to, const struct isolate_pool_options *options, bool gives_up)
{
	struct isolate_pool *pool;
	struct caller caller = {.fn = gives_up ? give_up_and_stay : stay};
	pid_t pids[3];

	pool = new_pool(options);
	caller.pool = pool;
	start_caller(&caller);
	await_entered(1);
	pids[0] = isolate_pool_pid(pool);
	pids[1] = board->pid;
	pids[2] = call_for_pid_by(pool, gives_up ? give_up : give_pid);
	if (options->reuse < 2)
		pids[2] = pids[1];
	if (write(to, pids, sizeof pids) != sizeof pids)
		_exit(1);
	for (;;)
		pause();
}

/* S105 */
START_TEST(nothing_is_left_of_a_host_that_was_killed)
{
	struct isolate_pool_options options = {ISOLATE_POOL_OPTIONS_INIT, .reuse = _i % 2 ? 10 : 0};
	int ends[2], pidfds[3];
	pid_t pids[3], host;

	set_board();
	ck_assert_int_eq(pipe2(ends, O_CLOEXEC), 0);
	host = fork();
	if (host == 0)
		be_host(ends[1], &options, _i / 2);
	ck_assert_int_eq(read(ends[0], pids, sizeof pids), sizeof pids);
	for (int i = 0; i < 3; i++)
		pidfds[i] = open_pidfd(pids[i]);
	kill(host, SIGKILL);
	for (int i = 0; i < 3; i++)
		await_end(pidfds[i]);
	ck_assert_int_eq(waitpid(host, NULL, 0), host);
	close(ends[0]);
	close(ends[1]);
	drop_board();
}
END_TEST

/* S58, S117 */
START_TEST(with_sigchld_ignored_the_status_is_known_all_the_same)
{
	struct isolate_pool *pool;
	struct isolate_result result;

	signal(SIGCHLD, SIG_IGN);
	pool = new_pool(NULL);
	isolate_pool_call(pool, echo, "x", 1, NULL, &result);
	ck_assert_answer(&result, ISOLATE_RETURNED);
	ck_assert(result.status_known);
	isolate_result_clear(&result);
	isolate_pool_free(pool);
}
END_TEST

static int use_copy(struct isolate_pool *pool)
{
	struct isolate_result result;
	struct pal_error error;

	if (isolate_pool_call(pool, echo, "", 0, NULL, &result) != ISOLATE_NOT_EXECUTED ||
		result.error.code != -EPERM || result.error.stage != ISOLATE_STAGE_SNAPSHOT)
		return 1;
	if (isolate_pool_refresh(pool, &error) != -EPERM)
		return 2;
	isolate_pool_free(pool);
	return 0;
}

START_TEST(in_a_fork_there_is_a_copy_that_says_so)
{
	struct isolate_pool *pool = new_pool(NULL);
	int status;
	pid_t pid;

	check_that_it_works(pool);
	pid = fork();
	if (pid == 0)
		_exit(use_copy(pool));
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert_int_eq(status, 0);
	check_that_it_works(pool);
	isolate_pool_free(pool);
}
END_TEST

static int count_open(void)
{
	int count = 0;

	for (int fd = 3; fd < 200; fd++)
		count += fcntl(fd, F_GETFD) >= 0;
	return count;
}

/* In a fork that has closed all that it inherited, as daemons do, and opened files of its own. */
static int drop_copy(struct isolate_pool *pool)
{
	int before;

	for (int fd = 3; fd < 200; fd++)
		close(fd);
	for (int i = 0; i < 40; i++)
		if (open("/dev/null", O_RDONLY | O_CLOEXEC) < 0)
			return 1;
	before = count_open();
	isolate_pool_free(pool);
	return count_open() == before ? 0 : 2;
}

START_TEST(who_drops_a_copy_closes_no_files_of_its_own)
{
	struct isolate_pool *pool = new_pool(NULL);
	int status;
	pid_t pid;

	check_that_it_works(pool);
	pid = fork();
	if (pid == 0)
		_exit(drop_copy(pool));
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert_int_eq(status, 0);
	check_that_it_works(pool);
	isolate_pool_free(pool);
}
END_TEST

static struct isolate_pool *own_pool;

/* Frees it, too, before there is a result. */
static int use_own_pool(struct isolate_writer *out, const void *in, size_t in_size)
{
	int r = own_pool ? use_copy(own_pool) : 0;

	own_pool = NULL;
	return r ? r : write_pattern(out, &(struct order){*(const size_t *)in, in_size * 100});
}

START_TEST(a_function_has_no_more_than_a_copy_of_its_pool)
{
	struct isolate_result result;

	own_pool = pool_of(_i);
	for (int i = 0; i < 8; i++) {
		size_t size = i % 2 ? 200000 : 10;

		if (i % 4 == 0)
			refresh(own_pool); /* so that the snapshot has the pointer, and a pool with another snapshot */
		isolate_pool_call(own_pool, use_own_pool, &size, sizeof size, NULL, &result);
		check_pattern(&result, size);
		isolate_result_clear(&result);
	}
	isolate_pool_free(own_pool);
}
END_TEST

START_TEST(pools_stand_beside_each_other)
{
	struct isolate_pool *pools[3];

	for (int i = 0; i < 3; i++)
		pools[i] = new_pool(NULL);
	for (int i = 0; i < 3; i++)
		check_that_it_works(pools[i]);
	isolate_pool_free(pools[0]);
	check_that_it_works(pools[2]);
	kill_snapshot(pools[2]);
	check_that_it_works(pools[1]);
	isolate_pool_free(pools[1]);
	isolate_pool_free(pools[2]);
}
END_TEST

static Suite *make_suite(void)
{
	Suite *suite = suite_create("isolate/pool-host");
	TCase *death = isolate_tcase(suite, "death");
	TCase *refreshes = isolate_tcase(suite, "refresh");
	TCase *host = isolate_tcase(suite, "host");

	tcase_set_timeout(death, 60);
	tcase_add_loop_test(death,
		without_its_snapshot_a_pool_executes_nothing_until_it_is_refreshed, 0, 2);
	tcase_add_loop_test(death, calls_under_way_when_the_snapshot_dies_are_unknown, 0, 2);
	tcase_add_loop_test(
		death, an_order_that_the_snapshot_did_not_come_to_is_not_executed, 0, 3);
	tcase_add_loop_test(death, a_snapshot_that_stands_still_is_given_up, 0, 2);
	tcase_add_test(death, a_copy_that_comes_late_for_its_call_ends);
	tcase_add_loop_test(death, a_snapshot_that_stands_still_ends_in_order, 0, 2);
	tcase_add_loop_test(refreshes, memory_is_that_of_the_last_snapshot, 0, 2);
	tcase_add_test(refreshes, calls_under_way_end_on_the_old_snapshot);
	tcase_add_loop_test(host, nothing_is_left_of_a_host_that_was_killed, 0, 4);
	tcase_add_test(host, with_sigchld_ignored_the_status_is_known_all_the_same);
	tcase_add_test(host, in_a_fork_there_is_a_copy_that_says_so);
	tcase_add_test(host, who_drops_a_copy_closes_no_files_of_its_own);
	tcase_add_loop_test(host, a_function_has_no_more_than_a_copy_of_its_pool, 0, 2);
	tcase_add_test(host, pools_stand_beside_each_other);
	return suite;
}
SUPPORT_MAIN(make_suite)
