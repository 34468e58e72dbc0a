/* SPDX-License-Identifier: MIT */
#include "role.h"

#include <errno.h>
#include <pal/builder.h>
#include <pal/log.h>
#include <poll.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "support.h"

/* How hosts end, who hears of it, and how all of them are ended. */

struct news {
	sem_t posted;
	int calls;
	char text[64];
	pthread_t thread;
};

static void note(struct mesh_process_host *host, const struct pal_status *status, void *userdata)
{
	struct news *news = userdata;

	(void)host;
	news->calls++;
	news->thread = pthread_self();
	pal_status_text(status, news->text, sizeof news->text);
	sem_post(&news->posted);
}

static void await_news(struct news *news)
{
	while (sem_wait(&news->posted) < 0)
		ck_assert_int_eq(errno, EINTR);
}

/* ---- the exit as an event and as a value ---- */

START_TEST(the_end_is_an_event_and_a_value)
{
	struct mesh_process *process = role_new();
	struct mesh_port *port;
	struct mesh_process_host *host = role_launch(process, "h", NULL, &port);
	struct pal_status status;
	struct news news = {0};

	sem_init(&news.posted, 0, 0);
	ck_assert_int_eq(mesh_process_host_status(host, &status), -EAGAIN);
	ck_assert_int_eq(mesh_process_host_wait(host, PAL_DEADLINE_MS(1), &status), -ETIMEDOUT);
	ck_assert_int_eq(mesh_process_host_on_exit(host, note, &news), 0);
	role_tell(port, "return 3");
	await_news(&news);
	ck_assert_str_eq(news.text, "exit 3");
	ck_assert(!pthread_equal(news.thread, pthread_self()));
	ck_assert_int_eq(mesh_process_host_status(host, &status), 0);
	ck_assert_int_eq(status.code, 3);
	ck_assert_str_eq(role_end(host), "exit 3");
	mesh_port_free(port);
	mesh_process_host_free(host);
	role_shutdown(process);
	ck_assert_int_eq(news.calls, 1);
	sem_destroy(&news.posted);
}
END_TEST

START_TEST(an_end_that_is_past_is_told_at_once)
{
	struct mesh_process *process = role_new();
	struct mesh_port *port;
	struct mesh_process_host *host = role_launch(process, "h", NULL, &port);
	struct news news = {0};

	sem_init(&news.posted, 0, 0);
	role_tell(port, "raise 9");
	ck_assert_str_eq(role_end(host), "SIGKILL");
	ck_assert_int_eq(mesh_process_host_on_exit(host, note, &news), 0);
	ck_assert_int_eq(news.calls, 1);
	ck_assert(pthread_equal(news.thread, pthread_self()));
	ck_assert_str_eq(news.text, "SIGKILL");
	mesh_port_free(port);
	mesh_process_host_free(host);
	role_shutdown(process);
	sem_destroy(&news.posted);
}
END_TEST

START_TEST(an_event_that_was_removed_does_not_come)
{
	struct mesh_process *process = role_new();
	struct mesh_port *port;
	struct mesh_process_host *host = role_launch(process, "h", NULL, &port);
	struct news news = {0};

	mesh_process_host_on_exit(host, note, &news);
	mesh_process_host_on_exit(host, NULL, NULL);
	role_tell(port, "return 0");
	ck_assert_str_eq(role_end(host), "exit 0");
	mesh_port_free(port);
	mesh_process_host_free(host);
	role_shutdown(process);
	ck_assert_int_eq(news.calls, 0);
}
END_TEST

static void free_it(struct mesh_process_host *host, const struct pal_status *status, void *userdata)
{
	(void)status;
	mesh_process_host_free(host);
	sem_post(userdata);
}

START_TEST(a_host_may_be_freed_in_its_own_event)
{
	struct mesh_process *process = role_new();
	struct mesh_process_host *host;
	struct mesh_port *port;
	sem_t freed;

	sem_init(&freed, 0, 0);
	host = role_launch(process, "later", NULL, &port);
	mesh_process_host_on_exit(host, free_it, &freed);
	role_tell(port, "return 0");
	sem_wait(&freed);
	mesh_port_free(port);

	host = role_launch(process, "at-once", NULL, &port);
	role_tell(port, "return 0");
	role_end(host);
	mesh_process_host_on_exit(host, free_it, &freed);
	ck_assert_int_eq(sem_trywait(&freed), 0);
	mesh_port_free(port);
	role_shutdown(process);
	sem_destroy(&freed);
}
END_TEST

