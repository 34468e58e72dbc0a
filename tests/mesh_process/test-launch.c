/* SPDX-License-Identifier: MIT */
#include "role.h"

#include <errno.h>
#include <fcntl.h>
#include <mesh/encoding.h>
#include <mesh/invitation.h>
#include <pal/builder.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "support.h"

/* What a launch gives to a host, and what it says when there is none in the end. */

/* ---- what the config says ---- */

static char *ask_one(struct mesh_process_config *config, const char *command)
{
	struct mesh_process *process = role_new();
	struct mesh_port *port;
	struct mesh_process_host *host = role_launch(process, NULL, config, &port);
	char *answer = role_ask(port, -1, "%s", command);

	mesh_port_free(port);
	mesh_process_host_free(host);
	role_shutdown(process);
	return answer;
}

START_TEST(arguments_come_before_the_name)
{
	struct mesh_process_config *config = mesh_process_config_new("tail");
	char *text;

	mesh_process_config_arg(config, "one");
	mesh_process_config_arg(config, "");
	mesh_process_config_arg(config, "two words");
	text = ask_one(config, "file /proc/self/cmdline");
	ck_assert_str_eq(strchr(text, '\n'), "\none\n\ntwo words\ntail\n");
	free(text);
}
END_TEST

START_TEST(the_name_argument_can_be_left_out)
{
	struct mesh_process_config *config = mesh_process_config_new("nameless");
	char *text;

	mesh_process_config_skip_name_arg(config, true);
	text = ask_one(config, "file /proc/self/cmdline");
	ck_assert_str_eq(strchr(text, '\n'), "\n");
	free(text);
}
END_TEST

START_TEST(another_program_has_its_own_name)
{
	struct mesh_process_config *config = mesh_process_config_new("n");
	char path[4096], *text;
	ssize_t size = readlink("/proc/self/exe", path, sizeof path - 1);

	ck_assert_int_gt(size, 0);
	path[size] = 0;
	mesh_process_config_program(config, path);
	text = ask_one(config, "file /proc/self/cmdline");
	ck_assert_int_eq(strncmp(text, path, (size_t)size), 0);
	ck_assert_str_eq(text + size, "\nn\n");
	free(text);
}
END_TEST

START_TEST(the_environment_changes_in_the_order_of_the_calls)
{
	struct mesh_process_config *config = mesh_process_config_new("n");
	char *text;

	mesh_process_config_env(config, "FORGOTTEN", "1");
	mesh_process_config_env_clear(config);
	mesh_process_config_env(config, "A", "1");
	mesh_process_config_env(config, "A", "2");
	mesh_process_config_env(config, "B", "1");
	mesh_process_config_env_remove(config, "B");
	/* A sanitizer's runtime needs nothing of the environment, and this says what is in it. */
	text = ask_one(config, "run env | grep -v -e ^PWD= -e ^SHLVL= -e ^_=");
	ck_assert_str_eq(text, "A=2\n");
	free(text);
}
END_TEST

START_TEST(streams_are_null_and_stderr_is_as_told)
{
	struct mesh_process_config *config = mesh_process_config_new("n");
	char path[] = "/tmp/procmesh-test-XXXXXX", expected[100], *text;
	int fd = mkostemp(path, O_CLOEXEC);

	ck_assert_int_ge(fd, 0);
	mesh_process_config_stderr(config, fd);
	close(fd); /* the config has a copy */
	text = ask_one(config, "fds");
	snprintf(expected, sizeof expected, "0:/dev/null 1:/dev/null 2:%s ", path);
	ck_assert_msg(!strncmp(text, expected, strlen(expected)), "%s", text);
	free(text);
	unlink(path);
}
END_TEST

