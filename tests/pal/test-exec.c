/* SPDX-License-Identifier: MIT */
#include <pal/builder.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/socket.h>
#include <unistd.h>

#include "spawn-support.h"
#include "support.h"

/* A folder with all kinds of files that one may try to execute; the tests run in it. */
static char folder[] = "/tmp/procmesh-exec-XXXXXX";
static char *path_before;
static int cwd_before;

static void write_file(const char *name, const char *text, mode_t mode)
{
	int fd = open(name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0700);

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(write(fd, text, strlen(text)), (ssize_t)strlen(text));
	ck_assert_int_eq(fchmod(fd, mode), 0);
	close(fd);
}

static void make_folder(void)
{
	strcpy(strrchr(folder, '-'), "-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(folder));
	cwd_before = open(".", O_PATH | O_CLOEXEC);
	ck_assert_int_eq(chdir(folder), 0);
	ck_assert_int_eq(mkdir("bin", 0700), 0);
	ck_assert_int_eq(mkdir("other", 0700), 0);
	write_file("bin/hit", "#!/bin/sh\necho hit \"$0\"\n", 0700);
	write_file("bin/no-interpreter", "#!/no/such/interpreter\n", 0700);
	write_file("bin/text", "echo from a shell\n", 0700);
	write_file("bin/not-executable", "#!/bin/sh\n", 0600);
	write_file("other/not-executable", "", 0600);
	write_file("other/hit", "", 0600);
	write_file("plain", "", 0600);
	ck_assert_int_eq(mkfifo("fifo", 0777), 0);
	ck_assert_int_eq(symlink("loop", "loop"), 0);
	path_before = getenv("PATH") ? strdup(getenv("PATH")) : NULL;
}

static void remove_folder(void)
{
	char command[sizeof folder + 16];

	if (path_before)
		setenv("PATH", path_before, 1);
	free(path_before);
	ck_assert_int_eq(fchdir(cwd_before), 0);
	close(cwd_before);
	snprintf(command, sizeof command, "rm -rf %s", folder);
	ck_assert_int_eq(system(command), 0);
}

static struct pal_builder *program(const char *name, int mode)
{
	struct pal_builder *builder = pal_builder_new(name);

	ck_assert_ptr_nonnull(builder);
	pal_builder_vfork(builder, mode == MODE_VFORK);
	return builder;
}

/* PATH := the elements, "@" standing for the folder. */
static void set_path(const char *elements)
{
	char path[1024] = "";

	for (; *elements; elements++)
		if (*elements == '@')
			strcat(path, folder);
		else
			strncat(path, elements, 1);
	ck_assert_int_eq(setenv("PATH", path, 1), 0);
}

/* ---- what cannot be executed ---- */

/* S24 */
START_TEST(files_that_are_no_programs)
{
	static const struct {
		const char *name;
		int code;
	} cases[] = {
		{"./missing", -ENOENT},
		{"./bin", -EACCES},
		{"./fifo", -EACCES},
		{"./plain", -EACCES},
		{"./plain/below", -ENOTDIR},
		{"./loop", -ELOOP},
		{"/dev/null", -EACCES},
	};
	char long_name[300] = "./";

	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
		ck_assert_spawn_fails(program(cases[i].name, _i), cases[i].code, PAL_STAGE_EXEC, 0);
	memset(long_name + 2, 'x', sizeof long_name - 3);
	ck_assert_spawn_fails(program(long_name, _i), -ENAMETOOLONG, PAL_STAGE_EXEC, 0);
	ck_assert_spawn_fails(program(long_name + 2, _i), -ENAMETOOLONG, PAL_STAGE_EXEC, 0);
}
END_TEST

START_TEST(a_socket_is_EACCES)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX, .sun_path = "socket"};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	ck_assert_int_eq(bind(fd, (struct sockaddr *)&address, sizeof address), 0);
	ck_assert_int_eq(chmod("socket", 0777), 0);
	close(fd);
	ck_assert_spawn_fails(program("./socket", _i), -EACCES, PAL_STAGE_EXEC, 0);
}
END_TEST

