/* SPDX-License-Identifier: MIT */
#include <pal/builder.h>

#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <pal/util-priv.h>

#include "spawn-support.h"
#include "support.h"

static struct pal_child *fork_take(struct pal_builder *builder, int (*fn)(void *arg), void *arg)
{
	struct pal_error error = {0};
	struct pal_child *child;

	ck_assert_ok(pal_fork(builder, fn, arg, &child, &error), &error);
	pal_builder_free(builder);
	return child;
}

static int return_it(void *arg)
{
	return *(int *)arg;
}

START_TEST(the_function_s_return_is_the_exit_status)
{
	int code = 42;

	ck_assert_int_eq(wait_take(fork_take(pal_builder_new(NULL), return_it, &code)).code, 42);
	code = 256 + 7;
	ck_assert_int_eq(wait_take(fork_take(pal_builder_new(NULL), return_it, &code)).code, 7);
}
END_TEST

/* One after the other in the same memory, with a failure in between. */
START_TEST(the_caller_s_memory_serves_in_place_of_a_mapping)
{
	void *memory = mmap(NULL, PAL_FORK_MEMORY, PROT_READ | PROT_WRITE,
		MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	struct pal_builder *builder = pal_builder_new(NULL);
	struct pal_child *child;
	struct pal_error error = {0};
	int code = 42;

	ck_assert(memory != MAP_FAILED);
	pal_builder_fork_memory(NULL, memory);
	pal_builder_fork_memory(builder, memory);
	for (int i = 0; i < 3; i++) {
		ck_assert_ok(pal_fork(builder, return_it, &code, &child, &error), &error);
		memset(memory, 0xff, PAL_FORK_MEMORY); /* it is the caller's again */
		ck_assert_int_eq(wait_take(child).code, 42);
	}
	pal_builder_cwd(builder, "/no/such/folder");
	ck_assert_int_eq(pal_fork(builder, return_it, &code, &child, &error), -ENOENT);
	ck_assert_int_eq(error.stage, PAL_STAGE_CHDIR);
	pal_builder_cwd(builder, "/");
	ck_assert_ok(pal_fork(builder, return_it, &code, &child, &error), &error);
	ck_assert_int_eq(wait_take(child).code, 42);
	pal_builder_free(builder);
	munmap(memory, PAL_FORK_MEMORY);
}
END_TEST

static int wait_for_end_of_file(void *arg)
{
	const int *ends = arg;
	char byte;

	close(ends[1]);
	return read(ends[0], &byte, 1) == 0 ? 9 : 1;
}

START_TEST(a_fork_that_is_not_waited_for_tells_afterwards)
{
	void *memory = mmap(NULL, PAL_FORK_MEMORY, PROT_READ | PROT_WRITE,
		MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	struct pal_builder *builder = pal_builder_new(NULL);
	struct pal_child *child;
	struct pal_error error = {0};
	int ends[2];

	ck_assert(memory != MAP_FAILED);
	ck_assert_int_eq(pal_builder_fork_error(NULL, NULL), 0);
	pal_builder_fork_unwaited(NULL, true);
	pal_builder_close_others(builder, false);
	pal_builder_fork_unwaited(builder, true);
	pal_builder_fork_memory(builder, memory);
	ck_assert_int_eq(pipe2(ends, O_CLOEXEC), 0);
	ck_assert_ok(pal_fork(builder, wait_for_end_of_file, ends, &child, &error), &error);
	close(ends[0]);
	close(ends[1]);
	ck_assert_int_eq(wait_take(child).code, 9);
	ck_assert_int_eq(pal_builder_fork_error(builder, &error), 0);

	pal_builder_cwd(builder, "/no/such/folder");
	ck_assert_ok(pal_fork(builder, wait_for_end_of_file, ends, &child, &error), &error);
	ck_assert_int_eq(wait_take(child).code, 127);
	ck_assert_int_eq(pal_builder_fork_error(builder, &error), -ENOENT);
	ck_assert_int_eq(error.stage, PAL_STAGE_CHDIR);
	ck_assert_ptr_nonnull(strstr(error.text, "/no/such/folder"));
	pal_builder_free(builder);
	munmap(memory, PAL_FORK_MEMORY);
}
END_TEST

static int write_pid(void *arg)
{
	(void)arg;
	dprintf(1, "%d", (int)getpid());
	return 0;
}

START_TEST(pipes_connect_to_the_function)
{
	struct pal_builder *builder = pal_builder_new(NULL);
	struct pal_child *child;
	char pid[32];

	pal_builder_close_others(builder, _i);
	pal_builder_stdout(builder, PAL_STDIO_PIPE);
	pal_builder_stdin(builder, PAL_STDIO_PIPE);
	child = fork_take(builder, write_pid, NULL);
	snprintf(pid, sizeof pid, "%d", (int)pal_child_pid(child));
	ck_assert_str_eq(read_to_end(pal_child_stdout(child)), pid);
	ck_assert_int_eq(wait_take(child).code, 0);
}
END_TEST

static int read_until_end(void *arg)
{
	char byte;

	(void)arg;
	while (read(0, &byte, 1) > 0)
		;
	return 0;
}

/* The child must not hold the other end of its own input. */
START_TEST(the_function_sees_the_end_of_its_input)
{
	struct pal_builder *builder = pal_builder_new(NULL);
	struct pal_child *child;

	pal_builder_close_others(builder, _i);
	pal_builder_stdin(builder, PAL_STDIO_PIPE);
	child = fork_take(builder, read_until_end, NULL);
	close(pal_child_steal_stdin(child));
	ck_assert_int_eq(wait_take(child).code, 0);
}
END_TEST

/* How many descriptors there are, in a child that has no means to tell but its status. */
static int count_fds(void *arg)
{
	int count = 0;

	(void)arg;
	for (int fd = 0; fd < 200; fd++)
		count += fcntl(fd, F_GETFD) >= 0;
	return count;
}

START_TEST(the_function_has_the_descriptors_that_were_given_and_none_of_the_library_s)
{
	struct pal_builder *builder = pal_builder_new(NULL);
	int here = count_fds(NULL), code;

	pal_builder_dup_fd(builder, 1, 100);
	ck_assert_int_eq(wait_take(fork_take(builder, count_fds, NULL)).code, 4);
	builder = pal_builder_new(NULL);
	pal_builder_close_others(builder, false);
	pal_builder_dup_fd(builder, 1, 100);
	pal_builder_stdin(builder, PAL_STDIO_PIPE);
	pal_builder_stdout(builder, PAL_STDIO_NULL);
	code = wait_take(fork_take(builder, count_fds, NULL)).code;
	ck_assert_int_eq(code, here + 1);
}
END_TEST

/* The library's own descriptor is on a number that the plan takes for something else. */
START_TEST(targets_may_be_where_the_library_s_own_descriptors_are)
{
	for (int target = 3; target < 24; target++) {
		struct pal_builder *builder = pal_builder_new(NULL);

		pal_builder_dup_fd(builder, 1, target);
		pal_builder_close_fd(builder, target + 1);
		pal_builder_stdin(builder, PAL_STDIO_PIPE);
		ck_assert_int_eq(wait_take(fork_take(builder, count_fds, NULL)).code, 4);
	}
}
END_TEST

/* ---- the state of the function's process ---- */

#define FIRST_REAL_TIME 32 /* of the kernel */

static void ignore_it(int signal)
{
	(void)signal;
}

/* 0 if nothing is blocked, ignored or handled, apart from what libc does with its own signals. */
static int check_signals(void *arg)
{
	sigset_t mask;

	(void)arg;
	sigprocmask(SIG_SETMASK, NULL, &mask);
	for (int number = 1; number <= SIGRTMAX; number++) {
		struct { /* the kernel's struct sigaction begins so; libc's view is out of date */
			void (*handler)(int);
			unsigned long rest[7];
		} action = {0};

		if (sigismember(&mask, number) > 0)
			return number;
		if (number >= FIRST_REAL_TIME && number < SIGRTMIN)
			continue;
		if (syscall(SYS_rt_sigaction, number, NULL, &action, 8) == 0 &&
			action.handler != SIG_DFL)
			return 100 + number;
	}
	return 0;
}

START_TEST(signals_start_fresh_in_the_function)
{
	sigset_t all;

	signal(SIGUSR1, ignore_it);
	signal(SIGUSR2, SIG_IGN);
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, NULL);
	ck_assert_int_eq(wait_take(fork_take(pal_builder_new(NULL), check_signals, NULL)).code, 0);
}
END_TEST

static void *sleep_in_a_thread(void *arg)
{
	for (;;)
		pause();
	return arg;
}

static int use_libc_s_signals(void *arg)
{
	pthread_t thread;
	void *result;

	(void)arg;
	if (pthread_create(&thread, NULL, sleep_in_a_thread, NULL))
		return 1;
	if (setgid(getgid()) < 0) /* reaches the other thread by a signal */
		return 2;
	if (pthread_cancel(thread) || pthread_join(thread, &result))
		return 3;
	return result == PTHREAD_CANCELED ? 0 : 4;
}

/* libc installs their handlers once in the life of its memory, of which the child has a copy. */
START_TEST(libc_s_own_signals_still_work_in_the_function)
{
	struct pal_status status;

	ck_assert_int_eq(use_libc_s_signals(NULL), 0);
	status = wait_take(fork_take(pal_builder_new(NULL), use_libc_s_signals, NULL));
	ck_assert(!status.signaled);
	ck_assert_int_eq(status.code, 0);
}
END_TEST

static bool at_exit_ran;

static void note_exit(void)
{
	if (at_exit_ran)
		dprintf(1, "atexit");
}

static int print_unflushed(void *arg)
{
	(void)arg;
	at_exit_ran = true;
	fputs("buffered", stdout);
	return 0;
}

START_TEST(the_function_leaves_without_atexit_and_flushing)
{
	struct pal_builder *builder = pal_builder_new(NULL);
	struct pal_child *child;

	if (BUILT_WITH_TSAN)
		support_skip("ThreadSanitizer's _exit flushes");
	ck_assert_int_eq(atexit(note_exit), 0);
	setvbuf(stdout, NULL, _IOFBF, 4096);
	pal_builder_stdout(builder, PAL_STDIO_PIPE);
	child = fork_take(builder, print_unflushed, NULL);
	ck_assert_str_eq(read_to_end(pal_child_stdout(child)), "");
	ck_assert_int_eq(wait_take(child).code, 0);
}
END_TEST

/* S109 in small: malloc and stdio work in a child of a process whose threads use them all the time. */
static atomic_bool stop;

static void *use_locks(void *arg)
{
	while (!stop) {
		free(malloc(1000));
		fprintf(arg, "x");
	}
	return NULL;
}

static int allocate_and_print(void *arg)
{
	void *memory = malloc(100000);

	if (!memory || fprintf(arg, "child") < 0)
		return 1;
	free(memory);
	return 0;
}

START_TEST(malloc_and_stdio_work_though_other_threads_hold_their_locks)
{
	FILE *null = fopen("/dev/null", "we");
	pthread_t threads[3];

	for (size_t i = 0; i < PAL_ARRAY_LENGTH(threads); i++)
		ck_assert_int_eq(pthread_create(&threads[i], NULL, use_locks, null), 0);
	for (int i = 0; i < 100; i++) {
		struct pal_builder *builder = pal_builder_new(NULL);

		pal_builder_close_others(builder, false); /* the stream's descriptor */
		ck_assert_int_eq(wait_take(fork_take(builder, allocate_and_print, null)).code, 0);
	}
	stop = true;
	for (size_t i = 0; i < PAL_ARRAY_LENGTH(threads); i++)
		ck_assert_int_eq(pthread_join(threads[i], NULL), 0);
	fclose(null);
}
END_TEST

/* ---- children that do not come to it ---- */

static int end_at_once; /* in a fork */

static void leave_early(void)
{
	if (end_at_once)
		_exit(0);
}

/* By a handler of the program's for forks. */
START_TEST(a_child_that_ends_before_the_function_is_not_said_to_have_been_killed)
{
	struct pal_builder *builder = pal_builder_new(NULL);
	struct pal_error error = {0};
	struct pal_child *child;
	int code = 42;

	ck_assert_int_eq(pthread_atfork(NULL, NULL, leave_early), 0);
	end_at_once = 1;
	ck_assert_int_eq(pal_fork(builder, return_it, &code, &child, &error), -ECHILD);
	end_at_once = 0;
	ck_assert_int_eq(error.stage, PAL_STAGE_DIED);
	ck_assert_str_eq(
		pal_error_text(&error), "ended by itself before it ran: No child processes");
	pal_builder_free(builder);
}
END_TEST

static bool refuse_poll(void)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_ppoll, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
#ifdef SYS_poll
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_poll, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
#endif
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog program = {.len = PAL_ARRAY_LENGTH(code), .filter = code};

	return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
	       prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0;
}

