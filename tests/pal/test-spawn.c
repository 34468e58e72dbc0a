/* SPDX-License-Identifier: MIT */
#include <pal/builder.h>

#include <errno.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <pal/proc-stat-priv.h>
#include <pal/util-priv.h>

#include "spawn-support.h"
#include "support.h"

START_TEST(a_program_runs_and_its_exit_is_told)
{
	struct pal_builder *builder = builder_for("end-with", _i);
	struct pal_status status;
	char text[32];

	pal_builder_args(builder, (const char *const[]){"exit", "3", NULL});
	status = wait_take(spawn_take(builder));
	ck_assert_str_eq(pal_status_text(&status, text, sizeof text), "exit 3");
}
END_TEST

START_TEST(a_builder_makes_many_children)
{
	struct pal_builder *builder = builder_for("end-with", _i);
	struct pal_error error = {0};

	pal_builder_arg(builder, "stdin");
	pal_builder_stdin(builder, PAL_STDIO_PIPE);
	for (int i = 0; i < 3; i++) {
		struct pal_child *child;

		ck_assert_ok(pal_builder_spawn(builder, &child, &error), &error);
		ck_assert_int_eq(pal_child_try_wait(child, NULL, &error), 0);
		close(pal_child_steal_stdin(child));
		ck_assert_int_eq(wait_take(child).code, 0);
	}
	pal_builder_free(builder);
}
END_TEST

START_TEST(pipes_carry_both_ways)
{
	struct pal_builder *builder = pal_builder_new("cat");
	struct pal_child *child;

	pal_builder_vfork(builder, _i == MODE_VFORK);
	pal_builder_stdin(builder, PAL_STDIO_PIPE);
	pal_builder_stdout(builder, PAL_STDIO_PIPE);
	child = spawn_take(builder);
	ck_assert_int_eq(write(pal_child_stdin(child), "through", 7), 7);
	close(pal_child_steal_stdin(child));
	ck_assert_str_eq(read_to_end(pal_child_stdout(child)), "through");
	ck_assert_int_eq(wait_take(child).code, 0);
}
END_TEST

/* S95 */
START_TEST(a_child_that_is_killed_at_exec_has_not_started)
{
	struct pal_builder *builder = builder_for("end-with", _i);

	pal_builder_stdout(builder, PAL_STDIO_PIPE);
	filter_calls(SYS_execve, SECCOMP_RET_KILL_PROCESS);
	ck_assert_spawn_fails(builder, -ECHILD, PAL_STAGE_DIED, SIGSYS);
}
END_TEST

START_TEST(a_child_that_is_killed_on_the_way_is_told_with_its_signal)
{
	struct pal_builder *builder = builder_for("end-with", _i);
	struct pal_error error = {0};
	struct pal_child *child;

	pal_builder_cwd(builder, "/");
	filter_calls(SYS_chdir, SECCOMP_RET_KILL_PROCESS);
	ck_assert_int_eq(pal_builder_spawn(builder, &child, &error), -ECHILD);
	ck_assert_str_eq(
		pal_error_text(&error), "killed before exec by SIGSYS: No child processes");
	pal_builder_free(builder);
}
END_TEST

START_TEST(an_exec_that_is_forbidden_is_its_errno)
{
	filter_calls(SYS_execve, SECCOMP_RET_ERRNO | EPERM);
	ck_assert_spawn_fails(builder_for("end-with", _i), -EPERM, PAL_STAGE_EXEC, 0);
}
END_TEST

/* Never a child with more descriptors than it should have. */
START_TEST(without_close_range_there_is_no_child)
{
	filter_calls(SYS_close_range, SECCOMP_RET_ERRNO | ENOSYS);
	ck_assert_spawn_fails(builder_for("end-with", _i), -ENOSYS, PAL_STAGE_CLOSE_OTHERS, 0);
}
END_TEST

/* Kills every child of the thread `tid` but itself as soon as it shows. */
static void __attribute__((noreturn)) kill_children(pid_t tid)
{
	char path[64];

	snprintf(path, sizeof path, "/proc/%d/task/%d/children", (int)tid, (int)tid);
	for (;;) {
		FILE *children = fopen(path, "re");
		int pid;

		while (children && fscanf(children, "%d", &pid) == 1)
			if (pid != getpid())
				kill(pid, SIGKILL);
		if (children)
			fclose(children);
	}
}

static struct pal_builder *with_much_to_copy(int mode)
{
	static char argument[100 * 1024];
	struct pal_builder *builder = builder_for("end-with", mode);

	memset(argument, 'x', sizeof argument - 1);
	pal_builder_arg(builder, "nothing");
	for (int i = 0; i < 17; i++)
		pal_builder_arg(builder, argument);
	return builder;
}

/* Many of them while execve copies the arguments; the kernel's own word is what counts. */
START_TEST(a_child_that_is_killed_within_exec_has_not_started)
{
	struct pal_builder *builder;
	pid_t host = getpid(), killer;

	if (access("/proc/thread-self/children", R_OK) < 0)
		support_skip("the kernel does not list a thread's children");
	builder = with_much_to_copy(_i);
	killer = fork();
	if (killer == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL); /* a later process with this pid is not its prey */
		kill_children(host);
	}
	for (int i = 0; i < 300; i++) {
		struct pal_error error = {0};
		struct pal_child *child;
		siginfo_t info;
		int r = pal_builder_spawn(builder, &child, &error);

		if (r < 0) {
			ck_assert_int_eq(r, -ECHILD);
			ck_assert_int_eq(error.stage, PAL_STAGE_DIED);
			ck_assert_int_eq(error.index, SIGKILL);
			continue;
		}
		ck_assert_int_eq(
			waitid(P_PID, (id_t)pal_child_pid(child), &info, WEXITED | WNOWAIT), 0);
		ck_assert_int_eq(pal__progress(pal_child_pid(child)), PAL__PROGRESS_EXECUTED);
		pal_child_free(child);
	}
	kill(killer, SIGKILL);
	ck_assert_int_eq(waitpid(killer, NULL, 0), killer);
	pal_builder_free(builder);
}
END_TEST

