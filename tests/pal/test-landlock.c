/* SPDX-License-Identifier: MIT */
#include <pal/sandbox.h>

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <pal/util-priv.h>

#include "sandboxed.h"

static char folder[64], inside[80], outside[80];

/* A folder with two folders in it, each with a file. */
static void make_tree(void)
{
	char path[100];

	make_folder(folder);
	snprintf(inside, sizeof inside, "%s/inside", folder);
	snprintf(outside, sizeof outside, "%s/outside", folder);
	for (int i = 0; i < 2; i++) {
		const char *name = i ? inside : outside;
		int fd;

		ck_assert_int_eq(mkdir(name, 0777), 0);
		ck_assert_int_eq(chmod(name, 0777), 0);
		snprintf(path, sizeof path, "%s/file", name);
		fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0666);
		ck_assert_int_eq(write(fd, "text", 4), 4);
		ck_assert_int_eq(fchmod(fd, 0666), 0);
		close(fd);
	}
}

static void remove_tree(void)
{
	remove_folder(folder);
}

static void allow(struct pal_landlock *ruleset, const char *path, unsigned access)
{
	struct pal_error error = {0};

	ck_assert_ok(pal_landlock_allow_path(ruleset, path, access, &error), &error);
}

static int attempt_in(
	struct pal_builder *builder, int (*attempt)(void *), const char *where, const char *name)
{
	char path[100];

	snprintf(path, sizeof path, "%s/%s", where, name);
	return outcome(builder, attempt, path);
}

/* ---- files ---- */

START_TEST(without_a_rule_nothing_can_be_opened_or_run)
{
	struct pal_builder *builder;

	needs_landlock();
	become(_i);
	make_tree();
	builder = builder_in_domain(new_ruleset());
	ck_assert_int_eq(attempt_in(NULL, attempt_read, inside, "file"), 0);
	ck_assert_int_eq(attempt_in(builder, attempt_read, inside, "file"), EACCES);
	ck_assert_int_eq(attempt_in(NULL, attempt_create, inside, "new"), 0);
	ck_assert_int_eq(attempt_in(builder, attempt_create, inside, "newer"), EACCES);
	ck_assert_int_eq(outcome(NULL, attempt_run_true, NULL), 0);
	ck_assert_int_eq(outcome(builder, attempt_run_true, NULL), EACCES);
	ck_assert_int_eq(refusal(builder, PAL_STAGE_EXEC), -EACCES);
	pal_builder_free(builder);
	remove_tree();
}
END_TEST

START_TEST(reading_is_allowed_where_a_rule_says_so)
{
	struct pal_landlock *ruleset = NULL;
	struct pal_builder *builder;

	needs_landlock();
	become(_i);
	make_tree();
	ruleset = new_ruleset();
	allow(ruleset, inside, PAL_LANDLOCK_READ);
	builder = builder_in_domain(ruleset);
	ck_assert_int_eq(attempt_in(builder, attempt_read, inside, "file"), 0);
	ck_assert_int_eq(attempt_in(builder, attempt_read, inside, "."), 0);
	ck_assert_int_eq(attempt_in(builder, attempt_create, inside, "file"), EACCES);
	ck_assert_int_eq(attempt_in(builder, attempt_read, outside, "file"), EACCES);
	ck_assert_int_eq(attempt_in(builder, attempt_read, inside, "../outside/file"), EACCES);
	pal_builder_free(builder);
	remove_tree();
}
END_TEST

static int change_everything(void *unused)
{
	char from[100], to[100];

	(void)unused;
	snprintf(from, sizeof from, "%s/made", inside);
	need(mkdir(from, 0700) == 0);
	snprintf(to, sizeof to, "%s/made/file", inside);
	snprintf(from, sizeof from, "%s/file", inside);
	need(truncate(from, 0) == 0);
	if (pal_landlock_abi() >= 2)
		need(rename(from, to) == 0);
	else
		need(mkfifo(to, 0600) == 0);
	need(unlink(to) == 0);
	need(symlink("x", from) == 0);
	need(unlink(from) == 0);
	snprintf(from, sizeof from, "%s/made", inside);
	need(rmdir(from) == 0);
	snprintf(to, sizeof to, "%s/file", outside);
	need(truncate(to, 0) < 0 && (errno == EACCES || pal_landlock_abi() < 3));
	need(unlink(to) < 0 && errno == EACCES);
	snprintf(to, sizeof to, "%s/device", inside);
	need(mknod(to, S_IFCHR | 0600, 0) < 0 && (errno == EACCES || errno == EPERM));
	return 0;
}

