/* SPDX-License-Identifier: MIT */

/* Functions that are not run: what a step says, a child that dies or stands still on the way. */
#include <pal/builder.h>

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <pal/process.h>
#include <pal/steps.h>
#include <pal/util-priv.h>

#include "spawn-support.h"
#include "support.h"

static atomic_int *runs; /* shared */

static int count_run(void *arg)
{
	(void)arg;
	atomic_fetch_add(runs, 1);
	return 0;
}

static void ck_assert_fork_fails(struct pal_builder *builder, int code, int stage, int index)
{
	struct pal_error error = {0};
	struct pal_child *child = (void *)runs;

	runs = mmap(NULL, sizeof *runs, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	child = (void *)runs;
	ck_assert_int_eq(pal_fork(builder, count_run, NULL, &child, &error), code);
	ck_assert_ptr_eq(child, (void *)runs);
	ck_assert_int_eq(error.stage, stage);
	ck_assert_int_eq(error.index, index);
	ck_assert_int_eq(atomic_load(runs), 0);
	munmap((void *)runs, sizeof *runs);
	pal_builder_free(builder);
}

START_TEST(a_failing_step_is_reported_and_the_function_does_not_run)
{
	struct pal_builder *builder = pal_builder_new(NULL);

	pal_builder_cwd(builder, "/no/such/folder");
	ck_assert_fork_fails(builder, -ENOENT, PAL_STAGE_CHDIR, 0);
	builder = pal_builder_new(NULL);
	pal_builder_dup_fd(builder, 90, 91);
	ck_assert_fork_fails(builder, -EBADF, PAL_STAGE_FDS, 0);
	builder = pal_builder_new(NULL);
	pal_builder_rlimit(builder, RLIMIT_CPU, 2, 1);
	ck_assert_fork_fails(builder, -EINVAL, PAL_STAGE_RLIMIT, RLIMIT_CPU);
	builder = pal_builder_new(NULL);
	pal_builder_cwd(builder, NULL);
	ck_assert_fork_fails(builder, -EINVAL, PAL_STAGE_ARGUMENT, 0);
	ck_assert_int_eq(pal_fork(NULL, count_run, NULL, NULL, NULL), -ENOMEM);
	builder = pal_builder_new(NULL);
	ck_assert_int_eq(pal_fork(builder, NULL, NULL, NULL, NULL), -EINVAL);
	pal_builder_free(builder);
}
END_TEST

static void kill_at(unsigned number)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, number, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog program = {.len = PAL_ARRAY_LENGTH(code), .filter = code};

	ck_assert_int_eq(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), 0);
	ck_assert_int_eq(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program), 0);
}

START_TEST(a_child_that_is_killed_on_the_way_is_reported_with_its_signal)
{
	struct pal_builder *builder = pal_builder_new(NULL);

	pal_builder_cwd(builder, "/");
	kill_at(SYS_chdir);
	ck_assert_fork_fails(builder, -ECHILD, PAL_STAGE_DIED, SIGSYS);
}
END_TEST

/* S58: the kernel removes the child at once, and still there is a handle that says so. */
START_TEST(where_the_host_ignores_SIGCHLD_a_short_function_is_still_a_child)
{
	struct pal_builder *builder = pal_builder_new(NULL);

	support_without_pidfd_info();
	signal(SIGCHLD, SIG_IGN);
	for (int i = 0; i < 50; i++) {
		struct pal_error error = {0};
		struct pal_child *child;

		ck_assert_ok(pal_fork(builder, support_return_zero, NULL, &child, &error), &error);
		ck_assert_int_eq(pal_child_wait(child, PAL_DEADLINE_NONE, NULL, &error), -ECHILD);
		pal_child_free(child);
	}
	pal_builder_cwd(builder, "/no/such/folder");
	ck_assert_fork_fails(builder, -ENOENT, PAL_STAGE_CHDIR, 0);
}
END_TEST

static atomic_bool stuck;

static void wait_if_stuck(void)
{
	while (stuck)
		pause();
}

