/* SPDX-License-Identifier: MIT */
#include <pal/child.h>

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <pal/builder.h>

#include "spawn-support.h"
#include "support.h"

/* Its input's other end is `*ret_input`: it ends when that is closed. */
static struct pal_child *start(int parent_death, int *ret_input)
{
	struct pal_builder *builder = builder_for("end-with", MODE_VFORK);
	struct pal_child *child;

	pal_builder_arg(builder, "stdin");
	pal_builder_stdin(builder, PAL_STDIO_PIPE);
	pal_builder_parent_death(builder, parent_death);
	child = spawn_take(builder);
	*ret_input = pal_child_steal_stdin(child);
	return child;
}

static int threads_before;

/* ThreadSanitizer adds a thread of its own to the first that a process starts, and that one stays. */
static void remember_threads(void)
{
	pthread_t thread;

	if (BUILT_WITH_TSAN) {
		ck_assert_int_eq(pthread_create(&thread, NULL, support_return_arg, NULL), 0);
		ck_assert_int_eq(pthread_join(thread, NULL), 0);
	}
	threads_before = support_count_threads("");
}

/* Its name comes a moment after its start, and it stays a moment longer than its work. */
static void await_no_reaper(void)
{
	while (support_count_threads("pal-reap") || support_count_threads("") > threads_before)
		sched_yield();
}

static void await_no_process(pid_t pid)
{
	while (kill(pid, 0) == 0)
		sched_yield();
}

static void detach(struct pal_child *child)
{
	struct pal_error error = {0};

	ck_assert_ok(pal_child_detach(child, &error), &error);
}

/* The fixture sees zombies, and the descriptors of children and of the thread. */
START_TEST(a_detached_child_runs_on_and_is_reaped)
{
	for (int i = 0; i < 3; i++) {
		int input;
		struct pal_child *child = start(0, &input);
		pid_t pid = pal_child_pid(child);

		detach(child);
		ck_assert_int_eq(kill(pid, 0), 0);
		close(input);
		await_no_process(pid);
		await_no_reaper();
	}
	ck_assert_int_eq(waitpid(-1, NULL, WNOHANG), -1);
	ck_assert_int_eq(errno, ECHILD);
}
END_TEST

#define MANY 50

START_TEST(one_thread_reaps_them_all)
{
	pid_t pids[MANY];
	int inputs[MANY];

	for (int i = 0; i < MANY; i++) {
		struct pal_child *child = start(0, &inputs[i]);

		pids[i] = pal_child_pid(child);
		detach(child);
	}
	while (support_count_threads("pal-reap") == 0) /* its name comes a moment later */
		sched_yield();
	ck_assert_int_eq(support_count_threads("pal-reap"), 1);
	for (int i = 0; i < MANY; i += 2)
		close(inputs[i]);
	for (int i = 0; i < MANY; i += 2)
		await_no_process(pids[i]);
	ck_assert_int_eq(support_count_threads("pal-reap"), 1);
	for (int i = 1; i < MANY; i += 2) {
		ck_assert_int_eq(kill(pids[i], 0), 0);
		close(inputs[i]);
	}
	for (int i = 1; i < MANY; i += 2)
		await_no_process(pids[i]);
	await_no_reaper();
}
END_TEST

START_TEST(an_ended_child_needs_no_thread)
{
	int input;
	struct pal_child *child = start(0, &input);
	siginfo_t info;

	close(input);
	ck_assert_int_eq(waitid(P_PID, (id_t)pal_child_pid(child), &info, WEXITED | WNOWAIT), 0);
	detach(child);
	ck_assert_int_eq(waitpid(-1, NULL, WNOHANG), -1);
	child = start(0, &input);
	close(input);
	ck_assert_int_eq(pal_child_wait(child, PAL_DEADLINE_NONE, NULL, NULL), 0);
	detach(child);
	ck_assert_int_eq(support_count_threads("pal-reap"), 0);
	ck_assert_int_eq(pal_child_detach(NULL, NULL), 0);
}
END_TEST

