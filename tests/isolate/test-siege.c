/* SPDX-License-Identifier: MIT */

/*
 * Hosts under attack: storms of signals, stopped and continued, terminals' signals to the
 * group, others that reap, limits that are reached, and functions that write to everything.
 */
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include "gate.h"
#include "isolate-support.h"

#define NOBODY 65534

/* In a process of its own, which the attack cannot outlive: 0, or what __LINE__ it failed at. */
static void check_in_host(int (*host)(void))
{
	pid_t pid = fork();
	int status;

	if (pid == 0)
		_exit(host() & 0xff);
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert_msg(
		WIFEXITED(status) && WEXITSTATUS(status) == 0, "status %#x", (unsigned)status);
}

static bool is_pattern(const struct isolate_result *result, size_t size)
{
	const unsigned char *bytes = result->data;

	if (result->answer != ISOLATE_RETURNED || result->value || result->size != size)
		return false;
	for (size_t i = 0; i < size; i++)
		if (bytes[i] != pattern(i))
			return false;
	return true;
}

/* ---- signals ---- */

static atomic_int alarms;

static void count_alarm(int signal)
{
	(void)signal;
	atomic_fetch_add(&alarms, 1);
}

static int print_and_write(struct isolate_writer *out, void *arg)
{
	static const char line[1000] = "l";

	for (int i = 0; i < 200; i++)
		if (write(1, line, sizeof line) != sizeof line)
			return -1;
	return write_pattern(out, arg);
}

static bool survives_storm(bool in_halves)
{
	struct isolate_options options = {
		ISOLATE_OPTIONS_INIT, .std_out = PAL_STDIO_PIPE, .deadline_ms = A_HANG_MS};
	struct order order = {200000, 1000};
	struct isolate_result result;
	bool whole;

	if (in_halves) {
		struct isolate_run *run = start(print_and_write, &order, &options);

		while (!isolate_progress(run))
			is_readable(isolate_run_fd(run), A_HANG_MS);
		isolate_finish(run, &result);
	} else {
		isolate_call(print_and_write, &order, &options, &result);
	}
	whole = is_pattern(&result, order.size) && result.out_size == 200000 &&
		result.status_known && !result.cut_off;
	isolate_result_clear(&result);
	return whole;
}

/* S117: a signal every 200 us, and every call is interrupted (no SA_RESTART) */
START_TEST(a_storm_of_signals_costs_nothing_but_time)
{
	struct sigaction action = {.sa_handler = count_alarm};
	struct itimerval often = {{0, 200}, {0, 200}}, never = {{0, 0}, {0, 0}};

	sigaction(SIGALRM, &action, NULL);
	setitimer(ITIMER_REAL, &often, NULL);
	for (int i = 0; i < 20 || alarms < 20; i++)
		ck_assert(survives_storm(_i));
	setitimer(ITIMER_REAL, &never, NULL);
}
END_TEST

static char state_of(pid_t pid)
{
	char path[64], state = 0;
	FILE *file;

	snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
	file = fopen(path, "re");
	if (!file || fscanf(file, "%*d %*s %c", &state) != 1)
		state = 0;
	if (file)
		fclose(file);
	return state;
}

static void await_state(pid_t pid, char state)
{
	char now;

	while ((now = state_of(pid)) != state) {
		ck_assert_msg(now && now != 'Z', "it has ended");
		usleep(100);
	}
}

static int call_through_gate(struct gate *gate)
{
	struct isolate_result result;
	bool whole;

	dup2(gate->go[0], gate->go[1]); /* the function closes the number */
	isolate_call(pass, gate, NULL, &result);
	whole = is_pattern(&result, gate->size) && result.status_known;
	isolate_result_clear(&result);
	return whole ? 0 : 1;
}

