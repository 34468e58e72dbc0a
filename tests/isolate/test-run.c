/* SPDX-License-Identifier: MIT */

/* Runs in two halves: started, looked at through one descriptor, finished, by whatever thread or process. */
#include <fcntl.h>
#include <pal/profile.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "gate.h"
#include "isolate-support.h"

/* ---- start and finish ---- */

static const size_t sizes[] = {0, 5, 64 << 10, 100000};

START_TEST(started_and_finished_is_called)
{
	struct order order = {sizes[_i], 1000};
	struct isolate_run *run = start(write_pattern, &order, NULL);
	struct isolate_result result;

	ck_assert_int_eq(isolate_finish(run, &result), ISOLATE_RETURNED);
	check_pattern(&result, order.size);
	ck_assert(result.status_known);
	isolate_result_clear(&result);
}
END_TEST

START_TEST(the_descriptor_tells_when_there_is_progress)
{
	struct isolate_result result;
	struct isolate_run *run;
	struct gate gate;
	int fd;

	gate_open(&gate, sizes[_i]);
	run = start(pass, &gate, NULL);
	await_entry(&gate);
	fd = isolate_run_fd(run);
	ck_assert_int_ge(fd, 3);
	ck_assert_int_eq(isolate_run_fd(run), fd);
	ck_assert_int_eq(fcntl(fd, F_GETFD), FD_CLOEXEC);
	ck_assert(!is_readable(fd, 0));
	ck_assert_int_eq(isolate_progress(run), 0); /* which does not wait */
	let_go(&gate);
	progress_to_the_end(run);
	check_that_all_are_gone(&gate); /* before isolate_finish */
	ck_assert_int_eq(isolate_finish(run, &result), ISOLATE_RETURNED);
	check_pattern(&result, sizes[_i]);
	isolate_result_clear(&result);
}
END_TEST

START_TEST(a_descriptor_asked_for_late_is_readable_at_once)
{
	struct order order = {10, 10};
	struct isolate_run *run = start(write_pattern, &order, NULL);

	SUPPORT_LOOK_UNTIL(isolate_progress(run));
	ck_assert(is_readable(isolate_run_fd(run), 0));
	ck_assert_int_eq(isolate_finish(run, NULL), ISOLATE_RETURNED);
}
END_TEST

#define MANY 50

/* S121: in one set, in the order in which they end */
START_TEST(many_runs_at_once_do_not_mix_their_answers)
{
	static struct order orders[MANY];
	struct isolate_run *runs[MANY];
	int set = epoll_create1(EPOLL_CLOEXEC);

	for (size_t i = 0; i < MANY; i++) {
		struct epoll_event event = {.events = EPOLLIN, .data.u64 = i};

		orders[i] = (struct order){i * 2000, 1000};
		runs[i] = start(write_pattern, &orders[i], NULL);
		ck_assert_int_eq(epoll_ctl(set, EPOLL_CTL_ADD, isolate_run_fd(runs[i]), &event), 0);
	}
	for (size_t left = MANY; left > 0;) {
		struct isolate_result result;
		struct epoll_event event;
		size_t i;

		ck_assert_int_eq(epoll_wait(set, &event, 1, A_HANG_MS), 1);
		i = event.data.u64;
		if (!isolate_progress(runs[i]))
			continue;
		epoll_ctl(set, EPOLL_CTL_DEL, isolate_run_fd(runs[i]), NULL);
		isolate_finish(runs[i], &result);
		check_pattern(&result, orders[i].size);
		isolate_result_clear(&result);
		left--;
	}
	close(set);
}
END_TEST

START_TEST(what_cannot_be_started_says_why)
{
	struct isolate_options negative = {ISOLATE_OPTIONS_INIT, .grace_ms = -1};
	struct isolate_run *untouched = (struct isolate_run *)&negative, *run = untouched;
	struct isolate_result result;
	struct pal_error error = {0};

	ck_assert_int_eq(isolate_start(NULL, NULL, NULL, &run, &error), -EINVAL);
	ck_assert_int_eq(error.stage, ISOLATE_STAGE_PREPARE);
	ck_assert_int_eq(isolate_start(pass, NULL, &negative, &run, &error), -EINVAL);
	ck_assert_int_eq(error.stage, ISOLATE_STAGE_PREPARE);
	ck_assert_int_eq(isolate_start(pass, NULL, &negative, &run, NULL), -EINVAL);
	ck_assert_ptr_eq(run, untouched);
	ck_assert_int_eq(isolate_run_fd(NULL), -EINVAL);
	ck_assert_int_eq(isolate_finish(NULL, NULL), ISOLATE_NOT_EXECUTED);
	isolate_finish(NULL, &result);
	ck_assert_failure(&result, ISOLATE_NOT_EXECUTED, ISOLATE_STAGE_PREPARE, -EINVAL);
}
END_TEST

