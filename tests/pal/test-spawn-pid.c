/* SPDX-License-Identifier: MIT */
#include "spawn-support.h"
#include "support.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

/* Children without a handle, and programs that are found as execvp(3) and execve(2) find them. */

static int status_of(pid_t pid)
{
	int status;

	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	return status;
}

static struct pal_builder *shell(const char *script, int mode)
{
	struct pal_builder *builder = pal_builder_new("/bin/sh");

	pal_builder_vfork(builder, mode == MODE_VFORK);
	pal_builder_args(builder, (const char *const[]){"-c", script, NULL});
	return builder;
}

START_TEST(the_child_is_the_caller_s_to_wait_for)
{
	struct pal_builder *builder = shell("exit 7", _i);
	struct pal_error error = {0};
	pid_t pid = -1;

	for (int i = 0; i < 3; i++) {
		ck_assert_ok(pal_builder_spawn_pid(builder, &pid, &error), &error);
		ck_assert_int_eq(WEXITSTATUS(status_of(pid)), 7);
	}
	pal_builder_free(builder);
}
END_TEST

/* S21 */
START_TEST(a_failure_is_reaped_and_leaves_the_pid_alone)
{
	struct pal_builder *builder = pal_builder_new("/no/such/program");
	struct pal_error error = {0};
	pid_t pid = -7;

	pal_builder_vfork(builder, _i == MODE_VFORK);
	ck_assert_int_eq(pal_builder_spawn_pid(builder, &pid, &error), -ENOENT);
	ck_assert_int_eq(error.stage, PAL_STAGE_EXEC);
	ck_assert_int_eq(pid, -7);
	ck_assert_int_eq(waitpid(-1, NULL, 0), -1);
	ck_assert_int_eq(errno, ECHILD);
	pal_builder_free(builder);
}
END_TEST

/* S106 */
START_TEST(no_descriptor_number_need_be_free)
{
	struct pal_builder *builder = shell("exit 8", _i);
	struct rlimit before, limit;
	struct pal_error error = {0};
	struct pal_child *child;
	int fds[64], count = 0;
	pid_t pid;

	ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &before), 0);
	limit = (struct rlimit){40, before.rlim_max};
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
	while ((fds[count] = open("/dev/null", O_RDONLY | O_CLOEXEC)) >= 0)
		count++;
	ck_assert_int_eq(pal_builder_spawn(builder, &child, NULL), -EMFILE);
	ck_assert_ok(pal_builder_spawn_pid(builder, &pid, &error), &error);
	ck_assert_int_eq(WEXITSTATUS(status_of(pid)), 8);
	while (count > 0)
		close(fds[--count]);
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &before), 0);
	pal_builder_free(builder);
}
END_TEST

START_TEST(what_needs_a_handle_is_refused)
{
	struct pal_builder *builder = shell("exit 9", MODE_VFORK);
	struct pal_error error = {0};
	pid_t pid = -7;

	pal_builder_stdout(builder, PAL_STDIO_PIPE);
	ck_assert_int_eq(pal_builder_spawn_pid(builder, &pid, &error), -EINVAL);
	ck_assert_int_eq(error.stage, PAL_STAGE_ARGUMENT);
	pal_builder_stdout(builder, PAL_STDIO_INHERIT);
	pal_builder_parent_death(builder, SIGKILL);
	ck_assert_int_eq(pal_builder_spawn_pid(builder, &pid, &error), -EINVAL);
	pal_builder_parent_death(builder, 0);
	ck_assert_ok(pal_builder_spawn_pid(builder, &pid, &error), &error);
	ck_assert_int_eq(WEXITSTATUS(status_of(pid)), 9);
	pal_builder_free(builder);
}
END_TEST

/* ---- finding the program ---- */

static char folder[] = "/tmp/test-spawn-pid-XXXXXX";

static void write_script(const char *name, mode_t mode)
{
	int fd = open(name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0700);
	static const char text[] = "#!/bin/sh\nexit 10\n";

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(write(fd, text, sizeof text - 1), sizeof text - 1);
	ck_assert_int_eq(fchmod(fd, mode), 0);
	close(fd);
}