static int run_through_gate(struct gate *gate)
{
	struct isolate_options options = {ISOLATE_OPTIONS_INIT, .deadline_ms = A_HANG_MS};
	struct isolate_result result;
	struct isolate_run *run;
	bool whole;

	dup2(gate->go[0], gate->go[1]);
	run = start(pass, gate, &options);
	while (!isolate_progress(run))
		is_readable(isolate_run_fd(run), A_HANG_MS);
	isolate_finish(run, &result);
	whole = is_pattern(&result, gate->size) && result.status_known;
	isolate_result_clear(&result);
	return whole ? 0 : 1;
}

/* S117: the function ends while nobody is there to see it */
START_TEST(a_host_that_was_stopped_finds_its_answer)
{
	struct gate gate;
	pid_t host, function;
	int status;

	gate_open(&gate, 100000);
	host = fork();
	if (host == 0)
		_exit(call_through_gate(&gate));
	function = await_entry(&gate);
	kill(host, SIGSTOP);
	await_state(host, 'T');
	if (_i) { /* and it was stopped itself */
		kill(function, SIGSTOP);
		await_state(function, 'T');
		kill(function, SIGCONT);
	}
	let_go(&gate);
	await_state(function, 'Z');
	kill(host, SIGCONT);
	ck_assert_int_eq(waitpid(host, &status, 0), host);
	ck_assert_int_eq(status, 0);
	check_that_all_are_gone(&gate);
}
END_TEST

static void ignore(int signal)
{
	(void)signal;
}

static int be_interrupted(struct gate *gate)
{
	struct isolate_result result;

	setpgid(0, 0);
	signal(SIGINT, ignore);
	isolate_call(pass, gate, NULL, &result);
	if (result.answer != ISOLATE_UNKNOWN || result.error.stage != (int)ISOLATE_STAGE_RUN ||
		result.error.code != -ECHILD)
		return 1;
	return result.status_known && result.status.signaled && result.status.code == SIGINT ? 0
											     : 2;
}

/* S125: Ctrl-C, in a host that handles it: the function has the default disposition and dies */
START_TEST(an_interrupt_from_the_terminal_ends_the_function_only)
{
	struct gate gate;
	pid_t host;
	int status;

	gate_open(&gate, 0);
	host = fork();
	if (host == 0)
		_exit(be_interrupted(&gate));
	await_entry(&gate);
	kill(-host, SIGINT);
	ck_assert_int_eq(waitpid(host, &status, 0), host);
	ck_assert_int_eq(status, 0);
	let_go(&gate);
	check_that_all_are_gone(&gate);
}
END_TEST

/* S125: Ctrl-Z and fg: host and function stop, go on, and nothing is lost */
START_TEST(a_stop_from_the_terminal_stops_both_and_both_go_on)
{
	struct gate gate;
	pid_t host, function;
	int status;

	skip_under_valgrind("it does not stop by SIGTSTP");
	gate_open(&gate, 100000);
	host = fork();
	if (host == 0) {
		setpgid(0, 0);
		_exit(_i ? run_through_gate(&gate) : call_through_gate(&gate));
	}
	function = await_entry(&gate);
	for (int i = 0; i < 3; i++) {
		kill(-host, SIGTSTP);
		await_state(host, 'T');
		await_state(function, 'T');
		if (i == 2)
			let_go(&gate);
		kill(-host, SIGCONT);
	}
	ck_assert_int_eq(waitpid(host, &status, 0), host);
	ck_assert_int_eq(status, 0);
	check_that_all_are_gone(&gate);
}
END_TEST

/* ---- others that wait ---- */

static atomic_bool over;

static void *reap_everything(void *arg)
{
	while (!over)
		if (waitpid(-1, NULL, WNOHANG) < 0)
			sched_yield();
	return arg;
}