static int start_two_more(struct isolate_writer *out, void *arg)
{
	static struct order orders[2] = {{7000, 10}, {90000, 10}};
	struct isolate_run *runs[2];
	struct isolate_result result;

	(void)arg;
	for (int i = 0; i < 2; i++)
		if (isolate_start(write_pattern, &orders[i], NULL, &runs[i], NULL) < 0)
			return 1;
	if (isolate_finish(runs[1], &result) != ISOLATE_RETURNED || result.size != 90000)
		return 2;
	isolate_result_clear(&result);
	if (isolate_finish(runs[0], &result) != ISOLATE_RETURNED)
		return 3;
	isolate_write(out, result.data, result.size);
	isolate_result_clear(&result);
	return 0;
}

/* S121 */
START_TEST(runs_nest)
{
	struct isolate_result result;

	isolate_finish(start(start_two_more, NULL, NULL), &result);
	check_pattern(&result, 7000);
	isolate_result_clear(&result);
}
END_TEST

/* ---- threads and processes ---- */

static void *start_in_thread(void *arg)
{
	return start(pass, arg, NULL);
}

static void *finish_in_thread(void *run)
{
	struct isolate_result *result = malloc(sizeof *result);

	isolate_finish(run, result);
	return result;
}

/* S69: had its end killed the child, that would have been before the thread was joined. */
START_TEST(a_run_outlives_its_thread_and_is_finished_in_another)
{
	struct isolate_result *result;
	struct gate gate;
	pthread_t thread;
	void *run, *ret;

	gate_open(&gate, 100000);
	ck_assert_int_eq(pthread_create(&thread, NULL, start_in_thread, &gate), 0);
	ck_assert_int_eq(pthread_join(thread, &run), 0);
	ck_assert_int_eq(isolate_progress(run), 0);
	ck_assert_int_eq(pthread_create(&thread, NULL, finish_in_thread, run), 0);
	let_go(&gate);
	ck_assert_int_eq(pthread_join(thread, &ret), 0);
	result = ret;
	check_pattern(result, 100000);
	isolate_result_clear(result);
	free(result);
	await_entry(&gate);
	check_that_all_are_gone(&gate);
}
END_TEST

/* S51, S125 */
START_TEST(runs_die_with_the_process)
{
	struct gate gate;
	pid_t host;

	gate_open(&gate, 0);
	host = fork();
	if (host == 0) {
		for (int i = 0; i < 3; i++)
			start(pass, &gate, NULL);
		close(gate.held[1]);
		for (;;)
			pause();
	}
	for (int i = 0; i < 3; i++)
		await_entry(&gate);
	kill(host, SIGKILL);
	ck_assert_int_eq(waitpid(host, NULL, 0), host);
	check_that_all_are_gone(&gate);
	let_go(&gate);
}
END_TEST

static int use_the_copy(struct isolate_run *run)
{
	struct isolate_result result;

	isolate_cancel(run);
	if (isolate_run_fd(run) != -EPERM || isolate_progress(run) != 1)
		return 1;
	if (isolate_finish(run, &result) != ISOLATE_UNKNOWN)
		return 2;
	return result.error.code == -EPERM && result.error.stage == ISOLATE_STAGE_WAIT ? 0 : 3;
}

START_TEST(a_copy_in_a_fork_is_of_no_effect)
{
	struct isolate_result result;
	struct isolate_run *run;
	struct gate gate;
	int status;
	pid_t pid;

	gate_open(&gate, 100000);
	run = start(pass, &gate, NULL);
	await_entry(&gate);
	ck_assert_int_ge(isolate_run_fd(run), 3);
	pid = fork();
	if (pid == 0)
		_exit(use_the_copy(run));
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert_int_eq(status, 0);
	ck_assert_int_eq(isolate_progress(run), 0);
	let_go(&gate);
	progress_to_the_end(run); /* its set is still whole */
	isolate_finish(run, &result);
	check_pattern(&result, 100000);
	isolate_result_clear(&result);
	check_that_all_are_gone(&gate);
}
END_TEST

/* As large as the page that the library shares with a child: they fill the hole where that is not. */
enum { OWN_MAPPINGS = 64, OWN_SIZE = 17 * 4096, OWN_FILES = 40 };

