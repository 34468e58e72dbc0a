/* SPDX-License-Identifier: MIT */
#include "role.h"

#include <errno.h>
#include <event2/event.h>
#include <event2/thread.h>
#include <mesh/node-priv.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "support.h"

/*
 * A host is dead, or was never one, and a process that it has left behind holds
 * its link: neither a port nor a launch nor the shutdown waits for that one.
 */

#define PATIENCE PAL_DEADLINE_MS(60000)

/* ---- launches that fail ---- */

#define LAUNCHES 20

/* What the script says to its stderr comes out of *ret_fd, and what is written there comes out of its stderr. */
static struct mesh_process_config *shell(const char *script, int *ret_fd)
{
	struct mesh_process_config *config = mesh_process_config_new("shell");
	int ends[2];

	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
	mesh_process_config_program(config, "/bin/sh");
	mesh_process_config_arg(config, "-c");
	mesh_process_config_arg(config, script);
	mesh_process_config_stderr(config, ends[1]);
	close(ends[1]);
	*ret_fd = ends[0];
	return config;
}

static pid_t read_pid(int fd)
{
	char text[20];
	ssize_t size = read(fd, text, sizeof text - 1);

	ck_assert_int_gt(size, 0);
	text[size] = 0;
	return atoi(text);
}

/* Of the node: what is there for each node that it knows, and of the process: its descriptors. */
struct footprint {
	size_t peers, followers, ports, fds;
};

static struct footprint footprint_of(struct mesh_process *process)
{
	struct mesh_node *node = mesh_process_node(process);
	struct footprint footprint;

	mesh__space_lock(&node->space);
	footprint = (struct footprint){HASH_COUNT(node->peers), HASH_COUNT(node->followers),
		HASH_COUNT(node->space.ports), support_open_fds()};
	mesh__space_unlock(&node->space);
	return footprint;
}

struct failure {
	const char *script;
	int64_t join_ms;
	int code;
};

/* The one that ends, and the one that is killed at its deadline. */
static const struct failure failures[] = {
	{"sleep 1000 & echo $! >&2; exit 3", 600000, -ECHILD},
	{"sleep 1000 & echo $! >&2; wait", 200, -ETIMEDOUT},
};

START_TEST(failed_launches_leave_nothing_though_their_children_have_the_link)
{
	const struct failure *failure = &failures[_i];
	struct mesh_process *process = role_new();
	struct mesh_process_host *host;
	struct footprint before, after;
	struct mesh_port *port;
	pid_t leftovers[LAUNCHES];
	int count = failure->code == -ECHILD ? LAUNCHES : LAUNCHES / 4;

	host = role_launch(process, "good", NULL, &port);
	role_expect(port, "say before", "before");
	before = footprint_of(process);
	for (int i = 0; i < count; i++) {
		int fd;
		struct mesh_process_config *config = shell(failure->script, &fd);

		mesh_process_config_join_deadline(config, failure->join_ms);
		role_expect_failure(process, config, failure->code, MESH_PROCESS_STAGE_JOIN);
		leftovers[i] = read_pid(fd);
		close(fd);
		after = footprint_of(process);
		ck_assert_uint_eq(after.peers, before.peers);
		ck_assert_uint_eq(after.followers, before.followers);
		ck_assert_uint_eq(after.ports, before.ports);
		ck_assert_uint_eq(after.fds, before.fds);
	}
	role_expect(port, "say after", "after");
	mesh_port_free(port);
	mesh_process_host_free(host);
	role_shutdown(process);
	for (int i = 0; i < count; i++)
		ck_assert_int_eq(kill(leftovers[i], SIGKILL), 0); /* it was there all the time */
}
END_TEST

/* Nobody else reads here: the base does not run. */
START_TEST(a_failed_launch_has_seen_the_end_of_its_link)
{
	struct mesh_node_options options = {MESH_NODE_OPTIONS_INIT};
	struct footprint before, after;
	struct mesh_process_config *config;
	struct mesh_process *process;
	struct pal_error error;
	pid_t leftover;
	int fd;

	options.base = event_base_new();
	ck_assert_ok(mesh_process_new("test", &options, &process, &error), &error);
	before = footprint_of(process);
	config = shell(failures[1].script, &fd);
	mesh_process_config_join_deadline(config, failures[1].join_ms);
	role_expect_failure(process, config, failures[1].code, MESH_PROCESS_STAGE_JOIN);
	leftover = read_pid(fd);
	close(fd);
	after = footprint_of(process);
	ck_assert_uint_eq(after.peers, before.peers);
	ck_assert_uint_eq(after.fds, before.fds);
	role_shutdown(process);
	event_base_free(options.base);
	ck_assert_int_eq(kill(leftover, SIGKILL), 0);
}
END_TEST

