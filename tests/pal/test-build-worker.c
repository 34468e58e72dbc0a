/* SPDX-License-Identifier: MIT */
#include <pal/profile.h>

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/shm.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <pal/util-priv.h>

#include "sandboxed.h"

/* The ready-made profile that may do most: what it must not reach, and what it is for. */

static int result(long value)
{
	return value < 0 ? errno : 0;
}

static struct pal_profile *worker_in(const char *folder)
{
	const char *const folders[] = {folder, NULL};
	struct pal_error error = {0};
	struct pal_profile *profile = NULL;

	ck_assert_ok(pal_profile_build_worker_new(folders, &profile, &error), &error);
	return profile;
}

static int under(const struct pal_profile *profile, int (*attempt)(void *arg), const void *arg)
{
	struct pal_builder *builder = pal_builder_new(NULL);
	int code;

	if (profile)
		pal_builder_sandbox(builder, profile);
	code = outcome(builder, attempt, (void *)arg);
	pal_builder_free(builder);
	return code;
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
	return result(sched_setaffinity(*(pid_t *)pid, sizeof cpus, &cpus));
}

static int set_scheduler(void *pid)
{
	return result(sched_setscheduler(*(pid_t *)pid, SCHED_BATCH, &(struct sched_param){0}));
}

static int set_parameters(void *pid)
{
	return result(sched_setparam(*(pid_t *)pid, &(struct sched_param){0}));
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

	return result(syscall(SYS_sched_setattr, *(pid_t *)pid, &attributes, 0));
}

static int set_priority(void *pid)
{
	return result(setpriority(PRIO_PROCESS, (id_t) * (pid_t *)pid, 1));
}

/* Nobody has any process: without a profile this must change nothing in the system either. */
#define USER_OF_NOBODY 4000000000u
#define GROUP_OF_NOBODY 0x7fffffff

static int set_priority_of_user(void *unused)
{
	(void)unused;
	return result(setpriority(PRIO_USER, USER_OF_NOBODY, 19));
}

static int set_priority_of_group(void *unused)
{
	(void)unused;
	return result(setpriority(PRIO_PGRP, GROUP_OF_NOBODY, 19));
}

#define BEST_EFFORT_4 (2 << 13 | 4)

static int set_io_priority(void *pid)
{
	return result(syscall(SYS_ioprio_set, 1 /* a process */, *(pid_t *)pid, BEST_EFFORT_4));
}

static int set_io_priority_of_user(void *unused)
{
	(void)unused;
	return result(syscall(SYS_ioprio_set, 3 /* a user */, USER_OF_NOBODY, BEST_EFFORT_4));
}

static int set_limit(void *pid)
{
	struct rlimit limit;

	need(prlimit(0, RLIMIT_CORE, NULL, &limit) == 0);
	return result(prlimit(*(pid_t *)pid, RLIMIT_CORE, &limit, NULL));
}

static int copy_memory(void *pid)
{
	char byte;
	struct iovec here = {&byte, 1}, there = {&other, 1};

	return result(syscall(SYS_process_vm_readv, *(pid_t *)pid, &here, 1, &there, 1, 0));
}

static int take_descriptor(void *pid)
{
	int fd = (int)syscall(SYS_pidfd_open, *(pid_t *)pid, 0);

	need(fd >= 0);
	return result(syscall(SYS_pidfd_getfd, fd, 0, 0));
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

	return result(socketpair(*(int *)family, SOCK_STREAM | SOCK_CLOEXEC, 0, pair));
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
	without = under(NULL, reaching_out[_i / USERS].attempt, reaching_out[_i / USERS].arg);
	with = under(profile, reaching_out[_i / USERS].attempt, reaching_out[_i / USERS].arg);
	pal_profile_free(profile);
	pal_child_free(child);
	ck_assert_msg(reaching_out[_i / USERS].without == ANYTHING ||
			      without == reaching_out[_i / USERS].without,
		"without: %d", without);
	ck_assert_int_eq(with, reaching_out[_i / USERS].with);
}
END_TEST

/* ---- files outside, which Landlock lets it change but for their contents ---- */

/* A folder that is the worker's, with a file, and one that is not. */
struct folders {
	char own[64], foreign[64];
	char own_file[96], foreign_file[96];
};

static void make_file(char path[static 96], const char *folder)
{
	int fd;

	snprintf(path, 96, "%s/file", folder);
	fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
	ck_assert_int_ge(fd, 0);
	close(fd);
}

static void make_folders(struct folders *folders)
{
	make_folder(folders->own);
	make_folder(folders->foreign);
	make_file(folders->own_file, folders->own);
	make_file(folders->foreign_file, folders->foreign);
}

static void remove_folders(const struct folders *folders)
{
	remove_folder(folders->own);
	remove_folder(folders->foreign);
}