static int map_own(unsigned char **ret)
{
	for (int i = 0; i < OWN_MAPPINGS; i++) {
		ret[i] = mmap(NULL, OWN_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
			-1, 0);
		if (ret[i] == MAP_FAILED)
			return -1;
	}
	return 0;
}

/* Not by looking: what is not there cannot be looked at. */
static bool are_all_there(unsigned char *const *mappings)
{
	unsigned char pages[OWN_SIZE / 4096 + 1];

	for (int i = 0; i < OWN_MAPPINGS; i++)
		if (mincore(mappings[i], OWN_SIZE, pages) < 0)
			return false;
	return true;
}

static int count_open(void)
{
	int count = 0;

	for (int fd = 3; fd < 200; fd++)
		count += fcntl(fd, F_GETFD) >= 0;
	return count;
}

/* As daemons do: whatever the numbers were, they are its own files now. */
static int open_own(void)
{
	for (int fd = 3; fd < 200; fd++)
		close(fd);
	for (int i = 0; i < OWN_FILES; i++)
		if (open("/dev/null", O_RDONLY | O_CLOEXEC) < 0)
			return -1;
	return count_open();
}

static int drop_the_copy(struct isolate_run *run)
{
	unsigned char *mappings[OWN_MAPPINGS];
	int before = open_own();

	if (before < OWN_FILES || map_own(mappings) < 0)
		return 1;
	isolate_run_free(run);
	if (!are_all_there(mappings))
		return 2;
	return count_open() == before ? 0 : 3;
}

static struct isolate_run *callers_run;

static int drop_the_callers(struct isolate_writer *out, void *unused)
{
	(void)out;
	(void)unused;
	return drop_the_copy(callers_run);
}

/* A fork of whoever, or a function. */
static int drop_in(int way)
{
	struct isolate_result result;
	int status;
	pid_t pid;

	if (way == 1) {
		isolate_call(drop_the_callers, NULL, NULL, &result);
		ck_assert_answer(&result, ISOLATE_RETURNED);
		return result.value;
	}
	pid = fork();
	if (pid == 0)
		_exit(drop_the_copy(callers_run));
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert_msg(WIFEXITED(status), "status %#x", (unsigned)status);
	return WEXITSTATUS(status);
}

START_TEST(who_drops_a_copy_loses_nothing_of_its_own)
{
	struct isolate_options options = {ISOLATE_OPTIONS_INIT, .std_out = PAL_STDIO_PIPE};
	struct isolate_result result;
	struct gate gate;

	if (_i >= 2) {
		skip_under_valgrind("it keeps RLIMIT_NOFILE for itself, which the profile lowers");
		options.sandbox = pal_profile_pure_compute();
	}
	gate_open(&gate, 100000);
	callers_run = start(pass, &gate, &options);
	await_entry(&gate);
	ck_assert_int_ge(isolate_run_fd(callers_run), 3);
	ck_assert_int_eq(drop_in(_i % 2), 0);
	ck_assert_int_eq(isolate_progress(callers_run), 0);
	let_go(&gate);
	isolate_finish(callers_run, &result);
	check_pattern(&result, 100000);
	isolate_result_clear(&result);
	check_that_all_are_gone(&gate);
}
END_TEST

/* ---- a fork with its parent's pid ---- */

enum { REFUSED = 77 };

/* The first process of a new pid namespace: all of them have pid 1. */
static int be_in_a_namespace(int (*fn)(void *arg), void *arg)
{
	int status;
	pid_t pid;

	if (unshare(CLONE_NEWPID) < 0)
		return REFUSED;
	pid = fork();
	if (pid == 0)
		_exit(getpid() == 1 ? fn(arg) : 9);
	return waitpid(pid, &status, 0) == pid && WIFEXITED(status) ? WEXITSTATUS(status) : 8;
}

static int use_it_there(void *run)
{
	return use_the_copy(run);
}

static int start_there(void *unused)
{
	struct order order = {100000, 1000};
	struct isolate_result result;
	struct isolate_run *run;
	int r;

	(void)unused;
	if (isolate_start(write_pattern, &order, NULL, &run, NULL) < 0)
		return 10;
	r = be_in_a_namespace(use_it_there, run);
	if (isolate_finish(run, &result) != ISOLATE_RETURNED)
		return 11;
	isolate_result_clear(&result);
	return r;
}

START_TEST(a_fork_with_its_parents_pid_has_no_more_than_a_copy)
{
	int status;
	pid_t pid = fork();

	if (pid == 0)
		_exit(be_in_a_namespace(start_there, NULL));
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert(WIFEXITED(status));
	if (WEXITSTATUS(status) == REFUSED)
		support_skip("no pid namespace may be made here");
	ck_assert_int_eq(WEXITSTATUS(status), 0);
}
END_TEST