/* S117: a library that takes every child of the process */
START_TEST(a_foreign_reaper_costs_the_status_at_most)
{
	struct order order = {100000, 10000};
	int stolen = 0;
	pthread_t thread;

	if (_i)
		support_without_pidfd_info();
	over = false;
	ck_assert_int_eq(pthread_create(&thread, NULL, reap_everything, NULL), 0);
	for (int i = 0; i < 200 / SLOWNESS; i++) {
		struct isolate_result result;

		isolate_call(write_pattern, &order, NULL, &result);
		check_pattern(&result, order.size);
		stolen += !result.status_known;
		isolate_result_clear(&result);
		isolate_call(NULL, NULL, NULL, &result); /* whatever was kept of it is usable */
	}
	over = true;
	pthread_join(thread, NULL);
	if (_i == 0 && stolen) /* Linux 6.15 tells */
		printf("the status of %d children was lost to a reaper\n", stolen);
}
END_TEST

/* ---- limits ---- */

static int reach_limit_on_processes(void)
{
	struct order order = {10, 10};
	struct isolate_result result;
	struct isolate_run *run;
	struct pal_error error = {0};
	struct rlimit limit;

	getrlimit(RLIMIT_NPROC, &limit);
	if (geteuid() == 0 && (setgroups(0, NULL) || setresgid(NOBODY, NOBODY, NOBODY) ||
				      setresuid(NOBODY, NOBODY, NOBODY)))
		return 1;
	setrlimit(RLIMIT_NPROC, &(struct rlimit){0, limit.rlim_max});
	isolate_call(write_pattern, &order, NULL, &result);
	if (result.answer != ISOLATE_NOT_EXECUTED || result.error.code != -EAGAIN ||
		result.error.stage != (int)ISOLATE_STAGE_START)
		return 2;
	if (isolate_start(write_pattern, &order, NULL, &run, &error) != -EAGAIN)
		return 3;
	setrlimit(RLIMIT_NPROC, &(struct rlimit){limit.rlim_max, limit.rlim_max});
	isolate_call(write_pattern, &order, NULL, &result);
	if (!is_pattern(&result, order.size))
		return 4;
	isolate_result_clear(&result);
	return 0;
}

/* S106, S116: a real EAGAIN of fork(2) */
START_TEST(a_full_table_of_processes_is_not_executed)
{
	skip_under_valgrind("it cannot run as another user");
	check_in_host(reach_limit_on_processes);
}
END_TEST

static long count_mapped(void)
{
	FILE *statm = fopen("/proc/self/statm", "re");
	long pages = -1;

	if (!statm || fscanf(statm, "%ld", &pages) != 1)
		pages = -1;
	if (statm)
		fclose(statm);
	return pages;
}

static int reach_limit_on_memory(void)
{
	struct order order = {1 << 20, 1 << 20};
	rlim_t page = (rlim_t)sysconf(_SC_PAGESIZE), mapped = (rlim_t)count_mapped();
	bool seen[4] = {false};

	for (rlim_t more = 0; more < 1200 && !seen[ISOLATE_RETURNED]; more += more < 64 ? 4 : 32) {
		struct rlimit limit = {(mapped + more) * page, RLIM_INFINITY};
		struct isolate_result result;

		isolate_trim();
		setrlimit(RLIMIT_AS, &limit);
		isolate_call(write_pattern, &order, NULL, &result);
		setrlimit(RLIMIT_AS, &(struct rlimit){RLIM_INFINITY, RLIM_INFINITY});
		seen[result.answer] = true;
		if (result.answer == ISOLATE_RETURNED && result.value == 0 &&
			!is_pattern(&result, order.size))
			return 1;
		if (result.answer == ISOLATE_RETURNED && result.value != 0 &&
			result.value != -ENOMEM)
			return 2;
		if (result.answer == ISOLATE_RETURNED && result.value == -ENOMEM)
			seen[ISOLATE_RETURNED] = false; /* the function's own memory */
		if (result.answer != ISOLATE_RETURNED && result.error.code != -ENOMEM)
			return 3;
		isolate_result_clear(&result);
	}
	return seen[ISOLATE_RETURNED] && seen[ISOLATE_NOT_EXECUTED] ? 0 : 4;
}