/* EACCES is how the kernel tells of an exec: a filter that says so must not count as that. */
START_TEST(a_filter_that_forbids_setpgid_does_not_make_a_start_of_an_end)
{
	struct pal_builder *builder = builder_for("end-with", _i);

	filter_calls(SYS_setpgid, SECCOMP_RET_ERRNO | EACCES);
	filter_calls(SYS_execve, SECCOMP_RET_KILL_PROCESS);
	ck_assert_spawn_fails(builder, -ECHILD, PAL_STAGE_DIED, SIGSYS);
}
END_TEST

START_TEST(a_program_that_makes_its_own_session_has_started)
{
	struct pal_builder *builder = pal_builder_new("setsid");

	pal_builder_vfork(builder, _i == MODE_VFORK);
	pal_builder_args(builder, (const char *const[]){"true", NULL});
	for (int i = 0; i < 20; i++) {
		struct pal_error error = {0};
		struct pal_child *child;

		ck_assert_ok(pal_builder_spawn(builder, &child, &error), &error);
		ck_assert_int_eq(wait_take(child).code, 0);
	}
	pal_builder_free(builder);
}
END_TEST

/* It ends before we look: that is a start all the same. */
START_TEST(a_program_that_ends_at_once_has_started)
{
	for (int i = 0; i < 50; i++) {
		struct pal_builder *builder = builder_for("end-with", _i);
		struct pal_status status;

		pal_builder_args(builder, (const char *const[]){"signal", "9", NULL});
		status = wait_take(spawn_take(builder));
		ck_assert_int_eq(status.code, SIGKILL);
	}
}
END_TEST

/* Root may have more processes than RLIMIT_NPROC says. Exits with what went wrong. */
static int spawn_without_processes(struct pal_builder *builder)
{
	struct rlimit none = {0, 0};
	struct pal_error error = {0};
	struct pal_child *child;

	if (geteuid() == 0 && setresuid(65534, 65534, 65534) < 0)
		return 77;
	if (setrlimit(RLIMIT_NPROC, &none) < 0)
		return 1;
	if (pal_builder_spawn(builder, &child, &error) != -EAGAIN)
		return 2;
	return error.stage == PAL_STAGE_CLONE ? 0 : 3;
}

/* S106 */
START_TEST(no_more_processes_is_EAGAIN_from_clone)
{
	struct pal_builder *builder = builder_for("end-with", _i);
	int status;
	pid_t pid = fork();

	if (pid == 0)
		_exit(spawn_without_processes(builder));
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	pal_builder_free(builder);
	if (WEXITSTATUS(status) == 77)
		support_skip("cannot become an unprivileged user");
	ck_assert_int_eq(status, 0);
}
END_TEST

/* S108 */
START_TEST(many_children_live_at_once)
{
	static struct pal_child *children[1025];
	struct rlimit limit;

	ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &limit), 0);
	limit.rlim_cur = limit.rlim_max;
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
	if (limit.rlim_cur < 4096)
		support_skip("only %lu descriptors", (unsigned long)limit.rlim_cur);
	for (size_t i = 0; i < PAL_ARRAY_LENGTH(children); i++) {
		struct pal_builder *builder = builder_for("end-with", MODE_VFORK);

		pal_builder_arg(builder, "stdin");
		pal_builder_stdin(builder, PAL_STDIO_PIPE);
		children[i] = spawn_take(builder);
	}
	for (size_t i = 0; i < PAL_ARRAY_LENGTH(children); i++) {
		close(pal_child_steal_stdin(children[i]));
		ck_assert_int_eq(wait_take(children[i]).code, 0);
	}
}
END_TEST

static Suite *make_suite(void)
{
	Suite *suite = suite_create("pal/spawn");
	TCase *basic = support_tcase(suite, "basic");
	TCase *died = support_tcase(suite, "died");
	TCase *limits = support_tcase(suite, "limits");

	tcase_add_loop_test(basic, a_program_runs_and_its_exit_is_told, 0, MODES);
	tcase_add_loop_test(basic, a_builder_makes_many_children, 0, MODES);
	tcase_add_loop_test(basic, pipes_carry_both_ways, 0, MODES);
	tcase_add_loop_test(died, a_child_that_is_killed_at_exec_has_not_started, 0, MODES);
	tcase_add_loop_test(
		died, a_child_that_is_killed_on_the_way_is_told_with_its_signal, 0, MODES);
	tcase_add_loop_test(died, a_child_that_is_killed_within_exec_has_not_started, 0, MODES);
	tcase_add_loop_test(
		died, a_filter_that_forbids_setpgid_does_not_make_a_start_of_an_end, 0, MODES);
	tcase_add_loop_test(died, a_program_that_makes_its_own_session_has_started, 0, MODES);
	tcase_add_loop_test(died, an_exec_that_is_forbidden_is_its_errno, 0, MODES);
	tcase_add_loop_test(died, without_close_range_there_is_no_child, 0, MODES);
	tcase_add_loop_test(died, a_program_that_ends_at_once_has_started, 0, MODES);
	tcase_add_loop_test(limits, no_more_processes_is_EAGAIN_from_clone, 0, MODES);
	tcase_add_test(limits, many_children_live_at_once);
	return suite;
}
SUPPORT_MAIN(make_suite)
