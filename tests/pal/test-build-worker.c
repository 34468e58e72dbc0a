/* SPDX-License-Identifier: MIT */
#include <pal/profile.h>

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/shm.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <pal/util-priv.h>

#include "sandboxed.h"

/* The ready-made profile that may do most: what it must not reach, and what it is for. */

static struct pal_profile *worker_in(const char *folder)
{
	const char *const folders[] = {folder, NULL};
	struct pal_error error = {0};
	struct pal_profile *profile = NULL;

	ck_assert_ok(pal_profile_build_worker_new(folders, &profile, &error), &error);
	return profile;
}

/* ---- scheduling and limits of others ---- */

/* An unconfined process of the same user. */
static pid_t other;

static int stay(void *unused)
{
	(void)unused;
	for (;;)
		pause();
	return 0;
}

static int set_affinity(void *pid)
{
	cpu_set_t cpus;

	need(sched_getaffinity(0, sizeof cpus, &cpus) == 0);
	return result_of(sched_setaffinity(*(pid_t *)pid, sizeof cpus, &cpus));
}

static int set_scheduler(void *pid)
{
	return result_of(sched_setscheduler(*(pid_t *)pid, SCHED_BATCH, &(struct sched_param){0}));
}

static int set_parameters(void *pid)
{
	return result_of(sched_setparam(*(pid_t *)pid, &(struct sched_param){0}));
}

static int set_attributes(void *pid)
{
	const struct {
		uint32_t size, policy;
		uint64_t flags;
		int32_t nice;
		uint32_t priority;
		uint64_t runtime, deadline, period;
	} attributes = {.size = 48, .policy = SCHED_OTHER};

	return result_of(syscall(SYS_sched_setattr, *(pid_t *)pid, &attributes, 0));
}

static int set_priority(void *pid)
{
	return result_of(setpriority(PRIO_PROCESS, (id_t) * (pid_t *)pid, 1));
}

/* Nobody has any process: without a profile this must change nothing in the system either. */
#define USER_OF_NOBODY 4000000000u
#define GROUP_OF_NOBODY 0x7fffffff

static int set_priority_of_user(void *unused)
{
	(void)unused;
	return result_of(setpriority(PRIO_USER, USER_OF_NOBODY, 19));
}

static int set_priority_of_group(void *unused)
{
	(void)unused;
	return result_of(setpriority(PRIO_PGRP, GROUP_OF_NOBODY, 19));
}

#define BEST_EFFORT_4 (2 << 13 | 4)

static int set_io_priority(void *pid)
{
	return result_of(syscall(SYS_ioprio_set, 1 /* a process */, *(pid_t *)pid, BEST_EFFORT_4));
}

static int set_io_priority_of_user(void *unused)
{
	(void)unused;
	return result_of(syscall(SYS_ioprio_set, 3 /* a user */, USER_OF_NOBODY, BEST_EFFORT_4));
}

static int set_limit(void *pid)
{
	struct rlimit limit;

	need(prlimit(0, RLIMIT_CORE, NULL, &limit) == 0);
	return result_of(prlimit(*(pid_t *)pid, RLIMIT_CORE, &limit, NULL));
}

static int copy_memory(void *pid)
{
	char byte;
	struct iovec here = {&byte, 1}, there = {&other, 1};

	return result_of(syscall(SYS_process_vm_readv, *(pid_t *)pid, &here, 1, &there, 1, 0));
}

static int take_descriptor(void *pid)
{
	int fd = (int)syscall(SYS_pidfd_open, *(pid_t *)pid, 0);

	need(fd >= 0);
	return result_of(syscall(SYS_pidfd_getfd, fd, 0, 0));
}

/* Who is ended first where memory is short. */
static int open_for_killing(void *pid)
{
	char path[64];
	int fd;

	snprintf(path, sizeof path, "/proc/%d/oom_score_adj", (int)*(pid_t *)pid);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return errno;
	close(fd);
	return 0;
}

static int make_pair_of_family(void *family)
{
	int pair[2];

	return result_of(socketpair(*(int *)family, SOCK_STREAM | SOCK_CLOEXEC, 0, pair));
}

static const pid_t itself = 0;
static const int local = AF_UNIX, tipc = AF_TIPC;
#define ANYTHING (-1)