START_TEST(writing_includes_making_moving_and_removing)
{
	struct pal_landlock *ruleset = NULL;
	struct pal_builder *builder;

	needs_landlock();
	become(_i);
	make_tree();
	ruleset = new_ruleset();
	allow(ruleset, inside, PAL_LANDLOCK_WRITE);
	builder = builder_in_domain(ruleset);
	ck_assert_int_eq(outcome(builder, change_everything, NULL), 0);
	pal_builder_free(builder);
	remove_tree();
}
END_TEST

START_TEST(a_program_runs_with_what_it_needs)
{
	struct pal_landlock *ruleset = NULL;
	struct pal_builder *builder;

	needs_landlock();
	become(_i);
	ruleset = new_ruleset();
	allow(ruleset, "/", PAL_LANDLOCK_READ);
	builder = builder_in_domain(ruleset);
	ck_assert_int_eq(refusal(builder, PAL_STAGE_EXEC), -EACCES);
	pal_builder_free(builder);
	ruleset = new_ruleset();
	allow(ruleset, "/", PAL_LANDLOCK_READ | PAL_LANDLOCK_EXECUTE);
	builder = builder_in_domain(ruleset);
	ck_assert_int_eq(outcome_of_program(builder), 0);
	pal_builder_vfork(builder, false);
	ck_assert_int_eq(outcome_of_program(builder), 0);
	pal_builder_free(builder);
}
END_TEST

START_TEST(a_rule_may_be_about_one_file)
{
	struct pal_landlock *ruleset = NULL;
	struct pal_builder *builder;
	char path[100];

	needs_landlock();
	become(_i);
	make_tree();
	ruleset = new_ruleset();
	snprintf(path, sizeof path, "%s/file", inside);
	allow(ruleset, path, PAL_LANDLOCK_READ | PAL_LANDLOCK_WRITE | PAL_LANDLOCK_EXECUTE);
	builder = builder_in_domain(ruleset);
	ck_assert_int_eq(attempt_in(builder, attempt_read, inside, "file"), 0);
	ck_assert_int_eq(attempt_in(builder, attempt_create, inside, "other"), EACCES);
	ck_assert_int_eq(attempt_in(builder, attempt_read, inside, "."), EACCES);
	pal_builder_free(builder);
	remove_tree();
}
END_TEST

static int use_folder(void *fd)
{
	int folder_fd = *(int *)fd;
	char text[5] = "";
	int file = openat(folder_fd, "file", O_RDONLY | O_CLOEXEC);

	need(file < 0 && errno == EACCES);
	need(openat(folder_fd, "../outside/file", O_RDONLY | O_CLOEXEC) < 0 && errno == EACCES);
	need(openat(folder_fd, "../..", O_RDONLY | O_DIRECTORY | O_CLOEXEC) < 0 && errno == EACCES);
	need(read(STDIN_FILENO, text, 4) == 4 &&
		!strcmp(text, "text")); /* open files stay usable */
	return 0;
}

