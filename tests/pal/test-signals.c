/* SPDX-License-Identifier: MIT */
#include <pal/builder.h>

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include "spawn-support.h"
#include "support.h"

/* ---- what the child starts with ---- */

/* S46 */
START_TEST(dispositions_and_mask_start_fresh_in_the_child)
{
	sigset_t all;

	for (int number = 1; number <= SIGRTMAX; number++)
		if (number != SIGCHLD)
			signal(number, SIG_IGN);
	sigfillset(&all);
	ck_assert_int_eq(pthread_sigmask(SIG_SETMASK, &all, NULL), 0);
	ck_assert_str_eq(output_of(builder_for("show-signals", _i)), "SigBlk:\t0000000000000000\n"
								     "SigIgn:\t0000000000000000\n"
								     "SigCgt:\t0000000000000000\n");
}
END_TEST

/* S47 */
START_TEST(a_pipeline_ends_though_the_parent_ignores_SIGPIPE)
{
	struct pal_builder *builder = pal_builder_new("/bin/sh");

	signal(SIGPIPE, SIG_IGN);
	pal_builder_vfork(builder, _i == MODE_VFORK);
	pal_builder_args(builder, (const char *const[]){"-c", "yes | head -n 1", NULL});
	ck_assert_str_eq(output_of(builder), "y\n");
}
END_TEST

/* ---- what stays as it is in the parent ---- */

struct state {
	sigset_t mask;
	void (*handlers[65])(int);
	int cancel_state;
	mode_t umask;
	char cwd[4096];
	char status[4096];
};

static void keep_lines(char *status)
{
	FILE *file = fopen("/proc/thread-self/status", "re");
	char line[256];

	*status = 0;
	while (fgets(line, sizeof line, file))
		if (!strncmp(line, "Sig", 3) || !strncmp(line, "Cap", 3) ||
			!strncmp(line, "NoNew", 5) || !strncmp(line, "Seccomp:", 8) ||
			!strncmp(line, "Uid", 3) || !strncmp(line, "Umask", 5))
			if (strncmp(line, "SigQ", 4))
				strcat(status, line);
	fclose(file);
}

static void take_state(struct state *state)
{
	memset(state, 0, sizeof *state);
	pthread_sigmask(SIG_SETMASK, NULL, &state->mask);
	for (int number = 1; number <= 64; number++) {
		struct sigaction action;

		if (sigaction(number, NULL, &action) == 0)
			state->handlers[number] = action.sa_handler;
	}
	pthread_setcancelstate(PTHREAD_CANCEL_ENABLE, &state->cancel_state);
	pthread_setcancelstate(state->cancel_state, NULL);
	state->umask = umask(0);
	umask(state->umask);
	ck_assert_ptr_nonnull(getcwd(state->cwd, sizeof state->cwd));
	keep_lines(state->status);
}

static void handler(int number)
{
	(void)number;
}

static struct pal_builder *everything(int kind, int mode)
{
	struct pal_builder *builder = builder_for(kind == 1 ? "no-such-helper" : "end-with", mode);

	pal_builder_cwd(builder, kind == 2 ? "/no/such/folder" : "/");
	pal_builder_rlimit(builder, RLIMIT_CORE, 0, kind == 3 ? RLIM_INFINITY : 0);
	if (kind == 3)
		pal_builder_rlimit(builder, RLIMIT_STACK, 2, 1);
	pal_builder_stdin(builder, kind == 4 ? PAL_STDIO_FD(900) : PAL_STDIO_PIPE);
	if (kind == 5)
		pal_builder_parent_death(builder, SIGKILL);
	return builder;
}

/* libc installs handlers of its own with the first thread of a process; that shall not count. */
static void start_first_thread(void)
{
	pthread_t thread;

	ck_assert_int_eq(pthread_create(&thread, NULL, support_return_arg, NULL), 0);
	ck_assert_int_eq(pthread_join(thread, NULL), 0);
}

/* S48: loop over success and failures in both modes. */
START_TEST(a_spawn_leaves_no_trace_in_the_parent)
{
	struct pal_builder *builder = everything(_i / MODES, _i % MODES);
	struct state before, after;
	struct pal_child *child = NULL;
	sigset_t some;

	start_first_thread();
	signal(SIGUSR1, handler);
	signal(SIGUSR2, SIG_IGN);
	signal(SIGPIPE, SIG_IGN);
	sigemptyset(&some);
	sigaddset(&some, SIGTERM);
	sigaddset(&some, SIGRTMIN + 3);
	pthread_sigmask(SIG_SETMASK, &some, NULL);
	take_state(&before);
	ck_assert_int_eq(
		pal_builder_spawn(builder, &child, NULL) < 0, _i / MODES != 0 && _i / MODES != 5);
	take_state(&after);
	pal_builder_free(builder);
	pal_child_free(child);
	ck_assert_str_eq(before.status, after.status);
	ck_assert_mem_eq(&before, &after, sizeof before);
}
END_TEST