struct restart {
	struct mesh_process *process;
	struct mesh_process_host *second;
	struct mesh_port *port;
	sem_t done;
};

static void launch_again(
	struct mesh_process_host *host, const struct pal_status *status, void *userdata)
{
	struct restart *restart = userdata;

	(void)status;
	restart->second =
		role_launch(restart->process, mesh_process_host_name(host), NULL, &restart->port);
	sem_post(&restart->done);
}

START_TEST(a_host_may_be_launched_again_in_its_event)
{
	struct restart restart = {.process = role_new()};
	struct mesh_port *port;
	struct mesh_process_host *host = role_launch(restart.process, "phoenix", NULL, &port);

	sem_init(&restart.done, 0, 0);
	mesh_process_host_on_exit(host, launch_again, &restart);
	role_tell(port, "raise 15");
	sem_wait(&restart.done);
	role_expect(restart.port, "file /proc/self/comm", "role-phoenix\n");
	mesh_port_free(port);
	mesh_port_free(restart.port);
	mesh_process_host_free(host);
	mesh_process_host_free(restart.second);
	role_shutdown(restart.process);
	sem_destroy(&restart.done);
}
END_TEST

static void shut_down(
	struct mesh_process_host *host, const struct pal_status *status, void *userdata)
{
	(void)host;
	(void)status;
	ck_assert_int_eq(mesh_process_shutdown(userdata, PAL_DEADLINE_NONE), -EDEADLK);
}

START_TEST(shutdown_in_an_event_is_refused)
{
	struct mesh_process *process = role_new();
	struct mesh_port *port;
	struct mesh_process_host *host = role_launch(process, "h", NULL, &port);

	mesh_process_host_on_exit(host, shut_down, process);
	role_tell(port, "return 0");
	role_end(host);
	mesh_port_free(port);
	mesh_process_host_free(host); /* waits for the event */
	role_shutdown(process);
}
END_TEST

/* What a callback in the node's own thread was told. */
struct inside {
	struct mesh_process *process;
	int launch, launch_message, shutdown;
	sem_t done;
};

static void manage(struct mesh_port *port, int status, struct mesh_message *message, void *userdata)
{
	struct inside *inside = userdata;
	struct mesh_process_config *config = mesh_process_config_new("child");
	struct mesh_process_host *host;
	struct mesh_port *host_port;

	(void)port;
	mesh_message_free(message);
	if (!status) {
		inside->launch = mesh_process_launch(inside->process, config, &host_port, &host, NULL);
		inside->launch_message = mesh_process_launch_message(
			inside->process, config, mesh_message_new(NULL, 0), &host, NULL);
		inside->shutdown = mesh_process_shutdown(inside->process, PAL_DEADLINE_NOW);
		sem_post(&inside->done);
	}
	mesh_process_config_free(config);
}

/* They would wait for what only this thread can read. */
START_TEST(launch_and_shutdown_in_a_callback_of_the_node_are_refused)
{
	struct inside inside = {.process = role_new()};
	struct mesh_port *port;
	struct mesh_process_host *host = role_launch(inside.process, "h", NULL, &port);

	sem_init(&inside.done, 0, 0);
	ck_assert_int_eq(mesh_port_set_callback(port, NULL, manage, &inside), 0);
	role_tell(port, "say now");
	while (sem_wait(&inside.done))
		;
	ck_assert_int_eq(mesh_port_set_callback(port, NULL, NULL, NULL), 0);
	ck_assert_int_eq(inside.launch, -EDEADLK);
	ck_assert_int_eq(inside.launch_message, -EDEADLK);
	ck_assert_int_eq(inside.shutdown, -EDEADLK);
	role_expect(port, "say still there", "still there");
	role_tell(port, "return 0");
	ck_assert_str_eq(role_end(host), "exit 0");
	mesh_port_free(port);
	mesh_process_host_free(host);
	role_shutdown(inside.process);
	sem_destroy(&inside.done);
}
END_TEST

START_TEST(a_port_says_how_its_host_ended)
{
	struct mesh_process *process = role_new();
	struct mesh_port *port;
	struct mesh_process_host *host = role_launch(process, "h", NULL, &port);
	struct mesh_message *message;

	role_tell(port, "raise 9");
	ck_assert_int_eq(mesh_port_recv(port, PAL_DEADLINE_MS(60000), &message, NULL), -ECONNRESET);
	mesh_port_free(port);
	mesh_process_host_free(host);
	role_shutdown(process);
}
END_TEST

static char log_text[1000];