static void enter_folder(void)
{
	ck_assert_ptr_nonnull(mkdtemp(folder));
	ck_assert_int_eq(chdir(folder), 0);
	write_script("here", 0700);
	write_script("plain", 0600);
	ck_assert_int_eq(mkdir("inner", 0700), 0);
	write_script("inner/below", 0700);
}

static void leave_folder(void)
{
	static const char *const names[] = {"here", "plain", "inner/below"};

	for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
		unlink(names[i]);
	rmdir("inner");
	ck_assert_int_eq(chdir("/"), 0);
	ck_assert_int_eq(rmdir(folder), 0);
	strcpy(folder + strlen(folder) - 6, "XXXXXX");
}

/* The result of a spawn, or the exit code. */
static int run(const char *program, unsigned search)
{
	struct pal_builder *builder = pal_builder_new(program);
	pid_t pid;
	int r;

	pal_builder_search(builder, search);
	r = pal_builder_spawn_pid(builder, &pid, NULL);
	pal_builder_free(builder);
	return r < 0 ? r : WEXITSTATUS(status_of(pid));
}

START_TEST(without_a_search_every_name_is_a_path)
{
	setenv("PATH", folder, 1);
	ck_assert_int_eq(run("here", PAL_SEARCH_NONE), 10);
	ck_assert_int_eq(run("below", PAL_SEARCH_NONE), -ENOENT);
	ck_assert_int_eq(run("inner", PAL_SEARCH_NONE), -EACCES);
	ck_assert_int_eq(run("here", 0), 10);
	setenv("PATH", "/no/such", 1);
	ck_assert_int_eq(run("here", PAL_SEARCH_NONE), 10);
	ck_assert_int_eq(run("here", 0), -ENOENT);
}
END_TEST

/* S27, S28: of several failures execvp tells the last, but EACCES before others; some end the search. */
START_TEST(a_search_as_execvp_fails_as_execvp)
{
	static char too_long[PATH_MAX + 64];
	static const struct {
		const char *path, *program;
		int result;
	} cases[] = {{"inner", "below", 10}, {"", "here", 10}, {"/no/such:", "here", 10},
		{"plain:inner", "below", 10}, {"plain:/no/such", "below", -ENOENT},
		{"/no/such:plain", "below", -ENOTDIR}, {":/no/such", "plain", -EACCES},
		{":here", "plain", -EACCES}, {too_long, "below", 10},
		{too_long + PATH_MAX - 300, "below", -ENAMETOOLONG}};

	memset(too_long, 'a', sizeof too_long);
	strcpy(too_long + PATH_MAX, ":inner");
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		setenv("PATH", cases[i].path, 1);
		ck_assert_msg(run(cases[i].program, PAL_SEARCH_RELATIVE) == cases[i].result,
			"%s in %.100s: %d, not %d", cases[i].program, cases[i].path,
			run(cases[i].program, PAL_SEARCH_RELATIVE), cases[i].result);
	}
}
END_TEST

static Suite *make_suite(void)
{
	Suite *suite = suite_create("pal/spawn_pid");
	TCase *pids = support_tcase(suite, "pids"), *search = support_tcase(suite, "search");

	tcase_add_loop_test(pids, the_child_is_the_caller_s_to_wait_for, 0, MODES);
	tcase_add_loop_test(pids, a_failure_is_reaped_and_leaves_the_pid_alone, 0, MODES);
	tcase_add_loop_test(pids, no_descriptor_number_need_be_free, 0, MODES);
	tcase_add_test(pids, what_needs_a_handle_is_refused);
	tcase_add_checked_fixture(search, enter_folder, leave_folder);
	tcase_add_test(search, without_a_search_every_name_is_a_path);
	tcase_add_test(search, a_search_as_execvp_fails_as_execvp);
	return suite;
}
SUPPORT_MAIN(make_suite)