/* To every socket that it finds: pipes are the test program's, which would believe it. */
static int write_garbage_everywhere(struct isolate_writer *out, void *arg)
{
	int written = 0;
	struct stat st;

	(void)arg;
	signal(SIGPIPE, SIG_IGN);
	for (int fd = 3; fd < 200; fd++)
		if (fstat(fd, &st) == 0 && S_ISSOCK(st.st_mode)) {
			(void)!write(fd, "garbage", 7);
			written++;
		}
	return isolate_write_value(out, &written);
}

/* S112: what ties another run to the process */
START_TEST(a_function_that_writes_to_everything_hurts_no_other_run)
{
	struct isolate_result result;
	struct isolate_run *run;
	struct gate gate;

	gate_open(&gate, 100000);
	run = start(pass, &gate, NULL);
	await_entry(&gate);
	for (int i = 0; i < 3; i++) {
		int written = 0;

		isolate_call(write_garbage_everywhere, NULL, NULL, &result);
		ck_assert_int_eq(isolate_result_value(&result, &written), 0);
		ck_assert_int_eq(written, 0); /* it has none of them */
		isolate_result_clear(&result);
	}
	let_go(&gate);
	isolate_finish(run, &result);
	check_pattern(&result, 100000);
	isolate_result_clear(&result);
	check_that_all_are_gone(&gate);
}
END_TEST

static int wait_for_ever(struct isolate_writer *out, void *arg)
{
	(void)out;
	(void)arg;
	for (;;)
		pause();
	return 0;
}

/* Whether there was a timer that had expired. */
static bool read_timers(void)
{
	char path[32], what[64];
	bool any = false;

	for (int fd = 3; fd < 64; fd++) {
		uint64_t times;
		ssize_t size;

		snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
		size = readlink(path, what, sizeof what - 1);
		what[size < 0 ? 0 : size] = 0;
		if (strstr(what, "timerfd") && read(fd, &times, sizeof times) > 0)
			any = true;
	}
	return any;
}

/* As any process can that has a copy. Before the host has seen it, and when all is over. */
START_TEST(a_timer_that_others_read_shows_the_deadline_all_the_same)
{
	struct isolate_options options = {ISOLATE_OPTIONS_INIT, .deadline_ms = 300};
	struct isolate_run *run = start(wait_for_ever, NULL, &options);
	struct isolate_result result;
	int fd = isolate_run_fd(run);

	do
		ck_assert(is_readable(fd, A_HANG_MS));
	while (_i && !isolate_progress(run));
	SUPPORT_LOOK_UNTIL(read_timers());
	ck_assert(is_readable(fd, A_HANG_MS));
	if (_i) {
		read_timers();
		ck_assert(is_readable(fd, A_HANG_MS));
	}
	isolate_finish(run, &result);
	ck_assert_failure(&result, ISOLATE_UNKNOWN, ISOLATE_STAGE_DEADLINE, -ETIMEDOUT);
}
END_TEST

static Suite *make_suite(void)
{
	Suite *suite = suite_create("isolate/run");
	TCase *halves = isolate_tcase(suite, "halves");
	TCase *owners = isolate_tcase(suite, "owners");

	tcase_add_loop_test(
		halves, started_and_finished_is_called, 0, sizeof sizes / sizeof *sizes);
	tcase_add_loop_test(halves, the_descriptor_tells_when_there_is_progress, 0,
		sizeof sizes / sizeof *sizes);
	tcase_add_test(halves, a_descriptor_asked_for_late_is_readable_at_once);
	tcase_add_test(halves, many_runs_at_once_do_not_mix_their_answers);
	tcase_add_test(halves, what_cannot_be_started_says_why);
	tcase_add_test(halves, runs_nest);
	tcase_add_test(owners, a_run_outlives_its_thread_and_is_finished_in_another);
	tcase_add_test(owners, runs_die_with_the_process);
	tcase_add_test(owners, a_copy_in_a_fork_is_of_no_effect);
	tcase_add_test(owners, a_fork_with_its_parents_pid_has_no_more_than_a_copy);
	tcase_add_loop_test(owners, who_drops_a_copy_loses_nothing_of_its_own, 0, 4);
	tcase_add_test(owners, a_function_that_writes_to_everything_hurts_no_other_run);
	tcase_add_loop_test(
		owners, a_timer_that_others_read_shows_the_deadline_all_the_same, 0, 2);
	return suite;
}
SUPPORT_MAIN(make_suite)
