/* SPDX-License-Identifier: MIT */
#include <pal/landlock.h>

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/un.h>
#include <unistd.h>

#include <pal/util-priv.h>

#include "sandboxed.h"

/* Rulesets that handle just what a test is about. */

/* ---- each right by itself ---- */

/* Attempts start in a folder with these, made afresh for each of them: 0 or the errno. */
static void make_things(const char *folder)
{
	char path[128];
	const char *const folders[] = {"folder", "other", "empty"};

	for (size_t i = 0; i < PAL_ARRAY_LENGTH(folders); i++) {
		snprintf(path, sizeof path, "%s/%s", folder, folders[i]);
		ck_assert_int_eq(mkdir(path, 0777), 0);
		ck_assert_int_eq(chmod(path, 0777), 0);
	}
	snprintf(path, sizeof path, "%s/folder/file", folder);
	close(open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0666));
	ck_assert_int_eq(chmod(path, 0666), 0);
}

static int try_write(void)
{
	return opened(open("folder/file", O_WRONLY | O_CLOEXEC));
}

static int try_read(void)
{
	return opened(open("folder/file", O_RDONLY | O_CLOEXEC));
}

static int try_list(void)
{
	return opened(open("folder", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
}

static int try_rmdir(void)
{
	return result_of(rmdir("empty"));
}

static int try_unlink(void)
{
	return result_of(unlink("folder/file"));
}

static int try_char(void)
{
	return result_of(mknod("node", S_IFCHR | 0600, makedev(1, 3)));
}

static int try_block(void)
{
	return result_of(mknod("node", S_IFBLK | 0600, makedev(7, 0)));
}

static int try_mkdir(void)
{
	return result_of(mkdir("new", 0700));
}

static int try_create(void)
{
	return opened(open("new", O_RDONLY | O_CREAT | O_CLOEXEC, 0600));
}

static int try_bind(void)
{
	PAL_CLEANUP_CLOSE int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct sockaddr_un address = {.sun_family = AF_UNIX, .sun_path = "socket"};

	return result_of(bind(fd, (struct sockaddr *)&address, sizeof address));
}

static int try_fifo(void)
{
	return result_of(mkfifo("fifo", 0600));
}

static int try_symlink(void)
{
	return result_of(symlink("folder", "link"));
}

static int try_rename(void) /* EXDEV: S101 */
{
	return result_of(rename("folder/file", "other/file"));
}

static int try_truncate(void)
{
	return result_of(truncate("folder/file", 0));
}

static int try_ioctl(void)
{
	PAL_CLEANUP_CLOSE int fd = open("/dev/ptmx", O_RDWR | O_NOCTTY | O_CLOEXEC);
	int number;

	return fd < 0 ? ENOENT : result_of(ioctl(fd, TIOCGPTN, &number));
}

static int try_execute(void)
{
	char *const args[] = {(char[]){"true"}, NULL};

	execv("/bin/true", args);
	return errno;
}

static const struct right {
	const char *name;
	unsigned right;
	int (*attempt)(void);
	int denied;
	bool roots; /* only root may do it at all */
} rights[] = {
	{"execute", PAL_LANDLOCK_EXECUTE, try_execute, EACCES, false},
	{"write file", PAL_LANDLOCK_WRITE_FILE, try_write, EACCES, false},
	{"read file", PAL_LANDLOCK_READ_FILE, try_read, EACCES, false},
	{"read dir", PAL_LANDLOCK_READ_DIR, try_list, EACCES, false},
	{"remove dir", PAL_LANDLOCK_REMOVE_DIR, try_rmdir, EACCES, false},
	{"remove file", PAL_LANDLOCK_REMOVE_FILE, try_unlink, EACCES, false},
	{"make char", PAL_LANDLOCK_MAKE_CHAR, try_char, EACCES, true},
	{"make dir", PAL_LANDLOCK_MAKE_DIR, try_mkdir, EACCES, false},
	{"make reg", PAL_LANDLOCK_MAKE_REG, try_create, EACCES, false},
	{"make sock", PAL_LANDLOCK_MAKE_SOCK, try_bind, EACCES, false},
	{"make fifo", PAL_LANDLOCK_MAKE_FIFO, try_fifo, EACCES, false},
	{"make block", PAL_LANDLOCK_MAKE_BLOCK, try_block, EACCES, true},
	{"make sym", PAL_LANDLOCK_MAKE_SYM, try_symlink, EACCES, false},
	{"refer", PAL_LANDLOCK_REFER, try_rename, EXDEV, false},
	{"truncate", PAL_LANDLOCK_TRUNCATE, try_truncate, EACCES, false},
	{"ioctl of a device", PAL_LANDLOCK_IOCTL_DEV, try_ioctl, EACCES, false},
};
#define RIGHTS ((int)PAL_ARRAY_LENGTH(rights))

static int attempt_right(void *arg)
{
	return ((const struct right *)arg)->attempt();
}

/* In a folder that is made for it. */
static int outcome_in(struct pal_builder *builder, const struct right *right)
{
	char folder[64];
	int result;

	make_folder(folder);
	make_things(folder);
	pal_builder_cwd(builder, folder);
	result = outcome(builder, attempt_right, (void *)right);
	remove_folder(folder);
	return result;
}

START_TEST(a_right_is_denied_if_handled_and_given_by_a_rule) /* S104 */
{
	const struct right *right = &rights[_i % RIGHTS];
	struct pal_builder *plain, *denied, *allowed;
	struct pal_error error = {0};
	struct pal_landlock *ruleset;

	needs_landlock();
	become(right->roots ? USER_ROOT : _i / RIGHTS);
	plain = pal_builder_new(NULL);
	denied = builder_in_domain(ruleset_handling(right->right, 0, 0));
	ruleset = ruleset_handling(right->right, 0, 0);
	ck_assert_ok(pal_landlock_allow_path(ruleset, "/", right->right, &error), &error);
	allowed = builder_in_domain(ruleset);
	ck_assert_msg(outcome_in(plain, right) == 0, "%s without Landlock", right->name);
	ck_assert_msg(outcome_in(denied, right) == right->denied, "%s is not denied", right->name);
	ck_assert_msg(outcome_in(allowed, right) == 0, "%s is not allowed", right->name);
	pal_builder_free(plain);
	pal_builder_free(denied);
	pal_builder_free(allowed);
}
END_TEST

START_TEST(what_is_not_handled_is_free)
{
	struct pal_builder *builder;

	needs_landlock();
	become(_i);
	builder = builder_in_domain(ruleset_handling(PAL_LANDLOCK_MAKE_DIR, 0, 0));
	for (int i = 0; i < RIGHTS; i++) {
		int expected = rights[i].right == PAL_LANDLOCK_MAKE_DIR ? EACCES : 0;

		if (rights[i].right == PAL_LANDLOCK_REFER) /* which no domain gives by itself */
			expected = EXDEV;
		if (!rights[i].roots)
			ck_assert_msg(
				outcome_in(builder, &rights[i]) == expected, "%s", rights[i].name);
	}
	pal_builder_free(builder);
}
END_TEST

/* ---- descriptors as places ---- */

START_TEST(a_rule_may_be_about_an_open_folder)
{
	PAL_CLEANUP_CLOSE int fd = open("/etc", O_PATH | O_CLOEXEC);
	struct pal_error error = {0};
	struct pal_landlock *ruleset;
	struct pal_builder *builder;

	needs_landlock();
	become(_i);
	ruleset = ruleset_handling(PAL_LANDLOCK_READ, 0, 0);
	ck_assert_ok(pal_landlock_allow_fd(ruleset, fd, PAL_LANDLOCK_READ, &error), &error);
	builder = builder_in_domain(ruleset);
	ck_assert_int_eq(outcome(builder, attempt_read, (char[]){"/etc/passwd"}), 0);
	ck_assert_int_eq(outcome(builder, attempt_read, (char[]){"/usr"}), EACCES);
	pal_builder_free(builder);
}
END_TEST

START_TEST(rules_that_cannot_be_are_refused)
{
	PAL_CLEANUP_CLOSE int file = open("/etc/passwd", O_RDONLY | O_CLOEXEC);
	struct pal_error error = {0};
	struct pal_landlock *ruleset;

	needs_landlock();
	ruleset = ruleset_handling(PAL_LANDLOCK_ALL_FILE_RIGHTS, 0, 0);
	ck_assert_int_eq(pal_landlock_allow_fd(ruleset, -1, PAL_LANDLOCK_READ, &error), -EBADF);
	ck_assert_int_eq(error.stage, PAL_STAGE_LANDLOCK);
	ck_assert_int_eq(
		pal_landlock_allow_fd(ruleset, file, PAL_LANDLOCK_MAKE_DIR, &error), -ENOTDIR);
	ck_assert_int_eq(
		pal_landlock_allow_path(ruleset, "/etc/passwd", PAL_LANDLOCK_READ_DIR, &error),
		-ENOTDIR);
	ck_assert_ok(pal_landlock_allow_fd(ruleset, file, PAL_LANDLOCK_READ, &error), &error);
	ck_assert_int_eq(pal_landlock_allow_fd(ruleset, file, 0, &error), -EINVAL);
	ck_assert_int_eq(pal_landlock_allow_fd(ruleset, file, 1u << 24, &error), -EINVAL);
	ck_assert_int_eq(pal_landlock_allow_fd(ruleset, file, 1u << 8, &error), -EINVAL);
	ck_assert_int_eq(pal_landlock_allow_fd(NULL, file, PAL_LANDLOCK_READ, &error), -EINVAL);
	pal_landlock_free(ruleset);
}
END_TEST

START_TEST(rulesets_that_cannot_be_are_refused)
{
	static const struct {
		uint64_t files, ports, scopes;
		unsigned flags;
	} bad[] = {
		{0, 0, 0, 0},
		{UINT64_C(1) << 40, 0, 0, 0},
		{1u << 8, 0, 0, 0},
		{0, 4, 0, 0},
		{0, 0, 4, 0},
		{PAL_LANDLOCK_READ, 0, 0, 16},
	};
	struct pal_landlock *ruleset = NULL;
	struct pal_error error = {0};

	for (size_t i = 0; i < PAL_ARRAY_LENGTH(bad); i++) {
		ck_assert_int_eq(
			pal_landlock_new_handling(bad[i].files, bad[i].ports, bad[i].scopes,
				bad[i].flags | PAL_LANDLOCK_BEST_EFFORT, &ruleset, &error),
			-EINVAL);
		ck_assert_int_eq(error.stage, PAL_STAGE_ARGUMENT);
	}
	ck_assert_int_eq(
		pal_landlock_new_handling(PAL_LANDLOCK_READ, 0, 0, 0, NULL, &error), -EINVAL);
	ck_assert_ptr_null(ruleset);
	ck_assert(!pal_landlock_missing(NULL, NULL));
}
END_TEST

static Suite *make_suite(void)
{
	Suite *suite = suite_create("pal/landlock-rights");
	TCase *files = support_tcase(suite, "files");

	tcase_add_loop_test(
		files, a_right_is_denied_if_handled_and_given_by_a_rule, 0, RIGHTS * USERS);
	tcase_add_loop_test(files, what_is_not_handled_is_free, 0, USERS);
	tcase_add_loop_test(files, a_rule_may_be_about_an_open_folder, 0, USERS);
	tcase_add_test(files, rules_that_cannot_be_are_refused);
	tcase_add_test(files, rulesets_that_cannot_be_are_refused);
	return suite;
}
SUPPORT_MAIN(make_suite)
