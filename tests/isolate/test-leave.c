/* SPDX-License-Identifier: MIT */

/* Every way in which a function can end other than by returning. */
#include <errno.h>
#include <fcntl.h>
#include <isolate/isolate-priv.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pal/util-priv.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/single_threaded.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "isolate-support.h"

/* What the child did behind the caller's back; must stay 0. */
struct trespass {
	int atexit_handlers;
	int frames;
};
static struct trespass *trespass;
static pid_t test_process;
static jmp_buf caller_frame;

static void note_atexit(void)
{
	if (getpid() != test_process)
		trespass->atexit_handlers++;
}

static void *exit_in_a_thread(void *arg)
{
	(void)arg;
	exit(6);
}

static int by_exit(struct isolate_writer *out, void *arg)
{
	(void)out;
	(void)arg;
	exit(3);
}

static int by_exit_in_a_thread(struct isolate_writer *out, void *arg)
{
	pthread_t thread;

	(void)out;
	(void)arg;
	if (pthread_create(&thread, NULL, exit_in_a_thread, NULL) == 0)
		pthread_join(thread, NULL);
	return 0;
}

static int do_nothing(struct isolate_writer *out, void *arg)
{
	(void)out;
	(void)arg;
	return 0;
}

/* The handlers of the call that is over are taken back, and no others. */
static int by_exit_in_a_thread_after_a_call(struct isolate_writer *out, void *arg)
{
	struct isolate_result result;

	if (isolate_call(do_nothing, NULL, NULL, &result) != ISOLATE_RETURNED)
		return 0;
	return by_exit_in_a_thread(out, arg);
}

static int by_fast_exit(struct isolate_writer *out, void *arg)
{
	(void)out;
	(void)arg;
	_exit(5);
}

static int by_abort(struct isolate_writer *out, void *arg)
{
	(void)out;
	(void)arg;
	abort();
}

static int by_longjmp(struct isolate_writer *out, void *arg)
{
	(void)out;
	(void)arg;
	longjmp(caller_frame, 1);
}

static int by_pthread_exit(struct isolate_writer *out, void *arg)
{
	(void)out;
	(void)arg;
	pthread_exit(NULL);
}

static int by_exec(struct isolate_writer *out, void *arg)
{
	(void)out;
	(void)arg;
	execl("/bin/sh", "sh", "-c", "exit 7", (char *)NULL);
	return 0;
}

static int by_sigkill(struct isolate_writer *out, void *arg)
{
	(void)out;
	(void)arg;
	kill(getpid(), SIGKILL);
	return 0;
}

static int by_sigint_to_the_group(struct isolate_writer *out, void *arg)
{
	(void)out;
	(void)arg;
	kill(0, SIGINT); /* Ctrl-C */
	return 0;
}

static int by_exit_after_jumps_of_its_own(struct isolate_writer *out, void *arg)
{
	volatile int jumps = 0;
	jmp_buf here;

	(void)out;
	(void)arg;
	setjmp(here);
	if (++jumps < 3)
		longjmp(here, 1);
	exit(jumps);
}

static const struct way {
	const char *name;
	isolate_fn fn;
	bool signaled;
	int code;
	const char *text; /* a part of the error's */
} ways[] = {
	{"exit", by_exit, false, 3, "exit(3)"},
	{"exit in a thread of the function", by_exit_in_a_thread, false, 6, "exit(6)"},
	{"exit in a thread after a call of the function's own", by_exit_in_a_thread_after_a_call,
		false, 6, "exit(6)"},
	{"_exit", by_fast_exit, false, 5, "in the function"},
	{"abort", by_abort, true, SIGABRT, "SIGABRT"},
	{"longjmp", by_longjmp, false, EXIT_FAILURE, "longjmp"},
	{"pthread_exit", by_pthread_exit, false, EXIT_FAILURE, "pthread_exit"},
	{"exec", by_exec, false, 7, "in the function"},
	{"SIGKILL", by_sigkill, true, SIGKILL, "SIGKILL"},
	{"SIGINT", by_sigint_to_the_group, true, SIGINT, "SIGINT"},
	{"own longjmp", by_exit_after_jumps_of_its_own, false, 3, "exit(3)"},
};