/* Only a deadline ends this: the child is not the library's yet. */
START_TEST(a_child_that_does_not_come_to_the_function_is_killed_at_the_start_deadline)
{
	struct pal_builder *builder = pal_builder_new(NULL);
	pal_deadline deadline = PAL_DEADLINE_MS(200);
	struct pal_error error = {0};
	struct pal_child *child = NULL;

	if (_i)
		signal(SIGCHLD, SIG_IGN);
	ck_assert_int_eq(pthread_atfork(NULL, NULL, wait_if_stuck), 0);
	stuck = true;
	pal_builder_start_deadline(builder, deadline);
	ck_assert_int_eq(pal_fork(builder, support_return_zero, NULL, &child, &error), -ETIMEDOUT);
	ck_assert_int_eq(pal_deadline_left_ms(deadline), 0);
	ck_assert_int_eq(error.stage, PAL_STAGE_CLONE);
	ck_assert_ptr_null(child);

	stuck = false;
	pal_builder_start_deadline(builder, PAL_DEADLINE_NONE);
	ck_assert_ok(pal_fork(builder, support_return_zero, NULL, &child, &error), &error);
	pal_child_free(child);
	pal_builder_free(builder);
	pal_builder_start_deadline(NULL, PAL_DEADLINE_NONE);
}
END_TEST

static void drop_kill(void)
{
	struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3];

	ck_assert_int_eq(syscall(SYS_capget, &header, data), 0);
	data[0].effective &= ~(1u << CAP_KILL);
	ck_assert_int_eq(syscall(SYS_capset, &header, data), 0);
}

/*
 * It has another user by then, and the parent may not kill it: nobody waits for it, and it is no
 * zombie either.
 */
START_TEST(a_child_that_cannot_be_killed_at_the_start_deadline_is_detached)
{
	struct pal_builder *builder = pal_builder_new(NULL);
	char folder[] = "/tmp/procmesh-fork-XXXXXX", fifo[64];
	struct pal_child *child;
	int fd;

	ck_assert_ptr_nonnull(mkdtemp(folder));
	snprintf(fifo, sizeof fifo, "%s/fifo", folder);
	ck_assert_int_eq(mkfifo(fifo, 0666), 0);
	ck_assert_int_eq(chmod(folder, 0755), 0);
	ck_assert_int_eq(chmod(fifo, 0666), 0);
	drop_kill();
	pal_builder_uid(builder, 65534);
	pal_builder_step_open(builder, 9, fifo, O_RDONLY, 0);
	pal_builder_start_deadline(builder, PAL_DEADLINE_MS(200));
	ck_assert_int_eq(pal_fork(builder, support_return_zero, NULL, &child, NULL), -ETIMEDOUT);
	SUPPORT_LOOK_UNTIL(support_count_threads("pal-reap") == 1); /* it gives itself that name */

	fd = open(fifo, O_WRONLY | O_CLOEXEC); /* it goes on, and ends */
	ck_assert_int_ge(fd, 0);
	SUPPORT_LOOK_UNTIL(!support_count_threads("pal-reap"));
	close(fd);
	unlink(fifo);
	rmdir(folder);
	pal_builder_free(builder);
}
END_TEST

static Suite *make_suite(void)
{
	Suite *suite = suite_create("pal/fork-failures");
	TCase *failures = support_tcase(suite, "failures");

	tcase_add_test(failures, a_failing_step_is_reported_and_the_function_does_not_run);
	tcase_add_test(failures, a_child_that_is_killed_on_the_way_is_reported_with_its_signal);
	tcase_add_test(failures, where_the_host_ignores_SIGCHLD_a_short_function_is_still_a_child);
	tcase_add_loop_test(failures,
		a_child_that_does_not_come_to_the_function_is_killed_at_the_start_deadline, 0, 2);
	tcase_add_test(failures, a_child_that_cannot_be_killed_at_the_start_deadline_is_detached);
	return suite;
}
SUPPORT_MAIN(make_suite)
