/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <pal/util-priv.h>

#include "inside.h"

/*
 * What each step of a sandbox forbids works without it and fails with it: in a program that
 * was spawned by vfork, in one that was spawned by a copy and in a forked function, as
 * root and as nobody. Namespaces and private roots: test-namespaces.c, test-root.c.
 */

#define FOLDER_FD 70
#define GROUP 4242
#define KILLED (DIED + SIGSYS)

/* What belongs to root and is made before a test becomes somebody else. */
static char common[64], of_root[80], of_nobody[80];

static void make_common(void)
{
	if (geteuid() != 0)
		return;
	make_folder(common);
	snprintf(of_root, sizeof of_root, "%s/of-root", common);
	snprintf(of_nobody, sizeof of_nobody, "%s/of-nobody", common);
	copy_file(support_helper("inside"), of_root, 04755);
	copy_file(support_helper("inside"), of_nobody, 0755);
	ck_assert_int_eq(chown(of_nobody, NOBODY, NOBODY), 0);
	ck_assert_int_eq(chmod(of_nobody, 04755), 0);
}

static void remove_common(void)
{
	if (geteuid() == 0)
		remove_folder(common);
}

typedef void step(struct pal_builder *builder);

/* The attempt in a child with `given`, then in one with the step as well; NULL: nothing. */
static void check(int way, step *given, step *taken, const char *name, const char *argument,
	int without, int with)
{
	struct pal_builder *builder = inside_builder(way);
	int r;

	if (given)
		given(builder);
	r = inside(builder, way, name, argument);
	ck_assert_msg(r == without, "%s %s: %d without the step", name, argument, r);
	builder = inside_builder(way);
	if (given)
		given(builder);
	taken(builder);
	r = inside(builder, way, name, argument);
	ck_assert_msg(r == with, "%s %s: %d with the step", name, argument, r);
}

/* ---- privileges ---- */

static void take_no_new_privs(struct pal_builder *builder)
{
	pal_builder_no_new_privs(builder, true);
}

START_TEST(no_new_privs_makes_set_user_id_programs_ordinary) /* S79 */
{
	bool by_root = inside_user(_i) == USER_ROOT;

	if (geteuid() != 0)
		support_skip("needs root");
	become(inside_user(_i));
	check(_i, NULL, take_no_new_privs, "exec-euid", by_root ? of_nobody : of_root,
		by_root ? NOBODY & 0xff : 0, by_root ? 0 : NOBODY & 0xff);
}
END_TEST

static uid_t outside_user;
static gid_t outside_group;

static void be_root_inside(struct pal_builder *builder)
{
	pal_builder_namespaces(builder, PAL_NS_USER | PAL_NS_UTS);
	pal_builder_map_uid(builder, 0, outside_user, 1);
	pal_builder_map_gid(builder, 0, outside_group, 1);
}

static void take_capabilities(struct pal_builder *builder)
{
	pal_builder_capabilities(builder, &PAL_CAPABILITIES_NONE);
}

/* Also through exec, which would give root all that its bounding set has. S76, S78 */
START_TEST(root_without_capabilities_has_no_power)
{
	inside_become(_i);
	outside_user = geteuid();
	outside_group = getegid();
	check(_i, be_root_inside, take_capabilities, "set-hostname", "", 0, EPERM);
}
END_TEST

static void take_user(struct pal_builder *builder)
{
	pal_builder_uid(builder, NOBODY);
	pal_builder_gid(builder, NOBODY);
}

static void take_group(struct pal_builder *builder)
{
	pal_builder_groups(builder, &(gid_t){GROUP}, 1);
}

static void drop_groups(struct pal_builder *builder)
{
	pal_builder_groups(builder, NULL, 0);
}

START_TEST(another_user_reads_no_files_of_root_nor_of_a_group_that_it_has_not) /* S72 */
{
	char folder[64], file[80];
	struct stat status;

	become(inside_user(_i));
	if (geteuid() != 0)
		return; /* nobody can become somebody else */
	make_folder(folder);
	snprintf(file, sizeof file, "%s/file", folder);
	ck_assert_int_eq(attempt_create(file), 0);
	ck_assert_int_eq(stat(file, &status) || status.st_uid, 0);
	check(_i, NULL, take_user, "read", file, 0, EACCES);
	ck_assert_int_eq(chown(file, 0, GROUP) || chmod(file, 0640), 0);
	ck_assert_int_eq(setgroups(1, &(gid_t){GROUP}), 0); /* of this process: not kept */
	check(_i, take_user, take_group, "read", file, EACCES, 0);
	check(_i, pal_builder_keep_groups, take_user, "read", file, 0, 0);
	check(_i, pal_builder_keep_groups, drop_groups, "groups", "", 1, 0);
	remove_folder(folder);
}
END_TEST