START_TEST(a_program_that_is_open_for_writing_is_ETXTBSY)
{
	int fd;

	write_file("busy", "#!/bin/sh\n", 0700);
	fd = open("busy", O_WRONLY | O_CLOEXEC);
	ck_assert_int_ge(fd, 0);
	ck_assert_spawn_fails(program("./busy", _i), -ETXTBSY, PAL_STAGE_EXEC, 0);
	close(fd);
}
END_TEST

/* S25 */
START_TEST(a_text_without_interpreter_is_never_handed_to_a_shell)
{
	ck_assert_spawn_fails(program("./bin/text", _i), -ENOEXEC, PAL_STAGE_EXEC, 0);
	set_path("@/bin");
	ck_assert_spawn_fails(program("text", _i), -ENOEXEC, PAL_STAGE_EXEC, 0);
}
END_TEST

/* S26 */
START_TEST(interpreters_that_are_missing_or_nested_too_deeply)
{
	char script[sizeof folder + 16], name[8];

	ck_assert_spawn_fails(program("./bin/no-interpreter", _i), -ENOENT, PAL_STAGE_EXEC, 0);
	write_file("n0", "#!/bin/sh\n", 0700);
	for (int i = 1; i <= 6; i++) {
		snprintf(script, sizeof script, "#!%s/n%d\n", folder, i - 1);
		snprintf(name, sizeof name, "n%d", i);
		write_file(name, script, 0700);
	}
	ck_assert_spawn_fails(program("./n6", _i), -ELOOP, PAL_STAGE_EXEC, 0);
}
END_TEST

START_TEST(the_text_of_an_error_names_the_program)
{
	struct pal_builder *builder = program("./missing", _i);
	struct pal_error error = {0};
	struct pal_child *child;

	ck_assert_int_eq(pal_builder_spawn(builder, &child, &error), -ENOENT);
	ck_assert_str_eq(pal_error_text(&error), "exec ./missing: No such file or directory");
	pal_builder_free(builder);
}
END_TEST

/* ---- PATH ---- */

/* S27 */
START_TEST(the_search_goes_on_past_what_cannot_be_executed)
{
	char expected[sizeof folder + 32];

	set_path("@/missing:@/plain:@/other:@/bin");
	snprintf(expected, sizeof expected, "hit %s/bin/hit\n", folder);
	ck_assert_str_eq(output_of(program("hit", _i)), expected);
}
END_TEST

START_TEST(EACCES_is_told_only_if_nothing_was_found)
{
	set_path("@/other:@/missing:@/plain");
	ck_assert_spawn_fails(program("not-executable", _i), -EACCES, PAL_STAGE_EXEC, 0);
	ck_assert_spawn_fails(program("nowhere", _i), -ENOENT, PAL_STAGE_EXEC, 0);
	set_path("@/plain");
	ck_assert_spawn_fails(program("hit", _i), -ENOTDIR, PAL_STAGE_EXEC, 0);
}
END_TEST

/* S28, S29 */
START_TEST(the_current_folder_is_never_searched)
{
	static const char *const paths[] = {
		"", ":", "::", ".", "bin", "bin:", ":.:bin:./bin:../bin"};

	write_file("planted", "#!/bin/sh\n", 0700);
	write_file("bin/planted", "#!/bin/sh\n", 0700);
	for (size_t i = 0; i < sizeof paths / sizeof paths[0]; i++) {
		set_path(paths[i]);
		ck_assert_spawn_fails(program("planted", _i), -ENOENT, PAL_STAGE_EXEC, 0);
	}
	unsetenv("PATH");
	ck_assert_spawn_fails(program("planted", _i), -ENOENT, PAL_STAGE_EXEC, 0);
	ck_assert_int_eq(wait_take(spawn_take(program("true", _i))).code, 0);
}
END_TEST