/* S164: descriptors of the parent in the places that matter, and the standard ones closed. */
START_TEST(the_numbers_in_the_parent_do_not_matter)
{
	int saved[3], null = open("/dev/null", O_RDWR | O_CLOEXEC),
		      three = fcntl(3, F_DUPFD_CLOEXEC, 100);
	char *text, *sockets;

	for (int fd = 0; fd < 3; fd++)
		saved[fd] = fcntl(fd, F_DUPFD_CLOEXEC, 100);
	if (null != 3)
		ck_assert_int_eq(dup3(null, 3, 0), 3); /* without close-on-exec, on purpose */
	for (int fd = 0; fd < 3; fd++)
		close(fd);
	text = ask_one(mesh_process_config_new("n"), "fds");
	for (int fd = 0; fd < 3; fd++) {
		ck_assert_int_eq(dup2(saved[fd], fd), fd);
		close(saved[fd]);
	}
	if (three >= 0) {
		dup3(three, 3, O_CLOEXEC);
		close(three);
	} else {
		close(3);
	}
	if (null != 3)
		close(null);
	/*
	 * A host without a stderr would take the place for something that is not meant to
	 * be written to.
	 */
	ck_assert_msg(
		!strncmp(text, "0:/dev/null 1:/dev/null 2:/dev/null 3:socket:", 45), "%s", text);
	sockets = strstr(text, "3:socket:");
	ck_assert_msg(sockets && !strstr(sockets + 2, ":socket:"), "%s", text);
	free(text);
}
END_TEST

/* ---- what cannot be launched ---- */

/* Launches, expects it to fail, and says with what: the text. Frees the config. */
static const char *expect_failure(
	struct mesh_process *process, struct mesh_process_config *config, int code, int stage)
{
	static struct pal_error error;
	struct mesh_process_host *host = NULL;
	struct mesh_port *port = NULL;

	error = (struct pal_error){0};
	ck_assert_msg(mesh_process_launch(process, config, &port, &host, &error) == code, "%s",
		pal_error_text(&error));
	ck_assert_ptr_null(port);
	ck_assert_ptr_null(host);
	ck_assert_int_eq(error.code, code);
	ck_assert_int_eq(error.stage, stage);
	mesh_process_config_free(config);
	return pal_error_text(&error);
}

static const char *expect_failure_alone(struct mesh_process_config *config, int code, int stage)
{
	struct mesh_process *process = role_new();
	const char *text = expect_failure(process, config, code, stage);

	role_shutdown(process);
	return text;
}

/* S166 */
START_TEST(the_invitation_cannot_be_set_by_the_config)
{
	struct mesh_process_config *config = mesh_process_config_new("n");
	const char *text;

	mesh_process_config_env(config, MESH_PROCESS_INVITATION_VARIABLE, "mine");
	text = expect_failure_alone(config, -EINVAL, PAL_STAGE_ARGUMENT);
	ck_assert_msg(strstr(text, MESH_PROCESS_INVITATION_VARIABLE), "%s", text);
}
END_TEST

/* S166: nor does it come from the parent's own environment, or go away when that is removed. */
START_TEST(the_invitation_of_the_parent_is_not_the_host_s)
{
	struct mesh_process_config *config = mesh_process_config_new("n");
	char *text;

	setenv(MESH_PROCESS_INVITATION_VARIABLE, "an old one", 1);
	mesh_process_config_env_remove(config, MESH_PROCESS_INVITATION_VARIABLE);
	text = ask_one(config, "say fine");
	ck_assert_str_eq(text, "fine");
	free(text);
}
END_TEST

START_TEST(the_first_bad_value_is_what_launch_says)
{
	struct mesh_process_config *config = mesh_process_config_new("n");

	mesh_process_config_stderr(config, -1);
	mesh_process_config_arg(config, NULL);
	ck_assert_ptr_nonnull(
		strstr(expect_failure_alone(config, -EBADF, PAL_STAGE_ARGUMENT), "stderr"));
}
END_TEST

START_TEST(bad_names_are_refused)
{
	char name[MESH_NAME_MAX + 2];

	memset(name, 'x', sizeof name - 1);
	name[sizeof name - 1] = 0;
	expect_failure_alone(mesh_process_config_new(NULL), -EINVAL, PAL_STAGE_ARGUMENT);
	expect_failure_alone(mesh_process_config_new(""), -EINVAL, PAL_STAGE_ARGUMENT);
	expect_failure_alone(mesh_process_config_new(name), -EINVAL, PAL_STAGE_ARGUMENT);
}
END_TEST