/* S116: at every amount of memory that is left */
START_TEST(little_memory_is_an_answer)
{
	if (!ALLOCATOR_SURVIVES_FORK || THREADS_OF_THE_SANITIZER)
		support_skip("a sanitizer needs more memory than any limit leaves");
	skip_under_valgrind("it needs more memory than any limit leaves");
	check_in_host(reach_limit_on_memory);
}
END_TEST

/* ---- garbage ---- */

static int write_to_everything(struct isolate_writer *out, void *arg)
{
	static char garbage[70000];
	bool first = *(bool *)arg;

	signal(SIGPIPE, SIG_IGN);
	memset(garbage, 'g', sizeof garbage);
	if (!first)
		write_pattern(out, &(struct order){100000, 1000});
	for (int fd = 0; fd < 100; fd++) {
		fcntl(fd, F_SETFL, O_NONBLOCK);
		(void)!write(fd, garbage, sizeof garbage);
		(void)!pwrite(fd, garbage, 100, 0);
		(void)!ftruncate(fd, 10);
	}
	if (first)
		write_pattern(out, &(struct order){100000, 1000});
	for (int fd = 0; fd < 100; fd++)
		close(fd);
	return 0;
}

/*
 * Either the bytes of the function are there, all of them, or it is said that they are not. What
 * another file has got is none of the answer.
 */
static int be_given_garbage(void)
{
	for (int i = 0; i < 8; i++) {
		bool first = i & 1;
		struct isolate_options options = {ISOLATE_OPTIONS_INIT, .deadline_ms = A_HANG_MS};
		struct isolate_result result;

		if (i & 2)
			options.std_out = options.std_err = PAL_STDIO_PIPE;
		if (i & 4)
			options.max_result = 101000;
		isolate_call(write_to_everything, &first, &options, &result);
		if (result.answer == ISOLATE_RETURNED && result.size != 100000)
			return 10 + i;
		if (result.answer != ISOLATE_RETURNED && result.answer != ISOLATE_EXECUTED)
			return 20 + i;
		isolate_result_clear(&result);
		isolate_call(write_pattern, &(struct order){70000, 999}, NULL, &result);
		if (!is_pattern(&result, 70000))
			return 30 + i;
		isolate_result_clear(&result);
	}
	return 0;
}

static int be_given_garbage_alone(void)
{
	/* Not to Check's own: the pipe and the file that it believes. */
	for (int fd = 0; fd < 100; fd++)
		close(fd);
	for (int fd = 0; fd < 3; fd++)
		if (open("/dev/null", O_RDWR | O_CLOEXEC) != fd)
			return 1;
	return be_given_garbage();
}

/* S112, S113 */
START_TEST(garbage_in_every_descriptor_is_not_taken_for_an_answer)
{
	skip_under_valgrind("some descriptors are its own");
	check_in_host(be_given_garbage_alone);
}
END_TEST

static Suite *make_suite(void)
{
	Suite *suite = suite_create("isolate/siege");
	TCase *signals = isolate_tcase(suite, "signals");
	TCase *limits = isolate_tcase(suite, "limits");
	TCase *garbage = isolate_tcase(suite, "garbage");

	tcase_add_loop_test(signals, a_storm_of_signals_costs_nothing_but_time, 0, 2);
	tcase_add_loop_test(signals, a_host_that_was_stopped_finds_its_answer, 0, 2);
	tcase_add_test(signals, an_interrupt_from_the_terminal_ends_the_function_only);
	tcase_add_loop_test(signals, a_stop_from_the_terminal_stops_both_and_both_go_on, 0, 2);
	tcase_add_loop_test(signals, a_foreign_reaper_costs_the_status_at_most, 0, 2);
	tcase_add_test(limits, a_full_table_of_processes_is_not_executed);
	tcase_add_test(limits, little_memory_is_an_answer);
	tcase_add_test(garbage, garbage_in_every_descriptor_is_not_taken_for_an_answer);
	return suite;
}
SUPPORT_MAIN(make_suite)