static int change_mode(void *path)
{
	return result(chmod(path, 04777));
}

static int change_owner(void *path)
{
	return result(lchown(path, getuid(), getgid()));
}

static int change_times(void *path)
{
	return result(utimensat(AT_FDCWD, path, NULL, 0));
}

static int change_attribute(void *path)
{
	return result(setxattr(path, "user.procmesh", "x", 1, 0));
}

/* By a descriptor that may only read. */
static int change_mode_of_open(void *path)
{
	PAL_CLEANUP_CLOSE int fd = open(path, O_RDONLY | O_CLOEXEC);

	return fd < 0 ? errno : result(fchmod(fd, 0777));
}

/* As the processes outside see it. */
static int change_mode_by_parent(void *path)
{
	char there[128];

	snprintf(there, sizeof there, "/proc/%d/root%s", (int)getppid(), (const char *)path);
	return result(chmod(there, 0777));
}

static int cut(void *path)
{
	return result(truncate(path, 0));
}

static int take_away(void *path)
{
	return result(unlink(path));
}

static const struct {
	int (*attempt)(void *arg);
	int foreign, own;
} changes[] = {{change_mode, EROFS, 0}, {change_owner, EROFS, 0}, {change_times, EROFS, 0},
	{change_attribute, EROFS, 0}, {cut, EROFS, 0}, {take_away, EROFS, 0},
	{attempt_create, EROFS, 0}, {change_mode_of_open, EACCES, 0},
	{change_mode_by_parent, EACCES, EACCES}};

START_TEST(it_changes_nothing_outside_of_its_folders)
{
	int (*attempt)(void *arg) = changes[_i / USERS].attempt;
	struct pal_profile *profile;
	struct folders folders;

	needs_landlock();
	needs_user_namespace_of_fork();
	become(_i % USERS);
	make_folders(&folders);
	profile = worker_in(folders.own);
	ck_assert_int_eq(
		under(profile, attempt, folders.foreign_file), changes[_i / USERS].foreign);
	ck_assert_int_eq(under(profile, attempt, folders.own_file), changes[_i / USERS].own);
	ck_assert_int_eq(under(NULL, attempt, folders.foreign_file), 0);
	pal_profile_free(profile);
	remove_folders(&folders);
}
END_TEST

static int move_out(void *arg)
{
	const struct folders *folders = arg;
	char to[96];

	snprintf(to, sizeof to, "%s/moved", folders->foreign);
	need(rename(folders->own_file, to) < 0 && (errno == EROFS || errno == EXDEV));
	need(link(folders->own_file, to) < 0 && (errno == EROFS || errno == EXDEV));
	snprintf(to, sizeof to, "%s/linked", folders->own);
	/* its mode could be changed by that name */
	return result(link(folders->foreign_file, to));
}

START_TEST(it_moves_and_links_nothing_in_or_out)
{
	struct pal_profile *profile;
	struct folders folders;

	needs_landlock();
	needs_user_namespace_of_fork();
	become(_i);
	make_folders(&folders);
	profile = worker_in(folders.own);
	ck_assert_int_eq(under(profile, move_out, &folders), EXDEV);
	pal_profile_free(profile);
	remove_folders(&folders);
}
END_TEST

/* ---- in its folders ---- */

START_TEST(it_begins_in_its_folder_if_this_process_stands_there)
{
	struct pal_profile *profile;
	struct folders folders;

	needs_landlock();
	needs_user_namespace_of_fork();
	become(_i);
	make_folders(&folders);
	profile = worker_in(folders.own);
	ck_assert_int_eq(chdir(folders.own), 0);
	ck_assert_int_eq(under(profile, attempt_create, "relative"), 0);
	ck_assert_int_eq(access("relative", F_OK), 0);
	ck_assert_int_eq(chdir(folders.foreign), 0);
	ck_assert_int_eq(under(profile, attempt_create, "relative"), EROFS);
	ck_assert_int_eq(chdir("/"), 0);
	pal_profile_free(profile);
	remove_folders(&folders);
}
END_TEST

#define MANY 512

/* A program's child is on a small stack; a function's on that of this process. */
static int touch(const struct pal_profile *profile, const char *path)
{
	struct pal_builder *builder = pal_builder_new("/bin/touch");
	int code;

	pal_builder_arg(builder, path);
	pal_builder_sandbox(builder, profile);
	code = outcome_of_program(builder);
	pal_builder_free(builder);
	return code;
}