/* It knows the invitation and has the link, and becomes a host when the launch has failed. */
START_TEST(what_a_failed_launch_leaves_behind_cannot_join)
{
	struct mesh_process *process = role_new();
	struct mesh_process_config *config;
	char path[4096], script[8192], heard[4096];
	ssize_t size = readlink("/proc/self/exe", path, sizeof path - 1);
	size_t used = 0;
	int fd;

	ck_assert_int_gt(size, 0);
	path[size] = 0;
	snprintf(script, sizeof script, "(read go <&2; '%s' leftover; echo status $? >&2) & exit 3", path);
	config = shell(script, &fd);
	mesh_process_config_join_deadline(config, 600000);
	role_expect_failure(process, config, -ECHILD, MESH_PROCESS_STAGE_JOIN);
	ck_assert_int_eq(write(fd, "go\n", 3), 3);
	while ((size = read(fd, heard + used, sizeof heard - 1 - used)) > 0)
		used += (size_t)size;
	heard[used] = 0;
	/* Not 7, which is what a host returns that has joined and has lost its port. */
	ck_assert_msg(strstr(heard, "status 125\n"), "%s", heard);
	ck_assert_msg(strstr(heard, strerrordesc_np(ECONNRESET)), "%s", heard);
	close(fd);
	role_shutdown(process);
}
END_TEST

/* ---- hosts that fork and die ---- */

static pid_t fork_host(struct mesh_port *port)
{
	char *text = role_ask(port, -1, "fork");
	pid_t pid = atoi(text);

	ck_assert_int_gt(pid, 1);
	free(text);
	return pid;
}

START_TEST(a_call_to_a_host_that_dies_fails_though_a_fork_of_it_lives)
{
	struct mesh_process *process = role_new();
	struct mesh_process_host *host;
	struct mesh_message *answer;
	struct mesh_port *port;
	pid_t leftover;

	host = role_launch(process, "forker", NULL, &port);
	leftover = fork_host(port);
	ck_assert_int_eq(mesh_port_call(port, mesh_message_new("raise 9", 7), PATIENCE, &answer, NULL),
		-ECONNRESET);
	ck_assert_str_eq(role_end(host), "SIGKILL");
	mesh_port_free(port);
	mesh_process_host_free(host);
	role_shutdown(process);
	ck_assert_int_eq(kill(leftover, SIGKILL), 0);
}
END_TEST

static void *run_base(void *base)
{
	event_base_loop(base, EVLOOP_NO_EXIT_ON_EMPTY);
	return NULL;
}

/* More than one turn of the reading thread takes, and none of it is read before the host is dead and evicted. */
START_TEST(the_last_words_of_a_host_arrive_though_a_fork_of_it_lives)
{
	struct mesh_node_options options = {MESH_NODE_OPTIONS_INIT};
	const int count = MESH__PACKETS_PER_TURN + 10;
	struct mesh_process *process;
	struct mesh_process_host *host;
	struct mesh_message *message;
	struct mesh_port *port;
	struct pal_error error;
	pthread_t thread;
	pid_t leftover;

	options.base = event_base_new();
	ck_assert_int_eq(pthread_create(&thread, NULL, run_base, options.base), 0);
	ck_assert_ok(mesh_process_new("test", &options, &process, &error), &error);
	host = role_launch(process, "forker", NULL, &port);
	leftover = fork_host(port);
	event_base_loopbreak(options.base);
	pthread_join(thread, NULL);
	role_tell(port, "last %d", count);
	ck_assert_str_eq(role_end(host), "SIGKILL");
	for (int i = 0; i < count; i++) {
		ck_assert_ok(mesh_port_recv(port, PATIENCE, &message, &error), &error);
		ck_assert_uint_eq(mesh_message_size(message), sizeof i);
		ck_assert_int_eq(*(const int *)mesh_message_data(message), i);
		mesh_message_free(message);
	}
	ck_assert_int_eq(mesh_port_recv(port, PATIENCE, &message, NULL), -ECONNRESET);
	mesh_port_free(port);
	mesh_process_host_free(host);
	role_shutdown(process);
	event_base_free(options.base);
	ck_assert_int_eq(kill(leftover, SIGKILL), 0);
}
END_TEST

static Suite *make_suite(void)
{
	Suite *suite = suite_create("mesh_process/leftover");
	TCase *launches = support_tcase(suite, "launches"), *forks = support_tcase(suite, "forks");

	tcase_add_loop_test(launches, failed_launches_leave_nothing_though_their_children_have_the_link, 0,
		(int)PAL_ARRAY_LENGTH(failures));
	tcase_add_test(launches, a_failed_launch_has_seen_the_end_of_its_link);
	tcase_add_test(launches, what_a_failed_launch_leaves_behind_cannot_join);
	tcase_add_test(forks, a_call_to_a_host_that_dies_fails_though_a_fork_of_it_lives);
	tcase_add_test(forks, the_last_words_of_a_host_arrive_though_a_fork_of_it_lives);
	return suite;
}

int main(int argc, char **argv)
{
	role_run(argc, argv);
	if (evthread_use_pthreads() < 0)
		abort();
	return support_run(make_suite());
}