/* S30 */
START_TEST(the_parent_s_PATH_is_searched_not_the_child_s)
{
	struct pal_builder *builder = program("hit", _i);

	set_path("@/other");
	pal_builder_env(builder, "PATH", "/bin:/usr/bin");
	pal_builder_env(builder, "PATH", folder);
	ck_assert_spawn_fails(builder, -EACCES, PAL_STAGE_EXEC, 0);
	builder = program("hit", _i);
	set_path("@/bin");
	pal_builder_env(builder, "PATH", "/bin:/usr/bin");
	ck_assert_ptr_nonnull(strstr(output_of(builder), "hit"));
}
END_TEST

/* ---- arguments and environment ---- */

/* S41, S40, S37 */
START_TEST(arguments_arrive_as_they_are)
{
	struct pal_builder *builder = builder_for("show-args", _i);

	pal_builder_arg0(builder, "other name");
	pal_builder_args(builder, (const char *const[]){"--bind", "-c", "", "a b", NULL});
	pal_builder_arg(builder, "\x80\xff\xfe");
	pal_builder_env_clear(builder);
	pal_builder_env(builder, "K", "\xff=v");
	pal_builder_cwd(builder, "/");
	ck_assert_str_eq(output_of(builder),
		"cwd /\narg other name\narg --bind\narg -c\narg \narg a b\n"
		"arg \x80\xff\xfe\nenv K=\xff=v\n");
}
END_TEST

/* S32: there is always an argv[0]. */
START_TEST(argv0_is_the_program_and_may_be_empty)
{
	struct pal_builder *builder = builder_for("show-args", _i);
	char expected[4096];

	pal_builder_env_clear(builder);
	pal_builder_cwd(builder, "/");
	snprintf(expected, sizeof expected, "cwd /\narg %s\n", support_helper("show-args"));
	ck_assert_str_eq(output_of(builder), expected);
	builder = builder_for("show-args", _i);
	pal_builder_arg0(builder, "");
	pal_builder_env_clear(builder);
	pal_builder_cwd(builder, "/");
	ck_assert_str_eq(output_of(builder), "cwd /\narg \n");
}
END_TEST

/* S15 */
START_TEST(the_builder_keeps_copies)
{
	char name[64] = "K", value[64] = "value", arg[64] = "arg", cwd[64] = "/", path[4096];
	struct pal_builder *builder;

	snprintf(path, sizeof path, "%s", support_helper("show-args"));
	builder = program(path, _i);
	pal_builder_env_clear(builder);
	pal_builder_env(builder, name, value);
	pal_builder_arg0(builder, arg);
	pal_builder_arg(builder, arg);
	pal_builder_cwd(builder, cwd);
	memset(name, 'x', 5);
	memset(value, 'x', 5);
	memset(arg, 'x', 5);
	memset(cwd, 'x', 5);
	memset(path, 'x', 5);
	ck_assert_str_eq(output_of(builder), "cwd /\narg arg\narg arg\nenv K=value\n");
}
END_TEST

START_TEST(the_environment_is_the_parent_s_at_spawn_with_changes)
{
	struct pal_builder *builder = builder_for("show-args", _i);
	const char *text;

	pal_builder_env(builder, "PAL_SET", "1");
	pal_builder_env_remove(builder, "PAL_REMOVED");
	ck_assert_int_eq(setenv("PAL_LATER", "2", 1), 0);
	ck_assert_int_eq(setenv("PAL_REMOVED", "3", 1), 0);
	text = output_of(builder);
	ck_assert_ptr_nonnull(strstr(text, "env PAL_SET=1\n"));
	ck_assert_ptr_nonnull(strstr(text, "env PAL_LATER=2\n"));
	ck_assert_ptr_null(strstr(text, "PAL_REMOVED"));
	unsetenv("PAL_LATER");
	unsetenv("PAL_REMOVED");
}
END_TEST

/* S38 */
START_TEST(too_much_is_E2BIG)
{
	struct pal_builder *builder = builder_for("show-args", _i);
	size_t size = 256 * 1024;
	char *big = malloc(size);

	memset(big, 'x', size - 1);
	big[size - 1] = 0;
	pal_builder_arg(builder, big);
	ck_assert_spawn_fails(builder, -E2BIG, PAL_STAGE_EXEC, 0);
	big[100 * 1024] = 0;
	builder = builder_for("show-args", _i);
	for (int i = 0; i < 100; i++)
		pal_builder_arg(builder, big);
	free(big);
	ck_assert_spawn_fails(builder, -E2BIG, PAL_STAGE_EXEC, 0);
}
END_TEST