/* As many as there may be: none of them costs the child any stack. */
START_TEST(it_may_have_many_folders)
{
	char own[64], names[MANY][80];
	const char *folders[MANY + 1] = {NULL};
	struct pal_error error = {0};
	struct pal_profile *profile;

	needs_landlock();
	needs_user_namespace_of_fork();
	become(_i);
	make_folder(own);
	for (int i = 0; i < MANY; i++) {
		snprintf(names[i], sizeof names[i], "%s/%d", own, i);
		ck_assert_int_eq(mkdir(names[i], 0755), 0);
		folders[i] = names[i];
	}
	ck_assert_ok(pal_profile_build_worker_new(folders, &profile, &error), &error);
	ck_assert_int_eq(touch(profile, strcat(names[0], "/file")), 0);
	ck_assert_int_eq(touch(profile, strcat(names[MANY - 1], "/file")), 0);
	ck_assert_int_eq(under(profile, attempt_create, strcat(own, "/file")), EROFS);
	own[strlen(own) - strlen("/file")] = '\0';
	pal_profile_free(profile);
	remove_folder(own);
}
END_TEST

static const char *hidden;

static int hide_one(
	const struct pal_profile *profile, struct pal_builder *builder, struct pal_error *error)
{
	(void)profile;
	(void)error;
	pal_builder_hide(builder, hidden);
	return 0;
}

/* What is kept is what the earlier profile has left. */
START_TEST(what_another_profile_hides_in_its_folder_stays_hidden)
{
	const struct pal_profile hiding = {
		.size = sizeof hiding, .name = "hiding", .apply = hide_one};
	struct pal_profile *worker, *both;
	struct pal_error error = {0};
	struct folders folders;
	bool first = _i / USERS;

	needs_landlock();
	needs_user_namespace_of_fork();
	become(_i % USERS);
	make_folders(&folders);
	hidden = folders.own_file;
	worker = worker_in(folders.own);
	ck_assert_ok(pal_profile_compose(
			     first ? &hiding : worker, first ? worker : &hiding, &both, &error),
		&error);
	ck_assert_int_eq(under(worker, attempt_read, folders.own_file), 0);
	ck_assert_int_eq(under(both, attempt_read, folders.own_file), EACCES);
	ck_assert_int_eq(under(both, attempt_read, folders.foreign_file), EACCES);
	pal_profile_free(both);
	pal_profile_free(worker);
	remove_folders(&folders);
}
END_TEST

static const char recipe[] =
	"cd '%s' && printf 'int main(void) { return 42; }\\n' >a.c && "
	"printf 'all: a b.a\\na: a.o\\n\\tcc -o $@ a.o\\na.o: a.c\\n\\tcc -c a.c\\n"
	"b.a: a.o\\n\\tar rc $@ a.o\\n' >Makefile && "
	"make -s && install -m 755 a c && mktemp >/dev/null && ./c";

START_TEST(it_builds_software)
{
	struct pal_builder *builder = pal_builder_new("/bin/sh");
	char folder[64], command[512];
	struct pal_profile *profile;

	needs_landlock();
	if (system("command -v cc make ar >/dev/null") != 0)
		support_skip("no compiler");
	become(_i);
	make_folder(folder);
	profile = worker_in(folder);
	snprintf(command, sizeof command, recipe, folder);
	pal_builder_arg(builder, "-c");
	pal_builder_arg(builder, command);
	pal_builder_sandbox(builder, profile);
	ck_assert_int_eq(outcome_of_program(builder), 42);
	pal_builder_free(builder);
	pal_profile_free(profile);
	remove_folder(folder);
}
END_TEST

/* ---- System V objects ---- */

static int attach(void *id)
{
	void *memory = shmat(*(int *)id, NULL, 0);

	return memory == (void *)-1 ? errno : result(shmdt(memory));
}

static int remove_memory(void *id)
{
	return result(shmctl(*(int *)id, IPC_RMID, NULL));
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
	ck_assert_int_eq(under(NULL, attach, &id), 0);
	attached = under(profile, attach, &id);
	removed = under(profile, remove_memory, &id);
	own = under(profile, make_memory, NULL);
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
	TCase *outside = support_tcase(suite, "outside"), *inside = support_tcase(suite, "inside");

	tcase_add_loop_test(outside, it_schedules_and_limits_only_itself, 0,
		(int)PAL_ARRAY_LENGTH(reaching_out) * USERS);
	tcase_add_loop_test(outside, it_changes_nothing_outside_of_its_folders, 0,
		(int)PAL_ARRAY_LENGTH(changes) * USERS);
	tcase_add_loop_test(outside, it_moves_and_links_nothing_in_or_out, 0, USERS);
	tcase_add_loop_test(outside, it_shares_no_memory_with_others, 0, USERS);
	tcase_add_loop_test(inside, it_begins_in_its_folder_if_this_process_stands_there, 0, USERS);
	tcase_add_loop_test(inside, it_may_have_many_folders, 0, USERS);
	tcase_add_loop_test(
		inside, what_another_profile_hides_in_its_folder_stays_hidden, 0, 2 * USERS);
	tcase_add_loop_test(inside, it_builds_software, 0, USERS);
	return suite;
}
SUPPORT_MAIN(make_suite)