static void take_limit(struct pal_builder *builder)
{
	pal_builder_rlimit(builder, RLIMIT_FSIZE, 0, 0);
}

START_TEST(a_limit_is_enforced)
{
	char folder[64], file[80];

	become(inside_user(_i));
	make_folder(folder);
	snprintf(file, sizeof file, "%s/file", folder);
	ck_assert_int_eq(attempt_create(file), 0);
	check(_i, NULL, take_limit, "append", file, 0, DIED + SIGXFSZ);
	remove_folder(folder);
}
END_TEST

/* ---- Landlock ---- */

static struct pal_landlock *ruleset_for_programs(void)
{
	static const char *const folders[] = {"/usr", "/bin", "/lib", "/lib64", "/proc"};
	struct pal_landlock *ruleset;
	struct pal_error error = {0};

	ck_assert_ok(pal_landlock_new(&ruleset, &error), &error);
	for (size_t i = 0; i < PAL_ARRAY_LENGTH(folders); i++)
		if (access(folders[i], F_OK) == 0)
			ck_assert_ok(pal_landlock_allow_path(ruleset, folders[i],
					     PAL_LANDLOCK_READ | PAL_LANDLOCK_EXECUTE, &error),
				&error);
	ck_assert_ok(pal_landlock_allow_path(ruleset, support_helper("inside"),
			     PAL_LANDLOCK_READ | PAL_LANDLOCK_EXECUTE, &error),
		&error);
	return ruleset;
}

static void take_landlock(struct pal_builder *builder)
{
	struct pal_landlock *ruleset = ruleset_for_programs();

	pal_builder_no_new_privs(builder, true);
	pal_builder_landlock(builder, ruleset);
	pal_landlock_free(ruleset);
}

static int folder_fd = -1;

static void give_folder(struct pal_builder *builder)
{
	pal_builder_dup_fd(builder, folder_fd, FOLDER_FD);
}

static void forget_folder(struct pal_builder *builder)
{
	pal_builder_close_fd(builder, FOLDER_FD);
}

/* S100: descriptors that were opened before, and the links to them in /proc. */
START_TEST(landlock_closes_the_ways_to_files_that_proc_has)
{
	char folder[64], file[80], by_fd[64], above[128];

	needs_landlock();
	become(inside_user(_i));
	make_folder(folder);
	snprintf(file, sizeof file, "%s/file", folder);
	ck_assert_int_eq(attempt_create(file), 0);
	ck_assert_int_eq(chmod(file, 0666), 0);
	snprintf(by_fd, sizeof by_fd, "/proc/self/fd/%d/file", FOLDER_FD);
	snprintf(above, sizeof above, "/proc/self/fd/%d/../..", FOLDER_FD);
	folder_fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	ck_assert_int_ge(folder_fd, 0);
	check(_i, NULL, take_landlock, "read", file, 0, EACCES);
	/* a program has the right to itself, a function has none to the program that it is in */
	check(_i, NULL, take_landlock, "read", "/proc/self/exe", 0,
		inside_kind(_i) == INSIDE_FORK ? EACCES : 0);
	check(_i, NULL, take_landlock, "read", "/proc/self/cwd", 0, EACCES);
	check(_i, NULL, take_landlock, "read", "/proc/self/root", 0, EACCES);
	check(_i, give_folder, take_landlock, "read", by_fd, 0, EACCES);
	check(_i, give_folder, take_landlock, "write", by_fd, 0, EACCES);
	check(_i, give_folder, take_landlock, "read", above, 0, EACCES);
	check(_i, give_folder, forget_folder, "read", by_fd, 0, ENOENT);
	close(folder_fd);
	remove_folder(folder);
}
END_TEST

static const char *text_of(long number)
{
	static char text[24];

	snprintf(text, sizeof text, "%ld", number);
	return text;
}

