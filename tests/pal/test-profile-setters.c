/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <pal/util-priv.h>

#include "sandboxed.h"

/* What is set on a builder after a profile comes on top of it, and takes nothing of it back. */

static void deny(struct pal_builder *builder, const char *name, int code)
{
	struct pal_error error = {0};
	struct pal_seccomp *filter;

	ck_assert_ok(pal_seccomp_new(PAL_SECCOMP_ALLOW, &filter, &error), &error);
	ck_assert_ok(pal_seccomp_rule(filter, PAL_SECCOMP_ERRNO(code), name, &error), &error);
	pal_builder_seccomp(builder, filter);
	pal_seccomp_free(filter);
}

static void allow_only(struct pal_builder *builder, const char *path)
{
	struct pal_error error = {0};
	struct pal_landlock *files;

	ck_assert_ok(pal_landlock_new(&files, &error), &error);
	ck_assert_ok(pal_landlock_allow_path(files, path, PAL_LANDLOCK_READ, &error), &error);
	pal_builder_landlock(builder, files);
	pal_landlock_free(files);
}

static void set_bounding(struct pal_builder *builder, uint64_t mask)
{
	struct pal_capabilities sets = PAL_CAPABILITIES_NONE;

	sets.bounding = mask;
	pal_builder_capabilities(builder, &sets);
}

static int apply(
	const struct pal_profile *profile, struct pal_builder *builder, struct pal_error *error)
{
	(void)profile;
	(void)error;
	pal_builder_no_new_privs(builder, true);
	pal_builder_forbid_user_namespaces(builder, false);
	pal_builder_rlimit(builder, RLIMIT_NOFILE, 50, 60);
	deny(builder, "sysinfo", ELOOP); /* within a hook the later one counts, as ever */
	deny(builder, "uname", EXFULL);
	if (pal_landlock_abi() > 0)
		allow_only(builder, "/etc");
	if (geteuid() == 0)
		set_bounding(builder, 3);
	return 0;
}

static const struct pal_profile profile = {.size = sizeof profile, .name = "first", .apply = apply};

static int call_uname(void)
{
	struct utsname name;

	return uname(&name) < 0 ? errno : 0;
}

static int is_confined(void *unused)
{
	struct rlimit limit;

	(void)unused;
	need(call_uname() == EXFULL);
	need(prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1);
	need(getrlimit(RLIMIT_NOFILE, &limit) == 0);
	need(limit.rlim_cur <= 50 && limit.rlim_max <= 60);
	need(pal_landlock_abi() < 0 || attempt_read((void *)"/usr") == EACCES);
	if (geteuid() == 0)
		for (unsigned long number = 2; number < 8; number++)
			need(prctl(PR_CAPBSET_READ, number, 0, 0, 0) == 0);
	return 0;
}

static int has_more(void *unused)
{
	struct rlimit limit;

	need(syscall(SYS_getppid) < 0 && errno == ENOSTR);
	need(getsid(0) < 0 && errno == ENOMSG);
	need(getrlimit(RLIMIT_NOFILE, &limit) == 0);
	need(limit.rlim_cur == 40 && limit.rlim_max == 60);
	if (geteuid() == 0)
		need(prctl(PR_CAPBSET_READ, 1, 0, 0, 0) == 1 &&
			prctl(PR_CAPBSET_READ, 0, 0, 0, 0) == 0);
	return is_confined(unused);
}

static void set_after(struct pal_builder *builder)
{
	pal_builder_no_new_privs(builder, false);
	pal_builder_rlimit(builder, RLIMIT_NOFILE, 40, 400);
	deny(builder, "getppid", ENOSTR);
	deny(builder, "getsid", ENOMSG);
	if (pal_landlock_abi() > 0)
		allow_only(builder, "/");
	if (geteuid() == 0)
		set_bounding(builder, 6);
}

START_TEST(what_is_set_after_a_profile_adds_to_it)
{
	struct pal_builder *builder = pal_builder_new(NULL);

	become(_i);
	pal_builder_sandbox(builder, &profile);
	ck_assert_int_eq(outcome(builder, is_confined, NULL), 0);
	ck_assert_int_eq(outcome(builder, has_more, NULL), 255);
	set_after(builder);
	ck_assert_int_eq(outcome(builder, has_more, NULL), 0);
	ck_assert_int_eq(outcome(builder, has_more, NULL), 0);
	pal_builder_free(builder);
}
END_TEST

START_TEST(raw_filters_after_a_profile_add_to_it)
{
	struct sock_filter allow[] = {BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)};
	struct pal_builder *builder = pal_builder_new(NULL);

	become(_i);
	pal_builder_sandbox(builder, &profile);
	pal_builder_seccomp_bpf(builder, allow, 1);
	ck_assert_int_eq(outcome(builder, is_confined, NULL), 0);
	pal_builder_free(builder);
}
END_TEST