START_TEST(its_pipes_are_closed)
{
	struct pal_builder *builder = builder_for("say", MODE_VFORK);
	struct pal_child *child;
	pid_t pid;

	pal_builder_arg(builder, "echo");
	pal_builder_stdin(builder, PAL_STDIO_PIPE);
	pal_builder_stdout(builder, PAL_STDIO_PIPE);
	child = spawn_take(builder);
	pid = pal_child_pid(child);
	detach(child);
	await_no_process(pid); /* because its input ends */
	await_no_reaper();
}
END_TEST

/* S58: nothing is left to reap, and the thread leaves all the same. */
START_TEST(also_where_SIGCHLD_is_ignored)
{
	struct pal_child *child;
	int input;
	pid_t pid;

	signal(SIGCHLD, SIG_IGN);
	child = start(0, &input);
	pid = pal_child_pid(child);
	detach(child);
	close(input);
	await_no_process(pid);
	await_no_reaper();
}
END_TEST

/* The thread that the signal depends on stays as long as the child. */
START_TEST(parent_death_keeps_its_meaning)
{
	int input;
	struct pal_child *child = start(SIGKILL, &input);
	pid_t pid = pal_child_pid(child);

	detach(child);
	ck_assert_int_eq(support_count_threads("pal-spawn"), 1);
	ck_assert_int_eq(waitpid(pid, NULL, WNOHANG), 0);
	close(input);
	await_no_process(pid);
	await_no_reaper();
	ck_assert_int_eq(support_count_threads("pal-spawn"), 0);
}
END_TEST

/* It ends a process in which one thread has it open and no handler: the library's have not. */
START_TEST(a_signal_that_is_blocked_everywhere_stays_pending)
{
	int inputs[2];
	struct pal_child *child = start(SIGKILL, &inputs[0]);
	pid_t pid;
	sigset_t all;

	sigfillset(&all);
	ck_assert_int_eq(pthread_sigmask(SIG_SETMASK, &all, NULL), 0);
	detach(start(0, &inputs[1]));
	for (int signal = SIGRTMIN; signal <= SIGRTMAX; signal++) {
		sigset_t one;

		sigemptyset(&one);
		sigaddset(&one, signal);
		kill(getpid(), signal);
		ck_assert_int_eq(sigtimedwait(&one, NULL, &(struct timespec){60, 0}), signal);
	}
	pid = pal_child_pid(child);
	detach(child);
	for (int i = 0; i < 2; i++)
		close(inputs[i]);
	await_no_process(pid);
	await_no_reaper();
}
END_TEST

/* A process that detaches such a child and is killed: the end of the pipe is the child's. */
START_TEST(a_detached_child_dies_with_the_process)
{
	int ends[2];
	char byte;
	pid_t pid;

	ck_assert_int_eq(pipe2(ends, O_CLOEXEC), 0);
	pid = fork();
	if (pid == 0) {
		struct pal_builder *builder = builder_for("end-with", MODE_VFORK);
		struct pal_child *child;

		pal_builder_arg(builder, "nothing");
		pal_builder_parent_death(builder, SIGKILL);
		pal_builder_stdout(builder, PAL_STDIO_FD(ends[1]));
		if (pal_builder_spawn(builder, &child, NULL) < 0 ||
			pal_child_detach(child, NULL) < 0 || write(ends[1], "x", 1) != 1)
			_exit(1);
		close(ends[1]);
		for (;;)
			pause();
	}
	close(ends[1]);
	ck_assert_int_eq(read(ends[0], &byte, 1), 1);
	kill_and_reap(pid);
	ck_assert_int_eq(read(ends[0], &byte, 1), 0);
	close(ends[0]);
}
END_TEST

static void detach_one_in_a_fork(void)
{
	size_t before = support_open_fds();
	int input;
	struct pal_child *child = start(0, &input);
	pid_t pid = pal_child_pid(child);

	detach(child);
	close(input);
	await_no_process(pid);
	await_no_reaper();
	ck_assert_uint_eq(support_open_fds(), before);
}