START_TEST(null_is_an_error_and_no_crash)
{
	struct mesh_process *process = role_new();
	struct mesh_process_config *config = mesh_process_config_new("n");
	struct mesh_process_host *host;
	struct mesh_port *port;

	ck_assert_int_eq(mesh_process_launch(process, NULL, &port, &host, NULL), -ENOMEM);
	ck_assert_int_eq(mesh_process_launch(NULL, config, &port, &host, NULL), -EINVAL);
	ck_assert_int_eq(mesh_process_launch(process, config, NULL, &host, NULL), -EINVAL);
	ck_assert_int_eq(mesh_process_launch(process, config, &port, NULL, NULL), -EINVAL);
	ck_assert_int_eq(mesh_process_launch_message(process, config, NULL, &host, NULL), -ENOMEM);
	mesh_process_config_free(config);
	mesh_process_config_free(NULL);
	mesh_process_config_arg(NULL, "x");
	mesh_process_config_env(NULL, "x", "x");
	mesh_process_config_env_clear(NULL);
	mesh_process_config_env_remove(NULL, "x");
	mesh_process_config_join_deadline(NULL, 1);
	mesh_process_config_program(NULL, "x");
	mesh_process_config_sandbox(NULL, NULL);
	mesh_process_config_skip_name_arg(NULL, true);
	mesh_process_config_stderr(NULL, 2);
	ck_assert_int_eq(mesh_process_new(NULL, NULL, &process, NULL), -EINVAL);
	ck_assert_ptr_null(mesh_process_node(NULL));
	ck_assert_int_eq(mesh_process_host_wait(NULL, PAL_DEADLINE_NOW, NULL), -EINVAL);
	ck_assert_int_eq(mesh_process_host_signal(NULL, 0), -EINVAL);
	ck_assert_int_eq(mesh_process_host_leave(NULL), -EINVAL);
	ck_assert_int_eq(mesh_process_host_crash(NULL), -EINVAL);
	ck_assert_int_eq(mesh_process_host_on_exit(NULL, NULL, NULL), -EINVAL);
	mesh_process_host_free(NULL);
	ck_assert_int_eq(mesh_process_shutdown(NULL, PAL_DEADLINE_NOW), 0);
	role_shutdown(process);
}
END_TEST

/* S168 */
START_TEST(a_program_that_is_not_there_fails_at_exec)
{
	struct mesh_process_config *config = mesh_process_config_new("lost");
	struct mesh_process *process = role_new();
	struct mesh_process_host *host;
	struct mesh_port *port;
	struct pal_error error;

	mesh_process_config_program(config, "/nonexistent/program");
	ck_assert_int_eq(mesh_process_launch(process, config, &port, &host, &error), -ENOENT);
	ck_assert_int_eq(error.stage, MESH_PROCESS_STAGE_SPAWN);
	ck_assert_int_eq(error.index, PAL_STAGE_EXEC);
	ck_assert_msg(strstr(error.text, "lost") && strstr(error.text, "exec /nonexistent/program"),
		"%s", error.text);
	mesh_process_config_free(config);
	role_shutdown(process);
}
END_TEST

static struct mesh_process_config *shell(const char *script)
{
	struct mesh_process_config *config = mesh_process_config_new("shell");

	mesh_process_config_program(config, "/bin/sh");
	mesh_process_config_arg(config, "-c");
	mesh_process_config_arg(config, script);
	return config;
}

/* S168 */
START_TEST(a_program_that_knows_no_mesh_is_told_by_its_end)
{
	ck_assert_str_eq(expect_failure_alone(shell("exit 127"), -ECHILD, MESH_PROCESS_STAGE_JOIN),
		"host 'shell' ended before it joined: exit 127");
	ck_assert_str_eq(expect_failure_alone(shell(":"), -ECHILD, MESH_PROCESS_STAGE_JOIN),
		"host 'shell' ended before it joined: exit 0");
	ck_assert_str_eq(
		expect_failure_alone(shell("kill -9 $$"), -ECHILD, MESH_PROCESS_STAGE_JOIN),
		"host 'shell' ended before it joined: SIGKILL");
}
END_TEST

/* What it leaves behind keeps the link open: the launch must not wait for that. */
START_TEST(a_link_that_outlives_its_host_delays_nothing)
{
	struct mesh_process_config *config = shell("sleep 1000 & echo $! >&2; exit 5");
	struct mesh_process *process = role_new();
	int fds[2];
	char pid[20];
	ssize_t size;

	ck_assert_int_eq(pipe2(fds, O_CLOEXEC), 0);
	mesh_process_config_stderr(config, fds[1]);
	mesh_process_config_join_deadline(config, 600000);
	ck_assert_str_eq(expect_failure(process, config, -ECHILD, MESH_PROCESS_STAGE_JOIN),
		"host 'shell' ended before it joined: exit 5");
	size = read(fds[0], pid, sizeof pid - 1);
	ck_assert_int_gt(size, 0);
	pid[size] = 0;
	ck_assert_int_eq(kill(atoi(pid), SIGKILL), 0);
	close(fds[0]);
	close(fds[1]);
	role_shutdown(process);
}
END_TEST