START_TEST(a_fork_leaves_no_trace_in_the_parent)
{
	struct pal_builder *builder = everything(_i, MODE_VFORK);
	struct state before, after;
	struct pal_child *child = NULL;

	signal(SIGUSR1, handler);
	take_state(&before);
	ck_assert_int_eq(pal_fork(builder, support_return_zero, NULL, &child, NULL) < 0, _i >= 2 && _i < 5);
	take_state(&after);
	pal_builder_free(builder);
	pal_child_free(child);
	ck_assert_mem_eq(&before, &after, sizeof before);
}
END_TEST

/* ---- handlers never run in a child ---- */

static pid_t parent_pid;
static _Atomic int *strays; /* shared: also a child with its own memory would be seen */

static void count_strays(int number)
{
	(void)number;
	if (getpid() != parent_pid)
		atomic_fetch_add(strays, 1);
}

/* S44: a helper storms the process group with a real-time and an ordinary signal that have handlers. */
static pid_t start_storm(void)
{
	pid_t storm = fork();

	if (storm == 0) {
		signal(SIGRTMIN + 2, SIG_IGN);
		signal(SIGALRM, SIG_IGN);
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		for (int i = 0; i < 20000; i++) {
			kill(0, SIGRTMIN + 2);
			kill(0, SIGALRM);
		}
		_exit(0);
	}
	return storm;
}

START_TEST(no_handler_of_the_parent_runs_in_a_child)
{
	struct sigaction action = {.sa_handler = count_strays, .sa_flags = SA_RESTART};
	pid_t storm;

	ck_assert_int_eq(setpgid(0, 0), 0);
	parent_pid = getpid();
	strays = mmap(
		NULL, sizeof *strays, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	sigaction(SIGRTMIN + 2, &action, NULL);
	sigaction(SIGALRM, &action, NULL);
	storm = start_storm();
	for (int i = 0; i < 128; i++) {
		struct pal_builder *builder =
			builder_for(i % 4 ? "end-with" : "no-such-helper", _i);
		struct pal_child *child;

		/* A child may be killed by the storm: the default action is its own. */
		if (pal_builder_spawn(builder, &child, NULL) == 0)
			pal_child_free(child);
		pal_builder_free(builder);
	}
	kill(storm, SIGKILL);
	ck_assert_int_eq(waitpid(storm, NULL, 0), storm);
	ck_assert_int_eq(atomic_load(strays), 0);
	munmap((void *)strays, sizeof *strays);
}
END_TEST

/* S45: the parent's stack and data survive children that share them under a fast timer. */
static volatile sig_atomic_t ticks;

static void tick(int number)
{
	volatile char use[512];

	(void)number;
	memset((char *)use, 0x5a, sizeof use);
	ticks++;
}

START_TEST(memory_survives_spawns_under_a_timer)
{
	struct itimerval fast = {{0, 1000}, {0, 1000}}, off = {{0, 0}, {0, 0}};
	struct sigaction action = {.sa_handler = tick, .sa_flags = SA_RESTART};
	unsigned char pattern[2048];

	memset(pattern, 0xc3, sizeof pattern);
	sigaction(SIGALRM, &action, NULL);
	setitimer(ITIMER_REAL, &fast, NULL);
	for (int i = 0; i < 100; i++) {
		struct pal_builder *builder =
			builder_for(i % 2 ? "end-with" : "no-such-helper", _i);
		struct pal_child *child;

		ck_assert_int_eq(pal_builder_spawn(builder, &child, NULL), i % 2 ? 0 : -ENOENT);
		if (i % 2)
			ck_assert_int_eq(wait_take(child).code, 0);
		pal_builder_free(builder);
	}
	setitimer(ITIMER_REAL, &off, NULL);
	for (size_t i = 0; i < sizeof pattern; i++)
		ck_assert_int_eq(pattern[i], 0xc3);
}
END_TEST

/* ---- threads ---- */

/* S51: libc's own signal, by which setuid reaches every thread, must find none of ours in the child. */
static atomic_bool stop;

static void *change_ids(void *arg)
{
	(void)arg;
	while (!stop)
		ck_assert_int_eq(setresuid((uid_t)-1, (uid_t)-1, (uid_t)-1), 0);
	return NULL;
}

START_TEST(setuid_of_another_thread_does_not_reach_a_child)
{
	pthread_t thread;

	ck_assert_int_eq(pthread_create(&thread, NULL, change_ids, NULL), 0);
	for (int i = 0; i < 100; i++)
		ck_assert_int_eq(wait_take(spawn_take(builder_for("end-with", _i))).code, 0);
	stop = true;
	ck_assert_int_eq(pthread_join(thread, NULL), 0);
}
END_TEST

/* S54 */
static void *spawn_while_cancelled(void *arg)
{
	struct pal_builder *builder = arg;
	struct pal_child *child;
	int r;

	pthread_cancel(
		pthread_self()); /* pending from here on: the next cancellation point would act */
	r = pal_builder_spawn(builder, &child, NULL);
	if (r == 0)
		pal_child_free(child);
	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, NULL);
	return r == 0 ? builder : NULL;
}

