/* SPDX-License-Identifier: MIT */
/* What a child that changes its ids is to the process that has made it. */
#include <pal/process.h>

#include <fcntl.h>
#include <grp.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <pal/builder-priv.h>
#include <pal/sandbox.h>
#include <pal/steps.h>

#include "process-support.h"
#include "spawn-support.h"
#include "support.h"

static void spawn_and_stay_dumpable(int which)
{
	struct pal_builder *builder = process_builder(KIND_VFORK);

	if (which == 0)
		pal_builder_uid(builder, NOBODY);
	else if (which == 1)
		pal_builder_gid(builder, NOBODY);
	else
		pal_builder_reset_ids(builder, true);
	if (which == 2)
		ck_assert_int_eq(setresuid(NOBODY, 0, 0), 0);
	if (which == 3)
		ck_assert_int_eq(setresgid(NOBODY, 0, 0), 0);
	ck_assert_int_eq(prctl(PR_SET_DUMPABLE, 1), 0);
	process_text(builder, KIND_VFORK);
	ck_assert_int_eq(prctl(PR_GET_DUMPABLE), 1);
}

START_TEST(only_children_that_change_ids_are_copied)
{
	struct pal_builder *builder = pal_builder_new("/bin/true");

	pal_builder_groups(builder, NULL, 0);
	pal_builder_reset_ids(builder, true); /* nothing to reset here */
	ck_assert(pal__builder_shares_memory(builder));
	pal_builder_gid(builder, 0);
	ck_assert(!pal__builder_shares_memory(builder));
	pal_builder_gid(builder, (gid_t)-1);
	ck_assert(pal__builder_shares_memory(builder));
	pal_builder_uid(builder, 0);
	ck_assert(!pal__builder_shares_memory(builder));
	pal_builder_free(builder);
}
END_TEST

/* The kernel makes memory undumpable in which ids change; that must not be ours. */
START_TEST(the_parent_s_memory_stays_dumpable)
{
	run_as(0, spawn_and_stay_dumpable, _i);
}
END_TEST

static atomic_bool changed;

/* The child stops twice in its setup: until somebody reads the one FIFO, and writes the other. */
static void *spawn_through_fifos(void *ret)
{
	struct pal_builder *builder = process_builder(KIND_VFORK);
	struct pal_error error = {0};

	pal_builder_stdout(builder, PAL_STDIO_PIPE);
	pal_builder_step_open(builder, 60, "here", O_WRONLY, 0);
	pal_builder_step_open(builder, 61, "go", O_RDONLY, 0);
	ck_assert_ok(pal_builder_spawn(builder, (struct pal_child **)ret, &error), &error);
	pal_builder_free(builder);
	return NULL;
}

static void *change_user(void *arg)
{
	ck_assert_int_eq(setuid(NOBODY), 0); /* libc's: of every thread */
	atomic_store(&changed, true);
	return arg;
}

static void change_user_meanwhile(int arg)
{
	struct pal_child *child = NULL;
	pthread_t spawner, changer;
	int here, go;

	(void)arg;
	ck_assert_int_eq(pthread_create(&spawner, NULL, spawn_through_fifos, &child), 0);
	here = open("here", O_RDONLY | O_CLOEXEC);
	ck_assert_int_ge(here, 0);
	ck_assert_int_eq(pthread_create(&changer, NULL, change_user, NULL), 0);
	while (syscall(SYS_getuid) == 0) /* all threads change but the one that spawns */
		sched_yield();
	ck_assert(!atomic_load(&changed));
	go = open("go", O_WRONLY | O_CLOEXEC);
	ck_assert_int_ge(go, 0);
	pthread_join(spawner, NULL);
	pthread_join(changer, NULL);
	ck_assert_str_eq(process_line(read_to_end(pal_child_stdout(child)), "Uid"), "0 0 0 0");
	ck_assert_int_eq(wait_take(child).code, 0);
	close(go);
	close(here);
}

/*
 * S51: setuid(2) of another thread returns when no child shares the memory any
 * more that still has the old ids.
 */
START_TEST(a_change_of_user_waits_for_children_that_share_the_memory)
{
	char folder[] = "/tmp/procmesh-ids-XXXXXX";

	ck_assert_ptr_nonnull(mkdtemp(folder));
	ck_assert_int_eq(chmod(folder, 0755), 0);
	ck_assert_int_eq(chdir(folder), 0);
	umask(0);
	ck_assert_int_eq(mkfifo("here", 0666), 0);
	ck_assert_int_eq(mkfifo("go", 0666), 0);
	run_as(0, change_user_meanwhile, 0);
	ck_assert_int_eq(unlink("here"), 0);
	ck_assert_int_eq(unlink("go"), 0);
	ck_assert_int_eq(rmdir(folder), 0);
}
END_TEST

/* S48 */
START_TEST(the_parent_s_own_ids_stay)
{
	struct pal_builder *builder = process_builder(_i);
	gid_t groups[8];

	pal_builder_uid(builder, NOBODY);
	pal_builder_gid(builder, NOBODY);
	process_text(builder, _i);
	ck_assert_int_eq((int)syscall(SYS_geteuid), 0);
	ck_assert_int_eq((int)syscall(SYS_getegid), 0);
	ck_assert_int_eq(getgroups(8, groups), 3);
}
END_TEST

static Suite *make_suite(void)
{
	Suite *suite = suite_create("pal/ids-parent");
	TCase *parent = support_tcase(suite, "parent");

	tcase_add_checked_fixture(parent, process_need_root, NULL);
	tcase_add_test(parent, only_children_that_change_ids_are_copied);
	tcase_add_loop_test(parent, the_parent_s_memory_stays_dumpable, 0, 4);
	tcase_add_test(parent, a_change_of_user_waits_for_children_that_share_the_memory);
	tcase_add_loop_test(parent, the_parent_s_own_ids_stay, 0, KINDS);
	return suite;
}
SUPPORT_MAIN(make_suite)