static struct mesh_process_config *in_role(const char *role)
{
	struct mesh_process_config *config = mesh_process_config_new("actor");

	mesh_process_config_arg(config, role);
	return config;
}

/* S165 */
START_TEST(a_host_that_never_joins_meets_the_deadline)
{
	struct mesh_process_config *config = in_role("be-silent");

	mesh_process_config_join_deadline(config, 50);
	ck_assert_str_eq(expect_failure_alone(config, -ETIMEDOUT, MESH_PROCESS_STAGE_JOIN),
		"host 'actor' did not join in time");
}
END_TEST

START_TEST(a_host_that_gives_up_its_link_is_not_waited_for)
{
	struct mesh_process_config *config = in_role("give-up-the-link");

	mesh_process_config_join_deadline(config, 600000);
	ck_assert_str_eq(expect_failure_alone(config, -ECONNRESET, MESH_PROCESS_STAGE_JOIN),
		"host 'actor' closed its link instead of joining");
}
END_TEST

START_TEST(a_host_that_talks_nonsense_is_not_waited_for)
{
	struct mesh_process_config *config = in_role("send-garbage");

	mesh_process_config_join_deadline(config, 600000);
	expect_failure_alone(config, -ECONNRESET, MESH_PROCESS_STAGE_JOIN);
}
END_TEST

/* S165: a mesh in which nothing but that has happened is as good as new. */
START_TEST(hosts_that_die_on_their_way_leave_nothing_behind)
{
	static const char *const roles[] = {"die-at-once", "die-while-joining"};
	struct mesh_process *process = role_new();
	struct mesh_process_host *host;
	struct mesh_port *port;

	for (int i = 0; i < 40; i++)
		ck_assert_str_eq(expect_failure(process, in_role(roles[i % 2]), -ECHILD,
					 MESH_PROCESS_STAGE_JOIN),
			"host 'actor' ended before it joined: SIGKILL");
	host = role_launch(process, "good", NULL, &port);
	role_expect(port, "say fine", "fine");
	mesh_port_free(port);
	mesh_process_host_free(host);
	role_shutdown(process);
}
END_TEST

/* A host may have come and gone before the launcher has looked. */
START_TEST(a_host_that_joins_and_ends_at_once_has_joined)
{
	struct mesh_process *process = role_new();

	for (int i = 0; i < 20; i++) {
		struct mesh_process_config *config = mesh_process_config_new("brief");
		struct mesh_process_host *host;
		struct mesh_port *ours, *theirs;
		struct mesh_message *init = mesh_message_new("\x0f", 1);
		struct pal_error error;

		/* Its orders are there before it is. */
		ck_assert_int_eq(mesh_port_pair(&ours, &theirs), 0);
		role_tell(ours, "return 9");
		ck_assert_int_eq(mesh_message_put_port(init, theirs), 0);
		ck_assert_ok(
			mesh_process_launch_message(process, config, init, &host, &error), &error);
		ck_assert_str_eq(role_end(host), "exit 9");
		mesh_process_config_free(config);
		mesh_process_host_free(host);
		mesh_port_free(ours);
	}
	role_shutdown(process);
}
END_TEST

/* ---- many at once ---- */

struct one_of_many {
	struct mesh_process *process;
	pthread_t thread;
	int number;
};

/* Ports that crossed would answer with another's name; a descriptor too many would show. */
static void *launch_some(void *arg)
{
	struct one_of_many *one = arg;

	for (int i = 0; i < 8; i++) {
		struct mesh_process_host *host;
		struct mesh_port *port;
		char name[32], expected[40], *text;

		snprintf(name, sizeof name, "h%d.%d", one->number, i);
		host = role_launch(one->process, name, NULL, &port);
		text = role_ask(port, -1, "file /proc/self/comm");
		snprintf(expected, sizeof expected, "role-%s\n", name);
		ck_assert_str_eq(text, expected);
		free(text);
		text = role_ask(port, -1, "fds");
		ck_assert_ptr_nonnull(strstr(text, "3:socket:"));
		ck_assert_ptr_null(strstr(strstr(text, "3:socket:") + 2, ":socket:"));
		free(text);
		mesh_port_free(port);
		mesh_process_host_free(host);
	}
	return NULL;
}