static size_t file_size(FILE *file)
{
	ck_assert_int_eq(fseek(file, 0, SEEK_END), 0);
	return (size_t)ftell(file);
}

/* S113 */
START_TEST(no_way_of_leaving_reaches_what_is_the_callers)
{
	const struct way *way = &ways[_i];
	struct isolate_result result;
	FILE *buffered;

	if (way->code == 6 && !__libc_single_threaded)
		support_skip(
			"a thread of the function may call exit in programs with one thread only");
	trespass = shared_memory(sizeof *trespass);
	test_process = getpid();
	atexit(note_atexit);
	signal(SIGINT, SIG_IGN);
	buffered = tmpfile();
	ck_assert_ptr_nonnull(buffered);
	fputs("once", buffered);

	if (setjmp(caller_frame) == 0)
		isolate_call(way->fn, NULL, NULL, &result);
	else
		trespass->frames++;
	if (getpid() != test_process)
		_exit(0);

	ck_assert_failure(&result, ISOLATE_UNKNOWN, ISOLATE_STAGE_RUN, -ECHILD);
	ck_assert_msg(strstr(result.error.text, way->text) != NULL, "%s: %s", way->name,
		result.error.text);
	ck_assert(result.status_known);
	ck_assert_msg(result.status.signaled == way->signaled && result.status.code == way->code,
		"%s: %s", way->name, result.error.text);
	ck_assert_int_eq(trespass->atexit_handlers, 0);
	ck_assert_int_eq(trespass->frames, 0);
	ck_assert_uint_eq(file_size(buffered), 4);
	fclose(buffered);
	munmap(trespass, sizeof *trespass);
}
END_TEST

/* S113: pthread_exit, exit and longjmp are caught in a thread as in the main one */
static void *leave_in_a_thread(void *arg)
{
	if (setjmp(caller_frame) == 0)
		isolate_call(ways[*(int *)arg].fn, NULL, NULL, &((struct isolate_result *)arg)[1]);
	else
		trespass->frames++;
	return NULL;
}

START_TEST(leaving_is_caught_in_threads_too)
{
	struct isolate_result memory[2];
	pthread_t thread;

	trespass = shared_memory(sizeof *trespass);
	test_process = getpid();
	atexit(note_atexit);
	*(int *)memory = _i;
	ck_assert_int_eq(pthread_create(&thread, NULL, leave_in_a_thread, memory), 0);
	pthread_join(thread, NULL);
	ck_assert_failure(&memory[1], ISOLATE_UNKNOWN, ISOLATE_STAGE_RUN, -ECHILD);
	ck_assert_int_eq(trespass->atexit_handlers, 0);
	ck_assert_int_eq(trespass->frames, 0);
	munmap(trespass, sizeof *trespass);
}
END_TEST

/* What a process forked by the function does with the function's ways to the caller. */
static void misbehave(struct isolate_writer *out, bool by_exit_call)
{
	if (isolate_write(out, "forged", 6) != -EPERM)
		abort();
	if (by_exit_call)
		exit(0);
}

struct plan {
	bool forked_one_exits; /* else it returns */
	bool child_dies;
};

static int fork_and_go_on(struct isolate_writer *out, void *arg)
{
	const struct plan *plan = arg;
	pid_t pid = fork();
	int status;

	if (pid == 0) {
		misbehave(out, plan->forked_one_exits);
		return 1;
	}
	if (waitpid(pid, &status, 0) != pid || WIFSIGNALED(status))
		return 2;
	if (plan->child_dies)
		_exit(5);
	return isolate_write(out, "true", 4);
}

START_TEST(only_the_child_itself_speaks_for_the_function)
{
	struct plan plan = {.forked_one_exits = _i};
	struct isolate_result result;

	isolate_call(fork_and_go_on, &plan, NULL, &result);
	ck_assert_answer(&result, ISOLATE_RETURNED);
	ck_assert_int_eq(result.value, 0);
	ck_assert_uint_eq(result.size, 4);
	ck_assert_mem_eq(result.data, "true", 4);
	isolate_result_clear(&result);
}
END_TEST