START_TEST(landlock_keeps_ports_signals_and_abstract_sockets_away) /* S104 */
{
	struct sockaddr_in address = {.sin_family = AF_INET};
	socklen_t size = sizeof address;
	struct abstract_address abstract;
	int tcp, local;

	if (pal_landlock_abi() < 6)
		support_skip("needs Landlock ABI 6");
	become(inside_user(_i));
	tcp = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	ck_assert_int_eq(bind(tcp, (struct sockaddr *)&address, sizeof address), 0);
	ck_assert_int_eq(listen(tcp, 8), 0);
	ck_assert_int_eq(getsockname(tcp, (struct sockaddr *)&address, &size), 0);
	local = bind_abstract(SOCK_STREAM, &abstract);
	ck_assert_int_eq(listen(local, 8), 0);
	check(_i, NULL, take_landlock, "connect", text_of(ntohs(address.sin_port)), 0, EACCES);
	check(_i, NULL, take_landlock, "bind", "0", 0, EACCES);
	check(_i, NULL, take_landlock, "abstract", abstract.address.sun_path + 1, 0, EPERM);
	check(_i, NULL, take_landlock, "signal", text_of(getpid()), 0, EPERM);
	close(tcp);
	close(local);
}
END_TEST

START_TEST(landlock_keeps_siblings_from_being_traced) /* S80 */
{
	pid_t sibling;

	needs_landlock();
	become(inside_user(_i));
	sibling = fork();
	if (sibling == 0)
		for (;;)
			pause();
	check(_i, NULL, take_landlock, "trace", text_of(sibling), 0, EPERM);
	kill(sibling, SIGKILL);
	ck_assert_int_eq(waitpid(sibling, NULL, 0), sibling);
}
END_TEST

/* ---- seccomp ---- */

static void take_filter(struct pal_builder *builder)
{
	static const unsigned requests[] = {TIOCSTI, TIOCLINUX};
	struct pal_error error = {0};
	struct pal_seccomp *filter;

	ck_assert_ok(pal_seccomp_new(PAL_SECCOMP_ALLOW, &filter, &error), &error);
	ck_assert_ok(pal_seccomp_rule(filter, PAL_SECCOMP_ERRNO(EXFULL), "socket", &error), &error);
	ck_assert_ok(pal_seccomp_rule(filter, PAL_SECCOMP_KILL, "getppid", &error), &error);
	for (size_t i = 0; i < PAL_ARRAY_LENGTH(requests); i++)
		ck_assert_ok(pal_seccomp_rule_masked(filter, PAL_SECCOMP_ERRNO(EXFULL), "ioctl", 1,
				     UINT32_MAX, requests[i], &error),
			&error);
	pal_builder_no_new_privs(builder, true);
	pal_builder_seccomp(builder, filter);
	pal_seccomp_free(filter);
}

START_TEST(a_filter_denies_calls)
{
	become(inside_user(_i));
	check(_i, NULL, take_filter, "socket", "", 0, EXFULL);
}
END_TEST

/* S92: also where the number is that of another call, or of one that is denied. */
#ifdef __x86_64__
START_TEST(a_filter_is_not_evaded_by_other_numbers)
{
	static const char *const names[] = {"i386", "x32"};

	become(inside_user(_i));
	for (size_t i = 0; i < PAL_ARRAY_LENGTH(names); i++) {
		int without = inside(inside_builder(_i), _i, names[i], "");

		/* kernels may be without them */
		if (without != 0 && without != ENOSYS && without != DIED + SIGSEGV)
			ck_abort_msg("%s: %d", names[i], without);
		if (without != DIED + SIGSEGV)
			check(_i, NULL, take_filter, names[i], "", without, KILLED);
		else
			printf("note: this kernel has no calls of %s\n", names[i]);
	}
}
END_TEST
#endif

static int terminal = -1;

static void give_terminal(struct pal_builder *builder)
{
	pal_builder_dup_fd(builder, terminal, FOLDER_FD);
	pal_builder_controlling_tty(builder, FOLDER_FD);
}

static void leave_terminal(struct pal_builder *builder)
{
	pal_builder_controlling_tty(builder, -1);
	pal_builder_setsid(builder, true);
}

/* S81: by who has it as its controlling terminal, which is the right that this takes. */
START_TEST(a_filter_keeps_characters_out_of_a_terminal)
{
	int master, legacy, without = 0;
	char setting = '1';

	become(inside_user(_i));
	legacy = open("/proc/sys/dev/tty/legacy_tiocsti", O_RDONLY | O_CLOEXEC);
	if (legacy >= 0 && read(legacy, &setting, 1) == 1 && setting == '0' &&
		inside_user(_i) != USER_ROOT)
		without = EIO;
	pal_close(legacy);
	master = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
	ck_assert_int_ge(master, 0);
	ck_assert_int_eq(grantpt(master) || unlockpt(master), 0);
	terminal = open(ptsname(master), O_RDWR | O_NOCTTY | O_CLOEXEC);
	ck_assert_int_ge(terminal, 0);
	check(_i, give_terminal, take_filter, "inject", "/dev/tty", without, EXFULL);
	check(_i, give_terminal, take_filter, "inject-console", "/dev/tty", ENOTTY, EXFULL);
	check(_i, give_terminal, leave_terminal, "inject", "/dev/tty", without, ENXIO);
	close(terminal);
	close(master);
}
END_TEST