/* S169 */
START_TEST(many_threads_launch_many_hosts)
{
	struct one_of_many many[4];
	struct mesh_process *process = role_new();

	for (int i = 0; i < 4; i++) {
		many[i] = (struct one_of_many){.process = process, .number = i};
		ck_assert_int_eq(pthread_create(&many[i].thread, NULL, launch_some, &many[i]), 0);
	}
	for (int i = 0; i < 4; i++)
		pthread_join(many[i].thread, NULL);
	role_shutdown(process);
}
END_TEST

static void *launch_a_silent_one(void *arg)
{
	struct mesh_process_config *config = in_role("be-silent");
	static struct pal_error error;
	struct mesh_process_host *host;
	struct mesh_port *port;

	mesh_process_config_join_deadline(config, 600000);
	if (mesh_process_launch(arg, config, &port, &host, &error) == 0)
		abort();
	mesh_process_config_free(config);
	return &error;
}

/* The other launch is still waiting when this one is through; and shutdown ends it. */
START_TEST(launches_do_not_wait_for_one_another)
{
	struct mesh_process *process = role_new();
	struct mesh_process_host *host;
	const struct pal_error *error;
	struct mesh_port *port;
	void *result;
	pthread_t thread;

	ck_assert_int_eq(pthread_create(&thread, NULL, launch_a_silent_one, process), 0);
	host = role_launch(process, "quick", NULL, &port);
	role_expect(port, "say fine", "fine");
	mesh_port_free(port);
	mesh_process_host_free(host);
	role_shutdown(process);
	pthread_join(thread, &result);
	error = result;
	ck_assert_int_eq(error->code, -ESHUTDOWN);
}
END_TEST

/* ---- sandboxed, S170 ---- */

#if defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define THREAD_SANITIZER 1
#endif
#endif
#ifdef __SANITIZE_THREAD__
#define THREAD_SANITIZER 1
#endif

/*
 * A host in the profile for pure computation, which a thread of the sanitizer's own cannot
 * be brought under.
 */
static struct mesh_process_host *launch_caged(
	struct mesh_process *process, struct mesh_port **ret_port)
{
	struct mesh_process_config *config = mesh_process_config_new("caged");

	/* A leak check at exit traces the process, which the profile forbids. */
	mesh_process_config_env(config, "ASAN_OPTIONS", "detect_leaks=0");
	mesh_process_config_sandbox(config, pal_profile_pure_compute());
	return role_launch(process, NULL, config, ret_port);
}

#ifdef THREAD_SANITIZER
#define NEEDS_OWN_THREADS_ONLY support_skip("a thread of ThreadSanitizer blocks every signal")
#else
#define NEEDS_OWN_THREADS_ONLY ((void)0)
#endif

START_TEST(a_sandboxed_host_does_its_work)
{
	struct mesh_process *process;
	struct mesh_process_host *host;
	struct mesh_port *port;
	char *text;
	int fd;

	NEEDS_OWN_THREADS_ONLY;
	process = role_new();
	host = launch_caged(process, &port);
	role_expect(port, "say before", "before");
	role_expect(port, "finalize", "0");
	role_expect(port, "thread", "ok");
	fd = open("/proc/self/comm", O_RDONLY | O_CLOEXEC);
	text = role_ask(port, fd, "read");
	ck_assert_str_ne(text, "");
	free(text);
	close(fd);
	text = role_ask(port, -1, "open /etc/passwd");
	ck_assert_str_ne(text, "ok");
	free(text);
	role_tell(port, "return 4");
	ck_assert_str_eq(role_end(host), "exit 4");
	mesh_port_free(port);
	mesh_process_host_free(host);
	role_shutdown(process);
}
END_TEST

START_TEST(a_sandboxed_host_leaves_when_told)
{
	struct mesh_process *process;
	struct mesh_process_host *host;
	struct mesh_port *port;

	NEEDS_OWN_THREADS_ONLY;
	process = role_new();
	host = launch_caged(process, &port);
	role_expect(port, "finalize", "0");
	ck_assert_int_eq(mesh_process_host_leave(host), 0);
	ck_assert_str_eq(role_end(host), "exit 0");
	mesh_port_free(port);
	mesh_process_host_free(host);
	role_shutdown(process);
}
END_TEST