static int wait_for_ever(void *unused)
{
	(void)unused;
	for (;;)
		pause();
	return 0;
}

START_TEST(a_host_that_may_not_poll_has_no_child_left)
{
	struct pal_builder *builder = pal_builder_new(NULL);
	struct pal_error error = {0};
	struct pal_child *child;

	ck_assert(refuse_poll());
	ck_assert_int_eq(pal_fork(builder, wait_for_ever, NULL, &child, &error), -EPERM);
	ck_assert_int_eq(waitpid(-1, NULL, WNOHANG), -1);
	ck_assert_int_eq(errno, ECHILD);
	pal_builder_free(builder);
}
END_TEST

static Suite *make_suite(void)
{
	Suite *suite = suite_create("pal/fork");
	TCase *function = support_tcase(suite, "function");
	TCase *process = support_tcase(suite, "process");

	tcase_add_test(function, the_function_s_return_is_the_exit_status);
	tcase_add_test(function, the_caller_s_memory_serves_in_place_of_a_mapping);
	tcase_add_test(function, a_fork_that_is_not_waited_for_tells_afterwards);
	tcase_add_loop_test(function, pipes_connect_to_the_function, 0, 2);
	tcase_add_loop_test(function, the_function_sees_the_end_of_its_input, 0, 2);
	tcase_add_test(function,
		the_function_has_the_descriptors_that_were_given_and_none_of_the_library_s);
	tcase_add_test(function, targets_may_be_where_the_library_s_own_descriptors_are);
	tcase_add_test(function,
		a_child_that_ends_before_the_function_is_not_said_to_have_been_killed);
	tcase_add_test(function, a_host_that_may_not_poll_has_no_child_left);
	tcase_add_test(process, signals_start_fresh_in_the_function);
	tcase_add_test(process, libc_s_own_signals_still_work_in_the_function);
	tcase_add_test(process, the_function_leaves_without_atexit_and_flushing);
	tcase_add_test(process, malloc_and_stdio_work_though_other_threads_hold_their_locks);
	return suite;
}
SUPPORT_MAIN(make_suite)
