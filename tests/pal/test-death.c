/* SPDX-License-Identifier: MIT */
#include <pal/builder.h>

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <pal/death-thread-priv.h>
#include <pal/spawn-child-priv.h>
#include <pal/util-priv.h>

#include "spawn-support.h"
#include "support.h"

static struct pal_builder *dying_with_parent(int mode)
{
	struct pal_builder *builder = builder_for("end-with", mode);

	pal_builder_arg(builder, "stdin");
	pal_builder_stdin(builder, PAL_STDIO_PIPE);
	pal_builder_parent_death(builder, SIGKILL);
	return builder;
}

/* S69 */
static void *spawn_in_thread(void *arg)
{
	return spawn_take(arg);
}

START_TEST(the_child_outlives_the_thread_that_spawned_it)
{
	pthread_t thread;
	void *child;

	ck_assert_int_eq(pthread_create(&thread, NULL, spawn_in_thread, dying_with_parent(_i)), 0);
	ck_assert_int_eq(pthread_join(thread, &child), 0);
	/* Had the thread's end killed it, that would have been before it was joined. */
	ck_assert_int_eq(pal_child_try_wait(child, NULL, NULL), 0);
	close(pal_child_steal_stdin(child));
	ck_assert_int_eq(wait_take(child).code, 0);
}
END_TEST

/*
 * A process in between spawns a child that holds a pipe's end, tells, and is
 * killed; the end of the pipe is the end of the child. The input stays open
 * here, so that only the signal can be the reason.
 */
static void host(int mode, int held, int input)
{
	struct pal_builder *builder = dying_with_parent(mode);
	struct pal_child *child;

	pal_builder_stdin(builder, PAL_STDIO_FD(input));
	pal_builder_dup_fd(builder, held, held);
	if (pal_builder_spawn(builder, &child, NULL) < 0)
		_exit(1);
	if (write(held, "x", 1) != 1)
		_exit(2);
	close(held);
	for (;;)
		pause();
}

static void check_dies_with_host(int mode)
{
	int ends[2], input[2];
	char byte;
	pid_t pid;

	ck_assert_int_eq(pipe2(ends, O_CLOEXEC), 0);
	ck_assert_int_eq(pipe2(input, O_CLOEXEC), 0);
	pid = fork();
	if (pid == 0)
		host(mode, ends[1], input[0]);
	close(ends[1]);
	ck_assert_int_eq(read(ends[0], &byte, 1), 1);
	kill(pid, SIGKILL);
	ck_assert_int_eq(waitpid(pid, NULL, 0), pid);
	ck_assert_int_eq(read(ends[0], &byte, 1), 0);
	close(ends[0]);
	close(input[0]);
	close(input[1]);
}

START_TEST(the_child_dies_with_the_process)
{
	check_dies_with_host(_i);
}
END_TEST

/* The host's threads are not in it, their data is. */
START_TEST(a_forked_host_can_spawn_such_children_too)
{
	struct pal_child *child;

	if (BUILT_WITH_TSAN)
		support_skip("ThreadSanitizer does not let a forked process start threads");
	child = spawn_take(dying_with_parent(_i));

	check_dies_with_host(_i);
	pal_child_free(child);
}
END_TEST

static void get_parent_death(void *arg)
{
	int *ret = arg;

	prctl(PR_GET_PDEATHSIG, ret);
}

START_TEST(the_threads_run_their_function_and_block_signals)
{
	struct pal__death_thread *first, *second;
	int signal = -1;
	sigset_t usr1;

	ck_assert_int_eq(pal__death_thread_run(get_parent_death, &signal, &first), 0);
	ck_assert_int_eq(signal, 0);
	sigemptyset(&usr1);
	sigaddset(&usr1, SIGUSR1);
	ck_assert_int_eq(pthread_sigmask(SIG_BLOCK, &usr1, NULL), 0);
	/* Unblocked in that thread, this would kill the process. */
	kill(getpid(), SIGUSR1);
	ck_assert_int_eq(pal__death_thread_run(get_parent_death, &signal, &second), 0);
	ck_assert_int_eq(sigtimedwait(&usr1, NULL, &(struct timespec){10, 0}), SIGUSR1);
	pal__death_thread_end(first);
	pal__death_thread_end(second);
	pal__death_thread_end(NULL);
}
END_TEST