START_TEST(what_a_sandbox_forbids_is_noticed)
{
	struct mesh_process *process;
	struct mesh_process_host *host;
	struct mesh_message *message;
	struct mesh_port *port;

	NEEDS_OWN_THREADS_ONLY;
	process = role_new();
	host = launch_caged(process, &port);
	role_expect(port, "finalize", "0");
	role_tell(port, "socket");
	/* An error in the host or its end by SIGSYS, as the profile has it: both are seen here. */
	if (mesh_port_recv(port, PAL_DEADLINE_MS(60000), &message, NULL)) {
		ck_assert_ptr_nonnull(strstr(role_end(host), "SIGSYS"));
	} else {
		ck_assert(mesh_message_size(message) != 2 ||
			  memcmp(mesh_message_data(message), "ok", 2));
		mesh_message_free(message);
	}
	mesh_port_free(port);
	mesh_process_host_free(host);
	role_shutdown(process);
}
END_TEST

static int refuse_to_apply(
	const struct pal_profile *profile, struct pal_builder *builder, struct pal_error *error)
{
	(void)profile;
	(void)builder;
	return pal_error_set(error, PAL_STAGE_PROFILE, -EPERM, "no cage today");
}

START_TEST(a_sandbox_that_does_not_apply_fails_the_launch)
{
	static const struct pal_profile profile = {
		.size = sizeof profile, .name = "never", .apply = refuse_to_apply};
	struct mesh_process_config *config = mesh_process_config_new("free");
	const char *text;

	mesh_process_config_sandbox(config, &profile);
	text = expect_failure_alone(config, -EPERM, MESH_PROCESS_STAGE_SPAWN);
	ck_assert_msg(strstr(text, "no cage today"), "%s", text);
}
END_TEST

static Suite *make_suite(void)
{
	Suite *suite = suite_create("mesh_process/launch");
	TCase *config = support_tcase(suite, "config"),
	      *failures = support_tcase(suite, "failures");
	TCase *many = support_tcase(suite, "many"), *sandbox = support_tcase(suite, "sandbox");

	tcase_add_test(config, arguments_come_before_the_name);
	tcase_add_test(config, the_name_argument_can_be_left_out);
	tcase_add_test(config, another_program_has_its_own_name);
	tcase_add_test(config, the_environment_changes_in_the_order_of_the_calls);
	tcase_add_test(config, streams_are_null_and_stderr_is_as_told);
	tcase_add_test(config, the_numbers_in_the_parent_do_not_matter);
	tcase_add_test(config, the_invitation_cannot_be_set_by_the_config);
	tcase_add_test(config, the_invitation_of_the_parent_is_not_the_host_s);
	tcase_add_test(config, the_first_bad_value_is_what_launch_says);
	tcase_add_test(config, bad_names_are_refused);
	tcase_add_test(config, null_is_an_error_and_no_crash);
	tcase_add_test(failures, a_program_that_is_not_there_fails_at_exec);
	tcase_add_test(failures, a_program_that_knows_no_mesh_is_told_by_its_end);
	tcase_add_test(failures, a_link_that_outlives_its_host_delays_nothing);
	tcase_add_test(failures, a_host_that_never_joins_meets_the_deadline);
	tcase_add_test(failures, a_host_that_gives_up_its_link_is_not_waited_for);
	tcase_add_test(failures, a_host_that_talks_nonsense_is_not_waited_for);
	tcase_add_test(failures, hosts_that_die_on_their_way_leave_nothing_behind);
	tcase_add_test(failures, a_host_that_joins_and_ends_at_once_has_joined);
	tcase_add_test(many, many_threads_launch_many_hosts);
	tcase_add_test(many, launches_do_not_wait_for_one_another);
	tcase_add_test(sandbox, a_sandboxed_host_does_its_work);
	tcase_add_test(sandbox, a_sandboxed_host_leaves_when_told);
	tcase_add_test(sandbox, what_a_sandbox_forbids_is_noticed);
	tcase_add_test(sandbox, a_sandbox_that_does_not_apply_fails_the_launch);
	return suite;
}

int main(int argc, char **argv)
{
	role_run(argc, argv);
	return support_run(make_suite());
}
