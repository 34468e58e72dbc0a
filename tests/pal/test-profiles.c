/* SPDX-License-Identifier: MIT */
#include <pal/profile.h>

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <pal/util-priv.h>

#include "sandboxed.h"

/* The ready-made profiles with parameters, several at once, and what is said of them. */

static struct pal_profile *named(const char *name, const char *parameter)
{
	struct pal_error error = {0};
	struct pal_profile *profile = NULL;

	ck_assert_ok(
		pal_profile_by_name(name, &parameter, parameter != NULL, &profile, &error), &error);
	return profile;
}

static int call_uname(void *unused)
{
	char buffer[512];

	(void)unused;
	return syscall(SYS_uname, buffer) < 0 ? errno : 0;
}

static int call_getppid(void *unused)
{
	(void)unused;
	return syscall(SYS_getppid) < 0 ? errno : 0;
}

static int signal_parent(void *unused)
{
	(void)unused;
	return kill(getppid(), 0) < 0 ? errno : 0;
}

static int make_process(void *unused)
{
	pid_t pid = fork();

	(void)unused;
	if (pid == 0)
		_exit(0);
	return pid < 0 ? errno : 0;
}

static int connect_to(void *port)
{
	PAL_CLEANUP_CLOSE int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct sockaddr_in address = {
		.sin_family = AF_INET, .sin_port = htons((uint16_t) * (int *)port)};

	if (fd < 0)
		return errno;
	address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	return connect(fd, (struct sockaddr *)&address, sizeof address) < 0 ? errno : 0;
}

/* Second half in the same child, then the attempt. */
struct finished {
	const struct pal_profile *profile;
	int (*attempt)(void *arg);
	void *arg;
};

static int finish_and(void *arg)
{
	const struct finished *finished = arg;
	struct pal_error error = {0};

	if (pal_profile_finalize(finished->profile, &error) < 0) {
		fprintf(stderr, "%s\n", pal_error_text(&error));
		return 255;
	}
	return finished->attempt(finished->arg);
}

static int finally(const struct pal_profile *profile, int (*attempt)(void *arg), const void *arg)
{
	struct finished finished = {profile, attempt, (void *)arg};

	return outcome_under(profile, finish_and, &finished);
}

/* ---- each does what it promises and nothing that it forbids ---- */