/* The first exec is allowed by both, with one secret. */
START_TEST(a_ready_made_profile_and_a_filter_start_a_program)
{
	struct pal_builder *builder = pal_builder_new("/bin/true");

	needs_landlock();
	become(_i);
	pal_builder_sandbox(builder, pal_profile_pure_compute());
	deny(builder, "getppid", ENOSTR);
	ck_assert_int_eq(outcome_of_program(builder), 0);
	pal_builder_free(builder);
}
END_TEST

START_TEST(a_setter_that_does_not_fit_a_profile_fails_the_spawn)
{
	struct pal_builder *builder = pal_builder_new(NULL);

	needs_landlock();
	become(_i);
	pal_builder_sandbox(builder, &profile);
	for (int i = 0; i < 5; i++)
		allow_only(builder, "/");
	ck_assert_int_eq(refusal(builder, PAL_STAGE_LANDLOCK), -E2BIG);
	pal_builder_free(builder);
}
END_TEST

/* ---- what is no part of the sandbox's own, and yet stays ---- */

static int apply_forbid(
	const struct pal_profile *itself, struct pal_builder *builder, struct pal_error *error)
{
	(void)error;
	pal_builder_namespaces(builder, PAL_NS_USER);
	pal_builder_forbid_user_namespaces(builder, itself->data != NULL);
	return 0;
}

static int unshares_user(void *unused)
{
	(void)unused;
	return unshare(CLONE_NEWUSER) < 0 ? errno : 0;
}

START_TEST(user_namespaces_that_a_profile_forbids_stay_forbidden)
{
	struct pal_profile forbidding = {
		.size = sizeof forbidding, .apply = apply_forbid, .data = &forbidding};
	struct pal_profile silent = {.size = sizeof silent, .apply = apply_forbid};
	struct pal_builder *builder = pal_builder_new(NULL);

	needs_user_namespace_of_fork();
	become(_i);
	pal_builder_sandbox(builder, &silent);
	ck_assert_int_eq(outcome(builder, unshares_user, NULL), 0);
	pal_builder_sandbox(builder, &forbidding);
	ck_assert_int_eq(outcome(builder, unshares_user, NULL), ENOSPC);
	pal_builder_sandbox(builder, &silent);
	ck_assert_int_eq(outcome(builder, unshares_user, NULL), ENOSPC);
	pal_builder_forbid_user_namespaces(builder, false);
	ck_assert_int_eq(outcome(builder, unshares_user, NULL), ENOSPC);
	pal_builder_free(builder);
}
END_TEST

static int apply_groups(
	const struct pal_profile *itself, struct pal_builder *builder, struct pal_error *error)
{
	(void)error;
	pal_builder_namespaces(builder, PAL_NS_USER);
	pal_builder_deny_setgroups(builder, itself->data != NULL);
	return 0;
}

static int denies_setgroups(void *unused)
{
	char word[8] = "";
	int fd = open("/proc/self/setgroups", O_RDONLY | O_CLOEXEC);

	(void)unused;
	need(fd >= 0 && read(fd, word, sizeof word - 1) > 0);
	return !strncmp(word, "deny", 4);
}

/* Only root can have it allowed. */
START_TEST(groups_that_a_profile_denies_stay_denied)
{
	struct pal_profile denying = {
		.size = sizeof denying, .apply = apply_groups, .data = &denying};
	struct pal_profile allowing = {.size = sizeof allowing, .apply = apply_groups};
	struct pal_builder *builder = pal_builder_new(NULL);

	needs_user_namespace_of_fork();
	become(USER_ROOT);
	pal_builder_sandbox(builder, &allowing);
	ck_assert_int_eq(outcome(builder, denies_setgroups, NULL), 0);
	pal_builder_sandbox(builder, &denying);
	ck_assert_int_eq(outcome(builder, denies_setgroups, NULL), 1);
	pal_builder_sandbox(builder, &allowing);
	ck_assert_int_eq(outcome(builder, denies_setgroups, NULL), 1);
	pal_builder_deny_setgroups(builder, false);
	ck_assert_int_eq(outcome(builder, denies_setgroups, NULL), 1);
	pal_builder_free(builder);
}
END_TEST

static int apply_root(
	const struct pal_profile *itself, struct pal_builder *builder, struct pal_error *error)
{
	(void)error;
	pal_builder_private_root(builder, itself->data != NULL);
	if (itself->data) {
		pal_builder_bind(builder, "/etc", "/etc", PAL_MOUNT_READ_ONLY);
		pal_builder_bind(builder, "/usr", "/usr", PAL_MOUNT_READ_ONLY);
	}
	return 0;
}

/* What there is: 1 of /etc, 2 of /proc. */
static int sees(void *unused)
{
	(void)unused;
	return (access("/etc/passwd", F_OK) == 0) | (access("/proc/self", F_OK) == 0) << 1;
}

static const struct pal_profile rooted = {
	.size = sizeof rooted, .apply = apply_root, .data = (void *)&rooted};
static const struct pal_profile rootless = {.size = sizeof rootless, .apply = apply_root};

