/* SPDX-License-Identifier: MIT */
#include "role.h"

#include <errno.h>
#include <fcntl.h>
#include <mesh/encoding.h>
#include <mesh/invitation.h>
#include <pal/builder.h>
#include <pthread.h>
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

/* S166 */
START_TEST(the_invitation_cannot_be_set_by_the_config)
{
	struct mesh_process_config *config = mesh_process_config_new("n");
	const char *text;

	mesh_process_config_env(config, MESH_PROCESS_INVITATION_VARIABLE, "mine");
	text = role_expect_failure_alone(config, -EINVAL, PAL_STAGE_ARGUMENT);
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
		strstr(role_expect_failure_alone(config, -EBADF, PAL_STAGE_ARGUMENT), "stderr"));
}
END_TEST

START_TEST(bad_names_are_refused)
{
	char name[MESH_NAME_MAX + 2];

	memset(name, 'x', sizeof name - 1);
	name[sizeof name - 1] = 0;
	role_expect_failure_alone(mesh_process_config_new(NULL), -EINVAL, PAL_STAGE_ARGUMENT);
	role_expect_failure_alone(mesh_process_config_new(""), -EINVAL, PAL_STAGE_ARGUMENT);
	role_expect_failure_alone(mesh_process_config_new(name), -EINVAL, PAL_STAGE_ARGUMENT);
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

static Suite *make_suite(void)
{
	Suite *suite = suite_create("mesh_process/launch");
	TCase *config = support_tcase(suite, "config"),
	      *failures = support_tcase(suite, "failures");
	TCase *many = support_tcase(suite, "many");

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
	tcase_add_test(many, many_threads_launch_many_hosts);
	return suite;
}

int main(int argc, char **argv)
{
	role_run(argc, argv);
	return support_run(make_suite());
}