/* ---- all of them at once: what a ready-made profile promises, and what it forbids ---- */

static struct pal_profile *profile;

static void take_profile(struct pal_builder *builder)
{
	pal_builder_sandbox(builder, profile);
}

static void name_profile(const char *name, const char *parameter)
{
	struct pal_error error = {0};

	pal_profile_free(profile);
	profile = NULL;
	ck_assert_ok(
		pal_profile_by_name(name, &parameter, parameter != NULL, &profile, &error), &error);
}

START_TEST(ready_made_profiles_hold_for_programs_and_functions)
{
	char folder[64], file[80];

	needs_landlock();
	inside_become(_i); /* a build worker has a user namespace */
	make_folder(folder);
	snprintf(file, sizeof file, "%s/file", folder);
	ck_assert_int_eq(attempt_create(file), 0);
	name_profile("pure-computation", NULL);
	check(_i, NULL, take_profile, "uid", "", (int)getuid() & 0xff, (int)getuid() & 0xff);
	check(_i, NULL, take_profile, "append", file, 0, EACCES);
	check(_i, NULL, take_profile, "socket", "", 0, EACCES);
	check(_i, NULL, take_profile, "exec", "/bin/true", 0, KILLED);
	name_profile("file-reader", file);
	check(_i, NULL, take_profile, "read", file, 0, 0);
	check(_i, NULL, take_profile, "read", folder, 0, EACCES);
	check(_i, NULL, take_profile, "append", file, 0, EACCES);
	name_profile("network-client", "2");
	check(_i, NULL, take_profile, "connect", "2", ECONNREFUSED, ECONNREFUSED);
	check(_i, NULL, take_profile, "connect", "3", ECONNREFUSED, EACCES);
	check(_i, NULL, take_profile, "read", file, 0, EACCES);
	name_profile("build-worker", folder);
	check(_i, NULL, take_profile, "append", file, 0, 0);
	check(_i, NULL, take_profile, "exec", "/bin/true", 0, 0);
	check(_i, NULL, take_profile, "read", "/var", 0, EACCES);
	check(_i, NULL, take_profile, "signal", text_of(getpid()), 0, EPERM);
	pal_profile_free(profile);
	remove_folder(folder);
}
END_TEST

static Suite *make_suite(void)
{
	Suite *suite = suite_create("pal/each-step");
	TCase *privileges = support_tcase(suite, "privileges");
	TCase *landlock = support_tcase(suite, "landlock"),
	      *filter = support_tcase(suite, "filter");
	TCase *profiles = support_tcase(suite, "profiles");

	tcase_add_unchecked_fixture(privileges, make_common, remove_common);
	tcase_add_loop_test(
		privileges, no_new_privs_makes_set_user_id_programs_ordinary, 0, INSIDE_WAYS);
	tcase_add_loop_test(privileges, root_without_capabilities_has_no_power, 0, INSIDE_WAYS);
	tcase_add_loop_test(privileges,
		another_user_reads_no_files_of_root_nor_of_a_group_that_it_has_not, 0, INSIDE_WAYS);
	tcase_add_loop_test(privileges, a_limit_is_enforced, 0, INSIDE_WAYS);
	tcase_add_loop_test(
		landlock, landlock_closes_the_ways_to_files_that_proc_has, 0, INSIDE_WAYS);
	tcase_add_loop_test(
		landlock, landlock_keeps_ports_signals_and_abstract_sockets_away, 0, INSIDE_WAYS);
	tcase_add_loop_test(landlock, landlock_keeps_siblings_from_being_traced, 0, INSIDE_WAYS);
	tcase_add_loop_test(filter, a_filter_denies_calls, 0, INSIDE_WAYS);
#ifdef __x86_64__
	tcase_add_loop_test(filter, a_filter_is_not_evaded_by_other_numbers, 0, INSIDE_WAYS);
#endif
	tcase_add_loop_test(filter, a_filter_keeps_characters_out_of_a_terminal, 0, INSIDE_WAYS);
	tcase_add_loop_test(
		profiles, ready_made_profiles_hold_for_programs_and_functions, 0, INSIDE_WAYS);
	return suite;
}
SUPPORT_MAIN(make_suite)
