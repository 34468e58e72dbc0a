/* SPDX-License-Identifier: MIT */
#include <pal/builder.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <pal/process.h>

#include "spawn-support.h"
#include "support.h"

/* Where programs are looked for if it is not the default (test-exec.c), and environments that are passed as they are. */

static char folder[] = "/tmp/procmesh-search-XXXXXX";
static int cwd_before;

/* A script "tool" that says which of them it is. */
static void write_tool(const char *name)
{
	char text[64];
	int fd = open(name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0755);

	ck_assert_int_ge(fd, 0);
	snprintf(text, sizeof text, "#!/bin/sh\necho %s as $0\n", name);
	ck_assert_int_eq(write(fd, text, strlen(text)), (ssize_t)strlen(text));
	close(fd);
}

static void make_folder(void)
{
	strcpy(strrchr(folder, '-'), "-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(folder));
	cwd_before = open(".", O_PATH | O_CLOEXEC);
	ck_assert_int_eq(chdir(folder), 0);
	ck_assert_int_eq(mkdir("one", 0755), 0);
	ck_assert_int_eq(mkdir("two", 0755), 0);
	write_tool("here");
	write_tool("one/tool");
	write_tool("two/tool");
}

static void remove_folder(void)
{
	char command[sizeof folder + 16];

	ck_assert_int_eq(setenv("PATH", "/bin:/usr/bin", 1), 0);
	ck_assert_int_eq(fchdir(cwd_before), 0);
	close(cwd_before);
	snprintf(command, sizeof command, "rm -rf %s", folder);
	ck_assert_int_eq(system(command), 0);
}

static struct pal_builder *search(const char *program, unsigned flags, int mode)
{
	struct pal_builder *builder = pal_builder_new(program);

	pal_builder_vfork(builder, mode == MODE_VFORK);
	pal_builder_search(builder, flags);
	return builder;
}

static const char *in_folder(const char *name)
{
	static char path[256];

	snprintf(path, sizeof path, "%s/%s", folder, name);
	return path;
}

/* ---- whose PATH ---- */

/* S30 */
START_TEST(the_child_s_PATH_can_be_searched)
{
	struct pal_builder *builder = search("tool", PAL_SEARCH_CHILD_PATH, _i);

	setenv("PATH", in_folder("one"), 1);
	pal_builder_env(builder, "PATH", in_folder("two"));
	ck_assert_int_eq(strncmp(output_of(builder), "two/tool", 8), 0);
}
END_TEST

START_TEST(the_child_s_PATH_is_the_parent_s_if_nothing_is_set)
{
	setenv("PATH", in_folder("one"), 1);
	ck_assert_int_eq(
		strncmp(output_of(search("tool", PAL_SEARCH_CHILD_PATH, _i)), "one/tool", 8), 0);
}
END_TEST

/* S28 */
START_TEST(a_child_without_PATH_is_searched_for_in_the_system_s_folders)
{
	struct pal_builder *builder = search("tool", PAL_SEARCH_CHILD_PATH, _i);

	setenv("PATH", in_folder("one"), 1);
	pal_builder_env_remove(builder, "PATH");
	ck_assert_spawn_fails(builder, -ENOENT, PAL_STAGE_EXEC, 0);
	builder = search("true", PAL_SEARCH_CHILD_PATH, _i);
	pal_builder_env_clear(builder);
	ck_assert_str_eq(output_of(builder), "");
}
END_TEST

/* ---- relative elements ---- */

/* S28, S29 */
START_TEST(relative_elements_count_only_on_request)
{
	static const struct {
		const char *path, *program, *expected;
	} cases[] = {
		{"one", "tool", "one/tool as one/tool\n"},
		{"/nowhere:two:one", "tool", "two/tool as two/tool\n"},
		{"./one", "tool", "one/tool as ./one/tool\n"},
		{"", "here", "here as here\n"},
		{":/nowhere", "here", "here as here\n"},
		{"/nowhere:", "here", "here as here\n"},
		{"/nowhere::one", "here", "here as here\n"},
		{".", "here", "here as ./here\n"},
	};

	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		struct pal_builder *builder = search(cases[i].program, PAL_SEARCH_RELATIVE, _i);

		/* the tools use shell builtins only */
		setenv("PATH", cases[i].path, 1);
		ck_assert_str_eq(output_of(builder), cases[i].expected);
		ck_assert_spawn_fails(search(cases[i].program, 0, _i), -ENOENT, PAL_STAGE_EXEC, 0);
	}
}
END_TEST

START_TEST(relative_elements_are_in_the_child_s_folder)
{
	struct pal_builder *builder = search("tool", PAL_SEARCH_RELATIVE, _i);

	setenv("PATH", "", 1);
	pal_builder_cwd(builder, in_folder("two"));
	ck_assert_str_eq(output_of(builder), "two/tool as tool\n");
}
END_TEST

START_TEST(unknown_search_flags_are_an_error)
{
	ck_assert_spawn_fails(search("/bin/true", 8, _i), -EINVAL, PAL_STAGE_ARGUMENT, 0);
}
END_TEST

/* ---- environments as they are ---- */

START_TEST(an_environment_can_be_passed_as_it_is)
{
	static const char *const entries[] = {
		"B=1", "no equals sign", "A=2", "B=3", "", "=x", "A=\xff\x80", NULL};
	struct pal_builder *builder = builder_for("show-args", _i);
	const char *text;

	pal_builder_env(builder, "C", "1");
	pal_builder_env_verbatim(builder, entries);
	ck_assert_str_eq(pal_builder_peek_env(builder, "B"), "1");
	ck_assert_ptr_null(pal_builder_peek_env(builder, "C"));
	text = output_of(builder);
	ck_assert_str_eq(strstr(text, "env "), "env B=1\nenv no equals sign\nenv A=2\nenv B=3\n"
					       "env \nenv =x\nenv A=\xff\x80\n");
}
END_TEST