/* ---- folder and limits ---- */

/* S42 */
START_TEST(a_relative_program_is_in_the_child_s_folder)
{
	struct pal_builder *builder = program("./hit", _i);

	pal_builder_cwd(builder, "bin");
	ck_assert_str_eq(output_of(builder), "hit ./hit\n");
	builder = program("./hit", _i);
	pal_builder_cwd(builder, "missing");
	ck_assert_spawn_fails(builder, -ENOENT, PAL_STAGE_CHDIR, 0);
	builder = program("./hit", _i);
	pal_builder_cwd(builder, "plain");
	ck_assert_spawn_fails(builder, -ENOTDIR, PAL_STAGE_CHDIR, 0);
}
END_TEST

/* S83 */
START_TEST(limits_are_set_after_descriptors_have_moved)
{
	struct pal_builder *builder = program("/bin/sh", _i);
	int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);

	pal_builder_args(builder, (const char *const[]){"-c",
					  "ulimit -n; ulimit -c; test -e /proc/self/fd/50", NULL});
	pal_builder_dup_fd(builder, fd, 50);
	pal_builder_rlimit(builder, RLIMIT_NOFILE, 11, 12);
	pal_builder_rlimit(builder, RLIMIT_CORE, 0, 0);
	ck_assert_str_eq(output_of(builder), "11\n0\n");
	close(fd);
	builder = program("/bin/sh", _i);
	pal_builder_rlimit(builder, RLIMIT_CPU, 2, 1);
	ck_assert_spawn_fails(builder, -EINVAL, PAL_STAGE_RLIMIT, RLIMIT_CPU);
}
END_TEST

static Suite *make_suite(void)
{
	Suite *suite = suite_create("pal/exec");
	TCase *files = support_tcase(suite, "files");
	TCase *passed = support_tcase(suite, "passed");

	tcase_add_checked_fixture(files, make_folder, remove_folder);
	tcase_add_loop_test(files, files_that_are_no_programs, 0, MODES);
	tcase_add_loop_test(files, a_socket_is_EACCES, 0, MODES);
	tcase_add_loop_test(files, a_program_that_is_open_for_writing_is_ETXTBSY, 0, MODES);
	tcase_add_loop_test(files, a_text_without_interpreter_is_never_handed_to_a_shell, 0, MODES);
	tcase_add_loop_test(files, interpreters_that_are_missing_or_nested_too_deeply, 0, MODES);
	tcase_add_loop_test(files, the_text_of_an_error_names_the_program, 0, MODES);
	tcase_add_loop_test(files, the_search_goes_on_past_what_cannot_be_executed, 0, MODES);
	tcase_add_loop_test(files, EACCES_is_told_only_if_nothing_was_found, 0, MODES);
	tcase_add_loop_test(files, the_current_folder_is_never_searched, 0, MODES);
	tcase_add_loop_test(files, the_parent_s_PATH_is_searched_not_the_child_s, 0, MODES);
	tcase_add_loop_test(files, a_relative_program_is_in_the_child_s_folder, 0, MODES);
	tcase_add_loop_test(passed, arguments_arrive_as_they_are, 0, MODES);
	tcase_add_loop_test(passed, argv0_is_the_program_and_may_be_empty, 0, MODES);
	tcase_add_loop_test(passed, the_builder_keeps_copies, 0, MODES);
	tcase_add_loop_test(
		passed, the_environment_is_the_parent_s_at_spawn_with_changes, 0, MODES);
	tcase_add_loop_test(passed, too_much_is_E2BIG, 0, MODES);
	tcase_add_loop_test(passed, limits_are_set_after_descriptors_have_moved, 0, MODES);
	return suite;
}
SUPPORT_MAIN(make_suite)