START_TEST(a_file_reader_reads_what_is_named)
{
	struct pal_profile *profile;
	char folder[64], file[96];
	int fd;

	needs_self_restrict();
	become(_i);
	make_folder(folder);
	snprintf(file, sizeof file, "%s/file", folder);
	fd = open(file, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
	close(fd);
	profile = named("file-reader", folder);
	ck_assert_int_eq(outcome_under(profile, attempt_read, file), 0);
	ck_assert_int_eq(outcome_under(profile, attempt_read, "/etc/passwd"), 0);
	ck_assert_int_eq(outcome_under(profile, attempt_read, "/var"), EACCES);
	ck_assert_int_eq(outcome_under(profile, attempt_create, file), EACCES);
	ck_assert_int_eq(outcome_under(profile, attempt_socket, NULL), EACCES);
	ck_assert_int_eq(outcome_under(profile, make_process, NULL), EACCES);
	ck_assert_int_eq(outcome_under(profile, attempt_run_true, NULL), DIED + SIGSYS);
	ck_assert_int_eq(finally(profile, attempt_read, file), 0);
	ck_assert_int_eq(finally(profile, attempt_read, "/etc/passwd"), EACCES);
	ck_assert_int_eq(finally(profile, attempt_create, file), EACCES);
	ck_assert_int_eq(finally(profile, make_process, NULL), EACCES);
	pal_profile_free(profile);
	remove_folder(folder);
}
END_TEST

START_TEST(a_network_client_connects_and_has_no_files)
{
	struct pal_profile *one = named("network-client", "2"),
			   *any = named("network-client", NULL);
	int allowed = 2, other = 3;

	needs_self_restrict();
	become(_i);
	if (pal_landlock_abi() < 4)
		support_skip("needs Landlock ABI 4");
	for (int half = 0; half < 2; half++) {
		int (*in)(const struct pal_profile *, int (*)(void *), const void *) =
			half ? finally : outcome_under;

		ck_assert_int_eq(in(one, connect_to, &allowed), ECONNREFUSED);
		ck_assert_int_eq(in(one, connect_to, &other), EACCES);
		ck_assert_int_eq(in(any, connect_to, &other), ECONNREFUSED);
		ck_assert_int_eq(in(one, attempt_socket, NULL), EACCES); /* AF_UNIX */
		ck_assert_int_eq(in(any, attempt_bind_privileged_port, NULL), EACCES);
		ck_assert_int_eq(in(any, attempt_create, "/tmp/procmesh-test-client"), EACCES);
		ck_assert_int_eq(in(any, make_process, NULL), EACCES);
		ck_assert_int_eq(in(any, attempt_read, "/etc/passwd"), half ? EACCES : 0);
		ck_assert_int_eq(in(any, attempt_read, "/var"), EACCES);
	}
	pal_profile_free(one);
	pal_profile_free(any);
}
END_TEST

START_TEST(a_build_worker_runs_programs_in_its_folder)
{
	struct pal_profile *profile;
	char folder[64], file[96];

	needs_landlock();
	needs_user_namespace_of_fork();
	become(_i);
	make_folder(folder);
	snprintf(file, sizeof file, "%s/file", folder);
	profile = named("build-worker", folder);
	ck_assert_int_eq(outcome_under(profile, attempt_create, file), 0);
	ck_assert_int_eq(outcome_under(profile, attempt_run_true, NULL), 0);
	ck_assert_int_eq(outcome_under(profile, make_process, NULL), 0);
	ck_assert_int_eq(outcome_under(profile, attempt_read, "/etc/passwd"), 0);
	ck_assert_int_eq(outcome_under(profile, attempt_create, "/tmp/procmesh-test-worker"), EROFS);
	ck_assert_int_eq(outcome_under(profile, attempt_socket, NULL), EACCES);
	if (pal_landlock_abi() >= 6)
		ck_assert_int_eq(outcome_under(profile, signal_parent, NULL), EPERM);
	pal_profile_free(profile);
	remove_folder(folder);
}
END_TEST

START_TEST(ready_made_profiles_check_their_parameters)
{
	struct pal_error error = {0};
	struct pal_profile *profile = (void *)-1;
	const char *relative = "etc", *port = "70000";
	const char *folders[513];

	ck_assert_int_eq(pal_profile_by_name("nothing", NULL, 0, &profile, &error), -EINVAL);
	ck_assert_int_eq(pal_profile_by_name(NULL, NULL, 0, &profile, &error), -EINVAL);
	ck_assert_int_eq(
		pal_profile_by_name("file-reader", &relative, 1, &profile, &error), -EINVAL);
	ck_assert_int_eq(
		pal_profile_by_name("network-client", &port, 1, &profile, &error), -EINVAL);
	ck_assert_int_eq(
		pal_profile_by_name("pure-computation", &port, 1, &profile, &error), -EINVAL);
	for (size_t i = 0; i < PAL_ARRAY_LENGTH(folders); i++)
		folders[i] = "/tmp";
	ck_assert_int_eq(
		pal_profile_by_name("build-worker", folders, 513, &profile, &error), -E2BIG);
	ck_assert_int_eq(error.stage, PAL_STAGE_ARGUMENT);
	ck_assert_ptr_eq(profile, (void *)-1);
	pal_profile_free(NULL);
}
END_TEST

/* ---- several at once ---- */

static int deny(struct pal_builder *builder, const char *call, int code, struct pal_error *error)
{
	struct pal_seccomp *filter;
	int r = pal_seccomp_new(PAL_SECCOMP_ALLOW, &filter, error);

	if (r < 0)
		return r;
	r = pal_seccomp_rule(filter, PAL_SECCOMP_ERRNO(code), call, error);
	pal_builder_no_new_privs(builder, true);
	pal_builder_seccomp(builder, filter);
	pal_seccomp_free(filter);
	return r;
}

static int limit_files(struct pal_builder *builder, const char *path, struct pal_error *error)
{
	struct pal_landlock *files;
	int r = pal_landlock_new(&files, error);

	if (r < 0)
		return r;
	r = pal_landlock_allow_path(files, path, PAL_LANDLOCK_READ, error);
	pal_builder_landlock(builder, files);
	pal_landlock_free(files);
	return r;
}

static int apply_a(
	const struct pal_profile *profile, struct pal_builder *builder, struct pal_error *error)
{
	struct pal_capabilities sets = PAL_CAPABILITIES_NONE;
	int r = deny(builder, "uname", EXFULL, error);

	(void)profile;
	sets.bounding = 3;
	pal_builder_capabilities(builder, &sets);
	pal_builder_rlimit(builder, RLIMIT_NOFILE, 50, 60);
	return r < 0 ? r : limit_files(builder, "/etc", error);
}

static int apply_b(
	const struct pal_profile *profile, struct pal_builder *builder, struct pal_error *error)
{
	struct pal_capabilities sets = PAL_CAPABILITIES_NONE;
	int r = deny(builder, "getppid", ENOSTR, error);

	(void)profile;
	sets.bounding = 6;
	pal_builder_capabilities(builder, &sets);
	pal_builder_rlimit(builder, RLIMIT_NOFILE, 55, 55);
	return r < 0 ? r : limit_files(builder, "/", error);
}

static int apply_c(
	const struct pal_profile *profile, struct pal_builder *builder, struct pal_error *error)
{
	(void)profile;
	return deny(builder, "getppid", ENOSTR, error);
}

static const struct pal_profile c = {.size = sizeof c, .name = "c", .apply = apply_c};
static const struct pal_profile a = {.size = sizeof a, .name = "a", .apply = apply_a},
				b = {.size = sizeof b, .name = "b", .apply = apply_b};

static int has_both(void *unused)
{
	struct rlimit limit;

	(void)unused;
	need(call_uname(NULL) == EXFULL);
	need(call_getppid(NULL) == ENOSTR);
	need(attempt_read((void *)"/etc/passwd") == 0);
	need(attempt_read((void *)"/usr") == EACCES);
	need(getrlimit(RLIMIT_NOFILE, &limit) == 0);
	need(limit.rlim_cur == 50 && limit.rlim_max == 55);
	return 0;
}

static int has_one_capability(void *unused)
{
	(void)unused;
	for (unsigned long number = 0; number < 8; number++)
		need(prctl(PR_CAPBSET_READ, number, 0, 0, 0) == (number == 1));
	return 0;
}

START_TEST(of_two_profiles_everything_holds_in_either_order)
{
	const struct pal_profile *first = _i ? &b : &a, *second = _i ? &a : &b;
	struct pal_builder *builder = pal_builder_new(NULL);
	struct pal_error error = {0};
	struct pal_profile *both;

	needs_landlock();
	ck_assert_int_eq(outcome_under(first, has_both, NULL), 255);
	ck_assert_int_eq(outcome_under(second, has_both, NULL), 255);
	ck_assert_ok(pal_profile_compose(first, second, &both, &error), &error);
	ck_assert_str_eq(both->name, _i ? "b, a" : "a, b");
	ck_assert_int_eq(outcome_under(both, has_both, NULL), 0);
	if (geteuid() == 0)
		ck_assert_int_eq(outcome_under(both, has_one_capability, NULL), 0);
	pal_builder_sandbox(builder, first);
	pal_builder_sandbox(builder, second);
	ck_assert_int_eq(outcome(builder, has_both, NULL), 0);
	ck_assert_int_eq(outcome(builder, has_both, NULL), 0);
	pal_builder_free(builder);
	pal_profile_free(both);
}
END_TEST

/* Two filters that each allow the first exec: one secret does for both. */
START_TEST(two_ready_made_profiles_start_a_program)
{
	struct pal_builder *builder = pal_builder_new("/bin/true");
	struct pal_profile *reader = named("file-reader", "/etc");

	needs_landlock();
	become(_i);
	pal_builder_sandbox(builder, pal_profile_pure_compute());
	pal_builder_sandbox(builder, reader);
	pal_builder_sandbox(builder, &c);
	ck_assert_int_eq(outcome_of_program(builder), 0);
	pal_builder_free(builder);
	pal_profile_free(reader);
}
END_TEST

START_TEST(more_rulesets_than_there_is_room_for_fail)
{
	struct pal_builder *builder = pal_builder_new(NULL);

	needs_landlock();
	for (int i = 0; i < 5; i++)
		pal_builder_sandbox(builder, &b);
	ck_assert_int_eq(outcome(builder, call_getppid, NULL), ENOSTR);
	pal_builder_sandbox(builder, &b);
	ck_assert_int_eq(refusal(builder, PAL_STAGE_LANDLOCK), -E2BIG);
	pal_builder_free(builder);
}
END_TEST

static int apply_notify(
	const struct pal_profile *profile, struct pal_builder *builder, struct pal_error *error)
{
	struct pal_seccomp *filter;
	int r = pal_seccomp_new(PAL_SECCOMP_ALLOW, &filter, error);

	(void)profile;
	if (r < 0)
		return r;
	r = pal_seccomp_rule(filter, PAL_SECCOMP_NOTIFY, "uname", error);
	pal_builder_no_new_privs(builder, true);
	pal_builder_seccomp(builder, filter);
	pal_seccomp_free(filter);
	return r;
}

START_TEST(a_filter_that_leaves_calls_to_others_is_not_weakened)
{
	const struct pal_profile notify = {
		.size = sizeof notify, .name = "notify", .apply = apply_notify};
	struct pal_builder *builder = pal_builder_new("/bin/true");

	pal_builder_sandbox(builder, &notify);
	pal_builder_sandbox(builder, &a);
	ck_assert_int_eq(refusal(builder, PAL_STAGE_SECCOMP), -EOPNOTSUPP);
	pal_builder_free(builder);
}
END_TEST

static int count_finalized(const struct pal_profile *profile, struct pal_error *error)
{
	char **order = profile->data;

	(void)error;
	*(*order)++ = *profile->name;
	return 0;
}

START_TEST(both_are_finalized_in_their_order)
{
	char order[3] = "", *at = order;
	struct pal_profile first = {
		.size = sizeof first, .name = "1", .finalize = count_finalized, .data = &at};
	struct pal_profile second = first, *both;
	struct pal_error error = {0};

	second.name = "2";
	ck_assert_ok(pal_profile_compose(&first, &second, &both, &error), &error);
	ck_assert_ok(pal_profile_finalize(both, &error), &error);
	ck_assert_str_eq(order, "12");
	ck_assert_int_eq(pal_profile_compose(&first, NULL, &both, &error), -EINVAL);
	pal_profile_free(both);
}
END_TEST

/* ---- in words ---- */

static bool says(const struct pal_profile *profile, const char *part)
{
	struct pal_error error = {0};
	char *text = NULL;
	bool found;

	ck_assert_ok(pal_profile_describe(profile, &text, &error), &error);
	found = strstr(text, part);
	free(text);
	return found;
}

/* The line that begins so, and has the word. */
static bool lists(const struct pal_profile *profile, const char *beginning, const char *word)
{
	struct pal_error error = {0};
	char *text = NULL, *line, *end;
	bool found;

	ck_assert_ok(pal_profile_describe(profile, &text, &error), &error);
	line = strstr(text, beginning);
	end = line ? strchr(line, '\n') : NULL;
	if (end)
		*end = 0;
	found = line && strstr(line, word);
	free(text);
	return found;
}

START_TEST(a_description_says_what_is_set)
{
	const struct pal_profile *pure = pal_profile_pure_compute();
	struct pal_profile empty = {.size = sizeof empty, .name = "empty"};
	struct pal_error error = {0};
	char *text;

	needs_landlock();
	ck_assert(says(pure, "no_new_privs"));
	ck_assert(says(pure, "descriptors: "));
	ck_assert(says(pure, "execve only once"));
	ck_assert(lists(pure, "calls, allowed:", " read "));
	ck_assert(lists(pure, "calls, EACCES:", " socket "));
	ck_assert(lists(pure, "calls, the process is killed:", " ptrace"));
	ck_assert(lists(pure, "by their arguments EACCES or allowed", " openat"));
	ck_assert(!lists(pure, "calls, allowed:", " ptrace"));
	ck_assert(says(&a, "bounding: cap_chown cap_dac_override"));
	ck_assert(says(&a, "read: /etc"));
	ck_assert(says(&a, "calls, ENOSPC") == false && lists(&a, "1 calls, EXFULL:", " uname"));
	ck_assert(!says(&empty, "- "));
	empty.size = 1;
	ck_assert_int_eq(pal_profile_describe(&empty, &text, &error), -EINVAL);
}
END_TEST

static Suite *make_suite(void)
{
	Suite *suite = suite_create("pal/profiles");
	TCase *ready = support_tcase(suite, "ready-made");
	TCase *several = support_tcase(suite, "several");
	TCase *words = support_tcase(suite, "words");

	tcase_add_loop_test(ready, a_file_reader_reads_what_is_named, 0, USERS);
	tcase_add_loop_test(ready, a_network_client_connects_and_has_no_files, 0, USERS);
	tcase_add_loop_test(ready, a_build_worker_runs_programs_in_its_folder, 0, USERS);
	tcase_add_test(ready, ready_made_profiles_check_their_parameters);
	tcase_add_loop_test(several, of_two_profiles_everything_holds_in_either_order, 0, 2);
	tcase_add_loop_test(several, two_ready_made_profiles_start_a_program, 0, USERS);
	tcase_add_test(several, more_rulesets_than_there_is_room_for_fail);
	tcase_add_test(several, a_filter_that_leaves_calls_to_others_is_not_weakened);
	tcase_add_test(several, both_are_finalized_in_their_order);
	tcase_add_test(words, a_description_says_what_is_set);
	return suite;
}
SUPPORT_MAIN(make_suite)