static void keep_log(enum pal_log_level level, const char *text, void *userdata)
{
	(void)userdata;
	if (strncmp(text, "host ", 5))
		return; /* the mesh below has its say too */
	snprintf(log_text + strlen(log_text), sizeof log_text - strlen(log_text), "%d %s\n",
		(int)level, text);
}

START_TEST(ends_are_logged)
{
	struct mesh_process *process;
	struct mesh_process_host *good, *bad;
	struct mesh_port *port;
	char expected[200];

	pal_log_set(keep_log, NULL);
	process = role_new();
	good = role_launch(process, "good", NULL, &port);
	role_tell(port, "return 0");
	role_end(good);
	mesh_port_free(port);
	bad = role_launch(process, "bad", NULL, &port);
	role_tell(port, "return 1");
	role_end(bad);
	mesh_port_free(port);
	snprintf(expected, sizeof expected,
		"%d host 'good' (pid %d) ended: exit 0\n%d host 'bad' (pid %d) ended: exit 1\n",
		PAL_LOG_INFO, (int)mesh_process_host_pid(good), PAL_LOG_ERROR,
		(int)mesh_process_host_pid(bad));
	mesh_process_host_free(good);
	mesh_process_host_free(bad);
	role_shutdown(process);
	pal_log_set(NULL, NULL);
	ck_assert_str_eq(log_text, expected);
}
END_TEST

/* ---- one host ---- */

START_TEST(a_host_can_be_signalled_until_it_has_ended)
{
	struct mesh_process *process = role_new();
	struct mesh_port *port;
	struct mesh_process_host *host = role_launch(process, "h", NULL, &port);

	ck_assert_int_eq(mesh_process_host_signal(host, 0), 0);
	ck_assert_int_eq(mesh_process_host_signal(host, SIGTERM), 0);
	ck_assert_str_eq(role_end(host), "SIGTERM");
	ck_assert_int_eq(mesh_process_host_signal(host, SIGKILL), -ESRCH);
	ck_assert_int_eq(mesh_process_host_leave(host), -ESRCH);
	ck_assert_int_eq(mesh_process_host_crash(host), -ESRCH);
	mesh_port_free(port);
	mesh_process_host_free(host);
	role_shutdown(process);
}
END_TEST

START_TEST(one_host_can_be_told_to_leave)
{
	struct mesh_process *process = role_new();
	struct mesh_port *port, *other_port;
	struct mesh_process_host *host = role_launch(process, "h", NULL, &port);
	struct mesh_process_host *other = role_launch(process, "other", NULL, &other_port);

	ck_assert_int_eq(mesh_process_host_leave(host), 0);
	ck_assert_str_eq(role_end(host), "exit 0");
	role_expect(other_port, "say still here", "still here");
	mesh_port_free(port);
	mesh_port_free(other_port);
	mesh_process_host_free(host);
	mesh_process_host_free(other);
	role_shutdown(process);
}
END_TEST

START_TEST(one_host_can_be_made_to_crash)
{
	struct mesh_process *process = role_new();
	struct mesh_port *port;
	struct mesh_process_host *host = role_launch(process, "h", NULL, &port);

	ck_assert_int_eq(mesh_process_host_crash(host), 0);
	ck_assert_ptr_nonnull(strstr(role_end(host), "SIGABRT"));
	mesh_port_free(port);
	mesh_process_host_free(host);
	role_shutdown(process);
}
END_TEST

START_TEST(a_freed_handle_leaves_its_host_running)
{
	struct mesh_process *process = role_new();
	struct mesh_port *port;

	mesh_process_host_free(role_launch(process, "h", NULL, &port));
	role_expect(port, "say still here", "still here");
	mesh_port_free(port);
	role_shutdown(process);
}
END_TEST

/* ---- all of them ---- */

START_TEST(shutdown_tells_everybody_to_leave)
{
	struct mesh_process *process = role_new();
	struct mesh_process_host *hosts[3];
	struct mesh_port *ports[3];

	for (int i = 0; i < 3; i++)
		hosts[i] = role_launch(process, "h", NULL, &ports[i]);
	role_expect(ports[0], "hang", "hanging"); /* in its function; but its loop hears */
	role_shutdown(process);
	for (int i = 0; i < 3; i++) {
		ck_assert_str_eq(role_end(hosts[i]), "exit 0");
		mesh_process_host_free(hosts[i]);
		mesh_port_free(ports[i]);
	}
}
END_TEST