/* ---- what the child inherits ---- */

/* What Linux keeps per thread and shows: the lines of a /proc/.../status, "" if there is none. */
static void read_traits(const char *path, char *text, size_t size)
{
	static const char *const traits[] = {"CapInh:", "CapPrm:", "CapBnd:", "CapAmb:",
		"NoNewPrivs:", "Seccomp:", "Cpus_allowed:"};
	FILE *file = fopen(path, "re");
	char line[512];

	*text = 0;
	while (file && fgets(line, sizeof line, file))
		for (size_t i = 0; i < PAL_ARRAY_LENGTH(traits); i++)
			if (!strncmp(line, traits[i], strlen(traits[i])))
				strncat(text, line, size - strlen(text) - 1);
	if (file)
		fclose(file);
}

static void restrict_this_thread(void)
{
	struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct none[2] = {{0}};
	struct sock_filter allow = BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
	struct sock_fprog filter = {.len = 1, .filter = &allow};
	cpu_set_t cpus;
	int last = -1;

	ck_assert_int_eq(sched_getaffinity(0, sizeof cpus, &cpus), 0);
	for (int i = 0; i < CPU_SETSIZE; i++)
		if (CPU_ISSET(i, &cpus))
			last = i;
	CPU_ZERO(&cpus);
	CPU_SET(last, &cpus);
	ck_assert_int_eq(sched_setaffinity(0, sizeof cpus, &cpus), 0);
	ck_assert_int_eq(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), 0);
	ck_assert_int_eq(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter), 0);
	ck_assert_int_eq(syscall(SYS_capset, &header, none), 0);
}

static void *spawn_restricted(void *builder)
{
	char path[64], ours[1024], its[1024];
	struct pal_child *child;

	restrict_this_thread();
	read_traits("/proc/thread-self/status", ours, sizeof ours);
	ck_assert_ptr_nonnull(strstr(ours, "NoNewPrivs:\t1"));
	child = spawn_take(builder);
	snprintf(path, sizeof path, "/proc/%d/status", (int)pal_child_pid(child));
	read_traits(path, its, sizeof its);
	ck_assert_str_eq(its, ours);
	return child;
}

/* Not what an earlier spawn, or another thread, had: privileges may have been dropped since. */
START_TEST(the_child_inherits_from_the_thread_that_spawns_it)
{
	struct pal_child *earlier = spawn_take(dying_with_parent(_i));
	pthread_t thread;
	void *child;

	ck_assert_int_eq(pthread_create(&thread, NULL, spawn_restricted, dying_with_parent(_i)), 0);
	ck_assert_int_eq(pthread_join(thread, &child), 0);
	pal_child_free(child);
	pal_child_free(earlier);
}
END_TEST

/* ---- the threads ---- */

/* One that was joined may be listed for a moment still. */
static void await_threads(int count)
{
	while (support_count_threads("") != count)
		sched_yield();
}