START_TEST(a_folder_opened_before_is_no_way_out) /* S100 */
{
	struct pal_builder *builder;
	char path[100];
	int fd, file;

	needs_landlock();
	become(_i);
	make_tree();
	builder = builder_in_domain(new_ruleset());
	fd = open(inside, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	snprintf(path, sizeof path, "%s/file", inside);
	file = open(path, O_RDONLY | O_CLOEXEC);
	pal_builder_dup_fd(builder, fd, fd);
	pal_builder_stdin(builder, PAL_STDIO_FD(file));
	ck_assert_int_eq(outcome(builder, use_folder, &fd), 0);
	close(fd);
	close(file);
	pal_builder_free(builder);
	remove_tree();
}
END_TEST

START_TEST(a_second_ruleset_replaces_the_first)
{
	struct pal_landlock *ruleset = NULL;
	struct pal_builder *builder;

	needs_landlock();
	become(_i);
	make_tree();
	builder = builder_in_domain(new_ruleset());
	ruleset = new_ruleset();
	allow(ruleset, inside, PAL_LANDLOCK_READ);
	pal_builder_landlock(builder, ruleset);
	pal_landlock_free(ruleset);
	ck_assert_int_eq(attempt_in(builder, attempt_read, inside, "file"), 0);
	pal_builder_free(builder);
	remove_tree();
}
END_TEST

/* ---- failures ---- */

static int attempt_look_at(void *fd)
{
	return fcntl(*(int *)fd, F_GETFD) < 0 ? errno : 0;
}

/* Else the child would inherit the ruleset as its stream. */
START_TEST(a_ruleset_is_never_a_standard_stream)
{
	for (int fd = 0; fd < 3; fd++) {
		struct pal_landlock *ruleset;
		struct pal_builder *builder;
		struct pal_error error = {0};
		int kept = dup(fd);

		needs_landlock();
		close(fd);
		ruleset = new_ruleset();
		ck_assert_int_eq(fcntl(fd, F_GETFD), -1);
		allow(ruleset, "/", PAL_LANDLOCK_READ | PAL_LANDLOCK_EXECUTE);
		builder = builder_in_domain(ruleset);
		ck_assert_int_eq(fcntl(fd, F_GETFD), -1);
		ck_assert_int_eq(outcome(builder, attempt_look_at, &fd), EBADF);
		pal_builder_free(builder);

		builder = pal_builder_new(NULL);
		ck_assert_ok(pal_profile_pure_compute()->apply(NULL, builder, &error), &error);
		ck_assert_int_eq(fcntl(fd, F_GETFD), -1);
		pal_builder_free(builder);
		ck_assert_int_eq(dup2(kept, fd), fd);
		close(kept);
	}
}
END_TEST

START_TEST(it_needs_no_new_privs_or_a_privilege)
{
	struct pal_landlock *ruleset = NULL;
	struct pal_builder *builder = pal_builder_new("/bin/true");

	needs_landlock();
	become(_i);
	ruleset = new_ruleset();
	allow(ruleset, "/", PAL_LANDLOCK_READ | PAL_LANDLOCK_EXECUTE);
	pal_builder_landlock(builder, ruleset);
	pal_landlock_free(ruleset);
	if (_i == USER_ROOT)
		ck_assert_int_eq(outcome_of_program(builder), 0);
	else
		ck_assert_int_eq(refusal(builder, PAL_STAGE_LANDLOCK), -EPERM);
	pal_builder_free(builder);
}
END_TEST

START_TEST(bad_rules_are_refused)
{
	struct pal_landlock *ruleset = NULL;
	struct pal_error error = {0};

	needs_landlock();
	ruleset = new_ruleset();
	ck_assert_int_eq(
		pal_landlock_allow_path(ruleset, "/nowhere/at/all", PAL_LANDLOCK_READ, &error),
		-ENOENT);
	ck_assert_int_eq(error.stage, PAL_STAGE_LANDLOCK);
	ck_assert_ptr_nonnull(strstr(error.text, "/nowhere/at/all"));
	ck_assert_int_eq(pal_landlock_allow_path(ruleset, "/", 0, &error), -EINVAL);
	ck_assert_int_eq(pal_landlock_allow_path(ruleset, "/", 8, &error), -EINVAL);
	ck_assert_int_eq(
		pal_landlock_allow_path(ruleset, NULL, PAL_LANDLOCK_READ, &error), -EINVAL);
	ck_assert_int_eq(pal_landlock_allow_path(NULL, "/", PAL_LANDLOCK_READ, &error), -EINVAL);
	ck_assert_int_eq(pal_landlock_allow_port(ruleset, 80, 0, &error), -EINVAL);
	ck_assert_int_eq(pal_landlock_allow_port(ruleset, 80, 4, &error), -EINVAL);
	ck_assert_int_eq(pal_landlock_new(NULL, &error), -EINVAL);
	pal_landlock_free(ruleset);
}
END_TEST

/* What an old kernel, or one started without Landlock, says. */
static const int absences[] = {ENOSYS, EOPNOTSUPP};

static int use_absent_landlock(void *expected)
{
	struct pal_landlock *ruleset = NULL;
	struct pal_error error = {0};

	need(pal_landlock_abi() == -*(const int *)expected);
	need(pal_landlock_new(&ruleset, &error) == -*(const int *)expected);
	need(error.stage == PAL_STAGE_LANDLOCK && !ruleset);
	/* a profile that wants it does not go on without it */
	need(pal_profile_finalize(pal_profile_pure_compute(), &error) == -*(const int *)expected);
	need(error.stage == PAL_STAGE_LANDLOCK);
	return 0;
}

START_TEST(a_kernel_without_landlock_is_an_error) /* S99 */
{
	struct pal_builder *builder = pal_builder_new(NULL);
	struct pal_error error = {0};
	struct pal_seccomp *filter;
	int number = absences[_i];

	ck_assert_ok(pal_seccomp_new(PAL_SECCOMP_ALLOW, &filter, &error), &error);
	ck_assert_ok(pal_seccomp_rule(filter, number, "landlock_create_ruleset", &error), &error);
	pal_builder_no_new_privs(builder, true);
	pal_builder_seccomp(builder, filter);
	pal_seccomp_free(filter);
	ck_assert_int_eq(outcome(builder, use_absent_landlock, &number), 0);
	pal_builder_free(builder);
}
END_TEST

static int nest_too_deep(void *unused)
{
	struct pal_self_restrictions restrictions = {
		.size = sizeof restrictions, .no_new_privs = true};
	struct pal_landlock *ruleset;
	struct pal_error error = {0};
	int depth = 0;

	(void)unused;
	need(pal_landlock_new(&ruleset, &error) == 0);
	need(pal_landlock_allow_path(ruleset, "/proc", PAL_LANDLOCK_READ, &error) == 0);
	restrictions.landlock = ruleset;
	while (depth < 100 && pal_self_restrict(&restrictions, &error) == 0)
		depth++;
	need(depth >= 16 && depth < 100);
	need(error.code == -E2BIG && error.stage == PAL_STAGE_LANDLOCK);
	pal_landlock_free(ruleset);
	return 0;
}

START_TEST(one_layer_too_many_is_reported) /* S103 */
{
	needs_self_restrict();
	ck_assert_int_eq(outcome(NULL, nest_too_deep, NULL), 0);
}
END_TEST

static Suite *make_suite(void)
{
	Suite *suite = suite_create("pal/landlock");
	TCase *files = support_tcase(suite, "files");
	TCase *failures = support_tcase(suite, "failures");

	tcase_add_loop_test(files, without_a_rule_nothing_can_be_opened_or_run, 0, USERS);
	tcase_add_loop_test(files, reading_is_allowed_where_a_rule_says_so, 0, USERS);
	tcase_add_loop_test(files, writing_includes_making_moving_and_removing, 0, USERS);
	tcase_add_loop_test(files, a_program_runs_with_what_it_needs, 0, USERS);
	tcase_add_loop_test(files, a_rule_may_be_about_one_file, 0, USERS);
	tcase_add_loop_test(files, a_folder_opened_before_is_no_way_out, 0, USERS);
	tcase_add_loop_test(files, a_second_ruleset_replaces_the_first, 0, USERS);
	tcase_add_test(failures, a_ruleset_is_never_a_standard_stream);
	tcase_add_loop_test(failures, it_needs_no_new_privs_or_a_privilege, 0, USERS);
	tcase_add_test(failures, bad_rules_are_refused);
	tcase_add_loop_test(failures, a_kernel_without_landlock_is_an_error, 0,
		(int)PAL_ARRAY_LENGTH(absences));
	tcase_add_test(failures, one_layer_too_many_is_reported);
	return suite;
}
SUPPORT_MAIN(make_suite)