START_TEST(an_environment_that_is_passed_as_it_is_may_be_empty_and_set_again)
{
	static const char *const some[] = {"A=1", NULL}, *const none[] = {NULL};
	struct pal_builder *builder = builder_for("show-args", _i);

	pal_builder_env_verbatim(builder, some);
	pal_builder_env_verbatim(builder, none);
	ck_assert_ptr_null(strstr(output_of(builder), "env "));
	builder = builder_for("show-args", _i);
	pal_builder_env_verbatim(builder, NULL);
	ck_assert_spawn_fails(builder, -EINVAL, PAL_STAGE_ARGUMENT, 0);
}
END_TEST

/* What a profile says about variables counts there, too. */
START_TEST(an_environment_that_is_passed_as_it_is_can_be_changed_afterwards)
{
	static const char *const entries[] = {
		"B=1", "A", "A=1", "AB=1", "A=2", "=x", "C=3", "A=4", "C=5", NULL};
	struct pal_builder *builder = builder_for("show-args", _i);

	setenv("INHERITED", "1", 1);
	ck_assert(pal_builder_get_env_inherited(builder));
	pal_builder_env_verbatim(builder, entries);
	ck_assert(!pal_builder_get_env_inherited(builder));
	pal_builder_env(builder, "A", "new");
	pal_builder_env(builder, "D", "last");
	pal_builder_env_remove(builder, "C");
	pal_builder_env_remove(builder, "INHERITED");
	ck_assert_str_eq(pal_builder_peek_env(builder, "A"), "new");
	ck_assert_ptr_null(pal_builder_peek_env(builder, "C"));
	ck_assert_str_eq(strstr(output_of(builder), "env "),
		"env B=1\nenv A\nenv A=new\nenv AB=1\nenv =x\nenv D=last\n");
}
END_TEST

START_TEST(an_environment_that_is_passed_as_it_is_can_be_cleared)
{
	static const char *const entries[] = {"B=1", "A=1", NULL};
	struct pal_builder *builder = builder_for("show-args", _i);

	pal_builder_env_verbatim(builder, entries);
	pal_builder_env_clear(builder);
	ck_assert(!pal_builder_get_env_inherited(builder));
	pal_builder_env(builder, "C", "1");
	ck_assert_str_eq(strstr(output_of(builder), "env "), "env C=1\n");
}
END_TEST

START_TEST(a_wrong_change_to_an_environment_that_is_passed_as_it_is_is_an_error)
{
	static const char *const some[] = {"A=1", NULL};

	for (int i = 0; i < 3; i++) {
		struct pal_builder *builder = builder_for("show-args", _i);

		pal_builder_env_verbatim(builder, some);
		if (i == 0)
			pal_builder_env(builder, "B=C", "1");
		else if (i == 1)
			pal_builder_env(builder, "B", NULL);
		else
			pal_builder_env_remove(builder, "");
		ck_assert_spawn_fails(builder, -EINVAL, PAL_STAGE_ARGUMENT, 0);
	}
}
END_TEST

/* As getenv(3) in the child will have it. */
START_TEST(of_several_PATHs_in_such_an_environment_the_first_is_searched)
{
	char first[256], second[256];
	const char *entries[] = {"NOPATH=x", first, second, NULL};
	struct pal_builder *builder = search("tool", PAL_SEARCH_CHILD_PATH, _i);

	snprintf(first, sizeof first, "PATH=%s/one", folder);
	snprintf(second, sizeof second, "PATH=%s/two", folder);
	pal_builder_env_verbatim(builder, entries);
	memset(first, 'x', 4); /* it is a copy */
	ck_assert_int_eq(strncmp(output_of(builder), "one/tool", 8), 0);
}
END_TEST

static Suite *make_suite(void)
{
	Suite *suite = suite_create("pal/search");
	TCase *path = support_tcase(suite, "PATH"), *environ_ = support_tcase(suite, "environment");

	tcase_add_checked_fixture(path, make_folder, remove_folder);
	tcase_add_checked_fixture(environ_, make_folder, remove_folder);
	tcase_add_loop_test(path, the_child_s_PATH_can_be_searched, 0, MODES);
	tcase_add_loop_test(path, the_child_s_PATH_is_the_parent_s_if_nothing_is_set, 0, MODES);
	tcase_add_loop_test(
		path, a_child_without_PATH_is_searched_for_in_the_system_s_folders, 0, MODES);
	tcase_add_loop_test(path, relative_elements_count_only_on_request, 0, MODES);
	tcase_add_loop_test(path, relative_elements_are_in_the_child_s_folder, 0, MODES);
	tcase_add_loop_test(path, unknown_search_flags_are_an_error, 0, MODES);
	tcase_add_loop_test(environ_, an_environment_can_be_passed_as_it_is, 0, MODES);
	tcase_add_loop_test(environ_,
		an_environment_that_is_passed_as_it_is_may_be_empty_and_set_again, 0, MODES);
	tcase_add_loop_test(environ_,
		an_environment_that_is_passed_as_it_is_can_be_changed_afterwards, 0, MODES);
	tcase_add_loop_test(
		environ_, an_environment_that_is_passed_as_it_is_can_be_cleared, 0, MODES);
	tcase_add_loop_test(environ_,
		a_wrong_change_to_an_environment_that_is_passed_as_it_is_is_an_error, 0, MODES);
	tcase_add_loop_test(
		environ_, of_several_PATHs_in_such_an_environment_the_first_is_searched, 0, MODES);
	return suite;
}
SUPPORT_MAIN(make_suite)