/* It has a copy of what the thread needs, but not the thread. */
START_TEST(a_forked_host_detaches_children_of_its_own)
{
	struct pal_child *child;
	int input, status;
	pid_t pid, detached;

	if (BUILT_WITH_TSAN)
		support_skip("ThreadSanitizer does not let a forked process start threads");
	child = start(0, &input);
	detached = pal_child_pid(child);
	detach(child);
	pid = fork();
	if (pid == 0) {
		detach_one_in_a_fork();
		_exit(0);
	}
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert_int_eq(status, 0);
	ck_assert_int_eq(kill(detached, 0), 0);
	close(input);
	await_no_process(detached);
	await_no_reaper();
}
END_TEST

#define LOWEST 3
#define HIGHEST 40

/* What daemons do: nothing that they inherit stays open, and its numbers are given to files. */
static int detach_with_other_files(void)
{
	struct pal_child *child;

	for (int fd = LOWEST; fd <= HIGHEST; fd++)
		close(fd);
	child = start(0, &(int){0});
	for (int fd = LOWEST; fd <= HIGHEST; fd++)
		if (fcntl(fd, F_GETFD) < 0 && open("/dev/null", O_RDWR | O_CLOEXEC) != fd)
			return 1;
	if (pal_child_detach(child, NULL) < 0)
		return 2;
	for (int fd = LOWEST; fd <= HIGHEST; fd++)
		if (fcntl(fd, F_GETFD) < 0)
			return fd;
	return 0;
}

/* The parent's set and its child's handle have numbers that mean something else in a fork. */
START_TEST(a_fork_keeps_its_files_when_it_detaches)
{
	struct pal_child *child;
	int input, status;
	pid_t pid, detached;

	if (BUILT_WITH_TSAN)
		support_skip("ThreadSanitizer does not let a forked process start threads");
	child = start(0, &input);
	detached = pal_child_pid(child);
	detach(child);
	pid = fork();
	if (pid == 0)
		_exit(detach_with_other_files());
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert_int_eq(status, 0);
	close(input);
	await_no_process(detached);
	await_no_reaper();
}
END_TEST

static void detach_as_the_second_1(struct pal_child *of_parent)
{
	int input;
	struct pal_child *child = start(0, &input);
	pid_t pid = pal_child_pid(child);

	ck_assert_int_eq(getpid(), 1);
	ck_assert_int_eq(pal_child_steal_pid(of_parent), -ECHILD);
	detach(child);
	close(input);
	await_no_process(pid);
	await_no_reaper();
}

/* Process 1 of a pid namespace forks process 1 of another. */
static void fork_as_process_1(void)
{
	int detached_input, input, status;
	struct pal_child *child;
	pid_t pid;

	ck_assert_int_eq(getpid(), 1);
	detach(start(0, &detached_input));
	child = start(0, &input);
	ck_assert_int_eq(unshare(CLONE_NEWPID), 0);
	pid = fork();
	if (pid == 0) {
		detach_as_the_second_1(child);
		_exit(0);
	}
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert_int_eq(status, 0);
	ck_assert_int_eq(pal_child_try_wait(child, NULL, NULL), 0);
	pal_child_free(child);
}

/* A pid does not say which process has started the reaper, or a child. */
START_TEST(a_fork_with_the_number_of_its_parent_is_another_process)
{
	int status;
	pid_t pid;

	if (BUILT_WITH_TSAN)
		support_skip("ThreadSanitizer does not let a forked process start threads");
	pid = fork();
	if (pid == 0) {
		pid_t first = unshare(CLONE_NEWPID) < 0 ? -1 : fork();

		if (first == 0) {
			fork_as_process_1();
			_exit(0);
		}
		_exit(first < 0 ? 77 : waitpid(first, &status, 0) != first || status != 0);
	}
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	if (status == 77 << 8)
		support_skip("no pid namespaces");
	ck_assert_int_eq(status, 0);
}
END_TEST

static pthread_mutex_t starting = PTHREAD_MUTEX_INITIALIZER; /* support_helper is for one thread */