/* S172 */
START_TEST(a_host_that_does_not_leave_is_killed)
{
	struct mesh_process *process = role_new();
	struct mesh_process_host *stopped, *good;
	struct mesh_port *port, *good_port;

	stopped = role_launch(process, "stopped", NULL, &port);
	good = role_launch(process, "good", NULL, &good_port);
	role_expect(good_port, "say fine", "fine");
	ck_assert_int_eq(mesh_process_host_signal(stopped, SIGSTOP), 0);
	ck_assert_int_eq(mesh_process_shutdown(process, PAL_DEADLINE_MS(2000)), -ETIMEDOUT);
	ck_assert_str_eq(role_end(stopped), "SIGKILL");
	ck_assert_str_eq(role_end(good), "exit 0");
	mesh_port_free(port);
	mesh_port_free(good_port);
	mesh_process_host_free(stopped);
	mesh_process_host_free(good);
}
END_TEST

START_TEST(no_time_at_all_means_to_kill)
{
	struct mesh_process *process = role_new();
	struct mesh_port *port;
	struct mesh_process_host *host = role_launch(process, "h", NULL, &port);

	mesh_process_host_signal(host, SIGSTOP);
	ck_assert_int_eq(mesh_process_shutdown(process, PAL_DEADLINE_NOW), -ETIMEDOUT);
	ck_assert_str_eq(role_end(host), "SIGKILL");
	mesh_port_free(port);
	mesh_process_host_free(host);
}
END_TEST

START_TEST(a_mesh_without_hosts_comes_and_goes)
{
	for (int i = 0; i < 20; i++)
		role_shutdown(role_new());
}
END_TEST

/* S171 */
START_TEST(hosts_die_with_their_parent)
{
	struct pal_builder *builder = pal_builder_new("/proc/self/exe");
	struct pal_child *parent;
	struct pal_status status;
	struct pal_error error;
	int pids[3], pidfds[3];
	FILE *output;

	pal_builder_arg(builder, "launch-and-wait");
	pal_builder_stdout(builder, PAL_STDIO_PIPE);
	ck_assert_ok(pal_builder_spawn(builder, &parent, &error), &error);
	pal_builder_free(builder);
	output = fdopen(pal_child_steal_stdout(parent), "r");
	for (int i = 0; i < 3; i++) {
		ck_assert_int_eq(fscanf(output, "%d", &pids[i]), 1);
		pidfds[i] = (int)syscall(SYS_pidfd_open, pids[i], 0);
		ck_assert_int_ge(pidfds[i], 0);
	}
	fclose(output);
	ck_assert_int_eq(pal_child_signal(parent, SIGKILL), 0);
	ck_assert_ok(pal_child_wait(parent, PAL_DEADLINE_NONE, &status, &error), &error);
	pal_child_free(parent);
	for (int i = 0; i < 3; i++) {
		ck_assert_int_eq(
			poll(&(struct pollfd){.fd = pidfds[i], .events = POLLIN}, 1, 50000), 1);
		close(pidfds[i]);
	}
}
END_TEST

static Suite *make_suite(void)
{
	Suite *suite = suite_create("mesh_process/group");
	TCase *ends = support_tcase(suite, "ends"), *one = support_tcase(suite, "one");
	TCase *all = support_tcase(suite, "all");

	tcase_add_test(ends, the_end_is_an_event_and_a_value);
	tcase_add_test(ends, an_end_that_is_past_is_told_at_once);
	tcase_add_test(ends, an_event_that_was_removed_does_not_come);
	tcase_add_test(ends, a_host_may_be_freed_in_its_own_event);
	tcase_add_test(ends, a_host_may_be_launched_again_in_its_event);
	tcase_add_test(ends, shutdown_in_an_event_is_refused);
	tcase_add_test(ends, launch_and_shutdown_in_a_callback_of_the_node_are_refused);
	tcase_add_test(ends, a_port_says_how_its_host_ended);
	tcase_add_test(ends, ends_are_logged);
	tcase_add_test(one, a_host_can_be_signalled_until_it_has_ended);
	tcase_add_test(one, one_host_can_be_told_to_leave);
	tcase_add_test(one, one_host_can_be_made_to_crash);
	tcase_add_test(one, a_freed_handle_leaves_its_host_running);
	tcase_add_test(all, shutdown_tells_everybody_to_leave);
	tcase_add_test(all, a_host_that_does_not_leave_is_killed);
	tcase_add_test(all, no_time_at_all_means_to_kill);
	tcase_add_test(all, a_mesh_without_hosts_comes_and_goes);
	tcase_add_test(all, hosts_die_with_their_parent);
	return suite;
}

int main(int argc, char **argv)
{
	role_run(argc, argv);
	return support_run(make_suite());
}