START_TEST(a_thread_lasts_as_long_as_its_child)
{
	int before = support_count_threads("");
	struct pal_child *children[5];

	if (BUILT_WITH_TSAN) /* starts one itself, with the first */
		support_skip("ThreadSanitizer has threads of its own");
	for (int i = 0; i < 5; i++)
		children[i] = spawn_take(dying_with_parent(_i));
	ck_assert_int_eq(support_count_threads(""), before + 5);
	close(pal_child_steal_stdin(children[0]));
	ck_assert_int_eq(pal_child_wait(children[0], PAL_DEADLINE_NONE, NULL, NULL), 0);
	await_threads(before + 4);
	ck_assert_int_eq(waitpid(pal_child_pid(children[1]), NULL, WNOHANG), 0);
	for (int i = 0; i < 5; i++)
		pal_child_free(children[i]);
	await_threads(before);
	for (int i = 0; i < 3; i++) {
		struct pal_builder *builder = builder_for("no-such-helper", _i);

		pal_builder_parent_death(builder, SIGTERM);
		ck_assert_spawn_fails(builder, -ENOENT, PAL_STAGE_EXEC, 0);
	}
	await_threads(before);
}
END_TEST

/* S71: a child whose parent died before the setting was made goes no further. */
START_TEST(a_child_notices_that_its_parent_is_another_one_now)
{
	struct pal_builder *builder = dying_with_parent(_i);
	struct pal__streams streams = PAL__STREAMS_INIT;
	struct pal__plan_fds own = PAL__PLAN_FDS_INIT;
	struct pal__report report = {0};
	struct pal__plan plan = {0};
	struct pal__child_args args = {.plan = &plan, .report = &report};
	int status;
	pid_t pid;

	pal_builder_stdin(builder, PAL_STDIO_INHERIT);
	ck_assert_int_eq(pal__plan_update(&plan, builder, true, &streams, &own, NULL), 0);
	plan.parent = _i ? getppid() : getpid();
	pid = fork();
	if (pid == 0) {
		int r = pal__child_setup(&args);

		_exit(r == 0                                                    ? 50
			: r == -ESRCH && report.stage == PAL_STAGE_PARENT_DEATH ? 60
										: 70);
	}
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert_int_eq(WEXITSTATUS(status), _i ? 60 : 50);
	pal__plan_clear(&plan);
	pal_builder_free(builder);
}
END_TEST

static int show_parent_death(void *arg)
{
	int signal = 0;

	(void)arg;
	prctl(PR_GET_PDEATHSIG, &signal);
	return signal;
}

START_TEST(a_forked_function_gets_the_setting)
{
	struct pal_builder *builder = pal_builder_new(NULL);
	struct pal_error error = {0};
	struct pal_child *child;

	pal_builder_parent_death(builder, SIGUSR2);
	ck_assert_ok(pal_fork(builder, show_parent_death, NULL, &child, &error), &error);
	ck_assert_int_eq(wait_take(child).code, SIGUSR2);
	pal_builder_free(builder);
}
END_TEST

START_TEST(errors_are_the_same_through_the_thread)
{
	struct pal_builder *builder = builder_for("no-such-helper", _i);

	pal_builder_parent_death(builder, SIGTERM);
	ck_assert_spawn_fails(builder, -ENOENT, PAL_STAGE_EXEC, 0);
}
END_TEST

static Suite *make_suite(void)
{
	Suite *suite = suite_create("pal/death");
	TCase *parent = support_tcase(suite, "parent");

	tcase_add_loop_test(parent, the_child_outlives_the_thread_that_spawned_it, 0, MODES);
	tcase_add_loop_test(parent, the_child_dies_with_the_process, 0, MODES);
	tcase_add_loop_test(parent, a_forked_host_can_spawn_such_children_too, 0, MODES);
	tcase_add_loop_test(parent, errors_are_the_same_through_the_thread, 0, MODES);
	tcase_add_loop_test(parent, a_child_notices_that_its_parent_is_another_one_now, 0, 2);
	tcase_add_loop_test(parent, the_child_inherits_from_the_thread_that_spawns_it, 0, MODES);
	tcase_add_loop_test(parent, a_thread_lasts_as_long_as_its_child, 0, MODES);
	tcase_add_test(parent, the_threads_run_their_function_and_block_signals);
	tcase_add_test(parent, a_forked_function_gets_the_setting);
	return suite;
}
SUPPORT_MAIN(make_suite)