START_TEST(the_root_of_a_profile_stays)
{
	struct pal_builder *builder = pal_builder_new(NULL);

	become(USER_ROOT);
	ck_assert_int_eq(chdir("/"), 0);
	pal_builder_sandbox(builder, &rootless);
	ck_assert_int_eq(outcome(builder, sees, NULL), 3);
	pal_builder_sandbox(builder, &rooted);
	ck_assert_int_eq(outcome(builder, sees, NULL), 1);
	pal_builder_private_root(builder, false);
	ck_assert_int_eq(outcome(builder, sees, NULL), 1);
	pal_builder_sandbox(builder, &rootless);
	ck_assert_int_eq(outcome(builder, sees, NULL), 1);
	pal_builder_free(builder);
}
END_TEST

/* The caller's own, once a profile has mounts. */
static void bind_inside(struct pal_builder *builder)
{
	pal_builder_bind(builder, "/proc", "/proc", 0);
}

static void bind_over(struct pal_builder *builder)
{
	pal_builder_bind(builder, "/etc", "/usr", 0);
}

static void cover(struct pal_builder *builder)
{
	pal_builder_tmpfs(builder, "/etc", 0, 0755, 0);
}

static void take_more(struct pal_builder *builder)
{
	pal_builder_hide(builder, "/etc/passwd");
	pal_builder_tmpfs(builder, "/tmp", 0, 01777, 0);
	pal_builder_tmpfs(builder, "/tmp/more", 0, 0700, 0);
}

static int apply_hide(
	const struct pal_profile *itself, struct pal_builder *builder, struct pal_error *error)
{
	(void)itself;
	(void)error;
	pal_builder_hide(builder, "/etc/passwd");
	return 0;
}

static const struct pal_profile hiding = {.size = sizeof hiding, .apply = apply_hide};

static void bind_hidden(struct pal_builder *builder)
{
	pal_builder_bind(builder, "/etc/passwd", "/etc/passwd", 0);
	pal_builder_bind(builder, "/usr", "/etc", 0);
}

static void take_root(struct pal_builder *builder)
{
	pal_builder_private_root(builder, true);
	pal_builder_bind(builder, "/", "/", 0);
}

/* The caller's root is no profile's, whatever comes in between. */
static void take_root_around(struct pal_builder *builder)
{
	pal_builder_private_root(builder, true);
	pal_builder_bind(builder, "/usr", "/usr", PAL_MOUNT_READ_ONLY);
	pal_builder_sandbox(builder, &profile);
	pal_builder_bind(builder, "/etc", "/etc", PAL_MOUNT_READ_ONLY);
}

static const struct {
	const struct pal_profile *profile;
	void (*set)(struct pal_builder *builder);
	int code;
} mounts[] = {
	{&rooted, bind_inside, -EOPNOTSUPP},
	{&rooted, bind_over, -EOPNOTSUPP},
	{&rooted, cover, -EOPNOTSUPP},
	{&rooted, take_more, 0},
	{&hiding, bind_hidden, -EOPNOTSUPP},
	{&hiding, take_root, -EOPNOTSUPP},
	{&hiding, bind_inside, 0},
	{&profile, bind_over, 0},
	{&profile, take_root, 0},
	{&profile, take_root_around, 0},
};

START_TEST(mounts_after_those_of_a_profile_give_nothing_back)
{
	struct pal_builder *builder = pal_builder_new(NULL);

	become(USER_ROOT);
	ck_assert_int_eq(chdir("/"), 0);
	pal_builder_sandbox(builder, mounts[_i].profile);
	mounts[_i].set(builder);
	if (mounts[_i].code)
		ck_assert_int_eq(refusal(builder, PAL_STAGE_PROFILE), mounts[_i].code);
	else
		ck_assert_int_lt(outcome(builder, sees, NULL), 4);
	pal_builder_free(builder);
}
END_TEST

static Suite *make_suite(void)
{
	Suite *suite = suite_create("pal/profile-setters");
	TCase *tcase = support_tcase(suite, "setters");

	tcase_add_loop_test(tcase, what_is_set_after_a_profile_adds_to_it, 0, USERS);
	tcase_add_loop_test(tcase, raw_filters_after_a_profile_add_to_it, 0, USERS);
	tcase_add_loop_test(tcase, a_ready_made_profile_and_a_filter_start_a_program, 0, USERS);
	tcase_add_loop_test(tcase, a_setter_that_does_not_fit_a_profile_fails_the_spawn, 0, USERS);
	tcase_add_loop_test(
		tcase, user_namespaces_that_a_profile_forbids_stay_forbidden, 0, USERS);
	tcase_add_test(tcase, groups_that_a_profile_denies_stay_denied);
	tcase_add_test(tcase, the_root_of_a_profile_stays);
	tcase_add_loop_test(tcase, mounts_after_those_of_a_profile_give_nothing_back, 0,
		(int)PAL_ARRAY_LENGTH(mounts));
	return suite;
}
SUPPORT_MAIN(make_suite)