static void *detach_many(void *arg)
{
	(void)arg;
	for (int i = 0; i < 100; i++) {
		struct pal_child *child;
		int input;

		pthread_mutex_lock(&starting);
		child = start(0, &input);
		pthread_mutex_unlock(&starting);
		if (i % 2)
			close(input);
		detach(child);
		if (i % 2 == 0)
			close(input);
	}
	return NULL;
}

/* The thread ends and begins again and again, while others come. */
START_TEST(threads_detach_at_the_same_time)
{
	pthread_t threads[4];

	for (int i = 0; i < 4; i++)
		ck_assert_int_eq(pthread_create(&threads[i], NULL, detach_many, NULL), 0);
	for (int i = 0; i < 4; i++)
		ck_assert_int_eq(pthread_join(threads[i], NULL), 0);
	await_no_reaper();
	ck_assert_int_eq(waitpid(-1, NULL, WNOHANG), -1);
}
END_TEST

/* S62: a zombie that its tracer keeps holds up neither the thread nor its other children. */
START_TEST(a_traced_child_is_reaped_when_its_tracer_lets_go)
{
	int ready[2], go[2], input, other_input;
	struct pal_child *child = start(0, &input), *other = start(0, &other_input);
	pid_t pid = pal_child_pid(child), other_pid = pal_child_pid(other), tracer;
	siginfo_t info;
	char byte;

	ck_assert_int_eq(pipe2(ready, O_CLOEXEC), 0);
	ck_assert_int_eq(pipe2(go, O_CLOEXEC), 0);
	tracer = fork();
	if (tracer == 0) {
		close(go[1]);
		close(ready[0]);
		close(input);
		close(other_input);
		if (ptrace(PTRACE_SEIZE, pid, NULL, NULL) < 0 || write(ready[1], "x", 1) != 1)
			_exit(77);
		waitid(P_PID, (id_t)pid, &info, WEXITED | WNOWAIT);
		close(ready[1]); /* it is a zombie, and ours */
		while (read(go[0], &byte, 1) > 0)
			;
		syscall(SYS_exit_group, 0);
	}
	close(ready[1]);
	close(go[0]);
	detach(child);
	detach(other);
	ck_assert_int_eq(read(ready[0], &byte, 1), 1);
	close(input);
	ck_assert_int_eq(read(ready[0], &byte, 1), 0);
	close(ready[0]);
	close(other_input);
	await_no_process(other_pid);
	ck_assert_int_eq(kill(pid, 0), 0);
	close(go[1]);
	ck_assert_int_eq(waitpid(tracer, NULL, 0), tracer);
	await_no_process(pid);
	await_no_reaper();
}
END_TEST

static Suite *make_suite(void)
{
	Suite *suite = suite_create("pal/detach");
	TCase *detached = support_tcase(suite, "detached");

	tcase_add_checked_fixture(detached, remember_threads, NULL);
	tcase_add_test(detached, a_detached_child_runs_on_and_is_reaped);
	tcase_add_test(detached, one_thread_reaps_them_all);
	tcase_add_test(detached, an_ended_child_needs_no_thread);
	tcase_add_test(detached, its_pipes_are_closed);
	tcase_add_test(detached, also_where_SIGCHLD_is_ignored);
	tcase_add_test(detached, parent_death_keeps_its_meaning);
	tcase_add_test(detached, a_signal_that_is_blocked_everywhere_stays_pending);
	tcase_add_test(detached, a_detached_child_dies_with_the_process);
	tcase_add_test(detached, a_forked_host_detaches_children_of_its_own);
	tcase_add_test(detached, a_fork_keeps_its_files_when_it_detaches);
	tcase_add_test(detached, a_fork_with_the_number_of_its_parent_is_another_process);
	tcase_add_test(detached, threads_detach_at_the_same_time);
	tcase_add_test(detached, a_traced_child_is_reaped_when_its_tracer_lets_go);
	return suite;
}
SUPPORT_MAIN(make_suite)