START_TEST(a_cancellation_waits_until_the_spawn_is_over)
{
	struct pal_builder *builder = everything(0, _i);
	pthread_t thread;
	void *result;

	ck_assert_int_eq(pthread_create(&thread, NULL, spawn_while_cancelled, builder), 0);
	ck_assert_int_eq(pthread_join(thread, &result), 0);
	ck_assert_ptr_eq(result, builder);
	pal_builder_free(builder);
}
END_TEST

/* S52 */
static const char *end_with; /* support_helper is not for several threads */

static void *spawn_some(void *arg)
{
	int *mode = arg;

	for (int i = 0; i < 25; i++) {
		struct pal_builder *builder = pal_builder_new(end_with);

		pal_builder_vfork(builder, *mode == MODE_VFORK);
		pal_builder_args(builder, (const char *const[]){"exit", "4", NULL});
		if (i % 5 == 0)
			pal_builder_parent_death(builder, SIGKILL);
		ck_assert_int_eq(wait_take(spawn_take(builder)).code, 4);
	}
	return NULL;
}

START_TEST(threads_spawn_at_once_while_another_one_forks)
{
	pthread_t threads[4];

	end_with = support_helper("end-with");
	for (int i = 0; i < 4; i++)
		ck_assert_int_eq(pthread_create(&threads[i], NULL, spawn_some, &_i), 0);
	for (int i = 0; i < 50; i++) {
		FILE *pipe = popen("true", "r");

		ck_assert_ptr_nonnull(pipe);
		ck_assert_int_eq(pclose(pipe), 0);
	}
	for (int i = 0; i < 4; i++)
		ck_assert_int_eq(pthread_join(threads[i], NULL), 0);
}
END_TEST

/* S55 */
static void *spawn_both(void *arg)
{
	struct pal_builder **builders = arg;

	for (int i = 0; i < 2; i++) {
		struct pal_child *child;

		if (pal_builder_spawn(builders[i], &child, NULL) == 0)
			pal_child_free(child);
	}
	return NULL;
}

START_TEST(a_caller_on_a_small_stack_can_spawn)
{
	struct pal_builder *builders[] = {
		builder_for("end-with", _i), builder_for("no-such-helper", _i)};
	size_t size = 32 * 1024;
	pthread_attr_t attributes;
	pthread_t thread;

	ck_assert_int_eq(pthread_attr_init(&attributes), 0);
	if (pthread_attr_setstacksize(&attributes, size) ||
		pthread_create(&thread, &attributes, spawn_both, builders)) {
		pal_builder_free(builders[0]);
		pal_builder_free(builders[1]);
		support_skip("no thread with a stack of %zu bytes here", size);
	}
	ck_assert_int_eq(pthread_join(thread, NULL), 0);
	pthread_attr_destroy(&attributes);
	pal_builder_free(builders[0]);
	pal_builder_free(builders[1]);
}
END_TEST

static Suite *make_suite(void)
{
	Suite *suite = suite_create("pal/signals");
	TCase *child = support_tcase(suite, "child");
	TCase *parent = support_tcase(suite, "parent");
	TCase *threads = support_tcase(suite, "threads");

	tcase_add_loop_test(child, dispositions_and_mask_start_fresh_in_the_child, 0, MODES);
	tcase_add_loop_test(child, a_pipeline_ends_though_the_parent_ignores_SIGPIPE, 0, MODES);
	tcase_add_loop_test(child, no_handler_of_the_parent_runs_in_a_child, 0, MODES);
	tcase_add_loop_test(child, memory_survives_spawns_under_a_timer, 0, MODES);
	tcase_add_loop_test(parent, a_spawn_leaves_no_trace_in_the_parent, 0, 6 * MODES);
	tcase_add_loop_test(parent, a_fork_leaves_no_trace_in_the_parent, 0, 6);
	tcase_add_loop_test(threads, setuid_of_another_thread_does_not_reach_a_child, 0, MODES);
	tcase_add_loop_test(threads, a_cancellation_waits_until_the_spawn_is_over, 0, MODES);
	tcase_add_loop_test(threads, threads_spawn_at_once_while_another_one_forks, 0, MODES);
	tcase_add_loop_test(threads, a_caller_on_a_small_stack_can_spawn, 0, MODES);
	return suite;
}
SUPPORT_MAIN(make_suite)