static const struct {
	int (*attempt)(void *arg);
	const void *arg;
	int without, with;
} reaching_out[] = {
	{set_affinity, &other, 0, EPERM},
	{set_scheduler, &other, 0, EPERM},
	{set_parameters, &other, 0, EPERM},
	{set_attributes, &other, 0, EPERM},
	{set_priority, &other, 0, EPERM},
	{set_priority_of_user, NULL, ESRCH, EPERM},
	{set_priority_of_group, NULL, ESRCH, EPERM},
	{set_io_priority, &other, 0, EPERM},
	{set_io_priority_of_user, NULL, ESRCH, EPERM},
	{set_limit, &other, 0, EPERM},
	{copy_memory, &other, ANYTHING, DIED + SIGSYS}, /* Yama */
	{take_descriptor, &other, ANYTHING, ENOSYS},
	{open_for_killing, &other, 0, EROFS},
	{make_pair_of_family, &tipc, ANYTHING, EACCES},
	/* what it does to itself */
	{set_affinity, &itself, 0, 0},
	{set_scheduler, &itself, 0, 0},
	{set_parameters, &itself, 0, 0},
	{set_attributes, &itself, 0, 0},
	{set_priority, &itself, 0, 0},
	{set_io_priority, &itself, 0, 0},
	{set_limit, &itself, 0, 0},
	{make_pair_of_family, &local, 0, 0},
};

START_TEST(it_schedules_and_limits_only_itself)
{
	struct pal_builder *builder = pal_builder_new(NULL);
	struct pal_error error = {0};
	struct pal_profile *profile;
	struct pal_child *child;
	int without, with;

	needs_landlock();
	needs_user_namespace_of_fork();
	become(_i % USERS);
	/* without capabilities, as the worker: else the kernel tells them apart */
	pal_builder_no_new_privs(builder, true);
	pal_builder_capabilities(builder, &PAL_CAPABILITIES_NONE);
	ck_assert_ok(pal_fork(builder, stay, NULL, &child, &error), &error);
	pal_builder_free(builder);
	other = pal_child_pid(child);
	profile = worker_in("/tmp");
	without = outcome_under(NULL, reaching_out[_i / USERS].attempt, reaching_out[_i / USERS].arg);
	with = outcome_under(profile, reaching_out[_i / USERS].attempt, reaching_out[_i / USERS].arg);
	pal_profile_free(profile);
	pal_child_free(child);
	ck_assert_msg(reaching_out[_i / USERS].without == ANYTHING ||
			      without == reaching_out[_i / USERS].without,
		"without: %d", without);
	ck_assert_int_eq(with, reaching_out[_i / USERS].with);
}
END_TEST

/* ---- System V objects ---- */

static int attach(void *id)
{
	void *memory = shmat(*(int *)id, NULL, 0);

	return memory == (void *)-1 ? errno : result_of(shmdt(memory));
}

static int remove_memory(void *id)
{
	return result_of(shmctl(*(int *)id, IPC_RMID, NULL));
}

static int make_memory(void *unused)
{
	int id = shmget(IPC_PRIVATE, 4096, 0600), code;

	(void)unused;
	need(id >= 0);
	code = attach(&id);
	return code ? code : remove_memory(&id);
}

START_TEST(it_shares_no_memory_with_others)
{
	int id = shmget(IPC_PRIVATE, 4096, 0666);
	struct pal_profile *profile;
	int attached, removed, own;

	needs_landlock();
	needs_user_namespace_of_fork();
	become(_i);
	profile = worker_in("/tmp");
	ck_assert_int_ge(id, 0);
	ck_assert_int_eq(outcome_under(NULL, attach, &id), 0);
	attached = outcome_under(profile, attach, &id);
	removed = outcome_under(profile, remove_memory, &id);
	own = outcome_under(profile, make_memory, NULL);
	pal_profile_free(profile);
	shmctl(id, IPC_RMID, NULL);
	ck_assert_int_eq(attached, EINVAL);
	ck_assert_int_eq(removed, EINVAL);
	ck_assert_int_eq(own, 0);
}
END_TEST

static Suite *make_suite(void)
{
	Suite *suite = suite_create("pal/build-worker");
	TCase *outside = support_tcase(suite, "outside");

	tcase_add_loop_test(outside, it_schedules_and_limits_only_itself, 0,
		(int)PAL_ARRAY_LENGTH(reaching_out) * USERS);
	tcase_add_loop_test(outside, it_shares_no_memory_with_others, 0, USERS);
	return suite;
}
SUPPORT_MAIN(make_suite)