START_TEST(a_forked_process_cannot_answer_for_a_child_that_died)
{
	struct plan plan = {.forked_one_exits = _i, .child_dies = true};
	struct isolate_result result;

	isolate_call(fork_and_go_on, &plan, NULL, &result);
	ck_assert_failure(&result, ISOLATE_UNKNOWN, ISOLATE_STAGE_RUN, -ECHILD);
	ck_assert_msg(strstr(result.error.text, "in the function: exit 5") != NULL, "%s",
		result.error.text);
}
END_TEST

/* What a decoder may do to itself that wants nothing of the system any more. */
static void refuse_getpid(void)
{
	struct sock_filter steps[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_getpid, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog program = {PAL_ARRAY_LENGTH(steps), steps};

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ||
		prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) < 0 || getpid() > 0)
		abort();
}

static int work_without_a_pid(struct isolate_writer *out, void *arg)
{
	refuse_getpid();
	return fork_and_go_on(out, arg);
}

START_TEST(a_function_that_may_not_ask_for_its_pid_speaks_for_itself)
{
	struct plan plan = {.forked_one_exits = _i};
	struct isolate_result result;

	isolate_call(work_without_a_pid, &plan, NULL, &result);
	ck_assert_answer(&result, ISOLATE_RETURNED);
	ck_assert_int_eq(result.value, 0);
	ck_assert_uint_eq(result.size, 4);
	ck_assert_mem_eq(result.data, "true", 4);
	isolate_result_clear(&result);

	plan.child_dies = true;
	isolate_call(work_without_a_pid, &plan, NULL, &result);
	ck_assert_failure(&result, ISOLATE_UNKNOWN, ISOLATE_STAGE_RUN, -ECHILD);
}
END_TEST

static int write_and_die(struct isolate_writer *out, void *arg)
{
	static unsigned char bytes[300000];

	if (isolate_write(out, bytes, *(size_t *)arg) == 0)
		kill(getpid(), SIGKILL);
	return 0;
}

/* none, one, around a page, around the shared buffer, all but one, all */
static const size_t deaths[] = {0, 1, 4095, 4096, 65535, 65536, 65537, 200000, 299999, 300000};

/* S111 */
START_TEST(a_function_killed_after_some_bytes_is_no_short_success)
{
	size_t size = deaths[_i];
	struct isolate_result result;

	isolate_call(write_and_die, &size, NULL, &result);
	ck_assert_failure(&result, ISOLATE_UNKNOWN, ISOLATE_STAGE_RUN, -ECHILD);
	ck_assert(result.status.signaled);
}
END_TEST

/* S122: the function is one of these; only the deadline ends it */
static volatile bool never;

static int spin(struct isolate_writer *out, void *arg)
{
	(void)out;
	(void)arg;
	while (!never)
		;
	return 0;
}

static int sleep_for_ever(struct isolate_writer *out, void *arg)
{
	(void)out;
	(void)arg;
	while (!never)
		pause();
	return 0;
}

static int ignore_everything(struct isolate_writer *out, void *arg)
{
	for (int i = 1; i < SIGRTMIN; i++)
		if (i != SIGKILL && i != SIGSTOP)
			signal(i, SIG_IGN);
	return sleep_for_ever(out, arg);
}

static int stop_itself(struct isolate_writer *out, void *arg)
{
	raise(SIGSTOP);
	return sleep_for_ever(out, arg);
}

static int write_for_ever(struct isolate_writer *out, void *arg)
{
	(void)arg;
	while (!never)
		isolate_write(out, "0123456789", 10); /* it does not look at the -EFBIG */
	return 0;
}

static const isolate_fn endless[] = {
	spin, sleep_for_ever, ignore_everything, stop_itself, write_for_ever};

/* On a busy machine the time may be over before the function is entered: another answer. */
static void call_until_out_of_time_in(isolate_fn fn, struct isolate_result *result)
{
	struct isolate_options options = {
		ISOLATE_OPTIONS_INIT, .deadline_ms = 100, .max_result = 100000};

	for (;; options.deadline_ms *= 2) {
		pal_deadline asked = pal_deadline_after_ms(options.deadline_ms);

		isolate_call(fn, NULL, &options, result);
		ck_assert_int_eq(pal_deadline_left_ms(asked), 0); /* not before its time */
		if (result->answer != ISOLATE_NOT_EXECUTED)
			break;
		ck_assert_failure(result, ISOLATE_NOT_EXECUTED, ISOLATE_STAGE_DEADLINE, -ETIMEDOUT);
	}
	ck_assert_failure(result, ISOLATE_UNKNOWN, ISOLATE_STAGE_DEADLINE, -ETIMEDOUT);
}

START_TEST(a_function_without_an_end_is_killed_at_the_deadline)
{
	struct isolate_result result;

	call_until_out_of_time_in(endless[_i], &result);
	ck_assert(result.status_known && result.status.signaled);
	ck_assert_int_eq(result.status.code, SIGKILL);
}
END_TEST

START_TEST(a_deadline_with_sigchld_ignored_still_kills)
{
	struct isolate_result result;

	support_without_pidfd_info();
	signal(SIGCHLD, SIG_IGN);
	call_until_out_of_time_in(spin, &result);
	ck_assert(!result.status_known);
}
END_TEST

static atomic_bool stuck;

static void wait_if_stuck(void)
{
	while (stuck)
		pause();
}

START_TEST(the_deadline_covers_the_start)
{
	struct isolate_options options = {ISOLATE_OPTIONS_INIT, .deadline_ms = 200};
	struct isolate_result result;

	ck_assert_int_eq(pthread_atfork(NULL, NULL, wait_if_stuck), 0);
	stuck = true;
	isolate_call(spin, NULL, &options, &result);
	ck_assert_failure(&result, ISOLATE_NOT_EXECUTED, ISOLATE_STAGE_DEADLINE, -ETIMEDOUT);
	ck_assert(result.status_known && result.status.signaled);
	ck_assert_int_eq(result.status.code, SIGKILL);
}
END_TEST

static int hold_the_pipe(struct isolate_writer *out, void *arg)
{
	if (write(*(int *)arg, "", 1) != 1)
		return 1;
	return sleep_for_ever(out, arg);
}

/* S125 */
START_TEST(a_child_dies_with_its_caller)
{
	struct isolate_result result;
	int fds[2];
	pid_t host;
	char byte;

	ck_assert_int_eq(pipe2(fds, O_CLOEXEC), 0);
	host = fork();
	if (host == 0) {
		close(fds[0]);
		isolate_call(hold_the_pipe, &fds[1], NULL, &result);
		_exit(1);
	}
	close(fds[1]);
	ck_assert_int_eq(read(fds[0], &byte, 1), 1); /* the function is running */
	kill(host, SIGKILL);
	ck_assert_int_eq(read(fds[0], &byte, 1), 0); /* nobody has the pipe any more */
	ck_assert_int_eq(waitpid(host, NULL, 0), host);
	close(fds[0]);
}
END_TEST

static Suite *make_suite(void)
{
	Suite *suite = suite_create("isolate/leave");
	TCase *leave = isolate_tcase(suite, "leave");
	TCase *deadline = isolate_tcase(suite, "deadline");

	tcase_add_loop_test(leave, no_way_of_leaving_reaches_what_is_the_callers, 0,
		sizeof ways / sizeof *ways);
	tcase_add_loop_test(leave, leaving_is_caught_in_threads_too, 0, 1);
	tcase_add_loop_test(leave, leaving_is_caught_in_threads_too, 4, 6);
	tcase_add_loop_test(leave, only_the_child_itself_speaks_for_the_function, 0, 2);
	tcase_add_loop_test(leave, a_forked_process_cannot_answer_for_a_child_that_died, 0, 2);
	tcase_add_loop_test(
		leave, a_function_that_may_not_ask_for_its_pid_speaks_for_itself, 0, 2);
	tcase_add_loop_test(leave, a_function_killed_after_some_bytes_is_no_short_success, 0,
		sizeof deaths / sizeof *deaths);
	tcase_add_loop_test(deadline, a_function_without_an_end_is_killed_at_the_deadline, 0,
		sizeof endless / sizeof *endless);
	tcase_add_test(leave, a_child_dies_with_its_caller);
	tcase_add_test(deadline, a_deadline_with_sigchld_ignored_still_kills);
	tcase_add_test(deadline, the_deadline_covers_the_start);
	return suite;
}
SUPPORT_MAIN(make_suite)
